"""Attention: the filterbank, reading and writing, near the image, far outside it, with tiny and huge filters."""

import numpy as np
import pytest
from support import gradcheck, plain

from minidraw.model import reference
from minidraw.model.attention import (
    FilterTrace,
    ReadTrace,
    WriteTrace,
    faintest,
    filterbank,
    filterbank_backward,
    place,
    read,
    read_backward,
    write,
    write_backward,
)
from minidraw.model.config import LOG_LIMIT
from minidraw.model.windows import windows

T, B, C, H, W, N = 2, 6, 3, 5, 8, 4
S = 2 * C
t = 1  # the step that is taken; step 0 stays NaN

FAR = np.array(  # gX, gY, log sigma², log delta, log gamma
    [
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [30.0, -40.0, 1.0, 0.5, -1.0],  # 140 pixels to the right of the image and 120 above it
        [-2.0, 2.5, 5.0, 1.5, 2.0],
        [0.1, -0.2, -9.0, 0.1, 1.0],  # sigma of a hundredth of a pixel: every filter sees one pixel
        [0.3, 0.1, 14.0, -1.0, 0.0],  # sigma of a thousand pixels: every filter is a plain mean
        [1e4, -1e4, -9.0, 3.0, 0.0],
    ]
)

ENDS = np.array(  # some logarithms beyond where they end, and one of each that does not
    [
        [0.3, -0.2, -90.0, 0.1, 0.5],
        [0.3, -0.2, 95.0, 0.1, 0.5],
        [0.2, 0.1, 0.5, -100.0, 0.5],
        [0.1, -0.3, 0.5, -0.5, -95.0],
        [0.1, -0.3, 0.5, -0.5, 95.0],
        [0.1, -0.3, 300.0, -300.0, 300.0],
        [0.1, -0.3, -41.0, -39.0, -39.0],
        [0.1, -0.3, 39.0, -39.0, 39.0],
    ]
)


def identity(name: str) -> dict:
    """Return parameters under which eq. 21 hands h_dec through as the window's five numbers."""
    return {f"{name}.W": np.eye(5), f"{name}.b": np.zeros(5)}


class Filterbank(gradcheck.Part):
    """Both sides' filters from one window (B, 5): F_X (B, N, W) and F_Y (B, N, H)."""

    def run(self, window):
        traces = [FilterTrace(gradcheck.nans(window.dtype), T, B, A, N) for A in (W, H)]
        for axis, trace in enumerate(traces):
            filterbank(trace, t, window, max(H, W), axis, np)
        return traces

    def forward(self, window):
        return tuple(trace.F[t] for trace in self.run(window))

    def backward(self, cotangents, window):
        dwindow = np.zeros_like(window)
        for axis, trace in enumerate(self.run(window)):
            trace.dF[:] = cotangents[axis]
            filterbank_backward(trace, t, window, max(H, W), axis, dwindow, np)
        return {"window": dwindow}

    def reference(self, np, window):
        return reference.filters(identity("read"), "read", window, N, H, W, np)[:2]

    def plain(self, window):
        F_X, F_Y, _ = zip(*(plain.window(row, N, H, W) for row in window.tolist()), strict=True)
        return np.array(F_X), np.array(F_Y)


class Read(gradcheck.Part):
    """The glimpse (B, 2·C·N·N) of images and error images, both (B, C, H, W)."""

    def run(self, x, x_hat, window):
        trace = ReadTrace(gradcheck.nans(x.dtype), T, B, S, H, W, N)
        images, glimpse = np.concatenate([x, x_hat], axis=1), np.full((B, S * N * N), np.nan, x.dtype)
        trace.window[t] = window
        read(trace, t, images, glimpse, np)
        return trace, images, glimpse

    def forward(self, **arrays):
        return (self.run(**arrays)[2],)

    def backward(self, cotangents, **arrays):
        trace, images, glimpse = self.run(**arrays)
        dx_hat = np.full_like(arrays["x_hat"], np.nan)
        read_backward(trace, t, images, glimpse, cotangents[0], dx_hat, np)
        return {"x_hat": dx_hat, "window": trace.dwindow[t]}

    def reference(self, np, x, x_hat, window):
        return (reference.read(identity("read"), x, x_hat, window, N, np),)

    def plain(self, x, x_hat, window):
        both = np.concatenate([x, x_hat], axis=1).tolist()
        return (np.array([plain.read(images, out, N) for images, out in zip(both, window.tolist(), strict=True)]),)


class Write(gradcheck.Part):
    """What patches (B, C, N, N) put on a canvas (B, C, H, W)."""

    def run(self, patch, window):
        trace = WriteTrace(gradcheck.nans(patch.dtype), T, B, C, H, W, N)
        written = np.full((B, C, H, W), np.nan, patch.dtype)
        trace.window[t], trace.patch[t] = window, patch
        write(trace, t, written, np)
        return trace, written

    def forward(self, **arrays):
        return (self.run(**arrays)[1],)

    def backward(self, cotangents, **arrays):
        trace, _ = self.run(**arrays)
        write_backward(trace, t, cotangents[0], np)
        return {"patch": trace.patch[t], "window": trace.dwindow[t]}

    def reference(self, np, patch, window):
        size = C * N * N  # h_dec holds the window and the patch, and both are handed through
        h_dec = np.concatenate([window, np.reshape(patch, (B, size))], axis=1)
        weights = np.eye(5 + size)
        p = {"write.W": weights[:, :5], "write.b": np.zeros(5), "patch.W": weights[:, 5:], "patch.b": np.zeros(size)}
        return (reference.write(p, h_dec, N, (C, H, W), np),)

    def plain(self, patch, window):
        pairs = zip(patch.tolist(), window.tolist(), strict=True)
        return (np.array([plain.write(patches, out, H, W) for patches, out in pairs]),)


def make(kind, window=None):
    rng = np.random.default_rng(3)
    window = 0.5 * rng.standard_normal((B, 5)) if window is None else window.copy()
    x, x_hat, canvas = rng.standard_normal((3, B, C, H, W))
    if kind is Filterbank:
        return Filterbank({"window": window}, {}, (rng.standard_normal((B, N, W)), rng.standard_normal((B, N, H))))
    if kind is Read:
        return Read({"x_hat": x_hat, "window": window}, {"x": x}, (rng.standard_normal((B, S * N * N)),))
    return Write({"patch": rng.standard_normal((B, C, N, N)), "window": window}, {}, (canvas,))


PARTS = pytest.mark.parametrize("kind", [Filterbank, Read, Write])


@PARTS
@pytest.mark.parametrize("check", gradcheck.CHECKS)
def test_part(kind, check):
    check(make(kind))


@PARTS
@pytest.mark.parametrize("row", range(len(FAR)))
def test_windows_far_away_tiny_and_huge(kind, row):
    part = make(kind, np.tile(FAR[row], (B, 1)))
    gradcheck.check_values(part)
    gradcheck.check_autograd(part)
    gradcheck.check_float32(part, least=1e-10)  # weights below attention.faintest carry none


@PARTS
def test_windows_far_away_tiny_and_huge_by_differences(kind):
    gradcheck.check_differences(make(kind, FAR))


@pytest.mark.parametrize("kind", [Read, Write])
@pytest.mark.parametrize("row", range(len(ENDS)))
def test_the_logarithms_of_a_window_end(kind, row):
    """Values and gradients are numbers in single precision too, and a logarithm that was clipped has no gradient."""
    part, ended = make(kind, np.tile(ENDS[row], (B, 1))), np.abs(ENDS[row]) > LOG_LIMIT
    gradcheck.check_values(part)
    gradcheck.check_autograd(part)
    gradcheck.check_float32(part, least=1e-10)
    assert (gradcheck.gradients(part)["window"][:, ended] == 0).all() and not ended[:2].any()


@pytest.mark.parametrize("kind", [Read, Write])
def test_the_stride_of_a_window_ends(kind):
    """Beside the loops alone: the reference squares such distances, and has no digits left for the pixels."""
    part, ended = (make(kind, np.tile([0.2, 0.1, 0.5, log_delta, 0.5], (B, 1))) for log_delta in (100.0, LOG_LIMIT))
    arrays = part.inputs | part.constants
    gradcheck.assert_close(part.forward(**arrays)[0], part.plain(**arrays)[0], gradcheck.VALUES)
    gradcheck.check_float32(part, least=1e-10)
    expected = gradcheck.gradients(ended)
    for name, gradient in gradcheck.gradients(part).items():
        assert np.array_equal(gradient, expected[name]), name
    assert (expected["window"][:, 3] == 0).all()


@pytest.mark.parametrize("kind", [Read, Write])
def test_the_logarithms_of_a_window_end_by_differences(kind):
    windows = np.tile([0.3, -0.2, 0.5, -0.5, 0.5], (B, 1))
    windows[0, 2], windows[1, 3], windows[2, 4], windows[3, 2:] = 50.0, 50.0, (1 if kind is Read else -1) * -50.0, -0.5
    gradcheck.check_differences(make(kind, windows))


def test_a_cotangent_of_ones_sees_nothing():
    """Rows sum to one whatever the window, so under ones zero is the right gradient: hence random cotangents."""
    part = make(Filterbank)
    part.cotangents = np.ones((B, N, W)), np.ones((B, N, H))
    gradcheck.assert_close(1 + part.backward(part.cotangents, **part.inputs)["window"], np.ones((B, 5)), 1e-12)
    with pytest.raises(AssertionError, match="these cotangents show nothing"):
        gradcheck.check_differences(part)


def test_a_filterbank_adds_to_the_gradient_of_its_window():
    """Both sides' filters come from one window, so neither may overwrite what the other has left."""
    part = make(Filterbank)
    (F_X, _), window = part.run(**part.inputs), part.inputs["window"]
    dwindows = np.zeros((B, 5)), np.full((B, 5), 0.5)
    for dwindow in dwindows:
        F_X.dF[:] = part.cotangents[0]
        filterbank_backward(F_X, t, window, max(H, W), 0, dwindow, np)
    gradcheck.assert_close(dwindows[1], dwindows[0] + 0.5, gradcheck.VALUES)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_row_sums_to_one(dtype):
    for F in make(Filterbank).forward(window=FAR.astype(dtype)):
        assert F.dtype == dtype and np.all(F >= 0)
        assert np.abs(F.sum(axis=2, dtype=np.float64) - 1).max() <= W * np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_weight_is_subnormal(dtype):
    """What is not 0 is more than the rounding of `faintest`."""
    windows = 0.5 * np.random.default_rng(5).standard_normal((40, 5))
    windows[:, 2] = np.linspace(-8, 4, 40)  # sigma from a fiftieth of a pixel to seven pixels
    trace = FilterTrace(gradcheck.nans(dtype), 1, 40, 28, N)
    F = filterbank(trace, 0, windows.astype(dtype), 28, 0, np)
    assert (F == 0).any() and F[F > 0].min() > np.finfo(dtype).eps * faintest(np.dtype(dtype))[1] / 28
    assert (F >= 0).all() and faintest(np.dtype(dtype))[1] ** 3 >= 0.999 * np.finfo(dtype).tiny


def test_far_outside_a_filter_sees_the_nearest_pixel():
    F_X, F_Y = make(Filterbank).forward(window=FAR)
    assert np.array_equal(F_X[5], np.eye(W)[[W - 1] * N]) and np.array_equal(F_Y[5], np.eye(H)[[0] * N])


@pytest.mark.parametrize("A", [1, 5, 8, 28])
@pytest.mark.parametrize("N", [2, 3, 12])
def test_the_grid_is_one_based(A, N):
    """With g~ = 0 the centre is exactly (A + 1) / 2, and with delta~ = 1 the longest side is spanned from 1 to A."""
    mu, delta = place(np.zeros((1, 5)), A, A, N, 0, np)
    assert mu.mean() == (A + 1) / 2
    assert abs(mu[0, 0] - 1) < 1e-14 * A and abs(mu[0, -1] - A) < 1e-14 * A
    assert delta[0, 0] == (A - 1) / (N - 1)
    centre = place(np.array([[0.0, 0, 0, -3, 0]]), A, 99, N, 1, np)[0]
    assert abs(centre.mean() - (A + 1) / 2) < 1e-14 * A  # whatever the stride


def test_a_filter_of_known_variance():
    """The exponent is (a - mu)² / (2 sigma²): on a long line the filter's mean and variance are mu and sigma²."""
    window = np.array([[0.0, 0.0, np.log(9.0), -2.0, 0.0]])
    trace = FilterTrace(gradcheck.nans(float), 1, 1, 101, 2)
    F, pixels = filterbank(trace, 0, window, 101, 0, np)[0], np.arange(1, 102)
    mu = place(window, 101, 101, 2, 0, np)[0][0]
    assert np.allclose(F @ pixels, mu, rtol=1e-12)
    assert np.allclose((F * (pixels - mu[:, None]) ** 2).sum(axis=1), 9.0, rtol=1e-9)


def test_the_first_column_moves_x_and_the_second_y():
    """A single bright pixel in column 7 and row 2 is found there and nowhere else."""
    part = make(Read)
    picture = np.zeros((B, C, H, W))
    picture[:, :, 1, 6] = 1
    window = np.zeros((B, 5))
    window[:, :4] = 2 * 7 / (W + 1) - 1, 2 * 2 / (H + 1) - 1, -9, -9  # eqs 22, 23 solved for g~
    (glimpse,) = part.forward(x=picture, x_hat=picture, window=window)
    assert np.all(glimpse > 0.99)


def test_all_channels_of_image_and_error_share_the_filters():
    part = make(Read)
    same = np.broadcast_to(part.constants["x"][:, :1], (B, C, H, W))
    (glimpse,) = part.forward(x=same, x_hat=same, window=part.inputs["window"])
    glimpse = glimpse.reshape(B, S, N * N)
    assert np.array_equal(glimpse, np.broadcast_to(glimpse[:, :1], glimpse.shape))


@pytest.mark.parametrize(("kind", "factor"), [(Read, 2.0), (Write, 0.5)])
def test_gamma_multiplies_what_is_read_and_divides_what_is_written(kind, factor):
    part = make(kind)
    (before,) = part.forward(**part.inputs, **part.constants)
    part.inputs["window"][:, 4] += np.log(2)
    (after,) = part.forward(**part.inputs, **part.constants)
    gradcheck.assert_close(after, factor * before, gradcheck.VALUES)


def test_reading_pictures_without_their_gradient():
    """The classifier reads C channels, not 2C, and asks for no gradient of the picture."""
    part = make(Read)
    x, window, d = part.constants["x"], part.inputs["window"], part.cotangents[0].reshape(B, 2, -1)
    trace, glimpse = ReadTrace(gradcheck.nans(float), T, B, C, H, W, N), np.empty((B, C * N * N))
    trace.window[t] = window
    read(trace, t, x, glimpse, np)
    read_backward(trace, t, x, glimpse, d[:, 0], None, np)
    part.cotangents = (np.concatenate([d[:, 0], 0 * d[:, 1]], axis=1),)
    (both,) = part.forward(**part.inputs, **part.constants)
    gradcheck.assert_close(glimpse, both[:, : C * N * N], gradcheck.VALUES)
    expected = part.backward(part.cotangents, **part.inputs, **part.constants)["window"]
    gradcheck.assert_close(trace.dwindow[t], expected, gradcheck.VALUES)


def test_windows_in_pixels():
    """What pictures are drawn from is where the filters are."""
    seen = windows(FAR[None], (C, H, W), N)
    for axis, A in enumerate((W, H)):
        mu, delta = place(FAR, A, max(H, W), N, axis, np)
        assert np.allclose(seen.centre[0, :, axis], mu.mean(axis=1), rtol=1e-12)
        assert np.allclose(seen.stride[0], delta[:, 0], rtol=1e-15)
    assert np.allclose(seen.sigma[0] ** 2, np.exp(FAR[:, 2]), rtol=1e-15) and seen.size == N
