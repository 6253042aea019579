"""A network that has come to numbers that are not finite is never kept in place of a good one, nor in silence."""

import json
import warnings

import numpy as np
import pytest
from support.checkpoints import whole
from support.files import refusal
from support.runs import PACE, SIZES, options, run, trainer

from minidraw import fit
from minidraw.training import checkpoints
from minidraw.training.step import Diverged

pytestmark = pytest.mark.usefixtures("small_strokes")


def explode(of, step: int, monkeypatch, values=1e30) -> None:
    """Let an update whose gradient was finite leave a network that is no good."""
    usual = of.update

    def update():
        usual()
        if of.state.step == step:
            of.adam.params[:] = values
            of.adam.average[:] = values

    monkeypatch.setattr(of, "update", update)


@pytest.mark.parametrize("step, kept", [(14, 7), (20, 14)])  # just before a checkpoint; in the last update
def test_a_network_spoilt_by_its_last_update_is_not_kept(tmp_path, monkeypatch, capsys, step, kept):
    of = trainer(tmp_path, steps=20)
    explode(of, step, monkeypatch)
    with pytest.raises(Diverged, match=f"step 20; .*checkpoint.npz keeps step {kept}: start another run with a lower"):
        of.run()
    assert checkpoints.load(tmp_path).state["step"] == kept
    assert json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])["validation_loss"] is None
    assert "data-again" not in (tmp_path / "report.html").read_text()


def test_a_single_update_left_out_spoils_nothing(tmp_path, monkeypatch):
    """Or a run that skips its last one could never end: it would come to the same when resumed."""
    of = trainer(tmp_path, steps=20)
    usual = of.model.loss_and_grads

    def loss_and_grads(*inputs):
        results = usual(*inputs)
        if of.state.step == 19:
            of.model.flat_grads[5] = np.inf
        return results

    monkeypatch.setattr(of.model, "loss_and_grads", loss_and_grads)
    assert of.run() and of.state.skipped == 1 and checkpoints.load(tmp_path).state["step"] == 20


def test_a_validation_that_is_not_finite_counts_although_a_few_images_do_well(tmp_path, monkeypatch):
    of = trainer(tmp_path, steps=20)
    usual = of.task.validate

    def validate(count, seed):
        fields, words = usual(count, seed)
        return ({name: np.inf for name in fields} if count == 20 and of.state.step > 10 else fields), words

    monkeypatch.setattr(of.task, "validate", validate)
    with pytest.raises(Diverged, match=r"no finite loss on held-out images at step 20; .*checkpoint.npz keeps step 14"):
        of.run()


@pytest.mark.parametrize("vector", ["params", "mean", "square"])
def test_numbers_that_are_not_finite_are_not_kept(tmp_path, vector):
    of = trainer(tmp_path)
    of.update()
    of.keep()
    getattr(of.adam, vector)[5] = np.nan
    of.update() if vector == "params" else None
    of.keep()
    assert of.flaw and checkpoints.load(tmp_path).state["step"] == 1


def test_a_run_whose_learning_rate_is_absurd_ends_with_one_line(tmp_path, capfd):
    assert run("train", *options(20, tmp_path / "run", learning_rate=1e30, clip=0.0)) == 2
    err = capfd.readouterr().err
    last = err.splitlines()[-1]
    assert last.startswith("error: no finite loss") and "there is no " in last and "Warning" not in err
    assert not (tmp_path / "run" / "checkpoint.npz").exists()
    absurd = {"learning_rate": 1e30, "clip": 0.0, "batch_size": 8, "progress": False, "threads": 1}
    told = refusal(fit, "strokes", steps=20, **SIZES | PACE | absurd)
    assert "start another run with a lower learning_rate or a clip" in told and "checkpoint" not in told


def test_a_network_that_overflows_says_so_and_warns_of_nothing(tmp_path, trained, capfd):
    checkpoint = checkpoints.load(trained)
    checkpoint.vectors["average"][:] = 1e38 * (-1.0) ** np.arange(len(checkpoint.vectors["average"]))
    checkpoints.save(tmp_path / "a.npz", checkpoint)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run("generate", tmp_path / "a.npz", "-n", 3, "--threads", 1, "--out", tmp_path / "a.gif") == 2
    err = capfd.readouterr().err
    assert err.startswith("error: this network's numbers overflow") and err.count("\n") == 1
    assert not (tmp_path / "a.gif").exists()


def test_squares_below_zero_are_refused(tmp_path):
    checkpoint = whole()
    checkpoint.vectors["adam_square"][3] = -1e-9
    checkpoints.save(tmp_path / "a.npz", checkpoint)
    assert "adam_square has numbers below 0" in refusal(checkpoints.load, tmp_path / "a.npz")


def test_what_a_gpu_tells_late_is_heard_before_a_network_is_kept(tmp_path, monkeypatch):
    of = trainer(tmp_path)
    of.update()
    monkeypatch.setattr(of.stepper, "collect", lambda: setattr(of.state, "skipped_in_a_row", 3))
    of.keep()
    assert "for 3 updates" in of.flaw and not (tmp_path / "checkpoint.npz").exists()
