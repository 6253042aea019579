"""How the tests convince themselves of a derivative written by hand: differences, autograd, and plain loops.

A `Part` is a piece of the network in three versions: the fast one with its backward, the reference that autograd
differentiates, and loops written from the paper. The checks below hold them against each other. Cotangents are random,
sizes pairwise different, and the memory of the fast version starts as NaN, so reading what nobody wrote shows.
"""

from abc import ABC, abstractmethod

import autograd
import autograd.numpy
import numpy as np
import pytest
from support import plain

from minidraw import DRAW, DRAWConfig
from minidraw.model import reference

STEP = 1e-4
DIFFERENCES = 3e-8  # relative error over an array, in float64: the rounding of the values, divided by STEP
AUTOGRAD, VALUES = 1e-10, 1e-12  # the same where nothing is divided
FLOAT32 = 1e-5  # the same for float32 against float64
ENTRIES = 8  # of an array, differentiated one by one; its other entries all at once, along a random direction


class Part(ABC):
    """A piece of the network. `constants` are arguments without derivative, `cotangents` weigh the outputs.

    The methods take inputs and constants by name; forward, reference and plain return a tuple of outputs.
    """

    def __init__(self, inputs: dict, constants: dict, cotangents: tuple):
        self.inputs, self.constants, self.cotangents = inputs, constants, cotangents

    @abstractmethod
    def forward(self, **arrays):
        """Run the fast forward pass on a trace full of NaN."""

    @abstractmethod
    def backward(self, cotangents, **arrays):
        """Run the fast forward and backward passes; return the gradients by name."""

    @abstractmethod
    def reference(self, np, **arrays):
        """The same in reference.py, under NumPy or autograd's NumPy."""

    @abstractmethod
    def plain(self, **arrays):
        """The same in loops over Python floats."""


def nans(dtype):
    """Return a trace's `alloc` whose arrays are full of NaN."""
    return lambda *shape: np.full(shape, np.nan, dtype)


def error(got, expected, least: float = 1e-300) -> float:
    """Return the error of an array relative to the size of the expected one, at `least`; NaN is infinitely wrong."""
    got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    assert got.shape == expected.shape, f"shapes {got.shape} and {expected.shape}"
    return np.nan_to_num(np.linalg.norm(got - expected) / max(np.linalg.norm(expected), least), nan=np.inf)


def assert_close(got, expected, tolerance: float, what: str = "") -> None:
    """Fail if the relative error over an array exceeds `tolerance`."""
    assert error(got, expected) <= tolerance, f"{what}: relative error {error(got, expected):.1e}, not {tolerance}"


def slope(value, array, direction) -> float:
    """Differentiate value() along `direction` in the space of `array`, which is changed in place and put back.

    Five points (the middle one has weight zero): the error is of the order STEP⁴.

    >>> x = np.array([2.0])
    >>> print(round(slope(lambda: x[0] ** 3, x, np.ones(1)), 9))
    12.0
    """
    start, values = array.copy(), []
    for steps in (-2, -1, 1, 2):
        array[...] = start + steps * STEP * direction
        values.append(value())
    array[...] = start
    return (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * STEP)


def directions(array, seed: int = 0):
    """Yield unit vectors, for every entry of a small array or for ENTRIES random ones, and one random direction."""
    rng = np.random.default_rng(seed)
    for k in rng.permutation(array.size)[:ENTRIES]:
        yield np.eye(1, array.size, k).reshape(array.shape)
    yield rng.standard_normal(array.shape) / np.sqrt(array.size)


def gradients(part: Part) -> dict:
    """Return copies of what the backward gives."""
    grads = part.backward(part.cotangents, **part.inputs, **part.constants)
    return {name: np.array(grad) for name, grad in grads.items()}


def weigh(outputs, cotangents, np=np):
    """Return the number whose gradient is asked for."""
    return sum(np.sum(d * output) for d, output in zip(cotangents, outputs, strict=True))


def differences(part: Part) -> dict:
    """Return by name the slopes of the forward along `directions`."""

    def value() -> float:
        return weigh(part.forward(**part.inputs, **part.constants), part.cotangents)

    return {name: [slope(value, a, along) for along in directions(a)] for name, a in part.inputs.items()}


def autograd_gradients(part: Part) -> dict:
    """Return by name autograd's gradients through the reference."""
    anp = autograd.numpy
    return autograd.grad(lambda i: weigh(part.reference(anp, **i, **part.constants), part.cotangents, anp))(part.inputs)


def assert_slopes(grads: dict, slopes: dict) -> None:
    """Fail if a gradient does not have the expected slopes, or if these show nothing."""
    assert grads.keys() == slopes.keys()
    for name, expected in slopes.items():
        assert np.linalg.norm(expected) > 1e-4, f"{name}: these cotangents show nothing"
        assert_close([np.sum(grads[name] * along) for along in directions(grads[name])], expected, DIFFERENCES, name)


def assert_gradients(grads: dict, expected: dict) -> None:
    """Fail if a gradient differs from autograd's."""
    assert grads.keys() == expected.keys()
    for name in grads:
        assert_close(grads[name], expected[name], AUTOGRAD, name)


def check_differences(part: Part) -> None:
    """Hold every gradient of the backward against differences of the forward."""
    assert_slopes(gradients(part), differences(part))


def check_autograd(part: Part) -> None:
    """Hold every gradient of the backward against autograd's through the reference."""
    assert_gradients(gradients(part), autograd_gradients(part))


def check_values(part: Part) -> None:
    """Hold the forward pass against the reference and against the loops."""
    arrays = part.inputs | part.constants
    reference, plain = part.reference(np, **arrays), part.plain(**arrays)
    for got, by_reference, by_loops in zip(part.forward(**arrays), reference, plain, strict=True):
        assert_close(got, by_reference, VALUES, "reference")
        assert_close(got, by_loops, VALUES, "loops")


def check_float32(part: Part, tolerance: float = FLOAT32, least: float = 1e-300) -> None:
    """Hold values and gradients in float32 against float64; nothing may become float64 on the way.

    An array whose norm is below `least` need not be told from 0.
    """

    def run(dtype):
        arrays = {name: array.astype(dtype) for name, array in (part.inputs | part.constants).items()}
        cotangents = tuple(np.asarray(d).astype(dtype) for d in part.cotangents)
        outputs = [np.array(output) for output in part.forward(**arrays)]
        grads = part.backward(cotangents, **arrays)
        return dict(enumerate(outputs)) | {name: np.array(grad) for name, grad in grads.items()}

    exact = run(np.float64)
    for name, got in run(np.float32).items():
        assert got.dtype == np.float32, name
        assert error(got, exact[name], least) <= tolerance, name


def check_sabotage_is_noticed(part: Part) -> None:
    """The tester's own test: a gradient 0.05 % too large, of zero, or NaN must fail, whichever input it is of."""
    honest, slopes, exact = gradients(part), differences(part), autograd_gradients(part)
    for name, grad in honest.items():
        for factor in (1.0005, 0.0, np.nan):
            sabotaged = honest | {name: factor * grad}
            with pytest.raises(AssertionError, match=f"^{name}: relative error"):
                assert_slopes(sabotaged, slopes)
            with pytest.raises(AssertionError, match=f"^{name}: relative error"):
                assert_gradients(sabotaged, exact)


CHECKS = (check_values, check_differences, check_autograd, check_float32, check_sabotage_is_noticed)


class Whole(Part):
    """The whole network with attention in neither, one or both of reading and writing; the inputs are its parameters.

    The outputs are the means of the reconstruction loss and of every step's KL; their gradient is that of the loss.
    """

    def __init__(self, channels: int = 1, read: bool = True, write: bool = True):
        T, B, Z, D, E = 4, 7, 8, 9, 10  # all different, and different from the channels 1, 2, 3
        H, W = (13, 11) if channels == 2 else (11, 13)
        self.config = DRAWConfig((channels, H, W), T, 5 if read else None, 6 if write else None, E, D, Z)
        self.models = {name: DRAW(self.config, dtype=name, threads=1) for name in ("float32", "float64")}
        rng = np.random.default_rng(channels)
        inputs = {name: 0.4 * rng.standard_normal(p.shape) for name, p in self.models["float64"].params.items()}
        constants = {"x": rng.random((B, channels, H, W)), "noise": rng.standard_normal((T, B, Z))}
        super().__init__(inputs, constants, (np.ones(()), np.ones(T)))

    def prepare(self, x, noise, **params):
        """Return the model of the dtype of x with `params` written in place and its trace full of NaN."""
        model = self.models[x.dtype.name]
        for name, param in params.items():
            model.params[name][...] = param
        spoil(model, len(x))
        return model

    def forward(self, x, noise, **params):
        loss = self.prepare(x, noise, **params).loss(x, noise)
        return np.asarray(loss.reconstruction, x.dtype), loss.latent_per_step.astype(x.dtype)

    def backward(self, cotangents, x, noise, **params):
        return self.prepare(x, noise, **params).loss_and_grads(x, noise)[1]

    def reference(self, np, x, noise, **params):
        reconstruction, latent = reference.losses(params, x, noise, self.config, np)
        return np.mean(reconstruction), np.mean(latent, axis=1)

    def drawn(self, x, noise, **params) -> list[plain.Drawn]:
        """Return what the loops draw, image by image."""
        p = {name: param.tolist() for name, param in params.items()}
        return [plain.draw(p, x[b].ravel().tolist(), noise[:, b].tolist(), self.config) for b in range(len(x))]

    def plain(self, **arrays):
        drawn = self.drawn(**arrays)
        return np.mean([one.reconstruction for one in drawn]), np.mean([one.latent for one in drawn], axis=0)


def spoil(model: DRAW, images: int) -> None:
    """Fill the memory of the model's trace for so many images with NaN."""
    model._shard.trace_for(images)
    model._shard.arena.block[:] = np.nan
