"""Files of NumPy's, .npy and .npz: never a pickle."""

import zipfile
from pathlib import Path

import numpy as np

from ...errors import UserError, one_line, reason
from .options import PREFIX, Options
from .parts import SPLITS, Part
from .splits import split_of, words

MOST = 8 << 30  # bytes of an array in an .npz, which must be in memory at once
LABELS = {"y", "label", "labels", "target", "targets", "class", "classes", "lab"}  # what labels are called
FEWEST_PIXELS = 4  # columns of an array of flat images


def read(path: Path, options: Options) -> list[Part]:
    """Return the images in an .npy or .npz file; of several arrays those that their names or `options` tell.

    Raises UserError where the file is damaged, and where it cannot be told which array is meant.
    """
    try:
        return _read(path, options)
    except UserError:
        raise
    except MemoryError:
        raise UserError(f"{path} is too large for the memory; save it as .npy") from None
    except Exception as error:  # damaged files make NumPy raise nearly anything
        raise UserError(f"{path} cannot be read as an array: {reason(error)}") from error


def _read(path: Path, options: Options) -> list[Part]:
    with open(path, "rb") as file:
        magic = file.read(6)
    if magic == b"\x93NUMPY":
        if options.key is not None or options.labels is not None:
            raise UserError(f"key and labels are for .npz files with several arrays, but {path} is one array")
        return [Part(np.load(path, mmap_mode="r", allow_pickle=False))]
    if not magic.startswith(b"PK"):
        raise UserError(f"{path} is no .npy or .npz file: it begins {magic!r}")
    with zipfile.ZipFile(path) as archive:
        sizes = {info.filename.removesuffix(".npy"): info.file_size for info in archive.infolist()}
        shapes = {name: _shape(archive, name) for name in sizes}
    chosen = _chosen(path, shapes, options)  # split -> names of images and labels
    if size := max(
        (sizes[name] for pair in chosen.values() for name in pair if name and sizes[name] > MOST), default=0
    ):
        raise UserError(f"{path} holds an array of {size / 1e9:.1f} GB; save it as .npy, which need not be in memory")
    with np.load(path, allow_pickle=False) as archive:
        parts = [
            Part(archive[images], None if labels is None else archive[labels], split)
            for split, (images, labels) in chosen.items()
        ]
    for part in parts:
        if part.labels is not None and len(part.labels) != len(part.array):
            raise UserError(f"{path} holds {len(part.labels):,} labels for {len(part.array):,} images")
    return parts


def _chosen(path: Path, shapes: dict[str, tuple[int, ...]], options: Options) -> dict:
    """Return by split, or None, the names of the arrays of images and of their labels, which may be None."""
    held = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    unclear = UserError(
        f"{path} holds {one_line(held) or 'nothing'}; choose the images by {PREFIX}{path}?key=NAME, and labels by "
        "&labels=NAME"
    )
    for name in filter(None, (options.key, options.labels)):
        if name not in shapes:
            raise unclear
    if options.key is not None:
        return {None: (options.key, options.labels or _labels_for(options.key, shapes))}
    flat = [name for name, shape in shapes.items() if len(shape) == 2 and shape[1] >= FEWEST_PIXELS]
    images = [name for name, shape in shapes.items() if len(shape) in (3, 4)] or flat
    images = [name for name in images if not LABELS & {*words(name)}] or images or list(shapes)
    by_split = {split_of(name): name for name in images}
    if len(by_split) < len(images) or not images or (len(images) > 1 and not {"train"} <= {*by_split} <= {*SPLITS}):
        raise unclear
    return {split: (name, options.labels or _labels_for(name, shapes)) for split, name in by_split.items()}


def _labels_for(images: str, shapes: dict[str, tuple[int, ...]]) -> str | None:
    """Return the one array that is called like labels, is of the same split, and has as many rows as the images."""
    split, n = split_of(images), shapes[images][:1]
    fitting = [
        name
        for name, shape in shapes.items()
        if name != images and LABELS & {*words(name)} and split_of(name) == split and shape[:1] == n and len(shape) < 3
    ]
    return fitting[0] if len(fitting) == 1 else None


def _shape(archive: zipfile.ZipFile, name: str) -> tuple[int, ...]:
    """Return the shape of an array in an .npz from its header; () for what is no array."""
    member = name + ".npy"
    if member not in archive.namelist():
        return ()
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        return header(file)[0]
