"""What a data set is to the rest of minidraw: three splits, each of which hands out batches of images."""

import copy
import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import UserError
from ..streams import Purpose, stream


class Images:
    """A split of a data set whose n images are held in memory, small.

    `pixels` is uint8: 0..255 of shape (n, C, H, W), or, with `shape` = (C, H, W) given, the packed bits of images of
    zeros and ones, (n, ceil(C·H·W / 8)), as np.packbits makes them. `labels` is uint8 (n,) or None. Raises ValueError
    where these do not fit.

    >>> split = Images(np.full((3, 1, 2, 2), 255, np.uint8))
    >>> len(split), split.shape, float(split.batch([2, 0]).mean())
    (3, (1, 2, 2), 1.0)
    """

    def __init__(self, pixels: np.ndarray, labels: np.ndarray | None = None, shape: tuple[int, int, int] | None = None):
        self.packed = shape is not None
        self.shape = tuple(shape) if self.packed else pixels.shape[1:]  # (C, H, W)
        self.pixels, self.labels = pixels, labels
        wanted = (len(pixels), *((-(-math.prod(self.shape) // 8),) if self.packed else self.shape))
        if len(self.shape) != 3 or pixels.shape != wanted or pixels.dtype != np.uint8:
            raise ValueError(f"pixels of {pixels.dtype} {pixels.shape} do not hold images of shape {self.shape}")
        if labels is not None and (labels.shape != (len(pixels),) or labels.dtype != np.uint8):
            raise ValueError(f"labels of {labels.dtype} {labels.shape} do not label {len(pixels)} images")

    def __len__(self) -> int:
        return len(self.pixels)

    def batch(self, indices, rng: np.random.Generator | None = None) -> np.ndarray:
        """Return the images at `indices` (B,) as a new float32 array (B, C, H, W) in [0, 1], C-contiguous.

        `rng` is there for splits that make their images anew at every draw; this one does not use it.
        """
        chosen = self.pixels[np.asarray(indices)]  # (B, bytes) or (B, C, H, W)
        if self.packed:
            bits = np.unpackbits(chosen, axis=-1, count=math.prod(self.shape))  # (B, C·H·W)
            return bits.reshape(len(chosen), *self.shape).astype(np.float32)
        return unit(chosen)


class Made:
    """What splits have in common whose images are made at every draw: what chance decides of them, see `chance`.

    Without a generator an image is a function of its number alone: so are test sets, whoever measures on them. `number`
    tells the splits of a data set apart.
    """

    number = 0
    _always: tuple[np.ndarray, ...] | None = None

    def __len__(self) -> int:
        raise NotImplementedError

    def chance(self, images: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Return whole numbers for so many images, arrays whose last axis is theirs."""
        raise NotImplementedError

    def decided(self, indices, rng: np.random.Generator | None) -> tuple[np.ndarray, ...]:
        """Return those for the images at `indices` (B,): new ones from `rng`, or without one always the same."""
        if rng is not None:
            return self.chance(len(indices), rng)
        if self._always is None:
            self._always = self.chance(len(self), stream(0, Purpose.ALWAYS, self.number))
        return tuple(values[..., indices] for values in self._always)


class Joined:
    """Arrays (n_k, ...) one after another, as one for whoever takes rows of it: for those too large to be joined.

    >>> joined = Joined([np.zeros((2, 4), np.uint8), np.ones((3, 4), np.uint8)])
    >>> joined.shape, joined[np.array([4, 0])].tolist()
    ((5, 4), [[1, 1, 1, 1], [0, 0, 0, 0]])
    """

    def __init__(self, parts: list[np.ndarray]):
        self.parts = parts
        self.starts = np.cumsum([0, *(len(part) for part in parts)])  # of each part, and the end
        self.shape, self.dtype = (int(self.starts[-1]), *parts[0].shape[1:]), parts[0].dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, chosen: np.ndarray) -> np.ndarray:
        """Return a copy of the rows `chosen`, integers (B,), as (B, ...)."""
        chosen = np.arange(len(self))[chosen]  # refuses what is outside, and counts from the end
        rows = np.empty((len(chosen), *self.shape[1:]), self.dtype)
        for part, start, stop in zip(self.parts, self.starts, self.starts[1:], strict=False):
            here = (start <= chosen) & (chosen < stop)
            rows[here] = part[chosen[here] - start]
        return rows


def unit(pixels: np.ndarray) -> np.ndarray:
    """Return uint8 pixels, 0..255, as a new C-contiguous float32 array in [0, 1]; 255 becomes exactly 1."""
    return np.divide(pixels, np.float32(255), dtype=np.float32, order="C")


@dataclass(frozen=True)
class Dataset:
    """The three splits of a data set and a line on where it came from; each is Images, or anything with its methods.

    `classes` are the names of the labels 0, 1, ...; `remarks` are lines on what was done to the images, and what was
    left out; `identity` stands for all of their content, where that is known without looking at it; `preparation` is
    how a picture becomes such an image, see folder/preparation.py.
    """

    name: str
    train: Any
    valid: Any
    test: Any
    note: str
    classes: tuple[str, ...] | None = None
    remarks: tuple[str, ...] = ()
    identity: str = ""
    preparation: dict | None = None


def renumbered(data: Dataset, classes: tuple[str, ...]) -> Dataset:
    """Return a data set whose labels have the numbers that `classes` gives to their names.

    Raises UserError where one of its classes is none of them.
    """
    if data.classes is None or data.classes == classes:
        return data
    if unknown := sorted({*data.classes} - {*classes}):
        raise UserError(
            f"{data.name} has classes that this network does not know: {', '.join(unknown[:5])}; "
            f"it knows {', '.join(classes[:20])}"
        )
    numbers = np.array([classes.index(name) for name in data.classes], np.uint8)

    def with_numbers(split: Any) -> Any:
        split = copy.copy(split)
        split.labels = None if split.labels is None else numbers[split.labels]
        return split

    splits = {name: with_numbers(getattr(data, name)) for name in ("train", "valid", "test")}
    return dataclasses.replace(data, classes=classes, **splits)


def mean_image(
    split: Images, rng: np.random.Generator | None = None, chunk: int = 1000, most: int = 50_000
) -> np.ndarray:
    """Return the mean image of `split`, float32 (C, H, W) in [0, 1], `chunk` images in memory at a time.

    Of more than `most` images, that many, evenly spaced, stand for all.
    """
    chosen = np.arange(min(len(split), most)) * len(split) // min(len(split), most)  # (n,)
    total = np.zeros(split.shape)  # (C, H, W), float64
    for start in range(0, len(chosen), chunk):
        total += split.batch(chosen[start : start + chunk], rng).sum(axis=0, dtype=np.float64)
    return (total / len(chosen)).astype(np.float32)


def spread(count: int, split) -> np.ndarray:
    """Return `count` indices spread evenly over a split: official files may be in the order of their labels."""
    return np.linspace(0, len(split) - 1, count).astype(int)
