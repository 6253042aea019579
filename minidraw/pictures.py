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

import contextlib
import importlib
import io
import math
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .attention import Windows
from .errors import UserError
from .files import write_atomic

RED = (235, 40, 40)  # where it writes (the paper's fig. 1)
GREEN = (30, 190, 70)  # where it reads (the paper's fig. 5)
NOT_A_NUMBER = (255, 0, 255)  # a pixel that is NaN: loud, because it is always a bug
BACKGROUND = (74, 74, 74)  # between the cells: neither a canvas's black nor a digit's white

LINE = 0.5  # a box's line, in standard deviations of a filter; a whole one would hide what is being drawn

GREYS = 16  # levels in a grey GIF: fewer make longer repetitions for LZW, and a moving picture needs no more
NOTE = "Description"  # the key of a PNG's text, one of those that its standard names
COLOURS = 240  # in a colour GIF, besides the boxes' own; one of the 256 must stay free, see write_gif


# ---------------------------------------------------------------------------------------------- pictures, in memory


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


# ----------------------------------------------------------------------------------------------------------- to files


def write_gif(path: str | os.PathLike, frames: Sequence[np.ndarray], fps: float = 10, hold: float = 2) -> None:
    """Write pictures of one size as a GIF that loops for ever.

    frames: uint8, (rows, columns, 3) each; fps: pictures a second (a GIF counts in 1/100 s; at most 50); hold: seconds
    for the last. One palette serves all: 16 greys and the boxes' colours, or 240 colours found in the pictures.
    The file appears whole or not at all; its folder is made. UserError: cannot be written, or fps or hold out of range.
    """
    if not (fps >= 0.1 and 0 <= hold <= 600):
        raise UserError(f"a GIF's fps must be 0.1 or more and its hold 0 to 600 seconds, got {fps:g} and {hold:g}")
    colours = _palette(frames)  # (k, 3)
    paint = Image.new("P", (1, 1))
    paint.putpalette(colours.tobytes())
    indices = [np.asarray(Image.fromarray(f).quantize(palette=paint, dither=Image.Dither.NONE)) for f in frames]
    each = max(20, 10 * round(100 / fps))  # milliseconds; browsers slow down what is faster than 50 a second
    durations = [each] * (len(frames) - 1) + [max(each, round(1000 * hold))]
    # optimize: pixels that stay are stored as a free colour, "transparent", in hardly any bytes: a third of the size
    options = {"extension": ".gif", "plugin": "pillow", "palette": colours.tobytes(), "optimize": True}
    duration = durations if len(frames) > 1 else durations[0]  # Pillow takes no list for one frame
    write_atomic(path, iio.imwrite("<bytes>", indices, duration=duration, loop=0, **options))


def check_video() -> str:
    """Return the path of ffmpeg. Raises UserError for want of imageio-ffmpeg or of the program that it brings."""
    try:
        return importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        raise UserError(
            "an .mp4 needs imageio-ffmpeg: pip install 'minidraw[video]', or let --out end in .gif"
        ) from None


def write_video(path: str | os.PathLike, frames: Sequence[np.ndarray], fps: float = 10, hold: float = 2) -> None:
    """Write pictures of one size as an MP4 that ordinary players and browsers play: H.264, yuv420p.

    frames, fps, hold: as for `write_gif`, but fps up to 240, which an MP4 keeps exactly. An odd number of rows or
    columns becomes even by one of BACKGROUND. It appears whole or not at all. UserError: as for `check_video` too.
    """
    if not (0.1 <= fps <= 240 and 0 <= hold <= 600):
        raise UserError(f"a video's fps must be 0.1 to 240 and its hold 0 to 600 seconds, got {fps:g} and {hold:g}")
    height, width, _ = frames[0].shape
    padded = np.empty((height + height % 2, width + width % 2, 3), np.uint8)  # colours are stored for 2 x 2 pixels
    padded[:] = BACKGROUND
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{padded.shape[1]}x{padded.shape[0]}", "-r", f"{fps:g}"]
    # crf: the quality, 0 (exact) to 51; faststart: a browser can begin before it has the whole
    coding = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "16", "-preset", "slow", "-tune", "animation"]
    coding += ["-movflags", "+faststart"]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as complaint:
        video = Path(folder) / "video.mp4"  # ffmpeg goes back in its file: it cannot write to memory
        command = [check_video(), "-loglevel", "error", *source, "-i", "-", *coding, str(video)]
        ffmpeg = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=complaint)
        with contextlib.suppress(BrokenPipeError), ffmpeg:  # a broken pipe: it has stopped, and has said why
            for k, frame in enumerate(frames):
                padded[:height, :width] = frame
                for _ in range(max(1, round(hold * fps)) if k == len(frames) - 1 else 1):
                    ffmpeg.stdin.write(padded)
        if ffmpeg.returncode:
            complaint.seek(0)
            raise UserError(f"ffmpeg could not make {path}: {complaint.read().decode(errors='replace')[-200:]}")
        write_atomic(path, video.read_bytes())


def write_png(path: str | os.PathLike, image: np.ndarray, note: str = "") -> None:
    """Write a picture, uint8 (rows, columns, 3), as a PNG: whole or not at all; UserError where it cannot be.

    A note on what it shows goes into the file (see `read_note`).
    """
    texts = PngInfo()
    if note:
        texts.add_itxt(NOTE, note)
    write_atomic(path, iio.imwrite("<bytes>", image, extension=".png", plugin="pillow", pnginfo=texts))


def read_note(png: bytes) -> str:
    """Return the note in a PNG's bytes, "" where there is none or they are no picture."""
    try:
        with Image.open(io.BytesIO(png)) as picture:
            return str(picture.info.get(NOTE, ""))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return ""


def _palette(frames: Sequence[np.ndarray]) -> np.ndarray:
    """Return the colours that serve all frames, no two equal, the boxes' own among them: (k, 3), k < 256."""
    marks = np.array([RED, GREEN, NOT_A_NUMBER], np.uint8)  # (3, 3)
    pixels = np.concatenate([frame[1::3, 1::3].reshape(-1, 3) for frame in frames])
    pixels = pixels[~(pixels[:, None] == marks).all(axis=-1).any(axis=-1)]
    if (pixels == pixels[:, :1]).all():
        greys = np.linspace(0, 255, GREYS).round().astype(np.uint8)  # (GREYS)
        return np.concatenate([greys[:, None].repeat(3, axis=1), marks])
    best = Image.fromarray(pixels[None]).quantize(COLOURS, Image.Quantize.FASTOCTREE).getpalette()
    return np.unique(np.concatenate([np.reshape(best, (-1, 3)).astype(np.uint8), marks]), axis=0)
