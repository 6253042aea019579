"""Large files: verified, downloaded in parts, prepared once in the cache; tar archives with all kinds of members."""

import gzip
import json
import os
import tarfile
import time

import numpy as np
import pytest
from support.files import HTML, everything, official_file, put, refusal, special, tar

from minidraw.data import large, prepared, tars
from minidraw.data.places import Places
from minidraw.errors import UserError


def read_all(path, most=100) -> list:
    return [(name, content.read()) for name, content in tars.members(path, lambda name: most * name.endswith(".png"))]


def test_members(tmp_path, monkeypatch):
    content = tar([("train", None), ("train/1.png", b"one"), ("train/notes", bytes(500)), ("train/2.png", b"")])
    path = put(tmp_path, "a.tar.gz", content)
    wanted = [("train/1.png", b"one"), ("train/2.png", b"")]
    assert read_all(path) == wanted
    monkeypatch.setattr(tars, "SMALL", 2)  # bytes: the first is then in a temporary file
    assert read_all(path) == wanted and everything(tmp_path) == ["a.tar.gz"]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (("../evil.png", b"x"), "a name outside of it"),
        (("train/../../evil", b"x"), "a name outside of it"),
        (("/etc/evil.png", b"x"), "a name outside of it"),
        (("..\\evil.png", b"x"), "a name outside of it"),
        (special("train/1.png", tarfile.SYMTYPE, "/etc/passwd"), "neither file nor folder"),
        (special("train/1.png", tarfile.LNKTYPE, "../evil"), "neither file nor folder"),
        (special("train/1.png", tarfile.FIFOTYPE), "neither file nor folder"),
        (special("train/1.png", tarfile.CHRTYPE), "neither file nor folder"),
        (("train/1.png", bytes(101)), "of 101 bytes, more than 100"),
    ],
)
def test_members_that_are_refused(tmp_path, entry, reason, monkeypatch):
    (tmp_path / "inside").mkdir()
    monkeypatch.chdir(tmp_path / "inside")
    path = put(tmp_path, "a.tar.gz", tar([("train/0.png", b"good"), entry]))
    message = refusal(read_all, path)
    assert str(path) in message and repr(entry[0]) in message and reason in message
    assert everything(tmp_path) == ["a.tar.gz", "inside"]  # nothing was written anywhere


@pytest.mark.parametrize("damage", ["cut", "cut short", "flipped", "html", "empty", "gz of html", "checksum"])
def test_damaged_archives_are_refused(tmp_path, damage):
    noise = np.random.default_rng(0).bytes(3000)
    good = tar([("1.png", noise[:99]), ("2.png", noise[:98]), ("notes", noise)])
    content = {
        "cut": good[: len(good) // 2],
        "cut short": good[:-9],
        "flipped": good[:900] + bytes([good[900] ^ 255]) + good[901:],
        "html": HTML,
        "empty": b"",
        "gz of html": gzip.compress(HTML),
        "checksum": good[:-8] + bytes(8),
    }[damage]
    path = put(tmp_path, "a.tar.gz", content)
    message = refusal(read_all, path)
    assert message.startswith(f"{path} is damaged") and "get it again" in message
    assert "cannot read" in refusal(read_all, tmp_path / "missing.tar.gz")


def test_members_of_a_large_archive_stay_out_of_memory(tmp_path):
    import tracemalloc

    path = put(tmp_path, "a.tar.gz", tar([(f"{i}.bin", bytes(1 << 20)) for i in range(40)] + [("1.png", b"x")]))
    tracemalloc.start()
    assert read_all(path) == [("1.png", b"x")]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


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
    monkeypatch.setattr(large, "_sha256", forbidden)
    (again,) = prepare(places, file, make=forbidden)  # nor is the file read
    np.testing.assert_array_equal(again.array, first.array)
    (again,) = prepare(Places("x", None, cache, download=False), file, make=forbidden)
    assert again.official  # what was prepared from the official file stands for it
    monkeypatch.undo()
    os.utime(path, ns=(1, 1))
    assert prepare(places, file, make=forbidden)[0].official  # looked at again, but not made again
    path.write_bytes(b"7778")
    message = refusal(prepare, places, file)
    assert message.startswith(f"{path} is a damaged train.bin: its SHA-256")
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
    old, young = (put(cache, f".{name}.npy.1.tmp", b"x") for name in ("old", "young"))
    os.utime(old, (time.time() - 7200,) * 2)
    put(tmp_path, "train.bin", b"7777")
    prepare(Places("x", tmp_path, cache), official_file("train.bin", b"7777"))
    assert not old.exists() and young.exists()


@pytest.mark.parametrize("text", ["", "[", "5", '{"a": 1}', "[[1]]", '[1, ["a", 2]]'])
def test_damaged_record_of_verified_files(tmp_path, cache, text):
    put(cache, "verified.json", text.encode())
    path = put(tmp_path, "train.bin", b"7777")
    assert large.is_official(path, official_file("train.bin", b"7777"), cache)
    assert json.loads((cache / "verified.json").read_text()) == [large.stamp(path)]


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


def test_host_that_cannot_go_on_begins_anew(host, cache):
    file = official_file("train.bin", CONTENT, host.url + "/train.bin")
    host.pages["/train.bin"] = (200, CONTENT)
    put(cache, ".train.bin.part", b"something else")
    assert prepare(Places("x", None, cache), file)[0].official
    put(cache, ".train.bin.part", bytes(len(CONTENT)))  # complete, but wrong: found out, and removed
    (cache / "train.npy").unlink()
    assert "SHA-256" in refusal(prepare, Places("x", None, cache), file)
    assert everything(cache) == [] and len(host.asked) == 1
    assert prepare(Places("x", None, cache), file)[0].official


@pytest.mark.parametrize(
    ("body", "reason"),
    [(HTML, "it holds 64 bytes"), (CONTENT + b"x", "more than"), (CONTENT[:-1] + b"x", "SHA-256"), (b"", "0 bytes")],
)
def test_wrong_download_is_refused(host, cache, body, reason):
    host.pages["/train.bin"] = (200, body)
    message = refusal(prepare, Places("x", None, cache), official_file("train.bin", CONTENT, host.url + "/train.bin"))
    assert reason in message and "could not be downloaded" in message and everything(cache) == []


def test_archive_whose_gzip_a_host_calls_an_encoding(cache, tmp_path):
    """It is kept as it comes: the archive's checksum is that of the gzip."""
    import http.server
    import threading

    content = gzip.compress(CONTENT[:1000])

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Encoding", "x-gzip")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/a.tar.gz"
        assert large.download(official_file("a.tar.gz", content, url), cache).read_bytes() == content
        thread.join()


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
        assert "train.bin" in refusal(prepare, Places("x", None, cache, download=False), file)
