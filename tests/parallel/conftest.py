"""What the tests of workers and ranks are given."""

import pytest

from minidraw.parallel import ranks


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    """Let these tests not take themselves for ranks, wherever they run."""
    for name in sum(ranks.LAUNCHERS, ()):
        monkeypatch.delenv(name, raising=False)
