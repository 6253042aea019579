"""Where a run stands: what a checkpoint keeps of it beside the vectors."""

import dataclasses
import math
from collections.abc import Callable, Sequence

from ..errors import UserError

COUNTS = ("step", "updates", "skipped", "skipped_in_a_row", "rows")


@dataclasses.dataclass
class State:
    """Counts of a run, and sums for the next line of its log."""

    step: int = 0  # updates so far, those included that were skipped
    updates: int = 0  # those that were not; counted by Adam, and brought here for a checkpoint
    skipped: int = 0  # because their loss or gradient was not finite
    skipped_in_a_row: int = 0  # up to now
    seconds: float = 0.0  # spent training, in all sittings
    sums: list[float] = dataclasses.field(default_factory=list)  # since the last line: seconds, gradient norms, rows
    rows: int = 0  # how many those are
    glimpses: int = 0  # that an update takes
    lines: int = 0  # of metrics.jsonl, when the checkpoint was written

    def begin_line(self, row_length: int) -> None:
        """Begin a line of the log, for rows of that length."""
        self.sums, self.rows = [0.0] * (2 + row_length), 0

    def add(self, seconds: float, norm: float, row: Sequence[float]) -> None:
        """Count an update with its gradient norm and its row in the line."""
        self.sums = [kept + value for kept, value in zip(self.sums, (seconds, norm, *row), strict=True)]
        self.rows += 1
        self.skipped_in_a_row = 0

    def skip(self, seconds: float) -> None:
        """Count an update that was left out: of the line it takes time alone."""
        self.skipped += 1
        self.skipped_in_a_row += 1
        self.sums[0] += seconds

    def spend(self, seconds: float) -> None:
        """Count time as training."""
        self.seconds += seconds
        self.sums[0] += seconds

    def as_dict(self) -> dict:
        """Return the fields as a checkpoint keeps them."""
        return dataclasses.asdict(self)


def read_state(state: dict, most: int, row_length: Callable[[int], int]) -> State:
    """Return the state that a checkpoint holds, of a run of at most so many glimpses.

    Raises UserError where it is none that `State.as_dict` returns: it comes from a file.
    """
    counts, sums, seconds = [state.get(name) for name in COUNTS], state.get("sums"), state.get("seconds")
    glimpses = state.get("glimpses", most)  # older checkpoints have always taken all
    lines = state.get("lines", 0)  # nor do they tell these
    found = (*counts, glimpses, lines)
    whole = all(type(count) is int and 0 <= count < 1 << 53 for count in found) and 1 <= glimpses <= most
    if whole and type(sums) is list and len(sums) == 2 + row_length(glimpses):
        if all(type(number) is float and math.isfinite(number) for number in (seconds, *sums)) and seconds >= 0:
            more = {"seconds": seconds, "sums": list(sums), "glimpses": glimpses, "lines": lines}
            return State(**dict(zip(COUNTS, counts, strict=True)), **more)
    raise UserError("this checkpoint does not tell where its run stands and cannot be trained further")
