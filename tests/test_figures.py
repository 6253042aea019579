"""The figures of a run: what is nearest, where it stands, and what is written."""

import json

import numpy as np
import pytest

from minidraw import UserError, figures
from minidraw.data import Images


def test_nearest_is_what_a_plain_search_finds(monkeypatch):
    monkeypatch.setattr(figures, "CHUNK", 7)
    rng = np.random.default_rng(0)
    split = Images(rng.integers(0, 256, (33, 2, 3, 5), np.uint8))
    images = rng.random((6, 2, 3, 5), np.float32)
    everything = split.batch(np.arange(33))
    expected = [everything[np.argmin([((image - other) ** 2).sum() for other in everything])] for image in images]
    np.testing.assert_array_equal(figures.nearest(images, split), expected)


def test_the_nearest_stand_beside_the_last_column():
    split = Images(np.arange(0, 250, 10, dtype=np.uint8).reshape(25, 1, 1, 1))
    images = split.batch(np.arange(20)) + np.float32(0.001)
    grid = figures.beside_nearest(images, split).reshape(2, figures.COLUMNS + 1)
    np.testing.assert_array_equal(grid[:, :-1].ravel(), images.ravel())
    np.testing.assert_array_equal(grid[:, -1], split.batch([9, 19]).ravel())


def test_curves_are_drawn_from_the_metrics(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is missing: pip install 'minidraw[plots]'")
    terms = {"reconstruction": 70.0, "latent_per_step": [2.0, 1.0], "latent": 3.0}
    lines = [{"step": 50 * k, "loss": 80.0 + 100 / k, **terms} for k in range(1, 60)]
    lines += [{"step": 3000, "validation_loss": 82.0}]
    made = figures.curves(lines, tmp_path)
    assert [path.name for path in made] == ["curves.png", "glimpses.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 5000 for path in made)
    with pytest.raises(UserError, match="no line of training"):
        figures.curves(lines[-1:], tmp_path)


def test_damaged_lines_of_metrics_are_passed_over(tmp_path):
    path = tmp_path / "metrics.jsonl"
    whole = {"step": 1, "latent_per_step": [0.5, 0.25]}
    junk = [
        "[1]",
        "3",
        "{}",
        '{"step": "x"}',
        '{"step": NaN}',
        '{"step": [1, "x"]}',
        "[" * 100_000,
        "\xff",
        '{"step": 2, "lo',
    ]
    path.write_bytes("\n".join([junk[0], json.dumps(whole), *junk[1:]]).encode("latin-1"))
    assert figures.read_metrics(path) == [whole]
    with pytest.raises(UserError, match=r"cannot read .*: Is a directory"):
        figures.read_metrics(tmp_path)
