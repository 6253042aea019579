"""DRAW: the recurrence of section 2, its loss, and backpropagation through time.

`encode_step` and `decode_step` are one glimpse; `forward` and `generate` run them in order, `backward` runs their
reverses in reverse order. Everything a backward step needs lies in a `Trace`: arrays with time as their first axis,
allocated once and used again for every minibatch. No step computes the gradient of a weight: after the last one each is
a single matrix product over all T·B rows of the trace.

Letters: T glimpses, B images, C, H, W channels, height, width, P = C·H·W, N and M filters along a side for reading and
writing, R values a glimpse (P without attention: the error image alone), E and D hidden units of encoder and decoder, Z
latent variables.
"""

from ..backend import Array, fused
from .attention import ReadTrace, WriteTrace, read, read_backward, write, write_backward
from .config import DRAWConfig, glimpse_size
from .latent import LatentTrace, divergence, sample, sample_backward
from .likelihood import reconstruction, reconstruction_backward, sigmoid
from .lstm import LSTMTrace, lstm, lstm_backward, lstm_weight_gradients


class Trace:
    """What the forward pass over one minibatch leaves for the backward pass."""

    def __init__(self, alloc, config: DRAWConfig, B: int):
        C, H, W = config.image_shape
        T, P = config.glimpses, C * H * W
        E, D, Z = config.enc_size, config.dec_size, config.latent_size
        N, M = config.read_size, config.write_size
        # Without attention the image's share of the encoder's input is the same at every step and is not repeated.
        self.R = P if N is None else glimpse_size(config)
        self.encoder = LSTMTrace(alloc, T, B, self.R + D + E, E)  # inputs: glimpse, h_dec, h_enc
        self.latent = LatentTrace(alloc, T, B, E, Z)
        self.decoder = LSTMTrace(alloc, T, B, Z + D, D)  # inputs: z, h_dec
        self.read = None if N is None else ReadTrace(alloc, T, B, C, H, W, N)
        self.write = None if M is None else WriteTrace(alloc, T, B, C, H, W, M)
        self.images = alloc(B, 2, P)  # x and the error image
        self.drive = alloc(B, 4 * E) if N is None else None  # what x contributes to the encoder's gates
        self.mean = alloc(T + 1, B, P)  # sigmoid(canvas): mean[0] before the first glimpse, mean[t + 1] after glimpse t
        self.canvas = alloc(B, P)  # in logits
        self.written = alloc(T, B, P) if M is None else alloc(B, P)
        self.dcanvas = alloc(B, P)
        self.dimage = alloc(B, P)
        self.dh_enc = alloc(B, E)
        self.scratch = alloc(B, D)


def h_enc(trace: Trace, t: int, D: int) -> Array:
    """Return h_enc before glimpse t, (B, E): it lives where the encoder's next step reads it."""
    return trace.encoder.inputs[t][:, trace.R + D :]


def h_dec(trace: Trace, t: int, Z: int) -> Array:
    """Return h_dec before glimpse t, (B, D): it lives where the decoder's next step reads it."""
    return trace.decoder.inputs[t][:, Z:]


def begin(trace: Trace, params: dict, config: DRAWConfig, xp) -> None:
    """Set the states before the first glimpse: learned hidden states and canvas, cell states of zero."""
    D, Z = config.dec_size, config.latent_size
    h_dec(trace, 0, Z)[:] = params["h_dec0"]
    h_enc(trace, 0, D)[:] = params["h_enc0"]
    trace.encoder.inputs[0][:, trace.R : trace.R + D] = params["h_dec0"]
    trace.encoder.cell[0] = 0.0
    trace.decoder.cell[0] = 0.0
    trace.canvas[:] = params["canvas0"]
    sigmoid(trace.canvas, trace.mean[0], xp)


@fused
def error_image(trace: Trace, t: int, xp) -> None:
    """Put x - sigmoid(canvas) before glimpse t, (B, P), beside x in trace.images (eq. 3)."""
    xp.subtract(trace.images[:, 0], trace.mean[t], out=trace.images[:, 1])


@fused
def error_image_backward(trace: Trace, t: int, derror: Array, xp) -> None:
    """Add to trace.dcanvas what reaches it through the error image; derror (B, P) is used up."""
    # error = x - sigmoid(canvas):  dcanvas -= derror * mean (1 - mean) = derror mean - derror mean mean
    derror *= trace.mean[t]
    trace.dcanvas -= derror
    derror *= trace.mean[t]
    trace.dcanvas += derror


def encode_step(trace: Trace, t: int, params: dict, noise: Array, config: DRAWConfig, xp) -> None:
    """Glimpse t up to z_t: look at the image and at what is still wrong, update the encoder, sample (eqs 3-6)."""
    C, H, W = config.image_shape
    D, Z = config.dec_size, config.latent_size
    glimpse = trace.encoder.inputs[t][:, : trace.R]
    if trace.read is None:
        xp.subtract(trace.images[:, 0], trace.mean[t], out=glimpse)  # eq. 17, x itself is in trace.drive
        W_enc, b_enc = params["encoder.W"][trace.R :], trace.drive
    else:
        error_image(trace, t, xp)
        window = trace.read.window[t]
        xp.matmul(h_dec(trace, t, Z), params["read.W"], out=window)  # eq. 21
        window += params["read.b"]
        read(trace.read, t, trace.images.reshape(-1, 2 * C, H, W), glimpse, xp)  # eqs 4, 27
        W_enc, b_enc = params["encoder.W"], params["encoder.b"]
    lstm(trace.encoder, t, W_enc, b_enc, h_enc(trace, t + 1, D), xp)  # eq. 5
    z = trace.decoder.inputs[t][:, :Z]
    sample(trace.latent, t, params["latent.W"], params["latent.b"], h_enc(trace, t + 1, D), noise[t], z, xp)  # eq. 6


def decode_step(trace: Trace, t: int, params: dict, config: DRAWConfig, xp) -> None:
    """Glimpse t from z_t on: update the decoder and add what it writes to the canvas (eqs 7, 8)."""
    C, H, W = config.image_shape
    D, Z = config.dec_size, config.latent_size
    hidden = h_dec(trace, t + 1, Z)
    lstm(trace.decoder, t, params["decoder.W"], params["decoder.b"], hidden, xp)  # eq. 7
    trace.encoder.inputs[t + 1][:, trace.R : trace.R + D] = hidden
    if trace.write is None:
        written = trace.written[t]
        xp.matmul(hidden, params["patch.W"], out=written)  # eq. 18
        written += params["patch.b"]
    else:
        written = trace.written
        window, patch = trace.write.window[t], trace.write.patch[t]
        patch = patch.reshape(len(patch), -1)  # (B, C·M·M)
        xp.matmul(hidden, params["write.W"], out=window)  # eq. 21
        window += params["write.b"]
        xp.matmul(hidden, params["patch.W"], out=patch)  # eq. 28
        patch += params["patch.b"]
        write(trace.write, t, written.reshape(-1, C, H, W), xp)  # eq. 29
    trace.canvas += written  # eq. 8
    sigmoid(trace.canvas, trace.mean[t + 1], xp)


def forward(trace: Trace, params: dict, x: Array, noise: Array, config: DRAWConfig, xp) -> tuple[Array, Array]:
    """Draw x (B, P) again with the standard normal noise (T, B, Z).

    Returns the reconstruction loss of every image (B,) and the KL of every glimpse and image (T, B), in nats.
    """
    begin(trace, params, config, xp)
    trace.images[:, 0] = x
    if trace.read is None:
        xp.matmul(x, params["encoder.W"][: trace.R], out=trace.drive)
        trace.drive += params["encoder.b"]
    for t in range(config.glimpses):
        encode_step(trace, t, params, noise, config, xp)
        decode_step(trace, t, params, config, xp)
    return reconstruction(x, trace.canvas, xp), divergence(trace.latent, xp)  # eqs 9, 10


def generate(trace: Trace, params: dict, noise: Array, config: DRAWConfig, xp) -> None:
    """Draw from the prior: z_t is the noise itself (eqs 13-16). The drawings are in trace.mean[1:]."""
    begin(trace, params, config, xp)
    for t in range(config.glimpses):
        trace.decoder.inputs[t][:, : config.latent_size] = noise[t]  # eq. 13
        decode_step(trace, t, params, config, xp)  # eqs 14, 15


def decode_step_backward(trace: Trace, t: int, params: dict, config: DRAWConfig, dh_dec: Array, xp) -> Array:
    """Reverse of decode_step, from dh_dec (B, D), the gradient of h_dec after the glimpse, and trace.dcanvas.

    Returns the gradient of the decoder's inputs, (B, Z + D). dh_dec is completed in place first; it may be a view of
    the decoder's dinputs, which the result overwrites.
    """
    C, H, W = config.image_shape
    scratch = trace.scratch
    if trace.write is None:
        dpatch = trace.written[t]
        dpatch[:] = trace.dcanvas
    else:
        write_backward(trace.write, t, trace.dcanvas.reshape(-1, C, H, W), xp)
        dpatch = trace.write.patch[t]
        dpatch = dpatch.reshape(len(dpatch), -1)
        xp.matmul(trace.write.dwindow[t], params["write.W"].T, out=scratch)
        dh_dec += scratch
    xp.matmul(dpatch, params["patch.W"].T, out=scratch)
    dh_dec += scratch
    return lstm_backward(trace.decoder, t, params["decoder.W"], dh_dec, xp)


def encode_step_backward(
    trace: Trace, t: int, params: dict, noise: Array, config: DRAWConfig, weight: float, d_dec: Array, dh_enc: Array, xp
) -> None:
    """Reverse of encode_step: d_dec (B, Z + D) is the gradient of the decoder's inputs, dh_enc (B, E) that of h_enc.

    On return d_dec[:, Z:] and dh_enc hold the gradients of the states before the glimpse, and trace.dcanvas that of the
    canvas before it.
    """
    C, H, W = config.image_shape
    D, Z, R = config.dec_size, config.latent_size, trace.R
    dz, dh_dec = d_dec[:, :Z], d_dec[:, Z:]
    dh_enc += sample_backward(trace.latent, t, params["latent.W"], noise[t], dz, weight, xp)
    W_enc = params["encoder.W"][R:] if trace.read is None else params["encoder.W"]
    d_enc = lstm_backward(trace.encoder, t, W_enc, dh_enc, xp)
    dh_enc[:] = d_enc[:, R + D :]
    dh_dec += d_enc[:, R : R + D]
    if trace.read is None:
        derror = d_enc[:, :R]
    else:
        error_image(trace, t, xp)
        glimpse, derror, scratch = trace.encoder.inputs[t][:, :R], trace.dimage, trace.scratch
        images = trace.images.reshape(-1, 2 * C, H, W)
        read_backward(trace.read, t, images, glimpse, d_enc[:, :R], derror.reshape(-1, C, H, W), xp)
        xp.matmul(trace.read.dwindow[t], params["read.W"].T, out=scratch)
        dh_dec += scratch
    error_image_backward(trace, t, derror, xp)


def backward(trace: Trace, params: dict, grads: dict, noise: Array, config: DRAWConfig, weight: float, xp) -> None:
    """Fill `grads` with the gradient of `weight` times the summed loss of the minibatch that `forward` has seen."""
    Z = config.latent_size
    x = trace.images[:, 0]
    reconstruction_backward(x, trace.mean[-1], weight, trace.dcanvas, xp)
    trace.encoder.dcell[:] = 0.0
    trace.decoder.dcell[:] = 0.0
    dh_enc = trace.dh_enc
    dh_enc[:] = 0.0
    d_dec = trace.decoder.dinputs
    d_dec[:] = 0.0
    for t in reversed(range(config.glimpses)):
        d_dec = decode_step_backward(trace, t, params, config, d_dec[:, Z:], xp)
        encode_step_backward(trace, t, params, noise, config, weight, d_dec, dh_enc, xp)
    xp.sum(d_dec[:, Z:], axis=0, out=grads["h_dec0"])
    xp.sum(dh_enc, axis=0, out=grads["h_enc0"])
    xp.sum(trace.dcanvas, axis=0, out=grads["canvas0"])
    weight_gradients(trace, grads, x, config, xp)


def weight_gradients(trace: Trace, grads: dict, x: Array, config: DRAWConfig, xp) -> None:
    """Fill the gradients of all weights and biases: each one product over the T·B rows that backward has left."""
    T, D, Z, R = config.glimpses, config.dec_size, config.latent_size, trace.R

    def dense(name: str, inputs: Array, doutputs: Array) -> None:
        rows = doutputs.reshape(T * doutputs.shape[1], -1)
        xp.matmul(inputs.reshape(len(rows), -1).T, rows, out=grads[f"{name}.W"])
        xp.sum(rows, axis=0, out=grads[f"{name}.b"])

    dW_enc = grads["encoder.W"]
    lstm_weight_gradients(trace.encoder, dW_enc if trace.read else dW_enc[R:], grads["encoder.b"], xp)
    if trace.read is None:  # x has met its rows once, not T times
        xp.matmul(x.T, trace.encoder.gates.sum(axis=0), out=dW_enc[:R])
    lstm_weight_gradients(trace.decoder, grads["decoder.W"], grads["decoder.b"], xp)
    h_encs = trace.encoder.inputs[:, :, R + D :]  # (T + 1, B, E)
    h_decs = trace.decoder.inputs[:, :, Z:]  # (T + 1, B, D)
    dense("latent", h_encs[1:], trace.latent.q)
    if trace.read is not None:
        dense("read", h_decs[:T], trace.read.dwindow)
    if trace.write is not None:
        dense("write", h_decs[1:], trace.write.dwindow)
    dense("patch", h_decs[1:], trace.written if trace.write is None else trace.write.patch)
