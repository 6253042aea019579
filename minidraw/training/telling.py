"""What a run says of itself: in config.json, checkpoints, to other ranks, and on stderr how long it takes."""

import dataclasses
import hashlib
import json
import sys
from typing import Any

import numpy as np

from ..backend import module_name
from ..pages.report import counted, duration
from ..presets import seconds_left


def description(run: Any) -> dict[str, Any]:
    """Return a trainer's settings as they stand in config.json."""
    model, train = (dataclasses.asdict(part) for part in (run.experiment.model, run.config))
    told = {"data": run.data.note, "images": run.summary} | ({"init": run.init} if run.init else {})
    return {"network": run.experiment.network, "model": model, "train": train} | told


def machine(run: Any) -> dict[str, Any]:
    """Return all that a trainer's numbers depend on, in their last bits, besides its settings and data."""
    (backend, precision), model = module_name(run.model.xp), run.model
    shards = {"threads": model.threads} if backend == "numpy" else {"precision": precision}
    return shards | {
        "ranks": run.ranks.size,
        "backend": backend,
        "dtype": model.dtype.name,
        "numpy": np.__version__,
        "minidraw": version(),
    }


def version() -> str:
    """Return the version of this package, whose own file imports this one."""
    return sys.modules[__name__.partition(".")[0]].__version__


def in_common(run: Any) -> dict[str, Any]:
    """Return by name what must be the same on every rank of a trainer: settings, place, data, and programs.

    Data may lie in another folder on another machine: a name, and a hash of what they are known by, stand for them.
    """
    told, known_by = description(run), json.dumps(run.known_by(), sort_keys=True)
    kind, digest = run.data.name.partition(":")[0], hashlib.sha256(known_by.encode()).hexdigest()[:12]
    settings = {"network": told["network"], **told["model"], **told["train"], "data": f"{kind} {digest}"}
    programs = {name: value for name, value in machine(run).items() if name != "threads"}
    return settings | {"init": told.get("init", ""), "step": run.state.step} | programs


def prospect(run: Any, step: int, seconds: float) -> str:
    """Say what is trained on what, for how long, and where to watch it, by the time since an earlier step.

    An update with few glimpses takes less time, so those of all the updates left are added up.
    """
    config, model, state = run.config, run.experiment.model, run.state
    left, growth = 60 * config.minutes - state.seconds, (config.glimpse_start, config.glimpse_warmup)
    if not config.minutes:
        since = state.seconds - seconds, step / config.steps, run.progress()
        left = seconds_left(*since, model.glimpses, *growth) if state.step > step else 0.0
    length = f"{config.minutes:g} minutes" if config.minutes else counted(config.steps, "update")
    watch = f"; watch {run.record.folder / 'report.html'}" if run.record.folder else ""
    return (
        f"training {run.experiment.network.upper()} of {run.model.flat_params.size:,} parameters and "
        f"{counted(model.glimpses, 'glimpse')} on {run.data.name}, {len(run.data.train):,} images of "
        f"{'×'.join(map(str, model.image_shape))}, for {length}"
        f"{f', about {duration(left)} of training from update {state.step:,} on' if left > 0 else ''}{watch}"
    )
