"""Tables of pixels, .csv or .csv.gz: a row is an image, a line of names on top or not.

    label,pixel0,...,pixel783    Kaggle's digits, Fashion-MNIST, sign language: labels where their name is, or none
    785 numbers and no names     a label and the pixels of a square; which end the label is at is found out
    emotion,pixels,Usage         FER2013: all pixels of an image are one text, and its split has a name

The marks between them may also be semicolons, tabs or spaces.
"""

import contextlib
import io
import itertools
import math
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ...errors import UserError
from .columns import Columns, are_names, end_of_labels, is_number, is_square, separator_of, split, understood
from .idx import opened
from .parts import SPLITS, Part, room

BLOCK = 1 << 22  # characters that are turned into numbers at once
LONGEST_ROW = 1 << 24  # characters
LONGEST_LABEL = 200  # characters
LABEL = 64  # bytes of a short text in memory
MOST = 8 << 30  # bytes of pixels, which must be in memory at once
HIGHEST = float(np.finfo(np.float32).max)

SPLIT_OF = {"training": "train", "publictest": "valid", "validation": "valid", "val": "valid", "privatetest": "test"}
SPLIT_OF |= {"testing": "test"} | {split: split for split in SPLITS}

Row = tuple[int, str]  # the number of a line, from 1, and what stands there


def read(path: Path) -> list[Part]:
    """Return the images of a table, (n, pixels), with labels where it has them: a part, or one for each split it names.

    Whole numbers are of the smallest type that holds them, others float32. EMNIST, if the name begins so, stores images
    transposed: they are (n, W, H). Raises UserError for what is no such table, naming line and column.
    """
    with opened(path) as file, io.TextIOWrapper(file, encoding="utf-8-sig") as text:
        columns, rows = _begin(_lines(text, path), path)
        array, labels, splits = _read(columns, rows)
    if not columns.names and columns.label is None and not is_square(columns.count):
        end = end_of_labels(array, path)
        labels = array[:, end].astype(np.int64)
        array = array[:, 1:] if end == 0 else array[:, :-1]
        array = array if array.dtype.kind == "f" else array.astype(_smallest(array), copy=False)
    axes, side = None, math.isqrt(array.shape[1])
    if path.name.lower().startswith("emnist") and side**2 == array.shape[1]:
        array, axes = array.reshape(-1, side, side), "nwh"
    if splits is None:
        return [Part(array, labels, None, axes)]
    chosen = {split: splits == split for split in SPLITS if split in splits}
    return [Part(array[at], None if labels is None else labels[at], split, axes) for split, at in chosen.items()]


def _lines(text: io.TextIOWrapper, path: Path) -> Iterator[Row]:
    """Yield the lines that are not blank."""
    left = room(path)  # characters: blank lines count too
    try:
        for number in itertools.count(1):
            line = text.readline(LONGEST_ROW + 1)
            if not line:
                return
            if (left := left - len(line)) < 0:
                raise UserError(f"{path} is no table of images: unpacked it is more than {room(path)} characters")
            if "\0" in line:
                raise UserError(f"{path} is no text: there are zero bytes in line {number}; save it as .csv in UTF-8")
            if len(line) > LONGEST_ROW:
                raise UserError(f"{path} is no table of images: line {number} has more than {LONGEST_ROW} characters")
            if line.strip():
                yield number, line.rstrip("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no text in UTF-8 ({error.reason}); save it as .csv in UTF-8") from error


def _begin(lines: Iterator[Row], path: Path) -> tuple[Columns, Iterator[Row]]:
    """Return what the columns are, and the rows that hold images."""
    number, line = next(lines, (0, ""))
    if not number:
        raise UserError(f"{path} is empty")
    if line.lstrip().startswith("<"):
        raise UserError(f"{path} is a web page, not a table: it begins {line[:20]!r}; download it again")
    separator = separator_of(line)
    names, cells = None, split(line, separator, number, path)
    if are_names(cells):
        names, (number, line) = cells, next(lines, (0, ""))
        if not number:
            raise UserError(f"{path} ends after its first line, {', '.join(names[:5])}: there are no images in it")
        cells = split(line, separator, number, path)
    return understood(names, cells, separator, path), itertools.chain([(number, line)], lines)


def _read(columns: Columns, rows: Iterable[Row]) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Return the pixels (n, pixels), the labels (n,) or None and the splits (n,) or None of all rows."""
    blocks: list[np.ndarray] = []
    labels: list[str] = []
    splits: list[str] = []
    size, whole = 0, True
    for batch in _batches(rows):
        for number, line in batch:
            columns.check_count(number, line)
            if columns.label is not None:
                labels.append(_label(columns, number, line))
            if columns.usage is not None:
                splits.append(_split(columns, number, line))
        block = _pixels(columns, batch, whole)
        if blocks and block.shape[1] != blocks[0].shape[1]:
            raise _culprit(columns, batch, blocks[0].shape[1])
        blocks.append(block)
        whole = block.dtype.kind != "f"
        size += block.nbytes + LABEL * len(batch) * (columns.label is not None)
        if size > (most := min(MOST, room(columns.path))):
            raise UserError(f"{columns.path} holds more than {most} bytes of pixels; save fewer images in a file")
    spans = np.array([(block.min(), block.max()) for block in blocks])
    array = np.empty((sum(map(len, blocks)), blocks[0].shape[1]), _smallest(spans) if whole else np.float32)
    end = len(array)
    while blocks:  # each is freed as soon as it is copied
        block = blocks.pop()
        array[end - len(block) : end] = block
        end -= len(block)
    return array, _numbered(labels, columns.path) if labels else None, np.array(splits) if splits else None


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    batch, size = [], 0
    for number, line in rows:
        batch.append((number, line))
        size += len(line)
        if size >= BLOCK:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _pixels(columns: Columns, batch: list[Row], whole: bool) -> np.ndarray:
    """Return the pixels of some rows, whole numbers if all are; that is tried where it was so till now."""
    if columns.packed:
        texts, chosen, separator = [columns.cell(*row, columns.pixels[0]) for row in batch], None, None
    else:
        texts, chosen = [line for _, line in batch], columns.pixels
        separator = None if columns.separator == " " else columns.separator
    with warnings.catch_warnings(), np.errstate(over="ignore"):
        warnings.simplefilter("error")  # NumPy's, that 1.0 is taken as 1, or that there is nothing
        for dtype in (np.int64, np.float64) if whole else (np.float64,):
            with contextlib.suppress(ValueError, Warning):
                block = np.loadtxt(
                    texts, dtype, delimiter=separator, usecols=chosen, ndmin=2, comments=None, quotechar='"'
                )
                block = block.astype(_smallest(block) if dtype is np.int64 else np.float32)
                if len(block) == len(batch) and np.isfinite(block).all():
                    return block
    raise _culprit(columns, batch)


def _culprit(columns: Columns, batch: list[Row], expected: int | None = None) -> UserError:
    """Return the error that names the first cell of some rows that holds no number, or not `expected` ones."""
    for number, line in batch:
        cells = columns.cells(number, line)
        for column in columns.pixels:
            values = cells[column].split() if columns.packed else [cells[column]]
            place = columns.place(number, column)
            for value in values or [""]:
                if not value:
                    return UserError(f"there is nothing {place}; put a number there")
                if not is_number(value) or not abs(float(value)) <= HIGHEST:  # also where it is NaN
                    return UserError(f"{value[:40]!r} {place} is no number that a pixel can have")
            expected = expected or len(values)
            if columns.packed and len(values) != expected:
                return UserError(f"there are {len(values)} numbers {place}, but {expected} above; mend the file")
    return UserError(f"{columns.path} holds something that is no number, in line {batch[0][0]} or below")


def _label(columns: Columns, number: int, line: str) -> str:
    text = columns.cell(number, line, columns.label)
    if text.lower() in ("", "nan"):
        raise UserError(f"there is no label {columns.place(number, columns.label)}; put one there")
    if len(text) > LONGEST_LABEL:
        raise UserError(f"{text[:20]!r}... {columns.place(number, columns.label)} is too long for a label")
    return text


def _split(columns: Columns, number: int, line: str) -> str:
    text = columns.cell(number, line, columns.usage)
    if text.lower() not in SPLIT_OF:
        place = columns.place(number, columns.usage)
        raise UserError(f"{text[:40]!r} {place} is no split; there are: {', '.join(SPLIT_OF)}")
    return SPLIT_OF[text.lower()]


def _numbered(labels: list[str], path: Path) -> np.ndarray:
    """Return labels as whole numbers if all are, else as texts."""
    if not all(map(is_number, labels)):
        return np.array(labels)
    for label in labels:
        if not float(label).is_integer() or abs(float(label)) >= 1 << 53:
            raise UserError(f"the label {label} in {path} is neither a whole number nor a name; mend the file")
    return np.array([int(float(label)) for label in labels], np.int64)


def _smallest(values: np.ndarray) -> np.dtype:
    """Return the smallest type of whole numbers that holds the values."""
    lowest, highest = values.min(), values.max()
    kinds = (np.iinfo(kind) for kind in ("u1", "i1", "u2", "i2", "u4", "i4", "i8"))
    return next(kind.dtype for kind in kinds if kind.min <= lowest and highest <= kind.max)
