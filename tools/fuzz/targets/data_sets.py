"""Targets: files of the data sets as their makers publish them, archives of such files, and the cache."""

import gzip
import hashlib
import io
import json
import struct
from pathlib import Path

import numpy as np
import scipy.io

from minidraw.data import (
    binarized_mnist,
    cifar10,
    digit_struct,
    mnist,
    prepared,
    svhn,
    svhn_cropped,
    tars,
)
from minidraw.data import (
    official as files,
)

from .formats import npy, picture, tar, tar_gz, zipped
from .target import put, target


def idx() -> list[bytes]:
    """Return an IDX file of 3 images of 2 x 2."""
    return [b"\0\0\x08\3" + struct.pack(">III", 3, 2, 2) + bytes(range(12))]


@target(idx)
def idx_file(data: bytes) -> None:
    """MNIST's format."""
    assert mnist.parse_idx(data, (3, 2, 2), "images").shape == (3, 2, 2)


def binarized(size: int = 6) -> binarized_mnist.Spec:
    """Return a small binarized data set's sizes."""
    texts = tuple(files.File(f"{name}.amat", 2 * rows * size, "", ()) for name, rows in (("a", 3), ("b", 2), ("c", 1)))
    return binarized_mnist.Spec(texts, files.File("a.npz", 100, "", ()), (3, 2, 1), (1, 2, 3), "")


@target(lambda: [b"0 1 0 1 1 0\n" * 3])
def amat(data: bytes) -> None:
    """Binarized MNIST's text."""
    contents = {"a.amat": data, "b.amat": b"0 1 0 1 1 0\n" * 2, "c.amat": b"0 1 0 1 1 0\n"}
    assert binarized_mnist._from_texts(contents, binarized()).shape == (6, 1)


@target(lambda: [npy(np.eye(3, 6, dtype=np.float32))])
def binarized_npz(data: bytes) -> None:
    """Binarized MNIST's mirror: one array, in a file that is right otherwise."""
    content = zipped(X_train=data, X_valid=npy(np.zeros((2, 6), "f4")), X_test=npy(np.zeros((1, 6), "f4")))
    assert binarized_mnist._from_npz({"a.npz": content}, binarized()).shape == (6, 1)


@target(lambda: [json.dumps([["/a", 3, 4]]).encode()])
def verified(data: bytes) -> None:
    """The cache's list of what was verified: whatever it holds, files can be entered."""
    folder = put(data, files.VERIFIED).parent
    files.remember([["/b", 5, 6]], folder)
    assert files.seen([["/b", 5, 6]], folder)


GOOD = b"minidraw " * 20


@target(lambda: [GOOD, gzip.compress(GOOD), gzip.compress(GOOD[:90]) + gzip.compress(GOOD[90:])])
def official(data: bytes) -> None:
    """An official file, plain or gzipped: it comes out as it must be, or not at all."""
    file = files.File("good", len(GOOD), hashlib.sha256(GOOD).hexdigest(), ())
    assert files.read(put(data, "good"), file) == GOOD


CIFAR = cifar10.Spec(files.File("cifar-10-binary.tar.gz", 0, "", ()), rows=1, valid=1)
RECORD = bytes(cifar10.RECORD)


@target(lambda: [RECORD])
def cifar_batch(data: bytes) -> None:
    """A .bin file of CIFAR-10."""
    assert cifar10._open_batch(put(data, "data_batch_1.bin"), CIFAR).shape == (1, cifar10.RECORD)


def drain(made: tuple) -> None:
    """Take all blocks that a data set is made of."""
    n, blocks = made
    for first, block in blocks:
        assert first + len(block) <= n and block.dtype == np.uint8


@target(lambda: [tar(dict.fromkeys(cifar10.BATCHES, RECORD))])
def cifar_archive(data: bytes) -> None:
    """The archive of CIFAR-10."""
    drain(cifar10._make(put(tar_gz(data), "cifar.tar.gz"), CIFAR))


@target(lambda: [tar({"a": b"x" * 600, "b": b"", "c": b"y"})])
def members(data: bytes) -> None:
    """Any archive."""
    for _, content in tars.members(put(tar_gz(data), "any.tar.gz"), lambda name: 1000):
        assert len(content.read()) <= 1000


@target(lambda: [gzip.compress(tar({"a": b"x" * 600, "b": b"", "c": b"y"}))])
def members_gz(data: bytes) -> None:
    """Any archive, with the gzip around it."""
    for _, content in tars.members(put(data, "any.tar.gz"), lambda name: 1000):
        assert len(content.read()) <= 1000


def mats() -> list[bytes]:
    """Return MATLAB files of two digits, compressed and not."""
    seeds = []
    for packed in (True, False):
        out = io.BytesIO()
        digits = {"X": np.zeros((32, 32, 3, 2), np.uint8), "y": np.array([[1], [10]], np.uint8)}
        scipy.io.savemat(out, digits, do_compression=packed)
        seeds.append(out.getvalue())
    return seeds


@target(mats)
def mat(data: bytes) -> None:
    """SVHN's cropped digits."""
    drain(svhn_cropped._make(put(data, "train_32x32.mat")))


def structs() -> list[bytes]:
    """Return a digitStruct.mat of two photographs, one with two digits."""
    h5py, out = digit_struct.h5py, io.BytesIO()
    with h5py.File(out, "w") as file:
        rows = []
        for name, digits in (("1.png", [1.0]), ("2.png", [1.0, 3.0])):
            group = file.create_group("b" + name)
            for key in ("left", "top", "width", "height", "label"):
                values = np.array([[value] for value in digits])
                if len(digits) > 1:
                    ones = [group.create_dataset(f"{key}{k}", data=v[None]).ref for k, v in enumerate(values)]
                    values = np.array([[one] for one in ones], h5py.ref_dtype)
                group.create_dataset(key, data=values)
            codes = file.create_dataset("n" + name, data=np.array([[ord(c)] for c in name], np.uint16))
            rows.append((codes.ref, group.ref))
        for k, key in enumerate(("name", "bbox")):
            file[f"digitStruct/{key}"] = np.array([[row[k]] for row in rows], h5py.ref_dtype)
    return [out.getvalue()]


@target(structs)
def digit_structs(data: bytes) -> None:
    """The boxes of SVHN's full numbers."""
    assert all(len(box) == 4 for box in svhn._read_boxes(Path("train.tar.gz"), io.BytesIO(data)).values())


@target(lambda: [tar({"digitStruct.mat": structs()[0], "1.png": picture("PNG"), "2.png": picture("PNG", "L")})])
def svhn_archive(data: bytes) -> None:
    """The archive of SVHN's full numbers."""
    drain(svhn._make(put(tar_gz(data), "train.tar.gz")))


@target(lambda: [npy(np.zeros((2, 1, 2, 2), np.uint8)) + b'{"version": 1}\n'])
def prepared_file(data: bytes) -> None:
    """An array in the cache."""
    array = prepared.read(put(data, "cached.npy"), {"version": 1})
    assert array is None or (array.dtype == np.uint8 and len(array) and array.sum() >= 0)
