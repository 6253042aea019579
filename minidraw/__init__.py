"""DRAW, the recurrent network that draws images stroke by stroke (Gregor et al. 2015), in NumPy or CuPy."""

from .cpu import name_kernels

name_kernels()  # before anything imports NumPy

from .classifier import RAM, RAMConfig  # noqa: E402
from .config import DRAWConfig  # noqa: E402
from .errors import UserError  # noqa: E402
from .model import DRAW, Drawing, Loss  # noqa: E402

__all__ = ["DRAW", "RAM", "DRAWConfig", "Drawing", "Loss", "RAMConfig", "UserError"]
__version__ = "0.1.0"
