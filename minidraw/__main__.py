"""python -m minidraw: the commands there are."""

import importlib

from .cli import run

COMMANDS = ("train", "generate", "reconstruct", "interpolate", "evaluate", "figures", "report", "compare")


def main(arguments: list[str]) -> None:
    """Print the commands, a line each, whatever the arguments."""
    for name in (*COMMANDS, "data"):
        module = f"minidraw.{name}" if name in COMMANDS else f"minidraw.{name}.__main__"  # a folder with a command
        description = importlib.import_module(module).parser().description
        print(f"python -m minidraw.{name:11} {description}")
    print("Each has --help. The first with no arguments trains a small network in minutes and needs nothing.")


if __name__ == "__main__":
    run(main)
