"""One folder, one run: whoever writes a run's folder holds the lock in it, a file that says who that is.

The system lets go of it when its process ends, however that is. The file itself goes away at the end of the run; that
of a process that was killed is taken over by the next one.
"""

import contextlib
import os
import socket
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from ..errors import UserError, one_line, reason
from ..files import is_there, let_go, lock, open_own

NAME = ".lock"
MARK = "minidraw run: "  # what is ours begins so
_held: "weakref.WeakSet[IO[bytes]]" = weakref.WeakSet()


@contextlib.contextmanager
def hold(folder: Path | None, say: Callable[[str], None], other: str) -> Iterator[None]:
    """Keep other runs out of a folder, which is made, for as long as the context lasts; None: there is none to keep.

    `say` is told where the folder's disk has no locks. Raises UserError where a run is under way, which says how to
    name the `other` folder to take, and where nothing can be written. A folder that is left empty goes away again.
    """
    if folder is None:
        yield
        return
    made = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
    try:
        _make(folder, other)
        file = _take(folder, say, other)
        _held.add(file)
        process = os.getpid()
        try:
            yield
        finally:
            if os.getpid() == process:  # not in a forked child, which has left the lock to its parent
                let_go(file, folder / NAME)
    finally:
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()


def _make(folder: Path, other: str) -> None:
    """Make a folder. Raises UserError where it cannot be made."""
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise UserError(f"{folder} is no folder: choose another one with {other}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise UserError(f"cannot make {folder}: {reason(problem)}; choose another folder with {other}") from None


def _take(folder: Path, say: Callable[[str], None], other: str) -> IO[bytes]:
    """Return the folder's lock file, locked. Raises UserError where another run has it."""
    path = folder / NAME
    try:
        while True:
            file = open_own(path)
            mine, told = lock(file), one_line(file.read(len(MARK) + 300).decode(errors="replace"), 300)
            if told and not told.startswith(MARK.strip()):
                file.close()
                raise UserError(f"{path} is of another program: choose another folder with {other}")
            if mine is False:
                file.close()
                who = told.removeprefix(MARK.strip()).strip() or "another process"
                raise UserError(
                    f"{folder} is being written by a run ({who}): wait for its end, stop it, or choose another folder "
                    f"with {other}"
                )
            if is_there(file, path):  # else whoever had it has just removed it
                break
            file.close()
        file.seek(0)
        file.truncate()
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        file.write(f"{MARK}process {os.getpid()} on {socket.gethostname()}, since {since}\n".encode())
        file.flush()
    except OSError as problem:
        raise UserError(f"cannot write {path}: {reason(problem)}; choose another folder with {other}") from None
    if mine is None:
        say(f"note: the disk of {folder} has no locks, so nothing keeps a second run out of it: start only one")
    return file


def _forked() -> None:
    """Let the parent alone have its locks: a child that outlives it would hold them for ever."""
    for file in list(_held):
        file.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
