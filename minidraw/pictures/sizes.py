"""How large a picture becomes, known before anything is drawn: cells a row, enlargement, and what is too much.

Letters: T glimpses, n drawings, (C, H, W) an image; a cell is what a drawing takes up, more than one image where it is
shown beside what it was drawn from.
"""

import math
from typing import NamedTuple

from ..errors import UserError

SIDE = 700  # pixels, about the longer side of a sheet that nobody chose a scale for
STRIP_SIDE = 1000  # pixels, about the width of such a strip; no more than half as high again, if it has few columns
STEPS = 10  # glimpses in a strip
GAP = 2  # pixels between cells
LARGEST_SIDE = 65_535  # pixels; a GIF counts them in two bytes
LARGEST_SIDES = {".webp": 16_383, ".mp4": 16_384}  # pixels, where it is less: the format's own, and x264's
MOST_PIXELS = 1 << 29  # of all pictures together, at three bytes each


class Size(NamedTuple):
    """What decides how large a picture of drawings is."""

    drawings: int  # n
    glimpses: int  # T
    image_shape: tuple[int, int, int]  # (C, H, W)
    beside: bool = False  # is there an image beside every drawing?
    strip: bool = False  # a row a drawing, a column a glimpse; else a sheet
    columns: int | None = None  # drawings a row of a sheet, None: as nearly square as can be

    def grid(self) -> tuple[int, int, int, int]:
        """Return rows and columns of cells, and height and width of a cell in pixels of the image."""
        _, H, W = self.image_shape
        if self.strip:
            return self.drawings, min(STEPS, self.glimpses) + self.beside, H, W
        w = W * (1 + self.beside)
        columns = int(self.columns or nearly_square(self.drawings, H, w))
        return math.ceil(self.drawings / columns), columns, H, w

    def too_many(self, scale: int = 1) -> bool:
        """Tell whether all glimpses of so many drawings, enlarged `scale` times, are more than is made at once."""
        _, H, W = self.image_shape
        return self.drawings * (1 + self.beside) * self.glimpses * H * W * int(scale) ** 2 > MOST_PIXELS

    def scale(self) -> int:
        """Return the enlargement, a whole number, that makes the picture as large as is good to look at."""
        if self.too_many():
            return 1
        rows, columns, h, w = self.grid()
        best = SIDE / max(rows * h, columns * w)
        if self.strip:
            best = min(STRIP_SIDE / (columns * w), max(2, 1.5 * STRIP_SIDE / (rows * h)))
        scale = max(1, round(best))
        while scale > 1 and self.too_many(scale):
            scale -= 1
        return scale

    def check(self, scale: int | None = None, kind: str = ".png") -> int:
        """Return `scale`, or the best one where it is None.

        Raises UserError for a picture too large for files of a kind, which is an ending, or to make at all.
        """
        if self.too_many(scale or 1):
            what = f"{self.drawings} drawings" if self.drawings > 1 else f"{self.glimpses} pictures"
            raise UserError(f"{what} at a scale of {scale or 1} are too much for one picture: ask for less")
        scale = int(scale or self.scale())
        rows, columns, h, w = self.grid()
        check_side(rows * (h * scale + GAP) + GAP, columns * (w * scale + GAP) + GAP, kind)
        return scale


def check_side(height: int, width: int, kind: str) -> None:
    """Raise UserError for a picture of more pixels a side than a file of that kind, an ending, can hold."""
    if max(height, width) > (most := LARGEST_SIDES.get(kind, LARGEST_SIDE)):
        limit = f" for {kind}, which holds {most:,} a side" if kind in LARGEST_SIDES else ""
        ways = "other columns, a smaller scale or less"
        raise UserError(f"a picture of {width}x{height} pixels is too large{limit}: ask for {ways}")


def nearly_square(n: int, h: int, w: int) -> int:
    """Return how many cells of height h and width w a row has in a sheet of n that is as nearly square as can be.

    >>> nearly_square(64, 28, 28), nearly_square(16, 28, 56)
    (8, 3)
    """
    # the smallest square around the sheet, then few empty cells, then wide rather than tall
    size = {c: (max(c * w, math.ceil(n / c) * h), math.ceil(n / c) * c, -c) for c in range(1, n + 1)}
    return min(size, key=size.__getitem__)
