"""The figures of a run: what is nearest, where it stands, and what is written."""

import dataclasses
import importlib
import sys

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image
from support.boxes import cell, painted
from support.runs import classifier, run, trainer

from minidraw import RAM, RAMConfig, UserError, data, figures
from minidraw.data import Images
from minidraw.data.images import spread
from minidraw.pictures import looks
from minidraw.pictures.ink import shown
from minidraw.pictures.sheets import BAND, READING, WRITING, filmstrip
from minidraw.pictures.writers import read_note
from minidraw.training import checkpoints


def test_nearest_is_what_a_plain_search_finds(monkeypatch):
    monkeypatch.setattr(looks, "CHUNK", 7)
    rng = np.random.default_rng(0)
    split = Images(rng.integers(0, 256, (33, 2, 3, 5), np.uint8))
    images = rng.random((6, 2, 3, 5), np.float32)
    everything = split.batch(np.arange(33))
    expected = [everything[np.argmin([((image - other) ** 2).sum() for other in everything])] for image in images]
    np.testing.assert_array_equal(looks.nearest(images, split), expected)
    np.testing.assert_array_equal(looks.nearest(images, split, np.array([9])), everything[[9] * 6])


def test_every_image_is_nearest_to_itself_wherever_it_is(monkeypatch):
    split = Images(np.random.default_rng(0).integers(0, 256, (33, 2, 3, 5), np.uint8))
    everything = split.batch(np.arange(33))
    for chunk in (1, 7, 32, 33, 34):
        monkeypatch.setattr(looks, "CHUNK", chunk)
        np.testing.assert_array_equal(looks.nearest(everything[::-1], split), everything[::-1])


def test_the_nearest_stand_beside_the_last_column():
    split = Images(np.arange(0, 250, 10, dtype=np.uint8).reshape(25, 1, 1, 1))
    images = split.batch(np.arange(20)) + np.float32(0.001)
    grid = looks.beside_nearest(images, split, 10).reshape(2, 11)
    np.testing.assert_array_equal(grid[:, :-1].ravel(), images.ravel())
    np.testing.assert_array_equal(grid[:, -1], split.batch([9, 19]).ravel())


def nearest_of(image: np.ndarray, split) -> np.ndarray:
    """Return by a plain search what of a split is nearest to an image (H, W), as bytes."""
    images = split.batch(np.arange(len(split)))[:, 0]
    return np.rint(255 * images[((images - image) ** 2).sum(axis=(1, 2)).argmin()])


@pytest.fixture
def rough(here, trained):
    """A network that draws one image unlike another, from a file in the current folder."""
    checkpoint = checkpoints.load(trained)
    average = checkpoint.vectors["average"]
    average += np.random.default_rng(5).normal(0, 0.3, average.size).astype(np.float32)
    checkpoints.save(here / "rough.npz", checkpoint)
    return checkpoint.network(threads=1)


@pytest.mark.usefixtures("small_strokes")
def test_the_figures_show_drawings_what_is_nearest_how_they_came_and_test_images(rough):
    assert run("figures", "rough.npz", "--rows=2", "--seed=3", "--out=out", "--threads=1") == 0
    drawing, strokes = rough.draw(20, seed=3), data.load("strokes")
    sheet, sequence, seen = (iio.imread(f"out/{name}.png") for name in ("sheet", "sequence", "seen"))
    assert sheet.shape == (2 * 86 + 2, 11 * 86 + 2, 3)  # 28 pixels, three times as large, and gaps of 2
    for i, image in enumerate(drawing.frames[-1, :, 0]):
        np.testing.assert_array_equal(cell(sheet, 84, 84, *divmod(i, 10))[1::3, 1::3, 0], np.rint(255 * image))
    for row, image in enumerate(drawing.frames[-1, 9::10, 0]):
        beside = cell(sheet, 84, 84, row, 10)[1::3, 1::3, 0]
        np.testing.assert_array_equal(beside, nearest_of(image, strokes.train))
        assert all((beside != nearest_of(image, split)).any() for split in (strokes.valid, strokes.test))
    strip = filmstrip(shown(drawing).frames[:, :8], drawing.write.some(slice(8)), scale=7)
    np.testing.assert_array_equal(sequence, strip)
    given = strokes.test.batch(spread(8, strokes.test))
    assert sequence.shape == (BAND + 8 * 198 + 2, 3 * 198 + 2, 3) and seen.shape == (len(sequence), 4 * 198 + 2, 3)
    for i, image in enumerate(given[:, 0]):
        cells = [cell(seen[BAND:], 196, 196, i, k) for k in range(4)]
        np.testing.assert_array_equal(cells[0][3::7, 3::7, 0], np.rint(255 * image))
        assert [painted(each, READING).any() for each in cells] == [False, True, True, True]
        assert any(painted(each, WRITING).any() for each in cells[1:])


@pytest.fixture
def plotted(monkeypatch):
    """A function that returns matplotlib's figures of `plots`, open."""
    pytest.importorskip("matplotlib", reason="matplotlib is missing: pip install matplotlib")
    plt = importlib.import_module("matplotlib.pyplot")
    usual = plt.close
    usual("all")
    monkeypatch.setattr(plt, "close", lambda *_: None)

    def plotted(lines, network, folder):
        figures.plots(lines, network, folder)
        return [plt.figure(number) for number in plt.get_fignums()]

    yield plotted
    usual("all")


def test_the_axes_of_curves_are_those_of_the_numbers(tmp_path, plotted):
    lines = [{"step": 10 * k, "seconds": 1.0, "loss": 90.0 - k, "reconstruction": 80.0 - 2 * k} for k in range(1, 6)]
    lines = [line | {"latent": 10.0 + n, "latent_per_step": [n, 20.0]} for n, line in enumerate(lines)]
    terms = {"reconstruction": 71.0, "latent": 11.0}
    lines += [{"step": 50, "seconds": 1.0, "validation_loss": 82.0} | {f"validation_{k}": v for k, v in terms.items()}]
    curves, glimpses = plotted(lines, "draw", tmp_path)
    bound, both = curves.axes
    drawn = {line.get_label(): (line.get_xdata().tolist(), line.get_ydata().tolist()) for line in bound.lines}
    x = [10, 20, 30, 40, 50]
    assert drawn == {"training minibatches": (x, [89, 88, 87, 86, 85]), "held-out images": ([50], [82])}
    training, held_out = bound.lines
    assert held_out.get_linewidth() > training.get_linewidth() and held_out.get_color() != training.get_color()
    assert [line.get_label() for line in both.lines][::2] == ["reconstruction", "latent"]
    assert both.lines[2].get_ydata().tolist() == [10, 11, 12, 13, 14]
    colours = [line.get_color() for line in both.lines]
    assert colours[0] == colours[1] != colours[2] == colours[3], "a term has one colour"
    low, high = bound.get_ylim()
    assert low < 82 and 89 < high and bound.get_xlim()[0] < bound.get_xlim()[1]
    assert (bound.get_ylabel(), both.get_xlabel()) == ("variational bound, nats per image", "updates")
    heat, bar = glimpses.axes
    (image,) = heat.images
    np.testing.assert_array_equal(image.get_array(), [[0, 1, 2, 3, 4], [20] * 5])
    assert image.origin == "lower" and image.get_extent() == [10, 50, 0.5, 2.5], "the first glimpse is below"
    assert (heat.get_xlabel(), heat.get_ylabel()) == ("updates", "glimpse") and "KL, nats" in bar.get_ylabel()


def test_curves_are_drawn_from_the_metrics(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is missing: pip install matplotlib")
    terms = {"reconstruction": 70.0, "latent_per_step": [2.0, 1.0], "latent": 3.0}
    lines = [{"step": 50 * k, "seconds": 1.0 * k, "loss": 80.0 + 100 / k, **terms} for k in range(1, 60)]
    lines += [{"step": 3000, "seconds": 60.0, "validation_loss": 82.0}]
    made = figures.plots(lines, "draw", tmp_path)
    assert [path.name for path in made] == ["curves.png", "glimpses.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 5000 for path in made)
    with pytest.raises(UserError, match="no line of training"):
        figures.plots(lines[-1:], "draw", tmp_path)


@pytest.mark.usefixtures("small_strokes")
@pytest.mark.parametrize("missing", ["matplotlib", "metrics.jsonl"])
def test_without_curves_the_pictures_are_there_and_a_line_says_what_is_missing(tmp_path, monkeypatch, capsys, missing):
    assert trainer(tmp_path / "run", steps=4).run()
    if missing == "matplotlib":
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        wanted = "they need matplotlib: pip install matplotlib"
    else:
        (tmp_path / "run" / "metrics.jsonl").unlink()
        wanted = "metrics.jsonl has no line of training yet"
    capsys.readouterr()
    assert run("figures", tmp_path / "run", "--rows=1", "--out", tmp_path / "out", "--threads=1") == 0
    told = capsys.readouterr()
    pictures = ["sheet.png", "sequence.png", "seen.png"]
    assert [line.rpartition("/")[2] for line in told.out.splitlines()] == pictures
    assert told.err.splitlines() == [f"curves are left out: {wanted}"]
    assert all((tmp_path / "out" / name).is_file() for name in pictures)


def test_the_figures_of_a_classifier(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is missing: pip install matplotlib")
    of = classifier(tmp_path / "run")
    assert of.run()
    with open(tmp_path / "run" / "metrics.jsonl", "a") as file:
        file.write("{")
    test = Images(255 - of.data.test.pixels, 1 - of.data.test.labels)
    monkeypatch.setattr(data, "load", lambda *_, **__: dataclasses.replace(of.data, test=test))
    monkeypatch.setattr(data, "is_known", lambda name: name == of.data.name)
    assert figures.main([str(tmp_path / "run"), "--out", str(tmp_path / "out"), "--threads=1"]) == 0
    told = capsys.readouterr()
    assert [line.rpartition("/")[2] for line in told.out.splitlines()] == ["seen.gif", "seen.png", "curves.png"]
    assert "1 lines of metrics.jsonl cannot be read" in told.err
    note = read_note((tmp_path / "out" / "seen.png").read_bytes())
    assert note.startswith("the answers are ") and note.endswith("the labels 1, 0, 0, 0, 0, 0"), note
    with Image.open(tmp_path / "out" / "seen.gif") as film:
        times = [film.info["duration"] for k in range(film.n_frames) if not film.seek(k)]
    assert times == [500, 500, 2000], "two glimpses, slowly, and the images without boxes"


@pytest.mark.parametrize("H, W, N, times, top, left", [(11, 16, 4, 2, 1, 4), (16, 11, 4, 2, 4, 1), (6, 9, 8, 1, 0, 0)])
def test_what_is_seen_is_shown_upright_in_the_middle(H, W, N, times, top, left):
    glimpses = np.random.default_rng(0).random((2, 3, N, N), np.float32)
    shown = looks.enlarge(glimpses, (H, W))
    assert shown.shape == (2, 3, H, W)
    for y, x in np.ndindex(H, W):
        row, column = (y - top) // times, (x - left) // times
        inside = 0 <= row < N and 0 <= column < N
        assert (shown[:, :, y, x] == (glimpses[:, :, row, column] if inside else 0)).all()


def test_looks_are_of_each_image_in_turn_and_so_are_the_answers():
    config = RAMConfig((1, 12, 18), glimpses=2, read_size=3, hidden_size=8, classes=9)
    model, rng = RAM(config, seed=1, threads=1), np.random.default_rng(2)
    model.params["lstm.W"][:] *= 3
    pixels = rng.integers(0, 40, (6, 1, 12, 18)) + 43 * np.arange(6).reshape(6, 1, 1, 1)  # from dark to light
    split = Images(pixels.astype(np.uint8), np.arange(6, dtype=np.uint8))
    images = split.batch(np.arange(6))
    answers = [int(model.predict(image[None])[0]) for image in images]
    assert answers != answers[::-1], "or the test shows nothing"
    moving, still, note = looks.looks(model, split)
    assert note == f"the answers are {', '.join(map(str, answers))}, the labels 0, 1, 2, 3, 4, 5"
    seen, h, w = model.look(images)[0], 12, 18  # (T, n, C, N, N)
    scale = (still.shape[1] - 2) // 2 // w
    rows = still[BAND:].reshape(12, -1, *still.shape[1:])  # two strips an image: where it looks, and what it sees
    for i in range(6):
        for t in range(2):
            looked = cell(rows[2 * i + 1], h * scale, w * scale, 0, t)[scale // 2 :: scale, scale // 2 :: scale, 0]
            glimpse = looks.enlarge(seen[t, i : i + 1], (h, w))[0, 0]
            np.testing.assert_allclose(looked, 255 * glimpse.clip(0, 1), atol=0.51)
    assert len(moving) == 3 and len({picture.tobytes() for picture in moving}) == 3


def test_a_still_of_looks_has_the_box_above_what_is_seen(tmp_path):
    of = classifier(tmp_path)
    _, still, _ = looks.looks(of.model, of.data.valid)
    T, side, gap = 2, 10 * 12, 2  # images of 12 pixels, shown large
    assert still.shape == (BAND + 2 * looks.LOOKS * (side + 2 * gap), T * (side + gap) + gap, 3)
    blue = (still[BAND:] == READING).all(axis=-1).reshape(2 * looks.LOOKS, -1).any(axis=1)
    assert blue[::2].all() and not blue[1::2].any()
