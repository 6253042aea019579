"""python -m tools.screenshots [--out docs/play]: the live page's pictures for the documents; needs Chromium."""

import argparse
import sys
from pathlib import Path

from PIL import Image

from minidraw.cli import run
from minidraw.errors import UserError

from . import ROOT

sys.path.insert(0, str(ROOT / "tests"))
from support.browser import Browser, found, missing
from support.play import THREE, serving, sketch, slide

SIZE = (1280, 800)  # CSS pixels


def draw(page) -> None:
    """A digit that was drawn, in the middle of being read and drawn again."""
    sketch(page, ".pad", THREE)
    page.wait("document.body.dataset.latency")
    slide(page, "#panel-draw .timeline input", "Home", *["ArrowRight"] * 13)


def filterbank(page) -> None:
    """A window, its filters, what is read and what is written back."""
    page.wait("TABS[2].page.told")


def clutter(page) -> None:
    """A digit that was found."""
    page.wait("TABS[3].page.told")
    slide(page, "#panel-clutter .timeline input", "End")


PICTURES = {"draw": draw, "filterbank": filterbank, "clutter": clutter}


def main(arguments: list[str]) -> int:
    """Write NAME.png of every tab in PICTURES, and tell their sizes."""
    parser = argparse.ArgumentParser("python -m tools.screenshots", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "play", help="folder (default: docs/play)")
    out = parser.parse_args(arguments).out
    if not found():
        raise UserError(missing())
    out.mkdir(parents=True, exist_ok=True)
    with serving("--threads", 1) as address, Browser() as browser:
        for name, show in PICTURES.items():
            page = browser.open(f"{address}/#{name}", *SIZE)
            page.wait(f"document.querySelector('#panel-{name} canvas')")
            show(page)
            page.run("document.activeElement.blur(), new Promise(done => setTimeout(done, 500))")
            if page.problems:
                raise UserError(f"the tab {name} complains: {page.problems[0]}")
            shot = out / f"{name}.png"
            page.screenshot(shot)
            with Image.open(shot) as taken:
                taken.convert("RGB").save(shot, optimize=True)
            print(f"{shot}: {shot.stat().st_size / 1e3:.0f} kB")
    return 0


if __name__ == "__main__":
    run(main)
