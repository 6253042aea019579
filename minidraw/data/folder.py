"""Anybody's images: `folder:PATH` is a folder of pictures, `folder:FILE.npy` or `.npz` an array of images.

    --data "folder:~/icons"                      as they are if all have one size of at most 128 pixels, else 64 x 64
    --data "folder:~/icons?size=48x32&grey=1"    48 wide, 32 high; grey=0: in colour; binarize=1: black and white only
    --data "folder:faces.npz?key=images"         uint8 or floats in [0, 1]: (n, H, W), (n, H, W, C) or (n, C, H, W)

The images are shuffled, always in the same way; the first eight tenths are for training, then one for validation, one
for testing. They are read once and kept in the cache, as bytes, until the folder or the file changes.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import UserError, unknown
from . import folder_arrays, folder_pictures
from .images import Dataset, Images
from .official import stamp
from .prepared import progress, read, write

PREFIX = "folder:"
FEWEST = 10  # images
LONGEST = 1024  # pixels, a side that may be asked for
BLOCK = 256  # images written at once
VERSION = 1  # of what is kept in the cache


@dataclass(frozen=True)
class Options:
    """What is behind the question mark: the size (width, height), grey or colour, black and white, a key of an .npz."""

    size: tuple[int, int] | None = None
    grey: bool | None = None
    binarize: bool = False
    key: str | None = None


def load(name: str, cache: Path) -> Dataset:
    """Return the images that `name` = "folder:PATH" or "folder:PATH?key=value&..." stands for, without labels.

    Raises UserError for a wrong option, no or fewer than 10 images, and what cannot be read as pictures or as an array.
    """
    path, options = parse(name)
    source = {"version": VERSION, "options": repr(options)}
    if path.is_dir():
        pictures = folder_pictures.find(path)
        listing = json.dumps([stamp(path / picture) for picture in pictures])
        source |= {"folder": hashlib.sha256(listing.encode()).hexdigest()}
    elif path.suffix.lower() in (".npy", ".npz") and path.is_file():
        pictures = None
        source |= {"file": stamp(path)}
    else:
        raise UserError(f"{path} is neither a folder of pictures nor an .npy or .npz file")
    wanted = f"{path.resolve()}?{options}".encode()
    target = cache / f"{hashlib.sha256(wanted).hexdigest()[:16]}.npy"
    array = read(target, source)  # (n, C, H, W), in shuffled order
    if array is None:
        images = (
            folder_arrays.Array(path, options)
            if pictures is None
            else folder_pictures.Pictures(path, pictures, options)
        )
        if len(images) < FEWEST:
            raise UserError(f"{path} holds {len(images)} images; a data set needs {FEWEST} or more")
        write(target, source, images.shape, len(images), _blocks(images, options))
        array = read(target, source)
    tenth = len(array) // 10
    pieces = np.split(array, [len(array) - 2 * tenth, len(array) - tenth])
    train, valid, test = (Images(piece) for piece in pieces)
    C, H, W = array.shape[1:]
    note = f"{len(array):,} images of {path}, {W} x {H} pixels, channels: {C}" + ", 0 or 1" * options.binarize
    return Dataset(name, train, valid, test, note)


def parse(name: str) -> tuple[Path, Options]:
    """Return the path and the options in "folder:PATH?key=value&...". Raises UserError where they make no sense."""
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
    return Path(os.path.expanduser(where)), Options(**values)


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


def _text(key: str, value: str) -> str:
    return value


_PARSERS = {"size": _size, "grey": _switch, "binarize": _switch, "key": _text}


def _blocks(images, options: Options) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the images, uint8, in an order that depends on their number alone."""
    order = np.random.default_rng(0).permutation(len(images))
    with progress(len(images), f"reading {images.path}") as bar:
        for start in range(0, len(images), BLOCK):
            block = images.take(order[start : start + BLOCK])  # (k, C, H, W)
            yield start, np.where(block < 128, np.uint8(0), np.uint8(255)) if options.binarize else block
            bar.update(len(block))
