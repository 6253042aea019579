"""The `xp` of the cupy backend: CuPy, with products of our own and with kernels in the place of some functions."""

import types
from typing import Any

from ..errors import UserError
from . import fused
from .blas import Blas
from .kernels import Kernels

FIRST_WITH_TF32 = 80  # compute capability of the Ampere generation


class Device:
    """CuPy under its usual names, but for `matmul`, which is Blas's; `fused` are kernels by the names of functions.

    `precision` is "float32" or "tf32": how products of float32 matrices are computed. Raises UserError where the GPU
    does not have it.
    """

    def __init__(self, cupy: types.ModuleType, precision: str):
        self.cupy, self.precision = cupy, precision
        if precision == "tf32" and int(cupy.cuda.Device().compute_capability) < FIRST_WITH_TF32:
            raise UserError("this GPU has no TF32, which came with the Ampere generation: use --precision float32")
        self.blas = Blas(cupy, precision == "tf32")
        self.kernels = Kernels(cupy)
        self.fused = fused.FUSED

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.cupy, name)
        setattr(self, name, value)  # the next time it is found at once
        return value

    def matmul(self, a: Any, b: Any, out: Any = None) -> Any:
        """Return a b, written to `out` if there is one."""
        if min(a.ndim, b.ndim) < 2:
            return self.cupy.matmul(a, b, out=out)
        if out is None:
            batch = max(a.shape[:-2], b.shape[:-2], key=len)
            out = self.cupy.empty((*batch, a.shape[-2], b.shape[-1]), a.dtype)
        self.blas.matmul(a, b, out)
        return out
