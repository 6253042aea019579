"""digitStruct.mat of SVHN: for each photograph, by name, the boxes around its digits (HDF5, as MATLAB 7.3 writes it).

/digitStruct/name and /digitStruct/bbox are (n, 1) references: a name to its character codes (len, 1), a bbox to a group
of left, top, width, height and label, each (k, 1) for k digits: the number itself where k = 1, else references to 1 x 1
numbers. That is millions of tiny objects, so they are read through h5py's low level, three times as fast.
"""

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

try:  # an extra of its own; importing it takes a tenth of a second, so svhn.py imports this file when there is need
    import h5py
except ImportError:
    h5py = None

from ..errors import UserError

MOST_DIGITS, LONGEST_NAME = 100, 255  # in a photograph; characters


def require_h5py() -> None:
    """Raise UserError, saying how to get it, where h5py is missing."""
    if h5py is None:
        raise UserError("the data set svhn needs h5py: pip install h5py")


def count(content: BinaryIO) -> int:
    """Return the number of photographs."""
    with h5py.File(content, "r") as file:
        return len(file["digitStruct/name"])


def read_boxes(content: BinaryIO) -> Iterator[tuple[str, tuple[float, float, float, float]]]:
    """Yield name and (left, top, right, bottom) of each photograph: in pixels from its corner, around all its digits.

    Raises whatever h5py raises, and ValueError, where `content`, an open file, is none such.
    """
    with h5py.File(content, "r") as file:
        names, groups = (file[f"digitStruct/{key}"][:] for key in ("name", "bbox"))  # (n, 1) references
        if names.shape != groups.shape or names.ndim != 2 or names.shape[1] != 1 or not len(names):
            raise ValueError(f"it has names {names.shape} for boxes {groups.shape}")
        for name, group in zip(names[:, 0], groups[:, 0], strict=True):
            codes = _values(_follow(name, file), LONGEST_NAME, np.uint16)
            place = _follow(group, file)
            keys = (b"left", b"top", b"width", b"height")
            left, top, width, height = (_numbers(h5py.h5d.open(place, key), file) for key in keys)  # (k,) each
            if not len(left) == len(top) == len(width) == len(height):
                raise ValueError("a photograph has sides of different numbers of digits")
            right, bottom = float((left + width).max()), float((top + height).max())
            yield "".join(map(chr, codes)), (float(left.min()), float(top.min()), right, bottom)


def _follow(reference, file):
    return h5py.h5r.dereference(reference, file.id)


def _values(dataset, most: int, dtype) -> np.ndarray:
    """Return what is in a dataset (k, 1), 1 <= k <= most, as (k,)."""
    shape = dataset.shape
    # Checked, since HDF5 writes as much as there is, whatever the array has room for.
    if len(shape) != 2 or shape[1] != 1 or not 1 <= shape[0] <= most:
        raise ValueError(f"an entry has the shape {shape}, not (1 to {most}, 1)")
    values = np.empty(shape, dtype)
    dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, values)
    return values[:, 0]


def _numbers(dataset, file) -> np.ndarray:
    """Return the numbers of a dataset (k, 1): its own or, where it holds references, those they lead to."""
    if dataset.get_type().get_class() != h5py.h5t.REFERENCE:
        return _values(dataset, MOST_DIGITS, np.float64)
    references = _values(dataset, MOST_DIGITS, h5py.ref_dtype)
    return np.concatenate([_values(_follow(one, file), 1, np.float64) for one in references])
