"""What a data set is seen to be: counts, shape, values, labels, and a fingerprint by which it is known again.

A run tells it before it trains, keeps it in config.json and on its page; its checkpoint keeps the fingerprint.
"""

import hashlib
from typing import Any

import numpy as np

from ..errors import LONGEST, UserError, one_line
from .images import Dataset, spread

IN_WORDS = {"train": "training", "valid": "validation", "test": "test"}
LOOKED_AT = 500  # images of a split, spread evenly over it
MOST_NAMED = 12  # classes


def summarize(data: Dataset) -> dict:
    """Return what is seen of a data set, as it stands in config.json.

    Values and, where the data set has no `identity`, the hash are of LOOKED_AT images of each split. Raises UserError
    where an image has values outside of [0, 1].
    """
    digest: Any = hashlib.sha256(data.identity.encode())
    splits, remarks = {}, list(data.remarks)
    for name in IN_WORDS:
        split = getattr(data, name)
        chosen = np.unique(spread(min(LOOKED_AT, len(split)), split))
        images = split.batch(chosen)  # (k, C, H, W)
        least, largest = float(images.min()), float(images.max())
        if not 0 <= least <= largest <= 1:
            raise UserError(
                f"the {IN_WORDS[name]} images of {data.name} have values from {least:g} to {largest:g}, not in [0, 1]"
            )
        seen = {"images": len(split), "least": least, "largest": largest, "mean": float(images.mean())}
        labels = getattr(split, "labels", None)
        if labels is not None:
            seen["labels"] = np.bincount(labels, minlength=len(data.classes or ())).tolist()
        splits[name] = seen | {"looked_at": len(images)}
        if name == "train":
            remarks += [f"warning: {warning}" for warning in _warnings(images)]
        if not data.identity:
            digest.update(np.ascontiguousarray(images))
            digest.update(b"" if labels is None else np.ascontiguousarray(labels))
    return {
        "name": data.name,
        "note": data.note,
        "shape": _shape(data),
        "classes": None if data.classes is None else list(data.classes),
        "splits": splits,
        "remarks": remarks,
        "sha256": known_hash(data, digest),
    }


def known_hash(data: Dataset, digest: Any = None) -> str:
    """Return the hash by which a data set is known again; `digest` has its content, by default only its `identity`."""
    digest = digest or hashlib.sha256(data.identity.encode())
    digest.update(repr((_shape(data), {name: len(getattr(data, name)) for name in IN_WORDS})).encode())
    return digest.hexdigest()


def _shape(data: Dataset) -> list[int]:
    return [int(length) for length in data.train.shape]


def _warnings(images: np.ndarray) -> list[str]:
    """Return what is suspicious about images (k, C, H, W) that a network is to be trained on."""
    if len(images) > 1 and np.ptp(images, axis=0).max() == 0:
        return ["all images are equal; is that what they show?"]
    if images.shape[1] == 3 and (images == images[:, :1]).all():
        return [
            "the three channels of the images are equal: one would do, in a third of the time (of pictures, grey=1)"
        ]
    return []


def lines(summary: dict) -> list[str]:
    """Return a summary in words, a line a split, and a line for every remark."""
    C, H, W = summary["shape"]
    kind = {1: "grey", 3: "colour"}.get(C, f"{C} channels")
    told = []
    for name, seen in summary["splits"].items():
        of = "" if seen["looked_at"] == seen["images"] else f", of {seen['looked_at']:,} looked at"
        values = f"values {seen['least']:.3g} to {seen['largest']:.3g}, mean {seen['mean']:.3f}{of}"
        told.append(
            f"{IN_WORDS[name]}: {seen['images']:,} images, {W}x{H}, {kind}; {values}; "
            f"{_labels(summary['classes'], seen)}"
        )
    return [one_line(line, LONGEST) for line in told + summary["remarks"]]


def _labels(classes: list[str] | None, seen: dict) -> str:
    if "labels" not in seen:
        return "no labels"
    counts = seen["labels"]
    names = classes or list(map(str, range(len(counts))))
    if len(counts) > MOST_NAMED:
        return f"labels: {len(counts)} classes of {min(counts):,} to {max(counts):,} images"
    return "labels: " + ", ".join(f"{name} ({count:,})" for name, count in zip(names, counts, strict=True))


def difference(recorded: dict, found: dict) -> str:
    """Return in words how the data set that is found differs from the recorded one; "" where it does not.

    Both are what `fingerprint` returns; an empty record, of an older checkpoint, differs from nothing.
    """
    if not recorded or recorded["sha256"] == found["sha256"]:
        return ""
    if recorded["shape"] != found["shape"]:
        return f"images of {found['shape']}, not {recorded['shape']}"
    counts = [
        f"{found['images'][name]:,} {word} images, not {recorded['images'][name]:,}"
        for name, word in IN_WORDS.items()
        if found["images"][name] != recorded["images"][name]
    ]
    return ", ".join(counts) or "as many images, but others"


def fingerprint(summary: dict) -> dict:
    """Return the part of a summary by which a data set is known again: counts, shape, and a hash."""
    counts = {name: seen["images"] for name, seen in summary["splits"].items()}
    return {"images": counts, "shape": summary["shape"], "sha256": summary["sha256"]}
