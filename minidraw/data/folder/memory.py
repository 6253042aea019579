"""Images in memory as a data set: whatever can become an array, through the same decisions as files of arrays."""

import dataclasses
from typing import Any

import numpy as np

from ...errors import UserError, one_line
from ..images import Dataset
from ..known import is_known
from .arrays import Arrays
from .options import PREFIX, Options, read_option
from .parts import Part
from .records import blocks, dataset, describe

Pair = Any  # images, or a tuple (images, labels)


class Keywords(Options):
    """Options that are keyword arguments of `from_arrays`."""

    def again(self, path: Any, more: str = "", **changes: Any) -> str:
        """Return what to write in a program to have some options changed, and more given."""
        wanted = vars(dataclasses.replace(self, **changes))
        given = [f"{key}={_plain(value)!r}" for key, value in wanted.items() if value != getattr(Options, key)]
        return f"from_arrays(..., {', '.join(given + ['size=(WIDTH, HEIGHT)'] * bool(more))})"


def from_arrays(
    images: Any,
    labels: Any = None,
    *,
    valid: Pair = None,
    test: Pair = None,
    name: str = "arrays",
    axes: str | None = None,
    size: int | tuple[int, int] | None = None,
    black: float | None = None,
    white: float | None = None,
    ground: str | None = None,
    binarize: bool = False,
) -> Dataset:
    """Return the data set of images in memory: array-likes (n, H, W), (n, H, W, C), (n, C, H, W) or (n, pixels).

    Values are kept in 8 bits, zeros and ones exactly; nothing refers to the arrays afterwards. `labels` (n,) are
    numbers or texts, or one-hot (n, K). `valid` and `test` are images, or tuples (images, labels); for what is not
    given a tenth of the images is held out, by a hash of their content. The rest is found out where it is not given:
    `axes` in their order, as "nhwc"; `size` of rows of pixels, (width, height); the values that are `black` and
    `white`; the `ground` behind transparent pixels (white, black or grey). `binarize`: black and white only. Raises
    UserError for fewer than 10 images and for what may mean two things.
    """
    if not isinstance(name, str) or not name or name.startswith(PREFIX):
        raise UserError(f"the name of a data set is a text that does not begin with {PREFIX}, not {name!r}")
    if is_known(name):
        raise UserError(f"{name!r} is the name of a data set of minidraw: give these images another name")
    asked = {"axes": axes, "size": size, "black": black, "white": white, "ground": ground}
    options = Keywords(binarize=bool(binarize), **{key: _read(key, value) for key, value in asked.items()})
    if options.white is not None and options.white == (options.black or 0.0):
        raise UserError(f"white and black are the same value, {options.white:g}")
    held_out = {split: pair for split, pair in (("valid", valid), ("test", test)) if pair is not None}
    parts = [_part("images", (images, labels), "train")]
    parts += [
        _part(split, pair if isinstance(pair, tuple) else (pair, None), split) for split, pair in held_out.items()
    ]
    arrays = Arrays(f"the data set {name!r}", parts, options)
    order, about = describe(arrays)
    records = np.concatenate([block for _, block in blocks(arrays, order, about)])  # (n, 1 + C·H·W)
    return dataset(name, "arrays in memory", records, about, options.binarize)


def _plain(value: Any) -> Any:
    """Return a number as Python's."""
    return value.item() if isinstance(value, np.generic) else value


def _read(key: str, value: Any) -> Any:
    """Return the value of an option, read as those of folders are."""
    if value is None:
        return None
    return read_option(key, "x".join(map(str, value)) if isinstance(value, tuple | list) else str(value))


def _part(name: str, pair: tuple, split: str) -> Part:
    """Return images and labels, which may be None, as arrays. Raises UserError where they are none, or do not fit."""
    if len(pair) != 2:
        raise UserError(f"{name} takes images, or a tuple (images, labels), not a tuple of {len(pair)}")
    images, labels = (None if given is None else _array(name, given) for given in pair)
    if images is None or images.dtype.kind in "US":
        raise UserError(f"{name} takes an array of images; one in a file is the data set '{PREFIX}FILE.npy'")
    if labels is not None and (labels.ndim == 0 or len(labels) != len(images[:, None] if images.ndim else [])):
        raise UserError(f"there are labels {labels.shape} for {name} {images.shape}: every image needs one")
    return Part(images, labels, split)


def _array(name: str, given: Any) -> np.ndarray:
    """Return an array-like as NumPy's. Raises UserError where it cannot become one, or would lose its mask."""
    if any(map(np.ma.is_masked, given if isinstance(given, list | tuple) else [given])):
        raise UserError(f"{name} has masked values, which an image has not: give what .filled(VALUE) makes of it")
    try:
        return np.asarray(given)
    except Exception as problem:  # rows of unequal lengths, a tensor on a GPU or one that has gradients: anything
        raise UserError(f"{name} cannot become a NumPy array ({one_line(problem)}): convert them first") from None
