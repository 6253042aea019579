"""Picture files as images for a network: whole, or, for a network of white digits on black, the figure found in it.

The second is how MNIST itself was made: the ink of a scan as black and white, shrunk into a box of 20x20 pixels, whose
edges become grey by that, and put into 28x28 with its centre of mass in the middle.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import scipy  # what is used of it is imported then: it takes a third of a command's start
from PIL import Image

from ..backend import to_host
from ..data.folder.opening import opened, quiet
from ..data.folder.preparation import Preparation, flat, ground_for, light_seen
from ..errors import UserError, reason
from ..model.draw import DRAW

BLACK = -2.2  # logit of 0.1

File = str | os.PathLike | BinaryIO  # a picture file: its path, or its bytes, which may have a `name`
DIGITS = (1, 28, 28)  # images in which a figure is placed as in MNIST
BOX = 20  # pixels of an image that a figure's longer side takes
STROKE = 2.3  # pixels of an image: a thinner line is made as thick, or it would vanish; most of MNIST's are thicker
WORK, ROUGH = 512, 64  # pixels of a picture's longer side when the figure is looked for, and when the light is
FAINTEST = 0.15  # contrast of a figure with its ground, which goes from 0 to 1
SPECK = 0.05  # ink of a piece, as a part of that of the largest, below which it does not belong to the figure


def draws_digits(network: DRAW) -> bool:
    """Tell whether a network draws in the format of MNIST: 28x28, and white on black, going by its first canvas."""
    return network.config.image_shape == DIGITS and draws_on_black(network)


def draws_on_black(network: DRAW) -> bool:
    """Tell whether the network starts from a grey canvas with a black border: it draws white digits on black."""
    start = _start(network)
    return len(start) == 1 and float(np.median(border(start[0]))) < BLACK


def draws_on_white(network: DRAW) -> bool:
    """Tell whether the network starts from a grey canvas with a white border."""
    start = _start(network)
    return len(start) == 1 and float(np.median(border(start[0]))) > -BLACK


def _start(network: DRAW) -> np.ndarray:
    """Return the canvas before the first glimpse (C, H, W), in logits."""
    return to_host(network.params["canvas0"]).reshape(network.config.image_shape)


def border(image: np.ndarray) -> np.ndarray:
    """Return the outermost pixels of an image (H, W) or (H, W, 3), corners twice."""
    return np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])


def read_picture(path: File, shape: tuple[int, int, int], on_black: bool) -> tuple[np.ndarray, str]:
    """Return a picture file as an image (C, H, W) in [0, 1], and in a few words what was done to it ("": nothing much).

    The aspect is kept, the rest has the colour of the picture's border. With `on_black` a dark figure on a light ground
    is inverted. Raises UserError where the file is missing, no picture, or too large.
    """
    C, H, W = shape
    if C not in (1, 3):
        raise UserError(f"pictures are grey or RGB, but this network is for images of {C} channels")
    picture = open_picture(path, "L" if C == 1 else "RGB")
    shrink = min(W / picture.width, H / picture.height)
    size = max(1, round(shrink * picture.width)), max(1, round(shrink * picture.height))
    ground = np.median(border(np.asarray(picture)), axis=0).astype(int)
    fitted = Image.new(picture.mode, (W, H), tuple(ground.tolist()) if C == 3 else int(ground))
    fitted.paste(picture.resize(size, Image.Resampling.BICUBIC), ((W - size[0]) // 2, (H - size[1]) // 2))
    image = np.asarray(fitted, np.float32) / 255  # (H, W) or (H, W, 3)
    done = ""
    if on_black and border(image).mean() > image.mean():
        image, done = 1 - image, "inverted, for this network draws white on black"
    return (image[None] if C == 1 else image.transpose(2, 0, 1)), done


def read_digit(path: File) -> tuple[np.ndarray, str]:
    """Return the figure in a picture file as MNIST would show it, (1, 28, 28) in [0, 1], and what was done in words.

    A picture of that size, or in which nothing stands out, is taken whole. Raises UserError as `read_picture` does.
    """
    picture = open_picture(path, "L")
    found = None if picture.size == DIGITS[:0:-1] else find_figure(picture)
    if found is None:
        image, done = read_picture(path, DIGITS, on_black=True)
        if picture.size != DIGITS[:0:-1]:
            done = "no figure stands out, taken whole" + (f"; {done}" if done else "")
        return image, done
    ink, kind = found
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    side = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1  # pixels of the picture that become BOX
    width = 4 * float(scipy.ndimage.distance_transform_edt(ink)[ink].mean())  # of a line: a pixel lies a quarter inside
    thicker = max(0.0, STROKE / BOX * side - width)
    margin = int(np.ceil(thicker / 2))
    ink = np.pad(ink, margin)[rows[0] : rows[-1] + 2 * margin + 1, columns[0] : columns[-1] + 2 * margin + 1]
    if thicker:
        ink = scipy.ndimage.distance_transform_edt(~ink) <= thicker / 2
    done = f"a {kind} figure found" + (", thickened" if thicker else "") + ", placed as in MNIST"
    return centred(ink)[None], done


def find_figure(picture: Image.Image) -> tuple[np.ndarray, str] | None:
    """Return where there is ink in a grey picture, enlarged or shrunk to WORK pixels, and "dark" or "light", or None.

    Ink is what differs from the light around it, a plane plus the median of half a picture: it need not be even.
    What touches the picture's edge (a table, a thumb) counts only if there is nothing else, specks never.
    """

    def resized(picture: Image.Image, longer: int) -> Image.Image:
        scale = longer / max(picture.size)
        size = [max(1, round(scale * side)) for side in picture.size]
        return picture.resize(size, Image.Resampling.BICUBIC)  # shrinking, Pillow averages

    large = resized(picture, WORK)
    rough = np.asarray(resized(picture, ROUGH), np.float32) / 255
    rows, columns = np.indices(rough.shape).reshape(2, -1)
    slope = np.stack([rows, columns, np.ones_like(rows)], axis=1)
    plane = (slope @ np.linalg.lstsq(slope, rough.ravel())[0]).reshape(rough.shape).astype(np.float32)
    rough = plane + scipy.ndimage.median_filter(rough - plane, size=ROUGH // 2 + 1, mode="reflect")
    ground = np.asarray(Image.fromarray(rough).resize(large.size, Image.Resampling.BILINEAR))
    grey = np.asarray(large, np.float32) / 255
    contrasts = {"dark": (ground - grey) / np.maximum(ground, 0.1), "light": grey - ground}
    level = max(float(np.percentile(contrast, 99.9)) for contrast in contrasts.values())
    noise = 1.5 * float(np.median(np.abs(grey - ground)))  # a standard deviation, if it is Gaussian
    if level < max(FAINTEST, 6 * noise):
        return None
    figures = {kind: pieces(contrast, level / 2) for kind, contrast in contrasts.items()}
    kind = max(figures, key=lambda kind: contrasts[kind][figures[kind]].sum())
    return figures[kind], kind


def pieces(contrast: np.ndarray, threshold: float) -> np.ndarray:
    """Return where `contrast` (rows, columns) is above the threshold, without what does not count (see find_figure)."""
    labels, count = scipy.ndimage.label(contrast > threshold, np.ones((3, 3)))  # also corner to corner
    ink = np.bincount(labels.ravel(), contrast.ravel(), count + 1)  # of every piece
    ink[0] = 0
    inside = ink.copy()
    inside[border(labels)] = 0
    if inside.max() > SPECK * ink.max():
        ink = inside
    return (ink > SPECK * ink.max())[labels]


def centred(ink: np.ndarray) -> np.ndarray:
    """Return ink (rows, columns), cut to the figure, as an image (28, 28): longer side BOX, mass in the middle."""
    _, H, W = DIGITS
    scale = BOX / max(ink.shape)
    size = [max(1, round(scale * side)) for side in ink.shape[::-1]]
    small = np.asarray(Image.fromarray(np.uint8(255) * ink).resize(size, Image.Resampling.BOX), np.float32) / 255
    places = [np.arange(side) + 0.5 for side in small.shape]
    mass = [float(small.sum(axis=1 - axis) @ places[axis] / small.sum()) for axis in (0, 1)]
    top, left = (
        int(np.clip(round(full / 2 - middle), 0, full - side))
        for full, middle, side in zip((H, W), mass, small.shape, strict=True)
    )
    image = np.zeros((H, W), np.float32)
    image[top : top + small.shape[0], left : left + small.shape[1]] = small
    return image


def read_prepared(path: File, preparation: Preparation) -> tuple[np.ndarray, str]:
    """Return a picture file as an image (C, H, W) in [0, 1], prepared as those were that a network was trained on."""
    with _opened(path) as picture:
        image = preparation.apply(picture)
    return image.astype(np.float32) / 255, "prepared as its training pictures were"


def open_picture(path: File, mode: str) -> Image.Image:
    """Return the first picture of a file, upright, converted to `mode` L or RGB.

    What is transparent becomes white, or, where what can be seen is light, black.
    """
    with _opened(path) as picture:
        ground = ground_for(*light_seen(picture)) if picture.has_transparency_data else "white"
        return flat(picture, mode, ground)


@contextlib.contextmanager
def _opened(path: File) -> Iterator[Image.Image]:
    """Open a picture; whatever goes wrong with it, there or in the body, is a UserError that names it."""
    try:
        with quiet(), opened(path) as picture:
            yield picture
    except Exception as problem:  # Pillow's decoders raise whatever comes to them
        raise UserError(f"cannot read the picture {getattr(path, 'name', path)}: {reason(problem)}") from None
