"""DRAW in JAX: one compiled program, the glimpses a scan, the gradients by value_and_grad.

Pixels lie as (B, H, C, W), so that every product with filters is one batched product; both images are read through one
filterbank, and one product serves all that h_dec feeds. "hoisted": the gradient of a weight is one product over all
glimpses, not a product and an addition at each. (Products with filters as sums that XLA fuses were slower.)
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from minidraw import DRAWConfig

from .problem import Problem

VARIANTS = ("", "hoisted")
LAYERS = ("encoder", "latent", "decoder", "heads")


class Contestant:
    """The compiled program; XLA takes as many threads as this process may use cores."""

    def __init__(self, problem: Problem, variant: str, threads: int):
        x = problem.x.transpose(0, 2, 1, 3)  # (B, H, C, W)
        self.inputs = jax.device_put((problem.params, x, problem.noise))
        gradient = hoisted if variant == "hoisted" else plain
        program = functools.partial(gradient, config=problem.config)
        # The gradients of the run before are given away: their memory takes the new ones.
        self.program = jax.jit(lambda old, *inputs: program(*inputs), donate_argnums=0, keep_unused=True)
        self.grads = jax.tree.map(jnp.zeros_like, self.inputs[0])
        self.versions = f"jax {jax.__version__}, on the {jax.devices()[0].platform}"

    def run(self) -> None:
        """Compute the loss and its gradients."""
        self.loss, self.grads = jax.block_until_ready(self.program(self.grads, *self.inputs))

    def answer(self) -> tuple[float, dict[str, np.ndarray]]:
        """Return the last run's loss and gradients."""
        return float(self.loss), {name: np.array(grad) for name, grad in self.grads.items()}


def plain(params: dict, x, noise, config: DRAWConfig):
    """Return loss and gradients, the weights' as scan's derivative has them."""

    def loss(params):
        weights, biases = layers(params, x, config)
        return forward(params, weights, biases, None, x, noise, config)[0]

    return jax.value_and_grad(loss)(params)


def hoisted(params: dict, x, noise, config: DRAWConfig):
    """Return loss and gradients, each weight's by one product from the gradient of zeros added to its layer."""
    weights, biases = layers(params, x, config)
    T, B = config.glimpses, len(x)
    zeros = {name: jnp.zeros((T, B, weights[name].shape[1]), x.dtype) for name in LAYERS}

    def loss(params, zeros):
        return forward(params, weights, biases, zeros, x, noise, config)

    (value, inputs), (grads, rows) = jax.value_and_grad(loss, (0, 1), has_aux=True)(params, zeros)
    for name in LAYERS:
        dW, db = jnp.einsum("tbk,tbn->kn", inputs[name], rows[name]), rows[name].sum((0, 1))
        if name == "heads":
            share_out(grads, dW, db, config)
            continue
        if name == "encoder" and config.read_size is None:
            dW = jnp.concatenate([canonical(x).T @ rows[name].sum(0), dW])
        grads[f"{name}.W"], grads[f"{name}.b"] = dW, db
    return value, grads


def share_out(grads: dict, dW, db, config: DRAWConfig) -> None:
    """Enter the gradients of the three layers that are `heads`; read has one already, from the first glimpse."""
    first = 0 if config.write_size is None else 5
    last = dW.shape[1] - (0 if config.read_size is None else 5)
    grads["patch.W"], grads["patch.b"] = dW[:, first:last], db[first:last]
    if first:
        grads["write.W"], grads["write.b"] = dW[:, :first], db[:first]
    if config.read_size is not None:
        grads["read.W"], grads["read.b"] = grads["read.W"] + dW[:, last:], grads["read.b"] + db[last:]


def layers(params: dict, x, config: DRAWConfig) -> tuple[dict, dict]:
    """Return weights and biases by layer; without attention the image's share of the encoder is in its bias."""
    heads = [name for name in ("write", "patch", "read") if f"{name}.W" in params]
    weights = {name: params[f"{name}.W"] for name in LAYERS[:3]}
    biases = {name: params[f"{name}.b"] for name in LAYERS[:3]}
    weights["heads"] = jnp.concatenate([params[f"{name}.W"] for name in heads], axis=1)
    biases["heads"] = jnp.concatenate([params[f"{name}.b"] for name in heads])
    if config.read_size is None:
        image = canonical(x)
        of_image, weights["encoder"] = jnp.split(weights["encoder"], [image.shape[1]])
        biases["encoder"] = biases["encoder"] + image @ of_image
    return weights, biases


def canonical(images):
    """Return (B, H, C, W) as (B, C·H·W)."""
    return images.transpose(0, 2, 1, 3).reshape(len(images), -1)


def forward(params: dict, weights: dict, biases: dict, zeros: dict | None, x, noise, config: DRAWConfig):
    """Return the loss, and where `zeros` (T, B, n) are added to the layers' outputs, their inputs by layer."""
    C, H, W = config.image_shape
    B, rows = len(x), jnp.ones((len(x), 1), x.dtype)
    canvas = (rows * params["canvas0"]).reshape(B, C, H, W).transpose(0, 2, 1, 3)
    cells = [jnp.zeros((B, size), x.dtype) for size in (config.enc_size, config.dec_size)]
    window = None
    if config.read_size is not None:
        window = rows * (params["h_dec0"] @ params["read.W"] + params["read.b"])
    state = rows * params["h_enc0"], cells[0], rows * params["h_dec0"], cells[1], canvas, window

    def step(state, given):
        noise, zeros = given
        used = {}

        def affine(name, inputs):
            used[name] = inputs
            outputs = inputs @ weights[name] + biases[name]
            return outputs if zeros is None else outputs + zeros[name]

        state, kl = glimpse(affine, state, x, noise, config)
        return state, (kl, None if zeros is None else used)

    state, (latent, inputs) = jax.lax.scan(step, state, (noise, zeros))
    canvas = state[4]
    nats = jnp.sum(jax.nn.softplus(canvas) - x * canvas)
    return (nats + latent.sum()) / B - config.glimpses * config.latent_size / 2, inputs


def glimpse(affine, state: tuple, x, noise, config: DRAWConfig) -> tuple:
    """One glimpse (eqs 3-8): the next state and the KL without its constant."""
    h_enc, cell_enc, h_dec, cell_dec, canvas, window = state
    error = x - jax.nn.sigmoid(canvas)
    seen = canonical(error) if window is None else read(window, x, error, config)
    h_enc, cell_enc = lstm(affine("encoder", jnp.concatenate([seen, h_dec, h_enc], axis=1)), cell_enc)
    mu, log_sigma = jnp.split(affine("latent", h_enc), 2, axis=1)
    sigma = jnp.exp(log_sigma)
    kl = jnp.sum(0.5 * (mu * mu + sigma * sigma) - log_sigma)
    z = mu + sigma * noise
    h_dec, cell_dec = lstm(affine("decoder", jnp.concatenate([z, h_dec], axis=1)), cell_dec)
    written, window = write(affine("heads", h_dec), config)
    return (h_enc, cell_enc, h_dec, cell_dec, canvas + written, window), kl


def lstm(gates, cell):
    """Return the new hidden state and cell, from the gates i, f, o, g before their nonlinearities."""
    h = cell.shape[1]
    i, f, o = jnp.split(jax.nn.sigmoid(gates[:, : 3 * h]), 3, axis=1)
    cell = f * cell + i * jnp.tanh(gates[:, 3 * h :])
    return o * jnp.tanh(cell), cell


def filters(window, N: int, config: DRAWConfig):
    """Return F_X (B, N, W), F_Y (B, N, H) and gamma (B, 1, 1)."""
    _, H, W = config.image_shape
    variance, delta, gamma = jnp.split(jnp.exp(window[:, 2:]), 3, axis=1)  # (B, 1) each
    places = (jnp.arange(1, N + 1) - (N / 2 + 0.5)) * delta * ((max(H, W) - 1) / (N - 1))  # (B, N)

    def filterbank(column: int, A: int):
        mu = (window[:, column, None] + 1) * ((A + 1) / 2) + places
        distance = jnp.arange(1, A + 1) - mu[:, :, None]
        return jax.nn.softmax(-0.5 * distance**2 / variance[:, :, None], axis=2)

    return filterbank(0, W), filterbank(1, H), gamma[:, :, None]


def read(window, x, error, config: DRAWConfig):
    """Return the glimpse (B, 2·C·N·N) of eq. 27."""
    (B, H, C, W), N = x.shape, config.read_size
    F_X, F_Y, gamma = filters(window, N, config)
    images = jnp.concatenate([x, error], axis=2).reshape(B, H * 2 * C, W)
    columns = jnp.matmul(images, F_X.transpose(0, 2, 1)).reshape(B, H, 2 * C * N)
    seen = jnp.matmul(F_Y, columns) * gamma
    return seen.reshape(B, N, 2 * C, N).transpose(0, 2, 1, 3).reshape(B, -1)


def write(heads, config: DRAWConfig) -> tuple:
    """Return what is written, (B, H, C, W), and the next glimpse's reading window."""
    C, H, W = config.image_shape
    M, B, window = config.write_size, len(heads), None
    if config.read_size is not None:
        heads, window = heads[:, :-5], heads[:, -5:]
    if M is None:
        return heads.reshape(B, C, H, W).transpose(0, 2, 1, 3), window
    F_X, F_Y, gamma = filters(heads[:, :5], M, config)
    patch = heads[:, 5:].reshape(B, C, M, M).transpose(0, 2, 1, 3).reshape(B, M, C * M) / gamma
    columns = jnp.matmul(F_Y.transpose(0, 2, 1), patch).reshape(B, H * C, M)
    return jnp.matmul(columns, F_X).reshape(B, H, C, W), window
