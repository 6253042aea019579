"""A worker: a process that does one shard of every minibatch, told what by the process that started it (workers.py)."""

import contextlib
import dataclasses
import importlib
import json
import math
import os
import select
import signal
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import one_line
from .memory import batch_views, map_shared, parameter_views
from .shard import parts

PATIENCE = 1.0  # seconds without an order after which a worker looks whether its parent is there


def serve(parent: int) -> None:
    """Obey the lines on standard input until there are none, or no process `parent` any more.

    Each is answered by a line: "done", or why it is not.
    """
    np.seterr(all="ignore")  # the parent looks at what is not finite
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # sent to a whole group, they are meant for the parent, which may go on
    answers = os.fdopen(os.dup(1), "wb", 0)
    os.dup2(2, 1)  # nothing else may write among the answers
    mine: Part | None = None
    with contextlib.suppress(BrokenPipeError):
        for order in orders(parent):
            try:
                if mine is None:
                    mine = Part(**order)
                elif "job" in order:
                    mine.run(**order)
                else:
                    mine.share(**order)
            except Exception as problem:
                answers.write(f"{type(problem).__name__}: {one_line(problem)}\n".encode())
                if mine and not isinstance(problem, MemoryError):
                    raise  # a fault of ours
                return
            answers.write(b"done\n")


def orders(parent: int) -> Iterator[dict]:
    """Yield what standard input says, a line each.

    It does not end with the parent alone: a process that the parent has forked may hold the pipe's other end.
    """
    while True:
        while os.name == "posix" and not select.select([0], [], [], PATIENCE)[0]:
            if os.getppid() != parent:
                return
        if not (line := sys.stdin.buffer.readline()):
            return
        yield json.loads(line)


class Part:
    """What one worker does of a network's jobs, in memory that it shares with its parent."""

    def __init__(self, network: str, config: dict, dtype: str, worker: int, memory: dict):
        kind, self.dtype = find(network), np.dtype(dtype)
        self.network, self.config = kind, kind.Config(**config)
        shapes = kind.parameter_shapes(self.config)
        block = map_shared(self.dtype, **memory).reshape(-1, sum(map(math.prod, shapes.values())))
        self.params, self.grads = parameter_views(block[0], shapes), parameter_views(block[1 + worker], shapes)
        self.shard = kind.Shard(self.config, np, self.dtype)

    def share(self, memory: dict, images: int, glimpses: int) -> None:
        """Take inputs from, and put outputs to, another place, for so many images and glimpses."""
        self.config = dataclasses.replace(self.config, glimpses=glimpses)
        self.shard.unroll(self.config)
        batch = map_shared(self.dtype, **memory)
        self.inputs, self.outputs = batch_views(batch, self.network, self.config, images)

    def run(self, job: str, first: int, last: int, scale: float) -> None:
        """Do a job on some of the images."""
        mine = slice(first, last)
        some = parts(self.inputs, self.shard.input_shapes(self.config), mine)
        results = self.shard.run(job, self.params, self.grads, some, scale)
        shapes = self.shard.output_shapes(self.config)
        for shared, result in zip(parts(self.outputs, shapes, mine), results, strict=False):
            shared[...] = result


def find(network: str) -> Any:
    """Return the class at a dotted path."""
    module, name = network.split(":")
    return getattr(importlib.import_module(module), name)
