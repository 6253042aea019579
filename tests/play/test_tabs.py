"""The live page's other tabs in a real browser, and the exported page: every number and picture is the server's."""

import base64

import numpy as np
from support.play import (
    READING,
    WRITING,
    ask,
    cell,
    coloured,
    frames,
    opened,
    picture,
    query,
    sampled,
    saved,
    slide,
)

from minidraw.play.__main__ import main


def text(page, selector: str) -> str:
    """Return the text of an element."""
    return page.run(f"{query(selector)}.textContent")


def square(b64: str, *shape: int) -> np.ndarray:
    """Return an answer's pixels, (..., N, N, 1)."""
    return np.frombuffer(base64.b64decode(b64), np.uint8).reshape(*shape, shape[-1], 1)


def near(page, selector: str, x: float, y: float) -> bool:
    """Tell whether the blue on a canvas has its middle at a place in hundredths of it."""
    n, *found = coloured(page, selector, READING)
    return n > 200 and np.allclose(found, [x / 100, y / 100], atol=0.02)


def test_from_noise(open_page, address):
    page, tab = open_page("prior"), "TABS[1].tab"
    of = {"network": "mnist-small", "seed": 0, "count": 24}

    def last(lab: str, **asked) -> np.ndarray:  # (n, 28, 28, 1)
        recording = ask(address, lab, of | asked)["recording"]
        if lab == "decide":
            page.wait(f"{tab}.variants.recording?.canvas === {recording['canvas']!r}")
        return frames(recording, "canvas")[-1]

    def click(i: int) -> None:
        left, top, _, _ = page.box("#panel-prior canvas.sheet")
        x, y = page.run(f"{tab}.sheet.corner({i})")
        page.drag([(left + x + 30, top + y + 30)])

    page.wait(f"{tab}.sheet.glimpse > 2")  # it plays by itself
    sheet = last("draw")
    slide(page, "#panel-prior .timeline input", "End")
    for i in (0, 7, 23):
        np.testing.assert_array_equal(cell(page, f"{tab}.sheet", i), sheet[i])
    slide(page, "#panel-prior .timeline input", "ArrowLeft")
    assert coloured(page, "#panel-prior canvas.sheet", WRITING)[0] > 500
    assert coloured(page, "#panel-prior canvas.sheet", READING)[0] == 0
    assert page.run(f"{tab}.deciding.hidden && {tab}.walking.hidden")

    click(7)
    for glimpse in (1, 2):
        variants = last("decide", which=7, glimpse=glimpse, others=8)
        assert text(page, "#panel-prior section h2") == f"What does glimpse {glimpse} decide?"
        for i in (0, 1, 8):  # but for a frame and a mark
            np.testing.assert_array_equal(cell(page, f"{tab}.variants", i)[9:26, 2:26], variants[i, 9:26, 2:26])
        slide(page, "#panel-prior .stepper input", "ArrowRight")
    np.testing.assert_array_equal(variants[0], sheet[7])

    slide(page, "#panel-prior canvas.sheet", *["ArrowRight"] * 5, "Enter")
    page.wait(f"{tab}.path")
    walk = last("walk", **{"from": 7, "to": 12, "steps": 17})
    np.testing.assert_array_equal(walk[[0, 16]], sheet[[7, 12]])
    for i in (0, 12, 16):
        page.click(f"#panel-prior .steps button:nth-child({i + 1})")
        np.testing.assert_array_equal(cell(page, f"{tab}.walker"), walk[i])
    page.click("#panel-prior button", "Walk")
    page.wait(f"{tab}.step.value > 3 && {tab}.step.value < 15")
    page.click("#panel-prior button", "Stop")
    np.testing.assert_array_equal(cell(page, f"{tab}.walker"), walk[page.run(f"{tab}.step.value") - 1])
    click(12)
    page.wait(f"{tab}.walking.hidden")
    page.click("#panel-prior button", "Other noise")
    page.wait(f"{tab}.shows?.seed === 1 && {tab}.deciding.hidden")
    assert len(opened(saved(page, "#panel-prior .saving button", "png"))) == 1


def test_the_filterbank(open_page, address):
    page, tab, bench = open_page("filterbank"), "TABS[2].page", "#panel-filterbank canvas[tabindex]"
    page.wait(f"{tab}.told")

    def answer() -> dict:
        told = ask(address, "filterbank", page.run(f"{tab}.request"))
        page.wait(f"{tab}.told.box.join() === {','.join(f'{of:.16g}' for of in told['box'])!r}")
        return told

    first = answer()
    assert near(page, bench, *first["box"][:2])
    assert text(page, "#panel-filterbank").count("sum is 1.000000") == 2
    left, top, width, height = page.box(bench)
    page.drag([(left + width / 2, top + height / 2), (left + width * 0.7, top + height * 0.4)])
    moved = answer()
    assert np.allclose(np.subtract(moved["box"], first["box"])[:2], [20, -10], atol=0.6)
    assert near(page, bench, *moved["box"][:2])
    patch = sampled(page, query("#panel-filterbank .results canvas"), (12, 12, 1))
    np.testing.assert_array_equal(patch, square(moved["patch"], 12))
    x, y, half, _ = moved["box"]
    corner = left + width * (x + half) / 100, top + height * (y + half) / 100
    page.drag([corner, (corner[0] + 20, corner[1] + 20)])
    assert answer()["delta"] > moved["delta"] * 1.05, "a corner is pulled"

    numbers = {"gx": "centre", "gy": "centre", "log_delta": "delta", "log_variance": "sigma", "log_gamma": "gamma"}
    for k, (name, number) in enumerate((numbers | {"size": "size"}).items()):
        before = page.run(f"{tab}.request")
        slide(page, f"#panel-filterbank .knobs > :nth-child({k + 1}) input", "ArrowLeft", "ArrowLeft", "ArrowLeft")
        after = page.run(f"{tab}.request")
        assert (after["window"] | after)[name] < (before["window"] | before)[name]
        found = ask(address, "filterbank", after)[number]
        found = found[name == "gy"] if number == "centre" else found
        page.wait(f"{tab}.equations.{name}.textContent.includes(`${{figures({found})}} `)")
    page.click("#panel-filterbank button", "another digit")
    page.wait(f"{tab}.told.words !== {first['words']!r}")
    assert len(opened(saved(page, "#panel-filterbank .saving button", "png"))) == 1


def test_find_the_digit(open_page, address):
    page, tab = open_page("clutter"), "TABS[3].page"
    page.wait(f"{tab}.at > 1 && {tab}.at < 8")  # it plays by itself

    def answer() -> dict:
        told = ask(address, "classify", page.run(f"{tab}.request"))
        page.wait(f"{tab}.told.image === {told['image']!r}")
        chances = told["probabilities"][page.run(f"{tab}.at") - 1]
        bars = (
            "[...document.querySelectorAll('.chances b')].map(one => one.clientWidth / one.parentElement.clientWidth)"
        )
        np.testing.assert_allclose(page.run(bars), chances, atol=0.02)
        assert text(page, ".verdict b") == str(np.argmax(chances))
        return told

    slide(page, "#panel-clutter .timeline input", "End")
    first = answer()
    for t in (7, 4):
        page.click(f"#panel-clutter table tr:nth-child({t + 2}) button")
        assert text(page, "#panel-clutter .controls output") == f"glimpse {t + 1} of 8"
        seen = sampled(page, query("#panel-clutter .glance canvas"), (12, 12, 1))
        np.testing.assert_array_equal(seen, square(first["seen"], 8, 12)[t])
    page.click("#panel-clutter label", "earlier windows")
    assert near(page, ".field", *first["read"][4][:2])

    left, top, width, height = page.box(".field")
    ways = first["place"], (60 if first["place"][0] < 36 else 5, 10)
    page.drag([(left + width * (x + 14) / 100, top + height * (y + 14) / 100) for x, y in ways])
    moved = answer()
    assert np.allclose(moved["place"], ways[1], atol=1) and moved["label"] == first["label"]
    page.click("#panel-clutter button", "3")
    page.wait(f"{tab}.told.label === 3")
    page.click("#panel-clutter label", "no clutter")
    page.wait(f"{tab}.request.scraps === 0")
    answer()
    slide(page, "#panel-clutter .timeline input", "End")
    page.click("#panel-clutter button", "Play")
    page.wait(f"{tab}.at > 1 && {tab}.at < 8")
    assert len(opened(saved(page, "#panel-clutter .saving button", "gif"))) == 8 + 1  # at last without its window


def test_the_exported_page_plays(browser, tmp_path, small_strokes):
    assert main(["--export", str(tmp_path / "page.html"), "--threads", "1"]) == 0
    page = browser.open((tmp_path / "page.html").as_uri(), width=390)
    again, new = (f"section:nth-child({k})" for k in (1, 2))
    before = [picture(page, f"{one} .sheet") for one in (again, new)]
    page.wait("[...document.querySelectorAll('.controls output')].every(one => parseInt(one.textContent.slice(8)) > 2)")
    assert all(picture(page, f"{one} .sheet") != old for one, old in zip((again, new), before, strict=True))
    assert page.run("document.documentElement.scrollWidth") <= 390
    assert page.run("document.querySelectorAll('.bars i').length") == 24
    for button in (2, 6):
        page.click(f"{new} .steps button:nth-child({button})")
        slide(page, f"{new} .timeline input", "End")
        small = sampled(page, query(f"{new} .steps button:nth-child({button}) canvas"), (28, 28, 1))
        np.testing.assert_array_equal(sampled(page, query(f"{new} .sheet"), (28, 28, 1)), small)
    slide(page, f"{again} .timeline input", "Home", "ArrowRight")
    assert min(coloured(page, f"{again} .sheet", colour)[0] for colour in (READING, WRITING)) > 100
    assert page.problems == []
    page.close()
