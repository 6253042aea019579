"""Images in idx form as parts: every type, families of files that lie side by side, and damaged ones."""

import gzip
import struct
from array import array as plain_array
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from support.files import HTML, REAL, bomb, put, real, refusal

from minidraw.data.folder import idx

N, H, W = 11, 3, 5
IMAGES = np.random.default_rng(1).integers(0, 256, (N, H, W), np.uint8)
LABELS = np.random.default_rng(2).integers(0, 10, N, np.uint8)
TYPES = {8: "B", 9: "b", 11: "h", 12: "i", 13: "f", 14: "d"}  # struct's letters


def idx_file(values, code: int = 8, shape=None) -> bytes:
    """Return an idx file written by struct."""
    values = np.asarray(values)
    shape = values.shape if shape is None else shape
    head = struct.pack(f">BBBB{len(shape)}I", 0, 0, code, len(shape), *shape)
    return head + struct.pack(f">{values.size}{TYPES.get(code, 'B')}", *values.ravel().tolist())


def read_plainly(content: bytes) -> tuple[tuple[int, ...], list]:
    """Return the sizes and the values of an idx file, by struct."""
    _, _, code, rank = struct.unpack_from(">BBBB", content)
    shape = struct.unpack_from(f">{rank}I", content, 4)
    values = plain_array("d", (value for (value,) in struct.iter_unpack(">" + TYPES[code], content[4 + 4 * rank :])))
    return shape, values.tolist()


def images(seed: int, n: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, H, W), np.uint8)


def described(parts) -> list:
    """Return what tells parts apart: the split, the first image's sum, and the labels."""
    return [(p.split, int(p.array[0].sum()), None if p.labels is None else p.labels.tolist()) for p in parts]


@pytest.mark.parametrize("code", TYPES)
@pytest.mark.parametrize("rank", [3, 4])
@pytest.mark.parametrize("packed", [False, True])
def test_types(tmp_path, code, rank, packed):
    shape = (N, H, W, 2)[:rank]
    values = np.random.default_rng(code).integers(-100, 100, shape)
    values = values * 1.25 if code in (13, 14) else values * 300 if code in (11, 12) else values
    values = values % 256 if code == 8 else values
    content = idx_file(values, code)
    path = put(tmp_path, "anything", gzip.compress(content) if packed else content)
    assert idx.is_idx(path) and idx.find(tmp_path) == idx.files(path) == [path]
    (part,) = idx.read(path)
    assert (part.array.shape, part.array.ravel().tolist()) == read_plainly(content)
    assert part.array.dtype.isnative and part.array.dtype.itemsize == struct.calcsize(TYPES[code])
    assert (part.labels, part.split, part.axes) == (None, None, "nhw" if rank == 3 else None)


@pytest.mark.parametrize(
    "form, second", [("-images-idx3-ubyte", "t10k"), (".images.idx3-ubyte.gz", "test"), ("_images.gz", "valid")]
)
@pytest.mark.parametrize("labels_packed", [False, True])
def test_splits_and_labels_are_found(tmp_path, form, second, labels_packed):
    files = {}
    for k, split in enumerate(("train", second)):
        content = idx_file(images(k))
        files[split] = put(tmp_path, split + form, gzip.compress(content) if form.endswith(".gz") else content)
        content = idx_file(np.arange(4) + k)
        name = (split + form).replace("images", "labels").replace("idx3", "idx1").removesuffix(".gz")
        put(tmp_path, name + ".gz" * labels_packed, gzip.compress(content) if labels_packed else content)
    put(tmp_path, ".train" + form, b"hidden")
    put(tmp_path, "readme.txt", b"text")
    named = "test" if second == "t10k" else second
    expected = [("train", images(0)[0].sum(), [0, 1, 2, 3]), (named, images(1)[0].sum(), [1, 2, 3, 4])]
    assert idx.find(tmp_path) == sorted(files.values())
    for path in files.values():
        assert described(idx.read(path)) == expected
        assert len(idx.files(path)) == 4 and set(files.values()) < set(idx.files(path))


def test_without_labels_and_partners(tmp_path, monkeypatch):
    put(tmp_path, "t10k-images-idx3-ubyte", idx_file(images(0)))
    put(tmp_path, "train-labels-idx1-ubyte", idx_file(np.arange(9)))  # no images to them
    put(tmp_path, "latest-images-idx3-ubyte", idx_file(images(1)))  # not of the split test
    assert described(idx.read(tmp_path / "latest-images-idx3-ubyte")) == [(None, images(1)[0].sum(), None)]
    monkeypatch.chdir(tmp_path)
    assert described(idx.read(Path("t10k-images-idx3-ubyte"))) == [("test", images(0)[0].sum(), None)]


def test_families_are_not_mixed(tmp_path):
    families = ["emnist-letters-", "EMNIST-Balanced-", "emnist-mnist-", "", "latest-"]
    for k, (family, split) in enumerate(product(families, ("train", "test"))):
        put(tmp_path, f"{family}{split}-images-idx3-ubyte.gz", gzip.compress(idx_file(images(k))))
        put(tmp_path, f"{family}{split}-labels-idx1-ubyte.gz", gzip.compress(idx_file(np.full(4, k))))
    assert len(idx.find(tmp_path)) == 10
    for k, family in enumerate(families):
        parts = idx.read(tmp_path / f"{family}test-images-idx3-ubyte.gz")
        assert [(p.split, p.labels[0]) for p in parts] == [("train", 2 * k), ("test", 2 * k + 1)]
        assert {p.axes for p in parts} == {"nwh" if "mnist" in family.lower() else "nhw"}


def test_of_two_copies_one_is_read(tmp_path):
    for k, name in enumerate(("train-images-idx3-ubyte", "train-images.idx3-ubyte", "train-images-idx3-ubyte.gz")):
        put(tmp_path, name, idx_file(images(k)))
        put(tmp_path, name.replace("images", "labels").replace("3", "1"), idx_file(np.full(4, k)))
    (tmp_path / "t10k-images-idx3-ubyte").mkdir()
    assert [path.name for path in idx.find(tmp_path)] == ["train-images-idx3-ubyte", "train-images.idx3-ubyte"]
    for k, name in enumerate(("train-images-idx3-ubyte", "train-images.idx3-ubyte", "train-images-idx3-ubyte.gz")):
        assert described(idx.read(tmp_path / name)) == [("train", images(k)[0].sum(), [k] * 4)]


def test_two_test_sets(tmp_path):
    for word in ("train", "t10k", "test"):
        put(tmp_path, f"{word}-images-idx3-ubyte", idx_file(images(len(word))))
    message = refusal(idx.read, tmp_path / "train-images-idx3-ubyte")
    assert "t10k-images-idx3-ubyte and " in message and "both hold images of the split test" in message
    assert described(idx.read(tmp_path / "t10k-images-idx3-ubyte"))[1][:2] == ("test", images(4)[0].sum())


def test_the_first_of_qmnists_labels_is_the_digit(tmp_path):
    path = put(tmp_path, "qmnist-train-images-idx3-ubyte", idx_file(IMAGES))
    many = np.random.default_rng(3).integers(0, 70000, (N, 8))
    put(tmp_path, "qmnist-train-labels-idx2-int", idx_file(many, 12))
    np.testing.assert_array_equal(idx.read(path)[0].labels, many[:, 0])


def test_what_is_no_idx(tmp_path):
    contents = {
        "text": HTML,
        "nothing": b"",
        "short": b"\0\0\x08",
        "ico": b"\0\0\1\0\1",
        "flat": b"\0\0\x08\0",
        "gz": b"\x1f\x8b",
    }
    for name, content in contents.items():
        path = put(tmp_path, name, content)
        assert not idx.is_idx(path)
        assert str(path) in refusal(idx.read, path)
    assert not idx.is_idx(tmp_path) and not idx.is_idx(tmp_path / "missing")
    put(tmp_path, "labels", idx_file(LABELS))
    put(tmp_path, "cut", idx_file(IMAGES)[:10])
    assert idx.find(tmp_path) == [] and idx.is_idx(tmp_path / "labels")
    assert "cannot read" in refusal(idx.find, tmp_path / "missing")


GOOD = idx_file(IMAGES)
BAD = {
    "header cut": (GOOD[:11], "ends within its header; copy or download it again"),
    "cut": (GOOD[:-1], "165 bytes, but holds 164; copy"),
    "longer": (GOOD + b"\0", "goes on after them"),
    "cut and packed": (gzip.compress(GOOD[:-1]), "165 bytes, but holds 164; copy"),
    "longer and packed": (gzip.compress(GOOD + b"\0"), "goes on after them"),
    "cut gz": (gzip.compress(GOOD)[:-9], "damaged gzip data"),
    "bits flipped": (gzip.compress(GOOD)[:80] + bytes(20), "damaged gzip data"),
    "checksum": (gzip.compress(GOOD)[:-8] + bytes(8), "damaged gzip data"),
    "rubbish after": (gzip.compress(GOOD) + b"rubbish", "damaged gzip data"),
    "bomb": (bomb(GOOD), "goes on after them"),
    "lying": (idx_file(IMAGES, shape=(1 << 20, 28, 28)), "which is more than the file can hold"),
    "lying and packed": (gzip.compress(idx_file(IMAGES, shape=(1 << 20, 28, 28))), "is more than the file can hold"),
    "9 GB": (idx_file(IMAGES, shape=(9_000_000, 1000, 1)), "more than the 8589934592 that are read"),
    "overflow": (idx_file(IMAGES, shape=(2**32 - 1,) * 3), "more than the 8589934592 that are read"),
    "no type": (idx_file(IMAGES, 10), "unknown type, 0x0A; save it as bytes, type 0x08"),
    "nothing": (idx_file(IMAGES[:0]), "of the sizes (0, 3, 5) by its header, 0 bytes: there are no values"),
    "no pixels": (idx_file(IMAGES[:, :0]), "there are no values in it"),
    "labels": (idx_file(LABELS), "is of the sizes (11,): no images"),
    "two axes": (idx_file(IMAGES[0]), "is of the sizes (3, 5): no images"),
    "five axes": (idx_file(IMAGES[None, None]), "is of the sizes (1, 1, 11, 3, 5): no images"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("which", ["itself", "partner"])
def test_damaged_images(tmp_path, kind, which):
    content, reason = BAD[kind]
    path = put(tmp_path, "train-images-idx3-ubyte", content if which == "itself" else GOOD)
    bad = path if which == "itself" else put(tmp_path, "t10k-images-idx3-ubyte.gz", content)
    message = refusal(idx.read, path)
    assert message.startswith(str(bad)) and reason in message and "delete" not in message


BAD_LABELS = {
    "too few": (idx_file(LABELS[1:]), "holds 10 labels, but"),
    "images": (GOOD, "holds no labels, but uint8 of the sizes (11, 3, 5)"),
    "pairs": (idx_file(np.zeros((N, 2), int)), "holds no labels, but uint8 of the sizes (11, 2)"),
    "fractions": (idx_file(LABELS / 2, 13), "holds no labels, but float32"),
    "cut": (idx_file(LABELS)[:-1], "copy or download it again"),
    "cut gz": (gzip.compress(idx_file(LABELS))[:-5], "damaged gzip data"),
    "html": (HTML, "is not in idx form: it begins b'<!DO'"),
    "empty": (b"", "is not in idx form: it begins b''"),
}


@pytest.mark.parametrize("kind", BAD_LABELS)
def test_damaged_labels_are_an_error(tmp_path, kind):
    content, reason = BAD_LABELS[kind]
    path = put(tmp_path, "train-images-idx3-ubyte", GOOD)
    labels = put(tmp_path, "train-labels-idx1-ubyte", content)
    message = refusal(idx.read, path)
    assert message.startswith(str(labels)) and reason in message and "delete" not in message


def test_nothing_large_is_unpacked(tmp_path, monkeypatch):
    """A file of a few bytes that says it holds 8 GB takes no memory, nor does what lies behind the images."""
    path = put(tmp_path, "x", gzip.compress(idx_file(IMAGES, shape=(1 << 20, 28, 28))))
    monkeypatch.setattr(np, "empty", None)
    assert "more than the file can hold" in refusal(idx.read, path)
    monkeypatch.undo()
    unpacked = []
    monkeypatch.setattr(idx.gzip.GzipFile, "read", count(unpacked, idx.gzip.GzipFile.read))
    assert "goes on after" in refusal(idx.read, put(tmp_path, "x", bomb(GOOD)))
    assert sum(unpacked) <= len(GOOD) + 1


def count(sizes: list, read):
    def counted(self, size=-1):
        content = read(self, size)
        sizes.append(len(content))
        return content

    return counted


def test_official_files():
    real("mnist")
    folder = Path(REAL) / "mnist"
    train, test = idx.read(idx.find(folder)[0])
    assert (train.array.shape, test.array.shape, train.split, test.split) == (
        (60000, 28, 28),
        (10000, 28, 28),
        "train",
        "test",
    )
    assert (train.labels[:5].tolist(), test.labels[:5].tolist()) == ([5, 0, 4, 1, 9], [7, 2, 1, 0, 4])
