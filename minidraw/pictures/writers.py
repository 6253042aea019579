"""Pictures to files: GIF, MP4, WebP, animated PNG and PNG, each whole or not at all.

Pictures are uint8 (rows, columns, 3), as sheets.py makes them.
"""

import contextlib
import importlib
import io
import math
import numbers
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
from PIL import Image, features
from PIL.PngImagePlugin import PngInfo

from ..data.folder.opening import opened, quiet
from ..errors import UserError, reason
from ..files import write_atomic
from .sheets import BACKGROUND, NOT_A_NUMBER, READING, WRITING

GREYS = 128  # levels in a grey GIF: the eye sees no bands, and a seventh less to store than with all
COLOURS = 248  # found for a colour GIF, besides the MARKS and the FIXED; of 256 one must stay free, see write_gif
FIXED = (0, BACKGROUND[0], 255)  # greys that are kept as they are: black, what is between the cells, and white
SAMPLED = 1 << 22  # pixels: of more not every one is looked at for a palette, but never less than every fifth
MARKS = np.array([WRITING, READING, NOT_A_NUMBER], np.uint8)  # (3, 3): colours that are kept as they are
SLACK = 3  # of 255: a grey that has changed by no more is left as it is, till the last picture; a tenth less to store
NOTE = "Description"  # the key of a PNG's text, one of those that its standard names


def write_gif(path: str | os.PathLike, frames: Sequence[np.ndarray], fps: float = 10, hold: float = 2) -> None:
    """Write pictures of one size as a GIF that loops for ever.

    frames: uint8, (rows, columns, 3) each; fps: pictures a second (a GIF counts in 1/100 s; at most 50); hold: seconds
    for the last. One palette serves all: 128 greys and the boxes' colours, or 248 colours found in the pictures.
    The file appears whole or not at all; its folder is made. UserError: cannot be written, or fps or hold out of range.
    """
    check_pace(".gif", fps, hold)
    colours, indices = _indexed(frames)  # (k, 3), a list of (rows, columns)
    each = max(20, 10 * round(100 / fps))  # milliseconds; browsers slow down what is faster than 50 a second
    durations = [each] * (len(frames) - 1) + [max(each, round(1000 * hold))]
    # optimize: pixels that stay are stored as a free colour, "transparent", in hardly any bytes: a third of the size
    options = {"extension": ".gif", "plugin": "pillow", "palette": colours.tobytes(), "optimize": True}
    duration = durations if len(frames) > 1 else durations[0]  # Pillow takes no list for one frame
    with _making(path):
        content = iio.imwrite("<bytes>", indices, duration=duration, loop=0, **options)
    write_atomic(path, content)


def check_webp() -> None:
    """Raise UserError for a Pillow that was built without WebP."""
    if not features.check("webp"):
        raise UserError("this Pillow was built without WebP: let the file end in .gif or .apng")


def write_animation(path: str | os.PathLike, frames: Sequence[np.ndarray], fps: float = 10, hold: float = 2) -> None:
    """Write pictures of one size without any loss, looping for ever: a WebP by a path's ending, else an animated PNG.

    Arguments and errors as for `write_gif`, but times are exact to 1/1000 s.
    """
    webp, content = Path(path).suffix.lower() == ".webp", io.BytesIO()
    check_pace(".webp" if webp else ".apng", fps, hold)
    if webp:
        check_webp()
    each = max(4, round(1000 / fps))
    durations = [each] * (len(frames) - 1) + [max(each, round(1000 * hold))]
    options = {"lossless": True, "quality": 50, "method": 4} if webp else {}
    kind = "webp" if webp else "png"
    with _making(path):
        first, *others = map(Image.fromarray, frames)
        first.save(content, kind, save_all=True, append_images=others, duration=durations, loop=0, **options)
    write_atomic(path, content.getbuffer())


def check_video() -> str:
    """Return the path of ffmpeg. Raises UserError for want of imageio-ffmpeg or of the program that it brings."""
    try:
        return importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        raise UserError(
            "an .mp4 needs imageio-ffmpeg: pip install imageio-ffmpeg, or let the file end in .gif"
        ) from None


def write_video(path: str | os.PathLike, frames: Sequence[np.ndarray], fps: float = 10, hold: float = 2) -> None:
    """Write pictures of one size as an MP4 that ordinary players and browsers play: H.264, yuv420p.

    frames, fps, hold: as for `write_gif`, but fps up to 240, which an MP4 keeps exactly. An odd number of rows or
    columns becomes even by one of BACKGROUND. It appears whole or not at all. UserError: as for `check_video` too.
    """
    check_pace(".mp4", fps, hold)
    height, width, _ = frames[0].shape
    padded = np.empty((height + height % 2, width + width % 2, 3), np.uint8)  # colours are stored for 2 x 2 pixels
    padded[:] = BACKGROUND
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{padded.shape[1]}x{padded.shape[0]}", "-r", f"{fps:g}"]
    # crf: the quality, 0 (exact) to 51; faststart: a browser can begin before it has the whole
    coding = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "16", "-preset", "slow", "-tune", "animation"]
    coding += ["-movflags", "+faststart"]
    with _making(path), tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as complaint:
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
            raise UserError(f"ffmpeg could not make {path}: {complaint.read().decode(errors='replace')[:200]}")
        write_atomic(path, video.read_bytes())


def write_png(path: str | os.PathLike, image: np.ndarray, note: str = "") -> None:
    """Write a picture, uint8 (rows, columns, 3), as a PNG: whole or not at all; UserError where it cannot be.

    A note on what it shows goes into the file (see `read_note`).
    """
    texts = PngInfo()
    if note:
        texts.add_itxt(NOTE, note)
    with _making(path):
        content = iio.imwrite("<bytes>", image, extension=".png", plugin="pillow", pnginfo=texts)
    write_atomic(path, content)


def read_note(png: bytes) -> str:
    """Return the note in a PNG's bytes, "" where there is none or they are no picture."""
    # A damaged one makes Pillow raise nearly anything.
    with contextlib.suppress(Exception), quiet(), opened(io.BytesIO(png), ("PNG",)) as picture:
        return str(picture.info.get(NOTE, ""))
    return ""


def check_pace(kind: str, fps: Any, hold: Any) -> None:
    """Raise UserError unless fps and hold are numbers that a moving picture of that kind, an ending, can have."""
    most, words = (240, "0.1 to 240") if kind == ".mp4" else (math.inf, "0.1 or more")
    real = isinstance(fps, numbers.Real) and isinstance(hold, numbers.Real)
    if not (real and 0.1 <= fps <= most and 0 <= hold <= 600):
        raise UserError(f"fps must be {words} for {kind}, and hold 0 to 600 seconds, not {fps} and {hold}")


@contextlib.contextmanager
def _making(path: str | os.PathLike) -> Iterator[None]:
    """Let whatever fails while a picture is coded be a UserError, but for want of memory."""
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as problem:  # Pillow and its libraries raise errors of any kind
        raise UserError(
            f"cannot make {path}: {reason(problem)}; ask for a smaller picture or another ending"
        ) from problem


def _indexed(frames: Sequence[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the colours that serve all frames, (k, 3), k < 256, the MARKS last, and each frame by their numbers."""
    if all(_is_grey(frame) for frame in frames):
        colours = np.linspace(0, 255, GREYS).round().astype(np.uint8)[:, None].repeat(3, axis=1)  # (GREYS, 3)
        indices = _steady(frames)
    else:
        step = min(5, max(1, len(frames) * frames[0][..., 0].size // SAMPLED))
        best = Image.fromarray(np.concatenate([frame[~_is_mark(frame)][::step] for frame in frames])[None])
        best = best.quantize(COLOURS, Image.Quantize.FASTOCTREE).getpalette()
        kept = np.repeat(np.array(FIXED, np.uint8), 3).reshape(-1, 3)
        colours = np.unique(np.concatenate([np.reshape(best, (-1, 3)).astype(np.uint8), kept]), axis=0)
        paint = Image.new("P", (1, 1))
        paint.putpalette(colours.tobytes())
        indices = [np.array(Image.fromarray(f).quantize(palette=paint, dither=Image.Dither.NONE)) for f in frames]
        for frame, index in zip(frames, indices, strict=True):
            grey = (frame[..., 0] == frame[..., 1]) & (frame[..., 1] == frame[..., 2])
            for level in FIXED:  # for which Pillow may take a colour near by
                number = np.flatnonzero((colours == level).all(axis=1))[0]
                np.copyto(index, number, where=grey & (frame[..., 0] == level), casting="unsafe")
    for frame, index in zip(frames, indices, strict=True):
        for k, mark in enumerate(MARKS):
            index[_is(frame, mark)] = len(colours) + k
    return np.concatenate([colours, MARKS]), indices


def _is(frame: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Return which pixels of a frame (rows, columns, 3) have a colour."""
    return (frame[..., 0] == colour[0]) & (frame[..., 1] == colour[1]) & (frame[..., 2] == colour[2])


def _is_mark(frame: np.ndarray) -> np.ndarray:
    return np.logical_or.reduce([_is(frame, mark) for mark in MARKS])  # (rows, columns)


def _is_grey(frame: np.ndarray) -> bool:
    """Tell whether all pixels of a frame (rows, columns, 3) are grey or MARKS."""
    grey = (frame[..., 0] == frame[..., 1]) & (frame[..., 1] == frame[..., 2])
    return bool(grey.all() or (grey | _is_mark(frame)).all())


def _steady(frames: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return grey frames by number; what changes by no more than SLACK stays as it is, but for the last."""
    shown, indices = frames[0][..., 0].astype(np.int16), []
    for k, frame in enumerate(frames):
        moves = np.abs(frame[..., 0] - shown) > (SLACK if k < len(frames) - 1 else 0)
        np.copyto(shown, frame[..., 0], where=moves)
        indices.append(np.rint(shown * np.float32((GREYS - 1) / 255)).astype(np.uint8))
    return indices
