"""Which images are trained on and which are held out, and what their labels are called."""

import re
from collections.abc import Sequence
from numbers import Integral

import numpy as np

from .parts import SPLITS

# How people call their splits; whatever else a name holds is about something else.
WORDS = {
    "train": ("train", "training", "trn", "trainval"),
    "valid": ("valid", "val", "validation", "dev"),
    "test": ("test", "testing", "tst", "t10k"),
}
# Words that say nothing more: train_images is a split, train_masks is something else, steam_train another thing.
NEUTRAL = {"set", "split", "data", "dataset", "images", "image", "imgs", "img", "pictures", "photos", "files", "raw"}
HELD_OUT = 0.1  # share of the images that a split takes which nobody has made
MOST_CLASSES, NONE = 255, 255  # a label is a byte, and this one stands for no label


def words(name: str) -> list[str]:
    """Return the words of a name in lower case, without the numbers at their ends.

    >>> words("X_train"), words("trainImages2017"), words("t10k-images-idx3")
    (['x', 'train'], ['train', 'images'], ['t10k', 'images', 'idx'])
    """
    found = re.findall(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+(?![a-z])", name)
    return [word.lower().rstrip("0123456789") or word for word in found]


def split_of(name: str) -> str | None:
    """Return the one split that the words of a name speak of, None where it is none, or several.

    >>> [split_of(name) for name in ("x_val", "Testing", "trains", "train_test")]
    ['valid', 'test', None, None]
    """
    found = {split for split, names in WORDS.items() if set(names) & set(words(name))}
    return found.pop() if len(found) == 1 else None


def is_split(folder: str) -> str | None:
    """Return the split that a folder is called like, with no words that say more.

    >>> [is_split(name) for name in ("training_set", "train2017", "train_masks", "crash test", "images")]
    ['train', 'train', None, None, None]
    """
    return split_of(folder) if len([word for word in words(folder) if word not in NEUTRAL]) == 1 else None


def speaks_of_splits(name: str) -> bool:
    """Tell whether one of the words of a name is that of a split."""
    return any({*words(name)} & {*known} for known in WORDS.values())


def besides(name: str) -> tuple[str, ...]:
    """Return the words of a name that are not those of a split.

    >>> besides("DIV2K_train_HR"), besides("trainA"), besides("Final_Test")
    (('div2k', 'hr'), ('a',), ('final',))
    """
    return tuple(word for word in words(name) if not speaks_of_splits(word))


def is_neutral(folder: str) -> bool:
    """Tell whether the name of a folder in a split says no more than that of the split."""
    return is_split(folder) is not None or {*words(folder)} <= NEUTRAL


def assign(keys: list[bytes], given: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return the split of every image, uint8 (n,), an index of SPLITS, and which of the splits were made.

    `given` holds what is known, -1 where nothing is. A split that nobody has made takes the images whose `keys`, hashes
    of their content, lie in its tenth: more images come and go without moving any other, and equal ones stay together.
    """
    split = np.where(given < 0, 0, given).astype(np.uint8)
    place = np.array([int.from_bytes(key[:6], "big") for key in keys]) / float(1 << 48)  # in [0, 1)
    made = [name for name in ("test", "valid") if SPLITS.index(name) not in given]
    for k, name in enumerate(made):
        low, left = k * HELD_OUT, np.flatnonzero(split == 0)
        inside = (low <= place[left]) & (place[left] < low + HELD_OUT)
        if 0 < inside.sum() < len(left):
            split[left[inside]] = SPLITS.index(name)
        elif len(left) > 1:  # of few images, the one that comes nearest
            nearest = left[np.abs(place[left] - low - HELD_OUT / 2).argmin()]
            equal = left[place[left] == place[nearest]]
            split[equal if len(equal) < len(left) else nearest] = SPLITS.index(name)
    return split, made


def numbered(labels: Sequence[str | None]) -> tuple[np.ndarray, tuple[str, ...] | None, str]:
    """Return labels as numbers, uint8 (n,), NONE for None; the names of the classes; and "", or why there are none."""
    known = np.array([label is not None for label in labels])
    numbers = np.full(len(labels), NONE, np.uint8)
    if not known.any():
        return numbers, None, ""
    found = classes_of([np.array([label for label in labels if label is not None])])
    if isinstance(found, str):
        return numbers, None, found
    numbers[known], names = found
    return numbers, names, ""


def plain(values: np.ndarray) -> np.ndarray:
    """Return an array of Python's texts, or of its whole numbers, as NumPy's of such; any other as it is.

    >>> plain(np.array(["b", "a"], object)).dtype.kind, plain(np.array([2, 1], object)).dtype.kind
    ('U', 'i')
    """
    values = np.asarray(values)
    if values.dtype.kind in "OT":
        for kind in (str, Integral):
            if all(isinstance(value, kind) for value in values.ravel()):
                return np.array(values.tolist())
    return values


def classes_of(labels: list[np.ndarray]) -> tuple[np.ndarray, tuple[str, ...]] | str:
    """Return labels of any kind, arrays (n,) or (n, 1) or one-hot (n, K), as uint8 (n,) and the names of the classes.

    Where they are no labels of classes, return what they are instead.
    """
    columns = []
    for part in map(plain, labels):
        if part.ndim == 2 and part.shape[1] == 1:
            part = part[:, 0]
        if part.ndim == 2 and part.shape[1] > 1 and np.isin(part, (0, 1)).all() and (part.sum(axis=1) == 1).all():
            part = part.argmax(axis=1)
        if part.ndim != 1:
            return f"of shape {part.shape}"
        if part.dtype.kind == "f" and (np.abs(part) < 1 << 53).all() and (part == np.rint(part)).all():
            part = part.astype(np.int64)
        if part.dtype.kind not in "iubUS":
            return f"of type {part.dtype}"
        columns.append(np.char.decode(part, "utf-8", "replace") if part.dtype.kind == "S" else part)
    if len({part.dtype.kind in "iub" for part in columns}) > 1:
        return "numbers here and texts there"
    together = np.concatenate(columns)
    found, number = np.unique(together, return_inverse=True)
    if not 1 < len(found) <= MOST_CLASSES:
        return f"of {len(found):,} classes; there can be 2 to {MOST_CLASSES}"
    names = list(map(str, found.tolist()))
    if together.dtype.kind == "U" and all(name.isdecimal() for name in names):  # "10" comes after "9"
        order = sorted(range(len(names)), key=lambda k: (int(names[k]), names[k]))
        number, names = np.argsort(order)[number], [names[k] for k in order]
    return number.astype(np.uint8), tuple(names)
