"""Files in idx form, as MNIST's: zero, zero, a type, a rank, big-endian sizes, values; gzipped or not.

Files of one family lie side by side and are told by their names, as in emnist-letters-train-images-idx3-ubyte.gz: the
family, the split, images or labels, and a form that does not matter.
"""

import contextlib
import gzip
import math
import re
import zlib
from collections import defaultdict
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

import numpy as np

from ...errors import UserError, one_line, reason
from .parts import SPLITS, Part, room

TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
MOST = 8 << 30  # bytes of values, which must be in memory at once
MOST_AXES = 8  # an array of NumPy's can have no more than 32 or 64, as its version is
CHUNK = 1 << 20  # bytes read at once
DENSEST = 1032  # times as many bytes as a gzip file are what it can hold
Stream = gzip.GzipFile | BufferedReader  # of bytes
AGAIN = "copy or download it again"

_SPLIT_OF = {"train": "train", "training": "train", "t10k": "test", "test": "test"}
_SPLIT_OF |= dict.fromkeys(("valid", "val", "validation"), "valid")
_NAME = re.compile(
    rf"(?P<family>|.*?[-_.])(?:(?P<word>{'|'.join(_SPLIT_OF)})[-_.])?(?P<what>image|label)s?"
    r"(?P<form>(?:[-_.](?:idx[0-9]?|ubyte|byte|short|int|float|double|bin))*(?:\.gz)?)",
    re.IGNORECASE,
)


def is_idx(path: Path) -> bool:
    """Tell by its first four bytes, not by its name, whether `path` is in idx form; not where it cannot be read."""
    try:
        with opened(path) as file:
            _type_and_rank(file, path)
    except UserError:
        return False
    return True


def find(folder: Path) -> list[Path]:
    """Return the images in idx form directly in `folder`, by their headers, sorted; hidden files do not count.

    Of a file that lies there gzipped and as it is, the latter is returned.
    """
    found = []
    for path in _inside(folder):
        with contextlib.suppress(UserError):
            if not path.name.startswith("."):
                with opened(path) as file:
                    if len(_header(file, path)[1]) in (3, 4):
                        found.append(path)
    return [path for path in found if path.suffix.lower() != ".gz" or path.with_suffix("") not in found]


def files(path: Path) -> list[Path]:
    """Return the files that `read` reads for the images at `path`: those of all their splits, and their labels."""
    return [file for _, images, labels in _family(path) for file in (images, labels) if file]


def read(path: Path) -> list[Part]:
    """Return the images at `path` and, if its name tells a split, those of the other splits; labels from beside them.

    The images are (n, H, W), or (n, W, H) where the name begins with EMNIST, which stores them so; or of four axes, in
    an order that is to be found. Raises UserError, naming the file, for one that is damaged or does not belong.
    """
    parts = []
    for split, images, labels in _family(path):
        array = _load(images)
        if array.ndim not in (3, 4):
            raise UserError(f"{images} is of the sizes {array.shape}: no images, which have 3 or 4; name their file")
        axes = "nwh" if images.name.lower().startswith("emnist") else "nhw"
        values = _labels(labels, images, len(array)) if labels else None
        parts.append(Part(array, values, split, axes if array.ndim == 3 else None))
    return parts


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Stream]:
    """Open a file to read its bytes, gunzipped; what goes wrong, there or in the body, is a UserError."""
    try:
        if not path.is_file():  # a pipe would block
            raise UserError(f"there is no file {path}")
        with open(path, "rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            with gzip.open(raw) if packed else contextlib.nullcontext(raw) as file:
                yield file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} holds damaged gzip data ({one_line(error)}); {AGAIN}") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from error
    except MemoryError as error:
        raise UserError(f"{path} is too large for the memory") from error


def _family(path: Path) -> list[tuple[str | None, Path, Path | None]]:
    """Return (split, images, labels or None) of `path` and the other splits of its family, by the names of files."""
    own = _NAME.fullmatch(path.name)
    if not own or own["what"].lower() != "image":
        return [(None, path, None)]
    beside = defaultdict(list)  # files by the word for their split and by what they hold
    for file in _inside(path.parent):
        match = _NAME.fullmatch(file.name)
        if match and match["family"].lower() == own["family"].lower() and file.is_file():
            beside[_lower(match["word"]), match["what"].lower()].append(file)
    own_word = _lower(own["word"])
    triples = []
    for split in SPLITS if own_word else (None,):
        if split == _SPLIT_OF.get(own_word):
            words = [own_word]
        else:
            words = [word for word, which in _SPLIT_OF.items() if which == split and beside[word, "image"]]
        if len(words) > 1:
            both = " and ".join(str(beside[word, "image"][0]) for word in words)
            raise UserError(f"{both} both hold images of the split {split}; move one to another folder")
        for word in words:
            images = path if word == own_word else _nearest(beside[word, "image"], path)
            triples.append((split, images, _nearest(beside[word, "label"], images)))
    return triples


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise UserError(f"cannot read {folder}: {reason(error)}") from error


def _lower(word: str | None) -> str | None:
    return word and word.lower()


def _nearest(candidates: list[Path], path: Path) -> Path | None:
    """Return the candidate whose name is most in the form of that of `path`: with a dot or not, gzipped or not."""

    def form(one: Path) -> tuple[str, bool]:
        return _NAME.fullmatch(one.name)["form"][:1], one.suffix.lower() == ".gz"

    return max(candidates, key=lambda one: [a == b for a, b in zip(form(one), form(path), strict=True)], default=None)


def _type_and_rank(file: Stream, path: Path) -> tuple[np.dtype, int]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or not magic[3]:
        raise UserError(f"{path} is not in idx form: it begins {magic!r}")
    if magic[2] not in TYPES:
        raise UserError(f"{path} is in idx form of an unknown type, 0x{magic[2]:02X}; save it as bytes, type 0x08")
    return np.dtype(TYPES[magic[2]]), magic[3]


def _header(file: Stream, path: Path) -> tuple[np.dtype, tuple[int, ...]]:
    dtype, rank = _type_and_rank(file, path)
    sizes = file.read(4 * rank)
    if len(sizes) < 4 * rank:
        raise UserError(f"{path} ends within its header; {AGAIN}")
    return dtype, tuple(int.from_bytes(sizes[i : i + 4], "big") for i in range(0, 4 * rank, 4))


def _load(path: Path) -> np.ndarray:
    """Return the array in an idx file, in the machine's order of bytes; not a byte beyond it is kept."""
    with opened(path) as file:
        dtype, shape = _header(file, path)
        size = math.prod(shape) * dtype.itemsize
        held = f"of the sizes {shape} by its header, {size} bytes"
        if len(shape) > MOST_AXES:
            raise UserError(f"{path} is of {len(shape)} sizes: no images, which have 3 or 4, and no labels")
        if not size:
            raise UserError(f"{path} is {held}: there are no values in it")
        if size > MOST:
            raise UserError(f"{path} is {held}, more than the {MOST} that are read; save fewer images in a file")
        most = path.stat().st_size
        if isinstance(file, gzip.GzipFile):
            most = min(DENSEST * most, room(path))
        if size > most:  # or a few lying bytes would take gigabytes
            raise UserError(f"{path} is {held}, which is more than the file can hold; {AGAIN}")
        content = np.empty(size, np.uint8)
        at = 0
        while count := file.readinto(content.data[at : at + CHUNK]):
            at += count
        if at < size:
            raise UserError(f"{path} is {held}, but holds {at}; {AGAIN}")
        if file.read(1):  # of a gzip file that also compares its checksum
            raise UserError(f"{path} is {held}, but goes on after them; {AGAIN}")
    array = content.view(dtype).reshape(shape)
    if not dtype.isnative:
        array = array.byteswap(inplace=True).view(dtype.newbyteorder("="))
    return array


def _labels(path: Path, images: Path, count: int) -> np.ndarray:
    """Return the (count,) labels at `path`, which stand beside `images`."""
    labels = _load(path)
    if labels.ndim == 2 and path.name.lower().startswith("qmnist"):
        labels = np.ascontiguousarray(labels[:, 0])  # then the writer, the page and so on
    if labels.ndim != 1 or labels.dtype.kind == "f":
        raise UserError(f"{path} holds no labels, but {labels.dtype} of the sizes {labels.shape}; move it elsewhere")
    if len(labels) != count:
        raise UserError(f"{path} holds {len(labels)} labels, but {images} {count} images; put the right one there")
    return labels
