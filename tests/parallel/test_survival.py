"""What a run survives: workers that are killed, stopped or cannot begin, and the death of the process they work for."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from support.networks import DRAWS, RAMS, examples
from support.runs import assert_same_run, environment, options, spawn, trainer

from minidraw import DRAW, RAM
from minidraw.parallel import workers
from minidraw.parallel.workers import NoWorkers, WorkerDied, Workers
from minidraw.training import checkpoints

pytestmark = pytest.mark.usefixtures("small_strokes")
posix = pytest.mark.skipif(os.name != "posix", reason="no signals on this system")
needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="this system has no /proc")
NOTE = "note: a worker process died (status -9), maybe for want of memory, of which fewer --threads take less; new ones"


@pytest.fixture(autouse=True)
def always(monkeypatch):
    """Workers start however small the work."""
    monkeypatch.setattr("minidraw.model.network.SMALLEST_WORK", 0)


@pytest.fixture
def dying(monkeypatch):
    """Return a list; for whatever is in it, taken out one by one, a worker is killed when it is to be given a job."""
    left, usual = [], Workers._tell

    def _tell(self, process, message):
        if left and "job" in message and left.pop():
            process.kill()
            process.wait()
        return usual(self, process, message)

    monkeypatch.setattr(Workers, "_tell", _tell)
    return left


@posix
@pytest.mark.parametrize("config", [DRAWS[0], RAMS[0]])
@pytest.mark.parametrize("job", ["loss_and_grads", "loss"])
@pytest.mark.parametrize("when", ["idle", "at work"])
def test_what_a_dead_worker_left_undone_others_do_with_the_same_bits(config, job, when, dying, capfd):
    model, inputs = (DRAW if config in DRAWS else RAM)(config, seed=1, threads=3), examples(config, 0, 33)

    def numbers():
        model.flat_grads[...] = 0
        getattr(model, job)(*inputs)
        return model.flat_grads.copy(), model.loss(*inputs).total

    expected = numbers()
    old = list(model._workers.processes)
    if when == "idle":
        old[1].kill()
        old[1].wait()
    else:
        dying.append(True)
    gradient, loss = numbers()
    assert np.array_equal(gradient, expected[0]) and loss == expected[1]
    assert all(process.poll() is not None for process in old) and len(model._workers.processes) == 2
    err = capfd.readouterr().err
    assert err.startswith(NOTE) and err.count("\n") == 1


@posix
def test_a_run_whose_workers_die_now_and_then_is_the_same_run(tmp_path, dying, capfd):
    one, other = (trainer(tmp_path / name, threads=2, steps=30, batch_size=16) for name in "ab")
    assert one.run()
    usual, died = other.update, []

    def update():
        if other.state.step in (3, 17):
            dying.append(True)
            died.append(other.state.step)
        usual()

    other.update = update
    assert other.run() and died == [3, 17]
    assert_same_run(tmp_path / "a", tmp_path / "b")
    assert capfd.readouterr().err.count(NOTE) == 2


@posix
@pytest.mark.parametrize("at", ["update", "validate"])
def test_a_run_whose_workers_die_again_leaves_a_checkpoint_and_goes_on(tmp_path, dying, at):
    straight = trainer(tmp_path / "a", threads=2, steps=20, batch_size=16)
    assert straight.run()
    of = trainer(tmp_path / "b", threads=2, steps=20, batch_size=16)
    usual = getattr(of, at)

    def dies(*args):
        if of.state.step == 10:
            dying.extend([True] * 2)
        return usual(*args)

    setattr(of, at, dies)
    with pytest.raises(WorkerDied, match=r"fewer --threads take less; .*checkpoint.npz keeps step 10$"):
        of.run()
    assert checkpoints.load(tmp_path / "b").state["step"] == 10 and of.model._workers.processes == []
    again = trainer(tmp_path / "b", threads=2, steps=20, batch_size=16)
    again.restore(checkpoints.load(tmp_path / "b"))
    assert again.run()
    one, other = (checkpoints.load(tmp_path / name).vectors for name in "ab")
    assert all(np.array_equal(one[name], other[name]) for name in checkpoints.VECTORS)


@posix
def test_the_command_line_ends_with_one_line_and_a_checkpoint(tmp_path):
    before = """
import minidraw.model.network
from minidraw.parallel.workers import Workers
minidraw.model.network.SMALLEST_WORK, usual, done = 0, Workers._tell, []
def _tell(self, process, message):
    done.append(message)
    if len(done) > 8 and "job" in message:
        process.kill()
        process.wait()
    return usual(self, process, message)
Workers._tell = _tell
"""
    process = spawn("train", *options(10**6, tmp_path, batch_size=16), "--threads=2", before=before)
    out, err = process.communicate(timeout=60)
    told = [line for line in err.splitlines() if not line.startswith(("training", "validation", "test"))]
    assert process.returncode == 2 and out == "" and len(told) == 2, (out, err)
    assert told[0].startswith(NOTE) and told[1].startswith("error: a worker process died (status -9)")
    assert told[1].endswith(f"; {tmp_path / 'checkpoint.npz'} keeps step {checkpoints.load(tmp_path).state['step']}")


def test_a_run_that_finds_no_room_later_leaves_a_checkpoint(tmp_path, monkeypatch):
    of = trainer(tmp_path, threads=2, steps=20, batch_size=16)
    usual = of.update

    def update():
        if of.state.step == 5:
            of.model._workers.close()
            monkeypatch.setattr(workers, "Shared", lambda: (_ for _ in ()).throw(OSError(24, "Too many open files")))
        usual()

    of.update = update
    with pytest.raises(
        NoWorkers, match=r"^cannot share work among 2 processes \(Too many open files\); use --threads 1; "
    ):
        of.run()
    assert checkpoints.load(tmp_path).state["step"] == 5


@posix
def test_ctrl_c_ends_the_wait_for_a_worker_that_is_stopped_and_the_worker():
    config = DRAWS[0]
    model, inputs = DRAW(config, threads=2), examples(config, 0, 33)
    expected = model.loss(*inputs).total
    (stopped,) = model._workers.processes
    os.kill(stopped.pid, signal.SIGSTOP)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        model.loss(*inputs)
    timer.join()
    assert stopped.poll() == -signal.SIGKILL
    assert model.loss(*inputs).total == expected


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_a_whole_group_of_processes_is_not_for_workers(number, capfd):
    config = DRAWS[0]
    model, inputs = DRAW(config, threads=2), examples(config, 0, 33)
    expected = model.loss(*inputs).total
    os.kill(model._workers.processes[0].pid, number)
    assert model.loss(*inputs).total == expected and capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "now, told",
    [
        ("", "AttributeError: module 'a_network_of_ones_own' has no attribute 'Own'"),
        ("raise OSError('no\\nway')", "OSError: no way"),
        (None, "ModuleNotFoundError: No module named 'a_network_of_ones_own'"),
    ],
)
def test_a_network_that_a_worker_cannot_import_is_told_in_one_line(tmp_path, monkeypatch, capfd, now, told):
    module = tmp_path / "a_network_of_ones_own.py"
    module.write_text("from minidraw import DRAW\n\nclass Own(DRAW):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    from a_network_of_ones_own import Own

    config = DRAWS[0]
    model = Own(config, threads=2)
    module.unlink() if now is None else module.write_text(now)
    monkeypatch.delitem(sys.modules, "a_network_of_ones_own")
    monkeypatch.setattr(workers, "dotted_path", lambda _: "a_network_of_ones_own:Own")
    with pytest.raises(NoWorkers) as raised:
        model.loss(*examples(config, 0, 33))
    assert str(raised.value) == f"a worker process cannot begin ({told}); use --threads 1"
    assert capfd.readouterr().err == "" and model._workers.processes == []


def test_where_python_itself_fails_to_begin_that_is_told(monkeypatch, capfd):
    monkeypatch.setattr(workers, "PROGRAM", workers.PROGRAM.replace("minidraw.parallel.worker", "minidraw.nothing"))
    with pytest.raises(NoWorkers, match=r"cannot begin \(ModuleNotFoundError: No module named 'minidraw.nothing'\)"):
        DRAW(DRAWS[0], threads=2).loss(*examples(DRAWS[0], 0, 33))
    assert capfd.readouterr().err == ""


@posix
def test_a_process_without_standard_streams_has_workers_too():
    """What they share would be a file of the number that theirs has."""
    code = """
import os, sys
os.close(0)
os.close(1)
import minidraw.model.network
minidraw.model.network.SMALLEST_WORK = 0
from minidraw import DRAW
from support.networks import DRAWS, examples
losses = [DRAW(DRAWS[0], dtype="float64", threads=n).loss(*examples(DRAWS[0], 0, 33)).total for n in (1, 2)]
os.write(2, f"{losses[0]} {losses[1]}".encode())
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=with_support())
    assert done.returncode == 0, done.stderr
    one, two = map(float, done.stderr.split())
    assert abs(one - two) < 1e-9


def with_support() -> dict[str, str]:
    """Return the environment of a process of its own that can import what these tests share."""
    return environment() | {
        "PYTHONPATH": os.pathsep.join([environment()["PYTHONPATH"], str(Path(__file__).parents[1])])
    }


def ended(pid: int) -> bool:
    """Tell whether a process has ended, whoever was to wait for it."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    return True


@posix
@needs_proc
@pytest.mark.parametrize("begun", [True, False])
def test_no_worker_outlives_a_process_that_is_killed_whoever_holds_its_pipes(begun):
    """A child that knows nothing of pipes, as one that a library in C has forked, has a copy of their ends."""
    code = f"""
import ctypes, os, sys, time
import minidraw.model.network, minidraw.parallel.workers
minidraw.model.network.SMALLEST_WORK = 0
from minidraw import DRAW
from support.networks import DRAWS, examples
usual = minidraw.parallel.workers.Workers._tell
def _tell(self, process, message):
    if {begun} == ("job" in message):
        sleeper = ctypes.PyDLL(None).fork()
        if not sleeper:
            ctypes.PyDLL(None).pause()
        print(sleeper, process.pid, flush=True)
        os.kill(os.getpid(), 9)
    usual(self, process, message)
minidraw.parallel.workers.Workers._tell = _tell
DRAW(DRAWS[0], threads=2).loss(*examples(DRAWS[0], 0, 33))
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=with_support())
    sleeper, at_work = map(int, process.stdout.readline().split())
    try:
        assert process.wait(timeout=60) == -signal.SIGKILL
        deadline = time.monotonic() + 30
        while not ended(at_work):
            assert time.monotonic() < deadline, "the worker lives on"
            time.sleep(0.05)
        assert not ended(sleeper)
    finally:
        os.kill(sleeper, signal.SIGKILL)
        process.stdout.close()
