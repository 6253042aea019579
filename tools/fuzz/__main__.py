"""Throw damaged and hostile files at every loader of minidraw, and tell what was neither read nor refused in one line.

    pip install atheris && python -m tools.fuzz --seconds 60            # every target, one after another
    python -m tools.fuzz mat digit_structs --seconds 600 --out fuzz     # some of them for longer

The targets and their seeds are in tools/fuzz/targets. Atheris (libFuzzer) changes the seeds, guided by which lines of
minidraw a change reaches. An input is a finding where it gives another exception than UserError, a message that is not
one short line, a warning, a crash, more than 2 GB of memory or more than 10 seconds. A finding's input lies in --out
afterwards; the exit status is 1 if there are any. `--again FILE` shows what a target makes of one input.
"""

import argparse
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from .. import ROOT
from .harness import fuzz


def run(name: str, seconds: int, out: Path) -> bool:
    """Run one target in a process of its own and print a line about it; return whether nothing was found."""
    command = [sys.executable, "-m", "tools.fuzz", "--inside", name, f"--seconds={seconds}", f"--out={out}"]
    with tempfile.TemporaryDirectory() as scratch:  # what a process that crashes leaves behind
        environment = os.environ | {"MINIDRAW_FUZZ": scratch}
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", cwd=ROOT, env=environment)
    (out / f"{name}.log").write_text(done.stderr)
    runs = re.search(r"number_of_executed_units:\s*(\d+)", done.stderr) or re.search(r"#(\d+)\D*$", done.stderr)
    record = out / f"{name}.json"
    faults = json.loads(record.read_text()) if record.exists() else {}
    if done.returncode:
        faults[f"the process ended with status {done.returncode}, see {out / name}.log"] = "?"
    print(f"{name:20} {runs[1] if runs else '?':>9} inputs, {len(faults)} findings", flush=True)
    for fault, file in faults.items():
        print(f"    {file}: {fault}", flush=True)
    return not faults


def main() -> int:
    """Run the targets that the arguments name."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", help="see --list (default: all)")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--out", type=Path, default=Path("fuzz"), help="folder for findings")
    parser.add_argument("--list", action="store_true", help="print the targets")
    parser.add_argument("--again", type=Path, metavar="FILE", help="show what the one target makes of this input")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    out = options.out.resolve()
    if options.inside:
        fuzz(options.inside, options.seconds, out)
    from . import targets

    try:
        if unknown := set(options.targets) - set(targets.TARGETS):
            parser.error(f"there are no targets {', '.join(sorted(unknown))}; see --list")
        names = options.targets or list(targets.TARGETS)
        if options.list:
            print("\n".join(f"{name:20} {targets.TARGETS[name][0].__doc__}" for name in names))
            return 0
        if options.again:
            targets.TARGETS[names[0]][0](options.again.read_bytes())
            return 0
        if importlib.util.find_spec("atheris") is None:
            print("error: atheris is not installed: pip install atheris", file=sys.stderr)
            return 2
        out.mkdir(parents=True, exist_ok=True)
        return 0 if all([run(name, options.seconds, out) for name in names]) else 1
    finally:
        shutil.rmtree(targets.target.FOLDER)


if __name__ == "__main__":
    sys.exit(main())
