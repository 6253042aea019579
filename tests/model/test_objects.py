"""A network as an object of Python: shown, copied, pickled, kept in a file, its parameters set by name."""

import copy
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from support.networks import DRAWS, RAMS, either, examples, pair

from minidraw import DRAW, RAM, DRAWConfig, UserError, evaluate
from minidraw.model import network
from minidraw.streams import Purpose, stream
from minidraw.training import checkpoints


def made(config, **options):
    return (DRAW if isinstance(config, DRAWConfig) else RAM)(config, seed=3, **options)


def total(model, inputs):
    return model.loss(*inputs).total


def test_repr():
    shown = repr(made(DRAWS[0], threads=1))
    size = f"{sum(array.size for array in made(DRAWS[0]).params.values()):,} parameters"
    assert shown.startswith("DRAW(DRAWConfig(image_shape=(1, 11, 13), glimpses=4,") and size in shown
    assert shown.endswith("float32 on numpy)") and "float64" in repr(made(DRAWS[0], dtype="float64"))
    assert repr(made(RAMS[0])).startswith("RAM(RAMConfig(image_shape=(1, 11, 13)")


@either
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("how", [copy.deepcopy, copy.copy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_equal_and_independent(config, threads, how, monkeypatch):
    monkeypatch.setattr(network, "SMALLEST_WORK", 0)
    model, inputs = made(config, threads=threads), examples(config, images=16)
    model.flat_params += 0.01
    loss, grads = model.loss_and_grads(*inputs)  # workers and memory are there
    other = how(model)
    again, others = other.loss_and_grads(*inputs)
    assert type(other) is type(model) and other.config == model.config and other.threads == threads
    assert again.total == loss.total and all(np.array_equal(others[name], grads[name]) for name in grads)
    assert not any(np.shares_memory(others[name], grads[name]) for name in grads)
    other.params["read.b" if "read.b" in other.params else "h_enc0"][:] += 1.0
    assert total(other, inputs) != loss.total == total(model, inputs)


def test_a_copy_on_a_device(gpu):
    _, device = pair(DRAWS[0])
    inputs = examples(DRAWS[0])
    other = copy.deepcopy(device)
    assert type(other.flat_params) is type(device.flat_params) and total(other, inputs) == total(device, inputs)
    assert pickle.loads(pickle.dumps(device)).xp is device.xp


def test_in_a_pool_of_processes():
    model = made(DRAWS[0], threads=1)
    inputs = [examples(DRAWS[0], seed) for seed in range(3)]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = list(pool.map(total, [model] * 3, inputs))
    assert found == [total(model, some) for some in inputs]


@pytest.mark.parametrize("threads", [1, 2])
def test_parameters_are_set_in_place(threads, monkeypatch):
    monkeypatch.setattr(network, "SMALLEST_WORK", 0)
    model, inputs = made(DRAWS[0], threads=threads), examples(DRAWS[0], images=16)
    before = total(model, inputs)
    bias = np.linspace(-1, 1, model.params["decoder.b"].size)
    for values in (bias, bias.tolist(), bias.astype(np.float32)):
        model.params["decoder.b"] = values
        assert np.shares_memory(model.params["decoder.b"], model.flat_params)
        assert np.array_equal(model.params["decoder.b"], bias.astype(np.float32))
    assert (changed := total(model, inputs)) != before
    model.params.update(canvas0=np.ones(11 * 13))
    model.params |= {"h_dec0": np.full(9, 0.5)}
    assert (model.params["canvas0"] == 1).all() and (model.params["h_dec0"] == 0.5).all()
    assert total(model, inputs) not in (before, changed)
    kept = model.flat_params.copy()
    model.params["canvas0"] -= 1.0
    assert model.flat_params.sum() == pytest.approx(kept.sum() - 143, rel=1e-5)


def test_parameters_on_a_device(gpu):
    host, device = pair(DRAWS[0])
    host.params["decoder.b"] = np.arange(36.0)
    device.params["decoder.b"] = np.arange(36.0)
    assert np.array_equal(device.flat_params.get(), host.flat_params)
    device.params["decoder.b"] = device.params["decoder.b"] + 1
    assert device.params["decoder.b"].get()[0] == 1


@pytest.mark.parametrize(
    "wrong, message",
    [
        (lambda p: p.__setitem__("decoder.b", np.zeros(3)), r"decoder.b has the shape \(36,\), not \(3,\)"),
        (lambda p: p.__setitem__("decoder.b", 0.0), r"decoder.b has the shape \(36,\), not \(\)"),
        (lambda p: p.__setitem__("decodr.b", np.zeros(36)), "unknown parameter 'decodr.b'; did you mean 'decoder.b'"),
        (lambda p: p.__setitem__("decoder.b", ["x"] * 36), "decoder.b must be real numbers"),
        (lambda p: p.update({"new": np.zeros(3)}), "unknown parameter 'new'"),
        (lambda p: p.setdefault("new", np.zeros(3)), "unknown parameter 'new'"),
        (lambda p: p.pop("decoder.b"), "decoder.b cannot be taken away"),
        (lambda p: p.pop("decodr.b", 3), "cannot be taken away"),
        (lambda p: p.popitem(), "cannot be taken away"),
        (lambda p: p.clear(), "cannot be taken away"),
        (lambda p: p.__delitem__("decoder.b"), "cannot be taken away"),
    ],
)
def test_what_would_be_lost_is_refused(wrong, message):
    model = made(DRAWS[0])
    names, kept = list(model.params), model.flat_params.copy()
    with pytest.raises(UserError, match=message):
        wrong(model.params)
    assert list(model.params) == names and np.array_equal(model.flat_params, kept)


def test_what_calls_compute_with_is_not_replaced():
    model = made(DRAWS[0])
    model.flat_params += 1.0  # in place
    model.params["h_dec0"] *= 2.0
    for name in ("params", "grads", "flat_params", "flat_grads"):
        mine = getattr(model, name)
        with pytest.raises(UserError, match=f"{name} cannot be replaced: write into it"):
            setattr(model, name, copy.copy(mine))
        assert getattr(model, name) is mine
    model.note = "anything else may be"


@either
def test_save_and_load(config, tmp_path):
    model, inputs = made(config, threads=1), examples(config)
    model.flat_params += 0.01
    model.save(tmp_path / "deep" / "mine.npz")
    other = type(model).load(tmp_path / "deep" / "mine.npz", threads=1)
    assert other.config == model.config and np.array_equal(other.flat_params, model.flat_params)
    assert total(other, inputs) == total(model, inputs)
    assert checkpoints.load(tmp_path / "deep" / "mine.npz").network(threads=1).config == config
    wrong = RAM if type(model) is DRAW else DRAW
    with pytest.raises(UserError, match=f"is a network of the kind {type(model).__name__}, not {wrong.__name__}"):
        wrong.load(tmp_path / "deep" / "mine.npz")
    with pytest.raises(UserError, match="there is no checkpoint"):
        DRAW.load(tmp_path / "nothing.npz")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        model.save(tmp_path / "file" / "mine.npz")


@pytest.mark.parametrize(
    "wrong, message",
    [
        (lambda m: m.draw(2.5), "the number of images must be a whole number of 1 or more, not 2.5"),
        (lambda m: m.generate("3"), "the number of images must be a whole number of 1 or more, not '3'"),
        (lambda m: m.draw(3, seed=-1), "seed must be a whole number of 0 or more, not -1"),
        (lambda m: m.draw(3, None), "seed must be a whole number of 0 or more, not None"),
        (lambda m: m.loss(np.zeros((2, 1, 11, 13)), seed=1.5), "seed must be a whole number of 0 or more, not 1.5"),
        (lambda m: DRAW(m.config, seed="a"), "seed must be a whole number of 0 or more, not 'a'"),
        (lambda m: DRAW(m.config, threads=1.5), "threads must be a whole number of 1 or more, not 1.5"),
        (lambda m: DRAW("mnist-small"), "DRAW takes a DRAWConfig, not str; .*there is minidraw.load"),
        (lambda m: RAM(m.config), "RAM takes a RAMConfig, not DRAWConfig"),
        (lambda m: DRAW.load("mnist_small"), "no checkpoint mnist_small; did you mean 'mnist-small'"),
        (lambda m: DRAW.load("svhn"), "no checkpoint svhn; python -m minidraw.train svhn makes one"),
        (lambda m: DRAW.load("x/y.npz"), "no checkpoint x/y.npz; python -m minidraw.train makes one"),
    ],
)
def test_mistakes_of_one_line(wrong, message):
    with pytest.raises(UserError, match=message):
        wrong(made(DRAWS[0], threads=1))


def test_a_network_that_is_not_finite_is_not_saved(tmp_path):
    model = made(DRAWS[0])
    model.save(tmp_path / "mine.npz")
    model.params["canvas0"][3] = np.nan
    with pytest.raises(UserError, match=r"parameters that are not finite, so .*mine.npz is not written"):
        model.save(tmp_path / "mine.npz")
    assert np.isfinite(DRAW.load(tmp_path / "mine.npz").flat_params).all()


def test_a_drawing_shows_what_it_is_and_knows_what_was_drawn_again():
    model, (x, noise) = made(DRAWS[0], threads=1), examples(DRAWS[0])
    drawing = model.redraw(x, noise)
    assert repr(drawing).startswith("Drawing(7 of (1, 11, 13) in 4 glimpses: frames, write,")
    assert np.array_equal(drawing.originals, x) and model.draw(2).originals is None
    assert not np.shares_memory(drawing.originals, x), "who draws on x afterwards must not change what was drawn from"


def test_what_a_call_returns_is_not_memory_that_the_next_one_overwrites():
    """Other threads call the network too, between a call and the use of what it returned."""

    def arrays(result) -> list[np.ndarray]:
        if isinstance(result, np.ndarray):
            return [result]
        return [array for part in result for array in arrays(part)] if isinstance(result, tuple) else []

    draws, looks = made(DRAWS[0], threads=1), made(RAMS[0], threads=1)
    (x, noise), (seen, _) = examples(DRAWS[0]), examples(RAMS[0])
    calls = {
        "draw": lambda: draws.draw(2),
        "redraw": lambda: draws.redraw(x, noise),
        "latents": lambda: draws.draw_latents(noise),
        "loss": lambda: tuple(vars(draws.loss(x, noise)).values()),
        "look": lambda: looks.look(seen),
        "log_probabilities": lambda: looks.log_probabilities(seen),
    }
    for name, call in calls.items():
        one, other = arrays(call()), arrays(call())
        assert one and not any(np.shares_memory(a, b) for a in one for b in other), name


def test_a_classifier_knows_what_its_labels_are_called():
    model, (x, labels) = made(RAMS[0], threads=1), examples(RAMS[0])
    assert model.class_names == ("0", "1", "2", "3", "4", "5")
    model.origin = None, {"classes": ["a", "b", "c", "d", "e", "f"]}
    assert copy.deepcopy(model).class_names == ("a", "b", "c", "d", "e", "f")
    with pytest.raises(
        UserError, match=r"labels must be from 0 to 5 \(they number a, b, c, d, e, ...: see class_names"
    ):
        model.loss(x, labels + 1)


def test_a_saved_network_does_not_claim_data_that_it_has_not_seen(tmp_path):
    made(DRAWS[0]).save(tmp_path / "mine.npz")
    with pytest.raises(UserError, match="this run is of 'unknown', data that a program gave it: name a data set"):
        evaluate.main([str(tmp_path / "mine.npz")])


def test_a_saved_network_keeps_what_is_known_of_its_data(tmp_path, trained):
    known = checkpoints.load(trained)
    copy.deepcopy(DRAW.load(trained)).save(tmp_path / "mine.npz")
    again = checkpoints.load(tmp_path / "mine.npz")
    assert known.data["fingerprint"] and again.data == known.data and again.experiment == known.experiment


def test_double_precision_is_kept(tmp_path):
    model = made(DRAWS[0], dtype="float64")
    model.save(tmp_path / "mine.npz")
    assert DRAW.load(tmp_path / "mine.npz").dtype == np.float64


def test_noise_of_a_seed():
    model, (x, _) = made(DRAWS[0], threads=1), examples(DRAWS[0])
    noise = stream(5, Purpose.POSTERIOR).standard_normal((4, len(x), 8), np.float32)
    assert total(model, (x, None, 5)) == total(model, (x, noise)) != total(model, (x,))
    for name in ("losses", "log_weights", "encode", "reconstruct", "redraw"):
        with_seed, with_noise = getattr(model, name)(x, seed=5), getattr(model, name)(x, noise)
        first = (with_seed[0], with_noise[0]) if isinstance(with_seed, tuple) else (with_seed, with_noise)
        assert np.array_equal(*first), name
    with pytest.raises(TypeError):
        model.loss_and_grads(x)  # noise that is always the same would train something else


@either
def test_many_images_go_some_at_a_time(config, monkeypatch):
    """The same numbers, and memory for no more than some."""
    model, inputs = made(config, threads=1, dtype="float64"), examples(config, images=50)
    whole = model.loss(*inputs)
    monkeypatch.setattr(network, "IMAGES_AT_ONCE", 7)
    few = made(config, threads=1, dtype="float64")
    assert few.loss(*inputs).total == pytest.approx(whole.total, rel=1e-13)
    assert few._shard.arena.block.size < model._shard.arena.block.size / 5
    if isinstance(config, DRAWConfig):
        for a, b in zip(few.losses(*inputs), model.losses(*inputs), strict=True):
            assert a.shape == b.shape and np.allclose(a, b, rtol=1e-12)
        assert np.allclose(few.log_weights(*inputs), model.log_weights(*inputs), rtol=1e-12)
    else:
        assert np.allclose(few.log_probabilities(inputs[0]), model.log_probabilities(inputs[0]), rtol=1e-12)
    few.loss_and_grads(*inputs)  # gradients are of all images at once
