"""The README's commands parse, its Python runs, its links lead somewhere."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"
TEXT = README.read_text()
PRINTED = TEXT + (README.parent / "docs" / "own-images.md").read_text()
COMMANDS = re.findall(r"^python -m minidraw\.(\w+) ([^#\n]*)", PRINTED, re.MULTILINE)


def module(name: str):
    return importlib.import_module("minidraw.data.__main__" if name == "data" else f"minidraw.{name}")


@pytest.mark.parametrize("name, arguments", COMMANDS)
def test_the_commands_printed_are_understood(name, arguments):
    module(name).parser().parse_args(shlex.split(arguments))


def test_there_are_commands_to_check():
    assert {name for name, _ in COMMANDS} >= {"train", "generate", "reconstruct", "evaluate", "figures", "data"}


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL))
def test_the_python_printed_runs(code):
    names = {}
    exec(code, names)
    assert names["frames"].shape == (8, 4, 1, 28, 28)


def test_the_links_lead_to_files():
    links = re.findall(r"\]\((?!http)([^)]+)\)", TEXT)
    assert len(links) > 10
    assert [link for link in links if not (README.parent / link).exists()] == []


def test_two_blocks_of_the_quick_start_are_the_two_commands():
    section = TEXT.split("## Quick start")[1].split("\n## ")[0]
    first, second = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    assert "python -m minidraw.train\n" in first and "pip install" in first
    assert "python -m pytest" in second and "pip install" in second


def test_the_package_lists_its_commands(capsys):
    importlib.import_module("minidraw.__main__").main([])
    lines = capsys.readouterr().out.splitlines()
    modules = {"data"} | {
        path.stem for path in (README.parent / "minidraw").glob("*.py") if "\ndef parser()" in path.read_text()
    }
    assert {line.split()[2].removeprefix("minidraw.") for line in lines[:-1]} == modules
    assert modules >= {name for name, _ in COMMANDS}
