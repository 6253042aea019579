"""What stands in a run's log: times by a clock of the test's own, rates, epochs, and each number under its own name."""

import dataclasses
import itertools
import json
import time

import numpy as np
import pytest
from support.runs import classifier, experiment, trainer

from minidraw import DRAW, RAM, data
from minidraw.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("small_strokes")

VALIDATION = 1000.0  # seconds that held-out images take, which is no training


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still, but for updates, by a second more each, and for VALIDATION."""
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    seconds = itertools.count(1)
    losses, loss_and_grads = DRAW.losses, DRAW.loss_and_grads

    def timed(self, x, noise):
        now[0] += next(seconds)
        return loss_and_grads(self, x, noise)

    def held_out(self, *given, **more):
        now[0] += VALIDATION
        return losses(self, *given, **more)

    monkeypatch.setattr(DRAW, "loss_and_grads", timed)
    monkeypatch.setattr(DRAW, "losses", held_out)
    return now


def lines(folder) -> list[dict]:
    """Return the lines of metrics.jsonl, of training and of validation."""
    every = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [[line for line in every if name in line] for name in ("loss", "validation_loss")]


def test_times_and_rates_are_those_of_the_updates(tmp_path, clock, monkeypatch):
    """Updates of 1, 2, 3, ... seconds 8 of 45 images each; lines after 3, 6 and 8, validation after 4 and 8."""
    rates = {"learning_rate": 0.01, "warmup": 2, "decay_from": 0.5}
    of = trainer(tmp_path, steps=8, validate_every=4, **rates)
    monkeypatch.setattr(of, "draw", lambda: None)
    assert of.run()
    training, validation = lines(tmp_path)
    assert [line["step"] for line in training] == [3, 6, 8] and [line["step"] for line in validation] == [4, 8]
    assert [line["seconds"] for line in training] == [1 + 2 + 3, 21, 36]
    assert [line["seconds"] for line in validation] == [1 + 2 + 3 + 4, 36]
    speeds = [line["images_per_second"] for line in training]
    assert speeds == [pytest.approx(8 / mean, abs=1e-6) for mean in (2, 5, 7.5)]
    assert [line["learning_rate"] for line in training] == [0.01, pytest.approx(0.005), 0], "of the next update"
    assert [line["epoch"] for line in training] == [pytest.approx(8 * step / 45, abs=1e-6) for step in (3, 6, 8)]
    assert of.state.seconds == 36


def test_the_rates_that_updates_take(tmp_path, monkeypatch):
    """A rise, of which the last is the full rate, a plateau, and a fall, of which the last is not 0 yet."""
    of = trainer(tmp_path, steps=10, learning_rate=1.0, warmup=2, decay_from=0.5)
    taken, usual = [], of.adam.update
    monkeypatch.setattr(of.adam, "update", lambda grads, rate, scale=1.0: taken.append(rate) or usual(grads, 0.0))
    monkeypatch.setattr(of, "draw", lambda: None)
    assert of.run()
    assert taken == pytest.approx([0.5, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2])


def test_a_validation_is_of_the_first_images_with_the_same_noise_every_time(tmp_path):
    strokes = data.load("strokes")

    def bound(count: int, inverted: slice, step: int = 0) -> float:
        pixels = strokes.valid.pixels.copy()
        pixels[inverted] = 255 - pixels[inverted]
        small = experiment(validation_images=count)
        changed = dataclasses.replace(strokes, valid=data.Images(pixels))
        of = Trainer(small, small.build(threads=1), changed, tmp_path)
        of.state.step = step
        return of.validate()["validation_loss"]

    none = slice(0)
    assert bound(7, none) == bound(7, none, step=5) == bound(7, slice(7, None)) != bound(7, slice(6, 7))
    assert bound(0, none) == bound(20, none) == bound(99, none) != bound(0, slice(19, 20)), "0: all of them"


class Noisy:
    """A split whose images are drawn from the generator that it is given."""

    shape, labels = (1, 4, 3), None

    def __len__(self):
        return 20

    def batch(self, indices, rng=None):
        rng = np.random.default_rng(0) if rng is None else rng
        return (rng.standard_normal((len(indices), *self.shape), np.float32) > 0).astype(np.float32)


def test_what_makes_images_is_other_than_the_noise_and_fresh_at_every_step(tmp_path, monkeypatch):
    seen, usual = [], DRAW.loss_and_grads

    def loss_and_grads(self, x, noise):
        seen.append((np.ravel(x) > 0, np.ravel(noise) > 0))
        return usual(self, x, noise)

    monkeypatch.setattr(DRAW, "loss_and_grads", loss_and_grads)
    small = experiment(image_shape=(1, 4, 3), latent_size=4)  # as many numbers as a glimpse has: 8 times 12
    split = Noisy()
    of = Trainer(small, small.build(threads=1), data.Dataset("noise", split, split, split, note=""), None)
    for _ in range(6):
        of.update()
    drawn = [signs[:96] for pair in seen for signs in pair]
    for one, other in itertools.combinations(drawn, 2):
        assert 0.2 < (one == other).mean() < 0.8


def test_the_log_of_a_drawing_network_has_each_term_and_glimpse_in_its_place(tmp_path, monkeypatch):
    found, usual = [], DRAW.loss_and_grads

    def loss_and_grads(self, x, noise):
        loss, grads = usual(self, x, noise)
        found.append([loss.reconstruction, *loss.latent_per_step])
        return loss, grads

    monkeypatch.setattr(DRAW, "loss_and_grads", loss_and_grads)
    of = trainer(tmp_path)
    of.model.params["latent.b"][:] = 1.0  # so that glimpses say something, and not the same
    for _ in range(3):
        of.update()
    words = of.log_line()
    reconstruction, *latent = np.mean(found, axis=0)
    (line,), _ = lines(tmp_path)
    np.testing.assert_allclose(line["latent_per_step"], latent, atol=1e-4)
    assert len({round(nats, 3) for nats in latent}) == 3 and sum(latent) > 1, "or the test shows nothing"
    assert line["reconstruction"] == pytest.approx(reconstruction, abs=1e-3)
    assert line["latent"] == pytest.approx(sum(latent), abs=1e-3)
    assert line["loss"] == pytest.approx(reconstruction + sum(latent), abs=1e-3)
    assert words == f"{line['loss']:.1f} nats, KL {line['latent']:.1f}"


def test_the_log_of_a_classifier_has_its_loss_and_its_error(tmp_path, monkeypatch, capsys):
    found, usual = [], RAM.loss_and_grads

    def loss_and_grads(self, x, labels):
        loss, grads = usual(self, x, labels)
        found.append((loss.total, loss.error))
        return loss, grads

    monkeypatch.setattr(RAM, "loss_and_grads", loss_and_grads)
    of = classifier(tmp_path)
    assert of.run()
    training, validation = lines(tmp_path)
    means = np.array(found).reshape(3, 2, 2).mean(axis=1)  # a line every two updates: (3, loss and error)
    np.testing.assert_allclose([(line["loss"], line["error"]) for line in training], means, atol=1e-6)
    of.model.flat_params[:] = of.adam.average
    loss = of.model.loss(of.data.valid.batch(np.arange(30)), of.data.valid.labels)
    last = validation[-1]["validation_loss"], validation[-1]["validation_error"]
    assert last == (pytest.approx(loss.total, abs=1e-5), pytest.approx(loss.error, abs=1e-6))
    assert loss.total > 0.1 and loss.total != pytest.approx(loss.error, abs=0.05), "or they could be confused"
    assert of.validation == f"error {100 * loss.error:.2f} %, cross entropy {loss.total:.4f} nats per image"
    of.update()
    (total, error), words = found[-1], of.log_line()
    assert words == f"{total:.3f} nats, {100 * error:.1f} % wrong"
