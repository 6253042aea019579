"""Windows to draw boxes for, and what of a picture they painted."""

import numpy as np

from minidraw.model.windows import Windows

T, n, H, W, N = 4, 3, 6, 9, 5  # pairwise different, and W > H: a swap of x and y shows


def windows(centre=((W + 1) / 2, (H + 1) / 2), side=3.0, sigma=0.1, shape=(T, n), size=N):
    """The same window for every image and glimpse; side in pixels."""
    return Windows(
        centre=np.broadcast_to(np.float32(centre), (*shape, 2)),
        stride=np.full(shape, side / (size - 1), np.float32),
        sigma=np.full(shape, sigma, np.float32),
        size=size,
    )


def cell(picture, h, w, row=0, column=0, gap=2):
    top, left = gap + row * (h + gap), gap + column * (w + gap)
    return picture[top : top + h, left : left + w]


def painted(picture, colour):
    return (picture == np.array(colour, np.uint8)).all(axis=-1)
