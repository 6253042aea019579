"""The examples run, in a smaller setting where they train, and their pictures and numbers show what they claim."""

import importlib
import re
import runpy
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minidraw.data
from minidraw import DRAW
from minidraw.pictures.sheets import GREEN, RED
from minidraw.presets import preset
from minidraw.training import checkpoints

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.py"))


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Return a function that runs an example in this process, in a folder of its own, and returns its variables."""
    monkeypatch.setattr(minidraw.data.strokes, "STROKES", (500, 100, 100))
    monkeypatch.setenv("MINIDRAW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(checkpoints, "PRETRAINED", tmp_path / "pretrained")

    def run(script: str, *arguments) -> dict:
        monkeypatch.setattr(sys, "argv", [script, str(tmp_path), *map(str, arguments)])
        return runpy.run_path(str(EXAMPLES / script), run_name="__main__")

    return run


def pixels(path: Path, t: int = 0) -> np.ndarray:
    """Return a picture, or picture t of a GIF, as uint8 (rows, columns, 3), after checking that it is not empty."""
    with Image.open(path) as picture:
        picture.seek(t)
        array = np.asarray(picture.convert("RGB"))
    assert array.std() > 5, f"{path} shows nothing"
    return array


def count(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    """Return how many pixels of a picture have a colour."""
    return int((picture == colour).all(axis=2).sum())


def test_filterbank(run, tmp_path):
    example = run("1_filterbank.py")
    assert count(pixels(tmp_path / "1_filterbank.png"), GREEN) > 1000
    image, written = example["image"], example["written"]
    assert np.abs(written[1:].sum(axis=(1, 2)) / image.sum() - 1).max() < 0.05  # gamma keeps the ink
    window = slice(9, 26), slice(27, 43)  # rows and columns inside the first window, which is sharp
    assert np.abs(written[0] - image)[window].mean() < 0.3 * image[window].mean()
    assert written[0, 40:].max() < 1e-3 < image[40:].max()  # nothing is written far outside it
    detail = np.abs(np.diff(example["read"], axis=2)).max(axis=(1, 2))
    assert detail[2] < 0.5 * detail[1]  # wide filters blur


def test_lstm_gradient(run, tmp_path):
    example = run("2_lstm_gradient.py")
    pixels(tmp_path / "2_lstm_gradient.png")
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
    pixels(tmp_path / "3_variational_step.png")
    (before, nothing), *_, (after, something) = example["losses"]
    assert nothing < 0.2 < 1 < something  # the KL of a q that is the prior, and of one that says something
    assert after + something < 0.95 * (before + nothing)


def test_draw_in_60_lines(run, tmp_path):
    example = run("4_draw_in_60_lines.py", 250)
    assert pixels(tmp_path / "4_draw_in_60_lines.png").shape == (5 * 86 + 2, 12 * 86 + 2, 3)
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
    """Check that the GIFs of example 5 have a picture a glimpse with boxes, and a last one without; and the strip."""
    for name, colours in (("5_drawing", [RED]), ("5_redrawing", [RED, GREEN])):
        with Image.open(folder / f"{name}.gif") as gif:
            assert gif.n_frames == glimpses + 1, name
        for colour in colours:
            assert count(pixels(folder / f"{name}.gif"), colour) > 100, name
            assert count(pixels(folder / f"{name}.gif", glimpses), colour) == 0, name
    assert count(pixels(folder / "5_strip.png"), RED) > 100


def test_numpy_or_cupy(run, tmp_path, capsys):
    example = run("6_numpy_or_cupy.py")
    pixels(tmp_path / "6_numpy_or_cupy.png")
    name = example["xp"].__name__
    assert f"backend 'auto' is {name}" in capsys.readouterr().out
    assert name == example["model"].xp.__name__
    assert 0 < example["difference"] < 1e-5
    assert example["each"].min() > 0
    assert example["each"][-1].sum() < example["each"][0].sum()  # many images at once cost less each


def test_your_own_data(run, tmp_path):
    example = run("7_your_own_data.py", 150)
    assert len(list((tmp_path / "7_pictures").glob("*.png"))) == 500
    assert pixels(tmp_path / "7_your_own_data.png").shape == (8 * 98 + 2, 9 * 98 + 2, 3)
    assert (tmp_path / "7_run" / "checkpoint.npz").exists()
    assert example["images"].shape == (8, 3, 24, 24)
    assert example["errors"][1] < 0.8 * example["errors"][0]


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
