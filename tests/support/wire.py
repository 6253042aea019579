"""The page's server with labs of a test's own, and what speaks to it byte by byte."""

import contextlib
import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

from minidraw.errors import UserError
from minidraw.play.server import Server

OK = "Host: localhost"
JSON = {"Content-Type": "application/json"}
HOUSE = {"version": "1", "é": None}
ERRORS = {
    "mistake": UserError("give\n another \x1b[31mseed"),
    "bug": ZeroDivisionError("secret\n\x1b[2J path"),
    "file": FileNotFoundError(2, "No such file", "secret"),
    "gone": BrokenPipeError(32, "secret"),
    "memory": MemoryError("secret"),
    "deep": RecursionError("secret"),
}


class Labs:
    """Labs that answer with what they are asked, and do what a test wants of them."""

    def __init__(self):
        self.asked, self.entered, self.go_on = [], threading.Semaphore(0), threading.Event()
        self.saves, self.gives = (b"GIF89a", "drawing.gif"), None

    def answer(self, house, name, request):
        """Wait if the request is for "wait", raise what it names in "raise", else say what it is."""
        self.asked.append((name, request))
        if name == "wait":
            self.entered.release()
            assert self.go_on.wait(60)
        if request.get("raise") in ERRORS:
            raise ERRORS[request["raise"]]
        return self.gives or {"name": name, "got": request}

    def saved(self, house, request):
        """Return a file."""
        return self.saves


@contextlib.contextmanager
def running(labs: Labs, **where) -> Iterator[Server]:
    """Serve in a thread."""
    with Server(SimpleNamespace(told=lambda: HOUSE), labs, **where) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            labs.go_on.set()
            server.shutdown()
            thread.join(20)


def connect(server: Server) -> socket.socket:
    """Return a connection."""
    return socket.create_connection(server.server_address[:2], 20)


def ask(server: Server, method: str, path: str, body: bytes | None = None, headers: dict | None = None):
    """Send one request as a browser would; return status, headers and content."""
    with contextlib.closing(http.client.HTTPConnection(*server.server_address[:2], timeout=20)) as connection:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def question(body: bytes = b"{}", *lines: str, path: str = "/api/draw", host: str = "127.0.0.1") -> bytes:
    """Return a request to a lab, with more lines before its body."""
    head = [f"POST {path} HTTP/1.1", f"Host: {host}", "Content-Type: application/json"]
    head += [*lines, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(head).encode("latin-1") + body


def get(*lines: str, target: str = "/api/house", method: str = "GET") -> bytes:
    """Return a request without a body."""
    return "\r\n".join([f"{method} {target} HTTP/1.1", *lines, "Connection: close", "", ""]).encode("latin-1")


def raw(server: Server, content: bytes, more: bool = False) -> bytes:
    """Send bytes and, unless there may be `more`, nothing else; return all that comes until the server has enough."""
    with connect(server) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(content)
        if not more:
            connection.shutdown(socket.SHUT_WR)
        return received(connection)
    raise AssertionError("the connection was reset")


def received(connection: socket.socket) -> bytes:
    """Return what comes until the other side ends the connection."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def statuses(content: bytes) -> list[int]:
    """Return the statuses of answers that came one after another."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) [A-Z][\w -]+\r\nServer: minidraw\r\n", content)]


def still_answers(server: Server) -> bool:
    """Tell whether a lab answers."""
    status, _, content = ask(server, "POST", "/api/draw", b'{"seed": 3}', JSON)
    return status == 200 and json.loads(content) == {"name": "draw", "got": {"seed": 3}}


def eventually(true) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline, "it never was"
        time.sleep(0.005)
