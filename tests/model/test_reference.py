"""The executable paper itself: against plain loops, and autograd through it against differences."""

import math

import numpy as np
import pytest
from support import gradcheck, plain

from minidraw.model import reference

COMBINATIONS = [(1, True, True), (2, True, False), (3, False, True), (2, False, False)]  # channels, read, write


@pytest.mark.parametrize("combination", COMBINATIONS, ids=str)
def test_every_image_against_plain_loops(combination):
    part = gradcheck.Whole(*combination)
    nats, latent = reference.losses(part.inputs, part.constants["x"], part.constants["noise"], part.config)
    drawn = part.drawn(**part.inputs, **part.constants)
    gradcheck.assert_close(nats, [one.reconstruction for one in drawn], gradcheck.VALUES)
    gradcheck.assert_close(latent.T, [one.latent for one in drawn], gradcheck.VALUES)
    total = reference.loss(part.inputs, part.constants["x"], part.constants["noise"], part.config)
    gradcheck.assert_close(total, nats.mean() + latent.sum(axis=0).mean(), gradcheck.VALUES)


def test_autograd_through_it_against_differences():
    """The two independent checks of the fast model agree with each other."""
    part = gradcheck.Whole()

    part.forward = lambda **arrays: part.reference(np, **arrays)
    gradcheck.assert_slopes(gradcheck.autograd_gradients(part), gradcheck.differences(part))


@pytest.mark.parametrize("write", [True, False])
def test_drawing_from_the_prior(write):
    """Generating is reconstructing where q is the prior and nothing is read: z is then the noise."""
    part = gradcheck.Whole(2, True, write)
    for name in ("latent.W", "latent.b"):
        part.inputs[name][:] = 0
    frames = reference.generate(part.inputs, part.constants["noise"], part.config)
    for b, one in enumerate(part.drawn(**part.inputs, **part.constants)):
        gradcheck.assert_close(frames[:, b].reshape(len(frames), -1), one.frames, gradcheck.VALUES)
        assert one.latent == [0.0] * part.config.glimpses


def test_filters():
    rng = np.random.default_rng(0)
    g, delta, variance = 20 * rng.standard_normal(6), rng.random(6), rng.random(6)
    F = reference.filterbank(g, delta, variance, 3, 5)
    gradcheck.assert_close(F, [plain.filterbank(*row, 3, 5) for row in zip(g, delta, variance, strict=True)], 1e-12)
    assert np.allclose(F.sum(axis=2), 1, rtol=0, atol=1e-15)


def test_the_plain_filters_are_one_based():
    """The loops' own anchor: a filter between two pixels, worked out by hand."""
    ((first, second),) = plain.filterbank(1.25, 1.0, 0.5, 1, 2)  # one filter, at mu = g; eq. 19 with i = N = 1
    assert math.isclose(first / second, math.exp(0.75**2 - 0.25**2))
    assert [math.isclose(row[2], 1) for row in plain.filterbank(3.0, 0.0, 1e-6, 2, 5)] == [True, True]
