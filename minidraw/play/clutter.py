"""The classifier at work: a digit that one drags through clutter, where the network looks, and what it makes of it."""

import dataclasses
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..backend import to_host
from ..data.cluttered import SCRAPS, Cluttered
from ..data.images import unit
from ..data.strokes import strokes
from ..errors import UserError
from ..model.ram import RAM
from ..model.windows import Windows
from ..pictures.looks import LOOKS_PER_SECOND, looked
from ..pictures.saving import MOVING, write_pictures
from ..streams import Purpose, stream
from .asked import Asked
from .house import DEFAULT, MOST_NUMBER, House
from .recording import boxes as as_boxes
from .recording import packed


@dataclass(frozen=True)
class Look:
    """An image, how a classifier looks at it, and what it holds for likely on the way."""

    image: np.ndarray  # (1, H, W) in [0, 1]
    place: tuple[int, int]  # of the digit's first pixel, x and y
    side: int  # pixels of the digit
    label: int | None  # which digit it is; None: nobody knows
    words: str  # where it is from
    seen: np.ndarray  # (T, 1, 1, N, N), before gamma
    windows: Windows  # (T, 1)
    probabilities: np.ndarray  # (T, K): P(label | the glimpses so far)
    classes: tuple[str, ...]


def make(house: House, asked: Asked) -> Look:
    """Return what was asked for: {digit, seed of the clutter, scraps, x, y}, the last two in pixels.

    The digit is {"number": k} of the house's digits, of those of one kind with "class": 0..9, or {"strokes": k}, or a
    picture that the house takes. Without a place chance decides on one.
    """
    network = house.classifier()
    if network is None:
        raise UserError("there is no classifier for digits in clutter; start with the checkpoint `cluttered`")
    _, H, W = network.config.image_shape
    pixels, labels = house.digits
    side = pixels.shape[1]
    digit, label, words = _digit(house, asked, pixels, labels)  # (1, 28, 28)
    split = Cluttered(pixels, labels, H, scraps=asked.whole("scraps", 0, 4 * SCRAPS, SCRAPS))
    *scraps, by_chance_y, by_chance_x = split.chance(1, stream(asked.whole("seed", 0, MOST_NUMBER, 0), Purpose.IMAGES))
    x = asked.whole("x", 0, W - side, int(by_chance_x[0]))
    y = asked.whole("y", 0, H - side, int(by_chance_y[0]))
    image = split.placed(digit, *scraps, *np.array([[y], [x]]))  # (1, 1, H, W)
    seen, windows = network.look(image)
    likely = np.stack([np.exp(stopped.log_probabilities(image)[0]) for stopped in stopped_early(network)])  # (T, K)
    return Look(image[0], (x, y), side, label, words, seen, windows, likely, network.class_names)


def _digit(house: House, asked: Asked, pixels: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, int | None, str]:
    """Return the digit that is asked for, (1, 28, 28) in [0, 1], which one it is, and where it is from."""
    of = asked.child("digit") if "digit" in asked else Asked({"number": 0}, "digit.")
    if "strokes" in of:
        images, of_images = strokes(1, pixels.shape[1], of.whole("strokes", 0, MOST_NUMBER))
        return unit(images[0]), int(of_images[0]), "drawn by minidraw itself"
    if "number" not in of:
        image, words = house.image(of, house.network(DEFAULT))  # one that draws digits: placed as they are
        return image, None, words
    chosen = np.flatnonzero(labels == of.whole("class", 0, 9)) if "class" in of else np.arange(len(labels))
    if not len(chosen):
        raise UserError(f"there is no {of.fields['class']} among the digits here; ask for another one")
    k = chosen[of.whole("number", 0, MOST_NUMBER) % len(chosen)]
    return unit(pixels[k : k + 1]), int(labels[k]), f"number {k} of {len(labels):,} digits"


@functools.lru_cache(maxsize=2)
def stopped_early(network: RAM) -> tuple[RAM, ...]:
    """Return the network as it is when it answers after 1, 2, ... T glimpses: no parameter depends on how many."""
    stopped = []
    for glimpses in range(1, network.config.glimpses + 1):
        one = RAM(dataclasses.replace(network.config, glimpses=glimpses), dtype=network.dtype.name, threads=1)
        one.flat_params[:] = to_host(network.flat_params)
        stopped.append(one)
    return tuple(stopped)


def tell(look: Look) -> dict[str, Any]:
    """Return everything that is shown: pictures as in recording.py, and numbers."""
    _, H, W = look.image.shape
    return {
        "shape": [H, W, 1],
        "image": packed(look.image),  # (H, W, 1)
        "place": list(look.place),  # x and y of the digit's first pixel
        "side": look.side,
        "label": look.label,
        "words": look.words,
        "glimpses": len(look.seen),
        "read": [box for (box,) in as_boxes(look.windows)],  # [T][x, y, half, line]
        "size": look.windows.size,
        "seen": packed(look.seen[:, 0]),  # (T, N, N, 1)
        "probabilities": look.probabilities.astype(float).round(5).tolist(),  # [T][K]
        "classes": list(look.classes),
    }


def save(look: Look, path: str, plain: bool, boxes: bool) -> None:
    """Write how the network looks: the window on the image beside what is seen, a sheet a glimpse; or all in one."""
    moving, still = looked(look.image[None], look.seen, look.windows, boxes)
    pictures = moving if Path(path).suffix.lower() in MOVING else [still]
    write_pictures(path, pictures, f"{len(look.seen)} glimpses", fps=LOOKS_PER_SECOND)
