"""Files of arrays of images, alone or together in a folder: .npy and .npz, idx, text; never a pickle."""

from dataclasses import replace
from pathlib import Path

from ...errors import UserError
from . import idx, numpy_files, tables
from .listing import HINTS, SHOWN
from .options import Options
from .parts import Part
from .splits import split_of

ARRAYS, TABLES = (".npy", ".npz"), (".csv", ".tsv", ".txt")
PACKED = (".csv", ".tsv", ".csv.gz", ".tsv.gz")


def read(path: Path, options: Options) -> list[Part]:
    """Return what lies in a file, found out by its content, or in the files of a folder without pictures."""
    if path.is_dir():
        return _read_folder(path, options)
    if not path.is_file():
        raise UserError(f"{path} is no file; save what comes out of it as one first")
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(ARRAYS) and not path.name.lower().endswith(".gz"):
        return numpy_files.read(path, options)
    for given in ("key", "labels"):
        if getattr(options, given) is not None:
            raise UserError(f"{given} is for .npz files, not for {path}")
    if idx.is_idx(path):
        return idx.read(path)
    if name.endswith(TABLES):
        return tables.read(path)
    hint = HINTS.get(path.suffix.lower(), "of pictures name the folder; save other images as .npy")
    raise UserError(f"{path} is neither a folder of pictures nor a file of arrays, .npy, .npz, idx or .csv ({hint})")


def _read_folder(path: Path, options: Options) -> list[Part]:
    """Return the images of the files in a folder: a set in idx files, a file for each split, or one for each class."""
    every = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
    files = [file for file in every if file.parent == path and file.name.lower().endswith((*ARRAYS, *PACKED))]
    if found := idx.find(path):
        used = idx.files(found[0])
        if others := [file for file in found if file not in used]:
            ways = " or ".join(options.again(file) for file in (found[0], others[0]))
            raise UserError(f"{path} holds several sets: name one of them, {ways}")
        parts = idx.read(found[0])
    elif files and all(file.suffix.lower() == ".npy" for file in files):
        used = files
        parts = numpy_files.read_several(path, files, options) if len(files) > 1 else read(files[0], options)
    elif len(files) == 1:
        used, parts = files, read(files[0], options)
    elif files:
        used, parts = _read_splits(path, files, options)
    elif inside := next((place for place in dict.fromkeys(file.parent for file in every) if idx.find(place)), None):
        raise UserError(f"{path} holds files of images further below: name {options.again(inside)}")
    else:
        return []
    if left := [str(file.relative_to(path)) for file in every if file not in used]:
        more = f" and {len(left) - SHOWN:,} more" if len(left) > SHOWN else ""
        note = f"left out: {', '.join(left[:SHOWN])}{more}"
        parts = [replace(parts[0], note="; ".join(filter(None, (parts[0].note, note)))), *parts[1:]]
    return parts


def _read_splits(path: Path, files: list[Path], options: Options) -> tuple[list[Path], list[Part]]:
    """Return the files that are called like splits, and what lies in them."""
    by_split: dict[str, list[Path]] = {}
    for file in files:
        by_split.setdefault(split_of(file.name.partition(".")[0]) or "", []).append(file)
    by_split.pop("", None)
    one = UserError(
        f"{path} holds {len(files)} files of arrays: name one of them, for example {options.again(files[0])}"
    )
    if "train" not in by_split or any(len(found) > 1 for found in by_split.values()):
        raise one
    parts = [(split, part) for split, (file,) in by_split.items() for part in read(file, options)]
    if any(part.split for _, part in parts):
        raise one
    return [file for (file,) in by_split.values()], [replace(part, split=split) for split, part in parts]
