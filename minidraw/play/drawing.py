"""The labs in which a network draws: an image again, or from noise; with other noise; from one drawing to another."""

import os
from typing import Any, NamedTuple

import numpy as np
import scipy

from ..model.draw import DRAW, Drawing
from ..model.latent import between
from ..pictures import saving
from ..pictures.sizes import Size
from ..streams import Purpose, stream
from .asked import Asked
from .house import MOST_NUMBER, House
from .recording import recording

MOST = 64  # drawings of a sheet
MOST_OTHERS = 24  # with other noise
MOST_STEPS = 33  # from one to another
WIDE = 1700  # pixels, about the width of a row that is saved as a still picture: as wide as a slide


class Reading(NamedTuple):
    """An image read and drawn again, and what that costs in nats."""

    drawing: Drawing
    kl: np.ndarray  # (T,) of every glimpse (eq. 10)
    reconstruction: float  # (eq. 9)
    grey: float  # of it what not even the image itself as a drawing would save, for its pixels are not 0 or 1
    words: str  # where the image is from and what was done to it


def read(house: House, asked: Asked) -> Reading:
    """Read an image and draw it again; the noise is that of the command `reconstruct` with this seed."""
    network, seed = house.asked_network(asked), asked.whole("seed", 0, MOST_NUMBER, 0)
    image, words = house.image(asked.child("image"), network)
    loss = network.loss(image[None], seed=seed)
    grey = float((scipy.special.entr(image) + scipy.special.entr(1 - image)).sum())
    return Reading(network.redraw(image[None], seed=seed), loss.latent_per_step, loss.reconstruction, grey, words)


def tell_reading(reading: Reading) -> dict[str, Any]:
    """Return what the page shows of it; the bound is that of eq. 12."""
    saving.check_finite([*reading.kl, reading.reconstruction])
    return {
        "recording": recording(reading.drawing),
        "kl": np.round(reading.kl, 4).tolist(),
        "reconstruction": round(reading.reconstruction, 3),
        "grey": round(reading.grey, 3),
        "bound": round(reading.reconstruction + float(reading.kl.sum()), 3),
        "words": reading.words,
    }


def draw(house: House, asked: Asked) -> Drawing:
    """Draw a sheet from noise, that of the command `generate` with this seed."""
    return house.asked_network(asked).draw(asked.whole("count", 1, MOST), asked.whole("seed", 0, MOST_NUMBER, 0))


def decide(house: House, asked: Asked) -> Drawing:
    """Draw one drawing of a sheet again, then as often with new noise in one glimpse, the first being 1, alone."""
    network, z, new = _one_and_others(house, asked)
    z[asked.whole("glimpse", 1, len(z)) - 1, 1:] = new
    return network.draw_latents(z)


def influence(house: House, asked: Asked) -> np.ndarray:
    """Return by how much what `decide` draws differs from the drawing itself, for every glimpse, (T,).

    It is a mean over pixels and the others, of the probabilities that come out.
    """
    network, latents, new = _one_and_others(house, asked)
    changes = []
    for t in range(len(latents)):
        z = latents.copy()
        z[t, 1:] = new
        itself, *others = network.decode(z)[-1]
        changes.append(np.abs(np.stack(others) - itself).mean())
    return np.array(changes)


def tell_influence(changes: np.ndarray) -> dict[str, Any]:
    """Return it as the page shows it, from 0 to 1."""
    saving.check_finite(changes)
    return {"influence": changes.astype(float).round(5).tolist()}


def _one_and_others(house: House, asked: Asked) -> tuple[DRAW, np.ndarray, np.ndarray]:
    """Return a network, the latents of one drawing of a sheet 1 + others times (T, 1 + others, Z), and new ones.

    The new ones (others, Z) are for a glimpse of the others.
    """
    network, latents, seed = _latents(house, asked)
    _, n, Z = latents.shape
    which, others = asked.whole("which", 0, n - 1), asked.whole("others", 1, MOST_OTHERS)
    new = stream(seed, Purpose.PRIOR, 1 + which).standard_normal((others, Z))  # none that the sheet has
    return network, np.repeat(latents[:, which, None], 1 + others, axis=1), new


def walk(house: House, asked: Asked) -> Drawing:
    """Draw what lies between two drawings of a sheet, both included, as the command `interpolate` does."""
    network, latents, _ = _latents(house, asked)
    n = latents.shape[1]
    ends = [asked.whole(name, 0, n - 1) for name in ("from", "to")]
    return network.draw_latents(between(latents[:, ends], asked.whole("steps", 2, MOST_STEPS)))


def _latents(house: House, asked: Asked) -> tuple[DRAW, np.ndarray, int]:
    """Return the network, the latents (T, n, Z) of the sheet that `draw` draws of its seed, and the seed."""
    network, seed, n = house.asked_network(asked), asked.whole("seed", 0, MOST_NUMBER, 0), asked.whole("count", 1, MOST)
    T, Z = network.config.glimpses, network.config.latent_size
    return network, stream(seed, Purpose.PRIOR).standard_normal((T, n, Z)).astype(network.dtype), seed


def tell(drawing: Drawing) -> dict[str, Any]:
    """Return what the page shows of a drawing."""
    return {"recording": recording(drawing)}


def save_reading(reading: Reading, path: str | os.PathLike, plain: bool, boxes: bool) -> None:
    """Write how an image was read and drawn again; as a still picture, a strip from left to right in time."""
    save(reading.drawing, path, plain, boxes)


def save(drawing: Drawing, path: str | os.PathLike, plain: bool, boxes: bool, columns: int | None = None) -> None:
    """Write a sheet as it is drawn; as a still picture what came out, or of a single drawing a strip."""
    T, n, C, H, W = drawing.frames.shape
    still, scale = saving.ending(path) in saving.STILL, None
    strip = still and n == 1
    if still and (strip or columns):
        _, cells, _, w = Size(n, T, (C, H, W), drawing.originals is not None, strip, columns).grid()
        scale = max(1, round(WIDE / (cells * w)))
    drawing.save(path, plain=plain, boxes=boxes, strip=strip, columns=columns, scale=scale)


def save_row(drawing: Drawing, path: str | os.PathLike, plain: bool, boxes: bool) -> None:
    """Write drawings side by side."""
    save(drawing, path, plain, boxes, columns=drawing.frames.shape[1])


def save_walk(drawing: Drawing, path: str | os.PathLike, plain: bool, boxes: bool) -> None:
    """Write a walk as one drawing that changes in time, there and back; as a still picture, side by side."""
    if saving.ending(path) not in saving.MOVING:
        return save_row(drawing, path, plain, boxes)
    steps = drawing.frames.shape[1]
    circle = [*range(steps), *range(steps - 2, 0, -1)]
    saving.morph(drawing._replace(frames=drawing.frames[:, circle]), path)
