"""One minibatch on every core: cut in shards, the first for this process, each other one for a worker process.

NumPy's elementwise work runs on one core, so a BLAS of many threads leaves all but one idle half of the time. Threads
of one Python process do not help either: a step is thousands of NumPy calls of a few microseconds, and handing over
the interpreter's lock costs as much as the call (measured: no gain from two threads, nearly twice the speed from two
processes). Workers are plain subprocesses that share one block of memory with this one:

    weights: params (P,), gradients (workers, P)      batch: x (B, C·H·W), noise (T, B, Z), losses (B,), (T, B)

Commands and answers are lines of JSON on their standard input and output. A worker ends when its input does, so none
outlives this process, however it ends.
"""

import contextlib
import dataclasses
import itertools
import json
import math
import mmap
import os
import signal
import subprocess
import sys
import tempfile
import weakref

import numpy as np

from .config import DRAWConfig, parameter_count, parameter_shapes, parameter_views
from .errors import UserError

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


class WorkerDied(RuntimeError):
    """A worker process ended without answering, most likely for want of memory."""


class Workers:
    """`count` worker processes for networks of one config; they start with the first call."""

    def __init__(self, count: int, config: DRAWConfig, dtype: np.dtype):
        self.count, self.config, self.dtype = count, config, np.dtype(dtype)
        self.size = parameter_count(config)
        self.processes: list[subprocess.Popen] = []
        self.images = 0

    def start(self, do: str, params: np.ndarray, x: np.ndarray, noise: np.ndarray, bounds: list) -> None:
        """Have worker k do "loss", "loss_and_grads" or "log_weights" on the images of bounds[k + 1]; returns at once.

        params is the flat vector of parameters, x (B, C·H·W), noise (T, B, Z): all are copied to the shared memory.
        """
        with self._all_or_nothing():
            if not self.processes:
                self._launch()
            if len(x) > self.images:
                self._share_batch(len(x))
            self.params[:] = params
            self.x[: len(x)], self.noise[:, : len(x)] = x, noise
            for process, (first, last) in zip(self.processes, bounds[1:], strict=False):
                self._tell(process, {"do": do, "first": first, "last": last, "weight": 1.0 / len(x)})

    def finish(self, bounds: list) -> None:
        """Wait for what `start` began: gradients[k], reconstruction and latent then hold the results."""
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

    def _launch(self) -> None:
        environment = os.environ | {f"{name}_NUM_THREADS": "1" for name in ("OPENBLAS", "MKL", "OMP", "VECLIB", "BLIS")}
        package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # in place of '', the current folder
        program = f"import sys; sys.path[0] = {package!r}; from minidraw.parallel import serve; serve()"
        command = [sys.executable, "-c", program]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
        self.processes = [subprocess.Popen(command, **pipes) for _ in range(self.count)]
        self._end = weakref.finalize(self, _end, self.processes)
        self.images = 0
        with shared_file((1 + self.count) * self.size * self.dtype.itemsize) as path:
            block = map_file(path, self.dtype).reshape(-1, self.size)
            self.params, self.gradients = block[0], block[1:]
            config, dtype = dataclasses.asdict(self.config), self.dtype.name
            for k, process in enumerate(self.processes):
                self._tell(process, {"config": config, "dtype": dtype, "worker": k, "path": path})
            for process in self.processes:
                self._await(process)

    def _share_batch(self, images: int) -> None:
        with shared_file(batch_size(self.config, images) * self.dtype.itemsize) as path:
            self.x, self.noise, self.reconstruction, self.latent = batch_views(path, self.config, images, self.dtype)
            for process in self.processes:
                self._tell(process, {"do": "share", "path": path, "images": images})
            for process in self.processes:
                self._await(process)
        self.images = images

    def _tell(self, process: subprocess.Popen, message: dict) -> None:
        try:
            process.stdin.write(json.dumps(message) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            self._await(process)

    def _await(self, process: subprocess.Popen) -> None:
        answer = process.stdout.readline()
        if answer != "done\n":
            self.close()
            raise WorkerDied(f"a worker process died (status {process.wait()}); is there enough memory?")


def _end(processes: list[subprocess.Popen]) -> None:
    """Close the workers' input, which ends them, and wait."""
    for process in processes:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
    for process in processes:
        process.wait()
        process.stdout.close()


def serve() -> None:
    """Be a worker: obey the lines on standard input until there are none."""
    from .shard import Shard

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent; this process ends when its input does
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # nothing else may write among the answers

    def answer() -> None:
        with contextlib.suppress(BrokenPipeError):
            answers.write("done\n")
            answers.flush()

    hello = json.loads(sys.stdin.readline() or "null")
    if hello is None:
        return
    config, dtype = DRAWConfig(**hello["config"]), np.dtype(hello["dtype"])
    shapes = parameter_shapes(config)
    block = map_file(hello["path"], dtype).reshape(-1, sum(math.prod(shape) for shape in shapes.values()))
    params, grads = parameter_views(block[0], shapes), parameter_views(block[1 + hello["worker"]], shapes)
    shard = Shard(config, np, dtype)
    answer()
    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] == "share":
            x, noise, reconstruction, latent = batch_views(order["path"], config, order["images"], dtype)
        else:
            mine = slice(order["first"], order["last"])
            if order["do"] == "loss_and_grads":
                losses = shard.loss_and_grads(params, grads, x[mine], noise[:, mine], order["weight"])
                reconstruction[mine], latent[:, mine] = losses
            elif order["do"] == "loss":
                reconstruction[mine], latent[:, mine] = shard.loss(params, x[mine], noise[:, mine])
            else:
                reconstruction[mine] = shard.log_weights(params, x[mine], noise[:, mine])
        answer()


@contextlib.contextmanager
def shared_file(size: int):
    """Make a file of `size` bytes for processes to map, in memory where possible; its name is gone on leaving.

    Raises UserError where there is no room for it.
    """
    for folder in ("/dev/shm", None):
        if folder is None or os.path.isdir(folder):
            handle, path = tempfile.mkstemp(prefix="minidraw-", dir=folder)
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


def batch_size(config: DRAWConfig, images: int) -> int:
    """Return how many numbers a shared batch holds."""
    return images * (math.prod(config.image_shape) + config.glimpses * (config.latent_size + 1) + 1)


def batch_views(path: str, config: DRAWConfig, images: int, dtype: np.dtype) -> list[np.ndarray]:
    """Return x (B, C·H·W), noise (T, B, Z), reconstruction (B,) and latent (T, B) in a shared file."""
    T, flat = config.glimpses, map_file(path, dtype)
    shapes = (images, math.prod(config.image_shape)), (T, images, config.latent_size), (images,), (T, images)
    return list(parameter_views(flat, dict(enumerate(shapes))).values())
