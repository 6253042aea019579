"""Everything in the cache, read through and compared with its checksums; nothing is deleted, or made again."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from ..errors import UserError, reason
from . import binarized_mnist, cifar10, mnist, prepared, svhn, svhn_cropped
from .official import VERIFIED, check

OFFICIAL = (*mnist.OFFICIAL.files, cifar10.OFFICIAL.archive)
OFFICIAL += tuple(file for of in (svhn, svhn_cropped) for file in (of.TRAIN, of.TEST, of.EXTRA))
FILES = {file.name: file for file in OFFICIAL}


def verify(cache: Path) -> Iterator[tuple[Path, str | None]]:
    """Yield the files in `cache`, sorted, each with what is wrong with it: "" for nothing, None: it has no checksum.

    What is hidden is under way. Raises UserError where the folder cannot be read.
    """
    try:
        paths = sorted(path for path in cache.rglob("*") if path.is_file()) if cache.exists() else []
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
        right = hashlib.sha256(path.read_bytes()).hexdigest() == binarized_mnist.OFFICIAL.sha256
        return "" if right else "its SHA-256 is another one"
    if file := FILES.get(path.name) or FILES.get(path.name.removesuffix(".gz")):
        check(path, file)
        return ""
    return None
