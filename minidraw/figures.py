"""python -m minidraw.figures RUN: the paper's figures for any run or checkpoint.

    sheet.png     generated images; beside the last column the training images nearest to it   (figs 6, 9, 12)
    sequence.png  how some of them were drawn, the box where each glimpse was written          (figs 1, 10)
                  the same of a network without attention, which has no box                    (fig. 7)
    seen.png      how test images are read and redrawn                                         (not in the paper)
    curves.png    the cost over training, with its two terms                                   (fig. 11)
    glimpses.png  the KL divergence of every glimpse over training                             (not in the paper)

Of a classifier, seen.png and seen.gif show how test images are looked at (fig. 5), curves.png has its cross entropy
and error, and the others are left out. Curves need the metrics.jsonl of a run's folder, and matplotlib; where one of
them is missing they are left out too, which a line on standard error says.
"""

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np

from .cli import Parser, filled, load_data, run, whole
from .data import Dataset
from .data.images import spread
from .errors import UserError, harmless
from .model.draw import DRAW
from .model.ram import RAM
from .pages import curves, metrics
from .pictures.ink import shown
from .pictures.looks import LOOKS_PER_SECOND, beside_nearest, looks, redrawn
from .pictures.sheets import filmstrip, sheet
from .pictures.sizes import Size
from .pictures.writers import write_gif, write_png
from .training import checkpoints

COLUMNS = 10  # of generated images; the nearest training images come as one more
STRIPS = 8  # drawings shown from the first glimpse to the last
SCALE = 3  # of the sheet


def parser() -> Parser:
    """Return the parser of this command line."""
    parser = Parser("figures", "Make the paper's figures of a run: sheets, sequences, curves.")
    parser.add_checkpoint()
    parser.add_argument("--out", type=filled, metavar="DIR", default="figures", help="folder of the figures")
    parser.add_argument("--seed", type=whole(0), metavar="N", default=0, help="seed of the noise")
    parser.add_argument("--rows", type=whole(1), metavar="N", default=10, help="rows of the sheet")
    parser.add_data()
    parser.add_machine()
    return parser


def plots(lines: list[dict], network: str, folder: Path) -> list[Path]:
    """Write curves.png, and glimpses.png of a network that draws, into `folder` and return their paths.

    Raises UserError without matplotlib, or if the lines hold nothing of training yet.
    """
    if not any(isinstance(line.get("loss"), int | float) for line in lines):
        raise UserError("metrics.jsonl has no line of training yet")
    try:
        matplotlib = importlib.import_module("matplotlib")
        matplotlib.use("agg")
        plt = importlib.import_module("matplotlib.pyplot")
    except ImportError:
        raise UserError("they need matplotlib: pip install matplotlib") from None
    charts = curves.charts(lines, network, cost_only=True)
    figure, every = plt.subplots(len(charts), 1, figsize=(7, 3.5 * len(charts)), sharex=True, layout="constrained")
    for axes, chart in zip(np.atleast_1d(every), charts, strict=True):
        for curve in chart.curves:
            look = {"lw": 1.8} if curve.held_out else {"lw": 0.9, "alpha": 0.6}
            axes.plot(curve.x, curve.y, color=f"C{curve.colour}", label=curve.name, **look)
        axes.set(ylim=(chart.low, chart.high), ylabel=f"{chart.title.lower()}, {chart.unit}")
        axes.legend(frameon=False)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel(chart.across)
    figure.savefig(folder / "curves.png", dpi=110)
    made = [folder / "curves.png"]
    if heat := curves.heat(lines):
        figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
        shown: dict[str, Any] = {"aspect": "auto", "origin": "lower", "cmap": "magma", "interpolation": "nearest"}
        image = axes.imshow(heat.values, extent=(heat.first, heat.last, 0.5, len(heat.values) + 0.5), **shown)
        axes.set(xlabel="updates", ylabel="glimpse")
        figure.colorbar(image, label="KL, nats per image (eq. 10)")
        figure.savefig(folder / "glimpses.png", dpi=110)
        made.append(folder / "glimpses.png")
    plt.close("all")
    return made


def drawings(options: argparse.Namespace, network: DRAW, data: Dataset, folder: Path) -> list[Path]:
    """Write the pictures of a network that draws and return their paths."""
    drawing = network.draw(options.rows * COLUMNS, options.seed)
    beside = beside_nearest(drawing.frames[-1], data.train, COLUMNS)
    write_png(folder / "sheet.png", sheet(beside, COLUMNS + 1, SCALE))
    few, size = slice(STRIPS), Size(STRIPS, network.config.glimpses, network.config.image_shape, strip=True)
    windows = drawing.write and drawing.write.some(few)
    strip = filmstrip(shown(drawing).frames[:, few], write=windows, scale=size.scale())
    write_png(folder / "sequence.png", strip)
    write_png(folder / "seen.png", redrawn(network, data.test.batch(spread(STRIPS, data.test)), options.seed))
    return [folder / name for name in ("sheet.png", "sequence.png", "seen.png")]


def classified(options: argparse.Namespace, network: RAM, data: Dataset, folder: Path) -> list[Path]:
    """Write the pictures of a classifier and return their paths."""
    moving, still, note = looks(network, data.test)
    write_gif(folder / "seen.gif", moving, fps=LOOKS_PER_SECOND)
    write_png(folder / "seen.png", still, note)
    return [folder / "seen.gif", folder / "seen.png"]


def main(arguments: list[str]) -> int:
    """Write the figures that the arguments ask for; their paths go to standard output."""
    options = parser().parse_args(arguments)
    checkpoint = checkpoints.load(options.checkpoint)
    config = checkpoint.experiment.model
    if Size(options.rows * COLUMNS, config.glimpses, config.image_shape).too_many(SCALE):
        raise UserError(f"--rows {options.rows} are too many for one sheet: ask for less")
    data, folder = load_data(options, checkpoint), Path(options.out)
    network = checkpoint.network(options.backend, options.threads)
    if isinstance(network, RAM):
        made = classified(options, network, data, folder)
    else:
        made = drawings(options, cast(DRAW, network), data, folder)
    print("\n".join(map(harmless, made)))
    path = Path(options.checkpoint)
    lines, damaged = metrics.read((path if path.is_dir() else path.parent) / "metrics.jsonl")
    if damaged:
        print(f"{damaged} lines of metrics.jsonl cannot be read and are left out", file=sys.stderr)
    try:
        made = plots(lines, checkpoint.experiment.network, folder)
    except UserError as problem:
        print(f"curves are left out: {problem}", file=sys.stderr)
    else:
        print("\n".join(map(harmless, made)))
    return 0


if __name__ == "__main__":
    run(main)
