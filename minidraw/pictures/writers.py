"""Pictures to files: GIF, MP4 and PNG, each whole or not at all.

Pictures are uint8 (rows, columns, 3), as sheets.py makes them.
"""

import contextlib
import importlib
import io
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ..errors import UserError
from ..files import write_atomic
from .sheets import BACKGROUND, GREEN, NOT_A_NUMBER, RED

GREYS = 16  # levels in a grey GIF: fewer make longer repetitions for LZW, and a moving picture needs no more
NOTE = "Description"  # the key of a PNG's text, one of those that its standard names
COLOURS = 240  # in a colour GIF, besides the boxes' own; one of the 256 must stay free, see write_gif


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
