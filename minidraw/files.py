"""Files that appear whole or not at all, and what is no file."""

import contextlib
import errno
import glob
import io
import os
import re
import secrets
import stat
import sys
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np

from .errors import UserError, reason

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

ABANDONED = 600  # seconds after which an unfinished file counts as left behind, where there are no locks to tell
FAR = 1 << 30  # a byte beyond the end of what is locked


def write_atomic(path: str | os.PathLike, content) -> None:
    """Put `content`, bytes or a buffer of them, at `path` in one step: a reader, or a crash, never meets a half.

    Missing folders are made, a file's mode is kept, a link is replaced by the file. Raises UserError where it cannot be
    written; what was there before is then still there.
    """
    try:
        with whole(path) as file:
            file.write(content)
    except OSError as problem:
        raise UserError(
            f"cannot write {path}: {reason(problem)}; choose another file or folder, or make room"
        ) from None


def npz(arrays: Mapping[str, np.ndarray]) -> memoryview:
    """Return the bytes of an .npz file as np.savez makes it, without a time: a zip file knows none before 1980."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
    return content.getbuffer()


@contextlib.contextmanager
def whole(path: str | os.PathLike, private: bool = False) -> Iterator[BinaryIO]:
    """Give a file to write to, which is put at `path` when the block is left without an exception, else removed.

    Until then it has a name that nobody can foresee, in the same folder: os.replace stays on one disk. A `private` one
    is for its owner alone. Raises OSError, also from within the block.
    """
    path = Path(path)
    if is_address(path):
        raise OSError(errno.EINVAL, "it is an address, not a path of this machine")
    path.parent.mkdir(parents=True, exist_ok=True)
    there = os.lstat(path).st_mode if os.path.lexists(path) else 0
    kept = 0o600 if private else there & 0o777 if stat.S_ISREG(there) else None
    mode = 0o666 if kept is None else kept
    while True:
        unfinished = path.parent / f"{_beginning(path)}{secrets.token_hex(8)}.tmp"
        file = open(unfinished, "x+b", opener=lambda name, flags: os.open(name, flags, mode))
        if lock(file) is not False and is_there(file, unfinished):  # from now on remove_left leaves it alone
            break
        file.close()  # remove_left was quicker
    try:
        if kept is not None:
            os.chmod(unfinished, kept)  # whatever the umask
        yield file
        file.flush()
        os.fsync(file.fileno())
        if sys.platform == "win32":
            file.close()  # what is open has a fixed name there
        os.replace(unfinished, path)
    finally:
        with contextlib.suppress(OSError):  # what could not be written is tried again by it
            file.close()
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # Windows opens no folders
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the new name outlives a power cut
        finally:
            os.close(folder)


def _beginning(path: Path) -> str:
    """Return how the names of unfinished files for `path` begin: no part of a name is longer than 255 bytes."""
    return f".{path.name[:55]}."


def lock(file: IO) -> bool | None:
    """Lock an open file until it is closed or its process ends, however; tell whether nobody else has locked it.

    None: on its file system there are no locks.
    """
    try:
        if sys.platform == "win32":
            os.lseek(file.fileno(), FAR, os.SEEK_SET)  # there nobody can read what is locked
            try:
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            finally:
                os.lseek(file.fileno(), 0, os.SEEK_SET)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        return False if problem.errno in (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK) else None
    return True


def open_own(path: Path) -> IO[bytes]:
    """Open a file to read and write, made where there is none; raise OSError for a link and what is no file."""
    return open(path, "rb+", opener=lambda name, flags: own(name, flags | os.O_CREAT))


def own(name: str, flags: int) -> int:
    """Open a file for `open`, as its `opener`; raise OSError for a link and what is no file, which may never answer."""
    number = os.open(name, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), 0o666)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, "it is no file")
    return number


def is_there(file: IO, path: Path) -> bool:
    """Tell whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.lstat(path))
    except OSError:  # there is none; asked once, since it may go at any time
        return False


def let_go(file: IO, path: Path) -> None:
    """Remove the file of a lock: before it is let go, or else two could hold files of that name.

    One of that name which is another's by now, since the folder has been moved, stays.
    """
    if mine := is_there(file, path):
        with contextlib.suppress(OSError):  # Windows removes no open file, so, below, none of another one
            path.unlink()
    file.close()
    if mine and os.name == "nt":
        with contextlib.suppress(OSError):
            path.unlink()


def is_address(path: Path) -> bool:
    """Tell whether a path was meant as an address, such as s3://bucket/name."""
    return bool(re.match("[A-Za-z][A-Za-z0-9+.-]+:/", path.as_posix()))


def is_private(paths: Iterable[Path]) -> bool:
    """Tell whether there is one of the files `paths` that not everybody may read, by its mode and its folders'."""
    folders: set[Path] = set()
    for path in map(Path, map(os.path.realpath, paths)):
        folders.update(path.parents)
        if not path.stat().st_mode & stat.S_IROTH:
            return True
    return not all(folder.stat().st_mode & stat.S_IXOTH for folder in folders)


def open_regular(path: str | os.PathLike, linked: bool = False) -> BinaryIO:
    """Open a file to read its bytes. Raises OSError for what is none, as a pipe is, and, unless `linked`, for a link.

    What lies in a folder from elsewhere is not to be linked: it would name any file of whoever reads it.
    """

    def opened(name: str, flags: int) -> int:
        if not linked and os.path.islink(name):  # also where there is no O_NOFOLLOW, which knows no race
            raise OSError(errno.ELOOP, "it is a link; put the file itself there", name)
        flags |= getattr(os, "O_NONBLOCK", 0) | (0 if linked else getattr(os, "O_NOFOLLOW", 0))
        number = os.open(name, flags)
        if stat.S_ISREG(kind := os.fstat(number).st_mode):
            return number
        os.close(number)
        if stat.S_ISDIR(kind):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
        raise OSError(errno.EINVAL, "it is no file; save what comes out of it as one first", name)

    return open(path, "rb", opener=opened)


def read_regular(path: str | os.PathLike, most: int, linked: bool = False) -> bytes:
    """Return the content of a file as `open_regular` opens it. Raises OSError, also for more than `most` bytes."""
    with open_regular(path, linked) as file:
        if (size := os.fstat(file.fileno()).st_size) > most:
            raise OSError(errno.EFBIG, f"it has {size:,} bytes, more than {most:,}", os.fspath(path))
        return file.read(size)


def remove_unfinished(paths: Iterable[Path]) -> None:
    """Remove what a process that was killed inside `write_atomic` left beside any of `paths`; others still write."""
    for path in paths:
        remove_left(path.parent.glob(f"{glob.escape(_beginning(path))}*.tmp"))


def remove_left(files: Iterable[Path]) -> None:
    """Remove those unfinished `files` of `whole` that nobody writes any more."""
    for path in files:
        with contextlib.suppress(OSError):
            with open_own(path) as file:
                alone = lock(file)
                if time.time() - path.stat().st_mtime > ABANDONED if alone is None else alone:
                    let_go(file, path)  # in this order: `whole` looks whether it is there once it has the lock
