"""Anybody's images: options, changes, and what is no data set."""

import os

import numpy as np
from PIL import Image
from support.files import everything, put, refusal
from support.pictures import IMAGES, N, fill, load, pixels, shuffled

from minidraw import data
from minidraw.data import folder


def test_a_changed_folder_is_read_again(tmp_path, cache):
    images = fill(tmp_path / "a")
    first = pixels(load(tmp_path / "a"))
    Image.fromarray(images[3][::-1]).save(tmp_path / "a" / "003.png")
    os.utime(tmp_path / "a" / "003.png", ns=(5, 5))
    images[3] = images[3][::-1]
    assert (pixels(load(tmp_path / "a")) != first).any()
    np.testing.assert_array_equal(pixels(load(tmp_path / "a")), shuffled(images))
    (tmp_path / "a" / "022.png").unlink()
    assert len(pixels(load(tmp_path / "a"))) == N - 1
    assert len(everything(cache / "folder")) == 1  # the same folder's earlier state is not kept


def test_options_change_the_images(tmp_path):
    images = fill(tmp_path / "a")
    grey = shuffled([np.asarray(Image.fromarray(image).convert("L")) for image in images])
    np.testing.assert_array_equal(pixels(load(tmp_path / "a", "?grey=1")), grey)
    np.testing.assert_array_equal(pixels(load(tmp_path / "a", "?grey=1&binarize=1")), np.where(grey < 128, 0, 255))
    assert load(tmp_path / "a", "?binarize=1").train.shape == (3, 7, 9)
    fill(tmp_path / "b", mode="L")
    assert load(tmp_path / "b", "?grey=0").train.shape == (3, 7, 9)


def test_names_with_question_marks_and_home(tmp_path, monkeypatch):
    fill(tmp_path / "what?size=3", 10)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load("~/what?size=3").train.shape == (3, 7, 9)
    assert load("~/what?size=3", "?size=5").train.shape == (3, 5, 5)
    monkeypatch.chdir(tmp_path)
    assert load("./what?size=3").train.shape == (3, 7, 9)


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
        ("?key=a", "key is for .npz files"),
    ]:
        assert reason in refusal(load, tmp_path / "a", options)
    np.save(tmp_path / "x.npy", IMAGES)
    for options, reason in [
        ("?size=3", "for folders of pictures"),
        ("?grey=1", "for folders"),
        ("?key=a", "is one array"),
    ]:
        assert reason in refusal(load, tmp_path / "x.npy", options)
    assert "names no folder" in refusal(data.load, "folder:")
    assert "names no folder" in refusal(data.load, "folder:?size=3")


def test_missing_empty_and_small_folders(tmp_path, cache):
    assert f"{tmp_path / 'no'} is neither a folder" in refusal(load, tmp_path / "no")
    (tmp_path / "empty").mkdir()
    assert "there are no pictures in" in refusal(load, tmp_path / "empty")
    put(tmp_path / "texts", "a.txt", b"")
    assert "there are no pictures in" in refusal(load, tmp_path / "texts")
    fill(tmp_path / "few", 9)
    assert f"{tmp_path / 'few'} holds 9 images; a data set needs 10 or more" in refusal(load, tmp_path / "few")
    assert "neither a folder" in refusal(load, tmp_path / "few" / "000.png")
    np.save(tmp_path / "few.npy", IMAGES[:9])
    assert "holds 9 images" in refusal(load, tmp_path / "few.npy")
    assert not cache.exists()


def test_parse():
    path, options = folder.parse("folder:/a/b?size=3x4&grey=0&binarize=1&key=k")
    assert str(path) == "/a/b" and options == folder.Options((3, 4), False, True, "k")
    assert folder.parse("folder:/a/b")[1] == folder.Options()
    assert str(folder.parse("folder:~/\0a")[0]).endswith("/a")
