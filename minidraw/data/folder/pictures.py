"""A folder of pictures in any format that Pillow reads, brought to one size and one number of channels."""

import contextlib
import hashlib
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from ...errors import UserError, reason
from ..prepared import progress
from .listing import Listing, formats, named, told_by_folders
from .options import Options
from .preparation import DEEP, GREY, Preparation, ground_for, level, light_seen
from .splits import numbered

LARGEST, USUAL = 128, 64  # pixels: the longest side that is kept as it is; that of other pictures
ALIKE, MOST = 0.1, 0.9  # aspects that differ by less are alike; if that many are, it is the aspect of all
LOST = 0.1  # a picture of which more than this share is cut away is told of
SAMPLED = 128 << 10  # bytes at either end of a file that stand for its content
SOME = 200  # transparent pictures that decide on the ground of all
FEW = 10  # files, below which their frames are divided among the splits, and not the files
PAGES, FILMS = ("TIFF",), ("GIF", "PNG", "WEBP")  # formats of many frames: each a picture of its own, or nearly alike


class Unreadable(UserError):
    """Pictures that cannot be read: `broken` has names and reasons."""

    def __init__(self, path: Path, broken: dict[str, str]):
        count = "a picture" if len(broken) == 1 else f"{len(broken):,} pictures"
        super().__init__(
            f"{path} holds {count} that cannot be read: {named(broken)}; mend or remove them, or "
            "go on without them: ?broken=skip"
        )
        self.broken = broken


@dataclass
class Seen:
    """What is known of a picture file before its pixels are needed."""

    name: str
    key: bytes  # a hash of its content
    size: tuple[int, int]  # (width, height), upright
    mode: str
    clear: bool  # may there be transparent pixels?
    frames: int  # that may be taken
    pages: bool  # are those a picture each?
    values: tuple[float, float] | None  # least and largest, of a deep picture


class Pictures:
    """The pictures of a folder; how they are prepared is found out where `options` leave it open.

    `keys` are hashes of their content, `given` and `labels` what their folders tell, `remarks` lines for the user.
    Raises UserError, naming the pictures, where some cannot be read, unless the options say to skip those.
    """

    def __init__(self, path: Path, listing: Listing, options: Options):
        if wrong := [name for name in ("key", "labels", "axes") if getattr(options, name) is not None]:
            raise UserError(f"{wrong[0]} is for files of arrays, but {path} is a folder of pictures")
        self.path, self.options = path, options
        self.broken = dict(listing.broken)  # names and reasons
        files = [(name, 0) for name in listing.pictures]
        seen = [one for one in self._each(self._look, files, f"looking at {path}") if one]
        if self.broken and options.broken != "skip":
            self._each(self._load, [(one.name, 0) for one in seen])  # all that is wrong, at once
            raise Unreadable(path, self.broken)
        if not seen:
            raise UserError(f"{path} holds no picture that can be read: {named(self.broken)}")
        self.known = dict(self.broken)
        self.remarks: list[str] = []
        self.preparation = self._decide(seen)
        self.shape = self.preparation.shape
        self._list_images(seen)
        left_out = Listing([], self.broken, listing.others).left_out()
        self.remarks += [f"left out: {left_out}"] if left_out else []

    def __len__(self) -> int:
        return len(self.images)

    def take(self, chosen: np.ndarray) -> np.ndarray:
        """Return the pictures at `chosen` (k,) as uint8 (k, C, H, W); black where one cannot be read, see `finish`."""
        made = self._each(self._prepare, [self.images[i] for i in chosen])
        return np.stack([np.zeros(self.shape, np.uint8) if pixels is None else pixels for pixels in made])

    def finish(self) -> None:
        """Raise Unreadable where a picture turned out to be unreadable that was not known to be."""
        if self.broken.keys() > self.known.keys():
            raise Unreadable(self.path, self.broken)

    def _each(self, job: Callable, items: Sequence[tuple[str, int]], what: str = "") -> list[Any]:
        """Return what a job makes of every (name, frame), on every core; None where it fails, which makes it broken."""

        def attempt(item: tuple[str, int]) -> Any:
            try:
                return job(*item)
            except Exception as error:  # damaged pictures make Pillow raise nearly anything
                return error

        made = []
        with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool, _bar(what, len(items)) as bar:
            warnings.simplefilter("ignore")  # of odd but readable files
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            for (name, _), result in zip(items, pool.map(attempt, items), strict=True):
                if isinstance(result, Exception):
                    unknown = isinstance(result, Image.UnidentifiedImageError)
                    self.broken[name] = "no picture" if unknown else reason(result)
                made.append(None if isinstance(result, Exception) else result)
                bar.update()
        return made

    def _look(self, name: str, _: int) -> Seen:
        """Return what is to be known of a picture before its pixels are needed."""
        with open(self.path / name, "rb") as file:
            length = os.fstat(file.fileno()).st_size
            digest = hashlib.sha256(b"%d" % length + file.read(SAMPLED))
            file.seek(max(SAMPLED, length - SAMPLED))
            digest.update(file.read(SAMPLED))
            file.seek(0)
            with Image.open(file, formats=tuple(formats())) as picture:
                pages = picture.format in PAGES
                frames = getattr(picture, "n_frames", 1) if pages or picture.format in FILMS else 1
                turned = picture.getexif().get(0x0112, 1) in (5, 6, 7, 8)  # EXIF: a camera that was held upright
                size = picture.size[::-1] if turned else picture.size
                mode, clear, values = picture.mode, picture.has_transparency_data, None
                if mode in DEEP:
                    values = _span(picture, frames if pages and self.options.frames != "first" else 1)
        return Seen(name, digest.digest(), size, mode, clear, frames, pages, values)

    def _light(self, name: str, frame: int) -> tuple[float, float]:
        with self._opened(name, frame) as picture:
            return light_seen(picture)

    def _load(self, name: str, frame: int) -> None:
        with self._opened(name, frame) as picture:
            picture.load()

    def _prepare(self, name: str, frame: int) -> np.ndarray:
        with self._opened(name, frame) as picture:
            return self.preparation.apply(picture)

    @contextlib.contextmanager
    def _opened(self, name: str, frame: int) -> Iterator[Image.Image]:
        with Image.open(self.path / name, formats=tuple(formats())) as picture:
            if frame:
                picture.seek(frame)
            yield picture

    def _decide(self, seen: list[Seen]) -> Preparation:
        """Return how these pictures are prepared; what the user might not expect goes into the remarks."""
        options = self.options
        grey = all(one.mode in GREY for one in seen) if options.grey is None else options.grey
        size, fit = options.size or common_size([one.size for one in seen]), options.fit or "crop"
        if sizes := {one.size for one in seen} - {size}:
            least, most = min(sizes, key=_area), max(sizes, key=_area)
            of = _by(least) if len(sizes) == 1 else f"{len(sizes):,} sizes, {_by(least)} to {_by(most)}"
            self.remarks.append(f"resized to {_by(size)} pixels from {of} (size=WIDTHxHEIGHT)")
        if fit == "crop" and (cut := [lost for one in seen if (lost := cut_away(one.size, size)) > LOST]):
            self.remarks.append(
                f"cropped: of {len(cut):,} of {len(seen):,} pictures more than a tenth is cut away, up to "
                f"{100 * max(cut):.0f} % (fit=pad keeps them whole, fit=stretch too but out of shape)"
            )
        return Preparation(size, grey, fit, self._ground(seen), *self._levels(seen), binarize=options.binarize)

    def _levels(self, seen: list[Seen]) -> tuple[float, float | None]:
        """Return which values of deep pictures are black and white."""
        options, deep = self.options, [one.values for one in seen if one.values]
        if not deep:
            if options.white is not None or options.black is not None:
                raise UserError(f"white and black are for pictures of more than 8 bits; {self.path} holds none")
            return 0.0, None
        black, lowest, highest = options.black or 0.0, min(low for low, _ in deep), max(high for _, high in deep)
        white = level(highest) if options.white is None else options.white
        if white is None or not min(black, white) <= lowest <= highest <= max(black, white):
            raise UserError(
                f"the pictures of more than 8 bits in {self.path} have values from {lowest:g} to {highest:g}: say "
                f"which are black and white, by {self.path}?black={lowest:g}&white={highest:g} or what it is"
            )
        of = f"{len(deep):,} pictures of more than 8 bits, of values up to {highest:g}"
        self.remarks.append(f"{of}: {white:g} is taken as white (white=VALUE)")
        return black, white

    def _ground(self, seen: list[Seen]) -> str:
        """Return what lies behind transparent pixels."""
        clear = [(one.name, 0) for one in seen if one.clear]
        chosen = [clear[k * len(clear) // SOME] for k in range(SOME)] if len(clear) > SOME else clear
        sums = [light for light in self._each(self._light, chosen) if light]
        light, area = (sum(column) for column in zip(*sums, strict=True)) if sums else (0, 0)
        ground = self.options.ground or ground_for(light, area)
        if area:
            kind = "light" if ground_for(light, area) == "black" else "dark"
            self.remarks.append(f"{kind} figures on transparent ground are put on {ground} (ground=white or black)")
        return ground

    def _list_images(self, seen: list[Seen]) -> None:
        """Enter names and frames of the images, their keys, and what their folders tell."""
        self.images: list[tuple[str, int]] = []
        self.keys: list[bytes] = []
        of, wanted = [], self.options.frames
        for k, one in enumerate(seen):
            frames = one.frames if wanted == "all" or (one.pages and wanted != "first") else 1
            for frame in range(frames):
                self.images.append((one.name, frame))
                self.keys.append(hashlib.sha256(one.key + b"%d" % frame).digest() if len(seen) < FEW else one.key)
                of.append(k)
        for pages, words in ((True, "pages: {}, each an image (frames=first)"), (False, "moving: {}, {} (frames={})")):
            several = [one for one in seen if one.frames > 1 and one.pages == pages]
            if several:
                count = f"{len(several):,} files of {sum(one.frames for one in several):,} frames"
                taken = ("all taken", "first") if wanted == "all" else ("the first of each is taken", "all")
                if pages and wanted == "first":
                    words = "pages: {}, the first of each is taken (frames=all)"
                self.remarks.append(words.format(count, *taken))
        given, classes, remarks = told_by_folders([one.name for one in seen])
        self.given, self.labels, self.classes = given[of], None, None  # (n,)
        self.remarks += remarks
        if classes is not None:
            found = numbered([classes])
            if isinstance(found, str):
                self.remarks.append(f"the folders are no classes: {found}")
            else:
                self.labels, self.classes = found[0][of], found[1]


def common_size(sizes: list[tuple[int, int]]) -> tuple[int, int]:
    """Return the size (width, height) for pictures of these sizes.

    It is their own if all have one and it is small, else a shrunken one of their common aspect, or, where they have
    none, a square.
    """
    (size, count), *_ = Counter(sizes).most_common()
    if count == len(sizes) and max(size) <= LARGEST:
        return size
    widths, heights = np.array(sizes).T
    aspects = widths / heights
    aspect = float(np.median(aspects))
    if np.mean(np.abs(np.log(aspects / aspect)) < ALIKE) < MOST:
        return (min(USUAL, int(np.median(np.minimum(widths, heights)))),) * 2
    longer = min(USUAL, int(np.median(np.maximum(widths, heights))))
    width, height = (longer, longer / aspect) if aspect > 1 else (longer * aspect, longer)
    return max(1, round(width)), max(1, round(height))


def cut_away(size: tuple[int, int], target: tuple[int, int]) -> float:
    """Return the share of a picture of `size` that the largest central part of another aspect leaves out."""
    ratio = size[0] * target[1] / (size[1] * target[0])
    return 1 - min(ratio, 1 / ratio)


def _span(picture: Image.Image, frames: int) -> tuple[float, float]:
    """Return the least and the largest value in the first frames of a deep picture."""
    lowest, highest = np.inf, -np.inf
    for frame in range(frames):
        picture.seek(frame)
        values = np.asarray(picture)
        lowest, highest = np.minimum(lowest, values.min()), np.maximum(highest, values.max())  # NaN stays NaN
    return float(lowest), float(highest)


def _bar(what: str, total: int):
    return progress(total, what) if what else tqdm(disable=True)


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
