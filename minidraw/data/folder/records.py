"""Images that somebody gave, from pictures or from arrays, as a data set: splits, labels, remarks and identity."""

import hashlib
from collections.abc import Iterator

import numpy as np

from ...errors import UserError
from ..images import Dataset, Images
from .arrays import Arrays
from .parts import SPLITS
from .pictures import Pictures, bar
from .splits import NONE, assign

FEWEST = 10  # images
BLOCK = 256  # images made at once
DARK = 64  # of 255: images of which no pixel is as bright are probably of another scale


def describe(images: Pictures | Arrays) -> tuple[np.ndarray, dict]:
    """Return the order in which images become records, (n,), split after split, and what is to be known about those.

    Raises UserError for fewer than 10 images, or none for a split.
    """
    if len(images) < FEWEST:
        why = f" ({'; '.join(images.remarks)})" if images.remarks else ""
        raise UserError(f"{images.path} holds {len(images)} images; a data set needs {FEWEST} or more{why}")
    split, made = assign(images.keys, images.given)
    if empty := [name for k, name in enumerate(SPLITS) if not (split == k).any()]:
        raise UserError(
            f"{images.path} holds no images for {' and '.join(empty)}, nor enough training images to hold some out"
        )
    labels, known = images.labels, images.classes is not None
    about = {
        "shape": images.shape,
        "counts": np.bincount(split, minlength=len(SPLITS)).tolist(),
        "classes": images.classes or (),
        "labelled": [known and bool((labels[split == k] != NONE).all()) for k in range(len(SPLITS))],
        "remarks": [*images.remarks, *_told(images, split, made)],
        "identity": _identity(images, split, labels),
        "preparation": images.preparation and images.preparation.as_dict(),
    }
    return np.lexsort((images.keys, split)), about


def _told(images: Pictures | Arrays, split: np.ndarray, made: list[str]) -> list[str]:
    """Return remarks on the splits: where they are from, and what is held out that is trained on too, or never."""
    told, train = [], split == SPLITS.index("train")
    if len(made) < 2:
        more = f"; for {made[0]} a tenth of the training images, by a hash of their content" if made else ""
        told.append(f"splits: as they were found{more}")
    trained = {key for key, of in zip(images.keys, train, strict=True) if of}
    if both := sum(key in trained for key, of in zip(images.keys, train, strict=True) if not of):
        told.append(f"warning: {both:,} held-out images are exact copies of training images")
    if images.classes:
        never = sorted({*images.labels[~train]} - {*images.labels[train]} - {NONE})
        names = ", ".join(images.classes[k] for k in never[:5])
        told += [f"warning: no training images of {len(never)} classes that are held out: {names}"] if never else []
    return told


def _identity(images: Pictures | Arrays, split: np.ndarray, labels: np.ndarray) -> str:
    """Return a hash of the content of all files and of what was made of it, however it was asked for."""
    each = sorted(key + bytes(place) for key, place in zip(images.keys, zip(split, labels, strict=True), strict=True))
    made = f"{images.shape} {images.decided} {images.classes}"
    return hashlib.sha256(b"".join(each) + made.encode()).hexdigest()


def blocks(
    images: Pictures | Arrays, order: np.ndarray, about: dict, what: str = ""
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield first rows, and records: labels and images in that order, uint8 (k, 1 + C·H·W).

    In the end it is entered in `about` if they are nearly black. A progress bar tells `what` is being done.
    """
    brightest = 0
    with bar(what, len(order)) as shown:
        for start in range(0, len(order), BLOCK):
            chosen = order[start : start + BLOCK]
            pixels = images.take(chosen).reshape(len(chosen), -1)  # (k, C·H·W)
            yield start, np.concatenate([images.labels[chosen, None], pixels], axis=1)
            brightest = max(brightest, int(pixels.max()))
            shown.update(len(chosen))
    images.finish()
    if 0 < brightest < DARK:
        about["remarks"].append(
            f"warning: the brightest of all pixels is {brightest} of 255; is it white? white={brightest}"
        )


def dataset(name: str, where: str, records: np.ndarray, about: dict, binary: bool) -> Dataset:
    """Return the data set of records (n, 1 + C·H·W), a label and an image each; `where` says where they are from."""
    C, H, W = shape = tuple(about["shape"])
    bounds = np.cumsum(about["counts"])[:-1]
    train, valid, test = (
        Images(part[:, 1:].reshape(-1, *shape), np.array(part[:, 0]) if labelled else None)
        for part, labelled in zip(np.split(records, bounds), about["labelled"], strict=True)
    )
    return Dataset(
        name,
        train,
        valid,
        test,
        f"{len(records):,} images of {where}, {W} x {H} pixels, channels: {C}" + ", 0 or 1" * binary,
        classes=tuple(about["classes"]) or None,
        remarks=tuple(about["remarks"]),
        identity=about["identity"],
        preparation=about["preparation"],
    )
