"""What a data set is to the rest of minidraw: three splits, each of which hands out batches of images."""

import math
from dataclasses import dataclass

import numpy as np


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
        return np.divide(chosen, np.float32(255), dtype=np.float32, order="C")  # 255 becomes exactly 1


@dataclass(frozen=True)
class Dataset:
    """The three splits of a data set and a line on where it came from; each is Images, or anything with its methods."""

    name: str
    train: Images
    valid: Images
    test: Images
    note: str


def mean_image(split: Images, rng: np.random.Generator | None = None, chunk: int = 1000) -> np.ndarray:
    """Return the mean of all images of `split`, float32 (C, H, W) in [0, 1], `chunk` images in memory at a time."""
    total = np.zeros(split.shape)  # (C, H, W), float64
    for start in range(0, len(split), chunk):
        total += split.batch(np.arange(start, min(start + chunk, len(split))), rng).sum(axis=0, dtype=np.float64)
    return (total / len(split)).astype(np.float32)
