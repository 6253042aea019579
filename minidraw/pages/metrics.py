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
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ..errors import UserError, reason
from ..files import own, read_regular, write_atomic
from ..presets import MOST_GLIMPSES

LARGEST = 1e100  # no run comes near it; numbers below it can be drawn
MOST, LONGEST = 64 << 20, 1 << 20  # bytes of a metrics.jsonl, fifteen times as many in memory, and of a line of it


def read(path: Path) -> tuple[list[dict], int]:
    """Return the lines of a metrics.jsonl, and how many were left out because they are damaged.

    A line is whole if it is an object of numbers below LARGEST and lists of them, `step` and `seconds` among them;
    numbers that were not finite are null in the file and left out here.
    Raises UserError for a file that cannot be read; one that is not there has no lines.
    """
    whole, damaged = [], 0
    for line in io.BytesIO(content(path)):  # one at a time: there may be hundreds of millions of nothing
        values = _parsed(line)
        if values is None:
            damaged += 1
        else:
            whole.append(values)
    return whole, damaged


def content(path: Path) -> bytes:
    """Return what is in a metrics.jsonl, nothing where there is none. Raises UserError as `read` does."""
    try:
        return read_regular(path, MOST) if os.path.lexists(path) else b""
    except OSError as problem:
        raise UserError(f"cannot read {path}: {reason(problem)}") from None


def _parsed(line: bytes) -> dict | None:
    if len(line) > LONGEST:
        return None
    try:
        values = {name: value for name, value in json.loads(line).items() if value is not None}
        numbers = [values["step"], values["seconds"]]
        for value in values.values():
            numbers += value if isinstance(value, list) and len(value) <= MOST_GLIMPSES else [value]
        whole = all(type(number) in (int, float) and abs(number) < LARGEST for number in numbers)
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    return values if whole else None


def at_once(name: str, write: Callable[[], None]) -> None:
    """Write something; what is raised is not caught."""
    write()


class Log:
    """Writes the numbers of a run into its folder, line by line. Raises UserError where that is impossible.

    All is written by `attempt`, which is given the name of what is written and may catch what is raised. A line that
    cannot be written waits for the next one, and the table is then made anew.
    """

    def __init__(self, folder: Path, attempt: Callable[[str, Callable[[], None]], Any] = at_once):
        self.folder, self.attempt = Path(folder), attempt
        self.path, self.table = self.folder / "metrics.jsonl", self.folder / "metrics.csv"
        self.waiting: list[bytes] = []  # lines that are not in the file yet
        self.lines = 0  # so far, those that wait included
        self.columns: list[str] = []  # of the table, in the order in which they first came; none: it is to be made anew
        self.events = Events(self.folder / "tensorboard")

    def start(self, step: int) -> None:
        """Go on from a step: drop the lines that are not whole or of a later one, and make the table anew."""
        if os.path.islink(self.events.folder):
            raise UserError(f"{self.events.folder} is a link, and what is written there lands elsewhere: remove it")
        if os.path.lexists(self.path):
            kept = [line for line in content(self.path).splitlines(keepends=True) if is_past(line, step)]
            write_atomic(self.path, b"".join(kept))
            self.lines = len(kept)
            self.attempt("metrics.csv", self.write_table)
        self.events.step = step

    def write(self, **values: Any) -> None:
        """Add a line; floats are rounded to six places, and null where not finite, for JSON has no NaN."""
        floats = {key: round(v, 6) if math.isfinite(v) else None for key, v in values.items() if isinstance(v, float)}
        self.waiting.append((json.dumps(values | floats) + "\n").encode())
        self.lines += 1
        self.attempt("metrics.jsonl", self.write_lines)
        values = {key: value for key, value in (values | floats).items() if value is not None}
        self.attempt("metrics.csv", lambda: self.write_row(cells(values)))
        self.attempt("tensorboard", lambda: self.events.write(values))

    def write_lines(self) -> None:
        """Add the lines that wait to metrics.jsonl."""
        if self.waiting:
            append(self.path, b"".join(self.waiting))
            self.waiting.clear()

    def write_row(self, row: dict) -> None:
        """Add a row to metrics.csv, or make it anew where it lacks a column or may lack a row."""
        known, self.columns = self.columns, []
        if row.keys() <= set(known):
            append(self.table, as_csv(known, [row]).encode())
            self.columns = known
        else:
            self.write_table()

    def write_table(self) -> None:
        """Make metrics.csv from metrics.jsonl, with a column for every name in it."""
        rows = [cells(values) for values in read(self.path)[0]]
        columns = list(dict.fromkeys(name for row in rows for name in row))
        header = dict(zip(columns, columns, strict=True))
        write_atomic(self.table, as_csv(columns, [header, *rows] if rows else []).encode())
        self.columns = [] if self.waiting else columns

    def sync(self) -> None:
        """Let the lines so far be on the disk, whatever happens to the machine."""
        self.write_lines()
        if self.path.exists():
            with mistakes(self.path), open(self.path, "ab", opener=own) as file:
                os.fsync(file.fileno())

    def end(self) -> None:
        """Try once more to write what could not be written."""
        self.attempt("metrics.jsonl", self.write_lines)
        if self.lines and not self.columns:
            self.attempt("metrics.csv", self.write_table)


def is_past(line: bytes, step: int) -> bool:
    """Tell whether a line of metrics.jsonl is whole and of a step that is done."""
    try:
        return line.endswith(b"\n") and json.loads(line)["step"] <= step
    except (ValueError, LookupError, TypeError, RecursionError):
        return False


def append(path: Path, content: bytes) -> None:
    """Add bytes to the end of a file, or nothing. Raises UserError where they cannot be written."""
    with mistakes(path):
        size = os.path.getsize(path) if path.exists() else 0
        try:
            with open(path, "ab", opener=own) as file:
                file.write(content)
        except OSError:
            with contextlib.suppress(OSError):
                os.truncate(path, size)  # what there was room for
            raise


@contextlib.contextmanager
def mistakes(path: Path) -> Iterator[None]:
    """Within it a failing disk is a UserError."""
    try:
        yield
    except OSError as problem:
        raise UserError(f"cannot write {path}: {reason(problem)}") from None


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
    thread: tensorboardX's own SummaryWriter would wait for ever once its thread has met a full disk. A file that could
    not be written whole is not gone on with: `problem` is raised again.
    """

    def __init__(self, folder: Path):
        self.folder, self.step = folder, 0
        self.file: Any = None
        self.tools: Any = None
        self.opened = False
        self.problem: UserError | None = None

    def open(self) -> None:
        """Open a new file, which tells its readers to forget what earlier ones hold of the steps after `self.step`."""
        self.opened = True
        names = ("event_file_writer", "summary", "proto.event_pb2")
        try:
            self.tools = writer, _, proto = [importlib.import_module(f"tensorboardX.{name}") for name in names]
        except ImportError:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        unique = f".{os.getpid()}.{self.step}"  # the rest of the name tells seconds, and a resumed run may be quick
        self.file = writer.EventsWriter(str(self.folder / "events"), unique)
        weakref.finalize(self, _close, self.file)
        self.add(proto.Event(session_log=proto.SessionLog(status=proto.SessionLog.START)), self.step + 1)

    def write(self, values: dict) -> None:
        """Add the numbers of a line."""
        try:
            if self.problem:
                raise self.problem
            with mistakes(self.folder):
                self.write_event(values)
        except UserError as problem:
            self.problem = problem
            raise

    def write_event(self, values: dict) -> None:
        """Add the numbers of a line to the file, which is opened for the first."""
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
        self.file.write_event(event)
        self.file.flush()


def _close(file: Any) -> None:
    with contextlib.suppress(OSError):
        file.close()
