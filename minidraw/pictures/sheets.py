"""Pictures of what the model draws: sheets, film strips and GIFs, with the attention windows as boxes.

    model's (T, n, C, H, W) --sequence_frames--> one sheet a glimpse --write_gif--> digits.gif
                                                                --write_video-> digits.mp4
                            --filmstrip-------> one still picture   --write_png--> strip.png
                 (n, C, H, W) --sheet---------> one still picture   --write_png--> sheet.png

Everything here is on the host and for the eye alone: images come in as floats in [0, 1], pictures go out as bytes,
always through one fixed scale (0 black, 1 white), so that a faint canvas looks faint. A picture's pixel is 1/scale of
an image's pixel; cells are enlarged without smoothing, and the boxes are drawn after that, at the finer resolution.
What the frames are, the canvas or the ink on it, is for `ink.shown` to say.

Letters: T glimpses, n images, (C, H, W) an image, (h, w) a cell: an image in the pixels of the picture.
"""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..model.windows import Windows
from .sizes import GAP, STEPS, nearly_square

# Two colours that the colour-blind tell apart as well (M. Okabe and K. Ito), and that a digit's white does not hide.
WRITING, WRITING_WORD = (230, 159, 0), "orange"  # where it writes (the paper's fig. 1)
READING, READING_WORD = (86, 180, 233), "blue"  # where it reads (the paper's fig. 5)
OUTLINE = (0, 0, 0)  # around the line of a box, and inside where there is room
NOT_A_NUMBER = (255, 0, 255)  # a pixel that is NaN: loud, because it is always a bug
BACKGROUND = (74, 74, 74)  # between the cells: neither a canvas's black nor a digit's white
LABEL = (190, 190, 190)  # numbers above the columns of a strip
BAND = 14  # pixels: the height of these numbers' row

LINE = 0.5  # a box's line, in standard deviations of a filter; a whole one would hide what is being drawn
THICKEST = 10  # pixels of a line, however much the picture is enlarged
ROOM = 2  # a box has an outline inside too where from its centre to there it has more than so many pixels of the image


def sheet(images: np.ndarray, columns: int | None = None, scale: int = 3, gap: int = GAP) -> np.ndarray:
    """Return n images side by side in a grid, row by row.

    images (n, C, H, W) in [0, 1], clipped to it: C = 1 is grey, 2 is red and green, 3 is RGB (more: the first three).
    columns: cells a row, None for a sheet as nearly square as can be; scale: pixels of the picture a pixel of the
    image; gap: pixels of the picture between cells. The picture is uint8, (rows, columns, 3). ValueError: not 4 axes.
    """
    return _grid(cells(images, scale), columns, gap)


def sequence_frames(
    frames: np.ndarray,
    write: Windows | None = None,
    read: Windows | None = None,
    originals: np.ndarray | None = None,
    columns: int | None = None,
    scale: int = 3,
    gap: int = GAP,
    empty: np.ndarray | None = None,
    last: np.ndarray | None = None,
) -> list[np.ndarray]:
    """Return the drawing as pictures, one sheet a glimpse, and the finished sheet once more without its boxes.

    frames (T, n, C, H, W) in [0, 1], after every glimpse; write, read: the windows, drawn as orange and blue boxes
    through the outermost filters' centres, the thicker the wider its filters, in dashes where they coincide; originals
    (n, C, H, W): what is being drawn, shown to the left of each drawing, with the blue box on it; columns, scale, gap:
    as for `sheet`; empty (C, H, W): the canvas before the first glimpse, one more picture; last (n, C, H, W): what
    comes at the end, frames[-1] if None. T + 1 pictures and one for `empty`; without boxes and `last` one less.
    ValueError: windows that are not of T glimpses, n images.
    """

    def picture(images: np.ndarray, t: int | None = None) -> np.ndarray:
        drawings = cells(images, scale)  # (n, h, w, 3)
        beside = None if originals is None else cells(originals, scale)  # (n, h, w, 3)
        if t is not None and beside is None:
            _draw_boxes(drawings, t, scale, write, read)
        elif t is not None:
            _draw_boxes(drawings, t, scale, write)
            _draw_boxes(beside, t, scale, read=read)
        if beside is not None:
            drawings = np.concatenate([beside, drawings], axis=2)  # (n, h, 2w, 3)
        return _grid(drawings, columns, gap)

    _check(frames, write, read)
    before = [] if empty is None else [picture(np.broadcast_to(empty, frames.shape[1:]))]
    pictures = before + [picture(frames[t], t) for t in range(len(frames))]
    if write is not None or read is not None or last is not None:
        pictures.append(picture(frames[-1] if last is None else last))
    return pictures


def filmstrip(
    frames: np.ndarray,
    write: Windows | None = None,
    read: Windows | None = None,
    originals: np.ndarray | None = None,
    steps: int | Sequence[int] = STEPS,
    scale: int = 3,
    gap: int = GAP,
    numbers: bool = True,
) -> np.ndarray:
    """Return the drawing as one still picture: a row an image, a column a glimpse (the paper's figs 1 and 10).

    frames, write, read, originals, scale, gap: as for `sequence_frames`, but the originals are the first column.
    steps: how many glimpses, evenly spaced and ending with the last, or their numbers, the first being 0; numbers:
    write above each column which glimpse it is, the first being 1, where there is room.
    The picture is uint8, (rows, columns, 3). ValueError: as for `sequence_frames`; IndexError: no such glimpse.
    """
    _check(frames, write, read)
    chosen = chosen_glimpses(len(frames), steps)
    strip = [] if originals is None else [cells(originals, scale)]
    for t in chosen:
        drawings = cells(frames[t], scale)  # (n, h, w, 3)
        _draw_boxes(drawings, t, scale, write, read)
        strip.append(drawings)
    every = np.stack(strip, axis=1)  # (n, columns, h, w, 3)
    picture = _grid(every.reshape(-1, *every.shape[2:]), len(strip), gap)
    if not numbers:
        return picture
    names = column_names(len(frames), chosen, originals is not None)
    return np.concatenate([_labels(names, every.shape[3], gap), picture])


def chosen_glimpses(glimpses: int, steps: int | Sequence[int]) -> list[int]:
    """Return which glimpses a strip shows: `steps` of them, evenly spaced and ending with the last, or those named.

    >>> chosen_glimpses(24, 4)
    [0, 8, 15, 23]
    """
    if isinstance(steps, int):
        return np.unique(np.linspace(glimpses - 1, 0, min(steps, glimpses)).round().astype(int)).tolist()
    return list(steps)


def column_names(glimpses: int, chosen: Sequence[int], originals: bool) -> list[str]:
    """Return what stands above the columns of a strip: "image" above the originals, the first glimpse being 1."""
    return ["image"] * originals + [str(t % glimpses + 1) for t in chosen]


def box_lines(windows: Windows, t: int, scale: float = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return glimpse t's boxes: their centres x and y, half a side and the line's thickness, (n,) each, in pixels.

    The box is the square through the outermost filters' centres, (N - 1) delta a side; the first pixel of the image
    spans 0 to `scale`, and a line is never thicker than two pixels of the image.
    """
    centre, stride, sigma = (np.asarray(of_all[t], np.float64) for of_all in windows[:3])  # (n, 2), (n), (n)
    x, y = (centre.T - 0.5) * scale
    half = np.maximum((windows.size - 1) * stride / 2 * scale, 0.5)  # a window of no size still shows, as a dot
    return x, y, half, np.minimum(sigma * LINE, 2) * scale


def _check(frames: np.ndarray, *windows: Windows | None) -> None:
    for window in windows:
        if window is not None and np.shape(window.stride) != frames.shape[:2]:
            raise ValueError(f"windows of {np.shape(window.stride)} (T, n), but frames of {frames.shape[:2]}")


def cells(images: np.ndarray, scale: int) -> np.ndarray:
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
    pixels = np.rint(255 * np.clip(np.nan_to_num(images), 0, 1)).astype(np.uint8)
    pixels[np.isnan(images).any(axis=-1)] = NOT_A_NUMBER
    return pixels.repeat(scale, axis=1).repeat(scale, axis=2)


def _draw_boxes(
    cells: np.ndarray, t: int, scale: int, write: Windows | None = None, read: Windows | None = None
) -> None:
    """Draw glimpse t's windows on each of the cells (n, h, w, 3), in place; what lies outside a cell is not drawn.

    Around its centre a box is a line of equal *Chebyshev* distance, max(|x|, |y|), so the pixels of its border are
    those at about half a side. Outlines come first: no box hides another's line. Where lines coincide they alternate.
    """
    _, h, w, _ = cells.shape
    thin = max(1, min(min(h, w) // 80, 3))  # pixels, the least of a line
    edge = max(1, thin - 1)  # pixels, of an outline
    lines: list[np.ndarray | None] = []  # of writing and reading: (n, h, w) or None
    for windows in (write, read):
        if windows is None:
            lines.append(None)
            continue
        x, y, half, line = (each[:, None, None] for each in box_lines(windows, t, scale))
        line = np.clip(np.rint(line), thin, THICKEST)  # whole, so that all sides are equal
        distance = np.maximum(np.abs(np.arange(w) + 0.5 - x), np.abs(np.arange(h)[:, None] + 0.5 - y))  # (n, h, w)
        inner, outer = half - line / 2, half + line / 2
        lines.append((distance >= inner) & (distance < outer))
        room = inner - edge > ROOM * scale
        cells[(distance >= inner - edge * room) & (distance < outer + edge)] = OUTLINE
    writing, reading = lines
    if reading is not None:
        cells[reading] = READING
    if writing is not None:
        if reading is not None:
            dash = (np.arange(h)[:, None] + np.arange(w)) // (2 * scale) % 2 == 1  # (h, w)
            writing = writing & ~(reading & dash)
        cells[writing] = WRITING


def _labels(names: Sequence[str], w: int, gap: int) -> np.ndarray:
    """Return the row above a grid of columns of width w with their names, as far as they fit: (BAND, columns, 3)."""
    band = Image.new("RGB", (len(names) * (w + gap) + gap, BAND), BACKGROUND)
    draw, font = ImageDraw.Draw(band), ImageFont.load_default()
    for k, name in enumerate(names):
        left, top, right, bottom = font.getbbox(name)
        if right - left <= w:
            x = gap + k * (w + gap) + (w - right + left) / 2 - left
            draw.text((round(x), round((BAND - bottom + top) / 2 - top)), name, LABEL, font)
    return np.asarray(band)


def _grid(cells: np.ndarray, columns: int | None, gap: int) -> np.ndarray:
    """Return cells (n, h, w, 3) as one picture, row by row, with a gap around each; a last row may be short."""
    n, h, w, _ = cells.shape
    columns = columns or nearly_square(n, h, w)
    rows = math.ceil(n / columns)
    picture = np.empty((rows * (h + gap) + gap, columns * (w + gap) + gap, 3), np.uint8)
    picture[:] = BACKGROUND
    for i, cell in enumerate(cells):
        top, left = gap + i // columns * (h + gap), gap + i % columns * (w + gap)
        picture[top : top + h, left : left + w] = cell
    return picture
