"""What a run leaves in its folder: settings, numbers, checkpoint, pictures and page; FILES are their names."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..data.images import spread
from ..errors import reason
from ..files import remove_unfinished, write_atomic
from ..pages.metrics import Log
from ..pages.report import counted, write_report
from ..pictures.sheets import sheet
from ..pictures.writers import write_png
from . import checkpoints
from .interrupt import Clock
from .lock import keep_hold
from .tasks import PICTURES

DATA, SHOWN = "data.png", 64  # a picture of training images, and how many
CHECKPOINT = "checkpoint.npz"
FILES = ("config.json", "metrics.jsonl", "metrics.csv", CHECKPOINT, "report.html", DATA, *PICTURES)
DRAWING = 0.1  # largest share of the time that goes into pictures with validations, the first and the last left out
REPORTING = 0.003  # the same of reports without new pictures


class Attempts:
    """Writes what is not worth a run: a failure is told, once, and kept in `failed` until it goes well again.

    It is one too where a `folder` that is held has become another run's. `say` is told.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]):
        self.folder, self.say = folder, say
        self.failed: dict[str, Exception] = {}  # by what was to be written

    def __call__(self, name: str, write: Callable[[], Any]) -> bool:
        """Write something and return whether that went well."""
        try:
            keep_hold(self.folder)
            write()
        except Exception as problem:  # also a mistake of its own: there is nobody to mend it before the end
            if name not in self.failed:
                self.say(f"no {name}: {reason(problem)}; the run goes on, and tries again when it is due")
            self.failed[name] = problem
            return False
        self.failed.pop(name, None)
        return True


class Record:
    """The folder of a run, written while the run goes on.

    What cannot be written before it begins raises UserError; after that nothing ends it, see Attempts; `say` is told.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]):
        self.folder, self.say = Path(folder), say
        self.attempt = Attempts(self.folder, say)
        self.log = Log(self.folder, self.attempt)
        self.drawing = self.reporting = 0.0  # seconds spent on pictures and on reports, in this sitting
        self.description: dict = {}  # what config.json is to hold

    @property
    def failed(self) -> dict[str, Exception]:
        """What could not be written when it was last tried, by name."""
        return self.attempt.failed

    @property
    def lines(self) -> int:
        """How many lines metrics.jsonl has."""
        return self.log.lines

    def start(self, step: int, lines: int) -> None:
        """Go on from a step: what a process that was killed left half-written, or of later steps, goes away.

        Of `lines` of metrics.jsonl before it, some may be lost, which is told.
        """
        remove_unfinished(self.folder / name for name in FILES)
        self.log.start(step)
        if lost := max(0, lines - self.lines):
            self.say(
                f"note: of {counted(lines, 'line')} of metrics.jsonl up to step {step} {lost} "
                f"{'is' if lost == 1 else 'are'} lost, perhaps in a power cut: curves lack them"
            )

    def settings(self) -> None:
        """Write config.json."""
        write_atomic(self.folder / "config.json", (json.dumps(self.description, indent=2) + "\n").encode())

    def show_data(self, split: Any) -> None:
        """Write data.png."""
        self.attempt(DATA, lambda: show_images(self.folder / DATA, split))

    def line(self, **numbers: Any) -> None:
        """Add a line to metrics.jsonl, a row to metrics.csv, and an event to tensorboard/."""
        self.log.write(**numbers)

    def checkpoint(self, checkpoint: checkpoints.Checkpoint) -> bool:
        """Write checkpoint.npz, when the lines before it are safe on the disk; return whether that went well."""
        self.attempt("metrics.jsonl", self.log.sync)
        return self.attempt(CHECKPOINT, lambda: checkpoints.save(self.folder / CHECKPOINT, checkpoint))

    def pictures(self, task: Any, seed: int, step: int, thorough: bool) -> None:
        """Write the pictures of a task."""
        clock = Clock()
        self.attempt("pictures", lambda: task.pictures(self.folder, seed, step, thorough=thorough))
        self.drawing += clock.seconds()

    def may_draw(self, seconds: float) -> bool:
        """Tell whether pictures have taken no more than their share of so much training."""
        return self.drawing <= DRAWING * seconds

    def report(self, seconds: float, ended: bool, now: bool = False) -> None:
        """Write report.html, `now`, with new pictures, or where pages have taken no more than their share of training.

        At the end of a sitting also what else could not be written is tried once more.
        """
        if ended:
            self.log.end()
        if not (ended or now) and self.reporting > REPORTING * seconds:
            return  # the next one comes soon enough
        clock = Clock()
        self.attempt("report", lambda: self.page(running=not ended))
        if now:
            self.drawing += clock.seconds()
        else:
            self.reporting += clock.seconds()

    def page(self, running: bool) -> None:
        """Write report.html, and config.json again where it is gone, since somebody has moved the folder."""
        if self.description and not os.path.lexists(self.folder / "config.json"):
            self.settings()
        write_report(self.folder, running)


def show_images(path: Path, split: Any) -> str:
    """Write a picture of training images as they go in; return in words what it shows. Raises UserError."""
    shown = split.batch(spread(min(SHOWN, len(split)), split))
    note = f"{len(shown)} of the {len(split):,} training images"
    write_png(path, sheet(shown), note)
    return note


class NoRecord(Record):
    """That of a run which leaves nothing, or of a process which is not the first of several: it writes nothing."""

    lines, failed = 0, {}

    def __init__(self):
        self.folder = None
        self.drawing = self.reporting = 0.0

    def nothing(self, *_: Any, **__: Any) -> Any:
        """Do nothing, which goes well."""
        return True

    start = settings = show_data = line = checkpoint = pictures = report = nothing
