"""Gzipped tar archives, read as a stream: nothing is written to any place that an archive asks for."""

import gzip
import io
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


def members(path: Path, most: Callable[[str], int]) -> Iterator[tuple[str, BinaryIO]]:
    """Yield name and content of the members of the archive `path`, in its order: an open file, until the next one.

    `most(name)` is the number of bytes that a member may have; those for which it is 0 are passed over. Raises
    UserError, naming archive and member, for a larger one, a name that points out of the archive, whatever is neither
    file nor folder, and a damaged or cut archive.
    """
    try:
        with gzip.open(path) as stream:
            with tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK) as archive:
                while member := archive.next():
                    archive.members.clear()  # type: ignore[attr-defined]  # tarfile would keep them all: 200 MB for SVHN's largest
                    _check(path, member)
                    allowed = most(member.name) if member.isfile() else 0
                    if member.size > allowed > 0:
                        raise UserError(f"{path} holds {member.name!r} of {member.size} bytes, more than {allowed}")
                    if allowed:
                        with io.BytesIO() if member.size <= SMALL else tempfile.TemporaryFile() as content:
                            shutil.copyfileobj(archive.extractfile(member), content, CHUNK)
                            content.seek(0)
                            yield member.name, content
            while stream.read(CHUNK):  # to the end, where gzip's own checksum is
                pass
    except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError) as error:
        raise UserError(f"{path} is damaged or no tar.gz archive ({one_line(error)}); get it again") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from error


def _check(path: Path, member: tarfile.TarInfo) -> None:
    name = PurePosixPath(member.name.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts:
        raise UserError(f"{path} holds {member.name!r}, a name outside of it: this is not the official archive")
    if not (member.isfile() or member.isdir()):
        raise UserError(f"{path} holds {member.name!r}, neither file nor folder: this is not the official archive")
