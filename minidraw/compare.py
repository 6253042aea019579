"""python -m minidraw.compare RUN RUN ...: several runs on one page: curves over each other, what differs, drawings."""

from pathlib import Path

from .cli import Parser, filled, run
from .errors import UserError, harmless
from .files import write_atomic
from .pages.comparison import comparison
from .pages.report import page
from .pages.run import Run

FEWEST = 2


def parser() -> Parser:
    """Return the parser of this command line."""
    parser = Parser("compare", "Put several runs on one page: curves over each other, settings that differ, pictures.")
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folders of runs, two or more")
    parser.add_argument("--out", type=filled, metavar="FILE", default="compare.html", help="the page to write")
    return parser


def main(arguments: list[str]) -> int:
    """Compare as the arguments say; the path of the page goes to standard output."""
    options = parser().parse_args(arguments)
    if len(options.runs) < FEWEST:
        raise UserError("to compare takes two runs or more; for a single one there is python -m minidraw.report")
    if Path(options.out).suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--out is a page: let it end in .html, not {options.out}")
    runs = [Run(Path(folder)) for folder in options.runs]
    write_atomic(options.out, page(f"{len(runs)} runs", comparison(runs)))
    print(harmless(options.out))
    return 0


if __name__ == "__main__":
    run(main)
