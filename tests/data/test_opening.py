"""Picture files from anywhere: in few formats, as large inside as they say, and without a library's warning."""

import io
import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image
from support.files import put, refusal
from support.pictures import fill, load, pixels

from minidraw.data.folder import listing, opening
from minidraw.errors import UserError
from minidraw.pictures import photos

LARGE = 64 * 64  # pixels: the most, in these tests


def saved(picture: Image.Image, kind: str, **more) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **more)
    return out.getvalue()


def ico(inside: bytes) -> bytes:
    """An icon that claims to be of 1x1 pixels."""
    return struct.pack("<3H4B2H2I", 0, 1, 1, 1, 1, 0, 0, 1, 32, len(inside), 22) + inside


def tiff(side: int) -> bytes:
    """A picture of 1x1 pixels in a tile of side x side."""
    content = zlib.compress(bytes(side * side))
    tags = [(256, 1), (257, 1), (258, 8), (259, 8), (262, 1), (277, 1), (322, side), (323, side), (324, 134)]
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in [*tags, (325, len(content))]]
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(entries) + bytes(4) + content


def gif(side: int) -> bytes:
    """A screen of 1x1 pixels on which stands a frame of side x side."""
    content = saved(Image.new("L", (side, side)), "GIF")
    return content[:6] + struct.pack("<HH", 1, 1) + content[10:]


LARGER_INSIDE = {
    "a.ico": lambda side: ico(saved(Image.new("L", (side, side)), "PNG")),
    "a.tif": tiff,
    "a.gif": gif,
    "a.png": lambda side: saved(Image.new("L", (side, side)), "PNG"),
}


@pytest.mark.parametrize("name", LARGER_INSIDE)
def test_what_is_larger_inside_than_may_be_is_not_taken(tmp_path, monkeypatch, name):
    monkeypatch.setattr(opening, "MOST_PIXELS", LARGE)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # or Pillow helps
    path = put(tmp_path, name, LARGER_INSIDE[name](65))
    with pytest.raises(UserError, match="it has 65x65 pixels; make it smaller first"):
        photos.open_picture(str(path), "L")
    fill(tmp_path / "a", 12)
    put(tmp_path / "a", name, path.read_bytes())
    assert f"{name} (it has 65x65 pixels; make it smaller first)" in refusal(load, tmp_path / "a")
    path.write_bytes(LARGER_INSIDE[name](64))
    assert photos.open_picture(str(path), "L").width in (1, 64)


def test_a_later_frame_is_measured_too(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "MOST_PIXELS", LARGE)
    fill(tmp_path / "a", 12)
    small, large = Image.new("L", (9, 9)), Image.new("L", (65, 65))
    small.save(tmp_path / "a" / "pages.tif", save_all=True, append_images=[large])
    assert "pages.tif (it has 65x65 pixels; make it smaller first)" in refusal(load, tmp_path / "a")
    assert len(pixels(load(tmp_path / "a", "?frames=first"))) == 13


def test_a_format_that_runs_a_program_or_is_obscure_is_not_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("a program was started"))
    contents = {
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
        "PSD": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 9, 9, 8, 3) + bytes(300),
        "XPM": b'/* XPM */\nstatic char *a[] = {"1 1 1 1", "a c #000000", "a"};',
        "PCX": saved(Image.new("L", (9, 9)), "PCX"),
        "DDS": saved(Image.new("RGB", (9, 9)), "DDS"),
    }
    for content in contents.values():
        path = put(tmp_path, "a.png", content)
        with pytest.raises(UserError, match=r"a\.png: no picture, or in a format that is not read here"):
            photos.open_picture(str(path), "L")
    fill(tmp_path / "a", 12)
    for name in ("a.eps", "b.ps", "c.psd", "d.icns", "e.dds", "f.fits"):
        put(tmp_path / "a", name, contents["PostScript"])
    found = listing.find(tmp_path / "a")
    assert len(found.pictures) == 12 and "1 .psd (save as .png)" in found.left_out()
    assert {"PNG", "JPEG", "GIF", "TIFF", "BMP", "PPM", "ICO"} <= {*opening.formats()}
    assert not {"EPS", "PDF", "WMF", "FITS", "PSD", "ICNS", "MIC", "FPX"} & {*opening.formats()}


def odd_pictures() -> dict[str, bytes]:
    """Files of which Pillow warns, or which make NumPy warn, and what is thought of them."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "x" * 200
    whole = saved(Image.new("RGB", (40, 40), (10, 200, 30)), "JPEG", exif=exif)
    at = whole.index(b"Exif")
    palette = Image.new("P", (20, 20))
    palette.putpalette(list(range(256)) * 3)
    values = np.zeros((20, 20), np.float32)
    floats = [Image.fromarray(np.where(values == values[0, 0], np.float32(v), values)) for v in (np.nan, np.inf, 3e38)]
    return {
        "exif.jpg": whole[: at + 10] + b"\xff" * 20 + whole[at + 30 :],
        "tags.jpg": whole[: at + 14] + b"\x00\xff\xff\xff" + whole[at + 18 :],
        "palette.png": saved(palette, "PNG", transparency=bytes(range(200))),
        "deep.png": saved(Image.fromarray(np.arange(400, dtype=np.uint16).reshape(20, 20) * 99), "PNG"),
        "cmyk.jpg": saved(Image.new("CMYK", (20, 20), (1, 2, 3, 4)), "JPEG"),
        "icon.ico": ico(saved(Image.new("RGBA", (20, 20)), "PNG")),
    } | {f"{k}.tif": saved(picture, "TIFF") for k, picture in enumerate(floats)}


@pytest.mark.parametrize("name", odd_pictures())
def test_an_odd_picture_is_read_or_refused_in_a_line_and_warns_of_nothing(tmp_path, name):
    path = put(tmp_path, name, odd_pictures()[name])
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        if name.endswith(".tif"):
            assert "cannot read the picture" in refusal(photos.read_digit, str(path))
        else:
            assert photos.read_digit(str(path))[0].shape == (1, 28, 28)
    assert not shown


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(UserError, match="it is no file"):
        photos.open_picture(str(tmp_path / "a.png"), "L")
    os.symlink("/dev/zero", tmp_path / "b.png")
    with pytest.raises(UserError, match="it is no file"):
        photos.open_picture(str(tmp_path / "b.png"), "L")
