"""Arrays of images in files: .npy and .npz, idx, text; any usual order of axes and range of values, never a pickle."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...errors import UserError
from ..images import Joined
from . import idx, numpy_files, tables
from .options import PREFIX, Options
from .parts import SPLITS, Part
from .preparation import black_and_white, ground_for, level
from .splits import numbered, split_of

CHANNELS = (1, 2, 3, 4)
BLOCK = 1024  # images looked at at once
LONGEST_ASPECT = 4  # of an image: a longer one is more likely another order of axes
ARRAYS, TABLES = (".npy", ".npz"), (".csv", ".tsv", ".txt")


class Arrays:
    """The images of some parts; the order of axes and the levels are found out where `options` leave them open.

    `keys` are hashes of their content, `given`, `labels` and `classes` what the file tells, `remarks` lines for the
    user; how pictures are to be prepared that are given later, an array does not tell. Raises UserError for what cannot
    be told for sure.
    """

    preparation = None

    def __init__(self, path: Path, parts: list[Part], options: Options):
        for name in ("fit", "grey", "frames", "broken"):
            if getattr(options, name) is not None:
                raise UserError(f"{name} is for folders of pictures; save the images of {path} as they are to be used")
        self.path, self.options, self.parts = path, options, parts
        self.remarks: list[str] = []
        arrays = [self._arranged(part) for part in parts]  # (n, C, H, W) each
        shapes = {array.shape[1:] for array in arrays}
        if len(shapes) > 1:
            raise UserError(f"the parts of {path} have images of different shapes: {', '.join(map(str, shapes))}")
        self.stored = Joined(arrays)
        self.black, self.white = self._levels(arrays)
        C, H, W = arrays[0].shape[1:]
        self.opaque = C - (C in (2, 4))  # channels, without that of transparency
        self.shape = (self.opaque, H, W)
        self.given = np.repeat(
            [SPLITS.index(part.split) if part.split else -1 for part in parts], [len(array) for array in arrays]
        )
        self.keys = list(self._hashes(arrays))
        self._name_labels()
        self.ground = self._ground()

    def __len__(self) -> int:
        return len(self.stored)

    def take(self, chosen: np.ndarray) -> np.ndarray:
        """Return the images at `chosen` (k,) as uint8 (k, C, H, W)."""
        images = self.stored[chosen]
        if self.stored.dtype != np.uint8 or (self.black, self.white) != (0, 255):
            images = (images.astype(np.float64) - self.black) * (255 / (self.white - self.black))
        if images.shape[1] != self.opaque:
            alpha = images[:, -1:] / np.float64(255)
            images = alpha * images[:, :-1] + (1 - alpha) * (255.0 * (self.ground == "white"))
        images = images if images.dtype == np.uint8 else np.rint(images).astype(np.uint8)
        return black_and_white(images) if self.options.binarize else images

    def finish(self) -> None:
        """Do nothing: arrays are read as they are looked at."""

    def _arranged(self, part: Part) -> np.ndarray:
        """Return the array of a part as a view (n, C, H, W)."""
        array, options = part.array, self.options
        if array.dtype.kind not in "buif":
            raise UserError(f"{self.path} is an array of {array.dtype}, not of numbers")
        if not array.size:
            raise UserError(f"{self.path} has the shape {array.shape} and holds no images")
        if array.ndim == 2:
            array = self._unflattened(array)
        elif options.size:
            raise UserError(f"size is for pictures and for arrays (n, pixels); {self.path} has the shape {array.shape}")
        axes = options.axes or part.axes or self._understood(array.shape)
        if len(axes) != array.ndim:
            raise UserError(f"axes={axes} has {len(axes)} letters, but {self.path} has the shape {array.shape}")
        array = array.transpose([axes.index(axis) for axis in "nchw" if axis in axes])
        array = array if array.ndim == 4 else array[:, None]
        if array.shape[1] not in CHANNELS:
            raise UserError(f"{self.path} has the shape {part.array.shape}: by axes={axes} {array.shape[1]} channels")
        n, C, H, W = array.shape
        remark = f"an array {part.array.shape} is taken as {n:,} images of {W}x{H} pixels, channels: {C} (axes={axes})"
        if remark not in self.remarks:
            self.remarks.append(remark)
        return array

    def _unflattened(self, array: np.ndarray) -> np.ndarray:
        """Return an array (n, pixels) as (n, H, W) or (n, C, H, W)."""
        n, pixels = array.shape
        side = math.isqrt(pixels)
        width, height = self.options.size or (side, side)
        channels, rest = divmod(pixels, width * height)
        if pixels < 4 or rest or channels not in CHANNELS:
            raise UserError(
                f"{self.path} has the shape {array.shape}: {n:,} rows of {pixels:,} pixels, which are no square; say "
                f"what they are by {PREFIX}{self.path}?size=WIDTHxHEIGHT"
            )
        return array.reshape((n, height, width) if channels == 1 else (n, channels, height, width))

    def _understood(self, shape: tuple[int, ...]) -> str:
        """Return the axes of an array of that shape, refusing what may be something else."""
        help_ = f"name its axes by {PREFIX}{self.path}?axes="
        if len(shape) == 3:
            n, H, W = shape
            if W in (3, 4) and min(n, H) > 4 * W:
                raise UserError(f"{self.path} has the shape {shape}: that is one picture, or else {help_}nhw")
            if max(H, W) > LONGEST_ASPECT * min(H, W):
                likely = "hwn" if W > LONGEST_ASPECT * max(n, H) and max(n, H) <= LONGEST_ASPECT * min(n, H) else "nhw"
                raise UserError(f"{self.path} has the shape {shape}: images of {H} x {W} pixels? {help_}{likely}")
            return "nhw"
        if len(shape) == 4:
            fitting = [axes for axes in ("nchw", "nhwc") if self._is_image(axes, shape)]
            if len(fitting) == 1:
                return fitting[0]
            other = next((axes for axes in ("hwcn", "cnhw") if self._is_image(axes, shape)), "nhwc")
            what = "channels first or last cannot be told apart" if fitting else "which axis is which cannot be told"
            raise UserError(f"{self.path} has the shape {shape}: {what}; {help_}{fitting[0] if fitting else other}")
        raise UserError(f"{self.path} has the shape {shape}, not (n, H, W), (n, H, W, C), (n, C, H, W) or (n, pixels)")

    @staticmethod
    def _is_image(axes: str, shape: tuple[int, ...]) -> bool:
        """Tell whether axes of these lengths make images of 1 to 4 channels and a usual aspect."""
        length = dict(zip(axes, shape, strict=True))
        return length["c"] in CHANNELS and max(length["h"], length["w"]) <= LONGEST_ASPECT * min(
            length["h"], length["w"]
        )

    def _levels(self, arrays: list[np.ndarray]) -> tuple[float, float]:
        """Return which values are black and white, the same ones in every part."""
        spans = np.array([_span(array) for array in arrays])  # (parts, 2)
        lowest, highest = spans[:, 0].min(), spans[:, 1].max()  # NaN stays NaN
        black = 0.0 if self.options.black is None else self.options.black
        found = {level(most) for _, most in spans} if self.options.white is None else {self.options.white}
        white = found.pop() if len(found) == 1 else None
        values = f"{self.path} has values from {' and '.join(f'{least:g} to {most:g}' for least, most in spans)}"
        if not (math.isfinite(lowest) and math.isfinite(highest)):
            raise UserError(f"{values}: mend those that are no numbers")
        if white is None or not min(black, white) <= lowest <= highest <= max(black, white):
            hint = f"black={lowest:g}&white={highest:g}" if lowest < 0 else f"white={highest:g}"
            raise UserError(f"{values}: which are black and white? Say so, by {PREFIX}{self.path}?{hint} or what it is")
        if (black, white) not in ((0, 255), (0, 1)) or highest <= white / 2:
            self.remarks.append(
                f"values from {lowest:g} to {highest:g}: {black:g} is black, {white:g} is white (white=VALUE)"
            )
        return black, white

    def _hashes(self, arrays: list[np.ndarray]) -> Iterator[bytes]:
        for block in _blocks(arrays):
            yield from (hashlib.sha256(image.tobytes()).digest() for image in block)

    def _ground(self) -> str:
        """Return what lies behind transparent pixels, the last of two or of four channels."""
        if self.stored.shape[1] == self.opaque:
            return "white"
        light = area = 0.0
        some = np.linspace(0, len(self) - 1, min(200, len(self))).astype(int)
        images = (self.stored[some].astype(np.float64) - self.black) / (self.white - self.black)  # (k, C, H, W)
        clear = images[:, -1].min(axis=(1, 2)) < 1
        alpha = images[clear, -1]
        light, area = float((alpha * images[clear, :-1].mean(axis=1)).sum()), float(alpha.sum())
        ground = self.options.ground or ground_for(light, area)
        self.remarks.append(f"the last channel is taken as transparency, on {ground} (ground=white or black)")
        return ground

    def _name_labels(self) -> None:
        """Enter labels and classes, where every part has labels, and they name classes."""
        self.labels = self.classes = None
        labelled = [part.labels for part in self.parts if part.labels is not None]
        if not labelled:
            return
        found = numbered(labelled)
        if isinstance(found, str) or len(labelled) < len(self.parts):
            why = found if isinstance(found, str) else "only a part of the images has some"
            self.remarks.append(f"labels are left out: {why}")
        else:
            self.labels, self.classes = found


def read(path: Path, options: Options) -> list[Part]:
    """Return what lies in a file, found out by its content, or in the files of a folder without pictures."""
    if path.is_dir():
        return _read_folder(path, options)
    if idx.is_idx(path):
        return idx.read(path)
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(TABLES):
        return tables.read(path)
    if name.endswith(ARRAYS) and not path.name.lower().endswith(".gz"):
        return numpy_files.read(path, options)
    raise UserError(f"{path} is neither a folder of pictures nor a file of images: .npy, .npz, idx or .csv")


def _read_folder(path: Path, options: Options) -> list[Part]:
    """Return the images of the files in a folder: a set in idx files, a file for each split, or one for each class."""
    if found := idx.find(path):
        if others := [file.name for file in found if file not in idx.files(found[0])]:
            raise UserError(
                f"{path} holds several sets: name one of them, {PREFIX}{found[0]} or {', '.join(others[:3])}"
            )
        return idx.read(found[0])
    names = (file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    endings = (*ARRAYS, ".csv", ".tsv", ".csv.gz", ".tsv.gz")
    files = sorted(file for file in names if file.name.lower().endswith(endings))
    if len(files) == 1:
        return read(files[0], options)
    by_split = {split_of(file.stem): file for file in files if split_of(file.stem)}
    if "train" in by_split:
        return [replace(part, split=split) for split, file in by_split.items() for part in read(file, options)]
    if files and all(file.suffix.lower() == ".npy" for file in files):
        read_each = [(file.stem, read(file, options)[0]) for file in files]
        return [Part(part.array, np.full(len(part.array), name)) for name, part in read_each]
    if files:
        raise UserError(f"{path} holds {len(files)} files of arrays: name one of them, for example {PREFIX}{files[0]}")
    return []


def _span(array: np.ndarray) -> tuple[float, float]:
    """Return the least and the largest value of images (n, C, H, W)."""
    spans = np.array([(block.min(), block.max()) for block in _blocks([array])], np.float64)
    return float(spans[:, 0].min()), float(spans[:, 1].max())  # NaN stays NaN


def _blocks(arrays: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the images of arrays (n, C, H, W), some at a time."""
    for array in arrays:
        for start in range(0, len(array), BLOCK):
            yield array[start : start + BLOCK]
