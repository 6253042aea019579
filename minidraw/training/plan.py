"""What a run is to be, for the command line and for `fit`: from a preset, settings, data and a start to its trainer."""

import dataclasses
import math
import numbers
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import data as data_sets
from ..backend import to_host
from ..data import Dataset
from ..data.folder.options import PREFIX
from ..errors import LONGEST as LONGEST_LINE
from ..errors import UserError, one_line
from ..model.config import is_count
from ..model.network import Network
from ..model.ram import RAM
from ..pages.run import IN_MEMORY
from ..parallel.ranks import Ranks
from ..parallel.workers import cores
from ..presets import LONGEST, Experiment, for_few_images, of_few, preset
from . import checkpoints
from .checkpoints import Checkpoint
from .folders import CHANGEABLE, edited
from .telling import in_common, machine
from .trainer import Trainer

USUAL = {"draw": "strokes", RAM.name: "cluttered"}  # presets by network, where none is named


class Init:
    """A network that another one starts from: a checkpoint by its path or name, or a Network.

    Raises UserError where there is none.
    """

    def __init__(self, source: Any):
        self.name, self.experiment, self.data = str(source), None, {}
        if isinstance(source, Network):
            self.name, self.config, self.network = IN_MEMORY, source.config, source.name
            self.flat_params = to_host(source.flat_params)
        elif not isinstance(source, str | os.PathLike):
            raise UserError(f"a network to start from is a checkpoint's path or name, or a Network, not {source!r}")
        else:
            checkpoint = checkpoints.load(source)
            self.experiment, self.flat_params = checkpoint.experiment, checkpoint.vectors["average"]
            self.data = checkpoint.data
            self.config, self.network = checkpoint.experiment.model, checkpoint.experiment.network

    def put_into(self, model: Network) -> None:
        """Let a network have these parameters. Raises UserError for the first one that does not fit."""
        if self.network != model.name:
            raise UserError(
                f"this run cannot start from {self.name}: it is {self.network.upper()}, this is {model.name.upper()}"
            )
        shapes = [model.parameter_shapes(config) for config in (self.config, model.config)]
        for name in dict.fromkeys([*shapes[1], *shapes[0]]):
            its, here = (of.get(name, "not there") for of in shapes)
            if its != here:
                C, H, W = self.config.image_shape
                images = f"images of {self.config.image_shape}, here {model.config.image_shape}"
                way = f"; pictures of a folder become such by '?size={W}x{H}&grey={int(C == 1)}'" * (C in (1, 3))
                why = images + way if self.config.image_shape != model.config.image_shape else self._differing(model)
                raise UserError(
                    f"this run cannot start from {self.name}: {name} is {its} there, but {here} here ({why})"
                )
        model.flat_params[:] = model.xp.asarray(self.flat_params)

    def _differing(self, model: Network) -> str:
        """Name the settings that make the parameters of a network others than these."""
        shapes, differing = model.parameter_shapes(model.config), []
        for key, value in vars(self.config).items():
            if model.parameter_shapes(dataclasses.replace(model.config, **{key: value})) != shapes:
                differing.append(f"{key}={value}, here {getattr(model.config, key)}")
        return "it has " + "; ".join(differing)


@dataclasses.dataclass
class Plan:
    """What is asked of a run: `changes` are settings by name, as Experiment.replace takes them, `epochs` its length.

    It starts anew, or from another network (`init`), or goes on (`resumed`, the checkpoint in `folder`). Without a
    `folder` it leaves nothing.
    """

    preset: str | None
    changes: dict[str, Any]
    epochs: float | None = None
    folder: Path | None = None
    init: Init | None = None
    resumed: Checkpoint | None = None

    def resume(self, say: Callable[[str], None]) -> None:
        """Go on with the run in the folder; `say` is told where its config.json is not as its checkpoint.

        Raises UserError where there is none.
        """
        self.resumed = checkpoints.load_run(self.folder)
        given = {*self.changes} | ({"steps"} if self.epochs else set())
        if words := edited(self.folder, self.resumed.experiment, given):
            say(words)

    def experiment(self) -> Experiment:
        """Return what is known before the data are. Raises UserError for settings that there are not, or cannot be.

        Also for those that would make a resumed run another one.
        """
        if self.resumed:
            refuse_changes(self.resumed.experiment, self.changes, self.folder, self.resumed.data)
            return self.resumed.experiment.replace(**self.changes)
        found = preset(self.preset or (USUAL[self.init.network] if self.init else "strokes"))
        if self.init and not self.preset:
            found = dataclasses.replace(found, model=self.init.config).replace(glimpse_warmup=0.0)
            if self.init.experiment:
                found = found.replace(data=self.init.experiment.train.data)
        return found.replace(**self.changes)

    def needed_shape(self) -> tuple[int, int, int] | None:
        """Return the shape (C, H, W) of images that the parameters which there are already are for, if there are."""
        if self.resumed:
            return self.resumed.experiment.model.image_shape
        return self.init.config.image_shape if self.init else None

    def known_by(self) -> dict:
        """Return what a checkpoint that names the data says of them, see Checkpoint.data; nothing where none does."""
        told = self.resumed or self.init
        return told.data if told else {}

    def suited(self, experiment: Experiment, data: Dataset) -> tuple[Experiment, list[str]]:
        """Return an experiment for these data, and remarks on what was chosen for them.

        A preset keeps its batches, unless they are larger than there are images in somebody's own data.
        """
        changes: dict[str, Any] = {}
        if "image_shape" not in self.changes:
            changes["image_shape"] = tuple(data.train.shape)
        if experiment.network == RAM.name and data.classes and "classes" not in self.changes and not self.resumed:
            changes["classes"] = len(data.classes)
        experiment = experiment.replace(**changes)
        remarks: list[str] = []
        anybodys = data.name.startswith(PREFIX) or not data_sets.is_known(data.name)
        fits = bool(self.preset) and experiment.train.batch_size <= len(data.train)
        if anybodys and not fits and not self.resumed:
            given = {*self.changes} | ({"glimpse_warmup"} if self.preset else set())
            chosen, remarks = for_few_images(experiment.train, len(data.train), given, self.epochs)
            experiment = experiment.replace(**chosen)
            if experiment.network != RAM.name:
                images = sum(len(split) for split in (data.train, data.valid, data.test))
                remarks += of_few(images, max(data.train.shape[1:]))
        if self.epochs is not None:
            batches = len(data.train) // experiment.train.batch_size
            experiment = experiment.replace(steps=max(1, round(self.epochs * batches)))
        return experiment, remarks

    def trainer(
        self,
        experiment: Experiment,
        data: Dataset,
        ranks: Ranks | None = None,
        backend: str = "numpy",
        threads: int | None = None,
        precision: str = "float32",
        quiet: bool = False,
    ) -> Trainer:
        """Return the trainer, at the place where the run is to begin. Raises UserError where something does not fit."""
        experiment, remarks = self.suited(experiment, data)
        ranks = ranks or Ranks()
        model = experiment.build(backend, self.threads(ranks) if threads is None else threads, precision)
        if self.init:
            self.init.put_into(model)
        init = self.init.name if self.init else ""
        trainer = Trainer(experiment, model, data, self.folder, ranks, init, quiet, fresh=self.resumed is None)
        trainer.summary["remarks"] += remarks
        if self.resumed:
            trainer.restore(self.resumed)
            if words := self.other_machine(machine(trainer), threads is not None):
                trainer.say(words)
        ranks.check_same(trainer.vectors(), in_common(trainer))
        return trainer

    def threads(self, ranks: Ranks) -> int | None:
        """Return how many threads a rank takes where none are asked for: as many as before, or, None, all cores."""
        before = self.resumed.machine.get("threads") if self.resumed else None
        return before if is_count(before) and before <= (ranks.threads or cores()) else ranks.threads

    def other_machine(self, now: dict[str, Any], asked: bool) -> str:
        """Return a line where a run goes on on another machine than before, or, not `asked` to, leaves cores idle."""
        before = self.resumed.machine
        differs = [name for name in now if name in before and before[name] != now[name] and name != "minidraw"]
        if differs:
            then, since = (", ".join(f"{name} {of[name]}" for name in differs) for of in (before, now))
            return one_line(
                f"note: this run goes on with {since}, but began with {then}: its numbers will differ in their last "
                "digits from those of a run that was never stopped",
                LONGEST_LINE,
            )
        if not asked and now.get("threads", cores()) < cores() // now["ranks"]:
            return f"going on with threads {now['threads']}, as before: with all {cores()} the last digits would differ"
        return ""


def check_length(name: str, value: float | None) -> None:
    """Raise UserError if what is given of a run's length, in minutes or epochs, is none."""
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if value is not None and not (number and 0 < value < math.inf):
        raise UserError(f"{name} must be a finite number of more than 0, not {value!r}")
    if value is not None and value > LONGEST:
        raise UserError(f"{name} must be {LONGEST:.0e} or less, not {value}")


def refuse_changes(experiment: Experiment, changes: dict, folder: Path, known_by: dict) -> None:
    """Raise UserError if `changes` would make the resumed run another run.

    A folder of images may have been moved, and those of a program may be in one by now: they are known by more than a
    name (Trainer.restore).
    """
    recorded = experiment.train.data
    moved = recorded.startswith(PREFIX) and changes.get("data", "").startswith(PREFIX)
    if (moved or not data_sets.is_known(recorded)) and known_by.get("fingerprint"):
        changes = {name: value for name, value in changes.items() if name != "data"}
    settings = dataclasses.asdict(experiment.model) | dataclasses.asdict(experiment.train)
    for name, value in changes.items():
        if name in settings and settings[name] != value and name not in CHANGEABLE:
            raise UserError(
                f"the run in {folder} has {name}={settings[name]}, not {value}: a resumed run keeps its settings; "
                "leave it out, or start a new run in another folder"
            )
