"""The training images nearest to generated ones: whether a network draws, or copies (figs 6, 9, 12)."""

import numpy as np

CHUNK = 1000  # training images compared at a time


def nearest(images: np.ndarray, split, chosen: np.ndarray | None = None) -> np.ndarray:
    """Return for each of `images` (n, C, H, W) the one of `split` at the least Euclidean distance, (n, C, H, W).

    Only those at the indices `chosen` are looked at, None: all.
    """
    chosen = np.arange(len(split)) if chosen is None else chosen
    flat = images.reshape(len(images), -1)  # (n, P)
    best, found = np.full(len(images), np.inf), np.empty_like(images)
    for first in range(0, len(chosen), CHUNK):
        others = split.batch(chosen[first : first + CHUNK], np.random.default_rng(first))
        rows = others.reshape(len(others), -1)  # (CHUNK, P)
        distances = (rows * rows).sum(axis=1) - 2 * flat @ rows.T  # (n, CHUNK), less |image|²
        place = distances.argmin(axis=1)
        smallest = distances[np.arange(len(images)), place]
        closer = smallest < best
        best[closer], found[closer] = smallest[closer], others[place[closer]]
    return found


def beside_nearest(images: np.ndarray, split, columns: int, chosen: np.ndarray | None = None) -> np.ndarray:
    """Return `images` (rows·columns, C, H, W) with a further column: what of `split` is nearest to the last."""
    grid = images.reshape(-1, columns, *images.shape[1:])
    beside = nearest(grid[:, -1], split, chosen)[:, None]
    return np.concatenate([grid, beside], axis=1).reshape(-1, *images.shape[1:])
