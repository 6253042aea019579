"""One at a time: what several processes or threads need of one file, one of them makes, and the others wait for it."""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..errors import STDERR, harmless
from ..files import is_there, let_go, lock, open_own

PAUSE = 0.2  # seconds between two looks at a lock that somebody else holds


@dataclass(frozen=True)
class Turn:
    """How one came to be alone: by a lock that is `held`, or by hope; and whether one `waited` for somebody else."""

    held: bool
    waited: bool


@contextlib.contextmanager
def alone(path: Path) -> Iterator[Turn]:
    """Be the only one, of all processes and threads, that is at `path`; wait, and say so once, while another one is.

    The lock is the system's and ends with whoever holds it, however that ends. Where the folder takes no locks, or
    cannot be written to, nobody is kept out. A folder that is made for the lock, and left empty, goes away again.
    """
    place, waited, file = path.parent / f".{path.name}.lock", False, None
    made = [folder for folder in place.parents if not os.path.lexists(folder)]  # the inmost first
    with contextlib.suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        while not (file := _taken(place)):
            if not waited:
                STDERR.write(f"waiting for another process, which is at {harmless(path)}\n")  # in one: threads wait too
            waited = True
            time.sleep(PAUSE)
    try:
        yield Turn(file is not None, waited)
    finally:
        if file:
            let_go(file, place)
        with contextlib.suppress(OSError):
            for folder in made:
                folder.rmdir()


def _taken(place: Path) -> IO[bytes] | None:
    """Return the open file of a lock that was taken, None where another one has it; OSError: there can be none."""
    file = open_own(place)
    mine = lock(file)
    if mine and is_there(file, place):
        return file
    file.close()
    if mine is None:
        raise OSError("no locks here")
    return None  # it is another one's, or that one has just removed it
