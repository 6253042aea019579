"""The training loop: update after update, and now and then a line of the log, a validation, a checkpoint, pictures."""

import dataclasses
import os
import sys
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..backend import to_host
from ..cuda import Device
from ..data import Dataset
from ..data.summary import difference, fingerprint, lines, summarize
from ..errors import UserError
from ..model.network import Network
from ..pages.report import duration
from ..parallel.ranks import Ranks
from ..presets import Experiment, seconds_left
from .checkpoints import VECTORS, Checkpoint
from .interrupt import Interruptible
from .optim import Adam
from .record import NoRecord, Record
from .state import State, read_state
from .step import IMAGES, VALIDATION, DeviceStep, Epochs, HostStep, Step, stream
from .tasks import task_for

FIRST_PICTURES = 10.0  # seconds after which a run shows something for the first time
TIMED = 5.0  # seconds of training, the first update left out, after which it is told how long a run will take


class Trainer:
    """One run: a network, its optimizer, how far it has come (`state`), and the folder it leaves (`record`).

    `model` is that of the experiment (Experiment.build), with its start values or, if `init` names another network,
    with that one's. Without a `folder` nothing is written, `quiet` says nothing on stderr. Raises UserError where the
    data do not fit.
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
        self.task.prepare(stream(config.seed, IMAGES), begun=bool(init))
        self.adam = Adam(model.flat_params, config.beta1, config.beta2, config.averaging, model.xp)
        self.epochs = Epochs(len(data.train), config.batch_size, config.seed)
        self.state = State()
        self.saved = False  # whether there is a checkpoint to go back to
        self.validation = ""  # what was last measured on held-out images, in words
        self.first_update: tuple[int, float] | None = None  # of this sitting: its step, and seconds of training then
        self.told = self.pictured = False  # whether this sitting has told how long it will take, and has shown anything
        self.started = 0.0
        self.stepper: Step | None = None
        self.unroll(experiment.glimpses(0.0))
        self.state.begin_line(self.task.row_length(self.state.glimpses))

    def write_to(self, folder: Path | None) -> None:
        """Let all that the run leaves go to `folder`; without one it leaves nothing."""
        self.record = NoRecord() if self.ranks.rank or folder is None else Record(folder)  # the first rank alone writes

    def say(self, *words: str) -> None:
        """Say lines on stderr, above the progress bar, unless this run is quiet."""
        if not self.quiet:
            tqdm.write("\n".join(words), sys.stderr)

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

        SIGINT (Ctrl-C) and SIGTERM end it early, after the step at hand and a checkpoint; a second one ends it at once.
        """
        config, state, record = self.config, self.state, self.record
        self.started, self.first_update, self.told = time.perf_counter(), None, False
        self.pictured = record.folder is None or os.path.lexists(record.folder / "samples.gif")
        record.start(state.step)
        if self.progress() >= 1:  # restored at its end: the last run may have been killed before its last pictures
            self.draw()
            record.report(state.seconds, ended=True)
            return True
        record.settings(self.description())
        record.show_data(self.data.train)
        self.say(*lines(self.summary))
        record.report(state.seconds, ended=False)
        self.ranks.check_same(self.vectors())
        self.grow()
        total, off = None if config.minutes else config.steps, self.quiet or None
        with Interruptible() as interrupted, tqdm(total=total, initial=state.step, unit="step", disable=off) as bar:
            while self.progress() < 1 and not (stopped := self.ranks.any(interrupted.signals)):
                self.update()
                bar.update()
                self.follow_up(bar)
            if stopped and self.may_save():
                self.save()
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
            self.say(self.prospect(*self.first_update))
            self.told = True
        validated = last or state.step % config.validate_every == 0
        usual = state.step % config.pictures_every == 0 if config.pictures_every else validated
        drawn = last or early or (usual and (config.pictures_every > 0 or self.record.may_draw(state.seconds)))
        if first and validated:
            self.validate()
            self.say(f"step {state.step}: validation {self.validation}")
        if (last or state.step % config.checkpoint_every == 0) and self.may_save():
            self.save()
        if first and drawn:
            self.draw()
            self.pictured = True
        if (validated or drawn) and not last:
            self.record.report(state.seconds, ended=False, now=drawn)

    def prospect(self, step: int, seconds: float) -> str:
        """Say what is trained on what, for how long, and where to watch it, by the time since an earlier step.

        An update with few glimpses takes less time, so those of all the updates left are added up.
        """
        config, model, state = self.config, self.experiment.model, self.state
        left, growth = 60 * config.minutes - state.seconds, (config.glimpse_start, config.glimpse_warmup)
        if not config.minutes:
            since = state.seconds - seconds, step / config.steps, self.progress()
            left = seconds_left(*since, model.glimpses, *growth) if state.step > step else 0.0
        length = f"{config.minutes:g} minutes" if config.minutes else f"{config.steps:,} updates"
        watch = f"; watch {self.record.folder / 'report.html'}" if self.record.folder else ""
        return (
            f"training {self.experiment.network.upper()} of {self.model.flat_params.size:,} parameters and "
            f"{model.glimpses} glimpses on {self.data.name}, {len(self.data.train):,} images of "
            f"{'×'.join(map(str, model.image_shape))}, for {length}"
            f"{f', about {duration(left)} of training from update {state.step:,} on' if left > 0 else ''}{watch}"
        )

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
            images_per_second=self.config.batch_size / seconds,
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
            fields, self.validation = self.task.validate(count, stream(config.seed, VALIDATION))
        self.validation += self.of_all()
        place = {"step": state.step, "glimpses": state.glimpses}
        self.record.line(**place, **fields, validation_images=count, seconds=state.seconds)
        return fields

    def draw(self) -> None:
        """Write the run's pictures, by the averaged parameters."""
        self.stepper.collect()  # or waiting for updates would count as drawing
        with self.adam.averaged(), np.errstate(all="ignore"):
            self.record.pictures(self.task, self.config.seed, self.state.step, thorough=self.progress() >= 1)

    def description(self) -> dict:
        """Return the run's settings as they stand in config.json."""
        model, train = (dataclasses.asdict(part) for part in (self.experiment.model, self.config))
        told = {"data": self.data.note, "images": self.summary} | ({"init": self.init} if self.init else {})
        return {"network": self.experiment.network, "model": model, "train": train} | told

    def may_save(self) -> bool:
        """Tell whether a new checkpoint is worth writing over the last one.

        While updates are skipped it is not: if the parameters have blown up, the last good ones stay.
        """
        return not (self.saved and self.state.skipped_in_a_row)

    def save(self) -> None:
        """Write checkpoint.npz. Raises UserError where it cannot be written, and if ranks have drifted apart."""
        self.stepper.collect()
        self.state.updates = self.adam.updates
        self.ranks.check_same(vectors := self.vectors())
        by_name = dict(zip(VECTORS, vectors, strict=True))
        state = self.state.as_dict() | ({"init": self.init} if self.init else {})
        self.record.checkpoint(Checkpoint(self.experiment, state, by_name, self.known_by()))
        self.saved = True

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
        if set(checkpoint.vectors) != set(VECTORS):
            raise UserError("this checkpoint has parameters only and cannot be trained further")
        if checkpoint.experiment.model != self.experiment.model:
            raise UserError("this checkpoint is of another network: its sizes differ from the run's")
        if differs := difference(checkpoint.data.get("fingerprint", {}), fingerprint(self.summary)):
            raise UserError(
                f"the images of {self.data.name} are not those that this run was trained on ({differs}): a resumed run "
                "keeps its data; start a new run in another folder"
            )
        adam, restored = self.adam, read_state(checkpoint.state, self.experiment.model.glimpses, self.task.row_length)
        for name, target in zip(VECTORS, (adam.params, adam.average, adam.mean, adam.square), strict=True):
            target[:] = self.model.xp.asarray(checkpoint.vectors[name])
        adam.updates = restored.updates
        self.state, self.saved, self.init = restored, True, str(checkpoint.state.get("init", ""))
        self.unroll(restored.glimpses)
