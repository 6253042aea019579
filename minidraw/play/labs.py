"""The labs by name: what the page can ask for, as an answer or as a file."""

import contextlib
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import UserError, unknown
from . import clutter, drawing, filterbank
from .asked import Asked
from .house import House


class Lab(NamedTuple):
    """What one can ask for: how it is made, told to the page, and written to a file."""

    make: Any  # (house, asked) -> a thing
    tell: Any  # (thing) -> what JSON can say
    save: Any  # (thing, path, plain, boxes): written as the path's ending says; None: it is no picture


LABS = {
    "read": Lab(drawing.read, drawing.tell_reading, drawing.save_reading),
    "draw": Lab(drawing.draw, drawing.tell, drawing.save),
    "decide": Lab(drawing.decide, drawing.tell, drawing.save_row),
    "influence": Lab(drawing.influence, drawing.tell_influence, None),
    "walk": Lab(drawing.walk, drawing.tell, drawing.save_walk),
    "filterbank": Lab(filterbank.make, filterbank.tell, filterbank.save),
    "classify": Lab(clutter.make, clutter.tell, clutter.save),
}
KINDS = ("gif", "png", "mp4")


def answer(house: House, name: str, request: Any) -> dict[str, Any]:
    """Return a lab's answer to a request. Raises UserError for a lab that is unknown, or what it cannot make."""
    lab = _lab(name)
    return lab.tell(_made(lab, house, Asked(request)))


def warm_up(house: House) -> None:
    """Ask every kind of question once, so that the first one of the page's finds all loaded."""
    for name, request in (("read", {"image": {"number": 0}}), ("filterbank", {}), ("classify", {})):
        with contextlib.suppress(Exception):  # who asks for it is told
            answer(house, name, request)


def saved(house: House, request: Any) -> tuple[bytes, str]:
    """Return the content of a file and its name: what the lab "of" makes of a "request", in a file of a "kind"."""
    asked = Asked(request)
    name, kind = asked.text("of"), asked.text("kind")
    if kind not in KINDS:
        raise unknown("kind of file", kind, KINDS)
    lab = _lab(name)
    if lab.save is None:
        raise UserError(f"the lab {name} gives numbers, of which there are no pictures")
    thing = _made(lab, house, asked.child("request"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"minidraw-{name}.{kind}"
        lab.save(thing, path, asked.flag("plain"), asked.flag("boxes", True))
        return path.read_bytes(), path.name


def _made(lab: Lab, house: House, asked: Asked) -> Any:
    """Make one thing after another: BLAS has one number of threads, by which a result may be rounded."""
    with house.computing, np.errstate(all="ignore"):  # what is not finite shows in what comes of it
        return lab.make(house, asked)


def _lab(name: str) -> Lab:
    if name not in LABS:
        raise unknown("lab", name, LABS)
    return LABS[name]
