"""python -m tools.gpu_check: everything that only a GPU can tell about minidraw, in one command and some minutes.

Every part runs in a process of its own, so that one that fails, hangs or crashes hides no other. The report, Markdown
and JSON, is written to --out after every part. The exit status is 1 if anything is wrong, and 0 on a machine without a
GPU, where the parts that need none run and the report says that nothing was verified on a GPU.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from minidraw import UserError
from minidraw.cli import run, whole
from minidraw.files import write_atomic
from minidraw.presets import PRESETS

from .. import ROOT
from .parts import PARTS, device
from .report import Outcome, markdown

ANSWER = "gpu_check answer: "  # before the line of JSON with which a part's process ends


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.gpu_check", description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", metavar="PARTS", help=f"some of {','.join(PARTS)} (default: all)")
    parser.add_argument("--out", metavar="DIR", default="runs/gpu_check", help="where gpu_check.md and .json go")
    parser.add_argument("--limit", type=whole(1), metavar="S", default=600, help="seconds a part may take")
    parser.add_argument("--presets", default="mnist,svhn,cifar10", help="networks of the speed table and of memory")
    parser.add_argument("--batch-size", type=whole(1), metavar="N", default=100, help="images of the speed table")
    parser.add_argument("--seconds", type=float, metavar="S", default=3.0, help="of measuring, for a row of that table")
    parser.add_argument("--rivals", default="torch,jax", help="libraries of the speed table, where installed; none: ''")
    parser.add_argument("--train", default="strokes", metavar="PRESET", help="what the part 'train' trains")
    parser.add_argument("--minutes", type=float, metavar="M", default=2.0, help="how long")
    parser.add_argument("--precision", default="float32", help="in which precision: float32 or tf32")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)  # be the process of a part
    return parser


def main(arguments: list[str]) -> int:
    """Run the parts asked for and write the report."""
    options = parser().parse_args(arguments)
    if options.part:
        outcome = PARTS[options.part].run(options)
        print(ANSWER + json.dumps(outcome.asdict()), flush=True)
        return 0
    names = options.only.split(",") if options.only else list(PARTS)
    for name, known in [*((name, PARTS) for name in names), *((name, PRESETS) for name in listed(options.presets))]:
        if name not in known:
            raise UserError(f"there is no {name!r}; there are {', '.join(known)}")
    card = device()
    print(f"GPU: {card or 'none'}", file=sys.stderr)
    outcomes = {}
    for name in names:
        for preset in listed(options.presets) if name == "speed" else [None]:  # one at a time
            label = f"{name} {preset}" if preset else name
            if PARTS[name].needs_gpu and not card:
                outcomes[label] = Outcome(PARTS[name].title, skipped="no GPU")
            else:
                print(f"{label} ...", file=sys.stderr, flush=True)
                limit = options.limit + (120 * options.minutes if name == "train" else 0)
                outcomes[label] = in_process(name, [*arguments, *(["--presets", preset] if preset else [])], limit)
            print(f"{label}: {outcomes[label].verdict}", flush=True)
            write_report(Path(options.out), card, outcomes)
    print(f"report: {Path(options.out) / 'gpu_check.md'}")
    if not card:
        print("nothing verified on a GPU: there is none here")
    return int(any(outcome.mistakes for outcome in outcomes.values()))


def listed(text: str) -> list[str]:
    """Return the names in a list with commas."""
    return [name for name in text.split(",") if name]


def in_process(name: str, arguments: list[str], limit: float) -> Outcome:
    """Run a part in a process of its own and return what came of it."""
    command = [sys.executable, "-m", "tools.gpu_check", *arguments, "--part", name]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    started, title = time.perf_counter(), PARTS[name].title
    try:
        done = subprocess.run(command, cwd=ROOT, timeout=limit, **pipes)
    except subprocess.TimeoutExpired:
        return Outcome(title, [f"not done after {limit} seconds"])
    answers = [line for line in done.stdout.splitlines() if line.startswith(ANSWER)]
    if answers:
        outcome = Outcome(**json.loads(answers[-1][len(ANSWER) :]))
    else:
        last = " ".join(done.stdout.split())[-400:]
        outcome = Outcome(title, [f"it ended with status {done.returncode}: {last}"])
    outcome.seconds = round(time.perf_counter() - started, 1)
    return outcome


def write_report(folder: Path, card: str | None, outcomes: dict[str, Outcome]) -> None:
    """Write what is known so far."""
    content = {"gpu": card, "parts": {name: outcome.asdict() for name, outcome in outcomes.items()}}
    write_atomic(folder / "gpu_check.json", (json.dumps(content, indent=1) + "\n").encode())
    write_atomic(folder / "gpu_check.md", markdown(card, outcomes).encode())


if __name__ == "__main__":
    run(main)
