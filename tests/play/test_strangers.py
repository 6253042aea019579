"""The page's server and those it is not for: other sites' pages, and who sends what is no request."""

import json

import pytest
from support.wire import OK, ask, get, question, raw, running, statuses, still_answers

# ---------------------------------------------------------------------------------------------------- other pages


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8000", "localhost", "LocalHost:1", "[::1]", "[::1]:8000", "192.168.1.5:80", "10.0.0.1"],
)
def test_a_number_or_localhost_is_its_name(server, host):
    assert statuses(raw(server, get(f"Host: {host}"))) == [200]
    assert statuses(raw(server, question(b"{}", "Connection: close", f"Origin: http://{host}", host=host))) == [200]


NO_NAMES = [
    "evil.example",
    "evil.example:8000",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "localhost.",
    "",
    "[::1",
    "127.0.0.1@evil.example",
    "evil.example/localhost",
    "127.0.0.1:8000:1",
    "127.1",
    "2130706433",
    "0x7f.1",
    "::1",
    "[localhost]",
    "127.0.0.1 evil.example",
    "localhost,evil.example",
    "localhost:port",
    "myhost",
    "[]",
    "a\x00b",
]


@pytest.mark.parametrize("host", NO_NAMES)
def test_no_other_name_is(server, labs, host):
    """A site can give its name this computer's address: then its pages are of the same origin as this one."""
    for request in (get(f"Host: {host}"), get(f"Host: {host}", target="/"), question(b"{}", host=host)):
        answer = raw(server, request)
        assert statuses(answer) == [403] and answer.count(b"\n") < 20 and b"open it as localhost" in answer
    assert labs.asked == []


@pytest.mark.parametrize("lines", [(), (OK, OK), (OK, "Host: evil.example"), ("Host: evil.example", OK)])
def test_it_must_be_named_once(server, lines):
    assert statuses(raw(server, get(*lines))) == [403]
    assert statuses(raw(server, get(*lines).replace(b"HTTP/1.1", b"HTTP/1.0"))) == [403]


def test_a_name_that_it_was_given_is_one_too(labs):
    with running(labs, host="localhost") as server:
        server.host = "Lecture.local"
        assert statuses(raw(server, get("Host: lecture.LOCAL:1"))) == [200]
        assert statuses(raw(server, get("Host: other.local"))) == [403]


OTHER_PAGES = [
    "Origin: http://evil.example",
    "Origin: null",
    "Origin: https://localhost",
    "Origin: http://localhost:1",
    "Origin:",
    "Origin: http://localhost/",
    "Origin: http://127.0.0.1",
    "Origin: http://localhost\r\nOrigin: http://evil.example",
    "Sec-Fetch-Site: cross-site",
    "Sec-Fetch-Site: same-site",
    "Sec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site",
]


@pytest.mark.parametrize("line", OTHER_PAGES)
def test_other_pages_get_nothing(server, labs, line):
    for request in (get(OK, line), get(OK, line, target="/play.js"), question(b"{}", line, host="localhost")):
        answer = raw(server, request)
        assert statuses(answer) == [403] and b"another page asks for this; open http://localhost/ yourself" in answer
    assert labs.asked == []


@pytest.mark.parametrize(
    "lines", [("Origin: http://localhost",), ("Sec-Fetch-Site: same-origin",), ("Sec-Fetch-Site: none",)]
)
def test_its_own_page_is_answered(server, lines):
    assert statuses(raw(server, get(OK, *lines))) == [200]
    assert statuses(raw(server, question(b"{}", *lines, "Connection: close", host="localhost"))) == [200]


NO_QUESTIONS = [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/mixed",
    "",
    "text/plain, application/json",
    None,
    "application/jsonp",
    "json",
    "text/plain; application/json",
    "application/json, text/plain",
]


@pytest.mark.parametrize("kind", NO_QUESTIONS)
def test_what_a_form_could_send_is_no_question(server, labs, kind):
    status, _, content = ask(server, "POST", "/api/draw", b"{}", {} if kind is None else {"Content-Type": kind})
    assert status == (400 if kind == "multipart/mixed" else 415) and [*json.loads(content)] == ["error"]
    twice = question(b"{}", "Content-Type: text/plain")
    assert statuses(raw(server, twice)) == [415] and labs.asked == []


# ------------------------------------------------------------------------------------------------ what is no page


NOTHING = [
    "/index.html",
    "/nothing",
    "/../server.py",
    "/page/../../server.py",
    "/%2e%2e/server.py",
    "/..%5cserver.py",
    "/api",
    "/play.css/",
    "/%70lay.css",
    "/play.css?x",
    "/PLAY.CSS",
    "/play.css%00",
    "//etc/passwd",
    "/.",
    "/api/",
    "/api/a/b",
    "/api/../play.css",
    "/api/House",
    "/api/house/",
    "/api/__class__",
    "http://127.0.0.1/",
    "*",
    "play.css",
    "/?",
    "/#",
    "/export.js",
    "/server.py",
    "/play.css\x00",
    "/\xe9",
    "/" + "a" * 60_000,
    "/api/" + "a/" * 9,
    "localhost:80",
]


@pytest.mark.parametrize("path", NOTHING, ids=lambda value: repr(value)[:30])
def test_what_is_not_there_is_not_found(server, labs, path):
    for method in ("GET", "HEAD", "POST"):
        answer = raw(server, get(OK, "Content-Type: application/json", target=path, method=method))
        assert statuses(answer) == [404] and answer.partition(b"\r\n\r\n")[2].count(b"\n") <= 1
    assert labs.asked == []


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "get", "__init__", "\xe9"])
def test_other_methods_are_not_allowed(server, labs, method):
    for path, allowed in (("/", "GET, HEAD"), ("/api/house", "GET, HEAD"), ("/api/draw", "POST")):
        answer = raw(server, get(OK, target=path, method=method))
        assert statuses(answer) == [405] and f"Allow: {allowed}\r\n".encode() in answer
    for of, path in (("GET", "/api/draw"), ("HEAD", "/api/draw"), ("POST", "/"), ("POST", "/api/house")):
        assert statuses(raw(server, get(OK, target=path, method=of))) == [405]
    assert labs.asked == []


# --------------------------------------------------------------------------------------- requests inside requests

INNER = question(b'{"inner": 1}')
LENGTH = f"Content-Length: {len(INNER)}"


WRONG = {
    "a body for GET": (get(OK, LENGTH) + INNER, 413),
    "in parts": (
        get(OK, "Transfer-Encoding: chunked", method="POST", target="/api/draw") + b"0\r\n\r\n" + INNER,
        400,
    ),
    "in parts and not": (question(b"{}", "Transfer-Encoding: chunked") + INNER, 400),
    "in parts, for GET": (get(OK, "Transfer-Encoding: identity") + INNER, 400),
    "a space before the colon": (question(b"{}", "Transfer-Encoding : chunked") + INNER, 400),
    "a tab before the colon": (question(b"{}", "Transfer-Encoding\t: chunked") + INNER, 400),
    "no colon": (question(b"{}", "nothing", "Transfer-Encoding: chunked") + INNER, 400),
    "no name": (question(b"{}", ": chunked") + INNER, 400),
    "a folded line": (question(b"{}", "X: a\r\n Transfer-Encoding: chunked") + INNER, 400),
    "a line that begins with a space": (question(b"{}").replace(b"Host", b" Host") + INNER, 400),
    "a mailbox's line": (question(b"{}").replace(b"Host", b"From me\r\nHost", 1) + INNER, 400),
    "two lengths": (question(b"{}", "Content-Length: 2") + INNER, 400),
    "two in one": (question(b"{}").replace(b"Length: 2", b"Length: 2, 2") + INNER, 400),
    "no length": (question(b"").replace(b"Content-Length: 0\r\n", b"") + INNER, 411),
    "a length below 0": (question(b"{}").replace(b"Length: 2", b"Length: -2") + INNER, 400),
    "a length with a sign": (question(b"{}").replace(b"Length: 2", b"Length: +2") + INNER, 400),
    "a length for Python": (question(b"{}").replace(b"Length: 2", b"Length: 0_2") + INNER, 400),
    "a length in hexadecimal": (question(b"{}").replace(b"Length: 2", b"Length: 0x2") + INNER, 400),
    "a length of other digits": (question(b"{}").replace(b"Length: 2", b"Length: \xb2") + INNER, 400),
    "an endless length": (question(b"{}").replace(b"Length: 2", b"Length: " + b"9" * 5000) + INNER, 400),
    "a huge length": (question(b"{}").replace(b"Length: 2", b"Length: " + b"9" * 18) + INNER, 413),
    "half the end of a line": (question(b"{}", "X: a\rTransfer-Encoding: chunked") + INNER, 400),
    "a null": (question(b"{}", "X\x00: a") + INNER, 400),
}


@pytest.mark.parametrize("name", WRONG)
def test_nothing_that_hides_a_request_is_understood(server, labs, name):
    """One answer, and the connection ends: what follows was perhaps never meant to be a request."""
    content, status = WRONG[name]
    assert statuses(raw(server, content)) == [status]
    assert labs.asked == [] and still_answers(server)


def test_requests_one_after_another_get_their_answers_in_order(server, labs):
    """As long as each of them is right; what follows a wrong one is not read."""
    three = [question(b'{"k": %d}' % k) for k in range(3)]
    wrong = get("Host: evil.example").replace(b"Connection: close\r\n", b"")
    assert statuses(raw(server, b"".join(three) + wrong + INNER)) == [200, 200, 200, 403]
    assert [request for _, request in labs.asked] == [{"k": 0}, {"k": 1}, {"k": 2}]


@pytest.mark.parametrize(
    "content, expected",
    [
        (b"", []),
        (b"\r\n", []),
        (b"\0" * 1000, [400]),
        (bytes(range(256)), [400]),
        (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + b"\xa5" * 500 + b"\r\n", [400]),  # somebody speaks TLS
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [505]),
        (b"GET /\r\n\r\n", [400]),
        (b"GET /\r\nHost: localhost\r\n\r\n", [400]),
        (b"GET / HTTP/0.9\r\nHost: localhost\r\n\r\n", [400]),
        (b"GET / HTTP/1.1 HTTP/1.1\r\nHost: localhost\r\n\r\n", [400]),
        (b"GET / XTTP/1.1\r\nHost: localhost\r\n\r\n", [400]),
        (b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n", [200]),
        (b"GET " + b"/" * 70_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", [414]),
        (b"x" * 3_000_000, [414]),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\nHost: localhost\r\n\r\n", [431]),
        (b"GET / HTTP/1.1\r\n" + b"X: x\r\n" * 200 + b"Host: localhost\r\n\r\n", [431]),
        (b"GET / HTTP/1.1\r\n" + b"\r" * 500 + b"Host: localhost\r\n\r\n", [400]),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_no_request_is_a_line_and_the_end(server, capfd, content, expected):
    answer = raw(server, content)
    assert statuses(answer) == expected and len(answer) < 2500
    assert not expected or b"Connection: close\r\n" in answer
    assert still_answers(server) and capfd.readouterr() == ("", "")
