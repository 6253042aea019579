"""One core's part of a minibatch: a trace, the memory that it lies in, and what can be computed with it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from .backend import Arena, Array


class Shard(ABC):
    """Runs a network on some images at a time and keeps the trace's memory between calls.

    Shapes of inputs and outputs have None in the place of the number of images, which may change from call to call.
    """

    def __init__(self, config: Any, xp, dtype):
        self.config, self.xp = config, xp
        self.arena = Arena(xp, dtype)
        self.images, self.trace = 0, None

    @staticmethod
    @abstractmethod
    def inputs(config: Any) -> tuple[tuple[int | None, ...], ...]:
        """Return the shapes of what `run` is given; the first is that of the images."""

    @staticmethod
    @abstractmethod
    def outputs(config: Any) -> tuple[tuple[int | None, ...], ...]:
        """Return the shapes of what `run` returns; a task may return only the first few."""

    @abstractmethod
    def run(self, task: str, params: dict, grads: dict, inputs: Sequence[Array], weight: float) -> tuple[Array, ...]:
        """Do a task; "loss_and_grads" also fills `grads` with the gradient of `weight` times the sum of the losses.

        What is returned shares no memory with the trace, which the next call overwrites.
        """

    @abstractmethod
    def make_trace(self, alloc, images: int) -> Any:
        """Return a trace for that many images, its arrays made by alloc(*shape)."""

    def trace_for(self, images: int) -> Any:
        """Return the trace for that many images: the one at hand if it fits, else carved from the same memory."""
        if images != self.images:
            self.images, self.trace = 0, None  # let go of the old block before a larger one is taken
            self.trace = self.arena.build(lambda alloc: self.make_trace(alloc, images))
            self.images = images
        return self.trace


def parts(arrays: Sequence[Array], shapes: Sequence[tuple[int | None, ...]], images: slice) -> list[Array]:
    """Return some images of arrays whose shapes have None where images are counted; as many as there are arrays."""
    pairs = zip(arrays, shapes, strict=False)
    return [array[(slice(None),) * shape.index(None) + (images,)] for array, shape in pairs]
