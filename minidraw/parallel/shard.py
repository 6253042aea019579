"""One core's part of a minibatch: a trace, the memory that it lies in, and what can be computed with it."""

import math
import types
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..backend import Array

LARGE = 1 << 14  # numbers in a matrix; smaller ones are multiplied fast however they lie


class Shard(ABC):
    """Runs a network on some images at a time and keeps the trace's memory between calls.

    Shapes of inputs and outputs have None in the place of the number of images, which may change from call to call.
    """

    def __init__(self, config: Any, xp, dtype):
        self.config, self.xp = config, xp
        self.arena = Arena(xp, dtype)
        self.images, self.trace = 0, None
        self.copies: dict[str, tuple[np.ndarray, np.ndarray]] = {}  # of large matrices: W, W^T

    @staticmethod
    @abstractmethod
    def input_shapes(config: Any) -> tuple[tuple[int | None, ...], ...]:
        """Return the shapes of what `run` is given; the first is that of the images."""

    @staticmethod
    @abstractmethod
    def output_shapes(config: Any) -> tuple[tuple[int | None, ...], ...]:
        """Return the shapes of what `run` returns; a job may return only the first few."""

    @abstractmethod
    def run(self, job: str, params: dict, grads: dict, inputs: Sequence[Array], scale: float) -> tuple[Array, ...]:
        """Do a job; "loss_and_grads" also fills `grads` with the gradient of `scale` times the sum of the losses.

        What is returned shares no memory with the trace, which the next call overwrites.
        """

    @abstractmethod
    def make_trace(self, alloc, images: int) -> Any:
        """Return a trace for that many images, its arrays made by alloc(*shape)."""

    def unroll(self, config: Any) -> None:
        """Go on with a config of another number of glimpses; the memory is kept."""
        self.config, self.images, self.trace = config, 0, None

    def trace_for(self, images: int) -> Any:
        """Return the trace for that many images: the one at hand if it fits, else carved from the same memory."""
        if images != self.images:
            self.images, self.trace = 0, None  # let go of the old block before a larger one is taken
            self.trace = self.arena.build(lambda alloc: self.make_trace(alloc, images))
            self.images = images
        return self.trace

    def laid_out(self, params: dict, backward: bool) -> tuple[dict, dict]:
        """Return the parameters as the forward and, if `backward`, as the backward pass multiplies by them fastest.

        The numbers are the same. Before it multiplies, BLAS gathers a matrix in blocks, a third of the time where a
        minibatch is short. That takes longer where rows begin a multiple of 4096 bytes apart, for they meet in one set
        of the cache; and W^T, the backward pass's matrix, is gathered across its rows unless it is copied once.
        """
        if self.xp is not np:
            return params, params
        large = [name for name, W in params.items() if W.ndim == 2 and W.size >= LARGE]
        for name in large:
            if name not in self.copies:
                rows, columns = params[name].shape
                self.copies[name] = pitched(rows, columns, self.arena.dtype), pitched(columns, rows, self.arena.dtype)
            copy, turned = self.copies[name]
            copy[:] = params[name]
            if backward:
                turned[:] = copy.T  # the copy's columns are read seven times faster than those of params[name]
        straight = params | {name: self.copies[name][0] for name in large}
        return straight, params | {name: self.copies[name][1].T for name in large} if backward else straight


def pitched(rows: int, columns: int, dtype: np.dtype) -> np.ndarray:
    """Return a matrix, not initialised, whose rows do not begin a power of two apart."""
    gap = 0 if columns * dtype.itemsize % 1024 else 64 // dtype.itemsize
    return np.empty((rows, columns + gap), dtype)[:, :columns]


def parts(arrays: Sequence[Array], shapes: Sequence[tuple[int | None, ...]], images: slice) -> list[Array]:
    """Return some images of arrays whose shapes have None where images are counted; as many as there are arrays."""
    pairs = zip(arrays, shapes, strict=False)
    return [array[(slice(None),) * shape.index(None) + (images,)] for array, shape in pairs]


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
