"""DRAW in PyTorch with its step compiled by torch.compile (TorchInductor, which needs a C++ compiler)."""

import torch

from . import torch_draw
from .torch_draw import VARIANTS

__all__ = ["VARIANTS", "Contestant"]


class Contestant(torch_draw.Contestant):
    """As torch_draw, the step compiled for its shapes; the first run compiles."""

    step = staticmethod(lambda function: torch.compile(function, fullgraph=True, dynamic=False))
