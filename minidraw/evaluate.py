"""python -m minidraw.evaluate CHECKPOINT: bounds on -log P(x) over a whole split of a data set, in nats per image."""

import json
import math
import sys
from typing import Any

import numpy as np
from scipy.special import entr, logsumexp
from tqdm import tqdm

from . import checkpoint as checkpoints
from .classifier import RAM
from .cli import Parser, load_data, run, whole
from .errors import UserError
from .likelihood import reconstruction
from .model import DRAW
from .tasks import batches, classify, draw_noise, mean_logits


def parser() -> Parser:
    """Return the parser of this command line."""
    parser = Parser("evaluate", "Bound -log P(x) from above, in nats per image; of a classifier, count its errors.")
    parser.add_checkpoint()
    parser.add_data()
    parser.add_argument("--split", choices=("test", "valid"), default="test", help="which images")
    text = "more than 1: also the importance-weighted bound of this many draws per image (arXiv:1509.00519)"
    parser.add_argument("--samples", type=whole(1), metavar="K", default=1, help=text)
    parser.add_argument("--seed", type=whole(0), metavar="N", default=0, help="seed of the noise")
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead")
    parser.add_machine()
    return parser


def main(arguments: list[str]) -> int:
    """Evaluate as the arguments say; the results go to standard output, progress to standard error."""
    options = parser().parse_args(arguments)
    checkpoint = checkpoints.load(options.checkpoint)
    data = load_data(options, checkpoint)
    network: Any = checkpoint.network(options.backend, options.threads)
    split = getattr(data, options.split)
    results = {"data": data.name, "split": options.split, "images": len(split), "seed": options.seed}
    results["glimpses"] = network.config.glimpses
    if network.config.glimpses < checkpoint.experiment.model.glimpses:
        words = f"{network.config.glimpses} of its {checkpoint.experiment.model.glimpses} glimpses"
        print(f"this run has come to {words} so far, and is measured with them", file=sys.stderr)
    if isinstance(network, RAM):
        if options.samples > 1:
            raise UserError("--samples is for networks that draw; this checkpoint is of a classifier")
        results |= classification_error(network, split, options.seed)
    else:
        results |= variational_bound(network, split, options.seed) | yardsticks(data.train, split, options.seed)
        if options.samples > 1:
            results |= importance_weighted_bound(network, split, options.samples, options.seed)
    print(json.dumps(results) if options.json else report(results))
    return 0


def variational_bound(network: DRAW, split, seed: int) -> dict:
    """Return the bound of eq. 12 over a split, one draw per image, its terms, and its standard error over images."""
    rng = np.random.default_rng([seed, 1])
    terms = []  # reconstruction and KL of images, (2, B)
    with tqdm(total=len(split), unit="image", desc="bound", leave=False, disable=None) as bar:
        for images in batches(split, len(split), rng):
            reconstruction, latent = network.losses(images, draw_noise(network.config, len(images), rng))
            terms.append((reconstruction, latent.sum(axis=0)))
            bar.update(len(images))
    reconstruction, latent = np.concatenate(terms, axis=1, dtype=np.float64)  # (images,)
    results = {"bound": mean(reconstruction + latent), "bound_error": standard_error(reconstruction + latent)}
    return results | {"reconstruction": mean(reconstruction), "latent": mean(latent)}


def yardsticks(train, split, seed: int) -> dict:
    """Return what a bound is to be compared with, in nats per image, means over a split.

    `independent_pixels` is the cost of the best model whose pixels know nothing of each other, the mean training image.
    `least` is what no model can go below: the entropy of the pixels' values, which are probabilities where they are
    grey, and 0 for binarized images.
    """
    rng = np.random.default_rng([seed, 3])
    logits = mean_logits(train, rng)  # (C·H·W,)
    independent = least = 0.0
    for images in batches(split, len(split), rng):
        rows = images.reshape(len(images), -1).astype(np.float64)
        independent += reconstruction(rows, np.broadcast_to(logits, rows.shape), np).sum()
        least += (entr(rows) + entr(1 - rows)).sum()
    return {"independent_pixels": float(independent / len(split)), "least": float(least / len(split))}


def classification_error(network: RAM, split, seed: int) -> dict:
    """Return the share of wrong labels over a split, its standard error, and the cross entropy in nats per image."""
    nats, wrong = classify(network, split, len(split), np.random.default_rng([seed, 1]))
    results = {"error": mean(wrong), "error_error": standard_error(wrong), "wrong": int(wrong.sum())}
    return results | {"cross_entropy": mean(nats), "cross_entropy_error": standard_error(nats)}


def mean(values: np.ndarray) -> float:
    """Return the mean as a Python number."""
    return float(values.mean())


def standard_error(values: np.ndarray) -> float | None:
    """Return the standard error of the mean, None for a single value."""
    return float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else None


def importance_weighted_bound(network: DRAW, split, samples: int, seed: int) -> dict:
    """Return -log 1/K Σ_k p(x, z_k) / q(z_k | x) over a split for K = `samples`, and its standard error over images.

    It is at least -log P(x) on average, and falls towards it as K grows (Burda et al. 2015, arXiv:1509.00519).
    """
    rng = np.random.default_rng([seed, 2])
    bounds = []
    with tqdm(total=samples * len(split), unit="draw", desc="importance-weighted", leave=False, disable=None) as bar:
        for images in batches(split, len(split), rng):
            weights = []  # K times (B,)
            for _ in range(samples):
                weights.append(network.log_weights(images, draw_noise(network.config, len(images), rng)))
                bar.update(len(images))
            bounds.append(math.log(samples) - logsumexp(np.float64(weights), axis=0))
    bounds = np.concatenate(bounds)  # (images,)
    results = {"importance_weighted_bound": mean(bounds), "importance_weighted_error": standard_error(bounds)}
    return results | {"samples": samples}


def report(results: dict) -> str:
    """Return the results in words."""

    def number(name: str, error: str) -> str:
        return f"{results[name]:.2f}" + ("" if results[error] is None else f" ± {results[error]:.2f}")

    if "error" in results:
        return (
            f"{results['split']} set of {results['data']}, {results['images']} images: "
            f"error {100 * results['error']:.2f} ± {100 * (results['error_error'] or 0):.2f} % "
            f"({results['wrong']} wrong), cross entropy {number('cross_entropy', 'cross_entropy_error')} nats per image"
        )
    lines = [
        f"upper bounds on -log P(x) in nats per image, {results['split']} set of {results['data']}, "
        f"{results['images']} images:",
        f"variational bound: {number('bound', 'bound_error')} "
        f"(reconstruction {results['reconstruction']:.2f} + latent {results['latent']:.2f})",
    ]
    if "samples" in results:
        bound = number("importance_weighted_bound", "importance_weighted_error")
        lines.append(f"importance-weighted bound, {results['samples']} draws per image: {bound}")
    lines.append(
        f"to compare: {results['independent_pixels']:.2f} with independent pixels, the mean training image; "
        f"no model can go below {results['least']:.2f}, the entropy of the pixels' values"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    run(main)
