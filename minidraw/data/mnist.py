"""MNIST in grey: LeCun, Cortes and Burges' four IDX files; the last 10,000 training images serve for validation."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from ..errors import UserError
from .images import Dataset, Images
from .official import File
from .places import Places

HOSTS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")


@dataclass(frozen=True)
class Spec:
    """The four files (images and labels to train on, images and labels to test on) and how many images they hold."""

    files: tuple[File, File, File, File]
    train: int  # images in the training file, those for validation included
    valid: int
    test: int
    side: int  # pixels


def _file(name: str, size: int, sha256: str) -> File:
    return File(name, size, sha256, tuple(f"{host}{name}.gz" for host in HOSTS))


OFFICIAL = Spec(
    files=(
        _file("train-images-idx3-ubyte", 47040016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
        _file("train-labels-idx1-ubyte", 60008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
        _file("t10k-images-idx3-ubyte", 7840016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
        _file("t10k-labels-idx1-ubyte", 10008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    ),
    train=60000,
    valid=10000,
    test=10000,
    side=28,
)


def load(places: Places, seed: int = 0, spec: Spec = OFFICIAL) -> Dataset:
    """Return MNIST: uint8 images (1, 28, 28) with labels, 50,000 / 10,000 / 10,000; `seed` is not used.

    Raises UserError where a file is wrong or not to be had.
    """
    contents = places.obtain(spec.files)
    shapes = [(spec.train, spec.side, spec.side), (spec.train,), (spec.test, spec.side, spec.side), (spec.test,)]
    x, y, x_test, y_test = (
        parse_idx(contents[file.name], shape, file.name) for file, shape in zip(spec.files, shapes, strict=True)
    )
    cut = spec.train - spec.valid
    return Dataset(
        "mnist",
        Images(x[:cut, None], y[:cut]),  # (n, 1, H, W), (n,)
        Images(x[cut:, None], y[cut:]),
        Images(x_test[:, None], y_test),
        "MNIST (LeCun, Cortes, Burges 1998), grey; validation: the last 10,000 images of the training file",
        classes=tuple("0123456789"),
        identity=f"MNIST {' '.join(file.sha256 for file in spec.files)}",
    )


def places_of(places: Places) -> Places:
    """Return the places of MNIST's own files, for a data set that is made from them."""
    return dataclasses.replace(places, name="mnist", cache=places.cache.parent / "mnist")


def parse_idx(content: bytes, shape: tuple[int, ...], name: str) -> np.ndarray:
    """Return the uint8 array of `shape` in an IDX file: zero, zero, 8 (bytes), rank, big-endian sizes, values.

    Raises UserError, naming the file, where the header or the length say otherwise.
    """
    start = 4 + 4 * len(shape)
    if content[:4] != bytes([0, 0, 8, len(shape)]):
        raise UserError(f"{name} is not an IDX file of bytes in {len(shape)} dimensions: it begins {content[:4]!r}")
    found = tuple(int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4))
    if found != shape or len(content) != start + math.prod(shape):
        raise UserError(f"{name} holds {len(content) - start} bytes for sizes {found}; expected {shape}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
