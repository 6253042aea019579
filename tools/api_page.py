"""python -m tools.api_page [OUT]: write docs/api.md, the public names and what their docstrings say of them.

Signatures and fields are the source's own lines, so that the page is the same whichever Python makes it.
"""

import ast
import dataclasses
import inspect
import textwrap
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import minidraw
import minidraw.data
from minidraw.cli import run
from minidraw.errors import UserError
from minidraw.files import write_atomic
from minidraw.model.network import Network
from minidraw.model.windows import Windows
from minidraw.pictures import saving

from . import ROOT

PAGE = ROOT / "docs" / "api.md"
WIDTH = 100  # of a signature's lines, about
SECTIONS: dict[str, dict[str, Any]] = {
    "A network, to have and to train": {"load": minidraw.load, "fit": minidraw.fit},
    "What it can do": {"DRAW and RAM": Network, "DRAW": minidraw.DRAW, "RAM": minidraw.RAM},
    "Its sizes": {"DRAWConfig": minidraw.DRAWConfig, "RAMConfig": minidraw.RAMConfig},
    "What it returns": {"Loss": minidraw.Loss, "RAMLoss": minidraw.RAMLoss, "Drawing": minidraw.Drawing}
    | {"Windows": Windows, "Drawing.save": saving.save},
    "Data": {"from_arrays": minidraw.from_arrays, "Dataset": minidraw.Dataset}
    | {"data.load": minidraw.data.load, "data.names": minidraw.data.names},
    "Mistakes": {"UserError": minidraw.UserError},
}
FIRST = """# The Python interface

Made by `python -m tools.api_page` from the docstrings; a test tells when it is stale. What one does with it:
[how do I ...](how-do-i.md). Letters: T glimpses, B or n images, (C, H, W) an image, Z latent variables. Images are in
[0, 1], losses in nats per image. The commands have `--help`.
"""


def page() -> str:
    """Return the page."""
    parts = [FIRST]
    for title, entries in SECTIONS.items():
        parts.append(f"## {title}\n")
        for name, thing in entries.items():
            parts += [f"### {name}\n", *(class_(name, thing) if inspect.isclass(thing) else function(name, thing))]
    return "\n".join(parts)


def function(name: str, thing: Any) -> Iterator[str]:
    """Yield how a function or method is called, and what it does."""
    yield f"```python\n{signature(name, thing)}\n```\n"
    yield f"{inspect.getdoc(thing)}\n"


def class_(name: str, thing: type) -> Iterator[str]:
    """Yield the docstring of a class, its fields or how it is made, and its own public methods."""
    yield f"{inspect.getdoc(thing)}\n"
    if dataclasses.is_dataclass(thing) or issubclass(thing, tuple):
        yield f"```python\n{fields_of(thing)}\n```\n"
    elif thing is Network:
        yield f"```python\n{signature('DRAW', thing.__init__)}\n```\n"
    for method, value in vars(thing).items():
        if method.startswith("_") or (thing is Network and method not in ("save", "load", "unroll")):
            continue
        if isinstance(value, property):
            yield f"```python\n{name}.{method}\n```\n\n{inspect.getdoc(value)}\n"
        elif isinstance(value, classmethod | types.FunctionType) and inspect.getdoc(value):
            yield from function(f"{'Network' if thing is Network else name}.{method}", getattr(thing, method))


def signature(name: str, thing: Any) -> str:
    """Return how a function is called, as it stands in the source, in lines of whole arguments."""
    node = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(thing)))).body[0]
    assert isinstance(node, ast.FunctionDef)
    if node.args.args and node.args.args[0].arg in ("self", "cls"):
        del node.args.args[0]
    made = node.name == "__init__"
    opening, closing = f"{name}(", ")" if made or not node.returns else f") -> {ast.unparse(node.returns)}"
    lines = [opening]
    for argument in split(ast.unparse(node.args)):
        if len(lines[-1]) + len(argument) > WIDTH:
            lines.append("    ")
        lines[-1] += argument
    return "\n".join(line.rstrip() for line in lines) + closing


def split(arguments: str) -> list[str]:
    """Cut arguments after the commas between them.

    >>> split("a: tuple[int, int], b=1")
    ['a: tuple[int, int], ', 'b=1']
    """
    found, depth = [""], 0
    for character in arguments:
        depth += (character in "([{") - (character in ")]}")
        found[-1] += character
        if character == " " and depth == 0 and found[-1].endswith(", "):
            found.append("")
    return found


def fields_of(thing: type) -> str:
    """Return the fields of a dataclass or a named tuple, the lines of the source with what they say."""
    node = ast.parse(source := textwrap.dedent(inspect.getsource(thing))).body[0]
    assert isinstance(node, ast.ClassDef)
    lines = source.splitlines()
    return textwrap.dedent("\n".join(lines[f.lineno - 1] for f in node.body if isinstance(f, ast.AnnAssign)))


def main(arguments: list[str]) -> int:
    """Write the page."""
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        raise UserError("usage: python -m tools.api_page [OUT]")
    path = Path(arguments[0]) if arguments else PAGE
    write_atomic(path, page().encode())
    print(path)
    return 0


if __name__ == "__main__":
    run(main)
