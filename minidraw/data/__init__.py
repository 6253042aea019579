"""The data sets, by name. `load("strokes")` needs nothing; the others find, or download and verify, official files.

To add one, write a file beside this one with a loader, and enter it in `_LOADERS` (File is of official.py, Dataset and
Images are of images.py; size and sha256 are those of the file unzipped):

    FILE = File("faces.bin", size=1234, sha256="...", urls=("https://.../faces.bin.gz",))

    def load(places, seed=0):
        content = places.obtain((FILE,))["faces.bin"]            # verified: from a folder, the cache or the network
        pixels = np.frombuffer(content, np.uint8).reshape(-1, 3, 8, 8)
        return Dataset("faces", Images(pixels[:400]), Images(pixels[400:450]), Images(pixels[450:]), note="...")

A split need not be Images: whatever has `shape`, `labels`, `len()` and `batch(indices, rng=None)` will do, for example
one that makes its images anew at every draw from the `rng` it is given and, without one, always the same image for an
index, as a test set must be (cluttered.py). Files too large for memory are turned once into an array in the cache by
`prepare` in prepared.py (svhn_cropped.py is the shortest example).
"""

import contextlib
import os
from pathlib import Path

from ..errors import UserError, unknown
from . import binarized_mnist, cifar10, cluttered, folder, mnist, strokes, svhn, svhn_cropped, two_digits
from .folder.memory import from_arrays
from .images import Dataset, Images, mean_image
from .known import LOADERS as _LOADERS
from .known import is_known
from .places import Places, without_home

__all__ = ["Dataset", "Images", "cache_folder", "from_arrays", "is_known", "load", "mean_image", "names"]


def load(
    name: str,
    data_dir: str | None = None,
    seed: int = 0,
    download: bool = True,
    shape: tuple[int, int, int] | None = None,
) -> Dataset:
    """Return the data set `name`, with pixels in [0, 1].

    Official files are looked for in `data_dir`, or else in the folder that MINIDRAW_DATA names (and in its sub-folder
    `name`), then in the cache, then downloaded unless `download` is false or MINIDRAW_OFFLINE is set. `seed` is for
    data sets that are made, not read. "folder:PATH" is a folder of anybody's pictures, or a file of arrays, see
    folder/; pictures whose name gives no size become images of `shape` (C, H, W), where that is given and they have as
    many channels. Arrays in memory are for `from_arrays`. Raises UserError for an unknown name, a wrong file, or files
    not to be had.
    """
    if data_dir is not None and (name == "strokes" or name.startswith(folder.PREFIX)):
        own = f"; for your own images write --data {folder.PREFIX}{data_dir}" if name == "strokes" else ""
        raise UserError(f"{name} reads no official files: leave --data-dir {data_dir} out{own}")
    if name.startswith(folder.PREFIX):
        return folder.load(name, cache_folder() / "folder", shape)
    if name not in _LOADERS and os.path.exists(name.rpartition("?")[0] or name):
        raise UserError(
            f"{name!r} is no data set but a file or folder: for the images in it write '{folder.PREFIX}{name}'"
        )
    if not is_known(name):
        raise unknown("data set", name, names())
    where = data_dir or os.environ.get("MINIDRAW_DATA")
    online = download and os.environ.get("MINIDRAW_OFFLINE", "0") in ("", "0")
    places = Places(name, Path(os.path.expanduser(where)) if where else None, cache_folder() / name, online)
    return _LOADERS[name](places, seed)


def is_remembered(name: str, sha256: str) -> bool:
    """Tell whether `load` has been given "folder:PATH" here before, when it held what has that hash (summary.py)."""
    return folder.is_remembered(cache_folder() / "folder", name, sha256)


def names() -> tuple[str, ...]:
    """Return the names that `load` knows; the last one stands for any folder's."""
    return (*_LOADERS, folder.PREFIX + "PATH")


def cache_folder() -> Path:
    """Return the folder for downloads and parsed files: MINIDRAW_CACHE, else `minidraw` in the user's cache.

    A user without a home has it among the temporary files.
    """
    if where := os.environ.get("MINIDRAW_CACHE"):
        return Path(os.path.expanduser(where))
    import pooch  # here, since importing it takes longer than a start without it

    with contextlib.suppress(RuntimeError):  # what there is for a user without a home
        if (found := Path(pooch.os_cache("minidraw"))).is_absolute():  # or "~/..." as it is
            return found
    return without_home()


_LOADERS |= {
    "strokes": strokes.load,
    "binarized_mnist": binarized_mnist.load,
    "mnist": mnist.load,
    "cluttered": cluttered.load,
    "two_digits": two_digits.load,
    "cifar10": cifar10.load,
    "svhn_cropped": svhn_cropped.load,
    "svhn": svhn.load,
}
