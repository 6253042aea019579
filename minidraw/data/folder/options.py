"""What stands behind the question mark of `folder:PATH?key=value&...`."""

import dataclasses
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import UserError, unknown

PREFIX = "folder:"
LONGEST = 1024  # pixels, a side that may be asked for


@dataclass(frozen=True)
class Options:
    """How images are to be read; what is None is found out from them."""

    size: tuple[int, int] | None = None  # (width, height) in pixels
    fit: str | None = None  # what becomes of pictures of another aspect: FITS
    grey: bool | None = None  # or in colour
    ground: str | None = None  # what lies behind transparent pixels: GROUNDS
    white: float | None = None  # the value that is white, where not every value of its type can occur
    black: float | None = None  # the value that is black
    binarize: bool = False  # black and white only
    frames: str | None = None  # of moving pictures: first, or all
    broken: str | None = None  # skip: go on without pictures that cannot be read
    splits: bool | None = None  # are folders called train and test splits? Else they are classes like others
    axes: str | None = None  # of an array: n images, h rows, w columns, c channels in their order
    key: str | None = None  # the images in an .npz
    labels: str | None = None  # the labels in an .npz

    def text(self) -> str:
        """Return the options as `parse` reads them, "" where there are none.

        >>> Options((8, 9), grey=True, white=0.1).text(), Options().text()
        ('?size=8x9&grey=1&white=0.1', '')
        """
        given = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value != field.default:
                number = isinstance(value, bool | float) and value == int(value)
                words = "x".join(map(str, value)) if isinstance(value, tuple) else str(int(value) if number else value)
                given.append(f"{field.name}={words}")
        return "?" + "&".join(given) if given else ""

    def again(self, path: Path | str, more: str = "", **changes) -> str:
        """Return what to write for --data to have some options changed, and more given, as a shell takes it."""
        name = name_of(path, dataclasses.replace(self, **changes))
        return shlex.quote(name + (("&" if "?" in name else "?") + more if more else ""))


GROUNDS = ("white", "black", "grey")
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
        if key in values:
            raise UserError(f"{key} is given twice in {name}")
        values[key] = read_option(key, value)
    options = Options(**values)
    if options.white is not None and options.white == (options.black or 0.0):
        raise UserError(f"white and black are the same value in {name}")
    return Path(os.path.abspath(os.path.expanduser(where))), options


def name_of(path: Path | str, options: Options) -> str:
    """Return the name of a data set, with an absolute path: a run may be gone on with from another folder.

    >>> name_of(*parse("folder:/a/../b?grey=0&size=8"))
    'folder:/b?size=8x8&grey=0'
    """
    return f"{PREFIX}{path}{options.text()}"


def read_option(key: str, value: str) -> Any:
    """Return the value of the option `key` from its text. Raises UserError for nonsense."""
    return _PARSERS[key](key, value)


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
    "ground": _one_of(*GROUNDS),
    "white": _number,
    "black": _number,
    "binarize": _switch,
    "frames": _one_of("first", "all"),
    "broken": _one_of("skip"),
    "splits": _switch,
    "axes": _axes,
    "key": _text,
    "labels": _text,
}
