"""python -m tools.export_weights RUN OUT.npz: keep of a run's checkpoint only what drawing and evaluating need.

The file has the averaged parameters and the configs; it is a quarter as long and cannot be trained further.
"""

from pathlib import Path

from minidraw.cli import run
from minidraw.errors import UserError
from minidraw.training import checkpoints


def main(arguments: list[str]) -> int:
    """Write the short checkpoint and tell its size."""
    if len(arguments) != 2 or not arguments[1].endswith(".npz"):
        raise UserError("usage: python -m tools.export_weights RUN OUT.npz")
    whole = checkpoints.load(arguments[0])
    kept = {name: whole.state[name] for name in ("step", "seconds", "glimpses") if name in whole.state}
    checkpoints.save(
        Path(arguments[1]), checkpoints.Checkpoint(whole.experiment, kept, {"average": whole.vectors["average"]})
    )
    print(f"{arguments[1]}: {Path(arguments[1]).stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    run(main)
