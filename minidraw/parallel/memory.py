"""Memory that processes share, and arrays cut out of it.

There are two pieces of it: one holds the parameters (P,) and a gradient for every worker (workers, P), the other the
inputs and outputs of a whole minibatch, of which every process reads and fills its images' part.
"""

import contextlib
import math
import mmap
import os
import tempfile
from collections.abc import MutableMapping
from typing import Any

import numpy as np

from ..backend import as_array
from ..errors import UserError, unknown


class Views(dict):
    """Named arrays that are parts of one vector: to set one is to copy numbers into it; none comes or goes.

    So `params["read.b"] = b` does what `params["read.b"][:] = b` does. Raises UserError for an unknown name and for
    what has not exactly the shape of the array that is there.

    >>> vector = np.zeros(3)
    >>> views = parameter_views(vector, {"a": (2,), "b": (1,)})
    >>> views["a"] = [1, 2]
    >>> vector.tolist()
    [1.0, 2.0, 0.0]
    """

    __slots__ = ()

    def __setitem__(self, name: str, values: Any) -> None:
        if name not in self:
            raise unknown("parameter", name, self)
        mine = self[name]
        if values is mine:  # as after `views[name] -= step`
            return
        values = as_array(name, values, type(mine))
        if values.shape != mine.shape:
            raise UserError(f"{name} has the shape {mine.shape}, not {values.shape}")
        if isinstance(values, type(mine)):
            mine[...] = values
        else:
            mine.set(values.astype(mine.dtype))  # to the GPU

    def __delitem__(self, name: str) -> None:
        raise UserError(f"{name} cannot be taken away: the parameters lie in one vector")

    def update(self, *given: Any, **named: Any) -> None:
        """Set some of the arrays, given as for any dict."""
        for name, values in dict(*given, **named).items():
            self[name] = values

    def __ior__(self, other: Any) -> "Views":  # type: ignore[override, misc]  # dict's | makes a dict
        self.update(other)
        return self

    def pop(self, name: str, *_: Any) -> Any:
        """Raise UserError: none goes."""
        del self[name]

    def popitem(self) -> Any:
        """Raise UserError: none goes."""
        del self[next(iter(self))]

    clear = popitem
    setdefault = MutableMapping.setdefault

    def __reduce__(self) -> tuple:
        return dict, (dict(self),)  # a copy is no part of the vector


def parameter_views(flat, shapes: dict[str, tuple[int, ...]]) -> dict:
    """Cut one flat vector into named arrays that share its memory."""
    named, start = {}, 0
    for name, shape in shapes.items():
        named[name] = flat[start : start + math.prod(shape)].reshape(shape)
        start += math.prod(shape)
    return Views(named)


@contextlib.contextmanager
def shared_file(size: int):
    """Make a file of `size` bytes for processes to map, in memory where possible; its name is gone on leaving.

    Raises UserError where there is no room for it.
    """
    for folder in ("/dev/shm", None):
        if folder is None or os.path.isdir(folder):
            try:
                handle, path = tempfile.mkstemp(prefix="minidraw-", dir=folder)
            except OSError as problem:
                failure = problem
                continue
            try:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(handle, 0, size)  # or a full /dev/shm would end us with a bus error later
                else:
                    os.truncate(handle, size)
            except OSError as problem:
                failure = problem
            else:
                yield path
                return
            finally:
                os.close(handle)
                with contextlib.suppress(OSError):  # where an open file cannot be removed, it stays until the next boot
                    os.remove(path)
    raise UserError(f"no room for {size} bytes shared between processes ({failure}); use --threads 1")


def map_file(path: str, dtype: np.dtype) -> np.ndarray:
    """Return the content of a shared file as a flat array; the memory lives as long as the array."""
    with open(path, "r+b") as file:
        return np.frombuffer(mmap.mmap(file.fileno(), 0), dtype)


def batch_shapes(network: Any, config: Any, images: int) -> list[tuple[int, ...]]:
    """Return the shapes of a batch's inputs and outputs."""
    shapes = (*network.Shard.input_shapes(config), *network.Shard.output_shapes(config))
    return [tuple(images if n is None else n for n in shape) for shape in shapes]


def batch_views(path: str, network: Any, config: Any, images: int, dtype: np.dtype) -> tuple[list, list]:
    """Return the inputs and the outputs of a batch in a shared file."""
    shapes = {str(k): shape for k, shape in enumerate(batch_shapes(network, config, images))}
    arrays = list(parameter_views(map_file(path, dtype), shapes).values())
    count = len(network.Shard.input_shapes(config))
    return arrays[:count], arrays[count:]
