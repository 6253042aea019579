"""The names of data sets: `data/__init__.py` enters loaders here; images in memory are called something else."""

from collections.abc import Callable

from .folder.options import PREFIX
from .images import Dataset
from .places import Places

LOADERS: dict[str, Callable[[Places, int], Dataset]] = {}


def is_known(name: str) -> bool:
    """Tell whether `load` knows such a name."""
    return name in LOADERS or name.startswith(PREFIX)
