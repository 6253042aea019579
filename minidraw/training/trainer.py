"""The training loop: minibatch, gradient, clipping, Adam; log, validation, checkpoint, pictures.

Everything random is a function of the run's seed and of the step, so a run that stops and goes on is the same run. A
folder holds all that it leaves: config.json, metrics.jsonl and metrics.csv, checkpoint.npz, pictures, report.html.
"""

import contextlib
import dataclasses
import json
import math
import os
import sys
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..backend import to_host
from ..cuda import Device
from ..cuda.step import TrainingStep
from ..data import Dataset
from ..errors import UserError, one_line
from ..files import remove_unfinished, write_atomic
from ..model import NETWORKS
from ..model.network import Network
from ..pages.metrics import Log
from ..pages.report import duration, write_report
from ..parallel.ranks import Ranks
from ..parallel.shard import parts
from ..presets import Experiment, seconds_left
from . import checkpoints
from .checkpoints import Checkpoint
from .interrupt import Interruptible
from .optim import Adam, global_norm
from .tasks import PICTURES, TASKS

ORDER, IMAGES, NOISE, VALIDATION = range(4)  # streams of random numbers
FILES = ("config.json", "metrics.jsonl", "metrics.csv", "checkpoint.npz", "report.html", *PICTURES)  # of a run's folder
DRAWING = 0.1  # largest share of the time that goes into pictures with validations, the first and the last left out
REPORTING = 0.003  # the same of reports without new pictures
HOPELESS = 100  # updates in a row that are not finite
FIRST_PICTURES = 10.0  # seconds after which a run shows something for the first time
TIMED = 5.0  # seconds of training, the first update left out, after which it is told how long a run will take


class Diverged(UserError):
    """The gradient has not been finite for HOPELESS updates in a row."""


def stream(seed: int, kind: int, number: int = 0) -> np.random.Generator:
    """Return the generator for one purpose at one step of a run."""
    return np.random.default_rng([seed, kind, number])


class Trainer:
    """One run: a network, its optimizer, and how far it has come.

    Raises UserError where the data do not fit the network.
    """

    def __init__(
        self,
        experiment: Experiment,
        data: Dataset,
        folder: Path,
        backend: str = "numpy",
        threads: int | None = None,
        ranks: Ranks | None = None,
        precision: str = "float32",
    ):
        self.experiment, self.data = experiment, data
        self.write_to(folder)
        self.config = config = experiment.train
        self.ranks = ranks or Ranks()
        checkpoints.check_size(experiment)
        if tuple(data.train.shape) != experiment.model.image_shape:
            shapes = tuple(data.train.shape), experiment.model.image_shape
            raise UserError(f"the images of {data.name} are {shapes[0]}, but the network is for images of {shapes[1]}")
        if config.batch_size > len(data.train):
            raise UserError(
                f"batch_size {config.batch_size} is more than the {len(data.train)} training images of {data.name}: "
                f"give --batch-size {len(data.train)} or less"
            )
        self.mine = self.ranks.part(config.batch_size)  # of a minibatch: all of it, unless ranks share it
        task = TASKS[NETWORKS[experiment.network]]
        self.task = task(experiment.model, data, config.seed, backend, threads, precision)
        self.task.prepare(stream(config.seed, IMAGES))
        self.model = model = self.task.model
        self.adam = Adam(model.flat_params, config.beta1, config.beta2, config.averaging, model.xp)
        self.step = self.skipped = self.skipped_in_a_row = 0
        self.seconds = 0.0  # spent training, in all sittings
        self.drawing = self.reporting = 0.0  # spent on pictures and on reports, in this sitting
        self.validation = ""  # what was last measured on held-out images, in words
        self.permutation: tuple[int, np.ndarray] = (-1, np.empty(0))
        self.asked = False  # whether the GPU has steps of which nothing is known yet
        self.unroll(self.experiment.glimpses(0.0))

    def write_to(self, folder: Path) -> None:
        """Let all that the run leaves go to `folder`."""
        self.folder = Path(folder)
        self.log = Log(self.folder)

    def unroll(self, glimpses: int) -> None:
        """Let updates take that many glimpses from now on, and begin a line of the log for them."""
        self.model.unroll(glimpses)
        # Since the last line logged: sums of seconds, gradient norms and rows, and how many they are.
        self.sums, self.rows = [0.0] * (2 + self.task.row_length(glimpses)), 0
        alone_on_gpu = isinstance(self.model.xp, Device) and self.ranks.size == 1
        settings = self.config.batch_size, self.config.clip, self.config.seed
        self.on_device = None  # lets go of the memory of an earlier one first
        self.on_device = TrainingStep(self.task, self.adam, *settings) if alone_on_gpu else None
        if self.on_device is not None:
            self.on_device.load(self.step, self.adam.updates, self.skipped, self.skipped_in_a_row)

    def grow(self) -> None:
        """Let the next update take as many glimpses as are due at this place of the run, or as many as before.

        They are never fewer than before: not in a run either that goes on because it is given more steps.
        """
        if self.experiment.glimpses(self.progress()) > self.model.config.glimpses:
            self.collect()  # before the clock is read: waiting is training
            if self.rows and self.ranks.rank == 0:
                self.log_window()
            self.unroll(self.experiment.glimpses(self.progress()))

    def chosen(self, step: int) -> np.ndarray:
        """Return which images are in a step's minibatch; every image comes once an epoch, in fresh order."""
        config, images = self.config, len(self.data.train)
        epoch, place = divmod(step, images // config.batch_size)
        if self.permutation[0] != epoch:
            self.permutation = epoch, stream(config.seed, ORDER, epoch).permutation(images)
        return self.permutation[1][place * config.batch_size : (place + 1) * config.batch_size]

    def minibatch(self, step: int) -> tuple:
        """Return the arguments of loss_and_grads at a step."""
        seed = self.config.seed
        return self.task.inputs(self.chosen(step), stream(seed, IMAGES, step), stream(seed, NOISE, step))

    def progress(self) -> float:
        """Return the share of the run that is done, 0 to 1."""
        minutes = self.config.minutes
        return min(1.0, self.seconds / (60 * minutes) if minutes else self.step / self.config.steps)

    def learning_rate(self) -> float:
        """Return the rate of the next update: a linear rise, a plateau, and a linear fall to 0."""
        config = self.config
        rise = min(1.0, (self.step + 1) / config.warmup) if config.warmup else 1.0
        fall = min(1.0, (1.0 - self.progress()) / max(1.0 - config.decay_from, 1e-9))
        return config.learning_rate * rise * fall

    def update(self) -> None:
        """Take one step: a gradient, and an update if it is finite."""
        if self.on_device is not None:
            self.update_on_device()
            return
        started = time.perf_counter()
        config, model = self.config, self.model
        inputs = parts(self.minibatch(self.step), model.Shard.input_shapes(model.config), self.mine)
        with np.errstate(all="ignore"):  # what is not finite is counted below
            loss, _ = model.loss_and_grads(*inputs)
            self.ranks.mean_(model.flat_grads, model.xp)
            norm = global_norm(model.flat_grads, model.xp)
            norm, total, *row = self.ranks.mean([norm, loss.total, *self.task.row(loss)])
        if math.isfinite(norm) and math.isfinite(total):
            clip = config.clip / norm if config.clip and norm > config.clip else 1.0
            self.adam.update(model.flat_grads, self.learning_rate(), clip)
            seconds = time.perf_counter() - started
            self.sums = [kept + value for kept, value in zip(self.sums, (seconds, norm, *row), strict=True)]
            self.rows += 1
            self.skipped_in_a_row = 0
        else:
            self.skipped += 1
            self.skipped_in_a_row += 1
            self.refuse_to_go_on_in_vain()
        self.step += 1
        self.seconds += self.ranks.mean([time.perf_counter() - started])[0]

    def update_on_device(self) -> None:
        """Ask for one step on the GPU; what it comes to is known after the next `collect`."""
        started = time.perf_counter()
        images = self.task.examples(self.chosen(self.step), stream(self.config.seed, IMAGES, self.step))
        self.on_device.run(images, self.learning_rate())
        self.asked = True
        self.step += 1
        self.spend(started)
        if self.step % HOPELESS == 0:
            self.collect()

    def collect(self) -> None:
        """Wait for the steps asked for on the GPU, if there are any, and learn what they came to."""
        if not self.asked:
            return
        started = time.perf_counter()
        self.asked = False
        (_, self.adam.updates, self.skipped, self.skipped_in_a_row, rows), sums = self.on_device.fetch()
        self.rows += rows
        self.sums[1:] = [kept + value for kept, value in zip(self.sums[1:], sums, strict=True)]
        self.spend(started)
        self.refuse_to_go_on_in_vain()

    def spend(self, started: float) -> None:
        """Count the seconds since then as training."""
        seconds = time.perf_counter() - started
        self.seconds += seconds
        self.sums[0] += seconds

    def refuse_to_go_on_in_vain(self) -> None:
        """Raise Diverged after HOPELESS updates in a row that were not finite."""
        if self.skipped_in_a_row >= HOPELESS:
            raise Diverged(
                f"no finite gradient for {HOPELESS} updates in a row, up to step {self.step}: "
                f"start another run with a lower learning_rate or {'a lower clip' if self.config.clip else 'a clip'}"
            )

    def run(self) -> bool:
        """Train to the end, writing the folder as it goes; return whether it came there.

        SIGINT (Ctrl-C) and SIGTERM end it early, after the step at hand and a checkpoint; a second one ends it at once.
        """
        config, first = self.config, self.ranks.rank == 0  # the others write nothing
        started, first_update, told = time.perf_counter(), None, False
        pictured = os.path.lexists(self.folder / "samples.gif")
        if first:
            remove_unfinished(self.folder / name for name in FILES)
            self.log.start(self.step)
        if self.progress() >= 1:  # restored at its end: the last run may have been killed before its last pictures
            if first:
                self.draw()
                self.report(ended=True)
            return True
        if first:
            write_atomic(self.folder / "config.json", (json.dumps(self.description(), indent=2) + "\n").encode())
            self.report(ended=False)
        self.ranks.check_same(self.vectors())
        self.grow()
        total, quiet = None if config.minutes else config.steps, None if first else True
        with Interruptible() as interrupted, tqdm(total=total, initial=self.step, unit="step", disable=quiet) as bar:
            while self.progress() < 1 and not (stopped := self.ranks.any(interrupted.signals)):
                self.update()
                bar.update()
                first_update = first_update or (self.step, self.seconds)
                telling = not told and self.seconds > first_update[1] + TIMED
                early = not pictured and time.perf_counter() - started > FIRST_PICTURES
                every = config.log_every, config.validate_every, config.checkpoint_every
                if telling or early or any(self.step % n == 0 for n in every):
                    self.collect()  # before the clock is read: waiting is training
                self.grow()
                last = self.progress() >= 1
                if last:
                    self.collect()
                if first and self.rows and (last or self.step % config.log_every == 0):
                    bar.set_postfix_str(self.log_window())
                if first and (telling or (last and not told)):
                    bar.write(self.prospect(*first_update), sys.stderr)
                    told = True
                validated = last or self.step % config.validate_every == 0
                often = self.drawing > DRAWING * self.seconds
                drawn = self.step % config.pictures_every == 0 if config.pictures_every else validated and not often
                drawn |= last or early
                if first and validated:
                    self.validate()
                    bar.write(f"step {self.step}: validation {self.validation}", sys.stderr)
                # Not while updates are skipped: if the parameters have blown up, the last good ones stay.
                if last or (self.step % config.checkpoint_every == 0 and not self.skipped_in_a_row):
                    self.save()
                if first and drawn:
                    self.draw()
                    pictured = True
                if first and (validated or drawn) and not last:
                    self.report(ended=False, now=drawn)
            if stopped:
                self.save()
        if first:
            self.report(ended=True)
        return self.progress() >= 1

    def prospect(self, step: int, seconds: float) -> str:
        """Say what is trained on what, for how long, and where to watch it, by the time since an earlier step.

        An update with few glimpses takes less time, so those of all the updates left are added up.
        """
        config, model = self.config, self.experiment.model
        left, growth = 60 * config.minutes - self.seconds, (config.glimpse_start, config.glimpse_warmup)
        if not config.minutes:
            since = self.seconds - seconds, step / config.steps, self.progress()
            left = seconds_left(*since, model.glimpses, *growth) if self.step > step else 0.0
        length = f"{config.minutes:g} minutes" if config.minutes else f"{config.steps:,} updates"
        return (
            f"training {self.experiment.network.upper()} of {self.model.flat_params.size:,} parameters and "
            f"{model.glimpses} glimpses on {self.data.name}, {len(self.data.train):,} images of "
            f"{'×'.join(map(str, model.image_shape))}, for {length}"
            f"{f', about {duration(left)} of training from update {self.step:,} on' if left > 0 else ''}; "
            f"watch {self.folder / 'report.html'}"
        )

    def log_window(self) -> str:
        """Write the means since the last line to metrics.jsonl and return them in a few words."""
        seconds, norm, *means = (total / self.rows for total in self.sums)
        fields, words = self.task.summary(means)
        self.log.write(
            step=self.step,
            glimpses=self.model.config.glimpses,
            epoch=self.step * self.config.batch_size / len(self.data.train),
            **fields,
            gradient_norm=norm,
            learning_rate=self.learning_rate(),
            images_per_second=self.config.batch_size / seconds,
            seconds=self.seconds,
            skipped=self.skipped,
        )
        self.sums, self.rows = [0.0] * len(self.sums), 0
        return words + self.of_all()

    def of_all(self) -> str:
        """Return in words how many glimpses are taken, if it is not all of them."""
        taken, every = self.model.config.glimpses, self.experiment.model.glimpses
        return f", {taken} of {every} glimpses" if taken < every else ""

    def validate(self) -> dict:
        """Measure on held-out images with the averaged parameters; log and return it."""
        self.collect()
        config, images = self.config, len(self.data.valid)
        count = min(config.validation_images or images, images)
        with averaged(self.model, self.adam), np.errstate(all="ignore"):  # what is not finite shows
            fields, self.validation = self.task.validate(count, stream(config.seed, VALIDATION))
        self.validation += self.of_all()
        glimpses = self.model.config.glimpses
        self.log.write(step=self.step, glimpses=glimpses, **fields, validation_images=count, seconds=self.seconds)
        return fields

    def draw(self) -> None:
        """Write the run's pictures, by the averaged parameters."""
        started = time.perf_counter()
        with averaged(self.model, self.adam), np.errstate(all="ignore"):
            self.task.pictures(self.folder, self.config.seed, self.step, thorough=self.progress() >= 1)
        self.drawing += time.perf_counter() - started

    def report(self, ended: bool, now: bool = False) -> None:
        """Write report.html, `now` or where time allows.

        While the run goes on, a failure is told and no more: the training is worth more.

        At the end of a sitting, when all else is written, it is raised: UserError where the file cannot be written.
        """
        started = time.perf_counter()
        if not (ended or now) and self.reporting > REPORTING * self.seconds:
            return  # the next one comes soon enough
        try:
            write_report(self.folder, running=not ended)
        except Exception as problem:  # also a mistake of the report's own: there is nobody to mend it before the end
            if ended:
                raise
            tqdm.write(f"no report: {one_line(problem)}; the run goes on", sys.stderr)
        self.reporting += time.perf_counter() - started

    def description(self) -> dict:
        """Return the run's settings as they stand in config.json."""
        train = dataclasses.asdict(self.config)
        model = dataclasses.asdict(self.experiment.model)
        return {"network": self.experiment.network, "model": model, "train": train, "data": self.data.note}

    def save(self) -> None:
        """Write checkpoint.npz. Raises UserError where it cannot be written, and if ranks have drifted apart."""
        self.collect()
        state = {
            "step": self.step,
            "updates": self.adam.updates,
            "skipped": self.skipped,
            "skipped_in_a_row": self.skipped_in_a_row,
            "seconds": self.seconds,
            "sums": self.sums,
            "rows": self.rows,
            "glimpses": self.model.config.glimpses,
        }
        vectors = self.vectors()
        self.ranks.check_same(vectors)
        if self.ranks.rank == 0:
            host = dict(zip(checkpoints.VECTORS, vectors, strict=True))
            checkpoints.save(self.folder / "checkpoint.npz", Checkpoint(self.experiment, state, host))

    def vectors(self) -> list[np.ndarray]:
        """Return what checkpoints.VECTORS names, on the host."""
        adam = self.adam
        return [to_host(vector) for vector in (adam.params, adam.average, adam.mean, adam.square)]

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint. Raises UserError if it is for drawing only, or for another network."""
        if set(checkpoint.vectors) != set(checkpoints.VECTORS):
            raise UserError("this checkpoint has parameters only and cannot be trained further")
        if checkpoint.experiment.model != self.experiment.model:
            raise UserError("this checkpoint is of another network: its sizes differ from the run's")
        adam, state = self.adam, checkpoint.state
        if not self.is_state(state):
            raise UserError("this checkpoint does not tell where its run stands and cannot be trained further")
        targets = (adam.params, adam.average, adam.mean, adam.square)
        for name, target in zip(checkpoints.VECTORS, targets, strict=True):
            target[:] = self.model.xp.asarray(checkpoint.vectors[name])
        self.step, adam.updates, self.skipped = state["step"], state["updates"], state["skipped"]
        self.skipped_in_a_row, self.seconds = state["skipped_in_a_row"], state["seconds"]
        self.unroll(checkpoint.glimpses())
        self.sums, self.rows = state["sums"], state["rows"]

    def is_state(self, state: dict) -> bool:
        """Tell whether `state`, read from a file, is one that `save` writes."""
        names, most = ("step", "updates", "skipped", "skipped_in_a_row", "rows"), self.experiment.model.glimpses
        counts, sums, seconds = [state.get(name) for name in names], state.get("sums"), state.get("seconds")
        glimpses = state.get("glimpses", most)  # older checkpoints have always taken all
        if not all(type(count) is int and 0 <= count < 1 << 53 for count in (*counts, glimpses)):
            return False
        if not 1 <= glimpses <= most or type(sums) is not list or len(sums) != 2 + self.task.row_length(glimpses):
            return False
        return all(type(number) is float and math.isfinite(number) for number in (seconds, *sums)) and seconds >= 0


@contextlib.contextmanager
def averaged(model: Network, adam: Adam):
    """Within it the model has the averaged parameters."""
    kept = model.flat_params.copy()
    model.flat_params[:] = adam.average
    try:
        yield
    finally:
        model.flat_params[:] = kept
