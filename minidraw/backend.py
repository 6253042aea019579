"""The switch between NumPy and CuPy: the only file that imports cupy itself, and only when it is asked for.

Everything else takes `xp`, the array module, as an argument; for a GPU that is CuPy with what cuda/ puts in its place.
Arrays cross between host and device in two places: `to_device` where data enters, `to_host` where results leave. (A
training step on a GPU takes images in through cuda/step.py.)
"""

import functools
import importlib
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from .cuda import Device
from .errors import UserError, one_line, unknown

Array = Any  # a numpy.ndarray or a cupy.ndarray
PRECISIONS = ("float32", "tf32")  # of products on a GPU


def array_module(backend: str, precision: str = "float32") -> Any:
    """Return the array module called "numpy", "cupy" or "auto" (cupy if there is a working GPU, else numpy).

    CuPy comes with products and kernels of our own, see cuda.Device; `precision` is one of PRECISIONS. Raises UserError
    if cupy is asked for and it, its driver, a library of CUDA or a device is missing, and for tf32 without a GPU.
    """
    if precision not in PRECISIONS:
        raise unknown("precision", precision, PRECISIONS)
    if backend == "auto":
        try:
            return array_module("cupy", precision)
        except UserError:
            backend = "numpy"
    if backend == "numpy":
        if precision == "tf32":
            raise UserError(
                "--precision tf32 is for GPUs: NumPy computes in float32; leave it out or use --backend cupy"
            )
        return np
    if backend != "cupy":
        raise unknown("backend", backend, ["numpy", "cupy", "auto"])
    try:
        cupy = importlib.import_module("cupy")
    except ImportError:
        raise UserError(
            "the cupy backend needs CuPy: pip install 'cupy-cuda13x[ctk]' (cupy-cuda12x for an older driver), "
            "or use --backend numpy"
        ) from None
    try:
        cupy.cuda.runtime.getDeviceCount()
        cupy.zeros(1)
    except Exception as problem:
        reason = one_line(problem)
        raise UserError(f"CuPy finds no working GPU ({reason}); check the driver, or use --backend numpy") from None
    return device(cupy, precision)


@functools.cache
def device(cupy: types.ModuleType, precision: str) -> Any:
    """Return the `xp` that stands for CuPy. Raises UserError where libraries of CUDA are missing."""
    try:
        cupy.zeros(1) + 1  # a first kernel: the compiler and its headers are there
        return Device(cupy, precision)
    except UserError:
        raise
    except Exception as problem:
        raise UserError(
            f"CuPy lacks a part of CUDA ({one_line(problem)}): pip install 'cupy-cuda13x[ctk]' "
            "(cupy-cuda12x for an older driver), or use --backend numpy"
        ) from None


def module_name(xp: Any) -> tuple[str, str]:
    """Return with which arguments `array_module` gives `xp`."""
    return ("numpy", "float32") if xp is np else ("cupy", xp.precision)


def kernel_name(function: Callable) -> str:
    """Return under which name a device has the kernel in a function's place: "lstm.lstm_backward", for example."""
    return f"{function.__module__.rpartition('.')[2]}.{function.__name__}"


def fused(function: Callable) -> Callable:
    """Let the kernel of the same name and signature, if `xp`, the last argument, has one, take a function's place."""
    name = kernel_name(function)

    @functools.wraps(function)
    def choose(*args):
        xp = args[-1]
        return function(*args) if xp is np else getattr(xp, "fused", {}).get(name, function)(*args)

    return choose


def to_host(array: Array) -> np.ndarray:
    """Return `array` as a NumPy array (itself if it is one already)."""
    return array if isinstance(array, np.ndarray) else array.get()


def to_device(array: np.ndarray, xp: types.ModuleType, dtype: np.dtype) -> Array:
    """Return `array` as a contiguous array of `xp` (itself if it is one already)."""
    if xp is np:
        return np.ascontiguousarray(array, dtype=dtype)
    return xp.asarray(array, dtype=dtype, order="C")


def as_array(name: str, values: Any, kind: type = np.ndarray) -> Array:
    """Return an array of that kind as it is, other array-likes as NumPy's.

    Raises UserError unless they are real numbers.
    """
    try:
        array: Any = values if isinstance(values, kind) else np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as problem:  # such as rows of unequal lengths, a tensor on a GPU
        raise UserError(f"{name} cannot become a NumPy array ({one_line(problem)}): convert them") from None
    if not np.can_cast(array.dtype, np.float64, "same_kind"):
        raise UserError(f"{name} must be real numbers, not {array.dtype}: convert them")
    return array
