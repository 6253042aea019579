"""The classifier at work: the image is the data set's recipe, the answers are the network's own, and so is the file."""

import base64
import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minidraw.data.cluttered import Cluttered
from minidraw.data.images import unit
from minidraw.data.strokes import strokes
from minidraw.errors import UserError
from minidraw.model.ram import RAM
from minidraw.pictures.sheets import READING
from minidraw.play import clutter
from minidraw.play.asked import Asked
from minidraw.play.house import House
from minidraw.streams import Purpose, stream


@pytest.fixture(scope="module")
def house():
    return House()


def made(house: House, **request) -> clutter.Look:
    return clutter.make(house, Asked(request))


def unpacked(text: str, *shape: int) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(shape)


def read_picture(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def test_an_image_is_as_the_data_set_makes_it(house):
    pixels, labels = house.digits
    look = made(house, digit={"number": 6}, seed=11)
    expected = Cluttered(pixels, labels).batch([6], stream(11, Purpose.IMAGES))
    np.testing.assert_array_equal(look.image, expected[0])
    assert look.label == labels[6]
    assert (made(house, digit={"number": 6}, seed=12).image != look.image).any()


def test_a_digit_moves_and_the_clutter_stays(house):
    pixels, _ = house.digits
    digit = unit(pixels[3])
    alone = made(house, digit={"number": 3}, scraps=0, x=5, y=50)
    expected = np.zeros((100, 100), np.float32)
    expected[50:78, 5:33] = digit
    np.testing.assert_array_equal(alone.image[0], expected)
    assert alone.place == (5, 50) and clutter.tell(alone)["place"] == [5, 50]
    left, right = (made(house, digit={"number": 3}, seed=4, x=x, y=50).image[0] for x in (0, 72))
    np.testing.assert_array_equal(left[:, 28:72], right[:, 28:72])
    np.testing.assert_array_equal(left[:50], right[:50])
    assert left[:50].any() and (left[50:78, :28] >= digit).all() and (right[50:78, 72:] >= digit).all()


def test_which_digit_is_asked_for(house):
    pixels, labels = house.digits
    sevens = np.flatnonzero(labels == 7)
    for number in (0, 1, len(sevens)):
        look = made(house, digit={"class": 7, "number": number}, scraps=0, x=0, y=0)
        np.testing.assert_array_equal(look.image[0, :28, :28], unit(pixels[sevens[number % len(sevens)]]))
        assert look.label == 7
    images, drawn = strokes(1, 28, 9)
    look = made(house, digit={"strokes": 9}, scraps=0, x=0, y=0)
    np.testing.assert_array_equal(look.image[0, :28, :28], unit(images[0, 0]))
    assert look.label == drawn[0]


def test_a_digit_that_was_drawn_is_placed_as_mnists_are(house):
    drawing, file = np.zeros((280, 280), np.uint8), io.BytesIO()
    drawing[20:120, 200:220] = 255  # far from the middle
    Image.fromarray(drawing).save(file, "png")
    digit = {"drawn": base64.b64encode(file.getvalue()).decode()}
    look = made(house, digit=digit, scraps=0, x=10, y=30)
    rows, columns = (np.flatnonzero(look.image[0].any(axis=axis)) for axis in (1, 0))
    assert len(rows) == 20 and 30 + 3 <= rows[0] <= 30 + 5 and 10 + 11 <= columns[0] <= columns[-1] <= 10 + 16
    assert look.label is None and clutter.tell(look)["label"] is None


def test_answers_on_the_way_are_the_networks_stopped_there(house):
    network, look = house.classifier(), made(house, digit={"number": 6}, seed=11)
    before = network.flat_params.copy()
    for t in (1, 5, 8):
        config = dataclasses.replace(network.config, glimpses=t)
        stopped = RAM(config, threads=1)
        stopped.flat_params[:] = network.flat_params
        np.testing.assert_array_equal(look.probabilities[t - 1], np.exp(stopped.log_probabilities(look.image[None])[0]))
    np.testing.assert_allclose(
        look.probabilities[-1], np.exp(network.log_probabilities(look.image[None])[0]), rtol=1e-5
    )
    np.testing.assert_allclose(look.probabilities.sum(axis=1), 1, rtol=1e-5)
    assert look.probabilities.shape == (8, 10) and network.config.glimpses == 8
    np.testing.assert_array_equal(network.flat_params, before)
    assert clutter.stopped_early(network) is clutter.stopped_early(network), "they are made once"


def test_it_tells_what_is_shown(house):
    network, look = house.classifier(), made(house, digit={"number": 6}, seed=11)
    told = clutter.tell(look)
    np.testing.assert_allclose(unpacked(told["image"], 100, 100), 255 * look.image[0], atol=0.51)
    seen, windows = network.look(look.image[None])
    T, N = told["glimpses"], told["size"]
    assert (T, N, told["classes"]) == (8, 12, list("0123456789"))
    np.testing.assert_allclose(unpacked(told["seen"], T, N, N), 255 * seen[:, 0, 0].clip(0, 1), atol=0.51)
    np.testing.assert_allclose(told["probabilities"], look.probabilities, atol=1e-5)
    boxes = np.array(told["read"])
    np.testing.assert_allclose(boxes[:, :2], windows.centre[:, 0] - 0.5, atol=1e-3)
    np.testing.assert_allclose(boxes[:, 2], 5.5 * windows.stride[:, 0], atol=1e-3)


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        ({"x": 73}, "x must be a whole number from 0 to 72, not 73"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"scraps": 1000}, "scraps must be a whole number from 0 to 32"),
        ({"digit": {"class": 10, "number": 0}}, "digit.class must be a whole number from 0 to 9"),
        ({"digit": {}}, "an image must be drawn"),
        ({"digit": 7}, "digit must be an object"),
    ],
)
def test_what_cannot_be_is_refused(house, request_, complaint):
    with pytest.raises(UserError) as refusal:
        made(house, **request_)
    assert complaint in str(refusal.value)


def test_without_a_classifier_it_says_so(house, monkeypatch):
    monkeypatch.setattr(house, "naming", None)
    with pytest.raises(UserError, match="there is no classifier for digits in clutter"):
        made(house)


def test_a_kind_of_which_there_is_none_is_refused(house, monkeypatch):
    monkeypatch.setattr(house, "digits", (np.zeros((3, 28, 28), np.uint8), np.zeros(3, np.uint8)))
    with pytest.raises(UserError, match="there is no 4 among the digits here"):
        made(house, digit={"class": 4, "number": 0})


def test_files_show_the_window_beside_what_is_seen(tmp_path, house):
    look = made(house, digit={"number": 6}, seed=11)
    clutter.save(look, tmp_path / "moving.gif", False, True)
    with Image.open(tmp_path / "moving.gif") as moving:
        assert moving.n_frames == 9, "a glimpse each, and the last once more without its box"
        width, height = moving.size
    assert abs(width - 2 * height) < 8, "the image, and beside it what is seen"
    for boxes in (True, False):
        clutter.save(look, tmp_path / "still.png", False, boxes)
        still = read_picture(tmp_path / "still.png")
        assert (still == READING).all(axis=-1).any() == boxes
    clutter.save(look, tmp_path / "moving.gif", False, False)
    first = read_picture(tmp_path / "moving.gif")
    assert not (first == READING).all(axis=-1).any()
