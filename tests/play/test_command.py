"""python -m minidraw.play: its options, what it prints, the browser that it opens, and how it ends."""

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
from support.runs import environment, run
from support.wire import eventually, question

from minidraw.play import __main__ as command
from minidraw.play import server as serving

pytestmark = pytest.mark.usefixtures("small_strokes")
POSIX = pytest.mark.skipif(os.name != "posix", reason="this system has no /bin/sh, and Ctrl-C is no signal to send")
SLOW = """
import threading, time, minidraw.play.labs as labs
def answer(house, name, request):
    print("asked", flush=True)
    while True:  # computes, holding the interpreter's lock, and does not end
        sum(range(10000))
labs.answer = answer
labs.warm_up = lambda house: None
"""
LINE = re.compile(r"minidraw is drawing at (http://127\.0\.0\.1:(\d+)/)  \(Ctrl-C ends it\)\n")


@pytest.fixture
def start(tmp_path):
    """Start the command in a process of its own, after some Python; return it, its page's address and its port."""
    started = []

    def start(*arguments, before="", **variables):
        words = [str(argument) for argument in arguments]
        code = f"{before}\nfrom minidraw import cli; from minidraw.play import __main__ as m; cli.run(m.main, {words})"
        of = environment() | {"OPENBLAS_NUM_THREADS": "1"} | variables
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen([sys.executable, "-c", code], env=of, cwd=tmp_path, **pipes)
        started.append(process)
        line = process.stdout.readline()
        assert LINE.fullmatch(line), (line, process.poll())
        return process, *LINE.fullmatch(line).groups()

    yield start
    for process in started:
        process.kill()
        process.communicate()


def ended(process) -> tuple[int, str, str]:
    """Wait until a process has ended; return its status, and what it wrote after its first line."""
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


# --------------------------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    "arguments, line",
    [
        (["--export", "a.html", "--port", "0"], "--export starts no server: leave --port, --host and --no-browser out"),
        (["--export", "a.html", "--host", "localhost"], "--export starts no server"),
        (["--export", "a.html", "--no-browser"], "--export starts no server"),
        (["--seed", "1"], "--seed is for --export"),
        (["--seed", "0", "--port", "1"], "--seed is for --export"),
        (["--export", ""], "must not be empty"),
        (["--export", "a.htm"], "call it .html"),
        (["--host", ""], "must not be empty"),
        (["--port", "-1"], "must be a whole number of 0 or more"),
        (["--port", "http"], "must be a whole number of 0 or more"),
        (["--port", "65536"], "--port must be 65535 or less, not 65536"),
        (["--host", "192.0.2.1"], "--host 192.0.2.1 is no address of this computer"),
        (["mnist-smal"], "there is no checkpoint mnist-smal"),
        (["mnist-small", "two"], "unrecognized arguments: two"),
        (["--data", "mnits"], "did you mean 'mnist'?"),
        (["--backend", "cuda"], "backend"),
        (["--threads", "0"], "must be a whole number of 1 or more"),
    ],
)
def test_a_mistake_is_one_line(here, capsys, arguments, line):
    assert run("play", "--threads", 1, *arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1 and line in err
    assert os.listdir(here) == []


def test_options_that_contradict_each_other_are_told_before_anything_is_loaded(capsys, monkeypatch):
    monkeypatch.setattr(command, "House", None)
    assert run("play", "--export", "a.html", "--port", 1) == run("play", "--seed", 1) == 2


def test_a_port_that_is_taken(capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert run("play", "--threads", 1, "--no-browser", "--port", port) == 2
    line = f"error: port {port} is taken by another program: choose another --port, or leave it out for a free one\n"
    assert capsys.readouterr() == ("", line)


def test_help_is_short(capsys):
    assert run("play", "--help") == 0
    out = capsys.readouterr().out
    assert out.count("\n") <= 40 and "default: 127.0.0.1" in out and "mnist-small" in out


# ----------------------------------------------------------------------------------------------------- what it does


def test_the_options_reach_the_house_and_the_export(here, capsys, monkeypatch):
    given = []
    monkeypatch.setattr(command, "House", lambda *of: given.append(of) or "house")
    monkeypatch.setattr(command, "export", lambda *of: given.append(of) or "a.html: written")
    assert run("play", "--export", "a.html") == 0
    machine = ["--data", "strokes", "--data-dir", "d", "--threads", 2, "--backend", "auto"]
    assert run("play", "two-digits-small", "--export", "b.html", "--seed", 3, *machine) == 0
    assert given[:2] == [(None, None, None, "numpy", None), ("house", "a.html", 0)]
    assert given[2:] == [("two-digits-small", "strokes", "d", "auto", 2), ("house", "b.html", 3)]
    assert capsys.readouterr() == ("a.html: written\n" * 2, "")


@pytest.mark.parametrize("host, told", [("0.0.0.0", True), ("localhost", False), (None, False)])
def test_who_can_use_it_is_told(capsys, monkeypatch, host, told):
    monkeypatch.setattr(serving.Server, "serve_forever", lambda *_, **__: None)
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        assert run("play", "--threads", 1, "--no-browser", *(["--host", host] if host else [])) == 0
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
    out, err = capsys.readouterr()
    shown = "127.0.0.1" if host in (None, "0.0.0.0") else host
    assert re.fullmatch(rf"minidraw is drawing at http://{shown}:\d+/  \(Ctrl-C ends it\)\n", out)
    line = r"note: everybody who reaches this computer can use this page, unencrypted, at http://[\d.]+:\d+/\n"
    assert re.fullmatch(line if told else "", err)


@POSIX
def test_it_serves_the_page_and_ends_quietly(start):
    process, _, port = start("--threads", 1, "--no-browser")
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", int(port), timeout=30)) as browser:
        for path in ("/", "/play.js", "/api/house"):
            browser.request("GET", path)
            assert browser.getresponse().read()
        process.send_signal(signal.SIGINT)  # with a connection open
        assert ended(process) == (0, "", "")


@POSIX
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_it_ends_at_once_while_a_request_computes(start, name):
    process, _, port = start("--threads", 1, "--no-browser", before=SLOW)
    with socket.create_connection(("127.0.0.1", int(port)), 30) as connection:
        connection.sendall(question(path="/api/draw"))
        assert process.stdout.readline() == "asked\n"
        for _ in range(3):  # impatient
            process.send_signal(getattr(signal, name))
            time.sleep(0.01)
        assert ended(process) == (0, "", "")


def opener(folder, more: str = "") -> str:
    """Return a browser, for $BROWSER, that writes the address that it is to open into `opened`."""
    path = folder / "browser"
    path.write_text(f'#!/bin/sh\n{more}\necho "$1" > "{folder}/part"\nmv "{folder}/part" "{folder}/opened"\n')
    path.chmod(0o755)
    return f"{path} %s"


@POSIX
def test_a_browser_opens_the_page_and_what_it_says_is_not_heard(start, tmp_path):
    process, url, _ = start("--threads", 1, BROWSER=opener(tmp_path, "echo noise; echo noise >&2; read line"))
    eventually((tmp_path / "opened").exists)
    assert (tmp_path / "opened").read_text() == f"{url}\n"
    process.send_signal(signal.SIGINT)
    assert ended(process) == (0, "", "")


@POSIX
def test_no_program_of_the_folder_stands_in_for_the_browser_s(start, tmp_path):
    (tmp_path / "webbrowser.py").write_text(f"open({str(tmp_path / 'wrong')!r}, 'w')\n")
    start("--threads", 1, BROWSER=opener(tmp_path))
    eventually((tmp_path / "opened").exists)
    assert not (tmp_path / "wrong").exists()


@POSIX
def test_a_computer_without_a_browser_is_one_too(start, tmp_path):
    process, _, port = start("--threads", 1, BROWSER=str(tmp_path / "none"), PATH="", DISPLAY="")
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", int(port), timeout=30)) as browser:
        browser.request("GET", "/")
        assert browser.getresponse().status == 200
    process.send_signal(signal.SIGINT)
    assert ended(process) == (0, "", "")


def test_without_a_browser_none_is_opened(monkeypatch):
    opened = []
    monkeypatch.setattr(command, "_open_browser", opened.append)
    monkeypatch.setattr(command, "_end_by_signals", lambda server: None)
    monkeypatch.setattr(serving.Server, "serve_forever", lambda *_, **__: None)
    assert run("play", "--threads", 1, "--no-browser") == run("play", "--threads", 1) == 0
    assert len(opened) == 1 and opened[0].startswith("http://127.0.0.1:")
