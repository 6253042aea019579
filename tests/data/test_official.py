"""Official files: what is not exactly the right one is refused."""

import gzip
import io
import json
import shlex

import numpy as np
import pytest
from support.files import (
    DAMAGES,
    HTML,
    ROWS,
    SHAPE,
    bomb,
    idx,
    official_file,
    put,
    refusal,
    small_binarized,
    small_mnist,
)

from minidraw.data import binarized_mnist, mnist, official
from minidraw.data.places import Places


@pytest.mark.parametrize("damage", DAMAGES)
def test_wrong_file_in_the_folder_is_refused(tmp_path, cache, damage):
    contents, spec, _ = small_binarized()
    suffix, spoil, reason = DAMAGES[damage]
    for k, file in enumerate(spec.texts):
        if k == 1:
            wrong = put(tmp_path / "data", file.name + suffix, spoil(contents[file.name]))
        else:
            put(tmp_path / "data", file.name, contents[file.name])
    places = Places("binarized_mnist", tmp_path / "data", cache)
    message = refusal(binarized_mnist.load, places, spec=spec)
    assert message.startswith(f"{wrong} is not the official {spec.texts[1].name}: ") and reason in message
    advice = "if it is a damaged copy, get it again; if it is something else, name another --data-dir"
    broken = "gzip data are damaged" in message
    assert message.endswith("; get it again, or name another --data-dir" if broken else advice)
    assert "delete" not in message and not cache.exists()


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("folder", ["data", "my data"])
def test_another_data_set_under_the_names_of_mnist_can_be_trained_on(tmp_path, cache, folder, zipped):
    """As Fashion-MNIST is: nobody is told to delete it, and the command for it is said in a way that a shell takes."""
    contents, spec, _ = small_mnist()
    images, labels = (file.name for file in spec.files[:2])
    for name, content in contents.items():
        other = content[:-1] + bytes([content[-1] ^ 1])
        put(tmp_path / folder, name + ".gz" * zipped, gzip.compress(other) if zipped else other)
    path = tmp_path / folder / (images + ".gz" * zipped)
    message = refusal(mnist.load, Places("mnist", tmp_path / folder, cache), spec=spec)
    assert message.startswith(f"{path} is not the official {images}: its SHA-256 is ") and "delete" not in message
    command = message.partition("name another --data-dir, or train on it as it is: ")[2]
    assert shlex.split(command) == ["--data", f"folder:{path}"]
    path.write_bytes(gzip.compress(contents[images]) if zipped else contents[images])
    message = refusal(mnist.load, Places("mnist", tmp_path / folder, cache), spec=spec)
    assert f"is not the official {labels}" in message  # the images are right, but the labels somebody's own
    assert message.endswith(command), "folder: finds labels by the images beside them"


NPY, NPZ = io.BytesIO(), io.BytesIO()
np.save(NPY, np.zeros((2, 3, 4)))
np.savez(NPZ, np.zeros((2, 3, 4)))


@pytest.mark.parametrize(
    ("name", "content", "readable"),
    [
        ("images-idx3", idx(np.zeros((2, 3, 4), np.uint8)), True),
        ("images-idx4.gz", gzip.compress(idx(np.zeros((2, 3, 4, 3), np.uint8)), mtime=0), True),
        ("x.npy", NPY.getvalue(), True),
        ("x.npz", NPZ.getvalue(), True),
        ("x.CSV", b"label,pixel0\n1,0\n", True),
        ("x.csv.gz", gzip.compress(b"label,pixel0\n1,0\n", mtime=0), True),
        ("labels-idx1", idx(np.zeros(5, np.uint8)), False),
        ("x.npz", HTML, False),
        ("x.npy", b"", False),
        ("x.gz", b"\x1f\x8b", False),
        ("x.gz", gzip.compress(bytes(99), mtime=0)[:12] + b"\xff" * 9, False),
        ("x.amat", b"0 1 0 1\n", False),
        ("x.tar.gz", NPZ.getvalue(), False),
    ],
)
def test_only_what_a_folder_can_be_is_called_one(tmp_path, name, content, readable):
    path = put(tmp_path, name, content)
    message = refusal(official.read, path, official_file("x", b"abc"))
    assert message.startswith(f"{path} is not the official x: ") and "name another --data-dir" in message
    assert message.endswith(f"--data folder:{path}") == ("folder:" in message) == readable


def test_a_damaged_file_in_the_cache_may_be_deleted(tmp_path):
    path, file = put(tmp_path, "x", b"abd"), official_file("x", b"abc")
    for call in (official.read, lambda *args, **own: official.is_official(*args, tmp_path, **own)):
        assert "delete" not in refusal(call, path, file)
        message = refusal(call, path, file, own=False)
        assert message.startswith(f"{path}, in the cache, is a damaged x: its SHA-256")
        assert message.endswith("; delete it")


def test_bomb_is_not_held_in_memory(tmp_path):
    import tracemalloc

    path = put(tmp_path, "x.gz", bomb(b"abc"))
    tracemalloc.start()
    refusal(official.read, path, official_file("x", b"abc"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_unreadable_file(tmp_path, monkeypatch):
    path = put(tmp_path, "x", b"abc")

    def denied(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", denied)
    message = refusal(official.read, path, official_file("x", b"abc"))
    monkeypatch.undo()
    assert message == f"cannot read {path}: Permission denied"


def test_official_file_of_other_content_is_refused(tmp_path, cache):
    """Also a file whose checksum is right, but whose rows, keys, or values are not what the spec says."""
    contents, spec, _ = small_binarized()
    objects, keys, rows = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.savez(objects, X_train=np.array([{}], dtype=object))
    np.savez(keys, train=np.zeros(3))
    np.savez(rows, X_train=np.zeros((2, 15), np.float32))
    for content in (objects.getvalue(), keys.getvalue(), rows.getvalue(), HTML, contents["mnist_binarized.npz"][:-9]):
        put(tmp_path, spec.npz.name, content)
        other = binarized_mnist.Spec(spec.texts, official_file(spec.npz.name, content), ROWS, SHAPE, spec.sha256)
        places = Places("binarized_mnist", tmp_path, cache, download=False)
        assert "does not hold X_train" in refusal(binarized_mnist.load, places, spec=other)
    (tmp_path / spec.npz.name).unlink()
    for file in spec.texts:
        put(tmp_path, file.name, contents[file.name])
    other = binarized_mnist.Spec(spec.texts, spec.npz, (7, 5, 3), SHAPE, spec.sha256)
    assert "not 5 rows of 15 values" in refusal(binarized_mnist.load, places, spec=other)
    other = binarized_mnist.Spec(spec.texts, spec.npz, ROWS, SHAPE, "0" * 64)
    assert "not those of the fixed binarization" in refusal(binarized_mnist.load, places, spec=other)
    assert not cache.exists()


def test_missing_folder(tmp_path, cache):
    places = Places("mnist", tmp_path / "mistyped", cache)
    assert "there is no data folder" in refusal(mnist.load, places)
    places = Places("mnist", put(tmp_path, "file", b""), cache)
    assert "there is no data folder" in refusal(binarized_mnist.load, places)


@pytest.mark.parametrize("text", ["", "[", "5", '{"a": 1}', "[[1]]", '[1, ["a", 2]]'])
def test_damaged_record_of_verified_files(tmp_path, cache, text):
    put(cache, "verified.json", text.encode())
    path = put(tmp_path, "train.bin", b"7777")
    assert official.is_official(path, official_file("train.bin", b"7777"), cache)
    assert json.loads((cache / "verified.json").read_text()) == [official.stamp(path)]
