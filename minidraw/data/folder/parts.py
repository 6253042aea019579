"""Images as they lie in somebody's file, before anything is decided about them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

SPLITS = ("train", "valid", "test")
ROOM, DENSEST = 256 << 20, 200  # bytes that a file may become in memory, and as many times its own size besides


def room(path: Path) -> int:
    """Return how many bytes a file may become when it is unpacked; dSprites become 115 times as many, bombs 1,000."""
    return ROOM + DENSEST * path.stat().st_size


@dataclass(frozen=True)
class Part:
    """Some images of a file: numbers of any type, (n, ...), whose axes `axes` names, or they are to be found out.

    `labels` is (n,), whole numbers or texts, or None; `split` is one of SPLITS, or None where the file does not tell;
    `axes` names the axes as in "nhw", "nchw" or "nwh", n images of c channels, h rows and w columns; `note` is a line
    for the user.
    """

    array: np.ndarray
    labels: np.ndarray | None = None
    split: str | None = None
    axes: str | None = None
    note: str = ""
