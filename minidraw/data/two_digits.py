"""MNIST with two digits (section 4.2): each somewhere in 60 x 60 pixels, added where they overlap."""

import numpy as np

from . import mnist
from .images import Dataset, Made, unit
from .patches import add
from .places import Places

SIDE = 60  # pixels, of an image


class TwoDigits(Made):
    """A split whose images are made anew at every draw; `digits` is uint8 (n, h, w).

    Image i shows digit i of the split and one drawn from all of it. As the two are equals, there are no labels.
    """

    labels = None

    def __init__(self, digits: np.ndarray, side: int = SIDE, number: int = 0):
        self.digits, self.side, self.number = digits, side, number
        self.shape = (1, side, side)

    def __len__(self) -> int:
        return len(self.digits)

    def batch(self, indices, rng: np.random.Generator | None = None) -> np.ndarray:
        """Return the digits at `indices` (B,), each with a second one, as float32 (B, 1, side, side) in [0, 1].

        Everything random comes from `rng`; without one an image is always the same.
        """
        indices = np.asarray(indices)
        second, *places = self.decided(indices, rng)
        images = np.zeros((len(indices), self.side, self.side), np.float32)
        for digits, place in ((indices, places[:2]), (second, places[2:])):
            add(images, unit(self.digits[digits]), *place)
        return np.minimum(images, 1, out=images)[:, None]

    def chance(self, images: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Return which digits are the second ones, and the places, y and x, of the first and of the second."""
        n, *size = self.digits.shape
        second = rng.integers(n, size=images)
        return second, *(rng.integers(self.side - length + 1, size=images) for length in size * 2)


def load(places: Places, seed: int = 0, spec: mnist.Spec = mnist.OFFICIAL) -> Dataset:
    """Return pairs of MNIST digits, (1, 60, 60) without labels, 50,000 / 10,000 / 10,000; `seed` is not used.

    Needs the files of `mnist`, in their places. Raises UserError where one is wrong or not to be had.
    """
    digits = mnist.load(mnist.places_of(places), spec=spec)
    train, valid, test = (
        TwoDigits(split.pixels[:, 0], number=number)
        for number, split in enumerate((digits.train, digits.valid, digits.test))
    )
    note = f"two digits an image, put there at every draw, of {digits.note}"
    return Dataset("two_digits", train, valid, test, note, identity=f"two_digits 1 of {digits.identity}")
