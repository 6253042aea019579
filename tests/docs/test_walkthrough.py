"""docs/walkthrough.ipynb: every cell runs as printed, it holds its pictures, is small, and its links lead to files."""

import json
import re
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "walkthrough.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]
PROSE = "\n".join("".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "markdown")


def test_every_cell_runs(monkeypatch, tmp_path):
    pytest.importorskip("autograd", reason="autograd is missing: pip install autograd")
    monkeypatch.chdir(tmp_path)
    names = {}
    for number, cell in enumerate(CODE):
        exec(compile("".join(cell["source"]), f"walkthrough.ipynb, code cell {number}", "exec"), names)
    assert list(tmp_path.iterdir()) == []


def test_it_was_run_from_top_to_bottom_and_holds_what_came_out():
    assert [cell["execution_count"] for cell in CODE] == list(range(1, len(CODE) + 1))
    outputs = [output for cell in CODE for output in cell["outputs"]]
    kinds = {output["output_type"] for output in outputs} | {output.get("name", "stdout") for output in outputs}
    assert kinds == {"stream", "execute_result", "stdout"}, "an error, or something on stderr"
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 6
    assert all(cell["outputs"] for cell in CODE)


def test_it_is_small_and_names_no_folder_of_a_machine():
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert len(text) < 1_000_000
    words = re.sub(r'"image/png": "[^"]*"', "", text)
    assert not re.search(r"/(home|Users|work|tmp|root)/|[A-Z]:\\\\", words)


def test_links_lead_somewhere_and_every_equation_of_drawing_is_there():
    links = [target for target in re.findall(r"\]\(([^)\s]+)\)", PROSE) if not target.startswith("http")]
    assert len(links) >= 4
    assert [target for target in links if not (NOTEBOOK.parent / target).exists()] == []
    everything = PROSE + "".join("".join(cell["source"]) for cell in CODE)
    named = {int(number) for number in re.findall(r"(?:\(|eqs? |, |-)(\d+)(?=[,)\-:\s]|$)", everything)}
    assert set(range(1, 13)) <= named and {17, 18, 19, 20, 25, 26, 27, 29} <= named
