"""python -m minidraw.data NAME: show what a data set is, without training on it."""

from ..cli import Parser, filled, run, whole
from ..errors import LONGEST, UserError, harmless, one_line
from ..training.record import SHOWN, show_images
from . import cache_folder, load, names
from .summary import lines, summarize
from .verify import verify


def parser() -> Parser:
    """Return the parser of this command line."""
    parser = Parser("data", "Show what a data set is: its images, their values and labels, and what was left out.")
    parser.add_argument("name", nargs="?", help=f"one of: {', '.join(names())}, as --data takes it")
    parser.add_argument("--data-dir", type=filled, metavar="DIR", help="folder of official files ($MINIDRAW_DATA)")
    parser.add_argument("--seed", type=whole(0), metavar="N", default=0, help="of data sets that are made, not read")
    text = f"also a picture of {SHOWN} training images as they go in"
    parser.add_argument("--out", type=filled, metavar="FILE.png", help=text)
    text = "instead: read all of the cache, $MINIDRAW_CACHE, and tell what is damaged"
    parser.add_argument("--verify", action="store_true", help=text)
    return parser


def main(arguments: list[str]) -> int:
    """Show a data set as the arguments say, or verify the cache; everything goes to standard output."""
    options = parser().parse_args(arguments)
    if bool(options.name) == options.verify or (options.verify and (options.out or options.data_dir)):
        parser().error("name a data set, or --verify the cache, all of it")
    if options.verify:
        return _verify()
    if options.out and not options.out.lower().endswith(".png"):
        raise UserError(f"--out must end in .png: {options.out}")
    data = load(options.name, options.data_dir, seed=options.seed)
    print(one_line(data.note, LONGEST), *lines(summarize(data)), sep="\n")
    if options.out:
        print(f"{harmless(options.out)}: {show_images(options.out, data.train)}, as they go in")
    return 0


def _verify() -> int:
    """Tell what lies in the cache, a line a file; return 1 where something of it is damaged."""
    words, damaged, folder = {"": "good", None: "no checksum, not verified"}, 0, cache_folder()
    for path, fault in verify(folder):
        again = f"DAMAGED, {fault}; delete it, and it is made or downloaded again"
        print(f"{harmless(path)}: {words.get(fault) or again}")
        damaged += bool(fault)
    print(f"{harmless(folder)}: {f'{damaged} damaged' if damaged else 'nothing is damaged'}")
    return int(damaged > 0)


if __name__ == "__main__":
    run(main)
