"""Anybody's images: options, splits, changes, and what is no data set."""

import os

import numpy as np
import pytest
from PIL import Image
from support.files import everything, put, refusal
from support.pictures import IMAGES, N, assert_same_images, fill, load, noise, pixels, sizes

from minidraw import data
from minidraw.data.folder import listing, splits
from minidraw.data.folder import options as folder_options


def test_a_changed_folder_is_read_again(tmp_path, cache):
    images = fill(tmp_path / "a")
    first = pixels(load(tmp_path / "a"))
    Image.fromarray(images[3][::-1]).save(tmp_path / "a" / "003.png")
    os.utime(tmp_path / "a" / "003.png", ns=(5, 5))
    images[3] = images[3][::-1]
    assert (pixels(load(tmp_path / "a")) != first).any()
    assert_same_images(load(tmp_path / "a"), images)
    (tmp_path / "a" / "022.png").unlink()
    assert len(pixels(load(tmp_path / "a"))) == N - 1
    assert len(list((cache / "folder").glob("*.npy"))) == 1  # the same folder's earlier state is not kept
    put(tmp_path / "a", "notes.txt", b"")
    assert "left out: 1 .txt" in load(tmp_path / "a").remarks


def of_split(dataset) -> dict[bytes, str]:
    found = {}
    for name in ("train", "valid", "test"):
        split = getattr(dataset, name)
        found |= {image.tobytes(): name for image in split.batch(np.arange(len(split)))}
    return found


def test_more_images_move_no_other_to_another_split(tmp_path):
    """Names do not matter either: what is held out stays held out."""
    fill(tmp_path / "a", 200)
    before = of_split(load(tmp_path / "a"))
    assert set(before.values()) == {"train", "valid", "test"} and 130 < list(before.values()).count("train") < 185
    for i in range(200, 260):
        noise(i).save(tmp_path / "a" / f"{999 - i}b.png")
    os.rename(tmp_path / "a" / "007.png", tmp_path / "a" / "new name.png")
    after = of_split(load(tmp_path / "a"))
    assert len(after) == 260 and {image: after[image] for image in before} == before
    np.save(tmp_path / "a.npy", IMAGES)
    short = of_split(load(tmp_path / "a.npy"))
    np.save(tmp_path / "b.npy", np.concatenate([noisy(50), IMAGES[::-1]]))
    long = of_split(load(tmp_path / "b.npy"))
    moved = [image for image in short if long[image] != short[image]]
    assert len(moved) <= 2, "of few images the nearest are held out, which others may replace"


def noisy(n: int) -> np.ndarray:
    return np.random.default_rng(9).integers(0, 256, (n, *IMAGES.shape[1:]), np.uint8)


def test_copies_stay_in_one_split(tmp_path):
    fill(tmp_path / "a", 60)
    for i in range(60):
        noise(i).save(tmp_path / "a" / f"copy of {i}.png")
    dataset = load(tmp_path / "a")
    assert sum(sizes(dataset)) == 120 and len(of_split(dataset)) == 60
    for name in ("train", "valid", "test"):
        assert len(getattr(dataset, name)) == 2 * list(of_split(dataset).values()).count(name)
    assert not any("copies" in remark for remark in dataset.remarks)


def test_splits_and_classes_of_folders(tmp_path):
    for split, n in (("train", 14), ("val", 5), ("Testing", 7)):
        for k, kind in enumerate(("10", "9")):
            fill(tmp_path / "a" / split / kind, n, size=(9 + k, 7))
    dataset = load(tmp_path / "a", "?size=9x7")
    assert sizes(dataset) == [28, 10, 14] and dataset.classes == ("9", "10"), "numbers in their order"
    wide = pixels(load(tmp_path / "a", "?size=10x7&fit=pad"))
    assert len(wide) == 52 and "splits: as they were found" in dataset.remarks
    for name in ("train", "valid", "test"):
        split = getattr(dataset, name)
        assert np.bincount(split.labels).tolist() == [len(split) / 2] * 2
    assert any("copies of training images" in remark for remark in dataset.remarks)  # fill writes the same noise
    assert "splits by folders: Testing is test, train is train, val is valid" in dataset.remarks
    fill(tmp_path / "a" / "other", 3)
    assert "Testing is called like a split, but what is other, train, val?" in refusal(
        load, tmp_path / "a", "?size=9x7"
    )
    mixed = load(tmp_path / "a", "?size=9x7&splits=0")
    assert mixed.classes == ("Testing", "other", "train", "val") and len(pixels(mixed)) == 55


def told(*names: str, splits=None):
    found = listing.told_by_folders(list(names), splits)
    return found.splits.tolist(), found.classes


def test_what_folders_tell():
    archive = told("data/train/cat/1", "data/train/dog/1", "data/test/cat/2")
    assert archive == ([0, 0, 2], ["cat", "dog", "cat"]), "a folder around all the others tells nothing"
    assert told("train/cat/1", "train/dog/1") == ([-1, -1], ["cat", "dog"])
    twice = told("training_set/training_set/cats/1", "training_set/training_set/dogs/1", "test_set/test_set/cats/1")
    assert twice == ([0, 0, 2], ["cats", "dogs", "cats"])
    tiny = told("train/n1/images/1", "train/n2/images/1", "val/images/1", "test/images/1")
    assert tiny == ([0, 0, 1, 2], ["n1", "n2", None, None])
    assert told("cat/1", "dog/1", "preview") == ([-1] * 3, ["cat", "dog", None])
    assert told("a/1", "2", "3") == ([-1] * 3, [None] * 3)
    assert told("car/1", "train/2", "bus/3", splits=False) == ([-1] * 3, ["car", "train", "bus"])
    assert told("1", "2") == ([-1] * 2, [None] * 2)
    intel = told("seg_train/seg_train/sea/1", "seg_train/seg_train/ice/1", "seg_test/seg_test/sea/1")
    assert intel == ([0, 0, 2], ["sea", "ice", "sea"])
    assert told("DIV2K_train_HR/1", "DIV2K_valid_HR/1")[0] == [0, 1]
    assert told("a/train/1", "a/test/1", "b/train/1", splits=False)[1] == ["a", "a", "b"]
    for names, what in [
        (("car/1", "train/2", "bus/3"), "train is called like a split, but what is bus, car?"),
        (("train/1", "train_masks/1"), "but what is train_masks?"),
        (("train/1", "test1/1", "3"), "but what is the pictures beside them, train?"),
        (("train/1", "train2017/1", "val2017/1"), "train is called like a split, but what is train2017, val2017?"),
        (("val/1", "test/1"), "but none is train?"),
        (("trainA/1", "trainB/1", "testA/1"), "testA is called like a split, but what is trainA, trainB?"),
        (("seg_train/1", "seg_test/1", "seg_pred/1"), "seg_test is called like a split, but what is seg_pred"),
        (("steam train/1", "crash test/1"), "crash test is called like a split"),
        (("images/train/1", "images/val/1", "masks/train/1"), "there are splits in several folders, as masks/train"),
        (("train/1", "eval/1"), "but what is eval?"),
    ]:
        assert what in refusal(told, *names)


def test_strays_leave_a_split_without_labels(tmp_path):
    for kind in ("cat", "dog"):
        fill(tmp_path / "a" / kind, 12)
    assert load(tmp_path / "a").train.labels is not None
    noise(50).save(tmp_path / "a" / "preview.png")
    dataset = load(tmp_path / "a")
    remark = "1 pictures lie in no folder of a class, preview.png for one: a split with such has no labels"
    assert (
        remark in dataset.remarks
        and sum(split.labels is None for split in (dataset.train, dataset.valid, dataset.test)) == 1
    )


def test_classes_that_are_never_trained_on(tmp_path):
    for place, kinds in (("train", ("0", "01")), ("test", ("0", "1", "7"))):
        for kind in kinds:
            for i in range(12):
                noise(hash((place, kind, i)) % 2**32).save(put(tmp_path / "a" / place / kind, f"{i}.png", b""))
    dataset = load(tmp_path / "a")
    assert dataset.classes == ("0", "01", "1", "7")
    assert "warning: no training images of 2 classes that are held out: 1, 7" in dataset.remarks


def test_labels_follow_their_images(tmp_path):
    """The mean of an image tells which class it is of."""
    for k, kind in enumerate(("dark", "dusk", "light")):
        for i in range(30):
            Image.fromarray(np.full((4, 5), 100 * k + i, np.uint8)).save(put(tmp_path / "a" / kind, f"{i}.png", b""))
    dataset = load(tmp_path / "a")
    assert dataset.classes == ("dark", "dusk", "light")
    for split in (dataset.train, dataset.valid, dataset.test):
        values = np.rint(255 * split.batch(np.arange(len(split))).mean(axis=(1, 2, 3)))
        np.testing.assert_array_equal(split.labels, values // 100)
    assert load(tmp_path / "a" / "dark").classes is None


def test_a_split_that_is_missing_is_made_of_the_training_images(tmp_path):
    fill(tmp_path / "a" / "train", 100)
    for i in range(100, 110):
        noise(i).save(put(tmp_path / "a" / "test", f"{i}.png", b""))
    dataset = load(tmp_path / "a")
    train, valid, test = sizes(dataset)
    assert test == 10 and train + valid == 100 and 2 < valid < 25
    assert any("for valid a tenth of the training images" in remark for remark in dataset.remarks)


def test_assign_never_leaves_a_split_empty():
    for n in (3, 10, 40):
        for seed in range(50):
            keys = [np.random.default_rng([seed, k]).bytes(32) for k in range(n)]
            split, made = splits.assign(keys, np.full(n, -1))
            assert set(split) == {0, 1, 2} and made == ["test", "valid"]
    split, made = splits.assign([b"same key"] * 12, np.full(12, -1))
    assert sorted(split) == [0] * 10 + [1, 2]
    split, made = splits.assign(keys, np.array([0] * 20 + [1] * 20))
    assert made == ["test"] and (split[20:] == 1).all() and set(split[:20]) == {0, 2}


def test_labels_of_all_kinds():
    labels, classes = splits.classes_of([np.array([3, 1]), np.array([[7], [1]])])
    assert labels.tolist() == [1, 0, 2, 0] and labels.dtype == np.uint8 and classes == ("1", "3", "7")
    assert splits.classes_of([["b", "a"], np.array([b"c"])])[1] == ("a", "b", "c")
    numbers, classes = splits.classes_of([["10", "9", "1", "01"]])
    assert classes == ("01", "1", "9", "10") and numbers.tolist() == [3, 2, 1, 0]
    numbers, classes = splits.classes_of([["1", "10", "2", "3"]])
    assert [classes[k] for k in numbers] == ["1", "10", "2", "3"] and classes == ("1", "2", "3", "10")
    assert splits.classes_of([np.eye(3)[[2, 0]]])[0].tolist() == [1, 0]
    assert splits.classes_of([np.array([1.0, 4.0])])[1] == ("1", "4")
    assert splits.classes_of([np.array([1.5, 4.0])]) == "of type float64"
    assert splits.classes_of([np.array([b"caf\xc3\xa9", b"\xff"])])[1] == ("café", "\ufffd")
    assert splits.classes_of([np.array([1e30, 2e30])]) == "of type float64"
    assert splits.classes_of([np.ones((2, 4))]) == "of shape (2, 4)"
    assert splits.classes_of([np.arange(3), ["a", "b"]]) == "numbers here and texts there"
    assert splits.classes_of([np.arange(300)]) == "of 300 classes; there can be 2 to 255"
    assert splits.classes_of([np.ones(9, int)]) == "of 1 classes; there can be 2 to 255"
    numbers, classes, why = splits.numbered(["b", None, "a"])
    assert numbers.tolist() == [1, splits.NONE, 0] and classes == ("a", "b") and why == ""
    assert splits.numbered([None] * 3)[1:] == (None, "")


def test_options_change_the_images(tmp_path):
    images = fill(tmp_path / "a")
    grey = [np.asarray(Image.fromarray(image).convert("L")) for image in images]
    assert_same_images(load(tmp_path / "a", "?grey=1"), grey)
    assert_same_images(load(tmp_path / "a", "?grey=1&binarize=1"), np.where(np.array(grey) < 128, 0, 255))
    assert load(tmp_path / "a", "?binarize=1").train.shape == (3, 7, 9)
    fill(tmp_path / "b", mode="L")
    assert load(tmp_path / "b", "?grey=0").train.shape == (3, 7, 9)


def test_names_with_question_marks_and_home(tmp_path, monkeypatch):
    fill(tmp_path / "what?size=3", 10)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load("~/what?size=3").train.shape == (3, 7, 9)
    assert load("~/what?size=3", "?size=5").train.shape == (3, 5, 5)
    monkeypatch.chdir(tmp_path)
    found = load("./what?size=3")
    assert found.train.shape == (3, 7, 9) and found.name == f"folder:{tmp_path}/what?size=3"
    assert load("what?size=3", "?size=5").name == f"folder:{tmp_path}/what?size=3?size=5x5"


def test_wrong_options(tmp_path):
    fill(tmp_path / "a", 10)
    for options, reason in [
        ("?sise=3", "did you mean 'size'?"),
        ("?size=", "WIDTHxHEIGHT, not ''"),
        ("?size=0", "up to 1024"),
        ("?size=4000", "up to 1024"),
        ("?size=3x", "WIDTHxHEIGHT"),
        ("?size=-3", "WIDTHxHEIGHT"),
        ("?grey=yes", "grey takes 0 or 1, not 'yes'"),
        ("?binarize", "binarize takes 0 or 1"),
        ("?fit=squash", "fit takes crop or pad or stretch, not 'squash'"),
        ("?ground=red", "ground takes white or black or grey"),
        ("?white=nan", "white takes a number, not 'nan'"),
        ("?splits=2", "splits takes 0 or 1"),
        ("?key=a", "key is for files of arrays"),
        ("?axes=nhw", "axes is for files of arrays"),
        ("?key=", "key takes a name"),
    ]:
        assert reason in refusal(load, tmp_path / "a", options)
    np.save(tmp_path / "x.npy", IMAGES)
    for options, reason in [
        ("?size=3", "size is for pictures and for arrays (n, pixels)"),
        ("?grey=1", "grey is for folders of pictures"),
        ("?fit=pad", "fit is for folders of pictures"),
        ("?key=a", "is one array"),
        ("?axes=nhh", "axes takes the letters n, h, w"),
        ("?axes=nhw", "axes=nhw has 3 letters, but"),
        ("?axes=chwn", "by axes=chwn 23 channels"),
    ]:
        assert reason in refusal(load, tmp_path / "x.npy", options)
    assert "names no folder" in refusal(data.load, "folder:")
    assert "names no folder" in refusal(data.load, "folder:?size=3")


def test_missing_empty_and_small_folders(tmp_path, cache):
    assert f"there is no {tmp_path / 'no'}" in refusal(load, tmp_path / "no")
    (tmp_path / "empty").mkdir()
    assert "there are no pictures in" in refusal(load, tmp_path / "empty")
    put(tmp_path / "texts", "a.txt", b"")
    put(tmp_path / "texts", "a.heic", b"")
    message = refusal(load, tmp_path / "texts")
    assert "there are no pictures in" in message and "1 .heic (pip install pillow-heif)" in message
    fill(tmp_path / "few", 9)
    assert f"{tmp_path / 'few'} holds 9 images; a data set needs 10 or more" in refusal(load, tmp_path / "few")
    assert "neither a folder" in refusal(load, tmp_path / "few" / "000.png")
    np.save(tmp_path / "few.npy", IMAGES[:9])
    assert "holds 9 images" in refusal(load, tmp_path / "few.npy")
    fill(tmp_path / "held" / "test", 12)
    fill(tmp_path / "held" / "val", 12)
    assert "none is train" in refusal(load, tmp_path / "held")
    assert load(tmp_path / "held", "?splits=0").classes == ("test", "val")
    assert not any(name.endswith(".tmp") for name in everything(cache))


def test_parse():
    path, options = folder_options.parse("folder:/a/b?size=3x4&grey=0&binarize=1&key=k&fit=pad&white=4095&axes=hwn")
    assert str(path) == "/a/b" and options == folder_options.Options(
        (3, 4), "pad", False, binarize=True, key="k", white=4095.0, axes="hwn"
    )
    assert folder_options.parse("folder:/a/b")[1] == folder_options.Options()
    assert str(folder_options.parse("folder:~/\0a")[0]).endswith("/a")


@pytest.mark.parametrize("name", ["folder:a?grey=1", "folder:./a", "folder:b/../a?size=8"])
def test_a_run_records_the_absolute_path(tmp_path, monkeypatch, name):
    fill(tmp_path / "a", 10)
    monkeypatch.chdir(tmp_path)
    recorded = data.load(name).name
    monkeypatch.chdir("/")
    assert recorded.startswith(f"folder:{tmp_path}/a") and pixels(data.load(recorded)).shape[0] == 10


def test_too_few_to_hold_some_out(tmp_path):
    fill(tmp_path / "a" / "train", 1)
    for i in range(30, 42):
        noise(i).save(put(tmp_path / "a" / "test", f"{i}.png", b""))
    assert "holds no images for valid, nor enough training images" in refusal(load, tmp_path / "a")


def test_drawings_of_a_run_are_no_images_of_the_folder(tmp_path):
    images = fill(tmp_path / "a")
    for name in ("config.json", "checkpoint.npz"):
        put(tmp_path / "a" / "run", name, b"")
    noise(99).save(tmp_path / "a" / "run" / "samples.png")
    dataset = load(tmp_path / "a")
    assert_same_images(dataset, images)
    assert "left out: 1 folder of a run of minidraw" in dataset.remarks


def test_many_kinds_of_files_are_summed_up(tmp_path):
    fill(tmp_path / "a")
    for k in range(300):
        put(tmp_path / "a", f"log.{k:04}{'x' * 150}", b"")
    (told,) = [remark for remark in load(tmp_path / "a").remarks if remark.startswith("left out")]
    assert told.endswith(", 290 of other kinds")


def test_the_same_images_are_the_same_however_they_are_asked_for(tmp_path):
    fill(tmp_path / "a", mode="L")
    first = load(tmp_path / "a").identity
    assert load(tmp_path / "a", "?grey=1").identity == load(tmp_path / "a", "?broken=skip&size=9x7").identity == first
    assert load(tmp_path / "a", "?binarize=1").identity != first
    np.save(tmp_path / "x.npy", IMAGES[..., 0])
    first = load(tmp_path / "x.npy").identity
    others = {load(tmp_path / "x.npy", options).identity for options in ("?white=300", "?axes=nwh", "?binarize=1")}
    assert load(tmp_path / "x.npy", "?axes=nhw&white=255").identity == first
    assert len(others | {first}) == 4
