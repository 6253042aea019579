"""CIFAR-10 and SVHN's cropped digits: small files in the official layouts, wrong ones, and the real ones."""

import gzip
import io
import pickle
import runpy
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from support.files import HTML, REAL, everything, official_file, put, real, refusal, tar

from minidraw import data
from minidraw.data import cifar10, svhn_cropped
from minidraw.data.places import Places

ROWS, VALID = 4, 3  # records in each of the small files, images held out


def batches() -> dict[str, np.ndarray]:
    """Return name -> records of six small files: pixels noise, one label each of 0 to 9 and some again."""
    rng = np.random.default_rng(1)
    records = rng.integers(0, 256, (6, ROWS, cifar10.RECORD), np.uint8)
    records[:, :, 0] = np.arange(6 * ROWS).reshape(6, ROWS) % 10
    return dict(zip(cifar10.BATCHES, records, strict=True))


def archive(contents: dict[str, bytes], order=reversed) -> bytes:
    return tar([("cifar-10-batches-bin/" + name, contents[name]) for name in order(list(contents))])


def spec(content: bytes = b"", *urls) -> cifar10.Spec:
    return cifar10.Spec(official_file("cifar-10-binary.tar.gz", content, *urls), ROWS, VALID)


def assert_cifar(dataset):
    records = np.concatenate(list(batches().values()))
    assert [len(dataset.train), len(dataset.valid), len(dataset.test)] == [17, 3, 4]
    start = 0
    for split in (dataset.train, dataset.valid, dataset.test):
        part = records[start : start + len(split)]
        batch = split.batch(np.arange(len(split)))
        assert (batch.dtype, split.shape, batch.flags.c_contiguous) == (np.float32, (3, 32, 32), True)
        np.testing.assert_allclose(batch, part[:, 1:].reshape(-1, 3, 32, 32) / 255, rtol=1e-6)
        np.testing.assert_array_equal(split.labels, part[:, 0])
        assert split.labels.dtype == np.uint8
        start += len(split)


# ---- CIFAR-10


@pytest.mark.parametrize("sub", ["", "cifar10"])
def test_cifar10_archive(tmp_path, cache, sub, monkeypatch):
    content = archive({name: records.tobytes() for name, records in batches().items()})
    put(tmp_path / "data" / sub, "cifar-10-binary.tar.gz", content)
    places = Places("cifar10", tmp_path / "data", cache, download=False)
    dataset = cifar10.load(places, spec=spec(content))
    assert_cifar(dataset)
    assert "not verified" not in dataset.note
    monkeypatch.setattr(cifar10, "members", None)
    assert_cifar(cifar10.load(places, spec=spec(content)))  # from the cache
    assert everything(cache) == ["cifar-10-binary.npy", "verified.json"]


def test_cifar10_download(host, cache):
    content = archive({name: records.tobytes() for name, records in batches().items()}, order=list)
    host.pages["/c.tar.gz"] = (200, content)
    assert_cifar(cifar10.load(Places("cifar10", None, cache), spec=spec(content, host.url + "/c.tar.gz")))
    assert everything(cache) == ["cifar-10-binary.npy"]


@pytest.mark.parametrize("sub", ["", "cifar-10-batches-bin", "cifar10", "cifar10/cifar-10-batches-bin"])
def test_cifar10_loose_files(tmp_path, cache, sub):
    for name, records in batches().items():
        put(tmp_path / sub, name, records.tobytes())
    dataset = cifar10.load(Places("cifar10", tmp_path, cache, download=False), spec=spec())
    assert_cifar(dataset)
    assert f"from the files in {tmp_path / sub}, which are not verified" in dataset.note
    assert not cache.exists()


@pytest.mark.parametrize("form", ["archive", "loose"])
@pytest.mark.parametrize("damage", ["label", "short", "long", "missing", "empty"])
def test_cifar10_wrong_files(tmp_path, cache, form, damage):
    contents = {name: records.tobytes() for name, records in batches().items()}
    good, name = contents["data_batch_3.bin"], "data_batch_3.bin"
    contents[name] = {"label": b"\x0a" + good[1:], "short": good[:-1], "long": good + b"x"}.get(damage, b"")
    if damage == "missing":
        del contents[name]
    packed = archive(contents)
    if form == "archive":  # one with the right checksum, all the same
        put(tmp_path, "cifar-10-binary.tar.gz", packed)
    else:
        for other, content in contents.items():
            put(tmp_path, other, content)
    message = refusal(cifar10.load, Places("cifar10", tmp_path, cache, download=False), spec=spec(packed))
    assert name in message and ("label 10" in message) == (damage == "label")
    assert not cache.exists() or everything(cache) == ["verified.json"]


def test_cifar10_archive_of_another_size_is_refused(tmp_path, cache):
    path = put(tmp_path, "cifar-10-binary.tar.gz", HTML)
    message = refusal(cifar10.load, Places("cifar10", tmp_path, cache))
    assert message.startswith(f"{path} is not the official cifar-10-binary.tar.gz: it holds 64 bytes, not 170052171")


@pytest.mark.parametrize("name", ["cifar-10-python.tar.gz", "data_batch_1", "cifar-10-batches-py"])
@pytest.mark.parametrize("sub", ["", "cifar10"])
def test_cifar10_pickles_are_never_loaded(tmp_path, cache, name, sub):
    class Evil:
        def __reduce__(self):
            return exec, (f"open({str(tmp_path / 'evil')!r}, 'w')",)

    path = put(tmp_path / sub, name, pickle.dumps(Evil()))
    message = refusal(cifar10.load, Places("cifar10", tmp_path, cache))
    assert message.startswith(f"{path} is of the Python version") and "get cifar-10-binary.tar.gz from" in message
    assert not (tmp_path / "evil").exists() and not cache.exists()


def test_cifar10_missing(tmp_path, cache):
    for folder in (None, tmp_path):
        message = refusal(cifar10.load, Places("cifar10", folder, cache, download=False))
        assert "cifar-10-binary.tar.gz from https://www.cs.toronto.edu/~kriz/" in message
    assert "no data folder" in refusal(cifar10.load, Places("cifar10", tmp_path / "typo", cache))


def test_cifar10_from_jpegs(tmp_path, cache):
    """Real photographs, through the script for development: its test images, dealt out to the six files."""
    script = Path(REAL or "/") / "cifar10_jpeg" / "make_cifar10_bin.py"
    if not script.is_file():
        pytest.skip(f"cifar10_jpeg/make_cifar10_bin.py is missing: MINIDRAW_DATA is {REAL or 'not set'}")
    records = runpy.run_path(str(script))["records"]("test")  # (10000, RECORD)
    for name, part in zip(cifar10.BATCHES, np.split(records[:9996], 6), strict=True):
        put(tmp_path, name, part.tobytes())
    dataset = cifar10.load(Places("cifar10", tmp_path, cache), spec=cifar10.Spec(spec().archive, rows=1666, valid=800))
    assert [len(dataset.train), len(dataset.valid), len(dataset.test)] == [7530, 800, 1666]
    mean = data.mean_image(dataset.train).mean(axis=(1, 2))
    np.testing.assert_allclose(mean, [0.4914, 0.4822, 0.4465], atol=0.01)  # red, green, blue, as everybody quotes them
    # Sky behind airplanes (0) and water under ships (8) is blue, deer (4) stand before green: the planes are right.
    red, green, blue = (dataset.train.pixels[np.arange(7530)][:, c].mean(axis=(1, 2)) for c in range(3))
    labels = dataset.train.labels
    assert all((blue - red)[labels == k].mean() > 8 for k in (0, 8)) and (green - blue)[labels == 4].mean() > 8


# ---- SVHN, cropped digits


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
