"""What the command lines share: one line for a mistake, options that several of them have, and pictures to files."""

import argparse
import io
import os
import shlex
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np

from . import data as data_sets
from .data import Dataset
from .data.folder.options import PREFIX, parse
from .data.folder.preparation import Preparation
from .data.images import renumbered, spread
from .data.summary import difference, fingerprint, lines, summarize
from .errors import LONGEST, Stderr, UserError, harmless, one_line, reason
from .model.config import DRAWConfig
from .model.draw import DRAW, Drawing
from .model.ram import RAM, RAMConfig
from .parallel.workers import WorkerDied
from .pictures import saving
from .pictures.photos import draws_digits, draws_on_black, read_digit, read_picture, read_prepared
from .pictures.sizes import Size
from .training.checkpoints import Checkpoint


class Parser(argparse.ArgumentParser):
    """A parser that shows defaults and whose complaints are UserErrors, one line each."""

    def __init__(self, prog: str, description: str, **options):
        super().__init__(prog=f"{called()}{prog}", description=description, formatter_class=_Help, **options)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see {self.prog} --help")

    def add_machine(self) -> None:
        """Add --backend and --threads."""
        self.add_argument("--backend", default="numpy", help="numpy, cupy, or auto: a GPU if there is one")
        text = "cores to use, under mpiexec by each rank (default: all)"
        self.add_argument("--threads", type=whole(1), metavar="N", help=text)

    def add_data(self) -> None:
        """Add --data and --data-dir."""
        text = "data set (default: the one that the network was made for)"
        self.add_argument("--data", type=filled, metavar="NAME", help=text)
        text = "folder of official files (default: $MINIDRAW_DATA)"
        self.add_argument("--data-dir", type=filled, metavar="DIR", help=text)

    def add_checkpoint(self) -> None:
        """Add the checkpoint to read."""
        self.add_argument("checkpoint", help="a checkpoint.npz, the folder of a run, or the name of a pretrained one")

    def add_images(self, count: int, instead: str = "those of the test set") -> None:
        """Add images: picture files, or else `count` of what is drawn `instead`."""
        self.add_argument("images", nargs="*", metavar="IMAGE", help=f"pictures to draw (default: {instead})")
        text = "do not look for the figure in a picture to place it as in MNIST"
        self.add_argument("--whole", action="store_true", help=text)
        text = f"how many, if no IMAGE is given (default: {count})"
        self.add_argument("-n", type=whole(1), metavar="N", help=text)
        self.add_data()

    def add_pictures(self, out: str) -> None:
        """Add --out, how the pictures look, and --latents."""
        text = "how: .gif .mp4 .webp .apng; a strip: .svg; what came out: .png; arrays: .npy .npz"
        self.add_argument("--out", type=filled, metavar="FILE", default=out, help=text)
        self.add_argument("--plain", action="store_true", help="show the canvas itself, not the ink on it")
        self.add_argument("--latents", action="store_true", help="in an .npy, the latents instead of the frames")
        self.add_argument("--strip", action="store_true", help="in a .png, a row per image, from left to right in time")
        self.add_argument("--columns", type=whole(1), metavar="N", help="images per row (default: a square sheet)")
        text = "enlargement (default: for a picture of about 700 pixels)"
        self.add_argument("--scale", type=whole(1), metavar="N", help=text)
        self.add_argument("--fps", type=float, metavar="N", default=10.0, help="glimpses per second")
        self.add_argument("--no-boxes", action="store_true", help="leave out the windows of attention")


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    def _get_help_string(self, action: argparse.Action) -> str | None:
        shown = action.default not in (None, []) and action.default is not False
        return super()._get_help_string(action) if shown else action.help


def called() -> str:
    """Return what stands before a command's name as this process was started: for usage lines."""
    started = Path(sys.argv[0])
    if started.stem.lower() == "minidraw":  # the script that pip makes
        return "minidraw "
    return "python -m minidraw " if started.parts[-2:] == ("minidraw", "__main__.py") else "python -m minidraw."


def filled(text: str) -> str:
    """Return the value of an option that is a name; refuse "", most likely a shell's variable that was never set."""
    if not text:
        raise argparse.ArgumentTypeError("must not be empty; leave the option out for its default")
    return text


def whole(least: int) -> Callable[[str], int]:
    """Return the type of an option that is a whole number of `least` or more."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"must be a whole number of {least} or more, not {text!r}")
        return value

    return parse


def drawing_network(options: argparse.Namespace, checkpoint: Checkpoint) -> DRAW:
    """Return the network of a checkpoint, which must be one that draws. Raises UserError if it is not."""
    network = checkpoint.network(options.backend, options.threads)
    if not isinstance(network, DRAW):
        raise UserError(f"{options.checkpoint} is of a classifier, which does not draw; choose another checkpoint")
    return network


def load_data(options: argparse.Namespace, checkpoint: Checkpoint, tell: bool = False) -> Dataset:
    """Return the data set of --data, or else the one that the network was trained on. Raises UserError if unfit.

    Where the images are not those that it was trained on, that is said on stderr; with `tell`, also what they are.
    """
    train, shape = checkpoint.experiment.train, checkpoint.experiment.model.image_shape
    data = load_known(options.data, train.data, options.data_dir, train.seed, shape, checkpoint.data)
    if tuple(data.test.shape) != shape:
        raise UserError(
            f"the images of {data.name} are {tuple(data.test.shape)}, but this network is for {shape}; "
            "choose another --data or checkpoint"
        )
    recorded = checkpoint.data.get("fingerprint") or {}
    if recorded or tell:
        summary = summarize(data)
        told = lines(summary) if tell else []
        if differs := difference(recorded, fingerprint(summary)):
            told.append(one_line(f"note: {data.name} is not what this network was trained on: {differs}", LONGEST))
        sys.stderr.write("".join(f"{line}\n" for line in told))
    classes = checkpoint.data.get("classes")
    return renumbered(data, tuple(classes)) if classes and checkpoint.experiment.network == RAM.name else data


def load_known(
    given: str | None,
    recorded: str,
    data_dir: str | None,
    seed: int,
    shape: tuple[int, int, int] | None = None,
    known_by: dict | None = None,
) -> Dataset:
    """Return the data set that is given, or else the recorded one, for a network of images of `shape` if that is known.

    A file may name any folder: a recorded one is read only if somebody has named it here before, when it held what the
    file says in `known_by` (Checkpoint.data). Raises UserError where it is not, or is not to be found.
    """
    if given is None and not data_sets.is_known(recorded):
        raise UserError(f"this run is of {recorded!r}, data that a program gave it: name a data set with --data")
    if given is None and recorded.startswith(PREFIX):
        if not data_sets.is_remembered(recorded, ((known_by or {}).get("fingerprint") or {}).get("sha256", "")):
            plain = one_line(recorded) == recorded  # or what is shown is not what there is, perhaps half a quotation
            way = f"add --data {shlex.quote(recorded)}" if plain else f"name the folder yourself, --data {PREFIX}PATH"
            raise UserError(f"this run is of images that nobody has named on this computer yet: to use them, {way}")
        if not parse(recorded)[0].exists():
            way = shlex.quote(f"{PREFIX}PATH{parse(recorded)[1].text()}")
            raise UserError(f"this run is of {recorded}, which is not there any more: say where it is, --data {way}")
    return data_sets.load(given or recorded, data_dir, seed=seed, shape=shape)


def given_images(options: argparse.Namespace, checkpoint: Checkpoint, network: DRAW, count: int) -> np.ndarray:
    """Return the pictures that the options name, or else images spread over the test set: (n, C, H, W) in [0, 1].

    What was done to a picture is said on stderr. Raises UserError where there are not as many, or not of that shape.
    """
    if options.images:
        if options.n or options.data or options.data_dir:
            raise UserError("-n, --data and --data-dir choose images of a data set: give either them or pictures")
        images, notes = [], []
        for path in options.images:
            if (preparation := checkpoint.data.get("preparation")) and not options.whole:
                image, done = read_prepared(path, Preparation(**preparation))
            elif draws_digits(network) and not options.whole:
                image, done = read_digit(path)
            else:
                image, done = read_picture(path, network.config.image_shape, draws_on_black(network))
            images.append(image)
            notes += [f"{harmless(path)}: {done}\n"] if done else []
        sys.stderr.write("".join(notes))
        return np.stack(images)
    split = load_data(options, checkpoint).test
    if (chosen := options.n or min(count, len(split))) > len(split):
        raise UserError(f"-n {chosen} is more than the {len(split)} images of the test set")
    return split.batch(spread(chosen, split))


def size(options: argparse.Namespace, drawings: int, config: DRAWConfig | RAMConfig, beside: bool = False) -> Size:
    """Return what decides how large the picture of so many drawings is, each with an image beside it or not."""
    return Size(drawings, config.glimpses, config.image_shape, beside, columns=options.columns)


def check_out(options: argparse.Namespace, size: Size) -> None:
    """Raise UserError, before any work is done, for an --out of no known kind, or one that would be too large."""
    saving.check(options.out, size, options.scale, options.strip, options.latents, options.fps)


def write_drawing(options: argparse.Namespace, drawing: Drawing, originals: np.ndarray | None = None) -> None:
    """Write a drawing, beside its `originals` (n, C, H, W) if there are any, as the options say; tell what was made."""
    saving.check_finite(drawing.frames)
    names = ("plain", "strip", "columns", "scale", "fps", "latents")
    look = {name: getattr(options, name) for name in names}
    print(saving.save(drawing, options.out, originals=originals, boxes=not options.no_boxes, **look))


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


def _open_streams() -> None:
    """Let the standard streams be there even if the process was started without, and take any character.

    What is told on stderr is lost if nobody takes it, and nothing else: see Stderr.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # in the order of their numbers
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal of 1980 has no ±
    if not isinstance(sys.stderr, Stderr):
        sys.stderr = Stderr(sys.stderr)


def run(main: Callable[[list[str]], int | None], arguments: list[str] | None = None) -> NoReturn:
    """Run a command line's `main` and end the process: status 0, or 2 after one line that tells a user's mistake."""
    _open_streams()
    if arguments is None and not sys.warnoptions:
        warnings.simplefilter("ignore")  # the libraries': they are for programmers
    try:
        try:
            with np.errstate(all="ignore"):  # what is not finite shows in what comes of it
                status = main(sys.argv[1:] if arguments is None else arguments)
        finally:  # also after --help, which ends the process
            sys.stdout.flush()
    except (UserError, WorkerDied) as mistake:
        _tell(f"error: {one_line(mistake, LONGEST)}")
        status = 2
    except KeyboardInterrupt:
        _tell("interrupted")
        status = 130
    except MemoryError as shortage:
        _tell(f"error: not enough memory ({shortage}); try fewer images at a time or a smaller network")
        status = 2
    except OSError as problem:
        if isinstance(problem, BrokenPipeError):  # whoever read our output has stopped reading
            status = 1
        else:
            _tell(f"error: {one_line(problem.filename or 'standard output', LONGEST)}: {reason(problem)}")
            status = 2
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python would complain at its end
    sys.exit(status)
