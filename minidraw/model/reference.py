"""DRAW straight from the equations of Gregor et al. 2015 (arXiv:1502.04623), a line each: start reading here.

Pure functions without buffers or derivatives. They run on NumPy, and on autograd's NumPy, which differentiates them:
pass `np=autograd.numpy`. The fast model is tested against them, for values and for gradients.

`p` maps names to arrays (see config.parameter_shapes). Letters: T glimpses, B images, C, H, W channels, height, width,
N filters along a side, E and D hidden units of encoder and decoder, Z latent variables.
"""

import numpy

from .config import LOG_LIMIT


def filterbank(g, delta, variance, N, A, np=numpy):
    """Return F (B, N, A): N Gaussian filters over pixels 1..A; g, delta and variance are (B,), in pixels."""
    i = np.arange(1, N + 1)
    mu = g[:, None] + (i - N / 2 - 0.5) * delta[:, None]  # eqs 19, 20
    a = np.arange(1, A + 1)
    exponent = -((a - mu[:, :, None]) ** 2) / (2 * variance[:, None, None])  # eqs 25, 26
    # Not in print: subtracting the row's maximum, which cancels, but spares a filter far outside the image 0 / 0.
    F = np.exp(exponent - np.max(exponent, axis=2, keepdims=True))
    return F / np.sum(F, axis=2, keepdims=True)  # Z_X, Z_Y: every row sums to 1


def filters(p, name, h_dec, N, H, W, np=numpy):
    """Return F_X (B, N, W), F_Y (B, N, H) and the intensity gamma (B,) that h_dec (B, D) asks for."""
    out = np.dot(h_dec, p[name + ".W"]) + p[name + ".b"]  # eq. 21, (B, 5)
    g_X, g_Y, *logs = np.transpose(out)  # (B,) each
    log_variance, log_delta, log_gamma = (np.clip(v, -LOG_LIMIT, LOG_LIMIT) for v in logs)  # not in print
    g_X = (W + 1) / 2 * (g_X + 1)  # eq. 22
    g_Y = (H + 1) / 2 * (g_Y + 1)  # eq. 23
    delta = (max(H, W) - 1) / (N - 1) * np.exp(log_delta)  # eq. 24
    variance, gamma = np.exp(log_variance), np.exp(log_gamma)
    return filterbank(g_X, delta, variance, N, W, np), filterbank(g_Y, delta, variance, N, H, np), gamma


def read(p, x, x_hat, h_dec, N, np=numpy):
    """Return the glimpse of the images x and of the error images x_hat, both (B, C, H, W): (B, 2·C·N·N)."""
    B, C, H, W = x.shape
    both = np.concatenate([x, x_hat], axis=1)  # (B, 2C, H, W)
    if N is None:
        return np.reshape(both, (B, 2 * C * H * W))  # eq. 17
    F_X, F_Y, gamma = filters(p, "read", h_dec, N, H, W, np)
    seen = np.einsum("biy,bcyx,bjx->bcij", F_Y, both, F_X)
    return np.reshape(gamma[:, None, None, None] * seen, (B, 2 * C * N * N))  # eq. 27


def write(p, h_dec, M, shape, np=numpy):
    """Return what is added to the canvas, (B, C, H, W), in logits."""
    C, H, W = shape
    patch = np.dot(h_dec, p["patch.W"]) + p["patch.b"]  # eqs 18, 28
    if M is None:
        return np.reshape(patch, (-1, C, H, W))
    F_X, F_Y, gamma = filters(p, "write", h_dec, M, H, W, np)
    patch = np.reshape(patch, (-1, C, M, M))
    return np.einsum("biy,bcij,bjx->bcyx", F_Y, patch, F_X) / gamma[:, None, None, None]  # eq. 29


def lstm(W, b, inputs, cell, np=numpy):
    """Return the new hidden state and cell, both (B, h). The paper leaves the network open; this is its LSTM.

    inputs (B, K) end with the old hidden state; W is (K, 4h) and b (4h,), their columns the gates i, f, o, g.
    """
    i, f, o, g = np.split(np.dot(inputs, W) + b, 4, axis=1)
    cell = sigmoid(f, np) * cell + sigmoid(i, np) * np.tanh(g)
    return sigmoid(o, np) * np.tanh(cell), cell


def sigmoid(a, np=numpy):
    """Return 1 / (1 + exp(-a)), written so that it cannot overflow."""
    return 0.5 * (1 + np.tanh(0.5 * a))


def decode(p, z, h_dec, cell, canvas, config, np=numpy):
    """Take the decoder's half of a glimpse; return the new h_dec, cell and canvas (B, C, H, W)."""
    h_dec, cell = lstm(p["decoder.W"], p["decoder.b"], np.concatenate([z, h_dec], axis=1), cell, np)  # eqs 7, 14
    return h_dec, cell, canvas + write(p, h_dec, config.write_size, config.image_shape, np)  # eqs 8, 15


def initial(p, B, config, np=numpy):
    """Return the learned h_enc, h_dec and canvas before the first glimpse, for B images."""
    rows = np.ones((B, 1))
    return rows * p["h_enc0"], rows * p["h_dec0"], np.reshape(rows * p["canvas0"], (B, *config.image_shape))


def losses(p, x, noise, config, np=numpy):
    """Return the reconstruction loss (B,) and the latent loss of every glimpse (T, B), in nats.

    x is (B, C, H, W) in [0, 1], noise (T, B, Z) standard normal.
    """
    B, Z = len(x), config.latent_size
    h_enc, h_dec, canvas = initial(p, B, config, np)
    cell_enc, cell_dec = np.zeros((B, config.enc_size)), np.zeros((B, config.dec_size))
    latent = []
    for t in range(config.glimpses):
        x_hat = x - sigmoid(canvas, np)  # eq. 3
        r = read(p, x, x_hat, h_dec, config.read_size, np)  # eq. 4
        inputs = np.concatenate([r, h_dec, h_enc], axis=1)
        h_enc, cell_enc = lstm(p["encoder.W"], p["encoder.b"], inputs, cell_enc, np)  # eq. 5
        q = np.dot(h_enc, p["latent.W"]) + p["latent.b"]
        mu, log_sigma = q[:, :Z], q[:, Z:]  # eq. 1
        sigma = np.exp(log_sigma)  # eq. 2
        z = mu + sigma * noise[t]  # eq. 6
        h_dec, cell_dec, canvas = decode(p, z, h_dec, cell_dec, canvas, config, np)  # eqs 7, 8
        latent.append(np.sum(mu**2 + sigma**2 - 2 * log_sigma - 1, axis=1) / 2)  # eqs 10, 11; q = p gives 0
    nats = np.logaddexp(0, canvas) - x * canvas  # eq. 9: -log Bernoulli(x | sigmoid(canvas)), from logits
    return np.sum(nats, axis=(1, 2, 3)), np.stack(latent)


def loss(p, x, noise, config, np=numpy):
    """Return the mean loss of the minibatch in nats per image (eq. 12)."""
    reconstruction, latent = losses(p, x, noise, config, np)
    return np.mean(reconstruction) + np.sum(np.mean(latent, axis=1))


def generate(p, noise, config, np=numpy):
    """Draw from the prior with z_t = noise[t] (B, Z): the images after every glimpse, (T, B, C, H, W)."""
    B = noise.shape[1]
    _, h_dec, canvas = initial(p, B, config, np)
    cell, frames = np.zeros((B, config.dec_size)), []
    for z in noise:  # eq. 13
        h_dec, cell, canvas = decode(p, z, h_dec, cell, canvas, config, np)  # eqs 14, 15
        frames.append(sigmoid(canvas, np))  # eq. 16: the mean of D(X | c), not a draw from it; and not c_T alone
    return np.stack(frames)


def classify(p, x, config, np=numpy):
    """Return log P(label | x) of the classifier of section 4.1, (B, classes); x is (B, C, H, W)."""
    B, _, H, W = x.shape
    h, cell = np.ones((B, 1)) * p["h0"], np.zeros((B, config.hidden_size))
    for _ in range(config.glimpses):
        F_X, F_Y, gamma = filters(p, "read", h, config.read_size, H, W, np)  # placed by the state before
        glimpse = gamma[:, None, None, None] * np.einsum("biy,bcyx,bjx->bcij", F_Y, x, F_X)  # eq. 27, the image alone
        inputs = np.concatenate([np.reshape(glimpse, (B, -1)), h], axis=1)
        h, cell = lstm(p["lstm.W"], p["lstm.b"], inputs, cell, np)
    logits = np.dot(h, p["softmax.W"]) + p["softmax.b"]
    logits = logits - np.max(logits, axis=1, keepdims=True)
    return logits - np.log(np.sum(np.exp(logits), axis=1, keepdims=True))
