"""Which folders and files a person has named here as data, and what they held: others are not read on a file's word.

A checkpoint tells what its network was trained on. One from elsewhere may tell of any folder of whoever evaluates it,
and what is read from there ends in pictures that are shown around. So a data set leaves a mark in the cache, known by
its name and by a hash of its content, which nobody can tell who has not read it.
"""

import hashlib
from pathlib import Path

from ..official import keep


def remember(cache: Path, name: str, sha256: str) -> None:
    """Leave a mark for a data set of that name and hash (summary.py); where that fails, do without."""
    if not (mark := _mark(cache, name, sha256)).exists():
        keep(mark, b"")


def is_remembered(cache: Path, name: str, sha256: str) -> bool:
    """Tell whether there is a mark for a data set of that name and hash."""
    return _mark(cache, name, sha256).is_file()


def _mark(cache: Path, name: str, sha256: str) -> Path:
    both = f"{name}\n{sha256}".encode(errors="surrogatepass")
    return cache / f".{hashlib.sha256(both).hexdigest()[:32]}.named"
