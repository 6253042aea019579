"""The examples run, in a smaller setting where they train, and their pictures and numbers show what they claim."""

import importlib
import re
import runpy
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import threadpoolctl
from PIL import Image

import minidraw.data
from minidraw import DRAW
from minidraw.pictures.sheets import READING, WRITING
from minidraw.presets import preset
from minidraw.training import checkpoints

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("[0-9]*.py"))
LABELS = runpy.run_path(str(EXAMPLES / "labels.py"))


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Return a function that runs an example in this process, in a folder of its own, and returns its variables."""
    monkeypatch.setattr(minidraw.data.strokes, "STROKES", (500, 100, 100))
    monkeypatch.setenv("MINIDRAW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(checkpoints, "PRETRAINED", tmp_path / "pretrained")
    monkeypatch.syspath_prepend(EXAMPLES)  # as from a shell: labels.py lies beside the script

    def run(script: str, *arguments) -> dict:
        monkeypatch.setattr(sys, "argv", [script, str(tmp_path), *map(str, arguments)])
        with threadpoolctl.threadpool_limits(2, "blas"):  # which ends with the limits from before
            variables = runpy.run_path(str(EXAMPLES / script), run_name="__main__")
            variables["pools"] = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
        if "model" in variables:
            assert variables["model"].threads == 1  # several would take several times as much beside other work
        return variables

    return run


def pixels(path: Path, t: int = 0) -> np.ndarray:
    """Return a picture, or picture t of a GIF, as uint8 (rows, columns, 3), after checking that it is not empty."""
    with Image.open(path) as picture:
        picture.seek(t)
        array = np.asarray(picture.convert("RGB"))
    assert array.std() > 5, f"{path} shows nothing"
    return array


def check_words(picture: np.ndarray, lines: int = 1, columns: int = 0, rows: int = 0, left: int = 0) -> None:
    """Check that a picture has a title of so many lines, and names of all its columns and, left of `left`, its rows."""
    top = 14 + 24 * lines
    for line in np.array_split(picture[8:top], lines):
        assert count(line, LABELS["WORDS"]) > 80, "no title"
    for name in np.array_split(picture[top : top + 26, left:], columns, axis=1) if columns else ():
        assert count(name, LABELS["NAMES"]) > 3, "a column without a name"
    for name in np.array_split(picture[top + 26 * bool(columns) :, :left], rows) if rows else ():
        assert count(name, LABELS["NAMES"]) > 20, "a row without a name"


def count(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    """Return how many pixels of a picture have a colour."""
    return int((picture == colour).all(axis=2).sum())


def test_words_around_a_picture():
    cells, title = np.full((80, 390, 3), 99, np.uint8), "What is to be seen in this picture\nis told in two lines"
    picture = LABELS["labelled"](cells, title, columns=["image", "11", "22"], rows=["seen", "made"])
    left = picture.shape[1] - 390
    assert np.array_equal(picture[88:, left:], cells)  # as it was
    check_words(picture, lines=2, columns=3, rows=2, left=left)
    names = (picture == LABELS["NAMES"]).all(axis=2)
    for part in np.split(names[62:88, left:], 3, axis=1):  # a name is above the middle of its column,
        assert np.flatnonzero(part.any(axis=0))[[0, -1]].mean() == pytest.approx(65, abs=3)
    for part in np.split(names[88:, :left], 2):  # or beside that of its row
        assert np.flatnonzero(part.any(axis=1))[[0, -1]].mean() == pytest.approx(20, abs=4)
    assert LABELS["labelled"](cells, 9 * "a long title ").shape[1] > 500  # and is not cut off


def test_filterbank(run, tmp_path):
    example = run("1_filterbank.py")
    picture = pixels(tmp_path / "1_filterbank.png")
    assert count(picture, READING) > 1000
    check_words(picture)
    headings = (picture[38:] == LABELS["NAMES"]).all(axis=2)
    for k in range(4):  # of the columns and rows, each in the band above its cells, which are as high as the picture
        band = headings[k * example["below"] + 5 :][:24]
        assert all(part.sum() > 50 for part in np.array_split(band, 3, axis=1))
    assert headings.shape[0] == 4 * example["below"]
    image, written = example["image"], example["written"]
    assert np.abs(written[1:].sum(axis=(1, 2)) / image.sum() - 1).max() < 0.05  # gamma keeps the ink
    window = slice(9, 26), slice(27, 43)  # rows and columns inside the first window, which is sharp
    assert np.abs(written[0] - image)[window].mean() < 0.3 * image[window].mean()
    assert written[0, 40:].max() < 1e-3 < image[40:].max()  # nothing is written far outside it
    detail = np.abs(np.diff(example["read"], axis=2)).max(axis=(1, 2))
    assert detail[2] < 0.5 * detail[1]  # wide filters blur


def test_lstm_gradient(run, tmp_path):
    example = run("2_lstm_gradient.py")
    check_words(pixels(tmp_path / "2_lstm_gradient.png"))
    errors, steps = example["errors"], example["steps"]
    assert errors["autograd"].max() < 1e-13
    assert errors["four points"].min() < 1e-10
    assert errors["gradient 0.05 % too large"].min() == pytest.approx(5e-4, rel=0.1)
    for name, order, between in (("two points", 2, (1e-4, 1e-2)), ("four points", 4, (1e-3, 1e-2))):
        chosen = (between[0] < steps) & (steps < between[1])
        found = np.polyfit(np.log(steps[chosen]), np.log(errors[name][chosen]), 1)[0]
        assert found == pytest.approx(order, rel=0.05), name


def test_variational_step(run, tmp_path):
    example = run("3_variational_step.py", 100)
    check_words(pixels(tmp_path / "3_variational_step.png"), rows=7, left=180)
    assert all(pool["num_threads"] == 1 for pool in example["pools"])
    (before, nothing), *_, (after, something) = example["losses"]
    assert nothing < 0.2 < 1 < something  # the KL of a q that is the prior, and of one that says something
    assert after + something < 0.95 * (before + nothing)


def test_draw_in_60_lines(run, tmp_path):
    example = run("4_draw_in_60_lines.py", 250)
    picture = pixels(tmp_path / "4_draw_in_60_lines.png")
    assert picture.shape[0] == 38 + 5 * 86 + 2
    check_words(picture, rows=5, left=picture.shape[1] - 12 * 86 - 2)
    config, images = example["config"], example["images"][:200]
    noise = np.random.default_rng(1).standard_normal((config.glimpses, 200, config.latent_size))
    untrained = DRAW(config)
    untrained.params["canvas0"][:] = np.log(example["mean"] / (1 - example["mean"])).ravel()
    assert example["model"].loss(images, noise).total < 0.95 * untrained.loss(images, noise).total


def test_drawing_gif_of_a_network_trained_for_it(run, tmp_path):
    example = run("5_drawing_gif.py", 250)
    assert example["errors"][1] < 0.95 * example["errors"][0]
    check_drawings(tmp_path, example["model"].config.glimpses)


def test_drawing_gif_of_a_network_that_comes_with_the_package(run, tmp_path, capsys):
    (tmp_path / "pretrained").mkdir()
    for name, shape in (("faces", (3, 28, 28)), ("tiny", (1, 28, 28))):  # the first is not for such digits
        experiment = preset("strokes").replace(image_shape=shape, glimpses=5, enc_size=7, dec_size=6, latent_size=4)
        vectors = {"average": DRAW(experiment.model).flat_params}
        checkpoints.save(tmp_path / "pretrained" / f"{name}.npz", checkpoints.Checkpoint(experiment, {}, vectors))
    example = run("5_drawing_gif.py")
    assert "the network tiny, which comes with the package" in capsys.readouterr().out
    assert example["model"].config.dec_size == 6
    check_drawings(tmp_path, 5)


def check_drawings(folder: Path, glimpses: int) -> None:
    """Check that the GIFs of example 5 have a picture a glimpse with boxes, one before and one after without."""
    for name, colours in (("5_drawing", [WRITING]), ("5_redrawing", [WRITING, READING])):
        with Image.open(folder / f"{name}.gif") as gif:
            assert gif.n_frames == 1 + glimpses + 1, name
        for t in range(glimpses + 2):
            check_words(pixels(folder / f"{name}.gif", t))
        for colour in colours:
            assert count(pixels(folder / f"{name}.gif", 1), colour) > 100, name
            for t in (0, glimpses + 1):
                assert count(pixels(folder / f"{name}.gif", t), colour) == 0, name
    strip = pixels(folder / "5_strip.png")
    assert count(strip, WRITING) > 100
    columns = 1 + min(8, glimpses)
    check_words(strip[:, : columns * 114 + 2], columns=columns)


def test_numpy_or_cupy(run, tmp_path, capsys):
    example = run("6_numpy_or_cupy.py")
    check_words(pixels(tmp_path / "6_numpy_or_cupy.png"))
    name = example["xp"].__name__
    assert f"backend 'auto' is {name}" in capsys.readouterr().out
    assert name == example["model"].xp.__name__
    assert 0 < example["difference"] < 1e-5
    assert example["each"].min() > 0
    assert example["each"][-1].sum() < example["each"][0].sum()  # many images at once cost less each


def test_your_own_data(run, tmp_path):
    example = run("7_your_own_data.py", 150)
    assert len(list((tmp_path / "7_pictures").glob("*.png"))) == 500
    picture = pixels(tmp_path / "7_your_own_data.png")
    assert picture.shape == (88 + 8 * 98 + 2, 7 * 98 + 2, 3)
    check_words(picture, lines=2, columns=7)
    assert count(picture, WRITING) > 1000
    cells = picture[88:, 98:].astype(int)  # no data in the boxes' colour: with much red and green, little blue
    assert ((cells[..., 0] - cells[..., 2] > 100) & (cells != WRITING).any(axis=2)).sum() == 0
    assert (tmp_path / "7_run" / "checkpoint.npz").exists()
    assert example["images"].shape == (8, 3, 24, 24)
    assert example["errors"][1] < 0.8 * example["errors"][0]


def test_fit_your_arrays(run, tmp_path):
    example = run("8_fit_your_arrays.py", 150)
    with Image.open(tmp_path / "8_fit_your_arrays.gif") as gif:
        assert gif.n_frames == 1 + example["model"].config.glimpses + 1
    assert count(pixels(tmp_path / "8_fit_your_arrays.gif", 1), WRITING) > 100
    images = example["images"][:200, None] / 255
    untrained = DRAW(example["model"].config)
    assert example["model"].loss(images).total < 0.95 * untrained.loss(images).total


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_a_script_says_of_itself(script):
    text = (EXAMPLES / script).read_text()
    assert f"    python examples/{script} [FOLDER]" in text
    assert f"writes FOLDER/{Path(script).stem.partition('_')[0]}_" in text
    assert f"({script})" in (EXAMPLES / "README.md").read_text()
    assert len(text.splitlines()) <= 85  # to be read in one go


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_commands_printed_are_understood(script):
    text = (EXAMPLES / script).read_text()
    for name, arguments in re.findall(r"python -m minidraw\.(\w+)([^`\n]*)", text):
        importlib.import_module(f"minidraw.{name}").parser().parse_args(shlex.split(arguments))
