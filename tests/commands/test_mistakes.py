"""A user's mistakes: one line each, exit status 2, nothing left behind."""

import argparse
import importlib
import importlib.util
import os
import shlex
import subprocess
import sys
import warnings
import zlib

import numpy as np
import pytest
from support.runs import COMMANDS, SIZES, environment, listing, run, save, spawn

from minidraw import data

pytestmark = pytest.mark.usefixtures("small_strokes")

HUGE = "999999999999999999999"
NO_GPU = importlib.util.find_spec("cupy") is None
TINY = [f"--set={name}={value}" for name, value in SIZES.items()]

ENDINGS = "a file for drawings must end in .gif, .mp4, .webp, .apng, .png, .svg, .npy or .npz"

# (command line, a part of the one line about it); RUN stands for a run's folder
MISTAKES = [
    # report and compare
    ("report", "the following arguments are required: RUN"),
    ("report none", "there is no run in none"),
    ("report FILE", "there is no run in FILE"),
    ("report none --draw", "there is no checkpoint none/checkpoint.npz"),
    ("compare RUN", "two runs or more"),
    ("compare RUN none", "there is no run in none"),
    ("compare RUN RUN --out both.png", "let it end in .html"),
    ("compare RUN RUN --out FILE/both.html", "cannot write FILE/both.html"),
    # train
    ("train stroke", "unknown preset 'stroke'; did you mean 'strokes'?"),
    ("train strokes more", "unrecognized arguments: more"),
    ("train --fast", "unrecognized arguments: --fast"),
    ("train folder:EMPTY", "is no preset; if it names data, write --data folder:EMPTY"),
    ("train --data-dir EMPTY", "reads no official files: leave --data-dir EMPTY out; for your own images write --data"),
    ("train --data folder:EMPTY --data-dir EMPTY", "folder:EMPTY reads no official files: leave --data-dir EMPTY out"),
    ("train --data binarised_mnist", "did you mean 'binarized_mnist'?"),
    ("train --set glimses=3", "did you mean 'glimpses'?"),
    ("train --set glimpses", "--set takes key=value"),
    ("train --set glimpses=many", "glimpses takes a whole number"),
    ("train --set learning_rate=fast", "learning_rate takes a number"),
    ("train --set learning_rate=nan", "learning_rate must be a finite number"),
    ("train --set clip=-1", "clip must be"),
    ("train --set beta1=1", "beta1 must be below 1"),
    ("train --set decay_from=2", "decay_from must be between 0 and 1"),
    ("train --set read_size=1", "read_size must be a whole number of 2 or more"),
    ("train --set image_shape=1,28", "image_shape must be three integers"),
    ("train --set image_shape=3,28,28", "the network is for images of (3, 28, 28)"),
    ("train --set glimpses=0", "glimpses must be"),
    (f"train --set enc_size={HUGE}", "too large"),
    (f"train --set glimpses={HUGE}", "too large"),
    ("train --steps 0", "steps must be 1 or more, not 0"),
    ("train --steps -3", "steps must be 1 or more, not -3"),
    ("train --steps 1.5", "invalid int value: '1.5'"),
    ("train --steps", "expected one argument"),
    ("train --steps 5 --minutes 1", "not allowed with argument"),
    ("train --epochs nan", "--epochs must be a finite number of more than 0"),
    ("train --epochs inf", "--epochs must be"),
    ("train --epochs -1", "--epochs must be"),
    ("train --minutes 0", "--minutes must be"),
    ("train --minutes soon", "invalid float value"),
    ("train --batch-size 0", "batch_size must be 1 or more"),
    (
        "train --batch-size 46",
        "batch_size 46 is more than the 45 training images of strokes: give a batch size of 45 or less",
    ),
    ("train --seed -1", "seed must be 0 or more"),
    ("train --threads 0", "must be a whole number of 1 or more"),
    ("train --threads two", "must be a whole number of 1 or more"),
    ("train --backend torch", "unknown backend 'torch'"),
    pytest.param("train --backend cupy", "needs CuPy", marks=pytest.mark.skipif(not NO_GPU, reason="CuPy is here")),
    ("train --data binarized_mnist --data-dir none", "there is no data folder none"),
    ("train --data mnist", "downloading is off"),
    ("train --out ''", "argument --out: must not be empty; leave the option out for its default"),
    ("train --data ''", "argument --data: must not be empty"),
    ("train --data-dir ''", "argument --data-dir: must not be empty"),
    ("train --set steps=0 --steps 6", "--steps and --set steps decide on the same: leave one of them out"),
    ("train --set minutes=1 --steps 6", "--steps and --set minutes decide"),
    ("train --set steps=9 --epochs 2", "--epochs and --set steps decide"),
    ("train --set minutes=1 --epochs 2", "--epochs and --set minutes decide"),
    ("train --set minutes=1 --minutes 2", "--minutes and --set minutes decide"),
    ("train --set batch_size=9 --batch-size 8", "--batch-size and --set batch_size decide"),
    ("train --set seed=1 --seed 1", "--seed and --set seed decide"),
    ("train --set data=mnist --data strokes", "--data and --set data decide"),
    ("train --out FILE", "FILE is no folder: choose another one with --out"),
    ("train --out FILE/deeper", "cannot make FILE/deeper: Not a directory"),
    ("train --out RUN", "holds a run already: add --resume"),
    ("train --resume", "no run of strokes in runs to resume"),
    ("train --resume --out none", "there is no checkpoint none/checkpoint.npz"),
    ("train --resume --out RUN --batch-size 9", "has batch_size=8, not 9"),
    ("train --resume --out RUN --seed 1", "has seed=0, not 1"),
    ("train --resume --out RUN --set enc_size=8", "has enc_size=7, not 8"),
    ("train --resume --out RUN --data mnist", "has data=strokes, not mnist"),
    # all that read a checkpoint
    *(
        (f"{command} none.npz", "there is no checkpoint none.npz")
        for command in ("generate", "reconstruct", "evaluate")
    ),
    *((f"{command} FILE", "FILE is not a whole checkpoint") for command in ("generate", "reconstruct", "evaluate")),
    *((f"{command} EMPTY", "there is no checkpoint") for command in ("generate", "reconstruct", "evaluate")),
    *((f"{command}", "required: checkpoint") for command in ("generate", "reconstruct", "evaluate")),
    *(
        (f"{command} RUN --threads 0", "whole number of 1 or more")
        for command in ("generate", "reconstruct", "evaluate")
    ),
    *((f"{command} RUN --backend cuda", "did you mean") for command in ("generate", "reconstruct", "evaluate")),
    *((f"{command} RUN --seed -1", "whole number of 0 or more") for command in ("generate", "reconstruct", "evaluate")),
    # generate
    ("generate RUN -n 0", "argument -n: must be a whole number of 1 or more, not '0'"),
    ("generate RUN -n -5", "argument -n: must be"),
    ("generate RUN -n ten", "argument -n: must be"),
    ("generate RUN -n 1000000000", "too much for one picture"),
    ("generate RUN --scale 100000", "too much for one picture"),
    ("generate RUN --out a.avi", f"{ENDINGS}, not '.avi': a.avi"),
    ("generate RUN --out a", ENDINGS),
    ("generate RUN --out .gif", ENDINGS),
    ("generate RUN --out a.mp4 --strip", "let the file end in .png or .svg"),
    ("generate RUN --strip", "let the file end in .png or .svg"),
    ("generate RUN --out a.npz --strip", "a strip is a still picture: let the file end in .png or .svg, not .npz"),
    ("generate RUN --latents", "latents are numbers: let the file end in .npy, not .gif"),
    ("generate RUN --out a.pt", ".npy or .npz, not '.pt': a.pt"),
    ("generate RUN --out .npy", f"{ENDINGS}, not 'nothing'"),
    (
        "generate RUN --out a.npy -n 1000000000",
        "are more than 268,435,456 numbers, too much for one file: ask for less",
    ),
    ("generate RUN --out FILE/a.npz", "cannot write FILE/a.npz"),
    ("generate RUN --out FOLDER.npy", "cannot write FOLDER.npy: Is a directory"),
    ("reconstruct RUN --out FILE/a.npy", "cannot write FILE/a.npy"),
    ("interpolate RUN --latents --morph", "latents are numbers"),
    ("interpolate RUN --out a.npz --steps 100000000", "too much for one file"),
    ("generate RUN --fps 0", "fps must be 0.1 or more"),
    ("generate RUN --fps nan", "fps must be 0.1 or more"),
    ("generate RUN -n 2 --columns 100000", "a picture of 3000002x32 pixels is too large: ask for other columns"),
    ("generate /dev/null", "cannot read /dev/null: it is no file"),
    ("train --data EMPTY", "for the images in it write 'folder:EMPTY'"),
    ("generate RUN --columns 0", "argument --columns: must be"),
    ("generate RUN -n 3000 --columns 1 --scale 1", "is too large"),
    ("generate RUN -n 600 --columns 1 --scale 1 --out a.webp", "for .webp, which holds 16,383 a side: ask for"),
    *(
        (f"{command} RUN --out ''", "argument --out: must not be empty")
        for command in ("generate", "figures", "compare")
    ),
    ("generate RUN --out FILE/a.gif", "cannot write FILE/a.gif"),
    ("generate RUN --out FOLDER.gif", "cannot write FOLDER.gif"),
    ("generate RUN more", "unrecognized arguments: more"),
    # reconstruct
    ("reconstruct RUN none.png", "cannot read the picture none.png: No such file"),
    ("reconstruct RUN FILE", "cannot read the picture FILE"),
    ("reconstruct RUN EMPTY", "cannot read the picture EMPTY: Is a directory"),
    ("reconstruct RUN PIPE", "cannot read the picture PIPE: it is no file"),
    ("reconstruct RUN PIPE --whole", "cannot read the picture PIPE: it is no file"),
    ("reconstruct RUN /dev/zero", "cannot read the picture /dev/zero: it is no file"),
    ("interpolate RUN good.png PIPE", "cannot read the picture PIPE: it is no file"),
    ("generate PIPE", "cannot read PIPE: it is no file"),
    ("reconstruct RUN good.png cut.png", "cannot read the picture cut.png"),
    ("reconstruct RUN bomb.png", "cannot read the picture bomb.png"),
    ("reconstruct RUN vast.png", "unpacked it has more than 89,478,485 pixels; make it smaller"),
    ("reconstruct RUN good.png -n 3", "give either them or pictures"),
    ("reconstruct RUN good.png --data strokes", "give either them or pictures"),
    ("reconstruct RUN -n 31", "-n 31 is more than the 30 images of the test set"),
    ("reconstruct RUN -n 0", "argument -n: must be"),
    ("reconstruct RUN --out a.jpg", ENDINGS),
    ("reconstruct RUN --data stroke", "did you mean 'strokes'"),
    ("reconstruct RUN --data small", "the images of small are (1, 4, 3), but this network is for (1, 28, 28)"),
    # interpolate
    ("interpolate none.npz", "there is no checkpoint none.npz"),
    ("interpolate RUN -n 1", "something between two images or more, not 1"),
    ("interpolate RUN --steps 1", "argument --steps: must be a whole number of 2 or more"),
    ("interpolate RUN --morph --out a.png", "let the file end in .gif, .mp4, .webp or .apng, not .png"),
    ("interpolate RUN --morph --out a.avi", ENDINGS),
    ("interpolate RUN --morph -n 2 --steps 9 --scale 300", "16 pictures at a scale of 300 are too much"),
    ("interpolate RUN --morph --steps 100000 --scale 1", "too much for one"),
    ("interpolate RUN --morph --fps 0", "fps must be 0.1 or more"),
    ("interpolate RUN good.png good.png -n 3", "give either them or pictures"),
    ("interpolate RUN --data stroke", "did you mean 'strokes'"),
    ("interpolate RUN --test -n 31", "-n 31 is more than the 30 images of the test set"),
    ("interpolate RUN --steps 100000000", "too much for one picture"),
    # figures
    ("figures RUN --rows 1000000", "--rows 1000000 are too many for one sheet: ask for less"),
    ("figures RUN --rows 0", "argument --rows: must be a whole number of 1 or more"),
    # evaluate
    ("evaluate RUN --samples 0", "argument --samples: must be"),
    ("evaluate RUN --samples many", "argument --samples: must be"),
    ("evaluate RUN --split train", "invalid choice: 'train'"),
    ("evaluate RUN --data small", "the images of small are (1, 4, 3), but this network is for (1, 28, 28)"),
    ("evaluate RUN --data strokes,mnist", "unknown data set"),
    ("evaluate RUN --data mnist --data-dir none", "there is no data folder none"),
]


@pytest.fixture
def traps(here, monkeypatch):
    """Files to stumble over, and a data set of small images."""
    (here / "FILE").write_text("<html>not what you want</html>\n")
    (here / "EMPTY").mkdir()
    os.mkfifo(here / "PIPE")
    (here / "FOLDER.gif").mkdir()
    (here / "FOLDER.npy").mkdir()
    save(np.zeros((5, 5), np.uint8), name="good.png")
    save(np.random.default_rng(0).integers(0, 256, (50, 50), np.uint8), name="cut.png")
    (here / "cut.png").write_bytes((here / "cut.png").read_bytes()[:1500])

    def claim(name, side):  # a small file that claims to be a picture of side x side pixels
        good = (here / "good.png").read_bytes()
        size = good[12:16] + side.to_bytes(4, "big") * 2 + good[24:29]
        (here / name).write_bytes(good[:12] + size + zlib.crc32(size).to_bytes(4, "big") + good[33:])

    claim("bomb.png", 100_000)
    claim("vast.png", 9_500)
    split = data.Images(np.zeros((3, 1, 4, 3), np.uint8))
    small = data.Dataset("small", split, split, split, note="")
    monkeypatch.setitem(data._LOADERS, "small", lambda places, seed: small)


@pytest.mark.parametrize("line, complaint", MISTAKES, ids=lambda text: text.replace("/", "|"))
def test_a_mistake_ends_with_one_line_and_leaves_nothing_behind(here, trained, traps, capfd, line, complaint):
    before, of_run = listing(here), listing(trained)
    command, *arguments = shlex.split(line.replace("RUN", str(trained)))
    if command == "train" and "--resume" not in arguments:
        arguments += TINY[: 0 if "--set" in arguments else None] + (
            [] if "--batch-size" in line else ["--batch-size=8"]
        )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        status = run(command, *arguments)
    out, err = capfd.readouterr()
    assert (status, out) == (2, ""), (status, out, err)
    assert err.startswith("error: ") and err.count("\n") == 1 and err.endswith("\n"), err
    assert complaint in err and len(err) < 500
    assert listing(here) == before and listing(trained) == of_run


@pytest.mark.parametrize("line", ["--fps 0", "--fps 500 --out a.mp4", "--scale 999999", "--columns 99999"])
def test_what_cannot_be_written_is_not_drawn(here, trained, monkeypatch, capsys, line):
    monkeypatch.setattr("minidraw.model.draw.DRAW.draw", lambda *_: pytest.fail("drawn before it is checked"))
    monkeypatch.setattr("minidraw.pictures.saving.check_video", lambda: "")
    assert run("generate", trained, *line.split()) == 2 and capsys.readouterr().err.startswith("error: ")


def test_there_are_many_mistakes_to_make():
    assert len(MISTAKES) > 80


@pytest.mark.parametrize(
    "command, arguments",
    [
        ("train", ["--threads=0"]),
        ("generate", ["none.npz"]),
        ("reconstruct", ["--new\nline"]),
        ("evaluate", ["checkpoint.npz"]),
    ],
)
def test_a_mistake_in_a_process_of_its_own(here, command, arguments):
    (here / "checkpoint.npz").write_bytes(b"PK\x03\x04" + bytes(100))
    process = spawn(command, *arguments)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "") and err.startswith("error: ") and err.count("\n") == 1, err
    assert os.listdir(here) == ["checkpoint.npz"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_defaults_and_fits_a_screen(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert run(command, "--help") == 0
    out, err = capsys.readouterr()
    lines, words = out.splitlines(), " ".join(out.split())
    assert err == "" and out.startswith(f"usage: python -m minidraw.{command}")
    assert len(lines) <= 40 and max(map(len, lines)) <= 80
    assert "(default: None)" not in words and "(default: False)" not in words
    assert ("(default: numpy)" in words) == (command not in ("compare", "data"))
    for action in importlib.import_module(COMMANDS[command].__module__).parser()._actions:
        if action.default not in (None, False, [], argparse.SUPPRESS):
            assert f"{action.help} (default: {action.default})" in words


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_line_starts_as_a_module(command):
    result = subprocess.run(
        [sys.executable, "-m", f"minidraw.{command}", "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
    )
    assert result.returncode == 0 and result.stderr == "" and f"python -m minidraw.{command}" in result.stdout
