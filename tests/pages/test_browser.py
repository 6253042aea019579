"""The pages in a real browser, where there is one: nothing is wider than a phone, and the console stays silent."""

import html
import re
import shutil
import subprocess

import pytest
from support.runs import classifier, run, trainer

pytestmark = pytest.mark.usefixtures("small_strokes")

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --enable-logging=stderr --v=0 --virtual-time-budget=2000 --dump-dom"
).split()
WIDTHS = (390, 1280)  # pixels of a phone and of a desktop
PROBE = """
addEventListener("load", () => {
  for (const frame of document.querySelectorAll("iframe")) {
    const page = frame.contentDocument, svg = page.querySelector("figure.chart svg"), box = svg.getBoundingClientRect();
    const Pointer = frame.contentWindow.PointerEvent, before = page.querySelector("li span").textContent;
    svg.dispatchEvent(new Pointer("pointermove", {clientX: box.left + box.width / 2}));
    const told = page.querySelector("li span").textContent !== before ? "told" : "silent";
    document.body.append(`[${frame.clientWidth} ${page.documentElement.scrollWidth} ${told}]`);
  }
});
"""


def test_pages_fit_a_phone_and_raise_no_error(tmp_path):
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    assert trainer(tmp_path / "run", steps=13).run() and classifier(tmp_path / "ram").run()
    assert run("compare", tmp_path / "run", tmp_path / "ram", "--out", tmp_path / "compare.html") == 0
    pages = [tmp_path / "run" / "report.html", tmp_path / "ram" / "report.html", tmp_path / "compare.html"]
    frames = "".join(
        f'<iframe style="width: {width}px; height: 900px; border: 0" srcdoc="{html.escape(page.read_text())}"></iframe>'
        for page in pages
        for width in WIDTHS
    )
    (tmp_path / "all.html").write_text(f"<!doctype html><body>{frames}<script>{PROBE}</script></body>")
    command = [browser, *QUIET, f"--user-data-dir={tmp_path / 'profile'}", f"file://{tmp_path / 'all.html'}"]
    seen = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "CONSOLE" not in seen.stderr, seen.stderr
    found = re.findall(r"\[(\d+) (\d+) (\w+)\]", seen.stdout)
    assert len(found) == len(pages) * len(WIDTHS), (seen.returncode, seen.stderr[-2000:])
    for inside, wide, told in found:
        assert int(wide) <= int(inside) and told == "told", found
