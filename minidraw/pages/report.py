"""report.html: all that a run's folder tells, as one file that needs no other and no network.

It is made from the files of the folder alone (config.json, metrics.jsonl, the pictures), so it can be made at any time,
by the run or after it. The look is page.css, the little that moves is page.js; both are put into the page.
"""

import html
import math
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..errors import harmless
from ..files import write_atomic
from ..presets import seconds_left
from . import curves, svg
from .pictures import captions, picture
from .run import IN_MEMORY, Run

HERE = Path(__file__).parent
OBJECTIVE = {
    "draw": "L = −log D(x | c<sub>T</sub>) + Σ<sub>t</sub> KL(Q(Z<sub>t</sub> | h<sub>t</sub><sup>enc</sup>) ‖ "
    "P(Z<sub>t</sub>))  ≥  −log P(x), in nats per image (eqs 9 to 12)",
    "ram": "L = −log P(label | x), in nats per image (section 4.1)",
}


def write_report(folder: Path, running: bool = False) -> None:
    """Make report.html of a run's folder; one of a run that is `running` loads itself again now and then.

    Raises UserError where there is no run, and where the page cannot be written.
    """
    run = Run(folder)
    write_atomic(run.folder / "report.html", page(run.name, report(run, running), running))


def page(title: str, body: str, again: bool = False) -> bytes:
    """Return a whole page; `again`: it loads itself anew every half a minute."""
    style, script = ((HERE / f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    whole = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{text(title)} · minidraw</title><style>{style}</style></head>\n"
        f"<body{' data-again' if again else ''}>{body}<script>{script}</script></body></html>\n"
    )
    return whole.encode(errors="replace")


def report(run: Run, running: bool) -> str:
    """Return what stands on a run's page."""
    charts = list(map(svg.lines, curves.charts(run.lines, run.network)))
    heat = curves.heat(run.lines)
    shown = [figure for name, words in captions(run).items() if (figure := picture(run, name, words))]
    none = "" if run.lines else '<p class="none">Not a line of metrics.jsonl yet.</p>'
    more = (svg.heat(heat) if heat else "") + "".join(charts[2:])
    return (
        f"<header><h1>{text(run.name)}</h1>{state(run, running)}</header><main>"
        f'<section class="tiles">{tiles(run)}</section>'
        f'<section class="charts{" first" if shown else ""}">{"".join([*shown[:1], *charts[:2]])}{none}</section>'
        f'<p class="equation">{OBJECTIVE.get(run.network, "")}</p>'
        f'<section class="charts">{more}</section><section class="pictures">{"".join(shown[1:])}</section>'
        f"<section><h2>Settings</h2>{command(run)}"
        f"<p>Data: {text(run.note)}</p>{images(run)}{settings(run)}</section>"
        f"</main><footer>{'; '.join(remarks(run))}</footer>"
    )


def text(words: object) -> str:
    """Return what a file or a name says as HTML: never markup, and no character that turns or hides others."""
    return html.escape(harmless(words))


def state(run: Run, running: bool) -> str:
    """Return how far a run is."""
    word = "finished" if run.progress >= 1 else "running" if running else "not finished"
    now = datetime.now(timezone.utc)
    when = f'<time datetime="{now.isoformat(timespec="seconds")}">{now:%Y-%m-%d %H:%M} UTC</time>'
    percent = math.floor(100 * run.progress)  # 100 is the end
    words = f"{percent} % of {planned(run)}"
    if 0 < run.progress < 1:
        left = run.seconds_planned - run.seconds
        if not run.seconds_planned:
            left = seconds_left(run.seconds, 0.0, run.progress, run.glimpses, *run.growth)
        words += f", about {duration(left)} of training left"
    return (
        f'<p class="state {word.split()[0]}"><b>{word}</b> {words}; written {when}</p>'
        f'<progress value="{run.progress:.4f}" max="1">{percent} %</progress>'
    )


def planned(run: Run) -> str:
    """Return how long a run is to be."""
    return duration(run.seconds_planned) if run.seconds_planned else counted(run.steps, "update")


def duration(seconds: float) -> str:
    """Return a time in the units that suit it.

    >>> [duration(s) for s in (12, 59.6, 100, 4000, 7199, 90_000)]
    ['12 s', '1.0 minutes', '1.7 minutes', '67 minutes', '2.0 hours', '25 hours']
    """
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    size, unit = (seconds / 60, "minutes") if round(seconds / 60) < 120 else (seconds / 3600, "hours")
    return f"{size:.{1 if size < 9.95 else 0}f} {unit}"


def counted(number: float, what: str) -> str:
    """Return a number of things.

    >>> counted(1, "update"), counted(2500, "update")
    ('1 update', '2,500 updates')
    """
    return f"{number:,.0f} {what}{'s' * (number != 1)}"


RESULTS = {  # number of metrics.jsonl: what it is, its unit, digits, factor
    "validation_loss": ("cost per held-out image", "nats", 2, 1),
    "validation_error": ("of held-out images wrong", "%", 2, 100),
    "validation_reconstruction": ("of it reconstruction", "nats", 2, 1),
    "validation_latent": ("of it latent", "nats", 2, 1),
    "loss": ("cost per training image", "nats", 2, 1),
    "step": ("updates", "", 0, 1),
    "epoch": ("passes over the training images", "", 1, 1),
    "images_per_second": ("images per second", "", 0, 1),
}


def results(run: Run) -> dict[str, tuple[str, str, str]]:
    """Return a run's last numbers: name, what it is, value and unit in words."""
    found = {}
    for name, (words, unit, digits, factor) in RESULTS.items():
        if (value := run.last(name)) is not None:
            size = abs(factor * value)  # a tile is narrow, and large numbers are uncertain
            digits = min(digits, 2 if size < 1e3 else 1 if size < 1e4 else 0)
            found[name] = (words, f"{factor * value:,.{digits}f}", unit)
    if run.seconds:
        number, _, unit = duration(run.seconds).partition(" ")
        found["seconds"] = ("of training", number, unit)
    return found


def tiles(run: Run) -> str:
    """Return the last numbers as boxes."""
    return "".join(
        f"<div><p><b>{value}</b> {f'<small>{unit}</small>' if unit else ''}</p><small>{words}</small></div>"
        for words, value, unit in results(run).values()
    )


def command(run: Run) -> str:
    """Return the command that makes a run, or that a program made it, of data which no command can name."""
    if not (line := run.command()):
        return "<p>A program made this run, of data that no command can name.</p>"
    start = ", but for its start, a network that a program gave" * (run.init == IN_MEMORY)
    return f"<p>This command makes the run{start}:</p><pre>{text(line)}</pre>"


def images(run: Run) -> str:
    """Return what the run has seen of its data as a list; nothing for a run that kept no record of it."""
    items = "".join(f"<li>{text(line)}</li>" for line in run.images)
    return f"<ul>{items}</ul>" if items else ""


def settings(run: Run) -> str:
    """Return the settings as a list."""
    pairs = "".join(
        f"<div><dt>{text(name)}</dt><dd>{text(setting(value))}</dd></div>" for name, value in run.settings().items()
    )
    return f"<dl>{pairs}</dl>"


def setting(value: Any) -> str:
    """Return a setting in words.

    >>> [setting(v) for v in ([1, 28, 28], None, 3e-3, 1000)]
    ['1×28×28', 'none', '0.003', '1000']
    """
    if isinstance(value, list | tuple):
        return "×".join(map(str, value))
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def remarks(run: Run) -> list[str]:
    """Return what is to be said of the numbers at the foot of the page."""
    words = [
        f"{len(run.lines):,} lines of metrics.jsonl; where they are more than fit, a curve shows means over neighbours"
    ]
    if run.damaged:
        words.append(f"{run.damaged:,} lines of metrics.jsonl could not be read and are left out")
    if skipped := run.last("skipped"):
        words.append(f"{skipped:,.0f} updates were skipped because their loss or gradient was not finite")
    return words
