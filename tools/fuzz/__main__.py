"""Throw damaged and hostile files at every loader of minidraw, and tell what was neither read nor refused in one line.

    pip install atheris && python tools/fuzz.py --seconds 60            # every target, one after another
    python tools/fuzz.py mat digit_structs --seconds 600 --out fuzz     # some of them for longer

The targets and their seeds are in tools/fuzzing. Atheris (libFuzzer) changes the seeds, guided by which lines of
minidraw a change reaches. An input is a finding where it gives another exception than UserError, a message that is not
one short line, a warning, a crash, more than 2 GB of memory or more than 10 seconds. A finding's input lies in --out
afterwards; the exit status is 1 if there are any. `--again FILE` shows what a target makes of one input.
"""

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

MEMORY = 2 << 30  # bytes that a loader may use
SECONDS = 10  # that one input may take
LONGEST = 600  # characters of a message


def complaint(function, data: bytes) -> str | None:
    """Return what is wrong with how a target takes an input, the same text for the same fault; None if nothing is."""
    from minidraw.errors import UserError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            function(data)
    except UserError as refusal:
        text = str(refusal)
        if "\n" in text or not 0 < len(text) < LONGEST:
            return f"a message that is empty, of several lines or of more than {LONGEST} characters"
    except Exception as problem:
        frames = [frame for frame in traceback.extract_tb(problem.__traceback__) if "minidraw" in frame.filename]
        where = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[-2:]]
        return f"{type(problem).__name__} at {' < '.join(reversed(where)) or 'the target'}"
    return None


def fuzz(name: str, seconds: int, out: Path) -> None:
    """Run one target in this process, which libFuzzer ends."""
    import atheris

    with atheris.instrument_imports(include=["minidraw", "tarfile", "zipfile", "gzip"]):
        import fuzzing

    function, seeds = fuzzing.TARGETS[name]
    resource.setrlimit(resource.RLIMIT_AS, (2 * MEMORY, 2 * MEMORY))  # address space; what is used is libFuzzer's limit
    corpus = Path(tempfile.mkdtemp(dir=fuzzing.target.FOLDER))
    for number, seed in enumerate(seeds()):
        (corpus / f"seed{number}").write_bytes(seed)
    found: dict[str, str] = {}

    def one(data: bytes) -> None:
        fault = complaint(function, data)
        if fault and fault not in found:
            found[fault] = f"{name}-{len(found)}"
            (out / found[fault]).write_bytes(data)
            (out / f"{name}.json").write_text(json.dumps(found))

    limits = [f"-max_total_time={seconds}", f"-rss_limit_mb={MEMORY >> 20}", f"-timeout={SECONDS}"]
    options = [*limits, f"-artifact_prefix={out}/{name}-", "-print_final_stats=1", "-max_len=40000"]
    sys.stderr = open(os.devnull, "w")  # what loaders say; libFuzzer has its own
    atheris.Setup([sys.argv[0], *options, str(corpus)], one)
    atheris.Fuzz()


def run(name: str, seconds: int, out: Path) -> bool:
    """Run one target in a process of its own and print a line about it; return whether nothing was found."""
    command = [sys.executable, __file__, "--inside", name, f"--seconds={seconds}", f"--out={out}"]
    with tempfile.TemporaryDirectory() as scratch:  # what a process that crashes leaves behind
        environment = os.environ | {"MINIDRAW_FUZZ": scratch}
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment)
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
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
    import fuzzing

    try:
        if unknown := set(options.targets) - set(fuzzing.TARGETS):
            parser.error(f"there are no targets {', '.join(sorted(unknown))}; see --list")
        names = options.targets or list(fuzzing.TARGETS)
        if options.list:
            print("\n".join(f"{name:20} {fuzzing.TARGETS[name][0].__doc__}" for name in names))
            return 0
        if options.again:
            fuzzing.TARGETS[names[0]][0](options.again.read_bytes())
            return 0
        out.mkdir(parents=True, exist_ok=True)
        return 0 if all([run(name, options.seconds, out) for name in names]) else 1
    finally:
        shutil.rmtree(fuzzing.target.FOLDER)


if __name__ == "__main__":
    sys.exit(main())
