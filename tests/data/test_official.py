"""Official files: what is not exactly the right one is refused."""

import io
import json

import numpy as np
import pytest
from support.files import DAMAGES, HTML, ROWS, SHAPE, bomb, official_file, put, refusal, small_binarized

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
    assert "delete it" in message and not cache.exists()


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
