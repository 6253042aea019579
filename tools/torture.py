"""Kill training runs, let them go on, and compare what they come to with a run that was never touched.

    python -m tools.torture --ends 60                  # one core
    python -m tools.torture --ends 60 --threads 2      # with a worker process, which is killed too

A tiny run is started again and again with --resume, and ended each time in one of these ways, chosen at random:

    anytime    SIGKILL after a random time, be it inside Python's start
    write      SIGKILL inside the writing of a file: after some of its bytes, before or after it is put in place
    worker     SIGKILL to a worker process; the run must end with one line and status 2
    terminate  SIGTERM; the run must finish its step and end with status 130 (unless it had not yet begun)
    twice      Ctrl-C twice; it must end at once, without a traceback
    starting   the same just when a worker process has been started

After each of them the folder must hold a whole checkpoint or, at the very beginning, none. When a run comes to its
end, its checkpoint, its metrics and its pictures must equal the untouched run's, bit for bit (but for times), and
nothing unfinished may lie beside them. Then the next run begins, until there were as many --ends as asked for. What is
not as it must be is printed, and the exit status is 1.
"""

import argparse
import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from minidraw.training import checkpoints

from . import ROOT

SETTINGS = {"glimpses": 3, "read_size": 2, "write_size": 4, "enc_size": 7, "dec_size": 6, "latent_size": 5}
PACE = {"log_every": 3, "validate_every": 20, "checkpoint_every": 7, "pictures_every": 50}
TIMES = ("seconds", "images_per_second")  # of metrics, which are never the same twice

# Before the run: little data, workers also for little work, and a death inside the `fatal`-th act of writing.
CHILD = """
import builtins, os, random, signal, sys
import minidraw.data, minidraw.files, minidraw.model.network, minidraw.training.trainer
from minidraw import cli, train

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what runs in the background ignore it
minidraw.data.strokes.STROKES = (45, 20, 30)
minidraw.model.network.SMALLEST_WORK = 0
fatal = {fatal}

def act(usual):
    def wrapped(*arguments):
        global fatal
        fatal -= 1
        if fatal == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return usual(*arguments)
    return wrapped

class Torn:
    def __init__(self, file):
        self.file, self.fileno, self.flush, self.close = file, file.fileno, file.flush, file.close
    def write(self, content):
        global fatal
        fatal -= 1
        if fatal == 0:
            self.file.write(content[: random.randrange(len(content))])
            self.file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        self.file.write(content)
    def __enter__(self):
        return self
    def __exit__(self, *_):
        self.file.close()

def torn_open(path, mode="r", **options):
    file = builtins.open(path, mode, **options)
    return Torn(file) if set(mode) & set("wax") else file

if fatal:
    minidraw.files.open = minidraw.pages.metrics.open = torn_open
    os.fsync, os.replace = act(os.fsync), act(os.replace)
cli.run(train.main, {arguments})
"""


def start(folder: Path, options: argparse.Namespace, resume: bool, fatal: int = 0) -> subprocess.Popen:
    """Start the run in `folder`; with `fatal` it kills itself at that act of writing, the first being 1."""
    pairs = [f"--set={name}={value}" for name, value in (SETTINGS | PACE).items()]
    arguments = [
        f"--steps={options.steps}",
        "--batch-size=16",
        f"--out={folder}",
        f"--threads={options.threads}",
        *pairs,
    ]
    code = CHILD.format(fatal=fatal, arguments=arguments + ["--resume"] * resume)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": ROOT}
    return subprocess.Popen([sys.executable, "-c", code], **pipes)


def metrics(folder: Path) -> list[dict]:
    """Return the lines of a run's metrics.jsonl without times."""
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [{key: value for key, value in line.items() if key not in TIMES} for line in lines]


def differences(folder: Path, untouched: Path) -> list[str]:
    """Return what differs between two complete runs, but for times."""
    one, other = checkpoints.load(folder), checkpoints.load(untouched)
    names = [name for name in other.vectors if one.vectors[name].tobytes() != other.vectors[name].tobytes()]
    states = [{k: v for k, v in run.state.items() if k not in ("seconds", "sums")} for run in (one, other)]
    names += ["state"] * (states[0] != states[1]) + ["metrics.jsonl"] * (metrics(folder) != metrics(untouched))
    pictures = ("samples.gif", "samples.png", "config.json")
    names += [name for name in pictures if (folder / name).read_bytes() != (untouched / name).read_bytes()]
    return names + [path.name for path in folder.iterdir() if path.name not in {p.name for p in untouched.iterdir()}]


def children(process: subprocess.Popen) -> list[int]:
    """Return the process ids of a process's children, by Linux's /proc."""
    try:
        return [int(k) for k in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    except OSError:
        return []


def end(way: str, folder: Path, options: argparse.Namespace, rng: random.Random, usual: float) -> tuple[int, str, str]:
    """Start or resume a run and end it in that `way`; return its status, what it printed, and what was wrong."""
    resume = (folder / "checkpoint.npz").exists()
    process = start(folder, options, resume, rng.randint(1, 40) if way == "write" else 0)
    wrong = ""
    try:
        if way in ("worker", "starting"):
            deadline = time.monotonic() + 4 * usual
            while not (workers := children(process)) and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.002)
        if way not in ("write", "starting"):
            time.sleep(rng.uniform(0, usual))
        if way == "worker":
            for worker in workers[:1]:
                subprocess.run(["kill", "-KILL", str(worker)], stderr=subprocess.DEVNULL)
        elif way != "write":
            process.send_signal({"anytime": signal.SIGKILL, "terminate": signal.SIGTERM}.get(way, signal.SIGINT))
            if way in ("twice", "starting"):
                time.sleep(rng.choice([0.0, 0.01]))
                process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        wrong = "it went on for five minutes"
    began = re.search(r'cli\.py", line \d+, in run$', err, re.MULTILINE)
    if "Traceback" in err and (began or way not in ("terminate", "twice")):  # Python's own start may be interrupted
        wrong = wrong or "a traceback"
    allowed = {"terminate": (130, -signal.SIGTERM), "twice": (130, -signal.SIGINT, 1), "worker": (2,)}
    allowed["starting"] = allowed["twice"]
    if process.returncode not in (*allowed.get(way, (-signal.SIGKILL,)), 0):
        wrong = wrong or f"status {process.returncode}"
    return process.returncode, out + err, wrong


def main() -> int:
    """Torture runs as the arguments say."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.torture", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ends", type=int, default=30, help="how often a run is ended")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=300)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    ways = ["anytime", "write", "terminate", "twice"] + ["worker", "starting"] * (options.threads > 1)
    ended, wrongs, complete = Counter(), 0, 0
    with tempfile.TemporaryDirectory(prefix="minidraw-") as scratch:
        untouched = Path(scratch) / "untouched"
        began = time.monotonic()
        _, err = start(untouched, options, resume=False).communicate()
        usual = time.monotonic() - began
        assert (untouched / "checkpoint.npz").exists(), err
        while ended.total() < options.ends:
            folder, status = Path(scratch) / f"run{complete}", 1
            while status:
                way = rng.choice(ways) if ended.total() < options.ends else "none left"
                if way == "none left":
                    process = start(folder, options, (folder / "checkpoint.npz").exists())
                    text, wrong = "".join(process.communicate()), ""
                    status = process.returncode
                    wrong = f"status {status}" if status else ""
                else:
                    status, text, wrong = end(way, folder, options, rng, usual)
                    ended[way] += status != 0
                step = 0
                if (folder / "checkpoint.npz").exists():
                    step = checkpoints.load(folder).state["step"]
                if wrong:
                    wrongs += 1
                    print(f"{way} at step {step}: {wrong}\n{text}")
                    if way == "none left":
                        return 1
            if names := differences(folder, untouched):
                wrongs += 1
                print(f"{folder.name} differs in {', '.join(names)}")
            complete += 1
    ways = ", ".join(f"{count} {way}" for way, count in sorted(ended.items()))
    print(f"{ended.total()} ends ({ways}), {complete} runs complete, {wrongs} wrong")
    return 1 if wrongs else 0


if __name__ == "__main__":
    sys.exit(main())
