"""Files of NumPy's, .npy and .npz: never a pickle."""

import contextlib
import io
import math
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np

from ...errors import UserError, one_line, reason
from .options import Options
from .parts import SPLITS, Part, room
from .splits import speaks_of_splits, split_of, words

MOST = 8 << 30  # bytes of an array in an .npz, which must be in memory at once
LONGEST_HEADER = 1 << 16  # bytes
LABELS = {"y", "label", "labels", "target", "targets", "class", "classes", "lab"}  # what labels are called
FEWEST_PIXELS = 4  # columns of an array of flat images
MANY = 10  # arrays of one size, which are rather pictures than classes


def read(path: Path, options: Options) -> list[Part]:
    """Return the images in an .npy or .npz file; of several arrays those that their names or `options` tell.

    Raises UserError where the file is damaged, and where it cannot be told which array is meant.
    """
    with _refusal(path):
        return _read(path, options)


@contextlib.contextmanager
def _refusal(path: Path) -> Iterator[None]:
    """Turn what goes wrong with a file of NumPy's into a UserError."""
    try:
        yield
    except UserError:
        raise
    except MemoryError:
        raise UserError(f"{path} is too large for the memory; save it as .npy") from None
    except Exception as error:  # damaged files make NumPy raise nearly anything
        objects = "pickle" in str(error) or "objects" in str(error)
        why = "it holds Python objects, which are never loaded" if objects else reason(error)
        raise UserError(f"{path} cannot be read as an array: {why}; save its images again, as numbers") from error


def _read(path: Path, options: Options) -> list[Part]:
    with open(path, "rb") as file:
        magic = file.read(6)
    if magic == b"\x93NUMPY":
        if options.key is not None or options.labels is not None:
            raise UserError(f"key and labels are for .npz files with several arrays, but {path} is one array")
        with open(path, "rb") as file:
            _header(file)
        return [Part(np.load(path, mmap_mode="r", allow_pickle=False))]
    if not magic.startswith(b"PK"):
        raise UserError(f"{path} is no .npy or .npz file: it begins {magic!r}")
    with zipfile.ZipFile(path) as archive:
        if not {info.compress_type for info in archive.infolist()} <= {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise UserError(f"{path} is packed in a way that NumPy does not use; save it again, by np.savez")
        sizes = {info.filename.removesuffix(".npy"): info.file_size for info in archive.infolist()}
        heads = {name: _head(archive, name) for name in sizes}
    shapes = {name: shape for name, (shape, _) in heads.items()}
    chosen = _chosen(path, shapes, options)  # split -> names of images and labels
    used = sorted({name for pair in chosen.values() for name in pair if name})
    for name in used:
        if heads[name][1] > sizes[name]:  # or a few lying bytes would take gigabytes
            raise UserError(f"{path} holds {name} {shapes[name]} by its header, but {sizes[name]} bytes; save it again")
    if (total := sum(sizes[name] for name in used)) > room(path):
        raise UserError(f"{path} would be {total / 1e9:.1f} GB when unpacked, too much for its size; save it as .npy")
    if (largest := max(sizes[name] for name in used)) > MOST:
        raise UserError(
            f"{path} holds an array of {largest / 1e9:.1f} GB; save it as .npy, which need not be in memory"
        )
    with np.load(path, allow_pickle=False) as archive:
        return _parts(path, chosen, shapes, lambda name: archive[f"{name}.npy"])  # `name` may be another member


def read_several(path: Path, files: list[Path], options: Options) -> list[Part]:
    """Return the images in the .npy files of a folder: named like the arrays of an .npz, or a file for each class."""
    found = {file.stem: read(file, Options())[0].array for file in files}
    shapes = {name: array.shape for name, array in found.items()}
    called = sum(speaks_of_splits(name) for name in found)  # one may be a class: a train can be drawn
    if options.key or options.labels or called > 1 or any(LABELS & {*words(name)} for name in found):
        chosen = _chosen(path, shapes, options)
        left = set(found) - {name for pair in chosen.values() for name in pair}
        if left and not options.key:
            raise UserError(
                f"{path} holds {', '.join(sorted(left)[:3])} besides: move what is not to be used elsewhere"
            )
        return _parts(path, chosen, shapes, found.__getitem__)
    if any(len(shape) < 2 for shape in shapes.values()):
        raise UserError(f"{path} holds arrays that are no images: name the file of the images")
    if (
        len(found) >= MANY
        and len({*shapes.values()}) == 1
        and not options.size
        and len(next(iter(shapes.values()))) == 2
    ):
        rows = options.again(path, "size=WIDTHxHEIGHT")
        raise UserError(
            f"{path} holds {len(found)} arrays {shapes[files[0].stem]}: one picture each? Stack them; else {rows}"
        )
    note = f"each of {len(found):,} files is taken as a class: {', '.join(list(found)[:5])}"
    parts = [Part(array, np.full(len(array), name)) for name, array in found.items()]
    return [replace(parts[0], note=note), *parts[1:]]


def _parts(path: Path, chosen: dict, shapes: dict[str, tuple[int, ...]], get: Callable) -> list[Part]:
    """Return the arrays that were chosen, and a note on the others."""
    used = {name for pair in chosen.values() for name in pair}
    unused = [f"{name} {shape}" for name, shape in shapes.items() if name not in used and shape]
    note = f"arrays that are not used: {one_line(', '.join(unused))} (key=NAME, labels=NAME)" if unused else ""
    parts = [
        Part(get(images), None if labels is None else get(labels), split) for split, (images, labels) in chosen.items()
    ]
    for part in parts:
        if part.labels is not None and len(part.labels) != len(part.array):
            raise UserError(f"{path} holds {len(part.labels):,} labels for {len(part.array):,} images")
    return [replace(parts[0], note=note), *parts[1:]]


def _chosen(path: Path, shapes: dict[str, tuple[int, ...]], options: Options) -> dict:
    """Return by split, or None, the names of the arrays of images and of their labels, which may be None."""
    held = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    way = options.again(path, "key=NAME&labels=NAME", key=None, labels=None)
    unclear = UserError(f"{path} holds {one_line(held) or 'nothing'}; choose the images, and labels if any, by {way}")
    for name in filter(None, (options.key, options.labels)):
        if name not in shapes:
            raise unclear
    if options.key is not None:
        return {None: (options.key, options.labels or _labels_for(path, options.key, shapes))}
    flat = [name for name, shape in shapes.items() if len(shape) == 2 and shape[1] >= FEWEST_PIXELS]
    images = [name for name, shape in shapes.items() if len(shape) in (3, 4)] or flat
    images = [name for name in images if not LABELS & {*words(name)}] or list(shapes)
    by_split = {split_of(name): name for name in images}
    if len(by_split) < len(images) or not images or (len(images) > 1 and not {"train"} <= {*by_split} <= {*SPLITS}):
        raise unclear
    if options.labels and len(by_split) > 1:
        raise UserError(f"labels={options.labels} would be those of {len(by_split)} splits: choose one by key=NAME too")
    return {split: (name, options.labels or _labels_for(path, name, shapes)) for split, name in by_split.items()}


def _labels_for(path: Path, images: str, shapes: dict[str, tuple[int, ...]]) -> str | None:
    """Return the one array that is called like labels and is of the same split. Raises UserError for another count."""
    called = [
        name
        for name, shape in shapes.items()
        if name != images and LABELS & {*words(name)} and split_of(name) == split_of(images) and 0 < len(shape) < 3
    ]
    if len(called) == 1 and shapes[called[0]][0] != shapes[images][0]:
        raise UserError(
            f"{path} holds {called[0]} {shapes[called[0]]} for {images} {shapes[images]}: of another length"
        )
    return called[0] if len(called) == 1 else None


def _head(archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], int]:
    """Return the shape and the bytes of an array in an .npz from its header; ((), 0) for what is no array."""
    member = name + ".npy"
    if member not in archive.namelist():
        return (), 0
    with archive.open(member) as file:
        return _header(file)


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], int]:
    """Return the shape of an array in .npy form, and how many bytes it has, the header, which is short, included."""
    head = io.BytesIO(file.read(LONGEST_HEADER))
    version = np.lib.format.read_magic(head)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(head)
    return shape, head.tell() + math.prod(shape) * dtype.itemsize
