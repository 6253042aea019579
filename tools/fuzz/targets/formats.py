"""Small files of all formats that are read, and the checksums of damaged ones put right.

With a wrong one (zip, gzip, tar, PNG) nearly every change would fail at it, and nothing behind it would be reached.
"""

import gzip
import io
import struct
import tarfile
import zipfile
import zlib

import numpy as np
from PIL import Image

from minidraw.data.folder.opening import formats


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
    seeds = [picture(kind) for kind in formats() if kind in Image.SAVE]
    seeds += [picture("PNG", mode) for mode in ("1", "L", "LA", "P", "RGBA", "I;16")]
    exif = Image.Exif()
    exif[0x0112] = 6
    return [*seeds, picture("PNG", "P", transparency=3), picture("JPEG", exif=exif), picture("TIFF", "F")]
