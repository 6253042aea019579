"""Data sets prepared once: pictures of any kind become one array of bytes in the cache, memory-mapped ever after.

A prepared file is a .npy file that any NumPy opens, with a line of JSON behind it that says what it was made from: in
one file, so that the two can never belong to different preparations. There also is the array's SHA-256: a small array
is verified at every start, a larger one when its file is new or has changed, all of them by `data --verify`.
"""

import contextlib
import hashlib
import json
import math
import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..errors import STDERR, UserError, harmless, one_line, reason
from ..files import is_private, open_regular, remove_left, whole
from .download import download, unfinished
from .locks import alone
from .official import CHUNK, File, is_official, not_official, remember, seen, stamp
from .places import Places

MOST_TOLD = 16 << 20  # bytes of what is said behind an array
ABOUT, DIGEST = "about", "array sha256"  # keys, beside those of a source
SMALL = 64 << 20  # bytes of an array that is verified at every start, in less than a tenth of a second
# What is made of a file: the number of rows, and then blocks of them, (first row, uint8 (k, *row)), in any order.
Maker = Callable[[Path], tuple[int, Iterator[tuple[int, np.ndarray]]]]


@dataclass(frozen=True)
class Prepared:
    """A file's array, uint8 (n, *row), memory-mapped, and whether that file is the official one."""

    array: np.ndarray
    official: bool


def prepare(
    places: Places,
    files: tuple[File, ...],
    row: tuple[int, ...],
    make: Maker,
    version: int,
    strict: bool = False,
    ready: Callable[[], None] = lambda: None,
) -> list[Prepared]:
    """Return what `make` makes of each of the `files`, from the cache where it is there already.

    A file in the user's folder goes first, also one of another size than the official one, unless `strict`; then what
    was prepared from the official one; then that is downloaded, and removed again once it is prepared. `version` is to
    rise whenever `make` changes. `ready` may refuse before there is anything to download or to read. Raises UserError.
    """
    found = []
    for file in files:
        path = places.find(file)
        official = path is None or is_official(path, file, places.cache)
        if strict and not official:
            raise not_official(path, file, f"it holds {path.stat().st_size} bytes, not {file.size}")
        source: dict = {"official": file.name, "sha256": file.sha256} if official else {"stamp": stamp(path)}
        ending = "" if official else "-" + hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
        target = places.cache / f"{file.name.partition('.')[0]}{ending}.npy"
        found.append((path, official, target, {"version": version} | source))
    arrays = [read(target, source, row) for _, _, target, source in found]
    missing = tuple(
        file
        for file, array, (path, *_) in zip(files, arrays, found, strict=True)
        if array is None and path is None and not (places.cache / file.name).is_file()
    )
    if missing and not places.download:
        raise UserError(places.by_hand((missing,), {}, []))
    for k, (file, (path, official, target, source)) in enumerate(zip(files, found, strict=True)):
        if arrays[k] is None:
            ready()
            with alone(target) as turn:
                if turn.waited and (array := read(target, source, row)) is not None:  # the other one made it
                    arrays[k] = array
                    continue
                archive = path or _obtain(places, file, turn.held)
                write(target, source, row, *make(archive), private=not official and is_private([archive]))
                if (array := read(target, source, row)) is None:
                    raise UserError(f"{target} changed while it was written; try again")
                arrays[k] = array
                if path is None:
                    archive.unlink(missing_ok=True)
    return [Prepared(array, official) for array, (_, official, *_) in zip(arrays, found, strict=True)]


def read(path: Path, source: dict, row: tuple[int, ...] | None = None) -> np.ndarray | None:
    """Return the array (n, *row) in `path`, memory-mapped; None unless it is whole and was made from `source`.

    Without `row`, the rows may have any shape.
    """
    found = read_with(path, source, row)
    return found and found[0]


def read_with(path: Path, source: dict, row: tuple[int, ...] | None = None) -> tuple[np.ndarray, dict] | None:
    """Return the array as `read` does, and what was written `about` it."""
    if (found := _parsed(path)) is None:
        return None
    array, told = found
    about, digest = told.pop(ABOUT, {}), told.pop(DIGEST, None)
    if array.shape[1:] != (row or array.shape[1:]) or told != source:
        return None
    known = array.nbytes > SMALL and seen([stamp(path)], path.parent)
    if digest and not known:  # else an older version wrote it
        if hashlib.sha256(array).hexdigest() != digest:
            print(f"{harmless(path)}, in the cache, is damaged; it is made again", file=STDERR)
            return None
        _enter(path, array.nbytes)
    return array, about


def fault(path: Path) -> str | None:
    """Return what is wrong with a prepared file, whatever it was made from, "" if nothing is; all of it is read.

    None: an older version made it, which wrote no checksum.
    """
    if (found := _parsed(path)) is None:
        return "it is no whole array"
    array, told = found
    if DIGEST not in told:
        return None
    return "" if hashlib.sha256(array).hexdigest() == told[DIGEST] else "its array is not the one that was written"


def _parsed(path: Path) -> tuple[np.ndarray, dict] | None:
    """Return the array in `path`, memory-mapped, and all that is said behind it; None where that is nothing whole."""
    # Exception: a damaged header makes NumPy raise nearly anything, and warn.
    with contextlib.suppress(Exception), warnings.catch_warnings(), open_regular(path, linked=True) as file:
        warnings.simplefilter("error")
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        offset = file.tell()
        if dtype == np.uint8 and min(shape, default=0) > 0:
            file.seek(offset + math.prod(shape))
            told = json.loads(file.read(MOST_TOLD))
            if isinstance(told, dict):
                return np.asarray(np.memmap(path, np.uint8, "r", offset, shape)), told
    return None


def _enter(path: Path, size: int) -> None:
    """Let the record in the cache stand for the content of `path`, of which an array of `size` bytes was right."""
    if size > SMALL:
        remember([stamp(path)], path.parent)


def write(
    path: Path,
    source: dict,
    row: tuple[int, ...],
    n: int,
    blocks: Iterator[tuple[int, np.ndarray]],
    about: dict | None = None,
    private: bool = False,
) -> None:
    """Write the blocks of an array (n, *row) made from `source` to `path`, as they come: in the end all, or nothing.

    What is to be known `about` the array besides is kept with it; a `private` one is for its owner alone. Raises
    UserError where it cannot be written, and whatever comes from `blocks`.
    """
    size, rows = math.prod(row), 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_left(path.parent.glob(".*.npy.*.tmp"))
        if (free := shutil.disk_usage(path.parent).free) < n * size:
            raise UserError(
                f"{path.parent} has room for {free / 1e9:.1f} GB, not for the {n * size / 1e9:.1f} GB of {path.name}; "
                "make room, or let MINIDRAW_CACHE name another folder"
            )
        # Written, not memory-mapped: on a full disk that is an error, and not the end of the process.
        with whole(path, private) as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": (n, *row)}
            np.lib.format.write_array_header_1_0(file, header)
            offset = file.tell()
            for first, block in blocks:
                if block.dtype != np.uint8 or block.shape[1:] != row or first + len(block) > n:
                    raise ValueError(f"a block {block.dtype} {block.shape} at row {first} of {(n, *row)}")
                file.seek(offset + first * size)
                file.write(np.ascontiguousarray(block))
                rows += len(block)
            if rows != n:
                raise ValueError(f"{rows} of {n} rows were made")
            told = {DIGEST: _sha256(file, offset, n * size)} | ({ABOUT: about} if about else {})
            file.seek(offset + n * size)
            file.write(json.dumps(source | told).encode() + b"\n")
    except OSError as error:
        raise UserError(f"cannot write {path}: {reason(error)}; let MINIDRAW_CACHE name a folder with room") from error


def _sha256(file: BinaryIO, start: int, size: int) -> str:
    """Return the SHA-256 of so many bytes of an open file: its blocks may have come in any order."""
    digest = hashlib.sha256()
    file.seek(start)
    while size:
        chunk = file.read(min(size, CHUNK))
        digest.update(chunk)
        size -= len(chunk) or size
    return digest.hexdigest()


def progress(total: int, what: str):
    """Return a progress bar over `total` steps; on a terminal only, elsewhere one line says what is being done."""
    import tqdm

    what = one_line(what)
    bar = tqdm.tqdm(total=total, desc=what, leave=False, disable=None, file=STDERR)
    if bar.disable:
        print(f"{what}, once", file=STDERR)
    return bar


def _obtain(places: Places, file: File, held: bool) -> Path:
    """Return the path of `file` in the cache, downloaded if it is not there, or not rightly.

    Whether the caller has `held` others off by a lock, see `download`.
    """
    path = places.cache / file.name
    if path.is_file():
        try:
            if is_official(path, file, places.cache, own=False):
                return path
            problem = f"{harmless(path)}, in the cache, is not the official {file.name}; delete it"
        except UserError as error:
            problem = str(error)
        if not places.download:
            raise UserError(problem)
        print(problem, file=STDERR)
    try:
        return download(file, places.cache, held)
    except UserError as error:
        again = "; the same command goes on" * unfinished(path).exists()
        raise UserError(places.by_hand(((file,),), {}, [f"{error}{again}"])) from error
