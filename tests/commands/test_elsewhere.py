"""A run's folder from somebody else: what its files say is shown, and is no order to read, to wait, or to write."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from support.files import put
from support.pictures import fill
from support.runs import environment, options, run, save

from minidraw.data import cache_folder
from minidraw.data.folder.named import is_remembered
from minidraw.errors import UserError, harmless
from minidraw.files import open_regular, read_regular
from minidraw.pages import metrics, pictures
from minidraw.pages.run import Run
from minidraw.training import checkpoints

pytestmark = pytest.mark.usefixtures("small_strokes")

EVIL = "\x1b[31m\u202e<script>alert(1)<"  # colours, turned round, and markup
SECRET = b"SECRET of somebody's own"


@pytest.fixture
def foreign(here, trained):
    """A run's folder in the folder to work in, and a private file outside of it."""
    shutil.copytree(trained, here / "run")
    (here / "private").write_bytes(SECRET)
    return here / "run"


def pipe(path) -> None:
    os.mkfifo(path)


def device(path) -> None:
    os.symlink("/dev/zero", path)


def link(path) -> None:
    os.symlink(path.parents[1] / "private", path)


def gone(path) -> None:
    os.symlink(path.parents[1] / "nothing yet", path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
@pytest.mark.parametrize("trap", [pipe, device, link, gone])
@pytest.mark.parametrize(
    "name, commands",
    [
        ("config.json", ["report run", "compare run run"]),
        ("metrics.jsonl", ["report run", "compare run run", "figures run --rows 1", "train --resume --out run"]),
        ("checkpoint.npz", ["generate run", "evaluate run", "report run --draw", "train --resume --out run"]),
    ],
)
def test_what_is_no_file_of_the_folder_is_not_read(foreign, capsys, trap, name, commands):
    (foreign / name).unlink()
    trap(foreign / name)
    for command in commands:
        assert run(*command.split(), *(["--threads", 1] if "figures" in command else [])) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith("error: ") and ("it is no file" if trap is pipe else "it is a link") in line, line
    assert not (foreign.parent / "nothing yet").exists() and (foreign.parent / "private").read_bytes() == SECRET


def test_nothing_is_written_through_a_link(foreign, capsys):
    shutil.rmtree(foreign / "tensorboard", ignore_errors=True)
    (foreign.parent / "elsewhere").mkdir()
    os.symlink(foreign.parent / "elsewhere", foreign / "tensorboard")
    assert run("train", "--resume", "--out", foreign, "--steps", 22, "--threads", 1) == 2
    assert "tensorboard is a link" in capsys.readouterr().err and not os.listdir(foreign.parent / "elsewhere")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
@pytest.mark.parametrize("trap", [pipe, device, link])
def test_a_page_has_no_picture_from_outside_the_folder(foreign, trap):
    save(np.zeros((9, 9), np.uint8), name="seen.png")
    os.replace("seen.png", foreign.parent / "private")
    for name in ("samples.gif", "seen.png"):
        (foreign / name).unlink()
        trap(foreign / name)
    assert run("report", foreign) == 0 and run("compare", foreign, foreign, "--out", "both.html") == 0
    why = "it is no file" if trap is pipe else "it is a link"
    page = (foreign / "report.html").read_text()
    assert f"samples.gif cannot be read: {why}" in page and f"seen.png cannot be read: {why}" in page
    assert page.count("<img alt") == 3  # data.png, sheet.png, and the scale of a chart
    assert "<img alt" not in (foreign.parent / "both.html").read_text()


def test_what_the_user_names_may_be_a_link(foreign, capsys):
    os.symlink(foreign, "linked")
    assert run("report", "linked") == 0 and run("generate", "linked", "-n", 1, "--threads", 1) == 0
    shutil.move(foreign / "checkpoint.npz", "moved.npz")
    os.symlink("moved.npz", "linked.npz")
    assert run("generate", "linked.npz", "-n", 1, "--threads", 1) == 0


@pytest.mark.parametrize("name", ["samples.gif", "sheet.png", "seen.png", "data.png"])
def test_damaged_pictures_cost_no_page(foreign, monkeypatch, name):
    whole = (foreign / name).read_bytes()
    rng = np.random.default_rng(0)
    for most in (pictures.LARGEST_PICTURE, 100):
        monkeypatch.setattr(pictures, "LARGEST_PICTURE", most)
        for k in range(12):
            content = bytearray(whole[: rng.integers(8, len(whole))] if k % 2 else whole)
            for _ in range(20):
                content[rng.integers(6, min(len(content), 400))] = rng.integers(256)
            (foreign / name).write_bytes(content)
            assert run("report", foreign) == 0
    (foreign / name).write_bytes(SECRET)
    monkeypatch.setattr(pictures, "LARGEST_PICTURE", 1 << 20)
    assert run("report", foreign) == 0 and f"{name} is no picture" in (foreign / "report.html").read_text()


def test_what_is_too_large_is_not_read(foreign, monkeypatch, capsys):
    for name, most in (
        ("config.json", "minidraw.pages.run.LARGEST_CONFIG"),
        ("metrics.jsonl", "minidraw.pages.metrics.MOST"),
    ):
        with monkeypatch.context() as patch:
            size = (foreign / name).stat().st_size
            patch.setattr(most, size)
            assert run("report", foreign) == 0
            patch.setattr(most, size - 1)
            assert run("report", foreign) == 2
            assert f"it has {size:,} bytes, more than {size - 1:,}" in capsys.readouterr().err
    monkeypatch.setattr(pictures, "LARGEST_FILE", 99)
    assert run("report", foreign) == 0 and "samples.gif cannot be read: it has" in (foreign / "report.html").read_text()


def test_lines_and_numbers_without_measure(foreign):
    usual = (foreign / "metrics.jsonl").read_bytes()
    long = b'{"step": 1, "seconds": 1, "loss": 1' + b" " * metrics.LONGEST + b"}\n"
    many = b'{"step": 1, "seconds": 1, "latent_per_step": [' + b"0," * 65_536 + b"0]}\n"
    nested = b"[" * 100_000 + b"\n"
    (foreign / "metrics.jsonl").write_bytes(usual + long + many + nested + b"\n" * 1000)
    lines, damaged = metrics.read(foreign / "metrics.jsonl")
    assert len(lines) == usual.count(b"\n") and damaged == 1003
    huge = {"step": 10**30, "seconds": -1e99, "loss": 10**40, "latent_per_step": [10**30, 1.5, 0]}
    (foreign / "metrics.jsonl").write_text(json.dumps(huge) + "\n" + json.dumps(huge | {"step": -1}) + "\n")
    assert run("report", foreign) == 0
    (foreign / "config.json").write_text("[" * 500_000)
    with pytest.raises(UserError, match="cannot understand"):
        Run(foreign)


def test_a_moving_picture_of_endless_frames_is_not_cut(foreign, monkeypatch):
    monkeypatch.setattr(pictures, "LARGEST_PICTURE", (foreign / "samples.gif").stat().st_size - 1)
    assert run("report", foreign) == 0 and "The first" in (foreign / "report.html").read_text()
    pictures._parts.clear()
    monkeypatch.setattr(pictures, "MOST_PIXELS", 1 << 16)
    assert run("report", foreign) == 0 and "Here it stands still" in (foreign / "report.html").read_text()


def test_no_name_reaches_a_terminal_or_a_page_as_it_is(here, capsys):
    """Folders that are classes, pictures, runs and files of results are called what does a terminal harm."""
    folder = here / f"data{EVIL}"
    for i in range(24):
        picture = np.full((12, 12), 20 + 9 * i, np.uint8)
        picture[i // 2] = 255 - picture[i // 2]
        Image.fromarray(picture).save(put(folder / f"{'ab'[i % 2]}{EVIL}", f"{i}\x1b[2J\n.png", b""))
    small = (
        "--set=glimpses=2",
        "--set=hidden_size=6",
        "--set=read_size=3",
        "--batch-size=8",
        "--steps=3",
        "--threads=1",
    )
    assert run("train", "cluttered", "--data", f"folder:{folder}", "--out", "run", *small) == 0
    shutil.move("run", named := f"run{EVIL}")
    save(np.zeros((9, 9), np.uint8), name=f"{EVIL}.png")
    assert run("data", f"folder:{folder}", "--out", f"{EVIL}\n.png") == 0
    assert run("evaluate", named, "--threads", 1) == 0 and run("report", named) == 0
    assert run("compare", named, named, "--out", f"{EVIL}.html") == 0
    assert run("figures", named, "--out", EVIL, "--threads", 1) == 0
    put(folder / f"a{EVIL}", f"c{EVIL}.png", b"no picture")
    assert run("data", f"folder:{folder}") == 2
    told = "".join(capsys.readouterr())
    assert harmless(f"{EVIL}\n.png: ") in told and harmless(f"a{EVIL}") in told
    pages = (here / named / "report.html").read_text() + (here / f"{EVIL}.html").read_text()
    for text in (told, pages):
        assert "\x1b" not in text and "\u202e" not in text and "\\u202e" in text
    assert "<script>alert(1)" not in pages


def test_notes_and_results_are_lines_of_text(here, trained, capsys):
    save(np.zeros((9, 9), np.uint8), name="a.png")
    os.rename("a.png", f"{EVIL}.png")
    assert run("reconstruct", trained, f"{EVIL}.png", "--out", f"{EVIL}\n.gif", "--threads", 1) == 0
    out, err = capsys.readouterr()
    assert harmless(f"{EVIL}\n.gif") in out and harmless(f"{EVIL}.png: ") in err
    assert "\x1b" not in out + err and out.count("\n") == 1


def of(folder, name: str, data: dict | None = None) -> str:
    """Make a copy of a checkpoint that says it is of another data set; return its path."""
    checkpoint = checkpoints.load(folder)
    experiment = checkpoint.experiment.replace(data=name)
    changed = dataclasses.replace(checkpoint, experiment=experiment, data=checkpoint.data if data is None else data)
    checkpoints.save(folder.parent / "other" / "checkpoint.npz", changed)
    return str(folder.parent / "other")


def test_a_folder_that_only_a_file_names_is_not_read(here, monkeypatch, capsys):
    """A run of one's own goes on without more; not on another computer, nor of a folder that nobody has named."""
    fill(here / "mine", 40, size=(9, 7))
    assert run("train", *options(4, here / "run"), "--data", "folder:mine") == 0
    assert run("evaluate", "run", "--threads", 1) == 0
    assert run("train", "--resume", "--out", "run", "--steps", 5, "--threads", 1) == 0
    private = f"folder:{here / 'private'}"
    fill(here / "private", 41, size=(9, 7))
    capsys.readouterr()
    other = of(here / "run", private)
    commands = ["evaluate", "reconstruct", "figures", "interpolate --test", "report --draw", "train --resume --out"]
    for command in [*commands, "train --steps 3 --out new --init"]:
        assert run(*command.split(), other) == 2, command
        out, err = capsys.readouterr()
        assert out == "" and err.endswith(f"to use them, add --data {private}\n") and err.count("\n") == 1, err
    for known in ({}, {"fingerprint": 0}, {"fingerprint": None}):
        assert run("evaluate", of(here / "run", private, known)) == 2
    assert run("evaluate", of(here / "run", private), "--threads", 1, "--data", private) == 0
    assert run("evaluate", other, "--threads", 1) == 2, "it does not hold what the file says"
    assert not any(str(here) in path.name or "mine" in path.read_text() for path in cache_folder().rglob("*.named"))
    monkeypatch.setenv("MINIDRAW_CACHE", str(here / "another computer"))
    assert run("evaluate", "run", "--threads", 1) == 2
    assert run("evaluate", "run", "--threads", 1, "--data", "folder:mine") == 0
    assert run("evaluate", "run", "--threads", 1) == 0, "it has been named now"


@pytest.mark.parametrize("name", ["folder:/a\x1b[2J\u202e'; touch x '", "folder:/a\nb", "folder:/" + "y'" * 300])
def test_a_command_to_copy_is_whole(here, trained, capsys, name):
    """A name that cannot be shown as it is would be half of a quotation: what follows would be run by a shell."""
    shutil.copytree(trained, here / "run")
    assert run("evaluate", of(here / "run", name)) == 2
    assert capsys.readouterr().err.endswith("to use them, name the folder yourself, --data folder:PATH\n")
    assert run("evaluate", of(here / "run", "folder:/a b'c")) == 2
    assert capsys.readouterr().err.endswith("add --data 'folder:/a b'\"'\"'c'\n")


def test_a_name_and_its_content_make_a_mark(tmp_path):
    assert not is_remembered(tmp_path, "folder:\udcff", "")


def test_open_regular(tmp_path):
    path = put(tmp_path, "a", b"123")
    os.symlink(path, tmp_path / "b")
    assert read_regular(path, 3) == b"123" == read_regular(tmp_path / "b", 3, linked=True)
    for wrong, most in ((path, 2), (tmp_path / "b", 3), (tmp_path, 3), (tmp_path / "none", 3)):
        with pytest.raises(OSError):
            read_regular(wrong, most)
    with open_regular(tmp_path / "b", linked=True) as file:
        assert file.read() == b"123"


def test_a_command_shows_no_warning_of_a_library(here):
    code = "import warnings; from minidraw import cli; cli.run(lambda arguments: warnings.warn('of a library'))"
    for shown, flags in ((False, []), (True, ["-W", "default"])):
        command = [sys.executable, *flags, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment())
        assert done.returncode == 0 and ("of a library" in done.stderr) == shown, done.stderr
