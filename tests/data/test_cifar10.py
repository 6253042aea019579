"""CIFAR-10: small files in the official layouts, wrong ones, and real photographs."""

import pickle
import runpy
from pathlib import Path

import numpy as np
import pytest
from support.files import HTML, REAL, everything, official_file, put, refusal, tar

from minidraw import data
from minidraw.data import cifar10
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


@pytest.mark.parametrize("sub", ["", "cifar10"])
def test_cifar10_archive(tmp_path, cache, sub, monkeypatch):
    content = archive({name: records.tobytes() for name, records in batches().items()})
    put(tmp_path / "data" / sub, "cifar-10-binary.tar.gz", content)
    places = Places("cifar10", tmp_path / "data", cache, download=False)
    dataset = cifar10.load(places, spec=spec(content))
    assert_cifar(dataset)
    assert "not verified" not in dataset.note and dataset.classes == cifar10.CLASSES
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
    assert "delete" not in message and (form == "archive" or message.endswith("or name another --data-dir"))
    assert not cache.exists() or everything(cache) == ["verified.json"]


def test_cifar10_archive_of_another_size_is_refused(tmp_path, cache):
    path = put(tmp_path, "cifar-10-binary.tar.gz", HTML)
    message = refusal(cifar10.load, Places("cifar10", tmp_path, cache))
    assert message.startswith(f"{path} is not the official cifar-10-binary.tar.gz: it holds 64 bytes, not 170052171")
    assert message.endswith("name another --data-dir") and "delete" not in message


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
