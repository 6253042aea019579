"""python -m tools.bench.serve JOB: be one process of a contestant; obey the lines on standard input.

JOB is JSON: module, variant, config, batch, rough, part [number, count], threads, cores (to stay on) or null.
Every answer is a line of JSON on standard output.
"""

import importlib
import json
import os
import sys
from pathlib import Path


def family() -> list[int]:
    """Return the numbers of this process and of those that it has started."""
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return [os.getpid(), *map(int, file.read().split())]


def status(process: int, field: str) -> int:
    """Return a field of /proc/PID/status in bytes."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":"))


def memory(contestant, before: int) -> dict[str, int]:
    """Return the peak resident memory of a run, all processes together, and of it what was there after the imports."""
    processes = family()
    for process in processes:
        Path(f"/proc/{process}/clear_refs").write_text("5")  # the peak begins anew
    contestant.run()
    return {"peak": sum(status(process, "VmHWM") for process in processes), "imports": before * len(processes)}


def main() -> None:
    """Make the contestant, then do as told."""
    job = json.loads(sys.argv[1])
    if job["cores"] is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, job["cores"])  # before any library counts the cores
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # nothing else may write among the answers

    def answer(value) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    module = importlib.import_module(f".{job['module']}", __package__)
    problem = importlib.import_module(".problem", __package__)
    before = status(os.getpid(), "VmRSS") if sys.platform == "linux" else 0
    config = problem.DRAWConfig(**job["config"])
    whole = problem.make(config, job["batch"], job["rough"])
    contestant = module.Contestant(problem.part(whole, *job["part"]), job["variant"], job["threads"])
    answer(contestant.versions)
    for line in sys.stdin:
        order = line.strip()
        if order == "run":
            contestant.run()
            answer(True)
        elif order == "memory":
            answer(memory(contestant, before))
        else:
            loss, grads = contestant.answer() or (None, {})
            answer(loss if order == "loss" else [loss, {name: grad.tolist() for name, grad in grads.items()}])


if __name__ == "__main__":
    main()
