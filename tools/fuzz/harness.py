"""The process of a target: atheris changes its seeds, and what is wrong with how it takes them is written down."""

import json
import os
import resource
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

MEMORY = 2 << 30  # bytes that a loader may use
SECONDS = 10  # that one input may take
LONGEST = 600  # characters of a message


def complaint(function, data: bytes) -> str | None:
    """Return what is wrong with how a target takes an input, the same text for the same fault; None if nothing is."""
    from minidraw.errors import UserError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            function(data)
    except UserError as refusal:
        text = str(refusal)
        if "\n" in text or not 0 < len(text) < LONGEST:
            return f"a message that is empty, of several lines or of more than {LONGEST} characters"
    except Exception as problem:
        frames = [frame for frame in traceback.extract_tb(problem.__traceback__) if "minidraw" in frame.filename]
        where = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[-2:]]
        return f"{type(problem).__name__} at {' < '.join(reversed(where)) or 'the target'}"
    return None


def fuzz(name: str, seconds: int, out: Path) -> None:
    """Run one target in this process, which libFuzzer ends."""
    import atheris

    with atheris.instrument_imports(include=["minidraw", "tarfile", "zipfile", "gzip"]):
        from . import targets

    function, seeds = targets.TARGETS[name]
    resource.setrlimit(resource.RLIMIT_AS, (2 * MEMORY, 2 * MEMORY))  # address space; what is used is libFuzzer's limit
    corpus = Path(tempfile.mkdtemp(dir=targets.target.FOLDER))
    for number, seed in enumerate(seeds()):
        (corpus / f"seed{number}").write_bytes(seed)
    found: dict[str, str] = {}

    def one(data: bytes) -> None:
        fault = complaint(function, data)
        if fault and fault not in found:
            found[fault] = f"{name}-{len(found)}"
            (out / found[fault]).write_bytes(data)
            (out / f"{name}.json").write_text(json.dumps(found))

    limits = [f"-max_total_time={seconds}", f"-rss_limit_mb={MEMORY >> 20}", f"-timeout={SECONDS}"]
    options = [*limits, f"-artifact_prefix={out}/{name}-", "-print_final_stats=1", "-max_len=40000"]
    sys.stderr = open(os.devnull, "w")  # what loaders say; libFuzzer has its own
    atheris.Setup([sys.argv[0], *options, str(corpus)], one)
    atheris.Fuzz()
