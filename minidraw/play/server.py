"""The page over HTTP: its own files by name, and questions to the labs, in JSON; for this page alone.

A browser sends requests to this computer for any web site that asks it to, and a web site can give its own name this
computer's address. So a request must name this server by a number, as localhost or as it was told to be called (Host)
and must come from a page of its own (Origin, Sec-Fetch-Site); a question must be JSON by its type, which no form
sends. What clients may take is bounded: bytes, time, and places, of which the one that has waited longest is lost.
"""

import contextlib
import ipaddress
import json
import math
import os
import re
import socket
import sys
import time
import traceback
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

from ..errors import LONGEST, STDERR, UserError, one_line
from ..pages.report import HERE as PAGES
from .address import outside, unfit

LARGEST = 24_000_000  # bytes of a question: a photograph in base64
MOST_VALUES = 100_000  # in a question, for Python makes objects of them
LONGEST_LINE = 65536  # bytes; there may be 100 of them before a question
LONGEST_NUMBER = 40  # characters
SECONDS = 60.0  # for a question to begin and come, and again for its answer to be taken
LINGERING = 2.0  # seconds in which a client that is still sending may read why nobody listens
PLACES = 64  # connections at a time
HERE = Path(__file__).parent / "page"
SCRIPTS = "shared sheet player ask draw prior bench filterbank clutter play".split()
NAMES = ("play.css", *(f"{name}.js" for name in SCRIPTS))
FILES = {"/": HERE / "index.html", "/page.css": PAGES / "page.css"} | {f"/{name}": HERE / name for name in NAMES}
VERSIONS = ("HTTP/1.0", "HTTP/1.1")
HOUSE, SAVE = "/api/house", "/api/save"
KINDS = {".html": "html", ".css": "css", ".js": "javascript"}
SAVED = {".gif": "image/gif", ".png": "image/png", ".mp4": "video/mp4"}
HEADERS = {
    "Server": "minidraw",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Refused(Exception):
    """A request that is not answered but with a status and a line that says why; its connection is closed."""

    def __init__(self, status: int, line: str, headers: dict[str, str] | None = None):
        self.status, self.line, self.headers = status, line, headers


class Server(ThreadingMixIn, TCPServer):
    """Serves the page of a `house`, whose questions `labs` answers: the module of that name, or what is like it.

    host: a name or number of the address to listen at; port: 0 takes a free one. Raises UserError where it cannot.
    """

    daemon_threads = True
    request_queue_size = PLACES
    allow_reuse_address = os.name == "posix"  # elsewhere two servers would share a port

    def __init__(self, house: Any, labs: Any, host: str = "127.0.0.1", port: int = 0):
        self.house, self.labs, self.host = house, labs, host
        self.open: set[socket.socket] = set()  # connections
        self.waiting: dict[socket.socket, float] = {}  # those that wait for their client, since when; oldest first
        try:
            if port > 65535:  # getaddrinfo would take what is left of it
                raise OverflowError
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            self.address_family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
            super().__init__(address, _Handler)  # type: ignore[arg-type]  # an address of IPv6 has four parts
        except (OSError, ValueError, OverflowError) as problem:
            raise UserError(unfit(host, port, problem)) from None
        number, port = self.socket.getsockname()[:2]
        self.address = ipaddress.ip_address(number.partition("%")[0])
        local = "::1" if self.address.version == 6 else "127.0.0.1"
        names = (local, outside(self.address.version)) if self.address.is_unspecified else (host, host)
        # What this computer and others call the page.
        self.url, self.outside = (f"http://{f'[{name}]' if ':' in name else name}:{port}/" for name in names)

    def is_called(self, host: str) -> bool:
        """Tell whether a request's Host is a name of this server, or a number: no other site can be called that."""
        match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([\w.-]+))(?::[0-9]{1,5})?", host, re.ASCII)
        name = (match[1] or match[2]).lower() if match else ""
        with contextlib.suppress(ValueError):
            return bool(ipaddress.ip_address(name))
        return name != "" and name in ("localhost", self.host.lower())

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a new connection a place, that of the one that has waited longest where there is none left."""
        if len(self.open) >= PLACES:
            for oldest in list(self.waiting)[:1]:
                self.lose(oldest)
        if len(self.open) >= PLACES:  # all of them get answers
            return self.shutdown_request(request)
        self.open.add(request)
        self.waiting[request] = time.monotonic()
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """Lose the connections that have waited too long, however slowly they send: called several times a second."""
        for connection, since in list(self.waiting.items()):
            if time.monotonic() - since > SECONDS:
                self.lose(connection)

    def lose(self, connection: socket.socket) -> None:
        """End a connection that waits, if it still does; its thread then ends too."""
        if self.waiting.pop(connection, None) is not None:
            self.open.discard(connection)
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def shutdown_request(self, request: Any) -> None:
        """End a connection."""
        self.waiting.pop(request, None)
        self.open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away; of anything else a line."""
        if not isinstance(problem := sys.exc_info()[1], OSError):
            _tell(problem)


def _tell(problem: BaseException) -> None:
    """Tell on stderr, in a line, what is wrong, and where in the program."""
    last = traceback.extract_tb(problem.__traceback__)[-1]
    line = f"minidraw.play: {type(problem).__name__}: {problem}, at {Path(last.filename).name}:{last.lineno}"
    STDERR.write(f"{one_line(line, LONGEST)}\n")


def question_of(body: bytes) -> dict:
    """Return the JSON object of a request, without what JSON has no words for. Raises UserError if it is not one."""
    question = None
    if sum(map(body.count, (b",", b"[", b"{"))) <= MOST_VALUES:
        with contextlib.suppress(ValueError, RecursionError):
            whole = partial(_number, kind=int)
            question = json.loads(body.decode(), parse_float=_number, parse_int=whole, parse_constant=_number)
    if not isinstance(question, dict):
        raise UserError("a question must be an object in JSON, of finite numbers and not too many values")
    return question


def _number(text: str, kind: type = float) -> Any:
    if len(text) > LONGEST_NUMBER or not math.isfinite(number := kind(text)):
        raise ValueError
    return number


class _Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection, one after another."""

    server: Server
    protocol_version, default_request_version = "HTTP/1.1", ""
    disable_nagle_algorithm = True  # or an answer may wait for 40 ms
    timeout = SECONDS

    def handle_one_request(self) -> None:
        """Read a request, check it, and answer it."""
        server, connection = self.server, self.connection
        server.waiting.pop(connection, None)
        server.waiting[connection] = time.monotonic()  # as the youngest, at the end
        self.command, self.path, self.close_connection = "", "", True
        try:
            self.raw_requestline = self.rfile.readline(LONGEST_LINE + 1)
            if len(self.raw_requestline) > LONGEST_LINE:
                raise Refused(HTTPStatus.REQUEST_URI_TOO_LONG, "the first line of this request is too long")
            if not self.raw_requestline or not self.parse_request():  # gone, or an empty line
                return
            length = self._checked()
            if length and self.headers.get("Expect", "").lower() == "100-continue":
                self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = self.rfile.read(length)
            if len(body) < length or server.waiting.pop(connection, None) is None:  # gone, or its place is
                self.close_connection = True
            else:
                self._send(*self._answer(body))
        except Refused as refused:
            self.close_connection = True
            self._send(refused.status, *self._error(refused.line), refused.headers)
            self._linger()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what http.server cannot read."""
        raise Refused(code, one_line(message or HTTPStatus(code).phrase))

    def handle_expect_100(self) -> bool:
        """Leave "100 Continue" until the request is checked."""
        return True

    def log_message(self, *_: Any) -> None:
        """Say nothing of requests."""

    def _checked(self) -> int:
        """Return how many bytes come after the headers of a request that may be answered, or raise Refused."""
        headers, api = self.headers, self.path.startswith("/api/")
        strange = headers.defects or headers.get_payload() or headers.get_unixfrom()
        strange = strange or any(re.search("[\r\n]", value) for value in headers.values())
        told = ", ".join(headers.get_all("Content-Length", []))
        strange = strange or "Transfer-Encoding" in headers or not re.fullmatch("(?:[0-9]{1,18})?", told)
        if strange or self.request_version not in VERSIONS:
            raise Refused(HTTPStatus.BAD_REQUEST, "this is no request of HTTP/1.1, or one of unknown length")
        host = ", ".join(headers.get_all("Host", []))
        if not self.server.is_called(host):
            line = f"this page is not called {one_line(host)!r} here: open it as localhost or by its number, or start"
            raise Refused(HTTPStatus.FORBIDDEN, f"{line} minidraw with --host and this name")
        foreign = {*headers.get_all("Origin", [])} - {f"http://{host}"}
        if foreign or {*headers.get_all("Sec-Fetch-Site", [])} - {"same-origin", "none"}:
            raise Refused(HTTPStatus.FORBIDDEN, f"another page asks for this; open http://{host}/ yourself")
        if self.path not in FILES and not (api and re.fullmatch("[a-z]+", self.path[5:])):
            raise Refused(HTTPStatus.NOT_FOUND, "there is no such page")
        allowed = "POST" if api and self.path != HOUSE else "GET, HEAD"
        if self.command not in allowed.split(", "):
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, f"this takes {allowed}", {"Allow": allowed})
        if allowed == "POST":
            if not told:
                raise Refused(HTTPStatus.LENGTH_REQUIRED, "a question must tell its Content-Length")
            kinds = headers.get_all("Content-Type", [])
            if len(kinds) != 1 or kinds[0].partition(";")[0].strip().lower() != "application/json":
                raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "a question must be application/json")
        if (length := int(told or 0)) > (LARGEST if allowed == "POST" else 0):
            line = f"{length / 1e6:.1f} MB are too much: {LARGEST / 1e6:.0f} MB at most, a file 3/4 of that"
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, line)
        return length

    def _answer(self, body: bytes) -> tuple:
        """Return an answer, for _send: a file of the page, what the house or a lab says, or what is wrong."""
        try:
            if file := FILES.get(self.path):
                return HTTPStatus.OK, file.read_bytes(), f"text/{KINDS[file.suffix]}; charset=utf-8"
            if self.path == HOUSE:
                return HTTPStatus.OK, *_json(self.server.house.told())
            question = question_of(body)
            if self.path != SAVE:
                return HTTPStatus.OK, *_json(self.server.labs.answer(self.server.house, self.path[5:], question))
            content, name = self.server.labs.saved(self.server.house, question)
            kind = SAVED.get(Path(name).suffix, "application/octet-stream")
            name = re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)
            return HTTPStatus.OK, content, kind, {"Content-Disposition": f'attachment; filename="{name}"'}
        except UserError as mistake:
            return HTTPStatus.BAD_REQUEST, *self._error(str(mistake))
        except MemoryError:
            return HTTPStatus.SERVICE_UNAVAILABLE, *self._error("not enough memory for this; try less of it")
        except Exception as problem:
            _tell(problem)
            line = "minidraw failed at this; the terminal where it runs tells why"
            return HTTPStatus.INTERNAL_SERVER_ERROR, *self._error(line)

    def _error(self, line: str) -> tuple[bytes, str]:
        """Return what is wrong as the page reads it, or somebody in a browser."""
        if self.path.startswith("/api/"):
            return _json({"error": line})
        return f"{line}\n".encode("utf-8", "backslashreplace"), "text/plain; charset=utf-8"

    def _send(self, status: int, content: bytes, kind: str, more: dict[str, str] | None = None) -> None:
        """Send an answer, all of it in one piece: two would wait for each other."""
        headers = HEADERS | {"Date": formatdate(usegmt=True), "Content-Type": kind} | (more or {})
        headers |= {"Content-Length": str(len(content))} | ({"Connection": "close"} if self.close_connection else {})
        lines = [f"HTTP/1.1 {int(status)} {HTTPStatus(status).phrase}", *(f"{k}: {v}" for k, v in headers.items())]
        head = "\r\n".join([*lines, "", ""]).encode("ascii")
        self.wfile.write(head if self.command == "HEAD" else head + content)

    def _linger(self) -> None:
        """Throw away what a client still sends, for a while, or it would never read the answer."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(LINGERING)
            end = time.monotonic() + LINGERING
            while time.monotonic() < end and self.connection.recv(LONGEST_LINE):
                pass


def _json(answer: dict) -> tuple[bytes, str]:
    return json.dumps(answer, allow_nan=False).encode("ascii"), "application/json"
