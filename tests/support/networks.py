"""Networks on the host and on the stand-in for a device, and whether both compute the same."""

import numpy as np
import pytest
from support import strictxp

from minidraw import DRAW, RAM, DRAWConfig, RAMConfig
from minidraw.backend import to_device

T, B, Z, D, E, K = 4, 7, 8, 9, 10, 6  # pairwise different
SWITCHES = [(read, write) for read in (5, None) for write in (6, None)]
DRAWS = [DRAWConfig((C, 11, 13), T, read, write, E, D, Z) for C in (1, 3) for read, write in SWITCHES]
RAMS = [RAMConfig((C, 11, 13), T, 5, D, K) for C in (1, 3)]
draws = pytest.mark.parametrize("config", DRAWS, ids=lambda c: f"{c.image_shape[0]}-{c.read_size}-{c.write_size}")
rams = pytest.mark.parametrize("config", RAMS, ids=lambda c: f"{c.image_shape[0]}")
either = pytest.mark.parametrize("config", [*DRAWS, *RAMS], ids=lambda c: f"{type(c).__name__}-{c.image_shape[0]}")


def pair(config, dtype="float32"):
    """Return the same network, its parameters random, on the host and on the device."""
    network = DRAW if isinstance(config, DRAWConfig) else RAM
    models = [network(config, backend, dtype, seed=3, threads=1) for backend in ("numpy", "cupy")]
    params = 0.4 * np.random.default_rng(1).standard_normal(models[0].flat_params.size)
    for model in models:
        model.flat_params[:] = to_device(params, model.xp, model.dtype)
    return models


def examples(config, seed=0, images=B):
    """Return images and noise for DRAW, images and labels for RAM."""
    rng = np.random.default_rng(seed)
    x = rng.random((images, *config.image_shape), np.float32)
    if isinstance(config, RAMConfig):
        return x, rng.integers(0, K, images)
    return x, rng.standard_normal((T, images, Z), np.float32)


def assert_equal(device, host, what=""):
    """Both are the same on the host: arrays, numbers, or tuples, dicts and dataclasses of them."""
    assert type(device) is type(host), what
    if isinstance(host, np.ndarray):
        assert device.dtype == host.dtype and np.array_equal(device, host), what
    elif isinstance(host, tuple):
        assert len(device) == len(host)
        for k, (a, b) in enumerate(zip(device, host, strict=True)):
            assert_equal(a, b, f"{what}[{k}]")
    elif hasattr(host, "__dataclass_fields__"):
        for name in host.__dataclass_fields__:
            assert_equal(getattr(device, name), getattr(host, name), f"{what}.{name}")
    else:
        assert device == host or host is None, what


def assert_same_vectors(device, host):
    """The first are on the device, the second on the host."""
    for name, array in device.items():
        assert type(array) is strictxp.Array and type(host[name]) is np.ndarray
        assert_equal(array.get(), host[name], name)


class DoubledShard(DRAW.Shard):
    """DRAW's, with twice the loss."""

    def run(self, job, params, grads, inputs, scale):
        reconstruction, *rest = super().run(job, params, grads, inputs, scale)
        return (2 * reconstruction, *rest)


class Doubled(DRAW):
    """A network of a user's own, under the name of the one that it is made from."""

    Shard = DoubledShard
