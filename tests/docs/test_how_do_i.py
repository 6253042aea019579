"""docs/how-do-i.md does what it says, docs/api.md is that of the docstrings."""

import re
from pathlib import Path

import numpy as np
import pytest

import minidraw
from minidraw.data import strokes
from tools import api_page

ROOT = Path(__file__).parents[2]
RECIPES = (ROOT / "docs" / "how-do-i.md").read_text(encoding="utf-8")


def test_the_recipes_work(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINIDRAW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(strokes, "STROKES", (200, 20, 20))
    code = "\n".join(re.findall(r"```python\n(.*?)```", RECIPES, re.DOTALL))
    code, shortened = re.subn(r"minutes=(\d)", r"steps=\1", code)
    assert shortened == 5 and code.count("minidraw.fit(") == 5
    names = {}
    exec(compile(code, "how-do-i.md", "exec"), names)
    written = {path.name for path in tmp_path.iterdir()} - {"cache"}
    assert written == {"again.gif", "digits.gif", "mine.gif", "other.npz", "runs"}
    assert names["other"].config.glimpses == 24 and isinstance(names["classifier"], minidraw.RAM)
    assert np.isfinite(names["loss"].total) and len(names["sheets"]) == 8


def test_the_page_of_the_interface_is_that_of_the_docstrings(tmp_path):
    """If this fails: python -m tools.api_page"""
    assert api_page.main([str(tmp_path / "api.md")]) == 0
    assert (tmp_path / "api.md").read_text(encoding="utf-8") == api_page.PAGE.read_text(encoding="utf-8")


def test_what_is_no_page_is_not_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for wrong in (["--help"], ["a.md", "b.md"]):
        with pytest.raises(minidraw.UserError, match=r"usage: python -m tools\.api_page"):
            api_page.main(wrong)
    assert list(tmp_path.iterdir()) == []


def test_the_page_has_every_public_name():
    page = api_page.PAGE.read_text(encoding="utf-8")
    assert [name for name in minidraw.__all__ if not re.search(rf"^### .*\b{name}\b", page, re.MULTILINE)] == []
    for method in ("draw", "redraw", "loss_and_grads", "encode", "decode", "generate", "reconstruct"):
        assert f"DRAW.{method}(" in page
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = minidraw.nothing
    assert {*minidraw.__all__} <= {*dir(minidraw)}
