"""What a run leaves in its folder: settings, numbers, checkpoint, pictures and page; FILES are their names."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ..data.images import spread
from ..errors import one_line
from ..files import remove_unfinished, write_atomic
from ..pages.metrics import Log
from ..pages.report import write_report
from ..pictures.sheets import sheet
from ..pictures.writers import write_png
from . import checkpoints
from .tasks import PICTURES

DATA, SHOWN = "data.png", 64  # a picture of training images, and how many
FILES = ("config.json", "metrics.jsonl", "metrics.csv", "checkpoint.npz", "report.html", DATA, *PICTURES)
DRAWING = 0.1  # largest share of the time that goes into pictures with validations, the first and the last left out
REPORTING = 0.003  # the same of reports without new pictures


class Record:
    """The folder of a run, written while the run goes on. Raises UserError where something cannot be written."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self.log = Log(self.folder)
        self.drawing = self.reporting = 0.0  # seconds spent on pictures and on reports, in this sitting

    def start(self, step: int) -> None:
        """Go on from a step: what a process that was killed left half-written, or of later steps, goes away."""
        remove_unfinished(self.folder / name for name in FILES)
        self.log.start(step)

    def settings(self, description: dict) -> None:
        """Write config.json."""
        write_atomic(self.folder / "config.json", (json.dumps(description, indent=2) + "\n").encode())

    def show_data(self, split: Any) -> None:
        """Write data.png."""
        show_images(self.folder / DATA, split)

    def line(self, **numbers: Any) -> None:
        """Add a line to metrics.jsonl, a row to metrics.csv, and an event to tensorboard/."""
        self.log.write(**numbers)

    def checkpoint(self, checkpoint: checkpoints.Checkpoint) -> None:
        """Write checkpoint.npz."""
        checkpoints.save(self.folder / "checkpoint.npz", checkpoint)

    def pictures(self, task: Any, seed: int, step: int, thorough: bool) -> None:
        """Write the pictures of a task."""
        started = time.perf_counter()
        task.pictures(self.folder, seed, step, thorough=thorough)
        self.drawing += time.perf_counter() - started

    def may_draw(self, seconds: float) -> bool:
        """Tell whether pictures have taken no more than their share of so much training."""
        return self.drawing <= DRAWING * seconds

    def report(self, seconds: float, ended: bool, now: bool = False) -> None:
        """Write report.html, `now` or where pages have taken no more than their share of so much training.

        While the run goes on, a failure is told and no more: the training is worth more. At the end of a sitting, when
        all else is written, it is raised.
        """
        if not (ended or now) and self.reporting > REPORTING * seconds:
            return  # the next one comes soon enough
        started = time.perf_counter()
        try:
            write_report(self.folder, running=not ended)
        except Exception as problem:  # also a mistake of the report's own: there is nobody to mend it before the end
            if ended:
                raise
            tqdm.write(f"no report: {one_line(problem)}; the run goes on", sys.stderr)
        self.reporting += time.perf_counter() - started


def show_images(path: Path, split: Any) -> str:
    """Write a picture of training images as they go in; return in words what it shows. Raises UserError."""
    shown = split.batch(spread(min(SHOWN, len(split)), split), np.random.default_rng(0))
    note = f"{len(shown)} of the {len(split):,} training images"
    write_png(path, sheet(shown), note)
    return note


class NoRecord(Record):
    """That of a run which leaves nothing, or of a process which is not the first of several: it writes nothing."""

    def __init__(self):
        self.folder = None
        self.drawing = self.reporting = 0.0

    def nothing(self, *_: Any, **__: Any) -> None:
        """Do nothing."""

    start = settings = show_data = line = checkpoint = pictures = report = nothing
