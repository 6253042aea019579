"""Archives: members of all kinds, those that are refused, and damaged ones."""

import gzip
import tarfile

import numpy as np
import pytest
from support.files import HTML, everything, put, refusal, special, tar

from minidraw.data import tars


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
        (special("train/1.png", tarfile.BLKTYPE), "neither file nor folder"),
        (special("train/1.png", b"?"), "neither file nor folder"),
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
