"""What one network may do at a time: threads take turns, and a forked process begins anew.

A network computes in memory of its own that the next call overwrites, so a call holds the network's lock. A process
that was forked has the lock as it happened to be, and the pipes of its parent's workers: it gets new ones.
"""

import contextlib
import os
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import threadpoolctl

from ..errors import UserError


class Guard:
    """A lock for calls of one network; and whose its gradients are, which lie in memory of the network until the next.

    `forked` is called in a child process, before it does anything else.
    """

    def __init__(self, forked: weakref.WeakMethod):
        self.forked = forked
        self.begin()
        _GUARDS.add(self)

    def begin(self) -> None:
        """Be free."""
        self.lock = threading.RLock()
        self.holder: threading.Thread | None = None

    def __enter__(self) -> None:
        self.lock.acquire()

    def __exit__(self, *_: Any) -> None:
        self.lock.release()

    def keep_gradients(self) -> None:
        """Let the gradients be this thread's. Raises UserError while they are those of another one that still runs."""
        me = threading.current_thread()
        if self.holder not in (None, me) and self.holder.is_alive():
            raise UserError(
                f"the gradients of this network are those of another thread ({self.holder.name}), and this one would "
                "overwrite them: give every thread a network of its own, copy.deepcopy(network)"
            )
        self.holder = me


_GUARDS: weakref.WeakSet[Guard] = weakref.WeakSet()


def _begin_all() -> None:
    """Begin anew in a process that was just forked."""
    _BLAS.begin()
    for guard in list(_GUARDS):
        guard.begin()
        if (forked := guard.forked()) is not None:
            forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_all)


class _BlasThreads:
    """How many threads BLAS uses, one number for the process."""

    def __init__(self):
        self.lock, self.limiter, self.controller = threading.Lock(), None, None

    @contextlib.contextmanager
    def limit(self, threads: int) -> Iterator[None]:
        """Let BLAS use so many threads in a block, unless another block is open, which has decided that already.

        Who has set the number sets it back. If each block did, the last to end would set back what the first had set.
        """
        with self.lock:
            if self.controller is None:
                self.controller = threadpoolctl.ThreadpoolController().select(user_api="blas")
            mine = None if self.limiter else self.controller.limit(limits=threads)
            self.limiter = self.limiter or mine
        if mine is None:
            yield
            return
        try:
            with mine:
                yield
        finally:
            self.limiter = None

    def begin(self) -> None:
        """Begin anew in a process that was just forked, maybe by one thread inside a block of another."""
        if self.limiter:
            self.limiter.restore_original_limits()
        self.lock, self.limiter = threading.Lock(), None


_BLAS = _BlasThreads()
blas_threads = _BLAS.limit
