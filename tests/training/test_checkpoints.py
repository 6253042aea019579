"""Checkpoints: what was saved comes back bit for bit; whatever else a file holds is told in one line, soon, cheaply."""

import json
import os

import numpy as np
import pytest
from support.checkpoints import header, whole, write

from minidraw.errors import UserError
from minidraw.model.draw import DRAW
from minidraw.training.checkpoints import FORMAT, VECTORS, load, save

pytestmark = pytest.mark.usefixtures("small_strokes")


# ----------------------------------------------------------------------------------------------------- what is right


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_was_saved_comes_back_bit_for_bit(tmp_path, dtype):
    saved = whole(dtype)
    save(tmp_path / "new" / "checkpoint.npz", saved)
    for place in (tmp_path / "new" / "checkpoint.npz", tmp_path / "new", str(tmp_path / "new")):
        loaded = load(place)
        assert loaded.experiment == saved.experiment and loaded.state == saved.state
        assert list(loaded.vectors) == list(VECTORS)
        for name in VECTORS:
            assert loaded.vectors[name].dtype == dtype
            assert loaded.vectors[name].tobytes() == saved.vectors[name].tobytes()
            assert loaded.vectors[name].flags.writeable
    assert os.listdir(tmp_path / "new") == ["checkpoint.npz"]


def test_the_network_has_the_averaged_parameters_and_draws_as_the_one_that_was_saved(path):
    model = DRAW(whole().experiment.model)
    model.flat_params[:] = whole().vectors["average"]
    network = load(path).network()
    assert network.flat_params.tobytes() == model.flat_params.tobytes()
    assert (network.generate(3, seed=4) == model.generate(3, seed=4)).all()


def test_a_checkpoint_for_drawing_needs_the_average_only(tmp_path):
    write(tmp_path / "a.npz", header(), {"average": whole().vectors["average"]})
    assert list(load(tmp_path / "a.npz").vectors) == ["average"]


def test_numpy_reads_it_without_pickle(path):
    with np.load(path, allow_pickle=False) as file:
        assert set(file.files) == {"header", *VECTORS}
        assert json.loads(file["header"].tobytes())["format"] == FORMAT


def test_saving_where_it_cannot_be_is_told_in_one_line_and_leaves_the_earlier_one(path, monkeypatch):
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left"):
        save(path, whole(np.float64))
    assert path.read_bytes() == before and os.listdir(path.parent) == [path.name]
