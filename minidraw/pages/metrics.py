"""The numbers of a run as files that others can read. What every number means: docs/metrics.md.

    metrics.jsonl   a line of JSON at every log and at every validation
    metrics.csv     the same as one table, for spreadsheets: the i-th number of a list has a column of its own, name_i
    tensorboard/    the same as events, where tensorboardX is installed (the extra "tensorboard")

The first is what a run knows of its past; the others follow from it.
"""

import contextlib
import csv
import importlib
import io
import json
import math
import os
import time
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files import write_atomic

LARGEST = 1e100  # no run comes near it; numbers below it can be drawn


def read(path: Path) -> tuple[list[dict], int]:
    """Return the lines of a metrics.jsonl, and how many were left out because they are damaged.

    A line is whole if it is an object of numbers below LARGEST and lists of them, `step` and `seconds` among them;
    numbers that were not finite are null in the file and left out here.
    Raises UserError for a file that cannot be read; one that is not there has no lines.
    """
    try:
        content = Path(path).read_bytes() if os.path.lexists(path) else b""
    except OSError as problem:
        raise UserError(f"cannot read {path}: {problem.strerror}") from None
    lines = [_parsed(line) for line in content.splitlines()]
    whole = [line for line in lines if line is not None]
    return whole, len(lines) - len(whole)


def _parsed(line: bytes) -> dict | None:
    try:
        values = {name: value for name, value in json.loads(line).items() if value is not None}
        numbers = [values["step"], values["seconds"]]
        for value in values.values():
            numbers += value if isinstance(value, list) else [value]
        whole = all(type(number) in (int, float) and abs(number) < LARGEST for number in numbers)
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    return values if whole else None


class Log:
    """Writes the numbers of a run into its folder, line by line. Raises UserError where that is impossible."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self.path, self.table = self.folder / "metrics.jsonl", self.folder / "metrics.csv"
        self.columns: list[str] = []  # of the table, in the order in which they first came
        self.events = Events(self.folder / "tensorboard")

    def start(self, step: int) -> None:
        """Go on from a step: drop the lines that are not whole or of a later one, and make the table anew."""
        if self.path.exists():
            kept = [line for line in self.path.read_bytes().splitlines(keepends=True) if is_past(line, step)]
            write_atomic(self.path, b"".join(kept))
            self.write_table()
        self.events.step = step

    def write(self, **values: Any) -> None:
        """Add a line; floats are rounded to six places, and null where not finite, for JSON has no NaN."""
        floats = {key: round(v, 6) if math.isfinite(v) else None for key, v in values.items() if isinstance(v, float)}
        append(self.path, json.dumps(values | floats) + "\n")
        values = {key: value for key, value in (values | floats).items() if value is not None}
        row = cells(values)
        if row.keys() <= set(self.columns):
            append(self.table, as_csv(self.columns, [row]))
        else:
            self.write_table()
        self.events.write(values)

    def write_table(self) -> None:
        """Make metrics.csv from metrics.jsonl, with a column for every name in it."""
        rows = [cells(values) for values in read(self.path)[0]]
        self.columns = list(dict.fromkeys(name for row in rows for name in row))
        header = dict(zip(self.columns, self.columns, strict=True))
        write_atomic(self.table, as_csv(self.columns, [header, *rows] if rows else []).encode())


def is_past(line: bytes, step: int) -> bool:
    """Tell whether a line of metrics.jsonl is whole and of a step that is done."""
    try:
        return line.endswith(b"\n") and json.loads(line)["step"] <= step
    except (ValueError, LookupError, TypeError, RecursionError):
        return False


def append(path: Path, text: str) -> None:
    """Add text to the end of a file. Raises UserError where it cannot be written."""
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(text)
    except OSError as problem:
        raise UserError(f"cannot write {path}: {problem.strerror}") from None


def cells(values: dict) -> dict:
    """Return a line's numbers by column of the table.

    >>> cells({"step": 3, "latent_per_step": [0.5, 0.25]})
    {'step': 3, 'latent_per_step_1': 0.5, 'latent_per_step_2': 0.25}
    """
    found: dict = {}
    for name, value in values.items():
        found |= {f"{name}_{i}": v for i, v in enumerate(value, 1)} if isinstance(value, list) else {name: value}
    return found


def as_csv(columns: list[str], rows: Iterable[dict]) -> str:
    """Return rows of a table; what a row lacks is left empty."""
    text = io.StringIO()
    csv.DictWriter(text, columns, lineterminator="\n").writerows(rows)
    return text.getvalue()


class Events:
    """A file of TensorBoard's events, if tensorboardX is installed: numbers as scalars, a list as a histogram.

    Such a histogram has a bar for each number, at its place in the list. Everything is written at once and in this
    thread: tensorboardX's own SummaryWriter would wait for ever once its thread has met a full disk.
    """

    def __init__(self, folder: Path):
        self.folder, self.step = folder, 0
        self.file: Any = None
        self.tools: Any = None
        self.opened = False

    def open(self) -> None:
        """Open a new file, which tells its readers to forget what earlier ones hold of the steps after `self.step`."""
        self.opened = True
        names = ("event_file_writer", "summary", "proto.event_pb2")
        try:
            self.tools = writer, _, proto = [importlib.import_module(f"tensorboardX.{name}") for name in names]
        except ImportError:
            return
        with self.mistakes():
            self.folder.mkdir(parents=True, exist_ok=True)
            unique = f".{os.getpid()}.{self.step}"  # the rest of the name tells seconds, and a resumed run may be quick
            self.file = writer.EventsWriter(str(self.folder / "events"), unique)
        weakref.finalize(self, self.file.close)
        self.add(proto.Event(session_log=proto.SessionLog(status=proto.SessionLog.START)), self.step + 1)

    def write(self, values: dict) -> None:
        """Add the numbers of a line."""
        if not self.opened:
            self.open()
        if self.file is not None:
            _, summary, proto = self.tools
            event = proto.Event()
            for name in values.keys() - {"step"}:
                of = self.histogram if isinstance(values[name], list) else summary.scalar
                event.summary.MergeFrom(of(name, values[name]))
            self.add(event, values["step"])

    def histogram(self, name: str, numbers: list[float]):
        """Return a summary that TensorBoard shows as a bar of height numbers[i - 1] from i - 1/2 to i + 1/2."""
        edges, total = [i + 0.5 for i in range(1, len(numbers) + 1)], sum(numbers)
        return self.tools[1].histogram_raw(name, 0.5, edges[-1], total, total, total, edges, numbers)

    def add(self, event, step: int) -> None:
        """Write one event."""
        event.step, event.wall_time = step, time.time()
        with self.mistakes():
            self.file.write_event(event)
            self.file.flush()

    @contextlib.contextmanager
    def mistakes(self):
        """Within it a failing disk is a UserError."""
        try:
            yield
        except OSError as problem:
            raise UserError(f"cannot write into {self.folder}: {problem.strerror}") from None
