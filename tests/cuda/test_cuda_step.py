"""Training steps that stay on the GPU, on the stand-in: launched or played back, they come to what NumPy does.

The stand-in does what it is asked for only when somebody waits, and a graph does again what was asked for while it was
captured: numbers of that time that should have changed, memory that has moved and buffers filled too early show.
"""

import json
import math

import numpy as np
import pytest
from support import strictcuda
from support.gradcheck import assert_close
from support.runs import assert_same_run, experiment, metrics, options, run
from support.strictcuda import Stream

from minidraw import RAMConfig, data
from minidraw.cuda.step import TrainingStep
from minidraw.presets import Experiment
from minidraw.streams import Purpose, seeds
from minidraw.training import checkpoints, trainer
from minidraw.training.step import Diverged
from minidraw.training.tasks import DrawingTask
from minidraw.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("gpu", "small_strokes")
TINY = {
    "draw": experiment(steps=12, clip=2.0),  # which some gradients exceed
    "no attention": experiment(steps=12, read_size=None, write_size=None),
    "growing": experiment(steps=12, glimpse_warmup=0.5, glimpse_start=0.7, window_clip=0.5),
    "ram": Experiment(RAMConfig((1, 28, 28), 3, 4, 7, window_clip=0.02), experiment(steps=12).train),
}
networks = pytest.mark.parametrize("network", TINY)


def philox(counter: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    """Return Philox4x32-10 of counters (n, 4), (n, 4), as Salmon et al. 2011 define it."""
    c, k, low = counter.astype(np.uint64), np.array(key, np.uint64), np.uint64(0xFFFFFFFF)
    for _ in range(10):
        even, odd = c[:, 0] * np.uint64(0xD2511F53), c[:, 2] * np.uint64(0xCD9E8D57)
        high = (odd >> np.uint64(32)) ^ c[:, 1] ^ k[0], (even >> np.uint64(32)) ^ c[:, 3] ^ k[1]
        c = np.stack([high[0], odd & low, high[1], even & low], axis=1)
        k = (k + np.array([0x9E3779B9, 0xBB67AE85], np.uint64)) & low
    return c.astype(np.uint32)


def normals(n: int, key: int, step: int) -> np.ndarray:
    """Return the standard normal numbers of a key and a step, (n,), float64."""
    k = np.arange(-(-n // 4))
    words = philox(np.stack([k, 0 * k, 0 * k + step % (1 << 32), 0 * k + (step >> 32)], 1), divmod(key, 1 << 32)[::-1])
    u = (words + 0.5) / 2.0**32
    radius, angle = np.sqrt(-2 * np.log(u[:, ::2])), 2 * np.pi * u[:, 1::2]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=2).reshape(-1)[:n]


def made(network: str, folder, backend: str = "cupy", **changes) -> Trainer:
    of = TINY[network].replace(**changes)
    return Trainer(of, of.build(backend, threads=1), data.load("strokes", seed=0), folder)


# Noise


def test_philox_gives_the_known_answers():
    full, pi = 0xFFFFFFFF, (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0)
    cases = [
        ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ((full,) * 4, (full,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (pi[:4], pi[4:], "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ]
    for counter, key, words in cases:
        assert " ".join(f"{word:08x}" for word in philox(np.array([counter]), key)[0]) == words


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("seed, step", [(0, 0), (1 << 40 | 3, 7), (5, 1 << 33)])
def test_normals(dtype, seed, step):
    kernels = trainer.Device(strictcuda.xp, "float32").kernels
    n, out = 1003, strictcuda.xp.empty(1005, dtype)
    counts = strictcuda.xp.asarray(np.array([step, 0, 0, 0, 0]))
    kernels.elements("normals", -(-n // 4), out[:n], counts, np.uint64(seed), np.int64(n))
    got = out.get()
    assert_close(got[:n], normals(n, seed, step), 3e-6 if dtype == "float32" else 1e-12)
    assert np.isnan(got[n:]).all() and abs(got[:n].mean()) < 0.1 and abs(got[:n].std() - 1) < 0.1


# The verdict on a gradient


@pytest.mark.parametrize("order", strictcuda.ORDERS)
def test_decide(monkeypatch, order):
    monkeypatch.setattr(strictcuda.Kernel, "order", order)
    xp, rng = strictcuda.xp, np.random.default_rng(0)
    kernels = trainer.Device(xp, "float32").kernels
    squares, row = rng.random(200), rng.standard_normal(70).astype(np.float32)
    counts, sums, verdict = xp.asarray(np.array([9, 4, 5, 2, 1])), xp.zeros(71), xp.zeros(5, np.float32)
    given = xp.asarray(row), 70, xp.asarray(squares), 200, xp.asarray(np.array([0.01], np.float32))
    settings = [np.float64(x) for x in (0.9, 0.99, 1e-8, 0.999, 3.0)]  # beta1, beta2, epsilon, averaging, clip
    kernels.blocks("decide", 1, *given, counts, sums, verdict, *settings, shared=kernels.warps() * 8)
    norm, n = math.sqrt(squares.sum()), 5
    correction = math.sqrt(1 - 0.99**n)
    expected = [1, 3.0 / norm, 0.01 * correction / (1 - 0.9**n), 1e-8 * correction, 1 - n / (n + 10)]
    assert_close(verdict.get(), expected, 1e-6)
    assert_close(sums.get(), [norm, *row], 1e-6)
    assert counts.get().tolist() == [10, 5, 5, 0, 2]
    for at, wrong in ((0, np.inf), (1, np.nan)):
        spoilt = [one.copy() for one in (squares, row)]
        spoilt[at][60] = wrong
        given = xp.asarray(spoilt[1]), 70, xp.asarray(spoilt[0]), 200, given[4]
        kernels.blocks("decide", 1, *given, counts, sums, verdict, *settings, shared=kernels.warps() * 8)
        assert verdict.get()[0] == 0 and counts.get().tolist() == [11 + at, 5, 6 + at, 1 + at, 2]
    assert_close(sums.get(), [norm, *row], 1e-6)


# Steps


@pytest.mark.parametrize(
    "network, order", list(zip(TINY, ("backward", "forward", "scrambled", "scrambled"), strict=True))
)
def test_a_run_comes_to_what_numpy_comes_to(tmp_path, monkeypatch, network, order):
    """With the noise of the kernel on the host; validation, with more images at once, comes between."""
    monkeypatch.setattr(strictcuda.Kernel, "order", order)
    recorded, key = {}, int(seeds(0, Purpose.NOISE).generate_state(1, np.uint64)[0])

    def record(self, usual=TrainingStep.record):
        usual(self)
        recorded[self.model.config.glimpses] = self.graph

    monkeypatch.setattr(TrainingStep, "record", record)

    def inputs(self, chosen, images, noise, usual=DrawingTask.inputs):
        x, drawn = usual(self, chosen, images, noise)
        return x, normals(drawn.size, key, host.state.step).reshape(drawn.shape).astype(np.float32)

    monkeypatch.setattr(DrawingTask, "inputs", inputs)
    host, device = made(network, tmp_path / "host", "numpy"), made(network, tmp_path / "device")
    assert host.run() and device.run()
    assert list(recorded) == ([2, 3] if network == "growing" else [3]), "a graph for every number of glimpses"
    assert sum(graph.launches for graph in recorded.values()) == 12 - len(recorded), "all steps but each one's first"
    for got, expected in zip(device.vectors(), host.vectors(), strict=True):
        assert_close(got, expected, 1e-3)  # Adam divides by square roots of small numbers
    for name in ("step", "skipped", "skipped_in_a_row"):
        assert getattr(device.state, name) == getattr(host.state, name)
    assert device.adam.updates == host.adam.updates == 12
    for one, other in zip(*(metrics(tmp_path / name) for name in ("host", "device")), strict=True):
        assert one.keys() == other.keys()
        for name in one:
            assert other[name] == pytest.approx(one[name], rel=1e-3, abs=3e-5), name


def eager_and_played(network: str, folder, between=lambda played: None) -> tuple[Trainer, Trainer]:
    """Take nine steps twice, launched one by one and played back; `between` is done to the latter after four."""
    eager, played = made(network, folder), made(network, folder)
    settings = eager.config.batch_size, eager.config.clip, eager.config.seed
    eager.stepper.gpu = TrainingStep(eager.task, eager.adam, *settings, capture=False)
    for of in (eager, played):
        for step in range(9):
            of.update()
            if step == 4:
                of.validate()  # by more images at a time than a step has
                if of is played:
                    between(played)
        of.stepper.collect()
    return eager, played


def same(one: Trainer, other: Trainer) -> bool:
    return all(np.array_equal(*pair) for pair in zip(one.vectors(), other.vectors(), strict=True))


@networks
def test_steps_played_back_are_steps_launched_one_by_one(tmp_path, network):
    eager, played = eager_and_played(network, tmp_path)
    assert eager.stepper.gpu.graph is None and played.stepper.gpu.graph.launches == 8
    assert eager.state.rows == played.state.rows == 9 and eager.state.sums[1:] == played.state.sums[1:]
    assert same(eager, played) and all(np.isfinite(vector).all() for vector in played.vectors())


def no_new_rate(played: Trainer) -> None:
    played.stepper.gpu.kernels = type("Silent", (), {"blocks": lambda *_: None})()


def moved(played: Trainer) -> None:
    played.adam.mean = played.adam.mean.copy()


def one_buffer(played: Trainer) -> None:
    played.stepper.gpu.feed.copied[0].synchronize = played.stepper.gpu.feed.copied[1].synchronize = lambda: None


@pytest.mark.parametrize("mistake", [no_new_rate, moved, one_buffer])
def test_these_tests_notice(tmp_path, mistake):
    """A learning rate of long ago, memory that has moved, a buffer filled before it is read."""
    assert not same(*eager_and_played("ram", tmp_path, mistake))


@networks
@pytest.mark.parametrize("bad", [[0], [4, 5]], ids=["launched", "played back"])
def test_a_gradient_that_is_not_finite_is_no_update(tmp_path, monkeypatch, network, bad):
    of = made(network, tmp_path)
    usual = of.task.examples

    def examples(chosen, rng):
        given = usual(chosen, rng)
        if of.state.step in bad:
            given[0][0, 300] = np.nan
        return given

    monkeypatch.setattr(of.task, "examples", examples)
    for step in range(7):
        before = of.vectors()
        of.update()
        of.stepper.collect()
        kept = [np.array_equal(a, b) for a, b in zip(before, of.vectors(), strict=True)]
        assert all(kept) if step in bad else not any(kept)
        assert of.state.skipped_in_a_row == (bad.index(step) + 1 if step in bad else 0)
    assert of.state.skipped == len(bad) and of.adam.updates == of.state.rows == 7 - len(bad)
    assert all(map(math.isfinite, of.state.sums))


def test_a_run_without_finite_gradients_ends(tmp_path, monkeypatch):
    monkeypatch.setattr("minidraw.training.step.HOPELESS", 6)
    monkeypatch.setattr("minidraw.training.step.UNSEEN", 6)
    of = made("ram", tmp_path, steps=40)
    of.model.params["h0"][:] = np.inf
    with pytest.raises(Diverged, match="no finite loss and gradient for 6 updates in a row"):
        of.run()
    assert of.state.step < 15


@networks
def test_a_run_stopped_and_resumed(tmp_path, monkeypatch, network):
    assert made(network, tmp_path / "whole").run()
    first = made(network, tmp_path / "parts")
    usual = trainer.Interruptible.__enter__

    def enter(self):
        entered = usual(self)
        update = first.update

        def until():
            update()
            entered.signals = first.state.step >= 5

        monkeypatch.setattr(first, "update", until)
        return entered

    monkeypatch.setattr(trainer.Interruptible, "__enter__", enter)
    assert not first.run() and first.state.step == 5
    monkeypatch.setattr(trainer.Interruptible, "__enter__", usual)
    second = made(network, tmp_path / "parts")
    second.restore(checkpoints.load(tmp_path / "parts"))
    assert second.run() and second.stepper.gpu.graph.launches == (6 if network != "growing" else 5)
    assert_same_run(tmp_path / "parts", tmp_path / "whole")


@pytest.mark.parametrize("due", ["log_every", "checkpoint_every", "validate_every", "pictures", "prospect"])
def test_a_run_that_the_clock_ends_while_it_waits_for_the_device_ends_as_others_do(tmp_path, monkeypatch, due):
    pace = {"log_every": 1000, "checkpoint_every": 1000, "validate_every": 1000}
    of = made("ram", tmp_path, minutes=0.1, **pace | {due: 2 for due in pace.keys() & {due}})
    if due in ("pictures", "prospect"):
        monkeypatch.setattr(trainer, {"pictures": "FIRST_PICTURES", "prospect": "TIMED"}[due], 0.0)
    usual = of.stepper.gpu.fetch
    monkeypatch.setattr(
        of.stepper.gpu, "fetch", lambda: setattr(of.state, "seconds", of.state.seconds + 60.0) or usual()
    )
    assert of.run() and of.validation and of.state.step == (1 if due == "pictures" else 2)
    assert checkpoints.load(tmp_path).state["step"] == of.state.step


def test_a_run_that_the_clock_ends_while_it_grows_ends_with_all_glimpses(tmp_path, monkeypatch):
    of = made("draw", tmp_path, minutes=0.1, glimpse_warmup=1.0, glimpse_start=0.4, log_every=2)
    usual = of.stepper.gpu.fetch
    monkeypatch.setattr(
        of.stepper.gpu, "fetch", lambda: setattr(of.state, "seconds", of.state.seconds + 60.0) or usual()
    )
    assert of.run() and of.validation.endswith("latent 0.00)") and of.state.step == 2
    assert metrics(tmp_path)[-1]["glimpses"] == checkpoints.load(tmp_path).glimpses() == 3


def test_the_command_lines(tmp_path, gpu, capsys):
    out, machine = tmp_path / "run", ["--backend=cupy", "--precision=tf32"]
    assert run("train", *machine, *options(5, out)) == 0
    assert {call[-1] for call in gpu.calls} == {77}, "TF32 in every product"
    assert run("train", *machine, "--resume", "--out", out, "--steps=8") == 0
    assert checkpoints.load(out).state["updates"] == 8
    assert run("evaluate", out, "--backend=cupy", "--json") == 0 == run("evaluate", out, "--json")
    device, host = (json.loads(line) for line in capsys.readouterr().out.splitlines()[-2:])
    assert device["bound"] == pytest.approx(host["bound"], rel=1e-5)
    assert run("generate", out, "--backend=cupy", "-n", 3, "--out", tmp_path / "drawn.gif") == 0
    assert run("train", "--precision=tf32", *options(5, tmp_path / "other")) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: --precision tf32 is for GPUs")


def refused(of: Trainer, patch) -> str:
    patch.setattr(Stream, "refuses", RuntimeError("operation not permitted when stream is capturing"))
    return "no CUDA graph (operation not permitted"


def waits(of: Trainer, patch) -> str:
    usual = of.task.device_row
    patch.setattr(of.task, "device_row", lambda outputs, *more: float(outputs[0].sum()) and usual(outputs, *more))
    return "no CUDA graph (__float__(): not while a graph is captured"


@pytest.mark.parametrize("reason", [refused, waits])
def test_without_graphs_it_goes_on(tmp_path, monkeypatch, capsys, reason):
    of, usual = made("draw", tmp_path), made("draw", tmp_path)
    with monkeypatch.context() as patch:
        said = reason(of, patch)
        for _ in range(4):
            of.update()
        of.stepper.collect()
    assert capsys.readouterr().err.startswith(said)
    for _ in range(4):
        usual.update()
    assert of.stepper.gpu.graph is None and usual.stepper.gpu.graph is not None
    assert same(of, usual)


def test_waiting_for_the_device_is_not_drawing(tmp_path, monkeypatch):
    of, seen = made("draw", tmp_path), []
    monkeypatch.setattr(of.record, "pictures", lambda *_, **__: seen.append(of.state.rows))
    for _ in range(2):
        of.update()
    of.draw()
    assert seen == [2]


def test_the_host_learns_nothing_between_lines_of_the_log(tmp_path):
    of = made("draw", tmp_path)
    for _ in range(2):
        of.update()
    with strictcuda.strictxp.forbid():
        for _ in range(4):
            of.update()
    assert of.state.rows == 0 and of.state.skipped == 0
    of.stepper.collect()
    assert of.state.rows == 6
