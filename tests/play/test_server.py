"""The page's server, over real connections: what it serves, how it answers what goes wrong, where it can listen."""

import contextlib
import errno
import http.client
import json
import re
import socket
import socketserver
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.wire import HOUSE, JSON, ask, connect, eventually, question, raw, running, still_answers

from minidraw import errors
from minidraw.errors import UserError
from minidraw.play.server import FILES, HEADERS, HERE, Server

# ------------------------------------------------------------------------------------------------- what is served


def test_the_files_of_the_page(server):
    named = re.findall(r'(?:src|href)="(/[^"]+)"', (HERE / "index.html").read_text("utf-8"))
    assert {*named, "/"} == FILES.keys()
    kinds = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
    for path, file in FILES.items():
        status, headers, content = ask(server, "GET", path)
        assert (status, content) == (200, file.read_bytes())
        assert headers["Content-Type"] == f"{kinds[file.suffix]}; charset=utf-8"


def test_the_house_and_the_labs_answer_in_json(server, labs):
    status, headers, content = ask(server, "GET", "/api/house")
    assert (status, headers["Content-Type"], json.loads(content)) == (200, "application/json", HOUSE)
    asked = '{"text": "é\\ud800 😀", "number": 1.5, "whole": -12345678901234567890, "word": "Infinity", "none": null}'
    for kind in ("application/json", "Application/JSON; charset=utf-8"):
        status, headers, content = ask(server, "POST", "/api/read", asked.encode(), {"Content-Type": kind})
        assert (status, headers["Content-Type"]) == (200, "application/json")
        assert json.loads(content) == {"name": "read", "got": json.loads(asked)}
        assert labs.asked.pop() == ("read", json.loads(asked))


@pytest.mark.parametrize(
    "name, kind, called",
    [
        ("minidraw-draw.gif", "image/gif", "minidraw-draw.gif"),
        ("a.png", "image/png", "a.png"),
        ("a.mp4", "video/mp4", "a.mp4"),
        ("a.html", "application/octet-stream", "a.html"),  # as the page's own it would be shown
        ('a"\r\nX: é.gif', "image/gif", "a___X___.gif"),
    ],
)
def test_a_file_to_keep(server, labs, name, kind, called):
    labs.saves = b"content", name
    status, headers, content = ask(server, "POST", "/api/save", b"{}", JSON)
    assert (status, content, headers["Content-Type"]) == (200, b"content", kind)
    assert headers["Content-Disposition"] == f'attachment; filename="{called}"' and "X" not in headers


def test_every_answer_has_the_headers_that_keep_others_out(server, capsys):
    answers = [ask(server, "GET", path) for path in (*FILES, "/api/house", "/nothing", "/api/draw")]
    answers += [ask(server, "POST", "/api/draw", body, JSON) for body in (b"{}", b"[", b"", b'{"raise": "bug"}')]
    answers += [ask(server, "POST", "/api/save", b"{}", JSON), ask(server, "POST", "/api/draw", b"{}")]
    for _, headers, content in answers:
        assert {name: headers.get_all(name) for name in HEADERS} == {name: [text] for name, text in HEADERS.items()}
        assert headers["Content-Length"] == str(len(content)) and "Date" in headers
    policy = HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none';") and not re.search(r"unsafe|\*|http", policy)
    assert HEADERS["X-Content-Type-Options"] == "nosniff" and HEADERS["Cross-Origin-Resource-Policy"] == "same-origin"
    strange = raw(server, b"nonsense\r\n\r\n") + raw(server, b"GET / HTTP/9.9\r\n\r\n")
    assert strange.count(b"Server: minidraw\r\n") == 2 and not re.search(rb"Python|BaseHTTP|<html", strange)


def test_head_is_get_without_the_content(server):
    for path in (*FILES, "/api/house"):
        there, told, content = ask(server, "GET", path)
        status, headers, _ = ask(server, "HEAD", path)
        assert (status, headers["Content-Length"]) == (there, str(len(content)))
        assert headers["Content-Type"] == told["Content-Type"]
        assert raw(server, f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()).endswith(b"\r\n\r\n")


def test_a_connection_is_kept_and_an_answer_goes_in_one_piece(server, monkeypatch):
    """With two pieces each answer may wait for 40 ms until the browser has acknowledged the first."""
    sent, usual = [], socketserver._SocketWriter.write

    def write(self, content):
        assert self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        sent.append(bytes(content))
        return usual(self, content)

    monkeypatch.setattr(socketserver._SocketWriter, "write", write)
    with contextlib.closing(http.client.HTTPConnection(*server.server_address[:2], timeout=20)) as connection:
        connection.connect()
        kept = connection.sock
        for k in range(6):
            connection.request("POST", "/api/draw", json.dumps({"k": k} if k % 2 else []).encode(), JSON)
            answer = connection.getresponse()
            assert answer.status == (200 if k % 2 else 400) and answer.read() and connection.sock is kept
    assert len(sent) == 6 and all(re.match(rb"HTTP/1.1 \d+ .*\r\n\r\n.*\}$", one, re.DOTALL) for one in sent)


def test_nothing_is_said_of_a_good_request(server, capfd):
    for path in (*FILES, "/api/house"):
        assert ask(server, "GET", path)[0] == 200
    assert still_answers(server) and ask(server, "GET", "/nothing")[0] == 404
    assert capfd.readouterr() == ("", "")


# ------------------------------------------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize(
    "kind, status, told, line",
    [
        ("mistake", 400, "", "give another \\x1b[31mseed"),
        ("memory", 503, "", "not enough memory for this; try less of it"),
        (
            "bug",
            500,
            "ZeroDivisionError: secret \\x1b[2J path",
            "minidraw failed at this; the terminal where it runs tells",
        ),
        ("file", 500, "FileNotFoundError: [Errno 2] No such file: 'secret'", "minidraw failed at this"),
        ("gone", 500, "BrokenPipeError: [Errno 32] secret", "minidraw failed at this"),
        ("deep", 500, "RecursionError: secret", "minidraw failed at this"),
    ],
)
def test_what_a_lab_raises_is_one_line(server, capsys, kind, status, told, line):
    got, _, content = ask(server, "POST", "/api/draw", json.dumps({"raise": kind}).encode(), JSON)
    assert (got, [*json.loads(content)]) == (status, ["error"])
    assert json.loads(content)["error"].startswith(line) and b"secret" not in content and b"\n" not in content
    err = capsys.readouterr().err
    assert re.fullmatch(rf"minidraw.play: {re.escape(told)}, at wire.py:\d+\n" if told else "", err)
    assert still_answers(server)


def test_an_answer_that_json_cannot_say_is_no_answer(server, labs, capsys):
    for gives in ({"bound": float("nan")}, {"bound": {1}}, {"bound": float("inf")}):
        labs.gives = gives
        assert ask(server, "POST", "/api/draw", b"{}", JSON)[0] == 500
    assert capsys.readouterr().err.count("\n") == 3


def test_a_lost_stderr_costs_no_answer(server, monkeypatch):
    class Lost:
        def write(self, text):
            raise OSError(5, "gone")

    monkeypatch.setattr(errors.STDERR, "_stream", Lost())
    assert ask(server, "POST", "/api/draw", b'{"raise": "bug"}', JSON)[0] == 500 and still_answers(server)


def test_a_client_that_goes_away_in_the_middle_does_no_harm(server, labs, capfd):
    labs.gives = {"large": "x" * 20_000_000}
    for sent in (
        b"",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: loc",
        question(b'{"a": 1}')[:-3],
        question(path="/api/wait"),
    ):
        with connect(server) as connection:
            connection.sendall(sent)
    assert labs.entered.acquire(timeout=20)
    labs.go_on.set()
    eventually(lambda: not server.open)
    labs.gives = None
    assert still_answers(server) and capfd.readouterr() == ("", "")


def test_many_ask_at_once(server):
    def tab(k):
        return [json.loads(ask(server, "POST", "/api/draw", b'{"seed": %d}' % k, JSON)[2])["got"] for _ in range(5)]

    with ThreadPoolExecutor(40) as tabs:
        assert [*tabs.map(tab, range(40))] == [[{"seed": k}] * 5 for k in range(40)]
    eventually(lambda: not server.open and not server.waiting)


def test_a_question_that_takes_long_holds_up_no_other(server, labs):
    with connect(server) as connection:
        connection.sendall(question(path="/api/wait"))
        assert labs.entered.acquire(timeout=20) and still_answers(server)
        labs.go_on.set()
        assert connection.recv(100).startswith(b"HTTP/1.1 200 OK")


# ------------------------------------------------------------------------------------------------ where it listens


def test_it_listens_at_this_computer_alone(server):
    assert server.server_address[0] == "127.0.0.1" and server.address.is_loopback
    assert server.url == f"http://127.0.0.1:{server.server_address[1]}/"


@pytest.mark.parametrize(
    "host, listens, url",
    [
        ("localhost", ("127.0.0.1", "::1"), "localhost"),
        ("0.0.0.0", ("0.0.0.0",), "127.0.0.1"),
        ("::1", ("::1",), "[::1]"),
        ("::", ("::",), "[::1]"),
    ],
)
def test_it_listens_where_it_is_told_to(labs, host, listens, url):
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as trial:
            trial.bind((host, 0))
    except OSError as problem:
        pytest.skip(f"this computer has no {host}: {problem}")
    with running(labs, host=host) as server:
        assert server.server_address[0] in listens and server.url == f"http://{url}:{server.server_address[1]}/"
        assert server.address.is_loopback == (host in ("localhost", "::1"))
        with contextlib.closing(http.client.HTTPConnection(url.strip("[]"), server.server_address[1])) as connection:
            connection.request("GET", "/")
            assert connection.getresponse().read() == FILES["/"].read_bytes()


def test_of_a_name_s_addresses_it_takes_one_of_ipv4(labs, monkeypatch):
    """Systems without IPv6 may call ::1 localhost all the same."""
    of = [(socket.AF_INET6, ("::1", 0, 0, 0)), (socket.AF_INET, ("127.0.0.1", 0))]
    found = [(family, socket.SOCK_STREAM, 6, "", address) for family, address in of]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with running(labs, host="localhost") as server:
        assert server.server_address[0] == "127.0.0.1"


def test_where_it_cannot_listen_is_one_line(labs, server):
    port = server.server_address[1]
    cases = [
        ({"port": port}, f"port {port} is taken by another program: choose another --port, or leave it out"),
        ({"port": 65536}, "--port must be 65535 or less, not 65536"),
        ({"port": 10**30}, "--port must be 65535 or less"),
        ({"host": "192.0.2.1"}, "--host 192.0.2.1 is no address of this computer; leave it out"),
        ({"host": "no.such.host.invalid"}, "--host no.such.host.invalid is no address of this computer"),
        ({"host": "a" * 70 + ".b"}, "is no address of this computer"),
        ({"host": "a\0b"}, "--host a\\x00b is no address of this computer"),
        ({"host": "bad name\n\x1b[2J"}, "is no address of this computer"),
    ]
    for where, line in cases:
        with pytest.raises(UserError) as caught:
            Server(None, labs, **where)
        assert line in str(caught.value) and str(caught.value).isprintable()


@pytest.mark.parametrize(
    "number, line",
    [
        (errno.EACCES, "port 80 needs permission that you do not have: choose a --port of 1024 or more"),
        (errno.EPERM, "port 80 needs permission"),
        (errno.ENOBUFS, "cannot listen at 127.0.0.1, port 80: no; choose another --host or --port"),
    ],
)
def test_a_port_that_is_not_given_is_one_line(labs, monkeypatch, number, line):
    def refuse(self):
        raise OSError(number, "no")

    monkeypatch.setattr(Server, "server_bind", refuse)
    with pytest.raises(UserError, match=line):
        Server(None, labs, port=80)
