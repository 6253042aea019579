"""SVHN's cropped digits: house numbers cut into digits of 32 x 32 pixels, MATLAB files. For non-commercial research.

The digit at the centre is the label; its neighbours can be seen on both sides.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..errors import UserError, one_line, reason
from .cifar10 import RECORD, from_records
from .images import Dataset
from .official import File
from .places import Places
from .prepared import prepare, progress

HOST = "http://ufldl.stanford.edu/housenumbers/"
MOST = 1_000_000  # digits in a file; the largest official one holds 531,131
BLOCK = 10_000  # digits written at once
VERSION = 1  # of what is kept in the cache
NUMERIC, COMPRESSED = {1, 2, 3, 4, 5, 6, 7, 9, 12, 13}, 15  # types of data elements in a MATLAB 5 file


def hosted(name: str, size: int, sha256: str) -> File:
    """Return a file of SVHN's, all of which are on one host."""
    return File(name, size, sha256, (HOST + name,))


TRAIN = hosted("train_32x32.mat", 182040794, "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8")
TEST = hosted("test_32x32.mat", 64275384, "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b")
EXTRA = hosted("extra_32x32.mat", 1329278602, "a133a4beb38a00fcdda90c9489e0c04f900b660ce8a316a5e854838379a71eb3")


def load(places: Places, seed: int = 0, files: tuple[File, File, File] = (TRAIN, TEST, EXTRA)) -> Dataset:
    """Return SVHN's digits: uint8 RGB (3, 32, 32) with labels 0 to 9; `seed` is not used.

    The last tenth of the training file is for validation; the extra digits, where the user's folder has them, are
    trained on too. Other files of the same layout will do; the note then says so. Raises UserError where a file is
    wrong or not to be had.
    """
    *required, extra = files
    wanted = (*required, extra) if places.find(extra) else tuple(required)
    prepared = prepare(places, wanted, (RECORD,), _make, VERSION)
    train, test, *extras = (part.array for part in prepared)  # (n, RECORD)
    cut = len(train) - max(1, len(train) // 10)
    note = f"SVHN, cropped digits (Netzer et al. 2011); validation: the last {len(train) - cut:,} of {files[0].name}"
    note += f"; with the {len(extras[0]):,} extra digits" if extras else ""
    other = [f"{len(p.array):,} digits of {f.name}" for p, f in zip(prepared, wanted, strict=True) if not p.official]
    note += f"; NOT the official files: {', '.join(other)}" if other else ""
    splits = from_records(train[:cut], *extras), from_records(train[cut:]), from_records(test)
    return Dataset("svhn_cropped", *splits, note, tuple("0123456789"))


def _make(path: Path) -> tuple[int, Iterator[tuple[int, np.ndarray]]]:
    """Return the number of digits in a MATLAB file, and their records: label, red, green and blue plane."""
    import scipy.io  # here, since importing it takes longer than a start from the cache

    def wrong(why: object) -> UserError:
        what = f"{path} is not a MATLAB 5 file of SVHN's cropped digits: {one_line(why)}"
        return UserError(f"{what}; get it again, or name another --data-dir")

    try:
        # Sizes first, from the headers alone: what is compressed can claim, and become, anything.
        sizes = {name: (shape, kind) for name, shape, kind in scipy.io.whosmat(path)}
        shape, kind = sizes.get("X", ((), ""))
        n = shape[-1] if len(shape) == 4 else 0
        if shape[:3] != (32, 32, 3) or kind != "uint8" or sizes.get("y", ((),))[0] != (n, 1) or not 1 < n <= MOST:
            held = ", ".join(f"{name} {kind} {shape}" for name, (shape, kind) in sizes.items())
            raise wrong(f"it holds {one_line(held) or 'nothing'}, not X uint8 (32, 32, 3, n) and y (n, 1)")
        if not {data_type(path, "X"), data_type(path, "y")} <= NUMERIC:
            raise wrong("its numbers are of no type that MATLAB has")
        arrays = scipy.io.loadmat(path, variable_names=("X", "y"))
        pixels, labels = arrays["X"], np.asarray(arrays["y"]).ravel().astype(np.int64)
    except UserError:
        raise
    except Exception as error:  # damaged files make scipy raise nearly anything
        raise wrong(reason(error)) from error
    if labels.min() < 1 or labels.max() > 10:
        raise wrong(f"its labels are {labels.min()} to {labels.max()}, not 1 to 10")

    def blocks() -> Iterator[tuple[int, np.ndarray]]:
        with progress(n, f"reading {path.name}") as bar:
            for start in range(0, n, BLOCK):
                part = pixels[..., start : start + BLOCK]  # (H, W, C, k)
                records = np.empty((part.shape[-1], RECORD), np.uint8)
                records[:, 0] = labels[start : start + BLOCK] % 10  # the digit 0 has the label 10
                records[:, 1:] = part.transpose(3, 2, 0, 1).reshape(len(records), -1)
                yield start, records
                bar.update(len(records))

    return n, blocks()


def data_type(path: Path, wanted: str) -> int | None:
    """Return the type of the data of a matrix in a MATLAB 5 file, by its tag; None where there is none.

    scipy.io.loadmat (1.17) believes that tag and ends the process if it is wrong.
    """
    with open(path, "rb") as file:
        order = "<" if file.read(128)[126:] == b"IM" else ">"
        while len(tag := file.read(8)) == 8:
            kind, size = struct.unpack(order + "II", tag)
            start = file.tell()
            head = file.read(min(size, 1 << 16))
            if kind == COMPRESSED:
                head = zlib.decompressobj().decompress(head, 1 << 10)[8:]  # without the matrix's own tag
            *_, (_, name), (found, _) = elements(head, order, 4)  # flags, dimensions, name, data
            if name == wanted.encode():
                return found
            file.seek(start + size)
    return None


def elements(content: bytes, order: str, count: int) -> list[tuple[int, bytes]]:
    """Return type and content, as far as it is there, of the first data elements."""
    found, place = [], 0
    for _ in range(count):
        kind, size = struct.unpack_from(order + "II", content, place)
        if kind >> 16:  # a short element: its size, its type, and at most four bytes
            kind, size, start = kind & 0xFFFF, kind >> 16, place + 4
            place += 8
        else:
            start = place + 8
            place = start + -(-size // 8) * 8
        found.append((kind, content[start : start + size]))
    return found
