"""The race of all contestants, and the check of their gradients; options are those of the command line."""

import argparse
import dataclasses
import statistics

import numpy as np

from minidraw import DRAWConfig

from . import problem
from .tables import Table
from .team import ENTRIES, Entry, Failed, affinity, fastest, missing, race, started, words

SMALL = (  # networks for --check: sizes pairwise different, with and without attention
    DRAWConfig((2, 9, 11), 3, 2, 4, 7, 6, 5),
    DRAWConfig((1, 12, 12), 3, 4, 3, 6, 8, 5),
    DRAWConfig((2, 5, 6), 3, None, None, 7, 8, 4),
)
LOSS_TOLERANCE = 1e-4  # relative, of single precision


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
    zero = np.zeros(1, "float32")
    shapes = (B, *config.image_shape), (config.glimpses, B, config.latent_size)
    return tuple(np.broadcast_to(zero, shape) for shape in shapes)


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


def wrongs(entry: Entry, variant: str, config: DRAWConfig, limit: float) -> list[str]:
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
