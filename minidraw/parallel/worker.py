"""A worker: a process that does one shard of every minibatch, told what by the process that started it (workers.py)."""

import contextlib
import dataclasses
import importlib
import json
import math
import os
import sys
from typing import Any

import numpy as np

from .memory import batch_views, map_file, parameter_views
from .shard import parts


def serve() -> None:
    """Obey the lines on standard input until there are none."""
    np.seterr(all="ignore")  # the parent looks at what is not finite
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # nothing else may write among the answers

    def answer() -> None:
        with contextlib.suppress(BrokenPipeError):
            answers.write("done\n")
            answers.flush()

    hello = json.loads(sys.stdin.readline() or "null")
    if hello is None:
        return
    network, dtype = find(hello["network"], hello["search"]), np.dtype(hello["dtype"])
    config = network.Config(**hello["config"])
    shapes = network.parameter_shapes(config)
    with contextlib.suppress(FileNotFoundError):  # a parent that is interrupted takes away what it meant to share
        block = map_file(hello["path"], dtype).reshape(-1, sum(map(math.prod, shapes.values())))
        params, grads = parameter_views(block[0], shapes), parameter_views(block[1 + hello["worker"]], shapes)
        shard = network.Shard(config, np, dtype)
        answer()
        for line in sys.stdin:
            order = json.loads(line)
            if order["job"] == "share":
                config = dataclasses.replace(config, glimpses=order["glimpses"])
                shard.unroll(config)
                inputs, outputs = batch_views(order["path"], network, config, order["images"], dtype)
            else:
                mine = slice(order["first"], order["last"])
                some = parts(inputs, shard.input_shapes(config), mine)
                results = shard.run(order["job"], params, grads, some, order["scale"])
                for shared, result in zip(parts(outputs, shard.output_shapes(config), mine), results, strict=False):
                    shared[...] = result
            answer()


def find(network: str, search: list[str]) -> Any:
    """Return the class at a dotted path; its module may lie where the parent finds it and this process does not."""
    module, name = network.split(":")
    sys.path += [place for place in search if place not in sys.path]
    return getattr(importlib.import_module(module), name)
