"""Data sets prepared once in the cache: from official files and others, downloaded or not, and what is left over."""

import contextlib
import os
from pathlib import Path

import numpy as np
import pytest
from support.files import HTML, everything, official_file, put, refusal

from minidraw.data import official, prepared
from minidraw.data.places import Places
from minidraw.errors import UserError
from minidraw.files import whole

ROW = (2, 3)


def count_up(path, n=5):
    """Make n rows that all hold the file's first byte, in two blocks, the last first."""
    value = path.read_bytes()[0]

    def blocks():
        yield 2, np.full((n - 2, *ROW), value, np.uint8)
        yield 0, np.full((2, *ROW), value + 1, np.uint8)

    return n, blocks()


def prepare(places, *files, make=count_up, **kwargs):
    return prepared.prepare(places, files, ROW, make, version=1, **kwargs)


def forbidden(*args):
    raise AssertionError("it was made again")


def test_prepared_once(tmp_path, cache, monkeypatch):
    file = official_file("train.bin", b"7777")
    path = put(tmp_path / "data", "train.bin", b"7777")
    places = Places("x", tmp_path / "data", cache, download=False)
    (first,) = prepare(places, file)
    assert first.official and first.array.shape == (5, *ROW) and first.array[0, 0, 0] == ord("7") + 1
    assert everything(cache) == ["train.npy", "verified.json"]
    np.testing.assert_array_equal(np.load(cache / "train.npy"), first.array)  # an .npy file like any other
    monkeypatch.setattr(official, "_chunks", forbidden)
    (again,) = prepare(places, file, make=forbidden)  # nor is the file read
    np.testing.assert_array_equal(again.array, first.array)
    (again,) = prepare(Places("x", None, cache, download=False), file, make=forbidden)
    assert again.official  # what was prepared from the official file stands for it
    monkeypatch.undo()
    os.utime(path, ns=(1, 1))
    assert prepare(places, file, make=forbidden)[0].official  # looked at again, but not made again
    path.write_bytes(b"7778")
    message = refusal(prepare, places, file)
    assert message.startswith(f"{path} is not the official train.bin: its SHA-256") and "delete" not in message
    with pytest.raises(AssertionError):
        prepared.prepare(Places("x", None, cache), (file,), ROW, None, 2, ready=forbidden)  # another version
    assert everything(cache) == ["train.npy", "verified.json"]


def test_files_of_somebodys_own(tmp_path, cache):
    """Each has an array of its own, beside the official one, and is made again when it changes."""
    file = official_file("train.bin", b"7777")
    folders = [tmp_path / name for name in "abc"]
    for folder, content in zip(folders, (b"7777", b"1", b"2"), strict=True):
        put(folder, "train.bin", content)
    for make in (count_up, forbidden):
        results = [prepare(Places("x", folder, cache, download=False), file, make=make)[0] for folder in folders]
        assert [result.official for result in results] == [True, False, False]
        assert [chr(result.array[-1, 0, 0]) for result in results] == ["7", "1", "2"]
    assert len(list(cache.glob("*.npy"))) == 3
    put(folders[1], "train.bin", b"33")
    assert chr(prepare(Places("x", folders[1], cache), file)[0].array[-1, 0, 0]) == "3"
    assert len(list(cache.glob("*.npy"))) == 3
    message = refusal(prepare, Places("x", folders[1], cache), file, strict=True)
    assert message.startswith(f"{folders[1] / 'train.bin'} is not the official train.bin: it holds 2 bytes, not 4")
    assert message.endswith("name another --data-dir") and "delete" not in message


@pytest.mark.parametrize(
    "damage", ["cut", "empty", "rubbish", "footer", "other", "header", "syntax", "key", "old", "folder"]
)
def test_damaged_prepared_file_is_made_again(tmp_path, cache, damage):
    file = official_file("train.bin", b"7777")
    put(tmp_path, "train.bin", b"7777")
    places = Places("x", tmp_path, cache, download=False)
    wanted = prepare(places, file)[0].array.copy()
    path = cache / "train.npy"
    good = path.read_bytes()
    spoilt = {
        "cut": good[:140],
        "empty": b"",
        "rubbish": HTML * 10,
        "footer": good[:-3],
        "other": good.replace(b'"version": 1', b'"version": 0'),
        "header": good.replace(b"(5, 2, 3)", b"(5, 3, 2)"),
        "syntax": good.replace(b"False", b"(alse"),
        "key": good.replace(b" 'shape'", b"b'shape'"),
        "old": good.replace(b"(5, 2, 3)", b"(5L,2, 3)"),  # what NumPy warns of
        "folder": b"",
    }[damage]
    path.unlink()
    path.mkdir() if damage == "folder" else path.write_bytes(spoilt)
    if damage == "folder":
        assert "MINIDRAW_CACHE" in refusal(prepare, places, file)
        return
    np.testing.assert_array_equal(prepare(places, file)[0].array, wanted)
    assert path.read_bytes() == good


@pytest.mark.parametrize("problem", [UserError("a wrong picture"), KeyboardInterrupt(), OSError(28, "No space left")])
def test_what_fails_leaves_nothing(tmp_path, cache, problem):
    def make(path):
        def blocks():
            yield 0, np.zeros((1, *ROW), np.uint8)
            raise problem

        return 5, blocks()

    put(tmp_path, "train.bin", b"1")
    with pytest.raises((UserError, KeyboardInterrupt)) as caught:
        prepare(Places("x", tmp_path, cache), official_file("train.bin", b"7777"), make=make)
    assert everything(cache) == [] and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "blocks",
    [
        [],
        [(0, np.zeros((4, *ROW), np.uint8))],
        [(1, np.zeros((5, *ROW), np.uint8))],
        [(0, np.zeros((5, 3, 2), np.uint8))],
        [(0, np.zeros((5, *ROW)))],
    ],
)
def test_rows_that_are_missing_or_wrong(tmp_path, blocks):
    with pytest.raises(ValueError, match="row"):
        prepared.write(tmp_path / "x.npy", {}, ROW, 5, iter(blocks))
    assert everything(tmp_path) == []


def test_no_room_and_no_place(tmp_path, cache, monkeypatch):
    put(tmp_path, "train.bin", b"1")
    file = official_file("train.bin", b"7777")
    blocked = put(tmp_path, "blocked", b"") / "cache"
    assert "let MINIDRAW_CACHE name" in refusal(prepare, Places("x", tmp_path, blocked), file)
    usage = prepared.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(prepared.shutil, "disk_usage", lambda path: usage._replace(free=29))
    assert "room for 0.0 GB" in refusal(prepare, Places("x", tmp_path, cache), file)
    assert everything(cache) == []


def test_abandoned_files_are_removed_but_not_those_under_way(tmp_path, cache):
    put(tmp_path, "train.bin", b"7777")
    put(cache, ".other.npy.1.tmp", b"x")
    with contextlib.suppress(KeyboardInterrupt), whole(cache / "mine.npy") as file:
        under_way = Path(file.name)
        prepare(Places("x", tmp_path, cache), official_file("train.bin", b"7777"))
        assert under_way.exists() and not (cache / ".other.npy.1.tmp").exists()
        raise KeyboardInterrupt  # and so it is removed


CONTENT = np.random.default_rng(3).bytes(3 << 20)


def test_download_is_prepared_and_removed(host, cache, capfd):
    host.pages["/train.bin"] = (200, CONTENT)
    file = official_file("train.bin", CONTENT, host.url + "/gone", host.url + "/train.bin")
    assert prepare(Places("x", None, cache), file)[0].official
    assert host.asked == ["/gone", "/train.bin"] and everything(cache) == ["train.npy"]
    out, err = capfd.readouterr()
    assert out == "" and err.splitlines() == [f"downloading {host.url}{path}" for path in host.asked]
    assert prepare(Places("x", None, cache, download=False), file)[0].official


def test_broken_download_goes_on(host, cache):
    file = official_file("train.bin", CONTENT, host.url + "/train.bin")
    host.pages["/train.bin"], host.cut, host.resumes = (200, CONTENT), 1 << 20, True
    for _ in range(2):
        message = refusal(prepare, Places("x", None, cache), file)
        assert "of 3145728 bytes; the same command goes on" in message and host.url in message
    host.cut = None
    assert prepare(Places("x", None, cache), file)[0].official
    assert host.asked == ["/train.bin", "/train.bin bytes=1048576-", "/train.bin bytes=2097152-"]
    assert everything(cache) == ["train.npy"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [(HTML, "it holds 64 bytes"), (CONTENT + b"x", "more than"), (CONTENT[:-1] + b"x", "SHA-256"), (b"", "0 bytes")],
)
def test_wrong_download_is_refused(host, cache, body, reason):
    host.pages["/train.bin"] = (200, body)
    message = refusal(prepare, Places("x", None, cache), official_file("train.bin", CONTENT, host.url + "/train.bin"))
    assert reason in message and "could not be downloaded" in message and everything(cache) == []


def test_offline_all_missing_files_are_named(tmp_path, cache):
    files = [official_file(name, b"x", f"http://h.invalid/{name}") for name in ("a.bin", "b.bin", "c.bin")]
    put(tmp_path, "b.bin", b"x")
    message = refusal(prepare, Places("x", tmp_path, cache, download=False), *files, make=forbidden)
    assert "a.bin, c.bin from http://h.invalid/" in message and str(tmp_path) in message


def test_archive_that_lies_in_the_cache_is_used(cache):
    file = official_file("train.bin", b"7777")
    put(cache, "train.bin", b"7777")
    assert prepare(Places("x", None, cache, download=False), file)[0].official
    for wrong in (b"7", b"7778"):
        (cache / "train.npy").unlink(missing_ok=True)
        put(cache, "train.bin", wrong)
        message = refusal(prepare, Places("x", None, cache, download=False), file)
        assert message.startswith(f"{cache / 'train.bin'}, in the cache, is ") and message.endswith("; delete it")
