"""What lies where a file is looked for, and is none, leads elsewhere, or is more than it says: nobody waits for it."""

import io
import os
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image
from support.files import official_file, put, refusal

from minidraw import data
from minidraw.data import __main__ as command
from minidraw.data import binarized_mnist, download, folder, locks, official, places, tars, verify
from minidraw.data.folder import preparation
from minidraw.data.folder.options import Options
from minidraw.errors import UserError

IMAGES = np.random.default_rng(5).integers(0, 256, (20, 4, 4), np.uint8)
CONTENT = np.random.default_rng(3).bytes(3000)
pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")


def npy(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def at_the_second_time(taken):
    """Return what takes a lock that somebody else holds at first."""
    first = iter([None])
    return lambda place: next(first, place) and taken(place)


def npz(path, packing=zipfile.ZIP_DEFLATED, **members: bytes) -> str:
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return f"folder:{path}"


def test_a_member_that_is_no_array(cache, tmp_path):
    """NumPy returns the bytes of such a one, or, without a look at its size, what it says that it is."""
    both = {"x": b"no array", "x.npy": npy(IMAGES)}
    assert data.load(npz(tmp_path / "a.npz", **both)).train.shape == (1, 4, 4)
    for name in ("x", "x.npy/"):
        assert "cannot be read as an array" in refusal(data.load, npz(tmp_path / "a.npz", **{name: npy(IMAGES)}))


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_that_is_unpacked_at_once(cache, tmp_path, packing):
    """For its first bytes alone: a hundred of these become gigabytes."""
    name = npz(tmp_path / "a.npz", packing, **{"x.npy": npy(IMAGES)})
    assert "packed in a way that NumPy does not use" in refusal(data.load, name)


@pytest.mark.parametrize("name", ["images", "labels"])
def test_more_axes_than_an_array_can_have(cache, tmp_path, name):
    put(tmp_path, "images-idx3-ubyte", bytes([0, 0, 8, 3, *(0, 0, 0, 20), *(0, 0, 0, 4) * 2]) + IMAGES.tobytes())
    put(tmp_path, f"{name}-idx3-ubyte", bytes([0, 0, 8, 255]) + bytes([0, 0, 0, 1]) * 254 + bytes([0, 0, 0, 20]) * 6)
    assert "is of 255 sizes" in refusal(data.load, f"folder:{tmp_path / 'images-idx3-ubyte'}")


@pipes
@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.csv", "x"])
def test_a_pipe_is_not_waited_for(cache, tmp_path, name):
    os.mkfifo(tmp_path / name)
    assert "is no file; save what comes out" in refusal(data.load, f"folder:{tmp_path / name}")


@pipes
@pytest.mark.parametrize("trap", [os.mkfifo, lambda path: os.symlink("/dev/zero", path)])
def test_a_trap_in_the_cache(cache, tmp_path, trap):
    np.save(tmp_path / "x.npy", IMAGES)
    data.load(f"folder:{tmp_path / 'x.npy'}")
    (path,) = (cache / "folder").glob("*.npy")
    path.unlink()
    trap(path)
    assert len(data.load(f"folder:{tmp_path / 'x.npy'}").train) and path.is_file()
    trap(cache / official.VERIFIED)
    assert not official.seen([["x", 1, 2]], cache)
    trap(cache / binarized_mnist.BITS)
    assert binarized_mnist._read_cache(places.Places("x", None, cache), binarized_mnist.OFFICIAL) is None


def test_a_record_that_is_no_record(cache):
    put(cache, official.VERIFIED, b"[" * 100_000)
    assert not official.seen([["x", 1, 2]], cache)


@pytest.mark.parametrize("name", [".train.bin.part", ".train.bin.part.new"])
@pytest.mark.parametrize("there", [True, False])
def test_a_download_is_not_written_through_a_link(host, cache, tmp_path, name, there):
    host.pages["/train.bin"], host.resumes = (200, CONTENT), True
    private = put(tmp_path, "private", CONTENT[:10]) if there else tmp_path / "private"
    put(cache, ".train.bin.part", b"something else")
    (cache / name).unlink(missing_ok=True)
    os.symlink(private, cache / name)
    path = download.download(official_file("train.bin", CONTENT, f"{host.url}/train.bin"), cache)
    assert path.read_bytes() == CONTENT and not path.is_symlink()
    assert private.read_bytes() == CONTENT[:10] if there else not private.exists()


def test_a_cache_that_cannot_be_read_is_not_called_good(cache, tmp_path, monkeypatch):
    """Nor is a file in it that takes all memory."""
    with pytest.raises(UserError, match=r"cannot read .*MINIDRAW_CACHE"):
        list(verify.verify(put(tmp_path, "file", b"")))
    with open(put(cache, binarized_mnist.BITS, b""), "wb") as file:
        file.truncate(1 << 40)
    ((_, fault),) = verify.verify(cache)
    assert "more than" in fault


@pytest.mark.skipif(os.name == "nt", reason="no such names on Windows")
def test_the_name_of_the_cache_is_written_out(tmp_path, monkeypatch, capsys):
    evil = tmp_path / "\x1b[2J\u202e"
    monkeypatch.setenv("MINIDRAW_CACHE", str(evil))
    np.save(tmp_path / "x.npy", IMAGES)
    name = f"folder:{tmp_path / 'x.npy'}"
    data.load(name)
    (path,) = (evil / "folder").glob("*.npy")
    content = bytearray(path.read_bytes())
    content[200] ^= 8
    path.write_bytes(content)
    data.load(name)
    assert command.main(["--verify"]) == 0
    monkeypatch.setattr(locks, "_taken", at_the_second_time(locks._taken))
    with locks.alone(evil / "x"):
        pass
    out, err = capsys.readouterr()
    assert "is damaged" in err and "waiting" in err and "nothing is damaged" in out
    assert not {"\x1b", "\u202e"} & {*out, *err}


def test_a_member_that_says_it_has_more_than_there_can_be(tmp_path):
    """Of one that is passed over tarfile looks for the end, and goes on where there is nothing."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        member = tarfile.TarInfo("x.png")
        member.pax_headers = {"size": str(1 << 62)}
        archive.addfile(member)
    path = put(tmp_path, "x.tar.gz", content.getvalue())
    assert "more than it can" in refusal(list, tars.members(path, lambda name: 0))


def test_large_pictures_are_not_all_in_memory_at_once(cache, tmp_path, monkeypatch):
    for k in range(10):
        Image.fromarray(IMAGES[k].repeat(100, 0).repeat(100, 1)).save(tmp_path / f"{k}.png")
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    listing = folder.listing.find(tmp_path)
    for most, cores in ((1 << 30, 16), (3 * 400 * 400, 3), (400 * 400, 1)):
        monkeypatch.setattr(folder.pictures, "MOST_PIXELS", most)
        assert folder.Pictures(tmp_path, listing, Options()).cores == cores


def test_a_large_picture_is_a_number_in_parts(monkeypatch):
    """Of eight bytes a pixel: values and light come out the same."""
    values = np.arange(60, dtype=np.uint16).reshape(20, 3)
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (20, 3, 4), np.uint8))
    wanted, light = preparation.scaled(values, 0, 59), preparation.light_seen(picture)
    monkeypatch.setattr(preparation, "ROWS", 7)
    sizes = []
    monkeypatch.setattr(np, "rint", lambda part, rint=np.rint: sizes.append(len(part)) or rint(part))
    assert (preparation.scaled(values, 0, 59) == wanted).all() and sizes == [7, 7, 6]
    np.testing.assert_allclose(preparation.light_seen(picture), light, rtol=1e-6)
