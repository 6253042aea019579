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
        ([], "name a data set, or --verify the cache"),
        (["strokes", "--verify"], "name a data set, or --verify the cache"),
        (["--out", "a.png", "--verify"], "name a data set, or --verify the cache"),
    ],
)
def test_mistakes(tmp_path, capsys, monkeypatch, arguments, reason):
    monkeypatch.chdir(tmp_path)
    assert run("data", *arguments) == 2
    assert reason in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_the_cache_is_verified(tmp_path, capsys, monkeypatch):
    """All of it is told, nothing is touched, and the status tells whether it is good."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("MINIDRAW_CACHE", str(cache))
    fill(tmp_path / "a", 20, mode="L")
    assert run("data", "--verify") == 0 and capsys.readouterr().out == f"{cache}: nothing is damaged\n"
    assert run("data", f"folder:{tmp_path / 'a'}") == 0
    capsys.readouterr()
    (array,) = cache.rglob("*.npy")
    other = array.parent / "other.txt"
    other.touch()
    assert run("data", "--verify") == 0
    told = capsys.readouterr().out.splitlines()
    assert {f"{array}: good", f"{other}: no checksum, not verified"} < {*told}
    assert told[-1] == f"{cache}: nothing is damaged"
    content = bytearray(array.read_bytes())
    content[300] ^= 1
    array.write_bytes(content)
    assert run("data", "--verify") == 1
    told = capsys.readouterr().out.splitlines()
    (damaged,) = (line for line in told if "DAMAGED" in line)
    assert damaged.startswith(f"{array}: DAMAGED, its array is not the one") and "delete it" in damaged
    assert told[-1] == f"{cache}: 1 damaged" and array.read_bytes() == content
