"""python -m minidraw.generate CHECKPOINT: let a trained network draw, and show it drawing."""

from .cli import Parser, check_out, drawing_network, run, size, whole, write_drawing
from .pictures.sheets import WRITING_WORD
from .training import checkpoints


def parser() -> Parser:
    """Return the parser of this command line."""
    parser = Parser("generate", f"Draw from nothing but noise; {WRITING_WORD} boxes: where it writes.")
    parser.add_checkpoint()
    parser.add_argument("-n", type=whole(1), metavar="N", default=64, help="how many images")
    parser.add_argument("--seed", type=whole(0), metavar="N", default=0, help="seed of the noise")
    parser.add_pictures("digits.gif")
    parser.add_machine()
    return parser


def main(arguments: list[str]) -> int:
    """Draw as the arguments say; what was written goes to standard output."""
    options = parser().parse_args(arguments)
    checkpoint = checkpoints.load(options.checkpoint)
    check_out(options, size(options, options.n, checkpoint.experiment.model))
    network = drawing_network(options, checkpoint)
    write_drawing(options, network.draw(options.n, options.seed))
    return 0


if __name__ == "__main__":
    run(main)
