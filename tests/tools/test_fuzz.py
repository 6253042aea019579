"""What tools.fuzz does for hours, for a moment: seeds are read, and damaged ones are read or refused in one line."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from minidraw.errors import LONGEST, UserError, one_line
from tools import ROOT
from tools.fuzz.harness import complaint

pytest.importorskip("h5py", reason="h5py is missing: pip install h5py")
from tools.fuzz import targets

REFUSED = {"checkpoint_header": 1, "setting": 29}  # seeds that are refused rightly


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    monkeypatch.setattr(targets.target, "FOLDER", tmp_path)


@pytest.mark.parametrize("name", targets.TARGETS)
def test_a_target_reads_its_seeds_and_takes_damaged_ones(name):
    target, seeds = targets.TARGETS[name]
    refused = 0
    for seed in seeds():
        try:
            target(seed)
        except UserError:
            refused += 1
    assert refused == REFUSED.get(name, 0)
    rng = np.random.default_rng(0)
    for seed in seeds()[:8]:
        for _ in range(8):
            data = bytearray(seed)
            for place in rng.integers(len(data), size=rng.integers(1, 4)):
                data[place] = rng.integers(256)
            assert complaint(target, bytes(data[: rng.integers(1, 2 * len(data))])) is None, bytes(data)


def broken(data: bytes) -> None:
    if data == b"raise":
        raise KeyError
    if data == b"empty":
        raise UserError(" ")
    if data == b"warn":
        np.float32(1e30) * np.float32(1e30)


@pytest.mark.parametrize(
    "data, said", [("raise", "KeyError at"), ("empty", "a message"), ("warn", "RuntimeWarning at")]
)
def test_the_harness_sees_what_is_wrong(data, said):
    assert complaint(broken, data.encode()).startswith(said)
    assert complaint(broken, b"fine") is None


def test_without_atheris_it_says_so_in_one_line(tmp_path):
    if importlib.util.find_spec("atheris"):
        pytest.skip("atheris is installed")
    command = [sys.executable, "-m", "tools.fuzz", "idx_file", "--out", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2 and done.stderr == "error: atheris is not installed: pip install atheris\n"
    assert not (tmp_path / "out").exists()


def test_a_message_is_one_line_that_does_no_harm():
    text = "say \n\t\x1b[31m\u2028 \udcff\0 é " + "x" * 10_000 + " and what to do"
    message = str(UserError(text))
    assert message.startswith(r"say \x1b[31m \udcff\x00 é xxx") and message.endswith("xxx and what to do")
    assert len(message) <= LONGEST and message.isprintable()
    assert one_line("x" * 200) == "x" * 200 and len(one_line("x" * 201)) <= 200


def test_a_run_stands_a_little_torture():
    command = [sys.executable, "-m", "tools.torture", "--ends=2", "--threads=2", "--steps=40"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == 0 and done.stdout.startswith("2 ends ("), done.stdout + done.stderr
