"""Small windows of many images at once: cut out, and added at a place of each image's own."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def cut(images: np.ndarray, chosen: np.ndarray, y: np.ndarray, x: np.ndarray, side: int) -> np.ndarray:
    """Return the window of `side` x `side` pixels at row `y`, column `x` of each of the `chosen` images.

    images (n, ..., H, W); chosen, y and x integers of one shape, (B,) or any other; the copy is (B, ..., side, side).

    >>> images = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    >>> cut(images, np.array([1]), np.array([0]), np.array([2]), side=2).tolist()
    [[[14, 15], [18, 19]]]
    """
    windows = sliding_window_view(images, (side, side), axis=(-2, -1))  # (n, ..., H-side+1, W-side+1, side, side)
    return windows[chosen, ..., y, x, :, :] if images.ndim > 3 else windows[chosen, y, x]


def add(canvases: np.ndarray, patches: np.ndarray, y: np.ndarray, x: np.ndarray) -> None:
    """Add patches (B, h, w) to canvases (B, H, W), in place, each with its corner at row `y`, column `x`, both (B,)."""
    windows = sliding_window_view(canvases, patches.shape[1:], axis=(1, 2), writeable=True)  # (B, H-h+1, W-w+1, h, w)
    windows[np.arange(len(canvases)), y, x] += patches
