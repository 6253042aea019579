"""Ranks share a minibatch and come to what one process comes to; one that fails ends the job, and the run goes on."""

import os
import sys
import threading
import types

import numpy as np
import pytest
from support import strictxp
from support.runs import (
    experiment,
    options,
    run,
    spawn,
)

import minidraw
from minidraw import RAMConfig, backend
from minidraw.data import Dataset
from minidraw.errors import UserError
from minidraw.parallel import ranks
from minidraw.parallel.ranks import MPIRanks, Ranks, connect
from minidraw.presets import Experiment, TrainConfig
from minidraw.training import checkpoints
from minidraw.training.telling import in_common
from minidraw.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("small_strokes")


# ------------------------------------------------------------------------- the arithmetic, on a communicator of threads


class Comm:
    """What MPIRanks uses of a communicator, for threads of this process; sums are in the order of the ranks."""

    def __init__(self, rank: int, size: int, barrier: threading.Barrier, given: list):
        self.rank, self.size, self.barrier, self.given = rank, size, barrier, given

    def allgather(self, value):
        self.given[self.rank] = value
        self.barrier.wait(20)
        values = list(self.given)
        self.barrier.wait(20)
        return values

    def Allreduce(self, send, receive):
        assert send is None and type(receive) is np.ndarray and receive.flags.c_contiguous
        receive[:] = sum(self.allgather(receive.copy()))

    def Barrier(self):
        self.barrier.wait(20)


def on_ranks(size: int, work) -> list:
    """Return work(ranks) of every rank, each in a thread; what one raises is its result."""
    barrier, given, results = threading.Barrier(size), [None] * size, [None] * size

    def one(rank):
        try:
            results[rank] = work(MPIRanks(Comm(rank, size, barrier, given)))
        except Exception as problem:
            results[rank] = problem

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


class Fresh:
    """Images and labels that are made anew at every draw, like clutter."""

    shape, labels = (1, 6, 5), np.arange(40) % 3

    def __len__(self):
        return 40

    def batch(self, indices, rng=None):
        return (rng or np.random.default_rng(0)).random((len(indices), *self.shape), np.float32)


FRESH = Dataset("fresh", Fresh(), Fresh(), Fresh(), note="")
NETWORKS = {
    "draw": experiment(image_shape=Fresh.shape, batch_size=8, warmup=0),
    "ram": Experiment(RAMConfig(Fresh.shape, 2, 3, 7, 3), TrainConfig(data="fresh", batch_size=8, warmup=0)),
}


def fresh_trainer(network: str, folder, of: Ranks, backend: str = "numpy") -> Trainer:
    this = NETWORKS[network]
    return Trainer(this, this.build(backend, threads=1), FRESH, folder, of)


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("network", NETWORKS)
def test_ranks_come_to_what_one_process_comes_to(tmp_path, network, size):
    """Batches of 8: 4 + 4, or 2 + 3 + 3. Adam's first mean is a tenth of the gradient."""

    def work(of):
        mine = fresh_trainer(network, tmp_path, of)
        mine.update()
        mean = mine.adam.mean.copy()
        for _ in range(4):
            mine.update()
        return mean, mine.state.sums[1:], mine.adam.params, mine.state.seconds

    mean, sums, _, _ = work(Ranks())
    results = on_ranks(size, work)
    for theirs, their_sums, params, seconds in results:
        np.testing.assert_allclose(theirs, mean, rtol=1e-4, atol=1e-6 * np.abs(mean).max())
        np.testing.assert_allclose(their_sums, sums, rtol=1e-5, atol=1e-6)
        assert params.tobytes() == results[0][2].tobytes() and seconds == results[0][3]


def test_ranks_take_more_glimpses_at_the_same_update(tmp_path):
    growing = NETWORKS["draw"].replace(glimpses=9, glimpse_start=0.3, glimpse_warmup=0.7, steps=30)

    def work(of):
        mine, taken = Trainer(growing, growing.build(threads=1), FRESH, tmp_path, of), []
        for _ in range(22):
            mine.update()
            mine.grow()
            taken.append(mine.model.config.glimpses)
        mine.ranks.check_same(mine.vectors())
        return taken, mine.adam.mean.copy()

    taken, mean = work(Ranks())
    for theirs, their_mean in on_ranks(2, work):
        assert theirs == taken == [growing.glimpses(step / 30) for step in range(1, 23)]
        np.testing.assert_allclose(their_mean, mean, rtol=1e-2, atol=1e-3 * np.abs(mean).max())


def test_an_update_that_is_not_finite_on_one_rank_is_skipped_on_all(tmp_path):
    def work(of):
        mine = fresh_trainer("draw", tmp_path, of)
        usual = mine.ranks.mean_

        def mean_(flat, xp):
            if of.rank == 1 and mine.state.step == 2:
                flat[3] = np.nan
            usual(flat, xp)

        of.mean_ = mean_
        for _ in range(5):
            mine.update()
        return mine.state.skipped, mine.adam.updates, mine.adam.params.tobytes()

    first, second = on_ranks(2, work)
    assert first == second and first[:2] == (1, 4)


def test_a_network_that_is_no_good_on_one_rank_is_kept_on_none(tmp_path):
    def work(of):
        mine = fresh_trainer("draw", tmp_path, of)
        mine.update()
        mine.measurable = of.rank > 0
        mine.keep()
        mine.update()  # by all together
        return mine.flaw

    first, second = on_ranks(2, work)
    assert "no finite loss on held-out images" in first and "on another rank" in second
    assert not (tmp_path / "checkpoint.npz").exists()


def test_ranks_of_other_programs_are_told_apart(tmp_path, monkeypatch):
    """Or the last digits of their parts would be those of different libraries; threads may differ."""
    told = in_common(mine := fresh_trainer("draw", tmp_path, Ranks()))
    for name, value, known in ((np, "0.0.1", "numpy"), (minidraw, "9.9", "minidraw")):
        with monkeypatch.context() as patch:
            patch.setattr(name, "__version__", value)
            assert {key for key, one in in_common(mine).items() if one != told[key]} == {known}
    assert "threads" not in told


def test_parts_are_all_images_once_and_near_equal():
    for size in (1, 2, 3, 7):
        for images in range(size, 24):
            parts = on_ranks(size, lambda of, images=images: of.part(images))
            assert [image for part in parts for image in range(images)[part]] == list(range(images))
            assert len({(part.stop - part.start) for part in parts}) <= 2
    assert all("batch_size 2 is less than the 3 ranks" in str(r) for r in on_ranks(3, lambda of: of.part(2)))


def test_means_are_weighted_by_the_images_of_a_rank():
    def work(of):
        of.part(7)  # 2, 2, 3
        vector = np.full(5, 1.0 + of.rank, np.float32)
        of.mean_(vector, np)
        return of.mean([of.rank, 1.0]), vector, of.any(of.rank == 2), of.any(0)

    for means, vector, one, none in on_ranks(3, work):
        np.testing.assert_allclose(means, [8 / 7, 1.0])
        np.testing.assert_allclose(vector, 15 / 7, rtol=1e-6)
        assert one is True and none is False


def test_ranks_that_have_drifted_apart_all_stop_before_a_checkpoint_is_written(tmp_path):
    def work(of):
        mine = fresh_trainer("draw", tmp_path, of)
        mine.update()
        mine.save()
        mine.adam.square[-1] *= 1.0 + 2e-7 * of.rank
        mine.update()
        mine.save()

    assert all(isinstance(r, UserError) and "parameters of the ranks differ" in str(r) for r in on_ranks(2, work))
    assert checkpoints.load(tmp_path).state["step"] == 1


def test_the_first_rank_is_alone_while_it_fills_caches():
    seen = []

    def work(of):
        with of.first_alone():
            seen.append(of.rank)

    on_ranks(3, work)
    assert seen[0] == 0 and sorted(seen) == [0, 1, 2]


def test_ranks_of_a_machine_share_its_cores_and_its_devices(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(7)), raising=False)
    assert [of.threads for of in on_ranks(3, lambda of: of)] == [2, 2, 2]
    used, found = [], types.SimpleNamespace(getDeviceCount=lambda: 2)
    device = lambda k: types.SimpleNamespace(use=lambda: used.append(k))  # noqa: E731
    fake = types.SimpleNamespace(zeros=list, cuda=types.SimpleNamespace(runtime=found, Device=device))
    monkeypatch.setattr(ranks, "array_module", lambda backend: {"numpy": np, "cupy": fake}[backend])
    on_ranks(3, lambda of: of.choose_device("numpy"))
    assert used == []
    on_ranks(3, lambda of: of.choose_device("cupy"))
    assert sorted(used) == [0, 0, 1]


@pytest.mark.parametrize("network", NETWORKS)
def test_arrays_of_a_device_go_through_one_pinned_buffer(tmp_path, monkeypatch, network):
    def get(array, out=None):
        return array._host.copy() if out is None else np.copyto(out, array._host)

    pinned = []
    monkeypatch.setattr(strictxp.Array, "get", get)
    monkeypatch.setattr(
        strictxp.xp.cuda, "alloc_pinned_memory", lambda size: pinned.append(size) or bytearray(size), raising=False
    )
    monkeypatch.setitem(sys.modules, "cupy", strictxp.xp)
    monkeypatch.setattr(backend, "device", lambda cupy, precision: cupy)

    def work(backend):
        def updated(of):
            mine = fresh_trainer(network, tmp_path, of, backend)
            for _ in range(3):
                mine.update()
            return [vector.tobytes() for vector in mine.vectors()]

        return updated

    device = on_ranks(2, work("cupy"))
    assert device == on_ranks(2, work("numpy")) and device[0] == device[1]
    assert pinned == [len(device[0][0])] * 2, "one buffer a rank, of the size of the parameters"


# ------------------------------------------------------------------------------------------------- how a job begins


@pytest.mark.parametrize("names", ranks.LAUNCHERS)
def test_a_launcher_that_gives_no_numbers(monkeypatch, names):
    for name, value in zip(names, ("", "x"), strict=True):
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="not numbers: use mpiexec"):
        ranks.connect()


def test_a_process_on_its_own_does_not_import_mpi4py(tmp_path, monkeypatch):
    process = spawn(
        "train",
        *options(1, tmp_path),
        before="import atexit, sys; atexit.register(lambda: print('mpi4py' in sys.modules))",
    )
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and out.endswith("\nFalse\n"), (out, err)
    monkeypatch.setenv("PMI_RANK", "0")
    monkeypatch.setenv("PMI_SIZE", "1")  # mpiexec -n 1
    assert type(connect()) is Ranks


@pytest.mark.parametrize("names", ranks.LAUNCHERS)
def test_what_is_missing_under_a_launcher_is_told_once(tmp_path, monkeypatch, capsys, names):
    monkeypatch.setattr(ranks, "PATIENCE", 0)
    monkeypatch.setenv(names[1], "2")
    other = types.SimpleNamespace(MPI=types.SimpleNamespace(COMM_WORLD=types.SimpleNamespace(size=1)))
    for module, words in ((None, "pip install mpi4py mpich"), (other, "of the 2 processes started mpi4py sees 1")):
        monkeypatch.setitem(sys.modules, "mpi4py", module)
        for rank in ("0", "1"):
            monkeypatch.setenv(names[0], rank)
            assert run("train", *options(1, tmp_path / "run")) == 2
        err = capsys.readouterr().err
        assert words in err and err.count("\n") == 1
    assert not (tmp_path / "run").exists()
