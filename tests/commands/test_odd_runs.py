"""Runs whose files are whole, and hold numbers that no run has: told in a line, and not a matter of gigabytes."""

import json
import shutil

import pytest
from support.runs import run

from minidraw.errors import UserError
from minidraw.figures import plots
from minidraw.pages import metrics

pytestmark = pytest.mark.usefixtures("small_strokes")


@pytest.mark.parametrize(
    "setting", [{"minutes": float("nan")}, {"minutes": float("inf")}, {"minutes": 1e308}, {"steps": float("inf")}]
)
def test_a_time_that_has_no_end(here, trained, capsys, setting):
    shutil.copytree(trained, here / "run")
    config = json.loads((here / "run/config.json").read_text())
    (here / "run/config.json").write_text(json.dumps(config | {"train": config["train"] | setting}))
    assert run("report", "run") == 2
    assert "there cannot be" in capsys.readouterr().err


def test_losses_that_are_no_numbers_make_no_figures(tmp_path):
    with pytest.raises(UserError, match="no line of training"):
        plots([{"step": 1, "seconds": 1, "loss": [1, 2]}], "draw", tmp_path)


def test_the_lines_of_a_run_take_less_than_a_gigabyte():
    assert 16 * metrics.MOST <= 1 << 30
