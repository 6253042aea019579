"""The data sets: official files, small ones written here, in every form and every kind of damage, and the real ones."""

import gzip
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from support.files import put, refusal

from minidraw import data
from minidraw.data import places
from minidraw.data.official import File


def test_unknown_name():
    assert "did you mean 'binarized_mnist'?" in refusal(data.load, "binarised_mnist")
    assert data.names()[:3] == ("strokes", "binarized_mnist", "mnist") and data.names()[-1] == "folder:PATH"
    assert "folder:PATH" in refusal(data.load, "folder")


def test_how_to_add_a_data_set_is_true(tmp_path, monkeypatch):
    """The loader in the package's docstring works as it stands, but for the file's size and checksum."""
    content = np.random.default_rng(5).integers(0, 256, (500, 3, 8, 8), np.uint8).tobytes()
    put(tmp_path, "faces.bin.gz", gzip.compress(content))
    indented = [line[4:] for line in data.__doc__.splitlines() if line.startswith("    ")]
    code = "\n".join(indented).replace("1234", str(len(content)), 1)
    code = code.replace('"..."', repr(hashlib.sha256(content).hexdigest()), 1)
    scope = {"File": File, "Dataset": data.Dataset, "Images": data.Images, "np": np}
    exec(code, scope)
    monkeypatch.setitem(data._LOADERS, "faces", scope["load"])
    dataset = data.load("faces", str(tmp_path), download=False)
    assert [len(dataset.train), len(dataset.valid), len(dataset.test)] == [400, 50, 50]
    assert dataset.train.shape == (3, 8, 8) and "faces" in data.names()


def test_strokes_need_no_folder_and_no_network(monkeypatch, cache):
    monkeypatch.setattr(data.strokes, "STROKES", (30, 20, 10))
    monkeypatch.setenv("MINIDRAW_DATA", "/nowhere")
    first, again, other = (data.load("strokes", seed=seed, download=False) for seed in (0, 0, 1))
    everywhere = np.arange(10)
    seen = set()
    for split in ("train", "valid", "test"):
        a, b, c = (getattr(one, split) for one in (first, again, other))
        assert a.shape == (1, 28, 28) and a.labels.shape == (len(a),)
        np.testing.assert_array_equal(a.batch(everywhere), b.batch(everywhere))
        seen |= {a.batch(everywhere).tobytes(), c.batch(everywhere).tobytes()}
    assert [len(first.train), len(first.valid), len(first.test)] == [30, 20, 10]
    assert len(seen) == 6  # every split of every seed is different
    assert not cache.exists()


def test_folder_by_argument_before_environment(tmp_path, monkeypatch):
    """The argument goes before MINIDRAW_DATA, and MINIDRAW_OFFLINE and download=False forbid the network."""
    asked = []
    monkeypatch.setitem(data._LOADERS, "spy", lambda places, seed: asked.append((places, seed)))
    data.load("spy")
    monkeypatch.setenv("MINIDRAW_DATA", "/environment")
    data.load("spy", seed=3)
    monkeypatch.setenv("MINIDRAW_OFFLINE", "1")
    data.load("spy", "~/argument")
    monkeypatch.setenv("MINIDRAW_OFFLINE", "0")
    data.load("spy", download=False)
    home, environment = Path(os.path.expanduser("~")), Path("/environment")
    assert [places.folder for places, _ in asked] == [None, environment, home / "argument", environment]
    assert [places.download for places, _ in asked] == [True, True, False, False]
    assert asked[1][1] == 3 and asked[0][0].cache == tmp_path / "cache" / "spy"


def test_cache_folder_without_the_variable(monkeypatch, tmp_path):
    monkeypatch.delenv("MINIDRAW_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert data.cache_folder().name == "minidraw" and not data.cache_folder().exists()


@pytest.mark.parametrize("found", ["~/.cache/minidraw", RuntimeError("no home")])
def test_a_user_without_a_home_has_a_cache(monkeypatch, tmp_path, capfd, found):
    """Of its own, among the temporary files; what others have made there is left alone."""

    def os_cache(project):
        if isinstance(found, str):
            return Path(found)
        raise found

    monkeypatch.delenv("MINIDRAW_CACHE")
    monkeypatch.setattr("pooch.os_cache", os_cache)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    places.without_home.cache_clear()
    try:
        cache = data.cache_folder()
        assert cache == data.cache_folder() and cache.parent == tmp_path and cache.name.startswith("minidraw-")
        told = capfd.readouterr().err
        assert told == f"there is no home folder, so the cache is {cache}; MINIDRAW_CACHE names another\n"
        places.without_home.cache_clear()
        assert data.cache_folder() == cache, "the next process has the same"
        if os.name != "nt":
            for spoil in (lambda: cache.chmod(0o777), lambda: (cache.rmdir(), cache.symlink_to(tmp_path))):
                places.without_home.cache_clear()
                spoil()
                other = data.cache_folder()
                assert other != cache and other.stat().st_mode & 0o777 == 0o700
    finally:
        places.without_home.cache_clear()


def test_the_data_folder_is_a_file_or_cannot_be_read(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MINIDRAW_DATA", str(tmp_path / "file"))
    assert "(what is there is no folder); correct --data-dir or MINIDRAW_DATA" in refusal(data.load, "mnist")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert refusal(data.load, "cifar10", str(tmp_path)).startswith(f"cannot read the data folder {tmp_path};")
