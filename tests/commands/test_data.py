"""python -m minidraw.data: what a data set is, without training on it."""

import numpy as np
import pytest
from PIL import Image
from support.pictures import fill
from support.runs import run

pytestmark = pytest.mark.usefixtures("small_strokes")


def test_a_folder_is_shown(tmp_path, capsys):
    fill(tmp_path / "a", 70, mode="L")
    (tmp_path / "a" / "notes.txt").touch()
    assert run("data", f"folder:{tmp_path / 'a'}", "--out", tmp_path / "seen.png") == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"70 images of {tmp_path / 'a'}, 9 x 7 pixels, channels: 1"
    assert [line.partition(":")[0] for line in out[1:]] == [
        "training", "validation", "test", "left out", str(tmp_path / "seen.png")
    ]  # fmt: skip
    with Image.open(tmp_path / "seen.png") as picture:
        assert picture.info["Description"].endswith("training images") and np.ptp(np.asarray(picture)) > 200


def test_a_data_set_by_name(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("data", "strokes", "--seed", 3) == 0
    out = capsys.readouterr().out
    assert "with seed 3" in out and "training: 45 images, 28x28, grey" in out and "labels: 0 (" in out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["stroks"], "did you mean 'strokes'?"),
        (["folder:nowhere"], "there is no "),
        (["strokes", "--out", "a.gif"], "--out must end in .png: a.gif"),
        ([], "the following arguments are required: name"),
    ],
)
def test_mistakes(tmp_path, capsys, monkeypatch, arguments, reason):
    monkeypatch.chdir(tmp_path)
    assert run("data", *arguments) == 2
    assert reason in capsys.readouterr().err and not list(tmp_path.iterdir())
