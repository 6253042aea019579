"""MNIST with two digits (section 4.2): each somewhere in 60 x 60 pixels, added where they overlap."""

import numpy as np

from . import mnist
from .images import Dataset, unit
from .patches import add
from .places import Places

SIDE = 60  # pixels, of an image


class TwoDigits:
    """A split whose images are made anew at every draw; `digits` is uint8 (n, h, w).

    Image i shows digit i of the split and any other of it. As the two are equals, there are no labels.
    """

    labels = None

    def __init__(self, digits: np.ndarray, side: int = SIDE):
        self.digits, self.side = digits, side
        self.shape = (1, side, side)

    def __len__(self) -> int:
        return len(self.digits)

    def batch(self, indices, rng: np.random.Generator | None = None) -> np.ndarray:
        """Return the digits at `indices` (B,), each with a second one, as float32 (B, 1, side, side) in [0, 1].

        Everything random comes from `rng`; without one it is that of seed 0, the same at every call.
        """
        rng = np.random.default_rng(0) if rng is None else rng
        first = self.digits[np.asarray(indices)]  # (B, h, w)
        n, h, w = self.digits.shape
        B = len(first)
        second = self.digits[rng.integers(n, size=B)]  # (B, h, w)
        images = np.zeros((B, self.side, self.side), np.float32)
        for digits in (first, second):
            add(images, unit(digits), rng.integers(self.side - h + 1, size=B), rng.integers(self.side - w + 1, size=B))
        return np.minimum(images, 1, out=images)[:, None]


def load(places: Places, seed: int = 0, spec: mnist.Spec = mnist.OFFICIAL) -> Dataset:
    """Return pairs of MNIST digits, (1, 60, 60) without labels, 50,000 / 10,000 / 10,000; `seed` is not used.

    Needs the files of `mnist`, in their places. Raises UserError where one is wrong or not to be had.
    """
    digits = mnist.load(mnist.places_of(places), spec=spec)
    train, valid, test = (TwoDigits(split.pixels[:, 0]) for split in (digits.train, digits.valid, digits.test))
    note = f"two digits an image, put there at every draw, of {digits.note}"
    return Dataset("two_digits", train, valid, test, note, identity=f"two_digits 1 of {digits.identity}")
