"""Archives too large for memory: verified as a stream, downloaded with a way to go on after an interruption."""

import contextlib
import hashlib
import json
import os
import sys
import urllib.parse
from pathlib import Path

from ..errors import UserError, one_line
from .official import CHUNK, TIMEOUT, File, keep, why

STAMPS = "verified.json"  # in the cache: path, bytes and time of change of the files that were found right


def is_official(path: Path, file: File, cache: Path) -> bool:
    """Tell whether `path` is `file`, or a file of another size, made by somebody else.

    A file is read through once; then `cache` remembers its path, size and time of change. Raises UserError for one of
    the official size and another content, which is a damaged copy, and for one that cannot be read.
    """
    try:
        if path.stat().st_size != file.size:
            return False
        stamps = _stamps(cache)
        if stamp(path) in stamps:
            return True
        digest = _sha256(path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or one_line(error)}") from error
    if digest != file.sha256:
        raise UserError(
            f"{path} is a damaged {file.name}: its SHA-256 is {digest[:12]}..., not {file.sha256[:12]}...; "
            "delete it or put the right one there"
        )
    known = [other for other in stamps if other[0] != str(path.resolve())]
    keep(cache / STAMPS, json.dumps([*known, stamp(path)]).encode())
    return True


def stamp(path: Path) -> list:
    """Return [path, bytes, time of change], which stands for a file's content."""
    status = path.stat()
    return [str(path.resolve()), status.st_size, status.st_mtime_ns]


def download(file: File, folder: Path) -> Path:
    """Download `file` into `folder` and return its path; what an interruption leaves is gone on with the next time.

    Progress goes to stderr. Raises UserError, with each host's reason, when no address gives the right file.
    """
    part, reasons = folder / f".{file.name}.part", []
    for url in file.urls:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _download(url, part, file.size)
            if (digest := _sha256(part)) != file.sha256:
                part.unlink()
                raise ValueError(f"its SHA-256 is {digest[:12]}..., not {file.sha256[:12]}...")
            os.replace(part, folder / file.name)
        except (OSError, ValueError) as error:
            reasons.append(f"{urllib.parse.urlsplit(url).netloc}: {why(error)}")
        else:
            return folder / file.name
    raise UserError(f"{file.name} from {', '.join(reasons)}")


def _download(url: str, part: Path, size: int) -> None:
    """Complete `part` from `url` to `size` bytes; raise ValueError, and remove it, where the host has another file."""
    import requests  # here, since importing it takes longer than a start from the cache
    import tqdm
    import urllib3

    start = part.stat().st_size if part.exists() else 0
    if start >= size:  # complete, but for the check of its content
        return
    print(f"downloading {url}" + f", from byte {start} on" * bool(start), file=sys.stderr)
    # Ask for the bytes as they are, and read them raw: some hosts call an archive's gzip an encoding and undo it.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        response.raise_for_status()
        start = start if response.status_code == 206 else 0  # 206: from there on; 200: the whole
        bar = tqdm.tqdm(total=size, initial=start, unit="B", unit_scale=True, leave=False, disable=None)
        with bar, open(part, "ab" if start else "wb") as out:
            try:
                for chunk in response.raw.stream(CHUNK, decode_content=False):
                    out.write(chunk)
                    bar.update(len(chunk))
                    if out.tell() > size:
                        break
            except urllib3.exceptions.HTTPError as error:
                raise OSError(0, f"broken off after {out.tell()} of {size} bytes; the same command goes on") from error
    if part.stat().st_size != size:
        found = part.stat().st_size
        part.unlink()
        raise ValueError(f"it holds {'more than ' if found > size else ''}{min(found, size)} bytes, not {size}")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as content:
        while chunk := content.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _stamps(cache: Path) -> list[list]:
    with contextlib.suppress(OSError, ValueError):
        stamps = json.loads((cache / STAMPS).read_text())
        if isinstance(stamps, list):
            return [one for one in stamps if isinstance(one, list) and len(one) == 3]
    return []
