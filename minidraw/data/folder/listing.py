"""Which files of a folder are pictures, what they are called by the folders they lie in, and what is left out."""

import contextlib
import importlib
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from ...errors import UserError
from .opening import formats
from .parts import SPLITS
from .splits import besides, is_neutral, is_split, speaks_of_splits, split_of

HINTS = {  # what to do about a file that is no picture as it is, by the ending of its name
    **dict.fromkeys((".heic", ".heif"), "pip install pillow-heif"),
    ".avif": "a newer Pillow reads it",
    ".jxl": "save as .png",
    **dict.fromkeys((".svg", ".eps", ".ps", ".wmf", ".emf", ".pdf", ".ai"), "no pixels: save as .png"),
    **dict.fromkeys((".psd", ".icns", ".cur", ".dds", ".pcx", ".sgi", ".ras", ".fits", ".xpm"), "save as .png"),
    **dict.fromkeys((".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2"), "a camera's own: save as .jpg"),
    **dict.fromkeys((".mp4", ".mov", ".avi", ".mkv", ".webm"), "a film: save its frames as pictures"),
    **dict.fromkeys((".zip", ".tar", ".tgz", ".rar", ".7z"), "unpack it"),
    **dict.fromkeys((".npy", ".npz"), "beside pictures: name the file itself"),
    ".csv": "a table: name the file itself if it holds pixels",
    **dict.fromkeys((".mat", ".h5", ".hdf5", ".pkl", ".parquet", ".dcm", ".exr", ".tfrecord"), "save as .npy or .png"),
}
SHOWN, MANY = 3, 10  # names of files in a message, and of classes
UNLABELLED = "a split with such has no labels"


@dataclass
class Listing:
    """The pictures below a folder, sorted; those that cannot be read, and why; and other files, by their kind."""

    pictures: list[str]
    broken: dict[str, str] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)

    def left_out(self) -> str:
        """Return in words what was left out; "" where that is nothing."""
        parts = [f"{count:,} {kind}" for kind, count in self.others.most_common(MANY)]
        if more := sum(count for _, count in self.others.most_common()[MANY:]):
            parts.append(f"{more:,} of other kinds")
        if self.broken:
            parts.append(f"{len(self.broken):,} that cannot be read: {named(self.broken)}")
        return ", ".join(parts)


def named(broken: dict[str, str]) -> str:
    """Return the first of the files that cannot be read, with the reasons, in words."""
    shown = [f"{name} ({why})" for name, why in list(broken.items())[:SHOWN]]
    more = len(broken) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")


def find(folder: Path) -> Listing:
    """Return what there is in `folder` and below it, by the endings of names; hidden files do not count.

    Linked folders are gone into, each place once.
    """
    with contextlib.suppress(ImportError):  # whoever has it wants it
        importlib.import_module("pillow_heif").register_heif_opener()
    known = formats()
    endings = {ending for ending, kind in Image.registered_extensions().items() if kind in known}
    found, seen = Listing([]), {os.path.realpath(folder)}

    def unreadable(error: OSError) -> None:
        if Path(error.filename) == folder:
            raise UserError(f"cannot read {folder}: {error.strerror}")
        found.others[f"folder that cannot be read: {Path(error.filename).relative_to(folder)}"] += 1

    for where, folders, names in os.walk(folder, onerror=unreadable, followlinks=True):
        if {"config.json", "checkpoint.npz"} <= {*names}:  # its pictures are drawings
            found.others["folder of a run of minidraw"] += 1
            folders.clear()
            continue
        folders[:] = [name for name in sorted(folders) if not name.startswith(".") and name != "__MACOSX"]
        again = [name for name in folders if not _is_new(where, name, seen)]
        found.others.update(f"folder met before: {Path(where, name).relative_to(folder)}" for name in again)
        folders[:] = [name for name in folders if name not in again]
        for name in names:
            path = Path(where, name)
            ending = path.suffix.lower()
            if name.startswith(".") or name.lower() in ("thumbs.db", "desktop.ini"):
                continue
            if ending in endings and path.is_file():
                found.pictures.append(path.relative_to(folder).as_posix())
            elif ending in endings and path.is_symlink():
                found.broken[path.relative_to(folder).as_posix()] = "a link to nothing, or to no file"
            else:
                hint = f" ({HINTS[ending]})" if ending in HINTS else ""
                found.others[f"{ending or 'without an ending'}{hint}"] += 1
    found.pictures.sort()
    return found


def _is_new(where: str, name: str, seen: set[str]) -> bool:
    """Tell whether a folder is met for the first time: links can lead in circles."""
    place = os.path.realpath(os.path.join(where, name))
    new = place not in seen
    seen.add(place)
    return new


@dataclass
class Told:
    """What folders tell of their pictures: splits, indices of SPLITS or -1, (n,), and classes, None for some."""

    splits: np.ndarray
    classes: list[str | None]
    remarks: list[str]


def told_by_folders(names: list[str], splits: bool | None) -> Told:
    """Return what the folders tell that pictures lie in; `splits` says whether some are splits, None to find it out.

    A folder that holds all the others tells nothing. Where all of them lie in folders called like splits, those are the
    splits; below that the uppermost folders are the classes. Raises UserError where only some are called like splits.
    """
    parts, remarks = _without_common([PurePosixPath(name).parts for name in names]), []
    given = np.full(len(names), -1)
    tops = sorted({path[0] if len(path) > 1 else "" for path in parts})
    if splits is not False:
        _refuse_deeper(parts)
        if called := called_like_splits(tops):
            of_each = [called[path[0]] for path in parts]
            given = np.array([SPLITS.index(split) for split in of_each])
            remarks.append(f"splits by folders: {', '.join(f'{top} is {called[top]}' for top in tops)}")
            for split in {*of_each}:
                inside = [k for k, other in enumerate(of_each) if other == split]
                below = _without_common([parts[k][1:] for k in inside], lambda name: name in tops or is_neutral(name))
                for k, path in zip(inside, below, strict=True):
                    parts[k] = path
    classes: list[str | None] = [path[0] if len(path) > 1 else None for path in parts]
    found = {name for name in classes if name is not None}
    strays = [name for name, of in zip(names, classes, strict=True) if of is None]
    if len(found) < 2:
        if found and strays:
            remarks.append(f"no labels: but one folder, {', '.join(found)}, beside {len(strays):,} pictures in none")
        classes = [None] * len(names)
    else:
        deeper = " (folders below them do not count)" if any(len(path) > 2 for path in parts) else ""
        more = f", ... {len(found):,} in all" if len(found) > MANY else ""
        remarks.append(f"classes by folders: {', '.join(sorted(found)[:MANY])}{more}{deeper}")
        if strays:
            remarks.append(f"{len(strays):,} pictures lie in no folder of a class, {strays[0]} for one: {UNLABELLED}")
    return Told(given, classes, remarks)


def _without_common(paths: list[tuple[str, ...]], only: Callable[[str], bool] = bool) -> list[tuple[str, ...]]:
    """Return paths without the folders at their beginning that all have in common, and whose names are `only` such."""
    while all(len(path) > 1 for path in paths) and len({path[0] for path in paths}) == 1 and only(paths[0][0]):
        paths = [path[1:] for path in paths]
    return paths


def called_like_splits(tops: list[str]) -> dict[str, str]:
    """Return which splits the folders are, "" standing for no folder; nothing where none is called like a split.

    They are splits if their names say no more than that, or if they say besides all the same: seg_train, seg_test.
    Raises UserError where some folders are called like splits, but not all of them like one of their own.
    """
    if not any(speaks_of_splits(top) for top in tops):
        return {}
    called = {top: is_split(top) for top in tops}
    if None in called.values() and len({besides(top) for top in tops}) == 1:
        called = {top: split_of(top) for top in tops}
    if len({*called.values()} - {None}) == len(tops) and "train" in called.values():
        return {top: split for top, split in called.items() if split}
    one = next(top for top in tops if speaks_of_splits(top))
    others = [top or "the pictures beside them" for top in tops if top != one]
    what = (
        f"what is {', '.join(others[:3])}" if None in called.values() or "train" in called.values() else "none is train"
    )
    raise UserError(
        f"the folder {one} is called like a split, but {what}? Call them train, valid and test, or name one of them "
        "alone, or, if they are classes, add the option splits=0"
    )


def _refuse_deeper(parts: list[tuple[str, ...]]) -> None:
    """Raise UserError where the splits lie below several other folders."""
    below = {is_split(path[1]): path[:2] for path in parts if len(path) > 2}
    if "train" in below and len({*below} - {None}) > 1 and not any(map(is_split, {path[0] for path in parts})):
        raise UserError(
            f"there are splits in several folders, as {'/'.join(below['train'])}: name one of them, or, if those above "
            "are classes, add the option splits=0"
        )
