"""A run as its folder tells it, and the command that makes it."""

import json
import math
import shlex
from pathlib import Path
from typing import Any

from ..data import is_known, summary
from ..errors import UserError, one_line, reason
from ..files import read_regular
from ..presets import MOST_GLIMPSES, PRESETS
from . import metrics

LARGEST_CONFIG = 1 << 20  # bytes of a config.json
IN_MEMORY = "a network in memory"  # what a run's config.json says of a start that a program gave


class Run:
    """What a run's folder tells. Raises UserError where there is none, or its config.json cannot be understood."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        path = self.folder / "config.json"
        try:
            config = json.loads(read_regular(path, LARGEST_CONFIG))
            self.network, self.model, self.train = str(config["network"]), dict(config["model"]), dict(config["train"])
            self.note, self.steps = str(config["data"]), float(self.train["steps"])
            self.init = str(config.get("init", ""))  # what network it starts from, "": none
            self.images = summary.lines(config["images"]) if "images" in config else []
            self.seconds_planned = 60 * float(self.train["minutes"])
            growth = [float(self.train.get(name, 0)) for name in ("glimpse_start", "glimpse_warmup")]
            self.glimpses, self.growth = int(self.model["glimpses"]), growth
            if not (math.isfinite(self.steps) and math.isfinite(self.seconds_planned)):
                raise ValueError(f"there cannot be {self.steps:g} updates, {self.seconds_planned:g} seconds of them")
            if not 1 <= self.glimpses <= MOST_GLIMPSES or not (growth[1] == 0 or 0 < min(growth) <= max(growth) <= 1):
                raise ValueError(f"there cannot be {self.glimpses} glimpses, growing by {growth}")
            if not all(is_plain(value) for value in self.settings().values()):
                raise ValueError("a setting is neither a number nor a text nor a list of such")
        except OSError as problem:
            raise UserError(
                f"there is no run in {folder} ({path.name}: {reason(problem)}); python -m minidraw.train makes one"
            ) from None
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as problem:
            raise UserError(f"cannot understand {path}: {one_line(problem)}") from None
        self.lines, self.damaged = metrics.read(self.folder / "metrics.jsonl")
        self.name = self.folder.resolve().name
        last = self.lines[-1] if self.lines else {}
        self.step, self.seconds = int(last.get("step", 0)), float(last.get("seconds", 0))
        done = self.seconds / self.seconds_planned if self.seconds_planned else self.step / max(self.steps, 1.0)
        self.progress = min(1.0, done)

    def last(self, field: str) -> float | None:
        """Return the last value of a number of metrics.jsonl, None where there is none."""
        return next((line[field] for line in reversed(self.lines) if isinstance(line.get(field), int | float)), None)

    def settings(self) -> dict[str, Any]:
        """Return the settings of network and training by name."""
        return {"network": self.network} | self.model | self.train

    def command(self) -> str:
        """Return a command that makes this run: a preset, of the same data if there is one, and what differs.

        "" where none does, for a program gave the data; a network that a program gave to start from is left out.
        """
        if not is_known(str(self.train.get("data", ""))):
            return ""
        wanted = {name: plain(value) for name, value in (self.model | self.train).items()}
        found = []
        for name, preset in PRESETS.items():
            if preset.network == self.network:
                usual = vars(preset.model) | vars(preset.train)
                differs = [key for key, value in wanted.items() if key not in usual or usual[key] != value]
                found.append(("data" in differs, len(differs), name, differs))
        if not found:
            raise UserError(f"the network of the run in {self.folder} is unknown: {self.network}")
        *_, name, differs = min(found)
        words = ["python", "-m", "minidraw.train", name]
        for key in differs:
            value = wanted[key]
            if key in ("data", "seed") or (key == "minutes" and value) or (key == "steps" and not wanted["minutes"]):
                words += [f"--{key}", str(value)]
            elif key != "image_shape":  # the data's own
                words += ["--set", f"{key}={'none' if value is None else value}"]
        if self.init and self.init != IN_MEMORY:
            words += ["--init", self.init]
        return shlex.join(words)


def is_plain(value: Any) -> bool:
    """Tell whether a value of JSON is one that a setting may have."""
    parts = value if isinstance(value, list) else [value]
    return all(part is None or isinstance(part, int | float | str) for part in parts)


def plain(value: Any) -> Any:
    """Return a value of JSON as it stands in a config: lists are tuples there."""
    return tuple(value) if isinstance(value, list) else value
