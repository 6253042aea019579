"""How fast: minidraw in its ways, and the other libraries' same network, each of them in a process of its own."""

import dataclasses
import importlib.util
import json
import statistics
import subprocess
import sys
import time

import numpy as np

from minidraw import DRAW
from minidraw.errors import one_line
from minidraw.presets import preset

from .. import ROOT
from .report import Outcome
from .training import made

ROUNDS = 5
SPARE, LEAST = 30, 20  # seconds: for the end of the part, and to begin another measurement
RIVALS = {"torch": ("eager", "graph", "compiled"), "jax": ("scan",)}  # by library, its ways
HEAD = ["network", "what", "precision", "ms", "images per second"]


def median(run, wait, seconds: float) -> float:
    """Return milliseconds of a call: calls are made for some seconds, in rounds that each end with a wait."""
    run()
    wait()
    started = time.perf_counter()
    run()
    wait()
    calls = max(1, int(seconds / ROUNDS / max(time.perf_counter() - started, 1e-6)))
    rounds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(calls):
            run()
        wait()
        rounds.append((time.perf_counter() - started) / calls * 1e3)
    return statistics.median(rounds)


def table(options, outcome: Outcome) -> None:
    """Measure every preset: loss and gradients, and whole training steps with data, Adam and average."""
    end = time.monotonic() + options.limit - SPARE
    for name in options.presets.split(","):
        rows = [HEAD]
        for precision in ("float32", "tf32"):
            for what, way in (("loss and gradients", gradients), ("training step", steps)):
                for captured in (True, False):
                    label = f"minidraw, {what}, {'one graph' if captured else 'launched'}"
                    try:
                        ms = way(options, name, precision, captured)
                        rows.append([name, label, precision, ms, options.batch_size / ms * 1e3])
                    except Exception as problem:
                        outcome.mistakes.append(f"{name}, {label}: {one_line(problem, 300)}")
        for library, ways in RIVALS.items():
            if library not in options.rivals.split(","):
                continue
            if importlib.util.find_spec(library) is None:
                outcome.notes.append(f"{library} is not installed")
                continue
            for precision in ("float32", "tf32"):
                for way in ways:
                    label = f"{library}, loss and gradients, {way}"
                    ms, words = rival(options, name, library, way, precision, end)
                    if ms is None:
                        outcome.notes.append(f"{name}, {label}, {precision}: {words}")
                    else:
                        rows.append([name, label, precision, ms, options.batch_size / ms * 1e3])
        outcome.tables.append(rows)


def gradients(options, name: str, precision: str, captured: bool) -> float:
    """Return the milliseconds of a loss and its gradients, on inputs that are on the device."""
    config = preset(name).model
    model = DRAW(config, "cupy", precision=precision)
    xp, B = model.xp, options.batch_size
    rng = np.random.default_rng(0)
    x = xp.asarray(rng.random((B, int(np.prod(config.image_shape))), np.float32))
    noise = xp.asarray(rng.standard_normal((config.glimpses, B, config.latent_size), np.float32))
    stream, pool = xp.cuda.Stream(), xp.cuda.MemoryPool()

    def work() -> None:
        model._shard.run("loss_and_grads", model.params, model.grads, (x, noise), 1.0 / B)

    with stream, xp.cuda.using_allocator(pool.malloc):
        work()
        if not captured:
            return median(work, stream.synchronize, options.seconds)
        stream.synchronize()
        stream.begin_capture()
        work()
        graph = stream.end_capture()
        return median(lambda: graph.launch(stream), stream.synchronize, options.seconds)


def steps(options, name: str, precision: str, captured: bool) -> float:
    """Return the milliseconds of a training step as a run takes it."""
    of = made(preset(name).replace(batch_size=options.batch_size), precision=precision)
    of.stepper.gpu.capture = captured
    ms = median(of.update, of.stepper.gpu.stream.synchronize, options.seconds)
    if captured and of.stepper.gpu.graph is None:
        raise RuntimeError("there is no graph")
    return ms


def rival(options, name: str, library: str, way: str, precision: str, end: float) -> tuple[float | None, str]:
    """Return the milliseconds of another library, or None and why there are none; at `end` there must be an answer."""
    left = end - time.monotonic()
    if left < LEAST:
        return None, "no time left; give more by --limit"
    job = {"library": library, "way": way, "precision": precision, "batch": options.batch_size}
    job |= {"config": dataclasses.asdict(preset(name).model), "seconds": options.seconds}
    command = [sys.executable, "-m", "tools.gpu_check.rivals", json.dumps(job)]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=left)
    except subprocess.TimeoutExpired:
        return None, f"not done in the {left:.0f} seconds that were left"
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
        return float(answer["ms"]), f"loss {answer['loss']}"
    except (ValueError, IndexError, KeyError):
        return None, f"failed: {one_line(done.stderr)}"
