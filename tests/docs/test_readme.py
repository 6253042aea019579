"""The README's commands parse, its Python runs, its links lead somewhere."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from minidraw import __main__ as top
from minidraw.pictures.photos import read_digit
from minidraw.training import checkpoints

README = Path(__file__).parents[2] / "README.md"
TEXT = README.read_text()
PRINTED = TEXT + (README.parent / "docs" / "own-images.md").read_text()
COMMANDS = re.findall(r"^python -m minidraw\.(\w+) ([^#\n]*)", PRINTED, re.MULTILINE)


def module(name: str):
    return top.command(name)


@pytest.mark.parametrize("name, arguments", COMMANDS)
def test_the_commands_printed_are_understood(name, arguments):
    module(name).parser().parse_args(shlex.split(arguments))


def test_there_are_commands_to_check():
    assert {name for name, _ in COMMANDS} >= {"train", "generate", "reconstruct", "evaluate", "figures", "data"}


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL))
def test_the_python_printed_runs(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(code, names)
    if "frames" in names:
        assert names["frames"].shape == (8, 4, 1, 28, 28)
    else:
        assert (tmp_path / "digits.gif").stat().st_size > 10_000


def test_the_links_lead_to_files():
    links = re.findall(r"\]\((?!http)([^)]+)\)", TEXT) + re.findall(r'<img src="([^"]+)"', TEXT)
    assert any(link.endswith(".gif") for link in links)
    assert len(links) > 10
    assert [link for link in links if not (README.parent / link).exists()] == []


def test_the_first_two_blocks_of_the_quick_start_are_the_two_commands():
    section = TEXT.split("## Quick start")[1].split("\n## ")[0]
    first, second, *_ = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    assert "python -m minidraw.train\n" in first and "pip install" in first
    assert "python -m pytest" in second and "pip install" in second


def test_it_names_every_command_and_no_other():
    modules = {
        path.parent.name if path.stem == "__main__" else path.stem
        for path in (README.parent / "minidraw").rglob("*.py")
        if "\ndef parser()" in path.read_text()
    }
    assert modules == {name for name, _ in COMMANDS} == {*top.COMMANDS, *top.FOLDERS}


def test_what_it_is_stands_before_the_first_picture():
    assert TEXT.index("draws images stroke by stroke") < TEXT.index("<img") < TEXT.index("## Quick start")
    assert TEXT.count("\n") <= 190


def test_the_photograph_is_there_found_and_drawn_again():
    """By the command as it is printed, as far as it goes without writing a GIF."""
    (name, path), *others = re.findall(r"minidraw\.reconstruct (\S+) (\S+\.png)", TEXT)
    image, done = read_digit(str(README.parent / path))
    assert others == [] and done.startswith("a dark figure found")
    assert (README.parent / path).stat().st_size < 60_000
    frames = checkpoints.load(name).network(threads=1).reconstruct(image[None])
    error = np.abs(frames[:, 0] - image).mean(axis=(1, 2, 3))
    assert error[-1] < 0.03 < 0.09 < error[0]  # ink of its own is 0.1
