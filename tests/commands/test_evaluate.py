"""`evaluate`: bounds against plain computations, yardsticks, and what is printed."""

import functools
import json
import math

import numpy as np
import pytest
from support.runs import classifier, listing, run

import minidraw.training.trainer
from minidraw import data
from minidraw.data import cluttered, two_digits
from minidraw.model.draw import draw_noise
from minidraw.streams import Purpose, stream
from minidraw.training import checkpoints, confusion, measure
from minidraw.training.tasks import DrawingTask

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
    told = [line.partition(":")[0] for line in text.err.splitlines()]
    assert told == ["training", "validation", "test"] and listing(here) == {}
    assert run("evaluate", trained, "--split", "valid", "--json", "--seed", 3) == 0
    valid = json.loads(capsys.readouterr().out)
    assert (valid["split"], valid["images"], valid["seed"]) == ("valid", 20, 3) and valid["bound"] != result["bound"]


def test_the_bound_and_its_error_are_those_of_the_images(network, seven_at_a_time):
    split = data.load("strokes").test
    result = measure.variational_bound(network, split, 5)
    rng = stream(5, Purpose.EVALUATION)
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
    rng = stream(4, Purpose.IMPORTANCE)
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
    rng, images = stream(4, Purpose.IMPORTANCE), split.batch(np.arange(30))
    draws = [network.log_weights(images, draw_noise(network.config, 30, rng)).astype(float) for _ in range(6)]
    bounds = []
    for of_image in zip(*draws, strict=True):  # -log of the mean of exp, with the largest taken out
        top = max(of_image)
        bounds.append(-(top + math.log(sum(math.exp(w - top) for w in of_image) / 6)))
    assert result["importance_weighted_bound"] == pytest.approx(sum(bounds) / 30, rel=1e-12)
    error = np.std(bounds, ddof=1) / math.sqrt(30)
    assert result["importance_weighted_error"] == pytest.approx(error, rel=1e-9)
    assert np.std(np.array(draws), axis=0).mean() > 0.5, "weights that do not differ show nothing"


@pytest.mark.parametrize("kind", [cluttered.Cluttered, two_digits.TwoDigits])
def test_a_test_set_is_the_same_images_for_all_who_measure(monkeypatch, kind):
    """Of any seed, glimpses, batch size and measure, the classifier's and the run's validation among them."""
    rng, asked = np.random.default_rng(0), []
    digits, labels = rng.integers(0, 256, (30, 28, 28), np.uint8), rng.integers(0, 10, 30).astype(np.uint8)
    split = kind(digits, labels) if kind is cluttered.Cluttered else kind(digits)
    usual, batches = kind.batch, measure.batches

    def batch(self, indices, rng=None):
        images = usual(self, indices, rng)
        asked.append((list(indices), images))
        return images

    monkeypatch.setattr(kind, "batch", batch)
    for glimpses, size, seed in ((1, 7, 0), (2, 30, 1)):
        monkeypatch.setattr(measure, "batches", functools.partial(batches, size=size))
        small = {"glimpses": glimpses, "read_size": 2, "image_shape": split.shape}
        draws = minidraw.DRAW(minidraw.DRAWConfig(**small, write_size=2, enc_size=3, dec_size=3, latent_size=2))
        measure.variational_bound(draws, split, seed)
        measure.importance_weighted_bound(draws, split, 2, seed)
        measure.yardsticks(split, split)
        DrawingTask(draws, data.Dataset("made", split, split, split, note="")).validate(30, seed)
        if kind is cluttered.Cluttered:
            measure.classification_error(minidraw.RAM(minidraw.RAMConfig(**small, hidden_size=3)), split)
    for indices, images in asked:
        np.testing.assert_array_equal(images, usual(split, indices))
    assert len(asked) > 20


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
    found = measure.yardsticks(train, grey)
    cost = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=(1, 2, 3)).mean()
    own = -(x * np.log(x) + (1 - x) * np.log(1 - x)).sum(axis=(1, 2, 3)).mean()
    assert found["independent_pixels"] == pytest.approx(cost, rel=1e-5)
    assert found["least"] == pytest.approx(own, rel=1e-5) and own < cost
    black_or_white = data.Images(np.uint8(255) * rng.integers(2, size=(9, 2, 3, 5), dtype=np.uint8))
    assert measure.yardsticks(train, black_or_white)["least"] == 0


@pytest.mark.parametrize("split", ["test", "valid"])
def test_what_a_bound_is_compared_with_is_the_mean_training_image(here, trained, capsys, split):
    assert run("evaluate", trained, "--split", split, "--json", "--threads", 1) == 0
    result, strokes = json.loads(capsys.readouterr().out), data.load("strokes")
    x = getattr(strokes, split).batch(np.arange(result["images"])).astype(float)
    costs = {}
    for name in ("train", "valid", "test"):
        of = getattr(strokes, name)
        p = of.batch(np.arange(len(of))).mean(axis=0).clip(1e-3, 1 - 1e-3)
        costs[name] = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=(1, 2, 3)).mean()
    assert result["independent_pixels"] == pytest.approx(costs["train"], rel=1e-4)
    assert min(abs(costs[name] - costs["train"]) for name in ("valid", "test")) > 0.1, "or the test shows nothing"


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


# ---- classifiers


@pytest.mark.parametrize("named", [True, False])
def test_a_classifier_is_told_what_it_takes_for_what(tmp_path, capsys, monkeypatch, named):
    """Against counting image by image, of labels that no network could guess."""
    of = classifier(tmp_path / "ram")
    assert of.run()
    rng = np.random.default_rng(3)
    pixels, labels = rng.integers(0, 256, (31, 1, 12, 12), np.uint8), rng.integers(0, 2, 31, np.uint8)
    split = data.Images(pixels, labels)
    toy = data.Dataset("toy", split, split, split, note="", classes=("cat", "dog") if named else None)
    monkeypatch.setitem(data._LOADERS, "toy", lambda places, seed: toy)
    monkeypatch.setattr(measure, "batches", functools.partial(minidraw.training.measure.batches, size=7))
    assert run("evaluate", tmp_path / "ram", "--json", "--threads", 1) == 0
    result = json.loads(capsys.readouterr().out)
    network, counts = checkpoints.load(tmp_path / "ram").network(threads=1), [[0, 0], [0, 0]]
    for image, label in zip(split.batch(np.arange(31)), labels, strict=True):
        counts[label][int(network.log_probabilities(image[None]).argmax())] += 1
    assert counts[0][1] != counts[1][0], "or a table with rows for columns would pass"
    assert result["confusion"] == counts and result["wrong"] == counts[0][1] + counts[1][0] > 0
    assert result["classes"] == (["cat", "dog"] if named else ["0", "1"])
    assert run("evaluate", tmp_path / "ram", "--threads", 1) == 0
    lines = capsys.readouterr().out.splitlines()
    share = result["wrong"] / 31
    assert result["error_error"] == pytest.approx(math.sqrt(share * (1 - share) / 30))
    assert lines[0] == (
        f"test set of toy, 31 images: error {100 * share:.2f} ± {100 * result['error_error']:.2f} % "
        f"({result['wrong']} wrong), cross entropy {result['cross_entropy']:.2f} ± "
        f"{result['cross_entropy_error']:.2f} nats per image"
    )
    assert f"{result['cross_entropy_error']:.2f}" != f"{result['error_error']:.2f}"
    assert lines[1:] == confusion.words(counts, result["classes"]) and len(lines) > 5


def test_confusions_in_words():
    counts = [[1028, 0, 12, 3], [1, 7, 0, 0], [12, 2, 100, 2], [0, 0, 0, 0]]
    assert confusion.words(counts, ["seven", "one", "automobile", "none of these"]) == [
        "the label (rows), and what it was taken for (columns):",
        "         seven   one autom none ",
        "seven     1028     .    12     3",
        "one          1     7     .     .",
        "automobi    12     2   100     2",
        "none of      .     .     .     .",
        "most often confused:",
        "  seven taken for automobile: 12 of 1,043",
        "  automobile taken for seven: 12 of 116",
        "  seven taken for none of these: 3 of 1,043",
        "  automobile taken for one: 2 of 116",
        "  automobile taken for none of these: 2 of 116",
    ]
    assert confusion.words([[5, 0], [1, 4]], ["a", "b"])[-2:] == ["most often confused:", "  b taken for a: 1 of 5"]
    assert confusion.words([[5, 0], [0, 4]], ["a", "b"]) == []


def test_confusions_of_many_classes_are_told_without_a_table():
    counts = np.diag(np.arange(13))
    counts[4, 2], counts[12, 3], counts[5, 6] = 2, 3, 1
    names = [f"kind {k}" for k in range(13)]
    assert confusion.words(counts.tolist(), names) == [
        "most often confused:",
        "  kind 12 taken for kind 3: 3 of 15",
        "  kind 4 taken for kind 2: 2 of 6",
        "  kind 5 taken for kind 6: 1 of 6",
        "worst of all: kind 4, 2 of 6 wrong",
    ]


def test_a_table_of_confusions_fits_a_terminal_and_tells_classes_apart():
    counts = np.full((12, 12), 3) + 99_000 * np.eye(12, dtype=int)
    lines = confusion.words(counts.tolist(), [f"somebody {k:02}" for k in range(12)])
    assert len(lines) == 1 + 13 + 1 + 5 and {len(line) for line in lines[1:14]} == {80}
    assert [lines[1][8 + 6 * k :][:6] for k in range(12)] == [f" dy {k:02}" for k in range(12)]
    assert lines[13].startswith("ebody 11     3 ") and lines[-1] == "  somebody 00 taken for somebody 05: 3 of 99,036"
    lines = confusion.words([[1, 1], [0, 1]], ["a\nb\x1b[2J", "c"])
    assert all(line.isprintable() for line in lines) and len(lines) == 6
