"""python tools/bench.py [PRESET]: how fast minidraw is, beside JAX, PyTorch and the matrix products alone.

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
import statistics
import sys
import time
from importlib import metadata
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

from contestants import alone, problem  # noqa: E402
from contestants.alone import Table  # noqa: E402
from contestants.team import ENTRIES, Failed, affinity, fastest, missing, race, started, words  # noqa: E402

from minidraw import DRAWConfig, UserError  # noqa: E402
from minidraw.cli import run, whole  # noqa: E402
from minidraw.presets import parse_setting, preset  # noqa: E402

LIBRARIES = ("numpy", "jax", "jaxlib", "torch")
SMALL = (  # networks for --check: sizes pairwise different, with and without attention
    DRAWConfig((2, 9, 11), 3, 2, 4, 7, 6, 5),
    DRAWConfig((1, 12, 12), 3, 4, 3, 6, 8, 5),
    DRAWConfig((2, 5, 6), 3, None, None, 7, 8, 4),
)
LOSS_TOLERANCE = 1e-4  # relative, of single precision


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command line."""
    parser = argparse.ArgumentParser(prog="python tools/bench.py", description=__doc__.split("\n\n")[0])
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


def compare(options: argparse.Namespace) -> Table:
    """Race minidraw, the other libraries and the bare products."""
    config = options.experiment.model
    job = {"config": dataclasses.asdict(config), "batch": options.batch_size, "rough": False}
    teams, absent = {}, {}
    try:
        for name in options.names:
            if missing(ENTRIES[name]):
                absent[name] = f"skipped: {ENTRIES[name].needs} is not installed"
                continue
            try:
                teams[name] = fastest(ENTRIES[name], job, options.limit, options.log)
                agree(teams)
            except Failed as failure:
                absent[name] = f"failed: {failure}"
        options.medians = race(teams, options.rounds, options.runs, options.log)
    finally:
        for team in teams.values():
            team.close()
    return results(options, teams, absent)


def agree(teams: dict) -> None:
    """Raise Failed, and drop the last team, if its loss is not the first one's."""
    losses = {name: team.loss for name, team in teams.items() if team.loss is not None}
    first, last = next(iter(losses.values()), None), list(teams)[-1]
    if last in losses and not abs(losses[last] - first) <= LOSS_TOLERANCE * abs(first):
        teams.pop(last).close()
        raise Failed(f"its loss is {losses[last]}, not {first}")


def results(options: argparse.Namespace, teams: dict, absent: dict) -> Table:
    """Return the race's table; ratios are to minidraw in the same round."""
    ours, rows = options.medians.get("minidraw"), []
    for name in options.names:
        if name in absent:
            rows.append([ENTRIES[name].label, absent[name], None, None, None])
            continue
        team, times = teams[name], options.medians[name]
        ratio = statistics.median(a / b for a, b in zip(times, ours, strict=True)) if ours else None
        how = ", ".join(filter(None, [team.variant, words(team.arrangement) * (name != "minidraw"), team.versions]))
        if name == "minidraw":
            how = f"{len(affinity())} shards, {team.versions}"
        rows.append([team.entry.label, how, statistics.median(times), f"{min(times):.3f}-{max(times):.3f}", ratio])
    whole_problem = problem.Problem(options.experiment.model, {}, *blank(options))
    work = 2e-9 * problem.multiply_adds(whole_problem)
    note = f"The products with weights are {work:.1f} GFLOP. Ratios are medians over rounds, each within its round."
    title = f"One loss and its gradients: {options.preset}, {options.batch_size} images, float32"
    return Table(title, ["", "how", "seconds", "range", "of minidraw"], rows, note)


def blank(options: argparse.Namespace) -> tuple:
    """Return images and noise without content, for counting."""
    config, B = options.experiment.model, options.batch_size
    zero = problem.np.zeros(1, "float32")
    shapes = (B, *config.image_shape), (config.glimpses, B, config.latent_size)
    return tuple(problem.np.broadcast_to(zero, shape) for shape in shapes)


def check(options: argparse.Namespace) -> int:
    """Compare every variant of every contestant with double precision; return 1 if one is wrong."""
    wrong = 0
    for name in options.names:
        entry = ENTRIES[name]
        if missing(entry):
            print(f"{name}: skipped, {entry.needs} is not installed")
            continue
        if entry.module == "products":
            continue  # there is nothing to be right about
        for variant in entry.variants:
            found = [mistake for config in SMALL for mistake in wrongs(entry, variant, config, options.limit)]
            print(f"{name} {variant}".rstrip() + ": " + ("; ".join(found) or "right"), flush=True)
            wrong += len(found)
    return int(wrong > 0)


def wrongs(entry, variant: str, config: DRAWConfig, limit: float) -> list[str]:
    """Return what is wrong with a contestant's answer for one network."""
    job = {"config": dataclasses.asdict(config), "batch": 4, "rough": True}
    try:
        team = started(entry, variant, job, (1, 1), limit)
    except Failed as failure:
        return [f"failed: {failure}"]
    try:
        ((loss, grads),) = team.ask("answer")
    finally:
        team.close()
    return problem.mistakes(problem.make(config, 4, rough=True), loss, grads)


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


def markdown(table: Table) -> str:
    """Return a table in Markdown."""
    rows = [table.head, ["---"] + ["---:"] * (len(table.head) - 1), *table.rows]
    lines = ["| " + " | ".join(cell(value) for value in row) + " |" for row in rows]
    return "\n".join(["", f"## {table.title}", "", *lines, *(["", table.note] if table.note else [])])


def cell(value) -> str:
    """Return a number with three digits or more, text as it is, and nothing for None.

    >>> [cell(value) for value in (0.01234, 1.2345, 123.45, "text", None)]
    ['0.0123', '1.23', '123', 'text', '']
    """
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:#.3g}"
    return str(value)


if __name__ == "__main__":
    run(main)
