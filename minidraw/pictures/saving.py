"""A drawing to a file, by its ending: how it is drawn, what came out, or its arrays.

    .gif .mp4 .webp .apng   how it is drawn: the empty canvas, every glimpse with its boxes, and what came out
    .png                    what came out; as a strip: from left to right how
    .svg                    the strip, its boxes as lines that stay sharp on slides
    .npy .npz               numbers, see arrays.py

On the way a drawing is shown as ink (see ink.py) unless `plain`; what came out is the probabilities themselves, which
are the sample proper: in a .png as in the last picture of a moving one.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..backend import as_array
from ..errors import UserError, harmless
from ..files import write_atomic
from ..model.config import is_count
from ..model.draw import Drawing
from . import arrays
from .ink import shown
from .sheets import filmstrip, sequence_frames, sheet
from .sizes import Size, check_side
from .vector import strip_svg
from .writers import check_pace, check_video, check_webp, write_animation, write_gif, write_png, write_video

MOVING = {".gif": write_gif, ".mp4": write_video, ".webp": write_animation, ".apng": write_animation}
STILL = (".png", ".svg")
ENDINGS = (*MOVING, *STILL, *arrays.ENDINGS)


def ending(path: str | os.PathLike) -> str:
    """Return the ending of a file's name, in small letters. Raises UserError for one that nothing is written to."""
    found = Path(path).suffix.lower()
    if found not in ENDINGS:
        raise UserError(f"a file for drawings must end in {_any_of(ENDINGS)}, not {found or 'nothing'!r}: {path}")
    return found


def check_moving(path: str | os.PathLike) -> None:
    """Raise UserError for a file that is not of moving pictures, which a morph is."""
    if (kind := ending(path)) not in MOVING:
        raise UserError(f"a morph is a moving picture: let the file end in {_any_of(tuple(MOVING))}, not {kind}")


def check_finite(numbers: Any) -> None:
    """Raise UserError where a network's numbers are not finite."""
    if not np.isfinite(numbers).all():
        raise UserError("this network's numbers overflow, so that nothing can be seen of it; choose another checkpoint")


def check(
    path: str | os.PathLike,
    size: Size,
    scale: int | None = None,
    strip: bool = False,
    latents: bool = False,
    fps: float = 10.0,
    hold: float = 2.0,
    originals: np.ndarray | None = None,
) -> int:
    """Return the enlargement of the picture that `save` makes; of arrays it is 1.

    Raises UserError, before any work is done, for what `save` will not do.
    """
    kind = ending(path)
    for name, value in (("scale", scale), ("columns", size.columns)):
        if value is not None and not is_count(value):
            raise UserError(f"{name} must be a whole number of 1 or more, or None, not {value!r}")
    if originals is not None and originals.shape != (wanted := (size.drawings, *size.image_shape)):
        raise UserError(f"originals must be (n, C, H, W) = {wanted}, an image a drawing, not {originals.shape}")
    if kind in MOVING:
        check_pace(kind, fps, hold)
    if kind == ".mp4":
        check_video()
    if kind == ".webp":
        check_webp()
    if strip and kind not in STILL:
        raise UserError(f"a strip is a still picture: let the file end in .png or .svg, not {kind}")
    if kind in arrays.ENDINGS:
        arrays.check_arrays(*size[:3])
        return 1
    if latents:
        raise UserError(f"latents are numbers: let the file end in .npy, not {kind}")
    return size._replace(strip=strip or kind == ".svg").check(scale, kind)


def save(
    drawing: Drawing,
    path: str | os.PathLike,
    *,
    originals: Any = None,
    boxes: bool = True,
    plain: bool = False,
    strip: bool = False,
    columns: int | None = None,
    scale: int | None = None,
    fps: float = 10.0,
    hold: float = 2.0,
    latents: bool = False,
) -> str:
    """Write a drawing to a file of one of the endings above and return a line that tells what it is.

    originals (n, C, H, W): what was drawn again, to be shown beside, None: the drawing's own, if any; boxes: show the
    windows; plain: show the canvas itself, not ink; strip: a row a drawing, a column a glimpse; columns: drawings a row
    of a sheet, None for a nearly square one; scale: enlargement, None for one good to look at; fps: glimpses a second;
    hold: seconds for what came out; latents: these in an .npy, not the frames. It appears whole or not at all.
    UserError: an unknown ending, more than fits in one file, options that cannot be, a place that cannot be written.
    """
    T, n, C, H, W = drawing.frames.shape
    originals = drawing.originals if originals is None else as_array("originals", originals)
    size = Size(n, T, (C, H, W), beside=originals is not None, columns=columns)
    scale = check(path, size, scale, strip, latents, fps, hold, originals)
    kind = ending(path)
    if kind in arrays.ENDINGS:
        return _line(path, arrays.write_arrays(path, drawing, originals, latents))
    ink = shown(drawing, plain)
    what = f"{n} drawing{'s' * (n > 1)} of {T} glimpses"
    words = ink.words if strip or kind != ".png" else ""
    look: dict[str, Any] = {"originals": originals, "scale": scale}
    windows: dict[str, Any] = {"write": drawing.write, "read": drawing.read} if boxes else {}
    if kind == ".svg":
        write_atomic(path, strip_svg(ink.frames, **windows, **look).encode())
        return _line(path, f"a strip of {what}", words)
    if strip:
        pictures = [filmstrip(ink.frames, **windows, **look)]
    elif kind == ".png":
        pictures = sequence_frames(drawing.frames[-1:], **look, columns=columns)
    else:
        pictures = moving(drawing, plain, **windows, **look, columns=columns)
    return write_pictures(path, pictures, what, words, fps, hold)


def moving(drawing: Drawing, plain: bool = False, **options: Any) -> list[np.ndarray]:
    """Return how a drawing is drawn as pictures: the empty canvas, every glimpse, and what came out, no longer ink.

    options: windows and looks, as of `sequence_frames`.
    """
    ink = shown(drawing, plain)
    return sequence_frames(ink.frames, empty=ink.empty, last=drawing.frames[-1], **options)


def write_pictures(
    path: str | os.PathLike,
    pictures: Sequence[np.ndarray],
    what: str,
    words: str = "",
    fps: float = 10,
    hold: float = 2,
) -> str:
    """Write pictures of one size to a moving file, or the first to a .png, and return a line that tells what it is."""
    kind, (height, width, _) = ending(path), pictures[0].shape
    check_side(height, width, kind)
    if kind in MOVING:
        MOVING[kind](path, pictures, fps, hold)
    else:
        write_png(path, pictures[0])
    return _line(path, f"{what}, {width}x{height} pixels", words)


def morph(drawing: Drawing, path: str | os.PathLike, scale: int | None = None, fps: float = 10) -> str:
    """Write what came out of a drawing's n images, one after the other, as a moving picture; as for `save`."""
    _, n, *image_shape = drawing.frames.shape
    check_moving(path)
    scale = check(path, morph_size(n, image_shape), scale, fps=fps)
    pictures = [sheet(image[None], scale=scale) for image in drawing.frames[-1]]
    return write_pictures(path, pictures, f"{n} drawings, one after the other", fps=fps, hold=0)


def morph_size(images: int, image_shape: Sequence[int]) -> Size:
    """Return what decides how large a morph of so many images (C, H, W) is: one cell, a picture each."""
    C, H, W = image_shape
    return Size(1, images, (C, H, W))


def _any_of(endings: Sequence[str]) -> str:
    return f"{', '.join(endings[:-1])} or {endings[-1]}"


def _line(path: str | os.PathLike, what: str, words: str = "") -> str:
    size = f"{os.path.getsize(path) / 1e6:.2f} MB"
    return f"{harmless(os.fspath(path))}: {what}, {size}" + (f"; {words}" if words else "")
