"""One minibatch on every core: cut in shards, one thread a shard, one BLAS thread each.

NumPy's elementwise work runs on one core, and NumPy releases Python's lock while it works: so threads that each hold a
part of the minibatch keep every core busy, where a BLAS of many threads would leave all but one idle half of the time.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import threadpoolctl

from .errors import UserError

SMALLEST_SHARD = 8  # images; below this a thread costs more than it brings


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def shard_bounds(images: int, threads: int) -> list[tuple[int, int]]:
    """Cut 0..images into at most `threads` near-equal ranges of no less than SMALLEST_SHARD images if there are as many.

    >>> shard_bounds(33, 2)
    [(0, 17), (17, 33)]
    """
    count = max(1, min(threads, images // SMALLEST_SHARD))
    size, longer = divmod(images, count)
    edges = [k * size + min(k, longer) for k in range(count + 1)]
    return list(zip(edges[:-1], edges[1:], strict=True))


class Threads:
    """Runs one function for every shard at once; the calling thread takes the first.

    Raises UserError for a count below 1.
    """

    def __init__(self, count: int | None = None):
        self.count = cores() if count is None else count
        if self.count < 1:
            raise UserError(f"threads must be 1 or more, not {count}")
        self.pool = ThreadPoolExecutor(self.count - 1) if self.count > 1 else None
        self.blas = threadpoolctl.ThreadpoolController().select(user_api="blas")

    def run(self, function: Callable[[int], Any], shards: int) -> list[Any]:
        """Return [function(0), ..., function(shards - 1)], computed at the same time."""
        with self.blas.limit(limits=1):
            if shards == 1 or self.pool is None:
                return [function(k) for k in range(shards)]
            others = [self.pool.submit(function, k) for k in range(1, shards)]
            try:
                first = function(0)
            finally:  # nobody may still write to a trace when the caller sees the error
                for other in others:
                    other.exception()
            return [first, *(other.result() for other in others)]
