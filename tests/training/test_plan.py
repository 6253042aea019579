"""What a run is when little is said about it: settings by the number of images, and that said."""

import json
import sys

import numpy as np
import pytest
from support.pictures import fill
from support.runs import PACE, SIZES, run

from minidraw.data import from_arrays, load
from minidraw.presets import of_few
from minidraw.training import checkpoints
from minidraw.training.plan import Plan

pytestmark = pytest.mark.usefixtures("small_strokes")

TINY = [f"--set={name}={value}" for name, value in (SIZES | PACE).items() if name != "warmup"] + ["--threads=1"]


def test_a_run_on_few_pictures_has_small_batches_and_says_so(here, capsys):
    fill(here / "pictures", 60)
    assert run("train", "--data=folder:pictures", "--steps=20", "--out=a", *TINY) == 0
    err = capsys.readouterr().err
    train = checkpoints.load("a").experiment.train
    assert (train.batch_size, train.warmup) == (16, 2)
    images = checkpoints.load("a").data["fingerprint"]["images"]["train"]
    lines = [f"batches of 16, for {images} training images (batch_size)"]
    lines += ["the learning rate rises over 2 updates, for so short a run (warmup)"]
    lines += ["60 images are few: expect drawings much like them"]
    assert [line for line in err.splitlines() if line in lines] == lines
    assert set(lines) <= {*json.loads((here / "a" / "config.json").read_text())["images"]["remarks"]}
    assert run("train", "--resume", "--out=a", "--steps=40", "--threads=1") == 0
    train = checkpoints.load("a").experiment.train
    assert (train.batch_size, train.warmup, train.steps) == (16, 2, 40), "a resumed run keeps its settings"


def test_what_is_said_is_not_chosen(here, capsys):
    fill(here / "pictures", 60)
    more = ["--batch-size=9", "--set=warmup=7", "--minutes=0.001"]
    assert run("train", "--data=folder:pictures", "--out=a", *more, *TINY) == 0
    train = checkpoints.load("a").experiment.train
    assert (train.batch_size, train.warmup) == (9, 7)
    capsys.readouterr()
    assert run("train", "--data=folder:pictures", "--batch-size=100", "--steps=2", *TINY) == 2
    assert "batch_size 100 is more than the 4" in capsys.readouterr().err


@pytest.mark.parametrize("epochs, steps", [(1, 5), (2, 10), (0.5, 2), (0.74, 4), (0.01, 1), (1.3, 6), (1.31, 7)])
def test_epochs_are_the_nearest_number_of_updates(epochs, steps):
    plan = Plan("strokes", {"batch_size": 8}, epochs=epochs)  # 45 images: five whole batches
    experiment, _ = plan.suited(plan.experiment(), load("strokes"))
    assert experiment.train.steps == steps


def settings(data, preset=None, **changes):
    """Return batch size, warm-up, and whether something was said of them, of a run of a minute."""
    plan = Plan(preset, {"minutes": 1.0} | changes)
    experiment, remarks = plan.suited(plan.experiment(), data)
    return experiment.train.batch_size, experiment.train.warmup, bool(remarks)


def test_only_images_of_somebody_s_own_change_the_settings():
    images = np.random.default_rng(0).integers(0, 256, (160, 9, 8), np.uint8)
    assert settings(from_arrays(images)) == (16, 20, True)
    assert settings(from_arrays(images), "strokes") == settings(load("strokes")) == (100, 100, False)


def test_a_preset_keeps_its_batches_unless_there_are_not_as_many_images():
    images = np.random.default_rng(0).integers(0, 256, (80, 28, 28), np.uint8)
    own = from_arrays(images, np.arange(80) % 2)
    assert settings(own, "strokes") == settings(own, "cluttered") == (16, 20, True)
    assert settings(own, "strokes", batch_size=90, warmup=3) == (90, 3, True), "it is refused, not changed"
    plan = Plan("mnist", {})
    experiment, remarks = plan.suited(plan.experiment(), own)
    assert experiment.train.glimpse_warmup == 0.5, "the preset's"
    assert remarks == [f"batches of 16, for {len(own.train)} training images (batch_size)", *of_few(80, 28)]
    plan = Plan("cluttered", {})
    assert plan.suited(plan.experiment(), own)[1] == remarks[:1], "a classifier draws nothing"
    known = load("strokes")  # 45 images of it, here
    assert settings(known, "strokes") == (100, 100, False)


def test_a_preset_s_batches_are_made_smaller_for_a_folder(here, capsys):
    fill(here / "pictures", 60)
    assert run("train", "strokes", "--data=folder:pictures", "--steps=20", "--out=a", *TINY) == 0
    assert checkpoints.load("a").experiment.train.batch_size == 16
    assert "batches of 16, for " in capsys.readouterr().err


def test_on_a_terminal_it_is_said_at_once_what_takes_seconds(here, capsys, monkeypatch):
    assert run("train", "--steps=2", "--batch-size=8", "--out=a", *TINY) == 0
    assert "preparing" not in capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert run("train", "--steps=2", "--batch-size=8", "--out=b", *TINY) == 0
    assert capsys.readouterr().err.startswith("preparing strokes\n")
