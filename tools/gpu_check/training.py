"""Whether steps that are played back are right, what memory a run takes, and how far a run comes in some minutes."""

import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from minidraw.backend import array_module, to_host
from minidraw.cuda.step import TrainingStep
from minidraw.data import Dataset
from minidraw.data.images import Images
from minidraw.model.ram import RAMConfig
from minidraw.presets import Experiment, preset
from minidraw.training import checkpoints
from minidraw.training.trainer import Trainer

from .. import ROOT
from .numbers import relative
from .report import Outcome

STEPS = 12  # to compare
FURTHER = 10  # of a run that is resumed
_TRAIN = {"glimpses": 6, "batch_size": 32, "warmup": 5, "clip": 20.0}
EXPERIMENTS = {
    "attention": preset("strokes").replace(**_TRAIN),
    "no attention": preset("strokes").replace(read_size=None, write_size=None, **_TRAIN),
    "colour": preset("cifar10").replace(**_TRAIN),
}
EXPERIMENTS["classifier"] = Experiment(RAMConfig((1, 28, 28), 4, 6, 64), EXPERIMENTS["attention"].train)


def synthetic(shape: tuple[int, int, int], images: int = 1000) -> Dataset:
    """Return a data set of random grey values with random labels."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (images, *shape), np.uint8)
    split = Images(pixels, rng.integers(0, 10, images).astype(np.uint8))
    return Dataset("synthetic", split, split, split, note="random grey values")


def made(experiment: Experiment, backend: str = "cupy", precision: str = "float32") -> Trainer:
    """Return a trainer on such data, with all glimpses from the first step, that writes nothing."""
    experiment = experiment.replace(glimpse_warmup=0.0)
    model = experiment.build(backend, precision=precision)
    return Trainer(experiment, model, synthetic(experiment.model.image_shape), Path("."))


def replay(options, outcome: Outcome) -> None:
    """Take the same steps launched, played back, and by NumPy with the latter's noise; then one on images of NaN."""
    rows = [["network", "played back against launched", "against NumPy", "bits equal"]]
    for name, experiment in EXPERIMENTS.items():
        launched, played, host = made(experiment), made(experiment), made(experiment, "numpy")
        settings = launched.config.batch_size, launched.config.clip, launched.config.seed
        launched.stepper.gpu = TrainingStep(launched.task, launched.adam, *settings, capture=False)
        for _ in range(STEPS):
            launched.update()
            played.update()
            if played.task.noisy:
                drawn = to_host(played.stepper.gpu.inputs[-1])
                host.task.inputs = with_noise(host.task, drawn)
            host.update()
        launched.stepper.collect()
        played.stepper.collect()
        outcome.expect(played.stepper.gpu.graph is not None, f"{name}: there is no graph")
        outcome.expect(played.adam.updates == STEPS, f"{name}: {played.adam.updates} updates in {STEPS} steps")
        vectors = [of.vectors() for of in (played, launched, host)]
        errors = [max(relative(one, other) for one, other in zip(vectors[0], vectors[k], strict=True)) for k in (1, 2)]
        equal = all(np.array_equal(one, other) for one, other in zip(vectors[0], vectors[1], strict=True))
        rows.append([name, *errors, equal])
        outcome.expect(errors[0] < 1e-4, f"{name}: played back and launched differ by {errors[0]:.1e}")
        outcome.expect(errors[1] < 1e-2, f"{name}: the GPU and NumPy differ by {errors[1]:.1e}")
        outcome.expect(
            np.allclose(played.state.sums[1:], host.state.sums[1:], 1e-3, 1e-3),
            f"{name}: the losses differ from NumPy's",
        )
        usual = played.task.examples
        played.task.examples = lambda *given, usual=usual: tuple(np.full_like(x, np.nan) for x in usual(*given))
        before = played.vectors()
        played.update()
        played.stepper.collect()
        kept = all(np.array_equal(one, other) for one, other in zip(before, played.vectors(), strict=True))
        outcome.expect(kept and played.state.skipped == 1, f"{name}: a gradient that is no number was an update")
    outcome.tables.append(rows)


def with_noise(task, drawn: np.ndarray):
    """Return a task's `inputs` with noise that was drawn elsewhere."""
    return lambda chosen, images, _: (task.data.train.batch(chosen, images), drawn)


def memory(options, outcome: Outcome) -> None:
    """Run a few steps of every preset and look at what is taken."""
    xp = array_module("cupy")
    rows = [["preset", "images", "MiB taken from the GPU", "of it by the step's own pool"]]
    for name in options.presets.split(","):
        free = xp.cuda.runtime.memGetInfo()[0]
        of = made(preset(name).replace(batch_size=options.batch_size))
        for _ in range(3):
            of.update()
        of.stepper.collect()
        taken, pool = free - xp.cuda.runtime.memGetInfo()[0], of.stepper.gpu.pool.total_bytes()
        rows.append([name, options.batch_size, taken / 2**20, pool / 2**20])
        outcome.expect(math.isfinite(of.state.sums[1]) and of.state.rows == 3, f"{name}: no finite steps")
        del of
        xp.get_default_memory_pool().free_all_blocks()
    outcome.tables.append(rows)


def train(options, outcome: Outcome) -> None:
    """Train a preset for some minutes with the command line, resume it for some steps, and evaluate it."""
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "run")
        machine = ["--backend", "cupy", "--precision", options.precision, "--out", out]
        said = command("train", options.train, "--minutes", str(options.minutes), *machine)
        steps = checkpoints.load(out).state["step"] + FURTHER
        said += command("train", "--resume", "--steps", str(steps), *machine)
        outcome.notes += [line for line in said.splitlines() if line.startswith("validation")]
        lines = [json.loads(line) for line in (Path(out) / "metrics.jsonl").read_text().splitlines()]
        steps = [line for line in lines if "gradient_norm" in line]
        rows = [["step", "seconds", "nats per image", "images per second", "skipped"]]
        for line in steps[:: max(1, len(steps) // 12)] + steps[-1:]:
            rows.append([line[key] for key in ("step", "seconds", "loss", "images_per_second", "skipped")])
        outcome.tables.append(rows)
        outcome.expect(len(outcome.notes) == 2, "the run or its continuation did not come to its end")
        outcome.expect(steps[-1]["loss"] < steps[0]["loss"], "the loss has not fallen")
        outcome.expect(steps[-1]["skipped"] == 0, f"{steps[-1]['skipped']} steps were skipped")
        on_gpu = json.loads(command("evaluate", out, "--json", "--backend", "cupy"))
        outcome.notes.append(f"on the test set: {on_gpu}")
        on_host = json.loads(command("evaluate", out, "--json"))
        key = "bound" if "bound" in on_gpu else "error"
        same = abs(on_gpu[key] - on_host[key]) <= 1e-3 * abs(on_host[key])
        outcome.expect(same, f"{key} {on_gpu[key]} by the GPU, {on_host[key]} by NumPy")


def command(name: str, *words: str) -> str:
    """Run a command line of minidraw; return what it printed. Raises RuntimeError with its last words if it fails."""
    done = subprocess.run([sys.executable, "-m", f"minidraw.{name}", *words], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"minidraw.{name} ended with status {done.returncode}: {done.stderr.strip()[-400:]}")
    return done.stdout
