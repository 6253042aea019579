"""What the page can show: networks by name, test images, and pictures that somebody draws or drops."""

import contextlib
import functools
import io
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np

from .. import data as data_sets
from ..data.cluttered import Cluttered
from ..data.folder.options import PREFIX
from ..data.folder.preparation import Preparation
from ..data.images import Images
from ..data.strokes import strokes
from ..data.two_digits import TwoDigits
from ..errors import UserError, harmless, one_line, unknown
from ..model.draw import DRAW
from ..model.network import Network
from ..model.ram import RAM
from ..pages.report import counted
from ..pictures.photos import (
    centred,
    draws_digits,
    draws_on_black,
    draws_on_white,
    open_picture,
    read_digit,
    read_picture,
    read_prepared,
)
from ..pictures.saving import check_video
from ..training import checkpoints
from ..training.checkpoints import Checkpoint
from ..training.telling import version
from .asked import Asked

DEFAULT = "mnist-small"  # mnist draws a little better, but takes longer to answer
STANDING_IN = 200  # digits that the package draws itself where test images are not here
MOST_NUMBER = 1 << 53  # of a test image or a seed: JavaScript's numbers are whole up to here


class Picture(io.BytesIO):
    """The bytes of a picture file, and what it is called."""

    def __init__(self, content: bytes, name: str):
        super().__init__(content)
        self.name = name


class House:
    """Networks, loaded when they are first asked for, and images; the labs take turns (labs.py).

    checkpoint, data, data_dir: as the commands take them, None: DEFAULT, and what is here, for nothing is downloaded.
    Raises UserError for a checkpoint or data that are not to be had, or unfit for each other.
    """

    def __init__(
        self,
        checkpoint: str | None = None,
        data: str | None = None,
        data_dir: str | None = None,
        backend: str = "numpy",
        threads: int | None = None,
    ):
        self.data, self.data_dir, self.machine = data, data_dir, (backend, threads)
        self.checkpoints: dict[str, Checkpoint] = {
            name: checkpoints.load(checkpoints.PRETRAINED / f"{name}.npz") for name in checkpoints.pretrained()
        }
        name = checkpoint or DEFAULT
        if checkpoint and (name not in self.checkpoints or os.path.lexists(name)):
            name = one_line(harmless(name))
            if name in self.checkpoints:  # a run beside the network of the package that has its name
                name = f"./{name}"
            self.checkpoints[name] = checkpoints.load(checkpoint)
        self.drawing = [key for key, of in self.checkpoints.items() if of.experiment.network == DRAW.name]
        naming = [key for key, of in self.checkpoints.items() if _finds_digits(of)]
        if name not in (*self.drawing, *naming):
            raise UserError(f"{name} is a classifier, but not of digits in clutter: choose another checkpoint")
        self.given = name
        self.first = name if name in self.drawing else DEFAULT
        self.naming = name if name in naming else naming[0] if naming else None
        self.networks: dict[str, Network] = {}
        self.splits: dict[tuple, tuple[Any, str]] = {}
        self.busy = threading.Lock()  # while a network is loaded: the page is told of them beside the labs
        self.computing = threading.Lock()  # while a lab makes something, or opens a picture (opening.quiet)
        network = self.network(name)
        if data is not None or data_dir is not None:
            self.splits[_kind(network)] = self._given(data, *_kind(network))

    def told(self) -> dict[str, Any]:
        """Return what there is, for the page."""
        return {
            "version": version(),
            "opens": "draw" if self.given == self.first else "clutter",  # a tab
            "network": self.first,
            "networks": [self._described(name) for name in self.drawing],
            "classifier": None if self.naming is None else self._described(self.naming),
            "kinds": ["gif", "png", *(["mp4"] if _has_video() else [])],
        }

    def _described(self, name: str) -> dict[str, Any]:
        checkpoint = self.checkpoints[name]
        config, train = checkpoint.experiment.model, checkpoint.experiment.train
        read, write = (getattr(config, part, None) for part in ("read_size", "write_size"))
        size = "×".join(map(str, config.image_shape[1:]))
        described = {
            "name": name,
            "shape": list(config.image_shape),
            "glimpses": checkpoint.glimpses(),
            "read": read,
            "words": f"{harmless(short(train.data))}, {size} pixels in {counted(checkpoint.glimpses(), 'glimpse')}",
        }
        if checkpoint.experiment.network == RAM.name:
            return described | {"classes": list(self.network(name).class_names)}
        return described | {"write": write, "digits": draws_digits(self.network(name))}

    def network(self, name: str) -> Any:
        """Return a network by its name. Raises UserError where there is none."""
        if name not in self.checkpoints:
            raise unknown("network", one_line(name), self.checkpoints)
        with self.busy:
            if name not in self.networks:
                self.networks[name] = self.checkpoints[name].network(*self.machine)
            return self.networks[name]

    def asked_network(self, asked: Asked) -> DRAW:
        """Return the network that a request names, one that draws; without a name the first."""
        name = asked.text("network", self.first)
        if name in self.checkpoints and name not in self.drawing:
            raise UserError(f"{name} is a classifier, which does not draw")
        return self.network(name)

    def classifier(self) -> RAM | None:
        """Return the network that names what it sees, if there is one."""
        return None if self.naming is None else self.network(self.naming)

    def images(self, network: Network) -> tuple[Any, str]:
        """Return test images for a network, and in words what they are; what is not here is not downloaded.

        Without them they are digits that the package draws itself. Raises UserError where those will not do.
        """
        kind = _kind(network)
        if kind not in self.splits:
            self.splits[kind] = self._loaded(*kind, network.origin[1])
        return self.splits[kind]

    def _given(self, data: str | None, recorded: str, shape: tuple[int, int, int]) -> tuple[Any, str]:
        """Return the test images that were asked for by name or folder. Raises UserError where they do not fit."""
        name = data or recorded
        split = data_sets.load(name, self.data_dir, download=data is not None, shape=shape).test
        if tuple(split.shape) != shape:
            sizes = f"{tuple(split.shape)}, but this network is for {shape}"
            raise UserError(f"the images of {name} are {sizes}; choose another --data or checkpoint")
        return split, f"the test images of {harmless(short(name))}"

    def _loaded(self, recorded: str, shape: tuple[int, int, int], known_by: dict) -> tuple[Any, str]:
        """Return those of the data that a network was trained on: official files, or a folder named here before."""
        where = None if recorded == "strokes" or recorded.startswith(PREFIX) else self.data_dir
        known = data_sets.is_known(recorded)
        if recorded.startswith(PREFIX):
            known = data_sets.is_remembered(recorded, (known_by.get("fingerprint") or {}).get("sha256", ""))
        if known:
            with contextlib.suppress(UserError):
                split = data_sets.load(recorded, where, download=False, shape=shape).test
                if tuple(split.shape) == shape:
                    return split, f"the test images of {harmless(short(recorded))}"
        return _standing_in(recorded, shape), "the digits that minidraw draws itself"

    @functools.cached_property
    def digits(self) -> tuple[np.ndarray, np.ndarray]:
        """Digits (n, 28, 28), uint8, and which they are (n,): MNIST's test images, or ones drawn here."""
        try:
            split = data_sets.load("mnist", self.data_dir, download=False).test
        except UserError:
            split = _standing_in("strokes", (1, 28, 28))
        return split.pixels[:, 0], split.labels

    def image(self, asked: Asked, network: Network) -> tuple[np.ndarray, str]:
        """Return an image (C, H, W) in [0, 1] for a network, and in words where it is from and what was done to it.

        asked: {"number": of a test image}, {"drawn": a PNG, white on black} or {"picture": any file, "name"}, both with
        "whole": as it is, not placed as MNIST's digits are. Raises UserError for anything else.
        """
        shape = network.config.image_shape
        if "number" in asked:
            split, words = self.images(network)
            k = asked.whole("number", 0, MOST_NUMBER) % len(split)
            return split.batch(np.array([k]))[0], f"number {k} of {words}"
        placed = not asked.flag("whole") and isinstance(network, DRAW) and draws_digits(network)
        on_white = isinstance(network, DRAW) and draws_on_white(network)
        if "drawn" in asked:
            return self._drawn(Picture(asked.content("drawn"), "that is drawn"), shape, placed, on_white), ""
        if "picture" not in asked:
            raise UserError("an image must be drawn, a picture, or the number of a test image")
        picture = Picture(asked.content("picture"), one_line(harmless(asked.text("name", "the picture")), 60))
        if (preparation := network.origin[1].get("preparation")) and not asked.flag("whole"):
            return read_prepared(picture, Preparation(**preparation))
        if placed:
            return read_digit(picture)
        return read_picture(picture, shape, isinstance(network, DRAW) and draws_on_black(network))

    @staticmethod
    def _drawn(file: Picture, shape: tuple[int, int, int], placed: bool, on_white: bool) -> np.ndarray:
        """Return what was drawn on the page, white on black, as an image (C, H, W)."""
        if placed:
            ink = np.asarray(open_picture(file, "L")) > 127
            if not ink.any():
                raise UserError("nothing is drawn yet")
            rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
            return centred(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])[None]
        image, _ = read_picture(file, shape, on_black=False)
        return 1 - image if on_white else image


def short(path: str) -> str:
    """Return a name or path as everybody may read it: of one that tells where somebody's home is, the last name alone.

    >>> short("runs/mine"), short("/home/ada/runs/mine"), short("folder:/home/ada/faces")
    ('runs/mine', 'mine', 'folder:faces')
    """
    prefix = PREFIX if path.startswith(PREFIX) else ""
    rest = path.removeprefix(PREFIX)
    return prefix + (Path(rest).name if os.path.isabs(os.path.expanduser(rest)) else rest)


def _kind(network: Network) -> tuple[str, tuple[int, int, int]]:
    """Return what a network was trained on, and the shape of its images."""
    return network.origin[0].data, network.config.image_shape


def _finds_digits(checkpoint: Checkpoint) -> bool:
    """Tell whether a network is a classifier of digits in clutter."""
    if checkpoint.experiment.network != RAM.name:
        return False
    config = checkpoint.experiment.model
    C, H, W = config.image_shape
    return C == 1 and H == W >= 28 and getattr(config, "classes", 0) == 10


def _standing_in(recorded: str, shape: tuple[int, int, int]) -> Any:
    """Return digits drawn by the package as a split of images of a shape, made like the data set that is not here."""
    C, H, W = shape
    if C == 1 and H == W >= 28:
        if recorded in ("two_digits", "cluttered"):
            pixels, labels = strokes(STANDING_IN)
            return TwoDigits(pixels[:, 0], H) if recorded == "two_digits" else Cluttered(pixels[:, 0], labels, H)
        return Images(*strokes(STANDING_IN, H))
    called = one_line(short(recorded))
    raise UserError(f"there are no test images for {called} here: start with --data or --data-dir, or give a picture")


def _has_video() -> bool:
    try:
        return bool(check_video())
    except UserError:
        return False
