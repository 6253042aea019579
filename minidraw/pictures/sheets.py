"""Pictures of what the model draws: sheets, film strips and GIFs, with the attention windows as boxes.

    model's (T, n, C, H, W) --sequence_frames--> one sheet a glimpse --write_gif--> digits.gif
                                                                --write_video-> digits.mp4
                            --filmstrip-------> one still picture   --write_png--> strip.png
                 (n, C, H, W) --sheet---------> one still picture   --write_png--> sheet.png

Everything here is on the host and for the eye alone: images come in as floats in [0, 1], pictures go out as bytes,
always through one fixed scale (0 black, 1 white), so that a faint canvas looks faint. A picture's pixel is 1/scale of
an image's pixel; cells are enlarged without smoothing, and the boxes are drawn after that, at the finer resolution.

Letters: T glimpses, n images, (C, H, W) an image, (h, w) a cell: an image in the pixels of the picture.
"""

import math
from collections.abc import Sequence

import numpy as np

from ..model.windows import Windows

RED = (235, 40, 40)  # where it writes (the paper's fig. 1)
GREEN = (30, 190, 70)  # where it reads (the paper's fig. 5)
NOT_A_NUMBER = (255, 0, 255)  # a pixel that is NaN: loud, because it is always a bug
BACKGROUND = (74, 74, 74)  # between the cells: neither a canvas's black nor a digit's white

LINE = 0.5  # a box's line, in standard deviations of a filter; a whole one would hide what is being drawn


def sheet(images: np.ndarray, columns: int | None = None, scale: int = 3, gap: int = 2) -> np.ndarray:
    """Return n images side by side in a grid, row by row.

    images (n, C, H, W) in [0, 1], clipped to it: C = 1 is grey, 2 is red and green, 3 is RGB (more: the first three).
    columns: cells a row, None for a sheet as nearly square as can be; scale: pixels of the picture a pixel of the
    image; gap: pixels of the picture between cells. The picture is uint8, (rows, columns, 3). ValueError: not 4 axes.
    """
    return _grid(_cells(images, scale), columns, gap)


def sequence_frames(
    frames: np.ndarray,
    write: Windows | None = None,
    read: Windows | None = None,
    originals: np.ndarray | None = None,
    columns: int | None = None,
    scale: int = 3,
    gap: int = 2,
) -> list[np.ndarray]:
    """Return the drawing as pictures, one sheet a glimpse, and the finished sheet once more without its boxes.

    frames (T, n, C, H, W) in [0, 1], the canvas after every glimpse; write, read: the windows, drawn as red and green
    boxes through the outermost filters' centres, the thicker the wider its filters; originals (n, C, H, W): what is
    being drawn, shown to the left of each drawing, with the green box on it; columns, scale, gap: as for `sheet`.
    T + 1 pictures, or T where there is no box to take away. ValueError: windows that are not of T glimpses, n images.
    """

    def picture(t: int, boxed: bool) -> np.ndarray:
        drawings = _cells(frames[t], scale)  # (n, h, w, 3)
        looked_at = drawings if originals is None else _cells(originals, scale)  # (n, h, w, 3)
        if boxed:
            _draw_boxes(looked_at, read, t, GREEN, scale)
            _draw_boxes(drawings, write, t, RED, scale)
        if originals is not None:
            drawings = np.concatenate([looked_at, drawings], axis=2)  # (n, h, 2w, 3)
        return _grid(drawings, columns, gap)

    _check(frames, write, read)
    pictures = [picture(t, boxed=True) for t in range(len(frames))]
    if write is not None or read is not None:
        pictures.append(picture(-1, boxed=False))
    return pictures


def filmstrip(
    frames: np.ndarray,
    write: Windows | None = None,
    read: Windows | None = None,
    originals: np.ndarray | None = None,
    steps: int | Sequence[int] = 10,
    scale: int = 3,
    gap: int = 2,
) -> np.ndarray:
    """Return the drawing as one still picture: a row an image, a column a glimpse (the paper's figs 1 and 10).

    frames, write, read, originals, scale, gap: as for `sequence_frames`, but the originals are the first column.
    steps: how many glimpses, evenly spaced and ending with the last, or their numbers, the first being 0.
    The picture is uint8, (rows, columns, 3). ValueError: as for `sequence_frames`; IndexError: no such glimpse.
    """
    _check(frames, write, read)
    last = len(frames) - 1
    if isinstance(steps, int):
        chosen = np.unique(np.linspace(last, 0, min(steps, last + 1)).round().astype(int))
    else:
        chosen = steps
    strip = [] if originals is None else [_cells(originals, scale)]
    for t in chosen:
        drawings = _cells(frames[t], scale)  # (n, h, w, 3)
        _draw_boxes(drawings, read, t, GREEN, scale)
        _draw_boxes(drawings, write, t, RED, scale)
        strip.append(drawings)
    cells = np.stack(strip, axis=1)  # (n, columns, h, w, 3)
    return _grid(cells.reshape(-1, *cells.shape[2:]), len(strip), gap)


def _check(frames: np.ndarray, *windows: Windows | None) -> None:
    for window in windows:
        if window is not None and np.shape(window.stride) != frames.shape[:2]:
            raise ValueError(f"windows of {np.shape(window.stride)} (T, n), but frames of {frames.shape[:2]}")


def _cells(images: np.ndarray, scale: int) -> np.ndarray:
    """Return images (n, C, H, W) in [0, 1] as bytes, each pixel a square of scale by scale: (n, h, w, 3)."""
    images = np.asarray(images, dtype=np.float32)
    if images.ndim != 4:
        raise ValueError(f"images must be (n, C, H, W), got {images.shape}")
    n, C, H, W = images.shape
    if C == 1:
        images = images.repeat(3, axis=1)
    elif C == 2:
        images = np.concatenate([images, np.zeros((n, 1, H, W), np.float32)], axis=1)
    images = images[:, :3].transpose(0, 2, 3, 1)  # (n, H, W, 3)
    cells = np.rint(255 * np.clip(np.nan_to_num(images), 0, 1)).astype(np.uint8)
    cells[np.isnan(images).any(axis=-1)] = NOT_A_NUMBER
    return cells.repeat(scale, axis=1).repeat(scale, axis=2)


def _draw_boxes(cells: np.ndarray, windows: Windows | None, t: int, colour: tuple[int, int, int], scale: int) -> None:
    """Draw glimpse t's window on each of the cells (n, h, w, 3), in place; what lies outside a cell is not drawn.

    The box is the square through the outermost filters' centres, (N - 1) delta a side. Around its centre it is a line
    of equal *Chebyshev* distance, max(|x|, |y|), so the pixels of its border are those at about half a side.
    """
    if windows is None:
        return
    _, h, w, _ = cells.shape
    centre, stride, sigma = (np.asarray(of_all[t], np.float64) for of_all in windows[:3])  # (n, 2), (n), (n)
    x, y = (centre.T - 0.5) * scale  # (n), (n); pixel 1 spans 0 to scale
    line = np.clip(np.rint(sigma * LINE * scale), 1, 2 * scale)  # (n); whole, so that all sides are equal
    half = (windows.size - 1) * stride / 2 * scale  # (n)
    half = np.maximum(half, 0.5)  # a window of no size still shows, as a dot
    across = np.abs(np.arange(w) + 0.5 - x[:, None])  # (n, w)
    down = np.abs(np.arange(h) + 0.5 - y[:, None])  # (n, h)
    distance = np.maximum(across[:, None, :], down[:, :, None])  # (n, h, w)
    half, line = half[:, None, None], line[:, None, None]
    cells[(distance >= half - line / 2) & (distance < half + line / 2)] = colour


def _grid(cells: np.ndarray, columns: int | None, gap: int) -> np.ndarray:
    """Return cells (n, h, w, 3) as one picture, row by row, with a gap around each; a last row may be short."""
    n, h, w, _ = cells.shape
    if columns is None:  # the smallest square around the sheet, then few empty cells, then wide rather than tall
        size = {c: (max(c * w, math.ceil(n / c) * h), math.ceil(n / c) * c, -c) for c in range(1, n + 1)}
        columns = min(size, key=size.get)
    rows = math.ceil(n / columns)
    picture = np.empty((rows * (h + gap) + gap, columns * (w + gap) + gap, 3), np.uint8)
    picture[:] = BACKGROUND
    for i, cell in enumerate(cells):
        top, left = gap + i // columns * (h + gap), gap + i % columns * (w + gap)
        picture[top : top + h, left : left + w] = cell
    return picture
