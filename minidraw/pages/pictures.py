"""The pictures of a run's folder as figures of a page: what they show, and what stands for one that is too large.

A picture above LARGEST_PICTURE, as a GIF of large colour images is, comes onto the page in part: as many of its rows of
cells as fit, or, where that cannot be, for samples.gif the still samples.png. The page says so and names the file.
"""

import contextlib
import html
import io
import os
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageSequence

from ..data.folder.opening import opened, quiet
from ..errors import LONGEST, harmless, one_line, reason
from ..files import read_regular
from ..pictures.sheets import BAND, READING_WORD, WRITING_WORD
from ..pictures.sizes import GAP, MOST_PIXELS
from ..pictures.writers import read_note, write_gif
from .run import Run
from .svg import data_uri

LARGEST_PICTURE = 6 << 20  # bytes; of a larger one a part is on the page, and all of it beside the page
LARGEST_FILE = 1 << 28  # bytes; one that is larger still is not looked at
BEGINNINGS = {b"\x89PNG": "png", b"GIF8": "gif"}  # of the bytes of what may stand on a page
INK = "On a black or white ground only what was written shows, as ink"  # see pictures/ink.py
STILL = {"samples.gif": "samples.png"}  # what shows the same without moving

Words = tuple[str, str, str]  # title, what it shows, class
Part = tuple[int, int, bytes]  # rows, of how many, and a sheet of these alone
# By path: of which content, by its time and size, for which shape and how many bytes; and what was cut out of it.
_parts: dict[str, tuple[tuple, Part | None]] = {}


def captions(run: Run) -> dict[str, Words]:
    """Return what is to be said of each picture of a run's folder, the newest and most telling first."""
    data = {"data.png": ("Trained on", "The images as they go in.", "")}
    if run.network == "ram":
        looked = "Left: the window on the image. Right: what is seen through it."
        rows = "Upper rows: the window, its line the thicker the wider its filters (fig. 5). Lower: what is seen."
        return {"samples.gif": ("Being looked at", looked, ""), "seen.png": ("Glimpses", rows, "")} | data
    if run.network != "draw":
        return {}
    reads, writes = (run.model.get(name) is not None for name in ("read_size", "write_size"))
    drawn = "Every glimpse writes on the whole canvas: there is no attention (fig. 7)."
    if writes:
        drawn = (
            f"The {WRITING_WORD} box is where each glimpse writes, its line the thicker the wider its filters (fig. 1)."
        )
    copies = "Were they copies, the last two columns would be equal (figs 6, 9, 12)."
    boxes = [f"{READING_WORD.capitalize()}: where it reads."] * reads
    boxes += [f"{WRITING_WORD.capitalize()}: where it writes."] * writes
    found = {
        "samples.gif": ("Being drawn", f"{drawn} {INK}, until the last picture: what came out.", ""),
        "sheet.png": ("Drawings beside what they resemble", copies, ""),
    }
    seen = " ".join([*boxes, "Time runs to the right.", f"{INK}."])
    return found | data | {"seen.png": ("Seen and drawn again", seen, "wide")}


def picture(run: Run, name: str, words: Words, most: int | None = None, beside: bool = True) -> str:
    """Return a picture of the run's folder as a figure, with the note that it carries; nothing where there is none.

    words: title, caption and class, HTML; most: bytes that it may have on the page (None: LARGEST_PICTURE); beside: is
    the page in the same folder?
    """
    most = LARGEST_PICTURE if most is None else most
    title, shows, kind = words
    shown, left_out, note = None, "", ""
    try:
        shown = content = read_regular(run.folder / name, LARGEST_FILE)
    except FileNotFoundError:
        return ""
    except OSError as problem:
        left_out = f"<p>{name} cannot be read: {html.escape(reason(problem))}.</p>"
    else:
        note = one_line(read_note(content), LONGEST)
        if len(content) > most:
            shown, part = in_part(run, name, content, most)
            file = f'<a href="{name}">{name}</a>' if beside else html.escape(harmless(run.folder / name))
            left_out = f"<p>{part}: {file} is {len(content) / 1e6:.1f} MB, too large for this page.</p>"
        elif content[:4] not in BEGINNINGS:
            shown, left_out = None, f"<p>{name} is no picture.</p>"
    shows = f"{shows} {html.escape(note[:1].upper() + note[1:])}{'.' if note else ''}"
    image = "" if shown is None else f'<img alt="{title}" src="{data_uri(shown, BEGINNINGS[shown[:4]])}">'
    caption = f"<figcaption><h3>{title}</h3><p>{shows.strip()}</p>{left_out}</figcaption>"
    return f'<figure class="{kind}">{caption}{image}</figure>'


def in_part(run: Run, name: str, content: bytes, most: int) -> tuple[bytes | None, str]:
    """Return what of a picture too large for a page can be on it, None for nothing, and in words what that is."""
    shape = run.model.get("image_shape")
    if (found := first_rows_of(run.folder / name, content, shape, most)) is not None:
        rows, all_rows, part = found
        return part, f"The first {rows} of {all_rows} rows" if rows > 1 else f"The first of {all_rows} rows"
    still: bytes | None = None
    if name in STILL:
        with contextlib.suppress(OSError):
            still = read_regular(run.folder / STILL[name], LARGEST_FILE)
    if still is not None and (len(still) > most or still[:4] not in BEGINNINGS):
        still = found[2] if (found := first_rows_of(run.folder / STILL[name], still, shape, most)) else None
    return still, "Not here" if still is None else "Here it stands still"


def first_rows_of(path: Path, content: bytes, shape: object, most: int) -> Part | None:
    """Return `first_rows` of a file's content; of a file that has not changed what it was before, without any work."""
    try:
        found = os.stat(path)
    except OSError:  # it has gone since it was read
        return first_rows(content, shape, most)
    stamp = (found.st_mtime_ns, found.st_size, str(shape), most)
    if found.st_size != len(content):  # another one has come since
        return first_rows(content, shape, most)
    known = _parts.get(where := os.path.abspath(path))
    if known is None or known[0] != stamp:
        known = _parts[where] = stamp, first_rows(content, shape, most)
    return known[1]


def first_rows(content: bytes, shape: object, most: int) -> Part | None:
    """Return how many rows of a sheet's cells `most` bytes hold, of how many, and the sheet with these rows alone.

    content: PNG or GIF, a sheet or strip of images of a shape (C, H, W). None: it is nothing like that, or not a single
    row would fit.
    """
    try:
        _, H, _ = map(int, shape)  # type: ignore[call-overload]  # whatever config.json says
        with quiet(), opened(io.BytesIO(content), ("PNG", "GIF")) as whole:
            if (found := grid(np.asarray(whole.convert("RGB")), H)) is None:
                return None
            top, rows, pitch = found
            fit = min(rows - 1, rows * most // len(content))
            while fit > 0:
                part = cut(whole, top + fit * pitch + GAP)
                if len(part) <= most:
                    return fit, rows, part
                fit = min(fit - 1, fit * most // len(part))
    except Exception:  # of no shape, or of a damaged file, which makes Pillow raise nearly anything
        return None
    return None


def grid(pixels: np.ndarray, H: int) -> tuple[int, int, int] | None:
    """Return where in a sheet's pixels (rows, columns, 3) the grid begins, how many rows of cells it has, and how high.

    Cells are H pixels high, enlarged by a whole number; above, below and between them is GAP, of one colour, and a
    strip has a BAND of numbers above it all. None: it is no such grid.
    """
    empty = (pixels == pixels[0, 0]).all(axis=(1, 2))  # (rows)
    height = len(pixels)
    for pitch in range(H + GAP, height, H) if H > 0 else ():
        for top in (0, BAND):
            rows, rest = divmod(height - top - GAP, pitch)
            gaps = top + pitch * np.arange(rows + 1)[:, None] + np.arange(GAP)  # (rows + 1, GAP)
            if rows > 0 and not rest and empty[gaps].all():
                return top, rows, pitch
    return None


def cut(whole: Image.Image, height: int) -> bytes:
    """Return the upper part of an opened PNG or GIF, as the same kind of file."""
    box = (0, 0, whole.width, height)
    if whole.format != "GIF":
        buffer = io.BytesIO()
        whole.crop(box).save(buffer, "PNG")
        return buffer.getvalue()
    frames, milliseconds = [], []
    for frame in ImageSequence.Iterator(whole):
        frames.append(np.asarray(frame.convert("RGB").crop(box)))
        if len(frames) * whole.width * height > MOST_PIXELS:
            raise ValueError("no minidraw writes as many")
        milliseconds.append(frame.info.get("duration") or 100)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "part.gif"
        write_gif(path, frames, fps=1000 / min(milliseconds), hold=milliseconds[-1] / 1000)
        return path.read_bytes()
