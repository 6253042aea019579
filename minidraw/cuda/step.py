"""A training step that stays on the GPU, played back as one CUDA graph from the second step on.

The host brings images and a learning rate and asks for nothing back: noise, losses, the norm of the gradient, whether
there is an update, Adam and the running average are computed there, and how many steps were taken and what they came to
is added up there until somebody asks. All memory that a graph touches is its own and stays where it is.
"""

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import STDERR, one_line
from ..streams import Purpose, seeds

SQUARES = 256  # blocks that add up the squares of the gradient
COUNTS = 5  # as in kernels.cu: steps, updates, skipped, of these in a row, rows


class Feed:
    """Copies minibatches to the device from pinned memory, two buffers by turns, without waiting for their use."""

    def __init__(self, cupy, targets: Sequence[Any]):
        def pinned(target: Any) -> np.ndarray:
            memory = cupy.cuda.alloc_pinned_memory(target.nbytes)
            return np.frombuffer(memory, target.dtype, target.size).reshape(target.shape)

        self.targets, self.turn = targets, 0
        self.buffers = [[pinned(target) for target in targets] for _ in range(2)]
        self.copied = [cupy.cuda.Event(block=True, disable_timing=True) for _ in range(2)]

    def bring(self, arrays: Sequence[np.ndarray], stream: Any) -> None:
        """Fill the targets, in the order of the stream."""
        buffers, copied = self.buffers[self.turn], self.copied[self.turn]
        self.turn = 1 - self.turn
        copied.synchronize()  # the device has what was in these buffers; at most two steps wait for it
        for buffer, array, target in zip(buffers, arrays, self.targets, strict=True):
            buffer[...] = array
            target.set(buffer, stream)
        copied.record(stream)


class TrainingStep:
    """One step after another of a task's model, with the vectors and settings of `adam`.

    `images` are in a minibatch; gradients with a norm above `clip` are clipped, unless that is 0. The noise is a
    function of `seed` and step.
    """

    def __init__(self, task: Any, adam: Any, images: int, clip: float, seed: int, capture: bool = True):
        self.task, self.adam, self.images, self.clip = task, adam, images, clip
        self.key = seeds(seed, Purpose.NOISE).generate_state(1, np.uint64)[0]
        self.model = model = task.model
        self.xp, self.kernels = model.xp, model.xp.kernels
        self.shard = model.Shard(model.config, self.xp, model.dtype)  # the model's own may grow and move
        shapes = model.Shard.input_shapes(model.config)
        zeros = self.xp.zeros
        self.inputs = [zeros([images if size is None else size for size in shape], model.dtype) for shape in shapes]
        self.feed = Feed(self.xp, self.inputs[:-1] if task.noisy else self.inputs)
        length = task.row_length(model.config.glimpses)
        self.row, self.squares = zeros(length, model.dtype), zeros(SQUARES, np.float64)
        self.rate, self.verdict = zeros(1, model.dtype), zeros(5, model.dtype)
        self.counts, self.sums = zeros(COUNTS, np.int64), zeros(1 + length, np.float64)
        self.stream, self.pool = self.xp.cuda.Stream(), self.xp.cuda.MemoryPool()
        self.capture, self.warm, self.graph = capture, False, None

    def run(self, arrays: Sequence[np.ndarray], learning_rate: float) -> None:
        """Take a step on what a minibatch has of the data; it may not be done on return."""
        with self.stream:
            self.feed.bring(arrays, self.stream)
            self.kernels.blocks("set", 1, self.rate, float(learning_rate))
            if self.graph is None and self.warm and self.capture:
                self.record()
            if self.graph is not None:
                self.graph.launch(self.stream)
            else:
                with self.xp.cuda.using_allocator(self.pool.malloc):
                    self.work()
                self.warm = True  # all is compiled and chosen

    def record(self) -> None:
        """Write down the work of a step as a graph, without doing it; if that fails, say so and do without."""
        try:
            with self.xp.cuda.using_allocator(self.pool.malloc):
                self.stream.begin_capture()
                try:
                    self.work()
                except Exception:
                    with contextlib.suppress(Exception):  # it says no more than that the capture is void
                        self.stream.end_capture()
                    raise
                self.graph = self.stream.end_capture()
        except Exception as problem:
            print(f"no CUDA graph ({one_line(problem)}): the steps are launched kernel by kernel", file=STDERR)
            self.capture = False

    def work(self) -> None:
        """Ask for all kernels of a step. Nothing in here may depend on the host but what never changes in a run."""
        model, adam, kernels, grads = self.model, self.adam, self.kernels, self.model.flat_grads
        if self.task.noisy:
            noise = self.inputs[-1]
            kernels.elements("normals", -(-noise.size // 4), noise, self.counts, self.key, long(noise))
        outputs = self.shard.run("loss_and_grads", model.params, model.grads, self.inputs, 1.0 / self.images)
        self.task.device_row(outputs, self.inputs, self.row)
        shared = kernels.warps() * 8
        kernels.blocks("squares", SQUARES, grads, self.squares, long(grads), shared=shared)
        numbers = [np.float64(x) for x in (adam.beta1, adam.beta2, adam.epsilon, adam.averaging, self.clip)]
        filled = self.counts, self.sums, self.verdict
        given = self.row, self.row.size, self.squares, SQUARES, self.rate
        kernels.blocks("decide", 1, *given, *filled, *numbers, shared=shared)
        vectors = adam.params, grads, adam.mean, adam.square, adam.average
        betas = adam.beta1, 1 - adam.beta1, adam.beta2, 1 - adam.beta2
        kernels.elements("adam", grads.size, *vectors, self.verdict, *betas, long(grads))

    def load(self, step: int, updates: int, skipped: int, in_a_row: int) -> None:
        """Let the next step be that after `step` steps, of which `updates` were updates."""
        with self.stream:
            self.counts[...] = self.xp.asarray(np.array([step, updates, skipped, in_a_row, 0]))

    def fetch(self) -> tuple[list[int], list[float]]:
        """Wait for the steps asked for; return COUNTS and, since the last time, sums of gradient norms and of rows."""
        with self.stream:
            counts, sums = self.counts.get().tolist(), self.sums.get().tolist()
            self.counts[COUNTS - 1] = 0
            self.sums[...] = 0.0
        return counts, sums


def long(array: Any) -> np.int64:
    """Return an array's size as a kernel takes it."""
    return np.int64(array.size)
