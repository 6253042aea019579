"""Gzipped tar archives, read as a stream: nothing is written to any place that an archive asks for."""

import gzip
import io
import math
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from ..errors import UserError, one_line, reason
from .official import CHUNK

SMALL = 64 << 20  # bytes of a member that are held in memory; a larger one is in a nameless temporary file
DENSEST = 20  # times as many bytes as the archive has may such a larger one have
DENSEST_OF_ALL = 1032  # times as many bytes as a gzip file are what it can hold
HEADERS = 1 << 20  # bytes of headers that a member may have: its name, and what else tarfile holds in memory


def members(path: Path, most: Callable[[str], int]) -> Iterator[tuple[str, BinaryIO]]:
    """Yield name and content of the members of the archive `path`, in its order: an open file, until the next one.

    `most(name)` is the number of bytes that a member may have; those for which it is 0 are passed over. Raises
    UserError, naming archive and member, for a larger one, a name that points out of the archive, whatever is neither
    file nor folder, and a damaged or cut archive.
    """
    try:
        room = SMALL + DENSEST * path.stat().st_size
        with gzip.open(path) as unzipped:
            stream = _Bounded(unzipped)
            with tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK) as archive:
                while member := _next(archive, stream):
                    archive.members.clear()  # type: ignore[attr-defined]  # tarfile would keep them all: 200 MB for SVHN's largest
                    _check(path, member)
                    allowed = min(most(member.name), room) if member.isfile() else 0
                    if member.size > allowed > 0:
                        raise UserError(f"{path} holds {member.name!r} of {member.size} bytes, more than {allowed}")
                    if member.size > DENSEST_OF_ALL * path.stat().st_size:  # tarfile would look for its end for ever
                        raise UserError(f"{path} holds {member.name!r} of {member.size} bytes, more than it can")
                    if allowed:
                        with io.BytesIO() if member.size <= SMALL else tempfile.TemporaryFile() as content:
                            shutil.copyfileobj(archive.extractfile(member), content, CHUNK)
                            content.seek(0)
                            yield member.name, content
            while unzipped.read(CHUNK):  # to the end, where gzip's own checksum is
                pass
    except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError, RecursionError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} is damaged or no tar.gz archive ({one_line(error)}); get it again") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from error


class _Bounded(io.RawIOBase):
    """A stream of which tarfile may read up to the byte `end`."""

    def __init__(self, stream: gzip.GzipFile):
        self.stream, self.at, self.end = stream, 0, float(CHUNK + HEADERS)

    def read(self, size: int = -1) -> bytes:
        content = self.stream.read(size)
        self.at += len(content)
        if self.at > self.end:
            raise tarfile.ReadError(f"a member has more than {HEADERS} bytes of headers")
        return content


def _next(archive: tarfile.TarFile, stream: _Bounded) -> tarfile.TarInfo | None:
    """Return the next member; before it there may be but so many headers, which tarfile holds in memory."""
    stream.end = archive.offset + HEADERS + CHUNK  # which may be read ahead
    member = archive.next()
    stream.end = math.inf
    return member


def _check(path: Path, member: tarfile.TarInfo) -> None:
    name = PurePosixPath(member.name.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts:
        raise UserError(f"{path} holds {member.name!r}, a name outside of it: this is not the official archive")
    if not (member.isfile() or member.isdir()) or member.issparse():
        raise UserError(f"{path} holds {member.name!r}, neither file nor folder: this is not the official archive")
