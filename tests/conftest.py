"""What the tests of several folders are given."""

import signal
import sys

import pytest
from support import browser as browsers
from support import strictcuda
from support.runs import STROKES, trainer

from minidraw import backend
from minidraw.cuda import blas
from minidraw.data import strokes

THREADS = 64  # a block of a kernel; a CPU runs them one after another

# `nohup`, or a job in a script's background, begins with signals ignored that tests send and wait for.
for name, usual in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
    if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is signal.SIG_IGN:
        signal.signal(getattr(signal, name), usual)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The folder of a tiny run, its attention small enough to see."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strokes, "STROKES", STROKES)
        folder = tmp_path_factory.mktemp("trained") / "run"
        of = trainer(folder, steps=20)
        for name in ("read", "write"):
            of.model.params[f"{name}.b"][3] = -1.0  # log delta: windows well inside the image
        of.adam.average[:] = of.model.flat_params
        of.run()
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch, trained):
    """An empty folder to work in, with the run beside it."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def small_strokes(monkeypatch, tmp_path):
    """Make `strokes` small, and keep the developer's data and cache out."""
    monkeypatch.setattr(strokes, "STROKES", STROKES)
    monkeypatch.delenv("MINIDRAW_DATA", raising=False)
    monkeypatch.setenv("MINIDRAW_OFFLINE", "1")
    monkeypatch.setenv("MINIDRAW_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def browser():
    """A headless browser, one for all tests."""
    if not browsers.found():
        pytest.skip(browsers.missing())
    with browsers.Browser() as opened:
        yield opened


@pytest.fixture
def gpu(monkeypatch):
    """Let `import cupy` give a stand-in that runs kernels, small blocks of them; return its cuBLAS."""
    if strictcuda.COMPILER is None:
        pytest.skip("no g++, which compiles the kernels for the CPU")
    library = strictcuda.HostBlas()
    backend.device.cache_clear()
    monkeypatch.setitem(sys.modules, "cupy", strictcuda.xp)
    monkeypatch.setattr(blas, "load", lambda cupy: library)
    monkeypatch.setattr("minidraw.cuda.kernels.THREADS", THREADS)
    yield library
    backend.device.cache_clear()
    strictcuda.settle()
