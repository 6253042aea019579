"""Checkpoints of earlier states of the program, kept in older/, and of later ones: read, or told in a line."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.checkpoints import header, refused, whole, write
from support.runs import run

from minidraw.training import checkpoints
from minidraw.training.checkpoints import FORMAT

pytestmark = pytest.mark.usefixtures("small_strokes")

# In the order of time: before networks had names; before glimpses grew; before data were known; version 0.2.0.
OLDER = sorted((Path(__file__).parent / "older").glob("*.npz"))
LACKING = {"1-no-network": "network", "2-sums": "glimpses", "3-glimpses": "data", "4-data": "machine"}


def test_each_is_of_another_shape():
    assert [path.stem for path in OLDER] == [*LACKING]
    for path, (_, lacks) in zip(OLDER, LACKING.items(), strict=True):
        with np.load(path) as file:
            told = json.loads(file["header"].tobytes())
        assert told["format"] == FORMAT and lacks not in told and lacks not in told["state"]
        assert path.stat().st_size < 20_000


@pytest.mark.parametrize("path", OLDER, ids=lambda path: path.stem)
def test_it_is_read_draws_and_is_measured(path, capsys):
    checkpoint = checkpoints.load(path)
    assert checkpoint.experiment.network == "draw" and checkpoint.state["step"] == 6
    assert checkpoint.network(threads=1).draw(2, seed=1).frames.shape == (3, 2, 1, 28, 28)
    assert run("evaluate", path, "--threads=1") == 0
    assert "variational bound: " in capsys.readouterr().out


@pytest.mark.parametrize("path", OLDER, ids=lambda path: path.stem)
def test_it_goes_on(path, here, capsys):
    (here / "run").mkdir()
    shutil.copyfile(path, here / "run" / "checkpoint.npz")
    status = run("train", "--resume", "--out=run", "--steps=9", "--threads=1")
    if path.stem == "1-no-network":  # its state had another shape, which no version has read since
        assert (
            status == 2
            and "does not tell where its run stands and cannot be trained further" in capsys.readouterr().err
        )
        assert run("train", f"--init={path}", "--steps=3", "--batch-size=8", "--out=next", "--threads=1") == 0
        return
    assert status == 0 and "last digits" not in capsys.readouterr().err
    after = checkpoints.load("run")
    assert after.state["step"] == 9 and after.machine["threads"] == 1 and after.data["fingerprint"]


def test_one_of_a_later_format_is_not_called_damaged(tmp_path):
    for later in ("minidraw 2", "minidraw 10"):
        write(tmp_path / "a.npz", header() | {"format": later, "model": "of another shape"})
        line = refused(tmp_path / "a.npz", f"was made by a later minidraw than this one: its format is '{later}'")
        assert line.endswith("update minidraw")


@pytest.mark.parametrize(
    "wrong", ["minidraw 0", "minidraw 01", "minidraw", "minidraw 1.5", "drawmini 2", " 2", 2, None]
)
def test_one_of_no_format_is(tmp_path, wrong):
    write(tmp_path / "a.npz", header() | {"format": wrong})
    refused(tmp_path / "a.npz", "is not a whole checkpoint of minidraw: its format is not 'minidraw 1'")


@pytest.mark.parametrize("part", ["model", "train"])
def test_one_with_settings_of_a_later_version(tmp_path, part):
    told = header()
    told[part]["brush"] = 3
    write(tmp_path / "a.npz", told)
    refused(tmp_path / "a.npz", "was made by a later minidraw than this one: it has the setting 'brush'")
    write(tmp_path / "a.npz", header() | {"network": "paint"})
    refused(tmp_path / "a.npz", "was made by a later minidraw than this one: it holds a network 'paint'")


def test_one_that_tells_more_is_read(tmp_path):
    """So that what a later version adds beside the settings does not make it unreadable here."""
    write(tmp_path / "a.npz", header() | {"later": 1, "machine": ["no", "object"]})
    found = checkpoints.load(tmp_path / "a.npz")
    assert found.machine == {} and found.experiment == whole().experiment
    checkpoints.save(tmp_path / "b.npz", dataclasses.replace(found, machine={"threads": 3}))
    assert checkpoints.load(tmp_path / "b.npz").machine == {"threads": 3}
