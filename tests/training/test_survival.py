"""A run outlives what is not its work: streams, disks and clocks."""

import contextlib
import os
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
from support.files import refusal
from support.runs import PACE, SIZES, environment, metrics, options, run, table, trainer

from minidraw import data, fit
from minidraw.errors import Stderr
from minidraw.files import npz
from minidraw.model.draw import DRAW
from minidraw.training import checkpoints, record
from minidraw.training.keeping import complain
from minidraw.training.measure import variational_bound

pytestmark = pytest.mark.usefixtures("small_strokes")
posix = pytest.mark.skipif(os.name != "posix", reason="devices of POSIX")

# ------------------------------------------------------------------------------------------------------ standard error


class Broken:
    """A terminal that takes nothing."""

    encoding = "utf-8"

    def __init__(self, problem):
        self.problem = problem

    def write(self, text):
        raise self.problem

    flush = fileno = lambda self: self.write("")

    def isatty(self):
        return True


@pytest.mark.parametrize("problem", [OSError(28, "full"), BrokenPipeError(), ValueError("closed"), None])
def test_programs_and_commands_outlive_their_standard_error(monkeypatch, trained, problem):
    """Their progress bars too."""
    monkeypatch.setattr(sys, "stderr", problem and Broken(problem))
    assert isinstance(fit("strokes", steps=12, **SIZES | PACE | {"threads": 1, "batch_size": 8}), DRAW)
    network = checkpoints.load(trained).network(threads=1)
    assert variational_bound(network, data.load("strokes").valid)["bound"] > 0
    if problem:
        assert run("evaluate", trained, "--threads", 1, "--samples", 2) == 0
        assert run("evaluate", "nowhere") == 2


def test_what_a_stream_takes_arrives(capsys):
    print("one", file=Stderr(sys.stderr))
    print("two", file=Stderr())
    assert capsys.readouterr().err == "one\ntwo\n"


@posix
@pytest.mark.parametrize("where", ["2>&-", "2>/dev/full", "2>&1 >out | head -n 1 >first"])
def test_a_run_goes_on_without_anybody_who_reads_what_it_says(tmp_path, where):
    if "full" in where and not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    arguments = " ".join(f"'{option}'" for option in options(60, tmp_path / "run"))
    start = "import minidraw.data; minidraw.data.strokes.STROKES = (45, 20, 30); from minidraw import cli, train"
    command = f"({sys.executable} -c '{start}; cli.run(train.main)' {arguments}; echo $? >status) {where}"
    done = subprocess.run(["sh", "-c", command], env=environment(), cwd=tmp_path, stdout=subprocess.PIPE, timeout=60)
    assert (tmp_path / "status").read_text() == "0\n"
    told = done.stdout or (tmp_path / "out").read_bytes()
    assert told.startswith(b"validation bound") and checkpoints.load(tmp_path / "run").state["step"] == 60


# ---------------------------------------------------------------------------------------------------- disks and clocks


@pytest.mark.parametrize("name", ["metrics.csv", "samples.gif", "data.png", "tensorboard", "report.html"])
def test_what_cannot_be_written_besides_the_run_costs_it_nothing(tmp_path, capsys, name):
    if name == "tensorboard":
        pytest.importorskip("tensorboardX", reason="tensorboardX is missing: pip install tensorboardX")
    folder = tmp_path / "run"
    assert run("train", *options(10, folder)) == 0
    (folder / name).unlink() if (folder / name).is_file() else (folder / name).rename(tmp_path / "events")
    (folder / name).touch() if name == "tensorboard" else (folder / name).mkdir()
    capsys.readouterr()
    assert run("train", *options(40, folder, pictures_every=10), "--resume") == 2
    out, err = capsys.readouterr()
    assert out.startswith("validation bound") and err.splitlines()[-1].startswith("error: cannot write ")
    assert ("all about it: " in out) == (name not in ("samples.gif", "report.html"))
    assert err.count("the run goes on, and tries again when it is due") == 1
    assert checkpoints.load(folder).state["step"] == 40 and metrics(folder)[-1]["step"] == 40
    (folder / name).unlink() if name == "tensorboard" else (folder / name).rmdir()
    assert run("train", "--resume", "--out", folder, "--steps", 40, "--threads", 1) == 0
    assert table(folder)[-1]["step"] == "40"


def test_a_table_that_was_locked_for_a_while_lacks_nothing(tmp_path, monkeypatch):
    of = trainer(tmp_path, steps=30, validate_every=3)
    usual, table_of = of.update, of.record.log.table

    def update():
        usual()
        if of.state.step == 5:
            table_of.unlink()
            table_of.mkdir()
        if of.state.step == 11:
            table_of.rmdir()

    monkeypatch.setattr(of, "update", update)
    assert of.run()
    complain(of)
    assert [row["step"] for row in table(tmp_path)] == [str(line["step"]) for line in metrics(tmp_path)]


@posix
@pytest.mark.parametrize("kind", ["link", "pipe"])
@pytest.mark.parametrize("name", ["metrics.jsonl", "metrics.csv"])
def test_what_is_put_in_the_place_of_a_file_is_not_written_through_and_stops_nothing(tmp_path, monkeypatch, kind, name):
    of = trainer(tmp_path / "run", steps=30)
    usual = of.update
    (tmp_path / "mine").write_bytes(b"mine")

    def update():
        usual()
        if of.state.step == 11:
            (tmp_path / "run" / name).unlink()
            os.mkfifo(tmp_path / "run" / name) if kind == "pipe" else os.symlink("../mine", tmp_path / "run" / name)

    monkeypatch.setattr(of, "update", update)
    assert of.run() and checkpoints.load(tmp_path / "run").state["step"] == 30
    assert (tmp_path / "mine").read_bytes() == b"mine"
    assert (name in of.record.attempt.failed) == (name == "metrics.jsonl")  # the table is made anew, as a file


class FullDisk:
    """Lets writes of some files fail from one step of a run to another, after some of the bytes."""

    def __init__(self, of, monkeypatch, names, first, last):
        self.of, self.names, self.steps = of, names, range(first, last)
        usual_save = checkpoints.save
        monkeypatch.setattr(record.checkpoints, "save", lambda *a: self.check("checkpoint.npz") or usual_save(*a))
        monkeypatch.setattr("minidraw.pages.metrics.open", self.open, raising=False)

    def check(self, name):
        if name in self.names and self.of.state.step in self.steps:
            raise OSError(28, "No space left on device")

    @contextlib.contextmanager
    def open(self, path, mode, **more):
        with open(path, mode, **more) as file:
            if path.name in self.names and self.of.state.step in self.steps:
                file.write(b'{"step": ')
                file.flush()
                self.check(path.name)
            yield file


def test_a_disk_that_is_full_for_a_while_costs_nothing(tmp_path, monkeypatch, capsys):
    of = trainer(tmp_path / "run", steps=30, validate_every=3)
    FullDisk(of, monkeypatch, ("checkpoint.npz", "metrics.jsonl", "metrics.csv"), 5, 16)
    assert of.run() and of.saved == 30
    complain(of)
    err = capsys.readouterr().err
    assert err.count("no checkpoint.npz: No space left on device; the run goes on, and tries again") == 1
    assert err.count("no metrics.jsonl: cannot write ") == 1
    assert trainer(tmp_path / "straight", steps=30, validate_every=3).run()
    assert metrics(tmp_path / "run") == metrics(tmp_path / "straight")
    assert table(tmp_path / "run") == table(tmp_path / "straight")


def test_what_could_not_be_written_is_tried_once_more_at_the_end(tmp_path, capsys):
    of = record.Record(tmp_path, lambda words: print(words, file=sys.stderr))
    (tmp_path / "metrics.jsonl").mkdir()
    of.line(step=1, seconds=1.5)
    assert {"metrics.jsonl", "metrics.csv"} <= of.attempt.failed.keys()
    (tmp_path / "metrics.jsonl").rmdir()
    of.report(1.0, ended=True)
    assert of.attempt.failed.keys() == {"report"} and (tmp_path / "metrics.csv").read_text() == "step,seconds\n1,1.5\n"
    assert [line["step"] for line in metrics(tmp_path)] == [1]


def test_a_disk_that_is_full_to_the_end_is_told_with_what_there_is(tmp_path, monkeypatch):
    of = trainer(tmp_path, steps=30)
    FullDisk(of, monkeypatch, ("checkpoint.npz",), 10, 99)
    assert of.run() and of.saved == 7
    assert "No space left on device; " in (told := refusal(complain, of)) and told.endswith("keeps step 7")


def test_a_program_is_given_its_network_all_the_same(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(record.checkpoints, "save", full)
    small = SIZES | PACE | {"threads": 1, "progress": False, "batch_size": 8}
    with pytest.warns(RuntimeWarning, match="checkpoint.npz could not be written: No space left"):
        assert isinstance(fit("strokes", steps=9, out=tmp_path / "run", **small), DRAW)


def test_lines_are_on_the_disk_before_their_checkpoint(tmp_path, monkeypatch):
    done = []
    of = trainer(tmp_path, steps=7)
    usual_sync, usual_save = of.record.log.sync, checkpoints.save
    usual = os.fsync
    monkeypatch.setattr(os, "fsync", lambda number: done.append(os.fstat(number).st_ino) or usual(number))
    monkeypatch.setattr(of.record.log, "sync", lambda: done.append("sync") or usual_sync())
    monkeypatch.setattr(record.checkpoints, "save", lambda *a: done.append("save") or usual_save(*a))
    assert of.run()
    place = done.index("sync")
    assert done[place : place + 3] == ["sync", os.stat(tmp_path / "metrics.jsonl").st_ino, "save"]


def test_lines_that_a_power_cut_has_taken_are_told(tmp_path, capsys):
    assert trainer(tmp_path, steps=14).run()
    path = tmp_path / "metrics.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-2]) + bytes(30))
    again = trainer(tmp_path, steps=20)
    again.restore(checkpoints.load(tmp_path))
    capsys.readouterr()
    assert again.run()
    assert f"note: of {len(lines)} lines of metrics.jsonl up to step 14 2 are lost" in capsys.readouterr().err
    again = trainer(tmp_path, steps=20)
    again.restore(checkpoints.load(tmp_path))
    assert again.run() and "lost" not in capsys.readouterr().err


@pytest.mark.parametrize("seconds", [0.0, -1e9, 5e9])
def test_a_clock_that_is_wrong_keeps_nothing_from_being_saved(tmp_path, monkeypatch, seconds):
    usual = time.localtime
    monkeypatch.setattr(time, "time", lambda: seconds)
    monkeypatch.setattr(time, "localtime", lambda *_: usual(seconds))
    of = trainer(tmp_path, steps=10)
    assert of.run() and checkpoints.load(tmp_path).state["step"] == 10
    complain(of)
    of.model.draw(2).save(tmp_path / "a.npz")
    assert np.load(tmp_path / "a.npz")["frames"].shape[1] == 2


def test_an_npz_is_what_numpy_makes_whatever_the_clock(tmp_path, monkeypatch):
    """From Python 3.14 on a member that is given by its name alone has the time of the clock, of 1970 for one."""
    usual = zipfile.ZipFile.open

    def opened(archive, name, mode="r", **more):
        if mode == "w" and not isinstance(name, zipfile.ZipInfo):
            raise ValueError("ZIP does not support timestamps before 1980")
        return usual(archive, name, mode, **more)

    monkeypatch.setattr(zipfile.ZipFile, "open", opened)
    arrays = {"a": np.arange(5.0), "b": np.eye(2, dtype=np.uint8).T[:, :1]}
    (tmp_path / "a.npz").write_bytes(npz(arrays))
    with np.load(tmp_path / "a.npz") as loaded:
        assert set(loaded) == {"a", "b"} and all((loaded[name] == arrays[name]).all() for name in arrays)


def test_a_resumed_run_does_not_compute_the_mean_image_again(tmp_path, monkeypatch):
    assert run("train", *options(7, tmp_path / "run")) == 0
    monkeypatch.setattr("minidraw.training.tasks.mean_logits", lambda *_: pytest.fail("it is overwritten"))
    assert run("train", *options(9, tmp_path / "run"), "--resume") == 0


def test_pages_with_new_pictures_are_of_the_time_for_pictures(tmp_path, monkeypatch):
    of = trainer(tmp_path)
    of.record.settings()
    of.record.report(1.0, ended=False, now=True)
    assert of.record.drawing > 0 == of.record.reporting
    before = of.record.drawing
    of.record.report(1.0, ended=False)
    assert of.record.drawing == before and of.record.reporting > 0
