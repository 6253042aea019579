"""SVHN's full numbers: digitStruct.mat in both of its layouts, boxes, crops, wrong archives, and real ones."""

import io
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.files import HTML, REAL, everything, official_file, put, refusal, special, tar

from minidraw import data
from minidraw.data import digit_struct, svhn
from minidraw.data.places import Places

needs_h5py = pytest.mark.skipif(digit_struct.h5py is None, reason="h5py is missing: pip install h5py")


def png(width: int, height: int, seed: int = 0, mode: str = "RGB") -> bytes:
    rng = np.random.default_rng([seed, 5])
    out = io.BytesIO()
    noise = rng.integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(noise).convert(mode).save(out, "PNG")
    return out.getvalue()


def struct(boxes: dict, references_for_one: bool = False, **changes) -> bytes:
    """Return a digitStruct.mat of name -> [(left, top, width, height), ...], as MATLAB lays it out."""
    h5py, out = digit_struct.h5py, io.BytesIO()
    with h5py.File(out, "w") as file:
        refs, root = file.create_group("#refs#"), file.create_group("digitStruct")
        names, groups = [], []
        for i, (name, digits) in enumerate(boxes.items()):
            names.append(refs.create_dataset(f"n{i}", data=np.array([[ord(c)] for c in name], np.uint16)).ref)
            group = refs.create_group(f"b{i}")
            for k, key in enumerate(("left", "top", "width", "height", "label")):
                values = np.array([[(*digit, 10.0)[k]] for digit in digits])  # (k, 1)
                if len(values) > 1 or references_for_one:
                    single = [refs.create_dataset(f"b{i}{key}{j}", data=v[None]).ref for j, v in enumerate(values)]
                    values = np.array([[one] for one in single], h5py.ref_dtype)
                group.create_dataset(key, data=changes.get(key, values))
            groups.append(group.ref)
        for key, refs_of in (("name", names), ("bbox", groups)):
            root.create_dataset(key, data=np.array([[one] for one in refs_of], h5py.ref_dtype))
    return out.getvalue()


NUMBERS = {
    "1.png": ((40, 30), [(10, 5, 8, 12)]),
    "2.png": ((70, 50), [(20, 10, 9, 20), (30, 12, 10, 20), (41, 11, 8, 18)]),
    "3.png": ((33, 21), [(-4, -2, 30, 15), (20, 3, 30, 40)]),  # beyond all four sides
}


def numbers(n: int) -> dict:
    """Return n numbers: the three above, and more of one digit."""
    more = {f"{i}.png": ((20 + i, 24), [(3.5, 4.25, 6, 9)]) for i in range(4, n + 1)}
    return dict(list((NUMBERS | more).items())[:n])


def archive(folder: str, n: int, struct_first: bool = False, boxes: bytes | None = None, more=(), without=()) -> bytes:
    chosen = numbers(n)
    mat = struct({name: digits for name, (_, digits) in chosen.items()}) if boxes is None else boxes
    pictures = [
        (f"{folder}/{name}", png(*size, seed=i))
        for i, (name, (size, _)) in enumerate(chosen.items())
        if name not in without
    ]
    last = [(f"{folder}/digitStruct.mat", mat)]
    entries = [(folder, None), (f"{folder}/see_bboxes.m", b"% MATLAB"), *pictures[::-1], *more]
    return tar(last + entries if struct_first else entries + last)


def wanted(name: str, i: int) -> np.ndarray:
    """Return the 64x64 of a number, by the plain rule: union of boxes, 15 % of its size on each side, clip, resize."""
    (width, height), digits = numbers(40)[name]
    left, top = min(d[0] for d in digits), min(d[1] for d in digits)
    right, bottom = max(d[0] + d[2] for d in digits), max(d[1] + d[3] for d in digits)
    w, h = right - left, bottom - top
    box = (
        max(0, left - 0.15 * w),
        max(0, top - 0.15 * h),
        min(width, right + 0.15 * w),
        min(height, bottom + 0.15 * h),
    )
    image = Image.open(io.BytesIO(png(width, height, seed=i)))
    return np.asarray(image.resize((64, 64), Image.Resampling.BILINEAR, box=box)).transpose(2, 0, 1)


# ---- boxes


@needs_h5py
@pytest.mark.parametrize("references_for_one", [False, True])
def test_digit_struct_in_both_layouts(references_for_one):
    boxes = {name: digits for name, (_, digits) in NUMBERS.items()}
    content = io.BytesIO(struct(boxes, references_for_one))
    assert digit_struct.count(content) == 3
    assert dict(digit_struct.read_boxes(content)) == {
        "1.png": (10, 5, 18, 17),
        "2.png": (20, 10, 49, 32),
        "3.png": (-4, -2, 50, 43),
    }


def test_box_grows_about_its_centre_and_is_clipped():
    np.testing.assert_allclose(svhn.grow((40, 60, 60, 70), 200, 100), (37, 58.5, 63, 71.5))
    assert svhn.grow((-4, -2, 50, 43), 33, 21) == (0, 0, 33, 21)
    for box in ((50, 5, 60, 10), (5, 5, 5, 10), (-20, 5, -10, 10), (float("nan"), 5, 10, 10), (9, 5, 2, 10)):
        with pytest.raises(ValueError, match="does not meet"):
            svhn.grow(box, 40, 30)


def test_cut_number_keeps_colours_and_directions():
    """A picture whose red grows to the right, green downwards: so do they in the result."""
    x, y = np.meshgrid(np.arange(100), np.arange(80))
    pixels = np.stack([2 * x, 3 * y, np.full_like(x, 7)], axis=2).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    result = svhn.cut_number(out, (30, 20, 70, 60)).astype(int)
    assert result.shape == (3, 64, 64) and (np.abs(result[2] - 7) <= 1).all()
    assert (np.diff(result[0], axis=1) >= 0).all() and (np.diff(result[1], axis=0) >= 0).all()
    np.testing.assert_allclose(result[0][:, [0, -1]].mean(axis=0), [2 * 24.3, 2 * 74.7], atol=2)  # box 24..76
    np.testing.assert_allclose(result[1][[0, -1]].mean(axis=1), [3 * 14.3, 3 * 64.7], atol=3)


def test_shrinking_does_not_alias():
    """A fine chessboard becomes grey, as it does to the eye; a plain bilinear lookup would leave black and white."""
    board = np.uint8(255) * (np.indices((512, 512)).sum(axis=0) % 2).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(board).save(out, "PNG")
    result = svhn.cut_number(out, (60, 60, 440, 440))
    assert result.shape == (3, 64, 64) and np.abs(result.astype(int) - 127).max() < 12


# ---- the data set


@pytest.fixture
def small(tmp_path):
    """Three archives of 23, 5 and 9 numbers: (folder, files)."""
    contents = (
        {
            "train.tar.gz": archive("train", 23),
            "test.tar.gz": archive("test", 5, struct_first=True),
            "extra.tar.gz": archive("extra", 9),
        }
        if digit_struct.h5py
        else {}
    )
    for name, content in contents.items():
        put(tmp_path / "data", name, content)
    return tmp_path / "data", tuple(official_file(name, content) for name, content in contents.items())


@needs_h5py
@pytest.mark.parametrize("genuine", [True, False])
@pytest.mark.parametrize("extra", [True, False])
def test_svhn(small, cache, genuine, extra, monkeypatch):
    folder, files = small
    if not extra:
        (folder / "extra.tar.gz").unlink()
    places = Places("svhn", folder, cache, download=False)
    kwargs = {"files": files} if genuine else {}
    dataset = svhn.load(places, **kwargs)
    n = 23 + 9 * extra
    assert [len(dataset.train), len(dataset.valid), len(dataset.test)] == [n - n // 10, n // 10, 5]
    assert dataset.train.shape == dataset.test.shape == (3, 54, 54) and dataset.train.labels is None
    whole = [wanted(f"{i + 1}.png", i) for i in range(23)] + [wanted(f"{i + 1}.png", i) for i in range(9 * extra)]
    held = [k * n // (n // 10) for k in range(n // 10)]
    centres = np.array([whole[i][:, 5:59, 5:59] for i in held])
    np.testing.assert_array_equal(np.rint(dataset.valid.batch(np.arange(n // 10)) * 255), centres)
    trained = [whole[i] for i in range(n) if i not in held]
    np.testing.assert_array_equal(dataset.train.pixels[dataset.train.rows], trained)
    for split, places_of_crops in ((dataset.train, True), (dataset.valid, False), (dataset.test, False)):
        crops = {split.batch([0], np.random.default_rng(k)).tobytes() for k in range(5)}
        assert (len(crops) > 1) == places_of_crops, "random in training alone"
    test = [wanted(f"{i + 1}.png", i)[:, 5:59, 5:59] for i in range(5)]
    np.testing.assert_array_equal(np.rint(dataset.test.batch(np.arange(5)) * 255), test)
    assert ("NOT the official files: 23 photographs of train.tar.gz, 5 photographs of" in dataset.note) != genuine
    assert bool(dataset.identity) == genuine, "what is not official is known by its images"
    assert ("without extra.tar.gz" in dataset.note) != extra and f"validation: {n // 10} of" in dataset.note
    monkeypatch.setattr(svhn, "_make", None)  # the second time from the cache, without h5py
    monkeypatch.setitem(sys.modules, "h5py", None)
    again = svhn.load(places, **kwargs)
    np.testing.assert_array_equal(again.train.pixels[again.train.rows], trained)


def test_crops_are_random_in_training_and_central_elsewhere():
    places = np.indices((64, 64)).astype(np.uint8)  # two channels: a pixel's row, and its column
    pixels = np.stack([places, places + np.uint8(100)])  # (2, 2, 64, 64)
    train, fixed = (svhn.Crops(pixels, np.array([1, 0, 1]), random=random) for random in (True, False))
    assert len(train) == 3 and train.shape == (2, 54, 54)
    batch = train.batch([1] * 3000, np.random.default_rng(0))
    assert (batch.dtype, batch.shape, batch.flags.c_contiguous) == (np.float32, (3000, 2, 54, 54), True)
    corners = np.rint(batch[:, :, 0, 0] * 255).astype(int)  # (3000, 2): each crop's row and column
    counts = np.zeros((11, 11), int)
    np.add.at(counts, tuple(corners.T), 1)
    assert counts.sum() == 3000 and counts.min() > 5  # 25 of each expected
    same = [train.batch([0, 1], np.random.default_rng(seed)) for seed in (4, 4, 5)]
    assert (same[0] == same[1]).all() and (same[0] != same[2]).any()
    always = train.batch([0, 1, 2])
    assert (train.batch([2, 0]) == always[[2, 0]]).all() and len({image.tobytes() for image in always}) == 3
    whole = [fixed.batch([2], rng)[0] for rng in (None, np.random.default_rng(0))]
    np.testing.assert_array_equal(whole, [np.float32(pixels[1][:, 5:59, 5:59]) / np.float32(255)] * 2)


@needs_h5py
def test_svhn_download(host, cache, small, monkeypatch):
    """With no archive of the user's, all three are downloaded, prepared, and removed."""
    folder, files = small
    for file in files:
        host.pages["/" + file.name] = (200, (folder / file.name).read_bytes())
    hosted = tuple(
        official_file(file.name, (folder / file.name).read_bytes(), f"{host.url}/{file.name}") for file in files
    )
    dataset = svhn.load(Places("svhn", None, cache), files=hosted)
    assert len(dataset.train) + len(dataset.valid) == 32 and "NOT" not in dataset.note
    assert everything(cache) == ["extra.npy", "test.npy", "train.npy"]
    assert len(svhn.load(Places("svhn", None, cache, download=False), files=hosted).test) == 5


def test_without_h5py_nothing_is_downloaded(monkeypatch, cache, host):
    monkeypatch.setattr(digit_struct, "h5py", None)
    file = official_file("train.tar.gz", b"x", host.url + "/train.tar.gz")
    message = refusal(svhn.load, Places("svhn", None, cache), files=(file, file, file))
    assert "pip install h5py" in message and host.asked == [] and not cache.exists()


def test_svhn_missing(cache, tmp_path):
    for folder in (None, tmp_path):
        message = refusal(svhn.load, Places("svhn", folder, cache, download=False))
        assert "train.tar.gz, test.tar.gz, extra.tar.gz from http://ufldl.stanford.edu/housenumbers/" in message


# ---- wrong archives


def wrong_archives() -> dict:
    boxes = {name: digits for name, (_, digits) in numbers(4).items()}
    h5py = digit_struct.h5py
    empty = io.BytesIO()
    h5py.File(empty, "w").close()
    return {
        "evil name": (archive("t", 4, more=[("../evil.png", b"x")]), "a name outside of it"),
        "symlink": (archive("t", 4, more=[special("t/9.png", b"2", "/etc/passwd")]), "neither file nor folder"),
        "symlink for a picture": (
            archive("t", 4, without=["2.png"], more=[special("t/2.png", b"2", "1.png")]),
            "neither",
        ),
        "cut": (archive("t", 4)[:-3000], "is damaged"),
        "html": (HTML, "is damaged"),
        "no struct": (tar([("t/1.png", png(9, 9))]), "holds 0 files digitStruct.mat"),
        "two structs": (archive("t", 4, more=[("u/digitStruct.mat", struct(boxes))]), "holds 2 files digitStruct.mat"),
        "struct is html": (archive("t", 4, boxes=HTML), "cannot be read"),
        "struct is empty": (archive("t", 4, boxes=b""), "cannot be read"),
        "struct is cut": (archive("t", 4, boxes=struct(boxes)[:4000]), "cannot be read"),
        "struct without boxes": (archive("t", 4, boxes=empty.getvalue()), "cannot be read"),
        "two widths for three": (archive("t", 4, boxes=struct(boxes, width=np.ones((2, 1)))), "different numbers"),
        "a long row": (archive("t", 4, boxes=struct(boxes, top=np.ones((1, 7)))), "shape (1, 7)"),
        "a million digits": (archive("t", 4, boxes=struct(boxes, top=np.ones((10**6, 1)))), "shape (1000000, 1)"),
        "text for numbers": (archive("t", 4, boxes=struct(boxes, top=np.array([[b"x"]]))), "cannot be read"),
        "missing picture": (archive("t", 4, without=["2.png"]), "does not hold 2.png"),
        "missing pictures": (archive("t", 4, without=["2.png", "4.png"]), "nor 1 others"),
        "picture twice": (archive("t", 4, more=[("t/2.png", png(70, 50))]), "holds 2.png twice"),
        "broken picture": (archive("t", 4, without=["2.png"], more=[("t/2.png", png(70, 50)[:200])]), "t/2.png: "),
        "no picture": (
            archive("t", 4, without=["2.png"], more=[("t/2.png", HTML)]),
            "t/2.png: cannot identify",
        ),
        "wide picture": (archive("t", 4, without=["2.png"], more=[("t/2.png", png(4097, 1))]), "4097 x 1 pixels"),
        "box outside": (archive("t", 4, boxes=struct(boxes | {"4.png": [(90, 90, 5, 5)]})), "t/4.png: the box"),
        "box is NaN": (archive("t", 4, boxes=struct(boxes | {"4.png": [(np.nan, 9, 5, 5)]})), "t/4.png: the box"),
    }


WRONG = wrong_archives() if digit_struct.h5py else {}


@needs_h5py
@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_archives(tmp_path, cache, wrong):
    content, reason = WRONG[wrong]
    path = put(tmp_path, "train.tar.gz", content)
    put(tmp_path, "test.tar.gz", archive("test", 3))
    message = refusal(svhn.load, Places("svhn", tmp_path, cache, download=False))
    assert str(path) in message and reason in message
    assert not cache.exists() or everything(cache) == []
    assert everything(tmp_path) in (["test.tar.gz", "train.tar.gz"], ["cache", "test.tar.gz", "train.tar.gz"])


@needs_h5py
def test_struct_that_names_a_picture_twice(tmp_path, cache):
    content = struct({"1.png": [(1, 1, 5, 5)], "2.png": [(1, 1, 5, 5)]})
    content = content.replace("2.png".encode("utf-16-le"), "1.png".encode("utf-16-le"))
    put(tmp_path, "train.tar.gz", archive("train", 2, boxes=content))
    put(tmp_path, "test.tar.gz", archive("test", 3))
    assert "names '1.png' twice" in refusal(svhn.load, Places("svhn", tmp_path, cache, download=False))


# ---- real archives


@needs_h5py
def test_real_svhn(tmp_path):
    folder = Path(REAL or "/") / "svhn_full_reassembled"
    if not (folder / "train.tar.gz").is_file():
        pytest.skip(f"svhn_full_reassembled is missing: MINIDRAW_DATA is {REAL or 'not set'}")
    dataset = data.load("svhn", REAL, download=False)  # found in its sub-folder
    start = time.perf_counter()
    data.load("svhn", str(folder), download=False)
    assert time.perf_counter() - start < 0.5  # 0.01 on an idle core
    assert [len(dataset.train), len(dataset.valid), len(dataset.test)] == [3120, 346, 612]
    indices, seconds = np.arange(128) * 20, []
    for k in range(10):
        start = time.perf_counter()
        batch = dataset.train.batch(indices, np.random.default_rng(k))
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 5e-3 and 0.2 < batch.mean() < 0.7
    # A number stands out from its margin: the middle of the crops varies more, from left to right, than their edge.
    rows = np.abs(np.diff(batch.mean(axis=1), axis=2)).mean(axis=(0, 2))  # (54,)
    assert rows[20:34].mean() > 1.3 * rows[[0, 1, -2, -1]].mean()
