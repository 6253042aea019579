"""Next to no number that a step leaves is subnormal, at the start and after training: such operands take Intel's
processors a hundred times as long as others (docs/speed.md). They are counted, not timed."""

import dataclasses

import numpy as np
import pytest

from minidraw import DRAW
from minidraw.model import NETWORKS, attention
from minidraw.presets import preset
from minidraw.training import checkpoints

MOST = 5e-4  # of an array's numbers; a gradient here and there is that small
B = 12


def digits(shape) -> np.ndarray:
    """Return images (B, *shape) with a digit somewhere."""
    drawn = checkpoints.load("mnist-small").network(threads=1).generate(B)[-1]  # (B, 1, 28, 28)
    images, rng = np.zeros((B, *shape), np.float32), np.random.default_rng(0)
    for image, digit in zip(images, drawn, strict=True):
        y, x = rng.integers(shape[1] - 28, size=2, endpoint=True)
        image[:, y : y + 28, x : x + 28] = np.round(digit)
    return images


def arrays(part, name: str = ""):
    """Yield the arrays of a trace by name."""
    if isinstance(part, np.ndarray):
        yield name, part
    for field, value in getattr(part, "__dict__", {}).items():
        yield from arrays(value, f"{name}.{field}")


def worst(model) -> tuple[float, str]:
    """Return the largest share of subnormal numbers in an array of a trace or of the gradients, and its name."""
    config, rng = model.config, np.random.default_rng(1)
    x = digits(config.image_shape)
    if isinstance(model, DRAW):
        given = rng.standard_normal((config.glimpses, B, config.latent_size), np.float32)
    else:
        given = rng.integers(config.classes, size=B)
    model._shard.trace_for(B)
    model._shard.arena.block[:] = 0.0  # of the memory that nothing is written to
    _, grads = model.loss_and_grads(x, given)
    shares = []
    for name, array in (*arrays(model._shard.trace), *grads.items()):
        size = np.abs(array)
        shares.append((np.count_nonzero((size > 0) & (size < np.finfo(np.float32).tiny)) / size.size, name))
    return max(shares)


def fresh(name: str):
    experiment = preset(name)
    config = dataclasses.replace(experiment.model, glimpses=min(experiment.model.glimpses, 8))
    return NETWORKS[experiment.network](config, threads=1)


@pytest.mark.parametrize("name", ["mnist", "strokes", "two-digits-small", "svhn-small", "cluttered"])
def test_at_the_start(name):
    share, where = worst(fresh(name))
    assert share <= MOST, where


@pytest.mark.parametrize("name", checkpoints.pretrained())
def test_after_training(name):
    share, where = worst(checkpoints.load(name).network(threads=1))
    assert share <= MOST, where


def test_it_would_be_noticed(monkeypatch):
    monkeypatch.setattr(attention, "faintest", lambda dtype: (-1e30, 0.0))
    trained = checkpoints.load("mnist-small").network(threads=1)
    for model in (fresh("mnist"), fresh("cluttered"), trained):
        assert worst(model)[0] > 10 * MOST
