"""Files that appear whole or not at all, and what is no file."""

import contextlib
import glob
import os
from collections.abc import Iterable
from pathlib import Path

from .errors import UserError, reason


def write_atomic(path: str | os.PathLike, content) -> None:
    """Put `content`, bytes or a buffer of them, at `path` in one step: a reader, or a crash, never meets a half.

    Missing folders are made. Raises UserError where it cannot be written; what was there before is then still there.
    """
    path = Path(path)
    unfinished = path.parent / f".{path.name}.{os.getpid()}.tmp"  # the same folder: os.replace stays on one disk
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(unfinished, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as problem:
        raise UserError(
            f"cannot write {path}: {reason(problem)}; choose another file or folder, or make room"
        ) from None


def is_endless(path: str | os.PathLike) -> bool:
    """Tell whether there is a pipe, a device or the like at `path`: whoever reads it may wait for ever."""
    return os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path))


def remove_unfinished(paths: Iterable[Path]) -> None:
    """Remove what a process that was killed inside `write_atomic` left beside any of `paths`."""
    for path in paths:
        for unfinished in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
            with contextlib.suppress(OSError):
                unfinished.unlink()
