"""What is measured of a network on a data set: bounds, errors, and what to compare them with.

The run measures with it while it goes on, `minidraw.evaluate` after it.
"""

import math
from collections.abc import Iterator

import numpy as np
import scipy  # what is used of it is imported then: it takes half a second of a start
from tqdm import tqdm

from ..data.images import mean_image
from ..errors import STDERR, UserError
from ..model import likelihood
from ..model.draw import DRAW, draw_noise
from ..model.ram import RAM
from ..streams import Purpose, stream
from . import confusion

CHUNK = 250  # held-out images at a time
DARKEST = 1e-3  # where the mean image is 0 or 1, its logit is taken as if it were this far from it


def batches(split, count: int, size: int = CHUNK) -> Iterator[np.ndarray]:
    """Yield the first `count` images of a split in order, as arrays (B, C, H, W), B = `size` or, at the end, less.

    They are always the same images, whatever is measured on them.
    """
    for first in range(0, count, size):
        yield split.batch(np.arange(first, min(first + size, count)))


def mean_logits(split) -> np.ndarray:
    """Return the logits of a split's mean image, (C·H·W,), no pixel of it darker than DARKEST or as near to 1."""
    mean = np.clip(mean_image(split), DARKEST, 1 - DARKEST).ravel()
    return np.log(mean / (1 - mean))


def bound_terms(
    network: DRAW, split, count: int, rng: np.random.Generator, quiet: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Return the terms of the bound (eqs 9, 11) of the first `count` images of a split, one draw each: (count,) twice.

    They are the reconstruction loss and the KL over all glimpses, in nats; the noise comes from `rng`.
    """
    terms = []  # reconstruction and KL of images, (2, B)
    with tqdm(total=count, unit="image", desc="bound", leave=False, disable=quiet or None, file=STDERR) as bar:
        for images in batches(split, count):
            reconstruction, latent = network.losses(images, draw_noise(network.config, len(images), rng))
            terms.append((reconstruction, latent.sum(axis=0)))
            bar.update(len(images))
    reconstruction, latent = np.concatenate(terms, axis=1, dtype=np.float64)
    return reconstruction, latent


def classify(network: RAM, split, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the cross entropy in nats, whether the likeliest label is wrong, and that label, of the first images.

    There are `count` of each. Raises UserError where the images have no labels, or others than the network knows.
    """
    if split.labels is None:
        raise UserError("these images have no labels, and a classifier is measured by them; choose another --data")
    labels = network.checked_labels(split.labels[:count], count)
    log_p = np.concatenate([network.log_probabilities(images) for images in batches(split, count)])  # (count, K)
    likeliest = log_p.argmax(axis=1)
    return -log_p[np.arange(count), labels].astype(np.float64), likeliest != labels, likeliest


def variational_bound(network: DRAW, split, seed: int = 0) -> dict:
    """Return the bound of eq. 12 over a split, one draw per image, its terms, and its standard error over images.

    `seed` is that of the noise.
    """
    reconstruction, latent = bound_terms(network, split, len(split), stream(seed, Purpose.EVALUATION), quiet=False)
    results = {"bound": mean(reconstruction + latent), "bound_error": standard_error(reconstruction + latent)}
    return results | {"reconstruction": mean(reconstruction), "latent": mean(latent)}


def importance_weighted_bound(network: DRAW, split, samples: int, seed: int) -> dict:
    """Return -log 1/K Σ_k p(x, z_k) / q(z_k | x) over a split for K = `samples`, and its standard error over images.

    It is at least -log P(x) on average, and falls towards it as K grows (Burda et al. 2015, arXiv:1509.00519).
    """
    rng = stream(seed, Purpose.IMPORTANCE)
    bounds = []
    options = {"desc": "importance-weighted", "leave": False, "disable": None, "file": STDERR}
    with tqdm(total=samples * len(split), unit="draw", **options) as bar:
        for images in batches(split, len(split)):
            weights = []  # K times (B,)
            for _ in range(samples):
                weights.append(network.log_weights(images, draw_noise(network.config, len(images), rng)))
                bar.update(len(images))
            bounds.append(math.log(samples) - scipy.special.logsumexp(np.float64(weights), axis=0))
    bounds = np.concatenate(bounds)  # (images,)
    results = {"importance_weighted_bound": mean(bounds), "importance_weighted_error": standard_error(bounds)}
    return results | {"samples": samples}


def yardsticks(train, split) -> dict:
    """Return what a bound is to be compared with, in nats per image, means over a split.

    `independent_pixels` is the cost of the mean training image: nearly the best model whose pixels know nothing of each
    other (its pixels are kept from 0 and 1 by DARKEST, which costs 0.16 nats on binarized MNIST). `least` is what no
    model can go below: the entropy of the pixels' values, which are probabilities where they are grey, and 0 for
    binarized images.
    """
    logits = mean_logits(train)  # (C·H·W,)
    independent = least = 0.0
    for images in batches(split, len(split)):
        rows = images.reshape(len(images), -1).astype(np.float64)
        independent += likelihood.reconstruction(rows, np.broadcast_to(logits, rows.shape), np).sum()
        least += (scipy.special.entr(rows) + scipy.special.entr(1 - rows)).sum()
    return {"independent_pixels": float(independent / len(split)), "least": float(least / len(split))}


def classification_error(network: RAM, split, classes: tuple[str, ...] | None = None) -> dict:
    """Return the share of wrong labels over a split, its standard error, and the cross entropy in nats per image.

    And what was taken for what: the names of the labels, numbers where `classes` has none, and the table `confusion`,
    as many lists as labels, of how many images of that label were taken for each.
    """
    nats, wrong, taken = classify(network, split, len(split))
    results = {"error": mean(wrong), "error_error": standard_error(wrong), "wrong": int(wrong.sum())}
    results |= {"cross_entropy": mean(nats), "cross_entropy_error": standard_error(nats)}
    counts = confusion.table(split.labels, taken, network.config.classes)  # (K, K)
    return results | {"classes": confusion.names(classes, len(counts)), "confusion": counts.tolist()}


def mean(values: np.ndarray) -> float:
    """Return the mean as a Python number."""
    return float(values.mean())


def standard_error(values: np.ndarray) -> float | None:
    """Return the standard error of the mean, None for a single value."""
    return float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else None
