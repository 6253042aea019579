"""digitStruct.mat of SVHN: for each photograph, by name, the boxes around its digits (HDF5, as MATLAB 7.3 writes it).

/digitStruct/name and /digitStruct/bbox are (n, 1) references: a name to its character codes (len, 1), a bbox to a group
of left, top, width, height and label, each (k, 1) for k digits: the number itself where k = 1, else references to 1 x 1
numbers. That is millions of tiny objects, so they are read through h5py's low level, three times as fast.

An HDF5 file may also lead into other files, ask for programs to unpack it, and claim any size: nobody follows it there.
"""

import math
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

try:  # an extra of its own; importing it takes a tenth of a second, so svhn.py imports this file when there is need
    import h5py
except ImportError:
    h5py = None

from ..errors import UserError

MOST_DIGITS, LONGEST_NAME = 100, 255  # in a photograph; characters
MOST = 1_000_000  # photographs; the largest official file names 202,353
LARGEST = 64 << 20  # bytes of a piece that is unpacked at once
PLUGINS = 256  # the number of the first filter that is not HDF5's own


def require_h5py() -> None:
    """Raise UserError, saying how to get it, where h5py is missing."""
    if h5py is None:
        raise UserError("the data set svhn needs h5py: pip install h5py")


def count(content: BinaryIO) -> int:
    """Return the number of photographs."""
    with h5py.File(content, "r") as file:
        return _references(file, b"name").shape[0]


def read_boxes(content: BinaryIO) -> Iterator[tuple[str, tuple[float, float, float, float]]]:
    """Yield name and (left, top, right, bottom) of each photograph: in pixels from its corner, around all its digits.

    Raises whatever h5py raises, and ValueError, where `content`, an open file, is none such.
    """
    with h5py.File(content, "r") as file:
        both = [_references(file, key) for key in (b"name", b"bbox")]  # (n, 1) each
        if both[0].shape != both[1].shape:
            raise ValueError(f"it has names {both[0].shape} for boxes {both[1].shape}")
        names, groups = (_values(references, MOST, h5py.ref_dtype) for references in both)
        for name, group in zip(names, groups, strict=True):
            codes = _values(_follow(name, file), LONGEST_NAME, np.uint16)
            place = _follow(group, file)
            keys = (b"left", b"top", b"width", b"height")
            left, top, width, height = (_numbers(_open(place, key), file) for key in keys)  # (k,) each
            if not len(left) == len(top) == len(width) == len(height):
                raise ValueError("a photograph has sides of different numbers of digits")
            right, bottom = float((left + width).max()), float((top + height).max())
            yield "".join(map(chr, codes)), (float(left.min()), float(top.min()), right, bottom)


def _references(file, key: bytes):
    """Return the dataset of all photographs' names, or boxes. Raises ValueError where there is no sensible number."""
    dataset = _open(_open(file.id, b"digitStruct"), key)
    if len(dataset.shape) != 2 or not 1 <= dataset.shape[0] <= MOST:
        raise ValueError(f"it has a {key.decode()} of the shape {dataset.shape}, not (1 to {MOST}, 1)")
    return dataset


def _open(group, key: bytes):
    """Open what lies in a group under that name, there and not elsewhere."""
    if group.links.get_info(key).type != h5py.h5l.TYPE_HARD:
        raise ValueError(f"its {key.decode()!r} is a link to elsewhere, perhaps to another file")
    return h5py.h5o.open(group, key)


def _check(dataset) -> None:
    """Raise ValueError where values lie in another file, or are packed by a program that may be anybody's, or huge."""
    if dataset.get_offset() is not None:  # they lie in this file, one after another: nearly always so, and quick
        return
    plan, size = dataset.get_create_plist(), dataset.get_type().get_size()
    layout = plan.get_layout()
    if layout == h5py.h5d.VIRTUAL or plan.get_external_count():
        raise ValueError("some of its values are in another file")
    if layout == h5py.h5d.CHUNKED:
        if any(plan.get_filter(k)[0] >= PLUGINS for k in range(plan.get_nfilters())):
            raise ValueError("some of its values are packed by a plugin")
        size *= math.prod(plan.get_chunk())
    if size > LARGEST:
        raise ValueError(f"some of its values lie in pieces of {size} bytes")


def _follow(reference, file):
    return h5py.h5r.dereference(reference, file.id)


def _values(dataset, most: int, dtype) -> np.ndarray:
    """Return what is in a dataset (k, 1), 1 <= k <= most, as (k,)."""
    shape = dataset.shape
    # Checked, since HDF5 writes as much as there is, whatever the array has room for.
    if len(shape) != 2 or shape[1] != 1 or not 1 <= shape[0] <= most:
        raise ValueError(f"an entry has the shape {shape}, not (1 to {most}, 1)")
    _check(dataset)
    values = np.empty(shape, dtype)
    dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, values)
    return values[:, 0]


def _numbers(dataset, file) -> np.ndarray:
    """Return the numbers of a dataset (k, 1): its own or, where it holds references, those they lead to."""
    if dataset.get_type().get_class() != h5py.h5t.REFERENCE:
        return _values(dataset, MOST_DIGITS, np.float64)
    references = _values(dataset, MOST_DIGITS, h5py.ref_dtype)
    return np.concatenate([_values(_follow(one, file), 1, np.float64) for one in references])
