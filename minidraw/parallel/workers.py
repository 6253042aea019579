"""One minibatch on every core: cut in shards, the first for this process, each other one for a worker process.

NumPy's elementwise work runs on one core, so a BLAS of many threads leaves all but one idle half of the time. Threads
of one Python process do not help either: a step is thousands of NumPy calls of a few microseconds, and handing over
the interpreter's lock costs as much as the call (measured: no gain from two threads, 1.7 times the speed from two
processes). A worker, see worker.py, shares memory with this process, see memory.py. Commands are lines of
JSON on its standard input, the answer to each is a line on its standard output; it ends with its input or this
process, whichever is the first to end, so none outlives this process, however it ends.

Why not `multiprocessing`: what it forks copies the state of BLAS's threads and of a GPU, and what it spawns runs the
user's script again, which then needs a guard around its main part. These are plain programs that know nothing of it.
"""

import dataclasses
import itertools
import json
import math
import os
import subprocess
import sys
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from ..errors import STDERR, UserError, one_line, reason
from .memory import Shared, batch_shapes, batch_views, map_shared
from .shard import parts

SMALLEST_SHARD = 8  # images
SMALLEST_WORK = 1e8  # multiply-adds of the forward pass; below this a worker costs more than it brings
DONE = "done"  # a worker's answer if all is well
LESS = "maybe for want of memory, of which fewer --threads take less"
PROGRAM = """
import json, sys
package, search, parent = sys.argv[1:]
del sys.argv[1:]
sys.path[:] = [package, *filter(None, sys.path)]  # '' is the current folder
sys.path += [place for place in json.loads(search) if place not in sys.path]
try:
    from minidraw.parallel.worker import serve
except Exception as problem:
    print(*f"{type(problem).__name__}: {problem}".split())
else:
    serve(int(parent))
"""

T = TypeVar("T")


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


class NoWorkers(UserError):
    """Worker processes cannot start, or cannot share memory."""


class Workers:
    """Worker processes for networks of one config; as many as a call needs start with the first that needs them."""

    def __init__(self, network: Any, config: Any, dtype: np.dtype):
        self.network, self.config, self.dtype = network, config, np.dtype(dtype)
        self.size = sum(math.prod(shape) for shape in network.parameter_shapes(config).values())
        self.processes: list[subprocess.Popen] = []
        self.images, nothing = 0, cast(Any, None)
        self.params = self.gradients = self.batch = self.inputs = self.outputs = nothing

    def unroll(self, config: Any) -> None:
        """Go on with a config of another number of glimpses: the next call shares memory of other shapes."""
        self.config, self.images = config, 0

    def run(self, job: str, params: np.ndarray, inputs: Sequence[np.ndarray], bounds: list, mine: Callable[[], T]) -> T:
        """Have worker k do a job of the network's Shard on the images of bounds[k + 1] while this process does mine().

        `params`, the flat vector, and the inputs of all shards are copied to the shared memory; in the end gradients[k]
        and outputs hold what the workers did. What mine() returns is returned. If one dies, new ones do all of it
        again, once. Raises WorkerDied if one dies then too, NoWorkers where none can be started.
        """
        try:
            return self._once(job, params, inputs, bounds, mine)
        except WorkerDied as death:
            from tqdm import tqdm  # here, since it is hardly ever needed

            tqdm.write(f"note: {death}; new ones do its work again", STDERR)
            return self._once(job, params, inputs, bounds, mine)

    def _once(
        self, job: str, params: np.ndarray, inputs: Sequence[np.ndarray], bounds: list, mine: Callable[[], T]
    ) -> T:
        try:
            self._start(job, params, inputs, bounds)
            result = mine()
            for process in self.processes[: len(bounds) - 1]:
                self._await(process)
            return result
        except BaseException:  # Ctrl-C too: an answer still to come must not be taken for a later one
            self.close()
            raise

    def _start(self, job: str, params: np.ndarray, inputs: Sequence[np.ndarray], bounds: list) -> None:
        images = len(inputs[0])
        try:
            if len(self.processes) < len(bounds) - 1:
                self.close()
                self._launch(len(bounds) - 1)
            if images > self.images:
                self._share_batch(images)
        except OSError as problem:
            why = f"cannot share work among {len(bounds)} processes ({reason(problem)}); use --threads 1"
            raise NoWorkers(why) from None
        self.params[:] = params
        shapes = self.network.Shard.input_shapes(self.config)
        for array, shared in zip(inputs, parts(self.inputs, shapes, slice(images)), strict=True):
            shared[...] = array
        for process, (first, last) in zip(self.processes, bounds[1:], strict=False):
            self._tell(process, {"job": job, "first": first, "last": last, "scale": 1.0 / images})

    def close(self) -> None:
        """End the workers, and let go of what is shared with them; the next call would start new ones."""
        if self.processes:
            self.processes, self.images = [], 0
            self.params = self.gradients = self.batch = self.inputs = self.outputs = None
            self._end()

    def forget(self) -> None:
        """Let go of the workers in a process that was forked: they are its parent's, whose pipes stay open."""
        for process in self.processes:
            process.stdin.close()
            process.stdout.close()
            process.returncode = 0  # there is nothing to wait for, or to end
        self.close()

    def _launch(self, count: int) -> None:
        environment = os.environ | {f"{name}_NUM_THREADS": "1" for name in ("OPENBLAS", "MKL", "OMP", "VECLIB", "BLIS")}
        package = str(Path(__file__).resolve().parents[2])
        search = json.dumps([place for place in sys.path if place])  # it may find what a process does not by itself
        command = [sys.executable or "", "-c", PROGRAM, package, search, str(os.getpid())]
        block, self.batch = Shared(), Shared()
        # A session of their own: Ctrl-C is for this process alone, which then ends them.
        # No buffers: a process that is forked has a copy of what is in them, and of their locks.
        pipes: dict[str, Any] = {
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "bufsize": 0,
            "start_new_session": True,
            "pass_fds": block.handles + self.batch.handles,
        }
        self.processes, self.images = [], 0
        self._end = weakref.finalize(self, _end_all, self.processes)
        for _ in range(count):
            self.processes.append(subprocess.Popen(command, env=environment, **pipes))
        memory = block.grow((1 + count) * self.size * self.dtype.itemsize)
        shared = map_shared(self.dtype, **memory).reshape(-1, self.size)
        self.params, self.gradients = shared[0], shared[1:]
        hello = {
            "network": dotted_path(self.network),
            "config": dataclasses.asdict(self.config),
            "dtype": self.dtype.name,
            "memory": memory,
        }
        for k, process in enumerate(self.processes):
            self._tell(process, hello | {"worker": k})
        for process in self.processes:
            if (answer := self._answer(process)) != DONE:
                raise NoWorkers(f"a worker process cannot begin ({answer}); use --threads 1")

    def _share_batch(self, images: int) -> None:
        shapes = batch_shapes(self.network, self.config, images)
        memory = self.batch.grow(sum(map(math.prod, shapes)) * self.dtype.itemsize)
        self.inputs, self.outputs = batch_views(map_shared(self.dtype, **memory), self.network, self.config, images)
        for process in self.processes:
            self._tell(process, {"memory": memory, "images": images, "glimpses": self.config.glimpses})
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
        if (answer := self._answer(process)) != DONE:
            raise WorkerDied(f"a worker process failed ({answer}), {LESS}")

    def _answer(self, process: subprocess.Popen) -> str:
        """Return a worker's answer, DONE if all is well. Raises WorkerDied if there is none."""
        if answer := process.stdout.readline():
            return one_line(answer.decode(errors="replace"))
        process.kill()
        raise WorkerDied(f"a worker process died (status {process.wait()}), {LESS}")


def _end_all(processes: list[subprocess.Popen]) -> None:
    """End workers, also such as hang or are stopped: they have nothing to lose."""
    for process in processes:
        process.kill()
    for process in processes:
        process.wait()
        process.stdin.close()
        process.stdout.close()
