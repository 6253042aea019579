"""What the ranks of a run must have in common: they train one network, each on its part of the same minibatches."""

import hashlib
import json
from typing import Any

from .checkpoints import machine
from .telling import description


def in_common(run: Any) -> dict[str, Any]:
    """Return by name what must be the same on every rank of a trainer: settings, place, data, and programs.

    Data may lie in another folder on another machine: a name, and a hash of what they are known by, stand for them.
    """
    told, known_by = description(run), json.dumps(run.known_by(), sort_keys=True)
    kind, digest = run.data.name.partition(":")[0], hashlib.sha256(known_by.encode()).hexdigest()[:12]
    settings = {"network": told["network"], **told["model"], **told["train"], "data": f"{kind} {digest}"}
    programs = {name: value for name, value in machine(run).items() if name != "threads"}
    return settings | {"init": told.get("init", ""), "step": run.state.step} | programs
