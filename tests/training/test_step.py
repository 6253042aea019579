"""Updates whose gradient is not finite: skipped, counted, and given up in the end."""

import json
import math

import numpy as np
import pytest
from support.runs import interrupt, metrics, options, run, trainer

from minidraw.model.draw import DRAW, Loss
from minidraw.training import checkpoints
from minidraw.training.step import Diverged

pytestmark = pytest.mark.usefixtures("small_strokes")


def spoil(monkeypatch, when, what=math.nan) -> None:
    """Make the gradient of every step for which `when(step)` holds wrong in one place."""
    usual, step = DRAW.loss_and_grads, iter(range(10**6))

    def loss_and_grads(self, x, noise):
        loss, grads = usual(self, x, noise)
        if when(next(step)):
            self.flat_grads[17] = what
        return loss, grads

    monkeypatch.setattr(DRAW, "loss_and_grads", loss_and_grads)


@pytest.mark.parametrize("what, clip", [(math.nan, 10.0), (math.inf, 10.0), (1e30, 0.0)])  # whose square is not finite
def test_an_update_that_is_not_finite_is_skipped_and_counted(tmp_path, monkeypatch, what, clip):
    spoil(monkeypatch, lambda step: step in (2, 3), what)
    of = trainer(tmp_path, clip=clip)
    vectors = (of.adam.params, of.adam.average, of.adam.mean, of.adam.square)
    for _ in range(2):
        of.update()
    before = [vector.copy() for vector in vectors]
    of.update()
    of.update()
    assert all((a == b).all() for a, b in zip(vectors, before, strict=True))
    assert (of.state.skipped, of.state.skipped_in_a_row, of.state.step, of.adam.updates, of.state.rows) == (
        2,
        2,
        4,
        2,
        2,
    )
    of.update()
    assert (of.state.skipped, of.state.skipped_in_a_row, of.state.step, of.adam.updates) == (2, 0, 5, 3)
    assert np.isfinite(of.adam.params).all() and (of.adam.params != before[0]).any()
    of.log_line()
    assert metrics(tmp_path)[-1]["skipped"] == 2


@pytest.mark.parametrize("what", [1e17, 1e30])
def test_an_update_whose_squares_alone_overflow_is_clipped_like_any_other(tmp_path, monkeypatch, what):
    spoil(monkeypatch, lambda step: True, what)
    of = trainer(tmp_path, clip=2.0, warmup=0)
    of.update()
    assert (of.state.skipped, of.adam.updates) == (0, 1) and of.state.sums[1] == pytest.approx(what, rel=1e-6)
    assert of.adam.mean[17] == pytest.approx(0.1 * 2.0, rel=1e-5) and np.isfinite(of.adam.square).all()


def test_a_loss_that_is_not_finite_is_skipped_too(tmp_path, monkeypatch):
    of = trainer(tmp_path)
    monkeypatch.setattr(of.model, "loss_and_grads", lambda x, noise: (Loss(math.inf, np.zeros(3)), None))
    of.update()
    assert of.state.skipped == 1 and of.adam.updates == 0


def test_a_hopeless_run_ends_with_one_line_and_leaves_its_last_checkpoint(tmp_path, monkeypatch, capsys):
    spoil(monkeypatch, lambda step: step >= 9)
    assert run("train", *options(10_000, tmp_path / "run")) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("step ")]
    assert [line.partition(":")[0] for line in lines] == ["training", "validation", "test", "not kept", "error"], lines
    assert lines[-1].startswith("error: no finite loss and gradient for 100 updates in a row, up to step 108; "), lines
    left = checkpoints.load(tmp_path / "run")
    assert left.state["updates"] == left.state["step"] == 7, "the last one before the updates that were skipped"
    assert all(np.isfinite(vector).all() for vector in left.vectors.values())
    monkeypatch.undo()


@pytest.mark.parametrize("clip, advice", [(1000.0, "or a lower clip"), (0.0, "or a clip")])
def test_a_run_that_blows_up_keeps_its_last_good_checkpoint_and_says_what_to_do(tmp_path, capfd, clip, advice):
    first = options(7, tmp_path / "run", clip=clip)
    assert run("train", *first) == 0
    good = (tmp_path / "run" / "checkpoint.npz").read_bytes()
    of = trainer(tmp_path / "run", steps=300, clip=clip)
    of.restore(checkpoints.load(tmp_path / "run"))
    of.model.params["latent.b"][0] = 1e30  # whose square is not finite in single precision
    capfd.readouterr()
    with pytest.raises(Diverged, match=f"checkpoint.npz keeps step 7: .* with a lower learning_rate {advice}$"):
        of.run()
    assert (tmp_path / "run" / "checkpoint.npz").read_bytes() == good
    assert "Warning" not in capfd.readouterr().err
    for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)


@pytest.mark.parametrize("ending", ["interrupted", "at its end"])
def test_a_run_that_ends_while_updates_are_skipped_keeps_its_last_good_checkpoint(tmp_path, monkeypatch, ending):
    spoil(monkeypatch, lambda step: step >= 9)
    of = trainer(tmp_path, steps=20)
    if ending == "interrupted":
        interrupt(of, 13, monkeypatch)
        assert not of.run()
    else:
        with pytest.raises(Diverged, match=r"for 11 updates, up to step 20; .*checkpoint.npz keeps step 7: "):
            of.run()
    assert of.state.skipped_in_a_row == of.state.step - 9
    assert checkpoints.load(tmp_path).state["step"] == 7


def test_a_run_of_nothing_but_skipped_updates_leaves_no_checkpoint(tmp_path, monkeypatch):
    """There would be nothing to go on with."""
    spoil(monkeypatch, lambda step: True)
    of = trainer(tmp_path, steps=20)
    interrupt(of, 3, monkeypatch)
    with pytest.raises(Diverged, match=r"for 3 updates, up to step 3; there is no .*checkpoint.npz: start another run"):
        of.run()
    assert not (tmp_path / "checkpoint.npz").exists()


def test_a_skipped_update_takes_time_and_is_in_no_mean(tmp_path, monkeypatch):
    spoil(monkeypatch, lambda step: step == 1)
    of = trainer(tmp_path)
    of.update()
    before = list(of.state.sums)
    of.update()
    assert of.state.sums[0] > before[0] and of.state.sums[1:] == before[1:] and of.state.rows == 1


def test_a_checkpoint_names_its_vectors_rightly(tmp_path):
    of = trainer(tmp_path)
    for _ in range(3):
        of.update()
    of.save()
    adam, vectors = of.adam, checkpoints.load(tmp_path).vectors
    expected = {"params": adam.params, "average": adam.average, "adam_mean": adam.mean, "adam_square": adam.square}
    for name, vector in expected.items():
        assert (vectors[name] == vector).all() and np.abs(vector).max() > 0, name
    assert len({vector.tobytes() for vector in vectors.values()}) == 4


def test_skipping_survives_a_stop(tmp_path, monkeypatch):
    spoil(monkeypatch, lambda step: step >= 2)
    of = trainer(tmp_path)
    for _ in range(60):
        of.update()
    of.save()
    again = trainer(tmp_path)
    again.restore(checkpoints.load(tmp_path))
    assert (again.state.step, again.state.skipped, again.state.skipped_in_a_row, again.adam.updates) == (60, 58, 58, 2)
    with pytest.raises(Diverged):
        for _ in range(42):
            again.update()
