"""The latent variables: sampling, KL and the importance weight."""

import math

import numpy as np
import pytest
from support import gradcheck, plain

from minidraw.model.latent import LatentTrace, divergence, log_ratio, sample, sample_backward

T, B, E, Z = 3, 2, 5, 4


class Latent(gradcheck.Part):
    """T steps from h_enc (T, B, E) to z (T, B, Z) and KL (T, B); the cotangent of every KL is the same, as in the loss.

    The reference has these lines inside its recurrence, where the whole model is tested against them.
    """

    def run(self, h_enc, W, b, noise):
        trace, z = LatentTrace(gradcheck.nans(W.dtype), T, B, E, Z), np.full((T, B, Z), np.nan, W.dtype)
        for t in range(T):
            sample(trace, t, W, b, h_enc[t], noise[t], z[t], np)
        return trace, z

    def forward(self, **arrays):
        trace, z = self.run(**arrays)
        return z, divergence(trace, np)

    def backward(self, cotangents, h_enc, W, b, noise):
        trace, _ = self.run(h_enc, W, b, noise)
        dz, scale = cotangents[0], float(cotangents[1][0, 0])
        dh_enc = [sample_backward(trace, t, W, noise[t], dz[t], scale, np).copy() for t in range(T)]
        dq = trace.q.reshape(T * B, 2 * Z)  # whose products are the gradients of the weights
        return {"h_enc": np.stack(dh_enc), "W": h_enc.reshape(T * B, E).T @ dq, "b": dq.sum(axis=0)}

    def reference(self, np, h_enc, W, b, noise):
        q = np.dot(h_enc, W) + b
        mu, log_sigma = q[:, :, :Z], q[:, :, Z:]
        sigma = np.exp(log_sigma)
        return mu + sigma * noise, np.sum(mu**2 + sigma**2 - np.log(sigma**2) - 1, axis=2) / 2

    def plain(self, h_enc, W, b, noise):
        z, kl = np.empty((T, B, Z)), np.empty((T, B))
        for t, image in np.ndindex(T, B):
            q = plain.affine(W.tolist(), b.tolist(), h_enc[t, image].tolist())
            kl[t, image] = plain.divergence(q[:Z], q[Z:])
            z[t, image] = [q[k] + math.exp(q[Z + k]) * noise[t, image, k] for k in range(Z)]
        return z, kl


@pytest.fixture
def part():
    rng = np.random.default_rng(4)
    shapes = {"h_enc": (T, B, E), "W": (E, 2 * Z), "b": (2 * Z,)}
    inputs = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    cotangents = rng.standard_normal((T, B, Z)), np.full((T, B), 0.7)
    return Latent(inputs, {"noise": rng.standard_normal((T, B, Z))}, cotangents)


@pytest.mark.parametrize("check", gradcheck.CHECKS)
def test_latent(part, check):
    check(part)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nothing_is_lost_where_q_is_the_prior(part, dtype):
    arrays = {name: 0 * array.astype(dtype) for name, array in part.inputs.items()}
    noise = part.constants["noise"].astype(dtype)
    z, kl = part.forward(**arrays, noise=noise)
    assert np.all(kl == 0) and np.array_equal(z, noise)
    dkl = np.zeros_like(noise), np.ones((T, B))
    assert all(np.all(grad == 0) for grad in part.backward(dkl, **arrays, noise=noise).values())


def test_known_divergences(part):
    """½ (mu² + sigma² - log sigma² - 1) for each of Z variables; eq. 11's T / 2 is for a single one."""
    for mu, sigma in ((2.0, 1.0), (0.0, math.e), (-1.0, 0.1)):
        part.inputs["W"][:] = 0
        part.inputs["b"][:] = np.repeat([mu, math.log(sigma)], Z)
        _, kl = part.forward(**part.inputs, **part.constants)
        assert np.allclose(kl, Z * (mu**2 + sigma**2 - 2 * math.log(sigma) - 1) / 2, rtol=1e-14)


def test_the_importance_weight(part):
    trace, z = part.run(**part.inputs, **part.constants)
    for image in range(B):
        expected = 0.0
        for t, k in np.ndindex(T, Z):
            mu, log_sigma = trace.q[t, image, k], trace.q[t, image, Z + k]
            expected += plain.log_normal(z[t, image, k], 0, 0) - plain.log_normal(z[t, image, k], mu, log_sigma)
        assert math.isclose(log_ratio(trace, z, part.constants["noise"], np)[image], expected, rel_tol=1e-12)
