"""What only minidraw is asked: the whole training step, drawing, starting, memory, and how both grow with the sizes.

Every function takes the options of the command line and returns a table.
"""

import dataclasses
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from minidraw.data import Dataset, Images
from minidraw.model.config import DRAWConfig, glimpse_size, start_values
from minidraw.model.draw import DRAW, draw_noise
from minidraw.model.recurrence import Trace
from minidraw.parallel.workers import cores, shard_bounds
from minidraw.training import checkpoints
from minidraw.training.trainer import Trainer

from .. import ROOT
from .tables import Table
from .team import ENTRIES, Failed, Team, missing

MB = 1e6
GROWTH = {"glimpses": (16, 32, 64, 128), "batch_size": (32, 64, 128, 256), "hidden": (64, 128, 256, 512)}


def step(options) -> Table:
    """Time the trainer's whole step and its parts, in turn with loss_and_grads alone."""
    experiment = options.experiment.replace(batch_size=options.batch_size, glimpse_warmup=0.0)
    shape, rng = experiment.model.image_shape, np.random.default_rng(0)
    images = Images((255 * (rng.random((10 * options.batch_size, *shape)) < 0.2)).astype(np.uint8))
    data = Dataset("random", images, images, images, note="for the benchmark")
    log_every, times = experiment.train.log_every, {}
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(experiment, experiment.build(), data, Path(folder))
        inputs = trainer.stepper.minibatch(0)
        trainer.update()
        for _ in range(options.rounds * options.runs):
            timed(times, "loss and gradients", trainer.model.loss_and_grads, *inputs)
            timed(times, "a minibatch and its noise", trainer.stepper.minibatch, trainer.state.step)
            timed(times, "the whole step", trainer.update)
            timed(times, f"a line of the log (one in {log_every} steps)", trainer.log_line)
    medians = {name: statistics.median(values) for name, values in times.items()}
    gradient, _, whole, line = medians.values()
    ratio = statistics.median(
        (b + line / log_every) / a for a, b in zip(times["loss and gradients"], times["the whole step"], strict=True)
    )
    rows = [[name, took, took / gradient] for name, took in medians.items()]
    rows.append(["the whole step with its share of the log", whole + line / log_every, ratio])
    head = ["", "seconds", "of loss and gradients"]
    return Table("The whole training step: minibatch, gradient, clipping, Adam, average, log", head, rows)


def trained(options) -> Table:
    """Time the networks that come with the package beside fresh ones of the same sizes, in turn, on one core."""
    rows, B = [], options.batch_size
    for name in checkpoints.pretrained():
        checkpoint, times = checkpoints.load(name), {}
        ready = checkpoint.network(threads=1)
        fresh, rng = type(ready)(checkpoint.experiment.model, threads=1), np.random.default_rng(0)
        if isinstance(ready, DRAW):  # on what it draws itself
            x, given = np.round(ready.generate(B)[-1]), draw_noise(ready.config, B, rng)
            fresh.params["canvas0"][:] = ready.params["canvas0"]  # the mean image, where training begins too
        else:
            x = np.float32(rng.random((B, *ready.config.image_shape)) < 0.1)
            given = rng.integers(ready.config.classes, size=B)
        for model in (ready, fresh):
            model.loss_and_grads(x, given)
        for _ in range(options.rounds * options.runs):
            timed(times, "fresh", fresh.loss_and_grads, x, given)
            timed(times, "trained", ready.loss_and_grads, x, given)
        ratio = statistics.median(b / a for a, b in zip(times["fresh"], times["trained"], strict=True))
        rows.append([name, *(statistics.median(times[kind]) for kind in ("fresh", "trained")), ratio])
    head = ["loss and gradients, one core", "fresh, s", "trained, s", "trained / fresh"]
    return Table(f"Trained parameters beside fresh ones, {B} images", head, rows)


def generation(options) -> Table:
    """Time 64 drawings, in a process at work and from the command line."""
    experiment, times = options.experiment, {}
    model = DRAW(experiment.model)
    model.generate(64)
    for _ in range(options.runs):
        timed(times, "model.generate(64)", model.generate, 64)
    with tempfile.TemporaryDirectory() as folder:
        file, gif = Path(folder) / "start.npz", Path(folder) / "digits.gif"
        average = start_values(experiment.model, 0).astype(np.float32)
        checkpoints.save(file, checkpoints.Checkpoint(experiment, {}, {"average": average}))
        command = ["-m", "minidraw.generate", str(file), "-n", "64", "--out", str(gif)]
        for _ in range(options.runs):
            timed(times, "python -m minidraw.generate -n 64 --out digits.gif", python, *command)
    return Table("64 drawings", ["", "seconds"], medians(times))


def start(options) -> Table:
    """Time imports and --help, each in a process of its own, in turn."""
    programs = {"python, nothing imported": ["-c", "pass"]}
    for name in ("numpy", "minidraw", "jax", "torch"):
        if not (name in ENTRIES and missing(ENTRIES[name])):
            programs[f"import {name}"] = ["-c", f"import {name}"]
    programs |= {
        f"python -m minidraw.{name} --help": ["-m", f"minidraw.{name}", "--help"] for name in ("train", "generate")
    }
    times = {}
    for round_ in range(1 + options.rounds):
        for name, command in programs.items():
            timed(times if round_ else {}, name, python, *command)  # the first reads from the disk
    return Table("Starting", ["", "seconds"], medians(times))


def memory(options) -> Table:
    """Compare what a step takes in memory with what it must keep, and with the other libraries."""
    config, B = options.experiment.model, options.batch_size
    rows = [
        ["what backpropagation must keep", kept(config, B) / MB, None],
        ["minidraw's trace, all shards", trace_bytes(config, B, cores()) / MB, None],
    ]
    for name in ("minidraw", "minidraw-1", "jax", "torch", "torch-compiled"):
        entry = ENTRIES[name]
        if name in options.names and not missing(entry):
            rows.append([f"{entry.label}: peak of a step", *peak(entry, options)])
    note = "Peaks are of resident memory, all processes together; shared memory counts once in each."
    return Table("Memory of a step, in MB", ["", "less the imports", "in all"], rows, note)


def growth(options) -> Table:
    """Time and measure minidraw with one size at a time changed."""
    rows = []
    for field, values in GROWTH.items():
        for value in values:
            config, B = options.experiment.model, options.batch_size
            if field == "batch_size":
                B = value
            elif field == "hidden":
                config = dataclasses.replace(config, enc_size=value, dec_size=value)
            else:
                config = dataclasses.replace(config, glimpses=value)
            team = begun(ENTRIES["minidraw"], config, B, options)
            try:
                took = statistics.median(team.seconds(options.runs))
                used = less_imports(team)
            finally:
                team.close()
            trace = trace_bytes(config, B, cores()) / MB
            rows.append([f"{field} = {value}", took, 1e6 * took / (B * config.glimpses), trace, used])
            options.log(f"growth: {field} = {value}: {took:.3f} s")
    head = ["all else as in the preset", "seconds", "µs an image and glimpse", "trace, MB", "peak less the imports, MB"]
    return Table("Growth", head, rows)


def kept(config: DRAWConfig, B: int) -> int:
    """Return the bytes that backpropagation needs of every glimpse, in float32, if filters are made again from windows.

    They are the layers' inputs, gates, cells, q, windows and patch, and the canvas. (The noise is given.)
    """
    C, H, W = config.image_shape
    E, D, Z, M = config.enc_size, config.dec_size, config.latent_size, config.write_size
    glimpse = 0 if config.read_size is None else glimpse_size(config)  # without attention it is the canvas again
    numbers = glimpse + E + D + Z + 5 * (E + D) + 2 * Z + C * H * W  # h, z; four gates and the cell; q; canvas
    numbers += 0 if M is None else C * M * M + 5
    numbers += 0 if config.read_size is None else 5
    return 4 * config.glimpses * B * numbers


def trace_bytes(config: DRAWConfig, B: int, shards: int) -> int:
    """Return the bytes of the traces that minidraw allocates, filters and scratch included."""
    sizes = []
    for first, last in shard_bounds(B, shards):
        # A trace only allocates while it is made, so counting takes no memory.
        Trace(lambda *shape: sizes.append(int(np.prod(shape))), config, last - first)
    return 4 * sum(sizes)


def begun(entry, config: DRAWConfig, B: int, options) -> Team:
    """Return a contestant in one process on all the cores it is for, after its first run."""
    job = {"config": dataclasses.asdict(config), "batch": B, "rough": False}
    team = Team(entry, entry.variants[0], job, 1, entry.cores or cores(), options.limit)
    team.first()
    return team


def less_imports(team: Team) -> float:
    """Return the peak memory of a run less what the imports took, in MB."""
    (answer,) = team.ask("memory")
    return (answer["peak"] - answer["imports"]) / MB


def peak(entry, options) -> list:
    """Return the peak memory of a run less the imports, and in all, in MB; None where it failed."""
    try:
        team = begun(entry, options.experiment.model, options.batch_size, options)
    except Failed as failure:
        options.log(f"{entry.label}: {failure}")
        return [None, None]
    try:
        (answer,) = team.ask("memory")
    finally:
        team.close()
    return [(answer["peak"] - answer["imports"]) / MB, answer["peak"] / MB]


def timed(times: dict, name: str, function, *arguments) -> None:
    """Add to times[name] how long a call took, in seconds."""
    started = time.perf_counter()
    function(*arguments)
    times.setdefault(name, []).append(time.perf_counter() - started)


def medians(times: dict) -> list[list]:
    """Return rows of names and medians."""
    return [[name, statistics.median(values)] for name, values in times.items()]


def python(*arguments: str) -> None:
    """Run Python with this minidraw; raises subprocess.CalledProcessError if it fails."""
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


TABLES = {function.__name__: function for function in (step, trained, generation, start, memory, growth)}
