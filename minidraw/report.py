"""python -m minidraw.report RUN: make the page of a run, report.html, again."""

from pathlib import Path

from .cli import Parser, load_data, run
from .errors import harmless
from .pages.report import write_report
from .training import checkpoints
from .training.record import DATA, show_images
from .training.tasks import task_for


def parser() -> Parser:
    """Return the parser of this command line."""
    parser = Parser("report", "Make the page of a run, report.html in its folder: curves, pictures, settings.")
    parser.add_argument("run", metavar="RUN", help="the folder of a run")
    parser.add_argument("--draw", action="store_true", help="make its pictures anew too, from its checkpoint and data")
    parser.add_data()
    parser.add_machine()
    return parser


def main(arguments: list[str]) -> int:
    """Make the page as the arguments say; its path goes to standard output."""
    options = parser().parse_args(arguments)
    folder = Path(options.run)
    if options.draw:
        checkpoint = checkpoints.load_run(folder)
        data = load_data(options, checkpoint)
        task = task_for(checkpoint.network(options.backend, options.threads), data)
        seed, step = checkpoint.experiment.train.seed, checkpoint.state.get("step", 0)
        task.pictures(folder, seed, step, thorough=True)
        show_images(folder / DATA, data.train)
    write_report(folder)
    print(harmless(folder / "report.html"))
    return 0


if __name__ == "__main__":
    run(main)
