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
        columns = self.columns or nearly_square(self.drawings, H, w)
        return math.ceil(self.drawings / columns), columns, H, w

    def too_many(self, scale: int = 1) -> bool:
        """Tell whether all glimpses of so many drawings, enlarged `scale` times, are more than is made at once."""
        _, H, W = self.image_shape
        return self.drawings * (1 + self.beside) * self.glimpses * H * W * scale**2 > MOST_PIXELS

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

    def check(self, scale: int | None = None) -> int:
        """Return `scale`, or the best one where it is None. Raises UserError for a picture that would be too large."""
        if self.too_many(scale or 1):
            raise UserError(
                f"{self.drawings} drawings at a scale of {scale or 1} are too much for one picture: ask for less"
            )
        scale = scale or self.scale()
        rows, columns, h, w = self.grid()
        height, width = rows * (h * scale + GAP) + GAP, columns * (w * scale + GAP) + GAP
        if max(height, width) > LARGEST_SIDE:
            raise UserError(
                f"a picture of {width}x{height} pixels is too large: ask for other columns, a smaller scale or less"
            )
        return scale


def nearly_square(n: int, h: int, w: int) -> int:
    """Return how many cells of height h and width w a row has in a sheet of n that is as nearly square as can be.

    >>> nearly_square(64, 28, 28), nearly_square(16, 28, 56)
    (8, 3)
    """
    # the smallest square around the sheet, then few empty cells, then wide rather than tall
    size = {c: (max(c * w, math.ceil(n / c) * h), math.ceil(n / c) * c, -c) for c in range(1, n + 1)}
    return min(size, key=size.__getitem__)
