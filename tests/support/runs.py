"""What the tests of training and of the command lines share: a network and a data set so small that runs are short."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minidraw import cli, compare, data, evaluate, figures, generate, interpolate, reconstruct, report, train
from minidraw.data import Dataset, Images
from minidraw.data import __main__ as data_command
from minidraw.play import __main__ as play_command
from minidraw.presets import Experiment, TrainConfig, preset
from minidraw.training import checkpoints
from minidraw.training.trainer import Trainer

MODULES = {"train": train, "generate": generate, "reconstruct": reconstruct, "evaluate": evaluate}
MODULES |= {"interpolate": interpolate, "figures": figures, "report": report, "compare": compare}
MODULES |= {"data": data_command, "play": play_command}
COMMANDS = {name: module.main for name, module in MODULES.items()}
STROKES = (45, 20, 30)  # images to train on, to validate with, to test on
SIZES = {"glimpses": 3, "read_size": 2, "write_size": 4, "enc_size": 7, "dec_size": 6, "latent_size": 5}
PACE = {"log_every": 3, "validate_every": 10, "checkpoint_every": 7, "pictures_every": 1000, "warmup": 4}
PACE |= {"learning_rate": 3e-3, "glimpse_warmup": 0.0}  # whatever the preset has
TIMES = ("seconds", "images_per_second")


def experiment(**changes) -> Experiment:
    """Return a tiny experiment with some fields changed."""
    return preset("strokes").replace(**(SIZES | PACE | {"batch_size": 8, "steps": 30} | changes))


def trainer(folder: Path, threads: int = 1, **changes) -> Trainer:
    """Return a trainer of a tiny run."""
    tiny = experiment(**changes)
    return Trainer(tiny, tiny.build(threads=threads), data.load("strokes", seed=tiny.train.seed), folder)


def interrupt(of: Trainer, step: int, monkeypatch) -> None:
    """Let a run be interrupted, as by Ctrl-C, at the end of a step."""
    usual = of.update

    def update():
        usual()
        if of.state.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(of, "update", update)


def options(steps: int, folder: Path, **changes) -> list[str]:
    """Return arguments of `train` that make the run which `trainer(folder, steps=steps, **changes)` makes."""
    settings = SIZES | PACE | {"batch_size": 8} | changes
    pairs = [f"--set={name}={value}" for name, value in settings.items()]
    return [f"--steps={steps}", f"--out={folder}", "--threads=1", *pairs]


def run(command: str, *arguments) -> int:
    """Run a command line in this process and return its exit status."""
    with pytest.raises(SystemExit) as ended:
        cli.run(COMMANDS[command], [str(argument) for argument in arguments])
    return ended.value.code or 0


def environment() -> dict[str, str]:
    """Return the environment of a process of its own: this minidraw, and output buffered as usual."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    usual = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return usual | {"PYTHONPATH": path}


def spawn(command: str, *arguments, before: str = "", **popen) -> subprocess.Popen:
    """Start a command line in a process of its own, with small strokes; `before` is Python to run first."""
    code = (
        f"import minidraw.data; minidraw.data.strokes.STROKES = {STROKES}\n{before}\n"
        f"from minidraw import cli, {command}; cli.run({command}.main, {[str(argument) for argument in arguments]})"
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", code], env=environment(), **pipes, **popen)


def metrics(folder: Path) -> list[dict]:
    """Return the lines of metrics.jsonl without what depends on the clock."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{name: value for name, value in json.loads(line).items() if name not in TIMES} for line in lines]


def assert_same_run(one: Path, other: Path) -> None:
    """Two folders hold the same run: every vector bit for bit, and all that was measured but time."""
    a, b = checkpoints.load(one), checkpoints.load(other)
    assert set(a.vectors) == set(b.vectors) == set(checkpoints.VECTORS)
    for name in checkpoints.VECTORS:
        assert a.vectors[name].tobytes() == b.vectors[name].tobytes(), f"{name} differs"
    assert a.experiment == b.experiment
    for name in ("step", "updates", "skipped", "skipped_in_a_row"):
        assert a.state[name] == b.state[name], name
    assert a.state["rows"] == b.state["rows"] and a.state["sums"][1:] == b.state["sums"][1:]  # the first is of seconds
    assert metrics(one) == metrics(other) and table(one) == table(other)


def table(folder: Path) -> list[dict]:
    """Return the rows of metrics.csv without what depends on the clock."""
    rows = csv.DictReader((folder / "metrics.csv").read_text().splitlines())
    return [{name: cell for name, cell in row.items() if name not in TIMES} for row in rows]


def listing(folder: Path) -> dict[str, bytes]:
    """Return the content of all files under a folder, by name."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else b"" for p in sorted(folder.rglob("*"))}


def save(array: np.ndarray, mode: str | None = None, name: str = "a.png", **more) -> str:
    """Write an array as a picture into the current folder and return its name."""
    Image.fromarray(array, mode).save(name, **more) if mode is None else Image.fromarray(array).convert(mode).save(name)
    return name


def wait_for_steps(process, folder, lines: int) -> None:
    """Wait until a run has written so many lines of metrics."""
    deadline = time.monotonic() + 30
    while not (folder / "metrics.jsonl").exists() or (folder / "metrics.jsonl").read_text().count("\n") < lines:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def classifier(folder: Path) -> Trainer:
    """Return a trainer of a tiny classifier."""
    from minidraw.model.ram import RAMConfig

    pixels = np.zeros((30, 1, 12, 12), np.uint8)
    pixels[::2] = 255
    split = Images(pixels, (np.arange(30) % 2).astype(np.uint8))
    train = TrainConfig(data="toy", batch_size=10, steps=6, log_every=2, validate_every=3)
    model = RAMConfig((1, 12, 12), glimpses=2, read_size=3, hidden_size=8, classes=2)
    toy = Experiment(model, train)
    return Trainer(toy, toy.build(threads=1), Dataset("toy", split, split, split, note="<b>toy</b>"), folder)
