"""python -m minidraw COMMAND: any of the commands by its name; without one, what there is.

`python -m minidraw train` and `minidraw train` do what `python -m minidraw.train` does.
"""

import importlib
import textwrap
import types

from . import __version__, data
from .cli import called, run
from .errors import UserError, unknown
from .presets import PRESETS, Experiment
from .training import checkpoints

COMMANDS = ("train", "generate", "reconstruct", "interpolate", "evaluate", "figures", "report", "compare")
FOLDERS = ("data", "play")  # commands too, each the __main__ of a folder
WIDTH = 100  # characters of a line


def main(arguments: list[str]) -> int | None:
    """Run the command that the arguments begin with, with the rest of them; without one, show what there is."""
    first, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if first in ("-h", "--help"):
        print(*overview(), sep="\n")
    elif first == "--version":
        print(f"minidraw {__version__}")
    elif first.startswith("-"):
        raise UserError(f"a command comes first, then its options, not {first}; see {called().rstrip(' .')} --help")
    elif first not in (*COMMANDS, *FOLDERS):
        raise unknown("command", first, (*COMMANDS, *FOLDERS))
    else:
        return command(first).main(rest)
    return None


def command(name: str) -> types.ModuleType:
    """Return the module of a command, which has `parser` and `main`; importing them all would take a while."""
    return importlib.import_module(f".{name}" if name in COMMANDS else f".{name}.__main__", __package__)


def overview() -> list[str]:
    """Return lines that tell what there is: commands, networks that come with the package, data sets, presets."""
    lines = [f"minidraw {__version__}: DRAW (Gregor et al. 2015), the network that draws images stroke by stroke", ""]
    lines += [f"{called()}COMMAND, with --help for all of its options:"]
    for name in (*COMMANDS, *FOLDERS):
        description = command(name).parser().description or ""
        lines += textwrap.wrap(description, WIDTH, initial_indent=f"  {name:13}", subsequent_indent=" " * 15)
    lines += ["", "Networks that come with the package, wherever a CHECKPOINT is asked for:"]
    lines += [f"  {name:20}{described(checkpoints.load(name).experiment)}" for name in checkpoints.pretrained()]
    lines += ["", "Data sets, for --data and the command data (strokes needs no files; PATH is of your own images):"]
    lines += textwrap.wrap(", ".join(data.names()), WIDTH, initial_indent="  ", subsequent_indent="  ")
    lines += ["", "Presets of train:"]
    lines += [f"  {name:20}{described(experiment)}" for name, experiment in PRESETS.items()]
    lines += ["", f"To begin: {called()}generate mnist-small (seconds), {called()}train (minutes)"]
    return lines


def described(experiment: Experiment) -> str:
    """Return an experiment in a few words."""
    model = experiment.model
    task = "classifies" if experiment.network == "ram" else "draws"
    size = "×".join(map(str, model.image_shape[1:]))
    attention = "" if model.read_size else ", without attention"
    return f"{task} {experiment.train.data}, {size} pixels in {model.glimpses} glimpses{attention}"


def script() -> None:
    """Be the program `minidraw`, which pip makes."""
    run(main)


if __name__ == "__main__":
    script()
