"""python -m minidraw: every command by one name, what there is, the version, and what it says to a wrong one."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.runs import COMMANDS, MODULES, assert_same_run, environment, options, run

import minidraw
from minidraw import __main__ as top
from minidraw import cli, data, presets
from minidraw.cli import called
from minidraw.training import checkpoints

pytestmark = pytest.mark.usefixtures("small_strokes")
CALLS = {  # what the process was started as, and how it is called
    "/venv/bin/minidraw": "minidraw ",
    "/clone/minidraw/__main__.py": "python -m minidraw ",
    "/clone/minidraw/train.py": "python -m minidraw.",
    "/clone/minidraw/data/__main__.py": "python -m minidraw.",
    "/venv/bin/pytest": "python -m minidraw.",
    "": "python -m minidraw.",
}


def run_main(*arguments) -> int:
    """Run `python -m minidraw` in this process and return its exit status."""
    with pytest.raises(SystemExit) as ended:
        cli.run(top.main, [str(argument) for argument in arguments])
    return ended.value.code or 0


def test_it_trains_as_the_command_itself_does(here):
    assert run_main("train", *options(6, Path("one"))) == run("train", *options(6, Path("two"))) == 0
    assert_same_run(here / "one", here / "two")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_gets_its_arguments_and_gives_its_status(name, monkeypatch):
    given = []

    def main(arguments):
        given.extend(arguments)
        return 7

    monkeypatch.setattr(MODULES[name], "main", main)
    assert run_main(name, "a", "--help", "") == 7 and given == ["a", "--help", ""]


def test_it_shows_what_there_is(capsys):
    assert run_main() == 0
    out, err = capsys.readouterr()
    assert err == "" and run_main("--help") == run_main("-h") == 0
    assert capsys.readouterr().out == 2 * out
    lines = out.splitlines()
    assert len(lines) <= 45 and max(map(len, lines)) <= 100
    first = [line.split()[0] for line in lines if line.startswith("  ") and line[2] != " "]
    assert first[: len(COMMANDS)] == [*top.COMMANDS, *top.FOLDERS] and set(COMMANDS) == {*first[: len(COMMANDS)]}
    assert first[-len(presets.PRESETS) :] == list(presets.PRESETS)
    assert {*checkpoints.pretrained()} < {*first[len(COMMANDS) : -len(presets.PRESETS)]}
    words = out.replace(",", " ").split()
    assert set(data.names()) <= set(words)
    for module in MODULES.values():
        assert " ".join(module.parser().description.split()) in " ".join(out.split())


def test_what_is_said_of_an_experiment():
    small = presets.preset("mnist-small").replace(glimpses=3, image_shape=(1, 20, 30))
    assert top.described(small) == "draws binarized_mnist, 20×30 pixels in 3 glimpses"
    assert top.described(small.replace(read_size=None)).endswith("3 glimpses, without attention")
    assert top.described(presets.preset("cluttered")).startswith("classifies cluttered, 100×100")


def test_the_version(capsys):
    assert run_main("--version") == 0
    assert capsys.readouterr().out == f"minidraw {minidraw.__version__}\n"


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        (["tarin", "--steps=5"], "unknown command 'tarin'; did you mean 'train'?"),
        (["minidraw.train"], "unknown command 'minidraw.train'"),
        (["xyz"], "unknown command 'xyz'. There are: compare, data"),
        ([""], "unknown command ''"),
        (["--steps", "5"], "a command comes first, then its options, not --steps; see"),
        (["data"], "see python -m minidraw.data --help"),
        (["generate", "mnist-smal"], "there is no checkpoint mnist-smal"),
    ],
)
def test_a_mistake_is_one_line(arguments, complaint, here, capsys):
    assert run_main(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1 and complaint in err


@pytest.mark.parametrize("started, expected", CALLS.items())
def test_usage_says_how_it_was_called(started, expected, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [started])
    assert called() == expected
    for name, module in MODULES.items():
        assert module.parser().format_usage().split("[")[0].startswith(f"usage: {expected}{name}")
    if expected.endswith(" "):
        assert run_main() == 0
        assert f"\n{expected}COMMAND" in capsys.readouterr().out
    assert run_main("--nothing") == 2
    assert capsys.readouterr().err.endswith(f"; see {expected[:-1]} --help\n")


@pytest.mark.parametrize(
    "arguments, beginning", [(["--version"], "minidraw "), (["data", "--help"], "usage: python -m minidraw data [-h]")]
)
def test_it_runs_as_a_module(arguments, beginning):
    pipes = {"capture_output": True, "text": True, "timeout": 60, "env": environment()}
    done = subprocess.run([sys.executable, "-m", "minidraw", *arguments], **pipes)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith(beginning)


def test_the_script_reads_the_process_arguments(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["minidraw", "--version"])
    with pytest.raises(SystemExit) as end:
        top.script()
    assert not end.value.code and capsys.readouterr().out == f"minidraw {minidraw.__version__}\n"
