"""Training from a program: `fit` takes images and returns a network."""

import copy
import os
import warnings
from pathlib import Path
from typing import Any

from .. import data as data_sets
from ..data import Dataset, from_arrays
from ..data.folder.options import PREFIX
from ..errors import STDERR, UserError, harmless, reason
from ..model.network import Network
from ..pages.report import counted
from .folders import check_free, check_name
from .lock import hold
from .plan import Init, Plan, check_length

NOT_KEPT = "nothing is kept without out="


def fit(
    images: Any,
    labels: Any = None,
    *,
    preset: str | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    epochs: float | None = None,
    out: str | os.PathLike | None = None,
    resume: bool = False,
    init: str | os.PathLike | Network | None = None,
    valid: Any = None,
    test: Any = None,
    seed: int | None = None,
    backend: str = "numpy",
    threads: int | None = None,
    progress: bool = True,
    **settings: Any,
) -> Network:
    """Train a network on images and return it with its averaged parameters, those to draw and to evaluate with.

    `images`, `labels`, `valid` and `test` are arrays as `from_arrays` takes them; or `images` is a Dataset, or the name
    of one. `preset` is one of the command line's (default: the sizes of "strokes"); "cluttered" trains a classifier by
    the labels. The run takes so many `minutes`, or `steps`, updates, or `epochs`, passes over the data (default: the
    preset's steps). `out` is the folder of the run (None: nothing is written); `resume` goes on with the one there, by
    its settings: leave `preset` out. `init` is a network to start from: its checkpoint's path or name, or itself.
    `seed` (default 0) decides on all that is random; `threads` is how many cores (default: all, or as many as before);
    `progress` is told on stderr. `settings` are any others of a run's config.json, batch_size=32 for one. Ctrl-C ends
    the run after a checkpoint, with KeyboardInterrupt. Raises UserError for what is unfit, and where `out` holds a run,
    another program's files or one under way, or, with `resume`, no run or one of other data, and where the run has come
    to numbers that are not finite. What cannot be written into `out` is a RuntimeWarning.
    """
    _check_kinds(preset=preset, out=out, backend=backend)
    changes = _changes(minutes, steps, epochs, seed, settings)
    plan = Plan(preset, changes, epochs, None if out is None else Path(out))
    if resume and (plan.folder is None or init is not None):
        raise UserError("resume=True goes on with the run in out=FOLDER, with the parameters that it has")
    if resume and preset is not None:
        raise UserError("a resumed run keeps its settings: leave preset out, or start a new run in another out=")

    def say(words: str) -> None:
        if progress:
            print(harmless(words), file=STDERR, flush=True)

    if plan.folder is not None:
        check_name(plan.folder, "out=")
    with hold(plan.folder, say, "out="):
        if resume:
            plan.resume(say)
        elif plan.folder is not None:
            check_free(plan.folder, "resume=True", "out=")
        if init is not None:
            plan.init = Init(init)
        experiment = plan.experiment()
        if isinstance(images, str) and STDERR.isatty():  # some take seconds
            say(f"preparing {images}")
        data = _data(images, labels, valid, test, experiment.train.seed, plan.needed_shape())
        trainer = plan.trainer(experiment, data, backend=backend, threads=threads, quiet=not progress)
        if trainer.progress() >= 1:
            done = counted(trainer.state.step, "step")
            trainer.say(f"this run is complete already ({done}); to go on, give it more steps or minutes")
        complete = trainer.run()
    for name, problem in trainer.record.failed.items():  # no reason not to return the network
        warnings.warn(f"the run's {name} could not be written: {reason(problem)}", RuntimeWarning, stacklevel=2)
    if not complete:
        given = {"preset": preset, "init": init}
        without = "".join(f", without {name}=" for name, value in given.items() if value is not None)
        kept = f"fit(..., out={os.fspath(out)!r}, resume=True) goes on{without}" if plan.folder else NOT_KEPT
        if plan.folder and trainer.saved is None:
            kept = "nothing is kept"
        trainer.say(words := f"interrupted after step {trainer.state.step}: {kept}")
        raise KeyboardInterrupt(words)
    model = trainer.model
    model.flat_params[:] = trainer.adam.average
    model.origin = trainer.experiment.train, trainer.known_by()
    return copy.deepcopy(model)  # which lets go of the run's memory, workers and gradients


def _check_kinds(preset: Any, out: Any, backend: Any) -> None:
    """Raise UserError for an argument of `fit` that is of another kind than it must be, where nobody else would."""
    if preset is not None and not (isinstance(preset, str) and preset):
        raise UserError(f"preset is the name of one, not {preset!r}")
    if out is not None and not (isinstance(out, str | os.PathLike) and os.fspath(out)):
        raise UserError(f"out is the path of the run's folder, not {out!r}")
    if not isinstance(backend, str):
        raise UserError(f"backend is the name of one: numpy, cupy or auto, not {backend!r}")


def _data(
    images: Any, labels: Any, valid: Any, test: Any, seed: int, shape: tuple[int, int, int] | None = None
) -> Dataset:
    """Return the data set of the arguments of `fit`."""
    if not isinstance(images, str | os.PathLike | Dataset):
        return from_arrays(images, labels, valid=valid, test=test)
    if any(given is not None for given in (labels, valid, test)):
        raise UserError("labels, valid and test are for images in arrays: a data set has its own")
    if isinstance(images, Dataset):
        return images
    name = images if isinstance(images, str) else f"{PREFIX}{os.fspath(images)}"
    return data_sets.load(name, seed=seed, shape=shape)


def _changes(
    minutes: float | None, steps: int | None, epochs: float | None, seed: int | None, settings: dict[str, Any]
) -> dict[str, Any]:
    """Return the settings that the arguments of `fit` change, by name."""
    if (minutes is not None) + (steps is not None) + (epochs is not None) > 1:
        raise UserError("minutes, steps and epochs are all the length of the run: give one of them")
    check_length("minutes", minutes)
    check_length("epochs", epochs)
    if "data" in settings:
        raise UserError("data are the first argument of fit: images, a Dataset, or the name of a data set")
    given = {"minutes": minutes, "steps": steps, "seed": seed}
    changes = settings | {name: value for name, value in given.items() if value is not None}
    return changes | ({"minutes": 0.0} if steps is not None or epochs is not None else {})
