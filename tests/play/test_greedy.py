"""The page's server and clients that want too much of it: large questions, strange ones, many and slow connections."""

import contextlib
import json
import socket
import time

import pytest
from support.wire import (
    JSON,
    OK,
    ask,
    connect,
    eventually,
    get,
    question,
    raw,
    received,
    running,
    statuses,
    still_answers,
)

from minidraw.play import server as serving
from minidraw.play.server import FILES, LARGEST, PLACES


def test_a_question_that_is_too_large_is_refused_before_it_is_read(server, labs):
    with connect(server) as connection:
        connection.sendall(question(b"").replace(b"Length: 0", b"Length: %d" % (LARGEST + 1)))
        answer = received(connection)  # and nothing of it was sent
    assert statuses(answer) == [413] and b"24.0 MB are too much: 24 MB at most" in answer
    status, _, content = ask(server, "POST", "/api/draw", b" " * (LARGEST + 1), JSON)  # as a browser sends it, whole
    assert status == 413 and [*json.loads(content)] == ["error"] and labs.asked == []
    assert ask(server, "POST", "/api/draw", b"{}" + b" " * (LARGEST - 2), JSON)[0] == 200


def test_who_asks_whether_to_send_is_told(server):
    with connect(server) as connection:
        connection.sendall(question(b"{}", "Expect: 100-continue", "Connection: close")[:-2])
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"{}")
        assert statuses(received(connection)) == [200]
    large = question(b"", "Expect: 100-continue").replace(b"Length: 0", b"Length: 25000000")
    assert statuses(raw(server, large, more=True)) == [413]


NO_OBJECTS = [
    b"",
    b"[]",
    b"null",
    b"3",
    b'"{}"',
    b"{",
    b"{} {}",
    b"{'a': 1}",
    b"\xef\xbb\xbf{}",
    '{"\xe9": 1}'.encode("latin-1"),
    b'{"a": NaN}',
    b'{"a": Infinity}',
    b'{"a": -Infinity}',
    b'{"a": 1e999}',
    b'{"a": -1e999}',
    b"\xff\xfe{\0}\0",
    b'{"a": ' + b"9" * 5000 + b"}",
    b'{"a": ' + b"9" * 20_000_000 + b"}",
    b'{"a": 0.' + b"1" * 20_000_000 + b"}",
    b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    b'{"a": ' + b"[" * 12_000_000,
    b'{"a":' * 4_000_000,
    b'{"a": [' + b"[]," * 7_000_000 + b"0]}",
    b'{"a": [' + b"0," * 200_000 + b"0]}",
    b'{"a": "\0"}',
    b"{}" * 10_000_000,
]


@pytest.mark.parametrize("body", NO_OBJECTS, ids=lambda value: repr(value)[:30])
def test_what_is_no_object_of_json_is_a_line(server, labs, body):
    status, _, content = ask(server, "POST", "/api/draw", body, JSON)
    assert status == 400 and json.loads(content)["error"].startswith("a question must be an object in JSON, of finite")
    assert labs.asked == [] and still_answers(server)


def test_strange_objects_do_no_harm(server, labs):
    for body in (
        b'{"a": 1, "a": 2, "__class__": {"__init__": 1}, "": ""}',
        b'{"a": "\\ud800\\u0000"}',
        b'{"a": 1e-999}',
    ):
        assert ask(server, "POST", "/api/draw", body, JSON)[0] == 200
        assert labs.asked.pop()[1] == json.loads(body)


# ------------------------------------------------------------------------------------------------ those who wait


def test_there_are_only_so_many_places_and_a_newcomer_gets_that_of_the_longest_idle(server):
    idle = [connect(server) for _ in range(3 * PLACES)]
    eventually(lambda: len(server.waiting) <= PLACES and len(server.open) <= PLACES)
    assert still_answers(server)
    assert received(idle[0]) == b"" and received(idle[PLACES]) == b""  # they were given up
    idle[-1].sendall(get(OK))
    assert statuses(received(idle[-1])) == [200]
    for connection in idle:
        connection.close()
    eventually(lambda: not server.open and not server.waiting)


def test_who_gets_an_answer_keeps_the_place(server, labs, monkeypatch):
    monkeypatch.setattr(serving, "PLACES", 2)
    with connect(server) as one, connect(server) as other:
        for connection in (one, other):
            connection.sendall(question(b"{}", "Connection: close", path="/api/wait"))
            assert labs.entered.acquire(timeout=20)
        with connect(server) as late, contextlib.suppress(ConnectionError):
            late.sendall(get(OK))
            assert received(late) == b""  # there is no place
        labs.go_on.set()
        assert statuses(received(one)) == statuses(received(other)) == [200]
    eventually(lambda: not server.open)
    assert still_answers(server)


@pytest.mark.parametrize(
    "beginning", [b"", b"GET / HTTP/1.1\r\nX: ", question(b"").replace(b"Length: 0", b"Length: 9999999")]
)
def test_a_slow_client_is_lost_however_it_drips(server, monkeypatch, beginning):
    monkeypatch.setattr(serving, "SECONDS", 0.2)
    with connect(server) as connection, pytest.raises(OSError):
        connection.sendall(beginning)
        connection.settimeout(0.01)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            connection.sendall(b"x" if beginning else b"")
            try:
                ended = connection.recv(1) == b""
            except TimeoutError:
                continue
            if ended:
                raise ConnectionResetError
    eventually(lambda: not server.open)


def test_who_takes_no_answer_is_lost(labs, monkeypatch, capfd):
    assert serving._Handler.timeout == serving.SECONDS
    monkeypatch.setattr(serving._Handler, "timeout", 0.2)
    labs.gives = {"large": "x" * 20_000_000}
    with running(labs) as server, connect(server) as connection:
        connection.sendall(question())
        eventually(lambda: labs.asked and not server.open)
    assert capfd.readouterr() == ("", "")


def test_every_file_survives_a_client_that_asks_for_all_at_once(server):
    with connect(server) as connection:
        connection.sendall(b"".join(get(OK, target=path).replace(b"Connection: close\r\n", b"") for path in FILES) * 20)
        connection.shutdown(socket.SHUT_WR)
        assert statuses(received(connection)) == [200] * 20 * len(FILES)
