"""What a run is when little is said about it: settings by the number of images, and that said."""

import json
import sys

import numpy as np
import pytest
from support.pictures import fill
from support.runs import PACE, SIZES, run

from minidraw.data import from_arrays, load
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
    lines += [f"{images} training images are few: expect drawings much like them"]
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
    assert run("train", "strokes", "--data=folder:pictures", "--steps=2", *TINY) == 2
    assert "batch_size 100 is more than the 4" in capsys.readouterr().err, "a preset is what its name says"


def test_only_images_of_somebody_s_own_change_the_settings():
    def settings(data, preset=None):
        plan = Plan(preset, {"minutes": 1.0})
        experiment, remarks = plan.suited(plan.experiment(), data)
        return experiment.train.batch_size, experiment.train.warmup, bool(remarks)

    images = np.random.default_rng(0).integers(0, 256, (80, 9, 8), np.uint8)
    assert settings(from_arrays(images)) == (16, 20, True)
    assert settings(from_arrays(images), "strokes") == settings(load("strokes")) == (100, 100, False)


def test_on_a_terminal_it_is_said_at_once_what_takes_seconds(here, capsys, monkeypatch):
    assert run("train", "--steps=2", "--batch-size=8", "--out=a", *TINY) == 0
    assert "preparing" not in capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert run("train", "--steps=2", "--batch-size=8", "--out=b", *TINY) == 0
    assert capsys.readouterr().err.startswith("preparing strokes\n")
