"""Slopes along a window's parameters, cut off on their way back: what they do to the gradients of both networks."""

import dataclasses
import math
import types

import autograd
import autograd.numpy as anp
import numpy as np
import pytest
from autograd.extend import defvjp, primitive
from support import gradcheck
from support.classifier import Classifier

from minidraw import DRAWConfig, RAMConfig, UserError

PARTS = {
    "classifier": (lambda: Classifier(1), (0.02, 0.001), {"softmax.W", "softmax.b"}),
    "classifier of two channels": (lambda: Classifier(2), (0.02, 0.001), {"softmax.W", "softmax.b"}),
    "classifier of three channels": (lambda: Classifier(3), (0.02, 0.001), {"softmax.W", "softmax.b"}),
    "draw": (gradcheck.Whole, (1.0, 0.1), set()),
    "draw of two channels": (lambda: gradcheck.Whole(2), (1.0, 0.1), set()),
    "draw, read without attention": (lambda: gradcheck.Whole(1, read=False), (1.0, 0.1), set()),
    "draw, written without attention": (lambda: gradcheck.Whole(3, write=False), (1.0, 0.1), set()),
}


def given(part: gradcheck.Part) -> tuple:
    """Return what the part's network takes: images, and labels or noise."""
    return part.constants["x"], part.labels if isinstance(part, Classifier) else part.constants["noise"]


def network(part: gradcheck.Part, window_clip: float, threads: int = 1):
    """Return the part's network with its parameters and that window_clip."""
    config = dataclasses.replace(part.config, window_clip=window_clip)
    model = type(part.models["float64"])(config, dtype="float64", threads=threads)
    for name, param in part.inputs.items():
        model.params[name][...] = param
    return model


def cutting(limit: float) -> types.SimpleNamespace:
    """Return autograd's NumPy whose `transpose`, of a window's parameters in reference.py, cuts slopes off."""
    transpose = primitive(np.transpose)
    defvjp(transpose, lambda ans, a: lambda slope: np.transpose(slope).clip(-limit, limit))
    return types.SimpleNamespace(**vars(anp) | {"transpose": transpose})


def autograds(part: gradcheck.Part, limit: float) -> dict:
    """Return the gradients of the summed outputs with slopes cut off at `limit`."""
    np_ = cutting(limit)

    def total(inputs: dict):
        return sum(anp.sum(output) for output in part.reference(np_, **inputs, **part.constants))

    return autograd.grad(total)(part.inputs)


@pytest.mark.parametrize("name", PARTS)
def test_it_cuts_off_for_each_image_by_itself_whatever_shard_it_is_in(monkeypatch, name):
    monkeypatch.setattr("minidraw.model.network.SMALLEST_WORK", 0)
    monkeypatch.setattr("minidraw.parallel.workers.SMALLEST_SHARD", 3)
    make, clips, unchanged = PARTS[name]
    part = make()
    true = gradcheck.autograd_gradients(part)
    for threads, clip in ((1, clips[0]), (2, clips[0]), (1, clips[1])):
        expected = autograds(part, clip / len(part.constants["x"]))
        _, grads = network(part, clip, threads).loss_and_grads(*given(part))
        gradcheck.assert_gradients(grads, expected)
        for key in true.keys() - unchanged:
            assert gradcheck.error(expected[key], true[key]) > 1e-4, f"{key}: nothing was cut off"
        _, grads = network(part, 1.02 * clip, threads).loss_and_grads(*given(part))
        with pytest.raises(AssertionError, match="relative error"):
            gradcheck.assert_gradients(grads, expected)


@pytest.mark.parametrize("name", PARTS)
def test_slopes_that_are_not_steep_are_left_as_they_are(name):
    part = PARTS[name][0]()
    grads = [network(part, clip).loss_and_grads(*given(part))[1] for clip in (0.0, 1e6)]
    for key, grad in grads[0].items():
        np.testing.assert_array_equal(grads[1][key], grad)


@pytest.mark.parametrize("config", [DRAWConfig, RAMConfig])
def test_what_it_may_be(config):
    clip = config(window_clip=np.float32(3)).window_clip
    assert clip == 3.0 and type(clip) is float and config().window_clip == 0.0
    for value in (-1.0, math.nan, math.inf, "1", None):
        with pytest.raises(UserError, match="window_clip must be a finite number of 0 or more, not "):
            config(window_clip=value)
