"""Curves, heat map and numbers of a page: where each stands, what it is called, and how large it is."""

import base64
import io
import json
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image
from support.runs import run

from minidraw.pages import curves, svg
from minidraw.pages.curves import MINUTES, UPDATES, Chart, Curve
from minidraw.pages.report import duration, state, write_report
from minidraw.pages.run import Run
from minidraw.presets import PRESETS

DRAWN = [
    {"step": 10 * k, "seconds": 90.0 * k, "loss": 90.0 - k, "reconstruction": 80.0 + k, "latent": 10.0 - 2 * k}
    for k in (1, 2, 3)
]
HELD_OUT = {"validation_loss": 95.0, "validation_reconstruction": 85.0, "validation_latent": 9.0}
DRAWN += [{"step": 30, "seconds": 270.0} | HELD_OUT]
CLASSIFIED = [
    {"step": 5, "seconds": 30.0, "loss": 1.5, "error": 0.25},
    {"step": 9, "seconds": 60.0, "validation_loss": 1.25, "validation_error": 0.5},
]


def numbers(one: Curve) -> tuple[list[float], list[float]]:
    return one.x.tolist(), one.y.tolist()


@pytest.mark.parametrize("across, x", [(UPDATES, [10, 20, 30]), (MINUTES, [1.5, 3, 4.5])])
def test_curves_of_a_drawing_network(across, x):
    bound, terms = curves.charts(DRAWN, "draw", across)
    assert (bound.title, bound.unit, bound.across) == ("Variational bound", "nats per image", across)
    training, held_out = bound.curves
    assert (training.name, held_out.name) == ("training minibatches", "held-out images")
    assert numbers(training) == (x, [89, 88, 87]) and numbers(held_out) == (x[-1:], [95])
    assert not training.held_out and held_out.held_out and training.colour != held_out.colour
    found = {one.name: (one.y.tolist(), one.held_out, one.colour) for one in terms.curves}
    assert found == {
        "reconstruction": ([81, 82, 83], False, 0),
        "reconstruction, held-out": ([85], True, 0),
        "latent": ([8, 6, 4], False, 1),
        "latent, held-out": ([9], True, 1),
    }
    assert bound.low < 87 < 95 < bound.high < 100 and terms.low == 0 and 85 < terms.high < 95


def test_curves_of_a_classifier_have_errors_in_percent():
    entropy, error = curves.charts(CLASSIFIED, "ram", MINUTES)
    assert (entropy.title, error.title, error.unit) == ("Cross entropy", "Error", "% of images")
    assert [numbers(one) for one in entropy.curves] == [([0.5], [1.5]), ([1], [1.25])]
    assert [numbers(one) for one in error.curves] == [([0.5], [25]), ([1], [50])]
    assert [one.held_out for one in error.curves] == [False, True]


def test_a_steep_start_and_a_spike_leave_the_chart_at_its_top():
    lines = [{"step": k, "seconds": 1.0, "loss": 1e6 if k in (0, 50) else 100.0 + k % 2} for k in range(100)]
    (chart,) = curves.charts(lines, "draw")
    assert 95 < chart.low < 100 and 101 < chart.high < 106
    assert "what is higher is cut off" in svg.lines(chart)


def test_the_rates_of_a_run_have_charts_of_their_own_and_glimpses_only_where_they_grow():
    line = {"step": 5, "seconds": 1.0, "gradient_norm": 7.0, "learning_rate": 0.25, "images_per_second": 80.0}
    charts = {one.title: one for one in curves.charts([line | {"glimpses": 4}], "draw")}
    assert {title: numbers(one.curves[0]) for title, one in charts.items()} == {
        "Gradient norm": ([5], [7]),
        "Learning rate": ([5], [0.25]),
        "Speed": ([5], [80]),
    }
    assert not curves.charts([line], "draw", cost_only=True)
    grown = [line | {"glimpses": 4}, line | {"step": 6, "glimpses": 5}]
    assert [numbers(one.curves[0]) for one in curves.charts(grown, "draw") if one.title == "Glimpses"] == [
        ([5, 6], [4, 5])
    ]


def test_a_chart_has_its_numbers_where_its_points_are():
    """From left to right and from below upwards, also those beside the axes, and those that the pointer tells."""
    x, y = np.array([0.0, 500, 1000]), np.array([80.0, 90, 84])
    pair = [Curve("training", x, y), Curve("held out", x[1:], y[1:], held_out=True, colour=3)]
    figure = ElementTree.fromstring(svg.lines(Chart("A title", "nats", "a note", UPDATES, pair, 80.0, 90.0)))
    outer = figure.find("svg")
    training, held_out = outer.iter("polyline")
    points = [[float(number) for number in pair.split(",")] for pair in training.get("points").split()]
    left, right, top, bottom = svg.LEFT, svg.WIDTH - svg.RIGHT, svg.TOP, svg.HEIGHT - svg.BOTTOM
    assert points == [[left, bottom], [(left + right) / 2, top], [right, pytest.approx(bottom - 0.4 * (bottom - top))]]
    assert (training.get("class"), held_out.get("class")) == ("c0", "c3 held")
    places = {text.text: (float(text.get("x")), float(text.get("y"))) for text in outer.iter("text")}
    assert {name: y for name, (_, y) in places.items() if name in ("80", "84", "90")} == {
        "80": bottom + 4,
        "84": pytest.approx(points[2][1] + 4),
        "90": top + 4,
    }
    assert [places[name][0] for name in ("0", "500", "1,000")] == [x for x, _ in points]
    assert {"updates", "↑ nats"} <= set(places)
    legend = [(item.get("class"), "".join(item.itertext())) for item in figure.iter("li")]
    assert legend == [("c0", "training 84"), ("c3 held", "held out 84")]
    assert json.loads(figure.find("script").text) == [[[0, 500, 1000], [80, 90, 84]], [[500, 1000], [90, 84]]]
    assert float(outer.get("data-last")) == 1000 and "cut off" not in "".join(figure.itertext())


def test_a_heat_map_has_the_first_glimpse_below_and_the_last_update_right():
    lines = [{"step": 10 * k, "latent_per_step": [8.0 if k == 3 else 0.0, 4.0, 0.0]} for k in (1, 2, 3)]
    found = curves.heat(lines[::-1])
    assert found.values.tolist() == [[0, 0, 8], [4, 4, 4], [0, 0, 0]] and (found.first, found.last) == (10, 30)
    text = svg.heat(found)
    (picture,) = re.findall('<image [^>]*base64,([^"]*)"', text)
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture))))[..., :3].tolist()
    dark, middle, bright = (list(svg.MAGMA[k]) for k in (0, 2, 4))
    assert pixels == [[dark] * 3, [middle] * 3, [dark, dark, bright]]
    assert re.search(r"0 <img [^>]*> 8 nats per image", text)
    scale = Image.open(io.BytesIO(base64.b64decode(re.search('<img [^>]*base64,([^"]*)"', text)[1])))
    assert (list(scale.getpixel((0, 0))[:3]), list(scale.getpixel((63, 0))[:3])) == (dark, bright)
    places = dict(re.findall(r'y="([\d.]+)" text-anchor="end">(\d)<', text))
    third = (svg.HEIGHT - svg.BOTTOM - svg.TOP) / 3
    assert {name: float(y) - 4 for y, name in places.items()} == {
        str(t): pytest.approx(svg.HEIGHT - svg.BOTTOM - (t - 0.5) * third, abs=0.06) for t in (1, 2, 3)
    }


@pytest.fixture
def folder(tmp_path):
    """A function that makes the folder of a run, of a preset with some changes, with these lines, and returns it."""

    def made(lines, name: str = "run", preset: str = "strokes", **changes):
        of, path = PRESETS[preset].replace(**changes), tmp_path / name
        path.mkdir()
        config = {"network": of.network, "model": vars(of.model), "train": vars(of.train), "data": "some"}
        (path / "config.json").write_text(json.dumps(config))
        (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    return made


def tiles(path) -> list[tuple[str, ...]]:
    """Return the numbers at the top of a run's page: value, unit, and what it is."""
    write_report(path)
    section = re.search(r'<section class="tiles">(.*?)</section>', (path / "report.html").read_text())[1]
    return re.findall(r"<b>([^<]*)</b> (?:<small>([^<]*)</small>)?</p><small>([^<]*)</small>", section)


def test_the_numbers_of_a_page_are_the_last_of_the_run(folder):
    last = {"step": 1234, "seconds": 600.0, "loss": 88.126, "epoch": 2.345, "images_per_second": 456.7}
    lines = [{"step": 1, "seconds": 1.0, "loss": 500.0, "validation_loss": 400.0}, *DRAWN, last]
    assert tiles(folder(lines)) == [
        ("95.00", "nats", "cost per held-out image"),
        ("85.00", "nats", "of it reconstruction"),
        ("9.00", "nats", "of it latent"),
        ("88.13", "nats", "cost per training image"),
        ("1,234", "", "updates"),
        ("2.3", "", "passes over the training images"),
        ("457", "", "images per second"),
        ("10", "minutes", "of training"),
    ]
    assert tiles(folder(CLASSIFIED, "ram", "cluttered")) == [
        ("1.25", "nats", "cost per held-out image"),
        ("50.00", "%", "of held-out images wrong"),
        ("1.50", "nats", "cost per training image"),
        ("9", "", "updates"),
        ("1.0", "minutes", "of training"),
    ]


@pytest.mark.parametrize(
    "line, changes, words, share",
    [
        ({"step": 250, "seconds": 100.0}, {"steps": 1000}, "25 % of 1,000 updates, about 5.0 minutes of", "0.2500"),
        ({"step": 9, "seconds": 45.0}, {"minutes": 1.0}, "75 % of 1.0 minutes, about 15 s of training left", "0.7500"),
        ({"step": 1000, "seconds": 9.0}, {"steps": 1000}, "100 % of 1,000 updates; written", "1.0000"),
        ({"step": 9, "seconds": 70.0}, {"minutes": 1.0}, "100 % of 1.0 minutes; written", "1.0000"),
    ],
)
def test_a_page_tells_how_far_its_run_is(folder, line, changes, words, share):
    of = Run(folder([line], glimpse_warmup=0.0, **changes))
    for running, word in ((False, "not finished"), (True, "running")):
        text = state(of, running)
        assert words in text and f'<progress value="{share}" max="1">' in text
        assert f"<b>{'finished' if share == '1.0000' else word}</b>" in text


def test_times_are_told_in_the_unit_that_suits_them():
    seconds = (59.4, 59.6, 594, 599, 7139, 7199, 7200, 35_000, 35_900)
    assert [duration(each) for each in seconds] == [
        *("59 s", "1.0 minutes", "9.9 minutes", "10 minutes"),
        *("119 minutes", "2.0 hours", "2.0 hours", "9.7 hours", "10 hours"),
    ]


def test_each_run_of_a_comparison_has_its_own_numbers_and_curves(folder, tmp_path):
    lower = [line | {"validation_loss": 70.0} if "validation_loss" in line else line for line in DRAWN]
    paths = [folder(DRAWN, "first"), folder(lower, "second"), folder(CLASSIFIED, "third", "cluttered")]
    assert run("compare", *paths, "--out", tmp_path / "all.html") == 0
    text = (tmp_path / "all.html").read_text()
    rows = dict(re.findall(r'<tr><th scope="row">([^<]*)</th>(.*?)</tr>', text))
    cells = {name: re.findall("<td>([^<]*)</td>", row) for name, row in rows.items()}
    assert cells["cost per held-out image"] == ["95.00 nats", "70.00 nats", "1.25 nats"]
    assert cells["of held-out images wrong"] == ["", "", "50.00 %"] and cells["of training"][0] == "4.5 minutes"
    bounds = [part for part in text.split("<figure")[1:] if "<h3>Variational bound</h3>" in part]
    assert [re.search(r'class="axis"[^>]*>([^<]*)<', part)[1] for part in bounds] == [UPDATES, MINUTES]
    for part, last in zip(bounds, (30, 4.5), strict=True):
        legend = re.findall(r'<li class="([^"]*)"><i></i>(\w+) <span><b>([^<]*)</b>', part)
        assert legend == [("c0 held", "first", "95"), ("c1 held", "second", "70")], "of held-out images"
        assert json.loads(re.search('<script type="application/json">(.*?)</script>', part)[1])[1] == [[last], [70]]
    (error, _) = (part for part in text.split("<figure")[1:] if "<h3>Error</h3>" in part)
    assert json.loads(re.search('<script type="application/json">(.*?)</script>', error)[1]) == [[[9], [50]]]
