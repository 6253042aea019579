"""A drawing as ink on an empty canvas, so that one sees its strokes.

A canvas does not start empty: before the first glimpse it is the mean training image, and a figure is as much carved
out of this grey ghost as written on it. What was *written* up to a glimpse is known exactly, though (eq. 8): `ink` is
1 - exp(-Σ |what the glimpses have added to a pixel, in logits|), 0 where none has written and 1 where much was.

    on a dark ground     p · ink              where nothing was written it is black
    on a light ground    1 - (1 - p) · ink    where nothing was written it is white
    on no plain ground   p                    photographs: the canvas itself

with p = sigmoid(c_t), the canvas itself. It is for the eye alone, and for the way, not for the result: moving pictures
end with the p of the last glimpse, and still ones of what came out, .npy and .npz hold it.
"""

from typing import NamedTuple

import numpy as np

from ..model.draw import Drawing

DARK, LIGHT = 0.1, 0.9  # a border darker or lighter than that is an empty ground


class Shown(NamedTuple):
    """What is shown of a drawing."""

    frames: np.ndarray  # (T, n, C, H, W) in [0, 1]: after every glimpse
    empty: np.ndarray  # (C, H, W): before the first
    words: str  # what a pixel is, "" for the canvas itself


def ground(start: np.ndarray) -> str:
    """Return "dark", "light" or "plain" for a canvas (C, H, W) in [0, 1] whose border's median is so in every channel.

    >>> [ground(np.full((3, 9, 8), grey)) for grey in (0.02, 0.5, 0.97)]
    ['dark', 'plain', 'light']
    """
    rim = np.concatenate([start[:, 0], start[:, -1], start[:, 1:-1, 0], start[:, 1:-1, -1]], axis=1)  # (C, border)
    median = np.median(rim, axis=1)  # (C,)
    return "dark" if (median < DARK).all() else "light" if (median > LIGHT).all() else "plain"


def shown(drawing: Drawing, plain: bool = False) -> Shown:
    """Return a drawing as ink on an empty canvas, see above; with `plain` the canvas itself, and how it starts."""
    kind = "plain" if plain else ground(drawing.start)
    if kind == "dark":
        words = "ink: a pixel is its probability times how much was written there (--plain: the canvas itself)"
        return Shown(drawing.frames * drawing.ink, np.zeros_like(drawing.start), words)
    if kind == "light":
        words = "ink: a pixel is as far from white as its probability, times how much was written there"
        words += " (--plain: the canvas itself)"
        return Shown(1 - (1 - drawing.frames) * drawing.ink, np.ones_like(drawing.start), words)
    return Shown(drawing.frames, drawing.start, "")
