"""What is told of a data set, and the fingerprint by which it is known again."""

import dataclasses

import numpy as np
import pytest

from minidraw.data import Dataset, Images
from minidraw.data.summary import difference, fingerprint, lines, summarize
from minidraw.errors import UserError

PIXELS = np.random.default_rng(3).integers(0, 256, (90, 3, 4, 5), np.uint8)
LABELS = (np.arange(90) % 3).astype(np.uint8)


def dataset(pixels=PIXELS, labels=LABELS, **more) -> Dataset:
    parts = [slice(0, 70), slice(70, 80), slice(80, 90)]
    splits = [Images(pixels[part], None if labels is None else labels[part]) for part in parts]
    return Dataset("some", *splits, note="somebody's", **more)


def test_a_line_for_each_split_and_each_remark():
    told = lines(summarize(dataset(classes=("cat", "dog", "owl"), remarks=("left out: 3 .heic",))))
    values = np.float32(PIXELS[:70]) / np.float32(255)
    assert told[0] == (
        f"training: 70 images, 5x4, colour; values 0 to 1, mean {values.mean():.3f}; "
        "labels: cat (24), dog (23), owl (23)"
    )
    assert told[1].startswith("validation: 10 images") and told[2].startswith("test: 10 images")
    assert told[3:] == ["left out: 3 .heic"]
    plain = summarize(dataset(PIXELS[:, :1], None))
    assert "grey" in lines(plain)[0] and lines(plain)[0].endswith("no labels")
    assert "2 channels" in lines(summarize(dataset(PIXELS[:, :2])))[0]


def test_many_images_are_sampled_and_many_classes_counted():
    pixels = np.zeros((3000, 1, 2, 2), np.uint8)
    pixels[::2] = 51
    labels = (np.arange(3000) % 20).astype(np.uint8)
    split = Images(pixels, labels)
    told = lines(summarize(Dataset("many", split, split, split, "")))[0]
    assert "values 0 to 0.2, mean 0.1" in told and ", of 500 looked at" in told
    assert told.endswith("labels: 20 classes of 150 to 150 images")


def test_what_is_suspicious_is_said():
    equal = np.full((90, 3, 4, 5), 255, np.uint8)
    assert "warning: all images are equal; is that what they show?" in lines(summarize(dataset(equal)))
    grey = np.repeat(PIXELS[:, :1], 3, axis=1)
    assert any("three channels of the images are equal" in line for line in lines(summarize(dataset(grey))))
    assert not any("warning" in line for line in lines(summarize(dataset())))

    class Signed(Images):
        def batch(self, indices, rng=None):
            return 2 * super().batch(indices) - 1

    wrong = dataclasses.replace(dataset(), valid=Signed(PIXELS))
    with pytest.raises(UserError, match=r"the validation images of some have values from -1 to 1, not in \[0, 1\]"):
        summarize(wrong)


def test_a_fingerprint_tells_other_data():
    own = fingerprint(summarize(dataset()))
    assert difference(own, fingerprint(summarize(dataset()))) == "" == difference({}, own)
    assert difference(own, fingerprint(summarize(dataclasses.replace(dataset(), name="other", note="x")))) == ""
    pixels = PIXELS.copy()
    pixels[75, 1, 2, 3] ^= 1
    assert difference(own, fingerprint(summarize(dataset(pixels)))) == "as many images, but others"
    labels = LABELS.copy()
    labels[3] = 1
    assert difference(own, fingerprint(summarize(dataset(labels=labels)))) == "as many images, but others"
    more = dataclasses.replace(dataset(), train=Images(PIXELS[:71], LABELS[:71]))
    assert difference(own, fingerprint(summarize(more))) == "71 training images, not 70"
    turned = dataset(PIXELS.transpose(0, 1, 3, 2))
    assert difference(own, fingerprint(summarize(turned))) == "images of [3, 5, 4], not [3, 4, 5]"
    known = [fingerprint(summarize(dataset(pixels, identity="a"))) for pixels in (PIXELS, pixels)]
    assert difference(*known) == "", "what has an identity is not looked at"
    assert difference(known[0], fingerprint(summarize(dataset(identity="b")))) == "as many images, but others"


def test_names_do_a_terminal_no_harm():
    told = lines(summarize(dataset(classes=("a\x1b[31mb\nc", "d", "e"), remarks=("left out: \x1b[2J",))))
    assert len(told) == 4 and not any("\x1b" in line or "\n" in line for line in told)


def test_a_split_may_do_without_labels():
    class Bare:
        shape = (3, 4, 5)

        def __len__(self):
            return 10

        def batch(self, indices, rng=None):
            return np.zeros((len(indices), *self.shape), np.float32)

    assert lines(summarize(dataclasses.replace(dataset(), test=Bare())))[2].endswith("no labels")
