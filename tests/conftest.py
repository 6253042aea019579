"""What several files of tests are given."""

import pytest
from runs import STROKES, trainer

from minidraw import data


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The folder of a tiny run, its attention small enough to see."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "STROKES", STROKES)
        folder = tmp_path_factory.mktemp("trained") / "run"
        of = trainer(folder, steps=20)
        for name in ("read", "write"):
            of.model.params[f"{name}.b"][3] = -1.0  # log delta: windows well inside the image
        of.adam.average[:] = of.model.flat_params
        of.run()
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch, trained):
    """An empty folder to work in, with the run beside it."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work
