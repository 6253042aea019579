"""Files that claim, or become, more than any memory has: they are refused before they take it.

They are opened by a process that may have 400 MB more than it begins with; what it says must be the refusal.
"""

import gzip
import io
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
from support.files import put, refusal, tar

from minidraw.data import digit_struct
from minidraw.data.folder import parts, tables

HUGE = 1 << 29  # bytes, more than such a process may have
ZEROS = bytes(1 << 24)
LIMITED = """
import resource, sys
from pathlib import Path
import numpy, scipy.io
from minidraw.data import svhn, svhn_cropped, tars
from minidraw.data.folder import files, options
from minidraw.errors import UserError
status = Path("/proc/self/status")
own = int(status.read_text().split("VmSize:")[1].split()[0]) << 10 if status.exists() else 4 << 30
try:
    resource.setrlimit(resource.RLIMIT_AS, (own + (400 << 20),) * 2)
except (OSError, ValueError):  # macOS takes none
    pass
for path in map(Path, sys.argv[2:]):
    try:
        if sys.argv[1] == "tar":
            list(tars.members(path, lambda name: svhn.MOST.get(name.rpartition("/")[2], 0)))
        elif sys.argv[1] == "hdf5":
            with open(path, "rb") as content:
                svhn._read_boxes(path, content)
        elif sys.argv[1] == "mat":
            svhn_cropped._make(path)
        else:
            files.read(path, options.Options())
        print("nothing")
    except UserError as mistake:
        print(mistake)
"""


def said(kind: str, folder, bombs: dict) -> dict:
    """Return what a process with little memory says of files, by name; `bombs` has functions that make them."""
    pytest.importorskip("resource", reason="Windows limits no memory this way")
    paths = [put(folder / str(k), name, make()) for k, (name, (make, _)) in enumerate(bombs.items())]
    done = subprocess.run([sys.executable, "-c", LIMITED, kind, *paths], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-900:]
    return dict(zip(bombs, done.stdout.splitlines(), strict=True))


def unexpected(told: dict, bombs: dict) -> dict:
    return {name: line for name, line in told.items() if bombs[name][1] not in line}


def packed(*pieces: bytes | int) -> bytes:
    """Return pieces, a number of zeros each or as they are, gzipped: one after another, which gzip takes for one."""
    zeros = gzip.compress(ZEROS)
    return b"".join(gzip.compress(p) if isinstance(p, bytes) else zeros * (p // len(ZEROS)) for p in pieces)


def header(name: str, kind: bytes, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


def claiming(name: str, kind: bytes) -> bytes:
    """Return a tar.gz of one member that has as many bytes as it says."""
    return packed(header(name, kind, HUGE), HUGE)


def sparse() -> bytes:
    """Return the header of a sparse member of 3 GB, and next to nothing in it."""
    buffer = bytearray(header("train/digitStruct.mat", tarfile.GNUTYPE_SPARSE, 0))
    buffer[483:495] = b"%011o\0" % (3 << 30)
    buffer[148:156] = b" " * 8
    buffer[148:156] = b"%06o\0 " % sum(buffer)
    return bytes(buffer)


def sparse_map() -> bytes:
    """Return a tar.gz of a sparse member that tells for half a gigabyte where its content is."""
    told = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n"
    begin = header("pax", tarfile.XHDTYPE, len(told)) + told.ljust(512, b"\0") + header("x", tarfile.REGTYPE, HUGE)
    return packed(begin, b"999999999\n0") + packed(b"\n0" * (1 << 23)) * (HUGE >> 24)


MAT = "train/digitStruct.mat"
TARS = {
    "long name": (lambda: claiming("././@LongLink", tarfile.GNUTYPE_LONGNAME), "bytes of headers"),
    "pax": (lambda: claiming("pax", tarfile.XHDTYPE), "bytes of headers"),
    "pax of all": (lambda: claiming("pax", tarfile.XGLTYPE), "bytes of headers"),
    "later": (lambda: packed(header("a", tarfile.REGTYPE, 0)) + claiming("pax", tarfile.XHDTYPE), "bytes of headers"),
    "thousands": (lambda: packed(header("p", tarfile.XGLTYPE, 0) * 5000), "is damaged"),
    "claim": (lambda: packed(header(MAT, tarfile.REGTYPE, 3 << 30)), "of 3221225472 bytes, more than 671"),
    "zeros": (lambda: claiming(MAT, tarfile.REGTYPE), "of 536870912 bytes, more than 77"),
    "sparse": (lambda: packed(sparse(), bytes(1024)), "neither file nor folder"),
    "sparse map": (sparse_map, "bytes of headers"),
    "passed over": (lambda: claiming("other", tarfile.REGTYPE) + tar([(MAT, b"x")]), "nothing"),
}


def test_archives(tmp_path):
    assert unexpected(said("tar", tmp_path, TARS), TARS) == {}


def hdf5(kind: str) -> bytes:
    h5py, out = digit_struct.h5py, io.BytesIO()
    with h5py.File(out, "w") as file:
        root = file.create_group("digitStruct")
        n = 200_000_000 if kind == "names" else 2
        name = root.create_dataset("name", (n, 1), h5py.ref_dtype)
        root.create_dataset("bbox", (n, 1), h5py.ref_dtype)
        if kind == "pieces":  # that are unpacked as a whole: half a gigabyte of zeros for one name
            codes = file.create_dataset("x", (1, 1), "u2", chunks=(HUGE // 2, 1), maxshape=(None, 1), compression=1)
            codes[0, 0] = 49
            name[0, 0] = codes.ref
            root["bbox"][0, 0] = file.create_group("b").ref
    return out.getvalue() + bytes(64)  # h5py leaves the last few out


BOXES = {
    "names": (lambda: hdf5("names"), "shape (200000000, 1)"),
    "pieces": (lambda: hdf5("pieces"), "in pieces of 536870912 bytes"),
}


@pytest.mark.skipif(digit_struct.h5py is None, reason="h5py is missing: pip install h5py")
def test_boxes(tmp_path):
    assert unexpected(said("hdf5", tmp_path, BOXES), BOXES) == {}


def matrix(text: str, shape: tuple, kind: int = 9, flags: int = 0, data: int = 2, size: int = 0, name=None) -> bytes:
    """Return the beginning of a matrix in a MATLAB 5 file: its tags, and no data; `name` is its name's own length."""
    dims = struct.pack(f"<{len(shape)}i", *shape)
    dims = struct.pack("<II", 5, len(dims)) + dims.ljust(-(-len(dims) // 8) * 8, b"\0")
    named = struct.pack("<II", 1, name or len(text)) + text.encode().ljust(8, b"\0")
    return struct.pack("<IIII", 6, 8, kind | flags, 0) + dims + named + struct.pack("<II", data, size)


def mat(*matrices: bytes, zeros: int = 0) -> bytes:
    """Return a MATLAB 5 file of compressed matrices, each with so many zeros behind its tags; without its checksum."""
    content = b"MATLAB 5.0".ljust(124) + b"\0\1IM"
    for tags in matrices:
        packer = zlib.compressobj(9)
        body = packer.compress(struct.pack("<II", 14, len(tags) + zeros) + tags) + packer.flush(zlib.Z_FULL_FLUSH)
        if zeros:
            body += (packer.compress(ZEROS) + packer.flush(zlib.Z_FULL_FLUSH)) * (zeros // len(ZEROS))
        body += packer.flush()
        content += struct.pack("<II", 15, len(body)) + body
    return content


X, Y, SIDES = matrix("X", (32, 32, 3, 12), size=36864), matrix("y", (12, 1), size=12), (32, 32, 3, 12)
MILLION = (32, 32, 3, 10**6)
MATS = {
    "pixels": (lambda: mat(matrix("X", SIDES, size=HUGE), Y, zeros=HUGE), "it holds X uint8"),
    "imaginary": (lambda: mat(matrix("X", SIDES, flags=2048, size=36864), Y, zeros=HUGE), "it holds X uint8"),
    "a million": (
        lambda: mat(matrix("X", MILLION, size=3072 * 10**6), matrix("y", (10**6, 1), size=10**6)),
        "too small for its 1000000 digits",
    ),
    "labels": (lambda: mat(X, matrix("y", (12, 1), size=HUGE), zeros=HUGE), "it holds X uint8"),
    "a name": (lambda: mat(matrix("n", (1, 1), name=HUGE), X, Y, zeros=HUGE), "unpack_from requires"),
    "cells": (lambda: mat(X, matrix("y", (12, 1), kind=1, data=14, size=HUGE), zeros=HUGE), "of no numbers"),
}


def test_cropped_digits(tmp_path):
    assert unexpected(said("mat", tmp_path, MATS), MATS) == {}


def npy(shape: tuple, length: int | None = None) -> bytes:
    """Return the header of an .npy file, or, of version 2, one that says that it has a certain length."""
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "|u1", "fortran_order": False, "shape": shape})
    content = out.getvalue()
    return content if length is None else b"\x93NUMPY\2\0" + struct.pack("<I", length) + content[10:]


def npz(*members: tuple[str, bytes, int]) -> bytes:
    """Return an .npz of arrays: names, headers, and so many zeros."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, head, zeros in members:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                file.write(head)
                for _ in range(zeros // len(ZEROS)):
                    file.write(ZEROS)
    return out.getvalue()


def idx(images: int, zeros: int = 0) -> bytes:
    return packed(b"\0\0\x08\3" + struct.pack(">III", images, 32, 32), zeros)


ARRAYS = {
    "claim.npy": (lambda: npy((1 << 30, 28, 28)), "cannot be read as an array"),
    "claim.npz": (lambda: npz(("x", npy((1 << 30, 28, 28)), 1)), "by its header, but"),
    "header.npz": (lambda: npz(("x", npy((9, 28, 28), HUGE), HUGE)), "cannot be read as an array"),
    "zeros.npz": (lambda: npz(("x", npy((HUGE >> 10, 32, 32)), HUGE)), "0.5 GB when unpacked, too much for its"),
    "parts.npz": (
        lambda: npz(*((f"x_{part}", npy((HUGE >> 12, 32, 32)), HUGE >> 2) for part in ("train", "valid", "test"))),
        "0.4 GB when unpacked, too much for its size",
    ),
    "claim-images-idx3-ubyte.gz": (lambda: idx(HUGE >> 10), "more than the file can hold"),
    "zeros-images-idx3-ubyte.gz": (lambda: idx(HUGE >> 10, HUGE), "more than the file can hold"),
    "row.csv.gz": (lambda: packed(b"0," * (1 << 23)) * (HUGE >> 24), "more than 16777216 characters"),
    "columns.csv": (lambda: b"0," * (2 << 20) + b"0\n", "more than 1048576 columns"),
    "names.csv": (lambda: b",".join(b"p%d" % k for k in range(1_100_000)) + b"\n", "more than 1048576 columns"),
    "columns.txt": (lambda: b"0 " * (2 << 20) + b"0\n", "more than 1048576 columns"),
    "zeros.csv.gz": (lambda: packed(HUGE), "zero bytes in line 1"),
}


def test_arrays_and_tables(tmp_path):
    assert unexpected(said("file", tmp_path, ARRAYS), ARRAYS) == {}


@pytest.mark.parametrize("row", [b"\n", b"77,0,0,0,0\n"])
def test_lines_that_are_many_and_short(tmp_path, monkeypatch, row):
    """Blank ones, and labels, of which each is an object in memory."""
    monkeypatch.setattr(parts, "ROOM", 1 << 20)
    content = gzip.compress(b"label,a1,a2,a3,a4\n" + row * (1 << 21 if row == b"\n" else 1 << 16))
    message = refusal(tables.read, put(tmp_path, "x.csv.gz", content))
    assert ("unpacked it is more than" if row == b"\n" else "bytes of pixels; save fewer") in message
