"""DRAW, the recurrent network that draws images stroke by stroke (Gregor et al. 2015), in NumPy or CuPy.

    import minidraw

    model = minidraw.load("mnist-small")          # a network that comes with the package, of a run, or of a checkpoint
    model.draw(64, seed=1).save("digits.gif")     # new digits, with a box where each glimpse is written
    model.redraw(images).save("seen.gif")         # images (n, 1, 28, 28) in [0, 1], drawn again
    model = minidraw.fit(images, minutes=5)       # a network for images of your own

    load      a network of a checkpoint, of a run's folder, or by name
    fit       train on arrays in memory, on a Dataset, or on a data set by name
    DRAW      the network: loss_and_grads, loss, draw, redraw, encode, decode, save; its sizes are a DRAWConfig
    RAM       the classifier of section 4.1: loss_and_grads, predict, look; its sizes are a RAMConfig
    Drawing   what is drawn: frames, windows, latents, ink; save writes GIF, MP4, PNG, ... or arrays
    Dataset   images in three splits; from_arrays makes one of arrays in memory, minidraw.data.load one by name
    UserError what is raised for a mistake that you can mend; a ValueError of one line

`python -m minidraw` lists the commands, networks, data sets and presets; docs/how-do-i.md has recipes, docs/api.md all
of the above in detail. The paper itself is minidraw.model: begin with minidraw/model/reference.py.
"""

import importlib
from typing import TYPE_CHECKING, Any

from .errors import UserError
from .model.config import DRAWConfig
from .model.draw import DRAW, Drawing, Loss
from .model.network import Network
from .model.ram import RAM, RAMConfig, RAMLoss

if TYPE_CHECKING:
    from .data import from_arrays
    from .data.images import Dataset
    from .training.fit import fit

__all__ = [
    "DRAW",
    "RAM",
    "DRAWConfig",
    "Dataset",
    "Drawing",
    "Loss",
    "RAMConfig",
    "RAMLoss",
    "UserError",
    "fit",
    "from_arrays",
    "load",
]
__version__ = "0.4.0"

load = Network.load
_LATER = {"fit": "training.fit", "from_arrays": "data", "Dataset": "data.images"}  # what takes its time to import


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f".{_LATER[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
