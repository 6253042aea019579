"""Anybody's images: pictures of all kinds, arrays of all layouts, options, and what is refused."""

import io
import os
import time
import zipfile

import numpy as np
import pytest
from PIL import Image
from support.files import HTML, everything, put, refusal

from minidraw import data
from minidraw.data import folder, folder_arrays, folder_pictures

N = 23  # pictures


def noise(i: int, width: int = 9, height: int = 7) -> Image.Image:
    return Image.fromarray(np.random.default_rng(i).integers(0, 256, (height, width, 3), np.uint8))


def fill(path, n: int = N, mode: str = "RGB", ending: str = ".png", size=(9, 7), **save) -> list[np.ndarray]:
    """Write n pictures, and return each as it is read back, in the order of their names: (H, W) or (H, W, 3)."""
    path.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        noise(i, *size).convert(mode).save(path / f"{i:03}{ending}", **save)
    return [np.asarray(Image.open(path / f"{i:03}{ending}")) for i in range(n)]


def pixels(dataset) -> np.ndarray:
    """Return all images, uint8 (n, C, H, W), in the order of the splits."""
    splits = (dataset.train, dataset.valid, dataset.test)
    return np.concatenate([np.rint(split.batch(np.arange(len(split))) * 255).astype(np.uint8) for split in splits])


def shuffled(images) -> np.ndarray:
    images = np.array(images)[np.random.default_rng(0).permutation(len(images))]
    return images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)


def load(path, options: str = ""):
    return data.load(f"folder:{path}{options}", "/nowhere", download=False)


# ---- pictures


@pytest.mark.parametrize(
    ("mode", "ending", "channels"), [("RGB", ".png", 3), ("L", ".png", 1), ("L", ".TIFF", 1), ("RGB", ".webp", 3)]
)
def test_pictures_of_one_size_stay_as_they_are(tmp_path, cache, mode, ending, channels, monkeypatch):
    images = fill(tmp_path / "a", mode=mode, ending=ending)
    dataset = load(tmp_path / "a")
    assert [len(dataset.train), len(dataset.valid), len(dataset.test)] == [19, 2, 2]
    assert dataset.train.shape == (channels, 7, 9) and dataset.train.labels is None
    assert dataset.name == f"folder:{tmp_path / 'a'}" and "9 x 7 pixels" in dataset.note
    np.testing.assert_array_equal(pixels(dataset), shuffled(images))
    monkeypatch.setattr(folder_pictures, "Pictures", None)  # the second time from the cache
    np.testing.assert_array_equal(pixels(load(tmp_path / "a")), shuffled(images))
    assert len(everything(cache)) == 2


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


def test_pictures_below_and_what_is_no_picture(tmp_path):
    fill(tmp_path / "a", 8)
    fill(tmp_path / "a/sub/sub", 7)
    fill(tmp_path / "a/.hidden", 6)
    for name in ("readme.txt", ".DS_Store", "Thumbs.db", "._000.png", "noending"):
        put(tmp_path / "a", name, HTML)
    os.symlink(tmp_path / "a", tmp_path / "a" / "loop")
    os.mkfifo(tmp_path / "a" / "pipe.png")
    names = folder_pictures.find(tmp_path / "a")
    assert len(names) == 15 and names == sorted(names) and "sub/sub/006.png" in names
    assert len(pixels(load(tmp_path / "a"))) == 15


def test_sizes(tmp_path):
    fill(tmp_path / "equal", size=(128, 20))
    assert load(tmp_path / "equal").train.shape == (3, 20, 128)
    fill(tmp_path / "large", 10, size=(129, 70))
    assert load(tmp_path / "large").train.shape == (3, 64, 64)
    fill(tmp_path / "mixed", 20, size=(30, 40))
    noise(0, 500, 500).save(tmp_path / "mixed/z.png")
    assert load(tmp_path / "mixed").train.shape == (3, 30, 30)
    assert load(tmp_path / "mixed", "?size=12").train.shape == (3, 12, 12)
    assert load(tmp_path / "mixed", "?grey=1&size=12x5").train.shape == (1, 5, 12)


def test_aspect_is_kept_and_the_centre_is_shown(tmp_path):
    """A white disc in the middle of wide and of high pictures stays a disc in the middle."""
    y, x = np.indices((200, 200)) - 99.5
    disc = np.uint8(255) * (x**2 + y**2 < 60**2).astype(np.uint8)
    for i in range(10):
        wide = np.pad(disc, ((0, 0), (10 * i + 3, 10 * i + 3)))
        Image.fromarray(wide if i % 2 else wide.T).save(put(tmp_path / "a", f"{i}.png", b""))
    batch = load(tmp_path / "a", "?size=50").train.batch(np.arange(8))
    y, x = np.indices((50, 50)) - 24.5
    assert np.abs(batch - (x**2 + y**2 < 15**2)).mean() < 0.02
    np.testing.assert_allclose(batch, batch[..., ::-1], atol=0.02)


def test_cameras_held_upright(tmp_path):
    """EXIF's orientation counts, for the size too."""
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    images = fill(tmp_path / "a", 12, exif=exif)
    np.testing.assert_array_equal(pixels(load(tmp_path / "a")), shuffled([np.rot90(image, -1) for image in images]))


def test_odd_kinds_of_pictures(tmp_path):
    """16 bits, palettes, transparency, black and white, CMYK, moving ones: what the eye sees."""
    ramp = np.arange(63, dtype=np.uint8).reshape(7, 9) * 4
    deep = Image.fromarray(ramp.astype(np.uint16) * 257)
    for i in range(10):
        deep.save(put(tmp_path / "deep", f"{i}.png", b""))
    dataset = load(tmp_path / "deep")
    np.testing.assert_array_equal(pixels(dataset), [ramp[None]] * 10)
    clear = np.dstack([ramp, ramp, ramp, np.where(np.arange(63).reshape(7, 9) % 2, 255, 0).astype(np.uint8)])
    for i in range(10):
        Image.fromarray(clear).save(put(tmp_path / "clear", f"{i}.png", b""))
    shown = np.where(clear[..., 3] > 0, ramp, 255)  # on white
    np.testing.assert_array_equal(pixels(load(tmp_path / "clear")), [[shown] * 3] * 10)
    odd = tmp_path / "odd"
    odd.mkdir()
    noise(0).convert("P").save(odd / "0.gif")
    noise(1).convert("1").save(odd / "1.bmp")
    noise(2).convert("CMYK").save(odd / "2.jpg")
    noise(3).convert("LA").save(odd / "3.png")
    noise(4).convert("PA").convert("RGBA").save(odd / "4.tga")
    noise(5).save(odd / "5.gif", save_all=True, append_images=[noise(6)])
    noise(6).convert("P").save(odd / "6.png", transparency=3)
    noise(7).save(odd / "7.ppm")
    noise(8).save(odd / "8.jp2")
    noise(9).convert("I").save(odd / "9.tif")
    assert load(odd).train.shape == (3, 7, 9)
    assert load(odd, "?grey=1").train.shape == (1, 7, 9)


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


# ---- arrays


IMAGES = np.random.default_rng(1).integers(0, 256, (N, 6, 5, 3), np.uint8)
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


# ---- what is refused


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


def bomb() -> bytes:
    """A PNG of 20,000 x 20,000 pixels in 50 kB: 400 million pixels, at which Pillow itself stops."""
    return png_of(20000, 20000)


def png_of(width: int, height: int) -> bytes:
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = zlib.compress(bytes((width // 8 + 1) * 100))  # far too few, as nobody is to read them
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def encoded(kind: str) -> bytes:
    out = io.BytesIO()
    noise(0, 60, 50).save(out, kind)
    return out.getvalue()


BAD_PICTURES = {
    "html.png": HTML,
    "empty.jpg": b"",
    "cut.jpg": encoded("JPEG")[:-500],
    "header.jpg": encoded("JPEG")[:50],
    "cut.png": encoded("PNG")[:-300],
    "bomb.png": bomb(),
    "smaller bomb.png": png_of(10000, 10000),  # 100 million pixels, at which Pillow would only warn
    "postscript.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",  # would start Ghostscript
    "wide.svg.gif": b"GIF89a\xff\xff",
    "archive.tif": b"II*\x00\xff\xff\xff\xff",
}


@pytest.mark.parametrize("name", BAD_PICTURES)
def test_unreadable_pictures_are_named(tmp_path, cache, name):
    fill(tmp_path / "a", 12)
    path = put(tmp_path / "a", name, BAD_PICTURES[name])
    start = time.perf_counter()
    message = refusal(load, tmp_path / "a")
    assert message.startswith(str(path)) and "mend it or remove it" in message
    assert time.perf_counter() - start < 2 and (not cache.exists() or everything(cache) == ["folder"])


def test_links_to_nothing_and_floats(tmp_path):
    fill(tmp_path / "a", 12)
    os.symlink(tmp_path / "gone", tmp_path / "a" / "b.png")
    assert f"{tmp_path / 'a' / 'b.png'} is a link to nothing" in refusal(load, tmp_path / "a")
    (tmp_path / "a" / "b.png").unlink()
    Image.fromarray(np.ones((7, 9), np.float32)).save(tmp_path / "a" / "f.tif")
    assert "its pixels are floats" in refusal(load, tmp_path / "a")


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


def test_parse():
    path, options = folder.parse("folder:/a/b?size=3x4&grey=0&binarize=1&key=k")
    assert str(path) == "/a/b" and options == folder.Options((3, 4), False, True, "k")
    assert folder.parse("folder:/a/b")[1] == folder.Options()
    assert str(folder.parse("folder:~/\0a")[0]).endswith("/a")
