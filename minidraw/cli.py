"""What the command lines share: one line for a mistake, and the options that several of them have."""

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

from .errors import UserError


class Parser(argparse.ArgumentParser):
    """A parser that shows defaults and whose complaints are UserErrors, one line each."""

    def __init__(self, prog: str, description: str, **options):
        kind = argparse.ArgumentDefaultsHelpFormatter
        super().__init__(prog=f"python -m minidraw.{prog}", description=description, formatter_class=kind, **options)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see {self.prog} --help")

    def add_machine(self) -> None:
        """Add --backend and --threads."""
        self.add_argument("--backend", default="numpy", help="numpy, cupy, or auto: a GPU if there is one")
        self.add_argument("--threads", type=int, metavar="N", help="cores to use (default: all)")

    def add_data(self) -> None:
        """Add --data and --data-dir."""
        self.add_argument("--data", metavar="NAME", help="data set (default: the one that the network was made for)")
        self.add_argument("--data-dir", metavar="DIR", help="folder of official files (default: $MINIDRAW_DATA)")


def run(main: Callable[[list[str]], int | None], arguments: list[str] | None = None) -> NoReturn:
    """Run a command line's `main` and end the process: status 0, or 2 after one line that tells a user's mistake."""
    try:
        status = main(sys.argv[1:] if arguments is None else arguments)
    except UserError as mistake:
        print(f"error: {mistake}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = 130
    except MemoryError as shortage:
        print(f"error: not enough memory ({shortage}); try a smaller --batch-size or network", file=sys.stderr)
        status = 2
    except BrokenPipeError:  # whoever read our output has stopped reading
        sys.stderr.close()
        status = 1
    sys.exit(status)
