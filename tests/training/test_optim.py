"""Adam, clipping and averaging against their formulas, written plainly in float64."""

import math

import numpy as np
import pytest

from minidraw.training.optim import BLOCK, Adam, global_norm


def plain_adam(p, grads, rates, beta1, beta2, averaging, epsilon=1e-8):
    """Algorithm 1 of arXiv:1412.6980, and the averaged parameters."""
    m, v, a = np.zeros_like(p), np.zeros_like(p), p.copy()
    for t, (g, rate) in enumerate(zip(grads, rates, strict=True), start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        p = p - rate * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + epsilon)
        kept = min(averaging, t / (t + 10))
        a = kept * a + (1 - kept) * p
    return p, m, v, a


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-12), (np.float32, 2e-5)])
def test_adam_is_algorithm_1_also_across_blocks(dtype, tolerance):
    rng = np.random.default_rng(0)
    size = 2 * BLOCK + 17
    start = rng.standard_normal(size).astype(dtype)
    grads = [(rng.standard_normal(size) * 10.0 ** rng.integers(-9, 4, size)).astype(dtype) for _ in range(12)]
    rates, scales = 10.0 ** rng.uniform(-4, -1, 12), np.where(np.arange(12) % 3, 1.0, 0.37)
    adam = Adam(start.copy(), 0.85, 0.97, 0.4, np)
    for g, rate, scale in zip(grads, rates, scales, strict=True):
        adam.update(g.copy(), rate, scale)
    scaled = [np.float64(g) * s for g, s in zip(grads, scales, strict=True)]
    expected = plain_adam(np.float64(start), scaled, rates, 0.85, 0.97, 0.4)
    results = (adam.params, adam.mean, adam.square, adam.average)
    for result, wanted in zip(results, expected, strict=True):
        assert result.dtype == dtype
        np.testing.assert_allclose(result, wanted, rtol=tolerance, atol=tolerance * np.abs(wanted).max())
    assert adam.updates == 12


def test_a_first_step_is_the_learning_rate_whatever_the_gradient():
    adam = Adam(np.zeros(3), 0.9, 0.999, 0.999, np)
    adam.update(np.array([1e-3, -5.0, 1e6]), 0.01)
    np.testing.assert_allclose(adam.params, [-0.01, 0.01, -0.01], rtol=1e-4)


def test_adam_without_a_gradient_stays_where_it_is():
    adam = Adam(np.ones(3), 0.9, 0.999, 0.999, np)
    adam.update(np.zeros(3), 0.01)
    np.testing.assert_array_equal(adam.params, np.ones(3))


def test_the_average_follows_soon_at_first_and_slowly_later():
    adam = Adam(np.zeros(1), 0.9, 0.999, 0.99, np)
    average, seen = 0.0, []
    for n in range(1, 2001):
        adam.update(np.array([-1.0]), 0.001)  # always a step of about 0.001 upwards
        kept = n / (n + 10) if n < 990 else 0.99
        average = kept * average + (1 - kept) * adam.params[0]
        seen.append(adam.params[0] - adam.average[0])
        assert adam.average[0] == pytest.approx(average, rel=1e-12)
    assert seen[109] == pytest.approx(0.01, rel=0.1)  # the horizon after 110 updates is 11 of them
    assert seen[-1] == pytest.approx(0.099, rel=1e-3)  # kept / (1 - kept) updates


def test_global_norm_is_that_of_all_gradients_together():
    assert global_norm(np.array([3.0, 0.0, -4.0]), np) == 5.0
    for wrong in (math.nan, math.inf, -math.inf):
        assert not math.isfinite(global_norm(np.array([1.0, wrong]), np))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_norm_of_finite_gradients_is_finite_whatever_their_squares_are(dtype):
    large = np.sqrt(np.finfo(dtype).max)
    grads = large * np.random.default_rng(0).standard_normal(2 * BLOCK + 17).astype(dtype)
    with np.errstate(over="ignore"):
        assert not np.isfinite(np.dot(grads, grads))
        assert global_norm(grads, np) == pytest.approx(large * float(np.linalg.norm(grads / large)), rel=1e-5)
    for wrong in (math.nan, math.inf, -math.inf):
        grads[-3] = wrong
        with np.errstate(all="ignore"):
            assert not math.isfinite(global_norm(grads, np))
