"""What the tests of runs are given."""

import pytest
from support.checkpoints import whole

from minidraw.training.checkpoints import save


@pytest.fixture
def path(tmp_path):
    """A whole checkpoint's."""
    save(tmp_path / "checkpoint.npz", whole())
    return tmp_path / "checkpoint.npz"
