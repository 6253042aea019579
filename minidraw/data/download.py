"""Downloads: a file from the first of its hosts that has it, whole and verified; what broke off is continued.

A network may answer with a page of its own, and a host with something else than the rest: what is here already is given
up only for something better, or when it is complete and wrong.
"""

import contextlib
import os
import queue
import re
import secrets
import tempfile
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from ..errors import STDERR, UserError, one_line
from ..files import own
from .locks import alone
from .official import File, check, contents, keep, read

TIMEOUT = (10.0, 30.0)  # seconds to connect, seconds without a byte
PIECE, PATIENCE = 1 << 16, 60.0  # bytes that must come in so many seconds, about 1 KB/s
WRAPPING = 1 << 20  # bytes by which a gzipped file may be longer than what it holds

Accepted = TypeVar("Accepted")


class _NotTheRestError(ValueError):
    """A host does not send what is asked for; the message is the reason alone."""


def fetch(file: File, folder: Path | None) -> bytes:
    """Download `file`, a small one, and return its content; raises as `download` does.

    The download stays in `folder`, as it came; where that is None or cannot be written to, it is not kept.
    """
    with contextlib.ExitStack() as stack:
        if folder is not None and stack.enter_context(alone(folder / file.name)).waited:
            for name in (file.name, file.name + ".gz"):  # the other one has it now
                with contextlib.suppress(UserError):
                    return read(folder / name, file, own=False)
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="minidraw-"))  # removed whatever happens
        path, content = _first(file, Path(scratch), contents)
        if folder is not None:
            keep(folder / path.name, path.read_bytes())
        return content


def download(file: File, folder: Path, held: bool = True) -> Path:
    """Download `file` into `folder`, as it comes, gzipped or not, and return its path: it is there whole or not at all.

    What an interruption leaves is continued the next time, if the caller has `held` others off by a lock. Progress goes
    to stderr. Raises UserError, with each host's reason, when no address gives the right file.
    """
    return _first(file, folder, check, held)[0]


def unfinished(path: Path) -> Path:
    """Return where the first bytes of a download to `path` are until it is complete."""
    return path.parent / f".{path.name}.part"


def _first(
    file: File, folder: Path, accept: Callable[[Path, File], Accepted], held: bool = True
) -> tuple[Path, Accepted]:
    """Return the path of a download, and what `accept` made of its content."""
    reasons = []
    for url in file.urls:
        address = urllib.parse.urlsplit(url)
        zipped = address.path.endswith(file.name + ".gz")
        path = folder / (file.name + ".gz" * zipped)
        part = unfinished(path) if held else path.parent / f".{path.name}.{secrets.token_hex(4)}.part"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for link in filter(os.path.islink, (part, _beside(part))):
                os.unlink(link)  # or what it leads to would be written to
            accepted = _obtain(part, url, file, zipped, accept)
            os.replace(part, path)
            _beside(part).unlink(missing_ok=True)
            return path, accepted
        except (OSError, ValueError) as error:  # those of requests are OSErrors
            reasons.append(f"{address.netloc}: {_why(error)}")
        finally:
            if not held:
                part.unlink(missing_ok=True)
    raise UserError(f"{file.name} from {', '.join(reasons)}")


def _obtain(part: Path, url: str, file: File, zipped: bool, accept: Callable[[Path, File], Accepted]) -> Accepted:
    """Complete `part`, or else begin it anew, once, and return what `accept` makes of it."""
    if start := _size(part):
        with contextlib.suppress(_NotTheRestError):
            if start < file.size + WRAPPING * zipped:
                _receive(part, url, file, zipped, start)
            with contextlib.suppress(ValueError):
                return accept(part, file)
            part.unlink()  # complete, and wrong
    _receive(part, url, file, zipped, 0)
    try:
        return accept(part, file)
    except ValueError:  # what came is another file
        part.unlink(missing_ok=True)
        raise


def _receive(part: Path, url: str, file: File, zipped: bool, start: int) -> None:
    """Write what `url` has to `part`, of which the first `start` bytes are there, 0 for anew.

    Raises ValueError where it has something else, OSError where it breaks off; `part` is then as it was, or better.
    """
    import tqdm  # here, since importing it takes longer than a start from the cache

    print(f"downloading {url}" + f", from byte {start} on" * bool(start), file=STDERR)
    # Ask for the bytes as they are, and read them raw: some hosts call an archive's gzip an encoding and undo it.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with _answer(url, headers) as (response, chunks):
        if start and response.status_code == 416:
            raise _NotTheRestError(f"it has nothing from byte {start} on")
        response.raise_for_status()
        start = start if response.status_code == 206 else 0  # 206: from there on; 200: the whole
        length = _announced(response, file.size, zipped, start)
        size, most = start + (length or file.size - start), file.size + WRAPPING * zipped
        target = part if start or not part.exists() else _beside(part)
        got, whole = start, False
        try:
            # A bar on a terminal only, a log would fill with them.
            options = {"unit": "B", "unit_scale": True, "leave": False, "disable": None, "file": STDERR}
            bar = tqdm.tqdm(total=size, initial=start, **options)
            with bar, open(target, "ab" if start else "wb", opener=own) as out:
                for chunk in chunks:
                    if got + len(chunk) > most:
                        length = None  # not to be kept
                        out.truncate(start)
                        raise ValueError("it sends more than the whole file")
                    got += out.write(chunk)
                    bar.update(len(chunk))
            if not zipped and got < file.size:
                if length is None:
                    raise ValueError(f"it holds {got} bytes, not {file.size}")
                raise ConnectionError
            whole = True
        except ConnectionError as error:
            raise OSError(0, f"broken off after {got} of {size} bytes{_told(error)}") from error
        finally:
            if not (whole or start or length):
                target.unlink(missing_ok=True)  # or somebody's page would be continued
            if target != part and target.exists():
                better = _size(target) > _size(part)
                os.replace(target, part) if better else target.unlink()


def _announced(response: Any, size: int, zipped: bool, start: int) -> int | None:
    """Return how many bytes an answer says that it has, if it does. Raises ValueError where that cannot be the file."""
    length = response.headers.get("Content-Length", "")
    length = int(length) if length.isdecimal() else None
    if response.status_code == 206:
        part = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip())
        if not part or int(part[1]) != start or not (zipped or part[2] in ("*", str(size))):
            raise _NotTheRestError(f"it does not go on from byte {start} of {size}")
    elif length is not None and length != size and not zipped:
        raise ValueError(f"it holds {length} bytes, " + (f"more than {size}" if length > size else f"not {size}"))
    return length


@contextlib.contextmanager
def _answer(url: str, headers: dict[str, str]) -> Iterator[tuple[Any, Iterator[bytes]]]:
    """Ask for `url` and hand out the response, and its content piece by piece, as it comes over the line.

    Raises what requests raises, and ConnectionError where the content breaks off, or too little comes for too long:
    another thread asks, since a host that sends a byte now and then would never let go of whoever reads from it.
    """
    answers: queue.Queue = queue.Queue(maxsize=16)
    gone = threading.Event()

    def give(answer: Any) -> bool:
        while not gone.is_set():
            with contextlib.suppress(queue.Full):
                answers.put(answer, timeout=0.5)
                return True
        return False

    def work() -> None:
        try:
            import requests
            import urllib3

            with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
                give(response)
                try:
                    all(give(chunk) for chunk in response.raw.stream(PIECE, decode_content=False))
                except urllib3.exceptions.HTTPError as error:
                    raise ConnectionError from error
            give(None)
        except BaseException as error:  # whatever it is, whoever waits is to have it
            give(error)

    def take() -> Any:
        try:
            answer = answers.get(timeout=PATIENCE)
        except queue.Empty:
            raise ConnectionError(f"less than {PIECE} bytes in {PATIENCE:g} s") from None
        if isinstance(answer, BaseException):
            raise answer
        return answer

    threading.Thread(target=work, daemon=True).start()
    response = None
    try:
        response = take()
        yield response, iter(take, None)
    finally:
        gone.set()
        with contextlib.suppress(Exception):  # lets the thread end soon; of urllib3 2.3 and later
            response.raw.shutdown()


def _beside(part: Path) -> Path:
    """Return where a download is begun anew while there is a part of it."""
    return part.with_name(f"{part.name}.new")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _told(error: Exception) -> str:
    return f" ({one_line(error)})" if str(error) else ""


def _why(error: Exception) -> str:
    """Say shortly why a download failed; requests' own words are a paragraph each."""
    if (response := getattr(error, "response", None)) is not None:
        return f"HTTP {response.status_code}"
    if isinstance(error, OSError) and type(error) not in (OSError, ConnectionError):
        return error.strerror or type(error).__name__
    return one_line(getattr(error, "strerror", None) or error)
