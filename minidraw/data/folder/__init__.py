"""Anybody's images: `folder:PATH` is a folder of pictures, or a file of arrays (.npy, .npz, idx, .csv).

    --data "folder:~/icons"                     as they are if all have one size of at most 128 pixels, else shrunken
    --data "folder:~/icons?size=48x32&grey=1"   48 wide, 32 high, in grey; docs/own-images.md has all options
    --data "folder:faces.npz?key=images"        of several arrays in a file, that one

Splits and labels are taken from folders, names of arrays and labels beside idx files where they tell, otherwise a tenth
of the images is held out for validation and a tenth for testing, by a hash of their content: more images come and go
without moving others from one split to another. The images are read once and kept in the cache, as bytes, until the
folder or the file changes; `remarks` say what was decided about them.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...errors import UserError
from ..images import Dataset, Images
from ..official import stamp
from ..prepared import progress, read_with, write
from . import arrays, files, idx, listing
from .options import PREFIX, Options, name_of, parse
from .parts import SPLITS
from .pictures import Pictures, Unreadable
from .splits import NONE, assign

__all__ = ["PREFIX", "load"]

FEWEST = 10  # images
BLOCK = 256  # images written at once
DARK = 64  # of 255: images of which no pixel is as bright are probably of another scale
VERSION = 2  # of what is kept in the cache


def load(name: str, cache: Path) -> Dataset:
    """Return the images that `name` = "folder:PATH" or "folder:PATH?key=value&..." stands for.

    Raises UserError for a wrong option, no or fewer than 10 images, what cannot be read, and what may mean two things.
    """
    path, options = parse(name)
    found = listing.find(path) if path.is_dir() else None
    if not path.exists():
        raise UserError(f"there is no {path}; {PREFIX}PATH names a folder of pictures, or a file of arrays")
    source = {"version": VERSION, "options": repr(options), "files": _stamps(path, found)}
    wanted = f"{path.resolve()}?{options}".encode()
    target = cache / f"{hashlib.sha256(wanted).hexdigest()[:16]}.npy"
    if (cached := read_with(target, source)) is None:
        _prepare(path, found, options, target, source)
        cached = read_with(target, source)
    if cached is None:
        raise UserError(f"{path} changed while it was read, or its cache {target} did: try again")
    records, about = cached  # (n, 1 + C·H·W): a label and an image each
    C, H, W = shape = tuple(about["shape"])
    bounds = np.cumsum(about["counts"])[:-1]
    train, valid, test = (
        Images(part[:, 1:].reshape(-1, *shape), np.array(part[:, 0]) if labelled else None)
        for part, labelled in zip(np.split(records, bounds), about["labelled"], strict=True)
    )
    note = f"{len(records):,} images of {path}, {W} x {H} pixels, channels: {C}" + ", 0 or 1" * options.binarize
    return Dataset(
        name_of(path, options),
        train,
        valid,
        test,
        note,
        classes=tuple(about["classes"]) or None,
        remarks=tuple(about["remarks"]),
        identity=about["identity"],
        preparation=about["preparation"],
    )


def _stamps(path: Path, found: listing.Listing | None) -> str:
    """Return what changes when a file does that the images are read from, or one that is told of."""
    if found is not None and found.pictures:
        used = [path / name for name in found.pictures]
    elif path.is_dir():
        used = [file for file in sorted(path.rglob("*")) if file.is_file()]
    else:
        used = idx.files(path) if idx.is_idx(path) else [path]
    told = [found.broken, sorted(found.others.items())] if found else []
    return hashlib.sha256(json.dumps([told, *map(stamp, used)]).encode()).hexdigest()


def _prepare(path: Path, found: listing.Listing | None, options: Options, target: Path, source: dict) -> None:
    """Read the images and write them to `target`, with what is to be known about them."""
    while True:
        images = _open(path, found, options)
        if len(images) < FEWEST:
            why = f" ({'; '.join(images.remarks)})" if images.remarks else ""
            raise UserError(f"{path} holds {len(images)} images; a data set needs {FEWEST} or more{why}")
        split, made = assign(images.keys, images.given)
        if empty := [name for k, name in enumerate(SPLITS) if not (split == k).any()]:
            raise UserError(
                f"{path} holds no images for {' and '.join(empty)}, nor enough training images to hold some out"
            )
        order = np.lexsort((images.keys, split))
        labels = images.labels
        labelled = [bool((labels[split == k] != NONE).all()) and images.classes is not None for k in range(len(SPLITS))]
        about = {
            "shape": images.shape,
            "counts": np.bincount(split, minlength=len(SPLITS)).tolist(),
            "classes": images.classes or (),
            "labelled": labelled,
            "remarks": [*images.remarks, *_told(images, split, made)],
            "identity": _identity(images, split, labels),
            "preparation": images.preparation and images.preparation.as_dict(),
        }
        row = (1 + int(np.prod(images.shape)),)
        try:
            write(target, source, row, len(images), _blocks(images, order, labels, about), about)
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


def _told(images: Pictures | arrays.Arrays, split: np.ndarray, made: list[str]) -> list[str]:
    """Return remarks on the splits: where they are from, and what is held out that is trained on too, or never."""
    told, train = [], split == SPLITS.index("train")
    if len(made) < 2:
        more = f"; for {made[0]} a tenth of the training images, by a hash of their content" if made else ""
        told.append(f"splits: as they were found{more}")
    trained = {key for key, of in zip(images.keys, train, strict=True) if of}
    if both := sum(key in trained for key, of in zip(images.keys, train, strict=True) if not of):
        told.append(f"warning: {both:,} held-out images are exact copies of training images")
    if images.classes:
        never = sorted({*images.labels[~train]} - {*images.labels[train]} - {NONE})
        names = ", ".join(images.classes[k] for k in never[:5])
        told += [f"warning: no training images of {len(never)} classes that are held out: {names}"] if never else []
    return told


def _identity(images: Pictures | arrays.Arrays, split: np.ndarray, labels: np.ndarray) -> str:
    """Return a hash of the content of all files and of what was made of it, however it was asked for."""
    each = sorted(key + bytes(place) for key, place in zip(images.keys, zip(split, labels, strict=True), strict=True))
    made = f"{images.shape} {images.decided} {images.classes}"
    return hashlib.sha256(b"".join(each) + made.encode()).hexdigest()


def _blocks(
    images: Pictures | arrays.Arrays, order: np.ndarray, labels: np.ndarray, about: dict
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield labels and images, (k, 1 + C·H·W), in that order; enter in `about` where they are nearly black."""
    brightest = 0
    with progress(len(order), f"reading {images.path}") as bar:
        for start in range(0, len(order), BLOCK):
            chosen = order[start : start + BLOCK]
            pixels = images.take(chosen).reshape(len(chosen), -1)  # (k, C·H·W)
            yield start, np.concatenate([labels[chosen, None], pixels], axis=1)
            brightest = max(brightest, int(pixels.max()))
            bar.update(len(chosen))
    images.finish()
    if 0 < brightest < DARK:
        about["remarks"].append(
            f"warning: the brightest of all pixels is {brightest} of 255; is it white? white={brightest}"
        )
