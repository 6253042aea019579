"""A contestant's processes, and the race: who is there, in which arrangement each is fastest, and rounds in turn."""

import dataclasses
import importlib.util
import json
import os
import select
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

from .. import ROOT

PAUSE = 0.3  # seconds of rest before a turn, in which the threads of the turn before stop spinning
SMALLEST_PART = 8  # images a process
# Opponents keep freed memory and take it in huge pages, which minidraw does by itself; both make them faster.
MALLOC = ("hugetlb=1", "mmap_max=0", "trim_threshold=17179869184", "top_pad=268435456", "arena_max=1")
POOLS = ("OPENBLAS", "OMP", "MKL", "VECLIB", "BLIS")


class Failed(Exception):
    """A contestant did not come to the end; what it said is the message."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """A contestant as the table has it."""

    label: str
    module: str
    variants: tuple[str, ...]
    needs: str | None = None  # a library
    cores: int | None = None  # always these many, in one process; None: whatever is fastest
    split: bool = True  # whether the images may be shared by several processes


ENTRIES = {
    "minidraw": Entry("minidraw, all cores", "numpy_draw", ("",), cores=0),
    "minidraw-1": Entry("minidraw, one core", "numpy_draw", ("",), cores=1),
    "jax": Entry("JAX, jit + scan, at its best", "jax_draw", ("hoisted", ""), "jax"),
    "jax-plain": Entry("JAX, jit + scan, plain", "jax_draw", ("",), "jax", split=False),
    "torch": Entry("PyTorch, eager, at its best", "torch_draw", ("hoisted", "hoisted oneDNN", ""), "torch"),
    "torch-plain": Entry("PyTorch, eager, plain", "torch_draw", ("",), "torch", split=False),
    "torch-compiled": Entry("PyTorch, step compiled, at its best", "torch_compiled", ("hoisted",), "torch"),
    "products": Entry("matrix products alone", "products", ("numpy", "torch", "jax")),
}


def missing(entry: Entry) -> bool:
    """Tell whether the library that a contestant needs is not installed."""
    return entry.needs is not None and importlib.util.find_spec(entry.needs) is None


class Team:
    """`processes` processes of one contestant, each with its part of the images and `threads` threads of its own."""

    def __init__(self, entry: Entry, variant: str, job: dict, processes: int, threads: int, limit: float):
        self.entry, self.variant, self.arrangement = entry, variant, (processes, threads)
        self.limit, self.errors = limit, tempfile.TemporaryFile("w+")
        cores, total = sorted(affinity()), processes * threads
        self.processes = []
        for k in range(processes):
            own = [cores[c % len(cores)] for c in range(k * threads, (k + 1) * threads)]
            place = {"part": [k, processes], "threads": threads, "cores": own if total > 1 else None}
            if entry.module == "numpy_draw":
                place["cores"] = None  # it shares out the work itself
            text = json.dumps(job | place | {"module": entry.module, "variant": variant})
            command = [sys.executable, "-m", "tools.bench.serve", text]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.errors, "bufsize": 0}
            self.processes.append(subprocess.Popen(command, cwd=ROOT, env=environment(entry, threads), **pipes))
        self.deadline = time.monotonic() + limit
        self.versions, *_ = [self._answer(process) for process in self.processes]

    def ask(self, order: str) -> list:
        """Have all processes do the same; return their answers."""
        for process in self.processes:
            process.stdin.write(order.encode() + b"\n")
        return [self._answer(process) for process in self.processes]

    def first(self) -> float | None:
        """Run once, within the limit since the start (it may compile); return the loss, a mean over the images."""
        self.ask("run")
        self.deadline = None
        losses = self.ask("loss")
        return None if losses[0] is None else float(np.mean(losses))

    def seconds(self, runs: int) -> list[float]:
        """Return how long each of some runs took, all processes at work together, after one that is not counted."""
        self.ask("run")
        times = []
        for _ in range(runs):
            started = time.perf_counter()
            self.ask("run")
            times.append(time.perf_counter() - started)
        return times

    def _answer(self, process: subprocess.Popen):
        if self.deadline is not None:
            left = max(0.0, self.deadline - time.monotonic())
            if not select.select([process.stdout], [], [], left)[0]:
                self.close()
                raise Failed(f"not ready after {self.limit:.0f} seconds")
        line = process.stdout.readline()
        if not line:
            self.close()
            self.errors.seek(0)
            said = self.errors.read().strip().splitlines() or ["it said nothing"]
            raise Failed(said[-1][:300])
        return json.loads(line)

    def close(self) -> None:
        """End the processes."""
        for process in self.processes:
            process.stdin.close()
        for process in self.processes:
            try:
                process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()


def environment(entry: Entry, threads: int) -> dict[str, str]:
    """Return the environment of a contestant's process: its threads and its memory."""
    own = dict(os.environ)
    if entry.module != "numpy_draw":
        own |= {f"{pool}_NUM_THREADS": str(threads) for pool in POOLS} | {"JAX_PLATFORMS": "cpu"}
        own["GLIBC_TUNABLES"] = ":".join(f"glibc.malloc.{setting}" for setting in MALLOC)
    return own


def affinity() -> set[int]:
    """Return the cores that this process may use."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def arrangements(cores: int, batch: int) -> list[tuple[int, int]]:
    """Return processes and threads to try: one process on all cores, and more with fewer each, down to one.

    >>> arrangements(8, 128)
    [(1, 8), (2, 4), (4, 2), (8, 1)]
    """
    powers = [1 << k for k in range(cores.bit_length())]
    return [(n, cores // n) for n in powers if n == 1 or batch // n >= SMALLEST_PART]


def fastest(entry: Entry, job: dict, limit: float, log) -> Team:
    """Return a contestant at work in the variant and arrangement that are fastest; `limit` seconds for each to start.

    One that fails is passed over; Failed if all do.
    """
    cores = len(affinity())
    if entry.cores is not None:
        return started(entry, entry.variants[0], job, (1, entry.cores or cores), limit)
    best, best_time, trouble = None, float("inf"), []

    def attempt(variant: str, arrangement: tuple[int, int]) -> None:
        nonlocal best, best_time
        try:
            team = started(entry, variant, job, arrangement, limit)
            time.sleep(PAUSE)
            took = statistics.median(team.seconds(3))
        except Failed as failure:
            trouble.append(str(failure))
            log(f"{entry.label} {variant}, {words(arrangement)}: {failure}")
            return
        log(f"{entry.label} {variant}, {words(arrangement)}: {took:.3f} s")
        if took < best_time:
            best, team, best_time = team, best, took
        if team:
            team.close()

    for variant in entry.variants:
        if entry.module == "products" and not importlib.util.find_spec(variant):
            continue
        for arrangement in arrangements(cores, job["batch"])[: None if entry.split else 1]:
            attempt(variant, arrangement)
    if best is None:
        raise Failed(trouble[-1])
    return best


def started(entry: Entry, variant: str, job: dict, arrangement: tuple[int, int], limit: float) -> Team:
    """Return a contestant that has run once."""
    team = Team(entry, variant, job, *arrangement, limit)
    team.loss = team.first()
    return team


def words(arrangement: tuple[int, int]) -> str:
    """Return an arrangement in words.

    >>> words((2, 1))
    '2 processes × 1 thread'
    """
    counts = zip(arrangement, ("process", "thread"), ("es", "s"), strict=True)
    return " × ".join(f"{count} {name}{ending if count > 1 else ''}" for count, name, ending in counts)


def race(teams: dict[str, Team], rounds: int, runs: int, log) -> dict[str, list[float]]:
    """Time all in turn, A B C A B C ...; return each one's median of every round."""
    medians = {name: [] for name in teams}
    for number in range(rounds):
        for name, team in teams.items():
            time.sleep(PAUSE)
            medians[name].append(statistics.median(team.seconds(runs)))
        log(f"round {number + 1} of {rounds}: " + ", ".join(f"{name} {t[-1]:.3f}" for name, t in medians.items()))
    return medians
