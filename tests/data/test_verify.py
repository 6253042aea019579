"""What lies in the cache is noticed when it is damaged: small arrays at every start, large ones when they change."""

import os

import numpy as np
import pytest
from support.files import official_file, put

from minidraw.data import binarized_mnist, mnist, official, prepared, verify
from minidraw.data.places import Places

ROW = (2, 3)


def make(path):
    return 5, iter([(3, np.full((2, *ROW), 9, np.uint8)), (0, np.full((3, *ROW), 7, np.uint8))])


def prepare(cache, maker=make):
    places = Places("x", cache.parent, cache)
    return prepared.prepare(places, (official_file("a.bin", b"7777"),), ROW, maker, 1)[0].array


def flip(path, at: int) -> None:
    """Change a bit, and nothing else, as a disk does it."""
    stamp = path.stat()
    content = bytearray(path.read_bytes())
    content[at] ^= 8
    path.write_bytes(content)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))


def forbidden(*args):
    raise AssertionError("it was made again")


@pytest.mark.parametrize("byte", range(30))
def test_a_flipped_bit_in_a_small_array_is_noticed(cache, tmp_path, capfd, byte):
    put(tmp_path, "a.bin", b"7777")
    wanted = prepare(cache).copy()
    path = cache / "a.npy"
    at = path.read_bytes().index(b"\7" * 18) + byte
    flip(path, at)
    capfd.readouterr()
    np.testing.assert_array_equal(prepare(cache), wanted)
    assert capfd.readouterr().err == f"{path}, in the cache, is damaged; it is made again\n"
    np.testing.assert_array_equal(prepare(cache, forbidden), wanted)


def test_a_large_array_is_read_through_when_its_file_changes(cache, tmp_path, monkeypatch):
    """Not at every start. What a disk does behind the file's back only `verify` finds."""
    monkeypatch.setattr(prepared, "SMALL", 29)
    hashed, real = [], prepared.hashlib.sha256
    monkeypatch.setattr(prepared.hashlib, "sha256", lambda data=b"": hashed.append(len(data)) or real(data))
    put(tmp_path, "a.bin", b"7777")
    wanted = prepare(cache).copy()
    path = cache / "a.npy"
    hashed.clear()
    np.testing.assert_array_equal(prepare(cache, forbidden), wanted)
    assert 5 not in hashed, "it was made here, and is as it was"
    os.utime(path, ns=(1, 1))
    for times in (1, 1):
        np.testing.assert_array_equal(prepare(cache, forbidden), wanted)
        assert hashed.count(5) == times, "once, for it is as it was, but for its time"
    flip(path, path.read_bytes().index(b"\7" * 18))
    assert [fault for found, fault in verify.verify(cache) if found == path] == [
        "its array is not the one that was written"
    ]
    os.utime(path, ns=(2, 2))
    np.testing.assert_array_equal(prepare(cache), wanted)


def test_an_array_that_an_older_version_made_is_used(cache, tmp_path):
    put(tmp_path, "a.bin", b"7777")
    prepare(cache)
    path = cache / "a.npy"
    content = path.read_bytes()
    start = content.index(b', "array sha256"')
    path.write_bytes(content[:start] + b"}\n")
    assert prepare(cache, forbidden).shape == (5, *ROW)
    assert dict(verify.verify(cache))[path] is None


def test_everything_in_a_cache(cache, monkeypatch):
    file = official_file("train-images-idx3-ubyte", b"abc")
    monkeypatch.setattr(verify, "FILES", {file.name: file})
    monkeypatch.setattr(binarized_mnist, "OFFICIAL", binarized_mnist.Spec((), file, (), (), file.sha256))
    prepared.write(cache / "b" / "x.npy", {}, ROW, 5, make(None)[1])
    put(cache / "b", "y.npy", b"")
    put(cache / "b", ".z.npy.part", b"under way")
    put(cache / "b", official.VERIFIED, b"[]")
    put(cache / "b", binarized_mnist.BITS, b"abd")
    put(cache / "c", binarized_mnist.BITS, b"abc")
    put(cache / "c", file.name + ".gz", b"abc")
    put(cache / "c", file.name, b"abd")
    put(cache / "c", "other", b"")
    told = {str(path.relative_to(cache)): fault for path, fault in verify.verify(cache)}
    assert list(told) == sorted(told)
    assert told.pop(f"c{os.sep}{file.name}").startswith("its SHA-256 is ")
    assert told == {
        f"b{os.sep}{binarized_mnist.BITS}": "its SHA-256 is another one",
        f"b{os.sep}x.npy": "",
        f"b{os.sep}y.npy": "it is no whole array",
        f"c{os.sep}{binarized_mnist.BITS}": "",
        f"c{os.sep}{file.name}.gz": "",
        f"c{os.sep}other": None,
    }
    assert list(verify.verify(cache / "nowhere")) == []


def test_it_knows_every_official_file():
    assert {file.name for file in mnist.OFFICIAL.files} < {*verify.FILES} and len(verify.FILES) == 4 + 1 + 6
