"""Downloads that broke off: what is here already is given up for nothing worse, and nobody waits for ever."""

import http.server
import threading
import time

import numpy as np
import pytest
from support.files import HTML, everything, official_file, put, refusal

from minidraw.data import download
from minidraw.errors import UserError

CONTENT = np.random.default_rng(3).bytes(3 << 20)
PART = ".train.bin.part"


def train(*urls: str):
    return official_file("train.bin", CONTENT, *(f"{url}/train.bin" for url in urls))


def fetched(host, cache, *urls: str) -> bool:
    """Download from the `host`, or `urls`; tell whether it was there, and assert that nothing else is."""
    try:
        path = download.download(train(*(urls or (host.url,))), cache)
    except UserError:
        return False
    assert path.read_bytes() == CONTENT and everything(cache) == ["train.bin"]
    return True


@pytest.mark.parametrize("resumes", [True, False])
@pytest.mark.parametrize("part", [CONTENT[: 1 << 20], b"something else", bytes(1 << 20)])
def test_a_part_is_continued_or_begun_anew(host, cache, resumes, part):
    """Also where its first bytes are wrong, as a crash leaves them: that is found out at the end, and mended once."""
    host.pages["/train.bin"], host.resumes = (200, CONTENT), resumes
    put(cache, PART, part)
    put(cache, PART + ".new", b"of a process that was killed")
    assert fetched(host, cache)
    good = part == CONTENT[: len(part)]
    wanted = [f"/train.bin bytes={len(part)}-", "/train.bin"][: 1 + (not good)] if resumes else ["/train.bin"]
    assert host.asked == wanted


@pytest.mark.parametrize("more", [b"", b"and more"])
def test_a_complete_part_that_is_wrong_is_begun_anew(host, cache, more):
    """Not asked for the rest of, which there is not: the answer 416 would be the same for ever."""
    host.pages["/train.bin"], host.resumes = (200, CONTENT), True
    put(cache, PART, bytes(len(CONTENT)) + more)
    assert fetched(host, cache) and host.asked == ["/train.bin"]
    put(cache, PART, CONTENT)
    assert fetched(host, cache) and len(host.asked) == 1, "what is complete and right needs nobody"


def test_host_that_has_nothing_more(host, cache):
    """Another, shorter file lies there: the part is kept for the host that has the right one."""
    host.pages["/train.bin"], host.resumes = (200, CONTENT[:1000]), True
    part = put(cache, PART, CONTENT[:2000])
    message = refusal(download.download, train(host.url), cache)
    assert "it holds 1000 bytes, not 3145728" in message and part.read_bytes() == CONTENT[:2000]
    assert everything(cache) == [PART] and host.asked == ["/train.bin bytes=2000-", "/train.bin"]


HOTELS = {
    "a page": (200, HTML),
    "a page for the rest": (206, HTML),
    "another length": (200, CONTENT[:-1]),
    "a longer file": (200, CONTENT + b"x"),
    "log in first": (511, HTML),
}


@pytest.mark.parametrize("hotel", HOTELS)
def test_a_hotels_page_costs_nothing(host, cache, hotel):
    """The part stays as it is, and is continued as soon as the host can be reached again."""
    host.pages["/train.bin"] = HOTELS[hotel]
    part = put(cache, PART, CONTENT[: 2 << 20])
    assert not fetched(host, cache)
    assert part.read_bytes() == CONTENT[: 2 << 20] and everything(cache) == [PART]
    host.pages["/train.bin"], host.resumes = (200, CONTENT), True
    assert fetched(host, cache)
    assert host.asked[-1] == f"/train.bin bytes={2 << 20}-"


def test_a_host_that_sends_the_wrong_rest(host, cache):
    """By its own words: it is not appended. The whole is asked for, beside the part, and what is longer is kept."""
    host.pages["/train.bin"], host.resumes, host.shifted, host.cut = (200, CONTENT), True, 7, 1 << 20
    part = put(cache, PART, CONTENT[:2000])
    assert not fetched(host, cache)
    assert host.asked == ["/train.bin bytes=2000-", "/train.bin"]
    assert part.read_bytes() == CONTENT[: 1 << 20] and everything(cache) == [PART]
    host.cut = 500
    assert not fetched(host, cache)
    assert part.read_bytes() == CONTENT[: 1 << 20] and everything(cache) == [PART]
    host.shifted, host.cut = 0, None
    assert fetched(host, cache)


class Raw(http.server.ThreadingHTTPServer):
    """A host that writes the bytes `first`, and then one of `drops` every `pause` seconds until it is left."""

    daemon_threads, block_on_close = True, False

    def __init__(self, first: bytes, drops: bytes = b"", pause: float = 0.05):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.wfile.write(first)
                for k in range(len(drops)):
                    time.sleep(pause)
                    try:
                        self.wfile.write(drops[k : k + 1])
                    except OSError:
                        break
                outer.left.set()

            def log_message(self, *args):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url, self.left = f"http://127.0.0.1:{self.server_port}", threading.Event()

    def __enter__(self):
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *args):
        self.shutdown()
        self.server_close()


@pytest.mark.parametrize("where", ["headers", "content", "chunks"])
def test_a_host_that_drips_is_left(host, cache, monkeypatch, where):
    """For the next one, which goes on from there."""
    monkeypatch.setattr(download, "PATIENCE", 0.4)
    host.pages["/train.bin"], host.resumes = (200, CONTENT), True
    good = 5 * download.PIECE
    first = {
        "headers": b"HTTP/1.1 200 OK\r\nX: ",
        "content": b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(CONTENT) + CONTENT[:good],
        "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(CONTENT) + CONTENT[:good],
    }[where]
    with Raw(first, CONTENT[good : good + 100]) as slow:
        assert not fetched(host, cache, slow.url)
        kept = {"headers": [], "content": [PART], "chunks": []}[where]  # of an unknown length, it could be any page
        assert everything(cache) == kept
        assert not kept or (cache / PART).read_bytes() == CONTENT[:good]
        message = refusal(download.download, train(slow.url), cache)
        assert "less than 65536 bytes in 0.4 s" in message
        assert fetched(host, cache, slow.url, host.url)
        assert host.asked[-1] == "/train.bin" + f" bytes={good}-" * bool(kept)


def test_a_page_of_no_told_length(cache):
    """It ends with the connection: nothing of it is kept, nor does it replace anything."""
    with Raw(b"HTTP/1.0 200 OK\r\n\r\n" + HTML) as hotel:
        assert f"it holds {len(HTML)} bytes, not" in refusal(download.download, train(hotel.url), cache)
        assert everything(cache) == []
        put(cache, PART, CONTENT[:9])
        refusal(download.download, train(hotel.url), cache)
        assert everything(cache) == [PART] and (cache / PART).read_bytes() == CONTENT[:9]


@pytest.mark.parametrize(
    "answer", ["file:///etc/passwd", "http://127.0.0.1:9/x", "gopher://x", "http://[", "/train.bin"]
)
def test_redirections_that_lead_nowhere(cache, answer):
    with Raw(b"HTTP/1.1 302 Found\r\nLocation: %s\r\n\r\n" % answer.encode()) as host:
        message = refusal(download.download, train(host.url), cache)
    assert message.startswith("train.bin from 127.0.0.1") and len(message) < 200 and everything(cache) == []


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("http_proxy", "http://127.0.0.1:9", "ProxyError"),
        ("http_proxy", "socks5://127.0.0.1:9", ""),  # with PySocks or without
        ("http_proxy", "http://[", ""),
        ("REQUESTS_CA_BUNDLE", "/nowhere/certificates", "/nowhere/certificates"),
    ],
)
def test_what_the_environment_breaks_is_one_line(host, cache, monkeypatch, name, value, reason):
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv(name, value)
    url = host.url.replace("http:", "https:") if name.startswith("REQUESTS") else "http://host.invalid"
    message = refusal(download.download, train(url), cache)
    assert reason in message and message.startswith("train.bin from ") and len(message) < 250
    assert everything(cache) == []


def test_a_host_that_speaks_no_tls(host, cache):
    assert "SSLError" in refusal(download.download, train(host.url.replace("http:", "https:")), cache)


def test_a_small_download_is_read_through_once(host, cache, monkeypatch):
    host.pages["/train.bin"], asked = (200, CONTENT), []
    chunks = download.contents.__globals__["_chunks"]
    monkeypatch.setitem(download.contents.__globals__, "_chunks", lambda *args: asked.append(1) or chunks(*args))
    assert download.fetch(train(host.url), cache) == CONTENT and len(asked) == 1
