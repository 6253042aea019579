"""A drawing as the page's player shows it: pixels as bytes in base64, boxes as numbers.

shape, glimpses, count     [H, W, K], T, n; K is 1 (grey) or 3 (red, green, blue)
canvas, ink                (T, n, H, W, K): the canvas after every glimpse, and as ink (null where that is the same)
start, empty               (H, W, K): the canvas before the first glimpse, and as ink
write, read                [T][n][x, y, half a side, line]: where it wrote and read, see sheets.box_lines; or null
originals                  (n, H, W, K): what is drawn again; or null
"""

import base64
from typing import Any

import numpy as np

from ..model.draw import Drawing
from ..model.windows import Windows
from ..pictures.ink import shown
from ..pictures.saving import check_finite
from ..pictures.sheets import box_lines


def packed(images: np.ndarray) -> str:
    """Return images (..., C, H, W) in [0, 1] as bytes (..., H, W, K) in base64; of more channels the first three."""
    if images.shape[-3] == 2:
        images = np.concatenate([images, np.zeros_like(images[..., :1, :, :])], axis=-3)
    pixels = np.moveaxis(images[..., :3, :, :], -3, -1)
    return base64.b64encode(np.rint(255 * np.clip(pixels, 0, 1)).astype(np.uint8).tobytes()).decode()


def boxes(windows: Windows | None) -> list | None:
    """Return windows (T, n) as boxes [T][n][x, y, half, line] in pixels, the first of which spans 0 to 1."""
    if windows is None:
        return None
    lines = (np.stack(box_lines(windows, t), axis=-1) for t in range(len(windows.stride)))  # (n, 4) each
    return [np.round(boxes, 3).tolist() for boxes in lines]


def recording(drawing: Drawing) -> dict[str, Any]:
    """Return a drawing by the names above. Raises UserError for one whose numbers overflow."""
    T, n, C, H, W = drawing.frames.shape
    check_finite(drawing.frames)
    ink = shown(drawing)
    return {
        "shape": [H, W, 1 if C == 1 else 3],
        "glimpses": T,
        "count": n,
        "canvas": packed(drawing.frames),
        "ink": packed(ink.frames) if ink.words else None,
        "start": packed(drawing.start),
        "empty": packed(ink.empty),
        "write": boxes(drawing.write),
        "read": boxes(drawing.read),
        "originals": None if drawing.originals is None else packed(drawing.originals),
    }
