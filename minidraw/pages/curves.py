"""What a run's numbers look like over time, whoever draws it: the curves that belong on one chart, thinned and named.

figures.py draws them with matplotlib, report.py as SVG. The numbers come from metrics.read; their names and units are
told in docs/metrics.md.
"""

from typing import NamedTuple

import numpy as np

MOST_POINTS = 400  # of a curve: more than a screen shows
MOST_COLUMNS = 240  # of a heat map
SETTLED = 0.02  # share of a curve, its start, that may leave the chart at the top
MINUTES = "minutes of training"
UPDATES = "updates"


class Curve(NamedTuple):
    """One line of a chart."""

    name: str
    x: np.ndarray  # (points,)
    y: np.ndarray  # (points,)
    held_out: bool = False  # measured on held-out images
    colour: int = 0


class Chart(NamedTuple):
    """Curves that share their axes."""

    title: str
    unit: str
    note: str  # what it is, by the paper's equation; HTML
    across: str  # UPDATES or MINUTES
    curves: list[Curve]
    low: float  # ends of the vertical axis
    high: float


class Heat(NamedTuple):
    """The KL of every glimpse over time."""

    values: np.ndarray  # (T, columns), nats per image; NaN where so many glimpses were not taken yet
    first: float  # updates of the first and last column
    last: float


class Kind(NamedTuple):
    """Which numbers make a chart."""

    title: str
    unit: str
    note: str
    fields: dict[str, str]  # of metrics.jsonl: what the curve is called
    factor: float = 1.0
    from_zero: bool = True
    only_if_it_changes: bool = False
    cost: bool = False  # a result, not a sign of how the training goes


KINDS = {
    "draw": (
        Kind(
            "Variational bound",
            "nats per image",
            "L, an upper bound on −log P(x) (eq. 12)",
            {"loss": "training minibatches", "validation_loss": "held-out images"},
            from_zero=False,
            cost=True,
        ),
        Kind(
            "Its two terms",
            "nats per image",
            "reconstruction −log D(x | c<sub>T</sub>) (eq. 9) and latent Σ KL(Q ‖ P) (eqs 10, 11)",
            {
                "reconstruction": "reconstruction",
                "validation_reconstruction": "reconstruction, held-out",
                "latent": "latent",
                "validation_latent": "latent, held-out",
            },
            cost=True,
        ),
    ),
    "ram": (
        Kind(
            "Cross entropy",
            "nats per image",
            "−log P(label | x), the loss of section 4.1",
            {"loss": "training minibatches", "validation_loss": "held-out images"},
            cost=True,
        ),
        Kind(
            "Error",
            "% of images",
            "whose likeliest label is wrong",
            {"error": "training minibatches", "validation_error": "held-out images"},
            factor=100.0,
            cost=True,
        ),
    ),
}
PROGRESS = (
    Kind("Gradient norm", "nats per unit of parameter", "global norm, before clipping", {"gradient_norm": "norm"}),
    Kind("Learning rate", "per update", "of Adam: rise, plateau, fall to 0", {"learning_rate": "rate"}),
    Kind("Speed", "images per second", "of training alone", {"images_per_second": "speed"}),
    Kind("Glimpses", "glimpses", "T, how many an update takes", {"glimpses": "glimpses"}, only_if_it_changes=True),
)


def kinds(network: str) -> tuple[Kind, ...]:
    """Return the charts of a network by its name in NETWORKS."""
    return (*KINDS.get(network, ()), *PROGRESS)


def curve(lines: list[dict], field: str, name: str, across: str, factor: float, colour: int) -> Curve:
    """Return a field of the lines that have it as a number, over updates or minutes, thinned."""
    having = [line for line in lines if isinstance(line.get(field), int | float)]
    x = np.array([line["seconds"] / 60 if across == MINUTES else line["step"] for line in having], np.float64)
    y = factor * np.array([line[field] for line in having], np.float64)
    return Curve(name, thin(x, MOST_POINTS), thin(y, MOST_POINTS), field.startswith("validation_"), colour)


def thin(values: np.ndarray, most: int) -> np.ndarray:
    """Return at most that many means of neighbours along the last axis, as many in each as can be.

    >>> thin(np.array([1.0, 3.0, 5.0, 7.0, 9.0]), 3)
    array([1., 4., 8.])
    """
    n = values.shape[-1]
    if n <= most:
        return values
    edges = np.arange(most + 1) * n // most
    return np.add.reduceat(values, edges[:-1], axis=-1) / np.diff(edges)


def chart(kind: Kind, curves: list[Curve], across: str = UPDATES) -> Chart | None:
    """Return a chart of the curves that have points, or None; a steep start, which would hide all else, is cut off."""
    curves = [curve for curve in curves if len(curve.x)]
    if not curves or (kind.only_if_it_changes and all(np.ptp(curve.y) == 0 for curve in curves)):
        return None
    settled = np.concatenate([c.y[int(np.ceil(SETTLED * len(c.y))) if len(c.y) > 9 else 0 :] for c in curves])
    low, high = (0.0 if kind.from_zero else settled.min()), np.percentile(settled, 98)
    margin = 0.06 * (high - low) or 0.5 * abs(high) or 1.0
    return Chart(kind.title, kind.unit, kind.note, across, curves, low - margin * (not kind.from_zero), high + margin)


def charts(lines: list[dict], network: str, across: str = UPDATES, cost_only: bool = False) -> list[Chart]:
    """Return a run's charts from the lines of its metrics.jsonl, those without a number left out."""
    found = []
    for kind in kinds(network):
        if kind.cost or not cost_only:
            pairs = len(kind.fields) > 2  # a term on training images and on held-out ones share a colour
            curves = [
                curve(lines, field, name, across, kind.factor, i // 2 if pairs else i)
                for i, (field, name) in enumerate(kind.fields.items())
            ]
            found.append(chart(kind, curves, across))
    return [one for one in found if one]


def heat(lines: list[dict]) -> Heat | None:
    """Return the KL of every glimpse over updates, or None where there is none, as of a classifier."""
    rows = [
        (float(line["step"]), line["latent_per_step"])
        for line in lines
        if isinstance(line.get("latent_per_step"), list)
    ]
    rows = [(step, nats) for step, nats in rows if nats]
    if not rows:
        return None
    steps, nats = zip(*sorted(rows, key=lambda row: row[0]), strict=True)
    edges = np.linspace(steps[0], steps[-1], min(len(rows), MOST_COLUMNS) + 1)
    ends = np.searchsorted(steps, edges[1:], side="right")  # of columns of even width: there are more lines in some
    values = np.full((len(ends), max(map(len, nats))), np.nan)
    for column, begin, end in zip(values, [0, *ends[:-1]], ends, strict=True):
        bundle = nats[begin:end] or nats[begin - 1 : begin]  # where there is no line, the one before
        taken = min(map(len, bundle))
        column[:taken] = np.mean([one[:taken] for one in bundle], axis=0, dtype=np.float64)
    return Heat(values.T, steps[0], steps[-1])
