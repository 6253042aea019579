"""Splits of a data set: batches, means, and what does not fit."""

import numpy as np
import pytest

from minidraw import data


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 5, 7), (1, 3, 5)])
def test_packed_batches_are_the_plain_ones(shape):
    pixels = np.random.default_rng(3).integers(0, 2, (11, *shape), np.uint8)
    split = data.Images(np.packbits(pixels.reshape(11, -1), axis=1), shape=shape)
    indices = np.array([10, 0, 3, 3])
    batch = split.batch(indices, np.random.default_rng(0))
    assert (batch.dtype, batch.shape, batch.flags.c_contiguous) == (np.float32, (4, *shape), True)
    np.testing.assert_array_equal(batch, pixels[indices])
    np.testing.assert_array_equal(split.batch(indices.tolist()), batch)


def test_grey_batches_reach_from_zero_to_exactly_one():
    pixels = np.arange(256, dtype=np.uint8).reshape(2, 2, 8, 8)
    transposed = np.asfortranarray(pixels)  # as MATLAB files are
    split = data.Images(transposed, np.array([4, 7], np.uint8))
    batch = split.batch([1, 0])
    assert (batch.dtype, batch.flags.c_contiguous, batch.min(), batch.max()) == (np.float32, True, 0, 1)
    np.testing.assert_allclose(batch, pixels[::-1] / 255, rtol=1e-7)
    assert split.labels[1] == 7
    batch[:] = 5  # a batch is the caller's own
    assert split.batch([0]).max() <= 1
    assert split.batch(np.arange(0)).shape == (0, 2, 8, 8)


def test_mean_image_does_not_depend_on_the_chunk():
    pixels = np.random.default_rng(4).integers(0, 256, (13, 2, 3, 5), np.uint8)
    for chunk in (1, 4, 13, 1000):
        mean = data.mean_image(data.Images(pixels), chunk=chunk)
        assert (mean.dtype, mean.shape) == (np.float32, (2, 3, 5))
        np.testing.assert_allclose(mean, pixels.mean(axis=0) / 255, rtol=1e-6)


def test_mean_image_of_many_is_that_of_some():
    pixels = np.repeat(np.arange(10, dtype=np.uint8), 3).reshape(30, 1, 1, 1) * 17
    split = data.Images(pixels)
    np.testing.assert_allclose(data.mean_image(split, chunk=4, most=10), pixels.mean() / 255, rtol=1e-6)
    np.testing.assert_array_equal(data.mean_image(split, most=30), data.mean_image(split))


def test_joined_is_concatenated():
    rng = np.random.default_rng(6)
    parts = [rng.integers(0, 256, (n, 3, 2), np.uint8) for n in (4, 0, 1, 7)]
    joined, whole = data.images.Joined(parts), np.concatenate(parts)
    assert (joined.shape, joined.dtype, len(joined)) == (whole.shape, whole.dtype, 12)
    for chosen in ([], [0], [11, 3, 4, 3, -1], np.arange(12)):
        chosen = np.array(chosen, int)
        np.testing.assert_array_equal(joined[chosen], whole[chosen])
    with pytest.raises(IndexError):
        joined[np.array([12])]


def test_images_refuse_what_does_not_fit():
    good = np.zeros((4, 1, 3, 5), np.uint8)
    for pixels, kwargs in [
        (good[0], {}),
        (good.astype(np.float32), {}),
        (good, {"labels": np.zeros(3, np.uint8)}),
        (good, {"labels": np.zeros(4, np.int64)}),
        (np.zeros((4, 3), np.uint8), {"shape": (1, 3, 5)}),
    ]:
        with pytest.raises(ValueError, match="do not"):
            data.Images(pixels, **kwargs)
