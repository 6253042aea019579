"""Arrays in memory as a data set: decided on as files of arrays are, in messages that speak of keyword arguments."""

import numpy as np
import pytest
from PIL import Image
from support.files import refusal
from support.pictures import IMAGES, N, assert_same_images, load, pixels

from minidraw import data
from minidraw.data import from_arrays
from minidraw.data.summary import fingerprint, summarize

GREY = IMAGES[..., 0]


class Tensor:
    """What has __array__ and nothing else, like another library's tensor."""

    def __init__(self, array, problem=None):
        self.array, self.problem = array, problem

    def __array__(self, dtype=None, copy=None):
        if self.problem:
            raise self.problem
        return self.array


KINDS = {
    "uint8": (GREY, GREY),
    "nested lists": (GREY.tolist(), GREY),
    "a list of arrays": (list(GREY), GREY),
    "a list of pictures": ([Image.fromarray(image) for image in IMAGES], IMAGES),
    "what becomes an array": (Tensor(IMAGES), IMAGES),
    "int64": (IMAGES.astype(np.int64), IMAGES),
    "float32 in [0, 1]": (np.float32(IMAGES) / np.float32(255), IMAGES),
    "float64 up to 255": (IMAGES.astype(float), IMAGES),
    "channels first": (IMAGES.transpose(0, 3, 1, 2), IMAGES),
    "every second": (np.repeat(IMAGES, 2, axis=0)[::2], IMAGES),
    "bool": (GREY > 99, np.uint8(255) * (GREY > 99)),
    "zeros and ones": ((GREY > 99).astype(np.float32), np.uint8(255) * (GREY > 99)),
}


@pytest.mark.parametrize("name", [*data.names()[:-1], "folder:x", "", 3])
def test_a_name_that_means_something_else_is_refused(name):
    assert repr(name) in refusal(from_arrays, GREY, name=name)


@pytest.mark.parametrize("kind", KINDS)
def test_array_likes_of_many_kinds(kind):
    given, images = KINDS[kind]
    assert_same_images(from_arrays(given), images)


def test_a_file_and_the_array_in_it_are_the_same_data_set(tmp_path, cache):
    labels = np.array(["cat", "dog", "ox"])[np.arange(N) % 3]
    np.savez(tmp_path / "x.npz", images=IMAGES, labels=labels)
    file, memory = load(tmp_path / "x.npz"), from_arrays(IMAGES, labels)
    assert fingerprint(summarize(file)) == fingerprint(summarize(memory))
    np.testing.assert_array_equal(pixels(file), pixels(memory))
    for split in ("train", "valid", "test"):
        np.testing.assert_array_equal(getattr(file, split).labels, getattr(memory, split).labels)
    assert memory.classes == ("cat", "dog", "ox") and memory.remarks == file.remarks
    assert (memory.name, memory.note) == ("arrays", f"{N} images of arrays in memory, 5 x 6 pixels, channels: 3")


def test_other_images_or_labels_are_another_data_set():
    def known_by(*given, **more):
        return fingerprint(summarize(from_arrays(*given, **more)))["sha256"]

    labels = np.arange(N) % 2
    other = GREY.copy()
    other[3, 2, 1] ^= 1
    found = {known_by(GREY), known_by(other), known_by(GREY, labels), known_by(GREY, 1 - labels)}
    found |= {known_by(GREY[:, :, ::-1]), known_by(GREY, binarize=True), known_by(GREY, black=255, white=0)}
    assert len(found) == 7
    assert known_by(GREY, name="faces") == known_by(GREY), "a name says nothing of the images"


def test_nothing_refers_to_the_arrays_afterwards():
    given = GREY.copy()
    dataset = from_arrays(given)
    given[:] = 0
    assert_same_images(dataset, GREY)


def test_splits_that_are_given_are_kept_and_others_made():
    dataset = from_arrays(GREY[:12], np.arange(12) % 2, valid=(GREY[12:15], [0, 1, 0]), test=GREY[15:])
    assert [len(split) for split in (dataset.train, dataset.valid, dataset.test)] == [12, 3, N - 15]
    assert dataset.valid.labels.tolist() in ([0, 0, 1], [0, 1, 0], [1, 0, 0]) and dataset.test.labels is None
    assert "no labels: of the test images" in dataset.remarks
    held_out = pixels(dataset)[12:15]
    assert {image.tobytes() for image in held_out} == {image.tobytes() for image in GREY[12:15]}
    dataset = from_arrays(GREY[:18], valid=GREY[18:])
    assert len(dataset.valid) == N - 18 and len(dataset.train) + len(dataset.test) == 18 and len(dataset.test) > 0
    assert any("for test a tenth of the training images" in remark for remark in dataset.remarks)
    copies = from_arrays(GREY[:18], valid=GREY[:3])
    assert any("3 held-out images are exact copies" in remark for remark in copies.remarks)


def test_what_is_left_open_can_be_said():
    assert from_arrays(GREY.transpose(1, 2, 0), axes="hwn").train.shape == (1, 6, 5)
    assert from_arrays(IMAGES.reshape(N, -1), axes="nhwc", size=(5, 6)).train.shape == (3, 6, 5)
    square = np.arange(N * 16).reshape(N, 16) % 250
    assert from_arrays(square).train.shape == from_arrays(square, size=4).train.shape == (1, 4, 4)
    negative = from_arrays(GREY, black=255, white=0)
    assert_same_images(negative, 255 - GREY)
    assert_same_images(from_arrays(GREY, binarize=True), np.where(GREY < 128, np.uint8(0), np.uint8(255)))
    clear = np.stack([GREY, np.zeros_like(GREY)], axis=-1)
    clear[:, 2, :, 1] = 255
    assert from_arrays(clear, ground="black").train.batch([0])[0, 0, 0].max() == 0
    assert from_arrays(clear, ground="white").train.batch([0])[0, 0, 0].min() == 1


REFUSED = {
    "ambiguous axes": (
        (IMAGES.reshape(N, 3, 10, 3),),
        "from_arrays(..., axes='nchw') or from_arrays(..., axes='nhwc')",
    ),
    "rows": ((IMAGES.reshape(N, -1)[:, :88],), "say what they are by from_arrays(..., size=(WIDTH, HEIGHT))"),
    "odd levels": ((GREY / 255 * 2 - 1,), "If it is these, from_arrays(..., white=1.0, black=-1.0)"),
    "NaN": ((np.where(GREY > 9, GREY, np.nan),), "mend those that are no numbers"),
    "uneven rows": (([[1, 2], [3]],), "images cannot become a NumPy array"),
    "a tensor elsewhere": ((Tensor(None, TypeError("it is on a GPU")),), "(it is on a GPU): convert them first"),
    "text": (("faces.npy",), "one in a file is the data set 'folder:FILE.npy'"),
    "nothing": ((None,), "images takes an array of images"),
    "a number": ((3,), "has the shape ()"),
    "objects": ((GREY.astype(object),), "an array of object"),
    "complex": ((GREY * 1j,), "an array of complex128"),
    "too few": ((GREY[:9],), "the data set 'arrays' holds 9 images; a data set needs 10"),
    "labels": ((GREY, [1, 2]), f"labels (2,) for images ({N}, 6, 5)"),
    "one label": ((GREY, 1), "every image needs one"),
    "a pair of three": ((GREY, None, {"valid": (1, 2, 3)}), "valid takes images, or a tuple (images, labels)"),
    "other shapes": ((GREY, None, {"test": GREY[:, :5]}), "images of different shapes: (1, 5, 5), (1, 6, 5)"),
    "axes": ((GREY, None, {"axes": "xyz"}), "axes takes the letters n, h, w"),
    "size": ((GREY, None, {"size": (0, 3)}), "size takes a number of pixels up to 1024"),
    "white": ((GREY, None, {"white": "light"}), "white takes a number, not 'light'"),
    "ground": ((GREY, None, {"ground": "green"}), "ground takes white or black or grey"),
    "no range": ((GREY, None, {"white": 0}), "white and black are the same value, 0"),
    "name": ((GREY, None, {"name": "folder:x"}), "a text that does not begin with folder:"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_may_mean_two_things_or_nothing_is_refused(what):
    (images, *labels), message = REFUSED[what]
    more = labels.pop() if len(labels) == 2 else {}
    told = refusal(from_arrays, images, *labels, **more)
    assert message in told and "--data" not in told and "?" not in told.replace("which are black and white?", "")


def test_the_package_of_data_offers_it():
    assert from_arrays is from_arrays and "from_arrays" in data.__all__


@pytest.mark.parametrize("how", ["array", "list", "labels", "valid"])
def test_masked_values_are_refused(how):
    """NumPy would show what is behind the mask; a masked array of which nothing is masked is an array."""
    images, labels = np.ma.array(np.random.default_rng(0).integers(0, 256, (30, 4, 5), np.uint8)), np.ma.arange(30) % 3
    whole = from_arrays(images, labels, axes="nhw")
    assert len(whole.train) + len(whole.valid) + len(whole.test) == 30
    (labels if how == "labels" else images)[3] = np.ma.masked
    plain = images.filled(0)
    given = {"array": (images,), "list": (list(images),), "labels": (plain, labels), "valid": (plain,)}[how]
    more = {"valid": (images, labels)} if how == "valid" else {}
    message = refusal(from_arrays, *given, axes="nhw", **more)
    assert message.startswith("valid" if how == "valid" else "images") and "has masked values" in message
