"""python -m minidraw.evaluate CHECKPOINT: bounds on -log P(x) over a whole split of a data set, in nats per image."""

import json
import sys
from typing import Any

from .cli import Parser, load_data, run, whole
from .errors import UserError, one_line
from .model.ram import RAM
from .training import checkpoints, confusion
from .training.measure import classification_error, importance_weighted_bound, variational_bound, yardsticks


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
    network: Any = checkpoint.network(options.backend, options.threads)
    data = load_data(options, checkpoint, tell=True)
    split = getattr(data, options.split)
    results = {"data": data.name, "split": options.split, "images": len(split), "seed": options.seed}
    results["glimpses"] = network.config.glimpses
    if network.config.glimpses < checkpoint.experiment.model.glimpses:
        words = f"{network.config.glimpses} of its {checkpoint.experiment.model.glimpses} glimpses"
        print(f"this run has come to {words} so far, and is measured with them", file=sys.stderr)
    if isinstance(network, RAM):
        if options.samples > 1:
            raise UserError("--samples is for networks that draw; this checkpoint is of a classifier")
        results |= classification_error(network, split, data.classes)
    else:
        results |= variational_bound(network, split, options.seed) | yardsticks(data.train, split)
        if options.samples > 1:
            results |= importance_weighted_bound(network, split, options.samples, options.seed)
    print(json.dumps(results) if options.json else report(results))
    return 0


def report(results: dict) -> str:
    """Return the results in words."""

    def number(name: str, error: str) -> str:
        return f"{results[name]:.2f}" + ("" if results[error] is None else f" ± {results[error]:.2f}")

    name = one_line(results["data"])
    if "error" in results:
        line = (
            f"{results['split']} set of {name}, {results['images']} images: "
            f"error {100 * results['error']:.2f} ± {100 * (results['error_error'] or 0):.2f} % "
            f"({results['wrong']} wrong), cross entropy {number('cross_entropy', 'cross_entropy_error')} nats per image"
        )
        return "\n".join([line, *confusion.words(results["confusion"], results["classes"])])
    lines = [
        f"upper bounds on -log P(x) in nats per image, {results['split']} set of {name}, {results['images']} images:",
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
