"""Fields of a request: numbers, texts and files that are fit, and one line for what is not."""

import pytest

from minidraw import UserError
from minidraw.play.asked import Asked


def test_numbers_of_a_request():
    asked = Asked({"a": 2.0, "b": "x", "c": None, "d": float("nan"), "e": 10**400, "f": 1e300, "g": 0, "h": 2.5})
    assert asked.whole("a", 1, 3) == 2 and asked.number("a", 0, 9) == 2.0 and asked.whole("c", 0, 9, 7) == 7
    assert asked.number("h", 2.5, 2.5) == 2.5 and asked.flag("z", True) and asked.text("b") == "x"
    assert "a" in asked and "c" not in asked and "z" not in asked
    for refuse in (
        lambda: asked.whole("b", 0, 9),
        lambda: asked.whole("h", 0, 9),
        lambda: asked.whole("e", 0, 9),
        lambda: asked.whole("z", 0, 9),
        lambda: asked.number("d", -1e9, 1e9),
        lambda: asked.number("e", -1e9, 1e9),
        lambda: asked.number("f", -1e9, 1e9),
        lambda: asked.flag("g"),
        lambda: asked.text("a"),
        lambda: asked.child("a"),
    ):
        with pytest.raises(UserError):
            refuse()
