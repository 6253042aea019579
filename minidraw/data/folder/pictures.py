"""A folder of pictures in any format that Pillow reads, brought to one size and one number of channels."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from ...errors import UserError, reason
from ...files import open_regular
from ..prepared import progress
from .listing import Listing, named, told_by_folders
from .opening import MOST_PIXELS, check_size, opened, quiet
from .options import Options
from .preparation import DEEP, GREY, SEEN_ON, Preparation, fits, ground_for, level, light_seen
from .sizes import by, common_size, cut_away, small_being_few
from .splits import numbered

FAINT = 0.05  # of white: a figure that differs from its ground by less cannot be seen
LOST = 0.1  # a picture of which more than this share is cut away is told of
BITS = 258  # the tag of a TIFF file for the bits of a channel
READ = 1 << 20  # bytes at once
SOME = 200  # transparent pictures that decide on the ground of all
LARGE = 200 * 200  # pixels; of smaller pictures, threads keep each other waiting
PART = 32  # pictures that a core takes at once
SMALL = 10  # files, below which their frames are divided among the splits, and not the files
PAGES = ("TIFF",)  # formats whose frames are pictures of their own
FILMS = ("GIF", "PNG", "WEBP", "AVIF")  # and those whose frames are mostly alike


class Unreadable(UserError):
    """Pictures that cannot be read: `broken` has names and reasons."""

    def __init__(self, path: Path, broken: dict[str, str], options: Options):
        count = "a picture" if len(broken) == 1 else f"{len(broken):,} pictures"
        super().__init__(
            f"{path} holds {count} that cannot be read: {named(broken)}; mend or remove them, or "
            f"go on without them: {options.again(path, broken='skip')}"
        )
        self.broken = broken


@dataclass
class Seen:
    """What is known of a picture file before its pixels are needed."""

    name: str
    key: bytes  # a hash of its content
    frames: int  # that there are
    pages: bool  # are those a picture each?
    sizes: list[tuple[int, int]]  # of those that are taken: (width, height), upright
    modes: set[str]
    clear: bool  # may there be transparent pixels?
    values: tuple[float, float] | None  # least and largest, of deep pictures
    reduced: bool  # has Pillow cut colours of 16 bits down to 8?


class Pictures:
    """The pictures of a folder; how they are prepared is found out where `options` leave it open.

    `keys` are hashes of their content, `given` and `labels` what their folders tell, `remarks` lines for the user.
    Raises UserError, naming the pictures, where some cannot be read, unless the options say to skip those.
    """

    def __init__(self, path: Path, listing: Listing, options: Options):
        if wrong := [name for name in ("key", "labels", "axes") if getattr(options, name) is not None]:
            raise UserError(f"{wrong[0]} is for files of arrays, but {path} is a folder of pictures")
        self.path, self.options, self.cores = path, options, 1
        self.broken = dict(listing.broken)  # names and reasons
        files = [(name, 0) for name in listing.pictures]
        seen = [one for one in self._each(self._look, files, f"looking at {path}") if one]
        sizes = [size for one in seen for size in one.sizes]
        if sizes and np.prod(sizes, axis=1).mean() > LARGE:
            largest = max(width * height for width, height in sizes)
            self.cores = max(1, min(os.cpu_count() or 1, MOST_PIXELS // max(1, largest)))  # all take memory at once
        if self.broken and options.broken != "skip":
            self._each(self._load, [(one.name, 0) for one in seen], f"reading {path}")  # all that is wrong, at once
            raise Unreadable(path, self.broken, options)
        if not seen:
            raise UserError(f"{path} holds no picture that can be read: {named(self.broken)}")
        self.known = dict(self.broken)
        self.remarks: list[str] = []
        self.preparation = self._decide(seen)
        self.decided, self.shape = str(self.preparation), self.preparation.shape
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
            raise Unreadable(self.path, self.broken, self.options)

    def _each(self, job: Callable, items: Sequence[tuple[str, int]], what: str = "") -> list[Any]:
        """Return what a job makes of every (name, frame), on some cores; None where it fails, which makes it broken."""

        def attempt(some: Sequence[tuple[str, int]]) -> list[Any]:
            results: list[Any] = []
            for item in some:
                try:
                    results.append(job(*item))
                except Exception as error:  # damaged pictures make Pillow raise nearly anything
                    results.append(error)
            return results

        made: list[Any] = []
        parts = [items[k : k + PART] for k in range(0, len(items), PART)]
        with quiet(), ThreadPoolExecutor(self.cores) as pool, bar(what, len(items)) as shown:
            for some, results in zip(parts, pool.map(attempt, parts), strict=True):
                for (name, _), result in zip(some, results, strict=True):
                    if isinstance(result, Exception):
                        self.broken[name] = reason(result)
                    made.append(None if isinstance(result, Exception) else result)
                shown.update(len(some))
        return made

    def _look(self, name: str, _: int) -> Seen:
        """Return what is to be known of a picture before its pixels are needed."""
        with open_regular(self.path / name, linked=True) as file:
            digest, head = hashlib.sha256(), b""
            while block := file.read(READ):
                digest.update(block)
                head = head or block
            file.seek(0)
            with opened(file) as picture:
                pages = picture.format in PAGES
                frames = getattr(picture, "n_frames", 1) if pages or picture.format in FILMS else 1
                seen = Seen(name, digest.digest(), frames, pages, [], set(), False, None, _is_reduced(head, picture))
                for frame in range(self._taken(seen)):
                    sought(picture, frame)
                    turned = picture.getexif().get(0x0112, 1) in (5, 6, 7, 8)  # EXIF: a camera that was held upright
                    seen.sizes.append(picture.size[::-1] if turned else picture.size)
                    seen.modes.add(picture.mode)
                    seen.clear = seen.clear or picture.has_transparency_data
                    if picture.mode in DEEP:
                        values = np.asarray(picture)
                        before = [] if seen.values is None else [seen.values]
                        least, largest = np.array([(values.min(), values.max()), *before], np.float64).T
                        seen.values = float(least.min()), float(largest.max())  # NaN stays NaN
        return seen

    def _taken(self, seen: Seen) -> int:
        """Return how many frames of a picture are images."""
        wanted = self.options.frames or ("all" if seen.pages else "first")
        return seen.frames if wanted == "all" else 1

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
        with opened(self.path / name) as picture:
            sought(picture, frame)
            yield picture

    def _decide(self, seen: list[Seen]) -> Preparation:
        """Return how these pictures are prepared; what the user might not expect goes into the remarks."""
        options = self.options
        grey = all(one.modes <= {*GREY} for one in seen) if options.grey is None else options.grey
        found = [size for one in seen for size in one.sizes]
        size, fit = options.size or common_size(found), options.fit or "crop"
        if others := [other for other in found if other != size]:
            kinds = sorted({*others}, key=lambda size: (size[0] * size[1], size))
            of = by(kinds[0]) if len(kinds) == 1 else f"{len(kinds):,} sizes, {by(kinds[0])} to {by(kinds[-1])}"
            count = "" if len(others) == len(found) else f": {len(others):,} of {len(found):,}"
            why = ", being few" if not options.size and small_being_few(size, found) else ""
            self.remarks.append(f"resized to {by(size)} pixels{count} from {of}{why} (size=WIDTHxHEIGHT)")
        if fit == "crop" and (cut := [lost for other in found if (lost := cut_away(other, size)) > LOST]):
            self.remarks.append(
                f"cropped: of {len(cut):,} of {len(found):,} pictures more than a tenth is cut away, up to "
                f"{100 * max(cut):.0f} % (fit=pad keeps them whole, fit=stretch too but out of shape)"
            )
        black, white, levels = self._levels(seen)
        return Preparation(size, grey, fit, self._ground(seen), black, white, levels, options.binarize)

    def _levels(self, seen: list[Seen]) -> tuple[float, float | None, tuple[float, float] | None]:
        """Return which values are black and white, of deep pictures, and of others where the options tell."""
        options, deep = self.options, [one for one in seen if one.values]
        black = options.black or 0.0
        if reduced := sum(one.reduced for one in seen):
            self.remarks.append(
                f"{reduced:,} pictures of 16 bits have colours or transparency: of these the upper 8 count"
            )
        if not deep:
            given = options.black is not None or options.white is not None
            if given and max(abs(black), abs(options.white or 0.0)) > 255:
                raise UserError(f"{self.path} holds pictures of 8 bits, or read as such: white and black are 0 to 255")
            return 0.0, None, (black, 255.0 if options.white is None else options.white) if given else None
        spans = np.array([one.values for one in deep])  # (files, 2)
        if not np.isfinite(spans).all():
            one = deep[int(np.flatnonzero(~np.isfinite(spans).all(axis=1))[0])]
            raise UserError(f"{self.path / one.name} has pixels that are no numbers, or infinite; mend it")
        lowest, highest = float(spans.min()), float(spans.max())
        white = level(highest) if options.white is None else options.white
        if lowest == highest:
            raise UserError(f"all values in the pictures of {self.path} are {lowest:g}: there is nothing to be seen")
        if white is None or not fits(lowest, highest, black, white):
            hint = options.again(self.path, black=min(lowest, 0.0), white=highest)
            raise UserError(
                f"the pictures of more than 8 bits in {self.path} have values from {lowest:g} to {highest:g}: which "
                f"are black and white? If it is these, {hint}"
            )
        of = f"{len(deep):,} pictures of more than 8 bits, of values from {lowest:g} to {highest:g}"
        dark = int((spans[:, 1] < white / 8).sum())
        but = f", but {dark:,} of them stay below an eighth of it" if dark else ""
        self.remarks.append(f"{of}: {black:g} is taken as black, {white:g} as white{but} (white=VALUE)")
        return black, white, None

    def _ground(self, seen: list[Seen]) -> str:
        """Return what lies behind transparent pixels."""
        clear = [(one.name, 0) for one in seen if one.clear]
        chosen = [clear[k * len(clear) // SOME] for k in range(SOME)] if len(clear) > SOME else clear
        sums = [light for light in self._each(self._light, chosen) if light]
        light, area = (sum(column) for column in zip(*sums, strict=True)) if sums else (0, 0)
        ground = self.options.ground or ground_for(light, area)
        if area:
            kind = "light" if ground_for(light, area) == "black" else "dark"
            lost = sum(part > 0 and abs(one / part - SEEN_ON[ground]) < FAINT for one, part in sums)
            but = f"; of {lost:,} of {len(sums):,} looked at nothing is left to be seen" if lost else ""
            choice = "white, black or grey"
            self.remarks.append(f"{kind} figures on transparent ground are put on {ground}{but} (ground={choice})")
        return ground

    def _list_images(self, seen: list[Seen]) -> None:
        """Enter names and frames of the images, their keys, and what their folders tell."""
        self.images: list[tuple[str, int]] = []
        self.keys: list[bytes] = []
        of: list[int] = []
        for k, one in enumerate(seen):
            for frame in range(self._taken(one)):
                self.images.append((one.name, frame))
                self.keys.append(hashlib.sha256(one.key + b"%d" % frame).digest() if len(seen) < SMALL else one.key)
                of.append(k)
        for pages, what in ((True, "pages"), (False, "moving")):
            if several := [one for one in seen if one.frames > 1 and one.pages == pages]:
                count = f"{len(several):,} files of {sum(one.frames for one in several):,} frames"
                each = all(self._taken(one) > 1 for one in several)
                taken = "each an image (frames=first)" if each else "the first of each is taken (frames=all)"
                self.remarks.append(f"{what}: {count}, {taken}")
        told = told_by_folders([one.name for one in seen], self.options.splits)
        labels, self.classes, remark = numbered(told.classes)
        self.given, self.labels = told.splits[of], labels[of]  # (n,)
        self.remarks += [*told.remarks, *([f"the folders are no classes: {remark}"] if remark else [])]


def sought(picture: Image.Image, frame: int) -> None:
    """Go to a frame of an open picture. Raises ValueError where that is too large."""
    if frame:
        picture.seek(frame)
        check_size(picture)


def _is_reduced(head: bytes, picture: Image.Image) -> bool:
    """Tell whether a picture, whose file begins so, has 16 bits where Pillow gives 8."""
    bits = getattr(picture, "tag_v2", {}).get(BITS, (head[24] if picture.format == "PNG" and len(head) > 24 else 8,))
    return max(bits) > 8 and picture.mode not in DEEP


def bar(what: str, total: int):
    """Return a progress bar, which shows nothing where it is not told `what` is being done."""
    return progress(total, what) if what else tqdm(disable=True)
