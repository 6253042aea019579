"""What comes of a part, and how the report shows it."""

import dataclasses
import time
from collections.abc import Callable, Iterable
from typing import Any


@dataclasses.dataclass
class Outcome:
    """A part's mistakes, in words, and what it measured: tables with a head, and notes."""

    title: str
    mistakes: list[str] = dataclasses.field(default_factory=list)
    tables: list[list[list]] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    skipped: str | None = None
    seconds: float = 0.0

    @property
    def verdict(self) -> str:
        """Return in a word or some how it ended."""
        if self.skipped:
            return f"skipped: {self.skipped}"
        return f"WRONG: {'; '.join(self.mistakes)}" if self.mistakes else "right"

    def asdict(self) -> dict:
        """Return the fields by name."""
        return dataclasses.asdict(self)

    def expect(self, right: Any, words: str) -> None:
        """Note a mistake unless all is right."""
        if not right:
            self.mistakes.append(words)


@dataclasses.dataclass(frozen=True)
class Part:
    """One thing to check; `work` fills the outcome that it is given."""

    title: str
    work: Callable
    needs_gpu: bool = True

    def run(self, options: Any) -> Outcome:
        """Do it; what it raises is a mistake."""
        outcome = Outcome(self.title)
        try:
            self.work(options, outcome)
        except Exception as problem:  # also CUDA's errors; the next part has a process of its own
            outcome.mistakes.append(f"{type(problem).__name__}: {' '.join(str(problem).split())[:600]}")
        return outcome


def cell(value: Any) -> str:
    """Return a cell of a table; numbers with four digits.

    >>> [cell(value) for value in (None, True, 12, 0.000123456, 1234.5678)]
    ['', 'True', '12', '0.0001235', '1235']
    """
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def table_lines(rows: list[list]) -> Iterable[str]:
    """Return a table's lines; the first row is its head."""
    head, *rest = [[cell(value) for value in row] for row in rows]
    for row in (head, ["---"] * len(head), *rest):
        yield "| " + " | ".join(row) + " |"


def markdown(card: str | None, outcomes: dict[str, Outcome]) -> str:
    """Return the report."""
    lines = ["# minidraw on a GPU", "", f"{time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}, {card or 'no GPU'}", ""]
    if not card:
        lines += ["**Nothing verified on a GPU**: there is none here.", ""]
    verdicts = [["part", "outcome", "seconds"]]
    verdicts += [[name, outcome.verdict, outcome.seconds] for name, outcome in outcomes.items()]
    lines += [*table_lines(verdicts), ""]
    for name, outcome in outcomes.items():
        if outcome.tables or outcome.notes:
            lines += [f"## {name}: {outcome.title}", ""]
            lines += [line for rows in outcome.tables for line in [*table_lines(rows), ""]]
            lines += [f"- {note}" for note in outcome.notes] + [""] * bool(outcome.notes)
    return "\n".join(lines).rstrip() + "\n"
