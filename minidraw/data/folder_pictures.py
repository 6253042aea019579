"""A folder of pictures in any format that Pillow reads, brought to one size and one number of channels."""

import contextlib
import os
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ..errors import UserError, reason

LARGEST, USUAL = 128, 64  # pixels: the longest side that is kept as it is; the side of a square otherwise
# Formats left out: EPS starts another program, the others hold no pictures that Pillow itself can read.
LEFT_OUT = {"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"}
DEEP = ("I", "I;16", "I;16L", "I;16B", "I;16N")  # modes of grey pictures of 16 bits
GREY = ("1", "L", "LA", "La", *DEEP)


def find(folder: Path) -> list[str]:
    """Return the pictures in `folder` and below it, sorted, by the endings of their names; hidden ones do not count."""
    Image.init()
    endings = {ending for ending, kind in Image.registered_extensions().items() if kind in _formats()}
    found = []
    for where, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(where, name)
            if not name.startswith(".") and path.suffix.lower() in endings and (path.is_file() or path.is_symlink()):
                if not path.is_file():
                    raise UserError(f"{path} is a link to nothing, or to no file; remove it")
                found.append(path.relative_to(folder).as_posix())
    if not found:
        raise UserError(f"there are no pictures in {folder}, by the endings of their names")
    return sorted(found)


class Pictures:
    """The pictures `names` of a folder; `shape` (C, H, W) is found from their headers where `options` leave it open.

    Raises UserError, naming the picture, where one cannot be read.
    """

    def __init__(self, path: Path, names: list[str], options):
        if options.key is not None:
            raise UserError(f"key is for .npz files, but {path} is a folder of pictures")
        self.path, self.names = path, names
        sizes: Counter[tuple[int, int]] = Counter()
        grey = True
        for name in names:
            with _opened(path / name) as image:
                turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)  # EXIF: a camera that was held upright
                sizes[image.size[::-1] if turned else image.size] += 1
                grey = grey and image.mode in GREY
        self.size = options.size or _common_size(sizes)  # (width, height)
        self.mode = "L" if (grey if options.grey is None else options.grey) else "RGB"
        self.shape = (1 if self.mode == "L" else 3, self.size[1], self.size[0])

    def __len__(self) -> int:
        return len(self.names)

    def take(self, chosen: np.ndarray) -> np.ndarray:
        """Return the pictures at `chosen` (k,) as uint8 (k, C, H, W)."""
        pixels = np.empty((len(chosen), *self.shape), np.uint8)
        for k, i in enumerate(chosen):
            with _opened(self.path / self.names[i]) as image:
                pixels[k] = self._bring_to_size(image)
        return pixels

    def _bring_to_size(self, image: Image.Image) -> np.ndarray:
        """Return an open picture as (C, H, W): the largest central part of the right aspect, resized."""
        image.draft(None, (4 * max(self.size), 4 * max(self.size)))  # JPEG: decodes large ones at a fraction
        image = ImageOps.exif_transpose(image)
        if image.mode in DEEP:
            image = _from_16_bits(image)
        if image.mode == "F":
            raise ValueError("its pixels are floats; save it with 8 bits")
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = ImageOps.fit(image.convert(self.mode), self.size, Image.Resampling.BILINEAR)  # antialiased
        pixels = np.asarray(image)  # (H, W) or (H, W, 3)
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _common_size(sizes: Counter) -> tuple[int, int]:
    """Return the one size (width, height) of all, if it is small, else a square of the median of the shorter sides."""
    (size, _), *others = sizes.most_common()
    if not others and max(size) <= LARGEST:
        return size
    sides = np.repeat([min(size) for size in sizes], list(sizes.values()))
    return (min(USUAL, int(np.median(sides))),) * 2


def _from_16_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("its pixels have more than 16 bits; save it with 8 bits")
    return Image.fromarray(np.uint8((values + 128) // 257))


def _formats() -> set[str]:
    return set(Image.OPEN) - LEFT_OUT


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open a picture; whatever goes wrong with it, there or in the body, is a UserError that names it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd but readable files
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(path, formats=tuple(_formats())) as image:
                yield image
        except Image.UnidentifiedImageError as error:
            raise UserError(f"{path} is no picture; mend it or remove it") from error
        except Exception as error:  # damaged pictures make Pillow raise nearly anything
            raise UserError(f"{path} cannot be read as a picture: {reason(error)}; mend it or remove it") from error
