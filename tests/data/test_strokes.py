"""The data set `strokes`: reproducible, well formed, and legible; who learned it can read real digits."""

import numpy as np
import pytest
from support.files import REAL, real

from minidraw import data
from minidraw.data.strokes import SHAPES, strokes
from minidraw.errors import UserError


def test_the_seed_decides():
    images, labels = strokes(300, seed=3)
    np.random.seed(1)  # the global generator has no say
    again, labels_again = strokes(300, seed=3)
    assert np.array_equal(images, again) and np.array_equal(labels, labels_again)
    other, _ = strokes(300, seed=4)
    assert not (images == other).all(axis=(1, 2, 3)).any()


def test_a_longer_set_begins_with_the_shorter_one():
    images, labels = strokes(600, seed=3)  # more than a chunk
    for n in (1, 257):
        fewer, fewer_labels = strokes(n, seed=3)
        assert np.array_equal(fewer, images[:n]) and np.array_equal(fewer_labels, labels[:n])


def test_no_two_are_alike():
    images, _ = strokes(1000)
    assert len({image.tobytes() for image in images}) == 1000


@pytest.mark.parametrize("size", [12, 20, 28, 60, 101])
def test_images(size):
    images, labels = strokes(150, size=size, seed=2)
    assert images.shape == (150, 1, size, size) and images.dtype == np.uint8
    assert labels.shape == (150,) and labels.dtype == np.uint8
    assert set(labels) == set(range(10))
    assert (images.max(axis=(1, 2, 3)) > 150).all()  # white ink
    assert (images.mean(axis=(1, 2, 3)) > 0.02 * 255).all()  # and enough of it
    # Proportions do not depend on the size: the mean pixel is MNIST's 0.13 everywhere.
    assert 0.115 < images.mean() / 255 < 0.145
    edge = images.astype(float)
    edge[..., 1:-1, 1:-1] = 0
    assert edge.sum() < 2e-3 * images.sum()


def test_nothing_is_cut_off():
    images, _ = strokes(3000, seed=5)
    edge = np.concatenate([images[..., 0, :], images[..., -1, :], images[..., 0], images[..., -1]], axis=-1)
    assert (edge.max(axis=(1, 2)) > 128).mean() < 0.002


def test_labels_are_balanced():
    _, labels = strokes(5000)
    count = np.bincount(labels, minlength=10)
    assert count.shape == (10,) and count.min() > 420 and count.max() < 580  # 500 and four sigma


def test_every_digit_has_several_shapes():
    digits = [int(name[0]) for name in SHAPES]
    assert digits == sorted(digits) and np.bincount(digits).min() >= 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n must be a whole number, 1 or more; got 0."),
        ({"n": 2.5}, "n must be a whole number, 1 or more; got 2.5."),
        ({"n": "7"}, "n must be a whole number, 1 or more; got '7'."),
        ({"n": 3, "size": 11}, "size must be a whole number, 12 or more; got 11."),
        ({"n": 3, "size": (28, 28)}, "size must be a whole number, 12 or more; got (28, 28)."),
        ({"n": 3, "seed": -1}, "seed must be a whole number, 0 or more; got -1."),
        ({"n": 3, "seed": None}, "seed must be a whole number, 0 or more; got None."),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(UserError) as error:
        strokes(**arguments)
    assert str(error.value) == message


def read(images, known_images, known_labels):
    """Return the label of the nearest known image for every image."""
    x = images.reshape(len(images), -1).astype(np.float32) / 255
    known = known_images.reshape(len(known_images), -1).astype(np.float32) / 255
    return known_labels[((known**2).sum(axis=1) - 2 * x @ known.T).argmin(axis=1)]


def test_legible():
    known, known_labels = strokes(2000, seed=0)
    images, labels = strokes(500, seed=1)
    assert (read(images, known, known_labels) == labels).mean() > 0.92  # measured: 0.968; other seeds 0.93 to 0.97
    shuffled = np.random.default_rng(0).permutation(known_labels)
    assert (read(images, known, shuffled) == labels).mean() < 0.2  # what the reader gets by chance


def test_who_learned_strokes_reads_mnist():
    real("mnist")
    digits = data.load("mnist", REAL, download=False).test
    images, labels = digits.pixels[:2000], digits.labels[:2000]
    known, known_labels = strokes(5000, seed=0)
    right = read(images, known, known_labels) == labels
    assert right.mean() > 0.74  # measured: 0.796; 0.92 for one who learned 10,000 real digits
    assert min(right[labels == digit].mean() for digit in range(10)) > 0.4  # measured: 0.55, for the eights
