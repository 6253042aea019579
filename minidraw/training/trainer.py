"""The training loop: update after update, and now and then a line of the log, a validation, a checkpoint, pictures."""

import math
import os
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..backend import to_host
from ..cuda import Device
from ..data import Dataset
from ..data.summary import fingerprint, lines, summarize
from ..errors import STDERR, UserError, harmless
from ..model.network import Network
from ..parallel.ranks import Ranks
from ..presets import Experiment
from .checkpoints import VECTORS, Checkpoint
from .interrupt import Interruptible
from .keeping import check_same_run, flaw, gone_wrong, kept, what_is_kept
from .optim import Adam
from .record import NoRecord, Record
from .state import State, read_state
from .step import DeviceStep, Diverged, Epochs, HostStep, Step
from .tasks import task_for
from .telling import description, machine, prospect

FIRST_PICTURES = 10.0  # seconds after which a run shows something for the first time
TIMED = 5.0  # seconds of training, the first update left out, after which it is told how long a run will take


class Trainer:
    """One run: a network, its optimizer, how far it has come (`state`), and the folder it leaves (`record`).

    `model` is that of the experiment (Experiment.build), with its start values or, if `init` names another network,
    with that one's. Without a `folder` nothing is written, `quiet` says nothing on stderr, one that is not `fresh` goes
    on with a checkpoint (`restore`). Raises UserError where the data do not fit.
    """

    def __init__(
        self,
        experiment: Experiment,
        model: Network,
        data: Dataset,
        folder: Path | None,
        ranks: Ranks | None = None,
        init: str = "",
        quiet: bool = False,
        fresh: bool = True,
    ):
        self.experiment = experiment.replace(data=data.name)  # whatever the name of what it was made for
        self.model, self.data = model, data
        self.config = config = self.experiment.train
        self.ranks, self.init = ranks or Ranks(), init
        self.quiet = quiet or self.ranks.rank > 0
        self.write_to(folder)
        if tuple(data.train.shape) != experiment.model.image_shape:
            shapes = tuple(data.train.shape), experiment.model.image_shape
            raise UserError(f"the images of {data.name} are {shapes[0]}, but the network is for images of {shapes[1]}")
        if config.batch_size > len(data.train):
            raise UserError(
                f"batch_size {config.batch_size} is more than the {len(data.train)} training images of {data.name}: "
                f"give a batch size of {len(data.train)} or less"
            )
        self.mine = self.ranks.part(config.batch_size)  # of a minibatch: all of it, unless ranks share it
        self.task = task_for(model, data)
        self.summary = summarize(data)
        if fresh:
            self.task.prepare(begun=bool(init))
        self.adam = Adam(model.flat_params, config.beta1, config.beta2, config.averaging, model.xp)
        self.epochs = Epochs(len(data.train), config.batch_size, config.seed)
        self.state = State()
        self.saved: int | None = None  # step of the checkpoint that there is to go back to
        self.flaw = ""  # what was wrong with the network when it was last to be kept, in words; "": nothing
        self.validation = ""  # what was last measured on held-out images, in words
        self.measurable = True  # whether that was finite
        self.first_update: tuple[int, float] | None = None  # of this sitting: its step, and seconds of training then
        self.told = self.pictured = False  # whether this sitting has told how long it will take, and has shown anything
        self.started = 0.0
        self.stepper: Step | None = None
        self.unroll(experiment.glimpses(0.0))
        self.state.begin_line(self.task.row_length(self.state.glimpses))

    def write_to(self, folder: Path | None) -> None:
        """Let all that the run leaves go to `folder`; without one it leaves nothing. The first rank alone writes."""
        self.record = NoRecord() if self.ranks.rank or folder is None else Record(folder, self.say)

    def say(self, *words: str) -> None:
        """Say lines on stderr, above the progress bar, unless this run is quiet."""
        if not self.quiet:
            tqdm.write("\n".join(map(harmless, words)), STDERR)

    def unroll(self, glimpses: int) -> None:
        """Let updates take that many glimpses from now on."""
        self.model.unroll(glimpses)
        self.state.glimpses = glimpses
        self.stepper = None  # lets go of the memory of an earlier one first
        common = self.task, self.adam, self.config, self.epochs, self.state
        if isinstance(self.model.xp, Device) and self.ranks.size == 1:
            self.stepper = DeviceStep(*common)
        else:
            self.stepper = HostStep(*common, ranks=self.ranks, mine=self.mine)

    def grow(self) -> None:
        """Let the next update take as many glimpses as are due at this place of the run, or as many as before.

        They are never fewer than before: not in a run either that goes on because it is given more steps.
        """
        if self.experiment.glimpses(self.progress()) > self.state.glimpses:
            self.stepper.collect()  # before the clock is read: waiting is training
            if self.state.rows:
                self.log_line()
            self.unroll(self.experiment.glimpses(self.progress()))
            self.state.begin_line(self.task.row_length(self.state.glimpses))

    def progress(self) -> float:
        """Return the share of the run that is done, 0 to 1."""
        minutes = self.config.minutes
        return min(1.0, self.state.seconds / (60 * minutes) if minutes else self.state.step / self.config.steps)

    def learning_rate(self) -> float:
        """Return the rate of the next update: a linear rise, a plateau, and a linear fall to 0."""
        config = self.config
        rise = min(1.0, (self.state.step + 1) / config.warmup) if config.warmup else 1.0
        fall = min(1.0, (1.0 - self.progress()) / max(1.0 - config.decay_from, 1e-9))
        return config.learning_rate * rise * fall

    def update(self) -> None:
        """Take one step: a gradient, and an update if it is finite."""
        self.stepper.take(self.learning_rate())

    def run(self) -> bool:
        """Train to the end, writing the folder as it goes; return whether it came there.

        SIGINT (Ctrl-C), SIGTERM and SIGHUP end it early, after the step at hand and a checkpoint; a second one, but for
        SIGHUP, ends it at once. Raises Diverged where it has come to numbers that are not finite, and leaves the last
        good checkpoint. What cannot be written does not end it: see Attempts.
        """
        config, state, record = self.config, self.state, self.record
        self.started, self.first_update, self.told = time.perf_counter(), None, False
        self.pictured = record.folder is None or os.path.lexists(record.folder / "samples.gif")
        record.start(state.step, state.lines)
        record.description = description(self)
        if self.progress() >= 1:  # restored at its end: the last run may have been killed before its last pictures
            self.draw()
            record.report(state.seconds, ended=True)
            return True
        record.settings()
        record.show_data(self.data.train)
        self.say(*lines(self.summary))
        record.report(state.seconds, ended=False)
        self.grow()
        total, off = None if config.minutes else config.steps, self.quiet or None
        bar = tqdm(total=total, initial=state.step, unit="step", disable=off, file=STDERR)
        try:
            with Interruptible() as interrupted, bar, kept(self):
                while self.progress() < 1 and not self.ranks.any(interrupted.signals):
                    self.update()
                    bar.update()
                    self.follow_up(bar)
        except Diverged as why:
            record.report(state.seconds, ended=True)
            raise gone_wrong(self, why) from None
        record.report(state.seconds, ended=True)
        return self.progress() >= 1

    def follow_up(self, bar: tqdm) -> None:
        """Do what is due after an update."""
        config, state, first = self.config, self.state, self.ranks.rank == 0
        self.first_update = self.first_update or (state.step, state.seconds)
        telling = not self.told and state.seconds > self.first_update[1] + TIMED
        early = not self.pictured and time.perf_counter() - self.started > FIRST_PICTURES
        every = config.log_every, config.validate_every, config.checkpoint_every
        if telling or early or any(state.step % n == 0 for n in every):
            self.stepper.collect()  # before the clock is read: waiting is training
        self.grow()
        if last := self.progress() >= 1:
            self.stepper.collect()
        if state.rows and (last or state.step % config.log_every == 0):
            bar.set_postfix_str(self.log_line())
        if first and (telling or (last and not self.told)):
            self.say(prospect(self, *self.first_update))
            self.told = True
        validated = last or state.step % config.validate_every == 0
        usual = state.step % config.pictures_every == 0 if config.pictures_every else validated
        drawn = last or early or (usual and (config.pictures_every > 0 or self.record.may_draw(state.seconds)))
        if first and validated:
            self.validate()
            self.say(f"step {state.step}: validation {self.validation}")
        if last or state.step % config.checkpoint_every == 0:
            self.keep()
        if last and self.flaw:
            raise Diverged(self.flaw)
        if first and drawn:
            self.draw()
            self.pictured = True
        if (validated or drawn) and not last:
            self.record.report(state.seconds, ended=False, now=drawn)

    def log_line(self) -> str:
        """Write the means since the last line of the log and return them in a few words."""
        state = self.state
        seconds, norm, *means = (total / state.rows for total in state.sums)
        fields, words = self.task.summary(means)
        self.record.line(
            step=state.step,
            glimpses=state.glimpses,
            epoch=state.step * self.config.batch_size / len(self.data.train),
            **fields,
            gradient_norm=norm,
            learning_rate=self.learning_rate(),
            images_per_second=self.config.batch_size / seconds if seconds else math.nan,  # after a stop it is not known
            seconds=state.seconds,
            skipped=state.skipped,
        )
        state.begin_line(len(means))
        return words + self.of_all()

    def of_all(self) -> str:
        """Return in words how many glimpses are taken, if it is not all of them."""
        taken, every = self.state.glimpses, self.experiment.model.glimpses
        return f", {taken} of {every} glimpses" if taken < every else ""

    def validate(self) -> dict:
        """Measure on held-out images with the averaged parameters; log and return it."""
        self.stepper.collect()
        config, state, images = self.config, self.state, len(self.data.valid)
        count = min(config.validation_images or images, images)
        with self.adam.averaged(), np.errstate(all="ignore"):  # what is not finite shows
            fields, self.validation = self.task.validate(count, config.seed)
        self.validation += self.of_all()
        self.measurable = all(map(math.isfinite, fields.values()))
        place = {"step": state.step, "glimpses": state.glimpses}
        self.record.line(**place, **fields, validation_images=count, seconds=state.seconds)
        return fields

    def draw(self) -> None:
        """Write the run's pictures, by the averaged parameters."""
        self.stepper.collect()  # or waiting for updates would count as drawing
        with self.adam.averaged(), np.errstate(all="ignore"):
            self.record.pictures(self.task, self.config.seed, self.state.step, thorough=self.progress() >= 1)

    def keep(self, look: bool = True) -> None:
        """Write checkpoint.npz, unless the network has gone wrong: then the last good one stays, which is told.

        Without a `look` at how it does its numbers alone decide.
        """
        self.stepper.collect()
        before, self.flaw = self.flaw, flaw(self, look)
        if not self.flaw:
            self.save()
        elif not before:
            self.say(f"not kept: {self.flaw}{what_is_kept(self)}")

    def save(self) -> None:
        """Write checkpoint.npz. Raises UserError if ranks have drifted apart."""
        self.stepper.collect()
        self.state.updates, self.state.lines = self.adam.updates, self.record.lines
        self.ranks.check_same(vectors := self.vectors())
        by_name = dict(zip(VECTORS, vectors, strict=True))
        state = self.state.as_dict() | ({"init": self.init} if self.init else {})
        if self.record.checkpoint(Checkpoint(self.experiment, state, by_name, self.known_by(), machine(self))):
            self.saved = self.state.step

    def known_by(self) -> dict:
        """Return what the images are known by; see Checkpoint."""
        prepared = {"classes": self.data.classes, "preparation": self.data.preparation}
        return prepared | {"fingerprint": fingerprint(self.summary)}

    def vectors(self) -> list[np.ndarray]:
        """Return what VECTORS names, on the host."""
        adam = self.adam
        return [to_host(vector) for vector in (adam.params, adam.average, adam.mean, adam.square)]

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint. Raises UserError if it is for drawing only, of another network, or of other data."""
        check_same_run(self, checkpoint)
        adam, restored = self.adam, read_state(checkpoint.state, self.experiment.model.glimpses, self.task.row_length)
        for name, target in zip(VECTORS, (adam.params, adam.average, adam.mean, adam.square), strict=True):
            target[:] = self.model.xp.asarray(checkpoint.vectors[name])
        adam.updates = restored.updates
        self.state, self.saved, self.init = restored, restored.step, str(checkpoint.state.get("init", ""))
        self.unroll(restored.glimpses)
