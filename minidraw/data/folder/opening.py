"""Picture files from anywhere, opened: in formats that run no program, and no larger than they may be when unpacked."""

import contextlib
import os
import warnings
from collections.abc import Collection, Iterator
from typing import BinaryIO

from PIL import Image

from ...files import open_regular

# What Pillow knows besides is obscure, holds no pixels of its own, or, as EPS, starts another program.
FORMATS = ("AVIF", "BMP", "GIF", "HEIF", "ICO", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "QOI", "TGA", "TIFF", "WEBP")
MOST_PIXELS = 89_478_485  # of a picture; unpacked it takes up to four bytes each
TILE = (322, 323)  # tags of TIFF files: width and height of the pieces in which one is unpacked


def formats() -> tuple[str, ...]:
    """Return the formats that pictures may have."""
    Image.init()  # or there are none yet
    return tuple(name for name in FORMATS if name in Image.OPEN)


@contextlib.contextmanager
def opened(file: str | os.PathLike | BinaryIO, kinds: Collection[str] = ()) -> Iterator[Image.Image]:
    """Open a picture file, or its bytes, of one of these `kinds` (default: `formats`), where all is `quiet`.

    What goes wrong, there or in the body, comes as whatever Pillow raises, ValueError for what is no picture, or has
    more than MOST_PIXELS inside.
    """
    with contextlib.ExitStack() as stack:
        if isinstance(file, str | os.PathLike):
            file = stack.enter_context(open_regular(file, linked=True))
        try:
            picture = stack.enter_context(Image.open(file, formats=tuple(kinds or formats())))
            check_size(picture)  # of an ICO it is that of what is inside: Pillow has unpacked it
            yield picture
        except Image.UnidentifiedImageError:
            raise ValueError("no picture, or in a format that is not read here: save it as PNG or JPEG") from None
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise ValueError(f"unpacked it has more than {MOST_PIXELS:,} pixels; make it smaller first") from None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Within it no warning of Pillow's is shown, and what it finds too large is an error; not for a single thread."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd but readable files
        warnings.simplefilter("error", Image.DecompressionBombWarning)  # also of the pictures inside an ICO
        yield


def check_size(picture: Image.Image) -> None:
    """Raise ValueError for a picture, or the frame of it that was sought, that is too large to be unpacked."""
    tags = getattr(picture, "tag_v2", {})
    tile = [tags.get(tag) or 0 for tag in TILE]
    for width, height in (picture.size, tile):
        if width * height > MOST_PIXELS:
            raise ValueError(f"it has {width}x{height} pixels; make it smaller first")
