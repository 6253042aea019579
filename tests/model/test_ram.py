"""The classifier RAM against differences, autograd and loops, its contract, and its mistakes."""

import functools
import math

import numpy as np
import pytest
from support import gradcheck
from support.classifier import Classifier

from minidraw import RAM, RAMConfig, UserError
from minidraw.data import Images
from minidraw.training import measure

B = 7


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("check", gradcheck.CHECKS)
def test_classifier(channels, check):
    check(Classifier(channels))


def test_the_parameters_are_those_promised():
    model = RAM(RAMConfig(image_shape=(1, 100, 100), glimpses=8, read_size=12, hidden_size=256, classes=10), threads=1)
    assert {name: p.shape for name, p in model.params.items()} == {
        "lstm.W": (144 + 256, 1024),
        "lstm.b": (1024,),
        "read.W": (256, 5),
        "read.b": (5,),
        "softmax.W": (256, 10),
        "softmax.b": (10,),
        "h0": (256,),
    }
    assert {name: g.shape for name, g in model.grads.items()} == {name: p.shape for name, p in model.params.items()}


def test_training_starts_with_a_grid_over_the_whole_image_and_filters_half_a_stride_wide():
    config = RAMConfig((1, 11, 13), glimpses=2, read_size=4, hidden_size=200, classes=50)
    params = RAM(config, dtype="float64", seed=1, threads=1).params
    assert params["read.b"].tolist() == [0, 0, pytest.approx(2 * math.log(4 / 2)), 0, 0]  # a stride of 12 / 3 pixels
    open_gates = np.arange(800) // 200 == 1  # of the gates i, f, o, g
    np.testing.assert_array_equal(params["lstm.b"], open_gates)
    for name, spread in {"lstm.W": 216**-0.5, "softmax.W": 200**-0.5, "read.W": 0.1 * 200**-0.5}.items():
        assert params[name].std() == pytest.approx(spread, rel=0.1), name
        assert abs(params[name].mean()) < 0.15 * spread, name
    assert not params["softmax.b"].any() and not params["h0"].any()
    start = RAM(config, dtype="float64", seed=1, threads=1)
    start.params["read.W"][:] = 0
    _, windows = start.look(np.zeros((1, 1, 11, 13)))
    assert windows.centre[0, 0].tolist() == [7, 6] and windows.stride[0, 0] == 4
    assert windows.sigma[0, 0] == pytest.approx(2)


def test_blank_logits_cost_log_of_the_classes_and_predict_agrees_with_the_probabilities():
    part = Classifier(1)
    x, model = part.constants["x"], part.models["float64"]
    for name, param in part.inputs.items():
        model.params[name][...] = param
    log_p = model.log_probabilities(x)
    np.testing.assert_allclose(np.exp(log_p).sum(axis=1), 1)
    assert np.array_equal(model.predict(x), log_p.argmax(axis=1))
    loss, _ = model.loss_and_grads(x, model.predict(x))
    assert loss.error == 0
    model.params["softmax.W"][:] = model.params["softmax.b"][:] = 0
    assert model.loss(x, part.labels).total == pytest.approx(math.log(9), abs=1e-12)


def test_workers_give_the_same(monkeypatch):
    monkeypatch.setattr("minidraw.model.network.SMALLEST_WORK", 0)
    config = RAMConfig((1, 11, 13), glimpses=3, read_size=4, hidden_size=6, classes=5)
    rng = np.random.default_rng(0)
    x, labels = rng.random((21, 1, 11, 13)), rng.integers(0, 5, 21)
    results = []
    for threads in (1, 2):
        model = RAM(config, dtype="float64", seed=3, threads=threads)
        loss, grads = model.loss_and_grads(x, labels)
        results.append((loss, {name: grad.copy() for name, grad in grads.items()}, model.predict(x)))
    (loss1, grads1, labels1), (loss2, grads2, labels2) = results
    assert loss1.total == pytest.approx(loss2.total, abs=1e-13) and loss1.error == loss2.error
    assert np.array_equal(labels1, labels2)
    for name in grads1:
        gradcheck.assert_close(grads2[name], grads1[name], 1e-12, name)


def test_what_it_looks_at():
    """The first window is where read.b puts it; a white image seen through it is white."""
    config = RAMConfig((1, 11, 13), glimpses=2, read_size=4, hidden_size=6, classes=5)
    model = RAM(config, dtype="float64", threads=1)
    model.params["read.W"][:] = 0
    model.params["read.b"][:] = 0, 0, 0, 0, math.log(3)
    glimpses, windows = model.look(np.ones((2, 1, 11, 13)))
    assert glimpses.shape == (2, 2, 1, 4, 4) and windows.centre.shape == (2, 2, 2)
    np.testing.assert_allclose(glimpses, 1)
    np.testing.assert_allclose(windows.centre, np.broadcast_to([7, 6], (2, 2, 2)))
    np.testing.assert_allclose(windows.stride, 12 / 3)


UNFIT_FIELDS = [{"read_size": 1}, {"read_size": None}, {"classes": 0}, {"image_shape": (1, 0, 5)}]


@pytest.mark.parametrize("field", UNFIT_FIELDS)
def test_a_network_that_cannot_be_is_refused(field):
    with pytest.raises(UserError, match=next(iter(field))):
        RAMConfig(**field)


UNFIT = [np.zeros(6, int), np.zeros(7), np.full(7, 9), np.full(7, -1), np.zeros((7, 1), int)]


@pytest.mark.parametrize("labels", UNFIT, ids=lambda labels: f"{labels.dtype} {labels.shape} {labels.min()}")
def test_labels_that_do_not_fit_are_refused(labels):
    part = Classifier(1)
    with pytest.raises(UserError, match="labels must be"):
        part.models["float64"].loss_and_grads(part.constants["x"], labels)


def test_results_outlive_the_next_call():
    part = Classifier(1)
    x, model = part.constants["x"], part.models["float64"]
    first = model.log_probabilities(x)
    kept = first.copy()
    model.log_probabilities(1 - x)
    model.loss_and_grads(1 - x, part.labels)
    np.testing.assert_array_equal(first, kept)


def test_classify_measures_every_image_also_in_several_batches(monkeypatch):
    part = Classifier(1)
    pixels = np.random.default_rng(1).integers(0, 256, (13, 1, 11, 13), np.uint8)
    labels = np.arange(13, dtype=np.uint8) % 9
    split, model = Images(pixels, labels), part.models["float64"]
    for name, param in part.inputs.items():
        model.params[name][...] = param
    monkeypatch.setattr(measure, "batches", functools.partial(measure.batches, size=5))
    nats, wrong, taken = measure.classify(model, split, 13)
    for k in range(13):
        loss = model.loss(split.batch([k]), labels[k : k + 1])
        assert nats[k] == pytest.approx(loss.total, rel=1e-9) and wrong[k] == loss.error
        assert taken[k] == model.log_probabilities(split.batch([k])).argmax()
    assert len(set(nats.round(6))) == 13
    with pytest.raises(UserError, match="no labels"):
        measure.classify(model, Images(pixels), 13)
