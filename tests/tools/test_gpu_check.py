"""tools.gpu_check: without a GPU it says so; with one, here the stand-in, its parts notice mistakes."""

import contextlib
import io
import json
import subprocess
import sys
import types

import numpy as np
import pytest
from support.runs import COMMANDS, environment, experiment

from minidraw import RAMConfig
from minidraw.cuda import Device, fused
from minidraw.presets import PRESETS, Experiment, preset
from tools import ROOT
from tools.gpu_check import __main__ as command_line
from tools.gpu_check import machine, numbers, speed, training

pytestmark = pytest.mark.usefixtures("small_strokes")


@pytest.fixture
def check(monkeypatch):
    """The tool, its networks made small."""
    sizes = {"image_shape": (1, 6, 7), "enc_size": 8, "dec_size": 9, "latent_size": 5, "glimpses": 2, "batch_size": 4}
    tiny = preset("strokes").replace(**sizes)
    classifier = Experiment(RAMConfig((1, 6, 7), 2, 4, 8), tiny.train)
    monkeypatch.setattr(training, "EXPERIMENTS", {"attention": tiny, "classifier": classifier})
    monkeypatch.setattr(training, "STEPS", 4)
    monkeypatch.setattr(training, "synthetic", lambda shape, usual=training.synthetic: usual(shape, 20))
    monkeypatch.setattr(speed, "preset", lambda name: tiny)
    monkeypatch.setattr(numbers, "PAPER", {})
    for name in ("grey, attention", "grey, none", "colour, none", "read only"):
        monkeypatch.delitem(numbers.SMALL, name)
    return command_line


def outcome(check, part: str, *arguments: str):
    return check.PARTS[part].run(check.parser().parse_args(arguments))


def test_without_a_gpu(tmp_path):
    command = [sys.executable, "-m", "tools.gpu_check", "--only", "versions,products,speed", "--out", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment())
    if not done.stderr.startswith("GPU: none"):
        pytest.skip("there is a GPU here")
    assert done.returncode == 0 and "nothing verified on a GPU" in done.stdout
    report = json.loads((tmp_path / "gpu_check.json").read_text())
    assert report["gpu"] is None and report["parts"]["products"]["skipped"] == "no GPU"
    assert report["parts"]["versions"]["tables"] and set(report["parts"]) >= {"speed mnist", "speed svhn"}
    assert "**Nothing verified on a GPU**" in (tmp_path / "gpu_check.md").read_text()


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("part", ["products", "parity", "noise", "replay"])
def test_a_part_that_is_right(check, part):
    result = outcome(check, part)
    assert result.verdict == "right" and result.tables and not result.notes
    for row in result.tables[0][1:]:
        assert all(np.isfinite(value) for value in row if isinstance(value, float))


def test_the_tests_that_it_runs_are_there():
    assert [path for path in machine.TESTS if not (ROOT / path).exists()] == []


def test_compiling(check):
    result = outcome(check, "compile")
    if result.skipped:
        pytest.skip(result.skipped)
    assert result.verdict == "right" and len(result.tables[0]) > 15


@pytest.mark.usefixtures("gpu")
def test_speed(check):
    result = outcome(check, "speed", "--presets", "strokes", "--batch-size", "2", "--seconds", "0", "--rivals", "")
    assert result.verdict == "right" and len(result.tables[0]) == 9
    assert all(row[3] > 0 for row in result.tables[0][1:])


@pytest.mark.usefixtures("gpu", "small_strokes")
def test_training(check, monkeypatch):
    def command(name, *words):
        with contextlib.redirect_stdout(io.StringIO()) as said:
            assert not COMMANDS[name](list(words))
        return said.getvalue()

    monkeypatch.setattr(training, "command", command)
    monkeypatch.setitem(PRESETS, "strokes", experiment())
    result = outcome(check, "train", "--minutes", "0.01")
    assert set(result.mistakes) <= {"the loss has not fallen"}, "in less than a second it need not"
    assert [note.split()[0] for note in result.notes] == ["validation", "validation", "on"]


@pytest.mark.usefixtures("gpu")
def test_a_wrong_kernel_is_noticed(check, monkeypatch):
    right = fused.lstm_backward

    def wrong(trace, t, W, dhidden, xp):
        result = right(trace, t, W, dhidden, xp)
        result *= -1.0
        return result

    monkeypatch.setitem(fused.FUSED, "lstm.lstm_backward", wrong)
    assert "colour, attention in float32" in outcome(check, "parity").verdict
    assert "differ by" in outcome(check, "replay").verdict


@pytest.mark.usefixtures("gpu")
def test_what_a_part_raises_is_a_mistake(check, monkeypatch):
    monkeypatch.setattr(Device, "matmul", lambda *_: 1 / 0)
    assert outcome(check, "products").verdict == "WRONG: ZeroDivisionError: division by zero"


def test_one_wrong_part_hides_no_other_and_the_status_tells(check, tmp_path, monkeypatch, capsys):
    outcomes = iter(["exit", "hang", "right"])

    def process(command, **options):
        kind = next(outcomes)
        if kind == "hang":
            raise subprocess.TimeoutExpired(command, options["timeout"])
        answer = check.ANSWER + json.dumps(check.Outcome("a title", notes=["a note"]).asdict())
        return types.SimpleNamespace(stdout=answer if kind == "right" else "Segmentation fault", returncode=-11)

    monkeypatch.setattr(check, "device", lambda: "a card")
    monkeypatch.setattr(subprocess, "run", process)
    arguments = ["--only", "parity,noise,replay", "--limit", "7", "--out", str(tmp_path)]
    assert check.main(arguments) == 1
    said = capsys.readouterr().out
    assert "parity: WRONG: it ended with status -11: Segmentation fault" in said
    assert "noise: WRONG: not done after 7" in said and "replay: right" in said
    assert "a note" in (tmp_path / "gpu_check.md").read_text()
