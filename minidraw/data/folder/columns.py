"""What the columns of a table of images are: pixels, labels, the split; found out by their names or their numbers."""

import csv
import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import UserError

FEWEST = 16  # pixels of an image, where no names tell that they are pixels: the flowers of iris.csv have 4 columns
MOST = 1 << 20  # columns: an image of 1024 x 1024 pixels
MOSTLY = 0.9  # part of the images that may have the same label
TOP = "put a line of names on top: label,pixel0,pixel1,..."

# What columns are called, in lower case.
LABELS = {"label", "labels", "class", "classes", "target", "targets", "y", "digit", "letter", "emotion", "category"}
LABELS |= {"character", "output", "class_label", "class_id"}
INDICES = {"", "id", "index", "idx", "row", "unnamed: 0", "image_id", "imageid"}
INDICES |= {"file", "filename", "file_name", "path", "image", "image_name", "img_name"}
PIXELS = {"pixels"}
USAGES = {"usage", "split", "subset"}
_PICTURE = re.compile(r".*\.(png|jpe?g|bmp|gif|tiff?|webp|dcm|npy)", re.IGNORECASE)


@dataclass(frozen=True)
class Columns:
    """The columns of the table `path`: how many, their names if the file gives any, and which hold what.

    The pixels stand in the columns `pixels`, in that order; or all as one text in one column, if they are `packed`.
    """

    path: Path
    separator: str
    count: int
    names: list[str] | None
    pixels: list[int]
    packed: bool = False
    label: int | None = None
    usage: int | None = None

    def place(self, number: int, column: int) -> str:
        """Return the name of a place in the file, for a message."""
        name = repr(self.names[column]) if self.names else column + 1
        return f"in line {number}, column {name} of {self.path}"

    def cells(self, number: int, line: str) -> list[str]:
        """Return the cells of a line, without the spaces and the quotation marks around them."""
        return split(line, self.separator, number, self.path)

    def cell(self, number: int, line: str, column: int) -> str:
        """Return one of the cells of a line; quick where it is near an end."""
        if '"' in line or self.separator == " ":
            return self.cells(number, line)[column]
        after = self.count - 1 - column
        if column < after:
            return line.split(self.separator, column + 1)[column].strip()
        return line.rsplit(self.separator, after + 1)[-1 - after].strip()

    def check_count(self, number: int, line: str) -> None:
        """Raise UserError where a line has not as many cells as the first."""
        quick = '"' not in line and self.separator != " "
        count = line.count(self.separator) + 1 if quick else len(self.cells(number, line))
        if count != self.count:
            raise UserError(f"line {number} of {self.path} has {count} columns, the first {self.count}; mend the file")


def split(line: str, separator: str, number: int, path: Path) -> list[str]:
    """Return the cells of a line as they are separated by that mark, or by any number of spaces if that is one."""
    if line.count(separator) > MOST:
        raise UserError(f"line {number} of {path} has more than {MOST} columns; save so large images as pictures")
    if separator == " ":
        return line.split()
    try:
        (cells,) = csv.reader([line], delimiter=separator, skipinitialspace=True)
    except csv.Error as error:
        raise UserError(f"line {number} of {path} cannot be read: {error}") from error
    return [cell.strip() for cell in cells]


def separator_of(line: str) -> str:
    """Return what separates the columns of a table with this line on top.

    >>> separator_of("label; pixel 0; pixel 1"), separator_of("0 1 1 0"), separator_of("pixels")
    (';', ' ', ',')
    """
    found = max(",;\t", key=line.count)
    return " " if found not in line and " " in line.strip() else found


def are_names(cells: list[str]) -> bool:
    """Tell whether a row is the line of names: it has no numbers, or but those that count the pixels.

    >>> are_names(["label", "0", "1", "2", "3"]), are_names(["cat", "0", "0", "7", "9"]), are_names(["cat", "0"])
    (True, False, False)
    """
    numbers = [cell for cell in cells if is_number(cell)]
    counts = [[str(i + start) for i in range(len(numbers))] for start in (0, 1)]
    repeated = [cell.partition(".")[2] for cell in numbers if "." in cell]  # pandas calls equal names 0, 0.1, 0.2, ...
    mangled = len(repeated) > len(cells) / 2 and repeated == [str(k + 1) for k in range(len(repeated))]
    return not numbers or (len(numbers) >= 4 and (numbers in counts or mangled))


def understood(names: list[str] | None, cells: list[str], separator: str, path: Path) -> Columns:
    """Return what the columns are in a table of those names and that first row of cells.

    Raises UserError where that cannot be told. A table without names may yet have labels in its first or last column,
    which all its rows must tell (`end_of_labels`): then `pixels` are one more than a square.
    """
    try:
        if names and not all(map(is_number, names)):
            return _by_names(names, separator, path)
        return _by_cells(cells, separator, path)
    except UserError:
        for cell in filter(_PICTURE.fullmatch, cells):
            text = f"{path} lists files, as {cell!r}, and holds no pixels; give the folder of the pictures"
            raise UserError(text) from None
        raise


def _by_names(names: list[str], separator: str, path: Path) -> Columns:
    lower = [name.lower() for name in names]
    pixels = [i for i, name in enumerate(lower) if name in PIXELS]
    packed = len(pixels) == 1
    if not packed:
        forms = [re.sub("[0-9]+", "\0", name) for name in lower]  # a mark that no name holds
        form, count = Counter(forms).most_common(1)[0]
        if "\0" not in form or count < 4 or count <= len(names) / 2:
            raise UserError(
                f"{path} has no columns of pixels, with names as pixel0, pixel1, ..., but: {', '.join(names[:10])}; if "
                "it lists pictures, give the folder of the pictures"
            )
        pixels = [i for i, other in enumerate(forms) if other == form]
        if form.count("\0") == 1:  # pixel10 may stand before pixel2
            pixels.sort(key=lambda i: int(re.sub("[^0-9]", "", lower[i])))
    usages = [i for i, name in enumerate(lower) if name in USAGES]
    others = [i for i, name in enumerate(lower) if i not in {*pixels, *usages} and name not in INDICES]
    labels = [i for i in others if lower[i] in LABELS] or others
    for kind, found in (("label", labels), ("split", usages)):
        if len(found) > 1:
            several = ", ".join(names[i] for i in found[:10])
            raise UserError(f"{path} has several columns for the {kind}: {several}; call only the right one {kind!r}")
    label, usage = (found[0] if found else None for found in (labels, usages))
    return Columns(path, separator, len(names), names, pixels, packed, label, usage)


def _by_cells(cells: list[str], separator: str, path: Path) -> Columns:
    count = len(cells)
    texts = [i for i, cell in enumerate(cells) if cell and not is_number(cell)]
    if count < FEWEST:
        raise UserError(f"{path} has {count} columns, too few for images; if they are pixels, {TOP}")
    if texts:
        if len(texts) > 1 or texts[0] not in (0, count - 1):
            raise UserError(f"{path} has {cells[texts[-1]]!r} in column {texts[-1] + 1}, which is no pixel; {TOP}")
        return Columns(path, separator, count, None, [i for i in range(count) if i != texts[0]], label=texts[0])
    if is_square(count) == is_square(count - 1):
        squares = "both make" if is_square(count) else "neither makes"
        raise UserError(f"{path} has {count} columns, with a label or without: {squares} a square of pixels; {TOP}")
    return Columns(path, separator, count, None, list(range(count)))


def end_of_labels(array: np.ndarray, path: Path) -> int:
    """Return 0 or -1, the column of `array` that holds labels; the others are pixels.

    Labels are whole numbers, and not nearly all the same, as the first and the last pixel mostly are. Where both
    columns are like that, one of few values holds the labels if the other's are many, and none brighter than the
    pixels between. Raises UserError where that does not decide.
    """
    ends = []
    for end in (0, -1):
        column = array[:, end]
        values, counts = np.unique(column, return_counts=True)
        if (values == np.floor(values)).all() and values[0] >= 0 and counts.max() <= MOSTLY * len(column):
            ends.append((end, len(values), values[-1]))
    if len(ends) == 2:
        brightest = array[:, 1:-1].max()
        pairs = zip(ends, reversed(ends), strict=True)
        ends = [one for one, other in pairs if 2 * one[1] < other[1] and other[2] <= brightest]
    if len(ends) != 1:
        raise UserError(f"whether the first or the last column of {path} holds labels cannot be told; {TOP}")
    return ends[0][0]


def is_square(count: int) -> bool:
    """Tell whether so many numbers are a square of pixels, grey or of three colours."""
    return any(count >= FEWEST and count == channels * math.isqrt(count // channels) ** 2 for channels in (1, 3))


def is_number(text: str) -> bool:
    """Tell whether a cell holds a number."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # which Python allows
