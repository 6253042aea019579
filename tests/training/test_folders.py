"""The folder of a run: whose it is, which one is gone on with, on what machine, and what its config.json says."""

import dataclasses
import json
import os
import shutil

import numpy as np
import pytest
from support.files import everything, put, refusal
from support.pictures import fill
from support.runs import PACE, SIZES, assert_same_run, listing, options, run, trainer

from minidraw.presets import LONGEST, MOST_UPDATES
from minidraw.training import checkpoints
from minidraw.training.fit import fit
from minidraw.training.folders import check_name, edited, last_begun
from minidraw.training.record import FILES

pytestmark = pytest.mark.usefixtures("small_strokes")

IMAGES = np.random.default_rng(2).integers(0, 256, (60, 12, 11), np.uint8)
TINY = SIZES | PACE | {"threads": 1, "progress": False, "steps": 2}


def error(capsys) -> str:
    """Return the one line that a command has ended with."""
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1, err
    return err


@pytest.mark.parametrize("name", [name for name in FILES if name != "checkpoint.npz"])
def test_a_folder_with_somebody_s_file_of_a_run_s_name_is_left_alone(tmp_path, capsys, name):
    put(tmp_path / "run", name, b'{"name": "my application"}')
    before = listing(tmp_path)
    assert run("train", *options(2, tmp_path / "run")) == 2
    assert f"holds {name} of something else, which a run would overwrite: choose another folder" in error(capsys)
    assert "with out=" in refusal(fit, IMAGES, out=tmp_path / "run", **TINY)
    assert listing(tmp_path) == before


@pytest.mark.parametrize("config", [b"", b"[]", b"{}", b"\xff", b'{"network": 1, "model": {}, "train": {}}'])
def test_a_config_of_something_else_is_none_of_a_run(tmp_path, capsys, config):
    put(tmp_path / "run", "config.json", config)
    put(tmp_path / "run", "samples.gif", b"mine")
    assert run("train", *options(2, tmp_path / "run")) == 2
    assert "holds config.json, samples.gif of something else" in error(capsys)


def test_an_empty_folder_and_one_with_other_files_may_hold_a_run_too(tmp_path):
    (tmp_path / "empty").mkdir()
    put(tmp_path / "other", "notes.txt", b"mine")
    for folder in ("empty", "other"):
        assert run("train", *options(2, tmp_path / folder)) == 0
    assert (tmp_path / "other" / "notes.txt").read_bytes() == b"mine"


def test_a_run_that_ended_before_its_first_checkpoint_may_be_begun_again(tmp_path):
    assert run("train", *options(9, tmp_path / "straight")) == 0
    assert run("train", *options(9, tmp_path / "run")) == 0
    (tmp_path / "run" / "checkpoint.npz").unlink()
    assert run("train", *options(9, tmp_path / "run")) == 0
    assert_same_run(tmp_path / "run", tmp_path / "straight")


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[2Jb", "a\x00b", "a\u2028b", "a\udcffb", "s3://a/b", "https://a/b"])
def test_a_name_that_is_no_line_of_text_or_an_address_is_refused(here, name):
    line = refusal(fit, IMAGES, out=name, **TINY)
    assert ("is an address, not a folder" if ":" in name else "must be a line of text") in line
    assert line.isprintable() and everything(here) == []
    for good in ("a b", "ä", "二\u3000三", "\u200d", "'", "C:/a", "a:b", "👩\u200d🎨"):
        check_name(here / good, "--out")


ABSURD = [
    ("--out=s3://bucket/run", "is an address, not a folder of this machine"),
    ("--out=a\nb", "must be a line of text"),
    ("--out=a\x1b[2Jb", "must be a line of text"),
    ("--out=/dev/null", "/dev/null is no folder"),
    (f"--out={'x' * 300}", "too long"),
    ("--epochs=1e308", f"--epochs must be {LONGEST:.0e} or less"),
    ("--minutes=1e308", f"--minutes must be {LONGEST:.0e} or less"),
    ("--set=minutes=1e308", f"minutes must be {LONGEST:.0e} or less"),
    (f"--steps={10**30}", f"steps must be {MOST_UPDATES:,} or less"),
    (f"--set=log_every={10**30}", f"log_every must be {MOST_UPDATES:,} or less"),
    (f"--set=warmup={10**30}", f"warmup must be {MOST_UPDATES:,} or less"),
]


@pytest.mark.parametrize("option, complaint", ABSURD)
def test_what_is_absurd_is_told_in_a_line(here, capsys, option, complaint):
    chosen = [f"--set={name}={value}" for name, value in SIZES.items()] + ["--batch-size=8"]
    assert run("train", option, *chosen) == 2
    assert complaint in error(capsys) and everything(here) == []


def test_what_is_odd_but_possible_works(here):
    for k, odd in enumerate([f"--seed={10**40}", "--threads=1000000000", f"--set=checkpoint_every={MOST_UPDATES}"]):
        assert run("train", *options(2, f"run{k}"), odd) == 0
    assert checkpoints.load("run0").experiment.train.seed == 10**40


def test_images_in_a_folder_whose_name_is_no_text(here):
    name = os.fsdecode(b"images\xff")
    try:
        os.mkdir(name)
    except OSError:
        pytest.skip("this file system takes no such names")
    fill(here / name, 40)
    assert run("train", f"--data=folder:{name}", *options(2, "run")) == 0
    assert checkpoints.load("run").experiment.train.data == f"folder:{here / name}"
    assert run("evaluate", "run", "--threads=1") == 0
    assert run("train", "--resume", "--out=run", "--steps=3", "--threads=1") == 0


def begun(base, *numbers) -> None:
    """Make folders of runs, named as if they had begun in their order, and changed in the opposite one."""
    for k, number in enumerate(numbers):
        folder = base.with_name(f"{base.name}{f'-{number}' if number > 1 else ''}")
        os.utime(put(folder, "checkpoint.npz", b""), (10**9 - k, 10**9 - k))


def test_the_run_begun_last_is_gone_on_with_whenever_it_was_copied(tmp_path):
    begun(tmp_path / "mnist", 1, 2, 10, 9)
    begun(tmp_path / "mnist-small", 3)
    put(tmp_path / "mnist-x", "checkpoint.npz", b"")
    chosen, others = last_begun(tmp_path / "mnist")
    assert chosen.name == "mnist-10" and [other.name for other in others] == ["mnist", "mnist-2", "mnist-9"]


def test_which_one_it_is_is_said(here, capsys):
    for folder in ("runs/strokes", "runs/strokes-2"):
        assert run("train", *options(2, folder)) == 0
    (here / "runs" / "strokes" / "checkpoint.npz").touch()
    capsys.readouterr()
    assert run("train", "--resume", "--steps=4", "--threads=1") == 0
    said = "going on with runs/strokes-2; before it were begun runs/strokes: --out names another"
    assert capsys.readouterr().err.splitlines()[0] == said
    assert [checkpoints.load(f"runs/strokes{n}").state["step"] for n in ("", "-2")] == [2, 4]
    shutil.rmtree("runs/strokes-2")
    assert run("train", "--resume", "--steps=5", "--threads=1") == 0
    assert capsys.readouterr().err.splitlines()[0] == "going on with runs/strokes"


def edit(folder, **changes) -> None:
    """Edit config.json as somebody might by hand."""
    config = json.loads((folder / "config.json").read_text())
    for name, value in changes.items():
        part = next(config[part] for part in ("model", "train") if name in config[part])
        part[name] = value
    (folder / "config.json").write_text(json.dumps(config))


def test_what_was_edited_in_config_json_is_told_and_the_checkpoint_counts(tmp_path, capsys):
    folder = tmp_path / "run"
    assert run("train", *options(7, folder)) == 0
    edit(folder, learning_rate=0.5, steps=99, enc_size=11)
    capsys.readouterr()
    assert run("train", "--resume", f"--out={folder}", "--threads=1", "--set=log_every=2") == 0
    first = capsys.readouterr().err.splitlines()[0]
    assert first.startswith(f"note: {folder / 'config.json'} is not as the checkpoint, whose settings count: ")
    for words in (
        "enc_size is 11 there, 7 here",
        "learning_rate is 0.5 there, 0.003 here",
        "steps is 99 there, 7 here",
    ):
        assert words in first
    assert first.endswith("; ask for it with --set steps=99")
    assert checkpoints.load(folder).state["step"] == 7
    edit(folder, steps=9, learning_rate=0.5)
    assert run("train", "--resume", f"--out={folder}", "--threads=1", "--steps=9") == 0
    err = capsys.readouterr().err
    assert "steps is" not in err and err.splitlines()[0].endswith("; only a new run can have others")
    assert run("train", "--resume", f"--out={folder}", "--threads=1", "--steps=11") == 0
    assert "note" not in capsys.readouterr().err, "it has been written anew"
    fit("strokes", out=folder, resume=True, threads=1, steps=12)
    assert "note" not in capsys.readouterr().err


@pytest.mark.parametrize("config", [None, b"", b"[1]", b'{"network": "draw", "model": {}, "train": {"later": 1}}'])
def test_a_config_that_says_nothing_is_no_other(tmp_path, config):
    if config is not None:
        put(tmp_path, "config.json", config)
    assert edited(tmp_path, trainer(tmp_path / "run").experiment) == ""


def resumed(folder, capsys, *more) -> str:
    """Go on with a run by a step and return what was said of the machine."""
    capsys.readouterr()
    step = checkpoints.load(folder).state["step"]
    assert run("train", "--resume", f"--out={folder}", f"--steps={step + 1}", *more) == 0
    return "\n".join(line for line in capsys.readouterr().err.splitlines() if "last digits" in line)


def on_machine(folder, **changes) -> None:
    """Let a checkpoint say it comes from another machine."""
    found = checkpoints.load(folder)
    checkpoints.save(folder / "checkpoint.npz", dataclasses.replace(found, machine=found.machine | changes))


def test_a_run_goes_on_with_as_many_threads_as_before(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "run"
    monkeypatch.setattr("minidraw.training.plan.cores", lambda: 4)
    assert run("train", *options(2, folder, batch_size=16), "--threads=3") == 0
    assert checkpoints.load(folder).machine["threads"] == 3
    assert resumed(folder, capsys).startswith("going on with threads 3, as before: with all 4 the last digits would")
    assert checkpoints.load(folder).machine["threads"] == 3
    assert resumed(folder, capsys, "--threads=3") == "", "it was asked for"
    assert "goes on with threads 2, but began with threads 3: " in resumed(folder, capsys, "--threads=2")
    assert resumed(folder, capsys, "--threads=2") == ""
    on_machine(folder, threads=4)
    assert resumed(folder, capsys) == "", "it has all cores"
    on_machine(folder, threads=5)
    monkeypatch.setattr("minidraw.model.network.cores", lambda: 4)
    assert "goes on with threads 4, but began with threads 5: " in resumed(folder, capsys)


def test_another_machine_is_told(tmp_path, capsys):
    folder = tmp_path / "run"
    assert run("train", *options(2, folder)) == 0
    machine = checkpoints.load(folder).machine
    assert machine["ranks"] == 1 and machine["backend"] == "numpy" and machine["dtype"] == "float32"
    on_machine(folder, ranks=3, backend="cupy", numpy="2.0.0\n\x1b[2J", minidraw="0.1.9")
    said = resumed(folder, capsys, "--threads=1")
    assert "goes on with ranks 1, backend numpy, numpy " in said and said.isprintable()
    assert "but began with ranks 3, backend cupy, numpy 2.0.0" in said and "minidraw" not in said


@pytest.mark.parametrize("machine", [{}, {"threads": "many"}, {"threads": -1}, {"threads": True}, {"later": [1]}])
def test_a_checkpoint_may_say_anything_of_its_machine_or_nothing(tmp_path, capsys, machine):
    folder = tmp_path / "run"
    assert run("train", *options(2, folder)) == 0
    found = checkpoints.load(folder)
    checkpoints.save(folder / "checkpoint.npz", dataclasses.replace(found, machine=machine))
    resumed(folder, capsys)
    assert checkpoints.load(folder).machine["ranks"] == 1
