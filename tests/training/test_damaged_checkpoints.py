"""Checkpoints that are missing, damaged or made up: a line, and no more memory than the file is long."""

import dataclasses
import io
import os
import pickle
import zipfile

import numpy as np
import pytest
from support.checkpoints import header, refused, whole, write

from minidraw.errors import UserError
from minidraw.model.draw import DRAW
from minidraw.model.network import parameter_count
from minidraw.training import checkpoints
from minidraw.training.checkpoints import FORMAT, VECTORS, load, save

pytestmark = pytest.mark.usefixtures("small_strokes")


def test_a_missing_file_is_told_with_what_makes_one(tmp_path):
    refused(tmp_path / "none.npz", "there is no checkpoint .* minidraw.train makes one")
    with pytest.raises(UserError, match="there is no checkpoint"):
        load(tmp_path)  # a folder without a run


def test_a_path_that_cannot_be(tmp_path, path):
    refused(path / "checkpoint.npz", "Not a directory")
    refused(tmp_path / ("x" * 300), "too long")
    (tmp_path / "odd" / "checkpoint.npz").mkdir(parents=True)
    with pytest.raises(UserError, match="directory"):
        load(tmp_path / "odd")


JUNK = {
    "empty": b"",
    "a page": b"<!DOCTYPE html><html><body>404</body></html>",
    "text": b"PK is not enough",
    "an empty archive": b"PK\x05\x06" + bytes(18),
    "noise": np.random.default_rng(0).bytes(20_000),
    "zeros": bytes(20_000),
    "a pickle": pickle.dumps({"format": FORMAT}),
}


@pytest.mark.parametrize("kind", JUNK)
def test_a_file_that_is_something_else(tmp_path, kind):
    (tmp_path / "a.npz").write_bytes(JUNK[kind])
    refused(tmp_path / "a.npz", "is not a whole checkpoint of minidraw")


def test_an_npy_and_an_npz_of_somebody_else(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(3))
    np.savez(tmp_path / "a.npz", weights=np.zeros(3))
    refused(tmp_path / "a.npy")
    refused(tmp_path / "a.npz", "header")


def test_a_file_cut_short_anywhere(path):
    content = path.read_bytes()
    rng = np.random.default_rng(1)
    for length in [*range(0, 400, 23), *rng.integers(0, len(content), 80), *range(len(content) - 60, len(content))]:
        path.write_bytes(content[:length])
        refused(path)


def test_bytes_changed_anywhere_give_a_line_or_a_checkpoint(path):
    content = path.read_bytes()
    rng = np.random.default_rng(2)
    with zipfile.ZipFile(path) as archive:
        heads = [info.header_offset for info in archive.infolist()]
        directory = archive.start_dir
    loaded = 0
    for k in range(450):
        changed = bytearray(content)
        for _ in range(rng.integers(1, 4)):
            # anywhere, or where it hurts: in the headers of the members and arrays, in the zip's directory
            near = (
                rng.integers(len(content)),
                rng.choice(heads) + rng.integers(300),
                rng.integers(directory, len(content)),
            )
            changed[min(near[k % 3], len(content) - 1)] = rng.integers(256)
        path.write_bytes(changed)
        try:
            result = load(path)
        except UserError as mistake:
            assert "\n" not in str(mistake)
        else:
            loaded += 1
            for name, vector in result.vectors.items():
                assert vector.tobytes() == whole().vectors[name].tobytes(), "damage that was not noticed"
    assert 0 < loaded < 225


def test_objects_in_it_are_never_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    objects = np.array([Trap()], dtype=object)
    np.savez(tmp_path / "a.npz", header=objects, **whole().vectors)
    refused(tmp_path / "a.npz", "object")
    write(tmp_path / "b.npz", header(), whole().vectors | {"average": objects})
    refused(tmp_path / "b.npz", "object")
    assert not (tmp_path / "sprung").exists()


def member(shape: str, descr: str = "<f4", version: bytes = b"\x01\x00") -> bytes:
    """Return the head of a .npy file that claims a shape."""
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text


def replace_member(path, name: str, content: bytes, compression=zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for other, old in members.items():
            archive.writestr(other, content if other == name else old, compression if other == name else None)


HEADS = [
    *(
        "(10**12,)",
        "(268435456,)",
        "(99999999999999999999,)",
        "(2, 2)",
        "()",
        "(0,)",
        "(-1,)",
        "(1.5,)",
        "(None,)",
        "5",
    ),
    *("(" * 50, "(" * 8000, "[", "(1L,)", "''", "(True,)", "__import__('os')", "(1,", "\x00", "(1,)" + " " * 3000),
]


@pytest.mark.parametrize("name", ["header", "average"])
@pytest.mark.parametrize("head", HEADS, ids=range(len(HEADS)))
def test_an_array_that_claims_any_shape(path, name, head):
    replace_member(path, f"{name}.npy", member(head, "|u1" if name == "header" else "<f4") + bytes(64))
    refused(path)


@pytest.mark.parametrize("descr", [">f4", "<f2", "<c8", "|O", "<i4", "|V4", "<U1", "junk", "<f4' , 'x': '", "|b1"])
def test_an_array_of_another_type(path, descr):
    size = parameter_count(DRAW, whole().experiment.model)
    replace_member(path, "average.npy", member(f"({size},)", descr) + bytes(16 * size))
    refused(path)


@pytest.mark.parametrize("name", ["header", "average"])
def test_a_member_longer_than_its_array(path, name):
    with zipfile.ZipFile(path) as archive:
        content = archive.read(f"{name}.npy")
    replace_member(path, f"{name}.npy", content + b"x")
    refused(path, f"{name} is cut short or too long")


@pytest.mark.parametrize("version", [b"\x02\x00", b"\x03\x00", b"\x00\x00", b"\xff\xff"])
def test_an_array_of_another_version(path, version):
    replace_member(path, "average.npy", member("(5,)", version=version) + bytes(64))
    refused(path, "version")


@pytest.mark.parametrize("name", ["header", "average", "adam_square"])
def test_a_member_that_unpacks_to_very_much_takes_no_memory(path, name):
    size = parameter_count(DRAW, whole().experiment.model)
    bomb = member(f"({size},)", "|u1" if name == "header" else "<f4") + bytes(64 << 20)
    replace_member(path, f"{name}.npy", bomb, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 20
    refused(path, "compressed")


def test_a_config_that_claims_a_large_network_takes_no_memory(tmp_path):
    for sizes in ({"enc_size": 5000}, {"image_shape": [1, 4000, 4000]}, {"glimpses": 10**9}, {"dec_size": 10**9}):
        claim = header()
        claim["model"] |= sizes
        size = min(10**7, parameter_count(DRAW, dataclasses.replace(whole().experiment.model, **sizes)))
        write(tmp_path / "a.npz", claim)
        replace_member(tmp_path / "a.npz", "average.npy", member(f"({size},)") + bytes(64))
        refused(tmp_path / "a.npz", "claims|too large")


def mutations():
    """Headers with one thing wrong."""
    wrongs = [None, [], {}, "", "x", -1, 0, 1.5, True, float("nan"), float("inf"), 10**400, [1, 2, 3], {"a": 1}]
    right = header()
    for field in ("format", "model", "train", "state"):
        yield {name: value for name, value in right.items() if name != field}
        yield from (
            right | {field: wrong} for wrong in wrongs if not (field == "state" and isinstance(wrong, dict | list))
        )
    for part in ("model", "train"):
        yield right | {part: right[part] | {"surprise": 1}}
        for field in right[part]:
            for wrong in wrongs:
                if type(wrong) is not type(right[part][field]):
                    yield right | {part: right[part] | {field: wrong}}


def test_a_header_with_anything_wrong_gives_a_line_or_a_network_that_works(tmp_path):
    loaded = 0
    for k, wrong in enumerate(mutations()):
        path = tmp_path / f"{k}.npz"
        write(path, wrong)
        try:
            result = load(path)
        except UserError as mistake:
            assert "\n" not in str(mistake) and str(path) in str(mistake) and len(str(mistake)) < 500
        else:
            loaded += 1
            assert result.network(threads=1).generate(1).shape == (3, 1, 1, 6, 5)
            assert isinstance(result.experiment.train.data, str) and isinstance(result.experiment.train.steps, int)
        path.unlink()
    assert k > 250 and loaded < 0.1 * k, (k, loaded)


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"nul",
        b"[" * 100_000,
        b'{"format": "minidraw 1"}',
        b'"minidraw 1"',
        b"\xff\xfe",
        b"9" * 5000,
        b'{"a":' * 9000,
    ],
)
def test_a_header_that_is_not_json_or_not_ours(tmp_path, text):
    write(tmp_path / "a.npz", text)
    refused(tmp_path / "a.npz", "is not a whole checkpoint")


def test_a_header_of_another_version_is_told_so(tmp_path):
    write(tmp_path / "a.npz", header() | {"format": "minidraw 2"})
    refused(tmp_path / "a.npz", "its format is .minidraw 2., not .minidraw 1.")


def test_vectors_missing_short_long_or_not_finite(tmp_path):
    path, right = tmp_path / "a.npz", whole().vectors
    write(path, header(), {name: right[name] for name in VECTORS if name != "average"})
    refused(path, "no parameters")
    for name in VECTORS:
        write(path, header(), right | {name: right[name][:-1]})
        refused(path, f"{name} has")
        write(path, header(), right | {name: np.append(right[name], np.float32(0))})
        refused(path, name)
        for wrong in (np.nan, np.inf):
            write(path, header(), right | {name: np.append(right[name][1:], np.float32(wrong))})
            refused(path, f"{name} has numbers that are not finite")


def test_the_largest_header_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "LARGEST_HEADER", 100)
    write(tmp_path / "a.npz", header())
    refused(tmp_path / "a.npz", "header is an array")


def test_a_member_twice_or_encrypted_or_packed_in_other_ways(path):
    content = io.BytesIO(path.read_bytes())
    with zipfile.ZipFile(content, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("header.npy", b"junk")
    path.write_bytes(content.getvalue())
    refused(path)
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        save(path, whole())
        replace_member(path, "average.npy", member("(5,)") + bytes(100), method)
        refused(path, "compressed")
