"""Memory that processes share, and arrays cut out of it.

There are two pieces of it: one holds the parameters (P,) and a gradient for every worker (workers, P), the other the
inputs and outputs of a whole minibatch, of which every process reads and fills its images' part.
"""

import contextlib
import ctypes
import io
import math
import mmap
import os
import sys
import tempfile
import uuid
import weakref
from collections.abc import MutableMapping
from typing import Any

import numpy as np

from ..backend import as_array
from ..errors import UserError, unknown

if sys.platform != "win32":
    import fcntl

FIRST_AFTER_STREAMS = 3  # the number that a file may have which another process inherits
CLOSE_ON_EXEC = 1  # of memfd_create, which some builds of Python lack though their system has it


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


class Shared:
    """Memory for several processes that has a name in no folder: it is gone with the last of them, however they end.

    A process that inherits the `handles` finds it by what `grow` returns. Raises OSError where there can be none.
    """

    def __init__(self) -> None:
        self.handles: tuple[int, ...] = ()
        if sys.platform != "win32":
            self.handles = (_nameless_file(),)
            weakref.finalize(self, os.close, *self.handles)

    def grow(self, size: int) -> dict:
        """Hold `size` bytes or more; return what `map_shared` needs to find them. Who has mapped it does so again.

        Raises OSError where there is no room for them.
        """
        if sys.platform == "win32":  # memory with a name, which goes with its last user too, but does not grow
            name = f"minidraw-{uuid.uuid4()}"
            self.memory = mmap.mmap(-1, size, tagname=name)
            return {"name": name, "size": size}
        (handle,) = self.handles
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(handle, 0, size)  # or what is full would end us with a bus error later
        else:
            os.truncate(handle, max(size, os.fstat(handle).st_size))
        return {"handle": handle, "size": size}


def _nameless_file() -> int:
    """Make a file that no folder has: in memory, where the system knows such, else in the folder of temporary files."""
    make = getattr(os, "memfd_create", None) or getattr(ctypes.CDLL(None), "memfd_create", None)  # Linux
    file: Any = None
    with contextlib.suppress(OSError):
        if make and (handle := make(b"minidraw", CLOSE_ON_EXEC)) >= 0:
            file = io.FileIO(handle)
    with file or tempfile.TemporaryFile() as file:  # its number may be that of a standard stream that is closed
        return fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, FIRST_AFTER_STREAMS)


def map_shared(dtype: np.dtype, size: int, handle: int = -1, name: str = "") -> np.ndarray:
    """Return shared memory as a flat array, which keeps it; the last three arguments are what `Shared.grow` returns."""
    if sys.platform == "win32":
        return np.frombuffer(mmap.mmap(-1, size, tagname=name), dtype)
    return np.frombuffer(mmap.mmap(handle, size), dtype)


def batch_shapes(network: Any, config: Any, images: int) -> list[tuple[int, ...]]:
    """Return the shapes of a batch's inputs and outputs."""
    shapes = (*network.Shard.input_shapes(config), *network.Shard.output_shapes(config))
    return [tuple(images if n is None else n for n in shape) for shape in shapes]


def batch_views(memory: np.ndarray, network: Any, config: Any, images: int) -> tuple[list, list]:
    """Return the inputs and the outputs of a batch in flat memory of their size or more."""
    shapes = {str(k): shape for k, shape in enumerate(batch_shapes(network, config, images))}
    arrays = list(parameter_views(memory, shapes).values())
    count = len(network.Shard.input_shapes(config))
    return arrays[:count], arrays[count:]
