"""Several threads, several processes, one network: right numbers, or an exception."""

import copy
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from support.networks import DRAWS, RAMS, examples

from minidraw import DRAW, RAM, UserError
from minidraw.parallel import guard
from minidraw.parallel.guard import blas_threads
from minidraw.parallel.workers import WorkerDied

IMAGES = 16  # two shards
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no os.fork on this system")
shared = pytest.mark.parametrize("threads", [1, 2])


@pytest.fixture(autouse=True)
def always(monkeypatch):
    """Workers start however small the work."""
    monkeypatch.setattr("minidraw.model.network.SMALLEST_WORK", 0)
    monkeypatch.setattr("minidraw.model.network.IMAGES_AT_ONCE", IMAGES)


def jobs():
    """Return every public method that computes, each as a name, a config, and what it returns as a flat vector."""

    def flat(result):
        arrays = result if isinstance(result, tuple) else (result,)
        return np.concatenate(
            [np.ravel(np.asarray(a, np.float64)) for a in arrays if isinstance(a, np.ndarray | float)]
        )

    def drawing(result):
        return flat((result.frames, result.ink, result.latents, result.write.centre))

    def loss(result):
        return flat((result.total, getattr(result, "latent_per_step", 0.0)))

    draw, ram = DRAWS[4], RAMS[0]
    return {
        "loss": (draw, lambda m, x, noise: loss(m.loss(x, noise))),
        "losses": (draw, lambda m, x, noise: flat(m.losses(x, noise))),
        "log_weights": (draw, lambda m, x, noise: flat(m.log_weights(x, noise))),
        "encode": (draw, lambda m, x, noise: flat(m.encode(x, noise))),
        "decode": (draw, lambda m, x, noise: flat(m.decode(noise))),
        "draw_latents": (draw, lambda m, x, noise: drawing(m.draw_latents(noise))),
        "draw": (draw, lambda m, x, noise: drawing(m.draw(5, int(1e6 * abs(noise[0, 0, 0]))))),
        "generate": (draw, lambda m, x, noise: flat(m.generate(5, int(1e6 * abs(noise[0, 0, 0]))))),
        "redraw": (draw, lambda m, x, noise: drawing(m.redraw(x, noise))),
        "reconstruct": (draw, lambda m, x, noise: flat(m.reconstruct(x, noise))),
        "classify": (ram, lambda m, x, labels: loss(m.loss(x, labels))),
        "log_probabilities": (ram, lambda m, x, labels: flat(m.log_probabilities(x))),
        "predict": (ram, lambda m, x, labels: flat(m.predict(x))),
        "look": (ram, lambda m, x, labels: flat((m.look(x)[0], m.look(x)[1].centre))),
    }


JOBS = jobs()
OTHERS = {"loss_and_grads", "unroll", "save", "load", "parameter_shapes", "start_values", "checked_labels"}


def network(config, threads):
    return (DRAW if config in DRAWS else RAM)(config, seed=1, threads=threads)


def test_no_method_is_forgotten():
    public = {
        name for of in (DRAW, RAM) for name in dir(of) if not name.startswith("_") and callable(getattr(of, name))
    }
    assert public - OTHERS - {"Config", "Shard"} == JOBS.keys() - {"classify"}


@shared
@pytest.mark.parametrize("name", JOBS)
def test_threads_take_turns(name, threads):
    config, job = JOBS[name]
    model = network(config, threads)
    inputs = [examples(config, seed, IMAGES + 3 * seed) for seed in range(8)]
    expected = [job(model, *some) for some in inputs]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            found = list(pool.map(lambda some: job(model, *some), inputs))
            assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


@shared
def test_gradients_are_one_thread_s(threads):
    config = DRAWS[0]
    model, inputs = network(config, threads), examples(config, 0, IMAGES)
    _, grads = model.loss_and_grads(*inputs)
    kept = {name: array.copy() for name, array in grads.items()}
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(UserError, match=r"those of another thread \(MainThread\).*copy.deepcopy"):
            pool.submit(model.loss_and_grads, *examples(config, 1, IMAGES)).result()
        assert all(np.array_equal(grads[name], kept[name]) for name in kept)
        own = copy.deepcopy(model)
        _, others = pool.submit(own.loss_and_grads, *inputs).result()
        assert all(np.array_equal(others[name], kept[name]) for name in kept)
    model.loss_and_grads(*inputs)  # still ours


def test_gradients_of_a_thread_that_has_ended_are_free():
    config = DRAWS[0]
    model, inputs = network(config, 1), examples(config)
    thread = threading.Thread(target=model.loss_and_grads, args=inputs)
    thread.start()
    thread.join()
    model.loss_and_grads(*inputs)


def in_child(work):
    """Return what `work` returns, a flat vector, in a process forked from this one."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        signal.alarm(60)  # a child that hangs fails
        try:
            os.close(reader)
            with os.fdopen(writer, "wb") as file:
                file.write(work().astype(np.float64).tobytes())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        content = file.read()
    os.waitpid(pid, 0)
    assert content, "the child has failed"
    return np.frombuffer(content)


@needs_fork
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@shared
@pytest.mark.parametrize("name", ["loss", "redraw", "log_probabilities"])
def test_after_a_fork(name, threads):
    config, job = JOBS[name]
    model, inputs = network(config, threads), [examples(config, seed, IMAGES) for seed in range(3)]
    expected = [job(model, *some) for some in inputs]  # now there are workers, if there is one for a shard
    processes = list(model._workers.processes) if model._workers else []
    for some, right in zip(inputs, expected, strict=True):
        assert np.array_equal(in_child(lambda some=some: job(model, *some)), right)
        assert np.array_equal(job(model, *some), right)
    assert (model._workers.processes if model._workers else []) == processes  # the parent's live on
    wanted = 0 if name == "redraw" else threads - 1  # drawings are made here
    assert len(processes) == wanted and all(process.poll() is None for process in processes)


@needs_fork
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_while_another_thread_computes():
    """The child has no thread that would ever free the lock."""
    config = DRAWS[0]
    model, inputs = network(config, 1), examples(config)
    expected = model.losses(*inputs)[0]
    held, free = threading.Event(), threading.Event()

    def hold():
        with model._guard:
            held.set()
            free.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    found = in_child(lambda: model.losses(*inputs)[0])
    free.set()
    thread.join()
    assert np.array_equal(found, expected)


@needs_fork
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_while_another_thread_waits_for_a_worker():
    """A lock of a pipe's buffer that is held then is held for ever in the child."""
    config = DRAWS[0]
    model, inputs = network(config, 2), examples(config, 0, IMAGES)
    expected = model.losses(*inputs)[0]

    def wait():
        with model._guard, pytest.raises(WorkerDied):
            model._workers._await(model._workers.processes[0])  # it has no order, and says nothing

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.2)
    found = in_child(lambda: model.losses(*inputs)[0])
    model._workers.processes[0].kill()
    thread.join()
    assert np.array_equal(found, expected) and np.array_equal(model.losses(*inputs)[0], expected)


def blas():
    """Return how many threads NumPy's BLAS uses."""
    with blas_threads(1):  # there is a controller now, of what was loaded when it was made
        pass
    return {library["num_threads"] for library in guard._BLAS.controller.info()}


@needs_fork
def test_the_number_of_blas_threads_is_set_back():
    """Whatever the order in which blocks of several threads begin and end, and in a forked process."""
    before = blas()
    if before == {1}:
        pytest.skip("BLAS uses one thread here, so there is nothing to set back")
    first, second = blas_threads(1), blas_threads(1)
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        one.submit(first.__enter__).result()
        other.submit(second.__enter__).result()
        assert {library["num_threads"] for library in guard._BLAS.controller.info()} == {1}
        one.submit(first.__exit__, None, None, None).result()
        other.submit(second.__exit__, None, None, None).result()
    assert blas() == before
    with blas_threads(1):
        assert set(in_child(lambda: np.array([*blas()], float))) == before
    assert blas() == before


@needs_fork
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_uses_shared_memory_of_its_own():
    config = DRAWS[0]
    model, inputs = network(config, 2), examples(config, 0, IMAGES)
    expected = model.losses(*inputs)[0]

    def change():
        model.flat_params[:] = 0.0
        return model.losses(*inputs)[0]

    assert not np.array_equal(in_child(change), expected)
    before = model._workers.params.copy()
    assert np.array_equal(before, model.flat_params)
    assert np.array_equal(model.losses(*inputs)[0], expected)
