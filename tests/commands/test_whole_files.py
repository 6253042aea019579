"""Files that appear whole: names that nobody can foresee, modes that stay, and what a killed process left."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from support.files import everything, put, refusal
from support.runs import environment

from minidraw import data, files
from minidraw.errors import UserError
from minidraw.files import is_private, lock, open_own, remove_unfinished, whole, write_atomic

pytestmark = pytest.mark.usefixtures("small_strokes")


def mode(path) -> int:
    return stat.S_IMODE(os.lstat(path).st_mode)


@pytest.fixture
def usual():
    """Let new files be for everybody to read, as is usual."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_threads_and_processes_of_one_number_write_the_same_file_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getpid", lambda: 1)  # as in every container
    contents, wrong = [bytes([k]) * 50_000 for k in range(8)], []

    def write(content):
        try:
            for _ in range(20):
                write_atomic(tmp_path / "a", content)
        except UserError as problem:
            wrong.append(problem)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and (tmp_path / "a").read_bytes() in contents and everything(tmp_path) == ["a"]


def test_what_cannot_be_written_to_its_end_leaves_nothing(tmp_path):
    """Closing a file tries once more to write what waits."""
    with pytest.raises(OSError), whole(tmp_path / "a") as file:
        file.write(b"1")
        os.close(file.fileno())
    assert everything(tmp_path) == []


def test_no_name_can_be_foreseen_and_no_link_is_followed(tmp_path, monkeypatch):
    names, replace = [], os.replace
    monkeypatch.setattr(os, "replace", lambda *paths: names.append(str(paths[0])) or replace(*paths))
    for _ in range(3):
        write_atomic(tmp_path / "a", b"1")
    assert len({*names}) == 3 and all(os.path.dirname(name) == str(tmp_path) for name in names)
    victim = put(tmp_path, "victim", b"mine")
    monkeypatch.setattr(files.secrets, "token_hex", lambda count: "guessed")
    (tmp_path / ".a.guessed.tmp").symlink_to(victim)
    assert "cannot write" in refusal(write_atomic, tmp_path / "a", b"2")
    assert victim.read_bytes() == b"mine" and (tmp_path / "a").read_bytes() == b"1"


def test_a_link_in_the_place_of_the_file_is_replaced_and_not_written_through(tmp_path, usual):
    victim = put(tmp_path, "victim", b"mine")
    victim.chmod(0o666)
    (tmp_path / "a").symlink_to(victim)
    write_atomic(tmp_path / "a", b"1")
    assert victim.read_bytes() == b"mine" and not (tmp_path / "a").is_symlink()
    assert mode(tmp_path / "a") == 0o644, "of the link's target it has nothing"


@pytest.mark.parametrize("letter", ["a", "ö", "字", "🖌"])
def test_a_name_may_be_as_long_as_any(tmp_path, letter):
    name = letter * (255 // len(letter.encode()))
    write_atomic(tmp_path / name, b"1")
    assert everything(tmp_path) == [name]
    kill_inside_a_write(tmp_path / name)
    assert len(everything(tmp_path)) == 2
    remove_unfinished([tmp_path / name])
    assert everything(tmp_path) == [name]


def test_a_new_file_has_the_usual_mode_and_an_old_one_keeps_its_own(tmp_path, usual):
    write_atomic(tmp_path / "a", b"1")
    assert mode(tmp_path / "a") == 0o644
    for kept in (0o600, 0o664, 0o444):
        (tmp_path / "a").chmod(kept)
        write_atomic(tmp_path / "a", b"2")
        assert mode(tmp_path / "a") == kept
    with whole(tmp_path / "b", private=True) as file:
        assert [mode(tmp_path / name) for name in everything(tmp_path) if name != "a"] == [0o600], "from the beginning"
        file.write(b"1")
    assert mode(tmp_path / "b") == 0o600


def test_the_folder_is_synchronized_too_and_where_it_cannot_be_nothing_happens(tmp_path, monkeypatch):
    seen, usual = [], os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda number: seen.append(stat.S_ISDIR(os.fstat(number).st_mode)) or usual(number)
    )
    write_atomic(tmp_path / "a", b"1")
    assert seen == [False, True]

    def fsync(number):
        if stat.S_ISDIR(os.fstat(number).st_mode):
            raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "fsync", fsync)
    write_atomic(tmp_path / "a", b"2")
    assert (tmp_path / "a").read_bytes() == b"2"


@pytest.mark.parametrize("path", ["s3://bucket/a.gif", "https://a.example/b/a.gif", "file:///tmp/a.gif"])
def test_an_address_is_no_path(here, path):
    assert "an address" in refusal(write_atomic, path, b"1")
    assert everything(here) == []


def kill_inside_a_write(path) -> None:
    """Let a process be killed while it writes a file."""
    code = (
        "import os, signal; from minidraw.files import whole\n"
        f"with whole({str(path)!r}) as file: file.write(b'half'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_what_a_killed_process_left_goes_and_what_is_being_written_stays(tmp_path):
    kill_inside_a_write(tmp_path / "a")
    put(tmp_path, ".a.1234.tmp", b"of an earlier minidraw")
    assert len(everything(tmp_path)) == 2
    with whole(tmp_path / "a") as file:  # by another one, in the same folder
        file.write(b"whole")
        remove_unfinished([tmp_path / "a"])
        assert len(everything(tmp_path)) == 1
    assert everything(tmp_path) == ["a"] and (tmp_path / "a").read_bytes() == b"whole"


def test_without_locks_age_tells_what_was_left(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(files.fcntl, "flock", flock)
    put(tmp_path, ".a.young.tmp", b"")
    os.utime(put(tmp_path, ".a.old.tmp", b""), (1, 1))
    remove_unfinished([tmp_path / "a"])
    assert everything(tmp_path) == [".a.young.tmp"]


def test_what_only_looks_unfinished_stays(tmp_path):
    victim = put(tmp_path, "victim", b"mine")
    (tmp_path / ".a.link.tmp").symlink_to(victim)
    os.mkfifo(tmp_path / ".a.pipe.tmp")
    remove_unfinished([tmp_path / "a"])
    assert everything(tmp_path) == [".a.link.tmp", ".a.pipe.tmp", "victim"]
    for other in (tmp_path / ".a.link.tmp", tmp_path / ".a.pipe.tmp", Path("/dev/null")):
        with pytest.raises(OSError):
            open_own(other)


def test_a_lock_is_one_s_alone(tmp_path):
    with open(tmp_path / "a", "wb") as one, open(tmp_path / "a", "rb+") as other:
        assert lock(one) is True and lock(other) is False
        one.close()
        assert lock(other) is True


def test_what_not_everybody_may_read_is_private(usual):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        one, other = put(folder / "in", "one", b""), put(folder, "other", b"")
        if not all(path.stat().st_mode & stat.S_IXOTH for path in folder.parents):
            pytest.skip(f"nobody else may look into {folder.parent}")
        assert not is_private([one, other])
        one.chmod(0o640)
        assert is_private([one, other]) and not is_private([other])
        one.chmod(0o644)
        (folder / "in").chmod(0o700)
        assert is_private([other, one]) and not is_private([other])


@pytest.mark.parametrize("private", [False, True])
def test_images_of_one_s_own_are_as_private_in_the_cache_as_they_were(tmp_path, monkeypatch, usual, private):
    monkeypatch.setattr("minidraw.data.folder.is_private", lambda paths: private and [*map(str, paths)] == [str(path)])
    path = tmp_path / "images.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (40, 6, 5), np.uint8))
    data.load(f"folder:{path}")
    arrays = list((tmp_path / "cache").rglob("*.npy"))
    assert [mode(array) for array in arrays] == [0o600 if private else 0o644]


def test_a_file_just_begun_is_not_taken_for_one_left_behind(tmp_path, monkeypatch):
    """Another process may look between its opening and its lock."""
    real, looks = files.lock, []

    def lock(file):
        if not looks:
            looks.append(file)
            files.remove_left(tmp_path.glob(".*.tmp"))
        return real(file)

    monkeypatch.setattr(files, "lock", lock)
    write_atomic(tmp_path / "a", b"whole")
    assert (tmp_path / "a").read_bytes() == b"whole" and everything(tmp_path) == ["a"] and looks
