"""Signals end a run after a checkpoint, and the time of a stop is no training."""

import contextlib
import os
import signal
import time

import numpy as np
import pytest
from support.runs import metrics, options, spawn, trainer, wait_for_steps

from minidraw.pages.metrics import read
from minidraw.training import checkpoints
from minidraw.training.interrupt import Clock, Interruptible

pytestmark = pytest.mark.usefixtures("small_strokes")
posix = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP")
@pytest.mark.parametrize("ignored", [False, True])
def test_a_terminal_that_is_closed_ends_a_run_after_a_checkpoint_unless_it_is_to_go_on(tmp_path, ignored):
    """A shell and the system both send SIGHUP, so the second one must not end it at once."""
    folder, steps = tmp_path / "run", 150
    before = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)" * ignored
    process = spawn("train", *options(steps, folder, log_every=1, checkpoint_every=10**6), before=before)
    wait_for_steps(process, folder, 12)
    for _ in range(3):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGHUP)
        time.sleep(0.001)
    out, err = process.communicate(timeout=60)
    assert process.returncode == (0 if ignored else 130), err
    step = checkpoints.load(folder).state["step"]
    assert step == steps if ignored else 10 < step < steps
    assert out.startswith("validation" if ignored else "interrupted after step")


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP")
def test_a_closed_terminal_sends_more_than_one_signal():
    with Interruptible() as interrupted:
        for number in (signal.SIGHUP, signal.SIGHUP, signal.SIGTERM, signal.SIGHUP):
            os.kill(os.getpid(), number)
        assert interrupted.signals == 4 and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL


@posix
def test_a_stop_is_no_training(tmp_path):
    """SIGSTOP cannot be caught; that the process goes on can."""
    folder = tmp_path / "run"
    process = spawn("train", *options(150, folder, log_every=1))
    wait_for_steps(process, folder, 12)
    started = time.monotonic()
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(1.5)
    os.kill(process.pid, signal.SIGCONT)
    assert process.wait(timeout=60) == 0
    process.communicate()
    seconds, between = checkpoints.load(folder).state["seconds"], time.monotonic() - started
    lines = [line["seconds"] for line in read(folder / "metrics.jsonl")[0] if "loss" in line]
    assert max(np.diff(lines)) < 1.4 and between > 1.5 and seconds == pytest.approx(lines[-1], abs=1)


def test_a_clock_counts_no_more_than_usual_where_a_stop_was(monkeypatch):
    now = iter([10.0, 17.0, 20.0, 70.0, 80.0, 80.5])
    monkeypatch.setattr(time, "perf_counter", lambda: next(now))
    assert Clock().seconds(1.0) == 7.0
    for wanted in (2.0, 0.5):
        clock = Clock()
        with Interruptible():
            if hasattr(signal, "SIGCONT"):
                os.kill(os.getpid(), signal.SIGCONT)
            else:
                Clock.continued += 1
        assert clock.seconds(2.0) == wanted
    if hasattr(signal, "SIGCONT"):
        assert signal.getsignal(signal.SIGCONT) == signal.SIG_DFL


@pytest.mark.parametrize(("seconds", "usual", "counted"), [(5.0, 0.3, 0.3), (2.0, 0.3, 2.0), (0.09, 0.0, 0.09)])
def test_a_clock_waits_for_a_signal_that_comes_late_where_one_may_be_on_its_way(monkeypatch, seconds, usual, counted):
    """Any thread of the process may get it, and the main one may be done with its update before."""
    now = iter([10.0, 10.0 + seconds])
    monkeypatch.setattr(time, "perf_counter", lambda: next(now))
    monkeypatch.setattr(Clock, "continued", 0)
    monkeypatch.setattr(time, "sleep", lambda _: setattr(Clock, "continued", Clock.continued + 1))
    assert Clock().seconds(usual) == pytest.approx(counted)


def test_the_first_update_may_be_the_one_with_the_stop(tmp_path, monkeypatch):
    of = trainer(tmp_path, log_every=1)
    usual = of.model.loss_and_grads
    monkeypatch.setattr(Clock, "continued", 0)
    monkeypatch.setattr(
        of.model, "loss_and_grads", lambda *a: setattr(Clock, "continued", Clock.continued + 1) or usual(*a)
    )
    of.update()
    assert of.state.seconds == 0 and of.log_line() and metrics(tmp_path)[0]["step"] == 1
