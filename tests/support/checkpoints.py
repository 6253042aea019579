"""Small checkpoints, whole and made up, and the line that refuses one."""

import dataclasses
import json
import re
import time
import tracemalloc
import warnings

import numpy as np
import pytest
from support.runs import experiment

from minidraw import DRAW
from minidraw.errors import UserError
from minidraw.model.network import parameter_count
from minidraw.training.checkpoints import FORMAT, VECTORS, Checkpoint, load

STATE = {"step": 3, "updates": 2, "skipped": 1, "skipped_in_a_row": 0, "seconds": 0.125, "sums": [0.1, 2.0, 3.0]}


def whole(dtype=np.float32) -> Checkpoint:
    rng = np.random.default_rng(0)
    small = experiment(image_shape=(1, 6, 5))
    size = parameter_count(DRAW, small.model)
    return Checkpoint(small, STATE, {name: rng.standard_normal(size).astype(dtype) ** 2 for name in VECTORS})


def header() -> dict:
    content = whole()
    configs = {"model": content.experiment.model, "train": content.experiment.train}
    return {"format": FORMAT, "state": STATE} | {name: dataclasses.asdict(part) for name, part in configs.items()}


def write(path, header, vectors=None) -> None:
    """Write a file in the format of checkpoints with any header, JSON or bytes, and any vectors."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    np.savez(path, header=np.frombuffer(text, np.uint8), **(whole().vectors if vectors is None else vectors))


def refused(path, reason: str = ".") -> str:
    """Load a file that is no checkpoint and return the one line about it; it must come soon and cost no memory."""
    tracemalloc.start()
    started = time.monotonic()
    try:
        with warnings.catch_warnings(record=True) as warned, pytest.raises(UserError) as raised:
            warnings.simplefilter("always")
            load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    line = str(raised.value)
    assert "\n" not in line and str(path) in line and not warned
    rest = line.replace(str(path), "PATH")
    assert re.search(reason, rest) and 20 < len(rest) < 400, rest
    assert time.monotonic() - started < 2 and peak < 8 << 20, (time.monotonic() - started, peak)
    return line
