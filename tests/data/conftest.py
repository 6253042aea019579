"""What the tests of data sets are given: a cache of their own, and a host to download from."""

import contextlib
import http.server
import threading

import pytest
from support.files import HTML


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of the test's own, and nothing from the developer's environment."""
    for name in ("MINIDRAW_DATA", "MINIDRAW_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MINIDRAW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "*")
    return tmp_path / "cache"


@pytest.fixture
def host():
    """A host on this machine: `pages` maps path -> (status, body), `asked` lists the paths asked for.

    It sends at most `cut` bytes at a time and, with `resumes`, the rest of a body to whoever asks for that, as one that
    is `shifted` by so many bytes.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            server.asked.append(self.path)
            status, body = server.pages.get(self.path, (404, HTML))
            if server.resumes and status == 200 and (part := self.headers.get("Range")):
                start = int(part.removeprefix("bytes=").rstrip("-"))
                server.asked[-1] += " " + part
                span = f"bytes {start + server.shifted}-{len(body) - 1}/{len(body)}"
                status, body = (206, body[start:]) if start < len(body) else (416, b"")
            self.send_response(status)
            if status == 206:
                self.send_header("Content-Range", span)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # whoever asked has read enough
                self.wfile.write(body[: server.cut])

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.pages, server.asked, server.cut, server.resumes, server.shifted = {}, [], None, False, 0
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
