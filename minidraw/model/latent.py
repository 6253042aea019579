"""The latent variables: q(z_t | h_enc) = N(mu_t, sigma_t²), a sample of it, and its divergence from the prior N(0, 1).

    mu_t, log sigma_t = h_enc W + b                                    (eqs 1, 2)
    z_t = mu_t + sigma_t * noise_t
    KL_t = ½ Σ_z (mu_t² + sigma_t² - log sigma_t² - 1)                 (eqs 10, 11: with q = p it is zero)

Letters: T glimpses, B images, E encoder units, Z latent variables a glimpse.
"""

import numpy as np

from ..backend import Array, fused
from ..errors import UserError


class LatentTrace:
    """What the forward pass leaves for the backward pass, for all time steps."""

    def __init__(self, alloc, T: int, B: int, E: int, Z: int):
        self.q = self.dq = alloc(T, B, 2 * Z)  # one memory: mu, log sigma; on the way back their gradients
        self.sigma = alloc(T, B, Z)
        self.scratch = alloc(B, Z)
        self.dh_enc = alloc(B, E)


@fused
def sample(trace: LatentTrace, t: int, W: Array, b: Array, h_enc: Array, noise: Array, z: Array, xp) -> None:
    """Draw z_t (B, Z) from q(z_t | h_enc (B, E)) with the standard normal `noise` (B, Z)."""
    Z = z.shape[1]
    q, sigma = trace.q[t], trace.sigma[t]
    xp.matmul(h_enc, W, out=q)  # eqs 1, 2, (B, 2Z)
    q += b
    xp.exp(q[:, Z:], out=sigma)
    xp.multiply(sigma, noise, out=z)  # eq. 6
    z += q[:, :Z]


@fused
def divergence(trace: LatentTrace, xp) -> Array:
    """Return KL(q || p) of every glimpse and image, (T, B), in nats (eq. 10)."""
    Z = trace.sigma.shape[2]
    mu, log_sigma = trace.q[:, :, :Z], trace.q[:, :, Z:]
    kl = trace.sigma * trace.sigma
    kl += mu * mu
    kl -= 2.0 * log_sigma
    return 0.5 * (kl.sum(axis=2) - Z)  # eq. 11, with the 1 under the sum over z


def log_ratio(trace: LatentTrace, z: Array, noise: Array, xp) -> Array:
    """Return log P(z) - log q(z | x) of every image, (B,), in nats, for the sampled z (T, B, Z) and its noise."""
    log_q_over_p = 0.5 * (z * z - noise * noise) - trace.q[:, :, z.shape[2] :]  # the two log(2 pi)/2 cancel
    return -log_q_over_p.sum(axis=(0, 2))


@fused
def sample_backward(trace: LatentTrace, t: int, W: Array, noise: Array, dz: Array, scale: float, xp) -> Array:
    """Return the gradient of h_enc (B, E) from that of z_t (B, Z) and of `scale` times KL_t."""
    Z = dz.shape[1]
    dmu, dlog_sigma = trace.dq[t][:, :Z], trace.dq[t][:, Z:]  # dmu still holds mu
    sigma, scratch = trace.sigma[t], trace.scratch
    # z = mu + sigma * noise;  d KL / d mu = mu;  d KL / d log sigma = sigma² - 1
    dmu *= scale
    dmu += dz
    xp.multiply(dz, noise, out=scratch)
    scratch *= sigma
    xp.multiply(sigma, sigma, out=dlog_sigma)
    dlog_sigma -= 1.0
    dlog_sigma *= scale
    dlog_sigma += scratch
    return xp.matmul(trace.dq[t], W.T, out=trace.dh_enc)


def between(z: np.ndarray, steps: int) -> np.ndarray:
    """Return latents (T, (n - 1) steps, Z) leading through the n images of z (T, n, Z), `steps` from each to the next.

    The way is an arc of a sphere, not a straight line, in all T Z numbers together: nearly all of a Gaussian lies at
    about one distance from zero, and the middle of a straight line is much nearer to it. First and last are z exactly.
    """
    T, n, Z = z.shape
    if n < 2:
        raise UserError(f"there is something between two images or more, not {n}")
    a, b = (np.moveaxis(part, 1, 0).reshape(n - 1, T * Z).astype(np.float64) for part in (z[:, :-1], z[:, 1:]))
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine = np.clip((a * b).sum(axis=1) / np.maximum(lengths, np.finfo(float).tiny), -1, 1)
    angle = np.arccos(cosine)[:, None, None]  # (n - 1, 1, 1)
    w = np.linspace(0, 1, steps)[:, None]  # (steps, 1)
    bent = np.sin(angle) > 1e-6  # where it is not, a line through zero or no way at all: go straight
    sine = np.where(bent, np.sin(angle), 1)
    of_a = np.where(bent, np.sin((1 - w) * angle) / sine, 1 - w)  # (n - 1, steps, 1)
    of_b = np.where(bent, np.sin(w * angle) / sine, w)
    points = of_a * a[:, None] + of_b * b[:, None]  # (n - 1, steps, T Z)
    return np.moveaxis(points.reshape(-1, T, Z), 1, 0).astype(z.dtype)
