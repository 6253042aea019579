"""How a picture becomes an image of a data set, the same for training and for pictures given later.

What a whole set decides together, one picture alone could not tell: what lies behind transparent pixels, which value of
deep pictures is white. So the decisions are kept, in the run's checkpoint too.
"""

import dataclasses
import math
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from .options import FITS, GROUNDS, LONGEST

DEEP = ("I", "I;16", "I;16L", "I;16B", "I;16N", "F")  # modes of grey pictures of more than 8 bits
GREY = ("1", "L", "LA", "La", *DEEP)
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0  # a tag of TIFF files and its value; Pillow heeds it in pictures of 8 bits only
SEEN_ON = {"white": 1.0, "black": 0.0, "grey": 0.5}  # how light what lies behind is
ROWS = 1024  # of a picture that are numbers of eight bytes at once
ROUNDED = 1e-5  # of white: by as much a value may lie beyond it
LEVELS = (1.0, 255.0, 1023.0, 4095.0, 16383.0, 65535.0)  # what white can be: a bit, 8, 10, 12, 14 and 16 bits


@dataclasses.dataclass(frozen=True)
class Preparation:
    """The decisions. Raises ValueError for what cannot be."""

    size: tuple[int, int]  # (width, height) in pixels
    grey: bool
    fit: str = "crop"  # see options.FITS
    ground: str = "white"  # behind transparent pixels: see options.GROUNDS
    black: float = 0.0  # of deep pictures
    white: float | None = None  # None: the least of LEVELS that a picture stays below
    levels: tuple[float, float] | None = None  # black and white of pictures of 8 bits, None: 0 and 255
    binarize: bool = False

    def __post_init__(self):
        size = tuple(self.size)
        if len(size) != 2 or not all(type(side) is int and 1 <= side <= LONGEST for side in size):
            raise ValueError(f"a picture of {size} pixels")
        pairs = [(self.black, self.black + 1 if self.white is None else self.white), tuple(self.levels or (0, 255))]
        for levels in pairs:
            if len(levels) != 2 or not all(isinstance(level, int | float) and math.isfinite(level) for level in levels):
                raise ValueError(f"levels of {levels}")
        if self.fit not in FITS or self.ground not in GROUNDS or any(black == white for black, white in pairs):
            raise ValueError(f"fit {self.fit!r}, ground {self.ground!r}, levels {pairs}")
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "levels", self.levels and pairs[1])

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape (C, H, W) of an image."""
        return (1 if self.grey else 3, self.size[1], self.size[0])

    def as_dict(self) -> dict[str, Any]:
        """Return the decisions as a checkpoint keeps them; `Preparation(**it)` are the same."""
        return dataclasses.asdict(self)

    def apply(self, picture: Image.Image) -> np.ndarray:
        """Return an open picture as an image, uint8 (C, H, W). Raises ValueError where its values do not fit."""
        picture.draft(None, (4 * max(self.size), 4 * max(self.size)))  # JPEG: decodes large ones at a fraction
        whole = flat(picture, "L" if self.grey else "RGB", self.ground, self.black, self.white, self.levels)
        pixels = np.asarray(self._fitted(whole))  # (H, W) or (H, W, 3)
        if self.binarize:
            pixels = black_and_white(pixels)
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)

    def _fitted(self, picture: Image.Image) -> Image.Image:
        """Return a picture in the right size; shrinking, Pillow averages."""
        if picture.size == self.size:
            return picture
        if self.fit == "stretch":
            return picture.resize(self.size, Image.Resampling.BILINEAR)
        if self.fit == "crop":
            return ImageOps.fit(picture, self.size, Image.Resampling.BILINEAR)
        pixels = np.asarray(picture)
        border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])  # (edge,) or (edge, 3)
        ground = np.median(border, axis=0).astype(int).tolist()
        colour = tuple(ground) if isinstance(ground, list) else ground
        return ImageOps.pad(picture, self.size, Image.Resampling.BILINEAR, color=colour)


def flat(
    picture: Image.Image,
    mode: str,
    ground: str,
    black: float = 0.0,
    white: float | None = None,
    levels: tuple[float, float] | None = None,
) -> Image.Image:
    """Return an open picture upright, opaque, of 8 bits, and in `mode` L or RGB; the rest is as in Preparation."""
    turned = getattr(picture, "tag_v2", {}).get(PHOTOMETRIC) == WHITE_IS_ZERO
    picture = ImageOps.exif_transpose(picture)
    if picture.mode in DEEP:
        picture = _of_8_bits(picture, black, white, turned)
    elif levels:
        table = scaled(np.arange(256), *levels).tolist()
        picture = picture.convert("RGBA" if picture.has_transparency_data else mode)
        bands = zip(picture.getbands(), picture.split(), strict=True)
        picture = Image.merge(picture.mode, [band if name == "A" else band.point(table) for name, band in bands])
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, ground), picture)
    return picture.convert(mode)


def _of_8_bits(picture: Image.Image, black: float, white: float | None, turned: bool = False) -> Image.Image:
    values, clear = np.asarray(picture), picture.info.get("transparency")  # the value of transparent pixels
    pixels = to_bytes(values, black, white)
    picture = Image.fromarray(255 - pixels if turned else pixels)
    if isinstance(clear, int):
        picture.putalpha(Image.fromarray(np.where(values == clear, np.uint8(0), np.uint8(255))))
    return picture


def level(highest: float) -> float | None:
    """Return the least of LEVELS that is not below the highest value of a set; None where there is none.

    It is doubtful, and None, where nothing comes near it: an array of 0 to 16 is not nearly black.
    """
    fitting = next((level for level in LEVELS if highest <= level * (1 + ROUNDED)), None)
    return fitting if fitting is not None and (highest > fitting / 4) else None


def fits(lowest: float, highest: float, black: float, white: float) -> bool:
    """Tell whether values lie between black and white, but for the last digits of a calculation."""
    rounded = ROUNDED * abs(white - black)
    return min(black, white) - rounded <= lowest <= highest <= max(black, white) + rounded  # not where one is NaN


def to_bytes(values: np.ndarray, black: float, white: float | None) -> np.ndarray:
    """Return values from `black` to `white` as bytes, 0 to 255. Raises ValueError for values outside of that, and NaN.

    Without a `white` it is found by `level`.
    """
    lowest, highest = float(values.min()), float(values.max())
    if white is None and (white := level(highest)) is None:
        raise ValueError(f"its values go from {lowest:g} to {highest:g}, and it cannot be told which one is white")
    if not fits(lowest, highest, black, white):
        raise ValueError(f"its values go from {lowest:g} to {highest:g}, but {black:g} is black and {white:g} white")
    return scaled(values, black, white)


def scaled(values: np.ndarray, black: float, white: float) -> np.ndarray:
    """Return values between `black` and `white` as bytes."""
    made = np.empty(values.shape, np.uint8)
    for k in range(0, len(values), ROWS):
        part = values[k : k + ROWS].astype(np.float64)
        made[k : k + ROWS] = np.rint(((part - black) * (255 / (white - black))).clip(0, 255))
    return made


def black_and_white(pixels: np.ndarray) -> np.ndarray:
    """Return bytes of 0 and 255 alone."""
    return np.where(pixels < 128, np.uint8(0), np.uint8(255))


def light_seen(picture: Image.Image) -> tuple[float, float]:
    """Return the light and the area of what can be seen of a picture with transparent pixels, in pixels.

    (0, 0) stands for one that is opaque all over: it says nothing of what should lie behind.
    """
    if picture.mode in DEEP:
        picture = _of_8_bits(picture, 0.0, max(1.0, float(np.asarray(picture).max())))
    picture = picture.convert("RGBA")
    if picture.getextrema()[3][0] == 255:
        return 0.0, 0.0
    light = area = 0.0
    for k in range(0, picture.height, ROWS):
        part = picture.crop((0, k, picture.width, min(k + ROWS, picture.height)))
        alpha = np.asarray(part.getchannel("A"), np.float32) / 255
        grey = np.asarray(part.convert("RGB").convert("L"), np.float32) / 255
        light, area = light + float((alpha * grey).sum()), area + float(alpha.sum())
    return light, area


def ground_for(light: float, area: float) -> str:
    """Return what lies behind figures of so much light on so large an area: light ones want a dark ground."""
    return "black" if light > area / 2 else "white"
