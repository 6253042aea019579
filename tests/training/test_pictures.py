"""The pictures of a run: of which images they are, by which parameters, and what lies beside what."""

import dataclasses

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image
from support.boxes import cell, painted
from support.runs import classifier, trainer

from minidraw.data import Images
from minidraw.data.images import spread
from minidraw.pictures.sheets import BAND, OUTLINE, READING, WRITING
from minidraw.pictures.writers import read_note
from minidraw.training import tasks
from minidraw.training.record import Record, show_images

pytestmark = pytest.mark.usefixtures("small_strokes")

SIDE = 3 * 28  # pixels of a drawing in sheets of 64


@pytest.fixture
def of(tmp_path):
    """A trainer whose averaged parameters draw, one image unlike another, and whose others draw nothing but white."""
    of = trainer(tmp_path)
    of.adam.average[:] += np.random.default_rng(5).normal(0, 1.0, of.adam.average.size).astype(np.float32)
    of.model.params["canvas0"][:] = 1000.0
    return of


def shown(path, columns: int) -> np.ndarray:
    """Return the drawings of a sheet of 8 rows, (8, columns, 28, 28), bytes."""
    picture = iio.imread(path)
    assert picture.shape == (8 * (SIDE + 2) + 2, columns * (SIDE + 2) + 2, 3)
    return np.array(
        [[cell(picture, SIDE, SIDE, row, k)[1::3, 1::3, 0] for k in range(columns)] for row in range(8)], int
    )


def as_bytes(split, indices) -> np.ndarray:
    return np.rint(255 * split.batch(np.asarray(indices))[:, 0]).astype(int)


@pytest.mark.parametrize("thorough", [True, False])
def test_a_sheet_is_of_the_averaged_parameters_beside_the_nearest_training_images(of, tmp_path, monkeypatch, thorough):
    monkeypatch.setattr(tasks, "SEARCHED", 10)
    of.state.step = of.config.steps if thorough else 3
    of.draw()
    samples = shown(tmp_path / "samples.png", 8)
    drawn = samples.reshape(64, 1, 28, 28).astype(np.uint8)
    assert len(np.unique(drawn, axis=0)) == 64 and drawn.min() < 100, "or the test shows nothing"
    of.task.data = dataclasses.replace(of.data, train=Images(drawn[::-1]))
    of.draw()
    sheet = shown(tmp_path / "sheet.png", 9)
    np.testing.assert_array_equal(sheet[:, :8], samples)
    train = of.task.data.train
    looked_at = as_bytes(train, range(64) if thorough else spread(10, train))
    for *_, last, beside in sheet:
        nearest = looked_at[((looked_at - last) ** 2).sum(axis=(1, 2)).argmin()]
        np.testing.assert_array_equal(beside, nearest)
        assert (nearest == last).all() or not thorough
    note = read_note((tmp_path / "sheet.png").read_bytes())
    among = "all 64" if thorough else "10 of the 64"
    assert f"after {of.state.step} updates" in note and f"of {among} training images" in note


def test_a_film_begins_empty_and_ends_with_the_samples(of, tmp_path):
    of.draw()
    film = iio.imread(tmp_path / "samples.gif", index=None, mode="RGB")
    last = iio.imread(tmp_path / "samples.png")
    assert len(film) == 1 + 3 + 1 and np.abs(film[-1].astype(int) - last).max() <= 1
    assert [painted(frame, WRITING).any() for frame in film] == [False, True, True, True, False]
    assert not any(painted(frame, READING).any() for frame in film)


def test_held_out_images_are_drawn_again(of, tmp_path):
    of.draw()
    picture, side = iio.imread(tmp_path / "seen.png")[BAND:], 7 * 28
    assert picture.shape == (8 * (side + 2) + 2, 4 * (side + 2) + 2, 3)
    for row, image in enumerate(as_bytes(of.data.valid, spread(8, of.data.valid))):
        np.testing.assert_array_equal(cell(picture, side, side, row)[3::7, 3::7, 0], image)
    assert "8 held-out images" in read_note((tmp_path / "seen.png").read_bytes())


def test_training_images_are_shown_from_the_first_to_the_last(tmp_path):
    pixels = np.arange(190, dtype=np.uint8)[:, None, None, None].repeat(4, axis=2).repeat(5, axis=3)
    assert show_images(tmp_path / "data.png", Images(pixels)) == "64 of the 190 training images"
    picture = iio.imread(tmp_path / "data.png")
    assert read_note((tmp_path / "data.png").read_bytes()) == "64 of the 190 training images"
    greys = picture[2::14, 2::17, 0].ravel().tolist()
    assert (len(greys), greys[0], greys[63]) == (64, 0, 189) and greys == sorted(greys), "eight rows of eight"


def test_pictures_take_a_tenth_of_the_time_of_a_run_at_most(tmp_path):
    record = Record(tmp_path, print)
    assert record.may_draw(0.0)
    record.drawing = 9.0
    assert record.may_draw(90.1) and not record.may_draw(89.9)


def test_a_classifier_is_shown_looking_at_held_out_images(tmp_path):
    of = classifier(tmp_path)
    rng = np.random.default_rng(0)
    splits = {}
    for label, name in enumerate(("train", "valid")):
        pixels = rng.integers(100 * label + 9, 100 * label + 90, (30, 1, 12, 12), np.uint8)
        splits[name] = Images(pixels, np.full(30, label, np.uint8))
    of.task.data = of.data = dataclasses.replace(of.data, **splits)
    of.draw()
    images = as_bytes(of.data.valid, spread(6, of.data.valid))
    picture, side = iio.imread(tmp_path / "seen.png")[BAND:], 10 * 12
    for k, image in enumerate(images):  # every image has two rows: what it is, with a box, and what is seen
        shown = cell(picture[2 * k * (side + 4) :], side, side)[5::10, 5::10]
        free = ~(painted(shown, READING) | painted(shown, OUTLINE))
        assert free.mean() > 0.5
        np.testing.assert_array_equal(shown[..., 0][free], image[free])
    assert read_note((tmp_path / "seen.png").read_bytes()).endswith("the labels 1, 1, 1, 1, 1, 1")
    film, still = iio.imread(tmp_path / "samples.gif", index=None, mode="RGB"), iio.imread(tmp_path / "samples.png")
    assert len(film) == 2 + 1 and not painted(film[-1], READING).any()
    with Image.open(tmp_path / "samples.gif") as moving:
        assert [moving.info["duration"] for k in range(3) if not moving.seek(k)] == [500, 500, 2000]
    assert painted(still, READING).any() and np.array_equal(painted(still, READING), painted(film[1], READING))
