"""Targets: what a run leaves and other commands read: its checkpoint, its numbers, its settings, the page of all."""

import contextlib
import dataclasses
import json

import numpy as np

from minidraw import presets
from minidraw.model import NETWORKS
from minidraw.model.network import parameter_count
from minidraw.pages import metrics as run_metrics
from minidraw.pages import report
from minidraw.training import checkpoints
from minidraw.training.state import read_state

from .formats import npy, zipped
from .target import put, target

SMALL = presets.preset("strokes").replace(
    image_shape=(1, 3, 4), glimpses=2, read_size=2, write_size=2, enc_size=2, dec_size=2, latent_size=2
)
STATE = {"step": 3, "updates": 3, "skipped": 0, "skipped_in_a_row": 0, "seconds": 0.5}
STATE |= {"sums": [1.0] * 5, "rows": 1, "glimpses": 2}


def vectors() -> dict[str, np.ndarray]:
    """Return the vectors of a checkpoint of SMALL."""
    size = parameter_count(NETWORKS["draw"], SMALL.model)
    return {name: np.full(size, 0.5, np.float32) for name in checkpoints.VECTORS}


def headers() -> list[bytes]:
    """Return the header of a checkpoint of SMALL, and that of a classifier."""
    ram = presets.preset("cluttered")
    return [
        json.dumps(
            {
                "format": checkpoints.FORMAT,
                "network": one.network,
                "model": dataclasses.asdict(one.model),
                "train": dataclasses.asdict(one.train),
                "state": STATE,
            }
        ).encode()
        for one in (SMALL, ram)
    ]


def as_checkpoint(header: bytes, **changes: bytes) -> bytes:
    """Return a checkpoint of SMALL with another header, or other members."""
    members = {name: npy(vector) for name, vector in vectors().items()}
    return zipped(**{"header": npy(np.frombuffer(header, np.uint8))} | members | changes)


def read_checkpoint(content: bytes) -> None:
    """Load a checkpoint; what loads must make a network whose numbers are finite."""
    loaded = checkpoints.load(put(content, "checkpoint.npz"))
    assert all(np.isfinite(vector).all() for vector in loaded.vectors.values())
    assert isinstance(json.dumps(loaded.state), str)


@target(lambda: [as_checkpoint(headers()[0])])
def checkpoint_file(data: bytes) -> None:
    """A checkpoint, the whole file."""
    read_checkpoint(data)


@target(headers)
def checkpoint_header(data: bytes) -> None:
    """The text of a checkpoint's header, in a file that is right otherwise."""
    read_checkpoint(as_checkpoint(data or b" "))


@target(lambda: [npy(vectors()["params"]), npy(vectors()["params"].astype(np.float64))])
def checkpoint_vector(data: bytes) -> None:
    """One array of a checkpoint, in a file that is right otherwise."""
    read_checkpoint(as_checkpoint(headers()[0], params=data))


@target(lambda: [json.dumps(STATE).encode()])
def checkpoint_state(data: bytes) -> None:
    """Where a run stands, in a checkpoint: what read_state accepts must do."""
    with contextlib.suppress(ValueError):  # a UserError is one
        state = json.loads(data)
        if isinstance(state, dict):
            read = read_state(state, SMALL.model.glimpses, lambda glimpses: 1 + glimpses)
            assert read.step + read.updates + read.skipped + sum(read.sums) >= -np.inf


@target(
    lambda: [
        f"{field.name}={value}".encode()
        for part in (SMALL.model, SMALL.train, presets.preset("cluttered").model)
        for field in dataclasses.fields(part)
        for value in (getattr(part, field.name), "none")
    ]
)
def setting(data: bytes) -> None:
    """--set, for a network that draws and for one that classifies."""
    changes = dict([presets.parse_setting(data.decode(errors="surrogateescape"))])
    for name in ("strokes", "cluttered"):
        with contextlib.suppress(presets.UserError):
            presets.check_size(presets.preset(name).replace(**changes))


def configs() -> list[bytes]:
    """Return a config.json of a run that draws and of one that classifies."""
    parts = ("network", "model", "train", "data")
    seeds = [json.loads(header) | {"data": "images of nothing"} for header in headers()]
    return [json.dumps({part: seed[part] for part in parts}, indent=2).encode() for seed in seeds]


def lines() -> list[bytes]:
    """Return a metrics.jsonl of a run that draws, cut short in its last line, and one of a run that classifies."""
    nats = {"loss": 1.0, "reconstruction": 0.5, "latent": 0.5, "latent_per_step": [0.25, 0.25]}
    wrong = {"loss": 1.0, "error": 0.5}
    pace = {"seconds": 2.5, "gradient_norm": 3.0, "learning_rate": 0.001, "images_per_second": 9.0, "skipped": 0}
    seeds = []
    for numbers in (nats, wrong):
        held_out = {f"validation_{name}": value for name, value in numbers.items() if name != "latent_per_step"}
        rows = [{"step": 3} | numbers | pace, {"step": 4, "seconds": 3.0, "validation_images": 10} | held_out]
        seeds.append("".join(json.dumps(row) + "\n" for row in rows).encode())
    return [seeds[0] + b'{"step": 5, "lo', seeds[1]]


@target(lines)
def metrics(data: bytes) -> None:
    """metrics.jsonl, as pages and figures read it, and as a resumed run goes on with it."""
    path = put(data, "metrics.jsonl")
    assert all(np.isfinite(line["step"]) for line in run_metrics.read(path)[0])
    for config in configs():
        report.write_report(put(config, "config.json").parent)
    run_metrics.Log(path.parent).start(3)
    assert all(json.loads(line)["step"] <= 3 for line in path.read_bytes().splitlines())


@target(configs)
def config(data: bytes) -> None:
    """config.json, as the page of a run shows it."""
    put(lines()[0], "metrics.jsonl")
    report.write_report(put(data, "config.json").parent, running=True)
