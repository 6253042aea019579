"""What a classifier takes for what: the table of counts, and the same in words."""

import numpy as np

from ..errors import one_line

MOST_CLASSES = 12  # that are shown in a table of counts
ROW, COLUMN = 8, 5  # characters of a name before a row, above a column; so a table is at most 80 wide
FEW = 5  # confusions that are told


def table(labels: np.ndarray, taken: np.ndarray, classes: int) -> np.ndarray:
    """Return how many images of each label (rows) were taken for what (columns), (K, K), K = `classes`.

    >>> table(np.array([0, 1, 1, 1]), np.array([0, 0, 1, 1]), 2).tolist()
    [[1, 0], [1, 2]]
    """
    counts = np.zeros((classes, classes), int)
    np.add.at(counts, (labels, taken), 1)
    return counts


def names(given: tuple[str, ...] | None, classes: int) -> list[str]:
    """Return the names of the labels 0, 1, ..., as many as `classes`: numbers where none are `given`.

    >>> names(None, 3), names(("cat", "dog"), 3)
    (['0', '1', '2'], ['cat', 'dog', '2'])
    """
    return [*(given or ())[:classes], *map(str, range(len(given or ()), classes))]


def words(counts: list[list[int]], classes: list[str]) -> list[str]:
    """Return a table (K, K) in lines of words, none where nothing was confused; `classes` are the K names.

    With few classes it begins with the counts; then come the most frequent confusions, and with many the worst class.

    >>> print("\\n".join(words([[8, 0], [3, 9]], ["cat", "dog"])))
    the label (rows), and what it was taken for (columns):
        cat dog
    cat   8   .
    dog   3   9
    most often confused:
      dog taken for cat: 3 of 12
    """
    matrix = np.array(counts)
    of_label = matrix.sum(axis=1)  # (K,)
    wrong = matrix - np.diag(matrix.diagonal())
    if not wrong.any():
        return []
    classes = [one_line(name, 40) for name in classes]
    few = len(classes) <= MOST_CLASSES
    lines = ["the label (rows), and what it was taken for (columns):", *_aligned(matrix, classes)] if few else []
    lines.append("most often confused:")
    most = np.argsort(-wrong, axis=None, kind="stable")[:FEW]
    for label, other in zip(*np.unravel_index(most, wrong.shape), strict=True):
        if n := wrong[label, other]:
            lines.append(f"  {classes[label]} taken for {classes[other]}: {n:,} of {of_label[label]:,}")
    if not few:
        share = wrong.sum(axis=1) / np.maximum(of_label, 1)  # (K,)
        worst = int(np.argmax(share))
        lines.append(f"worst of all: {classes[worst]}, {wrong[worst].sum():,} of {of_label[worst]:,} wrong")
    return lines


def _aligned(matrix: np.ndarray, classes: list[str]) -> list[str]:
    """Return the lines of a table, names shortened, a dot for nothing."""
    rows, columns = _shortened(classes, ROW), _shortened(classes, COLUMN)
    cells = [["", *columns], *([name, *(str(n or ".") for n in row)] for name, row in zip(rows, matrix, strict=True))]
    width = max(len(cell) for line in cells for cell in line[1:])
    first = max(map(len, rows))
    return [line[0].ljust(first) + "".join(" " + cell.rjust(width) for cell in line[1:]) for line in cells]


def _shortened(classes: list[str], most: int) -> list[str]:
    """Return the first characters of the names or, where these are not all different, the last."""
    ways = [name[:most] for name in classes], [name[-most:] for name in classes]
    return next((way for way in ways if len(set(way)) == len(classes)), ways[0])
