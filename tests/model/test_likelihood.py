"""The reconstruction loss, from logits."""

import math

import numpy as np
import pytest
from support import gradcheck, plain

from minidraw.model.likelihood import reconstruction, reconstruction_backward, sigmoid
from minidraw.model.reference import sigmoid as reference_sigmoid

B, P = 3, 7


class Likelihood(gradcheck.Part):
    """-log D(x | canvas) of every image, (B,); all have the same cotangent, as in the loss.

    The reference has the line at the end of its recurrence, where the whole model is tested against it.
    """

    def forward(self, canvas, x):
        return (reconstruction(x, canvas, np),)

    def backward(self, cotangents, canvas, x):
        dcanvas, mean = np.full((2, B, P), np.nan, x.dtype)
        reconstruction_backward(x, sigmoid(canvas, mean, np), float(cotangents[0][0]), dcanvas, np)
        return {"canvas": dcanvas}

    def reference(self, np, canvas, x):
        mean = 1 / (1 + np.exp(-canvas))
        return (-np.sum(x * np.log(mean) + (1 - x) * np.log(1 - mean), axis=1),)

    def plain(self, canvas, x):
        return (np.array([plain.reconstruction(*pair) for pair in zip(x.tolist(), canvas.tolist(), strict=True)]),)


@pytest.fixture
def part():
    rng = np.random.default_rng(5)
    return Likelihood({"canvas": rng.standard_normal((B, P))}, {"x": rng.random((B, P))}, (np.full(B, 0.3),))


@pytest.mark.parametrize("check", gradcheck.CHECKS)
def test_likelihood(part, check):
    check(part)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_sure_canvas(dtype):
    """At logits of ±1e4 the loss is 0 or 1e4 nats a pixel, not the logarithm of an epsilon."""
    canvas, x = np.array([[1e4, -1e4], [1e4, -1e4]], dtype), np.array([[1, 0], [0, 1]], dtype)
    assert np.array_equal(reconstruction(x, canvas, np), [0, 2e4])
    dcanvas = np.empty_like(canvas)
    mean = sigmoid(canvas, np.empty_like(canvas), np)
    reconstruction_backward(x, mean, 1.0, dcanvas, np)
    assert np.array_equal(mean, [[1, 0], [1, 0]]) and np.array_equal(dcanvas, [[0, 0], [1, -1]])


def test_an_empty_canvas_costs_log_2_a_pixel():
    nats = reconstruction(np.random.default_rng(6).random((B, P)), np.zeros((B, P)), np)
    assert np.allclose(nats, P * math.log(2), rtol=1e-15)


def test_sigmoid():
    logits = np.linspace(-30, 30, 61)
    expected = [plain.sigmoid(a) for a in logits]
    for got in (sigmoid(logits, np.empty(61), np), reference_sigmoid(logits)):
        assert np.allclose(got, expected, rtol=0, atol=1e-15)
        assert got[30] == 0.5 and np.all((got >= 0) & (got <= 1))
