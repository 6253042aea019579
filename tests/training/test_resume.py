"""A run that was stopped or killed goes on as the same run."""

import dataclasses
import math
import os
import signal
import time

import numpy as np
import pytest
from support.runs import (
    assert_same_run,
    interrupt,
    listing,
    metrics,
    options,
    run,
    spawn,
    trainer,
    wait_for_steps,
)

from minidraw.data import Dataset
from minidraw.errors import UserError
from minidraw.pages.metrics import Log
from minidraw.parallel.workers import Workers
from minidraw.training import checkpoints
from minidraw.training.tasks import PICTURES
from minidraw.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("small_strokes")


@pytest.fixture
def straight(tmp_path):
    """A run of 30 steps in one go."""
    assert trainer(tmp_path / "straight", steps=30).run()
    return tmp_path / "straight"


@pytest.mark.parametrize("stop", [1, 7, 13, 29])  # 7: just after a checkpoint; 13: inside an epoch and a log window
def test_a_run_that_was_stopped_goes_on_bit_by_bit_as_the_same_run(tmp_path, straight, monkeypatch, stop):
    of = trainer(tmp_path / "run", steps=30)
    interrupt(of, stop, monkeypatch)
    assert not of.run() and of.state.step == stop
    again = trainer(tmp_path / "run", steps=30)
    again.restore(checkpoints.load(tmp_path / "run"))
    assert again.run()
    assert_same_run(tmp_path / "run", straight)
    for picture in PICTURES:
        assert (tmp_path / "run" / picture).read_bytes() == (straight / picture).read_bytes()


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_seed_is_the_same_run_and_another_seed_another(tmp_path, monkeypatch, threads):
    monkeypatch.setattr("minidraw.model.network.SMALLEST_WORK", 0)
    launched, launch = [], Workers._launch
    monkeypatch.setattr(Workers, "_launch", lambda of, count: launched.append(count) or launch(of, count))
    first, second, other = (tmp_path / name for name in ("first", "second", "other"))
    for folder, seed in ((first, 5), (second, 5), (other, 6)):
        arguments = options(12, folder, batch_size=16)
        assert run("train", *arguments, f"--seed={seed}", f"--threads={threads}") == 0
    assert launched == ([] if threads == 1 else [1, 1, 1])
    assert_same_run(first, second)
    vectors = [checkpoints.load(folder).vectors for folder in (first, other)]
    assert not any(np.array_equal(*(of[name] for of in vectors)) for name in checkpoints.VECTORS)
    losses = [[line["loss"] for line in metrics(folder) if "loss" in line] for folder in (first, other)]
    assert len(losses[0]) == 4 and not set(losses[0]) & set(losses[1])


def test_the_time_of_training_goes_on_too(tmp_path):
    """By it a run of minutes knows how far it is, and its next line of the log how long its updates took."""
    of = trainer(tmp_path, minutes=2.0)
    for _ in range(4):
        of.update()
    of.state.seconds = 90.0
    of.save()
    again = trainer(tmp_path, minutes=2.0)
    again.restore(checkpoints.load(tmp_path))
    assert (again.state.seconds, again.progress(), again.state.rows) == (90.0, 0.75, 4)
    assert again.state.sums == of.state.sums and of.state.sums[0] > 0


def test_a_complete_run_that_has_lost_its_settings_and_page_gets_them_again(tmp_path):
    arguments = options(5, tmp_path)
    assert run("train", *arguments) == 0
    (tmp_path / "config.json").unlink()
    (tmp_path / "report.html").unlink()
    assert run("train", *arguments, "--resume") == 0
    assert {"config.json", "report.html"} <= {path.name for path in tmp_path.iterdir()}


def test_a_second_interrupt_ends_the_run_at_once(tmp_path, monkeypatch):
    of = trainer(tmp_path)

    def update():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(of, "update", update)
    with pytest.raises(KeyboardInterrupt):
        of.run()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_keeps_the_run_also_where_workers_hear_it_too(tmp_path, monkeypatch, threads):
    """A terminal sends Ctrl-C to every process of the group: a worker must not take it for its own."""
    monkeypatch.setattr("minidraw.model.network.SMALLEST_WORK", 0)
    steps, pace = 200, {"batch_size": 16, "checkpoint_every": 1000, "log_every": 1}
    arguments = [*options(steps, tmp_path / "run", **pace), f"--threads={threads}"]
    process = spawn(
        "train",
        *arguments,
        before="import minidraw.model.network; minidraw.model.network.SMALLEST_WORK = 0",
        start_new_session=True,
    )
    wait_for_steps(process, tmp_path / "run", 12)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130 and "Traceback" not in err, err
    assert out.startswith("interrupted after step") and f"--resume --out {tmp_path / 'run'}" in out
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)  # nobody of the group is left
    assert 10 < checkpoints.load(tmp_path / "run").state["step"] < steps
    assert run("train", *arguments, "--resume") == 0
    assert trainer(tmp_path / "straight", threads=threads, steps=steps, **pace).run()
    assert_same_run(tmp_path / "run", tmp_path / "straight")


def test_a_run_killed_at_any_moment_leaves_a_whole_checkpoint_or_none_and_goes_on(tmp_path):
    rng, folder, steps = np.random.default_rng(0), tmp_path / "run", 160
    pace = {"checkpoint_every": 2, "log_every": 1, "validate_every": 5}
    for lines in (1, 40, 90):
        resume = ["--resume"] if (folder / "checkpoint.npz").exists() else []
        process = spawn("train", *options(steps, folder, **pace), *resume)
        wait_for_steps(process, folder, lines)
        time.sleep(rng.uniform(0, 0.02))
        process.kill()
        process.communicate()
        if (folder / "checkpoint.npz").exists():
            assert 0 < checkpoints.load(folder).state["step"] < steps
    with open(folder / "metrics.jsonl", "a") as file:
        file.write('{"step": 159, "lo')  # a line cut short
    assert run("train", *options(steps, folder, **pace), "--resume") == 0
    assert trainer(tmp_path / "straight", steps=steps, **pace).run()
    assert_same_run(folder, tmp_path / "straight")
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("file", ["checkpoint.npz", "metrics.jsonl", "metrics.csv", "samples.gif", "report.html"])
def test_a_run_killed_inside_a_write_leaves_no_trace_of_it_after_going_on(tmp_path, file):
    folder = tmp_path / "run"
    assert run("train", *options(14, folder)) == 0
    before = listing(folder)
    die = f"""
import os, signal
usual = os.replace
def replace(source, target):
    if str(target).endswith({file!r}) and os.path.exists(target):
        os.kill(os.getpid(), signal.SIGKILL)
    usual(source, target)
os.replace = replace
"""
    process = spawn("train", *options(20, folder), "--resume", before=die)
    assert process.wait(timeout=30) == -signal.SIGKILL
    process.communicate()
    assert list(folder.glob(f".{file}.*.tmp")), "or the test shows nothing"
    assert (folder / file).read_bytes() == before[file], "the earlier one is still there, whole"
    checkpoints.load(folder)
    assert run("train", *options(20, folder), "--resume") == 0
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize(
    "junk",
    [b"\xff\xfe\n", b"[1]\n", b"null\n", b'{"step": "x"}\n', b"{}\n", b"\0" * 50 + b"\n", b"[" * 100_000 + b"\n"],
)
def test_lines_of_metrics_that_cannot_be_read_are_dropped(tmp_path, straight, junk):
    path, whole = straight / "metrics.jsonl", (straight / "metrics.jsonl").read_bytes()
    path.write_bytes(junk + whole + junk)
    Log(straight).start(30)
    assert path.read_bytes() == whole
    Log(straight).start(9)
    assert [line["step"] for line in metrics(straight)] == [3, 6, 9]


def test_a_checkpoint_that_does_not_say_where_it_stands_is_refused(tmp_path, straight):
    checkpoint = checkpoints.load(straight)
    wrongs = [("step", -1), ("step", "3"), ("step", 2.0), ("step", None), ("updates", True), ("skipped", math.nan)]
    wrongs += [("seconds", math.inf), ("seconds", None), ("seconds", -1.0), ("sums", None), ("sums", [1.0] * 5)]
    wrongs += [("glimpses", n) for n in (0, 2, 4, "3", True, 3.0, None)]  # 2: but the sums are of 3
    wrongs += [("lines", n) for n in (-1, "3", 1.0, None)]
    wrongs += [("sums", [None] * 6), ("sums", {}), ("sums", [math.nan] * 6), ("rows", -1), ("rows", 1.5)]
    of = trainer(tmp_path)
    for name, value in wrongs:
        with pytest.raises(UserError, match="cannot be trained further"):
            of.restore(dataclasses.replace(checkpoint, state=checkpoint.state | {name: value}))
    for name in checkpoint.state.keys() - {"glimpses", "lines"}:  # which older checkpoints lack
        with pytest.raises(UserError, match="cannot be trained further"):
            of.restore(dataclasses.replace(checkpoint, state={k: v for k, v in checkpoint.state.items() if k != name}))
    with pytest.raises(UserError, match="parameters only"):
        of.restore(dataclasses.replace(checkpoint, vectors={"average": checkpoint.vectors["average"]}))
    with pytest.raises(UserError, match="another network"):
        trainer(tmp_path, enc_size=9).restore(checkpoint)
    assert of.state.step == 0 and (of.adam.mean == 0).all(), "a refused checkpoint changes nothing"


def test_data_that_are_made_anew_at_every_draw_are_the_same_after_a_stop(tmp_path):
    class Random:
        shape, labels = (1, 4, 3), None

        def __len__(self):
            return 20

        def batch(self, indices, rng=None):
            rng = rng or np.random.default_rng(0)
            return rng.random((len(indices), 1, 4, 3), np.float32)

    def make(folder):
        split = Random()
        return Trainer(small, small.build(threads=1), Dataset("random", split, split, split, note=""), folder)

    small = trainer(tmp_path).experiment.replace(image_shape=(1, 4, 3), steps=9, checkpoint_every=4, pictures_every=99)
    make(tmp_path / "straight").run()
    first = make(tmp_path / "run")
    (tmp_path / "run").mkdir()
    for _ in range(4):
        first.update()
        if first.state.step % 3 == 0:
            first.log_line()
    first.save()
    again = make(tmp_path / "run")
    again.restore(checkpoints.load(tmp_path / "run"))
    assert again.run()
    assert_same_run(tmp_path / "run", tmp_path / "straight")
