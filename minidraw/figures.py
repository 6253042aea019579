"""python -m minidraw.figures RUN: the paper's figures for any run or checkpoint.

    sheet.png     generated images; beside the last column the training images nearest to it   (figs 6, 9, 12)
    sequence.png  how some of them were drawn, the box where each glimpse was written          (figs 1, 7, 10)
    seen.png      how test images are read and redrawn                                         (fig. 5 shows reading)
    curves.png    the cost over training, with its two terms                                   (fig. 11)
    glimpses.png  the KL divergence of every glimpse over training

The last two need the metrics.jsonl of a run's folder, and matplotlib.
"""

import contextlib
import importlib
import json
from pathlib import Path

import numpy as np

from . import checkpoint as checkpoints
from .attention import Windows
from .cli import Parser, drawing_network, load_data, run, whole
from .errors import UserError
from .pictures import filmstrip, sheet, write_png
from .tasks import draw_noise, spread

COLUMNS = 10  # of generated images; the nearest training images come as one more
STRIPS = 8  # drawings shown from the first glimpse to the last
CHUNK = 1000  # training images compared at a time


def parser() -> Parser:
    """Return the parser of this command line."""
    parser = Parser("figures", "Make the paper's figures of a run: sheets, sequences, curves.")
    parser.add_checkpoint()
    parser.add_argument("--out", metavar="DIR", default="figures", help="folder of the figures")
    parser.add_argument("--seed", type=whole(0), metavar="N", default=0, help="seed of the noise")
    parser.add_argument("--rows", type=whole(1), metavar="N", default=10, help="rows of the sheet")
    parser.add_data()
    parser.add_machine()
    return parser


def nearest(images: np.ndarray, split) -> np.ndarray:
    """Return for each of `images` (n, C, H, W) the one of `split` at the least Euclidean distance, (n, C, H, W)."""
    flat = images.reshape(len(images), -1)  # (n, P)
    best, found = np.full(len(images), np.inf), np.empty_like(images)
    for first in range(0, len(split), CHUNK):
        others = split.batch(np.arange(first, min(first + CHUNK, len(split))), np.random.default_rng(first))
        rows = others.reshape(len(others), -1)  # (CHUNK, P)
        distances = (rows * rows).sum(axis=1) - 2 * flat @ rows.T  # (n, CHUNK), less |image|²
        place = distances.argmin(axis=1)
        smallest = distances[np.arange(len(images)), place]
        closer = smallest < best
        best[closer], found[closer] = smallest[closer], others[place[closer]]
    return found


def beside_nearest(images: np.ndarray, split) -> np.ndarray:
    """Return `images` (rows·COLUMNS, C, H, W) with a further column: what of `split` is nearest to the last."""
    grid = images.reshape(-1, COLUMNS, *images.shape[1:])
    return np.concatenate([grid, nearest(grid[:, -1], split)[:, None]], axis=1).reshape(-1, *images.shape[1:])


def some(windows: Windows | None, images: slice) -> Windows | None:
    """Return the windows of some images."""
    if windows is None:
        return None
    return Windows(windows.centre[:, images], windows.stride[:, images], windows.sigma[:, images], windows.size)


def read_metrics(path: Path) -> list[dict]:
    """Return the lines of a metrics.jsonl but for damaged ones, such as the last of a run that is writing it."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as problem:
        raise UserError(f"cannot read {path}: {problem.strerror}") from None
    metrics = []
    for line in lines:
        with contextlib.suppress(ValueError, TypeError, OverflowError, RecursionError):
            values = json.loads(line)
            if isinstance(values, dict) and "step" in values and all(np.isfinite(v).all() for v in values.values()):
                metrics.append(values)
    return metrics


def curves(metrics: list[dict], folder: Path) -> list[Path]:
    """Write curves.png and glimpses.png into `folder` and return their paths. Raises UserError without matplotlib."""
    try:
        matplotlib = importlib.import_module("matplotlib")
    except ImportError:
        raise UserError("curves need matplotlib: pip install 'minidraw[plots]'") from None
    matplotlib.use("agg")
    plt = importlib.import_module("matplotlib.pyplot")
    needed = ("loss", "reconstruction", "latent", "latent_per_step")
    train = [line for line in metrics if all(name in line for name in needed)]
    valid = [line for line in metrics if "validation_loss" in line]
    if not train:
        raise UserError("metrics.jsonl has no line of training yet")

    def column(lines: list[dict], name: str) -> np.ndarray:
        return np.array([line[name] for line in lines])

    figure, (top, bottom) = plt.subplots(2, 1, figsize=(7, 7), sharex=True, layout="constrained")
    top.plot(column(train, "step"), column(train, "loss"), color="0.7", lw=0.8, label="training minibatches")
    top.plot(column(valid, "step"), column(valid, "validation_loss"), color="C3", lw=1.5, label="held-out images")
    settled = np.concatenate([column(train, "loss")[len(train) // 50 :], column(valid, "validation_loss")])
    top.set_ylim(settled.min() - 1, np.percentile(settled, 98) + 2)
    top.set_ylabel("variational bound, nats per image")
    bottom.plot(column(train, "step"), column(train, "reconstruction"), lw=1, label="reconstruction (eq. 9)")
    bottom.plot(column(train, "step"), column(train, "latent"), lw=1, label="latent, KL (eq. 11)")
    bottom.set_ylim(0, np.percentile(column(train, "reconstruction")[len(train) // 50 :], 98) * 1.1)
    bottom.set(xlabel="updates", ylabel="nats per image")
    for axes in (top, bottom):
        axes.legend(frameon=False)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(folder / "curves.png", dpi=110)

    figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
    per_glimpse = np.array([line["latent_per_step"] for line in train]).T  # (T, lines)
    T, last = len(per_glimpse), train[-1]["step"]
    extent = (0, last, 0.5, T + 0.5)
    look = {"aspect": "auto", "origin": "lower", "cmap": "magma", "interpolation": "nearest"}
    image = axes.imshow(per_glimpse, extent=extent, **look)
    axes.set(xlabel="updates", ylabel="glimpse")
    figure.colorbar(image, label="KL, nats per image (eq. 10)")
    figure.savefig(folder / "glimpses.png", dpi=110)
    plt.close("all")
    return [folder / "curves.png", folder / "glimpses.png"]


def main(arguments: list[str]) -> int:
    """Write the figures that the arguments ask for; their paths go to standard output."""
    options = parser().parse_args(arguments)
    checkpoint = checkpoints.load(options.checkpoint)
    data, folder = load_data(options, checkpoint), Path(options.out)
    network = drawing_network(options, checkpoint)
    drawing = network.draw(options.rows * COLUMNS, options.seed)
    write_png(folder / "sheet.png", sheet(beside_nearest(drawing.frames[-1], data.train), columns=COLUMNS + 1))
    few = slice(STRIPS)
    write_png(folder / "sequence.png", filmstrip(drawing.frames[:, few], write=some(drawing.write, few)))
    rng = np.random.default_rng(options.seed)
    originals = data.test.batch(spread(STRIPS, data.test), rng)
    seen = network.redraw(originals, draw_noise(network.config, len(originals), rng))
    write_png(folder / "seen.png", filmstrip(seen.frames, write=seen.write, read=seen.read, originals=originals))
    made = [folder / name for name in ("sheet.png", "sequence.png", "seen.png")]
    print("\n".join(map(str, made)))
    path = Path(options.checkpoint)
    metrics = (path if path.is_dir() else path.parent) / "metrics.jsonl"
    if metrics.is_file():
        print("\n".join(map(str, curves(read_metrics(metrics), folder))))
    return 0


if __name__ == "__main__":
    run(main)
