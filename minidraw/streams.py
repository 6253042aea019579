"""All randomness by name: every purpose has streams of its own, which no other purpose draws from, whatever the seed.

The data set `strokes` alone has others, from before (data/strokes.py).
"""

import enum
import numbers

import numpy as np

from .errors import UserError


class Purpose(enum.IntEnum):
    """What random numbers are for, and what the number of a stream counts where a purpose has several."""

    PARAMETERS = 0  # start values
    ORDER = 1  # of the training images: epochs
    IMAGES = 2  # what is made anew of the images of an update: updates
    NOISE = 3  # of an update: updates
    VALIDATION = 4  # noise of every validation of a run
    CANVAS = 5  # noise by which a run chooses between two canvases to start with
    PRIOR = 6  # latents of drawings
    POSTERIOR = 7  # noise of images that are drawn again
    BETWEEN = 8  # latents, or noise, of the ends of an interpolation
    EVALUATION = 9  # noise of the bound
    IMPORTANCE = 10  # noise of the importance-weighted bound
    ALWAYS = 11  # what is made of a split's images where they are always the same: splits


def seeds(seed: int, purpose: Purpose, number: int = 0) -> np.random.SeedSequence:
    """Return what a stream grows from; seed and number are whole numbers of any size.

    Raises UserError for a seed that is none of 0 or more.
    """
    if not isinstance(seed, numbers.Integral) or seed < 0:
        raise UserError(f"seed must be a whole number of 0 or more, not {seed!r}")
    return np.random.SeedSequence(int(seed), spawn_key=(int(purpose), int(number)))


def stream(seed: int, purpose: Purpose, number: int = 0) -> np.random.Generator:
    """Return the generator of a stream, at its beginning. Raises UserError as `seeds` does."""
    return np.random.default_rng(seeds(seed, purpose, number))
