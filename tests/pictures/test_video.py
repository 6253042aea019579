"""Videos: what goes in comes out, in a form that ordinary players play; one line where ffmpeg is missing."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from support.runs import SIZES, run

from minidraw.errors import UserError
from minidraw.pictures import writers

pytestmark = pytest.mark.usefixtures("small_strokes")


@pytest.fixture
def watch():
    """A function that returns a video's frames (n, rows, columns, 3) and what ffmpeg says of it; or skip the test."""
    reason = "imageio-ffmpeg is missing: pip install imageio-ffmpeg"
    program = pytest.importorskip("imageio_ffmpeg", reason=reason).get_ffmpeg_exe()

    def watch(path, rows: int, columns: int) -> tuple[np.ndarray, str]:
        command = [program, "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
        done = subprocess.run(command, capture_output=True, check=True)
        return np.frombuffer(done.stdout, np.uint8).reshape(-1, rows, columns, 3), done.stderr.decode()

    return watch


def test_a_video_is_what_was_drawn_with_the_last_held(watch, tmp_path):
    levels = (0, 90, 180, 255)
    frames = [np.full((21, 35, 3), level, np.uint8) for level in levels]  # odd by odd
    writers.write_video(tmp_path / "new" / "a.mp4", frames, fps=7.5, hold=0.8)
    assert os.listdir(tmp_path / "new") == ["a.mp4"]
    shown, facts = watch(tmp_path / "new" / "a.mp4", 22, 36)
    source = facts.partition("Output #0")[0]
    assert all(fact in source for fact in ("h264", "yuv420p", "36x22", "7.50 fps"))
    shown = shown[:, :20, :34].mean(axis=(1, 2, 3))
    np.testing.assert_allclose(shown, [0, 90, 180] + 6 * [255], atol=4)
    content = (tmp_path / "new" / "a.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # a browser can begin at once


@pytest.mark.parametrize("command", ["generate", "reconstruct", "interpolate"])
def test_commands_write_videos(watch, here, trained, capsys, command):
    assert run(command, trained, "-n", 2, "--out", "a.mp4", "--fps", 2) == 0
    size = re.match(r"a.mp4: .*, (\d+)x(\d+) pixels", capsys.readouterr().out)
    columns, rows = (int(side) + int(side) % 2 for side in size.groups())
    frames, _ = watch("a.mp4", rows, columns)
    assert len(frames) == SIZES["glimpses"] + 5 and os.listdir(here) == ["a.mp4"]  # empty, and 4 of what came out
    red, blue = np.moveaxis(frames[..., ::2].astype(int), -1, 0)
    boxed = (red > blue + 120).any(axis=(1, 2))
    assert boxed.tolist() == [False] + [True] * SIZES["glimpses"] + [False] * 4


@pytest.mark.parametrize("problem", ["no module", "no program"])
def test_without_ffmpeg_one_line_says_what_to_do(here, trained, capsys, monkeypatch, problem):
    broken = type(sys)("imageio_ffmpeg")

    def get_ffmpeg_exe():
        raise RuntimeError("No ffmpeg exe could be found.")

    broken.get_ffmpeg_exe = get_ffmpeg_exe
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None if problem == "no module" else broken)
    assert run("generate", trained, "--out", "a.mp4") == 2
    out, err = capsys.readouterr()
    assert (out, os.listdir(here)) == ("", [])
    assert err == "error: an .mp4 needs imageio-ffmpeg: pip install imageio-ffmpeg, or let the file end in .gif\n"


@pytest.mark.parametrize("fps, hold", [(0, 2), (float("nan"), 2), (500, 2), (10, -1), (10, 1e9)])
def test_a_pace_out_of_range_is_refused(tmp_path, fps, hold):
    with pytest.raises(UserError, match="fps must be"):
        writers.write_video(tmp_path / "a.mp4", [np.zeros((4, 4, 3), np.uint8)], fps, hold)


def test_an_ffmpeg_that_cannot_be_started_is_told_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(writers, "check_video", lambda: str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"cannot make .*a.mp4: No such file or directory; ask for"):
        writers.write_video(tmp_path / "a.mp4", [np.zeros((4, 4, 3), np.uint8)])
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="the stand-in for ffmpeg is a shell script")
def test_an_ffmpeg_that_fails_is_told_in_its_words(tmp_path, monkeypatch):
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho no such codec >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(writers, "check_video", lambda: str(program))
    with pytest.raises(UserError, match=r"could not make .*a.mp4: no such codec"):
        writers.write_video(tmp_path / "a.mp4", [np.zeros((400, 400, 3), np.uint8)] * 3)
    assert os.listdir(tmp_path) == ["ffmpeg"]
