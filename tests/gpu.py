"""The cupy backend with kernels and cuBLAS on the stand-in: a fixture for the tests of models and of runs."""

import sys

import pytest
import strictcuda

from minidraw import backend
from minidraw.cuda import blas

THREADS = 64  # a block; a CPU runs them one after another


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
