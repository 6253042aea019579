"""Arrays of all layouts as a data set, and those that are refused."""

import io
import zipfile

import numpy as np
import pytest
from support.files import HTML, put, refusal
from support.pictures import IMAGES, N, load, pixels, shuffled

from minidraw.data import folder_arrays

ARRAYS = {
    "grey": (IMAGES[..., 0], IMAGES[..., 0]),
    "channels last": (IMAGES, IMAGES),
    "channels first": (IMAGES.transpose(0, 3, 1, 2), IMAGES),
    "one channel first": (IMAGES[:, None, :, :, 0], IMAGES[..., 0]),
    "Fortran order": (np.asfortranarray(IMAGES), IMAGES),
    "float32": (np.float32(IMAGES) / np.float32(255), IMAGES),
    "float64": (IMAGES / 255, IMAGES),
    "big-endian": ((IMAGES / 255).astype(">f4"), IMAGES),
    "bool": (IMAGES[..., 0] > 99, np.uint8(255) * (IMAGES[..., 0] > 99)),
    "zeros and ones": (np.uint8(IMAGES[..., 0] > 99), np.uint8(255) * (IMAGES[..., 0] > 99)),
    "float16 of zeros and ones": (np.float16(IMAGES[..., 0] > 99), np.uint8(255) * (IMAGES[..., 0] > 99)),
}


@pytest.mark.parametrize("form", ["npy", "npz", "npz of several"])
@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays(tmp_path, kind, form, monkeypatch):
    array, images = ARRAYS[kind]
    path = tmp_path / f"x.{form[:3]}"
    if form == "npy":
        np.save(path, array)
    elif form == "npz":
        np.savez_compressed(path, array)
    else:
        np.savez(path, images=array, labels=np.arange(N), names=np.array(["a"] * N))
    np.testing.assert_array_equal(pixels(load(path)), shuffled(images))
    monkeypatch.setattr(folder_arrays, "Array", None)
    np.testing.assert_array_equal(pixels(load(path)), shuffled(images))


def test_several_arrays(tmp_path, cache):
    path = tmp_path / "x.npz"
    np.savez(path, a=IMAGES, b=IMAGES[..., 0], y=np.arange(N))
    message = refusal(load, path)
    assert f"a ({N}, 6, 5, 3), b ({N}, 6, 5)" in message and f"folder:{path}?key=NAME" in message
    np.testing.assert_array_equal(pixels(load(path, "?key=b")), shuffled(IMAGES[..., 0]))
    dark = pixels(load(path, "?key=b&binarize=1"))
    np.testing.assert_array_equal(dark, np.where(shuffled(IMAGES[..., 0]) < 128, 0, 255))
    assert "choose the images" in refusal(load, path, "?key=c")
    assert "(23,), not" in refusal(load, path, "?key=y")


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return exec, (f"open({str(self.path)!r}, 'w')",)


def npy(array, **kwargs) -> bytes:
    out = io.BytesIO()
    np.save(out, array, **kwargs)
    return out.getvalue()


def npz(compression: int = zipfile.ZIP_DEFLATED, **members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name + ".npy", content)
    return out.getvalue()


def lying(n: int) -> bytes:
    """An .npy file of 23 images that says it has n."""
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "|u1", "fortran_order": False, "shape": (n, 6, 5, 3)})
    return out.getvalue() + IMAGES.tobytes()


BYTES = IMAGES[3].tobytes()[:4]
NAN = (IMAGES / 255).astype(np.float32)
NAN[4, 2, 1, 0] = np.nan
BAD_ARRAYS = {
    "html": (HTML, "is no .npy or .npz file"),
    "empty": (b"", "is no .npy or .npz file"),
    "pickle": (b"\x80\x04\x95", "is no .npy or .npz file"),
    "objects": (npy(np.array([{}] * N), allow_pickle=True), "cannot be read as an array"),
    "cut": (npy(IMAGES)[:-50], "cannot be read as an array"),
    "header alone": (npy(IMAGES)[:20], "cannot be read as an array"),
    "huge shape": (lying(10**30), "cannot be read as an array"),
    "lying shape": (lying(24), "cannot be read as an array"),
    "one dimension": (npy(IMAGES.ravel()), f"the shape ({IMAGES.size},), not (n, H, W)"),
    "two dimensions": (npy(IMAGES.reshape(N, -1)), "the shape (23, 90), not (n, H, W)"),
    "five dimensions": (npy(IMAGES[None]), "the shape (1, 23, 6, 5, 3), not (n, H, W)"),
    "seven channels": (npy(np.zeros((N, 7, 6, 5), np.uint8)), "C up to 4"),
    "two ways": (npy(np.zeros((N, 3, 6, 3), np.uint8)), "cannot be told apart"),
    "nothing": (npy(IMAGES[:0]), "the shape (0, 6, 5, 3)"),
    "no pixels": (npy(IMAGES[:, :0]), "the shape (23, 0, 5, 3)"),
    "whole numbers": (npy(IMAGES.astype(np.int64)), "is an array of int64; save it as uint8"),
    "complex": (npy(IMAGES.astype(complex)), "is an array of complex128"),
    "text": (npy(np.full((N, 5, 6), "a")), "is an array of <U1"),
    "records": (npy(np.zeros((N, 5, 6), [("a", "u1")])), "is an array of [('a', 'u1')]"),
    "up to 255": (npy(IMAGES.astype(np.float32)), "values from 0 to 255, not in [0, 1]; divide by 255"),
    "negative": (npy(IMAGES / 127.5 - 1), "values from -1 to 1, not in [0, 1]"),
    "not a number": (npy(NAN), "values from nan to nan"),
    "infinite": (npy(np.where(np.isnan(NAN), np.inf, NAN)), "to inf, not in [0, 1]"),
    "empty zip": (npz(), "holds nothing"),
    "zip of text": (npz(a=HTML), "cannot be read as an array"),
    "zip of objects": (npz(a=npy(np.array([[[{}]]]), allow_pickle=True)), "cannot be read as an array"),
    "cut zip": (npz(a=npy(IMAGES))[:-30], "cannot be read as an array"),
    "zip with a flipped bit": (npz(zipfile.ZIP_STORED, a=npy(IMAGES)).replace(BYTES, b"\0\1\2\3"), "cannot be read"),
    "zip of more than memory": (npz(a=lying(10**13)), "is too large for the memory; save it as .npy"),
    "zip with a huge shape": (npz(a=lying(10**30)), "cannot be read as an array"),
    "zip with a lying shape": (npz(a=lying(24)), "cannot be read as an array"),
}


@pytest.mark.parametrize("kind", BAD_ARRAYS)
@pytest.mark.parametrize("ending", [".npy", ".npz"])
def test_wrong_arrays(tmp_path, cache, kind, ending):
    content, reason = BAD_ARRAYS[kind]
    path = put(tmp_path, "x" + ending, content)
    message = refusal(load, path)
    assert message.startswith(str(path)) and reason in message
    assert not cache.exists()


def test_pickles_are_never_loaded(tmp_path, cache):
    evil = np.array([[[Evil(tmp_path / "evil")]]])
    for name, content in (("x.npy", npy(evil, allow_pickle=True)), ("x.npz", npz(a=npy(evil, allow_pickle=True)))):
        assert "cannot be read" in refusal(load, put(tmp_path, name, content))
    assert not (tmp_path / "evil").exists() and not cache.exists()


def test_too_large_for_the_memory(tmp_path, monkeypatch):
    path = put(tmp_path, "x.npz", npz(a=npy(IMAGES)))
    monkeypatch.setattr(folder_arrays, "MOST", 1000)
    assert "save it as .npy" in refusal(load, path)
