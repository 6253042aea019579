"""DRAW, the recurrent network that draws images stroke by stroke (Gregor et al. 2015), in NumPy or CuPy."""

from .errors import UserError
from .model.config import DRAWConfig
from .model.draw import DRAW, Drawing, Loss
from .model.ram import RAM, RAMConfig

__all__ = ["DRAW", "RAM", "DRAWConfig", "Drawing", "Loss", "RAMConfig", "UserError"]
__version__ = "0.1.0"
