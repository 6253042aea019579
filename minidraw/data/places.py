"""Where official files may be: a folder of the user's, the cache, the network."""

import functools
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ..errors import STDERR, UserError, harmless
from .download import fetch
from .official import File, read


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
            what = " (what is there is no folder)" if os.path.exists(self.folder) else ""
            raise UserError(f"there is no data folder {self.folder}{what}; correct --data-dir or MINIDRAW_DATA")
        if not os.access(self.folder, os.R_OK | os.X_OK):
            raise UserError(f"cannot read the data folder {self.folder}; correct its mode, --data-dir or MINIDRAW_DATA")
        return _find(file, self.folder, self.folder / self.name)

    def local(self, file: File) -> bytes | None:
        """Return the verified content of `file` from the user's folder or the cache; None where neither has it.

        A wrong file in the user's folder raises UserError; one in the cache counts as absent if it can be renewed.
        """
        if path := self.find(file):
            return read(path, file)
        if path := _find(file, self.cache):
            try:
                return read(path, file, own=False)
            except UserError as error:
                if not self.download:
                    raise
                print(error, file=STDERR)
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


def _find(file: File, *folders: Path) -> Path | None:
    paths = (folder / name for folder in folders for name in (file.name, file.name + ".gz"))
    return next((path for path in paths if os.path.isfile(path)), None)


@functools.cache
def without_home() -> Path:
    """Return a cache among the temporary files, which this user alone may write to, and say so, once."""
    user = os.getuid() if hasattr(os, "getuid") else "of"
    path = Path(tempfile.gettempdir()) / f"minidraw-{user}"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        status = path.lstat()
        safe = os.name == "nt" or (status.st_uid == user and not status.st_mode & 0o022)
        own = safe and stat.S_ISDIR(status.st_mode)
    except OSError:
        own = False
    if not own:  # somebody else has made it
        path = Path(tempfile.mkdtemp(prefix="minidraw-"))
    print(f"there is no home folder, so the cache is {harmless(path)}; MINIDRAW_CACHE names another", file=STDERR)
    return path
