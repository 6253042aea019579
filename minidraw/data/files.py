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


@dataclass(frozen=True)
class Places:
    """Where the files of one data set may be: the user's folder, then the cache, then the network.

    `folder` is None where the user named none; `cache` is this data set's own folder inside the cache, made when it is
    first written to; `name`, the data set's, is also that of the sub-folder looked into.
    """

    name: str
    folder: Path | None
    cache: Path
    download: bool = True

    def find(self, file: File) -> Path | None:
        """Return the path of `file`, plain or gzipped, in the user's folder or its sub-folder, unread; else None.

        Raises UserError where the user's folder does not exist.
        """
        if self.folder is None:
            return None
        if not os.path.isdir(self.folder):
            raise UserError(f"there is no data folder {self.folder}; correct --data-dir or MINIDRAW_DATA")
        return _find(file, self.folder, self.folder / self.name)

    def local(self, file: File) -> bytes | None:
        """Return the verified content of `file` from the user's folder or the cache; None where neither has it.

        A wrong file in the user's folder raises UserError; one in the cache counts as absent if it can be renewed.
        """
        if path := self.find(file):
            return read(path, file)
        if path := _find(file, self.cache):
            try:
                return read(path, file)
            except UserError as error:
                if not self.download:
                    raise
                print(error, file=sys.stderr)
        return None

    def obtain(self, *choices: tuple[File, ...], keep: bool = True) -> dict[str, bytes]:
        """Return name -> verified content for all files of the first of the `choices` that can be had.

        A choice that is here already goes before one to download. With `keep`, downloads stay in the cache. Raises
        UserError, saying how to get the files by hand, when downloading is off or every host fails.
        """
        found = {}  # everything of the user's own is read, so that a wrong file is never passed over
        for file in (file for files in choices for file in files):
            if (content := self.local(file)) is not None:
                found[file.name] = content
        failures = []
        for download in (False, True):
            for files in choices:
                missing = [file for file in files if file.name not in found]
                if missing and not (download and self.download):
                    continue
                try:
                    for file in missing:
                        found[file.name] = fetch(file, self.cache if keep else None)
                except UserError as error:
                    failures.append(str(error))
                else:
                    return {file.name: found[file.name] for file in files}
        raise UserError(self.by_hand(choices, found, failures))

    def by_hand(self, choices: tuple[tuple[File, ...], ...], found: dict, failures: list[str]) -> str:
        """Return in words which files are missing, where they are to be had, and where to put them."""
        ways = []
        for files in choices:
            missing = [file for file in files if file.name not in found]
            hosts = dict.fromkeys(url.rpartition("/")[0] + "/" for file in missing for url in file.urls)
            names = (file.urls[0].rpartition("/")[2] for file in missing)
            ways.append(f"{', '.join(names)} from {' or '.join(hosts)}")
        why = f"could not be downloaded ({'; '.join(failures)})" if failures else "is not here and downloading is off"
        where = self.folder if self.folder is not None else self.cache
        return f"{self.name} {why}; get {', or '.join(ways)} and put that into {where}"


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
