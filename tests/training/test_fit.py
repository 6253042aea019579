"""`fit`: from arrays in memory to a network, in a program."""

import os
import signal
import threading

import numpy as np
import pytest
from support.files import refusal
from support.runs import PACE, SIZES, assert_same_run, listing, options, run

from minidraw import data
from minidraw.data import from_arrays
from minidraw.model.draw import DRAW
from minidraw.model.ram import RAM
from minidraw.training import checkpoints
from minidraw.training.fit import fit
from minidraw.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("small_strokes")

RNG = np.random.default_rng(2)
IMAGES = RNG.integers(0, 256, (60, 12, 11), np.uint8)
LABELS = np.arange(60) % 3
TINY = SIZES | PACE | {"threads": 1, "progress": False}


@pytest.fixture
def away(tmp_path, monkeypatch):
    """A folder to work in, where nothing is yet, the cache and the user's folder included."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("HOME", str(work))
    monkeypatch.setenv("TMPDIR", str(work))
    monkeypatch.setenv("MINIDRAW_CACHE", str(work / "cache"))
    return work


def stop_at(step, monkeypatch):
    """Let Ctrl-C be pressed in that step."""
    usual = Trainer.update

    def update(of):
        usual(of)
        if of.state.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Trainer, "update", update)


def test_without_a_folder_nothing_is_written_anywhere_and_nothing_is_said(away, capfd):
    network = fit(IMAGES, steps=7, **TINY)
    assert isinstance(network, DRAW) and network.config.image_shape == (1, 12, 11)
    assert network.draw(3).frames.shape == (SIZES["glimpses"], 3, 1, 12, 11)
    assert listing(away) == {} and capfd.readouterr() == ("", "")


def test_it_returns_the_averaged_parameters_of_the_run_in_the_folder(away):
    network = fit(IMAGES, steps=7, out="runs/a", **TINY)
    checkpoint = checkpoints.load("runs/a")
    assert network.flat_params.tobytes() == checkpoint.vectors["average"].tobytes()
    assert not np.array_equal(checkpoint.vectors["average"], checkpoint.vectors["params"])
    assert checkpoint.state["step"] == 7 and checkpoint.experiment.train.data == "arrays"
    assert {"samples.gif", "report.html", "config.json", "data.png"} <= {*os.listdir("runs/a")}
    assert fit(IMAGES, steps=7, **TINY).flat_params.tobytes() == network.flat_params.tobytes(), (
        "a folder changes nothing"
    )
    assert fit(IMAGES, steps=7, seed=1, **TINY).flat_params.tobytes() != network.flat_params.tobytes()


def test_it_is_the_run_of_the_command_line(away):
    fit("strokes", steps=12, out="a", batch_size=8, **TINY)
    assert run("train", *options(12, "b")) == 0
    assert_same_run(away / "a", away / "b")
    np.save("x.npy", IMAGES)
    assert fit(away / "x.npy", steps=3, **TINY).config.image_shape == (1, 12, 11)


def test_progress_is_told_on_stderr(away, capsys):
    fit("strokes", steps=12, **TINY | {"progress": True, "batch_size": 8})
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("training: 45 images, 28x28, grey;")
    assert "training DRAW of " in err and "step 12: validation bound " in err and "watch" not in err


def test_labels_train_a_classifier(away, capsys):
    small = {"glimpses": 2, "read_size": 3, "hidden_size": 8, "threads": 1, "progress": False}
    names = np.array(["cat", "dog", "ox"])[LABELS]
    network = fit(IMAGES, names, preset="cluttered", batch_size=10, steps=4, out="cats", **small)
    assert isinstance(network, RAM) and network.config.classes == 3
    assert checkpoints.load("cats").data["classes"] == ("cat", "dog", "ox") or [
        *checkpoints.load("cats").data["classes"]
    ]
    assert isinstance(fit(IMAGES, names, steps=2, **TINY), DRAW), "labels do not matter to one that draws"
    assert "learns from labels" in refusal(fit, IMAGES, preset="cluttered", batch_size=10, steps=4, **small)
    told = refusal(fit, IMAGES, RNG.random(60), preset="cluttered", batch_size=10, steps=4, **small)
    assert "no labels for training and validation (labels are left out: of type float64)" in told


def test_a_folder_that_holds_a_run_is_left_alone(away):
    fit(IMAGES, steps=3, out="a", **TINY)
    before = listing(away)
    assert "a holds a run already: add resume=True to go on" in refusal(fit, IMAGES, steps=3, out="a", **TINY)
    told = refusal(fit, IMAGES[::-1] // 2, steps=6, out="a", resume=True, **TINY)
    assert "not those that this run was trained on" in told and "keeps its data" in told
    assert "has enc_size=7, not 9" in refusal(fit, IMAGES, steps=6, out="a", resume=True, enc_size=9, threads=1)
    assert "has seed=0, not 4" in refusal(fit, IMAGES, steps=6, out="a", resume=True, seed=4, threads=1)
    assert listing(away) == before


@pytest.mark.parametrize("stop", [1, 8])
def test_ctrl_c_keeps_the_run_and_it_goes_on_bit_by_bit_as_the_same(away, monkeypatch, capsys, stop):
    whole = fit(IMAGES, steps=14, out="whole", **TINY)
    with monkeypatch.context() as patch:
        stop_at(stop, patch)
        with pytest.raises(KeyboardInterrupt, match=r"fit\(\.\.\., out='stopped', resume=True\) goes on"):
            fit(IMAGES, steps=14, out="stopped", **TINY | {"progress": True})
    err = capsys.readouterr().err
    assert err.endswith(f"interrupted after step {stop}: fit(..., out='stopped', resume=True) goes on\n")
    again = fit(IMAGES, steps=14, out="stopped", resume=True, threads=1, progress=False)
    assert again.flat_params.tobytes() == whole.flat_params.tobytes()
    assert_same_run(away / "stopped", away / "whole")
    complete = fit(IMAGES, out="stopped", resume=True, threads=1, progress=False)
    assert complete.flat_params.tobytes() == whole.flat_params.tobytes(), "it was complete already"


def test_ctrl_c_without_a_folder_says_that_nothing_is_kept(away, monkeypatch, capfd):
    stop_at(3, monkeypatch)
    with pytest.raises(KeyboardInterrupt, match="after step 3: nothing is kept without out="):
        fit(IMAGES, steps=14, **TINY)
    assert listing(away) == {} and capfd.readouterr() == ("", "")


def test_it_works_in_another_thread(away):
    made = []
    thread = threading.Thread(target=lambda: made.append(fit(IMAGES, steps=5, **TINY)))
    handlers = signal.getsignal(signal.SIGINT)
    thread.start()
    thread.join(60)
    assert made[0].flat_params.tobytes() == fit(IMAGES, steps=5, **TINY).flat_params.tobytes()
    assert signal.getsignal(signal.SIGINT) is handlers


def test_a_data_set_made_in_a_program(away):
    squares = from_arrays(IMAGES, LABELS, name="squares")
    fit(squares, steps=3, out="squares", **TINY)
    assert checkpoints.load("squares").experiment.train.data == "squares"
    again = fit(from_arrays(IMAGES, LABELS), steps=6, out="squares", resume=True, threads=1, progress=False)
    assert isinstance(again, DRAW), "images are known by their content, not by a name"
    assert "a data set has its own" in refusal(fit, squares, LABELS, steps=3, **TINY)
    assert "a data set has its own" in refusal(fit, "strokes", valid=IMAGES, steps=3, **TINY)


def test_splits_that_are_given(away):
    fit(IMAGES[:40], steps=2, valid=IMAGES[40:50], test=(IMAGES[50:], LABELS[50:]), out="a", **TINY)
    counts = checkpoints.load("a").data["fingerprint"]["images"]
    assert counts == {"train": 40, "valid": 10, "test": 10}


MISTAKES = [
    ({"glimses": 3}, "unknown setting 'glimses'; did you mean 'glimpses'"),
    ({"enc_size": 0}, "enc_size must be an integer of 1 or more"),
    ({"learning_rate": "fast"}, "learning_rate must be of type float"),
    ({"preset": "mnst"}, "unknown preset 'mnst'; did you mean 'mnist'"),
    ({"minutes": 1, "steps": 3}, "give one of them"),
    ({"minutes": 1, "epochs": 3}, "give one of them"),
    ({"minutes": 0}, "minutes must be a finite number of more than 0"),
    ({"epochs": float("nan")}, "epochs must be a finite number of more than 0"),
    ({"steps": 0}, "steps must be 1 or more"),
    ({"steps": 2.5}, "steps must be of type int"),
    ({"batch_size": 61}, "batch_size 61 is more than the 4"),
    ({"image_shape": (3, 5, 5)}, "the network is for images of (3, 5, 5)"),
    ({"data": "strokes"}, "data are the first argument of fit"),
    ({"resume": True}, "resume=True goes on with the run in out=FOLDER"),
    ({"resume": True, "out": "none"}, "there is no checkpoint none/checkpoint.npz"),
    ({"init": "none"}, "there is no checkpoint none"),
    ({"backend": "numby"}, "unknown backend 'numby'; did you mean 'numpy'"),
    ({"threads": 0}, "threads must be 1 or more"),
]


@pytest.mark.parametrize("given, message", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(away, given, message):
    assert message in refusal(fit, IMAGES, **{"progress": False, "threads": 1} | given)
    assert listing(away) == {}


def test_a_length_in_epochs_or_minutes(away):
    fit(IMAGES, epochs=2, out="a", batch_size=9, **TINY)
    images = checkpoints.load("a").data["fingerprint"]["images"]["train"]
    assert checkpoints.load("a").state["step"] == 2 * (images // 9)
    fit(IMAGES, minutes=1e-4, out="b", **TINY)
    state = checkpoints.load("b").state
    assert state["step"] >= 1 and state["seconds"] >= 6e-3 and checkpoints.load("b").experiment.train.minutes == 1e-4


def test_the_names_of_data_sets_are_those_of_the_command_line(away):
    assert "did you mean 'binarized_mnist'" in refusal(fit, "binarised_mnist", steps=3, **TINY)
    assert data.is_known("strokes")
