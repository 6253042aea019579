"""What DRAW and RAM have in common: parameters by name in one vector, and minibatches computed on every core."""

import dataclasses
import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import threadpoolctl

from ..backend import Array, array_module, to_device, to_host
from ..errors import UserError, one_line, unknown
from ..parallel.memory import parameter_views
from ..parallel.shard import Shard, parts
from ..parallel.workers import SMALLEST_WORK, Workers, cores, dotted_path, shard_bounds


class Network(ABC):
    """Parameters and their gradients, and the shards of a minibatch; see DRAW and RAM.

    `params` maps names to arrays that may be written in place. All parameters lie in the one vector `flat_params`,
    their gradients in `flat_grads`. `threads` (default: all cores) is how many shards a minibatch of some size is cut
    in; the result depends on it by rounding only. A class that another process cannot import, as of a notebook, has a
    single one. `precision` is how a GPU multiplies, see backend.array_module. Raises UserError for an unknown backend
    or dtype, and where the backend does not work.
    """

    name: ClassVar[str]  # in checkpoints
    Config: ClassVar[type]
    Shard: ClassVar[type[Shard]]

    def __init__(
        self,
        config: Any,
        backend: str = "numpy",
        dtype: str = "float32",
        seed: int = 0,
        threads: int | None = None,
        precision: str = "float32",
    ):
        dtype = getattr(dtype, "__name__", str(dtype))  # numpy.float32 and "float32" alike
        if dtype not in ("float32", "float64"):
            raise unknown("dtype", dtype, ["float32", "float64"])
        self.config, self.xp, self.dtype = config, array_module(backend, precision), np.dtype(dtype)
        shapes = self.parameter_shapes(config)
        self.flat_params = to_device(self.start_values(config, seed).astype(self.dtype), self.xp, self.dtype)
        self.params: dict[str, Array] = parameter_views(self.flat_params, shapes)
        self.flat_grads = self.xp.zeros_like(self.flat_params)
        self.grads: dict[str, Array] = parameter_views(self.flat_grads, shapes)
        self.threads = cores() if threads is None else threads
        if self.threads < 1:
            raise UserError(f"threads must be 1 or more, not {threads}")
        self._shard = self.Shard(config, self.xp, self.dtype)
        self._blas = threadpoolctl.ThreadpoolController().select(user_api="blas")
        several = self.threads > 1 and self.xp is np and dotted_path(type(self)) is not None
        self._workers = Workers(type(self), config, self.dtype) if several else None

    @staticmethod
    @abstractmethod
    def parameter_shapes(config: Any) -> dict[str, tuple[int, ...]]:
        """Return the shape of every parameter by name, in the order in which they lie in memory."""

    @staticmethod
    @abstractmethod
    def start_values(config: Any, seed: int) -> np.ndarray:
        """Return the parameters that training starts from, one flat float64 vector."""

    def unroll(self, glimpses: int) -> None:
        """Take that many glimpses from the next call on: no parameter depends on how many.

        Raises UserError where that is no count.
        """
        if glimpses != self.config.glimpses:
            self.config = dataclasses.replace(self.config, glimpses=glimpses)
            self._shard.unroll(self.config)
            if self._workers:
                self._workers.unroll(self.config)

    def _on_every_core(self, job: str, *inputs: Array) -> list[np.ndarray]:
        """Do the first shard's part of a job here while workers do the others; return the outputs on the host.

        After "loss_and_grads" flat_grads holds the gradient of the mean loss.
        """
        images, shard = len(inputs[0]), self._shard
        work = images * self.config.glimpses * self.flat_params.size
        bounds = shard_bounds(images, self.threads if self._workers and work >= SMALLEST_WORK else 1)
        with self._blas.limit(limits=1):  # one core a shard
            if len(bounds) == 1:
                return [to_host(out) for out in shard.run(job, self.params, self.grads, inputs, 1.0 / images)]
            self._workers.start(job, self.flat_params, inputs, bounds)
            mine = slice(*bounds[0])
            try:
                some = parts(inputs, shard.input_shapes(self.config), mine)
                first = shard.run(job, self.params, self.grads, some, 1.0 / images)
            finally:  # also after an exception here: an answer must not wait for the next call
                self._workers.finish(bounds)
        if job == "loss_and_grads":
            for k in range(len(bounds) - 1):  # always in the same order: the sum does not depend on timing
                self.flat_grads += self._workers.gradients[k]
        shapes = shard.output_shapes(self.config)[: len(first)]
        results = [shared.copy() for shared in parts(self._workers.outputs, shapes, slice(images))]
        for whole, out in zip(parts(results, shapes, mine), first, strict=True):
            whole[...] = out
        return results

    def _checked_images(self, x: Array) -> Array:
        """Return images (B, C, H, W) as (B, C·H·W) on the device. Raises UserError where they do not fit."""
        x = self._checked_array("images", x, ("B", *self.config.image_shape), least=0, most=1)
        return x.reshape(len(x), -1)

    def _checked_array(self, name: str, values: Array, shape: tuple, axes="", least=-math.inf, most=math.inf) -> Array:
        """Return an array-like on the device in the network's dtype; a letter in `shape` is any number of 1 or more.

        Raises UserError unless it has that shape and, in that dtype, finite values from `least` to `most`.
        """
        array = as_array(name, values, self.xp)
        sizes = zip(array.shape, shape, strict=False)
        if array.ndim != len(shape) or not all(n == wanted or (n and isinstance(wanted, str)) for n, wanted in sizes):
            raise UserError(f"{name} must be {axes}({', '.join(map(str, shape))}), not {tuple(array.shape)}")
        with np.errstate(over="ignore"):  # what is too large becomes infinite
            array = to_device(array, np if isinstance(array, np.ndarray) else self.xp, self.dtype)
        low, high = float(array.min()), float(array.max())  # where it lies; both are NaN if there is one
        if not (math.isfinite(low) and math.isfinite(high)):
            raise UserError(f"{name} must be finite in {self.dtype}, not NaN or infinite: look at what made them so")
        if low < least or high > most:
            raise UserError(f"{name} must have values from {least} to {most}, not {low} to {high}: rescale them")
        return to_device(array, self.xp, self.dtype)


def as_array(name: str, values: Any, xp) -> Array:
    """Return an array of `xp` as it is, other array-likes as NumPy's. Raises UserError unless they are real numbers."""
    try:
        array = values if isinstance(values, xp.ndarray) else np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as problem:  # such as rows of unequal lengths, a tensor on a GPU
        raise UserError(f"{name} cannot become a NumPy array ({one_line(problem)}): convert them") from None
    if not np.can_cast(array.dtype, np.float64, "same_kind"):
        raise UserError(f"{name} must be real numbers, not {array.dtype}: convert them")
    return array


def parameter_count(network: type[Network], config: Any) -> int:
    """Return how many numbers all parameters of a network are together."""
    return sum(map(math.prod, network.parameter_shapes(config).values()))
