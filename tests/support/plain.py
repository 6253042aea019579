"""DRAW in plain Python loops, written from the paper's equations: one image at a time, lists of floats, no arrays.

Independent of both the reference and the fast code, and slow. Filters are placed and squared in exact fractions, so
they can be trusted far outside the image too.
"""

import math
from fractions import Fraction
from typing import NamedTuple


def filterbank(g, delta, variance, N, A):
    """Return F[i][a], N filters over pixels 1..A (eqs 19, 25)."""
    F = []
    for i in range(1, N + 1):
        mu = Fraction(g) + (i - Fraction(N, 2) - Fraction(1, 2)) * Fraction(delta)
        squares = [(a - mu) ** 2 for a in range(1, A + 1)]
        smallest = min(squares)  # divides numerator and Z_X by the same number, or far outside both would be zero
        terms = [math.exp(-(square - smallest) / (2 * Fraction(variance))) for square in squares]
        F.append([term / math.fsum(terms) for term in terms])
    return F


def window(out, N, H, W):
    """Return F_X, F_Y and gamma from the five numbers of eq. 21."""
    g_x, g_y, *logs = out
    log_variance, log_delta, log_gamma = (min(max(log, -40.0), 40.0) for log in logs)  # where they end
    g_x = (W + 1) / 2 * (g_x + 1)  # eq. 22
    g_y = (H + 1) / 2 * (g_y + 1)  # eq. 23
    delta = (max(H, W) - 1) / (N - 1) * math.exp(log_delta)  # eq. 24
    variance = math.exp(log_variance)
    return filterbank(g_x, delta, variance, N, W), filterbank(g_y, delta, variance, N, H), math.exp(log_gamma)


def read(images, out, N):
    """Return the glimpse of a list of pictures [H][W], flat (eq. 27)."""
    H, W = len(images[0]), len(images[0][0])
    F_X, F_Y, gamma = window(out, N, H, W)
    glimpse = []
    for image in images:
        for i in range(N):
            for j in range(N):
                weighted = (F_Y[i][y] * image[y][x] * F_X[j][x] for y in range(H) for x in range(W))
                glimpse.append(gamma * sum(weighted))
    return glimpse


def write(patches, out, H, W):
    """Return what a list of patches [M][M] puts on a canvas [H][W] (eq. 29)."""
    M = len(patches[0])
    F_X, F_Y, gamma = window(out, M, H, W)
    return [
        [
            [sum(F_Y[i][y] * w[i][j] * F_X[j][x] for i in range(M) for j in range(M)) / gamma for x in range(W)]
            for y in range(H)
        ]
        for w in patches
    ]


def sigmoid(a):
    return 1 / (1 + math.exp(-a))


def affine(W, b, inputs):
    return [b[j] + sum(inputs[k] * W[k][j] for k in range(len(inputs))) for j in range(len(b))]


def lstm(W, b, inputs, cell):
    """Return the new hidden state and cell of an LSTM with the gates in the order i, f, o, g."""
    a, h = affine(W, b, inputs), len(cell)
    new_hidden, new_cell = [], []
    for k in range(h):
        i, f, o, g = sigmoid(a[k]), sigmoid(a[h + k]), sigmoid(a[2 * h + k]), math.tanh(a[3 * h + k])
        new_cell.append(f * cell[k] + i * g)
        new_hidden.append(o * math.tanh(new_cell[k]))
    return new_hidden, new_cell


def divergence(mu, log_sigma):
    """Return KL(N(mu, sigma²) || N(0, 1)), summed over the latent variables."""
    return sum((m**2 + math.exp(s) ** 2 - 2 * s - 1) / 2 for m, s in zip(mu, log_sigma, strict=True))


def log_normal(z, mu, log_sigma):
    return -((z - mu) ** 2) / (2 * math.exp(log_sigma) ** 2) - log_sigma - math.log(2 * math.pi) / 2


def reconstruction(x, canvas):
    """Return -log Bernoulli(x | sigmoid(canvas)) of flat lists (eq. 9)."""
    return -sum(v * math.log(sigmoid(c)) + (1 - v) * math.log(sigmoid(-c)) for v, c in zip(x, canvas, strict=True))


class Drawn(NamedTuple):
    """What came of one image."""

    reconstruction: float
    latent: list  # [T]
    frames: list  # [T][C·H·W]
    log_weight: float  # log P(z) + log D(x | c_T) - log Q(z | x)


def draw(p, x, noise, config):
    """Draw one image, x [C·H·W], with noise [T][Z]; p maps names to nested lists."""
    _, H, W = config.image_shape
    N, M, Z = config.read_size, config.write_size, config.latent_size

    def pictures(flat, rows, columns):
        cut = [flat[k : k + columns] for k in range(0, len(flat), columns)]
        return [cut[k : k + rows] for k in range(0, len(cut), rows)]

    h_enc, h_dec, canvas = p["h_enc0"], p["h_dec0"], p["canvas0"]
    cell_enc, cell_dec = [0.0] * config.enc_size, [0.0] * config.dec_size
    latent, frames, log_ratio = [], [], 0.0
    for t in range(config.glimpses):
        x_hat = [v - sigmoid(c) for v, c in zip(x, canvas, strict=True)]  # eq. 3
        r = x + x_hat  # eq. 17
        if N is not None:
            r = read(pictures(r, H, W), affine(p["read.W"], p["read.b"], h_dec), N)  # eq. 4
        h_enc, cell_enc = lstm(p["encoder.W"], p["encoder.b"], r + h_dec + h_enc, cell_enc)  # eq. 5
        q = affine(p["latent.W"], p["latent.b"], h_enc)
        mu, log_sigma = q[:Z], q[Z:]  # eqs 1, 2
        z = [mu[k] + math.exp(log_sigma[k]) * noise[t][k] for k in range(Z)]  # eq. 6
        h_dec, cell_dec = lstm(p["decoder.W"], p["decoder.b"], z + h_dec, cell_dec)  # eq. 7
        written = affine(p["patch.W"], p["patch.b"], h_dec)  # eq. 18
        if M is not None:
            out = affine(p["write.W"], p["write.b"], h_dec)
            written = [v for picture in write(pictures(written, M, M), out, H, W) for row in picture for v in row]
        canvas = [c + w for c, w in zip(canvas, written, strict=True)]  # eq. 8
        frames.append([sigmoid(c) for c in canvas])
        latent.append(divergence(mu, log_sigma))
        log_ratio += sum(log_normal(z[k], 0, 0) - log_normal(z[k], mu[k], log_sigma[k]) for k in range(Z))
    nats = reconstruction(x, canvas)
    return Drawn(nats, latent, frames, log_ratio - nats)
