"""An array of images in a file of NumPy's, .npy or .npz: any usual layout, and never a pickle."""

import zipfile
from pathlib import Path

import numpy as np

from ..errors import UserError, one_line, reason

CHANNELS = (1, 2, 3, 4)
MOST = 8 << 30  # bytes of an array in an .npz, which must be in memory at once
BLOCK = 1024  # images looked at at once


class Array:
    """The images of an .npy or .npz file; `shape` is (C, H, W).

    The values are bytes 0..255, floats in [0, 1], or 0 and 1 of any type. Raises UserError for all else.
    """

    def __init__(self, path: Path, options):
        if options.size or options.grey is not None:
            raise UserError(f"size and grey are for folders of pictures; save {path} as it is to be used")
        self.path = path
        try:
            array = _open(path, options.key)
        except UserError:
            raise
        except MemoryError:
            raise UserError(f"{path} is too large for the memory; save it as .npy") from None
        except Exception as error:  # damaged files make NumPy raise nearly anything
            raise UserError(f"{path} cannot be read as an array: {reason(error)}") from error
        self.array = _channels_first(array, path)  # (n, C, H, W)
        self.shape = self.array.shape[1:]
        self.scale = self._scale()

    def __len__(self) -> int:
        return len(self.array)

    def take(self, chosen: np.ndarray) -> np.ndarray:
        """Return the images at `chosen` (k,) as uint8 (k, C, H, W)."""
        images = self.array[chosen]
        return images if self.scale == 1 else np.rint(images * np.float64(self.scale)).astype(np.uint8)

    def _scale(self) -> int:
        """Return the factor that brings the values to 0..255."""
        kind = self.array.dtype
        if kind != np.uint8 and kind.kind not in "bf":
            raise UserError(f"{self.path} is an array of {kind}; save it as uint8, or as floats in [0, 1]")
        lowest, highest = np.inf, -np.inf
        for start in range(0, len(self.array), BLOCK):
            block = self.array[start : start + BLOCK]
            lowest, highest = np.minimum(lowest, block.min()), np.maximum(highest, block.max())  # NaN stays NaN
        if kind == np.uint8:
            return 1 if highest > 1 else 255  # zeros and ones alone are not nearly black, but black and white
        if not (lowest >= 0 and highest <= 1):
            hint = "; divide by 255" if 1 < highest <= 255 and lowest >= 0 else ""
            raise UserError(f"{self.path} has values from {lowest:g} to {highest:g}, not in [0, 1]{hint}")
        return 255


def _open(path: Path, key: str | None) -> np.ndarray:
    """Return the array of a file: memory-mapped from an .npy, the only one of images in an .npz, or that at `key`."""
    with open(path, "rb") as file:
        magic = file.read(6)
    if magic == b"\x93NUMPY":
        if key is not None:
            raise UserError(f"key is for .npz files with several arrays, but {path} is one array")
        return np.load(path, mmap_mode="r", allow_pickle=False)
    if not magic.startswith(b"PK"):
        raise UserError(f"{path} is no .npy or .npz file: it begins {magic!r}")
    with zipfile.ZipFile(path) as archive:
        sizes = {info.filename.removesuffix(".npy"): info.file_size for info in archive.infolist()}
        shapes = {name: _shape(archive, name) for name in sizes}
    if key is None:
        images = [name for name, shape in shapes.items() if len(shape) in (3, 4)] or list(shapes)
        key = images[0] if len(images) == 1 else None
    if key not in shapes:
        held = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise UserError(f"{path} holds {one_line(held) or 'nothing'}; choose the images by folder:{path}?key=NAME")
    if sizes[key] > MOST:
        raise UserError(
            f"{path} holds {key} of {sizes[key] / 1e9:.1f} GB; save it as .npy, which need not be in memory"
        )
    with np.load(path, allow_pickle=False) as archive:
        return archive[key]


def _shape(archive: zipfile.ZipFile, name: str) -> tuple[int, ...]:
    """Return the shape of an array in an .npz from its header; () for what is no array."""
    member = name + ".npy"
    if member not in archive.namelist():
        return ()
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        return header(file)[0]


def _channels_first(array: np.ndarray, path: Path) -> np.ndarray:
    """Return (n, H, W), (n, H, W, C) or (n, C, H, W) as a view (n, C, H, W). Raises UserError for another shape."""
    if array.ndim == 3 and array.size:
        return array[:, None]
    if array.ndim == 4 and array.size:
        first, last = (array.shape[axis] in CHANNELS for axis in (1, 3))
        if first and last:
            raise UserError(f"{path} has the shape {array.shape}: channels first or last cannot be told apart")
        if first or last:
            return array if first else array.transpose(0, 3, 1, 2)
    raise UserError(f"{path} has the shape {array.shape}, not (n, H, W), (n, H, W, C) or (n, C, H, W), C up to 4")
