"""Arrays of all layouts as a data set, and those that are refused."""

import io
import shlex
import zipfile

import numpy as np
import pytest
from support.files import HTML, put, refusal
from support.pictures import IMAGES, N, assert_same_images, load, pixels, sizes

from minidraw import data
from minidraw.data.folder import arrays, numpy_files

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
    dataset = load(path)
    assert_same_images(dataset, images)
    assert (dataset.classes is None) == (form != "npz of several")
    monkeypatch.setattr(arrays, "Arrays", None)
    np.testing.assert_array_equal(pixels(load(path)), pixels(dataset))


def test_several_arrays(tmp_path, cache):
    path = tmp_path / "x.npz"
    np.savez(path, a=IMAGES, b=IMAGES[..., 0], y=np.arange(N))
    message = refusal(load, path)
    assert f"a ({N}, 6, 5, 3), b ({N}, 6, 5)" in message and f"folder:{path}?key=NAME" in message
    assert_same_images(load(path, "?key=b"), IMAGES[..., 0])
    assert_same_images(load(path, "?key=b&binarize=1"), np.where(IMAGES[..., 0] < 128, 0, 255))
    assert "choose the images" in refusal(load, path, "?key=c")
    assert "(23,), not" in refusal(load, path, "?key=y")
    assert load(path, "?key=a").classes == tuple(map(str, range(N)))
    assert "choose the images" in refusal(load, path, "?key=a&labels=c")


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
SIGNALLING = np.arange(0, 240, 20, np.float32).reshape(3, 2, 2)
SIGNALLING.view(np.uint32)[0, 1, 1] = 0xFFBD9002  # a NaN that warns as it is cast, if it comes out of so short an array
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
    "two dimensions": (npy(IMAGES.reshape(N, -1)), "(23, 90): 23 rows of 90 pixels, which are no square; say what"),
    "five dimensions": (npy(IMAGES[None]), "the shape (1, 23, 6, 5, 3), not (n, H, W)"),
    "seven channels": (npy(np.zeros((N, 7, 6, 5), np.uint8)), "which axis is which cannot be told"),
    "two ways": (npy(np.zeros((N, 3, 6, 3), np.uint8)), "cannot be told apart"),
    "nothing": (npy(IMAGES[:0]), "the shape (0, 6, 5, 3)"),
    "no pixels": (npy(IMAGES[:, :0]), "the shape (23, 0, 5, 3)"),
    "complex": (npy(IMAGES.astype(complex)), "holds an array of complex128; save its images as real numbers"),
    "text": (npy(np.full((N, 5, 6), "a")), "holds an array of <U1;"),
    "records": (npy(np.zeros((N, 5, 6), [("a", "u1")])), "holds an array of [('a', 'u1')]"),
    "negative": (npy(IMAGES / 127.5 - 1), "values from -1 to 1: which are black and white? If it is these, 'folder:"),
    "up to 16": (npy(IMAGES // 16), "values from 0 to 15: which are black and white?"),
    "divided twice": (npy(IMAGES / 255**2), "values from 0 to 0.00392"),
    "more than 16 bits": (npy(IMAGES * np.int64(1000)), "values from 0 to 2"),
    "all black": (npy(0 * IMAGES), "values from 0 to 0: all are equal, and no image can be seen"),
    "one picture": (
        npy(np.zeros((96, 128, 3), np.uint8)),
        "(96, 128, 3): one picture? Stack those you have to (n, H, W, C)",
    ),
    "MATLAB's order": (npy(np.zeros((28, 28, 1965), np.uint8)), "28 images of 28 x 1965 or 1965 of 28 x 28? 'folder:"),
    "MATLAB's colours": (npy(np.zeros((32, 32, 3, 50), np.uint8)), "?axes=hwcn"),
    "not a number": (npy(NAN), "values from nan to nan: mend those that are no numbers"),
    "a number that warns": (npy(SIGNALLING), "mend those that are no numbers"),
    "infinite": (npy(np.where(np.isnan(NAN), np.inf, NAN)), "to inf: mend"),
    "empty zip": (npz(), "holds nothing"),
    "zip of text": (npz(a=HTML), "cannot be read as an array"),
    "zip of objects": (npz(a=npy(np.array([[[{}]]]), allow_pickle=True)), "cannot be read as an array"),
    "cut zip": (npz(a=npy(IMAGES))[:-30], "cannot be read as an array"),
    "zip with a flipped bit": (npz(zipfile.ZIP_STORED, a=npy(IMAGES)).replace(BYTES, b"\0\1\2\3"), "cannot be read"),
    "zip of more than memory": (npz(a=lying(10**13)), "by its header, but 2198 bytes; save it again"),
    "zip with a huge shape": (npz(a=lying(10**30)), "by its header, but 2198 bytes; save it again"),
    "zip with a lying shape": (npz(a=lying(24)), "holds a (24, 6, 5, 3) by its header, but 2198 bytes"),
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
    monkeypatch.setattr(numpy_files, "MOST", 1000)
    assert "save it as .npy" in refusal(load, path)


def saved(path, **named) -> str:
    np.savez(path, **named)
    return path


UNDERSTOOD = {
    "int64 of 0 to 255": (IMAGES.astype(np.int64), "", IMAGES),
    "floats of 0 to 255": (IMAGES.astype(np.float32), "", IMAGES),
    "16 bits": (IMAGES * np.uint16(257), "", IMAGES),
    "12 bits in 16": (IMAGES * np.uint16(16), "?white=4080", IMAGES),
    "0 to 15": (IMAGES // 16, "?white=15", IMAGES // 16 * 17),
    "-1 to 1": (IMAGES / 127.5 - 1, "?black=-1&white=1", IMAGES),
    "negatives": (IMAGES, "?black=255&white=0", 255 - IMAGES),
    "MATLAB's order": (IMAGES[..., 0].transpose(1, 2, 0), "?axes=hwn", IMAGES[..., 0]),
    "MATLAB's colours": (IMAGES.transpose(1, 2, 3, 0), "?axes=hwcn", IMAGES),
    "EMNIST's order": (IMAGES[..., 0].transpose(0, 2, 1), "?axes=nwh", IMAGES[..., 0]),
    "rows of a square": (IMAGES[:, :5, :, 0].reshape(N, 25), "", IMAGES[:, :5, :, 0]),
    "rows of a size": (IMAGES[..., 0].reshape(N, 30), "?size=5x6", IMAGES[..., 0]),
    "rows of channels": (IMAGES.transpose(0, 3, 1, 2).reshape(N, 90), "?size=5x6&axes=nchw", IMAGES),
    "rows of colours": (IMAGES.reshape(N, 90), "?size=5x6&axes=nhwc", IMAGES),
    "rows turned over": (IMAGES[..., 0].transpose(0, 2, 1).reshape(N, 30), "?size=5x6&axes=nwh", IMAGES[..., 0]),
    "a little above 1": (IMAGES / 254.9999, "", IMAGES),
}


@pytest.mark.parametrize("kind", UNDERSTOOD)
def test_what_is_understood_is_said(tmp_path, kind):
    array, options, images = UNDERSTOOD[kind]
    np.save(tmp_path / "x.npy", array)
    dataset = load(tmp_path / "x.npy", options)
    assert_same_images(dataset, images)
    H, W = images.shape[1:3]
    assert (
        f"is taken as 23 images of {W}x{H} pixels, channels: {3 if images.ndim == 4 else 1} (axes="
        in dataset.remarks[0]
    )


def test_transparency_is_no_colour(tmp_path):
    for light in (False, True):
        array = np.zeros((N, 6, 5, 4), np.uint8)
        array[..., :3] = 255 * light
        array[:, 2:4, 1:3, 3] = 255
        array[:, 1, 1, 3] = np.arange(N)
        np.save(tmp_path / "x.npy", array)
        dataset = load(tmp_path / "x.npy")
        assert dataset.train.shape == (3, 6, 5)
        alpha = array[..., 3:] / 255
        ground = 0 if light else 255
        assert_same_images(dataset, np.rint(np.repeat(alpha * 255 * light + (1 - alpha) * ground, 3, -1)))
        assert any(f"on {'black' if light else 'white'}" in remark for remark in dataset.remarks)


KEYS = [
    ("x_train", "y_train", "x_test", "y_test", "x_val", "y_val"),
    ("train_images", "train_labels", "test_images", "test_labels", "val_images", "val_labels"),
    ("trainX", "trainY", "testX", "testY", "validationX", "validationY"),
]


@pytest.mark.parametrize("keys", KEYS, ids=lambda keys: keys[0])
def test_splits_and_labels_in_an_npz_are_kept(tmp_path, keys):
    """As in the files of Keras and of MedMNIST; the mean of an image tells its label and its split."""
    named, n = {}, (15, 6, 4)
    for k in range(3):
        values = 100 * (np.arange(n[k]) % 2) + 10 * k + 5
        named[keys[2 * k]] = np.full((4, 3, n[k]), values, np.uint8).transpose(2, 0, 1)
        named[keys[2 * k + 1]] = (np.arange(n[k]) % 2)[:, None] + 7
    dataset = load(saved(tmp_path / "x.npz", **named), "?white=255")
    assert sizes(dataset) == [15, 4, 6] and dataset.classes == ("7", "8")
    for k, split in enumerate((dataset.train, dataset.test, dataset.valid)):
        values = np.rint(255 * split.batch(np.arange(len(split)))[:, 0, 0, 0]).astype(int)
        assert (values % 100 // 10 == k).all()
        np.testing.assert_array_equal(values // 100, split.labels)
    assert load(tmp_path / "x.npz", f"?white=255&key={keys[0]}").train.labels is not None
    del named[keys[5]]
    dataset = load(saved(tmp_path / "y.npz", **named), "?white=255")
    assert dataset.classes == ("7", "8") and dataset.valid.labels is None and len(dataset.test.labels) == 6
    assert "no labels: of the valid images" in dataset.remarks


def test_parts_that_do_not_fit_together(tmp_path):
    path = tmp_path / "x.npz"
    saved(path, x_train=IMAGES, x_test=IMAGES[:, :5])
    assert "images of different shapes" in refusal(load, path)
    saved(path, x_train=IMAGES, x_test=IMAGES / 255)
    assert "values from 0 to 255 and 0 to 1: its parts are of different scales" in refusal(load, path)
    saved(path, x_train=IMAGES, y_train=np.arange(N - 1))
    assert f"holds y_train ({N - 1},) for x_train ({N}, 6, 5, 3): of another length" in refusal(load, path)
    assert f"holds {N - 1} labels for {N} images" in refusal(load, path, "?labels=y_train&key=x_train")
    saved(path, x_test=IMAGES, x_val=IMAGES)
    assert "choose the images" in refusal(load, path)


def test_what_is_not_used_of_an_npz_is_said(tmp_path):
    saved(tmp_path / "x.npz", images=IMAGES, arr_1=np.arange(N))
    assert f"arrays that are not used: arr_1 ({N},) (key=NAME, labels=NAME)" in load(tmp_path / "x.npz").remarks
    saved(tmp_path / "y.npz", x_train=IMAGES, x_test=IMAGES, a=np.arange(N))
    assert "labels=a would be those of 2 splits" in refusal(load, tmp_path / "y.npz", "?labels=a")


def test_hints_do_what_they_say(tmp_path):
    """What a refusal says to write is understood, and keeps the options that were given."""
    standard = (IMAGES - IMAGES.mean()) / IMAGES.std()
    saved(tmp_path / "x y.npz", a=standard, b=standard)
    message = refusal(load, tmp_path / "x y.npz", "?key=a")
    (hint,) = [word for word in shlex.split(message) if word.startswith("folder:")]
    assert "key=a" in hint and pixels(data.load(hint)).shape == (N, 3, 6, 5)
    np.save(tmp_path / "rows.npy", IMAGES.reshape(N, 90)[:, :75])
    words = shlex.split(refusal(load, tmp_path / "rows.npy"))
    for hint in [word for word in words if word.startswith("folder:")]:
        assert data.load(hint).train.shape == (3, 5, 5)
    for options in ("?white=0", "?black=5&white=5"):
        assert "white and black are the same value" in refusal(load, tmp_path / "rows.npy", options)
    assert "size is given twice" in refusal(load, tmp_path / "rows.npy", "?size=3&size=4")


def test_transparency_of_another_scale_and_in_the_middle(tmp_path):
    array = np.zeros((N, 6, 5, 4))
    array[..., :3] = 200
    array[:, 2:4, 1:3, 3] = 1
    array[:, 0, 0, :3] = np.arange(N)[:, None] + 230
    np.save(tmp_path / "x.npy", array)
    images = pixels(load(tmp_path / "x.npy", "?ground=grey"))
    assert (images[:, :, 2:4, 1:3] == 200).all() and (images[:, :, 5] == 128).all()
