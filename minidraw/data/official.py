"""Official files: found in a folder, in the cache or on the network, and verified before anything reads them.

Dead hosts answer with a web page, copies get cut short, and an archive can hold gigabytes of zeros: so every byte that
leaves this file has the length and the SHA-256 that its `File` names, and nothing longer is ever held in memory.
"""

import contextlib
import gzip
import hashlib
import os
import sys
import tempfile
import urllib.parse
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError, one_line
from ..files import write_atomic

CHUNK = 1 << 20  # bytes read at once
TIMEOUT = (10.0, 30.0)  # seconds to connect, seconds without a byte
WRAPPING = 1 << 20  # bytes by which a gzipped file may be longer than what it holds


@dataclass(frozen=True)
class File:
    """An official file: its name without `.gz`, its bytes and SHA-256 uncompressed, and its addresses in order.

    An archive, whose own name ends in `.gz`, is taken as it is, and so are its bytes and SHA-256.
    """

    name: str
    size: int
    sha256: str
    urls: tuple[str, ...]


def read(path: Path, file: File) -> bytes:
    """Return the content of `path`, gunzipped if it is gzipped, when it is exactly `file`; else raise UserError."""
    try:
        return _verified(path, file)
    except _WrongError as wrong:
        raise UserError(
            f"{path} is not the official {file.name}: {wrong}; delete it or put the right one there"
        ) from wrong
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or one_line(error)}") from error


def fetch(file: File, folder: Path | None) -> bytes:
    """Download `file` from the first of its addresses that has it, and return its verified content.

    The download stays in `folder`, as it came; where that is None or cannot be written to, it is not kept. Progress
    goes to stderr. Raises UserError, with each host's reason, when no address gives the right file.
    """
    reasons = []
    for url in file.urls:
        address = urllib.parse.urlsplit(url)
        name = file.name + (".gz" if address.path.endswith(file.name + ".gz") else "")
        with _scratch(folder) as scratch:  # removed whatever happens, so nothing half-written stays
            try:
                _download(url, scratch / name, limit=file.size + WRAPPING)
                content = _verified(scratch / name, file)
            except (OSError, ValueError) as error:  # those of requests are OSErrors
                reasons.append(f"{address.netloc}: {why(error)}")
                continue
            if folder is not None:
                with contextlib.suppress(OSError):
                    os.replace(scratch / name, folder / name)
            return content
    raise UserError(f"{file.name} from {', '.join(reasons)}")


def keep(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all; where that fails, do without: a cache only saves time."""
    with contextlib.suppress(UserError):
        write_atomic(path, content)


class _WrongError(ValueError):
    """The content is not the official one; the message is the reason alone."""


class _Limited:
    """An output for a downloader that refuses to grow past `limit` bytes: a host may send anything."""

    def __init__(self, out, limit: int):
        self.out, self.left, self.flush = out, limit, out.flush

    def write(self, chunk: bytes) -> None:
        self.left -= len(chunk)
        if self.left < 0:
            raise _WrongError("it sends more than the whole file")
        self.out.write(chunk)


def _find(file: File, *folders: Path) -> Path | None:
    paths = (folder / name for folder in folders for name in (file.name, file.name + ".gz"))
    return next((path for path in paths if os.path.isfile(path)), None)


def _verified(path: Path, file: File) -> bytes:
    """Return the content of `path` when it is exactly `file`; raise _WrongError if not, OSError if it is unreadable."""
    content = bytearray()
    with open(path, "rb") as raw:
        # Not by the name of `path`: some hosts gunzip on the way.
        gzipped = raw.read(2) == b"\x1f\x8b" and not file.name.endswith(".gz")
        raw.seek(0)
        try:
            with gzip.open(raw) if gzipped else contextlib.nullcontext(raw) as stream:
                while chunk := stream.read(CHUNK):
                    content += chunk
                    if len(content) > file.size:
                        raise _WrongError(f"it holds more than {file.size} bytes")
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise _WrongError(f"its gzip data are damaged ({one_line(error)})") from error
    if len(content) != file.size:
        raise _WrongError(f"it holds {len(content)} bytes, not {file.size}")
    digest = hashlib.sha256(content).hexdigest()
    if digest != file.sha256:
        raise _WrongError(f"its SHA-256 is {digest[:12]}..., not {file.sha256[:12]}...")
    return bytes(content)


@contextlib.contextmanager
def _scratch(folder: Path | None) -> Iterator[Path]:
    """A temporary folder inside `folder`, where os.replace into it is atomic; elsewhere if that cannot be written."""
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(dir=folder, prefix=".part-")
    except OSError:
        scratch = tempfile.TemporaryDirectory(prefix="minidraw-")
    with scratch as path:
        yield Path(path)


def _download(url: str, path: Path, limit: int) -> None:
    import pooch  # here, since importing it takes longer than a start from the cache
    import tqdm

    print(f"downloading {url}", file=sys.stderr)
    # A bar on a terminal only, a log would fill with them; pooch puts the true total in.
    with tqdm.tqdm(total=limit, unit="B", unit_scale=True, leave=False, disable=None, file=sys.stderr) as bar:
        get = pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 16, timeout=TIMEOUT)
        with open(path, "wb") as out:
            get(url, _Limited(out, limit), None)


def why(error: Exception) -> str:
    """Say shortly why a download failed; requests' own words are a paragraph each."""
    if (response := getattr(error, "response", None)) is not None:
        return f"HTTP {response.status_code}"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return one_line(error)
