"""python -m minidraw.data NAME: show what a data set is, without training on it."""

from ..cli import Parser, filled, run, whole
from ..errors import UserError
from ..training.record import SHOWN, show_images
from . import load, names
from .summary import lines, summarize


def parser() -> Parser:
    """Return the parser of this command line."""
    parser = Parser("data", "Show what a data set is: its images, their values and labels, and what was left out.")
    parser.add_argument("name", help=f"one of: {', '.join(names())}, as --data takes it")
    parser.add_argument("--data-dir", type=filled, metavar="DIR", help="folder of official files ($MINIDRAW_DATA)")
    parser.add_argument("--seed", type=whole(0), metavar="N", default=0, help="of data sets that are made, not read")
    text = f"also a picture of {SHOWN} training images as they go in"
    parser.add_argument("--out", type=filled, metavar="FILE.png", help=text)
    return parser


def main(arguments: list[str]) -> int:
    """Show a data set as the arguments say; everything goes to standard output."""
    options = parser().parse_args(arguments)
    if options.out and not options.out.lower().endswith(".png"):
        raise UserError(f"--out must end in .png: {options.out}")
    data = load(options.name, options.data_dir, seed=options.seed)
    print(data.note, *lines(summarize(data)), sep="\n")
    if options.out:
        print(f"{options.out}: {show_images(options.out, data.train)}, as they go in")
    return 0


if __name__ == "__main__":
    run(main)
