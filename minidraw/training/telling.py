"""What a run says of itself: in config.json, and on stderr once it is known how long it will take."""

import dataclasses
from typing import Any

from ..pages.report import counted, duration
from ..presets import seconds_left


def description(run: Any) -> dict[str, Any]:
    """Return a trainer's settings as they stand in config.json."""
    model, train = (dataclasses.asdict(part) for part in (run.experiment.model, run.config))
    told = {"data": run.data.note, "images": run.summary} | ({"init": run.init} if run.init else {})
    return {"network": run.experiment.network, "model": model, "train": train} | told


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
