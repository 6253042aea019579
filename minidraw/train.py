"""python -m minidraw.train [PRESET]: train a network and leave a folder with all that came of it."""

import argparse
import contextlib
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from .cli import Parser, filled, load_known, run
from .errors import LONGEST, STDERR, UserError, harmless, one_line
from .pages.report import counted
from .parallel.ranks import Ranks, connect
from .presets import PRESETS, parse_setting, preset
from .training.folders import check_free, check_name, last_begun
from .training.keeping import complain
from .training.lock import hold
from .training.plan import Init, Plan, check_length

DECIDES = {  # by option: the settings on which it decides, so that --set must not
    "data": ("data",),
    "batch_size": ("batch_size",),
    "seed": ("seed",),
    "minutes": ("minutes",),
    "steps": ("steps", "minutes"),
    "epochs": ("steps", "minutes"),
}


def parser() -> Parser:
    """Return the parser of this command line."""
    parser = Parser("train", "Train DRAW. Without arguments: a small network on digits made on the spot, in minutes.")
    parser.add_argument("preset", nargs="?", help=f"one of: {', '.join(PRESETS)} (default: strokes)")
    parser.add_data()
    parser.add_machine()
    parser.add_argument("--precision", default="float32", help="of a GPU's products: float32, or tf32, which is faster")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, metavar="N", help="length of the run in updates")
    length.add_argument("--epochs", type=float, metavar="N", help="the same in passes over the data")
    length.add_argument("--minutes", type=float, metavar="M", help="the same in minutes of training")
    parser.add_argument("--batch-size", type=int, metavar="N", help="images per update")
    parser.add_argument("--seed", type=int, metavar="N", help="seed of everything random")
    text = "folder of the run (default: runs/PRESET, numbered if it exists)"
    parser.add_argument("--out", type=filled, metavar="DIR", help=text)
    parser.add_argument("--resume", action="store_true", help="go on with the run in that folder")
    text = "network to start from, as generate takes it"
    parser.add_argument("--init", type=filled, metavar="CHECKPOINT", help=text)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any field of config.json")
    return parser


def main(arguments: list[str]) -> int:
    """Train as the arguments say; results go to standard output, progress to standard error."""
    with connect() as ranks, contextlib.ExitStack() as locks:
        return train(parser().parse_args(arguments), ranks, locks)


def train(options: argparse.Namespace, ranks: Ranks, locks: contextlib.ExitStack) -> int:
    """Train as the options say; the lock of the run's folder goes on the stack."""

    def say(words: str) -> None:
        if not ranks.rank:
            print(harmless(words), file=STDERR, flush=True)

    for name in ("epochs", "minutes"):
        check_length(f"--{name}", getattr(options, name))
    if options.init and options.resume:
        raise UserError("a resumed run has its parameters: leave --init out, or start a new run in another --out")
    named = preset(options.preset or "strokes")
    plan = Plan(options.preset, chosen_settings(options), options.epochs, choose_folder(options, say))
    named_one = bool(options.resume or options.out)
    if at_once := named_one and ranks.size == 1:  # before anything takes long
        locks.enter_context(hold(plan.folder, say, "--out"))
    if options.out and not options.resume:
        check_free(plan.folder, "--resume", "--out")
    if options.init:
        plan.init = Init(options.init)
    if options.resume:
        plan.resume(say)
        recorded = plan.resumed.experiment.train.data
        if options.preset and named.train.data != recorded and not options.data:
            raise UserError(f"the run in {plan.folder} is of {recorded}, not of {options.preset}")
        if options.preset and named.network != (network := plan.resumed.experiment.network):
            raise UserError(f"the run in {plan.folder} trains {network.upper()}, not {named.network.upper()}")
    experiment = plan.experiment()
    if not ranks.rank and sys.stderr.isatty():  # making strokes takes some seconds
        say(f"preparing {plan.changes.get('data') or experiment.train.data}")
    with ranks.first_alone():
        known = experiment.train.data, options.data_dir, experiment.train.seed
        data = load_known(plan.changes.get("data"), *known, plan.needed_shape(), plan.known_by())
    ranks.choose_device(options.backend)
    trainer = plan.trainer(experiment, data, ranks, options.backend, options.threads, options.precision)
    folder = plan.folder
    ranks.any(False)  # all are here: a mistake of one, which ends all at once, has left no folder behind
    if not (named_one or ranks.rank):
        folder = claim(folder)
        trainer.write_to(folder)
    if not (at_once or ranks.rank):
        locks.enter_context(hold(folder, say, "--out"))
    complete = trainer.run()
    if not complete:
        if trainer.saved is not None:
            way = f"--resume --out {shlex.quote(harmless(folder))}"
            print(f"interrupted after step {trainer.state.step}; go on with {way}")
        complain(trainer)
        return 130
    done = counted(trainer.state.step, "step")
    if trainer.validation:
        print(f"validation {trainer.validation}, {done}, {trainer.state.seconds / 60:.1f} minutes")
    else:
        print(f"this run is complete already ({done}); to go on, give it more --steps or --minutes")
    if not {"pictures", "report"} & trainer.record.failed.keys():
        print(harmless(f"pictures: {folder / 'samples.gif'}; all about it: {folder / 'report.html'}"))
    complain(trainer)
    return 0


def chosen_settings(options: argparse.Namespace) -> dict:
    """Return the settings that the options change, by name. Raises UserError where --set repeats another option."""
    changes = dict(parse_setting(text) for text in options.set)
    given = [option for option in DECIDES if getattr(options, option) is not None]
    for option in given:
        if twice := [name for name in DECIDES[option] if name in changes]:
            flag = f"--{option.replace('_', '-')}"
            raise UserError(f"{flag} and --set {twice[0]} decide on the same: leave one of them out")
    if "steps" in given or "epochs" in given:
        changes["minutes"] = 0.0
    return changes | {option: getattr(options, option) for option in given if option != "epochs"}


def choose_folder(options: argparse.Namespace, say: Callable[[str], None]) -> Path:
    """Return the run's folder; with neither --out nor --resume it is still to be claimed.

    With --resume alone it is the one begun last, and `say` is told which. Raises UserError where there is none.
    """
    start = Path(options.init or "strokes")
    begun = start.parent.name if start.name == "checkpoint.npz" else start.stem
    base = Path("runs") / (options.preset or (f"from-{begun}" if options.init else "strokes"))
    folder = Path(options.out) if options.out else base
    check_name(folder, "--out")
    if options.resume and not options.out:
        folder, others = last_begun(base)
        more = f"; before it were begun {', '.join(map(str, others))}: --out names another" if others else ""
        say(one_line(f"going on with {folder}{more}", LONGEST))
    return folder


def claim(base: Path) -> Path:
    """Make a new folder, `base` or the first of base-2, base-3, ... that is not there, and return it.

    Of several runs that start at once each gets one of its own. Raises UserError where none can be made.
    """
    try:
        base.parent.mkdir(parents=True, exist_ok=True)
        number, folder = 1, base
        while True:
            if not os.path.lexists(folder):
                with contextlib.suppress(FileExistsError):  # another run was quicker
                    folder.mkdir()
                    return folder
            number += 1
            folder = base.with_name(f"{base.name}-{number}")
    except OSError as problem:
        raise UserError(f"cannot make {base}: {problem.strerror}; choose another folder with --out") from None


if __name__ == "__main__":
    run(main)
