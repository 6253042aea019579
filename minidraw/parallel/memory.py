"""Memory that processes share, and arrays cut out of it.

There are two pieces of it: one holds the parameters (P,) and a gradient for every worker (workers, P), the other the
inputs and outputs of a whole minibatch, of which every process reads and fills its images' part.
"""

import contextlib
import math
import mmap
import os
import tempfile
from typing import Any

import numpy as np

from ..errors import UserError


def parameter_views(flat, shapes: dict[str, tuple[int, ...]]) -> dict:
    """Cut one flat vector into named arrays that share its memory."""
    views, start = {}, 0
    for name, shape in shapes.items():
        views[name] = flat[start : start + math.prod(shape)].reshape(shape)
        start += math.prod(shape)
    return views


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
