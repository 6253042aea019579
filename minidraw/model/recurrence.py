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
from .attention import ReadTrace, WriteTrace, placed_by, read, read_backward, write, write_backward
from .config import DRAWConfig, glimpse_size
from .latent import LatentTrace, divergence, sample, sample_backward
from .likelihood import reconstruction, reconstruction_backward, sigmoid
from .lstm import LSTMTrace, dense, dense_gradients, lstm, lstm_backward, lstm_weight_gradients


class Trace:
    """What the forward pass over one minibatch leaves for the backward pass.

    What is an input of an LSTM lives where the LSTM reads it: `glimpse`, `h_enc`, `z`, `h_dec` are views of that memory
    with time as their first axis. States have T + 1 rows: [t] is before glimpse t, [t + 1] after it.
    """

    def __init__(self, alloc, config: DRAWConfig, B: int):
        C, H, W = config.image_shape
        T, P = config.glimpses, C * H * W
        E, D, Z = config.enc_size, config.dec_size, config.latent_size
        N, M = config.read_size, config.write_size
        # Without attention the image's share of the encoder's input is the same at every step and is not repeated.
        self.R = R = P if N is None else glimpse_size(config)
        self.image_shape, self.T, self.D, self.Z, self.window_clip = config.image_shape, T, D, Z, config.window_clip
        self.encoder = LSTMTrace(alloc, T, B, R + D + E, E)  # inputs: glimpse, h_dec, h_enc
        self.latent = LatentTrace(alloc, T, B, E, Z)
        self.decoder = LSTMTrace(alloc, T, B, Z + D, D)  # inputs: z, h_dec
        self.read = None if N is None else ReadTrace(alloc, T, B, 2 * C, H, W, N)
        self.write = None if M is None else WriteTrace(alloc, T, B, C, H, W, M)
        self.images = alloc(B, 2, P)  # x and the error image
        self.drive = alloc(B, 4 * E) if N is None else None  # what x contributes to the encoder's gates
        self.mean = alloc(T + 1, B, P)  # sigmoid(canvas): mean[0] before the first glimpse, mean[t + 1] after glimpse t
        self.canvas = alloc(B, P)  # in logits
        self.written = alloc(T, B, P) if M is None else alloc(B, P)  # all T where the weight gradient wants them
        self.dcanvas = alloc(B, P)
        self.derror = alloc(B, P)
        self.slope = alloc(B, P)  # scratch
        self.dh_enc = alloc(B, E)
        self.scratch = alloc(B, D)

    @property
    def glimpse(self) -> Array:
        """r of eq. 4, (T, B, R)."""
        return self.encoder.inputs[: self.T, :, : self.R]

    @property
    def h_enc(self) -> Array:
        """(T + 1, B, E)."""
        return self.encoder.inputs[:, :, self.R + self.D :]

    @property
    def z(self) -> Array:
        """(T, B, Z)."""
        return self.decoder.inputs[: self.T, :, : self.Z]

    @property
    def h_dec(self) -> Array:
        """(T + 1, B, D)."""
        return self.decoder.inputs[:, :, self.Z :]

    @property
    def h_dec_for_encoder(self) -> Array:
        """h_dec once more, (T + 1, B, D), where the encoder reads it."""
        return self.encoder.inputs[:, :, self.R : self.R + self.D]


def begin(trace: Trace, params: dict, xp) -> None:
    """Set the states before the first glimpse: learned hidden states and canvas, cell states of zero."""
    trace.h_dec[0] = params["h_dec0"]
    trace.h_enc[0] = params["h_enc0"]
    trace.h_dec_for_encoder[0] = params["h_dec0"]
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
    """Add to trace.dcanvas what reaches it through the error image, from derror (B, P)."""
    # error = x - sigmoid(canvas):  dcanvas -= derror * mean (1 - mean), at once: derror may be far larger than dcanvas
    slope = xp.subtract(1.0, trace.mean[t], out=trace.slope)
    slope *= trace.mean[t]
    slope *= derror
    trace.dcanvas -= slope


def encode_step(trace: Trace, t: int, params: dict, noise: Array, xp) -> None:
    """Glimpse t up to z_t: look at the image and at what is still wrong, update the encoder, sample (eqs 3-6)."""
    C, H, W = trace.image_shape
    h_dec, glimpse, h_enc, z = trace.h_dec[t], trace.glimpse[t], trace.h_enc[t + 1], trace.z[t]
    if trace.read is None:
        xp.subtract(trace.images[:, 0], trace.mean[t], out=glimpse)  # eq. 17, x itself is in trace.drive
        W_enc, b_enc = params["encoder.W"][trace.R :], trace.drive
    else:
        error_image(trace, t, xp)
        dense(h_dec, params["read.W"], params["read.b"], trace.read.window[t], xp)  # eq. 21
        read(trace.read, t, trace.images.reshape(-1, 2 * C, H, W), glimpse, xp)  # eqs 4, 27
        W_enc, b_enc = params["encoder.W"], params["encoder.b"]
    lstm(trace.encoder, t, W_enc, b_enc, h_enc, xp)  # eq. 5
    sample(trace.latent, t, params["latent.W"], params["latent.b"], h_enc, noise[t], z, xp)  # eq. 6


def decode_step(trace: Trace, t: int, params: dict, xp) -> None:
    """Glimpse t from z_t on: update the decoder and add what it writes to the canvas (eqs 7, 8)."""
    C, H, W = trace.image_shape
    h_dec = trace.h_dec[t + 1]
    lstm(trace.decoder, t, params["decoder.W"], params["decoder.b"], h_dec, xp)  # eq. 7
    trace.h_dec_for_encoder[t + 1] = h_dec
    if trace.write is None:
        written = dense(h_dec, params["patch.W"], params["patch.b"], trace.written[t], xp)  # eq. 18
    else:
        written, patch = trace.written, trace.write.patch[t].reshape(len(h_dec), -1)  # (B, P), (B, C·M·M)
        dense(h_dec, params["write.W"], params["write.b"], trace.write.window[t], xp)  # eq. 21
        dense(h_dec, params["patch.W"], params["patch.b"], patch, xp)  # eq. 28
        write(trace.write, t, written.reshape(-1, C, H, W), xp)  # eq. 29
    trace.canvas += written  # eq. 8
    sigmoid(trace.canvas, trace.mean[t + 1], xp)


def forward(trace: Trace, params: dict, x: Array, noise: Array, xp) -> tuple[Array, Array]:
    """Draw x (B, P) again with the standard normal noise (T, B, Z).

    Returns the reconstruction loss of every image (B,) and the KL of every glimpse and image (T, B), in nats.
    """
    begin(trace, params, xp)
    trace.images[:, 0] = x
    if trace.read is None:
        dense(x, params["encoder.W"][: trace.R], params["encoder.b"], trace.drive, xp)
    for t in range(trace.T):
        encode_step(trace, t, params, noise, xp)
        decode_step(trace, t, params, xp)
    return reconstruction(x, trace.canvas, xp), divergence(trace.latent, xp)  # eqs 9, 10


def generate(trace: Trace, params: dict, noise: Array, xp) -> None:
    """Draw from the prior: z_t is the noise itself (eqs 13-16). The drawings are in trace.mean[1:]."""
    begin(trace, params, xp)
    for t in range(trace.T):
        trace.z[t] = noise[t]  # eq. 13
        decode_step(trace, t, params, xp)  # eqs 14, 15


def written_by(trace: Trace, t: int, xp) -> Array:
    """Return what glimpse t has added to the canvas (eq. 8), (B, P) in logits; `forward` or `generate` was before."""
    if trace.write is not None:
        C, H, W = trace.image_shape
        write(trace.write, t, trace.written.reshape(-1, C, H, W), xp)  # once more: there is memory for one
        return trace.written
    return trace.written[t]


def decode_step_backward(trace: Trace, t: int, params: dict, scale: float, dh_dec: Array, xp) -> Array:
    """Reverse of decode_step, from dh_dec (B, D), the gradient of h_dec after the glimpse, and trace.dcanvas.

    Returns the gradient of the decoder's inputs, (B, Z + D). dh_dec is completed in place first; it may be a view of
    the decoder's dinputs, which the result overwrites.
    """
    C, H, W = trace.image_shape
    scratch = trace.scratch
    if trace.write is None:
        dpatch = trace.written[t]
        dpatch[:] = trace.dcanvas
    else:
        write_backward(trace.write, t, trace.dcanvas.reshape(-1, C, H, W), xp)
        dpatch = trace.write.dpatch[t].reshape(len(dh_dec), -1)
        dh_dec += placed_by(trace.write, t, params["write.W"], scale * trace.window_clip, scratch, xp)
    dh_dec += xp.matmul(dpatch, params["patch.W"].T, out=scratch)
    return lstm_backward(trace.decoder, t, params["decoder.W"], dh_dec, xp)


def encode_step_backward(
    trace: Trace, t: int, params: dict, noise: Array, scale: float, dinputs_dec: Array, dh_enc: Array, xp
) -> None:
    """Reverse of encode_step, from dinputs_dec (B, Z + D), the gradient of the decoder's inputs, and dh_enc (B, E).

    On return dinputs_dec[:, Z:] and dh_enc hold the gradients of the states before the glimpse, trace.dcanvas that of
    the canvas before it.
    """
    C, H, W = trace.image_shape
    R, D, Z = trace.R, trace.D, trace.Z
    dz, dh_dec = dinputs_dec[:, :Z], dinputs_dec[:, Z:]
    dh_enc += sample_backward(trace.latent, t, params["latent.W"], noise[t], dz, scale, xp)
    W_enc = params["encoder.W"][R:] if trace.read is None else params["encoder.W"]
    dinputs_enc = lstm_backward(trace.encoder, t, W_enc, dh_enc, xp)
    dh_enc[:] = dinputs_enc[:, R + D :]
    dh_dec += dinputs_enc[:, R : R + D]
    if trace.read is None:
        derror = dinputs_enc[:, :R]
    else:
        error_image(trace, t, xp)  # once more: there is memory for one
        glimpse, derror, scratch = trace.glimpse[t], trace.derror, trace.scratch
        images = trace.images.reshape(-1, 2 * C, H, W)
        read_backward(trace.read, t, images, glimpse, dinputs_enc[:, :R], derror.reshape(-1, C, H, W), xp)
        dh_dec += placed_by(trace.read, t, params["read.W"], scale * trace.window_clip, scratch, xp)
    error_image_backward(trace, t, derror, xp)


def backward(trace: Trace, params: dict, grads: dict, noise: Array, scale: float, xp) -> None:
    """Fill `grads` with the gradient of `scale` times the summed loss of the minibatch that `forward` has seen."""
    x, Z = trace.images[:, 0], trace.Z
    reconstruction_backward(x, trace.mean[-1], scale, trace.dcanvas, xp)
    dh_enc, dinputs_dec = trace.dh_enc, trace.decoder.dinputs
    for gradient in (trace.encoder.dcell, trace.decoder.dcell, dh_enc, dinputs_dec):
        gradient[:] = 0.0
    for t in reversed(range(trace.T)):
        dinputs_dec = decode_step_backward(trace, t, params, scale, dinputs_dec[:, Z:], xp)
        encode_step_backward(trace, t, params, noise, scale, dinputs_dec, dh_enc, xp)
    xp.sum(dinputs_dec[:, Z:], axis=0, out=grads["h_dec0"])
    xp.sum(dh_enc, axis=0, out=grads["h_enc0"])
    xp.sum(trace.dcanvas, axis=0, out=grads["canvas0"])
    weight_gradients(trace, grads, x, xp)


def weight_gradients(trace: Trace, grads: dict, x: Array, xp) -> None:
    """Fill the gradients of all weights and biases: each one product over the T·B rows that backward has left."""
    R, dW_enc = trace.R, grads["encoder.W"]
    lstm_weight_gradients(trace.encoder, dW_enc if trace.read else dW_enc[R:], grads["encoder.b"], xp)
    if trace.read is None:  # x has met its rows once, not T times
        xp.matmul(x.T, trace.encoder.dgates.sum(axis=0), out=dW_enc[:R])
    lstm_weight_gradients(trace.decoder, grads["decoder.W"], grads["decoder.b"], xp)
    dense_gradients(trace.h_enc[1:], trace.latent.dq, grads["latent.W"], grads["latent.b"], xp)
    if trace.read is not None:
        dense_gradients(trace.h_dec[:-1], trace.read.dwindow, grads["read.W"], grads["read.b"], xp)
    if trace.write is not None:
        dense_gradients(trace.h_dec[1:], trace.write.dwindow, grads["write.W"], grads["write.b"], xp)
    dpatch = trace.written if trace.write is None else trace.write.dpatch
    dense_gradients(trace.h_dec[1:], dpatch, grads["patch.W"], grads["patch.b"], xp)
