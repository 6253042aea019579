"""Runs that begin with few glimpses: how many they take when, and that nothing else changes."""

import base64
import dataclasses
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.runs import (
    assert_same_run,
    environment,
    experiment,
    interrupt,
    metrics,
    options,
    run,
    table,
    trainer,
)

from minidraw import DRAW, RAM, DRAWConfig, RAMConfig
from minidraw.pages import curves, svg
from minidraw.pages.report import state
from minidraw.pages.run import Run
from minidraw.presets import PRESETS
from minidraw.training import checkpoints
from minidraw.training.telling import description

pytestmark = pytest.mark.usefixtures("small_strokes")

ROOT = Path(__file__).resolve().parents[2]
T = 9
GROWING = {"glimpses": T, "glimpse_warmup": 0.7, "glimpse_start": 0.3}  # from 2 glimpses on, over 21 of 30 updates
NETWORKS = {
    "attention": (DRAW, DRAWConfig((2, 6, 7), T, 2, 3, 8, 9, 5)),
    "none": (DRAW, DRAWConfig((1, 6, 7), T, None, None, 8, 9, 5)),
    "ram": (RAM, RAMConfig((1, 6, 7), T, 3, 8, 4)),
}


def test_the_number_of_glimpses_follows_its_equation():
    of = experiment(glimpses=64, glimpse_warmup=0.8, glimpse_start=1 / 16)
    shares = np.linspace(0, 1, 501)
    taken = np.array([of.glimpses(share) for share in shares])
    assert taken[0] == 4 and (np.diff(taken) >= 0).all() and (taken[shares >= 0.8] == 64).all()
    growing = shares < 0.8
    exact = 64 * (1 / 16) ** (1 - shares[growing] / 0.8)
    assert (abs(taken[growing] + 0.5 - exact) <= 0.5 + 1e-9).all() and of.glimpses(0.4) == 16
    assert {experiment(glimpses=64).glimpses(share) for share in shares} == {64}, "all of them, unless asked for"
    assert {experiment(glimpses=5, glimpse_warmup=1.0, glimpse_start=1.0).glimpses(s) for s in shares} == {5}
    assert experiment(glimpses=3, glimpse_warmup=1.0, glimpse_start=0.01).glimpses(0.0) == 1


@pytest.mark.parametrize("wrong", ["glimpse_warmup=1.5", "glimpse_warmup=-0.1", "glimpse_start=0", "glimpse_start=1.2"])
def test_what_makes_no_sense_is_refused(tmp_path, capsys, wrong):
    assert run("train", *options(3, tmp_path / "run"), f"--set={wrong}") == 2
    assert wrong.partition("=")[0] in capsys.readouterr().err and not (tmp_path / "run").exists()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", NETWORKS)
def test_an_unrolled_network_is_one_made_for_so_many_glimpses(monkeypatch, kind, threads):
    """Bit for bit, be it for more or for fewer than before, with workers too."""
    monkeypatch.setattr("minidraw.model.network.SMALLEST_WORK", 0)
    network, config = NETWORKS[kind]
    rng = np.random.default_rng(0)
    of = network(config, threads=threads)
    of.flat_params[:] = 0.4 * rng.standard_normal(of.flat_params.size)
    x = rng.random((17, *config.image_shape))
    for glimpses in (T, 2, 5, 5, 12, 1):
        of.unroll(glimpses)
        fresh = network(dataclasses.replace(config, glimpses=glimpses), threads=threads)
        fresh.flat_params[:] = of.flat_params
        given = rng.integers(4, size=17) if network is RAM else rng.standard_normal((glimpses, 17, 5))
        (loss, _), (expected, _) = of.loss_and_grads(x, given), fresh.loss_and_grads(x, given)
        assert loss.total == expected.total and of.flat_grads.tobytes() == fresh.flat_grads.tobytes()
        if network is DRAW:
            assert len(of.generate(3)) == glimpses and np.array_equal(of.generate(3), fresh.generate(3))


def test_every_line_of_a_growing_run_is_of_one_number_of_glimpses(tmp_path, capsys):
    assert run("train", *options(30, tmp_path, **GROWING)) == 0
    lines, rows = metrics(tmp_path), table(tmp_path)
    of = experiment(steps=30, **GROWING)
    training = [line for line in lines if "loss" in line]
    for before, line in zip([{"step": 0}, *training], training, strict=False):
        taken = {of.glimpses(step / 30) for step in range(before["step"], line["step"])}
        assert taken == {line["glimpses"]} and len(line["latent_per_step"]) == line["glimpses"]
        assert line["latent"] == pytest.approx(sum(line["latent_per_step"]), abs=1e-4)
    assert {line["glimpses"] for line in training} == set(range(2, T + 1))
    validations = [line for line in lines if "validation_loss" in line]
    assert [(line["step"], line["glimpses"]) for line in validations] == [(10, 4), (20, 8), (30, 9)]
    assert [int(row["glimpses"]) for row in rows] == [line["glimpses"] for line in lines]
    out, err = capsys.readouterr()
    said = [line.partition("), ")[2] for line in err.splitlines() if line.startswith("step ")]
    assert said == ["4 of 9 glimpses", "8 of 9 glimpses", ""] and "of 9 glimpses" not in out
    page = (tmp_path / "report.html").read_text()
    assert "<h3>Glimpses</h3>" in page and f"<span><b>{T}</b></span>" in page


def test_the_last_validation_is_of_all_glimpses_even_if_they_grow_to_the_end(tmp_path):
    assert trainer(tmp_path, steps=10, **GROWING | {"glimpse_warmup": 1.0}).run()
    training, validation = metrics(tmp_path)[-2:]
    assert (training["glimpses"], validation["glimpses"]) == (7, T)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("stop", range(4, 22, 3))  # before, at and after a growth, in a window of the log or at its end
def test_a_growing_run_that_was_stopped_goes_on_as_the_same_run(tmp_path, monkeypatch, stop, threads):
    if threads == 2:
        monkeypatch.setattr("minidraw.model.network.SMALLEST_WORK", 0)
    of = trainer(tmp_path / "run", threads, steps=30, batch_size=17, **GROWING)
    interrupt(of, stop, monkeypatch)
    assert not of.run() and of.state.step == stop
    checkpoint = checkpoints.load(tmp_path / "run")
    assert checkpoint.glimpses() == of.experiment.glimpses(stop / 30)
    again = trainer(tmp_path / "run", threads, steps=30, batch_size=17, **GROWING)
    again.restore(checkpoint)
    assert again.run()
    assert trainer(tmp_path / "straight", threads, steps=30, batch_size=17, **GROWING).run()
    assert_same_run(tmp_path / "run", tmp_path / "straight")


def test_a_run_that_still_grows_draws_with_the_glimpses_it_has_come_to(tmp_path, capsys):
    of = trainer(tmp_path, steps=30, **GROWING)
    for _ in range(12):
        of.update()
        of.grow()
    tmp_path.mkdir(exist_ok=True)
    of.save()
    assert run("generate", tmp_path, "-n", 2, "--out", tmp_path / "drawn.gif") == 0
    with Image.open(tmp_path / "drawn.gif") as drawn:
        assert drawn.n_frames == 1 + 5 + 1, "empty, five glimpses, and the last once more without boxes"
    assert len(checkpoints.load(tmp_path).network().generate(1)) == 5
    capsys.readouterr()
    assert run("evaluate", tmp_path, "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["glimpses"] == 5
    assert err.splitlines()[3] == "this run has come to 5 of its 9 glimpses so far, and is measured with them"


@pytest.mark.parametrize("claim", [0, T + 1, "3", True, 2.0, None])
def test_a_checkpoint_that_claims_other_glimpses_is_damaged(tmp_path, capsys, claim):
    assert run("train", *options(7, tmp_path, **GROWING)) == 0
    checkpoint = checkpoints.load(tmp_path)
    checkpoint.state["glimpses"] = claim
    checkpoints.save(tmp_path / "checkpoint.npz", checkpoint)
    assert run("generate", tmp_path, "--out", tmp_path / "drawn.gif") == 2
    assert f"it claims {claim!r} of {T} glimpses" in capsys.readouterr().err


def test_glimpses_not_taken_yet_are_absent_from_the_heat_map():
    lines = [{"step": n, "latent_per_step": [float(n)] * n} for n in range(1, 5)]
    values = curves.heat(lines).values
    assert np.array_equal(np.isnan(values), np.tri(4, 4, -1, bool))
    assert np.array_equal(np.nan_to_num(values), np.triu(np.tile(np.arange(1.0, 5.0), (4, 1))))
    (picture,) = re.findall('<image [^>]*base64,([^"]*)"', svg.heat(curves.heat(lines)))
    alpha = np.array(Image.open(io.BytesIO(base64.b64decode(picture))))[::-1, :, 3]  # the first glimpse is below
    assert np.array_equal(alpha == 0, np.isnan(values)) and set(alpha.ravel()) == {0, 255}
    few = curves.heat([line for line in lines for _ in range(1000)])
    assert few.values.shape == (4, curves.MOST_COLUMNS) and np.nanmax(few.values) == 4.0


def test_columns_of_the_heat_map_are_of_equal_width_though_lines_are_not():
    lines = [{"step": step, "latent_per_step": [float(step)]} for step in (1, 2, 3, 4, 21)]
    assert curves.heat(lines).values.tolist() == [[2.5, 4.0, 4.0, 4.0, 21.0]]


def test_a_run_by_the_clock_grows_by_the_clock(tmp_path):
    of = trainer(tmp_path, minutes=1.0, **GROWING)
    for seconds, glimpses in ((0.0, 2), (21.0, 4), (41.9, 8), (42.0, T)):
        of.state.seconds = seconds
        of.grow()
        assert of.model.config.glimpses == glimpses


def test_a_run_that_is_given_more_steps_keeps_its_glimpses(tmp_path):
    assert run("train", *options(30, tmp_path, **GROWING)) == 0
    assert run("train", *options(60, tmp_path, **GROWING), "--resume") == 0
    assert {line["glimpses"] for line in metrics(tmp_path) if line["step"] > 21} == {T}


def test_a_checkpoint_from_before_glimpses_grew_goes_on_with_all(tmp_path):
    assert run("train", *options(14, tmp_path, validate_every=14)) == 0
    checkpoint = checkpoints.load(tmp_path)
    del checkpoint.state["glimpses"]
    checkpoints.save(tmp_path / "checkpoint.npz", checkpoint)
    assert run("train", *options(20, tmp_path, validate_every=14), "--resume") == 0
    assert checkpoints.load(tmp_path).glimpses() == 3 and checkpoints.load(tmp_path).state["step"] == 20


def test_presets_that_grow_begin_with_enough_glimpses_and_have_all_for_a_third_of_their_run():
    growing = {name: of for name, of in PRESETS.items() if of.train.glimpse_warmup}
    assert growing.keys() == {"mnist", "two-digits", "strokes", "cluttered"}
    for name, of in growing.items():
        assert (4 if name == "cluttered" else 8) <= of.glimpses(0.0) < of.model.glimpses == of.glimpses(0.67)


def test_the_page_counts_that_later_updates_take_longer(tmp_path):
    """In the middle of a run from 1 to 4 glimpses over all of it; the updates so far took a hundred seconds."""
    of = trainer(tmp_path, steps=100, glimpses=4, glimpse_start=0.25, glimpse_warmup=1.0)
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "config.json").write_text(json.dumps(description(of)))
    (tmp_path / "metrics.jsonl").write_text('{"step": 50, "seconds": 100.0}\n')
    taken = [of.experiment.glimpses(step / 100) for step in range(100)]
    left = 100 * sum(taken[50:]) / sum(taken[:50])
    assert left > 200 and f"about {left / 60:.1f} minutes of training left" in state(Run(tmp_path), running=True)


def test_exported_weights_keep_the_glimpses_that_the_run_has_come_to(tmp_path):
    of = trainer(tmp_path, steps=30, **GROWING)
    tmp_path.mkdir(exist_ok=True)
    of.save()
    command = [sys.executable, "-m", "tools.export_weights", tmp_path, tmp_path / "short.npz"]
    subprocess.run(command, check=True, capture_output=True, env=environment())
    assert checkpoints.load(tmp_path / "short.npz").glimpses() == 2


@pytest.mark.parametrize(
    "odd", [("model", "glimpses", 0), ("model", "glimpses", 10**400), ("train", "glimpse_start", 0)]
)
def test_a_page_of_impossible_glimpses_is_refused(tmp_path, capsys, odd):
    assert run("train", *options(6, tmp_path, **GROWING)) == 0
    part, name, value = odd
    config = json.loads((tmp_path / "config.json").read_text())
    config[part][name] = value
    (tmp_path / "config.json").write_text(json.dumps(config))
    capsys.readouterr()
    assert run("report", tmp_path) == 2
    assert "cannot understand" in capsys.readouterr().err
