"""Binarized MNIST: in every form, from the cache, from the mirror, and the real official."""

import gzip
import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
from support.files import HTML, REAL, assert_binarized, everything, put, real, refusal, small_binarized

from minidraw import data
from minidraw.data import binarized_mnist, official
from minidraw.data.places import Places


@pytest.mark.parametrize("sub", ["", "binarized_mnist"])
@pytest.mark.parametrize("form", ["amat", "amat.gz", "npz", "mixed"])
def test_binarized_in_every_form(tmp_path, cache, sub, form):
    contents, spec, pixels = small_binarized()
    folder = tmp_path / "data" / sub
    for k, (name, content) in enumerate(contents.items()):
        if name.endswith(".npz") == (form == "npz"):
            zipped = form == "amat.gz" or (form == "mixed" and k == 1)
            put(folder, name + ".gz" * zipped, gzip.compress(content) if zipped else content)
    places = Places("binarized_mnist", tmp_path / "data", cache, download=False)
    before = everything(tmp_path / "data")
    assert_binarized(binarized_mnist.load(places, spec=spec), pixels)
    assert everything(cache) == ["packed.bits", "verified.json"]
    assert everything(tmp_path / "data") == before
    assert_binarized(binarized_mnist.load(places, spec=spec), pixels)


@pytest.fixture
def local(tmp_path, cache):
    """Good text files in a folder: (places, spec, contents, pixels)."""
    contents, spec, pixels = small_binarized()
    for file in spec.texts:
        put(tmp_path / "data", file.name, contents[file.name])
    return Places("binarized_mnist", tmp_path / "data", cache, download=False), spec, contents, pixels


def count_reads(monkeypatch) -> list:
    reads = []
    real = official._chunks
    monkeypatch.setattr(official, "_chunks", lambda path, file: reads.append(path.name) or real(path, file))
    return reads


def test_second_start_reads_only_the_cache(local, monkeypatch):
    places, spec, _, pixels = local
    binarized_mnist.load(places, spec=spec)
    reads = count_reads(monkeypatch)
    assert_binarized(binarized_mnist.load(places, spec=spec), pixels)
    assert reads == []
    nowhere = Places("binarized_mnist", None, places.cache, download=False)
    assert_binarized(binarized_mnist.load(nowhere, spec=spec), pixels)  # the cache alone is enough


def test_a_changed_file_is_looked_at_again(local, monkeypatch):
    places, spec, contents, pixels = local
    binarized_mnist.load(places, spec=spec)
    reads = count_reads(monkeypatch)
    path = places.folder / spec.texts[1].name
    os.utime(path, ns=(1, 1))  # the same content, another time
    assert_binarized(binarized_mnist.load(places, spec=spec), pixels)
    assert path.name in reads
    path.write_bytes(path.read_bytes()[:-20])
    os.utime(path, ns=(1, 1))  # the same time, another size
    assert str(path) in refusal(binarized_mnist.load, places, spec=spec)
    path.unlink()  # the cache still has the values; a file less is not a wrong file
    assert_binarized(binarized_mnist.load(places, spec=spec), pixels)
    wrong = put(places.folder, spec.npz.name, HTML)  # and a wrong one of another form is not passed over
    assert str(wrong) in refusal(binarized_mnist.load, places, spec=spec)
    (places.cache / "packed.bits").unlink()
    put(places.folder, path.name, contents[path.name])
    assert str(wrong) in refusal(binarized_mnist.load, places, spec=spec)


@pytest.mark.parametrize("damage", ["flip", "short", "long", "empty", "gone", "folder"])
def test_damaged_cache_is_rebuilt_silently(local, damage, capfd):
    places, spec, _, pixels = local
    binarized_mnist.load(places, spec=spec)
    bits = places.cache / "packed.bits"
    good = bits.read_bytes()
    bits.unlink()
    if damage == "folder":
        bits.mkdir()
    elif damage != "gone":
        flipped = bytes([good[0] ^ 16]) + good[1:]
        bits.write_bytes({"flip": flipped, "short": good[:-1], "long": b"x" + good, "empty": b""}[damage])
    assert_binarized(binarized_mnist.load(places, spec=spec), pixels)
    assert damage == "folder" or bits.read_bytes() == good
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("text", ["", "[", "5", "null", '{"a": 1}', "[[1]]", "\ufffd"])
def test_damaged_record_of_verified_files(local, text):
    places, spec, _, pixels = local
    binarized_mnist.load(places, spec=spec)
    (places.cache / "verified.json").write_text(text, encoding="utf-8")
    assert_binarized(binarized_mnist.load(places, spec=spec), pixels)
    assert len(json.loads((places.cache / "verified.json").read_text())) == 3


def test_unwritable_cache_is_not_fatal(local, tmp_path):
    places, spec, _, pixels = local
    blocked = put(tmp_path, "blocked", b"") / "cache"  # a folder inside a file can never be made, by root neither
    for _ in range(2):
        places = Places("binarized_mnist", places.folder, blocked, download=False)
        assert_binarized(binarized_mnist.load(places, spec=spec), pixels)
    assert everything(tmp_path / "data") == [file.name for file in sorted(spec.texts, key=lambda file: file.name)]


def test_binarized_download_keeps_the_bits_alone(host, cache):
    contents, spec, pixels = small_binarized(host.url)
    host.pages["/" + spec.npz.name] = (200, contents[spec.npz.name])
    assert_binarized(binarized_mnist.load(Places("binarized_mnist", None, cache), spec=spec), pixels)
    assert host.asked == ["/" + spec.npz.name] and everything(cache) == ["packed.bits", "verified.json"]
    assert_binarized(binarized_mnist.load(Places("binarized_mnist", None, cache), spec=spec), pixels)
    assert len(host.asked) == 1


def test_binarized_texts_when_the_mirror_is_gone(host, tmp_path, cache):
    """The texts that the user has already are not downloaded."""
    contents, spec, pixels = small_binarized(host.url)
    for file in spec.texts:
        host.pages["/" + file.name] = (200, contents[file.name])
    put(tmp_path / "data", spec.texts[0].name, contents[spec.texts[0].name])
    assert_binarized(binarized_mnist.load(Places("binarized_mnist", tmp_path / "data", cache), spec=spec), pixels)
    assert host.asked == ["/" + file.name for file in (spec.npz, *spec.texts[1:])]
    assert everything(cache) == ["packed.bits", "verified.json"]


def test_real_binarized_mnist(cache):
    real("binarized_mnist")
    dataset = data.load("binarized_mnist", REAL, download=False)
    assert [len(dataset.train), len(dataset.valid), len(dataset.test)] == [50000, 10000, 10000]
    start = time.perf_counter()
    again = data.load("binarized_mnist", REAL, download=False)
    assert time.perf_counter() - start < 0.5
    indices = np.random.default_rng(0).permutation(50000)[:128]
    np.testing.assert_array_equal(again.train.batch(indices), dataset.train.batch(indices))
    start = time.perf_counter()
    for _ in range(20):
        again.train.batch(indices)
    assert (time.perf_counter() - start) / 20 < 2e-3  # seconds; 0.1 ms on an idle core
    assert abs(data.mean_image(dataset.train).mean() - 0.13056) < 1e-5
    path = next(path for path in (Path(REAL) / "binarized_mnist").iterdir() if "test.amat" in path.name)
    with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as text:
        row = np.array(text.readline().split(), np.float32)  # the first image, read as text
    np.testing.assert_array_equal(dataset.test.batch([0])[0].ravel(), row)
