"""What a target is, the list of all, and the folder for the files that loaders read."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

TARGETS: dict[str, tuple[Callable[[bytes], None], Callable[[], list[bytes]]]] = {}
FOLDER = Path(os.environ.get("MINIDRAW_FUZZ") or tempfile.mkdtemp(prefix="minidraw-fuzz-"))


def target(seeds: Callable[[], list[bytes]]):
    """Enter a function in TARGETS by its name, with what makes its seeds.

    It takes bytes and ends quietly, with a UserError, or with what is wrong with minidraw.
    """

    def enter(function: Callable[[bytes], None]):
        TARGETS[function.__name__] = function, seeds
        return function

    return enter


def put(content: bytes, name: str) -> Path:
    """Write `content` to a file for a loader to read."""
    path = FOLDER / name
    path.write_bytes(content)
    return path
