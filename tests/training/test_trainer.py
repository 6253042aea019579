"""The loop: its schedule, what it leaves behind, and that a run that was stopped or killed goes on as the same run."""

import dataclasses
import json
import math
import os

import imageio.v3 as iio
import numpy as np
import pytest
from support.runs import experiment, metrics, options, run, trainer

import minidraw.model.draw
import minidraw.training.trainer
from minidraw import RAMConfig, data
from minidraw.data import Dataset, Images
from minidraw.errors import UserError
from minidraw.model.draw import DRAW
from minidraw.presets import Experiment, TrainConfig
from minidraw.streams import Purpose, stream
from minidraw.training import checkpoints
from minidraw.training.measure import bound_terms
from minidraw.training.telling import prospect
from minidraw.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("small_strokes")

# ------------------------------------------------------------------------------------------------- what is computed


def test_the_learning_rate_rises_stays_and_falls_to_nothing(tmp_path):
    of = trainer(tmp_path, steps=100, warmup=10, decay_from=0.6, learning_rate=0.5)
    rates = []
    for of.state.step in range(100):
        rates.append(of.learning_rate())
    np.testing.assert_allclose(rates[:10], np.arange(1, 11) * 0.05)
    np.testing.assert_allclose(rates[10:61], 0.5)
    np.testing.assert_allclose(rates[60:], 0.5 * np.arange(40, 0, -1) / 40)
    of.state.step = 100
    assert of.learning_rate() == 0


@pytest.mark.parametrize("decay_from, last", [(0.0, 0.01), (1.0, 1.0)])
def test_the_fall_may_begin_at_once_or_never(tmp_path, decay_from, last):
    of = trainer(tmp_path, steps=100, warmup=0, decay_from=decay_from, learning_rate=1.0)
    assert of.learning_rate() == 1.0
    of.state.step = 99
    assert of.learning_rate() == pytest.approx(last)


def test_in_a_run_of_minutes_the_rate_follows_the_clock(tmp_path):
    of = trainer(tmp_path, minutes=2.0, steps=10, warmup=0, decay_from=0.5, learning_rate=1.0)
    of.state.step, of.state.seconds = 1000, 90.0  # three quarters of the time
    assert (of.progress(), of.learning_rate()) == (0.75, 0.5)


class Recorder:
    """A split that tells which images it was asked for."""

    def __init__(self, split):
        self.split, self.shape, self.asked = split, split.shape, []

    def __len__(self):
        return len(self.split)

    def batch(self, indices, rng=None):
        self.asked.append(np.asarray(indices).tolist())
        return self.split.batch(indices, rng)


def minibatches(of: Trainer, steps) -> list[list[int]]:
    of.task.data = dataclasses.replace(of.data, train=Recorder(of.data.train))
    for step in steps:
        of.stepper.minibatch(step)
    return of.task.data.train.asked


def test_every_epoch_is_a_fresh_permutation_that_depends_on_seed_and_step_alone(tmp_path):
    chosen = minibatches(trainer(tmp_path), range(15))  # 45 images in batches of 8: 5 an epoch, 5 images left over
    epochs = [[image for batch in chosen[first : first + 5] for image in batch] for first in (0, 5, 10)]
    for epoch in epochs:
        assert len(epoch) == len(set(epoch)) == 40 and set(epoch) <= set(range(45))
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert set().union(*epochs) == set(range(45)), "images left over in one epoch come in another"
    backwards = minibatches(trainer(tmp_path), reversed(range(15)))
    assert backwards[::-1] == chosen
    assert minibatches(trainer(tmp_path, seed=1), range(15)) != chosen


def test_noise_is_fresh_at_every_step_and_the_same_again_for_the_same_step(tmp_path):
    of = trainer(tmp_path)
    (_, first), (_, second), (_, again) = (of.stepper.minibatch(step) for step in (3, 4, 3))
    assert first.shape == (3, 8, 5) and first.dtype == np.float32
    assert (first == again).all() and not (first == second).any()
    every = np.concatenate([of.stepper.minibatch(step)[1].ravel() for step in range(100)])
    assert abs(every.mean()) < 0.04 and abs(every.std() - 1) < 0.04
    assert len(np.unique(every)) > 0.99 * len(every), "every image and glimpse has noise of its own"


def test_the_canvas_starts_as_the_mean_image(tmp_path):
    of = trainer(tmp_path)
    mean = of.data.train.batch(np.arange(45)).mean(axis=0).ravel()
    start = 1 / (1 + np.exp(-np.float64(of.model.params["canvas0"])))
    np.testing.assert_allclose(start, mean.clip(1e-3, 1 - 1e-3), rtol=1e-3)


def test_an_update_is_adam_with_the_gradient_clipped_by_its_global_norm(tmp_path):
    free, clipped = (trainer(tmp_path, clip=clip, warmup=0) for clip in (0.0, 0.5))
    for of in (free, clipped):
        of.model.loss_and_grads(*of.stepper.minibatch(0))
    norm = float(np.linalg.norm(free.model.flat_grads.astype(np.float64)))
    assert norm > 1, "or the test shows nothing"
    grads = free.model.flat_grads.copy()
    for of in (free, clipped):
        of.update()
        assert of.state.sums[1] / of.state.rows == pytest.approx(norm, rel=1e-4), (
            "what is logged is the norm before clipping"
        )
    np.testing.assert_allclose(free.adam.mean, 0.1 * grads, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(clipped.adam.mean, 0.1 * grads * 0.5 / norm, rtol=1e-4, atol=1e-6)
    mild = trainer(tmp_path, clip=2 * norm, warmup=0)
    mild.update()
    assert (mild.adam.mean == free.adam.mean).all()


def test_the_terms_of_the_bound_are_of_every_image_also_with_a_short_last_batch():
    class Counting:
        config = minidraw.DRAWConfig(glimpses=2, latent_size=3)

        def losses(self, x, noise):
            assert noise.shape == (2, len(x), 3)
            return x.reshape(len(x)), np.stack([np.full(len(x), len(x)), x.reshape(len(x))])

    pixels = np.zeros((600, 1, 1, 1), np.uint8)
    pixels[500:] = 255
    reconstruction, latent = bound_terms(Counting(), Images(pixels), 520, np.random.default_rng(0))
    assert reconstruction.tolist() == [0] * 500 + [1] * 20
    assert latent.tolist() == [250] * 500 + [21] * 20


def test_validation_uses_the_averaged_parameters_and_puts_the_others_back(tmp_path):
    of = trainer(tmp_path, validation_images=13)
    for _ in range(5):
        of.update()
    before = of.model.flat_params.copy()
    bound = of.validate()["validation_loss"]
    assert (of.model.flat_params == before).all() and (before != of.adam.average).any()
    of.model.flat_params[:] = of.adam.average
    rng = stream(0, Purpose.VALIDATION)
    assert sum(term.mean() for term in bound_terms(of.model, of.data.valid, 13, rng)) == bound
    assert metrics(tmp_path)[-1]["validation_images"] == 13


# ------------------------------------------------------------------------------------------------ what does not fit


def test_data_of_another_shape_and_a_batch_of_more_images_than_there_are_are_refused(tmp_path):
    with pytest.raises(UserError, match="images of strokes are \\(1, 28, 28\\), but the network is for"):
        trainer(tmp_path, image_shape=(1, 28, 27))
    with pytest.raises(
        UserError, match="batch_size 46 is more than the 45 training images of strokes: give a batch size of 45 or less"
    ):
        trainer(tmp_path, batch_size=46)


def test_a_network_that_no_checkpoint_could_hold_is_refused_before_it_takes_memory(tmp_path):
    for sizes in ({"enc_size": 10**6}, {"glimpses": 10**30}, {"latent_size": 10**15}):
        with pytest.raises(UserError, match="too large"):
            trainer(tmp_path, **sizes)


# ----------------------------------------------------------------------------------------------- what a run leaves


def test_a_run_leaves_a_folder_with_all_that_came_of_it(tmp_path, capsys):
    folder = tmp_path / "deep" / "run"
    assert run("train", *options(25, folder, pictures_every=20)) == 0
    out, err = capsys.readouterr()
    wanted = {"config.json", "metrics.jsonl", "metrics.csv", "checkpoint.npz", "report.html"}
    wanted |= {"data.png", "samples.gif", "samples.png", "sheet.png", "seen.png"}
    assert set(os.listdir(folder)) - {"tensorboard"} == wanted

    config = json.loads((folder / "config.json").read_text())
    assert config["train"]["steps"] == 25 and config["model"]["enc_size"] == 7
    assert config["train"] == dataclasses.asdict(checkpoints.load(folder).experiment.train)
    assert "strokes" in config["data"]

    frames = iio.imread(folder / "samples.gif", index=None)
    assert len(frames) == 3 + 2, "the empty canvas, a frame a glimpse, and what came out without boxes"
    assert iio.imread(folder / "samples.png").shape == frames[0].shape

    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    training = [line for line in lines if "loss" in line]
    validation = [line for line in lines if "validation_loss" in line]
    assert [line["step"] for line in training] == [3, 6, 9, 12, 15, 18, 21, 24, 25]
    assert [line["step"] for line in validation] == [10, 20, 25]
    for line in training:
        assert line["loss"] == pytest.approx(line["reconstruction"] + line["latent"], abs=1e-4)
        assert line["latent"] == pytest.approx(sum(line["latent_per_step"]), abs=1e-4) and line["latent"] >= 0
        assert len(line["latent_per_step"]) == 3
        assert line["epoch"] == pytest.approx(line["step"] * 8 / 45, abs=1e-5)
        assert min(line["gradient_norm"], line["images_per_second"], line["seconds"]) > 0
        assert line["skipped"] == 0 and 0 <= line["learning_rate"] <= 3e-3
    for line in validation:
        terms = line["validation_reconstruction"] + line["validation_latent"]
        assert line["validation_loss"] == pytest.approx(terms, abs=1e-4)
        assert line["validation_images"] == 20

    assert out.splitlines() == [
        f"validation bound {validation[-1]['validation_loss']:.2f} nats per image "
        f"(reconstruction {validation[-1]['validation_reconstruction']:.2f} "
        f"+ latent {validation[-1]['validation_latent']:.2f}), 25 steps, 0.0 minutes",
        f"pictures: {folder / 'samples.gif'}; all about it: {folder / 'report.html'}",
    ]
    told = "training DRAW of 1,963 parameters and 3 glimpses on strokes, 45 images of 1×28×28, for 25 updates"
    assert f"{told}; watch {folder / 'report.html'}" in err.splitlines()
    assert [line.partition(":")[0] for line in err.splitlines() if line.startswith("step")] == [
        "step 10",
        "step 20",
        "step 25",
    ]


def test_a_run_shows_something_early_and_then_at_every_validation(tmp_path, monkeypatch):
    monkeypatch.setattr("minidraw.training.trainer.FIRST_PICTURES", -1.0)
    of = trainer(tmp_path, steps=25, pictures_every=0)
    drawn, reported = [], []
    monkeypatch.setattr(of.task, "pictures", lambda folder, seed, step, thorough: drawn.append((step, thorough)))
    monkeypatch.setattr("minidraw.training.record.write_report", lambda folder, running: reported.append(of.state.step))
    of.record.reporting = 1e9  # there is no time for reports, but for the pictures' sake
    assert of.run()
    assert drawn == [(1, False), (10, False), (20, False), (25, True)] and reported == [1, 10, 20, 25]
    of = trainer(tmp_path, steps=25, pictures_every=0)
    monkeypatch.setattr(of.task, "pictures", lambda folder, seed, step, thorough: drawn.append((step, thorough)))
    of.record.drawing = 1e9  # there is no time for pictures either, but for the first and the last
    assert of.run() and drawn[4:] == [(1, False), (25, True)]
    drawn.clear()
    of = trainer(tmp_path, steps=35, pictures_every=15)
    monkeypatch.setattr(of.task, "pictures", lambda folder, seed, step, thorough: drawn.append(step))
    assert of.run() and drawn == [1, 15, 30, 35]


def test_it_is_told_how_long_a_run_takes_once_that_is_known(tmp_path, monkeypatch, capsys):
    """After some seconds, the first update left out; later updates of more glimpses take longer."""
    monkeypatch.setattr("minidraw.training.trainer.TIMED", 2.0)
    growing = {"glimpses": 8, "glimpse_start": 0.5, "glimpse_warmup": 1.0}
    of = trainer(tmp_path, steps=100, log_every=10**6, validate_every=10**6, checkpoint_every=10**6, **growing)

    def update():
        of.state.step += 1
        of.state.seconds += (
            30.0 if of.state.step == 1 else 0.25 * of.model.config.glimpses
        )  # a second with 4, two with 8

    monkeypatch.setattr(of, "update", update)
    monkeypatch.setattr(of, "log_line", lambda: "")
    monkeypatch.setattr(of, "draw", lambda: None)
    assert of.run()
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("training DRAW")]
    left = sum(0.25 * of.experiment.glimpses(step / 100) for step in range(4, 100)) / 60
    assert (
        len(told) == 1 and f"for 100 updates, about {left:.1f} minutes of training from update 4 on; watch" in told[0]
    )
    of = trainer(tmp_path, minutes=2.0)
    of.state.seconds = 90.0
    assert "for 2 minutes, about 30 s of training from update 0 on" in prospect(of, 0, 60.0)


def test_the_loss_of_a_log_line_is_the_mean_of_the_steps_since_the_last(tmp_path, monkeypatch):
    seen, usual = [], DRAW.loss_and_grads

    def loss_and_grads(self, x, noise):
        result = usual(self, x, noise)
        seen.append(result[0].total)
        return result

    monkeypatch.setattr(DRAW, "loss_and_grads", loss_and_grads)
    trainer(tmp_path, steps=8).run()
    logged = [line["loss"] for line in metrics(tmp_path) if "loss" in line]
    np.testing.assert_allclose(logged, [np.mean(seen[:3]), np.mean(seen[3:6]), np.mean(seen[6:])], rtol=1e-6)


def test_two_images_are_learned_to_within_a_nat_of_the_one_bit_that_tells_them_apart(tmp_path):
    pixels = np.zeros((20, 1, 4, 3), np.uint8)
    pixels[::2, :, :2], pixels[1::2, :, 2:] = 255, 255  # the upper half or the lower half
    split = Images(pixels)
    sizes = {"image_shape": (1, 4, 3), "write_size": None, "pictures_every": 999, "averaging": 0.9}
    small = experiment(**sizes, steps=400, validate_every=400, checkpoint_every=400, learning_rate=0.02)
    of = Trainer(small, small.build(threads=1), Dataset("halves", split, split, split, note=""), tmp_path)
    assert of.validate()["validation_loss"] == pytest.approx(12 * math.log(2), abs=0.3), "the mean image tells nothing"
    assert of.run() and math.log(2) - 0.01 < of.validate()["validation_loss"] < math.log(2) + 1


def test_a_run_of_minutes_ends_by_the_clock(tmp_path):
    of = trainer(tmp_path, minutes=0.5 / 60, steps=1)
    assert of.run() and of.state.step > 5 and 0.5 <= of.state.seconds < 2


# ------------------------------------------------------------------------------------------------------- classifiers


def test_a_classifier_is_trained_resumed_and_evaluated(tmp_path, capsys, monkeypatch):
    """Bright and dark images are told apart; a stopped run ends in the same bits; evaluate counts the same errors."""
    pixels = np.zeros((60, 1, 12, 12), np.uint8)
    pixels[::2] = 255
    split = Images(pixels, (np.arange(60) % 2).astype(np.uint8))
    toy = Dataset("toy", split, split, split, note="bright or dark")
    monkeypatch.setattr(data, "load", lambda *_, **__: toy)
    monkeypatch.setattr(data, "is_known", lambda name: name == "toy")
    model = RAMConfig((1, 12, 12), glimpses=2, read_size=3, hidden_size=8, classes=2)
    pace = {"steps": 40, "warmup": 0, "log_every": 7, "validate_every": 40}
    train = TrainConfig(data="toy", batch_size=10, learning_rate=0.02, **pace)

    def make(folder):
        toys = Experiment(model, train)
        of = Trainer(toys, toys.build(threads=1), toy, tmp_path / folder)
        if (tmp_path / folder / "checkpoint.npz").exists():
            of.restore(checkpoints.load(tmp_path / folder))
        return of

    assert make("straight").run()
    early = make("stopped")
    for _ in range(11):
        early.update()
    early.save()
    assert make("stopped").run()
    straight, stopped = checkpoints.load(tmp_path / "straight"), checkpoints.load(tmp_path / "stopped")
    assert straight.experiment.network == "ram"
    for name in checkpoints.VECTORS:
        assert straight.vectors[name].tobytes() == stopped.vectors[name].tobytes()
    lines = metrics(tmp_path / "straight")
    assert lines[-1]["validation_error"] == 0 and lines[0]["error"] > 0
    assert (tmp_path / "straight" / "samples.gif").exists()
    capsys.readouterr()
    assert run("evaluate", tmp_path / "straight", "--threads", 1, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["wrong"] == 0 and result["images"] == 60 and result["cross_entropy"] < 0.2
    assert run("evaluate", tmp_path / "straight", "--samples", 3) == 2
    assert run("generate", tmp_path / "straight") == 2
    assert capsys.readouterr().err.count("error: ") == 2
