"""What users give to networks: any array-like is taken, and what it holds is looked at in every method."""

import sys

import numpy as np
import pytest
from support.networks import DRAWS, RAMS, B, K, examples, pair
from support.strictxp import xp

from minidraw import DRAW, RAM, UserError, backend

X, NOISE = examples(DRAWS[0])
LABELS = examples(RAMS[0])[1]
WITH_IMAGES = {  # methods by name, with what they take beside images
    "DRAW": {name: NOISE for name in "loss_and_grads loss losses log_weights reconstruct redraw encode".split()},
    "RAM": {"loss_and_grads": LABELS, "loss": LABELS, "log_probabilities": None, "predict": None, "look": None},
}
METHODS = [(network, name) for network, names in WITH_IMAGES.items() for name in names]
of_images = pytest.mark.parametrize("network, name", METHODS)
of_noise = pytest.mark.parametrize("name", WITH_IMAGES["DRAW"])
of_labels = pytest.mark.parametrize("name", ["loss_and_grads", "loss"])
of_latents = pytest.mark.parametrize("name", ["decode", "draw_latents"])
NETWORKS = {"DRAW": DRAW(DRAWS[0], threads=1), "RAM": RAM(RAMS[0], threads=1)}


class ArrayLike:
    """The least that NumPy makes an array of, as of tensors and labelled arrays; it has neither length nor minimum."""

    def __init__(self, values):
        self.values = np.asarray(values)
        self.ndim, self.shape = self.values.ndim, self.values.shape

    def __array__(self, dtype=None, copy=None):
        return self.values if dtype is None else self.values.astype(dtype)


class Elsewhere(ArrayLike):
    """A tensor on a GPU, or one that a gradient is asked of, which refuses to become an array."""

    problem = TypeError

    def __array__(self, dtype=None, copy=None):
        raise self.problem("can't convert cuda:0 device type tensor to numpy.\nUse Tensor.cpu()")


class Tracked(Elsewhere):
    problem = RuntimeError


def masked(values):
    """Return an array that hides its last number from its own minimum and maximum, not from a product."""
    return np.ma.array(values, mask=np.arange(np.size(values)).reshape(np.shape(values)) == np.size(values) - 1)


FORMS = pytest.mark.parametrize("form", [np.asarray, ArrayLike, np.ndarray.tolist, masked, np.asfortranarray])


def spoilt(values, wrong):
    """Return a copy whose last number is wrong."""
    values = values.copy()
    values.flat[-1] = wrong
    return values


def call(network, name, x=X, other=None):
    """Call a method by name; `other` takes the place of noise or labels."""
    usual = WITH_IMAGES[network][name]
    return getattr(NETWORKS[network], name)(x, *([] if usual is None else [usual if other is None else other]))


def numbers(result):
    """Return all that is in a result as one vector, to compare it."""
    if isinstance(result, np.ndarray | float | int):
        return np.ravel(result).astype(float)
    fields = vars(result) if hasattr(result, "__dict__") else result
    values = fields.values() if isinstance(fields, dict) else [value for value in fields if value is not None]
    return np.concatenate([numbers(value) for value in values])


@pytest.fixture
def device(monkeypatch):
    """Return both networks on the stand-in for a GPU."""
    monkeypatch.setitem(sys.modules, "cupy", xp)
    monkeypatch.setattr(backend, "device", lambda cupy, precision: cupy)
    return {"DRAW": pair(DRAWS[0])[1], "RAM": pair(RAMS[0])[1]}


# What is taken


@of_images
def test_any_array_like_of_images_is_taken_as_the_array_that_it_holds(network, name):
    bits = np.round(X)
    for x in (X, bits):
        expected = numbers(call(network, name, x)).copy()
        for form in (np.float64, ArrayLike, np.asfortranarray, np.ndarray.tolist):
            assert np.array_equal(numbers(call(network, name, form(x))), expected)
    for dtype in (bool, np.uint8, np.int64, np.float16, np.longdouble):
        assert np.array_equal(numbers(call(network, name, bits.astype(dtype))), expected)
    half = X.astype(np.float16)
    assert np.array_equal(numbers(call(network, name, half)), numbers(call(network, name, half.astype(np.float32))))


@of_noise
def test_any_array_like_of_noise_is_taken(name):
    expected = numbers(call("DRAW", name)).copy()
    for form in (np.float64, ArrayLike, np.asfortranarray, np.ndarray.tolist):
        assert np.array_equal(numbers(call("DRAW", name, other=form(NOISE))), expected)


@of_latents
def test_any_array_like_of_latents_is_taken(name):
    method = getattr(NETWORKS["DRAW"], name)
    for form in (np.float64, ArrayLike, np.asfortranarray, np.ndarray.tolist):
        assert np.array_equal(numbers(method(form(NOISE))), numbers(method(NOISE)))


@of_labels
def test_any_array_like_of_labels_is_taken(name):
    class Series(ArrayLike):
        """As of pandas, whose `get` looks something up."""

        def get(self, key):
            raise KeyError(key)

    expected = numbers(call("RAM", name)).copy()
    for form in (ArrayLike, Series, list, np.uint8, np.int16):
        assert np.array_equal(numbers(call("RAM", name, other=form(LABELS))), expected)


def test_what_rounds_to_the_limit_is_within_it():
    assert np.isfinite(call("DRAW", "loss", spoilt(np.float64(X), 1 + 1e-12)).total)
    with pytest.raises(UserError, match=r"from 0 to 1, not \S+ to 1\.000000000001: rescale them$"):
        DRAW(DRAWS[0], dtype="float64", threads=1).loss(spoilt(np.float64(X), 1 + 1e-12), NOISE)


# What is refused


@FORMS
@of_images
def test_images_out_of_range_are_refused(network, name, form):
    for wrong in (-1, 1.001, 255):
        with pytest.raises(UserError, match=r"^images must have values from 0 to 1, not [-.\d]+ to [.\d]+: rescale"):
            call(network, name, form(spoilt(X, wrong)))
    with pytest.raises(UserError, match=r"from 0 to 1, not -1\.0 to 1\.0: rescale"):
        call(network, name, form(2 * np.round(X) - 1))
    with pytest.raises(UserError, match=r"from 0 to 1, not 0\.0 to 255\.0: rescale"):
        call(network, name, form(np.uint8(255 * np.round(X))))


@FORMS
@of_images
def test_images_that_are_not_finite_are_refused(network, name, form):
    for wrong in (np.nan, np.inf, -np.inf):
        with pytest.raises(UserError, match=r"^images must be finite in float32, not NaN or infinite: look at what"):
            call(network, name, form(spoilt(X, wrong)))


@FORMS
@of_noise
def test_noise_that_is_not_finite_is_refused(name, form):
    for wrong in (np.nan, np.inf, -np.inf):
        with pytest.raises(UserError, match=r"^noise must be finite in float32, not NaN or infinite: look at what"):
            call("DRAW", name, other=form(spoilt(NOISE, wrong)))
    with pytest.raises(UserError, match=r"^noise must be finite in float32"):
        call("DRAW", name, other=form(spoilt(np.float64(NOISE), 1e300)))


@FORMS
@of_latents
def test_latents_that_are_not_finite_are_refused(name, form):
    for wrong in (np.nan, np.inf, -np.inf):
        with pytest.raises(UserError, match=r"^latents must be finite in float32, not NaN or infinite: look at what"):
            getattr(NETWORKS["DRAW"], name)(form(spoilt(NOISE, wrong)))


NO_NUMBERS = [
    (X.astype(complex), "must be real numbers, not complex128: convert them"),
    (X.astype(str), "must be real numbers, not <U"),
    (X.astype(object), "must be real numbers, not object"),
    (spoilt(X.astype(object), None).tolist(), "must be real numbers, not object"),
    ([[1, 2], [3]], "cannot become a NumPy array "),
    (Elsewhere(X), r"cannot become a NumPy array \(can't convert cuda:0 .* Use Tensor.cpu\(\)\): convert them"),
    (Tracked(X), r"cannot become a NumPy array \("),
]


@pytest.mark.parametrize("given, complaint", NO_NUMBERS, ids=lambda given: type(given).__name__)
def test_what_is_no_array_of_real_numbers_is_refused(given, complaint):
    for network, name in METHODS:
        with pytest.raises(UserError, match=f"^images {complaint}"):
            call(network, name, given)
    for name in WITH_IMAGES["DRAW"]:
        with pytest.raises(UserError, match=f"^noise {complaint}"):
            call("DRAW", name, other=given)
    for name in ("decode", "draw_latents"):
        with pytest.raises(UserError, match=f"^latents {complaint}"):
            getattr(NETWORKS["DRAW"], name)(given)
    for name in ("loss_and_grads", "loss"):
        with pytest.raises(UserError, match=f"^labels {complaint}"):
            call("RAM", name, other=given)


@of_labels
def test_labels_that_are_none_are_refused(name):
    for wrong in ([K] * B, [-1] * B, ArrayLike([K] * B)):
        with pytest.raises(UserError, match=f"^labels must be from 0 to {K - 1}, not "):
            call("RAM", name, other=wrong)
    for wrong in ([0.0] * B, [np.nan] * B, [True] * B, [0] * (B - 1), [[0]] * B, 3, ArrayLike(np.zeros(B))):
        with pytest.raises(UserError, match=f"^labels must be {B} whole numbers, not "):
            call("RAM", name, other=wrong)


@pytest.mark.parametrize("x", [X[0], X[:0], X[:, 0], X[:, :, 1:], 0.5, [], [[]]], ids=np.shape)
def test_images_of_another_shape_are_refused(x):
    for network, name in METHODS:
        for given in (x, ArrayLike(x)):
            with pytest.raises(UserError, match=r"^images must be \(B, 1, 11, 13\), not \("):
                call(network, name, given)


# On a device


def test_arrays_on_a_device_are_looked_at_there(device):
    draw, ram = device["DRAW"], device["RAM"]
    for wrong in (-1, 1.5, np.nan, np.inf):
        for x in (spoilt(X, wrong), xp.asarray(spoilt(X, wrong)), ArrayLike(spoilt(X, wrong))):
            for network, other in ((draw, NOISE), (ram, LABELS)):
                with pytest.raises(UserError, match=r"^images must "):
                    network.loss_and_grads(x, other)
    for wrong in (np.nan, -np.inf):
        for values in (spoilt(NOISE, wrong), xp.asarray(spoilt(NOISE, wrong))):
            with pytest.raises(UserError, match=r"^noise must be finite"):
                draw.loss(xp.asarray(X), values)
            with pytest.raises(UserError, match=r"^latents must be finite"):
                draw.decode(values)
    with pytest.raises(UserError, match=r"^images must be real numbers, not complex64"):
        draw.loss(xp.asarray(X.astype(np.complex64)), NOISE)
    with pytest.raises(UserError, match=r"^labels must be from 0"):
        ram.loss(xp.asarray(X), xp.asarray(LABELS + K))
    assert np.isfinite(draw.loss(xp.asarray(np.round(X).astype(np.uint8)), xp.asarray(NOISE)).total)
    assert np.isfinite(ram.loss(X.tolist(), xp.asarray(LABELS)).total)


def test_arrays_of_a_device_are_not_for_a_network_on_the_host():
    with pytest.raises(UserError, match=r"^images cannot become a NumPy array \(.*\.get\(\)`?\): convert them"):
        call("DRAW", "loss", xp.asarray(X))
