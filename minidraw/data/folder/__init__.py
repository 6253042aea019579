"""Anybody's images: `folder:PATH` is a folder of pictures, or a file of arrays (.npy, .npz, idx, .csv).

    --data "folder:~/icons"                     as they are if all have one small size, else shrunken
    --data "folder:~/icons?size=48x32&grey=1"   48 wide, 32 high, in grey; docs/own-images.md has all options
    --data "folder:faces.npz?key=images"        of several arrays in a file, that one

Splits and labels are taken from folders, names of arrays and labels beside idx files where they tell, otherwise a tenth
of the images is held out for validation and a tenth for testing, by a hash of their content: more images come and go
without moving others from one split to another. The images are read once and kept in the cache, as bytes, until the
folder or the file changes; `remarks` say what was decided about them.
"""

import dataclasses
import hashlib
import json
import math
from pathlib import Path

from ...errors import UserError
from ...files import is_private
from ..images import Dataset
from ..locks import alone
from ..official import stamp
from ..prepared import read_with, write
from ..summary import known_hash
from . import arrays, files, idx, listing
from .named import is_remembered, remember
from .options import LONGEST, PREFIX, Options, name_of, parse
from .pictures import Pictures, Unreadable
from .records import blocks, dataset, describe

__all__ = ["PREFIX", "is_remembered", "load"]

VERSION = 3  # of what is kept in the cache


def load(name: str, cache: Path, shape: tuple[int, int, int] | None = None) -> Dataset:
    """Return the images that `name` = "folder:PATH" or "folder:PATH?key=value&..." stands for.

    Where they are wanted for a network of `shape` (C, H, W) and the name leaves the size of pictures open, it is that.
    Raises UserError for a wrong option, no or fewer than 10 images, what cannot be read, and what may mean two things.
    """
    path, options = parse(name)
    found = listing.find(path) if path.is_dir() else None
    if not path.exists():
        raise UserError(f"there is no {path}; {PREFIX}PATH names a folder of pictures, or a file of arrays")
    source = {"version": VERSION, "options": repr(options), "files": _stamps(path, found)}
    wanted = f"{path.resolve()}?{options}".encode(errors="surrogateescape")
    target = cache / f"{hashlib.sha256(wanted).hexdigest()[:16]}.npy"
    if (cached := read_with(target, source)) is None:
        with alone(target) as turn:
            cached = read_with(target, source) if turn.waited else None  # what the other one made
            if cached is None:
                _prepare(path, found, options, target, source)
                cached = read_with(target, source)
    if cached is None:
        raise UserError(f"{path} changed while it was read, or its cache {target} did: try again")
    records, about = cached  # (n, 1 + C·H·W): a label and an image each
    data = dataset(name_of(path, options), str(path), records, about, options.binarize)
    remember(cache, data.name, known_hash(data))
    if shape and shape != data.train.shape and _only_size_differs(shape, data, options):
        return load(name_of(path, dataclasses.replace(options, size=(shape[2], shape[1]))), cache)
    return data


def _only_size_differs(shape: tuple[int, int, int], data: Dataset, options: Options) -> bool:
    """Tell whether pictures become images of `shape` by another size, where that was found and not asked for."""
    free = data.preparation is not None and options.size is None
    return free and shape[0] == data.train.shape[0] and max(shape) <= LONGEST


def _stamps(path: Path, found: listing.Listing | None) -> str:
    """Return what changes when a file does that the images are read from, or one that is told of."""
    told = [found.broken, sorted(found.others.items())] if found else []
    return hashlib.sha256(json.dumps([told, *map(stamp, _used(path, found))]).encode()).hexdigest()


def _used(path: Path, found: listing.Listing | None) -> list[Path]:
    """Return the files that the images may be read from."""
    if found is not None and found.pictures:
        return [path / name for name in found.pictures]
    if path.is_dir():
        return [file for file in sorted(path.rglob("*")) if file.is_file()]
    return idx.files(path) if idx.is_idx(path) else [path]


def _prepare(path: Path, found: listing.Listing | None, options: Options, target: Path, source: dict) -> None:
    """Read the images and write them to `target`, with what is to be known about them."""
    while True:
        images = _open(path, found, options)
        order, about = describe(images)
        row = (1 + math.prod(images.shape),)
        try:
            made, private = blocks(images, order, about, f"reading {path}"), is_private(_used(path, found))
            write(target, source, row, len(images), made, about, private)
            return
        except Unreadable as error:  # only when their pixels were needed
            if options.broken != "skip":
                raise
            left = [name for name in found.pictures if name not in error.broken]
            found = listing.Listing(left, error.broken, found.others)


def _open(path: Path, found: listing.Listing | None, options: Options) -> Pictures | arrays.Arrays:
    if found is not None and (found.pictures or found.broken):
        return Pictures(path, found, options)
    parts = files.read(path, options)
    if not parts:
        left_out = f"; it holds {found.left_out()}" if found.others else ""
        raise UserError(f"there are no pictures in {path}, by the endings of their names{left_out}")
    return arrays.Arrays(path, parts, options)
