"""Everything on the device as on the host: the stand-in for CuPy in the place of CuPy, bit for bit, without kernels.

With kernels see test_cuda_model.py.
Both compute with the same functions of NumPy on arrays that lie the same way, so nothing may differ. What these tests
cannot see is how a GPU rounds, and how fast it is.
"""

import math
import os
import re
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from support import strictxp
from support.networks import DRAWS, B, K, assert_equal, assert_same_vectors, draws, either, examples, pair, rams
from support.runs import assert_same_run, experiment
from support.strictxp import forbid, watch, xp

import minidraw
from minidraw import DRAW, DRAWConfig, RAMConfig, backend, data
from minidraw.backend import array_module, to_device, to_host
from minidraw.presets import Experiment
from minidraw.training import checkpoints
from minidraw.training.optim import Adam, global_norm
from minidraw.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("small_strokes")


@pytest.fixture(autouse=True)
def device(monkeypatch):
    """Let `import cupy` give the stand-in, and leave it as it is."""
    monkeypatch.setitem(sys.modules, "cupy", xp)
    monkeypatch.setattr(backend, "device", lambda cupy, precision: cupy)


# The switch


def test_the_switch():
    assert array_module("cupy") is array_module("auto") is xp and array_module("numpy") is np
    x = np.arange(6, dtype=np.uint8).reshape(2, 3)
    moved = to_device(x.T, xp, np.dtype(np.float32))
    assert moved.flags.c_contiguous and moved.dtype == np.float32 and np.array_equal(to_host(moved), x.T)
    assert to_device(moved, xp, moved.dtype) is moved
    assert DRAW(DRAWS[0], "cupy", threads=2)._workers is None, "one process drives the device"


def test_every_name_of_xp_in_the_package_is_one_of_cupy():
    sources = Path(minidraw.__file__).parent.rglob("*.py")
    names = {name for path in sources for name in re.findall(r"\bxp\.(\w+)", path.read_text())}
    assert len(names) > 15 and names <= strictxp.NAMES | {"kernels", "precision"}  # of our own


# Networks


@either
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_loss_and_grads(config, dtype):
    host, device = pair(config, dtype)
    for seed, images in ((0, B), (1, B), (2, 5)):
        inputs = examples(config, seed, images)
        with watch() as seen:
            loss, grads = device.loss_and_grads(*inputs)
        expected, expected_grads = host.loss_and_grads(*inputs)
        assert_equal(loss, expected)
        assert_same_vectors(grads, expected_grads)
        assert_equal(device.loss(*inputs), host.loss(*inputs))
        counts = [sum(site.what == what for site in seen.crossings) for what in ("upload", "get()")]
        assert counts == [2, 2 if isinstance(config, DRAWConfig) else 1] and sum(counts) == len(seen.crossings)


@either
def test_inputs_that_are_on_the_device_already(config):
    host, device = pair(config)
    x, other = examples(config)
    inputs = xp.asarray(x), xp.asarray(other)
    loss, grads = device.loss_and_grads(*inputs)
    expected, expected_grads = host.loss_and_grads(x, other)
    assert_equal(loss, expected)
    assert_same_vectors(grads, expected_grads)


@either
def test_double_precision_stays_on_the_host(config):
    host, device = pair(config)
    x, other = examples(config)
    inputs = np.float64(x), (other if isinstance(config, RAMConfig) else np.float64(other))
    expected = host.loss_and_grads(*inputs)[0]
    with forbid(sync=False):
        assert_equal(device.loss_and_grads(*inputs)[0], expected)
        if isinstance(config, RAMConfig):
            device.look(inputs[0])
        else:
            device.log_weights(*inputs), device.redraw(*inputs), device.draw(2)


@draws
def test_drawing(config):
    host, device = pair(config)
    inputs = examples(config)
    assert_equal(device.losses(*inputs), host.losses(*inputs))
    assert_equal(device.log_weights(*inputs), host.log_weights(*inputs))
    assert_equal(device.generate(70, seed=2), host.generate(70, seed=2))
    assert_equal(device.draw(2, seed=5), host.draw(2, seed=5))
    assert_equal(device.reconstruct(*inputs), host.reconstruct(*inputs))
    assert_equal(device.redraw(*inputs), host.redraw(*inputs))


@rams
def test_classifying(config):
    host, device = pair(config)
    x, _ = examples(config)
    assert_equal(device.predict(x), host.predict(x))
    assert_equal(device.log_probabilities(x), host.log_probabilities(x))
    assert_equal(device.look(x), host.look(x))


# The optimizer


def test_adam_and_the_norm_of_gradients():
    rng = np.random.default_rng(0)
    start = rng.standard_normal(70_001).astype(np.float32)
    host, device = (Adam(to_device(start.copy(), m, start.dtype), 0.9, 0.99, 0.7, m) for m in (np, xp))
    for step in range(3):
        grads = rng.standard_normal(len(start)).astype(np.float32)
        norm = global_norm(xp.asarray(grads), xp)
        assert type(norm) is float and norm == global_norm(grads, np)
        host.update(grads.copy(), 0.1, (1.0, 0.3)[step % 2])
        device.update(xp.asarray(grads), 0.1, (1.0, 0.3)[step % 2])
    for name in ("params", "average", "mean", "square"):
        assert_equal(getattr(device, name).get(), getattr(host, name), name)
    assert device.updates == host.updates


# One whole step


def step(model, inputs):
    """Take a step on inputs that are on the device; the host learns nothing of it."""
    model._shard.run("loss_and_grads", model.params, model.grads, inputs, 1.0 / B)
    model.adam.update(model.flat_grads, 1e-3, 0.9)


def ready(model):
    """Return the inputs of a step on the device; the model's optimizer is made."""
    x, other = examples(model.config)
    other = np.eye(K)[other] if isinstance(model.config, RAMConfig) else other
    model.adam = Adam(model.flat_params, 0.9, 0.999, 0.999, model.xp)
    return tuple(to_device(array, model.xp, model.dtype) for array in (x.reshape(B, -1), other))


@either
def test_a_step_neither_waits_nor_computes_in_double_precision(config):
    host, device = pair(config)
    for model in (host, device):
        inputs = ready(model)
        with forbid(sync=True, float64=True):
            for _ in range(2):
                step(model, inputs)
    assert_same_vectors({"params": device.flat_params}, {"params": host.flat_params})
    assert np.isfinite(host.flat_params).all()


# What CuPy copies in ufuncs for want of knowing that columns of one array do not overlap; each costs an allocation and
# a kernel. Products of matrices that do not lie as cuBLAS wants them are copied too, in many places.
COPIED = {("recurrence.py", "error_image")}


@either
def test_no_hidden_copies_but_those_known(config):
    model = pair(config)[1]
    inputs = ready(model)
    with watch() as seen:
        step(model, inputs)
    copied = {(site.file, site.function) for site in seen.copies if "matmul" not in site.what}
    expected = COPIED if isinstance(config, DRAWConfig) and config.read_size else set()
    assert copied == expected
    assert not any("result" in site.what for site in seen.copies), "a product is written through a temporary"


# Runs


def trainer(of: Experiment, folder: Path, backend: str) -> Trainer:
    return Trainer(of, of.build(backend, threads=1), data.load("strokes", seed=0), folder)


TINY = {
    "draw": experiment(steps=16),
    "ram": Experiment(RAMConfig((1, 28, 28), 3, 4, 7), experiment(steps=16).train),
}


@pytest.mark.parametrize("network", TINY)
def test_a_run_stopped_and_resumed(tmp_path, monkeypatch, network):
    of = trainer(TINY[network], tmp_path / "host", "numpy")
    assert of.run()
    first = trainer(TINY[network], tmp_path / "device", "cupy")
    usual = first.update

    def update():
        usual()
        if first.state.step == 11:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(first, "update", update)
    assert not first.run()
    second = trainer(TINY[network], tmp_path / "device", "cupy")
    second.restore(checkpoints.load(tmp_path / "device"))
    assert second.run()
    assert second.model.xp is xp and type(second.adam.mean) is strictxp.Array
    assert_same_run(tmp_path / "device", tmp_path / "host")
    for picture in ("samples.gif", "samples.png"):
        assert (tmp_path / "device" / picture).read_bytes() == (tmp_path / "host" / picture).read_bytes()


@pytest.mark.parametrize("network", TINY)
def test_a_checkpoint_of_the_device_opens_on_the_host_and_back(tmp_path, network):
    of = trainer(TINY[network], tmp_path, "cupy")
    of.update()
    of.save()
    checkpoint = checkpoints.load(tmp_path)
    host, device = (checkpoint.network(backend, threads=1) for backend in ("numpy", "cupy"))
    assert host.xp is np and device.xp is xp
    for vector in (host.flat_params, to_host(device.flat_params)):
        assert np.array_equal(vector, of.adam.average.get()) and math.isfinite(vector.sum())
    x = of.data.valid.batch(np.arange(5), np.random.default_rng(0))
    if network == "ram":
        assert_equal(device.predict(x), host.predict(x))
    else:
        assert_equal(device.generate(3), host.generate(3))
