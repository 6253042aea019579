"""Products by cuBLAS: how a matrix lies is told as the library wants it, and nothing is written beside a result.

A stand-in for the library takes the same arguments, by address, and multiplies matrices that lie in columns.
"""

import importlib.util
import itertools

import numpy as np
import pytest
from support import strictcuda
from support.strictcuda import HostBlas, Stream

from minidraw.cuda import Device, blas

M, K, N, S = 3, 4, 5, 2
LAYOUTS = {
    "rows": lambda x: x.copy(),
    "columns": lambda x: np.swapaxes(np.swapaxes(x, -1, -2).copy(), -1, -2),
    "columns of a wider matrix": lambda x: beside(x)[..., 2:-1],
    "rows of a taller matrix": lambda x: np.swapaxes(beside(np.swapaxes(x, -1, -2))[..., 2:-1], -1, -2),
}
SHAPES = [(M, K, N), (1, K, N), (M, 1, N), (M, K, 1), (1, 1, 1), (1, K, 1)]


def beside(x: np.ndarray) -> np.ndarray:
    """Return x between columns of NaN."""
    edges = [(0, 0)] * (x.ndim - 1) + [(2, 1)]
    return np.pad(x, edges, constant_values=np.nan)


@pytest.fixture
def library(monkeypatch):
    library = HostBlas()
    monkeypatch.setattr(blas, "load", lambda cupy: library)
    return library


@pytest.fixture(params=["float32", "tf32"])
def xp(request, library):
    return Device(strictcuda.xp, request.param)


def on_device(x: np.ndarray) -> strictcuda.Array:
    """Return an array as it lies."""
    return strictcuda.Array(x)


def check(xp, a, b, tolerance=1e-6) -> None:
    """Multiply into rows, and into columns of a wider matrix."""
    expected = np.matmul(a, b)
    for out in (np.full_like(expected, np.nan), beside(np.zeros_like(expected))):
        whole, out = out, out[..., 2:-1] if out.shape != expected.shape else out
        assert xp.matmul(on_device(a), on_device(b), out=on_device(out)) is not None
        assert np.abs(out - expected).max() <= tolerance * np.abs(expected).max()
        assert np.isnan(whole).sum() == whole.size - expected.size, "written beside the result"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("lie", list(itertools.product(LAYOUTS, LAYOUTS)), ids=" times ".join)
def test_every_layout(xp, dtype, lie):
    rng = np.random.default_rng(0)
    for m, k, n in SHAPES:
        a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
        check(xp, LAYOUTS[lie[0]](a), LAYOUTS[lie[1]](b))
        for stack in ((M, S), (S, M), (1, 1), (1, S), (S, 1)):  # matrices in each operand; two axes of them
            for one, other in ((stack[:1], stack[:1]), (stack[:1], ()), ((1,), stack[:1]), (stack, (stack[0], 1))):
                a = rng.standard_normal((*one, m, k)).astype(dtype)
                b = rng.standard_normal((*other, k, n)).astype(dtype)
                check(xp, LAYOUTS[lie[0]](a), LAYOUTS[lie[1]](b))


def test_the_precision_is_told_with_every_product(xp, library):
    a, b = xp.zeros((M, K), "f4"), xp.zeros((K, N), "f4")
    for one, other in ((a, b), (a[None], b[None]), (a.astype("f8"), b.astype("f8"))):
        xp.matmul(one, other)
    single = 77 if xp.precision == "tf32" else 68
    assert [call[-1] for call in library.calls] == [single, single, 70]


def test_a_handle_and_a_workspace_for_every_stream(xp, library):
    a, b, stream = xp.zeros((M, K), "f4"), xp.zeros((K, N), "f4"), Stream()
    for _ in range(2):
        xp.matmul(a, b)
        with stream:
            xp.matmul(a, b)
    assert len(library.handles) == 2
    assert [handle["stream"] for handle in library.handles.values()] == [0, stream.ptr]
    memories = {handle["workspace"][0] for handle in library.handles.values()}
    assert len(memories) == 2 and all(memory % 16 == 0 for memory in memories)


def test_what_cannot_be_multiplied(xp):
    a = xp.zeros((M, K), "f4")
    with pytest.raises(TypeError):
        xp.matmul(a, xp.zeros((K, N), "f8"), out=xp.zeros((M, N), "f4"))
    with pytest.raises(ValueError, match="no product"):
        xp.matmul(a, xp.zeros((M, N), "f4"), out=xp.zeros((M, N), "f4"))
    with pytest.raises(ValueError, match="neither rows nor columns"):
        xp.matmul(xp.zeros((2 * M, 2 * K), "f4")[::2, ::2], xp.zeros((K, N), "f4"), out=xp.zeros((M, N), "f4"))
    with pytest.raises(ValueError, match="rows of a product"):
        xp.matmul(a, xp.zeros((K, N), "f4"), out=xp.zeros((N, M), "f4").T)
    with pytest.raises(ValueError, match="3 matrices do not make 2 products"):
        xp.matmul(xp.zeros((2, M, K), "f4"), xp.zeros((3, K, N), "f4"), out=xp.zeros((2, M, N), "f4"))


def test_a_status_of_the_library_is_an_error(xp, library):
    library.cublasGemmEx = lambda *_: 13
    with pytest.raises(RuntimeError, match="cublasGemmEx returned status 13"):
        xp.matmul(xp.zeros((M, K), "f4"), xp.zeros((K, N), "f4"))


@pytest.mark.skipif(importlib.util.find_spec("cupy") is None, reason="no CuPy: pip install 'cupy-cuda13x[ctk]'")
def test_the_library_itself_has_these_functions():
    import cupy

    try:
        library = blas.load(cupy)
    except (ImportError, OSError, RuntimeError) as problem:
        pytest.skip(f"CuPy is here, but not cuBLAS: {str(problem).splitlines()[0]}")
    assert all(getattr(library, name).argtypes == types for name, types in blas.SIGNATURES.items())
