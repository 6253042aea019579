"""The pictures of the live page for the documents."""

import pytest
from PIL import Image

from minidraw.errors import UserError
from tools import screenshots


def test_every_picture_is_taken(browser, tmp_path, capsys):
    screenshots.main(["--out", str(tmp_path / "play")])
    for name in ("draw", "filterbank", "clutter"):
        path = tmp_path / "play" / f"{name}.png"
        with Image.open(path) as taken:
            assert taken.size == (1280, 800) and len(taken.getcolors(1 << 16)) > 200, name
        assert 20_000 < path.stat().st_size < 200_000
    assert capsys.readouterr().out.count("kB\n") == 3


def test_without_a_browser(monkeypatch, tmp_path):
    monkeypatch.setattr(screenshots, "found", lambda: None)
    with pytest.raises(UserError, match="none of chromium, "):
        screenshots.main(["--out", str(tmp_path / "play")])
    assert not (tmp_path / "play").exists()
