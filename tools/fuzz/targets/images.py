"""Targets: anybody's images, as data sets and as pictures given to a network."""

import gzip
import io
import struct

import numpy as np
from PIL import Image, ImageDraw

from minidraw.data.folder import arrays, files, listing, options, pictures
from minidraw.pictures import photos
from minidraw.pictures.writers import read_note, write_png

from .formats import npy, png_mended, zipped
from .formats import pictures as seeds
from .target import put, target


@target(lambda: [b"a?size=32", b"a?size=48x32&grey=1&binarize=0", b"~/a?b.npz?key=x", b"a?"])
def folder_name(data: bytes) -> None:
    """What is behind folder: on the command line."""
    options.parse("folder:" + data.decode(errors="surrogateescape"))


def look(content: bytes, name: str) -> None:
    """Read a file of arrays as images."""
    path, wanted = put(content, name), options.Options()
    found = arrays.Arrays(path, files.read(path, wanted), wanted)
    images = found.take(np.arange(len(found))[::-1][:3])
    assert images.dtype == np.uint8 and images.shape[1:] == found.shape


ARRAYS = (
    np.arange(0, 240, 20, "u1").reshape(3, 2, 2),
    np.eye(4, dtype=">f8")[None],
    np.asfortranarray(np.tile(np.eye(5, dtype="?"), (2, 3, 1, 1))),
)


@target(lambda: [npy(array) for array in ARRAYS])
def array_npy(data: bytes) -> None:
    """An .npy file of images."""
    look(data, "images.npy")


@target(lambda: [npy(array) for array in ARRAYS])
def array_npz(data: bytes) -> None:
    """An .npz file of images: one array, in a file that is right otherwise."""
    look(zipped(images=data, more=npy(np.arange(3))), "images.npz")


@target(lambda: [zipped(images=npy(array)) for array in ARRAYS])
def array_npz_file(data: bytes) -> None:
    """An .npz file of images, whole."""
    look(data, "images.npz")


def idx_files() -> list[bytes]:
    """Return images in idx form, of bytes and of floats, gzipped and not."""
    sizes = struct.pack(">3I", 3, 2, 2)
    seeds = [
        b"\0\0\x08\x03" + sizes + bytes(range(0, 240, 20)),
        b"\0\0\x0d\x03" + sizes + struct.pack(">12f", *range(0, 240, 20)),
    ]
    return [*seeds, *map(gzip.compress, seeds)]


@target(idx_files)
def array_idx(data: bytes) -> None:
    """A file of images in idx form."""
    look(data, "train-images-idx3-ubyte")


def tables() -> list[bytes]:
    """Return tables of pixels with names and without, with labels and without, and FER2013's kind."""
    named = "label," + ",".join(f"pixel{k}" for k in range(4)) + "\n" + "3,0,255,8,9\n" * 3
    plain = "\n".join(",".join(map(str, [k % 2, 0, *range(10 * k, 10 * k + 13), 255, 0])) for k in range(3))
    return [text.encode() for text in (named, plain, "emotion,pixels,Usage\n" + "0,1 2 3 255,Training\n" * 3)]


@target(tables)
def array_table(data: bytes) -> None:
    """A table of pixels."""
    look(data, "train.csv")


@target(seeds)
def folder_picture(data: bytes) -> None:
    """A picture in somebody's folder."""
    path = put(png_mended(data), "a.png")
    images = pictures.Pictures(path.parent, listing.Listing([path.name]), options.Options())
    assert images.take(np.array([0])).shape == (1, *images.shape)
    images.finish()


def figures() -> list[bytes]:
    """Return pictures of a line, dark on light and light on dark, thick and thin."""
    seeds = []
    for ground, ink, width in ((230, 20, 6), (0, 255, 1)):
        scan, out = Image.new("L", (40, 60), ground), io.BytesIO()
        ImageDraw.Draw(scan).line([(12, 15), (28, 20), (18, 45)], ink, width)
        scan.save(out, "PNG")
        seeds.append(out.getvalue())
    return seeds


@target(lambda: seeds() + figures())
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
