"""Photographs of digits become digits as MNIST has them: found, upright, thick enough, of 20 pixels, centred."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageDraw
from support.runs import environment

from minidraw.errors import UserError
from minidraw.pictures import photos

SEVEN = [((0, 0), (1, 0)), ((1, 0), (0.4, 1))]
BOX = (300, 150, 420, 330)  # in a picture of 600x500: left, top, right, bottom


def drawn(lines=SEVEN, ink=30, ground=235, width=24, box=BOX, size=(600, 500)) -> np.ndarray:
    """Return a picture, (rows, columns) bytes, of lines in a box."""
    picture = Image.new("L", size, ground)
    left, top, right, bottom = box
    for line in lines:
        points = [(left + (right - left) * x, top + (bottom - top) * y) for x, y in line]
        ImageDraw.Draw(picture).line(points, fill=ink, width=width)
    return np.array(picture)


def uneven(picture: np.ndarray) -> np.ndarray:
    """Put a picture in a light that falls to a half across it, and add noise."""
    rows, columns = picture.shape
    light = 1 - 0.5 * np.arange(columns) / columns * np.linspace(0.6, 1, rows)[:, None]
    noise = np.random.default_rng(0).normal(0, 4, picture.shape)
    return (picture * light + noise).clip(0, 255).astype(np.uint8)


def read(picture: np.ndarray | Image.Image, name: str = "a.png", **more) -> tuple[np.ndarray, str]:
    (Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture).save(name, **more)
    image, done = photos.read_digit(name)
    assert image.shape == (1, 28, 28) and image.dtype == np.float32 and 0 <= image.min() <= image.max() <= 1
    return image[0], done


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def plain():
    return read(drawn())[0]


def test_a_figure_is_20_pixels_with_its_mass_in_the_middle(plain):
    rows, columns = (np.flatnonzero(plain.max(axis=axis) > 0.3) for axis in (1, 0))
    assert np.ptp(rows) + 1 == 20 and 12 <= np.ptp(columns) + 1 <= 17
    mass = [float((plain.sum(axis=axis) * (np.arange(28) + 0.5)).sum() / plain.sum()) for axis in (0, 1)]
    assert mass == pytest.approx([14, 14], abs=0.51)  # to the whole pixel
    assert plain.max() == 1 and ((plain > 0.1) & (plain < 0.9)).any()  # grey edges
    assert abs(rows[0] - 4) >= 1  # a seven is heavy above: its box is not in the middle


def test_where_it_is_how_large_and_in_which_light_makes_little_difference(plain):
    for picture in (
        drawn(box=(40, 60, 160, 240)),
        drawn(box=(120, 40, 400, 460), width=56),
        uneven(drawn()),
        uneven(drawn(ink=140)),
        255 - drawn(),
        drawn(ink=220, ground=50),
    ):
        assert np.abs(read(picture)[0] - plain).mean() < 0.03  # unlike digits differ by 0.15


def test_what_was_done_is_said():
    assert read(drawn())[1] == "a dark figure found, placed as in MNIST"
    assert read(255 - drawn(width=5))[1] == "a light figure found, thickened, placed as in MNIST"


def test_a_thin_line_becomes_thick_enough_and_a_thick_one_stays():
    thin, middling, thick = (read(drawn(width=width))[0].sum() for width in (3, 24, 60))
    assert 0.7 * middling < thin < 1.1 * middling and thick > 1.6 * middling


def test_what_lies_at_the_edge_does_not_count_unless_it_is_all_there_is(plain):
    table = drawn()
    table[:, :40], table[:30] = 60, 60  # not on paper
    assert np.abs(read(table)[0] - plain).mean() < 0.03
    specks = drawn()
    specks[400:403, 500:503] = 0
    assert np.abs(read(specks)[0] - plain).mean() < 0.03
    left, top, right, bottom = BOX
    cut = drawn()[top:bottom, left - 40 : right + 40]  # the bar above touches the edge
    assert np.abs(read(cut)[0] - plain).mean() < 0.1  # half of the bar is lost


def test_turned_transparent_and_coloured_pictures(plain):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    assert np.abs(read(np.rot90(drawn()), "a.jpg", exif=exif)[0] - plain).mean() < 0.03
    for ink in (0, 255):
        seen = np.full((*drawn().shape, 4), ink, np.uint8)
        seen[..., 3] = np.where(drawn() < 128, 255, 0)
        assert np.abs(read(seen)[0] - plain).mean() < 0.03, "black or white ink on nothing"
    red_on_yellow = np.where(drawn()[..., None] < 128, (200, 30, 30), (250, 225, 90)).astype(np.uint8)
    assert np.abs(read(red_on_yellow)[0] - plain).mean() < 0.03


def test_nothing_found_is_said_and_the_picture_taken_whole():
    for blank in (uneven(np.full((300, 400), 230, np.uint8)), np.full((9, 5), 255, np.uint8)):
        image, done = read(blank)
        assert done.startswith("no figure stands out, taken whole")
        np.testing.assert_array_equal(image, photos.read_picture("a.png", photos.DIGITS, True)[0][0])


def test_a_picture_of_28_by_28_is_taken_as_it_is(plain):
    image, done = read(np.rint(255 * plain).astype(np.uint8))
    np.testing.assert_allclose(image, plain, atol=1 / 255)
    assert done == ""


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (1, 900), (900, 1)])
def test_pictures_of_any_shape(size):
    read(np.random.default_rng(0).integers(0, 256, size, np.uint8))


def test_postscript_starts_no_program(tmp_path, monkeypatch):
    from PIL import EpsImagePlugin

    called = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: called.append(1))
    for name in ("a.eps", "a.png"):
        (tmp_path / name).write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
        with pytest.raises(UserError, match="cannot read the picture"):
            photos.read_picture(str(tmp_path / name), (1, 8, 8), on_black=False)
    assert not called


def test_a_picture_is_read_first_of_all():
    """Pillow knows its formats only once it is told to look for them."""
    code = "from minidraw.pictures.photos import read_digit; print(read_digit('a.png')[1])"
    Image.new("L", (40, 40), 200).save("a.png")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment())
    assert done.stdout.startswith("no figure stands out"), done.stderr
