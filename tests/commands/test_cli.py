"""The command lines: what they print and write, and one line, status 2 and nothing left behind for every mistake."""

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
from minidraw.parallel.workers import WorkerDied
from minidraw.pictures import photos
from minidraw.pictures.sheets import BAND, READING, WRITING
from minidraw.training import checkpoints

pytestmark = pytest.mark.usefixtures("small_strokes")

H = W = 28
INK = "ink: a pixel is its probability times how much was written there (--plain: the canvas itself)"


def has(picture: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((picture[..., :3] == np.array(colour, np.uint8)).all(axis=-1).any())


# --------------------------------------------------------------------------------------------------------- generate


def test_generate_shows_the_drawing_with_the_windows_and_says_what_it_wrote(here, trained, capsys):
    assert run("generate", trained, "-n", 5, "--out", "new/a.gif") == 0
    out, err = capsys.readouterr()
    frames = iio.imread("new/a.gif", index=None, mode="RGB")
    assert len(frames) == SIZES["glimpses"] + 2
    assert [has(frame, WRITING) for frame in frames] == [False, True, True, True, False]
    assert not has(frames[1], READING) and len(np.unique(frames[0].reshape(-1, 3), axis=0)) == 2  # empty, and gaps
    size = f"{frames.shape[2]}x{frames.shape[1]}"
    megabytes = os.path.getsize("new/a.gif") / 1e6
    assert out == f"new/a.gif: 5 drawings of 3 glimpses, {size} pixels, {megabytes:.2f} MB; {INK}\n"
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


def test_a_png_is_what_came_out_and_a_strip_how(here, trained, capsys):
    assert run("generate", trained, "-n", 6, "--columns", 2, "--scale", 1, "--out", "a.PNG") == 0
    assert run("generate", trained, "-n", 6, "--strip", "--scale", 2, "--out", "strip.png") == 0
    assert run("generate", trained, "-n", 6, "--strip", "--scale", 2, "--no-boxes", "--plain", "--out", "bare.png") == 0
    assert [INK in line for line in capsys.readouterr().out.splitlines()] == [False, True, False]
    still, strip, bare = (iio.imread(name) for name in ("a.PNG", "strip.png", "bare.png"))
    assert still.shape == (3 * 30 + 2, 2 * 30 + 2, 3) and not has(still, WRITING)
    assert strip.shape == bare.shape == (BAND + 6 * 58 + 2, 3 * 58 + 2, 3)
    assert has(strip, WRITING) and not has(bare, WRITING)
    np.testing.assert_array_equal(
        still[2:30, 2:30], bare[BAND + 2 : BAND + 58 : 2, 118:174:2], "the last of a row is what came out"
    )


def test_a_gif_without_boxes_at_another_pace(here, trained):
    assert run("generate", trained, "-n", 2, "--no-boxes", "--fps", 4, "--out", "a.gif") == 0
    frames = iio.imread("a.gif", index=None, mode="RGB")
    assert not any(has(frame, WRITING) for frame in frames)
    with Image.open("a.gif") as gif:  # what does not change is one picture, as long
        times = [gif.info["duration"] for k in range(gif.n_frames) if not gif.seek(k)]
    assert sum(times) == 250 * (1 + SIZES["glimpses"]) + 2000


def test_a_network_without_attention_draws_without_boxes(here, tmp_path):
    trainer(tmp_path / "run", steps=1, read_size=None, write_size=None).run()
    assert run("generate", tmp_path / "run", "-n", 2, "--out", "a.gif") == 0
    assert run("reconstruct", tmp_path / "run", "-n", 2, "--out", "b.gif") == 0
    for name in ("a.gif", "b.gif"):
        frames = iio.imread(name, index=None, mode="RGB")
        assert len(frames) == 5 and not has(frames, WRITING) and not has(frames, READING)


# ------------------------------------------------------------------------------------------------------ reconstruct


def test_reconstruct_shows_test_images_beside_their_drawings_with_both_windows(here, trained, capsys):
    assert run("reconstruct", trained, "-n", 4, "--columns", 2, "--scale", 1, "--out", "a.gif") == 0
    assert capsys.readouterr().out.startswith("a.gif: 4 drawings of 3 glimpses, 118x62 pixels")
    frames = iio.imread("a.gif", index=None, mode="RGB")
    assert len(frames) == SIZES["glimpses"] + 2
    left, right = frames[:, 2:30, 2:30], frames[:, 2:30, 30:58]
    assert [
        (has(a, READING), has(a, WRITING), has(b, WRITING), has(b, READING)) for a, b in zip(left, right, strict=True)
    ] == [
        (False, False, False, False),
        *[(True, False, True, False)] * 3,
        (False, False, False, False),
    ]
    first = data.load("strokes").test.batch([0])[0, 0]
    np.testing.assert_allclose(left[-1][..., 0] / 255, first, atol=0.005)


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
