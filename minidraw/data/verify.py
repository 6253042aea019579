"""Everything in the cache, read through and compared with its checksums; nothing is deleted, or made again."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from ..errors import UserError, reason
from ..files import read_regular
from . import binarized_mnist, cifar10, mnist, prepared, svhn, svhn_cropped
from .official import VERIFIED, check

OFFICIAL = (*mnist.OFFICIAL.files, cifar10.OFFICIAL.archive)
OFFICIAL += tuple(file for of in (svhn, svhn_cropped) for file in (of.TRAIN, of.TEST, of.EXTRA))
FILES = {file.name: file for file in OFFICIAL}


def verify(cache: Path) -> Iterator[tuple[Path, str | None]]:
    """Yield the files in `cache`, sorted, each with what is wrong with it: "" for nothing, None: it has no checksum.

    What is hidden is under way. Raises UserError where the folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise error

    try:
        found = os.walk(cache, onerror=refuse) if cache.exists() else ()
        paths = sorted(path for where, _, names in found for path in map(Path(where).joinpath, names) if path.is_file())
    except OSError as error:
        raise UserError(f"cannot read {cache}: {reason(error)}; MINIDRAW_CACHE names the folder") from error
    for path in paths:
        if not path.name.startswith(".") and path.name != VERIFIED:
            try:
                yield path, _fault(path)
            except (OSError, ValueError) as error:
                yield path, reason(error)


def _fault(path: Path) -> str | None:
    """Return what is wrong with a file, "" for nothing, None: it has no checksum; or raise what tells that."""
    if path.suffix == ".npy":
        return prepared.fault(path)
    if path.name == binarized_mnist.BITS:
        digest = hashlib.sha256(read_regular(path, 1 << 24, linked=True)).hexdigest()
        return "" if digest == binarized_mnist.OFFICIAL.sha256 else "its SHA-256 is another one"
    if file := FILES.get(path.name) or FILES.get(path.name.removesuffix(".gz")):
        check(path, file)
        return ""
    return None
