"""Small official files for the tests of data sets, whole and damaged."""

import gzip
import hashlib
import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from minidraw.data import binarized_mnist, mnist
from minidraw.data.official import File
from minidraw.errors import UserError

REAL = os.environ.get("MINIDRAW_DATA")
HTML = b"<!DOCTYPE html><html><body>This domain is for sale</body></html>"
ROWS, SHAPE = (7, 4, 3), (1, 3, 5)  # of the small binarized data; 15 pixels are not a whole number of bytes


def tar(entries, end: bool = True) -> bytes:
    """Return a tar.gz of (name, content) pairs; content None is a folder, a TarInfo goes in as it is."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in entries:
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            info.size = len(content or b"")
            archive.addfile(info, io.BytesIO(content or b""))
    return gzip.compress(out.getvalue())


def special(name: str, kind: bytes, target: str = "") -> tuple[str, tarfile.TarInfo]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return name, info


def official_file(name, content, *urls):
    return File(name, len(content), hashlib.sha256(content).hexdigest(), urls or ("http://127.0.0.1:9/" + name,))


def put(folder: Path, name: str, content: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name


def refusal(call, *args, **kwargs) -> str:
    """Return the message of the UserError that `call` raises, which is one line."""
    with pytest.raises(UserError) as caught:
        call(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message and message.strip() == message
    return message


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def bomb(content: bytes) -> bytes:
    """A gzip file that begins as the right one and goes on for 64 MiB of zeros."""
    return gzip.compress(content + bytes(1 << 26), compresslevel=1)


DAMAGES = {
    "truncated": ("", lambda content: content[:-2], "bytes, not"),
    "empty": ("", lambda content: b"", "it holds 0 bytes"),
    "longer": ("", lambda content: content + b"0", "more than"),
    "tampered": ("", lambda content: content[:-2] + b"2\n", "SHA-256"),
    "html": ("", lambda content: HTML, "it holds"),
    "html as gz": (".gz", lambda content: HTML, "it holds"),
    "truncated gz": (".gz", lambda content: gzip.compress(content)[:-9], "damaged"),
    "gz of half": (".gz", lambda content: gzip.compress(content[: len(content) // 2]), "bytes, not"),
    "gz header alone": (".gz", lambda content: gzip.compress(content)[:10], "damaged"),
    "gz two bytes": (".gz", lambda content: b"\x1f\x8b", "damaged"),
    "bits of gz flipped": (".gz", lambda content: gzip.compress(content)[:30] + bytes(20), "damaged"),
    "gz of an unknown kind": (".gz", lambda content: gzip.compress(content)[:10] + b"\xff" * 40, "damaged"),
    "gz checksum": (".gz", lambda content: gzip.compress(content)[:-8] + bytes(8), "damaged"),
    "gz and rubbish": (".gz", lambda content: gzip.compress(content) + b"rubbish", "damaged"),
    "gz twice": (".gz", lambda content: gzip.compress(content) * 2, "more than"),
    "gz in gz": (".gz", lambda content: gzip.compress(gzip.compress(content)), "it holds"),
    "bomb": (".gz", bomb, "more than"),
}


def small_binarized(*hosts):
    """Return (contents by file name, spec, pixels (n, 15)) of a small data set in the official formats."""
    size = int(np.prod(SHAPE))
    pixels = np.random.default_rng(1).integers(0, 2, (sum(ROWS), size), np.uint8)
    splits = np.split(pixels, np.cumsum(ROWS)[:-1])
    contents = {}
    for split, rows in zip(("train", "valid", "test"), splits, strict=True):
        lines = (" ".join(map(str, row)) + "\n" for row in rows)
        contents[f"binarized_mnist_{split}.amat"] = "".join(lines).encode()
    npz = io.BytesIO()
    np.savez_compressed(npz, X_train=np.float32(splits[0]), X_valid=np.float32(splits[1]), X_test=np.float32(splits[2]))
    contents["mnist_binarized.npz"] = npz.getvalue()
    hosts = hosts or ("http://127.0.0.1:9",)  # port 9: nobody answers
    *texts, npz = (official_file(name, content, *(f"{h}/{name}" for h in hosts)) for name, content in contents.items())
    sha256 = hashlib.sha256(np.packbits(pixels, axis=1)).hexdigest()
    return contents, binarized_mnist.Spec(tuple(texts), npz, ROWS, SHAPE, sha256), pixels


def assert_binarized(dataset, pixels):
    start = 0
    for split, rows in zip((dataset.train, dataset.valid, dataset.test), ROWS, strict=True):
        assert (len(split), split.shape, split.labels) == (rows, SHAPE, None)
        np.testing.assert_array_equal(split.batch(np.arange(rows)).reshape(rows, -1), pixels[start : start + rows])
        start += rows


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


def small_mnist(*hosts):
    """Return (contents by file name, spec, the four arrays) of a small MNIST: 9 images of 4x4 to train, 5 to test."""
    rng = np.random.default_rng(2)
    tops_shapes = (256, (9, 4, 4)), (10, 9), (256, (5, 4, 4)), (10, 5)
    arrays = [rng.integers(0, top, shape, np.uint8) for top, shape in tops_shapes]
    contents = {file.name: idx(array) for file, array in zip(mnist.OFFICIAL.files, arrays, strict=True)}
    hosts = hosts or ("http://127.0.0.1:9",)
    entries = (official_file(name, content, *(f"{h}/{name}.gz" for h in hosts)) for name, content in contents.items())
    return contents, mnist.Spec(tuple(entries), train=9, valid=2, test=5, side=4), arrays


def real(name: str) -> None:
    if not REAL or not any((Path(REAL) / name).glob("*")):
        pytest.skip(f"the official files of {name} are missing: MINIDRAW_DATA is {REAL or 'not set'}")
