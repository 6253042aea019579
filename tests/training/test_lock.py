"""One folder, one run: a second start is refused with who is there, a killed process blocks nobody."""

import os
import signal
import socket
import subprocess
import sys
import threading

import numpy as np
import pytest
from support.files import everything, put, refusal
from support.runs import PACE, SIZES, environment, listing, options, run, spawn, trainer, wait_for_steps

from minidraw import files
from minidraw.errors import UserError
from minidraw.training import checkpoints, lock
from minidraw.training.fit import fit
from minidraw.training.keeping import complain
from minidraw.training.lock import NAME, hold

pytestmark = pytest.mark.usefixtures("small_strokes")

HERE = f"process {os.getpid()} on {socket.gethostname()}, since "
IMAGES = np.random.default_rng(2).integers(0, 256, (60, 12, 11), np.uint8)
LONG = {"checkpoint_every": 5, "log_every": 1}


def held(folder, said=None):
    return hold(folder, (said if said is not None else []).append, "--out")


def test_whoever_comes_second_is_told_who_is_there_and_what_to_do(tmp_path):
    with held(tmp_path / "run"):
        line = refusal(held(tmp_path / "run").__enter__)
        assert f"{tmp_path / 'run'} is being written by a run ({HERE}" in line
        assert line.endswith("wait for its end, stop it, or choose another folder with --out")
        assert (tmp_path / "run" / NAME).read_text().startswith(f"minidraw run: {HERE}")
    assert everything(tmp_path) == [], "what was made for nothing goes away"
    with held(tmp_path / "run"):
        pass


def test_folders_that_were_there_or_hold_something_stay(tmp_path):
    (tmp_path / "a").mkdir()
    with held(tmp_path / "a" / "b" / "c"):
        put(tmp_path / "a" / "b", "mine", b"")
    with held(tmp_path / "a"):
        pass
    assert everything(tmp_path) == ["a", "a/b", "a/b/mine"]


def test_an_exception_lets_go(tmp_path):
    with pytest.raises(KeyError), held(tmp_path / "run"):
        raise KeyError
    with held(tmp_path / "run"):
        pass


def test_only_one_of_many_threads_has_it_at_a_time(tmp_path):
    inside, most, refusals, entered = [], [], [], []

    def enter():
        for _ in range(60):
            try:
                with held(tmp_path / "run"):
                    inside.append(1)
                    most.append(len(inside))
                    entered.append(1)
                    inside.pop()
            except UserError:
                refusals.append(1)

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1 and len(entered) + len(refusals) == 240 and entered


def test_a_lock_that_its_holder_has_just_removed_is_none(tmp_path, monkeypatch):
    usual, opened = files.lock, []

    def late(file):
        opened.append(file)
        if len(opened) == 1:  # another run ends between the opening of its file and this
            (tmp_path / NAME).unlink()
        return usual(file)

    monkeypatch.setattr("minidraw.training.lock.lock", late)
    with held(tmp_path):
        assert len(opened) == 2 and HERE in (tmp_path / NAME).read_text()
        assert HERE in refusal(held(tmp_path).__enter__)


@pytest.mark.parametrize("look", [1, 2])
def test_a_lock_that_goes_at_any_look_at_it_is_none(tmp_path, monkeypatch, look):
    usual, looks = os.lstat, []

    def late(path, **options):
        looks.extend([path] * (os.fspath(path) == str(tmp_path / NAME)))
        if len(looks) == look:
            (tmp_path / NAME).unlink(missing_ok=True)
        return usual(path, **options)

    monkeypatch.setattr(os, "lstat", late)
    with held(tmp_path):
        assert (len(looks) > 1) == (look == 1) and HERE in (tmp_path / NAME).read_text()
    assert everything(tmp_path) == []


def test_a_lock_that_cannot_be_read_is_not_left_open(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("minidraw.training.lock.open_own", lambda path: opened.append(open(path, "wb")) or opened[-1])
    assert "cannot write" in refusal(held(tmp_path).__enter__) and opened[0].closed


@pytest.mark.parametrize("end", ["kill", "exit"])
def test_a_child_does_not_hold_it_when_the_parent_is_gone(tmp_path, end):
    """Neither one that was forked, nor one that was started, as workers are."""
    code = (
        "import os, signal, subprocess, sys, time\n"
        "from minidraw.training.lock import hold\n"
        f"with hold(__import__('pathlib').Path({str(tmp_path / 'run')!r}), print, '--out'):\n"
        "    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "    begun, begin = os.pipe()\n"
        "    forked = os.fork()\n"
        "    if not forked:\n"
        "        os.write(begin, b'1')\n"
        "        os.close(0), os.close(1), os.close(2)\n"
        "        time.sleep(60)\n"
        "    os.read(begun, 1)\n"
        "    print(child.pid, forked, flush=True)\n"
        f"    os.kill(os.getpid(), signal.SIGKILL) if {end == 'kill'} else None\n"
        "os._exit(0)"
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], env=environment(), **pipes) as process:
        children = [int(word) for word in process.stdout.readline().split()]
        process.wait(timeout=60)
    try:
        assert (tmp_path / "run" / NAME).exists() == (end == "kill")
        with held(tmp_path / "run"):
            assert HERE in (tmp_path / "run" / NAME).read_text()
        for child in children:
            os.kill(child, 0)  # they are still there
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)


def test_a_forked_child_that_leaves_the_block_takes_nothing_away(tmp_path):
    block = held(tmp_path / "run")
    block.__enter__()
    child = os.fork()
    if not child:
        try:
            block.__exit__(None, None, None)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert everything(tmp_path) == ["run", f"run/{NAME}"] and refusal(held(tmp_path / "run").__enter__)
    block.__exit__(None, None, None)
    assert everything(tmp_path) == []


@pytest.mark.parametrize("errno", [38, 95, 37])  # ENOSYS, EOPNOTSUPP, ENOLCK
def test_where_there_are_no_locks_that_is_said_and_the_run_goes_on(tmp_path, monkeypatch, errno):
    def flock(*_):
        raise OSError(errno, os.strerror(errno))

    monkeypatch.setattr(files.fcntl, "flock", flock)
    said = []
    with held(tmp_path / "run", said), held(tmp_path / "run", said):
        pass
    assert len(said) == 2 and "has no locks, so nothing keeps a second run out of it: start only one" in said[0]


def test_a_file_of_somebody_else_s_of_that_name_is_left_alone(tmp_path):
    for content in (b"mine", b"minidraw", b"\xff" * 1000):
        put(tmp_path, NAME, content)
        assert "is of another program" in refusal(held(tmp_path).__enter__)
        assert listing(tmp_path) == {NAME: content}
    put(tmp_path, NAME, b"").unlink()
    (tmp_path / NAME).symlink_to(put(tmp_path, "victim", b"mine"))
    assert "cannot write" in refusal(held(tmp_path).__enter__)
    (tmp_path / NAME).unlink()
    os.mkfifo(tmp_path / NAME)
    assert "cannot write" in refusal(held(tmp_path).__enter__)
    assert (tmp_path / "victim").read_bytes() == b"mine"


def test_what_is_no_folder_or_cannot_be_one(tmp_path):
    put(tmp_path, "file", b"")
    assert "is no folder" in refusal(held(tmp_path / "file").__enter__)
    assert "cannot make" in refusal(held(tmp_path / "file" / "deeper").__enter__)
    assert "cannot make" in refusal(held(tmp_path / "new" / ("x" * 300)).__enter__)
    assert everything(tmp_path) == ["file"]


def test_a_second_start_and_a_resume_beside_a_run_are_refused_and_a_page_is_not(tmp_path, capsys):
    folder = tmp_path / "run"
    process = spawn("train", *options(5000, folder, **LONG))
    try:
        wait_for_steps(process, folder, 20)
        assert (folder / NAME).read_text().startswith(f"minidraw run: process {process.pid} on ")
        for more in ([], ["--resume"]):
            assert run("train", *options(5000, folder, **LONG), *more) == 2
            err = capsys.readouterr().err
            assert f"error: {folder} is being written by a run (process {process.pid} on" in err, err
            assert err.count("\n") == 1
        with pytest.raises(UserError, match="is being written by a run"):
            fit("strokes", out=folder, resume=True, progress=False)
        assert run("report", folder) == 0
        assert process.poll() is None, process.communicate()
        process.kill()  # and a killed one blocks nobody
        process.communicate()
        assert (folder / NAME).exists()
        step = checkpoints.load(folder).state["step"]
        assert run("train", *options(step + 3, folder, **LONG), "--resume") == 0
        assert not (folder / NAME).exists()
    finally:
        process.kill()
        process.communicate()


def at_step(of, step, do, monkeypatch):
    usual = of.update
    monkeypatch.setattr(of, "update", lambda: usual() or (of.state.step == step and do()))


@pytest.mark.parametrize("what", ["folder", "lock"])
def test_a_run_whose_folder_is_moved_holds_what_it_writes_then(tmp_path, monkeypatch, what):
    folder, said, refused = tmp_path / "run", [], []
    of = trainer(folder, steps=20)
    moved = folder if what == "folder" else folder / NAME
    at_step(of, 10, lambda: moved.rename(tmp_path / "elsewhere"), monkeypatch)
    keep = of.keep
    monkeypatch.setattr(of, "keep", lambda: keep() or refused.append(refusal(held(folder).__enter__)))
    with held(folder, said):
        assert of.run()
    assert len(refused) == 3 and all("is being written by a run" in line for line in refused)
    assert checkpoints.load(folder).state["step"] == 20 and not (folder / NAME).exists()
    assert not of.record.attempt.failed and {"config.json", "report.html"} <= {*everything(folder)}
    told = [f"note: the folder of this run was moved or removed; {folder} is made anew, and holds what comes now"]
    assert said == told * (what == "folder")


@pytest.mark.parametrize("ended", [False, True])
def test_a_run_whose_folder_was_moved_writes_nothing_into_another_run_of_that_name(tmp_path, monkeypatch, ended):
    folder, block = tmp_path / "run", held(tmp_path / "run")
    of, other = trainer(folder, steps=20), trainer(folder, steps=7, seed=1)

    def begin_another():
        folder.rename(tmp_path / "elsewhere")
        monkeypatch.setitem(lock._held, folder, None)  # as in another process
        block.__enter__()
        assert other.run()
        if ended:
            block.__exit__(None, None, None)
        monkeypatch.setitem(lock._held, folder, mine)
        before.update(listing(folder))

    before: dict[str, bytes] = {}
    at_step(of, 10, begin_another, monkeypatch)
    with held(folder):
        mine = lock._held[folder]
        assert of.run()
    assert listing(folder) == before and (NAME in before) == (not ended)
    assert f"{folder} is not this run's folder any more" in refusal(complain, of)
    assert checkpoints.load(tmp_path / "elsewhere").state["step"] == 7


def test_two_that_start_at_once_make_one_run(tmp_path):
    processes = [spawn("train", *options(60, tmp_path / "run")) for _ in range(2)]
    outs = [process.communicate(timeout=120) for process in processes]
    assert sorted(process.returncode for process in processes) == [0, 2], outs
    refused = next(err for process, (_, err) in zip(processes, outs, strict=True) if process.returncode)
    assert refused.count("\n") == 1 and ("is being written by a run" in refused or "holds a run already" in refused)
    assert checkpoints.load(tmp_path / "run").state["step"] == 60


def test_a_program_holds_its_folder_too_and_lets_go(tmp_path, monkeypatch):
    tiny = SIZES | PACE | {"threads": 1, "progress": False, "steps": 2, "out": tmp_path / "run"}
    seen = []

    def load(*_, **__):
        seen.extend(everything(tmp_path / "run"))
        raise UserError("no data")

    monkeypatch.setattr("minidraw.data.load", load)
    with pytest.raises(UserError, match="no data"):
        fit("strokes", **tiny)
    assert seen == [NAME] and everything(tmp_path) == [], "taken before the data are prepared, and nothing is left"
    with held(tmp_path / "run"):
        assert "choose another folder with out=" in refusal(fit, IMAGES, **tiny)
    fit(IMAGES, **tiny)
    assert NAME not in everything(tmp_path / "run") and "checkpoint.npz" in everything(tmp_path / "run")


def test_a_default_folder_is_held_too(here):
    process = spawn("train", *(option for option in options(5000, "", **LONG) if not option.startswith("--out")))
    try:
        wait_for_steps(process, here / "runs" / "strokes", 20)
        assert "is being written by a run" in refusal(held(here / "runs" / "strokes").__enter__)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert not (here / "runs" / "strokes" / NAME).exists()
    finally:
        process.kill()
        process.communicate()
