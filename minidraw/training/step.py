"""Updates: the gradient of a minibatch, clipped, and a step of Adam, unless it or the loss is not finite.

On the host or on a GPU the face is the same: `take(learning_rate)` asks for the next update, `collect()` waits until
`state` tells all that the updates asked for came to. Everything random is a function of the run's seed and of the step,
so a run that stops and goes on is the same run.
"""

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from ..cuda.step import TrainingStep
from ..errors import UserError
from ..parallel.ranks import Ranks
from ..parallel.shard import parts
from ..presets import TrainConfig
from ..streams import Purpose, stream
from .interrupt import Clock
from .optim import LARGEST, Adam, global_norm
from .state import State

HOPELESS = 100  # updates in a row that are not finite
UNSEEN = 100  # updates asked of a GPU before the host waits and learns what they came to


class Diverged(UserError):
    """A run has come to numbers that are not finite; what to do is added by the trainer."""


class Epochs:
    """Which images are in a step's minibatch: none twice an epoch; n mod batch_size are left out, others in each."""

    def __init__(self, images: int, batch_size: int, seed: int):
        self.images, self.batch_size, self.seed = images, batch_size, seed
        self.permutation: tuple[int, np.ndarray] = (-1, np.empty(0))  # of the epoch at hand

    def chosen(self, step: int) -> np.ndarray:
        """Return the indices of a step's images, (batch_size,)."""
        epoch, place = divmod(step, self.images // self.batch_size)
        if self.permutation[0] != epoch:
            self.permutation = epoch, stream(self.seed, Purpose.ORDER, epoch).permutation(self.images)
        return self.permutation[1][place * self.batch_size : (place + 1) * self.batch_size]


class Step(ABC):
    """What updates on the host and on a GPU have in common; see HostStep and DeviceStep."""

    def __init__(self, task: Any, adam: Adam, config: TrainConfig, epochs: Epochs, state: State):
        self.task, self.adam, self.config, self.epochs, self.state = task, adam, config, epochs, state

    @abstractmethod
    def take(self, learning_rate: float) -> None:
        """Ask for the next update. Raises Diverged where too many in a row were not finite."""

    @abstractmethod
    def collect(self) -> None:
        """Wait for the updates asked for. Raises Diverged as `take` does."""

    def check_hope(self) -> None:
        """Raise Diverged after HOPELESS updates in a row that were not finite."""
        if self.state.skipped_in_a_row >= HOPELESS:
            raise Diverged(f"no finite loss and gradient for {HOPELESS} updates in a row, up to step {self.state.step}")

    def usual(self) -> float:
        """Return the seconds that an update takes."""
        return self.state.seconds / max(self.state.step, 1)


class HostStep(Step):
    """Updates by NumPy, or by CuPy where the processes of an MPI launcher share a minibatch; `mine` is their part."""

    def __init__(self, *common: Any, ranks: Ranks, mine: slice):
        super().__init__(*common)
        self.ranks, self.mine = ranks, mine

    def minibatch(self, step: int) -> tuple:
        """Return the arguments of loss_and_grads at a step."""
        images, noise = (stream(self.config.seed, purpose, step) for purpose in (Purpose.IMAGES, Purpose.NOISE))
        return self.task.inputs(self.epochs.chosen(step), images, noise)

    def take(self, learning_rate: float) -> None:
        """Take the next update."""
        clock, usual = Clock(), self.usual()
        clip, model, state = self.config.clip, self.task.model, self.state
        inputs = parts(self.minibatch(state.step), model.Shard.input_shapes(model.config), self.mine)
        with np.errstate(all="ignore"):  # what is not finite is counted below
            loss, _ = model.loss_and_grads(*inputs)
            self.ranks.mean_(model.flat_grads, model.xp)
            norm = global_norm(model.flat_grads, model.xp)
            norm, total, *row = self.ranks.mean([norm, loss.total, *self.task.row(loss)])
        if math.isfinite(norm) and min(norm, clip or norm) <= LARGEST and math.isfinite(total):
            self.adam.update(model.flat_grads, learning_rate, clip / norm if clip and norm > clip else 1.0)
            state.add(clock.seconds(usual), norm, row)
        else:
            state.skip(clock.seconds(usual))
            self.check_hope()
        state.step += 1
        state.seconds += self.ranks.mean([clock.seconds(usual)])[0]

    def collect(self) -> None:
        """Return at once: no update is under way."""


class DeviceStep(Step):
    """Updates that stay on a GPU: the host asks for them and learns only now and then what they came to."""

    def __init__(self, *common: Any):
        super().__init__(*common)
        config, state = self.config, self.state
        self.gpu = TrainingStep(self.task, self.adam, config.batch_size, config.clip, config.seed)
        self.gpu.load(state.step, self.adam.updates, state.skipped, state.skipped_in_a_row)
        self.asked = False  # whether there are updates of which nothing is known yet

    def take(self, learning_rate: float) -> None:
        """Ask for the next update; after UNSEEN of them, and in `collect`, the host waits."""
        clock, usual, state = Clock(), self.usual(), self.state
        images = stream(self.config.seed, Purpose.IMAGES, state.step)
        arrays = self.task.examples(self.epochs.chosen(state.step), images)
        self.gpu.run(arrays, learning_rate)
        self.asked = True
        state.step += 1
        state.spend(clock.seconds(usual))
        if state.step % UNSEEN == 0:
            self.collect()

    def collect(self) -> None:
        """Wait for the updates asked for, if there are any, and learn what they came to."""
        if not self.asked:
            return
        clock, usual, state = Clock(), UNSEEN * self.usual(), self.state
        self.asked = False
        (_, self.adam.updates, state.skipped, state.skipped_in_a_row, rows), sums = self.gpu.fetch()
        state.rows += rows
        state.sums[1:] = [kept + value for kept, value in zip(state.sums[1:], sums, strict=True)]
        state.spend(clock.seconds(usual))
        self.check_hope()
