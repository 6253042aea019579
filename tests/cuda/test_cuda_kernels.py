"""The kernels of minidraw/cuda/kernels.cu, run on the CPU by cuda_shim.h, against their definitions in NumPy.

Every function is called by its usual name, once on the host and once on the stand-in for CuPy. The device's arrays lie
between numbers that spoil a sum that takes them and must be there afterwards. Sizes are pairwise different and no
multiples of a warp.
"""

import re
from pathlib import Path

import numpy as np
import pytest
from support import strictcuda
from support.strictcuda import COMPILER, ORDERS

from minidraw.backend import kernel_name
from minidraw.cuda import Device, blas, fused
from minidraw.model import attention, latent, likelihood, lstm, recurrence
from minidraw.model.config import LOG_LIMIT, DRAWConfig
from minidraw.model.recurrence import Trace
from minidraw.training.optim import LARGEST

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no g++, which compiles the kernels for the CPU")

T, B, Z, D, E, N, M = 3, 5, 7, 9, 11, 4, 6
LAST = T - 1  # the step that is tried: its arrays have a guard beside them
GUARD, GUARDED = 40, 54321.0  # how many numbers before and behind every array, and which
TOLERANCE = {"float32": 3e-6, "float64": 1e-13}  # relative to the norm of an array
GREY, COLOUR = (DRAWConfig(shape, T, N, M, E, D, Z) for shape in ((1, 13, 10), (3, 8, 35)))
WEIGHT = 0.3


def guarded(xp, dtype, blocks: list):
    """Return a trace's `alloc` on the device, with guards around every array; the whole is added to `blocks`."""

    def alloc(*shape):
        size = int(np.prod(shape))
        blocks.append(xp.empty(size + 2 * GUARD, dtype))
        blocks[-1][:GUARD] = blocks[-1][-GUARD:] = GUARDED
        return blocks[-1][GUARD : GUARD + size].reshape(shape)

    return alloc


class Case:
    """Two traces with the same content, one on the host and one on the device."""

    def __init__(self, config: DRAWConfig, dtype: str, xp):
        self.dtype, self.xp, self.blocks = np.dtype(dtype), xp, []
        self.rng, self.alloc = np.random.default_rng(0), guarded(xp, dtype, self.blocks)
        self.host = Trace(lambda *shape: np.full(shape, np.nan, dtype), config, B)
        self.device = Trace(self.alloc, config, B)

    def pair(self, *shape: int) -> tuple:
        """Return random numbers, on the host and on the device."""
        host = self.rng.standard_normal(shape).astype(self.dtype)
        device = self.alloc(*shape)
        device[...] = self.xp.asarray(host)
        return host, device

    def at(self, path: str) -> tuple:
        """Return an array, or a part, of both traces, by its names with dots between."""
        both = self.host, self.device
        for name in path.split(".") if path else ():
            both = tuple(getattr(one, name) for one in both)
        return both

    def step(self, path: str, t: int) -> tuple:
        """Return what an array of both traces has of step t."""
        return tuple(one[t] for one in self.at(path))

    def fill(self, *paths: str, scale: float = 1.0, shift=0.0) -> None:
        """Fill arrays of both traces with the same random numbers."""
        for path in paths:
            host, device = self.at(path)
            host[...] = scale * self.rng.standard_normal(host.shape) + shift
            device[...] = self.xp.asarray(host)

    def run(self, function, *arguments):
        """Call a function on either side; of a pair each gets its own. Compare and return the results, if any."""
        assert kernel_name(function) in fused.FUSED
        sides = [[a[side] if isinstance(a, tuple) else a for a in arguments] for side in (0, 1)]
        results = function(*sides[0], np), function(*sides[1], self.xp)
        if results[0] is not None:
            self.compare(results)
        return results

    def compare(self, *pairs) -> None:
        """Compare arrays, given as pairs or by their names in the traces, and look at what lies beside them."""
        for pair in pairs:
            host, device = self.at(pair) if isinstance(pair, str) else pair
            got, expected = device.get().astype(float), host.astype(float)
            assert got.shape == expected.shape
            error = np.linalg.norm(got - expected) / np.linalg.norm(expected)
            assert error <= TOLERANCE[self.dtype.name], f"{pair if isinstance(pair, str) else 'result'}: {error:.1e}"
        for block in self.blocks:
            ends = block.get()
            assert (ends[:GUARD] == GUARDED).all() and (ends[-GUARD:] == GUARDED).all(), "written beside an array"


@pytest.fixture
def xp(monkeypatch):
    monkeypatch.setattr(blas, "load", lambda cupy: strictcuda.HostBlas())
    device = Device(strictcuda.xp, "float32")
    device.kernels.threads = 64
    return device


@pytest.fixture(params=[(dtype, order) for dtype in TOLERANCE for order in ORDERS], ids="-".join)
def case(request, xp, monkeypatch):
    monkeypatch.setattr(strictcuda.Kernel, "order", request.param[1])
    return lambda config=GREY: Case(config, request.param[0], xp)


configs = pytest.mark.parametrize("config", [GREY, COLOUR], ids=["grey", "colour"])


def columns(pair: tuple, first: int, last: int) -> tuple:
    """Return some columns of two matrices."""
    return tuple(one[:, first:last] for one in pair)


@pytest.mark.parametrize("bias", ["shared", "of every row"])
def test_lstm(case, bias):
    case = case()
    W, b = case.pair(Z + D, 4 * D), case.pair(4 * D) if bias == "shared" else case.pair(B, 4 * D)
    case.fill("decoder.inputs", "decoder.cell")
    hidden = columns(case.step("decoder.inputs", T), Z, Z + D)
    case.run(lstm.lstm, case.at("decoder"), LAST, W, b, hidden)
    case.compare(hidden, case.step("decoder.gates", LAST), case.step("decoder.cell", T))
    case.fill("decoder.dcell", "decoder.dinputs")
    dhidden = columns(case.at("decoder.dinputs"), Z, Z + D)  # where the result is written
    case.run(lstm.lstm_backward, case.at("decoder"), LAST, W, dhidden)
    case.compare(case.step("decoder.gates", LAST), "decoder.dcell", "decoder.dinputs")


def test_sampling_and_divergence(case):
    case = case()
    W, b, h_enc, noise = case.pair(E, 2 * Z), case.pair(2 * Z), case.pair(B, E), case.pair(B, Z)
    case.fill("decoder.inputs")
    for t in range(T):
        z = columns(case.step("decoder.inputs", t), 0, Z)
        case.run(latent.sample, case.at("latent"), t, W, b, h_enc, noise, z)
    case.compare("latent.q", "latent.sigma", "decoder.inputs")
    case.run(latent.divergence, case.at("latent"))
    dz = columns(case.pair(B, Z + D), 0, Z)
    case.run(latent.sample_backward, case.at("latent"), LAST, W, noise, dz, WEIGHT)
    case.compare("latent.q")


@configs
@pytest.mark.parametrize("sure", [False, True])
def test_likelihood(case, config, sure):
    case = case(config)
    case.fill("images")
    case.fill("canvas", scale=200.0 if sure else 1.0)
    x = tuple(one[:, 0] for one in case.at("images"))
    mean = case.step("mean", T)
    case.run(likelihood.sigmoid, case.at("canvas"), mean)
    case.run(likelihood.reconstruction, x, case.at("canvas"))
    case.run(likelihood.reconstruction_backward, x, mean, WEIGHT, case.at("dcanvas"))
    case.compare("dcanvas")


@configs
def test_error_image(case, config):
    case = case(config)
    case.fill("images", "mean", "dcanvas")
    case.run(recurrence.error_image, case.at(""), T)
    case.compare("images")
    P = case.host.canvas.shape[1]
    derror = columns(case.pair(B, P + 3), 2, P + 2)
    case.run(recurrence.error_image_backward, case.at(""), T, derror)
    case.compare("dcanvas")


WINDOWS = {
    "inside": [0.0, 0.0, 0.0, 0.0, 0.0],
    "far outside": [60.0, -70.0, 1.0, 0.5, 0.3],
    "narrow": [0.2, -0.1, -7.0, -1.0, 0.1],
    "small beyond the end": [0.1, -0.1, -60.0, -60.0, 0.1],
    "large beyond the end": [0.1, -0.1, 60.0, 0.1, 60.0],
}
windows = pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)


@configs
@windows
@pytest.mark.parametrize("images", ["", "derror"], ids=["to the window", "to the images"])
@pytest.mark.parametrize("staged", [True, False])
def test_reading(case, config, window, images, staged, monkeypatch):
    monkeypatch.setattr(fused, "MOST_SHARED", fused.MOST_SHARED if staged else 0)
    case = case(config)
    C, H, W = config.image_shape
    R = 2 * C * N * N
    case.fill("images", "encoder.inputs", "derror")
    case.fill("read.window", scale=0.3, shift=window)
    seen = tuple(one.reshape(B, 2 * C, H, W) for one in case.at("images"))
    glimpse = columns(case.step("encoder.inputs", LAST), 0, R)
    case.run(attention.read, case.at("read"), LAST, seen, glimpse)
    parts = ("read.window", "read.x.F", "read.y.F", "read.columns")
    case.compare(glimpse, *(case.step(name, LAST) for name in parts))
    dglimpse = columns(case.pair(B, R + 5), 3, R + 3)
    dimages = tuple(one.reshape(B, C, H, W) for one in case.at(images)) if images else None
    case.run(attention.read_backward, case.at("read"), LAST, seen, glimpse, dglimpse, dimages)
    case.compare(case.step("read.dwindow", LAST), "derror")


@configs
@windows
def test_writing(case, config, window):
    case = case(config)
    C, H, W = config.image_shape
    case.fill("write.patch", "dcanvas")
    case.fill("write.window", scale=0.3, shift=window)
    written, dwritten = (tuple(one.reshape(B, C, H, W) for one in case.at(name)) for name in ("written", "dcanvas"))
    case.run(attention.write, case.at("write"), LAST, written)
    parts = ("write.window", "write.x.F", "write.y.F", "write.scaled")
    case.compare("written", *(case.step(name, LAST) for name in parts))
    case.run(attention.write_backward, case.at("write"), LAST, dwritten)
    case.compare(case.step("write.dwindow", LAST), case.step("write.patch", LAST))


@pytest.mark.parametrize("clip, taken", [(3.0, 1), (0.0, 0), (1e20, 0)])
def test_a_gradient_whose_squares_alone_overflow(xp, clip, taken):
    """Float has no such squares: they are added in double, and Adam takes the gradient if it is clipped."""
    kernels = xp.kernels
    grads, squares = xp.asarray(np.full(1000, 1e30, np.float32)), xp.empty(8, np.float64)
    kernels.blocks("squares", 8, grads, squares, np.int64(1000), shared=kernels.warps() * 8)
    assert squares.get().sum() == pytest.approx(1e63, rel=1e-6)
    counts, sums, verdict = xp.asarray(np.zeros(5, np.int64)), xp.zeros(2), xp.zeros(5, np.float32)
    given = xp.asarray(np.ones(1, np.float32)), 1, squares, 8, xp.asarray(np.array([0.01], np.float32))
    settings = [np.float64(x) for x in (0.9, 0.99, 1e-8, 0.999, clip)]
    kernels.blocks("decide", 1, *given, counts, sums, verdict, *settings, shared=kernels.warps() * 8)
    assert verdict.get()[0] == taken and counts.get().tolist() == [1, taken, 1 - taken, 1 - taken, taken]
    assert sums.get()[0] == pytest.approx(taken * 1e63**0.5, rel=1e-6)


@pytest.mark.parametrize("name", fused.FUSED)
def test_every_kernel_is_compared_here_with_its_definition(name):
    assert re.search(rf"case\.run\({re.escape(name)},", Path(__file__).read_text())


def test_limits_are_those_of_the_definitions():
    text = (Path(blas.__file__).parent / "kernels.cu").read_text(encoding="utf-8")
    assert f"log_limit() {{ return {LOG_LIMIT:g}; }}" in text and f"<= {LARGEST:g};".replace("e+", "e") in text, (
        "or they were changed in one place alone"
    )
