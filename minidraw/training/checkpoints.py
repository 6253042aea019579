"""Checkpoints: a run's state in one .npz file without pickled objects, written whole or not at all.

The file is a zip archive of .npy arrays: `header` (JSON text as bytes: format, configs, where the run stands, on what
machine) and flat
float32 or float64 vectors `params`, `average`, and, to go on training, `adam_mean` and `adam_square`. Parameters lie in
a vector in the order of the network's parameter_shapes. Nothing in a file is trusted: every size is known before it is
read, and nothing is unpacked, so that reading never takes more memory than the file is long.
"""

import dataclasses
import json
import os
import re
import warnings
import zipfile
from pathlib import Path

import numpy as np

from ..backend import to_host
from ..data.folder.parts import SPLITS
from ..data.folder.preparation import Preparation
from ..errors import UserError, nearest, one_line, reason
from ..files import npz, open_regular, write_atomic
from ..model import NETWORKS
from ..model.network import Network
from ..presets import PRESETS, Experiment, TrainConfig, check_size

FORMAT = "minidraw 1"
PRETRAINED = Path(__file__).parents[1] / "pretrained"
VECTORS = ("params", "average", "adam_mean", "adam_square")
UNKNOWN = "unknown"  # the data of a network that no run has trained; no data set has that name
LARGEST_HEADER = 1 << 20  # bytes


@dataclasses.dataclass
class Checkpoint:
    """What a file holds. `state` is what the trainer needs to go on (see state.py); `vectors` are by VECTORS.

    `data` is what the images are known by: "fingerprint" (data/summary.py), "classes" and "preparation" (those of a
    Dataset); `machine` is what the run was computed on. Older files have neither.
    """

    experiment: Experiment
    state: dict
    vectors: dict[str, np.ndarray]
    data: dict = dataclasses.field(default_factory=dict)
    machine: dict = dataclasses.field(default_factory=dict)

    def network(self, backend: str = "numpy", threads: int | None = None) -> Network:
        """Return the network with its averaged parameters, the ones to evaluate and draw with.

        It takes as many glimpses as its run has come to; see Experiment.glimpses.
        """
        network = NETWORKS[self.experiment.network]
        config = dataclasses.replace(self.experiment.model, glimpses=self.glimpses())
        model = network(config, backend, self.vectors["average"].dtype.name, threads=threads)
        model.flat_params[:] = model.xp.asarray(self.vectors["average"])
        model.origin = self.experiment.train, self.data
        return model

    def glimpses(self) -> int:
        """Return how many glimpses the run has come to: all, unless it still grows them."""
        return self.state.get("glimpses", self.experiment.model.glimpses)


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; an earlier one at `path` stays intact until the new one is complete.

    Raises UserError where it cannot be written.
    """
    header = {
        "format": FORMAT,
        "network": checkpoint.experiment.network,
        "model": dataclasses.asdict(checkpoint.experiment.model),
        "train": dataclasses.asdict(checkpoint.experiment.train),
        "state": checkpoint.state,
        "data": checkpoint.data,
        "machine": checkpoint.machine,
    }
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    write_atomic(path, npz({"header": text} | checkpoint.vectors))


def save_network(path: str | os.PathLike, network: Network) -> None:
    """Write a network to a checkpoint that draws and evaluates, but does not go on with a run.

    It keeps how and of what data the network was trained, where that is known (Network.origin). Raises UserError where
    it cannot be written.
    """
    if not np.isfinite(params := to_host(network.flat_params)).all():
        raise UserError(
            f"this network has parameters that are not finite, so {path} is not written: no one could use it"
        )
    train, data = network.origin or (TrainConfig(data=UNKNOWN), {})
    experiment = Experiment(network.config, train)
    save(Path(path), Checkpoint(experiment, {}, {"average": params}, data))


def load(path: str | os.PathLike) -> Checkpoint:
    """Read a checkpoint, or that of a run's folder, or, where there is neither, one of `pretrained()` by its name.

    Raises UserError for a file that is missing, damaged, of another program or of another version.
    """
    if os.path.isdir(path):
        return load_run(path)
    if not os.path.lexists(path) and str(path) in pretrained():
        path = PRETRAINED / f"{path}.npz"
    return _load(Path(path), linked=True)


def load_run(folder: str | os.PathLike) -> Checkpoint:
    """Read the checkpoint of a run's folder. Raises UserError as `load` does, also where it is a link to elsewhere."""
    return _load(Path(folder) / "checkpoint.npz", linked=False)


def _load(path: Path, linked: bool) -> Checkpoint:
    try:
        with warnings.catch_warnings(), open_regular(path, linked) as file, zipfile.ZipFile(file) as archive:
            warnings.simplefilter("error")  # NumPy warns of old headers; we write none
            return _read(archive, os.fstat(file.fileno()).st_size)
    except _Later as what:
        raise UserError(f"{path} was made by a later minidraw than this one: {what}; update minidraw") from None
    except FileNotFoundError:
        known = f" (with the package come: {', '.join(pretrained())})" if pretrained() else ""
        name = str(path).lower()
        hint = nearest(name, pretrained()) if name not in PRESETS else f"; python -m minidraw.train {path} makes one"
        hint = hint or "; python -m minidraw.train makes one"
        raise UserError(f"there is no checkpoint {path}{hint}{known}") from None
    except OSError as problem:
        raise UserError(f"cannot read {path}: {reason(problem)}") from None
    except Exception as problem:  # a damaged file can make zipfile, json, NumPy and the configs raise anything
        raise UserError(f"{path} is not a whole checkpoint of minidraw: {one_line(problem)}") from None


def pretrained() -> tuple[str, ...]:
    """Return the names of the checkpoints that come with the package."""
    return tuple(sorted(path.stem for path in PRETRAINED.glob("*.npz")))


class _Damaged(Exception):
    pass


class _Later(Exception):
    pass


def _read(archive: zipfile.ZipFile, file_size: int) -> Checkpoint:
    header = json.loads(_array(archive, "header", (np.uint8,), min(LARGEST_HEADER, file_size)).tobytes())
    if not isinstance(header, dict) or not re.fullmatch("minidraw [1-9][0-9]{0,5}", str(header.get("format"))):
        raise _Damaged(f"its format is not {FORMAT!r}")
    if header["format"] != FORMAT:
        raise _Later(f"its format is {header['format']!r}, not {FORMAT!r}")
    if (name := header.get("network", "draw")) not in NETWORKS:
        raise _Later(f"it holds a network {name!r}")
    config = NETWORKS[name].Config
    for part, of in (("model", config), ("train", TrainConfig)):
        if more := sorted(header[part].keys() - {field.name for field in dataclasses.fields(of)}):
            raise _Later(f"it has the setting {more[0]!r}")
    experiment = Experiment(config(**header["model"]), TrainConfig(**header["train"]))
    size, vectors = check_size(experiment), {}
    if size > file_size:
        raise _Damaged(f"it claims {size} parameters but has {file_size} bytes")
    for name in VECTORS:
        if f"{name}.npy" in archive.namelist():
            vectors[name] = _array(archive, name, (np.float32, np.float64), size)
            if len(vectors[name]) != size:
                raise _Damaged(f"{name} has {len(vectors[name])} numbers, its config asks for {size}")
            if not np.isfinite(vectors[name]).all():
                raise _Damaged(f"{name} has numbers that are not finite")
            if name == "adam_square" and vectors[name].min() < 0:
                raise _Damaged(f"{name} has numbers below 0, which are no squares")
    if "average" not in vectors:
        raise _Damaged("it holds no parameters")
    data, on = _checked_data(header.get("data", {}), experiment), header.get("machine")
    checkpoint = Checkpoint(experiment, dict(header["state"]), vectors, data, on if isinstance(on, dict) else {})
    if type(checkpoint.glimpses()) is not int or not 1 <= checkpoint.glimpses() <= experiment.model.glimpses:
        raise _Damaged(f"it claims {checkpoint.glimpses()!r} of {experiment.model.glimpses} glimpses")
    return checkpoint


def _checked_data(data: dict, experiment: Experiment) -> dict:
    """Return what a file says of the data, if it can be; raise whatever comes of what cannot."""
    if found := data.get("fingerprint"):
        counts, shape = found["images"], found["shape"]
        if not (isinstance(found["sha256"], str) and [*counts] == [*SPLITS] and len(shape) == 3):
            raise _Damaged("its record of the data is none")
        if not all(type(number) is int for number in (*counts.values(), *shape)):
            raise _Damaged("its record of the data has no numbers")
    if data.get("preparation") and Preparation(**data["preparation"]).shape != experiment.model.image_shape:
        raise _Damaged("its pictures are prepared for another network")
    if not all(isinstance(name, str) for name in data.get("classes") or ()):
        raise _Damaged("its classes have no names")
    return dict(data)


def _array(archive: zipfile.ZipFile, name: str, dtypes: tuple, longest: int) -> np.ndarray:
    """Read a one-dimensional array whose type and length are checked before its content is read."""
    if archive.getinfo(f"{name}.npy").compress_type != zipfile.ZIP_STORED:
        raise _Damaged(f"{name} is compressed")
    with archive.open(f"{name}.npy") as member:
        version = np.lib.format.read_magic(member)
        if version != (1, 0):
            raise _Damaged(f"{name} is an array of version {version}")
        shape, _, dtype = np.lib.format.read_array_header_1_0(member)
        if dtype not in dtypes or len(shape) != 1 or not 0 < shape[0] <= longest:
            raise _Damaged(f"{name} is an array of {dtype} {shape}")
        content = member.read(shape[0] * dtype.itemsize)
        if len(content) != shape[0] * dtype.itemsize or member.read(1):
            raise _Damaged(f"{name} is cut short or too long")
    return np.frombuffer(content, dtype).copy()
