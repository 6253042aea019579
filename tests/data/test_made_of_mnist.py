"""Data sets made from MNIST at every draw: against plain loops, their ranges, their labels, their speed."""

import time

import numpy as np
import pytest
from support.files import REAL, put, real, refusal, small_mnist

from minidraw import data
from minidraw.data import cluttered, mnist, two_digits
from minidraw.data.places import Places

LARGE = 28  # pixels, a digit's side


def some_digits(n: int = 7, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, LARGE, LARGE), np.uint8), rng.integers(0, 10, n, np.uint8)


class Recorded:
    """A generator that keeps what it was asked for and what it gave."""

    def __init__(self, seed: int):
        self.rng, self.calls = np.random.default_rng(seed), []

    def integers(self, high, size):
        self.calls.append((high, self.rng.integers(high, size=size)))
        return self.calls[-1][1]


def test_cluttered_is_the_recipe():
    """Against the recipe as it is written, one pixel block after another, with both of its clips."""
    digits, labels = some_digits()
    split = cluttered.Cluttered(digits, labels)
    indices = np.array([6, 0, 3, 3, 5])
    rng = Recorded(seed=4)
    batch = split.batch(indices, rng)
    assert (batch.dtype, batch.shape, batch.flags.c_contiguous) == (np.float32, (5, 1, 100, 100), True)
    assert [high for high, _ in rng.calls] == [7, 21, 21, 93, 73, 73]  # offsets 0..20, 0..92 and 0..72
    chosen, crop_y, crop_x, places, digit_y, digit_x = (values for _, values in rng.calls)
    for b, i in enumerate(indices):
        image = np.zeros((100, 100))
        for k in range(8):
            r, c = crop_y[k, b], crop_x[k, b]
            scrap = digits[chosen[k, b], r : r + 8, c : c + 8] / 255
            r, c = places[0, k, b], places[1, k, b]
            image[r : r + 8, c : c + 8] += scrap
        image = np.minimum(image, 1)
        r, c = digit_y[b], digit_x[b]
        image[r : r + 28, c : c + 28] += digits[i] / 255
        np.testing.assert_allclose(batch[b, 0], np.clip(image, 0, 1), atol=1e-6)
    assert batch.max() == 1 and batch.min() == 0


def test_two_digits_are_added_and_clipped():
    digits, _ = some_digits()
    rng = Recorded(seed=5)
    batch = two_digits.TwoDigits(digits).batch([2, 6, 2], rng)
    assert (batch.dtype, batch.shape, batch.flags.c_contiguous) == (np.float32, (3, 1, 60, 60), True)
    assert [high for high, _ in rng.calls] == [7, 33, 33, 33, 33]  # any digit, and offsets 0..32
    second, *places = (values for _, values in rng.calls)
    for b, i in enumerate([2, 6, 2]):
        image = np.zeros((60, 60))
        for digit, (y, x) in ((digits[i], places[:2]), (digits[second[b]], places[2:])):
            image[y[b] : y[b] + 28, x[b] : x[b] + 28] += digit / 255
        np.testing.assert_allclose(batch[b, 0], np.minimum(image, 1), atol=1e-6)


def made(kind: str):
    digits, labels = some_digits()
    return cluttered.Cluttered(digits, labels) if kind == "cluttered" else two_digits.TwoDigits(digits)


@pytest.mark.parametrize("kind", ["cluttered", "two_digits"])
def test_images_are_a_function_of_the_generator(kind):
    split = made(kind)
    assert len(split) == 7
    first, again, other = (split.batch([1, 4], np.random.default_rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    rng = np.random.default_rng(0)
    assert (split.batch([1, 4], rng) != split.batch([1, 4], rng)).any()  # new at every draw
    assert split.batch(np.arange(0)).shape == (0, *split.shape)
    mean = data.mean_image(split, np.random.default_rng(0))
    assert mean.shape == split.shape and 0 <= mean.min() < mean.max() <= 1


@pytest.mark.parametrize("kind", ["cluttered", "two_digits"])
def test_without_a_generator_an_image_is_a_function_of_its_number(kind):
    """Whatever others are asked for with it, and however often: so a test set is the same for all who measure on it."""
    split, again, other = made(kind), made(kind), made(kind)
    other.number = 1
    every = split.batch(np.arange(7))
    np.testing.assert_array_equal(split.batch([4, 1, 4]), every[[4, 1, 4]])
    np.testing.assert_array_equal(np.concatenate([again.batch([k]) for k in range(7)]), every)
    assert (other.batch(np.arange(7)) != every).any(axis=(1, 2, 3)).all(), "other splits are made otherwise"
    assert np.abs(data.mean_image(split, chunk=3) - every.mean(axis=0)).max() < 1e-6
    assert split.batch(np.arange(0)).shape == (0, *split.shape)


def test_places_are_uniform():
    """One bright pixel shows where everything lands: any place, each with equal chance."""
    digit, label, rng = np.zeros((1, LARGE, LARGE), np.uint8), np.zeros(1, np.uint8), np.random.default_rng(2)
    digit[0, 0, 0] = 255
    split = cluttered.Cluttered(digit, label, scraps=0)
    found = [split.batch([0] * 500, rng)[:, 0].nonzero() for _ in range(12)]
    assert all((images == np.arange(500)).all() for images, _, _ in found)  # exactly one pixel in each
    y, x = (np.concatenate([places[axis] for places in found]) for axis in (1, 2))
    for offsets in (y, x):
        counts = np.bincount(offsets)
        assert len(counts) == 73 and abs(counts - 6000 / 73).max() < 5 * np.sqrt(6000 / 73)
    assert abs(np.corrcoef(y, x)[0, 1]) < 0.06
    # A pixel in the middle, row and column 14, is in 8 of the 21 rows and columns of crops; then it lands anywhere.
    split = cluttered.Cluttered(np.roll(digit, 14, axis=(1, 2)), label)
    landed = sum(split.batch([0] * 500, rng).sum(axis=(0, 1)) for _ in range(8))  # (H, W)
    scraps = landed.sum() / 4000 - 1  # pixels of scraps in an image
    assert abs(scraps - 8 * (8 / 21) ** 2) < 0.05
    assert (landed.sum(axis=0) > 0).all() and (landed.sum(axis=1) > 0).all()


@pytest.mark.parametrize("load", [cluttered.load, two_digits.load])
def test_the_files_are_those_of_mnist(tmp_path, cache, load, monkeypatch):
    """They are found, and kept, where those of `mnist` are; the scraps are of the same split."""
    monkeypatch.setattr(cluttered, "SCRAP", 2)
    contents, spec, (x, y, x_test, y_test) = small_mnist()
    name = load.__module__.rpartition(".")[2]
    assert "mnist" in refusal(load, Places(name, None, cache / name, download=False), spec=spec)
    for file, content in contents.items():
        put(tmp_path / "mnist", file, content)
    dataset = load(Places(name, tmp_path, cache / name, download=False), spec=spec)
    assert name in dataset.identity and all(file.sha256 in dataset.identity for file in spec.files)
    assert dataset.name == name and dataset.classes == (tuple("0123456789") if name == "cluttered" else None)
    for split, digits, labels in (
        (dataset.train, x[:7], y[:7]),
        (dataset.valid, x[7:], y[7:]),
        (dataset.test, x_test, y_test),
    ):
        np.testing.assert_array_equal(split.digits, digits)
        if name == "cluttered":
            np.testing.assert_array_equal(split.labels, labels)
        else:
            assert split.labels is None
    assert not cache.exists()


def test_real_labels_go_with_the_digits():
    """Image i shows digit i, the one that label i is for, and its labels are those of `mnist`."""
    real("mnist")
    dataset = data.load("cluttered", REAL, download=False)
    assert [len(dataset.train), len(dataset.valid), len(dataset.test)] == [50000, 10000, 10000]
    plain = data.load("mnist", REAL, download=False)
    for split, source in ((dataset.train, plain.train), (dataset.valid, plain.valid), (dataset.test, plain.test)):
        np.testing.assert_array_equal(split.labels, source.labels)
        bare = cluttered.Cluttered(split.digits, split.labels, scraps=0)
        images, wanted = (
            bare.batch(np.arange(0, 10000, 100), np.random.default_rng(1)),
            source.batch(np.arange(0, 10000, 100)),
        )
        for image, digit in zip(images[:, 0], wanted[:, 0], strict=True):
            r, c = (int(image.any(axis=axis).argmax()) - int(digit.any(axis=axis).argmax()) for axis in (1, 0))
            np.testing.assert_array_equal(image[r : r + 28, c : c + 28], digit)
            assert abs(image.sum() - digit.sum()) < 1e-3


@pytest.mark.parametrize(("name", "most"), [("cluttered", 3e-3), ("two_digits", 2e-3)])
def test_real_batches_are_fast(name, most):
    real("mnist")
    split = data.load(name, REAL, download=False).train
    rng = np.random.default_rng(0)
    indices = rng.permutation(len(split))[:128]
    seconds = []
    for _ in range(30):
        start = time.perf_counter()
        split.batch(indices, rng)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < most  # the least: others share the machine; 1.2 ms and 0.4 ms on an idle core


def test_official_files_are_mnists():
    assert cluttered.load.__defaults__[-1] is mnist.OFFICIAL is two_digits.load.__defaults__[-1]
