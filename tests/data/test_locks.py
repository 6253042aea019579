"""Several processes, or threads, that need one file: one of them makes it, the others wait for that."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from support.files import everything, official_file, put

from minidraw.data import download, locks, prepared
from minidraw.data.places import Places

CONTENT = np.random.default_rng(3).bytes(1 << 20)
ROW = (2, 3)


def all_at_once(*calls) -> list:
    """Run functions in threads; return what they return, or raise."""
    results: list = [None] * len(calls)

    def work(k):
        try:
            results[k] = calls[k]()
        except BaseException as error:
            results[k] = error

    threads = [threading.Thread(target=work, args=(k,)) for k in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


@pytest.mark.parametrize("locked", [True, False])
def test_one_prepares_and_the_others_wait(host, cache, monkeypatch, capfd, locked):
    """Where there are no locks they do not wait, nor do they write into each other's files."""
    file = official_file("train.bin", CONTENT, host.url + "/train.bin")
    host.pages["/train.bin"], made, together = (200, CONTENT), [], threading.Barrier(1 if locked else 3)

    refused, real = set(), locks._taken

    def taken(place):
        if not (file := real(place)):
            refused.add(threading.get_ident())
        return file

    def make(path):
        made.append(path)
        together.wait(10)
        until = time.monotonic() + 30
        while locked and len(refused) < 2 and time.monotonic() < until:  # the others come meanwhile
            time.sleep(0.01)
        return 5, iter([(0, np.full((5, *ROW), 7, np.uint8))])

    monkeypatch.setattr(locks, "PAUSE", 0.01)
    monkeypatch.setattr(locks, "_taken", taken)
    if not locked:
        monkeypatch.setattr(locks, "lock", lambda file: None)

    def call():
        return prepared.prepare(Places("x", None, cache), (file,), ROW, make, 1)[0]

    for one in all_at_once(call, call, call):
        assert one.official and (one.array == 7).all()
    assert len(made) == (1 if locked else 3)
    assert len(host.asked) == 1 or not locked, "or a later one finds the file of an earlier one"
    told = capfd.readouterr().err
    waiting = f"waiting for another process, which is at {cache / 'train.npy'}"
    assert told.count(waiting) == (2 if locked else 0)
    left = everything(cache)
    assert left == ["train.npy"] if locked else [name for name in left if "part" in name] == []


def test_one_downloads_a_small_file_and_the_others_read_it(host, cache, monkeypatch):
    file = official_file("small.bin", CONTENT, host.url + "/small.bin")
    host.pages["/small.bin"], real = (200, CONTENT), download.contents
    monkeypatch.setattr(locks, "PAUSE", 0.01)
    monkeypatch.setattr(download, "contents", lambda *args: time.sleep(0.3) or real(*args))
    assert all_at_once(*[lambda: download.fetch(file, cache)] * 3) == [CONTENT] * 3
    assert host.asked == ["/small.bin"] and everything(cache) == ["small.bin"]


HOLDER = """
import sys, time
from pathlib import Path
from minidraw.data.locks import alone
with alone(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_ends_with_its_process(tmp_path, monkeypatch, capfd):
    path, order = tmp_path / "x", []
    monkeypatch.setattr(locks, "PAUSE", 0.01)
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"

        def wait():
            with locks.alone(path) as turn:
                order.append(turn)

        waiter = threading.Thread(target=wait)
        waiter.start()
        while "waiting for" not in capfd.readouterr().err:
            time.sleep(0.01)
        assert order == []
    finally:
        holder.kill()  # no time to remove anything
        holder.communicate()
    waiter.join()
    assert order == [locks.Turn(held=True, waited=True)] and everything(tmp_path) == []
    put(tmp_path, ".x.lock", b"of a process that is no more")
    with locks.alone(path) as turn:
        assert turn == locks.Turn(held=True, waited=False)
    assert everything(tmp_path) == []


@pytest.mark.parametrize("folder", ["blocked/cache", "blocked"])
def test_where_there_can_be_no_lock_nobody_is_kept_out(tmp_path, folder):
    put(tmp_path, "blocked", b"")
    with locks.alone(tmp_path / folder / "x") as turn:
        assert turn == locks.Turn(held=False, waited=False)
    (tmp_path / ".y.lock").symlink_to(tmp_path / "elsewhere")  # somebody else's doing
    with locks.alone(tmp_path / "y") as turn:
        assert not turn.held
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows removes no open file")
def test_a_lock_that_was_just_removed_is_none(tmp_path, monkeypatch):
    """Its holder removes it before it is let go: whoever gets that one then has another than the next to come."""
    real, removed = locks.lock, []

    def lock(file):
        if not removed:
            removed.append((tmp_path / ".x.lock").unlink())
            put(tmp_path, ".x.lock", b"of the next to come")
        return real(file)

    monkeypatch.setattr(locks, "PAUSE", 0.01)
    monkeypatch.setattr(locks, "lock", lock)
    with locks.alone(tmp_path / "x") as turn:
        assert turn.held and everything(tmp_path) == [".x.lock"]
        with locks.open_own(tmp_path / ".x.lock") as file:
            assert real(file) is False, "it is this one that is locked"
    assert everything(tmp_path) == []
