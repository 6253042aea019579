"""Official files: what one is, whether a file is one, and which were found right before.

Dead hosts answer with a web page, copies get cut short, and an archive can hold gigabytes of zeros: so every byte that
leaves this file has the length and the SHA-256 that its `File` names, and nothing longer is ever held in memory.
"""

import contextlib
import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError, one_line, reason
from ..files import write_atomic

CHUNK = 1 << 20  # bytes read at once
VERIFIED = "verified.json"  # in a data set's cache: the stamps of the files that were found right


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


def read(path: Path, file: File) -> bytes:
    """Return the content of `path`, gunzipped if it is gzipped, when it is exactly `file`; else raise UserError."""
    with _refusal(path, f"not the official {file.name}"):
        return b"".join(_chunks(path, file))


def is_official(path: Path, file: File, cache: Path) -> bool:
    """Tell whether `path` is `file`, or a file of another size, made by somebody else.

    A file is read through once; then the record in `cache` stands for that. Raises UserError for one of the official
    size and another content, which is a damaged copy, and for one that cannot be read.
    """
    with _refusal(path, f"a damaged {file.name}"):
        own = stamp(path)
        if own[1] != file.size:
            return False
        if not seen([own], cache):
            check(path, file)
            remember([own], cache)
    return True


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
            raise _WrongError(f"its gzip data are damaged ({one_line(error)})") from error
    if size != file.size:
        raise _WrongError(f"it holds {size} bytes, not {file.size}")
    if digest.hexdigest() != file.sha256:
        raise _WrongError(f"its SHA-256 is {digest.hexdigest()[:12]}..., not {file.sha256[:12]}...")


def stamp(path: Path) -> list:
    """Return [path, bytes, time of change], which stands for a file's content.

    So it does in the record of verified files, and in the key of an array made from a file (prepared.py, folder.py).
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
    with contextlib.suppress(OSError, ValueError):
        stamps = json.loads((cache / VERIFIED).read_text())
        if isinstance(stamps, list):
            return [one for one in stamps if isinstance(one, list) and len(one) == 3]
    return []


def keep(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all; where that fails, do without: a cache only saves time."""
    with contextlib.suppress(UserError):
        write_atomic(path, content)


@contextlib.contextmanager
def _refusal(path: Path, what: str) -> Iterator[None]:
    """Turn what goes wrong with the file at `path` into a UserError that says what it is."""
    try:
        yield
    except _WrongError as wrong:
        raise UserError(f"{path} is {what}: {wrong}; delete it or put the right one there") from wrong
    except OSError as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from error
