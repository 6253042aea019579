"""What DRAW and RAM have in common: parameters by name in one vector, and minibatches computed on every core."""

import dataclasses
import math
import os
import weakref
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np

from ..backend import Array, array_module, as_array, module_name, to_device, to_host
from ..errors import UserError, unknown
from ..parallel.guard import Guard, blas_threads
from ..parallel.memory import parameter_views
from ..parallel.shard import Shard, parts
from ..parallel.workers import SMALLEST_WORK, Workers, cores, dotted_path, shard_bounds
from .config import check_count

IMAGES_AT_ONCE = 250  # of a job without gradients: enough for every core, and little memory

N = TypeVar("N", bound="Network")


class Network(ABC):
    """Parameters and their gradients, and the shards of a minibatch; see DRAW and RAM.

    `params` maps names to arrays that may be written in place, or set. All parameters lie in the one vector
    `flat_params`, their gradients in `flat_grads`. `threads` (default: all cores) is how many shards a minibatch of
    some size is cut in; the result depends on it by rounding only. A class that another process cannot import, as of a
    notebook, has a single one. `precision` is how a GPU multiplies, see backend.array_module. Raises UserError for an
    unknown backend or dtype, and where the backend does not work.

    Threads may call one network at the same time; they take turns. Only one of them may have gradients of it, and none
    may write parameters while another calls it: for that give each a copy, copy.deepcopy(network). Copies, pickles and
    forked processes have the same parameters and begin with memory and workers of their own.
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
        if not isinstance(config, self.Config):
            wanted = f"{type(self).__name__} takes a {self.Config.__name__}, not {type(config).__name__}"
            raise UserError(f"{wanted}; for a network by its name or file there is minidraw.load")
        dtype = getattr(dtype, "__name__", str(dtype))  # numpy.float32 and "float32" alike
        if dtype not in ("float32", "float64"):
            raise unknown("dtype", dtype, ["float32", "float64"])
        self.config: Any = config
        self.xp, self.dtype = array_module(backend, precision), np.dtype(dtype)
        self.origin: Any = None  # how and of what data it was trained, which a checkpoint keeps (checkpoints.py)
        self.threads = cores() if threads is None else threads
        check_count("threads", self.threads)
        self._begin(self.start_values(config, seed))

    def _begin(self, params: np.ndarray) -> None:
        """Take the parameters, one flat vector on the host, and the memory that calls need."""
        self.flat_params = to_device(params.astype(self.dtype), self.xp, self.dtype)
        self.flat_grads = self.xp.zeros_like(self.flat_params)
        shapes = self.parameter_shapes(self.config)
        self.params: dict[str, Array] = parameter_views(self.flat_params, shapes)
        self.grads: dict[str, Array] = parameter_views(self.flat_grads, shapes)
        self._shard = self.Shard(self.config, self.xp, self.dtype)
        several = self.threads > 1 and self.xp is np and dotted_path(type(self)) is not None
        self._workers = Workers(type(self), self.config, self.dtype) if several else None
        self._guard = Guard(weakref.WeakMethod(self._forked))

    def _forked(self) -> None:
        """Leave the workers to the parent, in a process that was just forked."""
        if self._workers:
            self._workers.forget()

    def __getstate__(self) -> dict:
        """Return what a copy is made of: settings and parameters, not the memory that calls need."""
        begun = ("flat_params", "flat_grads", "params", "grads", "_shard", "_workers", "_guard", "xp")
        kept = {name: value for name, value in vars(self).items() if name not in begun}
        return kept | {"xp": module_name(self.xp), "params": to_host(self.flat_params).copy()}

    def __setstate__(self, state: dict) -> None:
        params = state.pop("params")
        vars(self).update(state | {"xp": array_module(*state["xp"])})
        self._begin(params)

    def __setattr__(self, name: str, value: Any) -> None:
        """Raise UserError where an array, or the dict of them, would be put in the place of what calls compute with."""
        if name in ("params", "grads", "flat_params", "flat_grads") and vars(self).get(name, value) is not value:
            raise UserError(f"{name} cannot be replaced: write into it, as by {name}[...] = values")
        super().__setattr__(name, value)

    def __repr__(self) -> str:
        name, backend = type(self).__name__, module_name(self.xp)[0]
        return f"{name}({self.config}, {self.flat_params.size:,} parameters, {self.dtype} on {backend})"

    def save(self, path: str | os.PathLike) -> None:
        """Write the parameters to a checkpoint, which `load` and every command read; its name may end in .npz.

        It appears whole or not at all. Raises UserError where it cannot be written.
        """
        from ..training import checkpoints  # upwards, for convenience

        checkpoints.save_network(path, self)

    @classmethod
    def load(cls: type[N], path: str | os.PathLike, backend: str = "numpy", threads: int | None = None) -> N:
        """Return the network of a checkpoint, of a run's folder, or one that comes with the package, by its name.

        Of a run these are the averaged parameters. Raises UserError where there is none, and for another kind of one.
        """
        from ..training import checkpoints  # upwards, for convenience

        network = checkpoints.load(path).network(backend, threads)
        if not isinstance(network, cls):
            raise UserError(f"{path} is a network of the kind {type(network).__name__}, not {cls.__name__}")
        return network

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
        with self._guard:
            if glimpses != self.config.glimpses:
                self.config = dataclasses.replace(self.config, glimpses=glimpses)
                self._shard.unroll(self.config)
                if self._workers:
                    self._workers.unroll(self.config)

    def _on_every_core(self, job: str, *inputs: Array) -> list[np.ndarray]:
        """Do the first shard's part of a job here while workers do the others; return the outputs on the host.

        After "loss_and_grads" flat_grads holds the gradient of the mean loss.
        """
        with self._guard, blas_threads(1):  # one core a shard
            if job == "loss_and_grads":
                self._guard.keep_gradients()
                return self._at_once(job, inputs)
            shapes, images = self.Shard.input_shapes(self.config), range(0, len(inputs[0]), IMAGES_AT_ONCE)
            some = (parts(inputs, shapes, slice(first, first + IMAGES_AT_ONCE)) for first in images)
            results = zip(*(self._at_once(job, chunk) for chunk in some), strict=True)
            axes = (shape.index(None) for shape in self.Shard.output_shapes(self.config))
            return [np.concatenate(chunks, axis) for chunks, axis in zip(results, axes, strict=False)]

    def _at_once(self, job: str, inputs: Sequence[Array]) -> list[np.ndarray]:
        images, shard = len(inputs[0]), self._shard
        work = images * self.config.glimpses * self.flat_params.size
        bounds = shard_bounds(images, self.threads if self._workers and work >= SMALLEST_WORK else 1)
        if len(bounds) == 1:
            return [to_host(out) for out in shard.run(job, self.params, self.grads, inputs, 1.0 / images)]
        mine = slice(*bounds[0])
        some = parts(inputs, shard.input_shapes(self.config), mine)
        first = self._workers.run(
            job, self.flat_params, inputs, bounds, lambda: shard.run(job, self.params, self.grads, some, 1.0 / images)
        )
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
        array = as_array(name, values, self.xp.ndarray)
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


def parameter_count(network: type[Network], config: Any) -> int:
    """Return how many numbers all parameters of a network are together."""
    return sum(map(math.prod, network.parameter_shapes(config).values()))
