"""The figures of a run: what is nearest, where it stands, and what is written."""

import sys

import numpy as np
import pytest
from support.runs import classifier, run, trainer

from minidraw import UserError, data, figures
from minidraw.data import Images
from minidraw.pictures import looks
from minidraw.pictures.sheets import BAND, READING
from minidraw.pictures.writers import read_note


def test_nearest_is_what_a_plain_search_finds(monkeypatch):
    monkeypatch.setattr(looks, "CHUNK", 7)
    rng = np.random.default_rng(0)
    split = Images(rng.integers(0, 256, (33, 2, 3, 5), np.uint8))
    images = rng.random((6, 2, 3, 5), np.float32)
    everything = split.batch(np.arange(33))
    expected = [everything[np.argmin([((image - other) ** 2).sum() for other in everything])] for image in images]
    np.testing.assert_array_equal(looks.nearest(images, split), expected)
    np.testing.assert_array_equal(looks.nearest(images, split, np.array([9])), everything[[9] * 6])


def test_the_nearest_stand_beside_the_last_column():
    split = Images(np.arange(0, 250, 10, dtype=np.uint8).reshape(25, 1, 1, 1))
    images = split.batch(np.arange(20)) + np.float32(0.001)
    grid = looks.beside_nearest(images, split, 10).reshape(2, 11)
    np.testing.assert_array_equal(grid[:, :-1].ravel(), images.ravel())
    np.testing.assert_array_equal(grid[:, -1], split.batch([9, 19]).ravel())


def test_curves_are_drawn_from_the_metrics(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is missing: pip install matplotlib")
    terms = {"reconstruction": 70.0, "latent_per_step": [2.0, 1.0], "latent": 3.0}
    lines = [{"step": 50 * k, "seconds": 1.0 * k, "loss": 80.0 + 100 / k, **terms} for k in range(1, 60)]
    lines += [{"step": 3000, "seconds": 60.0, "validation_loss": 82.0}]
    made = figures.plots(lines, "draw", tmp_path)
    assert [path.name for path in made] == ["curves.png", "glimpses.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 5000 for path in made)
    with pytest.raises(UserError, match="no line of training"):
        figures.plots(lines[-1:], "draw", tmp_path)


@pytest.mark.usefixtures("small_strokes")
@pytest.mark.parametrize("missing", ["matplotlib", "metrics.jsonl"])
def test_without_curves_the_pictures_are_there_and_a_line_says_what_is_missing(tmp_path, monkeypatch, capsys, missing):
    assert trainer(tmp_path / "run", steps=4).run()
    if missing == "matplotlib":
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        wanted = "they need matplotlib: pip install matplotlib"
    else:
        (tmp_path / "run" / "metrics.jsonl").unlink()
        wanted = "metrics.jsonl has no line of training yet"
    capsys.readouterr()
    assert run("figures", tmp_path / "run", "--rows=1", "--out", tmp_path / "out", "--threads=1") == 0
    told = capsys.readouterr()
    pictures = ["sheet.png", "sequence.png", "seen.png"]
    assert [line.rpartition("/")[2] for line in told.out.splitlines()] == pictures
    assert told.err.splitlines() == [f"curves are left out: {wanted}"]
    assert all((tmp_path / "out" / name).is_file() for name in pictures)


def test_the_figures_of_a_classifier(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is missing: pip install matplotlib")
    of = classifier(tmp_path / "run")
    assert of.run()
    with open(tmp_path / "run" / "metrics.jsonl", "a") as file:
        file.write("{")
    monkeypatch.setattr(data, "load", lambda *_, **__: of.data)
    monkeypatch.setattr(data, "is_known", lambda name: name == of.data.name)
    assert figures.main([str(tmp_path / "run"), "--out", str(tmp_path / "out"), "--threads=1"]) == 0
    told = capsys.readouterr()
    assert [line.rpartition("/")[2] for line in told.out.splitlines()] == ["seen.gif", "seen.png", "curves.png"]
    assert "1 lines of metrics.jsonl cannot be read" in told.err
    note = read_note((tmp_path / "out" / "seen.png").read_bytes())
    assert note.startswith("the answers are ") and note.endswith("the labels 0, 1, 1, 1, 1, 1"), note


def test_a_still_of_looks_has_the_box_above_what_is_seen(tmp_path):
    of = classifier(tmp_path)
    _, still, _ = looks.looks(of.model, of.data.valid, np.random.default_rng(0))
    T, side, gap = 2, 10 * 12, 2  # images of 12 pixels, shown large
    assert still.shape == (BAND + 2 * looks.LOOKS * (side + 2 * gap), T * (side + gap) + gap, 3)
    blue = (still[BAND:] == READING).all(axis=-1).reshape(2 * looks.LOOKS, -1).any(axis=1)
    assert blue[::2].all() and not blue[1::2].any()
