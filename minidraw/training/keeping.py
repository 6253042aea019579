"""What a run keeps, and what it says of that: never a network that has gone wrong in place of a good one."""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..backend import to_host
from ..data.summary import difference, fingerprint
from ..errors import UserError, reason
from ..pages.report import counted
from ..parallel.workers import NoWorkers, WorkerDied
from .checkpoints import VECTORS, Checkpoint
from .record import CHECKPOINT
from .step import Diverged

SEEN = 16  # held-out images by which a network is looked at before it is kept


def flaw(run: Any, look: bool = True) -> str:
    """Return in words what makes a trainer's network, as it stands, not worth keeping; "" where nothing does.

    An update whose gradient was finite may have spoilt it all the same, so there is a `look` at how it does. Ranks
    agree whether there is a flaw: all of them write a checkpoint or none, though the first alone has validated.
    """
    found = _flaw(run, look)
    anywhere = run.ranks.any(found)  # all ranks ask, or those that do wait for ever
    return found or "no finite loss on another rank" * anywhere


def _flaw(run: Any, look: bool) -> str:
    state, adam = run.state, run.adam
    if state.skipped_in_a_row > 1:  # a single one leaves the network as it was
        return f"no finite loss and gradient for {counted(state.skipped_in_a_row, 'update')}, up to step {state.step}"
    vectors = adam.params, adam.average, adam.mean, adam.square
    if not all(np.isfinite(to_host(vector)).all() for vector in vectors) or not np.isfinite(state.sums).all():
        return f"numbers that are not finite at step {state.step}"
    if not look:
        return ""
    few = min(SEEN, len(run.data.valid))
    with np.errstate(all="ignore"):
        losses = [*run.task.validate(few, run.config.seed)[0].values()]
        with adam.averaged():
            losses += run.task.validate(few, run.config.seed)[0].values()
    if not (run.measurable and all(map(math.isfinite, losses))):
        return f"no finite loss on held-out images at step {state.step}"
    return ""


def what_is_kept(run: Any) -> str:
    """Return in words which checkpoint there is, "" for a run without a folder."""
    if run.record.folder is None:
        return ""
    path = run.record.folder / CHECKPOINT
    return f"; there is no {path}" if run.saved is None else f"; {path} keeps step {run.saved:,}"


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


def gone_wrong(run: Any, why: object) -> Diverged:
    """Return the end of a run that has gone wrong, in one line that says what is kept and what to do."""
    clip = "a lower clip" if run.config.clip else "a clip"
    return Diverged(f"{why}{what_is_kept(run)}: start another run with a lower learning_rate or {clip}")


def complain(run: Any) -> None:
    """Raise what could not be written in the end, the checkpoint before all else."""
    failed = run.record.failed
    if CHECKPOINT in failed:
        raise UserError(f"{reason(failed[CHECKPOINT])}{what_is_kept(run)}")
    for problem in failed.values():
        raise problem


def check_same_run(run: Any, checkpoint: Checkpoint) -> None:
    """Raise UserError for a checkpoint with which a run cannot go on: for drawing only, of another network or data."""
    if set(checkpoint.vectors) != set(VECTORS):
        raise UserError("this checkpoint has parameters only and cannot be trained further")
    if checkpoint.experiment.model != run.experiment.model:
        raise UserError("this checkpoint is of another network: its sizes differ from the run's")
    if differs := difference(checkpoint.data.get("fingerprint", {}), fingerprint(run.summary)):
        raise UserError(
            f"the images of {run.data.name} are not those that this run was trained on ({differs}): a resumed run "
            "keeps its data; start a new run in another folder"
        )
