"""The command lines: what they print and write, and one line, status 2 and nothing left behind for every mistake."""

import functools
import json
import math
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image
from support.runs import SIZES, environment, listing, options, run, save, spawn, trainer

import minidraw.training.trainer
from minidraw import cli, data, evaluate, train
from minidraw.errors import UserError
from minidraw.model.draw import draw_noise
from minidraw.parallel.workers import WorkerDied
from minidraw.pictures import photos
from minidraw.pictures.sheets import GREEN, RED
from minidraw.training import checkpoints, measure

pytestmark = pytest.mark.usefixtures("small_strokes")

H = W = 28


def has(picture: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((picture[..., :3] == np.array(colour, np.uint8)).all(axis=-1).any())


# --------------------------------------------------------------------------------------------------------- generate


def test_generate_shows_the_drawing_with_the_windows_and_says_what_it_wrote(here, trained, capsys):
    assert run("generate", trained, "-n", 5, "--out", "new/a.gif") == 0
    out, err = capsys.readouterr()
    frames = iio.imread("new/a.gif", index=None, mode="RGB")
    assert len(frames) == SIZES["glimpses"] + 1
    assert [has(frame, RED) for frame in frames] == [True, True, True, False] and not has(frames[0], GREEN)
    size = f"{frames.shape[2]}x{frames.shape[1]}"
    megabytes = os.path.getsize("new/a.gif") / 1e6
    assert out == f"new/a.gif: 5 drawings of 3 glimpses, {size} pixels, {megabytes:.2f} MB\n"
    assert err == "" and os.listdir("new") == ["a.gif"]


def test_generate_draws_64_digits_with_the_averaged_parameters_unless_told_otherwise(here, trained, monkeypatch):
    asked = []
    usual = minidraw.model.draw.DRAW.draw
    monkeypatch.setattr(
        minidraw.model.draw.DRAW,
        "draw",
        lambda self, n, seed: asked.append((n, seed, self.flat_params)) or usual(self, n, seed),
    )
    assert run("generate", trained / "checkpoint.npz") == 0
    assert asked[0][:2] == (64, 0) and os.listdir(here) == ["digits.gif"]
    assert (asked[0][2] == checkpoints.load(trained).vectors["average"]).all()


def test_the_seed_decides_the_drawing(here, trained):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert run("generate", trained, "-n", 3, "--seed", seed, "--out", f"{name}.png") == 0
    content = listing(here)
    assert content["a.png"] == content["b.png"] != content["c.png"]


def test_a_png_is_what_came_out_and_a_strip_how(here, trained):
    assert run("generate", trained, "-n", 6, "--columns", 2, "--scale", 1, "--out", "a.PNG") == 0
    assert run("generate", trained, "-n", 6, "--strip", "--scale", 2, "--out", "strip.png") == 0
    assert run("generate", trained, "-n", 6, "--strip", "--scale", 2, "--no-boxes", "--out", "bare.png") == 0
    still, strip, bare = (iio.imread(name) for name in ("a.PNG", "strip.png", "bare.png"))
    assert still.shape == (3 * 30 + 2, 2 * 30 + 2, 3) and not has(still, RED)
    assert strip.shape == bare.shape == (6 * 58 + 2, 3 * 58 + 2, 3)
    assert has(strip, RED) and not has(bare, RED)
    np.testing.assert_array_equal(still[2:30, 2:30], bare[2:58:2, 118:174:2], "the last of a row is what came out")


def test_a_gif_without_boxes_at_another_pace(here, trained):
    assert run("generate", trained, "-n", 2, "--no-boxes", "--fps", 4, "--out", "a.gif") == 0
    frames = iio.imread("a.gif", index=None, mode="RGB")
    assert len(frames) == SIZES["glimpses"] and not any(has(frame, RED) for frame in frames)
    with Image.open("a.gif") as gif:
        assert gif.info["duration"] == 250


def test_a_network_without_attention_draws_without_boxes(here, tmp_path):
    trainer(tmp_path / "run", steps=1, read_size=None, write_size=None).run()
    assert run("generate", tmp_path / "run", "-n", 2, "--out", "a.gif") == 0
    assert run("reconstruct", tmp_path / "run", "-n", 2, "--out", "b.gif") == 0
    for name in ("a.gif", "b.gif"):
        frames = iio.imread(name, index=None, mode="RGB")
        assert len(frames) == 3 and not has(frames, RED) and not has(frames, GREEN)


# ------------------------------------------------------------------------------------------------------ reconstruct


def test_reconstruct_shows_test_images_beside_their_drawings_with_both_windows(here, trained, capsys):
    assert run("reconstruct", trained, "-n", 4, "--columns", 2, "--scale", 1, "--out", "a.gif") == 0
    assert capsys.readouterr().out.startswith("a.gif: 4 drawings of 3 glimpses, 118x62 pixels")
    frames = iio.imread("a.gif", index=None, mode="RGB")
    assert len(frames) == SIZES["glimpses"] + 1
    left, right = frames[:, 2:30, 2:30], frames[:, 2:30, 30:58]
    assert [(has(a, GREEN), has(a, RED), has(b, RED), has(b, GREEN)) for a, b in zip(left, right, strict=True)] == [
        *[(True, False, True, False)] * 3,
        (False, False, False, False),
    ]
    first = data.load("strokes").test.batch([0])[0, 0]
    np.testing.assert_allclose(left[-1][..., 0] / 255, first, atol=0.07)  # 16 greys


def test_reconstruct_shows_16_images_unless_told_otherwise(here, trained, capsys):
    assert run("reconstruct", trained) == 0
    assert capsys.readouterr().out.startswith("seen.gif: 16 drawings")


def test_reconstruct_takes_pictures_of_many_kinds(here, trained, capsys):
    ink = np.full((60, 40, 3), 255, np.uint8)
    ink[10:50, 18:24] = (0, 0, 120)
    iio.imwrite("ink.jpg", ink)
    iio.imwrite("ink.gif", ink)
    Image.fromarray(255 - ink).convert("1").save("bits.png")
    pictures = ("ink.jpg", "ink.gif", "bits.png")
    assert run("reconstruct", trained, *pictures, "--whole", "--strip", "--out", "a.png") == 0
    out, err = capsys.readouterr()
    assert out.startswith("a.png: 3 drawings")
    note = "inverted, for this network draws white on black"
    assert err.splitlines() == [f"{name}: {note}" for name in ("ink.jpg", "ink.gif")]
    assert run("reconstruct", trained, *pictures, "--strip", "--out", "b.png") == 0
    lines = capsys.readouterr().err.splitlines()
    kinds = ("a dark figure found", "a dark figure found", "a light figure found")
    for line, name, kind in zip(lines, pictures, kinds, strict=True):
        assert line.startswith(f"{name}: {kind}") and line.endswith(", placed as in MNIST")


@pytest.fixture
def bar(here):
    """A white bar on black, 28 rows and columns, as bytes."""
    image = np.zeros((H, W), np.uint8)
    image[4:24, 12:17] = 255
    return image


def read(name, shape=(1, H, W), on_black=True):
    image = photos.read_picture(name, shape, on_black)[0]
    assert image.shape == shape and image.dtype == np.float32 and 0 <= image.min() <= image.max() <= 1
    return image


def test_a_picture_that_fits_is_taken_as_it_is(bar):
    colours = np.random.default_rng(0).integers(0, 256, (H, W, 3), np.uint8)
    np.testing.assert_array_equal(read(save(bar))[0], bar / np.float32(255))
    np.testing.assert_array_equal(read(save(colours), (3, H, W), False), colours.transpose(2, 0, 1) / np.float32(255))


def test_dark_on_light_is_inverted_for_networks_that_draw_on_black_only(bar):
    np.testing.assert_allclose(read(save(255 - bar))[0], bar / 255, atol=1e-6)
    assert photos.read_picture("a.png", (1, H, W), True)[1].startswith("inverted")
    np.testing.assert_array_equal(read("a.png", on_black=False)[0], 1 - bar / np.float32(255))
    assert photos.read_picture("a.png", (1, H, W), False)[1] == ""


def test_a_network_is_known_to_draw_on_black_by_the_canvas_that_it_starts_from(trained):
    network = checkpoints.load(trained).network(threads=1)
    assert photos.draws_on_black(network)
    network.params["canvas0"][:] = 0
    assert not photos.draws_on_black(network)


def test_deep_transparent_and_turned_pictures(bar):
    expected = bar / np.float32(255)
    np.testing.assert_array_equal(read(save(bar.astype(np.uint16) * 257))[0], expected)
    Image.fromarray(expected).save("float.tiff")
    np.testing.assert_array_equal(read("float.tiff")[0], expected)
    seen = np.zeros((H, W, 4), np.uint8)
    seen[..., 3] = bar  # black ink on nothing
    np.testing.assert_array_equal(read(save(seen))[0], expected)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    Image.fromarray(np.rot90(bar)).save("turned.png", exif=exif)
    np.testing.assert_array_equal(read("turned.png")[0], expected)
    np.testing.assert_array_equal(read(save(bar, "P"))[0], expected)


@pytest.mark.parametrize("h, w", [(56, 14), (14, 56), (1, 2000), (2000, 1), (1, 1), (3, 2)])
def test_the_aspect_is_kept_and_the_border_s_colour_fills_the_rest(here, h, w):
    image = np.full((h, w, 3), (10, 200, 60), np.uint8)
    got = read(save(image), (3, H, W), False)
    np.testing.assert_allclose(got, np.broadcast_to(np.array([[[10]], [[200]], [[60]]]) / 255, got.shape), atol=1e-6)
    image[:] = 0
    image[h // 4 : h - h // 4, w // 4 : w - w // 4] = 255
    mass = read(save(image), (3, H, W), False)[0]
    if min(h, w) > 10:
        tall, wide = (mass > 0.5).any(axis=1).sum(), (mass > 0.5).any(axis=0).sum()
        assert (tall > 2 * wide) == (h > w) and abs(max(tall, wide) - 14) <= 2
        centre = [float((mass.sum(axis=axis) * np.arange(28)).sum() / mass.sum()) for axis in (0, 1)]
        assert centre == pytest.approx([13.5, 13.5], abs=0.6)


def test_pictures_for_a_network_that_is_not_square_or_has_two_channels(here):
    assert read(save(np.zeros((9, 9), np.uint8)), (1, 11, 30)).shape == (1, 11, 30)
    with pytest.raises(UserError, match="images of 2 channels"):
        read("a.png", (2, H, W))


# --------------------------------------------------------------------------------------------------------- evaluate


@pytest.fixture
def network(trained):
    """The trained network, made rougher, so that its importance weights differ."""
    network = checkpoints.load(trained).network(threads=1)
    network.params["latent.W"] *= 40
    return network


@pytest.fixture
def seven_at_a_time(monkeypatch):
    monkeypatch.setattr(measure, "batches", functools.partial(minidraw.training.measure.batches, size=7))


def test_evaluate_prints_the_bound_over_the_whole_test_set_with_its_terms(here, trained, capsys, seven_at_a_time):
    assert run("evaluate", trained, "--threads", 1) == 0
    text = capsys.readouterr()
    assert run("evaluate", trained, "--threads", 1, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert {"data": "strokes", "split": "test", "images": 30, "seed": 0}.items() <= result.items()
    assert result["bound"] == pytest.approx(result["reconstruction"] + result["latent"])
    assert text.out.splitlines() == [
        "upper bounds on -log P(x) in nats per image, test set of strokes, 30 images:",
        f"variational bound: {result['bound']:.2f} ± {result['bound_error']:.2f} "
        f"(reconstruction {result['reconstruction']:.2f} + latent {result['latent']:.2f})",
        f"to compare: {result['independent_pixels']:.2f} with independent pixels, the mean training image; "
        f"no model can go below {result['least']:.2f}, the entropy of the pixels' values",
    ]
    assert text.err == "" and listing(here) == {}
    assert run("evaluate", trained, "--split", "valid", "--json", "--seed", 3) == 0
    valid = json.loads(capsys.readouterr().out)
    assert (valid["split"], valid["images"], valid["seed"]) == ("valid", 20, 3) and valid["bound"] != result["bound"]


def test_the_bound_and_its_error_are_those_of_the_images(network, seven_at_a_time):
    split = data.load("strokes").test
    result = measure.variational_bound(network, split, 5)
    rng = np.random.default_rng([5, 1])
    losses, latent = [], []
    for first in (0, 7, 14, 21, 28):
        images = split.batch(np.arange(first, min(first + 7, 30)))
        noise = draw_noise(network.config, len(images), rng)
        losses += [network.loss(images[k : k + 1], noise[:, k : k + 1]).total for k in range(len(images))]
        latent += [network.loss(images[k : k + 1], noise[:, k : k + 1]).latent for k in range(len(images))]
    assert result["bound"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert result["latent"] == pytest.approx(np.mean(latent), rel=1e-5)
    assert result["bound_error"] == pytest.approx(np.std(losses, ddof=1) / math.sqrt(30), rel=1e-4)


def test_the_error_tells_how_far_means_of_other_images_lie():
    """Over many made-up data sets, the spread of the mean and the error that is told agree."""

    class Known:
        config = minidraw.DRAWConfig(glimpses=1, latent_size=1)

        def losses(self, x, noise):
            return x.ravel(), np.zeros((1, len(x)))

    rng = np.random.default_rng(0)
    results = []
    for _ in range(100):
        pixels = rng.integers(0, 256, (2100, 1, 1, 1), np.uint8)
        results.append(measure.variational_bound(Known(), data.Images(pixels), 0))
    spread = np.std([result["bound"] for result in results])
    assert np.mean([result["bound_error"] for result in results]) == pytest.approx(spread, rel=0.25)


def test_the_importance_weighted_bound_of_one_draw_is_minus_the_mean_log_weight(network, seven_at_a_time):
    split = data.load("strokes").test
    result = measure.importance_weighted_bound(network, split, 1, 4)
    rng = np.random.default_rng([4, 2])
    weights = []
    for first in (0, 7, 14, 21, 28):
        images = split.batch(np.arange(first, min(first + 7, 30)))
        weights.append(network.log_weights(images, draw_noise(network.config, len(images), rng)))
    weights = np.concatenate(weights)
    assert result["importance_weighted_bound"] == pytest.approx(-float(weights.mean(dtype=np.float64)), rel=1e-9)
    assert result["importance_weighted_error"] == pytest.approx(float(weights.std(ddof=1)) / math.sqrt(30), rel=1e-5)


def test_the_importance_weighted_bound_agrees_with_a_plain_computation(network):
    split = data.load("strokes").test
    result = measure.importance_weighted_bound(network, split, 6, 4)
    rng, images = np.random.default_rng([4, 2]), split.batch(np.arange(30))
    draws = [network.log_weights(images, draw_noise(network.config, 30, rng)).astype(float) for _ in range(6)]
    bounds = []
    for of_image in zip(*draws, strict=True):  # -log of the mean of exp, with the largest taken out
        top = max(of_image)
        bounds.append(-(top + math.log(sum(math.exp(w - top) for w in of_image) / 6)))
    assert result["importance_weighted_bound"] == pytest.approx(sum(bounds) / 30, rel=1e-12)
    error = np.std(bounds, ddof=1) / math.sqrt(30)
    assert result["importance_weighted_error"] == pytest.approx(error, rel=1e-9)
    assert np.std(np.array(draws), axis=0).mean() > 0.5, "weights that do not differ show nothing"


def test_more_draws_tighten_the_bound(network):
    split = data.load("strokes").test
    bounds = [measure.variational_bound(network, split, 0)["bound"]]
    for samples in (2, 8, 40):
        bounds.append(measure.importance_weighted_bound(network, split, samples, 0)["importance_weighted_bound"])
    assert bounds[0] > bounds[1] > bounds[2] > bounds[3], bounds


def test_yardsticks(seven_at_a_time):
    """Pixels at their mean cost its entropy; no grey image costs less than its own, no binarized one than nothing."""
    rng = np.random.default_rng(0)
    train, grey = (data.Images(rng.integers(20, 230, (n, 2, 3, 5)).astype(np.uint8)) for n in (40, 15))
    p, x = train.batch(range(40)).mean(axis=0), grey.batch(range(15))
    found = measure.yardsticks(train, grey, 0)
    cost = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=(1, 2, 3)).mean()
    own = -(x * np.log(x) + (1 - x) * np.log(1 - x)).sum(axis=(1, 2, 3)).mean()
    assert found["independent_pixels"] == pytest.approx(cost, rel=1e-5)
    assert found["least"] == pytest.approx(own, rel=1e-5) and own < cost
    black_or_white = data.Images(np.uint8(255) * rng.integers(2, size=(9, 2, 3, 5), dtype=np.uint8))
    assert measure.yardsticks(train, black_or_white, 0)["least"] == 0


def test_evaluate_names_both_bounds_and_repeats_itself(here, trained, capsys):
    texts = []
    for _ in range(2):
        assert run("evaluate", trained, "--samples", 3, "--threads", 1) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    lines = texts[0].splitlines()
    assert lines[1].startswith("variational bound: ") and len(lines) == 4
    assert lines[2].startswith("importance-weighted bound, 3 draws per image: ")


def test_the_bounds_do_not_depend_on_the_number_of_cores(here, trained, capsys, monkeypatch):
    monkeypatch.setattr("minidraw.model.network.SMALLEST_WORK", 0)
    results = []
    for threads in (1, 2):
        assert run("evaluate", trained, "--samples", 2, "--json", "--threads", threads) == 0
        results.append(json.loads(capsys.readouterr().out))
    for name, value in results[0].items():
        assert results[1][name] == (pytest.approx(value, rel=1e-5) if isinstance(value, float) else value)


# ------------------------------------------------------------------------------------------------ how a process ends


@pytest.mark.parametrize(
    "problem, status, line",
    [
        (UserError("wrong\n here"), 2, "error: wrong here\n"),
        (WorkerDied("a worker process died"), 2, "error: a worker process died\n"),
        (MemoryError("Unable to allocate 9 TiB"), 2, "error: not enough memory (Unable to allocate 9 TiB); try "),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_how_a_process_ends(capsys, problem, status, line):
    def main(_):
        raise problem

    with pytest.raises(SystemExit) as ended:
        cli.run(main, [])
    out, err = capsys.readouterr()
    assert ended.value.code == status and out == "" and err.startswith(line) and err.count("\n") == 1


def test_a_bug_is_not_hidden():
    def main(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cli.run(main, [])


@pytest.mark.parametrize("arguments", [["RUN", "-n", "1"], ["--help"]])
def test_a_reader_that_stops_reading_gets_no_complaint(here, trained, arguments):
    process = spawn("generate", *[trained if argument == "RUN" else argument for argument in arguments])
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait(timeout=60) == 1 and err == ""
    process.stderr.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("unbuffered", [[], ["-u"]])
def test_output_that_cannot_be_written_is_told_in_one_line(here, trained, unbuffered):
    with open("/dev/full", "w") as full:
        command = [sys.executable, *unbuffered, "-m", "minidraw.generate", trained, "-n", "1"]
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, env=environment())
    assert (result.returncode, result.stderr) == (2, "error: standard output: No space left on device\n")


@pytest.mark.skipif(os.name != "posix", reason="closing streams takes a POSIX shell")
def test_streams_may_be_closed(here, trained):
    command = f"{sys.executable} -m minidraw.generate {trained} -n 1 --out a.gif <&- >&- 2>&-"
    result = subprocess.run(["sh", "-c", command], timeout=60, env=environment())
    assert result.returncode == 0 and os.listdir(here) == ["a.gif"]


def test_a_terminal_of_few_characters():
    command = [sys.executable, "-c", r"from minidraw import cli; cli.run(lambda _: print('1 \xb1 2'), [])"]
    result = subprocess.run(command, capture_output=True, timeout=60, env=environment() | {"PYTHONIOENCODING": "ascii"})
    assert (result.returncode, result.stdout, result.stderr) == (0, rb"1 \xb1 2" + b"\n", b"")


# ------------------------------------------------------------------------------------------------- folders of runs


def test_runs_are_numbered_and_resume_takes_the_latest_of_the_preset(here, capsys):
    first = ["train", "strokes", *options(2, "x")[2:], "--steps", 2]
    assert run(*first) == 0
    left = listing(here / "runs" / "strokes")
    assert run(*first) == 0
    assert sorted(os.listdir("runs")) == ["strokes", "strokes-2"]
    assert listing(here / "runs" / "strokes") == left, "a run leaves other runs alone"
    of_its_own = {name for name in listing(here / "runs" / "strokes-2") if not name.startswith("tensorboard")}
    assert of_its_own == {name for name in left if not name.startswith("tensorboard")} >= {"metrics.jsonl"}
    os.rename("runs/strokes", "runs/strokes-other")  # of another preset, and later
    os.utime("runs/strokes-other/checkpoint.npz")
    capsys.readouterr()
    assert run("train", "--resume", "--steps", 4, "--threads", 1) == 0
    assert capsys.readouterr().out.endswith(
        "pictures: runs/strokes-2/samples.gif; all about it: runs/strokes-2/report.html\n"
    )
    assert checkpoints.load("runs/strokes-2").state["step"] == 4
    assert checkpoints.load("runs/strokes-other").state["step"] == 2


def test_runs_that_start_at_once_get_folders_of_their_own(here):
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: train.claim(Path("runs/strokes")), range(24)))
    assert len(set(folders)) == 24 and set(os.listdir("runs")) == {folder.name for folder in folders}
    Path("FILE").touch()
    with pytest.raises(UserError, match=r"cannot make FILE/strokes: .*; choose another folder with --out"):
        train.claim(Path("FILE/strokes"))


def test_a_complete_run_says_so_and_stays_as_it_is_with_its_pictures(here, capsys):
    assert run("train", *options(4, "run")) == 0
    before = listing(here)
    page = re.sub(b"<time.*</time>", b"", before.pop("run/report.html"))
    os.remove("run/samples.gif")
    capsys.readouterr()
    for steps in (4, 2):
        assert run("train", "--resume", "--out", "run", "--steps", steps, "--threads", 1) == 0
        assert capsys.readouterr().out.startswith("this run is complete already (4 steps)")
    after = listing(here)
    assert re.sub(b"<time.*</time>", b"", after.pop("run/report.html")) == page
    assert after == before


def test_epochs_are_passes_over_the_data(here):
    arguments = [a for a in options(1, "run") if not a.startswith("--steps")]
    assert run("train", *arguments, "--epochs", 1.6) == 0  # of 5 batches each
    assert checkpoints.load("run").state["step"] == 8


def test_the_data_set_of_a_run_is_made_with_its_seed(here, trained):
    assert run("train", *options(2, "run", seed=3)) == 0
    loaded = checkpoints.load("run")
    split = cli.load_data(evaluate.parser().parse_args(["run"]), loaded).test
    assert (split.pixels == data.load("strokes", seed=3).test.pixels).all()
    assert (split.pixels != data.load("strokes", seed=0).test.pixels).any()
