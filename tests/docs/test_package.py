"""The package as pip sees it: its name, what it needs, what it tells to install, what an index shows, how it is cited.

That it can be built and installed, and draws then, is for .ci/package, which takes longer and needs an index.
"""

import re
from pathlib import Path

import minidraw
from minidraw import __main__ as top

ROOT = Path(__file__).resolve().parents[2]
SHOWN = ("", "minidraw", "docs", "examples", "tests", "tools", ".ci")  # folders with files to read
PRINTED = {".py", ".md", ".ipynb", ".toml", ".cff", ""}  # .ci's files have no ending


def distribution(requirement: str) -> str:
    """Return the name in a requirement, as indexes compare names."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()


def needed(told: dict) -> set[str]:
    """Return the names of all that setup.py requires, extras included."""
    return {
        distribution(text) for texts in (told["install_requires"], *told["extras_require"].values()) for text in texts
    }


def files() -> list[Path]:
    """Return the files of text that people read or run."""
    found = []
    for folder in SHOWN:
        paths = (ROOT / folder).rglob("*") if folder else ROOT.glob("*")
        found += [path for path in paths if path.is_file() and path.suffix in PRINTED]
    return found


def wanted(text: str) -> list[str]:
    """Return what the commands `pip install ...` in a text install: requirements and folders, without options.

    A command ends where a sentence goes on: at a comma, a bracket, a double quotation mark, a back-tick, an operator.
    """
    commands = re.findall(r"pip install ([^`\"\n,;:()&|#]+)", text)
    words = [word.strip("'") for command in commands for word in re.findall(r"'[^']*'|\S+", command)]
    return [word for word in words if word and not word.startswith(("-", "$"))]


def test_what_a_command_installs_is_understood():
    text = "a: pip install a-b 'c[d]>=2', or e (`pip install --quiet '.[test]'`) \"pip install f\"; pip install g && h"
    assert wanted(text) == ["a-b", "c[d]>=2", ".[test]", "f", "g"]


def test_nobody_is_told_to_install_a_package_of_that_name(told):
    """Other people's minidraw is on the index, and this one is not."""
    paths = files()
    assert len(paths) > 200 and {ROOT / "README.md", ROOT / ".ci" / "run", ROOT / "minidraw" / "cli.py"} <= set(paths)
    assert told["name"] not in ("minidraw", "draw") and told["name"].startswith("minidraw-")
    for path in paths:
        names = [distribution(word) for word in wanted(path.read_text(encoding="utf-8")) if word[0].isalpha()]
        assert [name for name in names if name.startswith("minidraw")] == [], path


def test_messages_name_what_setup_requires(told):
    named = {}
    for path in (ROOT / "minidraw").rglob("*.py"):
        text = re.sub(r'" *\n *f?"', "", path.read_text(encoding="utf-8"))  # one message on several lines
        named |= {distribution(word): path for word in wanted(text) if word != "."}
    assert named.keys() >= {"h5py", "imageio-ffmpeg", "mpi4py", "mpich", "cupy-cuda13x"}
    assert {name: path for name, path in named.items() if name not in needed(told)} == {}


def test_extras_that_documents_name_exist(told):
    named = set()
    for path in files():
        if path.suffix == ".md":
            for word in wanted(path.read_text(encoding="utf-8")):
                named |= set(re.findall(r"[\w-]+", word)) if word.startswith(".[") else set()
    assert named >= {"test", "video", "mpi", "cuda13"} and named <= told["extras_require"].keys()


def test_what_the_package_says_of_itself(told):
    assert told["version"] == minidraw.__version__ and re.fullmatch(r"\d+\.\d+\.\d+", told["version"])
    assert told["license_expression"] == "MIT" and (ROOT / told["license_files"][0]).read_text().startswith("MIT")
    assert told["entry_points"] == {"console_scripts": ["minidraw = minidraw.__main__:script"]} and callable(top.script)
    assert (ROOT / "minidraw" / "py.typed").exists() and "py.typed" in told["package_data"]["minidraw"]
    assert f"\n## {minidraw.__version__}, " in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_an_index_shows_a_page_without_dead_links(told):
    page = told["long_description"]
    assert page.startswith("# minidraw\n") and "draws images stroke by stroke" in page and "## Quick start" in page
    assert "<img" not in page and re.findall(r"\]\((?!https://)", page) == []


def test_how_to_cite_it_is_of_this_version(told):
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    fields = dict(re.findall(r'^([\w-]+): "?([^"\n]+)"?$', text, re.MULTILINE))
    assert fields["cff-version"] == "1.2.0" and fields["version"] == minidraw.__version__
    assert fields["license"] == told["license_expression"] and f"  - name: {told['author']}\n" in text
    assert f"## {fields['version']}, {fields['date-released']}\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "1502.04623" in text and len(re.findall("family-names", text)) == 5


def test_the_source_distribution_holds_every_folder():
    lines = (ROOT / "MANIFEST.in").read_text(encoding="utf-8").splitlines()
    grafted = {line.split()[1] for line in lines if line.startswith("graft ")}
    named = {name for line in lines if line.startswith("include ") for name in line.split()[1:]}
    assert grafted | {"minidraw", ""} == set(SHOWN) and all((ROOT / name).exists() for name in grafted | named)
