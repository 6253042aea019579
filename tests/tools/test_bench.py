"""The benchmark: its contestants compute what minidraw computes, its counts are right, and it runs from end to end."""

import importlib.util
import json
import math
import subprocess
import sys

import numpy as np
import pytest

from minidraw import DRAWConfig
from tools import ROOT
from tools.bench import problem, products, team

TINY = (
    "--set glimpses=2 --set enc_size=6 --set dec_size=7 --set latent_size=5 --batch-size 9 --rounds 1 --runs 1".split()
)
CONFIGS = [DRAWConfig((2, 9, 11), 3, 2, 4, 7, 6, 5), DRAWConfig((2, 5, 6), 3, None, None, 7, 6, 5)]


def bench(*arguments) -> subprocess.CompletedProcess:
    """Run the benchmark's command line."""
    command = [sys.executable, "-m", "tools.bench", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=ROOT)


@pytest.mark.parametrize("name", [name for name in team.ENTRIES if name not in ("products", "torch-compiled")])
def test_a_contestant_computes_the_same(name):
    entry = team.ENTRIES[name]
    if team.missing(entry):
        pytest.skip(f"{entry.needs} is not installed")
    done = bench("--check", "--only", name)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(entry.variants) and all(line.endswith(": right") for line in lines)


@pytest.mark.parametrize("config", CONFIGS, ids=["attention", "none"])
def test_the_check_sees_what_is_wrong(config):
    one = problem.make(config, 4, rough=True)
    loss, grads = problem.solution(one)
    assert problem.mistakes(one, loss, grads) == []
    assert len(problem.mistakes(one, 1.0005 * loss, grads)) == 1
    for name, gradient in grads.items():
        for wrong in (1.0005 * gradient, 0 * gradient, gradient.T[..., None], np.full_like(gradient, math.nan)):
            (said,) = problem.mistakes(one, loss, grads | {name: wrong})
            assert name in said
        without = {key: value for key, value in grads.items() if key != name}
        assert len(problem.mistakes(one, loss, without)) == 1


def test_parts_are_the_whole():
    one = problem.make(CONFIGS[0], 7)
    some = [problem.part(one, k, 3) for k in range(3)]
    assert np.array_equal(np.concatenate([p.x for p in some]), one.x)
    assert np.array_equal(np.concatenate([p.noise for p in some], axis=1), one.noise)


@pytest.mark.parametrize("config", CONFIGS, ids=["attention", "none"])
def test_the_products_are_as_many_as_counted(config):
    """Multiply-adds of the arrays that are multiplied, against the formula."""
    one = problem.make(config, 4)
    contestant = products.Contestant(one, "numpy", 1)
    contestant.run()
    total = sum(3 * layer.weights.size * layer.inputs.shape[0] * one.batch for layer in contestant.layers)
    if contestant.once:
        total += 2 * contestant.once.weights.size * one.batch
    assert total == problem.multiply_adds(one)
    layer = contestant.layers[0]
    assert np.allclose(layer.outputs[-1], layer.inputs[-1] @ layer.weights, atol=1e-4)


def test_arrangements_leave_no_core_idle():
    for cores in (1, 2, 4, 16):
        tried = team.arrangements(cores, 1000)
        assert tried[0] == (1, cores) and tried[-1] == (cores, 1)
        assert all(processes * threads == cores for processes, threads in tried)
    assert team.arrangements(4, 2 * team.SMALLEST_PART) == [(1, 4), (2, 2)]


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_everything_from_end_to_end(tmp_path):
    file = tmp_path / "all.json"
    done = bench(
        "mnist",
        *TINY,
        *("--only", "minidraw,minidraw-1"),
        *("--step", "--trained", "--start", "--memory", "--generation"),
        *("--json", file),
    )
    assert done.returncode == 0, done.stderr
    tables = json.loads(file.read_text())["tables"]
    assert len(tables) == 6
    for table in tables:
        assert f"## {table['title']}" in done.stdout
        assert all(len(row) == len(table["head"]) for row in table["rows"])
    race = tables[0]["rows"]
    assert [row[0] for row in race] == ["minidraw, all cores", "minidraw, one core"]
    assert race[0][-1] == 1.0 and all(row[2] > 0 for row in race)
    memory = {row[0]: row[1] for row in tables[-1]["rows"]}
    assert memory["what backpropagation must keep"] < memory["minidraw's trace, all shards"]


def test_what_is_not_installed_is_named(tmp_path):
    if importlib.util.find_spec("jax"):
        pytest.skip("jax is installed")
    done = bench(*TINY, "--only", "minidraw,jax")
    assert done.returncode == 0 and "jax is not installed" in done.stdout


@pytest.mark.parametrize("arguments", [["cluttered"], ["--only", "fortran"], ["mnits"]], ids=str)
def test_a_mistake_is_one_line(arguments):
    done = bench(*arguments)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and "Traceback" not in done.stderr
