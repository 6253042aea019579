"""The folders of runs: which a run may take, which one is gone on with, and what its config.json says."""

import dataclasses
import json
import os
import re
import unicodedata
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files import is_address, read_regular
from ..pages.run import LARGEST_CONFIG, plain
from ..presets import Experiment
from .record import FILES

# What a resumed run may change: how long it goes on and how often it reports, not what it computes.
CHANGEABLE = ("steps", "minutes", "log_every", "validate_every", "checkpoint_every", "pictures_every")


def check_name(folder: Path, other: str) -> None:
    """Raise UserError, which says how to name the `other` one, for a folder that pages and terminals cannot show.

    And for an address.
    """
    if is_address(folder):
        raise UserError(f"{folder} is an address, not a folder of this machine: choose another one with {other}")
    if not _is_line(str(folder)) or not _is_line(os.path.basename(os.path.realpath(folder))):
        raise UserError(
            f"the name of a run's folder must be a line of text, not {str(folder)!r}: choose another one with {other}"
        )


def _is_line(name: str) -> bool:
    """Tell whether a name can be written in a line: no control characters, no bytes that are no UTF-8."""
    return not any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in name)


def check_free(folder: Path, resume: str, other: str) -> None:
    """Raise UserError if a folder holds a run, with how to `resume` it, or files that a run would overwrite.

    A run that ended before its first checkpoint may be begun again.
    """
    if os.path.lexists(folder / "checkpoint.npz"):
        raise UserError(f"{folder} holds a run already: add {resume} to go on, or choose another folder")
    there = [name for name in FILES if os.path.lexists(folder / name)]
    if there and recorded(folder) is None:
        raise UserError(
            f"{folder} holds {', '.join(there[:3])} of something else, which a run would overwrite: choose another "
            f"folder with {other}"
        )


def recorded(folder: Path) -> dict[str, Any] | None:
    """Return the settings of network and training in a run's config.json, by name; None where it is none of a run."""
    try:
        config = json.loads(read_regular(folder / "config.json", LARGEST_CONFIG))
        return dict(config["model"]) | dict(config["train"]) if isinstance(config["network"], str) else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def edited(folder: Path, experiment: Experiment, given: Collection[str] = ()) -> str:
    """Return in words in what settings, but those `given`, config.json is not as the checkpoint, "" if in none."""
    rules = dataclasses.asdict(experiment.model) | dataclasses.asdict(experiment.train)
    there = {name: plain(value) for name, value in (recorded(folder) or {}).items()}
    differs = [name for name in rules if name in there and name not in given and there[name] != rules[name]]
    if not differs:
        return ""
    words = ", ".join(f"{name} is {there[name]!r} there, {rules[name]!r} here" for name in differs)
    asked = " ".join(f"--set {name}={there[name]}" for name in differs if name in CHANGEABLE)
    way = f"ask for it with {asked}" if asked else "only a new run can have others"
    return f"note: {folder / 'config.json'} is not as the checkpoint, whose settings count: {words}; {way}"


def last_begun(base: Path) -> tuple[Path, list[Path]]:
    """Return the run of the highest number of `base`, base-2, base-3, ..., and the others, that go before it.

    Numbers are given in the order in which runs begin; a time stamp may be a copy's. Raises UserError if there is none.
    """
    ours = re.compile(re.escape(base.name) + r"(?:-(\d{1,9}))?")  # not mnist-small for mnist
    found = [(ours.fullmatch(path.parent.name), path.parent) for path in base.parent.glob("*/checkpoint.npz")]
    numbered = sorted((int(match[1] or 1), folder) for match, folder in found if match)
    if not numbered:
        raise UserError(f"no run of {base.name} in {base.parent} to resume; name its folder with --out")
    *others, chosen = (folder for _, folder in numbered)
    return chosen, others
