"""Whole networks by the fused kernels and cuBLAS, on the stand-in, against NumPy: losses, every gradient, drawings."""

import numpy as np
import pytest
from support import strictcuda, strictxp
from support.gradcheck import assert_close
from support.networks import RAMS, B, draws, either, examples, pair, rams
from support.strictxp import forbid, watch

from minidraw import UserError
from minidraw.backend import array_module
from minidraw.cuda import Device
from minidraw.model.recurrence import Trace

pytestmark = pytest.mark.usefixtures("gpu")
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}


@either
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_loss_and_every_gradient(config, dtype):
    host, device = pair(config, dtype)
    assert isinstance(device.xp, Device)
    for seed, images in ((0, B), (1, B), (2, 5)):
        inputs = examples(config, seed, images)
        loss, grads = device.loss_and_grads(*inputs)
        expected, expected_grads = host.loss_and_grads(*inputs)
        assert_close(loss.total, expected.total, TOLERANCE[dtype])
        for name, gradient in expected_grads.items():
            assert_close(grads[name].get(), gradient, TOLERANCE[dtype], name)


@draws
def test_drawing(config):
    host, device = pair(config)
    inputs = examples(config)
    for got, expected in zip(device.losses(*inputs), host.losses(*inputs), strict=True):
        assert_close(got, expected, 1e-5)
    assert_close(device.log_weights(*inputs), host.log_weights(*inputs), 1e-5)
    assert_close(device.generate(70, seed=2), host.generate(70, seed=2), 1e-5)
    drawing, expected = device.redraw(*inputs), host.redraw(*inputs)
    assert_close(drawing.frames, expected.frames, 1e-5)
    if config.read_size:
        assert_close(drawing.read.centre, expected.read.centre, 1e-5)


@rams
def test_classifying(config):
    host, device = pair(config)
    x, _ = examples(config)
    assert_close(device.log_probabilities(x), host.log_probabilities(x), 1e-5)


@either
def test_a_step_neither_waits_nor_copies_nor_computes_in_double_precision(config):
    model = pair(config)[1]
    x, other = examples(config)
    hot = np.eye(config.classes, dtype=np.float32)[other] if config in RAMS else None
    inputs = [model.xp.asarray(x.reshape(B, -1)), model.xp.asarray(hot if config in RAMS else other)]
    arrays = (model._shard, model.params, model.grads)
    with forbid(), watch() as seen:
        arrays[0].run("loss_and_grads", *arrays[1:], inputs, 1.0 / B)
    assert not seen.copies and not seen.crossings


@draws
def test_the_trace_begins_as_nan_and_no_product_waits_for_a_copy(config, gpu):
    model = pair(config)[1]
    model.loss_and_grads(*examples(config))
    trace = model._shard.trace
    assert isinstance(trace, Trace) and isinstance(trace.mean, strictxp.Array)
    T = config.glimpses
    assert len(gpu.calls) >= 8 * T and {call[-1] for call in gpu.calls} == {68}, "every product is one of cuBLAS's"


def test_the_precision():
    assert array_module("cupy").precision == "float32" and array_module("auto", "tf32").precision == "tf32"
    assert array_module("cupy") is array_module("cupy"), "one handle and one set of kernels"
    with pytest.raises(UserError, match="--precision tf32 is for GPUs"):
        array_module("numpy", "tf32")
    with pytest.raises(UserError, match="unknown precision 'tf31'; did you mean 'tf32'"):
        array_module("cupy", "tf31")


def test_a_gpu_without_tf32(monkeypatch):
    old = strictcuda.types.SimpleNamespace(compute_capability="75")
    monkeypatch.setattr(strictcuda.xp.cuda, "Device", lambda: old)
    assert array_module("cupy").precision == "float32"
    with pytest.raises(UserError, match="this GPU has no TF32"):
        array_module("cupy", "tf32")


def test_a_part_of_cuda_is_missing(monkeypatch):
    def load(cupy):
        raise ImportError("libcublas.so.13: cannot open shared object file")

    monkeypatch.setattr("minidraw.cuda.blas.load", load)
    with pytest.raises(UserError, match=r"CuPy lacks a part of CUDA \(libcublas.*pip install 'cupy-cuda13x\[ctk\]' "):
        array_module("cupy")
    assert array_module("auto") is np
