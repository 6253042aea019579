"""Products of matrices by cuBLAS, into arrays that are there already.

CuPy copies what does not lie as it likes and may not be called while a CUDA graph is captured. cuBLAS itself takes
transposes and columns of wider matrices as they lie, and may: so this calls it directly, through ctypes, by a handle of
its own for every stream, with a workspace that stays. It takes matrices to lie in columns, so that what it sees of ours
are their transposes: C = A B is computed as C^T = B^T A^T.
"""

import ctypes
import os
import types
from ctypes import c_int, c_longlong, c_size_t, c_void_p
from typing import Any

WORKSPACE = 32 << 20  # bytes: what the vendor recommends for the largest GPUs
HOST_SCALARS, DEFAULT_ALGORITHM = 0, -1
COMPUTE_32F, COMPUTE_64F, COMPUTE_32F_FAST_TF32 = 68, 70, 77
REAL_32F, REAL_64F = 0, 1
_OPERAND, _BATCHED = [c_void_p, c_int, c_int], [c_void_p, c_int, c_int, c_longlong]
_SIZES = [c_int] * 5  # two transpositions, m, n, k
SIGNATURES = {
    "cublasCreate_v2": [c_void_p],
    "cublasSetStream_v2": [c_void_p, c_void_p],
    "cublasSetWorkspace_v2": [c_void_p, c_void_p, c_size_t],
    "cublasSetPointerMode_v2": [c_void_p, c_int],
    "cublasGetProperty": [c_int, c_void_p],
    "cublasGemmEx": [c_void_p, *_SIZES, c_void_p, *_OPERAND, *_OPERAND, c_void_p, *_OPERAND, c_int, c_int],
    "cublasGemmStridedBatchedEx": [
        *(c_void_p, *_SIZES, c_void_p, *_BATCHED, *_BATCHED, c_void_p, *_BATCHED),
        *(c_int, c_int, c_int),
    ],
}


def load(cupy: types.ModuleType) -> ctypes.CDLL:
    """Return the cuBLAS that CuPy uses. Raises ImportError or OSError where there is none."""
    from cupy_backends.cuda.libs import cublas  # noqa: F401  this finds the library and loads it

    major = cupy.cuda.runtime.runtimeGetVersion() // 1000
    library = ctypes.CDLL(f"cublas64_{major}.dll" if os.name == "nt" else f"libcublas.so.{major}")
    for name, types_of_arguments in SIGNATURES.items():
        function = getattr(library, name)
        function.argtypes, function.restype = types_of_arguments, c_int
    return library


class Blas:
    """Products in float32, where `tf32` by the ten-bit products of tensor cores, and in float64."""

    def __init__(self, cupy: types.ModuleType, tf32: bool):
        self.cupy, self.library = cupy, load(cupy)
        single = COMPUTE_32F_FAST_TF32 if tf32 else COMPUTE_32F
        # type of the matrices, how to compute, 1, 0
        self.kinds = {
            "float32": (REAL_32F, single, ctypes.c_float(1), ctypes.c_float(0)),
            "float64": (REAL_64F, COMPUTE_64F, ctypes.c_double(1), ctypes.c_double(0)),
        }
        self.handles: dict[tuple[int, int], tuple] = {}  # by device and stream: a handle, and its workspace

    def handle(self) -> c_void_p:
        """Return the handle of the current stream; it must have been made before a graph is captured there."""
        place = self.cupy.cuda.get_device_id(), self.cupy.cuda.get_current_stream().ptr
        if place not in self.handles:
            handle, workspace = c_void_p(), self.cupy.empty(WORKSPACE, "uint8")
            self._call("cublasCreate_v2", ctypes.addressof(handle))
            self._call("cublasSetStream_v2", handle, place[1])  # first, for it takes a workspace away
            self._call("cublasSetWorkspace_v2", handle, workspace.data.ptr, WORKSPACE)
            self._call("cublasSetPointerMode_v2", handle, HOST_SCALARS)
            self.handles[place] = handle, workspace
        return self.handles[place][0]

    def version(self) -> str:
        """Return the version of the library."""
        numbers = [c_int() for _ in range(3)]
        for k, number in enumerate(numbers):
            self._call("cublasGetProperty", k, ctypes.addressof(number))
        return ".".join(str(number.value) for number in numbers)

    def matmul(self, a: Any, b: Any, out: Any) -> None:
        """Write a b to `out`: matrices, or stacks of them along one or two leading axes, of which some may be 1.

        Nothing is copied. Raises TypeError for unlike dtypes and ValueError for shapes that do not fit and for matrices
        of which neither the rows nor the columns lie contiguously.
        """
        if not (a.dtype == b.dtype == out.dtype) or out.dtype.name not in self.kinds:
            raise TypeError(f"no product of {a.dtype} and {b.dtype} into {out.dtype}")
        (m, k), n = a.shape[-2:], b.shape[-1]
        if b.shape[-2] != k or out.shape[-2:] != (m, n) or not 2 <= out.ndim <= 4:
            raise ValueError(f"no product of {a.shape} and {b.shape} into {out.shape}")
        if out.ndim == 4:  # stacks of stacks
            for s in range(out.shape[1]):
                self.matmul(*(x[:, s if x.shape[1] > 1 else 0] if x.ndim == 4 else x for x in (a, b, out)))
            return
        kind, compute, one, zero = self.kinds[out.dtype.name]
        (flip_a, ld_a), (flip_b, ld_b), (flip, ld) = layout(a), layout(b), layout(out)
        if flip:
            raise ValueError(f"the rows of a product {out.shape}, strides {out.strides}, must be contiguous")
        sizes = self.handle(), flip_b, flip_a, n, m, k
        times, plus = ctypes.addressof(one), ctypes.addressof(zero)
        operands = [(b.data.ptr, kind, ld_b), (a.data.ptr, kind, ld_a), (out.data.ptr, kind, ld)]
        if out.ndim == 2:
            left, right, result = operands
            self._call("cublasGemmEx", *sizes, times, *left, *right, plus, *result, compute, DEFAULT_ALGORITHM)
            return
        count = len(out)
        first, second, third = (
            (*operand, batch_stride(x, count)) for operand, x in zip(operands, (b, a, out), strict=True)
        )
        how = count, compute, DEFAULT_ALGORITHM
        self._call("cublasGemmStridedBatchedEx", *sizes, times, *first, *second, plus, *third, *how)

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self.library, name)(*arguments)
        if status:
            raise RuntimeError(f"{name} returned status {status}")


def layout(x: Any) -> tuple[int, int]:
    """Return how the last two axes lie: 0 in rows or 1 in columns, and the distance of those in elements."""
    (rows, columns), (down, right), size = x.shape[-2:], x.strides[-2:], x.itemsize
    if (right == size or columns == 1) and (rows == 1 or (down >= columns * size and down % size == 0)):
        return 0, columns if rows == 1 else down // size
    if (down == size or rows == 1) and (columns == 1 or (right >= rows * size and right % size == 0)):
        return 1, rows if columns == 1 else right // size
    raise ValueError(f"neither rows nor columns of an array {x.shape}, strides {x.strides}, are contiguous")


def batch_stride(x: Any, count: int) -> int:
    """Return the distance in elements of the matrices that take part in `count` products; 0 for the same one in all."""
    if x.ndim == 2 or (len(x) == 1 and count > 1):
        return 0
    if len(x) != count:
        raise ValueError(f"{len(x)} matrices do not make {count} products")
    return x.strides[0] // x.itemsize
