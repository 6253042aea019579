"""Shards in worker processes: the same numbers, whatever happens to the workers, and nothing left behind."""

import dataclasses
import gc
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from support import gradcheck
from support.networks import Doubled

import minidraw
from minidraw import DRAW, DRAWConfig, UserError
from minidraw.parallel import memory, workers
from minidraw.parallel.workers import SMALLEST_SHARD, shard_bounds

CONFIG = DRAWConfig((1, 6, 7), 3, 2, None, 8, 9, 5)
BATCHES = 33, 17, 41, 9  # the shared memory must grow once; 9 images are too few to share


@pytest.fixture(autouse=True)
def always(monkeypatch):
    """Workers start however small the work."""
    monkeypatch.setattr("minidraw.model.network.SMALLEST_WORK", 0)


def data(images):
    rng = np.random.default_rng(images)
    return rng.random((images, 1, 6, 7)), rng.standard_normal((3, images, 5))


def numbers(model, images):
    """Return everything that a model computes in shards."""
    x, noise = data(images)
    loss, grads = model.loss_and_grads(x, noise)
    grads = {name: grad.copy() for name, grad in grads.items()}
    again, weights = model.loss(x, noise), model.log_weights(x, noise)
    return (
        grads
        | {"losses": np.array([loss.reconstruction, again.reconstruction]), "weights": weights}
        | {"latent": np.stack([loss.latent_per_step, again.latent_per_step])}
    )


def network(threads, dtype="float64", of=DRAW):
    """Return a model with random parameters, the same for every number of threads."""
    model = of(CONFIG, dtype=dtype, threads=threads)
    model.flat_params[:] = 0.4 * np.random.default_rng(0).standard_normal(model.flat_params.size)
    return model


def assert_same(model, alone, images, tolerance=1e-12):
    got = numbers(model, images)
    for name, expected in numbers(alone, images).items():
        gradcheck.assert_close(got[name], expected, tolerance, name)


@pytest.fixture(scope="module")
def alone():
    return network(1)


def test_bounds():
    for images in range(1, 70):
        for count in (1, 2, 3, 8):
            bounds = shard_bounds(images, count)
            sizes = [last - first for first, last in bounds]
            assert [k for first, last in bounds for k in range(first, last)] == list(range(images))
            assert max(sizes) - min(sizes) <= 1 and len(bounds) <= count
            assert len(bounds) == 1 or min(sizes) >= SMALLEST_SHARD


@pytest.mark.parametrize("threads", [2, 3])
def test_the_result_does_not_depend_on_threads_and_nothing_is_left(threads, alone):
    model = network(threads)
    for images in BATCHES:
        first, second = numbers(model, images), numbers(model, images)
        for name, expected in numbers(alone, images).items():
            gradcheck.assert_close(first[name], expected, 1e-12, name)
            assert np.array_equal(first[name], second[name]), name  # bit by bit
    model.params["encoder.b"][:] += 1  # written in place: workers see it too
    alone.params["encoder.b"][:] += 1
    assert_same(model, alone, 17)
    alone.params["encoder.b"][:] -= 1
    processes = list(model._workers.processes)
    assert len(processes) == threads - 1 and all(process.poll() is None for process in processes)
    del model
    gc.collect()
    assert None not in [process.poll() for process in processes]


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="this system has no /proc")
def test_shared_memory_has_a_name_in_no_folder():
    """So that none is left there, however processes end."""
    before = mapped()
    model = network(2)
    model.loss(*data(33))
    assert len(mapped() - before) == 2 and all(name.endswith("(deleted)") for name in mapped() - before)
    model._workers.close()
    assert mapped() <= before


def mapped() -> set[str]:
    """Return what of this process's memory is shared and could be written by others."""
    lines = [line.split(maxsplit=5) for line in Path("/proc/self/maps").read_text().splitlines()]
    return {f"{line[0]} {line[5].strip()}" for line in lines if line[1] == "rw-s"}


def test_float32(alone):
    assert_same(network(2, "float32"), alone, 17, gradcheck.FLOAT32)


def test_closed_workers_start_again(alone):
    model = network(2)
    numbers(model, 17)
    model._workers.close()
    assert_same(model, alone, 17)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system has no posix_fallocate")
@pytest.mark.parametrize("already_running", [False, True])
def test_no_room_for_shared_memory(already_running, alone, monkeypatch):
    model = network(2)
    if already_running:
        numbers(model, 17)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        for _ in range(2):
            with pytest.raises(UserError, match=r"^cannot share work .*\(No space left on device\); use --threads 1$"):
                model.loss(*data(33))
        assert model._workers.processes == []
    assert math.isclose(model.loss(*data(33)).total, alone.loss(*data(33)).total, rel_tol=1e-12)  # once there is room


@pytest.mark.parametrize("without", ["the call", "permission"])
def test_where_there_are_no_files_in_memory_a_temporary_one_serves(without, alone, monkeypatch, tmp_path):
    def refused(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "memfd_create", refused, raising=False)
    if without == "the call":
        monkeypatch.delattr(os, "memfd_create")
        monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: None)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    model = network(2)
    assert_same(model, alone, 33)
    assert_same(model, alone, 41)
    assert list(tmp_path.iterdir()) == [] and (os.name != "posix" or os.fstat(*model._workers.batch.handles).st_size)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"^cannot share work .*\(No such file or directory\); use --threads 1$"):
        network(2).loss(*data(33))
    assert network(1).loss(*data(33)).total  # needs none


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="this Python has no os.memfd_create")
def test_a_python_without_the_call_asks_the_system_for_memory(alone, monkeypatch):
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: 1 / 0)
    assert_same(network(2), alone, 33)


@pytest.mark.parametrize(
    "problem, raised", [(OSError(11, "Try again"), r"Try again\); use --threads 1"), (KeyboardInterrupt(), "^$")]
)
def test_a_worker_that_cannot_be_started_leaves_none_of_the_others(monkeypatch, problem, raised):
    started, usual = [], subprocess.Popen

    def second_fails(*args, **kwargs):
        if started:
            raise problem
        started.append(usual(*args, **kwargs))
        return started[0]

    monkeypatch.setattr(subprocess, "Popen", second_fails)
    with pytest.raises(UserError if raised != "^$" else KeyboardInterrupt, match=raised):
        network(3).loss(*data(33))
    assert started[0].poll() is not None


def test_a_mistake_in_the_parent_leaves_no_answer_behind(alone, monkeypatch):
    """An exception during the first shard, then a call of another kind: its answer is not the old one."""
    model = network(2)
    numbers(model, 17)
    with monkeypatch.context() as patch:
        patch.setattr(model._shard, "run", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            model.loss(*data(17))
    assert_same(model, alone, 33)


def test_interrupted_workers_are_not_asked_again(alone, monkeypatch):
    """Ctrl-C while waiting for an answer: it must not be taken for the answer to a later call."""
    model = network(2)
    numbers(model, 33)
    old = list(model._workers.processes)

    def interrupt(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(model._workers, "_await", interrupt)
        with pytest.raises(KeyboardInterrupt):
            model.loss(*data(33))
    for images in (17, 33, 25):
        assert math.isclose(model.loss(*data(images)).total, alone.loss(*data(images)).total, rel_tol=1e-12)
    assert all(process.poll() is not None for process in old)


HELLO = {
    "network": "minidraw:DRAW",
    "config": dataclasses.asdict(CONFIG),
    "dtype": "float64",
    "worker": 0,
    "memory": {"handle": 99, "size": 100},
}


@pytest.mark.parametrize("orders, answer", [("", ""), (json.dumps(HELLO) + "\n", "OSError: [Errno 9] ")])
def test_a_worker_ends_with_its_input_or_says_why_it_cannot_begin(orders, answer):
    command = [sys.executable, "-c", f"from minidraw.parallel.worker import serve; serve({os.getpid()})"]
    package = Path(minidraw.__file__).parents[1]
    done = subprocess.run(command, input=orders, capture_output=True, text=True, timeout=60, cwd=package)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith(answer)
    assert done.stdout.count("\n") == bool(answer)


def test_small_work_starts_no_worker(monkeypatch):
    monkeypatch.setattr("minidraw.model.network.SMALLEST_WORK", workers.SMALLEST_WORK)
    model = network(2)
    model.loss(*data(33))
    assert model._workers.processes == []


def test_workers_run_the_network_that_they_are_started_for_and_not_its_base():
    one, two = (network(n, of=Doubled) for n in (1, 2))
    stock, (x, noise) = network(1).losses(*data(33))[0], data(33)
    np.testing.assert_allclose(two.losses(x, noise)[0], 2 * stock, rtol=1e-12)
    np.testing.assert_allclose(two.losses(x, noise)[0], one.losses(x, noise)[0], rtol=1e-12)
    assert len(two._workers.processes) == 1


def test_what_a_worker_cannot_import_stays_in_one_process():
    class Local(Doubled):
        """A network that only this function knows."""

    model = network(2, of=Local)
    np.testing.assert_allclose(model.losses(*data(33))[0], 2 * network(1).losses(*data(33))[0], rtol=1e-12)
    assert model._workers is None
