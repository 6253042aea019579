"""DRAW, the recurrent network that draws images stroke by stroke (Gregor et al. 2015), in NumPy or CuPy."""

from .classifier import RAM, RAMConfig
from .config import DRAWConfig
from .errors import UserError
from .model import DRAW, Drawing, Loss

__all__ = ["DRAW", "RAM", "DRAWConfig", "Drawing", "Loss", "RAMConfig", "UserError"]
__version__ = "0.1.0"
