"""Several runs on one page: curves over each other, settings that differ, drawings side by side."""

from ..errors import harmless
from . import curves, svg
from .curves import MINUTES, UPDATES, Chart
from .pictures import LARGEST_PICTURE, picture
from .report import results, setting, text
from .run import Run

FIRST = {  # of the numbers that both training and validation give: the one on which runs are compared
    "loss": "validation_loss",
    "error": "validation_error",
    "reconstruction": "validation_reconstruction",
    "latent": "validation_latent",
}
NAME, RUN = 128, (100, 320)  # pixels: a table's first column, the least and the most of any other


def names(runs: list[Run]) -> list[str]:
    """Return what to call runs: the folder's name, the whole path where two share a name."""
    short = [one.name for one in runs]
    return [harmless(name if short.count(name) == 1 else one.folder) for name, one in zip(short, runs, strict=True)]


def comparison(runs: list[Run]) -> str:
    """Return what stands on the page."""
    called = names(runs)
    figures = "".join(map(svg.lines, overlaid(runs, called)))
    return (
        f"<header><h1>{len(runs)} runs</h1><p>{text(', '.join(called))}</p></header><main>"
        f"<h2>Last numbers</h2>{last_numbers(runs, called)}"
        f'<h2>Pictures</h2><section class="pictures">{pictures(runs, called)}</section>'
        f"<h2>Settings that differ</h2>{differing(runs, called)}"
        f'<h2>Curves</h2><section class="charts pairs">{figures or "<p>Not a line of metrics.jsonl yet.</p>"}</section>'
        "</main>"
        "<footer>Where a run has numbers of held-out images, its curves are of these.</footer>"
    )


def overlaid(runs: list[Run], called: list[str]) -> list[Chart]:
    """Return a chart of each number by updates, and the same by minutes of training, a curve a run."""
    kinds = {}  # by title, and by the number: what there is to compare
    for one in runs:
        for kind in curves.kinds(one.network):
            for field in kind.fields:
                if field not in FIRST.values():
                    kinds[kind.title, field] = kind
    charts = []
    for (title, field), kind in kinds.items():
        for across in (UPDATES, MINUTES):
            found = []
            for colour, (one, name) in enumerate(zip(runs, called, strict=True)):
                if kind in curves.kinds(one.network):
                    held_out = FIRST.get(field, field)
                    best = field if one.last(held_out) is None else held_out
                    found.append(curves.curve(one.lines, best, name, across, kind.factor, colour))
            if chart := curves.chart(kind, found, across):
                several = sum(other == title for other, _ in kinds) > 1
                charts.append(chart._replace(title=field.capitalize() if several else title))
    return charts


def table(called: list[str], rows: dict[str, list[str]]) -> str:
    """Return a table as HTML: a column a run, below what it is called, and a row for each name in `rows`."""
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in called)
    lines = [
        f'<tr><th scope="row">{text(name)}</th>{"".join(f"<td>{text(cell)}</td>" for cell in row)}</tr>'
        for name, row in rows.items()
    ]
    least, most = NAME + RUN[0] * len(called), NAME + RUN[1] * len(called)
    return (
        f'<div class="table"><table style="min-width: {least}px; max-width: {most}px">'
        f"<tr><td></td>{head}</tr>{''.join(lines)}</table></div>"
    )


def last_numbers(runs: list[Run], called: list[str]) -> str:
    """Return a table of the last numbers."""
    found = [results(one) for one in runs]
    title = {name: words for result in found for name, (words, *_) in result.items()}
    cells = {
        words: [" ".join(result[name][1:]).strip() if name in result else "" for result in found]
        for name, words in title.items()
    }
    return table(called, cells)


def differing(runs: list[Run], called: list[str]) -> str:
    """Return a table of the settings in which the runs differ."""
    settings = [one.settings() for one in runs]
    fields = dict.fromkeys(name for each in settings for name in each)
    differ = [name for name in fields if any(each.get(name) != settings[0].get(name) for each in settings)]
    if not differ:
        return "<p>None.</p>"
    cells = {name: [setting(each[name]) if name in each else "" for each in settings] for name in differ}
    return table(called, cells)


def pictures(runs: list[Run], called: list[str]) -> str:
    """Return what the runs draw, or how they look, side by side; of many runs each has less of the page."""
    most = 2 * LARGEST_PICTURE // max(2, len(runs))
    shown = [
        picture(one, "samples.gif", (text(name), "", ""), most, beside=False)
        for one, name in zip(runs, called, strict=True)
    ]
    return "".join(shown) or "<p>None yet.</p>"
