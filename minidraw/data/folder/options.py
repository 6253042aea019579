"""What stands behind the question mark of `folder:PATH?key=value&...`."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from ...errors import UserError, unknown

PREFIX = "folder:"
LONGEST = 1024  # pixels, a side that may be asked for


@dataclass(frozen=True)
class Options:
    """How images are to be read; what is None is found out from them."""

    size: tuple[int, int] | None = None  # (width, height) in pixels
    fit: str | None = None  # what becomes of pictures of another aspect: FITS
    grey: bool | None = None  # or in colour
    ground: str | None = None  # what lies behind transparent pixels: white or black
    white: float | None = None  # the value that is white, where not every value of its type can occur
    black: float | None = None  # the value that is black
    binarize: bool = False  # black and white only
    frames: str | None = None  # of moving pictures: first, or all
    broken: str | None = None  # skip: go on without pictures that cannot be read
    axes: str | None = None  # of an array: n images, h rows, w columns, c channels in their order
    key: str | None = None  # the images in an .npz
    labels: str | None = None  # the labels in an .npz


FITS = ("crop", "pad", "stretch")  # the largest central part; all of it, on the colour of its border; out of its shape


def parse(name: str) -> tuple[Path, Options]:
    """Return the absolute path and the options in "folder:PATH?key=value&...". Raises UserError for nonsense."""
    text = name.removeprefix(PREFIX).replace("\0", "")  # no name holds that, and it makes os raise ValueError
    where, mark, given = text.rpartition("?")
    if not mark or os.path.exists(os.path.expanduser(text)):  # a question mark may be part of a name
        where, given = text, ""
    if not where:
        raise UserError(f"{name!r} names no folder: {PREFIX}PATH, or {PREFIX}PATH?size=32&grey=1&binarize=1")
    values: dict = {}
    for part in filter(None, given.split("&")):
        key, _, value = part.partition("=")
        if key not in _PARSERS:
            raise unknown(f"option of {PREFIX}PATH", key, _PARSERS)
        values[key] = _PARSERS[key](key, value)
    return Path(os.path.abspath(os.path.expanduser(where))), Options(**values)


def full_name(name: str) -> str:
    """Return "folder:PATH?..." with an absolute path: what a run records, as it may be read from another folder.

    >>> full_name("folder:/a/../b?size=8")
    'folder:/b?size=8'
    """
    path, options = parse(name)
    given = name[name.rindex("?") :] if options != Options() else ""
    return f"{PREFIX}{path}{given}"


def _size(key: str, value: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,4})(?:x([0-9]{1,4}))?", value)
    width, height = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not (1 <= width <= LONGEST and 1 <= height <= LONGEST):
        raise UserError(f"{key} takes a number of pixels up to {LONGEST}, or WIDTHxHEIGHT, not {value!r}")
    return width, height


def _switch(key: str, value: str) -> bool:
    if value not in ("0", "1"):
        raise UserError(f"{key} takes 0 or 1, not {value!r}")
    return value == "1"


def _number(key: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not abs(number) < 1e30:  # also where it is NaN
        raise UserError(f"{key} takes a number, not {value!r}")
    return number


def _axes(key: str, value: str) -> str:
    if sorted(value) not in (sorted("nhw"), sorted("nhwc")):
        raise UserError(f"{key} takes the letters n, h, w and, of images with channels, c in the array's order: nhwc")
    return value


def _text(key: str, value: str) -> str:
    if not value:
        raise UserError(f"{key} takes a name")
    return value


def _one_of(*words: str):
    def parse(key: str, value: str) -> str:
        if value not in words:
            raise UserError(f"{key} takes {' or '.join(words)}, not {value!r}")
        return value

    return parse


_PARSERS = {
    "size": _size,
    "fit": _one_of(*FITS),
    "grey": _switch,
    "ground": _one_of("white", "black"),
    "white": _number,
    "black": _number,
    "binarize": _switch,
    "frames": _one_of("first", "all"),
    "broken": _one_of("skip"),
    "axes": _axes,
    "key": _text,
    "labels": _text,
}
