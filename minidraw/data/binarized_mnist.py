"""Binarized MNIST, the benchmark of the paper's Table 2: every pixel fixed once to 0 or 1 (Salakhutdinov, Murray 2008).

The official files are 110 MB of text. They are parsed once, packed to 6.9 MB of bits and kept in the cache; the bits
have a SHA-256 of their own, below, so that a later start neither reads the text nor trusts the cache.
"""

import contextlib
import hashlib
import io
import math
from dataclasses import dataclass

import numpy as np

from ..errors import UserError
from ..files import open_regular
from .images import Dataset, Images
from .official import File, keep, remember, seen, stamp
from .places import Places

HOST = "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/"
MIRROR = "https://github.com/skaae/lasagne-draw/raw/68318ff59b0004c623470b70b487cf0f31d8eb51/examples/"

BITS = "packed.bits"  # in the cache: the images


@dataclass(frozen=True)
class Spec:
    """The three text files, the mirror with the same values in one file, their sizes, and the SHA-256 of the bits."""

    texts: tuple[File, File, File]  # train, valid, test
    npz: File
    rows: tuple[int, int, int]
    shape: tuple[int, int, int]  # (C, H, W) of an image
    sha256: str  # of all rows, each packed to whole bytes


def _text(split: str, size: int, sha256: str) -> File:
    name = f"binarized_mnist_{split}.amat"
    return File(name, size, sha256, (HOST + name,))


OFFICIAL = Spec(
    texts=(
        _text("train", 78400000, "ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d"),
        _text("valid", 15680000, "1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2"),
        _text("test", 15680000, "e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c"),
    ),
    npz=File(
        "mnist_binarized.npz",
        4060133,
        "e7c85788cb6eade96c81c9ec1d72ed28da2d00dd8fc6ecec3becb4116a8753fd",
        (MIRROR + "mnist_binarized.npz",),
    ),
    rows=(50000, 10000, 10000),
    shape=(1, 28, 28),
    sha256="c462f82a020638a4d5d8d44e4c83242ee0145ee1d125869d0e030c35011837e6",
)


def load(places: Places, seed: int = 0, spec: Spec = OFFICIAL) -> Dataset:
    """Return binarized MNIST: bits (1, 28, 28) without labels, 50,000 / 10,000 / 10,000; `seed` is not used.

    The user's own files are verified once for each (path, size, time of change); then a valid cache stands for them.
    Raises UserError where a file is wrong or not to be had.
    """
    files = (spec.npz, *spec.texts)
    own = [stamp(path) for file in files if (path := places.find(file))]
    bits = _read_cache(places, spec)
    if bits is None:
        # The mirror goes first: 4 MB instead of 110, and the official host has often been gone.
        contents = places.obtain((spec.npz,), spec.texts, keep=False)
        bits = _from_npz(contents, spec) if spec.npz.name in contents else _from_texts(contents, spec)
        if hashlib.sha256(bits).hexdigest() != spec.sha256:
            raise UserError(f"the values in {', '.join(contents)} are not those of the fixed binarization")
        keep(places.cache / BITS, bits.tobytes())
        remember(own, places.cache)
    elif not seen(own, places.cache):
        for file in files:
            places.local(file)  # raises where it is wrong
        remember(own, places.cache)
    pieces = np.split(bits, np.cumsum(spec.rows)[:-1])  # three of (n, bytes)
    train, valid, test = (Images(piece, shape=spec.shape) for piece in pieces)
    note = "binarized MNIST, the fixed binarization (Salakhutdinov and Murray 2008; files by Larochelle)"
    return Dataset("binarized_mnist", train, valid, test, note)


def _from_texts(contents: dict[str, bytes], spec: Spec) -> np.ndarray:
    """Pack the text files: rows of '0 1 0 ... 0\\n', so that every second byte is a digit."""
    size = math.prod(spec.shape)
    packed = []
    for file, rows in zip(spec.texts, spec.rows, strict=True):
        text = np.frombuffer(contents[file.name], np.uint8)
        if len(text) != rows * size * 2:
            raise UserError(f"{file.name} holds {len(text)} bytes, not {rows} rows of {size} values")
        packed.append(np.packbits(text[::2].reshape(rows, size) & 1, axis=1))  # '0' is 48, '1' is 49
    return np.concatenate(packed)  # (n, bytes)


def _from_npz(contents: dict[str, bytes], spec: Spec) -> np.ndarray:
    """Pack the mirror's arrays X_train, X_valid and X_test, float32 (n, C·H·W)."""
    size, packed = math.prod(spec.shape), []
    try:
        with np.load(io.BytesIO(contents[spec.npz.name]), allow_pickle=False) as arrays:
            for key, rows in zip(("X_train", "X_valid", "X_test"), spec.rows, strict=True):
                packed.append(np.packbits(arrays[key].reshape(rows, size) != 0, axis=1))
    except Exception as error:  # damaged arrays make NumPy raise nearly anything
        raise UserError(f"{spec.npz.name} does not hold X_train, X_valid and X_test of {size} values a row") from error
    return np.concatenate(packed)  # (n, bytes)


def _read_cache(places: Places, spec: Spec) -> np.ndarray | None:
    """Return the packed bits (n, bytes) from the cache, or None where they are absent or damaged."""
    shape = (sum(spec.rows), -(-math.prod(spec.shape) // 8))
    with contextlib.suppress(OSError), open_regular(places.cache / BITS, linked=True) as file:
        # Bare bytes: with the hash below there is nothing for a file header to add, or to get wrong.
        bits = np.fromfile(file, np.uint8, count=math.prod(shape))
        if hashlib.sha256(bits).hexdigest() == spec.sha256:
            return bits.reshape(shape)
    return None
