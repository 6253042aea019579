"""The switch between NumPy and CuPy: the only file that imports cupy, and only when it is asked for.

Everything else takes `xp`, the array module, as an argument. Arrays cross between host and device in two places:
`to_device` where data enters, `to_host` where results leave.
"""

import importlib
import math
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from .errors import UserError, one_line, unknown

Array = Any  # a numpy.ndarray or a cupy.ndarray


def array_module(backend: str) -> types.ModuleType:
    """Return the array module called "numpy", "cupy" or "auto" (cupy if there is a working GPU, else numpy).

    Raises UserError if cupy is asked for and it, its driver or a device is missing.
    """
    if backend == "numpy":
        return np
    if backend == "auto":
        try:
            return array_module("cupy")
        except UserError:
            return np
    if backend != "cupy":
        raise unknown("backend", backend, ["numpy", "cupy", "auto"])
    try:
        cupy = importlib.import_module("cupy")
    except ImportError:
        raise UserError(
            "the cupy backend needs CuPy: pip install 'minidraw[cuda12]' or 'minidraw[cuda13]', or use --backend numpy"
        ) from None
    try:
        cupy.cuda.runtime.getDeviceCount()
        cupy.zeros(1)
    except Exception as problem:
        reason = one_line(problem)
        raise UserError(f"CuPy finds no working GPU ({reason}); check the driver, or use --backend numpy") from None
    return cupy


def to_host(array: Array) -> np.ndarray:
    """Return `array` as a NumPy array (itself if it is one already)."""
    return array if isinstance(array, np.ndarray) else array.get()


def to_device(array: np.ndarray, xp: types.ModuleType, dtype: np.dtype) -> Array:
    """Return `array` as a contiguous array of `xp` (itself if it is one already)."""
    if xp is np:
        return np.ascontiguousarray(array, dtype=dtype)
    return xp.asarray(array, dtype=dtype, order="C")


class Arena:
    """One block of memory that a trace's arrays are carved from, so that a new batch size costs no new memory.

    The block grows to the largest demand seen and stays; what was built before shares it with what is built next.
    """

    def __init__(self, xp: types.ModuleType, dtype: np.dtype):
        self.xp, self.dtype = xp, np.dtype(dtype)
        self.block = xp.empty(0, self.dtype)

    def build(self, make: Callable[[Callable[..., Array]], Any]) -> Any:
        """Return make(alloc), where alloc(*shape) hands out arrays of the block, not initialised.

        `make` is called twice, first to learn how much it asks for: it must do nothing but allocate.
        """
        offsets = [0]

        def count(*shape: int) -> None:
            offsets.append(offsets[-1] + -(-math.prod(shape) // 64) * 64)  # arrays begin on a cache line

        make(count)
        if offsets[-1] > self.block.size:
            self.block = self.block[:0].copy()  # free the old block before the new one is taken
            self.block = self.xp.empty(offsets[-1], self.dtype)
        start = iter(offsets)

        def carve(*shape: int) -> Array:
            first = next(start)
            return self.block[first : first + math.prod(shape)].reshape(shape)

        return make(carve)
