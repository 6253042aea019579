"""The filterbank laboratory: against the paper's equations one by one, what it tells, refuses and saves."""

import base64
import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minidraw.data.strokes import strokes
from minidraw.errors import UserError
from minidraw.pictures.sheets import READING
from minidraw.play import filterbank
from minidraw.play.asked import Asked
from minidraw.play.house import House

USUAL = {"gx": 0.25, "gy": -0.5, "log_variance": 0.9, "log_delta": -1.2, "log_gamma": 0.4}


@pytest.fixture(scope="module")
def house():
    return House()


def unpacked(text: str, *shape: int) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(shape)


def read_picture(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def by_the_paper(image: np.ndarray, window: list[float], N: int):
    """Return centres, filters, the patch and what is written, one number after another: equations 19 to 29."""
    B, A = image.shape[1:]
    gx, gy, log_variance, log_delta, log_gamma = window
    delta = (max(A, B) - 1) / (N - 1) * math.exp(log_delta)
    centres, filters = [], []
    for length, g in ((A, (A + 1) / 2 * (gx + 1)), (B, (B + 1) / 2 * (gy + 1))):
        mu = [g + (i - N / 2 - 0.5) * delta for i in range(1, N + 1)]
        F = np.array(
            [[math.exp(-((a - m) ** 2) / (2 * math.exp(log_variance))) for a in range(1, length + 1)] for m in mu]
        )
        centres.append(mu)
        filters.append(F / F.sum(axis=1, keepdims=True))
    F_X, F_Y = filters
    patch = math.exp(log_gamma) * np.array([F_Y @ channel @ F_X.T for channel in image])
    written = math.exp(-log_gamma) * np.array([F_Y.T @ channel @ F_X for channel in patch])
    return centres, filters, patch, written


def test_it_is_the_papers_equations():
    image = np.random.default_rng(0).random((3, 11, 17))  # B is 11, A is 17
    bench = filterbank.bench(image.astype(np.float32), "", np.array(list(USUAL.values())), 4)
    centres, filters, patch, written = by_the_paper(image, list(USUAL.values()), 4)
    for here, there in ((bench.mu, centres), (bench.F, filters)):
        for of_here, of_there in zip(here, there, strict=True):
            np.testing.assert_allclose(of_here, of_there, atol=1e-12)
    np.testing.assert_allclose(bench.patch, patch, atol=1e-6)
    np.testing.assert_allclose(bench.written, written, atol=1e-6)


def test_it_tells_what_is_shown(house):
    told = filterbank.tell(
        filterbank.make(house, Asked({"window": USUAL, "image": {"strokes": 7, "size": 40}, "size": 5}))
    )
    image = strokes(1, 40, 7)[0][0] / 255
    centres, filters, patch, written = by_the_paper(image, list(USUAL.values()), 5)
    assert (told["shape"], told["size"]) == ([40, 40, 1], 5)
    assert told["words"] == f"a {strokes(1, 40, 7)[1][0]} that minidraw draws itself"
    np.testing.assert_array_equal(unpacked(told["image"], 40, 40), strokes(1, 40, 7)[0][0, 0])
    np.testing.assert_allclose(told["mu"], centres)
    assert told["window"] == USUAL
    assert told["centre"] == pytest.approx([np.mean(centres[0]), np.mean(centres[1])])
    assert told["delta"] == pytest.approx(centres[0][1] - centres[0][0])
    assert told["delta"] == pytest.approx(told["delta_part"] * 39 / 4)
    assert (told["sigma"], told["gamma"]) == pytest.approx((math.exp(0.45), math.exp(0.4)))
    x, y, half, _ = told["box"]
    assert (x + 0.5, y + 0.5, half) == pytest.approx((*told["centre"], 2 * told["delta"]), abs=1e-3)
    for shown, largest, F in zip(told["filters"], told["largest"], filters, strict=True):
        np.testing.assert_allclose(unpacked(shown, 5, 40) / 255 * largest, F, atol=0.6 * largest / 255)
    np.testing.assert_allclose(unpacked(told["patch"], 5, 5) / 255, patch[0].clip(0, 1), atol=0.51 / 255)
    assert told["patch_largest"] == pytest.approx(patch.max(), abs=1e-6)
    largest = told["written_largest"]
    assert largest == pytest.approx(written.max(), abs=1e-6) and largest < 0.5
    np.testing.assert_allclose(unpacked(told["written"], 40, 40) / 255 * largest, written[0], atol=0.51 * largest / 255)


def test_a_drag_by_a_pixel_moves_the_grid_by_a_pixel(house):
    one = filterbank.tell(filterbank.make(house, Asked({})))
    moved = {"gx": one["g_per_pixel"][0], "gy": -2 * one["g_per_pixel"][1]}
    other = filterbank.tell(filterbank.make(house, Asked({"window": moved})))
    assert one["shape"] == [100, 100, 1] and one["size"] == 12, "figures 3 and 4 have such an image and grid"
    assert one["centre"] == [50.5, 50.5], "with g = 0 in the middle, counted from 1"
    assert np.subtract(other["centre"], one["centre"]) == pytest.approx([1, -2])


def test_far_outside_and_beyond_all_measure_rows_still_sum_to_one(house):
    for window in ({"gx": 3}, {"gx": -90, "gy": 90, "log_variance": -900, "log_delta": 900, "log_gamma": 900}):
        told = filterbank.tell(filterbank.make(house, Asked({"window": window})))
        assert np.ravel(told["sums"]) == pytest.approx(np.ones(4), abs=1e-12)
        json.dumps(told, allow_nan=False)
    assert [told["window"][name] for name in USUAL] == [-90, 90, -40, 40, 40], "as the model clips them"
    black = filterbank.tell(filterbank.bench(np.zeros((1, 9, 9), np.float32), "", np.zeros(5), 2))
    assert (black["written_largest"], set(base64.b64decode(black["written"]))) == (0, {0})


def test_the_image_may_be_one_of_the_networks(house):
    bench = filterbank.make(house, Asked({"image": {"number": 5}, "network": "two-digits-small", "size": 3}))
    image, words = house.image(Asked({"number": 5}), house.network("two-digits-small"))
    np.testing.assert_array_equal(bench.image, image)
    assert bench.words == words and bench.image.shape == (1, 60, 60)


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        ({"size": 1}, "size must be a whole number from 2 to 28, not 1"),
        ({"window": {"gx": "left"}}, "window.gx must be a number from -100 to 100, not 'left'"),
        ({"window": {"log_delta": math.nan}}, "window.log_delta must be a number from -1000 to 1000, not nan"),
        ({"window": {"log_gamma": math.inf}}, "window.log_gamma must be"),
        ({"window": [1, 2]}, "window. must be an object"),
        ({"image": {"strokes": 1, "size": 5000}}, "image.size must be a whole number from 28 to 120, not 5000"),
        ({"image": {}}, "an image must be drawn"),
    ],
)
def test_what_cannot_be_is_refused(house, request_, complaint):
    with pytest.raises(UserError) as refusal:
        filterbank.make(house, Asked(request_))
    assert complaint.replace("window. must", "window must") in str(refusal.value)


def test_saved_are_image_patch_and_what_is_written_side_by_side(tmp_path, house):
    bench = filterbank.make(house, Asked({"image": {"strokes": 7, "size": 40}, "window": USUAL}))
    pictures = {}
    for plain in (False, True):
        for boxes in (False, True):
            path = tmp_path / f"{plain}-{boxes}.png"
            filterbank.save(bench, path, plain, boxes)
            pictures[plain, boxes] = read_picture(path)
    height, width, _ = pictures[False, True].shape
    side = (width - 8) // 3
    assert (height, width) == (side + 4, 3 * side + 8) and side % 40 == 0
    first, second, third = (slice(2 + k * (side + 2), 2 + k * (side + 2) + side) for k in range(3))
    blue = (pictures[False, True] == READING).all(axis=-1)
    assert blue[:, first].any() and not blue[:, second].any() and not blue[:, third].any()
    assert not (pictures[False, False] == READING).all(axis=-1).any()
    assert pictures[False, True][:, second].max() == pictures[True, True][:, second].max() > 100
    assert pictures[False, True][2:-2, third].max() == 255 > 200 > pictures[True, True][2:-2, third].max()
    filterbank.save(bench, tmp_path / "one.gif", False, True)
    assert read_picture(tmp_path / "one.gif").shape == pictures[False, True].shape
