"""MNIST's files, small ones written here and the real ones."""

import gzip

import numpy as np
import pytest
from support.files import REAL, idx, put, real, refusal, small_mnist

from minidraw import data
from minidraw.data import mnist
from minidraw.data.places import Places


@pytest.mark.parametrize("zipped", [False, True])
def test_mnist(tmp_path, cache, zipped):
    contents, spec, (x, y, x_test, y_test) = small_mnist()
    for name, content in contents.items():
        put(tmp_path / "data/mnist", name + ".gz" * zipped, gzip.compress(content) if zipped else content)
    dataset = mnist.load(Places("mnist", tmp_path / "data", cache, download=False), spec=spec)
    wanted = [(dataset.train, x[:7], y[:7]), (dataset.valid, x[7:], y[7:]), (dataset.test, x_test, y_test)]
    for split, images, labels in wanted:
        assert len(split) == len(images) and split.shape == (1, 4, 4)
        np.testing.assert_allclose(split.batch(np.arange(len(split))), images[:, None] / 255, rtol=1e-7)
        np.testing.assert_array_equal(split.labels, labels)
    assert dataset.classes == tuple("0123456789") and not cache.exists()


def test_idx_headers():
    good = idx(np.arange(12, dtype=np.uint8).reshape(3, 2, 2))
    np.testing.assert_array_equal(mnist.parse_idx(good, (3, 2, 2), "x").ravel(), np.arange(12))
    for content, shape in [
        (b"", (3, 2, 2)),
        (good[:9], (3, 2, 2)),
        (b"\1" + good[1:], (3, 2, 2)),
        (good[:2] + b"\x0d" + good[3:], (3, 2, 2)),  # floats
        (good, (3, 4)),  # another rank
        (good, (2, 3, 2)),  # other sizes
        (good[:-1], (3, 2, 2)),
        (good + b"\0", (3, 2, 2)),
        (good[:4] + b"\xff" * 12 + good[16:], (3, 2, 2)),
    ]:
        assert refusal(mnist.parse_idx, content, shape, "x").startswith("x ")


def test_real_mnist():
    real("mnist")
    dataset = data.load("mnist", REAL, download=False)
    assert [len(dataset.train), len(dataset.valid), len(dataset.test)] == [50000, 10000, 10000]
    # The training file begins 5 0 4 1 9, the test file 7 2 1 0 4.
    assert dataset.train.labels[:5].tolist() == [5, 0, 4, 1, 9] and dataset.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    counts = sum(np.bincount(split.labels, minlength=10) for split in (dataset.train, dataset.valid))
    assert counts.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    mean = (data.mean_image(dataset.train).mean() * 5 + data.mean_image(dataset.valid).mean()) / 6
    assert abs(mean - 0.1307) < 1e-4  # the number every tutorial normalises by
