"""The size that pictures of many sizes are brought to, and what that costs them."""

from collections import Counter

import numpy as np

LARGEST, USUAL = 128, 64  # pixels: the longest side that is kept as it is; that of other pictures
FEW = 2000  # images, of all splits together: whoever has fewer has minutes to train on them, and draws copies of them
LARGEST_OF_FEW, USUAL_OF_FEW = 48, 32  # pixels: the same of few pictures
ALIKE, MOST = 0.1, 0.9  # aspects that differ by less are alike; if that many are, it is the aspect of all


def common_size(sizes: list[tuple[int, int]]) -> tuple[int, int]:
    """Return the size (width, height) for pictures of these sizes.

    It is their own if all have one and it is small, else a shrunken one of their common aspect, or, where they have
    none, a square. Of few pictures, small ones: of 300 of 96x96 pixels a minute of training comes to a blur.

    >>> common_size([(96, 96)] * 300), common_size([(96, 96)] * 2000), common_size([(48, 40)] * 300)
    ((32, 32), (96, 96), (48, 40))
    """
    largest, usual = (LARGEST_OF_FEW, USUAL_OF_FEW) if len(sizes) < FEW else (LARGEST, USUAL)
    (size, count), *_ = Counter(sizes).most_common()
    if count == len(sizes) and max(size) <= largest:
        return size
    widths, heights = np.array(sizes).T
    aspects = widths / heights
    aspect = float(np.median(aspects))
    if np.mean(np.abs(np.log(aspects / aspect)) < ALIKE) < MOST:
        return (min(usual, int(np.median(np.minimum(widths, heights)))),) * 2
    longer = min(usual, int(np.median(np.maximum(widths, heights))))
    width, height = (longer, longer / aspect) if aspect > 1 else (longer * aspect, longer)
    return max(1, round(width)), max(1, round(height))


def small_being_few(size: tuple[int, int], sizes: list[tuple[int, int]]) -> bool:
    """Tell whether a size that was chosen for pictures of these sizes is as small as it is because they are few."""
    return len(sizes) < FEW and max(size) == USUAL_OF_FEW


def cut_away(size: tuple[int, int], target: tuple[int, int]) -> float:
    """Return the share of a picture of `size` that the largest central part of another aspect leaves out."""
    ratio = size[0] * target[1] / (size[1] * target[0])
    return 1 - min(ratio, 1 / ratio)


def by(size: tuple[int, int]) -> str:
    """Return a size in words."""
    return f"{size[0]}x{size[1]}"
