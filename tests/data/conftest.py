"""What the tests of data sets are given: a cache of their own, and a host to download from."""

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

    It sends at most `cut` bytes at a time and, with `resumes`, the rest of a body to whoever asks for that.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            server.asked.append(self.path)
            status, body = server.pages.get(self.path, (404, HTML))
            if server.resumes and status == 200 and (part := self.headers.get("Range")):
                status, body = 206, body[int(part.removeprefix("bytes=").rstrip("-")) :]
                server.asked[-1] += " " + part
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: server.cut])

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.pages, server.asked, server.cut, server.resumes = {}, [], None, False
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
