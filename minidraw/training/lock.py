"""One folder, one run: whoever writes a run's folder holds the lock in it, a file that says who that is.

The system lets go of it when its process ends, however that is. The file itself goes away at the end of the run; that
of a process that was killed is taken over by the next one.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from ..errors import UserError, one_line, reason
from ..files import is_there, let_go, lock, open_own

NAME = ".lock"
MARK = "minidraw run: "  # what is ours begins so
_held: "dict[Path, _Held]" = {}


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
        held = _held[folder] = _Held(folder, say, other)
        process = os.getpid()
        try:
            yield
        finally:
            if os.getpid() == process:  # not in a forked child, which has left the lock to its parent
                _held.pop(folder, None)
                let_go(held.file, folder / NAME)
    finally:
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()


class _Held:
    """A folder that is made, if need be, and locked; raises UserError as `hold` does."""

    def __init__(self, folder: Path, say: Callable[[str], None], other: str):
        self.folder, self.say, self.other = folder, say, other
        self.take()

    def take(self) -> None:
        """Make and lock the folder of that name."""
        _make(self.folder, self.other)
        self.file, self.place = _take(self.folder, self.say, self.other), os.stat(self.folder)


def keep_hold(folder: Path) -> None:
    """Look whether a folder that this process holds, if it does, is still the one, and hold what is there instead.

    Whoever moves or removes it, or the file of its lock, lets other runs into it. Raises UserError where there is one.
    """
    held = _held.get(folder)
    if held is None or is_there(held.file, folder / NAME):
        return
    moved = not (os.path.isdir(folder) and os.path.samestat(os.stat(folder), held.place))
    if moved and os.path.lexists(folder / "checkpoint.npz"):
        raise UserError(f"{folder} is not this run's folder any more, which was moved, but that of another run")
    before = held.file
    held.take()
    before.close()
    if moved:
        held.say(f"note: the folder of this run was moved or removed; {folder} is made anew, and holds what comes now")


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
        while not (taken := _locked(path, other)):
            pass  # whoever had it has just removed it
        file, mine = taken
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        try:
            file.seek(0)
            file.truncate()
            file.write(f"{MARK}process {os.getpid()} on {socket.gethostname()}, since {since}\n".encode())
            file.flush()
        except OSError:
            let_go(file, path)
            raise
    except OSError as problem:
        raise UserError(f"cannot write {path}: {reason(problem)}; choose another folder with {other}") from None
    if mine is None:
        say(f"note: the disk of {folder} has no locks, so nothing keeps a second run out of it: start only one")
    return file


def _locked(path: Path, other: str) -> tuple[IO[bytes], bool | None] | None:
    """Return a lock file, locked, and what `lock` says; None where it has gone. Raises UserError as `_take` does."""
    with contextlib.ExitStack() as unless_taken:
        file = unless_taken.enter_context(open_own(path))
        mine, told = lock(file), one_line(file.read(len(MARK) + 300).decode(errors="replace"), 300)
        if told and not told.startswith(MARK.strip()):
            raise UserError(f"{path} is of another program: choose another folder with {other}")
        if mine is False:
            who = told.removeprefix(MARK.strip()).strip() or "another process"
            raise UserError(
                f"{path.parent} is being written by a run ({who}): wait for its end, stop it, or choose another folder "
                f"with {other}"
            )
        if not is_there(file, path):
            return None
        unless_taken.pop_all()
    return file, mine


def _forked() -> None:
    """Let the parent alone have its locks: a child that outlives it would hold them for ever."""
    for held in _held.values():
        held.file.close()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
