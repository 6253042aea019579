"""What a network draws beside what it resembles, how it redraws, and how a classifier looks (figs 5, 6, 9, 12)."""

import numpy as np

from ..data.images import spread
from ..model.draw import DRAW
from ..model.ram import RAM
from ..model.windows import Windows
from .ink import shown
from .sheets import filmstrip, sequence_frames
from .sizes import Size

CHUNK = 1000  # training images compared at a time
LOOKS = 6  # classified images shown
LOOKS_PER_SECOND = 2  # in samples.gif


def nearest(images: np.ndarray, split, chosen: np.ndarray | None = None) -> np.ndarray:
    """Return for each of `images` (n, C, H, W) the one of `split` at the least Euclidean distance, (n, C, H, W).

    Only those at the indices `chosen` are looked at, None: all.
    """
    chosen = np.arange(len(split)) if chosen is None else chosen
    flat = images.reshape(len(images), -1)  # (n, P)
    best, found = np.full(len(images), np.inf), np.empty_like(images)
    for first in range(0, len(chosen), CHUNK):
        others = split.batch(chosen[first : first + CHUNK])
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


def redrawn(model: DRAW, images: np.ndarray, seed: int) -> np.ndarray:
    """Return a strip for each of the images (n, C, H, W): itself, then how it is read and drawn again, as ink."""
    seen = model.redraw(images, seed=seed)
    scale = Size(len(images), model.config.glimpses, model.config.image_shape, beside=True, strip=True).scale()
    return filmstrip(shown(seen).frames, write=seen.write, read=seen.read, originals=images, scale=scale)


def looks(model: RAM, split) -> tuple[list[np.ndarray], np.ndarray, str]:
    """Return how images spread over a split are looked at (fig. 5): sheets, a still picture, and what was answered.

    On a sheet, one a glimpse and the last once more without boxes, each image has beside it what is seen through the
    window. In the still picture it has two rows: the window moving over it, and below it what is seen.
    """
    chosen = spread(LOOKS, split)
    images = split.batch(chosen)
    moving, still = looked(images, *model.look(images))
    note = f"the answers are {join(model.predict(images))}"
    if split.labels is not None:
        note += f", the labels {join(split.labels[chosen])}"
    return moving, still, note


def looked(
    images: np.ndarray, glimpses: np.ndarray, read: Windows, boxes: bool = True
) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the sheets and the still picture of `looks` for images (n, C, H, W), two of them a row of a sheet.

    glimpses (T, n, C, N, N) and read: what was seen of them and through which windows, shown where there are `boxes`.
    """
    seen = np.stack([enlarge(glimpse, images.shape[2:]) for glimpse in glimpses])  # (T, n, C, H, W)
    there, T = np.broadcast_to(images, seen.shape), len(seen)
    columns = min(2, len(images))
    size = Size(len(images), T, images.shape[1:], beside=True, columns=columns)
    moving = sequence_frames(seen, read=read if boxes else None, originals=images, columns=columns, scale=size.scale())
    scale = max(2, size._replace(drawings=2 * len(images), beside=False, strip=True).scale())
    rows: list[np.ndarray] = []
    for one in (slice(i, i + 1) for i in range(len(images))):
        window = read.some(one) if boxes else None
        rows.append(filmstrip(there[:, one], read=window, steps=T, scale=scale, numbers=not rows))
        rows.append(filmstrip(seen[:, one], steps=T, scale=scale, numbers=False))
    return moving, np.concatenate(rows)


def join(numbers: np.ndarray) -> str:
    """Return numbers in words.

    >>> join(np.array([7, 2, 1]))
    '7, 2, 1'
    """
    return ", ".join(map(str, numbers.tolist()))


def enlarge(glimpses: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Show glimpses (n, C, N, N) as large as fits on black images (n, C, H, W)."""
    n, C, N, _ = glimpses.shape
    H, W = shape
    times = max(1, min(H, W) // N)
    top, left = max(0, (H - times * N) // 2), max(0, (W - times * N) // 2)
    shown = np.zeros((n, C, H, W), np.float32)
    large = glimpses.repeat(times, axis=2).repeat(times, axis=3)
    shown[:, :, top : top + times * N, left : left + times * N] = large[:, :, :H, :W]
    return shown
