"""The filterbank laboratory: one window, read through and written through, and every number on the way (figs 3, 4).

All of it is what model/attention.py computes, in double precision; nothing is computed here a second time.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.images import unit
from ..data.strokes import strokes
from ..model.attention import LOG_GAMMA, ReadTrace, WriteTrace, centre_pixels, place, read, write
from ..model.windows import Windows, windows
from ..pictures.looks import enlarge
from ..pictures.saving import write_pictures
from ..pictures.sheets import filmstrip, sheet
from ..pictures.sizes import GAP, Size
from .asked import Asked
from .house import MOST_NUMBER, House
from .recording import boxes as as_boxes
from .recording import packed

MOST_FILTERS = 28  # along a side of the grid, as many as the least image has pixels
SIDES = 28, 120  # pixels of a digit that is made here, the least and the most
LOGS = 1000.0  # a logarithm may be so far from 0; attention.py stops it much earlier
OUTSIDE = 100.0  # so far may g be from 0, which is the middle; at 1 is the image's edge
# By eq. 21's names: on a digit of 100 pixels, half its side is covered, by filters that overlap a little (fig. 4).
WINDOW = {"gx": 0.0, "gy": 0.0, "log_variance": 1.6, "log_delta": -0.7, "log_gamma": 0.0}


@dataclass(frozen=True)
class Bench:
    """An image, what a window makes of it, and the window itself."""

    image: np.ndarray  # (C, H, W) in [0, 1]
    words: str  # where it is from
    window: np.ndarray  # (5,), as in eq. 21, its logarithms clipped
    place: Windows  # the same in pixels, (1, 1)
    mu: tuple[np.ndarray, np.ndarray]  # (N,) along x and along y, in pixels from 1
    F: tuple[np.ndarray, np.ndarray]  # F_X (N, W), F_Y (N, H)
    patch: np.ndarray  # (C, N, N): gamma F_Y x F_X^T
    written: np.ndarray  # (C, H, W): 1/gamma F_Y^T patch F_X


def make(house: House, asked: Asked) -> Bench:
    """Return what was asked for: {image, window: {gx, gy, log_variance, log_delta, log_gamma}, size: N}.

    The image is one of the house's for the network that is asked for, or {"strokes": k, "size": pixels}.
    """
    image, words = _image(house, asked)
    given = asked.child("window") if "window" in asked else Asked({}, "window.")
    ends = {"gx": OUTSIDE, "gy": OUTSIDE}
    window = [given.number(name, -ends.get(name, LOGS), ends.get(name, LOGS), usual) for name, usual in WINDOW.items()]
    return bench(image, words, np.array(window), asked.whole("size", 2, MOST_FILTERS, 12))  # eq. 24 divides by N - 1


def _image(house: House, asked: Asked) -> tuple[np.ndarray, str]:
    of = asked.child("image") if "image" in asked else Asked({"strokes": 3}, "image.")
    if "strokes" not in of:
        return house.image(of, house.asked_network(asked))
    side = of.whole("size", *SIDES, 100)
    images, labels = strokes(1, side, of.whole("strokes", 0, MOST_NUMBER))
    return unit(images[0]), f"a {labels[0]} that minidraw draws itself"


def bench(image: np.ndarray, words: str, window: np.ndarray, N: int) -> Bench:
    """Read an image (C, H, W) through a window (5,) of N filters a side, and write what was read through the same."""
    C, H, W = image.shape
    reading, writing = ReadTrace(_zeros, 1, 1, C, H, W, N), WriteTrace(_zeros, 1, 1, C, H, W, N)
    glimpse, written = np.zeros((1, C * N * N)), np.zeros((1, C, H, W))
    reading.window[0] = writing.window[0] = window
    read(reading, 0, image[None].astype(np.float64), glimpse, np)
    writing.patch[0] = patch = glimpse.reshape(1, C, N, N)
    write(writing, 0, written, np)
    used = reading.window[0]  # (1, 5)
    mu_x, mu_y = (place(used, A, max(H, W), N, axis, np)[0][0] for axis, A in enumerate((W, H)))
    filters = reading.x.F[0, 0], reading.y.F[0, 0]
    where = windows(reading.window, (C, H, W), N)
    return Bench(image, words, used[0], where, (mu_x, mu_y), filters, patch[0], written[0])


def _zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape)


def tell(bench: Bench) -> dict[str, Any]:
    """Return everything that is shown: pictures as in recording.py, and numbers."""
    (C, H, W), N = bench.image.shape, bench.patch.shape[1]
    x, y = bench.place.centre[0, 0]
    return {
        "shape": [H, W, 1 if C == 1 else 3],
        "size": N,
        "words": bench.words,
        "image": packed(bench.image),  # (H, W, K)
        "window": dict(zip(WINDOW, bench.window.tolist(), strict=True)),
        "centre": [float(x), float(y)],  # in pixels, 1 is the middle of the first (eqs 22, 23)
        "g_per_pixel": [1 / float(centre_pixels(1.0, A) - centre_pixels(0.0, A)) for A in (W, H)],
        "delta_part": math.exp(bench.window[3]),  # of the stride at which the grid covers the longer side
        "delta": float(bench.place.stride[0, 0]),  # pixels (eq. 24)
        "sigma": float(bench.place.sigma[0, 0]),  # pixels
        "gamma": math.exp(bench.window[LOG_GAMMA]),
        "box": as_boxes(bench.place)[0][0],  # x, y, half a side, line
        "mu": [mu.tolist() for mu in bench.mu],  # along x and along y, in pixels from 1 (eqs 19, 20)
        "filters": [packed(F[None] / F.max()) for F in bench.F],  # (N, W) and (N, H); white is the next line's number
        "largest": [float(F.max()) for F in bench.F],
        "sums": [[float(F.sum(axis=1).min()), float(F.sum(axis=1).max())] for F in bench.F],  # of rows: 1
        "patch": packed(bench.patch),  # (N, N, K)
        "patch_largest": float(bench.patch.max()),
        "written": packed(brightened(bench.written)),  # (H, W, K); white is the next line's number
        "written_largest": float(bench.written.max()),
    }


def brightened(images: np.ndarray) -> np.ndarray:
    """Return images whose largest value is 1: what is written back is spread over many pixels, and faint."""
    return images / (images.max() or 1.0)


def save(bench: Bench, path: str, plain: bool, boxes: bool) -> None:
    """Write the image with its box, the patch that is read, and the same written back, side by side.

    What is written back is brightened, unless `plain`.
    """
    C, H, W = bench.image.shape
    scale = Size(3, 1, (C, H, W), columns=3).scale()
    image = filmstrip(bench.image[None, None], read=bench.place if boxes else None, scale=scale, numbers=False)
    written = bench.written if plain else brightened(bench.written)
    others = sheet(np.stack([enlarge(bench.patch[None], (H, W))[0], written]), 2, scale)
    picture = np.concatenate([image[:, :-GAP], others], axis=1)
    write_pictures(path, [picture], "an image, the patch read, and the patch written back")
