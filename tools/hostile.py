"""What tools/fuzz.py throws bytes at: every loader, each with seeds, files of its own format that it makes itself.

A target is a function of bytes that ends quietly, with a UserError, or with what is wrong with minidraw. Where a format
has checksums (zip, gzip, tar, PNG) they are put right first, or nearly every change would fail at them and nothing
behind them would ever be reached.
"""

import contextlib
import dataclasses
import gzip
import hashlib
import io
import json
import os
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image

from minidraw import checkpoint, photos, presets, trainer
from minidraw import metrics as run_metrics
from minidraw.data import (
    binarized_mnist,
    cifar10,
    digit_struct,
    files,
    folder,
    folder_arrays,
    folder_pictures,
    large,
    mnist,
    prepared,
    svhn,
    svhn_cropped,
    tars,
)
from minidraw.network import parameter_count
from minidraw.networks import NETWORKS

SMALL = presets.preset("strokes").replace(
    image_shape=(1, 3, 4), glimpses=2, read_size=2, write_size=2, enc_size=2, dec_size=2, latent_size=2
)
STATE = {"step": 3, "updates": 3, "skipped": 0, "skipped_in_a_row": 0, "seconds": 0.5, "sums": [1.0] * 5, "rows": 1}
TARGETS: dict[str, tuple[Callable[[bytes], None], Callable[[], list[bytes]]]] = {}
FOLDER = Path(os.environ.get("MINIDRAW_FUZZ") or tempfile.mkdtemp(prefix="minidraw-fuzz-"))  # for files to read


def target(seeds: Callable[[], list[bytes]]):
    """Enter a function in TARGETS by its name, with what makes its seeds."""

    def enter(function: Callable[[bytes], None]):
        TARGETS[function.__name__] = function, seeds
        return function

    return enter


def put(content: bytes, name: str) -> Path:
    """Write `content` to a file for a loader to read."""
    path = FOLDER / name
    path.write_bytes(content)
    return path


# ------------------------------------------------------------------------------------- formats, with right checksums


def zipped(**members: bytes) -> bytes:
    """Return a zip archive of members that are stored as they are."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return out.getvalue()


def npy(array: np.ndarray) -> bytes:
    """Return an array as a .npy file."""
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def tar(members: dict[str, bytes]) -> bytes:
    """Return a tar archive, not gzipped."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo("d/" + name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def tar_gz(raw: bytes) -> bytes:
    """Return a tar archive gzipped, the checksums of its headers put right."""
    blocks = [bytearray(raw[k : k + 512]) for k in range(0, len(raw), 512)]
    for block in blocks:
        if block[257:262] == b"ustar" and len(block) == 512:
            block[148:156] = b" " * 8
            block[148:156] = b"%06o\0 " % sum(block)
    return gzip.compress(b"".join(blocks), 1)


def picture(kind: str, mode: str = "RGB", **options) -> bytes:
    """Return a small picture of noise."""
    noise = np.random.default_rng(3).integers(0, 256, (7, 9, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(out, kind, **options)
    return out.getvalue()


def png_mended(content: bytes) -> bytes:
    """Return a PNG with the checksums of its chunks put right; what is no PNG as it is."""
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return content
    out, place = bytearray(content), 8
    while place + 12 <= len(out):
        (size,) = struct.unpack(">I", out[place : place + 4])
        end = place + 8 + size
        if end + 4 > len(out):
            break
        out[end : end + 4] = struct.pack(">I", zlib.crc32(out[place + 4 : end]))
        place = end + 4
    return bytes(out)


def pictures() -> list[bytes]:
    """Return pictures in the formats that people have."""
    kinds = ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "TGA", "PPM", "ICO", "PCX", "SGI", "DDS", "JPEG2000", "MPO"]
    seeds = [picture(kind) for kind in kinds if kind in Image.SAVE or (Image.init() and kind in Image.SAVE)]
    seeds += [picture("PNG", mode) for mode in ("1", "L", "LA", "P", "RGBA", "I;16")]
    exif = Image.Exif()
    exif[0x0112] = 6
    return [*seeds, picture("PNG", "P", transparency=3), picture("JPEG", exif=exif), picture("TIFF", "F")]


# ------------------------------------------------------------------------------------------------------- checkpoints


def vectors() -> dict[str, np.ndarray]:
    """Return the vectors of a checkpoint of SMALL."""
    size = parameter_count(NETWORKS["draw"], SMALL.model)
    return {name: np.full(size, 0.5, np.float32) for name in checkpoint.VECTORS}


def headers() -> list[bytes]:
    """Return the header of a checkpoint of SMALL, and that of a classifier."""
    ram = presets.preset("cluttered")
    return [
        json.dumps(
            {
                "format": checkpoint.FORMAT,
                "network": one.network,
                "model": dataclasses.asdict(one.model),
                "train": dataclasses.asdict(one.train),
                "state": STATE,
            }
        ).encode()
        for one in (SMALL, ram)
    ]


def as_checkpoint(header: bytes, **changes: bytes) -> bytes:
    """Return a checkpoint of SMALL with another header, or other members."""
    members = {name: npy(vector) for name, vector in vectors().items()}
    return zipped(**{"header": npy(np.frombuffer(header, np.uint8))} | members | changes)


def read_checkpoint(content: bytes) -> None:
    """Load a checkpoint; what loads must make a network whose numbers are finite."""
    loaded = checkpoint.load(put(content, "checkpoint.npz"))
    assert all(np.isfinite(vector).all() for vector in loaded.vectors.values())
    assert isinstance(json.dumps(loaded.state), str)


@target(lambda: [as_checkpoint(headers()[0])])
def checkpoint_file(data: bytes) -> None:
    """The whole file."""
    read_checkpoint(data)


@target(headers)
def checkpoint_header(data: bytes) -> None:
    """The text of the header, in a file that is right otherwise."""
    read_checkpoint(as_checkpoint(data or b" "))


@target(lambda: [npy(vectors()["params"]), npy(vectors()["params"].astype(np.float64))])
def checkpoint_vector(data: bytes) -> None:
    """One array, in a file that is right otherwise."""
    read_checkpoint(as_checkpoint(headers()[0], params=data))


@target(lambda: [json.dumps(STATE).encode()])
def checkpoint_state(data: bytes) -> None:
    """Where a run stands: what is_state accepts must do."""
    with contextlib.suppress(ValueError):
        state = json.loads(data)
        of = trainer.Trainer.__new__(trainer.Trainer)
        of.sums = [0.0] * 5
        if isinstance(state, dict) and of.is_state(state):
            assert state["step"] + state["updates"] + state["skipped"] + sum(state["sums"]) >= -np.inf


@target(
    lambda: [
        f"{field.name}={value}".encode()
        for part in (SMALL.model, SMALL.train, presets.preset("cluttered").model)
        for field in dataclasses.fields(part)
        for value in (getattr(part, field.name), "none")
    ]
)
def setting(data: bytes) -> None:
    """--set, for a network that draws and for one that classifies."""
    changes = dict([presets.parse_setting(data.decode(errors="surrogateescape"))])
    for name in ("strokes", "cluttered"):
        with contextlib.suppress(presets.UserError):
            checkpoint.check_size(presets.preset(name).replace(**changes))


@target(
    lambda: [
        b'{"step": 3, "loss": 1.0, "reconstruction": 0.5, "latent": 0.5, "latent_per_step": [0.25, 0.25]}\n',
        b'{"step": 3, "validation_loss": 1.0, "validation_images": 10}\n{"step": 4, "lo',
    ]
)
def metrics(data: bytes) -> None:
    """metrics.jsonl, as pages and figures read it, and as a resumed run goes on with it."""
    path = put(data, "metrics.jsonl")
    for line in run_metrics.read(path)[0]:
        assert np.isfinite(line["step"]).all()
    run_metrics.Log(FOLDER).start(3)
    assert all(json.loads(line)["step"] <= 3 for line in path.read_bytes().splitlines())


# --------------------------------------------------------------------------------------------------------- data sets


def idx() -> list[bytes]:
    """Return an IDX file of 3 images of 2 x 2."""
    return [b"\0\0\x08\3" + struct.pack(">III", 3, 2, 2) + bytes(range(12))]


@target(idx)
def idx_file(data: bytes) -> None:
    """MNIST's format."""
    assert mnist.parse_idx(data, (3, 2, 2), "images").shape == (3, 2, 2)


def binarized(size: int = 6) -> binarized_mnist.Spec:
    """Return a small binarized data set's sizes."""
    texts = tuple(files.File(f"{name}.amat", 2 * rows * size, "", ()) for name, rows in (("a", 3), ("b", 2), ("c", 1)))
    return binarized_mnist.Spec(texts, files.File("a.npz", 100, "", ()), (3, 2, 1), (1, 2, 3), "")


@target(lambda: [b"0 1 0 1 1 0\n" * 3])
def amat(data: bytes) -> None:
    """Binarized MNIST's text."""
    contents = {"a.amat": data, "b.amat": b"0 1 0 1 1 0\n" * 2, "c.amat": b"0 1 0 1 1 0\n"}
    assert binarized_mnist._from_texts(contents, binarized()).shape == (6, 1)


@target(lambda: [npy(np.eye(3, 6, dtype=np.float32))])
def binarized_npz(data: bytes) -> None:
    """Binarized MNIST's mirror: one array, in a file that is right otherwise."""
    content = zipped(X_train=data, X_valid=npy(np.zeros((2, 6), "f4")), X_test=npy(np.zeros((1, 6), "f4")))
    assert binarized_mnist._from_npz({"a.npz": content}, binarized()).shape == (6, 1)


@target(lambda: [json.dumps([["/a", 3, 4]]).encode()])
def verified(data: bytes) -> None:
    """The cache's lists of what was verified."""
    put(data, large.STAMPS)
    assert isinstance(large._stamps(FOLDER), list)
    binarized_mnist._seen([["/a", 3, 4]], files.Places("x", None, FOLDER))


GOOD = b"minidraw " * 20


@target(lambda: [GOOD, gzip.compress(GOOD), gzip.compress(GOOD[:90]) + gzip.compress(GOOD[90:])])
def official(data: bytes) -> None:
    """An official file, plain or gzipped: it comes out as it must be, or not at all."""
    file = files.File("good", len(GOOD), hashlib.sha256(GOOD).hexdigest(), ())
    assert files.read(put(data, "good"), file) == GOOD


CIFAR = cifar10.Spec(files.File("cifar-10-binary.tar.gz", 0, "", ()), rows=1, valid=1)
RECORD = bytes(cifar10.RECORD)


@target(lambda: [RECORD])
def cifar_batch(data: bytes) -> None:
    """A .bin file of CIFAR-10."""
    assert cifar10._open_batch(put(data, "data_batch_1.bin"), CIFAR).shape == (1, cifar10.RECORD)


def drain(made: tuple) -> None:
    """Take all blocks that a data set is made of."""
    n, blocks = made
    for first, block in blocks:
        assert first + len(block) <= n and block.dtype == np.uint8


@target(lambda: [tar(dict.fromkeys(cifar10.BATCHES, RECORD))])
def cifar_archive(data: bytes) -> None:
    """The archive of CIFAR-10."""
    drain(cifar10._make(put(tar_gz(data), "cifar.tar.gz"), CIFAR))


@target(lambda: [tar({"a": b"x" * 600, "b": b"", "c": b"y"})])
def members(data: bytes) -> None:
    """Any archive."""
    for _, content in tars.members(put(tar_gz(data), "any.tar.gz"), lambda name: 1000):
        assert len(content.read()) <= 1000


@target(lambda: [gzip.compress(tar({"a": b"x" * 600, "b": b"", "c": b"y"}))])
def members_gz(data: bytes) -> None:
    """Any archive, with the gzip around it."""
    for _, content in tars.members(put(data, "any.tar.gz"), lambda name: 1000):
        assert len(content.read()) <= 1000


def mats() -> list[bytes]:
    """Return MATLAB files of two digits, compressed and not."""
    seeds = []
    for packed in (True, False):
        out = io.BytesIO()
        digits = {"X": np.zeros((32, 32, 3, 2), np.uint8), "y": np.array([[1], [10]], np.uint8)}
        scipy.io.savemat(out, digits, do_compression=packed)
        seeds.append(out.getvalue())
    return seeds


@target(mats)
def mat(data: bytes) -> None:
    """SVHN's cropped digits."""
    drain(svhn_cropped._make(put(data, "train_32x32.mat")))


def structs() -> list[bytes]:
    """Return a digitStruct.mat of two photographs, one with two digits."""
    h5py, out = digit_struct.h5py, io.BytesIO()
    with h5py.File(out, "w") as file:
        rows = []
        for name, digits in (("1.png", [1.0]), ("2.png", [1.0, 3.0])):
            group = file.create_group("b" + name)
            for key in ("left", "top", "width", "height", "label"):
                values = np.array([[value] for value in digits])
                if len(digits) > 1:
                    ones = [group.create_dataset(f"{key}{k}", data=v[None]).ref for k, v in enumerate(values)]
                    values = np.array([[one] for one in ones], h5py.ref_dtype)
                group.create_dataset(key, data=values)
            codes = file.create_dataset("n" + name, data=np.array([[ord(c)] for c in name], np.uint16))
            rows.append((codes.ref, group.ref))
        for k, key in enumerate(("name", "bbox")):
            file[f"digitStruct/{key}"] = np.array([[row[k]] for row in rows], h5py.ref_dtype)
    return [out.getvalue()]


@target(structs)
def digit_structs(data: bytes) -> None:
    """The boxes of SVHN's full numbers."""
    assert all(len(box) == 4 for box in svhn._read_boxes(Path("train.tar.gz"), io.BytesIO(data)).values())


@target(lambda: [tar({"digitStruct.mat": structs()[0], "1.png": picture("PNG"), "2.png": picture("PNG", "L")})])
def svhn_archive(data: bytes) -> None:
    """The archive of SVHN's full numbers."""
    drain(svhn._make(put(tar_gz(data), "train.tar.gz")))


@target(lambda: [npy(np.zeros((2, 1, 2, 2), np.uint8)) + b'{"version": 1}\n'])
def prepared_file(data: bytes) -> None:
    """An array in the cache."""
    array = prepared.read(put(data, "cached.npy"), {"version": 1})
    assert array is None or (array.dtype == np.uint8 and len(array) and array.sum() >= 0)


# --------------------------------------------------------------------------------------------------- anybody's images


@target(lambda: [b"a?size=32", b"a?size=48x32&grey=1&binarize=0", b"~/a?b.npz?key=x", b"a?"])
def folder_name(data: bytes) -> None:
    """What is behind folder: on the command line."""
    folder.parse("folder:" + data.decode(errors="surrogateescape"))


def look(content: bytes, name: str) -> None:
    """Read a file of arrays as images."""
    options = folder.Options()
    array = folder_arrays.Array(put(content, name), options)
    images = array.take(np.arange(len(array))[::-1][:3])
    assert images.dtype == np.uint8 and images.shape[1:] == array.shape


ARRAYS = (np.zeros((3, 2, 2), "u1"), np.eye(4, dtype=">f8")[None], np.ones((2, 3, 5, 5), "?", "F"))


@target(lambda: [npy(array) for array in ARRAYS])
def array_npy(data: bytes) -> None:
    """An .npy file of images."""
    look(data, "images.npy")


@target(lambda: [npy(array) for array in ARRAYS])
def array_npz(data: bytes) -> None:
    """An .npz file of images: one array, in a file that is right otherwise."""
    look(zipped(images=data, labels=npy(np.arange(3))), "images.npz")


@target(lambda: [zipped(images=npy(array)) for array in ARRAYS])
def array_npz_file(data: bytes) -> None:
    """An .npz file of images, whole."""
    look(data, "images.npz")


@target(pictures)
def folder_picture(data: bytes) -> None:
    """A picture in somebody's folder."""
    path = put(png_mended(data), "a.png")
    images = folder_pictures.Pictures(path.parent, [path.name], folder.Options())
    assert images.take(np.array([0])).shape == (1, *images.shape)


@target(pictures)
def given_picture(data: bytes) -> None:
    """A picture given to minidraw.reconstruct."""
    path = str(put(png_mended(data), "a.png"))
    for shape in ((1, 8, 6), (3, 5, 9)):
        image, _ = photos.read_picture(path, shape, on_black=False)
        assert image.shape == shape and 0 <= image.min() <= image.max() <= 1
    digit, _ = photos.read_digit(path)
    assert digit.shape == photos.DIGITS and 0 <= digit.min() <= digit.max() <= 1
