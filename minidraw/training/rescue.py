"""What is kept of a run that ends early."""

import contextlib
from collections.abc import Iterator
from typing import Any

from ..parallel.workers import NoWorkers, WorkerDied
from .keeping import what_is_kept
from .step import Diverged


@contextlib.contextmanager
def kept(trainer: Any) -> Iterator[None]:
    """Write a trainer's checkpoint where a block ends before the run does, also because its workers fail.

    That is never in the middle of an update. But where ranks share a run, the others do not know of such a failure, and
    a checkpoint is written by all or none.
    """
    failure = None
    try:
        yield
    except (WorkerDied, NoWorkers) as problem:
        failure = problem
    early = trainer.ranks.size == 1 if failure else trainer.progress() < 1
    if early:
        trainer.keep(look=not failure)  # which takes workers
    if failure:
        raise type(failure)(f"{failure}{what_is_kept(trainer)}") from None
    if early and trainer.flaw and trainer.saved is None and trainer.record.folder:
        raise Diverged(trainer.flaw)  # there is nothing to go on with
