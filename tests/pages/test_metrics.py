"""The numbers of a run: three files say the same, also after a kill, and every one of them is documented."""

import csv
import importlib
import json
import re
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from support.runs import classifier, metrics, trainer

from minidraw import UserError
from minidraw.pages import curves
from minidraw.pages.metrics import Log, read

pytestmark = pytest.mark.usefixtures("small_strokes")

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def rows(folder: Path) -> list[dict]:
    """Return metrics.csv as metrics.read returns metrics.jsonl."""
    found = []
    for row in csv.DictReader((folder / "metrics.csv").read_text().splitlines()):
        line = {}
        for column, cell in row.items():
            if cell:
                name = re.sub(r"^(latent_per_step)_\d+$", r"\1", column)
                value = json.loads(cell)
                line[name] = [*line.get(name, []), value] if name != column else value
        found.append(line)
    return found


def test_the_table_has_the_numbers_of_the_lines(tmp_path):
    assert trainer(tmp_path, steps=13).run()
    lines, damaged = read(tmp_path / "metrics.jsonl")
    assert rows(tmp_path) == lines and len(lines) == 7 and damaged == 0
    header = (tmp_path / "metrics.csv").read_text().splitlines()[0].split(",")
    assert (
        header[:3] == ["step", "glimpses", "epoch"]
        and "latent_per_step_3" in header
        and "latent_per_step_4" not in header
    )


def test_the_table_follows_when_lines_are_dropped(tmp_path):
    assert trainer(tmp_path, steps=13).run()
    of = Log(tmp_path)
    of.start(9)
    assert [line["step"] for line in rows(tmp_path)] == [3, 6, 9]
    of.write(step=12, seconds=1.0, surprise=2.5)
    assert rows(tmp_path)[-1] == {"step": 12, "seconds": 1.0, "surprise": 2.5}
    assert rows(tmp_path) == read(tmp_path / "metrics.jsonl")[0]


def test_damaged_lines_are_counted_and_left_out(tmp_path):
    whole = {"step": 5, "seconds": 1.5, "latent_per_step": [1.0, 2]}
    wrong = ["{", "[1]", "null", "\xff", '{"step": 1}', '{"step": "1", "seconds": 1}', '{"step": 1, "seconds": NaN}']
    wrong += ['{"step": true, "seconds": 1}', '{"step": 1, "seconds": 1, "x": [1, "2"]}', "[" * 5000, "1" * 5000]
    wrong += ['{"step": 1, "seconds": 1e999}', '{"step": 1, "seconds": 1, "loss": {"a": 1}}']
    path = tmp_path / "metrics.jsonl"
    path.write_bytes("\n".join([json.dumps(whole), *wrong, json.dumps(whole)]).encode("latin-1"))
    assert read(path) == ([whole, whole], len(wrong))
    assert read(tmp_path / "none") == ([], 0)
    with pytest.raises(UserError, match="cannot read"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["metrics.jsonl", "metrics.csv", "tensorboard"])
def test_a_log_that_cannot_be_written_is_one_line(tmp_path, name):
    if name == "tensorboard":
        pytest.importorskip("tensorboardX", reason="tensorboardX is missing: pip install tensorboardX")
        (tmp_path / name).write_text("a file")
    else:
        (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=rf"cannot write .*{name}"):
        Log(tmp_path).write(step=1, seconds=1.0)


def events(folder: Path) -> list:
    """Return the events of TensorBoard's files in their order: length, its checksum, the event, its checksum."""
    proto = importlib.import_module("tensorboardX.proto.event_pb2")
    found = []
    for path in sorted((folder / "tensorboard").iterdir(), key=lambda path: int(path.name.rpartition(".")[2])):
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            found.append(proto.Event.FromString(content[12 : 12 + length]))
            content = content[16 + length :]
    return found


def test_tensorboard_is_told_the_same_numbers_and_what_to_forget(tmp_path):
    pytest.importorskip("tensorboardX", reason="tensorboardX is missing: pip install tensorboardX")
    assert trainer(tmp_path, steps=13).run()
    lines, _ = read(tmp_path / "metrics.jsonl")
    told = [event for event in events(tmp_path) if event.HasField("summary")]
    assert [event.step for event in told] == [line["step"] for line in lines]
    for event, line in zip(told, lines, strict=True):
        values = {value.tag: value for value in event.summary.value}
        assert values.keys() == line.keys() - {"step"}
        assert values["seconds"].simple_value == pytest.approx(line["seconds"])
        if "loss" in line:
            histogram = values["latent_per_step"].histo
            assert list(histogram.bucket) == line["latent_per_step"] and list(histogram.bucket_limit) == [1.5, 2.5, 3.5]
    log = Log(tmp_path)
    log.start(9)
    log.write(step=12, seconds=1.0)
    start, last = events(tmp_path)[-2:]
    assert (start.step, start.session_log.status, last.step) == (10, start.session_log.START, 12)


def test_without_tensorboardX_nothing_is_said_and_nothing_missing(tmp_path, monkeypatch, capfd):
    for name in ("tensorboardX", "tensorboardX.event_file_writer"):
        monkeypatch.setitem(sys.modules, name, None)
    Log(tmp_path).write(step=1, seconds=1.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.csv", "metrics.jsonl"]
    assert capfd.readouterr() == ("", "")


def test_every_number_of_a_run_is_documented_and_every_one_documented_is_written(tmp_path):
    assert trainer(tmp_path / "draw", steps=13).run() and classifier(tmp_path / "ram").run()
    documented = re.findall(r"^\| `(\w+)` \|.*\|$", PAGE.read_text(), re.MULTILINE)
    written = {name for kind in ("draw", "ram") for line in metrics(tmp_path / kind) for name in line}
    assert written | {"seconds", "images_per_second"} == set(documented)


def test_a_long_curve_is_thinned_to_means_that_keep_the_mean():
    values = np.random.default_rng(0).random((3, 1200))
    thinned = curves.thin(values, 400)
    assert thinned.shape == (3, 400)
    np.testing.assert_allclose(thinned.mean(axis=1), values.mean(axis=1))
    np.testing.assert_allclose(thinned[:, 0], values[:, :3].mean(axis=1))
    assert curves.thin(values, 7).shape == (3, 7) and curves.thin(values, 1200) is values
