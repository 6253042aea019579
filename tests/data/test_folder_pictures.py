"""Pictures of all kinds and sizes as a data set, and those that cannot be read."""

import io
import os
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image
from support.files import HTML, everything, put, refusal
from support.pictures import assert_same_images, fill, load, noise, pixels, sizes

from minidraw.data import folder
from minidraw.data.folder import listing
from minidraw.data.folder import sizes as folder_sizes


@pytest.mark.parametrize(
    ("mode", "ending", "channels"), [("RGB", ".png", 3), ("L", ".png", 1), ("L", ".TIFF", 1), ("RGB", ".webp", 3)]
)
def test_pictures_of_one_size_stay_as_they_are(tmp_path, cache, mode, ending, channels, monkeypatch):
    images = fill(tmp_path / "a", mode=mode, ending=ending)
    dataset = load(tmp_path / "a")
    assert sum(sizes(dataset)) == 23 and min(sizes(dataset)) > 0
    assert dataset.train.shape == (channels, 7, 9) and dataset.train.labels is None
    assert dataset.name == f"folder:{tmp_path / 'a'}" and "9 x 7 pixels" in dataset.note
    assert_same_images(dataset, images)
    monkeypatch.setattr(folder, "Pictures", None)  # the second time from the cache
    again = load(tmp_path / "a")
    np.testing.assert_array_equal(pixels(again), pixels(dataset))
    assert vars(again).keys() == vars(dataset).keys()
    for field in ("name", "note", "classes", "remarks", "identity", "preparation"):
        assert getattr(again, field) == getattr(dataset, field), field
    assert len([name for name in everything(cache) if name.endswith(".npy")]) == 1


def test_pictures_below_and_what_is_no_picture(tmp_path):
    fill(tmp_path / "a", 8)
    fill(tmp_path / "a/sub/sub", 7)
    fill(tmp_path / "a/.hidden", 6)
    for name in ("readme.txt", ".DS_Store", "Thumbs.db", "._000.png", "noending"):
        put(tmp_path / "a", name, HTML)
    os.symlink(tmp_path / "a", tmp_path / "a" / "loop")
    os.mkfifo(tmp_path / "a" / "pipe.png")
    fill(tmp_path / "elsewhere", 4)
    os.symlink(tmp_path / "elsewhere", tmp_path / "a" / "linked")
    os.symlink(tmp_path / "elsewhere", tmp_path / "a" / "linked again")
    for name in ("1.HEIC", "2.heic", "a.svg", "film.mp4"):
        put(tmp_path / "a", name, HTML)
    found = listing.find(tmp_path / "a")
    names = found.pictures
    assert len(names) == 19 and names == sorted(names) and {"sub/sub/006.png", "linked/003.png"} <= {*names}
    dataset = load(tmp_path / "a")
    assert len(pixels(dataset)) == 19
    (told,) = [remark for remark in dataset.remarks if remark.startswith("left out: ")]
    for part in ("2 .heic (pip install pillow-heif)", "1 .txt", "1 without an ending", "1 .svg (no pixels", "(a film"):
        assert part in told
    assert "hidden" not in told and "Thumbs" not in told


def test_folders_that_cannot_be_read_are_named(tmp_path, monkeypatch):
    fill(tmp_path / "a", 12)
    fill(tmp_path / "a" / "private", 3)
    scan = os.scandir

    def closed(path):
        if str(path).endswith("private"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", closed)  # the superuser may read anything
    dataset = load(tmp_path / "a")
    assert sum(sizes(dataset)) == 12
    assert "left out: 1 folder that cannot be read: private" in dataset.remarks


def test_sizes(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_sizes, "FEW", 0)
    fill(tmp_path / "equal", size=(128, 20))
    assert load(tmp_path / "equal").train.shape == (3, 20, 128)
    fill(tmp_path / "large", 10, size=(129, 70))
    assert load(tmp_path / "large").train.shape == (3, 35, 64)
    fill(tmp_path / "mixed", 20, size=(30, 40))
    noise(0, 500, 500).save(tmp_path / "mixed/z.png")
    dataset = load(tmp_path / "mixed")
    assert dataset.train.shape == (3, 40, 30)
    assert dataset.remarks[:2] == (
        "resized to 30x40 pixels: 1 of 21 from 500x500 (size=WIDTHxHEIGHT)",
        "cropped: of 1 of 21 pictures more than a tenth is cut away, up to 25 % (fit=pad keeps them whole, fit=stretch "
        "too but out of shape)",
    )
    for i in range(20):
        noise(i, 41, 29).save(tmp_path / "mixed" / f"wide{i}.png")
    assert load(tmp_path / "mixed").train.shape == (3, 30, 30)  # neither this aspect nor that
    assert load(tmp_path / "mixed", "?size=12").train.shape == (3, 12, 12)
    assert load(tmp_path / "mixed", "?grey=1&size=12x5").train.shape == (1, 5, 12)


def test_few_pictures_are_made_small(tmp_path, monkeypatch):
    fill(tmp_path / "icons", 12, size=(48, 30))
    assert load(tmp_path / "icons").train.shape == (3, 30, 48)
    fill(tmp_path / "few", 12, size=(80, 60))
    dataset = load(tmp_path / "few")
    assert dataset.train.shape == (3, 24, 32)
    assert dataset.remarks[0] == "resized to 32x24 pixels from 80x60, being few (size=WIDTHxHEIGHT)"
    assert load(tmp_path / "few", "?size=80x60").remarks[:1] != dataset.remarks[:1]
    fill(tmp_path / "mixed", 20, size=(20, 20))
    noise(0, 90, 90).save(tmp_path / "mixed/z.png")
    assert load(tmp_path / "mixed").remarks[0] == "resized to 20x20 pixels: 1 of 21 from 90x90 (size=WIDTHxHEIGHT)"
    monkeypatch.setattr(folder_sizes, "FEW", 12)  # and 12 are many
    fill(tmp_path / "many", 12, size=(80, 60))
    assert load(tmp_path / "many").train.shape == (3, 60, 80)
    fill(tmp_path / "other", 20, size=(32, 24))
    noise(0, 64, 48).save(tmp_path / "other/z.png")
    assert load(tmp_path / "other").remarks[0] == "resized to 32x24 pixels: 1 of 21 from 64x48 (size=WIDTHxHEIGHT)"


def test_aspect_is_kept_and_the_centre_is_shown(tmp_path):
    """A white disc in the middle of wide and of high pictures stays a disc in the middle."""
    y, x = np.indices((200, 200)) - 99.5
    disc = np.uint8(255) * (x**2 + y**2 < 60**2).astype(np.uint8)
    for i in range(10):
        wide = np.pad(disc, ((0, 0), (10 * i + 3, 10 * i + 3)))
        Image.fromarray(wide if i % 2 else wide.T).save(put(tmp_path / "a", f"{i}.png", b""))
    train = load(tmp_path / "a", "?size=50").train
    batch = train.batch(np.arange(len(train)))
    y, x = np.indices((50, 50)) - 24.5
    assert np.abs(batch - (x**2 + y**2 < 15**2)).mean() < 0.02
    np.testing.assert_allclose(batch, batch[..., ::-1], atol=0.02)


@pytest.mark.parametrize(("orientation", "quarters"), [(6, -1), (8, 1), (3, 2)])
def test_cameras_held_upright(tmp_path, orientation, quarters):
    """EXIF's orientation counts, for the size too."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    images = fill(tmp_path / "a", 12, exif=exif)
    assert_same_images(load(tmp_path / "a"), [np.rot90(image, quarters) for image in images])


def test_odd_kinds_of_pictures(tmp_path):
    """16 bits, palettes, transparency, black and white, CMYK, moving ones: what the eye sees."""
    ramp = np.arange(63, dtype=np.uint8).reshape(7, 9) * 4
    deep = Image.fromarray(ramp.astype(np.uint16) * 257)
    for i in range(10):
        deep.save(put(tmp_path / "deep", f"{i}.png", b""))
    dataset = load(tmp_path / "deep")
    np.testing.assert_array_equal(pixels(dataset), [ramp[None]] * 10)
    clear = np.dstack([ramp, ramp, ramp, np.where(np.arange(63).reshape(7, 9) % 2, 255, 0).astype(np.uint8)])
    for i in range(10):
        Image.fromarray(clear).save(put(tmp_path / "clear", f"{i}.png", b""))
    shown = np.where(clear[..., 3] > 0, ramp, 255)  # on white
    np.testing.assert_array_equal(pixels(load(tmp_path / "clear")), [[shown] * 3] * 10)
    odd = tmp_path / "odd"
    odd.mkdir()
    noise(0).convert("P").save(odd / "0.gif")
    noise(1).convert("1").save(odd / "1.bmp")
    noise(2).convert("CMYK").save(odd / "2.jpg")
    noise(3).convert("LA").save(odd / "3.png")
    noise(4).convert("PA").convert("RGBA").save(odd / "4.tga")
    noise(5).save(odd / "5.gif", save_all=True, append_images=[noise(6)])
    noise(6).convert("P").save(odd / "6.png", transparency=3)
    noise(7).save(odd / "7.ppm")
    noise(8).save(odd / "8.jp2")
    noise(9).convert("I").save(odd / "9.tif")
    assert load(odd).train.shape == (3, 7, 9)
    assert load(odd, "?grey=1").train.shape == (1, 7, 9)


def bomb() -> bytes:
    """A PNG of 20,000 x 20,000 pixels in 50 kB: 400 million pixels, at which Pillow itself stops."""
    return png_of(20000, 20000)


def png_of(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = zlib.compress(bytes((width // 8 + 1) * 100))  # far too few, as nobody is to read them
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def encoded(kind: str) -> bytes:
    out = io.BytesIO()
    noise(0, 60, 50).save(out, kind)
    return out.getvalue()


BAD_PICTURES = {
    "html.png": HTML,
    "empty.jpg": b"",
    "cut.jpg": encoded("JPEG")[:-500],
    "header.jpg": encoded("JPEG")[:50],
    "cut.png": encoded("PNG")[:-300],
    "bomb.png": bomb(),
    "smaller bomb.png": png_of(10000, 10000),  # 100 million pixels, at which Pillow would only warn
    "postscript.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",  # would start Ghostscript
    "wide.svg.gif": b"GIF89a\xff\xff",
    "archive.tif": b"II*\x00\xff\xff\xff\xff",
}


@pytest.mark.parametrize("name", BAD_PICTURES)
def test_unreadable_pictures_are_named(tmp_path, cache, name):
    fill(tmp_path / "a", 12)
    put(tmp_path / "a", name, BAD_PICTURES[name])
    start = time.perf_counter()
    message = refusal(load, tmp_path / "a")
    assert message.startswith(f"{tmp_path / 'a'} holds a picture that cannot be read: {name} (")
    assert message.endswith(f"go on without them: 'folder:{tmp_path / 'a'}?broken=skip'")
    assert time.perf_counter() - start < 2 and (not cache.exists() or everything(cache) == ["folder"])
    dataset = load(tmp_path / "a", "?broken=skip")
    assert sum(sizes(dataset)) == 12 and f"left out: 1 that cannot be read: {name} (" in dataset.remarks[-1]


def test_all_that_is_broken_is_named_at_once(tmp_path):
    fill(tmp_path / "a", 12)
    os.symlink(tmp_path / "gone", tmp_path / "a" / "b.png")
    assert "b.png (a link to nothing" in refusal(load, tmp_path / "a")
    put(tmp_path / "a", "html.png", HTML)
    put(tmp_path / "a" / "sub", "cut.png", encoded("PNG")[:-300])
    message = refusal(load, tmp_path / "a")
    assert "holds 3 pictures" in message and "html.png (no picture, or" in message and "sub/cut.png (" in message
    for i in range(3):
        put(tmp_path / "a", f"z{i}.png", HTML)
    assert "and 3 more; mend" in refusal(load, tmp_path / "a")
    assert sum(sizes(load(tmp_path / "a", "?broken=skip"))) == 12
