"""Which files of a folder are pictures, what they are called by the folders they lie in, and what is left out."""

import contextlib
import importlib
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from ...errors import UserError
from .parts import SPLITS
from .splits import split_of

# Formats left out: EPS starts another program, the others hold no pictures that Pillow itself can read.
LEFT_OUT = {"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"}
HINTS = {  # what to do about a file that is no picture as it is, by the ending of its name
    **dict.fromkeys((".heic", ".heif"), "pip install pillow-heif"),
    ".avif": "a newer Pillow reads it",
    ".jxl": "save as .png",
    **dict.fromkeys((".svg", ".eps", ".wmf", ".emf", ".pdf", ".ai"), "no pixels: save as .png"),
    **dict.fromkeys((".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2"), "a camera's own: save as .jpg"),
    **dict.fromkeys((".mp4", ".mov", ".avi", ".mkv", ".webm"), "a film: save its frames as pictures"),
    **dict.fromkeys((".zip", ".tar", ".tgz", ".rar", ".7z"), "unpack it"),
    **dict.fromkeys((".npy", ".npz", ".csv", ".mat"), "beside pictures; name the file itself"),
}
SHOWN = 3  # names of files in a message


@dataclass
class Listing:
    """The pictures below a folder, sorted; those that cannot be read, and why; and other files, by their kind."""

    pictures: list[str]
    broken: dict[str, str] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)

    def left_out(self) -> str:
        """Return in words what was left out; "" where that is nothing."""
        parts = [f"{count:,} {kind}" for kind, count in self.others.most_common()]
        if self.broken:
            parts.append(f"{len(self.broken):,} that cannot be read: {named(self.broken)}")
        return ", ".join(parts)


def named(broken: dict[str, str]) -> str:
    """Return the first of the files that cannot be read, with the reasons, in words."""
    shown = [f"{name} ({why})" for name, why in list(broken.items())[:SHOWN]]
    more = len(broken) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")


def formats() -> set[str]:
    """Return the formats that pictures may have."""
    return set(Image.OPEN) - LEFT_OUT


def find(folder: Path) -> Listing:
    """Return what there is in `folder` and below it, by the endings of names; hidden files do not count.

    Linked folders are gone into, each place once.
    """
    Image.init()
    with contextlib.suppress(ImportError):  # whoever has it wants it
        importlib.import_module("pillow_heif").register_heif_opener()
    endings = {ending for ending, kind in Image.registered_extensions().items() if kind in formats()}
    found, seen = Listing([]), {os.path.realpath(folder)}

    def unreadable(error: OSError) -> None:
        if Path(error.filename) == folder:
            raise UserError(f"cannot read {folder}: {error.strerror}")
        found.others[f"folder that cannot be read: {Path(error.filename).relative_to(folder)}"] += 1

    for where, folders, names in os.walk(folder, onerror=unreadable, followlinks=True):
        folders[:] = [name for name in sorted(folders) if not name.startswith(".") and _is_new(where, name, seen)]
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


def told_by_folders(names: list[str]) -> tuple[np.ndarray, list[str] | None, list[str]]:
    """Return what the folders of pictures tell: splits, indices of SPLITS or -1, (n,); classes, (n,) or None; remarks.

    Where all pictures lie in folders called like splits, one of them for training, those are the splits. Where, below
    that, all lie in folders, the uppermost are the classes.
    """
    parts = [PurePosixPath(name).parts for name in names]
    splits, remarks = [split_of(path[0]) if len(path) > 1 else None for path in parts], []
    given = np.full(len(names), -1)
    if "train" in splits and len({*splits}) > 1 and None not in splits:
        given = np.array([SPLITS.index(split) for split in splits])
        parts = [path[1:] for path in parts]
    elif {"train", "test"} <= {*splits} or {"train", "valid"} <= {*splits}:
        others = sorted({path[0] for path, split in zip(parts, splits, strict=True) if split is None})
        remarks.append(
            f"folders called like splits do not count, as there are pictures beside them: {', '.join(others[:3])}"
        )
    classes = [path[0] for path in parts]
    if any(len(path) == 1 for path in parts) or len({*classes}) < 2:
        return given, None, remarks
    return given, classes, remarks
