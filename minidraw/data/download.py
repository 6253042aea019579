"""Downloads: a file from the first of its hosts that has it, whole and verified; what broke off is continued."""

import os
import sys
import tempfile
import urllib.parse
from pathlib import Path

from ..errors import UserError, one_line
from .official import CHUNK, File, check, keep, read

TIMEOUT = (10.0, 30.0)  # seconds to connect, seconds without a byte
WRAPPING = 1 << 20  # bytes by which a gzipped file may be longer than what it holds


def fetch(file: File, folder: Path | None) -> bytes:
    """Download `file`, a small one, and return its content; raises as `download` does.

    The download stays in `folder`, as it came; where that is None or cannot be written to, it is not kept.
    """
    with tempfile.TemporaryDirectory(prefix="minidraw-") as scratch:  # removed whatever happens
        path = download(file, Path(scratch))
        if folder is not None:
            keep(folder / path.name, path.read_bytes())
        return read(path, file)


def download(file: File, folder: Path) -> Path:
    """Download `file` into `folder`, as it comes, gzipped or not, and return its path: it is there whole or not at all.

    What an interruption leaves is continued the next time. Progress goes to stderr. Raises UserError, with each
    host's reason, when no address gives the right file.
    """
    reasons = []
    for url in file.urls:
        address = urllib.parse.urlsplit(url)
        zipped = address.path.endswith(file.name + ".gz")
        path = folder / (file.name + ".gz" * zipped)
        part = unfinished(path)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _complete(part, url, file.size + WRAPPING * zipped)
            check(part, file)
            os.replace(part, path)
        except (OSError, ValueError) as error:  # those of requests are OSErrors
            if not isinstance(error, OSError):  # what came is another file
                part.unlink(missing_ok=True)
            reasons.append(f"{address.netloc}: {_why(error)}")
        else:
            return path
    raise UserError(f"{file.name} from {', '.join(reasons)}")


def unfinished(path: Path) -> Path:
    """Return where the first bytes of a download to `path` are until it is complete."""
    return path.parent / f".{path.name}.part"


def _complete(part: Path, url: str, most: int) -> None:
    """Add to `part` what `url` has behind it. Raises ValueError beyond `most` bytes, OSError where it breaks off."""
    import requests  # here, since importing it takes longer than a start from the cache
    import tqdm
    import urllib3

    start = part.stat().st_size if part.exists() else 0
    if start >= most:  # complete, but for the check of its content
        return
    print(f"downloading {url}" + f", from byte {start} on" * bool(start), file=sys.stderr)
    # Ask for the bytes as they are, and read them raw: some hosts call an archive's gzip an encoding and undo it.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if start and response.status_code == 416:  # there is nothing behind it
            return
        response.raise_for_status()
        start = start if response.status_code == 206 else 0  # 206: from there on; 200: the whole
        size = start + (response.raw.length_remaining or most - start)
        # A bar on a terminal only, a log would fill with them.
        bar = tqdm.tqdm(total=size, initial=start, unit="B", unit_scale=True, leave=False, disable=None)
        with bar, open(part, "ab" if start else "wb") as out:
            try:
                for chunk in response.raw.stream(CHUNK, decode_content=False):
                    if out.tell() + len(chunk) > most:
                        raise ValueError("it sends more than the whole file")
                    out.write(chunk)
                    bar.update(len(chunk))
            except urllib3.exceptions.HTTPError as error:
                raise OSError(0, f"broken off after {out.tell()} of {size} bytes") from error


def _why(error: Exception) -> str:
    """Say shortly why a download failed; requests' own words are a paragraph each."""
    if (response := getattr(error, "response", None)) is not None:
        return f"HTTP {response.status_code}"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return one_line(error)
