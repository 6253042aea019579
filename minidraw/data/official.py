"""Official files: what one is, whether a file is one, and which were found right before.

Dead hosts answer with a web page, copies get cut short, and an archive can hold gigabytes of zeros: so every byte that
leaves this file has the length and the SHA-256 that its `File` names, and nothing longer is ever held in memory.
"""

import contextlib
import gzip
import hashlib
import json
import shlex
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError, one_line, reason
from ..files import read_regular, write_atomic

CHUNK = 1 << 20  # bytes read at once
VERIFIED = "verified.json"  # in a data set's cache: the stamps of the files that were found right
MOST_SEEN = 1 << 20  # bytes of it


@dataclass(frozen=True)
class File:
    """An official file: its name without `.gz`, its bytes and SHA-256 uncompressed, and its addresses in order.

    An archive, whose own name ends in `.gz`, is taken as it is, and so are its bytes and SHA-256.
    """

    name: str
    size: int
    sha256: str
    urls: tuple[str, ...]


class _WrongError(ValueError):
    """The content is not the official one; the message is the reason alone."""


class _DamagedError(_WrongError):
    """The content is nothing whole, whatever it was."""


def read(path: Path, file: File, own: bool = True) -> bytes:
    """Return the content of `path`, gunzipped if it is gzipped, when it is exactly `file`; else raise UserError.

    The message depends on whether the file is the user's `own` or lies in the cache, where it may be deleted.
    """
    with _refusal(path, file, own):
        return contents(path, file)


def is_official(path: Path, file: File, cache: Path, own: bool = True) -> bool:
    """Tell whether `path` is `file`, or a file of another size, made by somebody else.

    A file is read through once; then the record in `cache` stands for that. Raises UserError, as `read` does, for one
    of the official size and another content, most likely a damaged copy, and for one that cannot be read.
    """
    with _refusal(path, file, own):
        found = stamp(path)
        if found[1] != file.size:
            return False
        if not seen([found], cache):
            check(path, file)
            remember([found], cache)
    return True


def contents(path: Path, file: File) -> bytes:
    """Return what `path` holds, gunzipped if it is gzipped; raises as `check` does."""
    return b"".join(_chunks(path, file))


def check(path: Path, file: File) -> None:
    """Read `path` through. Raises ValueError where it is not exactly `file`, OSError where it is unreadable."""
    for _ in _chunks(path, file):
        pass


def _chunks(path: Path, file: File) -> Iterator[bytes]:
    """Yield the content of `path`, gunzipped if it is gzipped; raise as `check` does, in the end at the latest."""
    size, digest = 0, hashlib.sha256()
    with open(path, "rb") as raw:
        # Not by the name of `path`: some hosts gunzip on the way.
        gzipped = raw.read(2) == b"\x1f\x8b" and not file.name.endswith(".gz")
        raw.seek(0)
        try:
            with gzip.open(raw) if gzipped else contextlib.nullcontext(raw) as stream:
                while chunk := stream.read(CHUNK):
                    size += len(chunk)
                    if size > file.size:
                        raise _WrongError(f"it holds more than {file.size} bytes")
                    digest.update(chunk)
                    yield chunk
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise _DamagedError(f"its gzip data are damaged ({one_line(error)})") from error
    if size != file.size:
        raise _WrongError(f"it holds {size} bytes, not {file.size}")
    if digest.hexdigest() != file.sha256:
        raise _WrongError(f"its SHA-256 is {digest.hexdigest()[:12]}..., not {file.sha256[:12]}...")


def stamp(path: Path) -> list:
    """Return [path, bytes, time of change], which stands for a file's content.

    So it does in the record of verified files, and in the key of an array made from a file (prepared.py, folder/).
    """
    status = path.stat()
    return [str(path.resolve()), status.st_size, status.st_mtime_ns]


def seen(stamps: list[list], cache: Path) -> bool:
    """Tell whether the files with these `stamps` were all found right before, by the record in `cache`."""
    known = _verified(cache)
    return all(one in known for one in stamps)


def remember(stamps: list[list], cache: Path) -> None:
    """Enter the `stamps` of files that were found right in the record in `cache`, for those of the same paths."""
    paths = [path for path, *_ in stamps]
    known = [one for one in _verified(cache) if one[0] not in paths]
    keep(cache / VERIFIED, json.dumps([*known, *stamps]).encode())


def _verified(cache: Path) -> list[list]:
    with contextlib.suppress(OSError, ValueError, RecursionError):
        stamps = json.loads(read_regular(cache / VERIFIED, MOST_SEEN, linked=True))
        if isinstance(stamps, list):
            return [one for one in stamps if isinstance(one, list) and len(one) == 3]
    return []


def keep(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all; where that fails, do without: a cache only saves time."""
    with contextlib.suppress(UserError):
        write_atomic(path, content)


def not_official(path: Path, file: File, why: object) -> UserError:
    """Return the error for a file of the user's own that is not `file`: a damaged copy, or other data of that name.

    It never asks for deleting a file that may be somebody's work.
    """
    what = f"{path} is not the official {file.name}: {why}"
    if isinstance(why, _DamagedError):
        return UserError(f"{what}; get it again, or name another --data-dir")
    images = _for_folder(path)
    other = "" if images is None else f", or train on it as it is: --data {shlex.quote(f'folder:{images}')}"
    advice = "if it is a damaged copy, get it again; if it is something else, name another --data-dir"
    return UserError(f"{what}; {advice}{other}")


def _for_folder(path: Path) -> Path | None:
    """Return `path` if `--data folder:PATH` seems to read it, for labels in idx form the images beside; else None."""
    with contextlib.suppress(OSError, EOFError, zlib.error), open(path, "rb") as raw:
        gzipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        with gzip.open(raw) if gzipped else contextlib.nullcontext(raw) as stream:
            head = stream.read(4)
        table = path.name.lower().removesuffix(".gz").endswith(".csv")
        array = (path.suffix.lower(), head) in ((".npy", b"\x93NUM"), (".npz", b"PK\3\4"))
        rank = head[3] if len(head) == 4 and head[:2] == b"\0\0" else 0  # of an idx file
        if rank == 1:
            images = path.with_name(path.name.replace("labels-idx1", "images-idx3"))
            return images if images != path and images.is_file() else None
        return path if table or array or rank in (3, 4) else None
    return None


@contextlib.contextmanager
def _refusal(path: Path, file: File, own: bool) -> Iterator[None]:
    """Turn what goes wrong with the file at `path`, which should be `file`, into a UserError that says what to do."""
    try:
        yield
    except _WrongError as wrong:
        if own:
            raise not_official(path, file, wrong) from wrong
        raise UserError(f"{path}, in the cache, is a damaged {file.name}: {wrong}; delete it") from wrong
    except OSError as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from error
