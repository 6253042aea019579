"""A run knows its data by more than a name: other images are told of, refused, or found again."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from support.files import put
from support.pictures import fill, noise
from support.runs import experiment, options, run, trainer

from minidraw import data
from minidraw.data import Dataset, Images
from minidraw.data.images import renumbered
from minidraw.errors import UserError
from minidraw.pages.run import Run
from minidraw.training import checkpoints
from minidraw.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("small_strokes")


def train(folder, *more) -> int:
    return run("train", *options(6, folder), *more)


def test_one_more_picture_is_told_of_and_ends_a_run(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "pictures", 60)
    assert train("run", "--data", "folder:pictures") == 0
    err = capsys.readouterr().err
    assert "images, 9x7, colour; values 0 to 1" in err
    assert checkpoints.load("run").experiment.train.data == f"folder:{tmp_path}/pictures"
    monkeypatch.chdir("/")  # from where "pictures" would be another folder
    assert run("evaluate", tmp_path / "run", "--threads", 1) == 0
    assert "not what this network was trained on" not in capsys.readouterr().err
    assert run("train", "--resume", "--out", tmp_path / "run", "--steps", 9, "--threads", 1) == 0
    noise(99).save(tmp_path / "pictures" / "more.png")
    capsys.readouterr()
    assert run("evaluate", tmp_path / "run", "--threads", 1) == 0
    assert "is not what this network was trained on: " in capsys.readouterr().err
    assert run("train", "--resume", "--out", tmp_path / "run", "--steps", 12, "--threads", 1) == 2
    assert "not those that this run was trained on (" in capsys.readouterr().err
    assert checkpoints.load(tmp_path / "run").state["step"] == 9


def test_a_folder_may_move_but_not_change(tmp_path, capsys):
    fill(tmp_path / "a", 60)
    assert train(tmp_path / "run", "--data", f"folder:{tmp_path / 'a'}") == 0
    shutil.move(tmp_path / "a", tmp_path / "b")
    again = ("--resume", "--out", tmp_path / "run", "--threads", 1)
    assert run("train", *again) == 2 and run("evaluate", tmp_path / "run") == 2
    assert capsys.readouterr().err.count("which is not there any more: say where it is, --data folder:PATH") == 2
    assert run("train", *again, "--steps", 9, "--data", f"folder:{tmp_path / 'b'}") == 0
    assert checkpoints.load(tmp_path / "run").experiment.train.data == f"folder:{tmp_path / 'b'}"
    fill(tmp_path / "c", 59)
    assert run("train", *again, "--steps", 12, "--data", f"folder:{tmp_path / 'c'}") == 2
    assert run("train", *again, "--steps", 12, "--data", f"folder:{tmp_path / 'b'}?grey=1") == 2
    err = capsys.readouterr().err
    assert "a resumed run keeps its data" in err
    assert run("train", "cluttered", *again, "--data", f"folder:{tmp_path / 'b'}") == 2
    assert f"the run in {tmp_path / 'run'} trains DRAW, not RAM" in capsys.readouterr().err


def test_data_that_a_program_gives_are_recorded_under_their_own_name(tmp_path, capsys):
    tiny = experiment(steps=6)
    strokes = data.load("strokes", seed=0)
    mine = Dataset("mine", strokes.valid, strokes.valid, strokes.test, note="mine")
    assert Trainer(tiny, tiny.build(threads=1), mine, tmp_path).run()
    assert checkpoints.load(tmp_path).experiment.train.data == "mine"
    assert json.loads((tmp_path / "config.json").read_text())["train"]["data"] == "mine"
    assert run("evaluate", tmp_path) == 2 and run("train", "--resume", "--out", tmp_path) == 2
    assert capsys.readouterr().err.count("is of 'mine', data that a program gave it: name a data set with --data") == 2
    assert run("evaluate", tmp_path, "--data", "strokes", "--threads", 1) == 0
    assert "strokes is not what this network was trained on: 45 training images, not 20" in capsys.readouterr().err
    with pytest.raises(UserError, match="a resumed run keeps its data"):
        Trainer(tiny, tiny.build(threads=1), strokes, tmp_path / "other").restore(checkpoints.load(tmp_path))


def test_config_page_and_picture_tell_what_was_trained_on(tmp_path):
    assert train(tmp_path / "run") == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["images"]["splits"]["train"]["images"] == 45 and config["images"]["classes"] == list("0123456789")
    assert len(Run(tmp_path / "run").images) == 3
    page = (tmp_path / "run" / "report.html").read_text()
    assert "training: 45 images, 28x28, grey" in page and "64 of the 45 training images" not in page
    with Image.open(tmp_path / "run" / "data.png") as picture:
        assert picture.info["Description"] == "45 of the 45 training images"
    for wrong in ({"splits": 3}, [], {"shape": [1, 2]}, {"shape": [1, 2, 3], "splits": {"odd": {}}, "remarks": []}):
        (tmp_path / "run" / "config.json").write_text(json.dumps(config | {"images": wrong}))
        assert run("report", tmp_path / "run") == 2


def test_old_checkpoints_still_open(tmp_path, capsys):
    of = trainer(tmp_path, steps=6)
    assert of.run()
    old = dataclasses.replace(checkpoints.load(tmp_path), data={})
    checkpoints.save(tmp_path / "checkpoint.npz", old)
    assert run("evaluate", tmp_path, "--threads", 1) == 0 and "not what" not in capsys.readouterr().err
    assert run("train", "--resume", "--out", tmp_path, "--steps", 9, "--threads", 1) == 0
    assert checkpoints.load(tmp_path).data["fingerprint"]["images"] == {"train": 45, "valid": 20, "test": 30}


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {"fingerprint": {"sha256": "x"}},
        {"fingerprint": {"sha256": 3, "images": {"train": 1, "valid": 1, "test": 1}, "shape": [1, 2, 3]}},
        {"fingerprint": {"sha256": "x", "images": {"train": "1", "valid": 1, "test": 1}, "shape": [1, 2, 3]}},
        {"preparation": {"size": [0, 1], "grey": True}},
        {"preparation": {"size": [1, 1], "grey": True, "more": 1}},
        {"preparation": {"size": [27, 28], "grey": True}},  # the network's is of 28x28
        {"classes": [1, 2]},
    ],
)
def test_what_a_file_says_of_the_data_is_not_trusted(tmp_path, wrong):
    of = trainer(tmp_path, steps=6)
    of.save()
    checkpoints.save(tmp_path / "checkpoint.npz", dataclasses.replace(checkpoints.load(tmp_path), data=wrong))
    with pytest.raises(UserError, match="is not a whole checkpoint"):
        checkpoints.load(tmp_path)


def stripes(folder, kinds, n: int = 25) -> None:
    for kind in kinds:
        for i in range(n):
            image = np.zeros((12, 12), np.uint8)
            k = i % 10
            if kind == "rows":
                image[k : k + 2] = 200 + i
            elif kind == "columns":
                image[:, k : k + 2] = 200 + i
            else:
                image[k : k + 3, 9 - k : 12 - k] = 200 + i
            Image.fromarray(image).save(put(folder / kind, f"{i}.png", b""))


def test_a_classifier_of_folders(tmp_path, capsys):
    """As many classes as folders; on other folders by the names of their classes, not by their numbers."""
    stripes(tmp_path / "a", ("rows", "columns", "blocks"))
    small = ("--set=glimpses=2", "--set=hidden_size=12", "--set=read_size=4", "--batch-size=16", "--threads=1")
    more = ("--set=learning_rate=0.01", "--set=warmup=0", "--set=clip=10", "--steps=150")
    assert (
        run("train", "cluttered", "--data", f"folder:{tmp_path / 'a'}", "--out", tmp_path / "run", *small, *more) == 0
    )
    checkpoint = checkpoints.load(tmp_path / "run")
    assert checkpoint.experiment.model.classes == 3 and checkpoint.data["classes"] == ["blocks", "columns", "rows"]
    capsys.readouterr()
    assert run("evaluate", tmp_path / "run", "--json", "--threads", 1) == 0
    all_three = json.loads(capsys.readouterr().out)
    assert all_three["classes"] == ["blocks", "columns", "rows"] and all_three["error"] < 0.2
    stripes(tmp_path / "b", ("rows", "columns"))
    arguments = ("--data", f"folder:{tmp_path / 'b'}", "--json", "--threads", 1)
    assert run("evaluate", tmp_path / "run", *arguments) == 0
    two = json.loads(capsys.readouterr().out)
    assert two["error"] < 0.2 and sum(two["confusion"][0]) == 0
    stripes(tmp_path / "b", ("blobs",))
    assert run("evaluate", tmp_path / "run", *arguments) == 2
    assert "classes that this network does not know: blobs; it knows blocks, columns, rows" in capsys.readouterr().err


def test_renumbered_labels_belong_to_a_copy():
    split = Images(np.zeros((4, 1, 2, 2), np.uint8), np.array([0, 1, 1, 0], np.uint8))
    own = Dataset("own", split, split, split, "", classes=("b", "a"))
    other = renumbered(own, ("a", "b", "c"))
    assert other.train.labels.tolist() == [1, 0, 0, 1] and split.labels.tolist() == [0, 1, 1, 0]
    assert renumbered(own, ("b", "a")) is own


def test_a_classifier_needs_labels_to_validate_with(tmp_path, capsys):
    images = np.random.default_rng(0).integers(0, 256, (40, 12, 12), np.uint8)
    np.savez(tmp_path / "x.npz", x_train=images, y_train=np.arange(40) % 3, x_val=images[:10])
    small = ("--set=glimpses=2", "--set=hidden_size=12", "--set=read_size=4", "--batch-size=16", "--threads=1")
    arguments = ("cluttered", "--data", f"folder:{tmp_path / 'x.npz'}", "--out", tmp_path / "run", *small)
    assert run("train", *arguments) == 2
    assert "has no labels for training and validation" in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_pictures_are_given_as_they_were_trained_on(tmp_path):
    """White icons on transparent ground: `--whole` fits the picture into the network's size, as for other networks."""
    for i in range(20):
        icon = np.full((20, 40, 4), 255, np.uint8)
        icon[..., 3] = 0
        icon[4:16, 5 + i : 15 + i, 3] = 255
        Image.fromarray(icon).save(put(tmp_path / "a", f"{i}.png", b""))
    name = f"folder:{tmp_path / 'a'}?size=16"
    assert train(tmp_path / "run", "--data", name) == 0
    trained = data.load(name)
    known = {
        image.tobytes()
        for split in (trained.train, trained.valid, trained.test)
        for image in split.batch(range(len(split)))
    }
    arguments = ("reconstruct", tmp_path / "run", tmp_path / "a" / "3.png", "--threads", 1, "--out")
    assert run(*arguments, tmp_path / "one.npz") == 0 and run(*arguments, tmp_path / "other.npz", "--whole") == 0
    one, other = (np.load(tmp_path / f"{each}.npz")["originals"] for each in ("one", "other"))
    assert one[0].tobytes() in known and other[0].tobytes() not in known


def test_a_moved_folder_keeps_its_options(tmp_path, capsys):
    fill(tmp_path / "a", 60)
    assert train(tmp_path / "run", "--data", f"folder:{tmp_path / 'a'}?size=8&grey=1") == 0
    shutil.move(tmp_path / "a", tmp_path / "b")
    assert run("train", "--resume", "--out", tmp_path / "run") == 2
    assert "--data 'folder:PATH?size=8x8&grey=1'" in capsys.readouterr().err
    again = ("--resume", "--out", tmp_path / "run", "--threads", 1, "--steps", 9)
    assert run("train", *again, "--data", f"folder:{tmp_path / 'b'}?size=8x8&grey=1") == 0
