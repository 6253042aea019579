"""Words around a picture: what is to be seen above it, what a column is above that, what a row is to its left."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

GROUND, WORDS, NAMES = (24, 24, 24), (255, 255, 255), (255, 200, 0)  # behind words, of the title, of rows and columns


def labelled(picture: np.ndarray, title: str, columns: Sequence[str] = (), rows: Sequence[str] = ()) -> np.ndarray:
    """Return a picture, uint8 (h, w, 3), with a title and the names of its columns and rows, which are of equal size.

    A line break in the title begins a new line. The picture becomes wider where the title needs it.
    """
    font = ImageFont.load_default(size=18)
    left = max((int(font.getlength(name)) + 20 for name in rows), default=0)
    top = 14 + 24 * len(title.split("\n"))
    below, (h, w, _) = top + 26 * bool(columns), picture.shape
    width = max(left + w, *(int(font.getlength(line)) + 20 for line in title.split("\n")))
    whole = Image.new("RGB", (width, below + h), GROUND)
    whole.paste(Image.fromarray(picture), (left, below))
    draw = ImageDraw.Draw(whole)
    draw.multiline_text((10, 8), title, fill=WORDS, font=font)
    for k, name in enumerate(columns):
        draw.text((left + (k + 0.5) * w / len(columns), top + 12), name, fill=NAMES, font=font, anchor="mm")
    for k, name in enumerate(rows):
        draw.text((left - 10, below + (k + 0.5) * h / len(rows)), name, fill=NAMES, font=font, anchor="rm")
    return np.asarray(whole)
