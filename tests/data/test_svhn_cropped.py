"""SVHN's cropped digits: small files in the official layout, wrong ones, and the real ones."""

import gzip
import io
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from support.files import HTML, REAL, everything, official_file, put, real, refusal

from minidraw import data
from minidraw.data import svhn_cropped
from minidraw.data.places import Places


def mat(n: int, seed: int, **changes) -> tuple[bytes, np.ndarray, np.ndarray]:
    """Return a file's content, the pixels (n, 3, 32, 32) in it, and the digits (n,)."""
    rng = np.random.default_rng(seed)
    pixels, digits = rng.integers(0, 256, (n, 3, 32, 32), np.uint8), np.arange(n, dtype=np.uint8) % 10
    labels = np.where(digits == 0, 10, digits).astype(np.uint8)[:, None]
    out = io.BytesIO()
    scipy.io.savemat(out, {"X": pixels.transpose(2, 3, 1, 0), "y": labels} | changes, do_compression=True)
    return out.getvalue(), pixels, digits


def small_svhn(folder: Path, names=("train_32x32.mat", "test_32x32.mat", "extra_32x32.mat"), sizes=(23, 11, 7)):
    made = {name: mat(n, seed) for seed, (name, n) in enumerate(zip(names, sizes, strict=False))}
    for name, (content, *_) in made.items():
        put(folder, name, content)
    return made, tuple(official_file(name, content) for name, (content, *_) in made.items())


def assert_split(split, pixels, digits):
    np.testing.assert_allclose(split.batch(np.arange(len(split))), pixels / 255, rtol=1e-6)
    np.testing.assert_array_equal(split.labels, digits)
    assert split.shape == (3, 32, 32)


@pytest.mark.parametrize("extra", [True, False])
@pytest.mark.parametrize("genuine", [True, False])
def test_svhn_cropped(tmp_path, cache, extra, genuine, monkeypatch):
    made, files = small_svhn(tmp_path / "svhn_cropped")
    if not extra:
        (tmp_path / "svhn_cropped" / "extra_32x32.mat").unlink()
    kwargs = {"files": files} if genuine else {}
    places = Places("svhn_cropped", tmp_path, cache, download=False)
    for _ in range(2):
        dataset = svhn_cropped.load(places, **kwargs)
        (_, x, y), (_, x_test, y_test), (_, x_extra, y_extra) = made.values()
        if extra:
            assert_split(dataset.train, np.concatenate([x[:21], x_extra]), np.concatenate([y[:21], y_extra]))
        else:
            assert_split(dataset.train, x[:21], y[:21])
        assert_split(dataset.valid, x[21:], y[21:])
        assert_split(dataset.test, x_test, y_test)
        assert dataset.classes == tuple("0123456789")
        assert ("NOT the official files: 23 digits of train_32x32.mat, 11 digits of" in dataset.note) != genuine
        monkeypatch.setattr(scipy.io, "loadmat", None)  # the second time, from the cache
    assert all("extra" not in name for name in everything(cache)) or extra


def no_type(compressed: bool) -> bytes:
    """Return a file whose pixels claim a type of data that there is not, on which scipy.io.loadmat ends the process."""
    out, pixels = io.BytesIO(), np.zeros((32, 32, 3, 12), np.uint8)
    scipy.io.savemat(out, {"X": pixels, "y": np.ones((12, 1), np.uint8)})
    content = out.getvalue()
    tag = struct.pack("<II", 2, pixels.size)  # uint8, and how many bytes
    assert content.count(tag) == 1
    content = content.replace(tag, struct.pack("<II", 77, pixels.size))
    if not compressed:
        return content
    size = 8 + struct.unpack_from("<II", content, 128)[1]  # of X and its own tag
    packed = zlib.compress(content[128 : 128 + size])
    return content[:128] + struct.pack("<II", 15, len(packed)) + packed + content[128 + size :]


WRONG_MATS = {
    "html": HTML,
    "empty": b"",
    "cut": mat(12, 0)[0][:5000],
    "hdf5": b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(400),
    "flipped": mat(12, 0)[0][:300] + b"\xff\xff" + mat(12, 0)[0][302:],
    "gz": gzip.compress(mat(12, 0)[0]),
    "no X": mat(12, 0, X=np.zeros(3))[0],
    "grey": mat(12, 0, X=np.zeros((32, 32, 12), np.uint8))[0],
    "floats": mat(12, 0, X=np.zeros((32, 32, 3, 12)))[0],
    "y too short": mat(12, 0, y=np.ones((11, 1), np.uint8))[0],
    "label 0": mat(12, 0, y=np.zeros((12, 1), np.uint8))[0],
    "label 11": mat(12, 0, y=np.full((12, 1), 11, np.uint8))[0],
    "one digit": mat(1, 0)[0],
    "text": mat(12, 0, y="abcdefghijkl")[0],
    "no type": no_type(compressed=False),
    "no type, compressed": no_type(compressed=True),
}


@pytest.mark.parametrize("wrong", WRONG_MATS)
def test_svhn_cropped_wrong_files(tmp_path, cache, wrong):
    small_svhn(tmp_path)
    path = put(tmp_path, "test_32x32.mat", WRONG_MATS[wrong])
    message = refusal(svhn_cropped.load, Places("svhn_cropped", tmp_path, cache, download=False))
    assert message.startswith(f"{path} is not a MATLAB 5 file of SVHN's cropped digits: ")
    assert message.endswith("; get it again, or name another --data-dir")
    assert not any(name.startswith(("test", ".")) for name in everything(cache))


def test_svhn_cropped_missing(cache):
    message = refusal(svhn_cropped.load, Places("svhn_cropped", None, cache, download=False))
    assert "train_32x32.mat, test_32x32.mat from http://ufldl.stanford.edu/housenumbers/" in message


def test_svhn_cropped_real():
    real("svhn_cropped")
    dataset = data.load("svhn_cropped", REAL, download=False)
    start = time.perf_counter()
    data.load("svhn_cropped", REAL, download=False)
    assert time.perf_counter() - start < 0.5  # 0.01 on an idle core
    raw = scipy.io.loadmat(Path(REAL) / "svhn_cropped" / "test_32x32.mat")
    for i in (0, 5, len(dataset.test) - 1):
        np.testing.assert_array_equal(np.rint(dataset.test.batch([i])[0] * 255), raw["X"][..., i].transpose(2, 0, 1))
        assert dataset.test.labels[i] == raw["y"][i, 0] % 10
    assert len(dataset.valid) == (len(dataset.train) + len(dataset.valid)) // 10
