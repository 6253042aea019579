"""The pages in a real browser, where there is one: nothing is wider than a phone, and the console stays silent."""

import html
import json
import shutil

import pytest
from support.runs import classifier, run, trainer

from minidraw.pages.report import write_report

pytestmark = pytest.mark.usefixtures("small_strokes")

WIDTHS = (390, 768, 1280)  # pixels of a phone, of a tablet and of a desktop
LONG = "a_name-without-any-space_" * 6
# Of every page: its width and that of what is on it, whether a chart tells its numbers, where the first picture begins
# and ends, and what is wider than its box.
PROBE = """
[...document.querySelectorAll("iframe")].map(frame => {
  const page = frame.contentDocument, svg = page.querySelector("figure.chart svg"), box = svg.getBoundingClientRect();
  const Pointer = frame.contentWindow.PointerEvent, before = page.querySelector("li span").textContent;
  svg.dispatchEvent(new Pointer("pointermove", {clientX: box.left + box.width / 2}));
  const picture = page.querySelector("figure img[alt]").getBoundingClientRect();
  const boxes = ".tiles div, .tiles p, h1, h3, dl, dl div, figure, figcaption, .table, th, td, pre";
  const over = [...page.querySelectorAll(boxes)].filter(one => one.scrollWidth > one.clientWidth);
  return {
    inside: frame.clientWidth, wide: page.documentElement.scrollWidth, top: picture.top, bottom: picture.bottom,
    told: page.querySelector("li span").textContent !== before,
    over: over.map(one => one.outerHTML.slice(0, 99)),
  };
})
"""


def test_pages_fit_a_phone_and_raise_no_error(tmp_path, browser):
    assert trainer(tmp_path / "run", steps=13).run() and classifier(tmp_path / "ram").run()
    shutil.copytree(tmp_path / "run", tmp_path / LONG)
    config = json.loads((tmp_path / LONG / "config.json").read_text())
    config["data"] = config["train"]["data"] = f"folder:/{LONG}{LONG}"
    (tmp_path / LONG / "config.json").write_text(json.dumps(config))
    large = {name: 12345678.9 for name in ("loss", "reconstruction", "validation_loss", "validation_reconstruction")}
    lines = [
        {"step": 1234567 + k, "seconds": 4e6, "epoch": 12345.6, "images_per_second": 98765.4} | large for k in (0, 1)
    ]
    (tmp_path / LONG / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    write_report(tmp_path / LONG)
    assert run("compare", tmp_path / "run", tmp_path / "ram", "--out", tmp_path / "compare.html") == 0
    assert run("compare", tmp_path / "run", tmp_path / LONG, "--out", tmp_path / "long.html") == 0
    pages = [tmp_path / name / "report.html" for name in ("run", "ram", LONG)]
    pages += [tmp_path / "compare.html", tmp_path / "long.html"]
    frames = "".join(
        f'<iframe style="width: {width}px; height: 900px; border: 0" srcdoc="{html.escape(page.read_text())}"></iframe>'
        for page in pages
        for width in WIDTHS
    )
    (tmp_path / "all.html").write_text(f"<!doctype html><body>{frames}")
    page = browser.open(f"file://{tmp_path / 'all.html'}")
    found = page.run(PROBE)
    assert page.problems == []
    page.close()
    assert len(found) == len(pages) * len(WIDTHS)
    for of in found:
        assert of["wide"] <= of["inside"] and of["told"] and of["over"] == [], of
    for of in found[: len(WIDTHS)]:
        assert 0 < of["top"] < 700 and of["bottom"] > of["top"] + 200, "a drawing is on the first screen, or begins"
