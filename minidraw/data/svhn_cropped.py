"""SVHN's cropped digits: house numbers cut into digits of 32 x 32 pixels, MATLAB files. For non-commercial research.

The digit at the centre is the label; its neighbours can be seen on both sides.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
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
ROOM, DENSEST = 64 << 20, 20  # bytes that a file may become, and as many times its own size besides
# Of a MATLAB 5 file: types of data elements, bytes in which the tags of a matrix are, a flag, kinds of matrices.
NUMERIC, MATRIX, COMPRESSED, HEAD, COMPLEX, BYTES = {1, 2, 3, 4, 5, 6, 7, 9, 12, 13}, 14, 15, 1 << 10, 1 << 11, 9
KINDS = dict(enumerate("double single int8 uint8 int16 uint16 int32 uint32 int64 uint64".split(), 6))


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
        found = variables(path)
        n = found["X"].shape[-1] if "X" in found and len(found["X"].shape) == 4 else 0
        fitting = [
            name in found and _fits(found[name], shape) for name, shape in (("X", (32, 32, 3, n)), ("y", (n, 1)))
        ]
        if not all(fitting) or found["X"].kind != BYTES or not 1 < n <= MOST:
            held = ", ".join(f"{name} {KINDS.get(v.kind, 'of no numbers')} {v.shape}" for name, v in found.items())
            raise wrong(f"it holds {one_line(held) or 'nothing'}, not X uint8 (32, 32, 3, n) and y (n, 1)")
        if n * RECORD > ROOM + DENSEST * path.stat().st_size:
            raise wrong(f"it is too small for its {n} digits")
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


@dataclass(frozen=True)
class Variable:
    """What the tags of a matrix in a MATLAB file say: kind, whether complex, shape; type and bytes of its data."""

    kind: int
    complex: bool
    shape: tuple[int, ...]
    data: int
    size: int


def _fits(variable: Variable, shape: tuple[int, ...]) -> bool:
    """Tell whether a variable is real numbers of that shape, and no more of them."""
    numbers = variable.kind in KINDS and variable.data in NUMERIC and not variable.complex
    return numbers and variable.shape == shape and variable.size <= 8 * math.prod(shape)


def variables(path: Path) -> dict[str, Variable]:
    """Return the matrices in a MATLAB 5 file by name, from the first bytes of each. Raises ValueError for another file.

    scipy.io (1.17) believes all tags: it takes the memory that they claim, and ends the process if a type is wrong.
    """
    found = {}
    with open(path, "rb") as file:
        version = file.read(128)[124:]
        order = {b"\0\1IM": "<", b"\1\0MI": ">"}.get(version)
        if order is None:
            raise ValueError(f"its version is {version!r}")
        while tag := file.read(8):
            kind, size = struct.unpack(order + "II", tag)
            start = file.tell()
            head = file.read(min(size, 1 << 16))
            if kind == COMPRESSED:
                packed = zlib.decompressobj().decompress(head, HEAD + 8)
                kind, head = struct.unpack_from(order + "I", packed)[0], packed[8:]
            if kind != MATRIX:
                raise ValueError(f"it holds something of the type {kind}")
            _, (_, _, shape), (_, length, name), (data, count, _) = _elements(head, order)
            if length > len(name):
                raise ValueError("a name in it is too long")
            bits, sides = (
                struct.unpack_from(order + "I", head, 8)[0],
                struct.unpack(f"{order}{len(shape) // 4}i", shape),
            )
            if (text := name.decode("latin-1")) in found:
                raise ValueError(f"it holds {text!r} twice")
            found[text] = Variable(bits & 0xFF, bool(bits & COMPLEX), sides, data, count)
            file.seek(start + size)
    return found


def _elements(content: bytes, order: str) -> list[tuple[int, int, bytes]]:
    """Return type, bytes and content of a matrix's flags, dimensions, name and, as far as they are there, data."""
    found, place = [], 0
    for _ in range(4):
        kind, size = struct.unpack_from(order + "II", content[:HEAD], place)
        if kind >> 16:  # a short element: its size, its type, and at most four bytes
            kind, size, start = kind & 0xFFFF, kind >> 16, place + 4
            place += 8
        else:
            start = place + 8
            place = start + -(-size // 8) * 8
        found.append((kind, size, content[start : start + size]))
    return found
