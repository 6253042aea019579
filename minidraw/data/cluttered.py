"""Cluttered MNIST (section 4.1): a digit somewhere in 100 x 100 pixels, among eight scraps of other digits.

The recipe is that of Mnih et al. (2014, arXiv:1406.6247), which the paper took over to compare with their model.
"""

import numpy as np

from . import mnist
from .images import Dataset, Made, unit
from .patches import add, cut
from .places import Places

SIDE = 100  # pixels, of an image
SCRAPS, SCRAP = 8, 8  # how many, and their side in pixels


class Cluttered(Made):
    """A split whose images are made anew at every draw; `digits` is uint8 (n, h, w), `labels` uint8 (n,).

    Image i shows digit i of the split, once; only its place and what lies around it change.
    """

    def __init__(self, digits: np.ndarray, labels: np.ndarray, side: int = SIDE, scraps: int = SCRAPS, number: int = 0):
        self.digits, self.labels, self.side, self.scraps, self.number = digits, labels, side, scraps, number
        self.shape = (1, side, side)

    def __len__(self) -> int:
        return len(self.digits)

    def batch(self, indices, rng: np.random.Generator | None = None) -> np.ndarray:
        """Return the digits at `indices` (B,), cluttered, as float32 (B, 1, side, side) in [0, 1].

        Everything random comes from `rng`; without one an image is always the same.
        """
        indices = np.asarray(indices)
        return self.placed(unit(self.digits[indices]), *self.decided(indices, rng))

    def placed(self, digits: np.ndarray, chosen, y_in, x_in, pasted, y, x) -> np.ndarray:
        """Return digits (B, h, w) in [0, 1], their corners at row y, column x (B,), cluttered as `chance` decided."""
        scraps = cut(self.digits, chosen, y_in, x_in, SCRAP)  # (scraps, B, 8, 8)
        images = np.zeros((len(digits), self.side, self.side), np.float32)
        for k in range(self.scraps):  # one after another, since two scraps of an image may overlap
            add(images, unit(scraps[k]), *pasted[:, k])
        # The recipe clips here too; as nothing is negative, clipping once, below, gives the same image.
        add(images, digits, y, x)
        np.minimum(images, 1, out=images)
        return images[:, None]

    def chance(self, images: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Return of which digits the scraps are, their places there and here, and the digit's own place."""
        n, h, w = self.digits.shape
        size = self.scraps, images
        chosen = rng.integers(n, size=size)  # with replacement, of any class
        cuts = [rng.integers(length - SCRAP + 1, size=size) for length in (h, w)]
        pasted = rng.integers(self.side - SCRAP + 1, size=(2, *size))
        return chosen, *cuts, pasted, *(rng.integers(self.side - length + 1, size=images) for length in (h, w))


def load(places: Places, seed: int = 0, spec: mnist.Spec = mnist.OFFICIAL) -> Dataset:
    """Return cluttered MNIST, (1, 100, 100) with the digits' labels, 50,000 / 10,000 / 10,000; `seed` is not used.

    Needs the files of `mnist`, in their places. Raises UserError where one is wrong or not to be had.
    """
    digits = mnist.load(mnist.places_of(places), spec=spec)
    train, valid, test = (
        Cluttered(split.pixels[:, 0], split.labels, number=number)
        for number, split in enumerate((digits.train, digits.valid, digits.test))
    )
    note = f"cluttered, made at every draw from {digits.note}"
    # Not by its images: what is made at a draw may be rounded elsewhere another way.
    return Dataset("cluttered", train, valid, test, note, digits.classes, identity=f"cluttered 1 of {digits.identity}")
