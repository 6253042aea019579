"""Windows of many images: cut out and added, against plain loops."""

import numpy as np

from minidraw.data import patches


def test_cut_and_add_against_loops():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 3, 9, 11), np.uint8)
    chosen, y, x = rng.integers(5, size=8), rng.integers(6, size=8), rng.integers(8, size=8)
    for one in (images, images[:, 0]):
        wanted = [one[i, ..., r : r + 4, c : c + 4] for i, r, c in zip(chosen, y, x, strict=True)]
        np.testing.assert_array_equal(patches.cut(one, chosen, y, x, 4), wanted)
    canvases, scraps = rng.random((8, 9, 11)), rng.random((8, 4, 3))
    wanted = canvases.copy()
    for b in range(8):
        wanted[b, y[b] : y[b] + 4, x[b] : x[b] + 3] += scraps[b]
    patches.add(canvases, scraps, y, x)
    np.testing.assert_array_equal(canvases, wanted)
