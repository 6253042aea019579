"""SVHN's full house numbers (section 4.4), cut as by Goodfellow et al. (2013). For non-commercial research only.

A photograph becomes 64 x 64 pixels: the box around all its digits, grown by 30 % each way about its centre, clipped to
the photograph, and resized by Pillow, whose bilinear filter widens as it shrinks (antialiased; it never overshoots).
Training takes a random 54 x 54 crop of that at every draw, validation and test the central one.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from ..errors import UserError, reason
from .images import Dataset, Joined, Made, unit
from .official import File
from .patches import cut
from .places import Places
from .prepared import Prepared, prepare, progress
from .svhn_cropped import hosted
from .tars import members

FOLDERS = ("svhn", "svhn_full", "svhn_full_reassembled")  # sub-folders of the user's that are looked into
SIDE, CROP = 64, 54  # pixels
GROWN = 0.3  # share by which the box is wider, and higher, than the digits
HELD_OUT = 4701  # photographs for validation, but at most a tenth
LARGEST = 4096  # pixels, the longest side that a photograph may have
MOST = {".png": 16 << 20, "digitStruct.mat": 4 << 30}  # bytes
ADVICE = "get the archive again, or name another --data-dir"  # to the owner of another one, or of a damaged copy
VERSION = 1  # of what is kept in the cache

TRAIN = hosted("train.tar.gz", 404141560, "4b17bb33b6cd8f963493168f80143da956f28ec406cc12f8e5745a9f91a51898")
TEST = hosted("test.tar.gz", 276555967, "57ac9ceb530e4aa85b55d991be8fc49c695b3d71c6f6a88afea86549efde7fb5")
EXTRA = hosted("extra.tar.gz", 1955489752, "e857e27d1e65bd1e7d3959b094061777f6506bbc39889a0df3bba6a729d60f9c")


class Crops(Made):
    """A split of crops, `side` x `side`, of the images `rows` (n,) of `pixels`, uint8 (N, C, H, W).

    With `random` their places come from the generator of each batch; otherwise it is the centre.
    """

    labels = None

    def __init__(self, pixels, rows: np.ndarray, side: int = CROP, random: bool = False):
        self.pixels, self.rows, self.side, self.random = pixels, rows, side, random
        self.shape = (pixels.shape[1], side, side)

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, indices, rng: np.random.Generator | None = None) -> np.ndarray:
        """Return the images at `indices` (B,), cropped, as float32 (B, C, side, side) in [0, 1].

        Without an `rng` random places too are always the same for an image.
        """
        indices = np.asarray(indices)
        images = self.pixels[self.rows[indices]]  # (B, C, H, W)
        B, _, H, W = images.shape
        centre = np.full(B, (H - self.side) // 2), np.full(B, (W - self.side) // 2)
        y, x = self.decided(indices, rng) if self.random else centre
        return unit(cut(images, np.arange(B), y, x, self.side))

    def chance(self, images: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Return y and x of random places."""
        return tuple(rng.integers(length - self.side + 1, size=images) for length in self.pixels.shape[2:])


def load(places: Places, seed: int = 0, files: tuple[File, File, File] = (TRAIN, TEST, EXTRA)) -> Dataset:
    """Return SVHN's full numbers: RGB (3, 54, 54) without labels, about 231,000 / 4,701 / 13,068; `seed` is not used.

    4,701 photographs, at most a tenth, evenly spaced among those of train and extra, are for validation. Somebody's own
    train.tar.gz is used without extra.tar.gz where that does not lie beside it; the note says so. Other archives of the
    same layout will do; the note says so too. Raises UserError where one is wrong or not to be had, or h5py is missing.
    """
    train, test, extra = files
    candidates = (Places(name, places.folder, places.cache, places.download) for name in FOLDERS)
    own = next((candidate for candidate in candidates if candidate.find(train)), None)
    wanted = (train, test) if own and not own.find(extra) else files
    prepared = prepare(own or places, wanted, (3, SIDE, SIDE), _make, VERSION, ready=_require_h5py)
    first, tested, *extras = (part.array for part in prepared)
    pixels = Joined([first, *extras])
    held = min(HELD_OUT, max(1, len(pixels) // 10))
    valid = np.arange(held) * len(pixels) // held
    train_rows = np.setdiff1d(np.arange(len(pixels)), valid)
    return Dataset(
        "svhn",
        Crops(pixels, train_rows, random=True),
        Crops(pixels, valid),
        Crops(tested, np.arange(len(tested))),
        _note(wanted, prepared, held, extra),
        identity=_identity(wanted, prepared),
    )


def _identity(files: tuple[File, ...], prepared: list[Prepared]) -> str:
    """Return what stands for the content of official files, however Pillow rounds; "" where some are not official."""
    if not all(part.official for part in prepared):
        return ""
    return f"SVHN {VERSION} {' '.join(file.sha256 for file in files)}"


def _note(files: tuple[File, ...], prepared: list[Prepared], held: int, extra: File) -> str:
    note = f"SVHN, full numbers (Netzer et al. 2011); validation: {held:,} of the training photographs"
    if extra not in files:
        note += f"; without {extra.name}, which the paper trains on too: put it beside {files[0].name}"
    pairs = zip(files, prepared, strict=True)
    other = [f"{len(part.array):,} photographs of {file.name}" for file, part in pairs if not part.official]
    return note + (f"; NOT the official files: {', '.join(other)}" if other else "")


def _make(path: Path) -> tuple[int, Iterator[tuple[int, np.ndarray]]]:
    """Return the number of photographs in an archive, and each as (place in digitStruct.mat, (1, 3, 64, 64))."""
    boxes = _boxes(path)

    def blocks() -> Iterator[tuple[int, np.ndarray]]:
        rows = {name: row for row, name in enumerate(boxes)}
        with progress(len(rows), f"cutting the numbers of {path.name}") as bar:
            for name, content in members(path, lambda name: MOST[".png"] * (_base(name) in boxes)):
                if (row := rows.pop(_base(name), None)) is None:
                    raise UserError(f"{path} holds {_base(name)} twice; {ADVICE}")
                try:
                    image = cut_number(content, boxes[_base(name)])
                except Exception as error:  # damaged pictures make Pillow raise nearly anything
                    raise UserError(f"{path}, {name}: {reason(error)}; {ADVICE}") from error
                yield row, image[None]
                bar.update()
        if rows:
            missing = f"{next(iter(rows))}, nor {len(rows) - 1} others of digitStruct.mat"
            raise UserError(f"{path} does not hold {missing}; {ADVICE}")

    return len(boxes), blocks()


def _boxes(path: Path) -> dict[str, tuple[float, float, float, float]]:
    """Return name -> box from the digitStruct.mat in an archive; it may come after the photographs, or before them."""
    boxes, found = {}, 0
    for _, content in members(path, lambda name: MOST.get(_base(name), 0)):
        boxes, found = _read_boxes(path, content), found + 1
    if found != 1:
        why = f"it holds {found} files digitStruct.mat, not one"
        raise UserError(f"{path} is no archive of SVHN's numbers: {why}; {ADVICE}")
    return boxes


def _read_boxes(path: Path, content: BinaryIO) -> dict[str, tuple[float, float, float, float]]:
    from .digit_struct import count, read_boxes

    boxes = {}
    try:
        with progress(count(content), f"reading the boxes of {path.name}") as bar:
            for name, box in read_boxes(content):
                if name in boxes:
                    raise ValueError(f"it names {name!r} twice")
                boxes[name] = box
                bar.update()
    except Exception as error:  # damaged files make h5py raise nearly anything
        raise UserError(f"digitStruct.mat in {path} cannot be read: {reason(error)}; {ADVICE}") from error
    return boxes


def _base(name: str) -> str:
    return name.rpartition("/")[2]


def _require_h5py() -> None:
    from .digit_struct import require_h5py  # here, since importing h5py takes longer than a start from the cache

    require_h5py()


def cut_number(content: BinaryIO, box: tuple[float, float, float, float]) -> np.ndarray:
    """Return the number in a PNG file as uint8 RGB (3, 64, 64); `box` is (left, top, right, bottom) of its digits.

    Raises ValueError where the box lies outside of the picture, and whatever Pillow raises where that is damaged.
    """
    with Image.open(content, formats=("PNG",)) as image:
        if max(image.size) > LARGEST:
            raise ValueError(f"a picture of {image.size[0]} x {image.size[1]} pixels is no photograph of SVHN")
        grown = grow(box, *image.size)
        resized = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=grown)
    return np.asarray(resized).transpose(2, 0, 1)  # (C, H, W)


def grow(box: tuple[float, float, float, float], width: int, height: int) -> tuple[float, float, float, float]:
    """Return `box` grown by 30 % about its centre and clipped to a picture. Raises ValueError where nothing is left."""
    left, top, right, bottom = box
    across, down = (right - left) * GROWN / 2, (bottom - top) * GROWN / 2
    grown = max(left - across, 0), max(top - down, 0), min(right + across, width), min(bottom + down, height)
    if not (grown[0] < grown[2] and grown[1] < grown[3]):  # also where a number is NaN
        raise ValueError(f"the box {box} of its digits does not meet its {width} x {height} pixels")
    return grown
