"""What the tests of documents and of the house are given."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def told(monkeypatch):
    """What setup.py tells setuptools."""
    setuptools = pytest.importorskip("setuptools", reason="setuptools is missing: pip install setuptools")
    options = {}
    monkeypatch.setattr(setuptools, "setup", lambda **given: options.update(given))
    monkeypatch.chdir(ROOT)
    runpy.run_path(str(ROOT / "setup.py"))
    return options
