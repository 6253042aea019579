"""One minibatch on every core: cut in shards, the first for this process, each other one for a worker process.

NumPy's elementwise work runs on one core, so a BLAS of many threads leaves all but one idle half of the time. Threads
of one Python process do not help either: a step is thousands of NumPy calls of a few microseconds, and handing over
the interpreter's lock costs as much as the call (measured: no gain from two threads, 1.7 times the speed from two
processes). A worker, see worker.py, shares memory with this process, see memory.py. Commands are lines of
JSON on its standard input, the answer to each is a line on its standard output; it ends when its input does, so none
outlives this process, however it ends.

Why not `multiprocessing`: what it forks copies the state of BLAS's threads and of a GPU, and what it spawns runs the
user's script again, which then needs a guard around its main part. These are plain programs that know nothing of it.
"""

import contextlib
import dataclasses
import itertools
import json
import math
import os
import subprocess
import sys
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .memory import batch_shapes, batch_views, map_file, shared_file
from .shard import parts

SMALLEST_SHARD = 8  # images
SMALLEST_WORK = 1e8  # multiply-adds of the forward pass; below this a worker costs more than it brings


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def shard_bounds(images: int, count: int) -> list[tuple[int, int]]:
    """Cut 0..images into `count` near-equal ranges, fewer if they would be shorter than SMALLEST_SHARD.

    >>> shard_bounds(33, 2)
    [(0, 17), (17, 33)]
    """
    count = max(1, min(count, images // SMALLEST_SHARD))
    size, longer = divmod(images, count)
    edges = [k * size + min(k, longer) for k in range(count + 1)]
    return list(itertools.pairwise(edges))


def dotted_path(network: type) -> str | None:
    """Return where another process finds a class, "package.module:Name"; None for one it cannot import.

    That is one of the main script, of a notebook, or made inside a function.

    >>> dotted_path(itertools.count), dotted_path(type("Local", (), {}))
    ('itertools:count', None)
    """
    module, name = network.__module__, network.__qualname__
    spec = None if module == "__main__" else getattr(sys.modules.get(module), "__spec__", None)
    there = spec is not None and getattr(sys.modules[module], name, None) is network
    return f"{module}:{name}" if there else None


class WorkerDied(RuntimeError):
    """A worker process ended without answering, most likely for want of memory."""


class Workers:
    """Worker processes for networks of one config; as many as a call needs start with the first that needs them."""

    def __init__(self, network: Any, config: Any, dtype: np.dtype):
        self.network, self.config, self.dtype = network, config, np.dtype(dtype)
        self.size = sum(math.prod(shape) for shape in network.parameter_shapes(config).values())
        self.processes: list[subprocess.Popen] = []
        self.images = 0

    def unroll(self, config: Any) -> None:
        """Go on with a config of another number of glimpses: the next call shares memory of other shapes."""
        self.config, self.images = config, 0

    def start(self, job: str, params: np.ndarray, inputs: Sequence[np.ndarray], bounds: list) -> None:
        """Have worker k do a job of the network's Shard on the images of bounds[k + 1]; returns at once.

        `params`, the flat vector, and the inputs of all shards are copied to the shared memory.
        """
        images = len(inputs[0])
        with self._all_or_nothing():
            if len(self.processes) < len(bounds) - 1:
                self.close()
                self._launch(len(bounds) - 1)
            if images > self.images:
                self._share_batch(images)
            self.params[:] = params
            shapes = self.network.Shard.input_shapes(self.config)
            for array, shared in zip(inputs, parts(self.inputs, shapes, slice(images)), strict=True):
                shared[...] = array
            for process, (first, last) in zip(self.processes, bounds[1:], strict=False):
                self._tell(process, {"job": job, "first": first, "last": last, "scale": 1.0 / images})

    def finish(self, bounds: list) -> None:
        """Wait for what `start` began: gradients[k] and outputs then hold the results."""
        with self._all_or_nothing():
            for process in self.processes[: len(bounds) - 1]:
                self._await(process)

    @contextlib.contextmanager
    def _all_or_nothing(self):
        """End the workers on any exception, Ctrl-C too: an answer still to come must not be taken for a later one."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the workers; the next call would start new ones."""
        if self.processes:
            self._end()
            self.processes = []

    def forget(self) -> None:
        """Let go of the workers in a process that was forked: they are its parent's, whose pipes stay open."""
        for process in self.processes:
            process.stdin.close()
            process.stdout.close()
            process.returncode = 0  # there is nothing to wait for
        self.processes = []

    def _launch(self, count: int) -> None:
        environment = os.environ | {f"{name}_NUM_THREADS": "1" for name in ("OPENBLAS", "MKL", "OMP", "VECLIB", "BLIS")}
        package = str(Path(__file__).resolve().parents[2])  # in place of '', the current folder
        program = f"import sys; sys.path[0] = {package!r}; from minidraw.parallel.worker import serve; serve()"
        command = [sys.executable, "-c", program]
        # A session of their own: Ctrl-C is for this process alone, which then ends them by closing their input.
        # No buffers: a process that is forked has a copy of what is in them, and of their locks.
        pipes: dict[str, Any] = {
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "bufsize": 0,
            "start_new_session": True,
        }
        self.processes = []
        self._end = weakref.finalize(self, _end_all, self.processes)
        for _ in range(count):
            self.processes.append(subprocess.Popen(command, env=environment, **pipes))
        self.images = 0
        with shared_file((1 + count) * self.size * self.dtype.itemsize) as path:
            block = map_file(path, self.dtype).reshape(-1, self.size)
            self.params, self.gradients = block[0], block[1:]
            hello = {
                "network": dotted_path(self.network),
                "search": [place for place in sys.path if place],
                "config": dataclasses.asdict(self.config),
                "dtype": self.dtype.name,
            }
            for k, process in enumerate(self.processes):
                self._tell(process, hello | {"worker": k, "path": path})
            for process in self.processes:
                self._await(process)

    def _share_batch(self, images: int) -> None:
        shapes = batch_shapes(self.network, self.config, images)
        with shared_file(sum(map(math.prod, shapes)) * self.dtype.itemsize) as path:
            self.inputs, self.outputs = batch_views(path, self.network, self.config, images, self.dtype)
            for process in self.processes:
                order = {"job": "share", "path": path, "images": images, "glimpses": self.config.glimpses}
                self._tell(process, order)
            for process in self.processes:
                self._await(process)
        self.images = images

    def _tell(self, process: subprocess.Popen, message: dict) -> None:
        line = json.dumps(message).encode() + b"\n"
        try:
            while line:
                line = line[process.stdin.write(line) :]
        except BrokenPipeError:
            self._await(process)

    def _await(self, process: subprocess.Popen) -> None:
        answer = process.stdout.readline()
        if answer != b"done\n":
            self.close()
            raise WorkerDied(f"a worker process died (status {process.wait()}); is there enough memory?")


def _end_all(processes: list[subprocess.Popen]) -> None:
    """Close the workers' input, which ends them, and wait."""
    for process in processes:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
    for process in processes:
        process.wait()
        process.stdout.close()
