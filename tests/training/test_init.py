"""Runs that start from another network's parameters: --init and init=."""

import dataclasses
import json

import numpy as np
import pytest
from support.files import refusal
from support.runs import PACE, SIZES, listing, run

from minidraw import data, train
from minidraw.data import from_arrays, mean_image
from minidraw.model.draw import DRAW, DRAWConfig
from minidraw.model.ram import RAM, RAMConfig
from minidraw.training import checkpoints
from minidraw.training.fit import fit
from minidraw.training.measure import mean_logits
from minidraw.training.plan import Init, Plan

pytestmark = pytest.mark.usefixtures("small_strokes")

RNG = np.random.default_rng(3)
FACES = RNG.integers(0, 256, (60, 28, 28), np.uint8) // 4 + np.uint8(190)  # light, where strokes are dark
QUICK = PACE | {"threads": 1, "progress": False}


def begun(given, data, preset=None, **changes):
    """Return the trainer of a run that starts from `given`, before its first update."""
    plan = Plan(preset, changes, init=Init(given))
    return plan.trainer(plan.experiment(), data, threads=1)


@pytest.fixture(scope="module")
def faces():
    return from_arrays(FACES)


def test_the_averaged_parameters_are_taken_and_all_else_begins_anew(trained, faces):
    average, of = checkpoints.load(trained).vectors["average"], begun(trained, faces)
    canvas = of.model.params["canvas0"]
    np.testing.assert_array_equal(of.model.flat_params[: -canvas.size], average[: -canvas.size])
    np.testing.assert_array_equal(of.adam.average, of.model.flat_params)
    assert of.state.step == of.adam.updates == 0 and not of.adam.mean.any() and not of.adam.square.any()
    assert of.experiment.train.steps == 5000 and of.experiment.train.glimpse_warmup == 0, "the preset's, but for growth"
    assert dataclasses.replace(of.experiment.model) == checkpoints.load(trained).experiment.model


def test_the_canvas_is_kept_where_it_is_better_than_the_mean_image(faces):
    strokes = data.load("strokes")
    network = DRAW(DRAWConfig((1, 28, 28), **SIZES), threads=1)
    network.params["patch.W"][:] = 0.0  # it draws nothing on its canvas
    mean = np.clip(mean_image(strokes.train).ravel(), 1e-5, 1 - 1e-5)
    network.params["canvas0"][:] = np.log(mean / (1 - mean))  # darker at the border than training begins with
    kept = begun(network, strokes, batch_size=8).model.params["canvas0"]
    np.testing.assert_array_equal(kept, network.params["canvas0"])
    other = begun(network, faces).model.params["canvas0"]
    np.testing.assert_allclose(other, mean_logits(faces.train), rtol=1e-6)


def test_more_glimpses_and_settings_of_the_run(trained, faces):
    of = begun(trained, faces, glimpses=9, glimpse_warmup=0.5, steps=7)
    assert (of.model.config.glimpses, of.experiment.model.glimpses, of.experiment.train.steps) == (4, 9, 7)
    assert begun(trained, faces, glimpses=9).model.config.glimpses == 9


def test_a_network_in_memory_and_one_that_comes_with_the_package(trained, faces):
    network = checkpoints.load(trained).network(threads=1)
    before = network.flat_params.copy()
    model = fit(FACES, init=network, steps=2, **QUICK)
    assert model is not network and np.array_equal(network.flat_params, before)
    np.testing.assert_array_equal(fit(FACES, init=trained, steps=2, **QUICK).flat_params, model.flat_params)
    name = "mnist-small"
    assert begun(name, faces).experiment.model == checkpoints.load(name).experiment.model
    assert Plan(None, {}, init=Init(name)).experiment().train.data == "binarized_mnist"
    assert Plan("strokes", {}, init=Init(name)).experiment().train.data == "strokes"


def test_what_does_not_fit_is_named(trained, faces):
    smaller = from_arrays(FACES[:, :20, :18])
    told = refusal(begun, trained, smaller)
    assert f"this run cannot start from {trained}: canvas0 is (784,) there, but (360,) here" in told
    assert "images of (1, 28, 28), here (1, 20, 18)" in told and "'?size=28x28&grey=1'" in told
    told = refusal(begun, trained, faces, enc_size=9, latent_size=4, glimpses=9)
    assert "encoder.W is (21, 28) there, but (23, 36) here (it has enc_size=7, here 9; latent_size=5, here 4)" in told
    assert "encoder.W is (21, 28) there, but " in refusal(begun, trained, faces, preset="strokes")
    told = refusal(begun, DRAW(DRAWConfig((1, 28, 28), read_size=None)), faces, preset="strokes")
    assert "this run cannot start from a network in memory: encoder.W is" in told
    without = DRAW(DRAWConfig((1, 28, 28), **SIZES | {"write_size": None}), threads=1)
    assert "patch.W is (6, 784) there, but (6, 16) here" in refusal(begun, without, faces, write_size=4)


def test_a_classifier(faces):
    config = RAMConfig((1, 28, 28), glimpses=2, read_size=3, hidden_size=8, classes=3)
    labelled = from_arrays(FACES, np.arange(60) % 3)
    of = begun(RAM(config, threads=1, seed=5), labelled, batch_size=10)
    np.testing.assert_array_equal(of.model.flat_params, RAM(config, threads=1, seed=5).flat_params)
    assert of.experiment.network == "ram" and of.experiment.train.learning_rate == 2e-3
    two = from_arrays(FACES, np.arange(60) % 2)
    assert "softmax.W is (8, 3) there, but (8, 2) here" in refusal(begun, RAM(config, threads=1), two)
    told = refusal(begun, RAM(config, threads=1), faces, preset="strokes")
    assert told.endswith("cannot start from a network in memory: it is RAM, this is DRAW")


def test_the_command_line(here, trained, capsys):
    arguments = ["--steps=3", "--threads=1", "--batch-size=8", "--set=checkpoint_every=2", "--out=on"]
    assert run("train", "--init", trained, *arguments) == 0
    assert checkpoints.load("on").experiment.model == checkpoints.load(trained).experiment.model
    assert checkpoints.load("on").experiment.train.data == "strokes", "the data of the run that it starts from"
    assert json.loads((here / "on" / "config.json").read_text())["init"] == str(trained)
    assert run("train", "--resume", "--out=on", "--steps=5", "--threads=1") == 0
    assert json.loads((here / "on" / "config.json").read_text())["init"] == str(trained)
    before = listing(here)
    capsys.readouterr()
    assert run("train", "--resume", "--out=on", "--init", trained) == 2
    assert "a resumed run has its parameters: leave --init out" in capsys.readouterr().err
    assert run("train", "--init", "none") == 2
    assert "there is no checkpoint none" in capsys.readouterr().err
    assert run("train", "strokes", "--init", trained, "--threads=1") == 2
    assert f"cannot start from {trained}: encoder.W is (21, 28) there" in capsys.readouterr().err
    assert listing(here) == before, "a mistake leaves nothing"


def test_a_run_without_a_name_is_named_after_what_it_starts_from(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    quick = ["--data", "strokes", "--steps", "2", "--batch-size", "8", "--threads", "1"]
    for given in (trained, trained / "checkpoint.npz"):
        assert train.main(["--init", str(given), *quick]) == 0
    (tmp_path / "mine.npz").write_bytes((trained / "checkpoint.npz").read_bytes())
    assert train.main(["--init", "mine.npz", *quick]) == 0
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {f"from-{trained.name}", "from-run-2", "from-mine"}
