"""Jobs that mpiexec starts: one was killed, one fails, a signal; each ends as one."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.runs import (
    STROKES,
    assert_same_run,
    environment,
    metrics,
    options,
    run,
    trainer,
    wait_for_steps,
)

from minidraw.training import checkpoints
from minidraw.training.lock import hold

pytestmark = pytest.mark.usefixtures("small_strokes")
BESIDE = Path(sys.executable).with_name("mpiexec")
MPIEXEC = str(BESIDE) if BESIDE.exists() else shutil.which("mpiexec")
MISSING = [name for name, found in (("mpi4py", importlib.util.find_spec("mpi4py")), ("mpiexec", MPIEXEC)) if not found]
mpi = pytest.mark.skipif(bool(MISSING), reason=f"no {' and no '.join(MISSING)}: pip install mpi4py mpich")


def launch(size: int, *arguments, before: str = "") -> subprocess.Popen:
    """Start `train` on so many ranks, with small strokes; `before` is Python for every rank to run first."""
    code = (
        f"import minidraw.data; minidraw.data.strokes.STROKES = {STROKES}\n{before}\n"
        f"from minidraw import cli, train; cli.run(train.main, {[str(argument) for argument in arguments]})"
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    command = [MPIEXEC, "-n", str(size), sys.executable, "-c", code]
    return subprocess.Popen(command, env=environment(), start_new_session=True, **pipes)


def ended(process: subprocess.Popen) -> tuple[int, str, str]:
    """Return status, output and errors of a job that ends within a minute."""
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()  # the ranks go with their launcher
    return process.returncode, out, err


def when(rank: int, step: int, what: str) -> str:
    """Return Python that makes one rank do something after a step."""
    return f"""
import os, signal, minidraw.parallel.ranks, minidraw.training.trainer
minidraw.parallel.ranks.PATIENCE = 0.2
usual = minidraw.training.trainer.Trainer.update
def update(self):
    usual(self)
    if (self.ranks.rank, self.state.step) == ({rank}, {step}):
        {what}
minidraw.training.trainer.Trainer.update = update
"""


@mpi
def test_a_job_of_two_ranks_whose_one_was_killed_goes_on_as_the_same_run(tmp_path):
    one, straight, stopped, alone = (tmp_path / name for name in ("one", "straight", "stopped", "alone"))
    jobs = {folder: options(25, folder) for folder in (straight, stopped)}
    process = launch(2, *jobs[straight])
    assert trainer(one, steps=25).run()
    status, out, err = ended(process)
    assert status == 0 and [line.partition(" ")[0] for line in out.splitlines()] == ["validation", "pictures:"], out
    told = ["training:", "validation:", "test:", "step", "step", "training", "step"]
    assert [line.split()[0] for line in err.splitlines()] == told, err
    assert {path.name for path in straight.iterdir()} == {path.name for path in one.iterdir()}
    for ours, theirs in zip(metrics(one), metrics(straight), strict=True):
        assert theirs.keys() == ours.keys()
        for name in ours:
            np.testing.assert_allclose(theirs[name], ours[name], rtol=1e-5, atol=3e-5, err_msg=name)

    status, out, _ = ended(launch(2, *jobs[stopped], before=when(1, 17, "os.kill(os.getpid(), signal.SIGKILL)")))
    assert status not in (0, 2, 130) and "signal 9" in out  # the launcher tells
    assert checkpoints.load(stopped).state["step"] == 14
    shutil.copytree(stopped, alone)
    status, out, err = ended(launch(2, *jobs[stopped], "--resume"))
    assert status == 0 and "Traceback" not in err, err
    assert_same_run(stopped, straight)
    assert run("train", *options(25, alone), "--resume") == 0
    for name in checkpoints.VECTORS:
        one_rank, two_ranks = (checkpoints.load(folder).vectors[name] for folder in (alone, straight))
        np.testing.assert_allclose(one_rank, two_ranks, rtol=1e-3, atol=1e-3 * np.abs(two_ranks).max())


@mpi
@pytest.mark.parametrize(
    "what, status, last",
    [
        ("raise RuntimeError('a fault')", 1, "RuntimeError: a fault"),
        ("raise minidraw.parallel.ranks.UserError('a mistake')", 2, "rank 1 of 2: error: a mistake"),
    ],
)
def test_a_rank_that_fails_ends_the_job_with_one_message(tmp_path, what, status, last):
    ending, out, err = ended(launch(2, *options(10**6, tmp_path), before=when(1, 4, what)))
    assert ending == status and out == "", (ending, out, err)
    assert err.splitlines()[-1].startswith(last)
    assert err.count("error") + err.count("Traceback") == 1, err


@mpi
def test_a_process_that_dies_before_it_has_met_the_others_ends_the_job(tmp_path):
    die = "import os, sys; from minidraw.parallel import ranks; ranks.STARTING = 1\n"
    die += "os.environ['PMI_RANK'] == '1' and sys.exit(3)"
    status, _, _ = ended(launch(2, *options(1, tmp_path / "run"), before=die))
    assert status not in (0, 2, 130) and not (tmp_path / "run").exists()


@mpi
@pytest.mark.parametrize(
    "more, told",
    [
        ("--steps=9", "error: rank 1 has steps=9, rank 0 has steps=5: start all ranks with the same "),
        ("--set=batch_size=10", "error: rank 1 has batch_size=10, rank 0 has batch_size=8: "),
        ("--set=checkpoint_every=2", "error: rank 1 has checkpoint_every=2, rank 0 has checkpoint_every=7: "),
        ("--seed=3", "error: rank 1 has data=strokes "),
        ("--data-dir=/none", "rank 1 of 2: error: strokes reads no official files"),
        ("--help", "rank 1 of 2: error: --help is for all ranks or none"),
    ],
)
def test_ranks_of_different_arguments_neither_train_together_nor_wait_for_each_other(tmp_path, more, told):
    before = f"""
import os
from minidraw import train
usual = train.main
if os.environ["PMI_RANK"] == "1":
    train.main = lambda arguments: usual([*arguments, {more!r}])
"""
    status, out, err = ended(launch(2, *options(5, tmp_path / "run"), before=before))
    assert status == 2 and out == "" and err.startswith(told) and err.count("\n") == 1, (status, out, err)
    assert not (tmp_path / "run" / "config.json").exists()


@mpi
@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="this system has no /proc")
def test_ranks_that_fail_leave_nothing_in_shared_memory(tmp_path):
    """What MPICH shares among them has no name any more when they train: all that is there is to vanish."""
    look = f"open({str(tmp_path / 'maps')!r}, 'w').write(open('/proc/self/maps').read()); raise RuntimeError"
    assert ended(launch(2, *options(5, tmp_path / "run"), before=when(1, 2, look)))[0] == 1
    shared = [line for line in (tmp_path / "maps").read_text().splitlines() if "/dev/shm/" in line]
    assert shared and all(line.endswith("(deleted)") for line in shared)


@mpi
def test_a_mistake_of_all_ranks_is_told_once(tmp_path):
    assert ended(launch(2, *options(0, tmp_path))) == (2, "", "error: steps must be 1 or more, not 0\n")


@mpi
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_launcher_stops_all_ranks_after_the_same_step_and_a_checkpoint(tmp_path, number):
    process = launch(2, *options(10**6, tmp_path, log_every=1, checkpoint_every=10**6, validate_every=10**6))
    wait_for_steps(process, tmp_path, 12)
    process.send_signal(number)
    status, out, err = ended(process)
    assert status == 130 and [line.split()[0] for line in err.splitlines()] == ["training:", "validation:", "test:"], (
        status,
        out,
        err,
    )
    step = checkpoints.load(tmp_path).state["step"]
    assert step >= 12 and out.endswith(f"interrupted after step {step}; go on with --resume --out {tmp_path}\n"), out
    assert out.count("interrupted") == 1


@mpi
def test_a_job_on_a_folder_where_another_run_is_ends_with_one_message(tmp_path):
    with hold(tmp_path / "run", print, "--out"):
        status, out, err = ended(launch(2, *options(5, tmp_path / "run")))
        assert (status, out) == (2, "") and "is being written by a run (process " in err, err
        assert err.count("error") == 1, err
    assert not (tmp_path / "run").exists()
