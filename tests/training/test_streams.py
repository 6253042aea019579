"""Random numbers: every purpose has its own, of every seed, and nobody draws from others."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from minidraw import DRAW, DRAWConfig, UserError
from minidraw.streams import Purpose, seeds, stream

PACKAGE = Path(__file__).parents[2] / "minidraw"
SEEDS = (0, 1, 2**32, 2**64, 2**64 + 1, 3**200)
NUMBERS = (0, 1, 2**32, 2**40)


def test_no_two_streams_are_the_same():
    found = {}
    for named in itertools.product(SEEDS, Purpose, NUMBERS):
        first = stream(*named).bytes(16)
        assert found.setdefault(first, named) == named
    for seed in SEEDS:  # those of data that have others, and of whoever asks NumPy itself
        for rng in (np.random.default_rng(seed), *np.random.default_rng(seed).spawn(12)):
            assert rng.bytes(16) not in found
    assert len(found) == len(SEEDS) * len(Purpose) * len(NUMBERS)


def test_keys_of_a_device_are_as_different():
    keys = {int(seeds(seed, purpose).generate_state(1, np.uint64)[0]) for seed in SEEDS for purpose in Purpose}
    assert len(keys) == len(SEEDS) * len(Purpose)


def test_a_stream_is_what_it_always_was():
    """Or no run could go on, and no number of the documents be measured again."""
    assert stream(0, Purpose.NOISE, 7).integers(1000, size=4).tolist() == [603, 434, 26, 353]
    assert [purpose.value for purpose in Purpose] == list(range(12)), "a purpose keeps its number"
    assert (stream(np.int64(3), Purpose.ORDER).random(3) == stream(3, Purpose.ORDER).random(3)).all()


@pytest.mark.parametrize("seed", [-1, 1.0, "1", None])
def test_a_seed_that_is_none_is_refused(seed):
    with pytest.raises(UserError, match="seed must be a whole number of 0 or more, not "):
        stream(seed, Purpose.NOISE)


def test_nobody_makes_a_generator_but_streams():
    """But strokes, whose images would become others."""
    made = re.compile(r"default_rng\(|SeedSequence\(|RandomState|random\.seed|import random\b|Philox\(|PCG64")
    found = [path for path in PACKAGE.rglob("*.py") if made.search(path.read_text("utf-8"))]
    assert {path.relative_to(PACKAGE).as_posix() for path in found} == {"streams.py", "data/strokes.py"}


def test_every_purpose_is_somebodys():
    code = "".join(path.read_text("utf-8") for path in PACKAGE.rglob("*.py"))
    assert {name for name in Purpose.__members__ if f"Purpose.{name}" not in code} == set()


def test_what_is_drawn_is_no_start_value():
    config = DRAWConfig((1, 6, 5), 3, 2, 2, 4, 7, 8)
    model = DRAW(config, seed=5)
    W = model.params["encoder.W"]
    drawn, normal = model.draw(9, seed=5).latents.ravel(), (W * np.sqrt(len(W))).ravel()
    common = min(len(drawn), len(normal))
    assert abs(np.corrcoef(drawn[:common], normal[:common])[0, 1]) < 0.3 and common > 100
