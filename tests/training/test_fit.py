"""`fit`: from arrays in memory to a network, in a program."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from support.files import refusal
from support.runs import PACE, SIZES, assert_same_run, listing, options, run

from minidraw import data, train
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
    assert tuple(checkpoints.load("cats").data["classes"]) == network.class_names == ("cat", "dog", "ox")
    assert set(network.predict(IMAGES[:, None] / 255)) <= {0, 1, 2}
    network.save("mine.npz")
    assert RAM.load("mine.npz").class_names == ("cat", "dog", "ox")
    of_objects = fit(IMAGES, names.astype(object), preset="cluttered", batch_size=10, steps=4, **small)
    assert np.array_equal(of_objects.flat_params, network.flat_params) and of_objects.class_names == network.class_names
    assert isinstance(fit(IMAGES, names, steps=2, **TINY), DRAW), "labels do not matter to one that draws"
    assert "learns from labels" in refusal(fit, IMAGES, preset="cluttered", batch_size=10, steps=4, **small)
    told = refusal(fit, IMAGES, RNG.random(60), preset="cluttered", batch_size=10, steps=4, **small)
    assert "no labels for training and validation (labels are left out: of type float64)" in told


def test_a_classifier_of_few_images_needs_no_batch_size(away, capsys):
    fit(IMAGES, LABELS, preset="cluttered", steps=4, out="a", glimpses=2, read_size=3, hidden_size=8, threads=1)
    assert checkpoints.load("a").experiment.train.batch_size == 16
    err = capsys.readouterr().err
    assert "batches of 16, for " in err and "expect drawings" not in err


def test_a_resumed_run_keeps_its_seed(away):
    """And by it a named set that is made by the seed."""
    small = TINY | {"batch_size": 8}
    whole = fit("strokes", steps=6, seed=7, out="whole", **small)
    fit("strokes", steps=3, seed=7, out="a", **small)
    again = fit("strokes", steps=6, out="a", resume=True, threads=1, progress=False)
    assert again.config == whole.config and checkpoints.load("a").state["step"] == 6
    assert checkpoints.load("a").data["fingerprint"] == checkpoints.load("whole").data["fingerprint"]


def test_a_resumed_run_takes_no_preset(away):
    fit(IMAGES, preset="strokes", steps=3, out="a", **TINY)
    before = listing(away)
    for preset in ("strokes", "cluttered", "nonsense"):
        told = refusal(fit, IMAGES, preset=preset, steps=6, out="a", resume=True, threads=1)
        assert "a resumed run keeps its settings: leave preset out" in told
    assert listing(away) == before


def test_a_complete_run_says_so(away, capsys):
    for again in ({}, {"resume": True}):
        network = fit(IMAGES, steps=6, out="run", **TINY | {"progress": True}, **again)
    assert (
        "this run is complete already (6 steps); to go on, give it more steps or minutes\n" in capsys.readouterr().err
    )
    noise = np.zeros((network.config.glimpses, 2, network.config.latent_size))
    with ThreadPoolExecutor(1) as pool:  # the gradients of a run that is over are nobody's
        pool.submit(fit(IMAGES, steps=2, **TINY).loss_and_grads, IMAGES[:2, None] / 255, noise).result()


def test_a_run_of_arrays_goes_on_from_the_command_line_with_the_same_images_in_a_file(away):
    fit(IMAGES, steps=6, out="run", **TINY)
    np.save("same.npy", IMAGES)
    np.save("other.npy", IMAGES[:, ::-1])
    resume = ["--resume", "--out", "run", "--threads", "1", "--steps", "9"]
    assert "name a data set with --data" in refusal(train.main, resume)
    assert "are not those that this run was trained on" in refusal(train.main, [*resume, "--data", "folder:other.npy"])
    assert train.main([*resume, "--data", "folder:same.npy"]) == 0
    assert checkpoints.load("run").state["step"] == 9


def test_ctrl_c_says_what_to_leave_out(away, monkeypatch):
    stop_at(2, monkeypatch)
    with pytest.raises(KeyboardInterrupt, match=r"fit\(\.\.\., out='a', resume=True\) goes on, without preset=$"):
        fit(IMAGES, preset="strokes", steps=9, out="a", **TINY)


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
    ({"enc_size": 0}, "enc_size must be a whole number of 1 or more"),
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
    ({"threads": 0}, "threads must be a whole number of 1 or more, not 0"),
    ({"threads": "2"}, "threads must be a whole number of 1 or more, not '2'"),
    ({"threads": True}, "threads must be a whole number of 1 or more, not True"),
    ({"threads": 1.5}, "threads must be a whole number of 1 or more, not 1.5"),
    ({"backend": None}, "backend is the name of one: numpy, cupy or auto, not None"),
    ({"preset": 3}, "preset is the name of one, not 3"),
    ({"preset": ""}, "preset is the name of one, not ''"),
    ({"minutes": "6"}, "minutes must be a finite number of more than 0, not '6'"),
    ({"minutes": True}, "minutes must be a finite number of more than 0, not True"),
    ({"epochs": [3]}, "epochs must be a finite number of more than 0, not [3]"),
    ({"steps": "5"}, "steps must be of type int, not '5'"),
    ({"seed": "x"}, "seed must be of type int, not 'x'"),
    ({"init": 3}, "a network to start from is a checkpoint's path or name, or a Network, not 3"),
    ({"out": 3}, "out is the path of the run's folder, not 3"),
    ({"out": ""}, "out is the path of the run's folder, not ''"),
    ({"out": b"a"}, "out is the path of the run's folder, not b'a'"),
    ({"labels": 3}, "there are labels ()"),
    ({"valid": "x"}, "valid takes an array of images"),
    ({"batch_size": "8"}, "batch_size must be of type int, not '8'"),
    ({"image_shape": 12}, "image_shape must be three integers"),
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
