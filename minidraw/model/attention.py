"""Selective attention (section 3.2): a grid of N×N Gaussian filters, read through and written through.

The paper's image is B×A pixels; here its height is H and its width W, and B is the number of images. Pixels and filters
are counted from one, as in the paper: the centre of the first pixel is at 1, that of the last at W.

Letters: B images, C channels, A pixels along one side (W or H), N filters along one side.
"""

import functools
import math

import numpy as np

from ..backend import Array, fused
from .config import LOG_LIMIT

# The columns of a window's parameters (eq. 21), with the tildes left out: delta in pixels is that of eq. 24.
G_X, G_Y, LOG_VARIANCE, LOG_DELTA, LOG_GAMMA = range(5)


class FilterTrace:
    """The filters along one side at every time step, and scratch for one step."""

    def __init__(self, alloc, T: int, B: int, A: int, N: int):
        self.F = alloc(T, B, N, A)
        self.nearest = alloc(T, B, N)  # a*, the pixel nearest to mu
        self.remainder = alloc(T, B, N)  # 2 (a* - mu)
        self.dF = alloc(B, N, A)
        self.offset = alloc(B, N, A)  # a - a*, in pixels
        self.product = alloc(B, N, A)
        self.row = alloc(B, N)
        self.dmu = alloc(B, N)


def centre_pixels(g: Array, A: int) -> Array:
    """Return where a grid's centre lies along a side of A pixels, in pixels from 1 to A (eqs 22, 23)."""
    return (g + 1.0) * ((A + 1) / 2)


def stride_pixels(log_delta: Array, longest: int, N: int, xp) -> Array:
    """Return the stride of N filters a side, in pixels; `longest` is max(width, height) (eq. 24)."""
    return xp.exp(log_delta) * ((longest - 1) / (N - 1))


def place(window: Array, A: int, longest: int, N: int, axis: int, xp) -> tuple[Array, Array]:
    """Return the filters' centres along one side (B, N), in pixels from 1 to A, and their stride delta (B, 1).

    `window` (B, 5) has the columns above; axis 0, G_X, is x (width A), axis 1 is y (height A); `longest` is the longer.
    """
    delta = stride_pixels(window[:, LOG_DELTA, None], longest, N, xp)  # eq. 24
    return centre_pixels(window[:, axis, None], A) + grid(N, window, xp) * delta, delta  # eqs 19, 20


def grid(N: int, like: Array, xp) -> Array:
    """Return i - N/2 - 0.5 for i = 1..N, the filters' places in units of the stride (eqs 19, 20)."""
    return xp.arange(1, N + 1, dtype=like.dtype) - (N / 2 + 0.5)


def row_sums(values: Array, out: Array, xp) -> Array:
    """Fill and return out (B, N) = Σ_a values (B, N, A): as a product, for xp.sum is slow on rows this short."""
    A = values.shape[2]
    xp.matmul(values.reshape(-1, A), xp.ones(A, values.dtype), out=out.reshape(-1))
    return out


@functools.cache
def faintest(dtype: np.dtype) -> tuple[float, float]:
    """Return the cube root of the least normal number, its logarithm first: products of three such are normal too."""
    exponent = math.log(np.finfo(dtype).tiny) / 3
    return exponent, float(np.exp(np.full(64, exponent, dtype))[0])  # of an array, as below: exactly what F has there


def filterbank(trace: FilterTrace, t: int, window: Array, longest: int, axis: int, xp) -> Array:
    """Fill and return trace.F[t] (B, N, A): row i is exp(-(a - mu_i)² / (2 sigma²)) over a = 1..A, divided by its sum.

    The row is normalised in log space (eqs 25, 26 without an epsilon): with a* the pixel nearest to mu,
        (a - mu)² - (a* - mu)² = (a - a*) (a - a* + 2 (a* - mu)),
    which is at least 0, is 0 at a*, and loses no digits however far outside the image the filter is.

    From every term the faintest is taken, and what would be fainter becomes 0. That is far below rounding (2e-13 of a
    row's largest in single precision, 3e-103 in double), but without it the far pixels are subnormal numbers, and so is
    what is multiplied by them: such an operand costs an Intel processor a hundred ordinary ones (docs/speed.md).
    """
    F, nearest, remainder, offset = trace.F[t], trace.nearest[t], trace.remainder[t], trace.offset
    N, A = F.shape[1:]
    mu, _ = place(window, A, longest, N, axis, xp)
    xp.clip(xp.rint(mu, out=nearest), 1.0, float(A), out=nearest)
    xp.subtract(nearest, mu, out=remainder)
    remainder *= 2.0
    xp.subtract(xp.arange(1, A + 1, dtype=F.dtype), nearest[:, :, None], out=offset)
    xp.add(offset, remainder[:, :, None], out=F)
    F *= offset
    F *= (-0.5 * xp.exp(-window[:, LOG_VARIANCE]))[:, None, None]  # -1 / (2 sigma²)
    exponent, term = faintest(F.dtype)
    xp.clip(F, exponent, 0.0, out=F)  # NumPy's maximum with a number takes longer
    xp.exp(F, out=F)
    F -= term
    F /= row_sums(F, trace.row, xp)[:, :, None]  # between 1 and A: the term of a* is 1
    return F


def filterbank_backward(trace: FilterTrace, t: int, window: Array, longest: int, axis: int, dwindow: Array, xp) -> None:
    """Add to dwindow (B, 5) what reaches it through trace.dF (B, N, A), the gradient of trace.F[t]; dF is used up."""
    F, dlogits, offset, product, dmu = trace.F[t], trace.dF, trace.offset, trace.product, trace.dmu
    N, A = F.shape[1:]
    # F = softmax(logits):  dlogits = F dF - F Σ_a F dF
    dlogits *= F
    xp.multiply(F, row_sums(dlogits, trace.row, xp)[:, :, None], out=product)
    dlogits -= product
    # logits = -(a - mu)² / (2 sigma²), less a constant of the row:  dmu = Σ_a dlogits (a - mu) / sigma², and
    # Σ_a dlogits = 0, so a* serves for mu
    precision = xp.exp(-window[:, LOG_VARIANCE])[:, None]  # 1 / sigma²  (B, 1)
    xp.subtract(xp.arange(1, A + 1, dtype=F.dtype), trace.nearest[t][:, :, None], out=offset)
    dlogits *= offset
    row_sums(dlogits, dmu, xp)  # still to be multiplied by the precision
    # dlog sigma² = Σ_a dlogits (a - mu)² / (2 sigma²) = Σ_a dlogits (a - a*) (a - a* + 2 (a* - mu)) / (2 sigma²)
    dlogits *= offset
    dvariance = row_sums(dlogits, trace.row, xp)
    dvariance += dmu * trace.remainder[t]
    dvariance *= 0.5 * precision
    dwindow[:, LOG_VARIANCE] += dvariance.sum(axis=1)
    dmu *= precision
    # mu_i = g + (i - N/2 - 0.5) delta
    dwindow[:, axis] += dmu.sum(axis=1) * ((A + 1) / 2)  # eqs 22, 23
    delta = stride_pixels(window[:, LOG_DELTA], longest, N, xp)  # d delta / d log delta = delta
    dwindow[:, LOG_DELTA] += xp.matmul(dmu, grid(N, window, xp)) * delta


def filterbanks(trace: "ReadTrace | WriteTrace", t: int, H: int, W: int, xp) -> tuple[Array, Array]:
    """Clip the logarithms of trace.window[t] and return its filters on both sides, F_X (B, N, W) and F_Y (B, N, H)."""
    window, longest = trace.window[t], max(H, W)
    logs = window[:, LOG_VARIANCE:]
    xp.minimum(xp.maximum(logs, -LOG_LIMIT, out=logs), LOG_LIMIT, out=logs)
    return filterbank(trace.x, t, window, longest, 0, xp), filterbank(trace.y, t, window, longest, 1, xp)


def filterbanks_backward(trace: "ReadTrace | WriteTrace", t: int, H: int, W: int, xp) -> None:
    """Complete trace.dwindow[t] (B, 5) by what reaches it through the filters; a logarithm clipped has no slope."""
    window, dwindow, longest = trace.window[t], trace.dwindow[t], max(H, W)
    filterbank_backward(trace.x, t, window, longest, 0, dwindow, xp)
    filterbank_backward(trace.y, t, window, longest, 1, dwindow, xp)
    dwindow[:, LOG_VARIANCE:] *= xp.abs(window[:, LOG_VARIANCE:]) < LOG_LIMIT


def placed_by(trace: "ReadTrace | WriteTrace", t: int, W: Array, steepest: float, dh: Array, xp) -> Array:
    """Fill dh with what reaches the state (B, h) that placed the window, by W (h, 5), from trace.dwindow[t]; return it.

    Unless `steepest` is 0, dwindow is cut off there first (as in arXiv:1308.0850, section 2.1): moved by a pixel, 0.02
    of g, a narrow window sees something else. Such slopes pass from window to window, and few images decide for all.
    """
    dwindow = trace.dwindow[t]
    if steepest:
        xp.clip(dwindow, -steepest, steepest, out=dwindow)
    return xp.matmul(dwindow, W.T, out=dh)


class ReadTrace:
    """What reading S channels leaves for its backward pass, for all time steps; DRAW's 2C are image and error image."""

    def __init__(self, alloc, T: int, B: int, S: int, H: int, W: int, N: int):
        self.window = alloc(T, B, 5)
        self.dwindow = alloc(T, B, 5)
        self.x = FilterTrace(alloc, T, B, W, N)
        self.y = FilterTrace(alloc, T, B, H, N)
        self.columns = alloc(T, B, S, H, N)  # the images times F_X^T
        self.dcolumns = alloc(B, S, H, N)
        self.patch = alloc(B, S, N, N)
        self.dpatch = alloc(B, S, N, N)
        self.dF = alloc(B, S, N, H)


@fused
def read(trace: ReadTrace, t: int, images: Array, glimpse: Array, xp) -> None:
    """Look at `images` (B, S, H, W) through trace.window[t]: glimpse (B, S·N·N) = gamma F_Y images F_X^T (eq. 27).

    All S channels, of the image and of the error image, are seen through the same filters.
    """
    B, S, H, W = images.shape
    window = trace.window[t]
    F_X, F_Y = filterbanks(trace, t, H, W, xp)
    N = F_X.shape[1]
    xp.matmul(images.reshape(B, S * H, W), F_X.transpose(0, 2, 1), out=trace.columns[t].reshape(B, S * H, N))
    xp.matmul(F_Y[:, None], trace.columns[t], out=trace.patch)
    xp.multiply(trace.patch.reshape(B, S * N * N), xp.exp(window[:, LOG_GAMMA, None]), out=glimpse)


@fused
def read_backward(trace: ReadTrace, t: int, images: Array, glimpse: Array, dglimpse: Array, dimages: Array | None, xp):
    """Fill trace.dwindow[t] (B, 5) from dglimpse (B, S·N·N), and dimages (B, C, H, W), that of the last C channels."""
    B, S, H, W = images.shape
    window, dwindow = trace.window[t], trace.dwindow[t]
    F_X, F_Y = trace.x.F[t], trace.y.F[t]
    N = F_X.shape[1]
    dpatch, dcolumns = trace.dpatch, trace.dcolumns
    dwindow[:] = 0.0
    # glimpse = gamma patch:  dlog gamma = Σ dglimpse glimpse
    flat = dpatch.reshape(B, S * N * N)
    xp.multiply(dglimpse, glimpse, out=flat)
    xp.sum(flat, axis=1, out=dwindow[:, LOG_GAMMA])
    xp.multiply(dglimpse, xp.exp(window[:, LOG_GAMMA, None]), out=flat)
    # patch = F_Y columns:  dF_Y = Σ_S dpatch columns^T,  dcolumns = F_Y^T dpatch
    xp.matmul(dpatch, trace.columns[t].transpose(0, 1, 3, 2), out=trace.dF)
    xp.sum(trace.dF, axis=1, out=trace.y.dF)
    xp.matmul(F_Y.transpose(0, 2, 1)[:, None], dpatch, out=dcolumns)
    # columns = images F_X^T:  dF_X = Σ_S dcolumns^T images, the S·H rows stacked,  dimages = dcolumns F_X
    rows = dcolumns.reshape(B, S * H, N)
    xp.matmul(rows.transpose(0, 2, 1), images.reshape(B, S * H, W), out=trace.x.dF)
    if dimages is not None:
        C = dimages.shape[1]
        xp.matmul(rows[:, (S - C) * H :], F_X, out=dimages.reshape(B, C * H, W))
    filterbanks_backward(trace, t, H, W, xp)


class WriteTrace:
    """What writing leaves for its backward pass, for all time steps, and scratch for one."""

    def __init__(self, alloc, T: int, B: int, C: int, H: int, W: int, N: int):
        self.window = alloc(T, B, 5)
        self.dwindow = alloc(T, B, 5)
        self.x = FilterTrace(alloc, T, B, W, N)
        self.y = FilterTrace(alloc, T, B, H, N)
        self.patch = self.dpatch = alloc(T, B, C, N, N)  # one memory: as the decoder emits it; later its gradient
        self.scaled = alloc(T, B, C, N, N)  # divided by gamma
        self.columns = alloc(B, C, H, N)
        self.dcolumns = alloc(B, C, H, N)
        self.dF = alloc(B, C, N, H)


@fused
def write(trace: WriteTrace, t: int, written: Array, xp) -> None:
    """Put trace.patch[t] on an empty canvas: written (B, C, H, W) = 1/gamma F_Y^T patch F_X (eq. 29)."""
    B, C, H, W = written.shape
    window, scaled = trace.window[t], trace.scaled[t]
    F_X, F_Y = filterbanks(trace, t, H, W, xp)
    N = F_X.shape[1]
    xp.multiply(trace.patch[t], xp.exp(-window[:, LOG_GAMMA])[:, None, None, None], out=scaled)
    xp.matmul(F_Y.transpose(0, 2, 1)[:, None], scaled, out=trace.columns)
    xp.matmul(trace.columns.reshape(B, C * H, N), F_X, out=written.reshape(B, C * H, W))


@fused
def write_backward(trace: WriteTrace, t: int, dwritten: Array, xp) -> None:
    """From dwritten (B, C, H, W), fill trace.dwindow[t] (B, 5) and trace.dpatch[t], in the place of the patch."""
    B, C, H, W = dwritten.shape
    window, dwindow = trace.window[t], trace.dwindow[t]
    scaled, dpatch, columns, dcolumns = trace.scaled[t], trace.dpatch[t], trace.columns, trace.dcolumns
    F_X, F_Y = trace.x.F[t], trace.y.F[t]
    N = F_X.shape[1]
    dwindow[:] = 0.0
    # written = columns F_X:  dF_X = Σ_C columns^T dwritten, the C·H rows stacked,  dcolumns = dwritten F_X^T
    xp.matmul(F_Y.transpose(0, 2, 1)[:, None], scaled, out=columns)
    flat = dwritten.reshape(B, C * H, W)
    xp.matmul(columns.reshape(B, C * H, N).transpose(0, 2, 1), flat, out=trace.x.dF)
    xp.matmul(flat, F_X.transpose(0, 2, 1), out=dcolumns.reshape(B, C * H, N))
    # columns = F_Y^T scaled:  dF_Y = Σ_C scaled dcolumns^T,  dscaled = F_Y dcolumns
    xp.matmul(scaled, dcolumns.transpose(0, 1, 3, 2), out=trace.dF)
    xp.sum(trace.dF, axis=1, out=trace.y.dF)
    xp.matmul(F_Y[:, None], dcolumns, out=dpatch)
    # scaled = patch / gamma:  dlog gamma = -Σ dscaled scaled,  dpatch = dscaled / gamma
    scaled *= dpatch
    xp.sum(scaled.reshape(B, C * N * N), axis=1, out=dwindow[:, LOG_GAMMA])
    dwindow[:, LOG_GAMMA] *= -1.0
    dpatch *= xp.exp(-window[:, LOG_GAMMA])[:, None, None, None]
    filterbanks_backward(trace, t, H, W, xp)
