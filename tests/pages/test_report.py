"""The page of a run and that of several: what they tell, whatever their folders hold, and what they cost a run."""

import base64
import json
import os
import re
import shlex
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from support.runs import classifier, metrics, options, run, trainer

from minidraw import UserError, fit
from minidraw.pages import pictures, report, svg
from minidraw.pages.report import write_report
from minidraw.pages.run import Run
from minidraw.pictures.writers import read_note, write_png
from minidraw.presets import PRESETS
from minidraw.training import checkpoints, record, tasks
from minidraw.training.keeping import complain

pytestmark = pytest.mark.usefixtures("small_strokes")

VOID = {"meta", "br", "img"}
VOID_SHAPES = {"line", "polyline", "circle", "image"}


class Checked(HTMLParser):
    """Collects a page's text and elements; every element that is opened has to be closed, in order."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        assert tag in VOID_SHAPES
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)


def of(path) -> Checked:
    """Return a page, which must need nothing from elsewhere."""
    text = path.read_text()
    checked = Checked(text)
    for tag, attributes in checked.tags:
        for name in ("src", "href"):
            assert attributes.get(name, "data:").startswith("data:"), (tag, attributes)
    assert "http" not in text and "@import" not in text and "url(" not in text
    return checked


@pytest.fixture
def folder(tmp_path):
    """The folder of a finished run."""
    assert trainer(tmp_path / "run", steps=13).run()
    return tmp_path / "run"


def test_a_run_leaves_a_page_that_tells_all_of_it(folder):
    found = of(folder / "report.html")
    words = " ".join(" ".join(found.words).split())
    last = metrics(folder)[-1]
    for wanted in (
        "finished",
        "13 updates",
        f"{last['validation_loss']:.2f}",
        "Variational bound",
        "KL of every glimpse",
    ):
        assert wanted in words, wanted
    for wanted in (
        "Gradient norm",
        "Learning rate",
        "Speed",
        "enc_size",
        "eqs 9 to 12",
        "of all 45 training images",
        "strokes, made",
    ):
        assert wanted in words, wanted
    shown = [attributes["src"] for tag, attributes in found.tags if tag == "img" and attributes["alt"]]
    assert [picture[5:14] for picture in shown] == ["image/gif", "image/png", "image/png", "image/png"]
    assert base64.b64decode(shown[0].partition(",")[2]) == (folder / "samples.gif").read_bytes()
    assert "data-again" not in dict(found.tags)["body"], "a finished run's page stays as it is"


def test_the_page_of_a_classifier(tmp_path):
    assert classifier(tmp_path).run()
    words = " ".join(of(tmp_path / "report.html").words)
    for wanted in ("Cross entropy", "% of images", "Glimpses", "the answers are", "<b>toy</b>"):
        assert wanted in words, wanted
    assert "KL of every" not in words


def test_the_command_makes_the_same_run_again(folder, tmp_path):
    command = shlex.split(Run(folder).command())
    assert command[:4] == ["python", "-m", "minidraw.train", "strokes"]
    assert run("train", *command[3:], "--out", tmp_path / "again", "--threads=1") == 0
    assert (tmp_path / "again" / "config.json").read_bytes() == (folder / "config.json").read_bytes()
    assert metrics(tmp_path / "again") == metrics(folder)


@pytest.mark.parametrize(
    "network, train, wanted",
    [
        ("ram", {"minutes": 3.5, "steps": 7}, "cluttered --set steps=7 --minutes 3.5"),
        ("draw", {"data": "folder:my pictures", "seed": 4}, "mnist --data 'folder:my pictures' --seed 4"),
    ],
)
def test_the_command_is_that_of_the_nearest_preset(tmp_path, network, train, wanted):
    preset = PRESETS["cluttered" if network == "ram" else "mnist"]
    model = vars(preset.model) | ({"read_size": None} if network == "draw" else {})
    config = {"network": network, "model": model, "train": vars(preset.train) | train, "data": ""}
    (tmp_path / "config.json").write_text(json.dumps(config))
    more = " --set read_size=none" if network == "draw" else ""
    said = Run(tmp_path).command()
    assert sorted(shlex.split(said)) == sorted(shlex.split(f"python -m minidraw.train {wanted}{more}"))


def test_the_command_names_the_network_that_the_run_started_from(folder, tmp_path):
    assert run("train", "strokes", *options(3, tmp_path / "next"), "--init", folder) == 0
    command = shlex.split(Run(tmp_path / "next").command())
    assert command[command.index("--init") + 1] == str(folder)
    assert run("train", *command[3:], "--out", tmp_path / "again", "--threads=1") == 0
    assert metrics(tmp_path / "again") == metrics(tmp_path / "next")


def test_a_run_of_a_program_has_no_command_that_does_not_work(tmp_path):
    images = np.random.default_rng(0).random((40, 1, 8, 8), np.float32)
    small = {"glimpses": 2, "enc_size": 4, "dec_size": 4, "latent_size": 2, "batch_size": 4, "threads": 1, "steps": 2}
    fit(images, out=tmp_path / "a", progress=False, **small)
    assert Run(tmp_path / "a").command() == ""
    text = " ".join(of(tmp_path / "a" / "report.html").words)
    assert "A program made this run" in text and "minidraw.train" not in text
    config = json.loads((tmp_path / "a" / "config.json").read_text())
    config["train"]["data"], config["init"] = "strokes", "a network in memory"
    (tmp_path / "a" / "config.json").write_text(json.dumps(config))
    write_report(tmp_path / "a")
    assert "--init" not in Run(tmp_path / "a").command()
    text = " ".join(of(tmp_path / "a" / "report.html").words)
    assert "This command makes the run, but for its start, a network that a program gave:" in text


PICTURES = ("samples.gif", "samples.png", "sheet.png", "seen.png", "data.png")


def test_the_page_is_made_again_and_its_pictures_too(folder, capsys):
    drawn = {name: (folder / name).read_bytes() for name in PICTURES}
    for name in (*drawn, "report.html"):
        os.remove(folder / name)
    assert run("report", folder) == 0 and capsys.readouterr().out == f"{folder / 'report.html'}\n"
    assert not any(attributes.get("alt") for tag, attributes in of(folder / "report.html").tags if tag == "img")
    assert run("report", folder, "--draw", "--threads=1") == 0
    assert {name: (folder / name).read_bytes() for name in drawn} == drawn


def test_a_run_without_numbers_and_one_with_damaged_lines(folder):
    path = folder / "metrics.jsonl"
    path.write_bytes(b"\xff{\n" + path.read_bytes() + b'{"step": 13, "sec')
    write_report(folder)
    assert "2 lines of metrics.jsonl could not be read" in " ".join(of(folder / "report.html").words)
    path.unlink()
    write_report(folder, running=True)
    found = of(folder / "report.html")
    assert (
        "Not a line" in " ".join(found.words) and "running" in found.words and "data-again" in dict(found.tags)["body"]
    )


def test_names_are_text_and_never_markup(folder, tmp_path):
    evil = "<script>alert('&')</script>\"'"
    bad = tmp_path / evil.replace("/", "")
    shutil.copytree(folder, bad)
    config = json.loads((bad / "config.json").read_text())
    config["data"] = config["train"]["data"] = config["model"][evil] = evil
    (bad / "config.json").write_text(json.dumps(config))
    write_png(bad / "seen.png", np.zeros((2, 2, 3), np.uint8), evil)
    write_report(bad)
    assert run("compare", bad, folder, "--out", tmp_path / "both.html") == 0
    for made in (bad / "report.html", tmp_path / "both.html"):
        found = of(made)
        assert "alert(" not in made.read_text().replace("&lt;script&gt;alert(", ""), "as markup"
        assert "<script>alert('&')" in " ".join(found.words)
    assert read_note((bad / "seen.png").read_bytes()) == evil and read_note(b"no picture") == ""


@pytest.mark.parametrize(
    "content", [None, b"{", b"[]", b'{"network": "draw"}', b"\xff", b'{"network":1,"model":2,"train":3}']
)
def test_a_folder_that_holds_no_run_is_one_line(tmp_path, content, capsys):
    if content is not None:
        (tmp_path / "config.json").write_bytes(content)
    for command in (["report", tmp_path], ["compare", tmp_path, tmp_path, "--out", tmp_path / "x.html"]):
        assert run(*command) == 2
        err = capsys.readouterr().err
        assert err.startswith("error: ") and err.count("\n") == 1 and "config.json" in err
    assert not (tmp_path / "report.html").exists() and not (tmp_path / "x.html").exists()


def test_runs_are_compared(folder, tmp_path, capsys):
    assert trainer(tmp_path / "other" / "run", steps=9, learning_rate=1e-3).run() and classifier(tmp_path / "ram").run()
    out = tmp_path / "compare.html"
    other = tmp_path / "other" / "run"
    assert run("compare", folder, other, "--out", out) == 0 and capsys.readouterr().out == f"{out}\n"
    words = of(out).words
    settings = words[words.index("Settings that differ") :]
    assert settings[1:9] == [str(folder), str(other), "steps", "13", "9", "learning_rate", "0.003", "0.001"]
    assert words.count("Variational bound") == words.count("Speed") == words.count("Latent") == 2
    assert words.count("minutes of training") == words.count("updates") - 1 == 6
    assert run("compare", folder, tmp_path / "ram", "--out", out) == 0
    assert {"run", "ram", "Error", "Reconstruction"} <= set(of(out).words)
    for wrong, told in ([folder], "two runs or more"), ([folder, folder, "--out=x.png"], "end in .html"):
        assert run("compare", *wrong) == 2 and told in capsys.readouterr().err


def test_while_a_run_goes_on_the_nearest_are_looked_for_among_few_which_the_page_says(tmp_path, monkeypatch):
    monkeypatch.setattr(tasks, "SEARCHED", 10)
    of = trainer(tmp_path, steps=30, pictures_every=5)
    for _ in range(5):
        of.update()
    of.draw()
    note = read_note((tmp_path / "sheet.png").read_bytes())
    assert "after 5 updates" in note and "of 10 of the 45 training images" in note


def test_a_failing_report_costs_a_run_nothing_and_is_told(tmp_path, monkeypatch, capsys):
    def broken(*_, **__):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(record, "write_report", broken)
    of = trainer(tmp_path / "run", steps=25)
    assert of.run()
    with pytest.raises(ZeroDivisionError):  # at the end, where nothing is lost by it
        complain(of)
    err = capsys.readouterr().err
    assert "no report: a bug; the run goes on" in err and of.state.step == 25
    assert {"checkpoint.npz", "samples.gif", "metrics.csv"} <= set(os.listdir(tmp_path / "run"))
    monkeypatch.undo()
    monkeypatch.setattr("minidraw.data.strokes.STROKES", (45, 20, 30))
    (tmp_path / "run" / "report.html").mkdir()
    assert run("train", *options(35, tmp_path / "run"), "--resume") == 2
    err = capsys.readouterr().err
    assert err.splitlines()[-1].startswith("error: cannot write") and "the run goes on" in err
    assert checkpoints.load(tmp_path / "run").state["step"] == 35


def test_reports_take_a_small_share_of_a_runs_time(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(record, "write_report", lambda folder, running: made.append(running))
    of = trainer(tmp_path)
    of.state.seconds, of.record.reporting = 100.0, 1.0
    of.record.report(of.state.seconds, ended=False)
    assert made == []
    of.record.report(of.state.seconds, ended=True)
    of.state.seconds = 1000.0
    of.record.report(of.state.seconds, ended=False)
    assert made == [False, True]


def test_a_page_stays_small_however_long_the_run(folder):
    numbers = {"seconds": 1.0, "loss": 80.123456, "gradient_norm": 1.23456, "latent_per_step": [0.12345] * 64}
    numbers |= {"reconstruction": 60.123456, "latent": 20.0, "learning_rate": 1e-3, "images_per_second": 1234.5}
    lines = [json.dumps({"step": 50 * k} | numbers) + "\n" for k in range(1, 5000)]
    (folder / "metrics.jsonl").write_text("".join(lines))
    (folder / "samples.gif").write_bytes(bytes(pictures.LARGEST_PICTURE + 1))
    write_report(folder)
    assert (folder / "report.html").stat().st_size < 500_000
    assert "too large for this page" in (folder / "report.html").read_text()


def test_large_numbers_have_few_digits(folder):
    values = {"loss": 123456.789, "reconstruction": 1083.7612, "latent": 999.994}
    line = {"step": 5, "seconds": 1.0} | {f"validation_{name}": value for name, value in values.items()}
    (folder / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    assert [words[1] for words in report.results(Run(folder)).values()][:3] == ["123,457", "1,083.8", "999.99"]


def test_numbers_of_one_value_and_of_nothing_make_charts(folder):
    line = {"step": 0, "seconds": 0.0, "loss": 0.0, "gradient_norm": 0, "latent_per_step": [0.0], "latent": -1e99}
    (folder / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    write_report(folder)
    text = re.sub(r"base64,[^\"]*", "", (folder / "report.html").read_text())
    assert of(folder / "report.html") and not re.search(r"\b(nan|NaN|inf|Infinity)\b", text)


def test_the_script_knows_where_the_axes_are():
    script = (report.HERE / "page.js").read_text()
    assert re.search(r"left = (\d+), right = (\d+);", script).groups() == (str(svg.LEFT), str(svg.RIGHT))


def test_the_last_point_of_a_curve_is_whole(folder):
    chart = re.search(r'<svg x="(\d+)"[^>]* width="(\d+)"', (folder / "report.html").read_text())
    (left, width), point = map(int, chart.groups()), 3
    assert left <= svg.LEFT - point and left + width >= svg.WIDTH - svg.RIGHT + point


def test_a_page_that_cannot_be_written_is_a_user_error(folder):
    os.remove(folder / "report.html")
    (folder / "report.html").mkdir()
    with pytest.raises(UserError, match="cannot write"):
        write_report(folder)
