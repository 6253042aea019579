"""How the house is built: who may import whom, how long files may be, and that a wheel holds all of them."""

import ast
import fnmatch
from pathlib import Path

from minidraw.__main__ import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "minidraw"
# A module imports from its own wing and from those before it.
WINGS = ("errors", "files", "streams", "cuda", "backend", "parallel", "data", "model", "presets", "pictures", "pages")
WINGS += ("training", "play", "cli", "commands")
# But for these, which import when they are called: a network saves itself, and a drawing too.
UPWARDS = {("model.network", "training.checkpoints"), ("model.draw", "pictures.saving")}
MATHEMATICS = ("attention", "lstm", "latent", "likelihood", "recurrence")
LONG = {}  # a file of the package of more than 300 lines, and why
LONG_TESTS = {}  # a file of tests of more than 350 lines, and why


def modules() -> dict[str, Path]:
    """Return the files of the package by dotted name below it; a folder's own file has the folder's name."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    assert len(found) > 60, "or these tests pass by finding nothing"
    return found


MODULES = modules()


def wing(name: str) -> str:
    """Return the wing that a module is of."""
    first, _, rest = name.partition(".")
    return "commands" if rest == "__main__" or first in COMMANDS or first in ("", "__main__") else first


def imports(name: str, everywhere: bool) -> set[str]:
    """Return which modules a module imports, at its top or anywhere in it."""
    path, found = MODULES[name], set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.ImportFrom):
            assert node.level or not (node.module or "").startswith("minidraw"), f"{name}: imports are relative"
            if node.level:
                parts = inside.split(".") if inside else []
                base = parts[: len(parts) - node.level + 1]
                base = ".".join([*base, *([node.module] if node.module else [])])
                for alias in node.names:
                    deeper = ".".join(filter(None, [base, alias.name]))
                    found.add(deeper if deeper in MODULES else base)
    return found


def test_every_module_is_of_a_wing():
    assert {wing(name) for name in MODULES} == set(WINGS)


def test_nobody_imports_upwards():
    wrong = {
        f"{name} imports {other}"
        for name in MODULES
        for other in imports(name, everywhere=True)
        if WINGS.index(wing(other)) > WINGS.index(wing(name)) and (name, other) not in UPWARDS
    }
    assert wrong == set()


def test_commands_share_nothing_but_cli():
    commands = [name for name in MODULES if wing(name) == "commands" and name not in ("", "__main__")]
    assert {name for name in commands if imports(name, everywhere=True) & {*COMMANDS}} == set()


def test_there_is_no_circle():
    graph = {name: imports(name, everywhere=True) - {name} for name in MODULES}
    for name, other in UPWARDS:
        assert other in graph[name] and other not in imports(name, everywhere=False)
        graph[name].remove(other)
    while free := [name for name, others in graph.items() if not others & graph.keys()]:
        for name in free:
            del graph[name]
    assert graph == {}, "these import each other in a circle, or import what does"


def test_these_tests_notice():
    assert imports("model.network", everywhere=True) >= {"backend", "errors", "parallel.shard", "parallel.workers"}
    assert imports("model", everywhere=True) == {"model.draw", "model.ram", "model.network"}
    assert wing("training.step") == "training" and wing("train") == wing("__main__") == "commands"
    assert wing("data.__main__") == wing("play.__main__") == "commands" and wing("data.folder") == "data"


def lines(path: Path) -> int:
    return path.read_text(encoding="utf-8").count("\n")


def test_what_a_reader_must_open_stays_short():
    root = list(PACKAGE.glob("*.py"))
    assert 10 < len(root) <= 16
    paper = {path.stem: lines(path) for path in (PACKAGE / "model").glob("*.py")}
    assert 1000 < sum(paper.values()) <= 1780
    assert 500 < sum(paper[name] for name in MATHEMATICS) <= 900
    assert {path.name for path in MODULES.values() if lines(path) > 300} == LONG.keys()
    tests = list((ROOT / "tests").rglob("*.py"))
    assert len(tests) > 50 and {path.name for path in tests if lines(path) > 350} == LONG_TESTS.keys()


def test_no_file_of_tests_imports_another():
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not any(name.startswith("test_") for name in names), path


def test_a_wheel_holds_every_file(told):
    """Every folder is a package, and what is no Python is named in setup.py."""
    files = [path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert len(files) > 70 and "minidraw.model" in told["packages"]
    for path in files:
        package = ".".join(path.parent.relative_to(ROOT).parts)
        if path.suffix == ".py":
            assert package in told["packages"], path
        else:
            holders = [(name, patterns) for name, patterns in told["package_data"].items() if package.startswith(name)]
            relative = {name: path.relative_to(ROOT / name.replace(".", "/")).as_posix() for name, _ in holders}
            named = [fnmatch.fnmatch(relative[name], pattern) for name, patterns in holders for pattern in patterns]
            assert any(named), f"{path} is not in package_data"
