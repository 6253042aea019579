"""Compiles kernels.cu, when the first of its kernels is launched, and launches them with checked arguments."""

import types
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SOURCE = Path(__file__).with_name("kernels.cu")
OPTIONS = ("--std=c++17",)
REAL = {"float32": "float", "float64": "double"}
THREADS = 256  # a block
MOST_SHARED = 48 << 10  # bytes a block, on every GPU


class Rows(NamedTuple):
    """A matrix of which a kernel is told the distance of its rows: some columns of a wider one."""

    array: Any


class Kernels:
    """The kernels by name. `threads` is the size of a block, a multiple of 32."""

    def __init__(self, cupy: types.ModuleType):
        self.cupy, self.threads = cupy, THREADS
        self.modules: dict[str, Any] = {}  # by dtype
        self.functions: dict[tuple[str, str], Any] = {}  # by name and dtype

    def warps(self) -> int:
        """Return how many warps a block has."""
        return self.threads // 32

    def elements(self, name: str, count: int, *arguments: Any) -> None:
        """Launch a kernel of one thread an element."""
        self.blocks(name, -(-count // self.threads), *arguments)

    def blocks(self, name: str, count: int, *arguments: Any, shared: int = 0) -> None:
        """Launch `count` blocks with `shared` bytes of shared memory each, in the precision of the first array.

        Whole numbers arrive as int, others in that precision, those of NumPy as they are. Arrays must be contiguous.
        """
        first = next(a for a in arguments if isinstance(a, self.cupy.ndarray) and a.dtype.kind == "f")
        values = []
        for argument in arguments:
            if isinstance(argument, Rows):
                values += [argument.array, np.int32(row_stride(argument.array))]
            elif isinstance(argument, np.generic):
                values.append(argument)
            elif isinstance(argument, int):
                values.append(np.int32(argument))
            elif isinstance(argument, float):
                values.append(first.dtype.type(argument))
            elif argument.flags.c_contiguous:
                values.append(argument)
            else:
                raise ValueError(f"{name} was given an array {argument.shape} that is not contiguous")
        self.function(name, first.dtype.name)((count,), (self.threads,), tuple(values), shared_mem=shared)

    def function(self, name: str, dtype: str) -> Any:
        """Return a kernel, compiled."""
        if (name, dtype) not in self.functions:
            if dtype not in self.modules:
                options = (*OPTIONS, f"-DREAL={REAL[dtype]}")
                self.modules[dtype] = self.cupy.RawModule(code=SOURCE.read_text(encoding="utf-8"), options=options)
            self.functions[name, dtype] = self.modules[dtype].get_function(name)
        return self.functions[name, dtype]


def row_stride(array: Any) -> int:
    """Return the distance of a matrix's rows in elements. Raises ValueError if a row's elements are not neighbours."""
    rows, columns = array.shape
    if (columns > 1 and array.strides[1] != array.itemsize) or array.strides[0] % array.itemsize:
        raise ValueError(f"the rows of an array {array.shape}, strides {array.strides}, are not contiguous")
    return array.strides[0] // array.itemsize if rows > 1 else columns
