"""Targets: anybody's images, as data sets and as pictures given to a network."""

import io

import numpy as np
from PIL import Image, ImageDraw

from minidraw.data import folder, folder_arrays, folder_pictures
from minidraw.pictures import photos
from minidraw.pictures.writers import read_note, write_png

from .formats import npy, pictures, png_mended, zipped
from .target import put, target


@target(lambda: [b"a?size=32", b"a?size=48x32&grey=1&binarize=0", b"~/a?b.npz?key=x", b"a?"])
def folder_name(data: bytes) -> None:
    """What is behind folder: on the command line."""
    folder.parse("folder:" + data.decode(errors="surrogateescape"))


def look(content: bytes, name: str) -> None:
    """Read a file of arrays as images."""
    options = folder.Options()
    array = folder_arrays.Array(put(content, name), options)
    images = array.take(np.arange(len(array))[::-1][:3])
    assert images.dtype == np.uint8 and images.shape[1:] == array.shape


ARRAYS = (np.zeros((3, 2, 2), "u1"), np.eye(4, dtype=">f8")[None], np.ones((2, 3, 5, 5), "?", "F"))


@target(lambda: [npy(array) for array in ARRAYS])
def array_npy(data: bytes) -> None:
    """An .npy file of images."""
    look(data, "images.npy")


@target(lambda: [npy(array) for array in ARRAYS])
def array_npz(data: bytes) -> None:
    """An .npz file of images: one array, in a file that is right otherwise."""
    look(zipped(images=data, labels=npy(np.arange(3))), "images.npz")


@target(lambda: [zipped(images=npy(array)) for array in ARRAYS])
def array_npz_file(data: bytes) -> None:
    """An .npz file of images, whole."""
    look(data, "images.npz")


@target(pictures)
def folder_picture(data: bytes) -> None:
    """A picture in somebody's folder."""
    path = put(png_mended(data), "a.png")
    images = folder_pictures.Pictures(path.parent, [path.name], folder.Options())
    assert images.take(np.array([0])).shape == (1, *images.shape)


def figures() -> list[bytes]:
    """Return pictures of a line, dark on light and light on dark, thick and thin."""
    seeds = []
    for ground, ink, width in ((230, 20, 6), (0, 255, 1)):
        scan, out = Image.new("L", (40, 60), ground), io.BytesIO()
        ImageDraw.Draw(scan).line([(12, 15), (28, 20), (18, 45)], ink, width)
        scan.save(out, "PNG")
        seeds.append(out.getvalue())
    return seeds


@target(lambda: pictures() + figures())
def given_picture(data: bytes) -> None:
    """A picture given to minidraw.reconstruct."""
    path = str(put(png_mended(data), "a.png"))
    for shape in ((1, 8, 6), (3, 5, 9)):
        image, _ = photos.read_picture(path, shape, on_black=False)
        assert image.shape == shape and 0 <= image.min() <= image.max() <= 1
    digit, _ = photos.read_digit(path)
    assert digit.shape == photos.DIGITS and 0 <= digit.min() <= digit.max() <= 1


def noted() -> list[bytes]:
    """Return a picture that says what it shows."""
    path = put(b"", "noted.png")
    write_png(path, np.zeros((3, 4, 3), np.uint8), "two images")
    return [path.read_bytes()]


@target(noted)
def picture_note(data: bytes) -> None:
    """What a run's picture says of itself, for the page."""
    assert isinstance(read_note(png_mended(data)), str)
