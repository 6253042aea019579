"""python -m tools.bench [PRESET]: how fast minidraw is, beside JAX, PyTorch and the matrix products alone.

All compute the loss and gradients of the same network, images and noise, each in a process of its own, in turn, in
several rounds. Before the race each library's ways of doing it, in one process or several, are tried, and the fastest
one runs, "at its best"; "plain" is autograd's own way in one process on all cores. Their losses must agree with
minidraw's. `--check` compares loss and every gradient with double precision on small networks instead. Libraries that
are not installed are skipped.
"""

import argparse
import dataclasses
import json
import os
import platform
import sys
import time
from importlib import metadata
from pathlib import Path

from minidraw import DRAWConfig, UserError
from minidraw.cli import run, whole
from minidraw.presets import parse_setting, preset

from . import alone
from .compare import check, compare
from .tables import markdown
from .team import ENTRIES, affinity

LIBRARIES = ("numpy", "jax", "jaxlib", "torch")


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=__doc__.split("\n\n")[0])
    parser.add_argument("preset", nargs="?", default="mnist", help="the network (default: mnist)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any field of the config")
    parser.add_argument("--batch-size", type=whole(1), default=128, metavar="N", help="images (default: 128)")
    parser.add_argument("--rounds", type=whole(1), default=5, metavar="N", help="turns each (default: 5)")
    parser.add_argument("--runs", type=whole(1), default=3, metavar="N", help="calls timed a turn (default: 3)")
    parser.add_argument("--limit", type=float, default=240.0, metavar="S", help="seconds to compile in (default: 240)")
    parser.add_argument("--only", metavar="NAMES", help=f"some of {','.join(ENTRIES)}")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 2 runs, nothing compiled by PyTorch")
    parser.add_argument("--check", action="store_true", help="no race: are the gradients of all contestants right?")
    parser.add_argument("--no-race", action="store_true", help="only the tables asked for below")
    for name, function in alone.TABLES.items():
        parser.add_argument(f"--{name}", action="store_true", help=function.__doc__.rstrip("."))
    parser.add_argument("--all", action="store_true", help="all of these tables")
    parser.add_argument("--json", metavar="FILE", help="write all numbers there too")
    return parser


def main(arguments: list[str]) -> int:
    """Measure what is asked for; tables go to standard output, progress to standard error."""
    options = understood(arguments)
    if options.check:
        return check(options)
    print(header(options), flush=True)
    results = {"header": header(options), "tables": []}
    wanted = [] if options.no_race else [compare]
    wanted += [function for name, function in alone.TABLES.items() if options.all or getattr(options, name)]
    for measure in wanted:
        table = measure(options)
        print(markdown(table), flush=True)
        results["tables"].append(dataclasses.asdict(table))
    if options.json:
        Path(options.json).write_text(json.dumps(results | {"rounds": options.medians}, indent=2) + "\n")
    return 0


def understood(arguments: list[str]) -> argparse.Namespace:
    """Return the options, with the experiment and the contestants that they name. Raises UserError."""
    options = parser().parse_args(arguments)
    options.experiment = preset(options.preset).replace(**dict(parse_setting(text) for text in options.set))
    if not isinstance(options.experiment.model, DRAWConfig):
        raise UserError(f"{options.preset} is a classifier; the benchmark is of networks that draw")
    options.names = options.only.split(",") if options.only else list(ENTRIES)
    if options.quick:
        options.rounds, options.runs = 2, 2
        options.names = [name for name in options.names if name != "torch-compiled"]
    for name in options.names:
        if name not in ENTRIES:
            raise UserError(f"no contestant is called {name!r}; there are {', '.join(ENTRIES)}")
    options.medians = {}
    options.log = lambda text: print(text, file=sys.stderr, flush=True)
    return options


def header(options: argparse.Namespace) -> str:
    """Return processor, cores, versions and network in a few lines."""
    versions = []
    for name in LIBRARIES:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            versions.append(f"no {name}")
    chosen = ", ".join(
        f"{name}={value}" for name, value in os.environ.items() if name.endswith(("_CORETYPE", "_THREADS"))
    )
    lines = [
        f"{time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}, {processor()}, {len(affinity())} cores",
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, {', '.join(versions)}",
        f"{options.preset}: {options.experiment.model}",
        f"set in the environment: {chosen or 'nothing that chooses kernels or threads'}",
        f"{options.batch_size} images, {options.rounds} rounds of {options.runs} runs after one not counted",
    ]
    return "\n".join(f"- {line}" for line in lines)


def processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = dict(line.split(":", 1) for line in lines if ":" in line)
        found = {key.strip(): value.strip() for key, value in names.items()}
        return f"{found['model name']} (family {found['cpu family']}, model {found['model']})"
    except (OSError, KeyError):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    run(main)
