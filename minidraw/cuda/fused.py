"""Functions of the package by fused kernels, under their names and signatures; their definitions explain them.

Arrays of a trace that only the definitions need stay as they are.
"""

from typing import Any

import numpy as np

from .kernels import MOST_SHARED, Rows

Array = Any


def lstm(trace, t: int, W: Array, b: Array, hidden: Array, xp) -> None:
    """See lstm.lstm."""
    gates, (B, h) = trace.gates[t], hidden.shape
    xp.matmul(trace.inputs[t], W, out=gates)
    bias = (b, 0) if b.ndim == 1 else (b, 4 * h)  # one row for all, or a row each
    xp.kernels.elements("lstm_forward", B * h, gates, *bias, trace.cell[t], trace.cell[t + 1], Rows(hidden), B, h)


def lstm_backward(trace, t: int, W: Array, dhidden: Array, xp) -> Array:
    """See lstm.lstm_backward."""
    gates, (B, h) = trace.gates[t], dhidden.shape
    cells = trace.cell[t], trace.cell[t + 1]
    xp.kernels.elements("lstm_backward", B * h, gates, *cells, Rows(dhidden), trace.dcell, B, h)
    return xp.matmul(gates, W.T, out=trace.dinputs)


def sample(trace, t: int, W: Array, b: Array, h_enc: Array, noise: Array, z: Array, xp) -> None:
    """See latent.sample."""
    q, (B, Z) = trace.q[t], z.shape
    xp.matmul(h_enc, W, out=q)
    xp.kernels.elements("sample_forward", B * Z, q, b, noise, trace.sigma[t], Rows(z), B, Z)


def sample_backward(trace, t: int, W: Array, noise: Array, dz: Array, scale: float, xp) -> Array:
    """See latent.sample_backward."""
    q, (B, Z) = trace.q[t], dz.shape
    xp.kernels.elements("sample_backward", B * Z, q, trace.sigma[t], noise, Rows(dz), float(scale), B, Z)
    return xp.matmul(q, W.T, out=trace.dh_enc)


def divergence(trace, xp) -> Array:
    """See latent.divergence."""
    T, B, Z = trace.sigma.shape
    kl = xp.empty((T, B), trace.q.dtype)
    xp.kernels.elements("divergence", 32 * T * B, trace.q, trace.sigma, kl, T * B, Z)
    return kl


def sigmoid(x: Array, out: Array, xp) -> Array:
    """See likelihood.sigmoid."""
    xp.kernels.elements("sigmoid", x.size, x, out, np.int64(x.size))
    return out


def reconstruction(x: Array, canvas: Array, xp) -> Array:
    """See likelihood.reconstruction."""
    B, P = canvas.shape
    nats = xp.empty(B, canvas.dtype)
    xp.kernels.blocks("reconstruction", B, Rows(x), canvas, nats, P, shared=xp.kernels.warps() * canvas.itemsize)
    return nats


def reconstruction_backward(x: Array, mean: Array, scale: float, dcanvas: Array, xp) -> None:
    """See likelihood.reconstruction_backward."""
    B, P = dcanvas.shape
    xp.kernels.elements("reconstruction_backward", B * P, Rows(x), mean, float(scale), dcanvas, B, P)


def error_image(trace, t: int, xp) -> None:
    """See recurrence.error_image."""
    B, _, P = trace.images.shape
    xp.kernels.elements("error_image", B * P, trace.images, trace.mean[t], B, P)


def error_image_backward(trace, t: int, derror: Array, xp) -> None:
    """See recurrence.error_image_backward."""
    B, P = derror.shape
    xp.kernels.elements("error_image_backward", B * P, trace.mean[t], Rows(derror), trace.dcanvas, B, P)


def read(trace, t: int, images: Array, glimpse: Array, xp) -> None:
    """See attention.read."""
    B, S, H, W = images.shape
    N, filters = trace.x.F.shape[2], (trace.x.F[t], trace.y.F[t])
    shared = N * (W | 1) * images.itemsize
    staged = int(shared <= MOST_SHARED)
    sizes = S, H, W, N, staged
    xp.kernels.blocks(
        *("read_forward", B, images, trace.window[t], *filters, trace.columns[t], Rows(glimpse), *sizes),
        shared=shared * staged,
    )


def read_backward(trace, t: int, images: Array, glimpse: Array, dglimpse: Array, dimages: Array | None, xp) -> None:
    """See attention.read_backward."""
    B, S, H, W = images.shape
    N, C = trace.x.F.shape[2], 0 if dimages is None else dimages.shape[1]
    given = images, trace.window[t], trace.x.F[t], trace.y.F[t], trace.columns[t], Rows(glimpse), Rows(dglimpse)
    filled = trace.dwindow[t], trace.x.dF, trace.y.dF, trace.dcolumns, trace.dcolumns if dimages is None else dimages
    xp.kernels.blocks("read_backward", B, *given, *filled, S, C, H, W, N, shared=_sums(N, xp) * images.itemsize)


def write(trace, t: int, written: Array, xp) -> None:
    """See attention.write."""
    B, C, H, W = written.shape
    N, filters = trace.x.F.shape[2], (trace.x.F[t], trace.y.F[t])
    filled = *filters, trace.scaled[t], trace.columns, written
    xp.kernels.blocks("write_forward", B, trace.patch[t], trace.window[t], *filled, C, H, W, N)


def write_backward(trace, t: int, dwritten: Array, xp) -> None:
    """See attention.write_backward."""
    B, C, H, W = dwritten.shape
    N = trace.x.F.shape[2]
    given = dwritten, trace.window[t], trace.x.F[t], trace.y.F[t], trace.scaled[t]
    filled = trace.patch[t], trace.dwindow[t], trace.x.dF, trace.y.dF, trace.columns, trace.dcolumns
    xp.kernels.blocks("write_backward", B, *given, *filled, C, H, W, N, shared=_sums(N, xp) * dwritten.itemsize)


def _sums(N: int, xp) -> int:
    """Return how many numbers a block keeps of N filters a side and of its warps."""
    return 6 * N + xp.kernels.warps()


FUNCTIONS = {  # by the module of model/ whose definitions they stand for
    "lstm": (lstm, lstm_backward),
    "latent": (sample, sample_backward, divergence),
    "likelihood": (sigmoid, reconstruction, reconstruction_backward),
    "recurrence": (error_image, error_image_backward),
    "attention": (read, read_backward, write, write_backward),
}
FUSED = {f"{module}.{function.__name__}": function for module, some in FUNCTIONS.items() for function in some}
