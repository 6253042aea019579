"""The networks that come with the package: small, listed, and as good as the results say."""

import os
from pathlib import Path

import numpy as np
import pytest

from minidraw import DRAW, data, evaluate
from minidraw.data.images import spread
from minidraw.errors import UserError
from minidraw.presets import PRESETS
from minidraw.training import checkpoints
from minidraw.training.folders import CHANGEABLE

README = (Path(__file__).parents[2] / "README.md").read_text()
# On 500 images spread over the test set, with noise of seed 0: nats per image, or share wrong.
MEASURED = {"mnist": 82.16, "mnist-small": 82.73, "two-digits-small": 205.60, "cluttered": 0.032}
DRAWING = ["mnist", "mnist-small", "two-digits-small"]
LOOKING = {*CHANGEABLE, "validation_images"} - {"steps", "minutes"}  # settings that no parameter depends on


class Some:
    """Images spread over a split."""

    def __init__(self, split, count: int):
        self.split, self.chosen, self.shape = split, spread(count, split), split.shape
        self.labels = None if split.labels is None else split.labels[self.chosen]

    def __len__(self) -> int:
        return len(self.chosen)

    def batch(self, indices):
        return self.split.batch(self.chosen[indices])


def test_all_are_measured_listed_and_under_five_megabytes():
    assert set(checkpoints.pretrained()) == set(MEASURED)
    for name in MEASURED:
        assert f"python -m minidraw.{'generate' if name in DRAWING else 'evaluate'} {name} " in README
        assert (checkpoints.PRETRAINED / f"{name}.npz").stat().st_size < 5_000_000


@pytest.mark.parametrize("name", sorted(MEASURED.keys() - {"mnist"}))  # which has sizes and a rate of its own
def test_the_preset_of_its_name_trains_it(name):
    looking = {field: getattr(PRESETS[name].train, field) for field in LOOKING}
    assert checkpoints.load(name).experiment.replace(**looking) == PRESETS[name]


@pytest.mark.parametrize("name", DRAWING)
def test_it_draws(name):
    frames = checkpoints.load(name).network(threads=1).generate(6)
    ink = frames[-1].mean(axis=(2, 3)) * np.prod(frames.shape[3:])  # a digit of MNIST has about 100 pixels' worth
    assert np.all((ink > 20) & (ink < 320)) and np.all(frames[-1].max(axis=(1, 2, 3)) > 0.9)


@pytest.mark.parametrize("name", MEASURED)
def test_it_is_as_good_as_measured(name):
    loaded = checkpoints.load(name)
    needed = loaded.experiment.train.data
    try:
        folder = Path(os.environ["MINIDRAW_DATA"])
        test = data.load(needed, str(folder), download=False).test
    except (KeyError, UserError):
        pytest.skip(f"the official files of {needed} are missing: MINIDRAW_DATA names no folder that has them")
    network, some = loaded.network(), Some(test, 500)
    if isinstance(network, DRAW):
        assert evaluate.variational_bound(network, some, seed=0)["bound"] == pytest.approx(MEASURED[name], abs=0.02)
    else:
        assert evaluate.classification_error(network, some)["error"] == pytest.approx(MEASURED[name], abs=0.001)
