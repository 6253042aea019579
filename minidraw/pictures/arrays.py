"""Drawings as arrays to go on computing with: one of them in an .npy file, all by name in an .npz.

    frames        (T, n, C, H, W)  sigmoid(c_t): the image after every glimpse, in [0, 1]
    latents       (T, n, Z)        z_t: `DRAW.decode` makes the frames of them again
    ink           (T, n, C, H, W)  1 - exp(-Σ |what the glimpses so far have added in logits|): where it has written
    start         (C, H, W)        sigmoid(c_0): the canvas before the first glimpse
    write_centre  (T, n, 2)        where the glimpse is written: x and y in pixels; 1 is the centre of the first pixel
    write_stride  (T, n)           delta, pixels between neighbouring filters
    write_sigma   (T, n)           standard deviation of the filters in pixels
    write_size    ()               N, filters along a side
    read_centre ... read_size      the same of where it looks, if it was given images
    originals     (n, C, H, W)     the images that it was given, in [0, 1]

A network without attention has no windows. Letters: T glimpses, n images, (C, H, W) an image, Z latent variables.
"""

import io
import math
import os
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..files import npz, write_atomic
from ..model.draw import Drawing

ENDINGS = (".npy", ".npz")
# Of all frames together, four bytes each. Their ink is as many, and both are in memory twice while they are written.
MOST_NUMBERS = 1 << 28


def check_arrays(images: int, glimpses: int, image_shape: tuple[int, int, int]) -> None:
    """Raise UserError, before any work is done, for so many images that their frames would be too much for a file."""
    if images * glimpses * math.prod(image_shape) > MOST_NUMBERS:
        raise UserError(
            f"{images} drawings are more than {MOST_NUMBERS:,} numbers, too much for one file: ask for less"
        )


def by_name(drawing: Drawing, originals: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Return what there is of a drawing, and the images that were drawn again, by the names above."""
    named = {name: getattr(drawing, name) for name in ("frames", "latents", "ink", "start")}
    for name, windows in (("write", drawing.write), ("read", drawing.read)):
        if windows is not None:
            named |= {f"{name}_{field}": np.asarray(value) for field, value in windows._asdict().items()}
    return named if originals is None else named | {"originals": originals}


def write_arrays(
    path: str | os.PathLike, drawing: Drawing, originals: np.ndarray | None = None, latents: bool = False
) -> str:
    """Write the arrays of a drawing; in an .npy its frames or its `latents`. Return their names and shapes.

    The file appears whole or not at all, and nothing in it is pickled. Raises UserError where it cannot be written.
    """
    named = by_name(drawing, originals)
    if Path(path).suffix.lower() == ".npz":
        write_atomic(path, npz(named))
    else:
        name, content = "latents" if latents else "frames", io.BytesIO()
        named = {name: named[name]}
        np.save(content, named[name], allow_pickle=False)
        write_atomic(path, content.getbuffer())
    return ", ".join(f"{name} {array.shape}" for name, array in named.items())
