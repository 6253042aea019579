"""The networks that come with the package: small, listed, and as good as the README says."""

import os
from pathlib import Path

import numpy as np
import pytest

from minidraw import checkpoint, data, evaluate, tasks

README = (Path(__file__).parent.parent / "README.md").read_text()
BOUNDS = {"mnist-small": 83.66}  # nats per image, 500 images spread over the test set, noise of seed 0
FILES = "binarized_mnist"


def test_all_are_measured_listed_and_under_five_megabytes():
    assert set(checkpoint.pretrained()) == set(BOUNDS)
    for name in BOUNDS:
        assert f"minidraw.generate {name} " in README
        assert (checkpoint.PRETRAINED / f"{name}.npz").stat().st_size < 5_000_000


@pytest.mark.parametrize("name", BOUNDS)
def test_it_draws(name):
    frames = checkpoint.load(name).network(threads=1).generate(6)
    ink = frames[-1].mean(axis=(1, 2, 3))  # MNIST's mean is 0.13
    assert np.all((ink > 0.02) & (ink < 0.4)) and np.all(frames[-1].max(axis=(1, 2, 3)) > 0.9)


@pytest.mark.parametrize("name", BOUNDS)
def test_its_bound_is_the_one_measured(name):
    folder = os.environ.get("MINIDRAW_DATA")
    if not folder or not list(Path(folder).rglob("binarized_mnist_test.amat*")):
        pytest.skip(f"the official files of {FILES} are missing: MINIDRAW_DATA names no folder that has them")
    test = data.load(FILES, folder).test
    some = data.Images(test.pixels[tasks.spread(500, test)], shape=test.shape)
    bound = evaluate.variational_bound(checkpoint.load(name).network(), some, seed=0)["bound"]
    assert bound == pytest.approx(BOUNDS[name], abs=0.02)
