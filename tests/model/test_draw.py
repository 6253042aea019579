"""The whole network: its gradients, what it promises its users, and what it must not do."""

import math
import tracemalloc

import numpy as np
import pytest
from support import gradcheck

from minidraw import DRAW, DRAWConfig, UserError
from minidraw.model import reference
from minidraw.model.attention import place
from minidraw.model.config import parameter_shapes
from minidraw.model.draw import DRAWShard
from minidraw.parallel.shard import pitched
from minidraw.streams import Purpose, stream

SWITCHES = [(read, write) for read in (True, False) for write in (True, False)]  # attention or not
COMBINATIONS = [(channels, *switches) for channels in (1, 2, 3) for switches in SWITCHES]  # channels, read, write
SOME = [(1, True, True), (2, True, False), (3, False, True), (1, False, False), (3, True, True)]


def prepared(*combination):
    """Return a float64 model with random parameters, images and noise."""
    part = gradcheck.Whole(*combination)
    return part.prepare(**part.inputs, **part.constants), part.constants["x"], part.constants["noise"]


def copied(loss, grads):
    return [loss.reconstruction, *loss.latent_per_step, *(grad.copy() for grad in grads.values())]


# Values and gradients


@pytest.mark.parametrize("combination", COMBINATIONS, ids=str)
def test_autograd(combination):
    gradcheck.check_autograd(gradcheck.Whole(*combination))


@pytest.mark.parametrize("combination", SOME, ids=str)
@pytest.mark.parametrize("check", gradcheck.CHECKS[:-1])
def test_part(combination, check):
    check(gradcheck.Whole(*combination))


def test_sabotage_is_noticed():
    gradcheck.check_sabotage_is_noticed(gradcheck.Whole())


@pytest.mark.parametrize("switches", SWITCHES, ids=str)
def test_the_smallest_network(switches):
    """One pixel, one image, one glimpse, one unit of each kind."""
    read, write = (2 if on else None for on in switches)
    config = DRAWConfig((1, 1, 1), 1, read, write, 1, 1, 1)
    model = DRAW(config, dtype="float64", threads=1)
    x, noise = np.full((1, 1, 1, 1), 0.3), np.full((1, 1, 1), -0.6)
    loss, _ = model.loss_and_grads(x, noise)
    assert math.isclose(loss.total, reference.loss(model.params, x, noise, config), rel_tol=1e-14)


# Identities


@pytest.mark.parametrize("combination", SOME, ids=str)
def test_weights_of_zero_cost_log_2_a_pixel(combination):
    model, x, noise = prepared(*combination)
    model.flat_params[:] = 0
    loss, grads = model.loss_and_grads(x, noise)
    assert loss.latent == 0.0 and np.all(grads["latent.b"] == 0)
    assert math.isclose(loss.total, math.prod(model.config.image_shape) * math.log(2), rel_tol=1e-15)


def test_the_canvas_is_added_to():
    """A patch that never changes arrives once more at every step."""
    model, x, noise = prepared(2, True, False)
    model.params["patch.W"][:] = 0
    for t, frame in enumerate(model.reconstruct(x, noise)):
        logits = model.params["canvas0"] + (t + 1) * model.params["patch.b"]
        gradcheck.assert_close(frame.reshape(len(x), -1), np.tile(reference.sigmoid(logits), (len(x), 1)), 1e-12)


def test_read_and_write_have_windows_of_their_own():
    model, x, noise = prepared()
    arrays = list(model.params.values())
    assert not any(np.shares_memory(a, b) for k, a in enumerate(arrays) for b in arrays[:k])
    before, drawing = model.generate(3), model.redraw(x, noise)
    model.params["read.W"][:] += 1
    assert np.array_equal(model.generate(3), before)  # the decoder alone draws from the prior
    model.params["read.W"][:] -= 1
    model.params["write.b"][:] += 1
    after = model.redraw(x, noise)
    assert np.array_equal(after.read.centre[0], drawing.read.centre[0])  # and placed before anything is written
    assert not np.any(after.write.centre[0] == drawing.write.centre[0])


def test_noise_acts_on_its_own_image_from_its_own_step_on():
    model, x, noise = prepared()
    before, latent = model.reconstruct(x, noise), model.loss(x[3:4], noise[:, 3:4]).latent_per_step
    noise[2, 3] += 1
    changed = np.any(model.reconstruct(x, noise) != before, axis=(2, 3, 4))  # (T, B)
    expected = np.zeros_like(changed)
    expected[2:, 3] = True
    assert np.array_equal(changed, expected)
    after = model.loss(x[3:4], noise[:, 3:4]).latent_per_step
    assert np.array_equal(after[:3], latent[:3]) and after[3] != latent[3]  # q_t has not seen the noise of step t


def test_images_do_not_see_each_other():
    model, x, noise = prepared()
    losses = [model.loss(x[b : b + 1], noise[:, b : b + 1]).total for b in range(len(x))]
    assert math.isclose(np.mean(losses), model.loss(x, noise).total, rel_tol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("logit", [1e4, -1e4])
def test_a_sure_canvas_is_finite(logit, dtype):
    part = gradcheck.Whole(2)
    part.inputs["canvas0"][:] = logit
    x, noise = np.ones_like(part.constants["x"], dtype), part.constants["noise"].astype(dtype)
    model = part.prepare(x, noise, **part.inputs)
    loss, _ = model.loss_and_grads(x, noise)
    assert np.isfinite(model.flat_grads).all()
    assert abs(loss.reconstruction - x[0].size * max(0, -logit)) < 1e-2 * x[0].size * -min(logit, -1)
    assert np.array_equal(model.reconstruct(x, noise), np.full((4, *x.shape), logit > 0))


# What users rely on


def test_parameters_and_gradients():
    model, x, noise = prepared(3, True, False)
    shapes = parameter_shapes(model.config)
    _, grads = model.loss_and_grads(x, noise)
    for arrays, flat in ((model.params, model.flat_params), (grads, model.flat_grads)):
        assert {name: array.shape for name, array in arrays.items()} == shapes
        assert all(array.dtype == np.float64 and np.shares_memory(array, flat) for array in arrays.values())


def test_loss_and_its_terms():
    model, x, noise = prepared()
    loss, _ = model.loss_and_grads(x, noise)
    assert all(isinstance(term, float) for term in (loss.total, loss.reconstruction, loss.latent))
    assert loss.latent_per_step.shape == (4,) and loss.latent == loss.latent_per_step.sum()
    assert loss.total == loss.reconstruction + loss.latent
    assert copied(loss, {}) == copied(model.loss(x, noise), {})


@pytest.mark.parametrize("combination", SOME, ids=str)
def test_reconstruct_against_plain_loops(combination):
    part = gradcheck.Whole(*combination)
    model, x, noise = prepared(*combination)
    frames = model.reconstruct(x, noise)
    assert frames.shape == (4, *x.shape) and np.all((frames >= 0) & (frames <= 1))
    for b, one in enumerate(part.drawn(**part.inputs, **part.constants)):
        gradcheck.assert_close(frames[:, b].reshape(4, -1), one.frames, gradcheck.VALUES)
    nats = -(x * np.log(frames[-1]) + (1 - x) * np.log1p(-frames[-1])).sum() / len(x)
    assert math.isclose(nats, model.loss(x, noise).reconstruction, rel_tol=1e-10)  # the last frame is what is judged


@pytest.mark.parametrize("combination", SOME, ids=str)
def test_generate(combination, monkeypatch):
    model, _, _ = prepared(*combination)
    gradcheck.spoil(model, 5)
    frames = model.generate(5, seed=2)
    noise = stream(2, Purpose.PRIOR).standard_normal((4, 5, 8))
    gradcheck.assert_close(frames, reference.generate(model.params, noise, model.config), gradcheck.VALUES)
    assert frames.shape == (4, 5, *model.config.image_shape) and np.all((frames >= 0) & (frames <= 1))
    assert np.array_equal(frames, model.generate(5, seed=2)) and not np.any(frames == model.generate(5, seed=3))
    monkeypatch.setattr("minidraw.model.draw.DRAWING_CHUNK", 2)
    gradcheck.assert_close(model.generate(5, seed=2), frames, gradcheck.VALUES)


def test_windows_of_a_drawing():
    """Where the drawing says it looked and wrote is where the filters were."""
    model, x, noise = prepared()
    drawing = model.redraw(x, noise)
    for seen, part, N in ((drawing.read, model._shard.trace.read, 5), (drawing.write, model._shard.trace.write, 6)):
        for t in range(4):
            mu, delta = place(part.window[t], 13, 13, N, 0, np)
            assert np.allclose(seen.centre[t, :, 0], mu.mean(axis=1)) and np.allclose(seen.stride[t], delta[:, 0])
    assert model.draw(3).read is None and model.draw(3).write.centre.shape == (4, 3, 2)
    model, x, noise = prepared(1, False, False)
    drawing = model.redraw(x, noise)
    assert drawing.read is None and drawing.write is None


@pytest.mark.parametrize("combination", SOME, ids=str)
def test_latents_of_a_drawing(combination):
    model, x, noise = prepared(*combination)
    drawing = model.redraw(x, noise)
    assert drawing.latents.shape == noise.shape and np.array_equal(drawing.latents, model.encode(x, noise))
    assert np.array_equal(model.decode(drawing.latents), drawing.frames)
    prior = stream(2, Purpose.PRIOR).standard_normal((4, 5, 8))
    assert np.array_equal(model.draw(5, seed=2).latents, prior)


def test_other_batch_sizes_in_between_change_nothing():
    rng = np.random.default_rng(8)
    model, _, _ = prepared()
    for images in (7, 13, 1, 7):
        x, noise = rng.random((images, 1, 11, 13)), rng.standard_normal((4, images, 8))
        fresh, _, _ = prepared()
        for got, expected in zip(
            copied(*model.loss_and_grads(x, noise)), copied(*fresh.loss_and_grads(x, noise)), strict=True
        ):
            gradcheck.assert_close(got, expected, gradcheck.VALUES)


def test_log_weights():
    part = gradcheck.Whole(2)
    model, x, noise = prepared(2)
    expected = [one.log_weight for one in part.drawn(**part.inputs, **part.constants)]
    gradcheck.assert_close(model.log_weights(x, noise), expected, gradcheck.VALUES)


def test_log_weights_are_minus_the_bound_on_average():
    """E_q log p(x, z) - log q(z | x) = -bound; the same noise in both leaves only log P(z) / q - its mean, -KL."""
    model, x, _ = prepared(1, True, False)
    model.params["latent.W"][:] *= 0.3
    x, noise = np.repeat(x[:1], 3000, axis=0), np.random.default_rng(9).standard_normal((4, 3000, 8))
    weights = model.log_weights(x, noise)
    reconstruction, latent = model._shard.run("loss", model.params, {}, (x.reshape(3000, -1), noise), 1.0)
    excess = weights + reconstruction + latent.sum(axis=0)
    assert 0.1 < excess.std() and abs(excess.mean()) < 4 * excess.std() / math.sqrt(3000)


@pytest.mark.parametrize("combination", SOME, ids=str)
def test_float32_stays_float32(combination):
    """Every result of every call of the array library, and every array of trace and gradients."""

    class Watched:
        fused = {}  # noqa: RUF012  no kernels

        def __getattr__(self, name):
            def call(*args, **kwargs):
                result = getattr(np, name)(*args, **kwargs)
                assert getattr(result, "dtype", np.float32) == np.float32, name
                return result

            return call

    part = gradcheck.Whole(*combination)
    params = {name: value.astype(np.float32) for name, value in part.inputs.items()}
    x, noise = (value.astype(np.float32) for value in part.constants.values())
    x, grads = x.reshape(len(x), -1), {name: np.empty_like(value) for name, value in params.items()}
    shard = DRAWShard(part.config, Watched(), np.float32)
    results = [
        array
        for task in ("loss_and_grads", "log_weights")
        for array in shard.run(task, params, grads, (x, noise), 1 / 7)
    ]
    assert {result.dtype.name for result in results} == {"float32"}
    assert {array.dtype.name for array in arrays_of(shard.trace)} == {"float32"}
    model = part.models["float32"]
    assert model.generate(2).dtype == np.float32
    assert {array.dtype.name for array in (*model.params.values(), *model.grads.values())} == {"float32"}


def arrays_of(trace):
    """Yield all arrays of a trace and of the traces in it."""
    for value in vars(trace).values():
        if isinstance(value, np.ndarray):
            yield value
        elif hasattr(value, "__dict__"):
            yield from arrays_of(value)


@pytest.mark.parametrize("switches", SWITCHES, ids=str)
def test_no_memory_is_taken_after_the_first_call(switches):
    """In a whole call less than a tenth of what the encoder's gates alone would take."""
    read, write = (5 if on else None for on in switches)
    T, B, E = 30, 16, 200
    model = DRAW(DRAWConfig((1, 10, 11), T, read, write, E, 20, 2), dtype="float32", threads=1)
    rng = np.random.default_rng(0)
    x, noise = rng.random((B, 1, 10, 11), np.float32), rng.standard_normal((T, B, 2), np.float32)
    model.loss_and_grads(x, noise)
    model.loss_and_grads(x[1:], noise[:, 1:].copy())
    model.loss_and_grads(x, noise)
    tracemalloc.start()
    try:
        model.loss_and_grads(x, noise)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < T * B * 4 * E * 4 / 10


# Mistakes


@pytest.mark.parametrize("shape", [(7, 1, 13, 11), (7, 11, 13), (7, 2, 11, 13), (0, 1, 11, 13), (7, 143)])
def test_images_that_do_not_fit(shape):
    model, _, _ = prepared()
    with pytest.raises(UserError, match=r"^images must be \(B, 1, 11, 13\), not "):
        model.loss(np.zeros(shape), np.zeros((4, 7, 8)))


@pytest.mark.parametrize("shape", [(4, 8), (8,), (4, 1, 8), (1, 7, 8), (7, 4, 8), (4, 7, 1), (4, 8, 7)])
def test_noise_that_would_be_broadcast_is_refused(shape):
    """Noise shared by all steps or images, or with its axes exchanged, runs in other implementations."""
    model, x, _ = prepared()
    for call in (model.loss, model.loss_and_grads, model.log_weights, model.reconstruct):
        with pytest.raises(UserError, match=r"^noise must be \(glimpses, images, latent_size\) = \(4, 7, 8\), not "):
            call(x, np.zeros(shape))


def test_other_mistakes():
    with pytest.raises(UserError, match=r"unknown dtype 'float23'; did you mean 'float32'\?"):
        DRAW(DRAWConfig((1, 2, 3)), dtype="float23")
    with pytest.raises(UserError, match="threads must be a whole number of 1 or more, not 0"):
        DRAW(DRAWConfig((1, 2, 3)), threads=0)
    with pytest.raises(UserError, match="images must be a whole number of 1 or more, not 0"):
        prepared()[0].generate(0)


# Layouts


@pytest.mark.parametrize("combination", SOME, ids=str)
def test_copies_of_matrices_are_the_matrices(combination, monkeypatch):
    """However a matrix is laid out for BLAS, also after it was written in place, the numbers are the same."""
    model, x, noise = prepared(*combination)
    expected = copied(*model.loss_and_grads(x, noise))
    monkeypatch.setattr("minidraw.parallel.shard.LARGE", 1)
    other, _, _ = prepared(*combination)
    other.loss_and_grads(x, noise)  # makes the copies
    kept = other.flat_params.copy()
    other.flat_params[:] = 0.1
    other.loss_and_grads(x, noise)
    other.flat_params[:] = kept
    for a, b in zip(copied(*other.loss_and_grads(x, noise)), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_without_a_backward_pass_both_layouts_are_that_of_the_forward(monkeypatch):
    monkeypatch.setattr("minidraw.parallel.shard.LARGE", 1)
    model, _, _ = prepared()
    forward, backward = model._shard.laid_out(model.params, backward=False)
    assert backward is forward and all(np.array_equal(forward[name], model.params[name]) for name in model.params)


def test_rows_of_copies_do_not_begin_a_power_of_two_apart():
    for columns in (200, 256, 1024, 4096, 520):
        matrix = pitched(3, columns, np.dtype("float32"))
        assert matrix.shape == (3, columns) and matrix.strides[0] % 1024 and matrix.strides[1] == 4
