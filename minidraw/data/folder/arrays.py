"""Arrays of images, in any usual order of axes and range of values."""

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...errors import UserError
from ..images import Joined
from .listing import SHOWN
from .options import Options
from .parts import SPLITS, Part
from .preparation import SEEN_ON, black_and_white, fits, ground_for, level, scaled
from .splits import NONE, classes_of

CHANNELS = (1, 2, 3, 4)
FEWEST = 10  # images that an axis of images has, where it may be another
BLOCK = 1024  # images looked at at once
LONGEST_ASPECT = 4  # of an image: a longer one is more likely another order of axes


class Arrays:
    """The images of some parts; the order of axes and the levels are found out where `options` leave them open.

    `keys` are hashes of their content, `given`, `labels` and `classes` what the file tells, `remarks` lines for the
    user; how pictures are to be prepared that are given later, an array does not tell. Raises UserError for what cannot
    be told for sure.
    """

    preparation = None

    def __init__(self, path: Path | str, parts: list[Part], options: Options):
        for name in ("fit", "grey", "frames", "broken", "splits"):
            if getattr(options, name) is not None:
                raise UserError(f"{name} is for folders of pictures; save the images of {path} as they are to be used")
        self.path, self.options, self.parts = path, options, parts
        self.remarks = [part.note for part in parts if part.note]
        self.axes: list[str] = []  # of each part
        arrays = [self._arranged(part) for part in parts]  # (n, C, H, W) each
        shapes = {array.shape[1:] for array in arrays}
        if len(shapes) > 1:
            raise UserError(
                f"the parts of {path} have images of different shapes: {', '.join(map(str, sorted(shapes)))}"
            )
        if len({array.dtype for array in arrays}) > 1:
            arrays = [array.astype(np.result_type(*arrays)) for array in arrays]
        self.stored = Joined(arrays)
        self.opaque = arrays[0].shape[1] - (arrays[0].shape[1] in (2, 4))  # channels, without that of transparency
        self.black, self.white = self._levels(arrays)
        self.shape = (self.opaque, *arrays[0].shape[2:])
        counts = [len(array) for array in arrays]
        self.given = np.repeat([SPLITS.index(part.split) if part.split else -1 for part in parts], counts)
        self.keys = list(self._hashes(arrays))
        self._name_labels(counts)
        self.ground = self._ground(arrays)
        self.decided = f"{self.black} {self.white} {self.ground} {options.binarize} {self.axes}"

    def __len__(self) -> int:
        return len(self.stored)

    def take(self, chosen: np.ndarray) -> np.ndarray:
        """Return the images at `chosen` (k,) as uint8 (k, C, H, W)."""
        stored = self.stored[chosen]
        images = stored[:, : self.opaque]
        if stored.dtype != np.uint8 or (self.black, self.white) != (0, 255):
            images = scaled(images, self.black, self.white)
        if stored.shape[1] != self.opaque:
            alpha = stored[:, -1:].astype(np.float64) / self.solid
            images = np.rint(alpha * images + (1 - alpha) * SEEN_ON[self.ground] * 255).astype(np.uint8)
        return black_and_white(images) if self.options.binarize else images

    def finish(self) -> None:
        """Do nothing: arrays are read as they are looked at."""

    def _arranged(self, part: Part) -> np.ndarray:
        """Return the array of a part as a view (n, C, H, W)."""
        array, options, axes = part.array, self.options, self.options.axes or part.axes
        if array.dtype.kind not in "buif":
            raise UserError(
                f"{self.path} holds an array of {array.dtype}; save its images as real numbers, best as uint8"
            )
        if not array.size:
            raise UserError(f"{self.path} has the shape {array.shape} and holds no images")
        if array.ndim == 2:
            array, axes = self._unflattened(array)
        elif options.size:
            raise UserError(f"size is for pictures and for arrays (n, pixels); {self.path} has the shape {array.shape}")
        axes = axes or self._understood(array.shape)
        if len(axes) != array.ndim:
            raise UserError(f"axes={axes} has {len(axes)} letters, but {self.path} has the shape {part.array.shape}")
        self.axes.append(axes)
        array = array.transpose([axes.index(axis) for axis in "nchw" if axis in axes])
        array = array if array.ndim == 4 else array[:, None]
        if array.shape[1] not in CHANNELS:
            raise UserError(f"{self.path} has the shape {part.array.shape}: by axes={axes} {array.shape[1]} channels")
        n, C, H, W = array.shape
        turned = ", turned over" if axes.index("w") < axes.index("h") else ""
        taken = f"is taken as {n:,} images of {W}x{H} pixels, channels: {C} (axes={axes}{turned})"
        if len(self.parts) <= SHOWN or part is self.parts[0]:
            alike = f", and {len(self.parts) - 1:,} more alike" if len(self.parts) > SHOWN else ""
            self.remarks.append(f"an array {part.array.shape} {taken}{alike}")
        return array

    def _unflattened(self, array: np.ndarray) -> tuple[np.ndarray, str]:
        """Return an array (n, pixels) as (n, H, W) or (n, C, H, W), or in whatever order, and the order of the axes."""
        n, pixels = array.shape
        axes, size, side = self.options.axes, self.options.size, math.isqrt(pixels)
        width, height = size or (side, side)
        what = f"{self.path} has the shape {array.shape}"
        if not size and n == pixels and n >= FEWEST:
            likely = self.options.again(self.path, "size=WIDTHxHEIGHT")
            raise UserError(f"{what}: one picture? Stack those you have to (n, H, W); if it is {n} images, {likely}")
        channels, rest = divmod(pixels, width * height)
        if not size and rest and pixels % 3 == 0 and math.isqrt(pixels // 3) ** 2 * 3 == pixels:
            width = height = math.isqrt(pixels // 3)
            channels, rest = 3, 0
        if pixels < 4 or rest or channels not in CHANNELS:
            raise UserError(
                f"{what}: {n:,} rows of {pixels:,} pixels, which are no square; say what they are by "
                f"{self.options.again(self.path, 'size=WIDTHxHEIGHT', size=None)}"
            )
        axes = axes or ("nhw" if channels == 1 else None)
        if axes is None or ("c" in axes) != (channels > 1):
            ways = [self.options.again(self.path, size=(width, height), axes=axes) for axes in ("nhwc", "nchw")]
            raise UserError(
                f"{what}: in which order are the {channels} channels of {width}x{height}? {' or '.join(ways)}"
            )
        lengths = {"n": n, "h": height, "w": width, "c": channels}
        return array.reshape([lengths[axis] for axis in axes]), axes

    def _understood(self, shape: tuple[int, ...]) -> str:
        """Return the axes of an array of that shape, refusing what may be something else."""
        what = f"{self.path} has the shape {shape}"

        def by(axes: str) -> str:
            return self.options.again(self.path, axes=axes)

        if len(shape) == 3:
            n, H, W = shape
            if (W in (3, 4) and min(n, H) > 2 * W) or (n in (1, 3, 4) and min(H, W) > 4 * n):
                raise UserError(
                    f"{what}: one picture? Stack those you have to (n, H, W, C); if it is {n} images, {by('nhw')}"
                )
            if n == H != W >= FEWEST:
                raise UserError(f"{what}: {n} images of {H} x {W} or {W} of {n} x {H}? {by('nhw')} or {by('hwn')}")
            if max(H, W) > LONGEST_ASPECT * min(H, W):
                turned = W > LONGEST_ASPECT * max(n, H) and max(n, H) <= LONGEST_ASPECT * min(n, H)
                raise UserError(f"{what}: images of {H} x {W} pixels? If so, {by('hwn' if turned else 'nhw')}")
            return "nhw"
        if len(shape) == 4:
            fitting = [axes for axes in ("nchw", "nhwc") if self._is_image(axes, shape)]
            if len(fitting) == 1:
                return fitting[0]
            others = fitting or [axes for axes in ("hwcn", "cnhw", "whcn") if self._is_image(axes, shape)][:1]
            why = "channels first or last cannot be told apart" if fitting else "which axis is which cannot be told"
            raise UserError(f"{what}: {why}; {' or '.join(map(by, others)) or 'save it as (n, H, W) or (n, H, W, C)'}")
        raise UserError(f"{what}, not (n, H, W), (n, H, W, C), (n, C, H, W) or (n, pixels): save it as one of these")

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
        options = self.options
        black = 0.0 if options.black is None else options.black
        found = {level(most) for _, most in spans} if options.white is None else {options.white}
        white = found.pop() if len(found) == 1 else None
        values = f"{self.path} has values from {' and '.join(f'{least:g} to {most:g}' for least, most in spans)}"
        if not (math.isfinite(lowest) and math.isfinite(highest)):
            raise UserError(f"{values}: mend those that are no numbers")
        if found or spans[:, 0].min() < 0 <= spans[:, 0].max():
            raise UserError(f"{values}: its parts are of different scales; save them alike")
        if lowest == highest:
            raise UserError(f"{values}: all are equal, and no image can be seen")
        if white is None or not fits(lowest, highest, black, white):
            hint = options.again(self.path, black=lowest if lowest < 0 else options.black, white=highest)
            raise UserError(f"{values}: which are black and white? If it is these, {hint}")
        if (black, white) not in ((0, 255), (0, 1)) or highest <= white / 2:
            self.remarks.append(
                f"values from {lowest:g} to {highest:g}: {black:g} is black, {white:g} is white (white=VALUE)"
            )
        return black, white

    def _hashes(self, arrays: list[np.ndarray]) -> Iterator[bytes]:
        for block in _blocks(arrays):
            yield from (hashlib.sha256(image.tobytes()).digest() for image in block)

    def _ground(self, arrays: list[np.ndarray]) -> str:
        """Return what lies behind transparent pixels, the last of two or of four channels."""
        if self.stored.shape[1] == self.opaque:
            return "white"
        highest = max(_span(array[:, -1:])[1] for array in arrays)
        self.solid = 1.0 if highest <= 1 else self.white  # where the last channel is opaque
        some = np.linspace(0, len(self) - 1, min(200, len(self))).astype(int)
        stored = self.stored[some]
        alpha = stored[:, -1].astype(np.float64) / self.solid  # (k, H, W)
        seen = alpha.min(axis=(1, 2)) < 1
        grey = scaled(stored[seen, : self.opaque], self.black, self.white).mean(axis=1) / 255
        ground = self.options.ground or ground_for(float((alpha[seen] * grey).sum()), float(alpha[seen].sum()))
        self.remarks.append(f"the last channel is taken as transparency, on {ground} (ground=white, black or grey)")
        return ground

    def _name_labels(self, counts: list[int]) -> None:
        """Enter labels and classes, where the labels that there are name classes."""
        self.labels, self.classes = np.full(sum(counts), NONE, np.uint8), None
        labelled = [part.labels for part in self.parts if part.labels is not None]
        if not labelled:
            return
        if isinstance(found := classes_of(labelled), str):
            self.remarks.append(f"labels are left out: {found}")
            return
        known = np.repeat([part.labels is not None for part in self.parts], counts)
        self.labels[known], self.classes = found
        if not known.all():
            without = [part.split or "some" for part in self.parts if part.labels is None]
            self.remarks.append(f"no labels: of the {' and the '.join(without)} images")


def _span(array: np.ndarray) -> tuple[float, float]:
    """Return the least and the largest value of images (n, C, H, W)."""
    with np.errstate(invalid="ignore"):  # there are NaNs that warn
        spans = np.array([(block.min(), block.max()) for block in _blocks([array])], np.float64)
    return float(spans[:, 0].min()), float(spans[:, 1].max())  # NaN stays NaN


def _blocks(arrays: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the images of arrays (n, C, H, W), some at a time."""
    for array in arrays:
        for start in range(0, len(array), BLOCK):
            yield array[start : start + BLOCK]
