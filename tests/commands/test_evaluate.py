"""`evaluate`: bounds against plain computations, yardsticks, and what is printed."""

import functools
import json
import math

import numpy as np
import pytest
from support.runs import listing, run

import minidraw.training.trainer
from minidraw import data
from minidraw.model.draw import draw_noise
from minidraw.training import checkpoints, measure

pytestmark = pytest.mark.usefixtures("small_strokes")


@pytest.fixture
def network(trained):
    """The trained network, made rougher, so that its importance weights differ."""
    network = checkpoints.load(trained).network(threads=1)
    network.params["latent.W"] *= 40
    return network


@pytest.fixture
def seven_at_a_time(monkeypatch):
    monkeypatch.setattr(measure, "batches", functools.partial(minidraw.training.measure.batches, size=7))


def test_evaluate_prints_the_bound_over_the_whole_test_set_with_its_terms(here, trained, capsys, seven_at_a_time):
    assert run("evaluate", trained, "--threads", 1) == 0
    text = capsys.readouterr()
    assert run("evaluate", trained, "--threads", 1, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert {"data": "strokes", "split": "test", "images": 30, "seed": 0}.items() <= result.items()
    assert result["bound"] == pytest.approx(result["reconstruction"] + result["latent"])
    assert text.out.splitlines() == [
        "upper bounds on -log P(x) in nats per image, test set of strokes, 30 images:",
        f"variational bound: {result['bound']:.2f} ± {result['bound_error']:.2f} "
        f"(reconstruction {result['reconstruction']:.2f} + latent {result['latent']:.2f})",
        f"to compare: {result['independent_pixels']:.2f} with independent pixels, the mean training image; "
        f"no model can go below {result['least']:.2f}, the entropy of the pixels' values",
    ]
    assert text.err == "" and listing(here) == {}
    assert run("evaluate", trained, "--split", "valid", "--json", "--seed", 3) == 0
    valid = json.loads(capsys.readouterr().out)
    assert (valid["split"], valid["images"], valid["seed"]) == ("valid", 20, 3) and valid["bound"] != result["bound"]


def test_the_bound_and_its_error_are_those_of_the_images(network, seven_at_a_time):
    split = data.load("strokes").test
    result = measure.variational_bound(network, split, 5)
    rng = np.random.default_rng([5, 1])
    losses, latent = [], []
    for first in (0, 7, 14, 21, 28):
        images = split.batch(np.arange(first, min(first + 7, 30)))
        noise = draw_noise(network.config, len(images), rng)
        losses += [network.loss(images[k : k + 1], noise[:, k : k + 1]).total for k in range(len(images))]
        latent += [network.loss(images[k : k + 1], noise[:, k : k + 1]).latent for k in range(len(images))]
    assert result["bound"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert result["latent"] == pytest.approx(np.mean(latent), rel=1e-5)
    assert result["bound_error"] == pytest.approx(np.std(losses, ddof=1) / math.sqrt(30), rel=1e-4)


def test_the_error_tells_how_far_means_of_other_images_lie():
    """Over many made-up data sets, the spread of the mean and the error that is told agree."""

    class Known:
        config = minidraw.DRAWConfig(glimpses=1, latent_size=1)

        def losses(self, x, noise):
            return x.ravel(), np.zeros((1, len(x)))

    rng = np.random.default_rng(0)
    results = []
    for _ in range(100):
        pixels = rng.integers(0, 256, (2100, 1, 1, 1), np.uint8)
        results.append(measure.variational_bound(Known(), data.Images(pixels), 0))
    spread = np.std([result["bound"] for result in results])
    assert np.mean([result["bound_error"] for result in results]) == pytest.approx(spread, rel=0.25)


def test_the_importance_weighted_bound_of_one_draw_is_minus_the_mean_log_weight(network, seven_at_a_time):
    split = data.load("strokes").test
    result = measure.importance_weighted_bound(network, split, 1, 4)
    rng = np.random.default_rng([4, 2])
    weights = []
    for first in (0, 7, 14, 21, 28):
        images = split.batch(np.arange(first, min(first + 7, 30)))
        weights.append(network.log_weights(images, draw_noise(network.config, len(images), rng)))
    weights = np.concatenate(weights)
    assert result["importance_weighted_bound"] == pytest.approx(-float(weights.mean(dtype=np.float64)), rel=1e-9)
    assert result["importance_weighted_error"] == pytest.approx(float(weights.std(ddof=1)) / math.sqrt(30), rel=1e-5)


def test_the_importance_weighted_bound_agrees_with_a_plain_computation(network):
    split = data.load("strokes").test
    result = measure.importance_weighted_bound(network, split, 6, 4)
    rng, images = np.random.default_rng([4, 2]), split.batch(np.arange(30))
    draws = [network.log_weights(images, draw_noise(network.config, 30, rng)).astype(float) for _ in range(6)]
    bounds = []
    for of_image in zip(*draws, strict=True):  # -log of the mean of exp, with the largest taken out
        top = max(of_image)
        bounds.append(-(top + math.log(sum(math.exp(w - top) for w in of_image) / 6)))
    assert result["importance_weighted_bound"] == pytest.approx(sum(bounds) / 30, rel=1e-12)
    error = np.std(bounds, ddof=1) / math.sqrt(30)
    assert result["importance_weighted_error"] == pytest.approx(error, rel=1e-9)
    assert np.std(np.array(draws), axis=0).mean() > 0.5, "weights that do not differ show nothing"


def test_more_draws_tighten_the_bound(network):
    split = data.load("strokes").test
    bounds = [measure.variational_bound(network, split, 0)["bound"]]
    for samples in (2, 8, 40):
        bounds.append(measure.importance_weighted_bound(network, split, samples, 0)["importance_weighted_bound"])
    assert bounds[0] > bounds[1] > bounds[2] > bounds[3], bounds


def test_yardsticks(seven_at_a_time):
    """Pixels at their mean cost its entropy; no grey image costs less than its own, no binarized one than nothing."""
    rng = np.random.default_rng(0)
    train, grey = (data.Images(rng.integers(20, 230, (n, 2, 3, 5)).astype(np.uint8)) for n in (40, 15))
    p, x = train.batch(range(40)).mean(axis=0), grey.batch(range(15))
    found = measure.yardsticks(train, grey, 0)
    cost = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=(1, 2, 3)).mean()
    own = -(x * np.log(x) + (1 - x) * np.log(1 - x)).sum(axis=(1, 2, 3)).mean()
    assert found["independent_pixels"] == pytest.approx(cost, rel=1e-5)
    assert found["least"] == pytest.approx(own, rel=1e-5) and own < cost
    black_or_white = data.Images(np.uint8(255) * rng.integers(2, size=(9, 2, 3, 5), dtype=np.uint8))
    assert measure.yardsticks(train, black_or_white, 0)["least"] == 0


def test_evaluate_names_both_bounds_and_repeats_itself(here, trained, capsys):
    texts = []
    for _ in range(2):
        assert run("evaluate", trained, "--samples", 3, "--threads", 1) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    lines = texts[0].splitlines()
    assert lines[1].startswith("variational bound: ") and len(lines) == 4
    assert lines[2].startswith("importance-weighted bound, 3 draws per image: ")


def test_the_bounds_do_not_depend_on_the_number_of_cores(here, trained, capsys, monkeypatch):
    monkeypatch.setattr("minidraw.model.network.SMALLEST_WORK", 0)
    results = []
    for threads in (1, 2):
        assert run("evaluate", trained, "--samples", 2, "--json", "--threads", threads) == 0
        results.append(json.loads(capsys.readouterr().out))
    for name, value in results[0].items():
        assert results[1][name] == (pytest.approx(value, rel=1e-5) if isinstance(value, float) else value)
