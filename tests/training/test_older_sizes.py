"""Runs on a folder that would now be read at another size: few pictures were once kept as large as they are."""

import numpy as np
import pytest
from support.pictures import fill
from support.runs import PACE, SIZES, options, run

from minidraw import data
from minidraw.data.folder import sizes
from minidraw.training import checkpoints
from minidraw.training.fit import fit

pytestmark = pytest.mark.usefixtures("small_strokes")

SHAPE = (3, 52, 56)
AGAIN = ("--resume", "--out=run", "--threads=1")


@pytest.fixture
def older(tmp_path, monkeypatch):
    """The folder of pictures of a run of an earlier state, `run`; nothing of it is left in the cache but its name."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "pictures"
    fill(folder, 60, size=(SHAPE[2], SHAPE[1]))
    with monkeypatch.context() as patch:
        patch.setattr(sizes, "FEW", 0)
        assert run("train", "--data=folder:pictures", *options(6, "run")) == 0
    for path in (tmp_path / "cache").rglob("*"):
        if path.is_file() and path.suffix != ".named":
            path.unlink()
    checkpoint = checkpoints.load("run")
    assert checkpoint.experiment.train.data == f"folder:{folder}" and checkpoint.experiment.model.image_shape == SHAPE
    assert data.load(f"folder:{folder}").train.shape != SHAPE
    return folder


def test_it_goes_on_and_is_measured_and_shown(older, capsys):
    assert run("evaluate", "run", "--threads=1") == 0
    assert run("reconstruct", "run", "-n=2", "--threads=1", "--out=a.npz") == 0
    assert np.load("a.npz")["originals"].shape == (2, *SHAPE)
    assert run("report", "run", "--draw", "--threads=1") == 0
    assert "is not what this network was trained on" not in capsys.readouterr().err
    assert run("train", *AGAIN, "--steps=9") == 0
    checkpoint = checkpoints.load("run")
    assert checkpoint.state["step"] == 9 and checkpoint.experiment.train.data == f"folder:{older}?size=56x52"
    assert run("train", *AGAIN, "--steps=12") == 0, "by that name it goes on too"


def test_it_goes_on_from_a_program(older):
    settings = {"out": "run", "resume": True, "threads": 1, "progress": False}
    assert fit(older, steps=9, **settings).config.image_shape == SHAPE


def test_its_folder_may_have_moved(older, capsys):
    moved = older.rename(older.with_name("moved"))
    assert run("evaluate", "run", "--data=folder:moved", "--threads=1") == 0
    assert "is not what this network was trained on" not in capsys.readouterr().err
    assert run("train", *AGAIN, "--steps=9", "--data=folder:moved") == 0
    assert checkpoints.load("run").experiment.train.data == f"folder:{moved}?size=56x52"


def test_other_pictures_are_told_of_all_the_same(older, capsys):
    fill(older, 61, size=(SHAPE[2], SHAPE[1]))
    assert run("evaluate", "run", "--threads=1") == 0
    assert "is not what this network was trained on: " in capsys.readouterr().err
    assert run("train", *AGAIN, "--steps=9") == 2
    assert "not those that this run was trained on (" in capsys.readouterr().err


def test_a_size_that_is_given_is_the_size(older, capsys):
    for asked, shape in (("size=20", "(3, 20, 20)"), ("grey=1", "(1, 30, 32)")):
        assert run("evaluate", "run", f"--data=folder:pictures?{asked}", "--threads=1") == 2
        assert f" are {shape}, but this network is for {SHAPE}" in capsys.readouterr().err
    assert data.load("folder:pictures?size=20", shape=SHAPE).train.shape == (3, 20, 20)
    assert data.load("folder:pictures", shape=(3, 2000, 30)).train.shape == (3, 30, 32), "a size nobody may ask for"
    wanted = data.load("folder:pictures", shape=SHAPE)
    asked = data.load("folder:pictures?size=56x52")
    assert (wanted.name, wanted.identity) == (asked.name, asked.identity)


def test_a_start_from_it_has_its_size(older):
    network = ["--threads=1", *(f"--set={name}={value}" for name, value in PACE.items())]
    assert run("train", "--init=run", "--steps=2", "--out=next", *network) == 0
    model = checkpoints.load("next").experiment.model
    assert model.image_shape == SHAPE and model.enc_size == SIZES["enc_size"]
