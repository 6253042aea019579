"""python -m minidraw.reconstruct CHECKPOINT [IMAGE ...]: show where a network looks at an image, and redraws it."""

from .cli import Parser, check_out, drawing_network, given_images, run, size, whole, write_drawing
from .pictures.sheets import READING_WORD, WRITING_WORD
from .training import checkpoints

COUNT = 16  # images of the test set


def parser() -> Parser:
    """Return the parser of this command line."""
    text = f"Draw given images again, in pairs; {READING_WORD} boxes: where it looks, {WRITING_WORD}: where it writes."
    parser = Parser("reconstruct", text)
    parser.add_checkpoint()
    parser.add_images(COUNT)
    parser.add_argument("--seed", type=whole(0), metavar="N", default=0, help="seed of the noise")
    parser.add_pictures("seen.gif")
    parser.add_machine()
    return parser


def main(arguments: list[str]) -> int:
    """Redraw as the arguments say; what was written goes to standard output."""
    options = parser().parse_args(arguments)
    checkpoint = checkpoints.load(options.checkpoint)
    count = len(options.images) or options.n or COUNT
    check_out(options, size(options, count, checkpoint.experiment.model, beside=True))
    network = drawing_network(options, checkpoint)
    images = given_images(options, checkpoint, network, COUNT)
    write_drawing(options, network.redraw(images, seed=options.seed), originals=images)
    return 0


if __name__ == "__main__":
    run(main)
