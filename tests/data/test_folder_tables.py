"""Tables of pixels as parts, read as Python's csv module reads them: names or none, labels at any place, bad cells."""

import csv
import gzip

import numpy as np
import pytest
from support.files import HTML, put, refusal

from minidraw.data.folder import tables

N, PIXELS = 23, 25
RNG = np.random.default_rng(1)
GREY = RNG.integers(0, 256, (N, PIXELS))
GREY[:, [0, -1]] = 0  # as in pictures of digits
GREY[3, -1] = 1
LABELS = RNG.integers(0, 5, N)
NAMES = [f"pixel{i}" for i in range(PIXELS)]
ANIMALS = np.array(["cat", "dog", "ibex"])[LABELS % 3]


def text(rows, names=None, mark: str = ",") -> bytes:
    lines = [mark.join(map(str, row)) for row in ([names] if names else []) + list(rows)]
    return "\n".join([*lines, ""]).encode()


def rows(*columns) -> list[list]:
    """Return the rows of a table of columns (n,) and groups of columns (n, k)."""
    return np.column_stack([np.asarray(column, object) for column in columns]).tolist()


def only(path):
    (part,) = tables.read(path)
    assert part.split is None and part.axes is None
    return part


def same(part, array=GREY, labels=None) -> None:
    np.testing.assert_array_equal(part.array, array)
    assert part.array.shape == array.shape
    if labels is None:
        assert part.labels is None
    else:
        np.testing.assert_array_equal(part.labels, labels)
        assert part.labels.dtype.kind == np.asarray(labels).dtype.kind


FORMS = {  # (content, labels)
    "Kaggle's digits": (text(rows(LABELS, GREY), ["label", *NAMES]), LABELS),
    "without labels": (text(GREY, NAMES), None),
    "no names": (text(rows(LABELS, GREY)), LABELS),
    "no names, label last": (text(rows(GREY, LABELS)), LABELS),
    "no names, no labels": (text(GREY), None),
    "no names, texts first": (text(rows(ANIMALS, GREY)), ANIMALS),
    "no names, texts last": (text(rows(GREY, ANIMALS)), ANIMALS),
    "label last": (text(rows(GREY, ANIMALS), [*NAMES, "Class"]), ANIMALS),
    "label between": (text(rows(GREY[:, :9], LABELS, GREY[:, 9:]), [*NAMES[:9], "TARGET", *NAMES[9:]]), LABELS),
    "label of any name": (text(rows(LABELS, GREY), ["what", *NAMES]), LABELS),
    "index": (text(rows(np.arange(N), LABELS, GREY), ["", "label", *NAMES]), LABELS),
    "index by pandas": (text(rows(np.arange(N), GREY, LABELS), ["Unnamed: 0", *NAMES, "y"]), LABELS),
    "id without labels": (text(rows(np.arange(N), GREY), ["id", *NAMES]), None),
    "names of files": (text(rows([f"{i}.png" for i in range(N)], GREY), ["filename", *NAMES]), None),
    "others beside the label": (text(rows(ANIMALS, LABELS, GREY), ["name", "label", *NAMES]), LABELS),
    "counted": (text(rows(LABELS, GREY), ["label", *range(PIXELS)]), LABELS),
    "all counted": (text(rows(LABELS, GREY), range(PIXELS + 1)), LABELS),
    "counted from one": (text(GREY, range(1, PIXELS + 1)), None),
    "by row and column": (
        text(rows(LABELS, GREY), ["label", *(f"{i}x{j}" for i in range(5) for j in range(5))]),
        LABELS,
    ),
    "pixels in the order of texts": (
        text(rows(LABELS, GREY[:, sorted(range(PIXELS), key=str)]), ["label", *sorted(NAMES)]),
        LABELS,
    ),
    "a mark in the names": (text(GREY, [f"#{i}#" for i in range(PIXELS)]), None),
    "semicolons": (text(rows(LABELS, GREY), ["label", *NAMES], ";"), LABELS),
    "tabs": (text(rows(ANIMALS, GREY), ["label", *NAMES], "\t"), ANIMALS),
    "spaces": (text(GREY, mark=" "), None),
    "spaces around": (text(rows(LABELS, GREY), ["label", *NAMES], " , "), LABELS),
    "quotation marks": (text([[f'"{cell}"' for cell in row] for row in rows(LABELS, GREY)], ["label", *NAMES]), LABELS),
    "quotation marks after spaces": (text(rows(GREY, np.arange(N)), [*NAMES, '"id"'], ", "), None),
    "a comma in a label": (
        text(rows([f'"{a}, wild"' for a in ANIMALS], GREY), ["label", *NAMES]),
        np.array([f"{a}, wild" for a in ANIMALS]),
    ),
    "labels as floats": (text(rows([f"{i}.0" for i in LABELS], GREY), ["label", *NAMES]), LABELS),
    "lines of Windows": (text(rows(LABELS, GREY), ["label", *NAMES]).replace(b"\n", b"\r\n"), LABELS),
    "byte order mark": (b"\xef\xbb\xbf" + text(rows(LABELS, GREY)), LABELS),
    "blank lines, no end": (text(rows(LABELS, GREY)).replace(b"\n", b"\n\n").rstrip(), LABELS),
    "texts of pixels": (text(rows([" ".join(map(str, row)) for row in GREY]), ["pixels"]), None),
    "FER's": (text(rows(LABELS, [" ".join(map(str, row)) for row in GREY]), ["emotion", " pixels"]), LABELS),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("block", [1, 300, 1 << 22])
def test_forms(tmp_path, monkeypatch, form, packed, block):
    monkeypatch.setattr(tables, "BLOCK", block)
    content, labels = FORMS[form]
    part = only(put(tmp_path, "x.csv.gz" if packed else "x.csv", gzip.compress(content) if packed else content))
    same(part, labels=labels)
    assert part.array.dtype == np.uint8


def test_as_the_csv_module_reads(tmp_path):
    path = put(tmp_path, "x.csv", text(rows(RNG.normal(size=(N, PIXELS)), ANIMALS), [*NAMES, "label"]))
    with open(path, newline="") as file:
        names, *plain = csv.reader(file)
    part = only(path)
    assert names[-1] == "label" and part.array.dtype == np.float32
    same(part, np.array([row[:-1] for row in plain], np.float64).astype(np.float32), [row[-1] for row in plain])


@pytest.mark.parametrize(
    "low, high, dtype",
    [
        (0, 1, "u1"),
        (0, 255, "u1"),
        (-1, 127, "i1"),
        (0, 256, "u2"),
        (-1, 255, "i2"),
        (0, 70000, "u4"),
        (-1, 70000, "i4"),
        (0, 1 << 40, "i8"),
    ],
)
@pytest.mark.parametrize("block", [1, 1 << 22])
def test_smallest_type(tmp_path, monkeypatch, low, high, dtype, block):
    monkeypatch.setattr(tables, "BLOCK", block)
    array = GREY % 2
    array[5, 6], array[9, 8] = low, high
    part = only(put(tmp_path, "x.csv", text(array, NAMES)))
    same(part, array)
    assert part.array.dtype == dtype


@pytest.mark.parametrize("cell", ["1.0", "0.5", "1e-3"])
@pytest.mark.parametrize("block", [1, 1 << 22])
def test_floats_stay_floats(tmp_path, monkeypatch, cell, block):
    monkeypatch.setattr(tables, "BLOCK", block)
    array = (GREY % 2).astype(object)
    array[13, 3] = cell
    part = only(put(tmp_path, "x.csv", text(array, NAMES)))
    same(part, array.astype(np.float32))
    assert part.array.dtype == np.float32


def test_labels_do_not_widen_the_pixels(tmp_path):
    labels = 300 + LABELS
    part = only(put(tmp_path, "x.csv", text(rows(labels, GREY))))
    same(part, labels=labels)
    assert part.array.dtype == np.uint8
    half = GREY / 255
    same(only(put(tmp_path, "x.csv", text(rows(labels, half)))), half.astype(np.float32), labels)


@pytest.mark.parametrize("names", [["emotion", "pixels", "Usage"], ["emotion", " Usage", " pixels"]])
def test_fer(tmp_path, names):
    usage = np.array(["Training", "PublicTest", "PrivateTest"])[[*range(3), *RNG.integers(0, 3, N - 3)]]
    columns = {"emotion": LABELS, "pixels": [" ".join(map(str, row)) for row in GREY], "Usage": usage}
    path = put(tmp_path, "x.csv", text(rows(*(columns[name.strip()] for name in names)), names))
    parts = tables.read(path)
    assert [part.split for part in parts] == ["train", "valid", "test"]
    for part, word in zip(parts, ("Training", "PublicTest", "PrivateTest"), strict=True):
        same(part, GREY[usage == word], LABELS[usage == word])


def test_columns_of_pixels_with_splits(tmp_path):
    split = np.where(LABELS > 2, "test", "train")
    train, test = tables.read(put(tmp_path, "x.csv", text(rows(split, GREY), ["Split", *NAMES])))
    assert (train.split, test.split) == ("train", "test")
    same(train, GREY[LABELS <= 2])
    same(test, GREY[LABELS > 2])


def test_emnist_is_transposed(tmp_path):
    (part,) = tables.read(put(tmp_path, "EMNIST-letters-train.csv", text(rows(LABELS, GREY))))
    assert part.axes == "nwh"
    np.testing.assert_array_equal(part.array, GREY.reshape(N, 5, 5))


NOISE = RNG.integers(0, 256, (40, PIXELS))


def test_which_end_holds_the_labels(tmp_path):
    """Labels are told from pixels at the other end also where those are of many values."""
    labels = np.arange(40) % 4
    same(only(put(tmp_path, "x.csv", text(rows(labels, NOISE)))), NOISE, labels)
    same(only(put(tmp_path, "x.csv", text(rows(NOISE, labels)))), NOISE, labels)
    unclear = {
        "two values at one end, but the many at the other are no pixels": rows(NOISE % 2, np.arange(40) % 9),
        "many values at both ends": rows(np.arange(40), NOISE),
        "one value at each end": rows(np.zeros(40, int), NOISE[:, 1:], np.zeros(40, int)),
        "nearly always one value": rows(np.eye(40, dtype=int)[7], NOISE[:, 1:], np.zeros(40, int)),
        "negative": rows(-labels, NOISE[:, 1:], np.zeros(40, int)),
        "fractions": rows(labels / 2, NOISE[:, 1:], np.zeros(40, int)),
    }
    for kind, table in unclear.items():
        message = refusal(tables.read, put(tmp_path, "x.csv", text(table)))
        assert "whether the first or the last column" in message and "label,pixel0,pixel1" in message, kind


def cell(value, row: int = 7, column: int = 4, names=True) -> bytes:
    array = GREY.astype(object)
    array[row, column] = value
    return text(rows(LABELS, array), ["label", *NAMES] if names else None)


def lines(*, change: int, to: str) -> bytes:
    content = text(rows(LABELS, GREY), ["label", *NAMES]).decode().split("\n")
    content[change] = to or content[change].rpartition(",")[0]
    return "\n".join(content).encode()


PLACE = "in line 9, column 'pixel4' of"
FEW = ",".join(["1"] * 7)
BAD = {
    "empty": (b"", "is empty"),
    "blank": (b"\n \n\n", "is empty"),
    "names alone": (text([], ["label", *NAMES]), "ends after its first line, label, pixel0"),
    "html": (HTML, "is a web page, not a table: it begins '<!DOCTYPE html"),
    "zip": (b"PK\x03\x04\0\0\0\0", "is no text"),
    "picture": (b"\x89PNG\r\n\x1a\n\0\0", "is no text in UTF-8"),
    "UTF-16": ("label,pixel0".encode("utf-16"), "is no text in UTF-8"),
    "zero bytes": (text(rows(LABELS, GREY)) + b"\0\0", "zero bytes in line 24"),
    "Latin-1": (text(GREY, NAMES) + "café".encode("latin-1"), "is no text in UTF-8"),
    "cut gz": (gzip.compress(text(GREY))[:-9], "damaged gzip data"),
    "word": (cell("cat"), f"'cat' {PLACE}"),
    "word without names": (cell("cat", names=False), "'cat' in line 8, column 6 of"),
    "word in the last row": (cell("cat", row=N - 1), "'cat' in line 24, column 'pixel4' of"),
    "nothing in a cell": (cell(""), f"there is nothing {PLACE}"),
    "NaN": (cell("NaN"), f"'NaN' {PLACE}"),
    "infinite": (cell("-inf"), f"'-inf' {PLACE}"),
    "too high": (cell("1e39"), f"'1e39' {PLACE}"),
    "underscore": (cell("1_0"), f"'1_0' {PLACE}"),
    "other digits": (cell("٣"), "no number, in line 2 or below"),
    "comma in a number": (cell('"0,5"'), f"'0,5' {PLACE}"),
    "no label": (text(rows(["", *LABELS[1:]], GREY), ["label", *NAMES]), "no label in line 2, column 'label' of"),
    "label NaN": (text(rows([*LABELS[1:], "nan"], GREY), ["label", *NAMES]), "no label in line 24, column 'label'"),
    "label of a fraction": (text(rows(LABELS / 2, GREY), ["label", *NAMES]), "neither a whole number nor a name"),
    "long label": (text(rows(["a" * 999] * N, GREY), ["label", *NAMES]), "is too long for a label"),
    "short row": (lines(change=5, to=""), "line 6 of"),
    "long row": (lines(change=5, to=",".join("1" * 27)), "has 27 columns, the first 26"),
    "last row cut": (text(rows(LABELS, GREY))[:-20], "columns, the first 26"),
    "no end of a quotation": (lines(change=5, to='"' + ",".join("1" * 26)), "line 6 of"),
    "list of pictures": (b"filename,label\na.png,cat\nb.png,dog\n", "lists files, as 'a.png', and holds no pixels"),
    "list without names": (
        b"train/a.JPG,cat\ntrain/b.JPG,dog\n",
        "lists files, as 'train/b.JPG', and holds no pixels; give the folder",
    ),
    "list of numbers": (b"image_id,label\n1000015157,0\n1000201771,3\n", "but: image_id, label; if it lists pictures"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 7\n", "has no columns of pixels"),
    "iris": (b"5.1,3.5,1.4,0.2,setosa\n4.9,3.0,1.4,0.2,setosa\n", "5 columns, too few for images"),
    "iris with names": (b"sepal_length,sepal_width,petal_length,species\n5.1,3.5,1.4,a\n", "has no columns of pixels"),
    "names all the same": (text(GREY, ["#"] * PIXELS), "has no columns of pixels"),
    "three kinds of names": (
        text(GREY, [f"{'rgb'[i % 3]}{i // 3}" for i in range(PIXELS)]),
        "has no columns of pixels",
    ),
    "prose": (b"There is no table here.\nReally.\n", "has no columns of pixels"),
    "no square": (text(GREY[:, :20]), "20 columns, with a label or without: neither makes a square"),
    "two squares": (text(np.tile(GREY, 2)[:, :49]), "49 columns, with a label or without: both make a square"),
    "two texts": (text(rows(ANIMALS, ANIMALS, GREY)), f"'{ANIMALS[0]}' in column 2"),
    "text between": (text(rows(GREY, ANIMALS, GREY)), "in column 26, which is no pixel; put a line of names on top"),
    "two labels": (
        text(rows(LABELS, LABELS, GREY), ["label", "class", *NAMES]),
        "several columns for the label: label, class",
    ),
    "two unknown": (
        text(rows(LABELS, LABELS, GREY), ["age", "size", *NAMES]),
        "age, size; call only the right one 'label'",
    ),
    "unknown split": (b"pixels,Usage\n1 2 3,Training\n1 2 3,Holdout\n", "'Holdout' in line 3, column 'Usage'"),
    "fewer in a text": (b"pixels,Usage\n1 2 3,Training\n1 2,Training\n", "2 numbers in line 3, column 'pixels'"),
    "none in a text": (b"pixels,label\n1 2 3,1\n,1\n", "there is nothing in line 3, column 'pixels'"),
    "no text at first": (b"pixels,label\n,1\n1 2 3,1\n", "there is nothing in line 2, column 'pixels'"),
    "word in a text": (b"pixels,label\n1 2 3,1\n1 x 3,1\n", "'x' in line 3, column 'pixels'"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("block", [1, 1 << 22])
def test_bad_tables(tmp_path, monkeypatch, kind, block):
    monkeypatch.setattr(tables, "BLOCK", block)
    content, reason = BAD[kind]
    path = put(tmp_path, "x.csv", content)
    message = refusal(tables.read, path)
    if kind == "other digits":
        reason = reason if block > 1 else "no number, in line 9 or below"
    assert str(path) in message and reason in message and "delete" not in message


def test_what_is_too_large(tmp_path, monkeypatch):
    path = put(tmp_path, "x.csv.gz", gzip.compress(b"0," * (1 << 24)))
    assert "line 1 has more than 16777216 characters" in refusal(tables.read, path)
    monkeypatch.setattr(tables, "BLOCK", 300)
    monkeypatch.setattr(tables, "MOST", N * PIXELS - 1)
    assert "more than 574 bytes of pixels" in refusal(tables.read, put(tmp_path, "x.csv", text(GREY)))
    assert "there is no file" in refusal(tables.read, tmp_path / "missing.csv")
