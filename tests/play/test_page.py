"""The live page in a real browser: what is drawn is read and shown as the library has it; and what all tabs share."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image
from support.play import (
    ONE,
    READING,
    THREE,
    WRITING,
    ask,
    cell,
    choose,
    coloured,
    frames,
    opened,
    picture,
    query,
    sampled,
    saved,
    sketch,
    slide,
)

import minidraw
from minidraw.pictures.photos import centred
from minidraw.play.drawing import save

PHOTO = Path(__file__).resolve().parents[2] / "examples" / "photo.png"
PAD, SHEET, SLIDER = "#panel-draw .pad", "#panel-draw canvas.sheet", "#panel-draw .timeline input"
NUMBER = "document.querySelector('#panel-draw .controls output').textContent"
PLAYER, ASKED = "TABS[0].page.player", "TABS[0].page.request"
TABS = ("draw", "prior", "filterbank", "clutter")
# Gathers the pictures that the sheet shows of what was drawn.
GATHER = f"""window.seen = new Set(), (function look() {{
  if ({ASKED}?.image.drawn) seen.add({query(SHEET)}.toDataURL());
  if (seen.size < 6) requestAnimationFrame(look);
}})()"""


def draw(page, stroke, touch: bool = False) -> dict:
    """Draw a stroke on the pad, and return the request whose answer is shown then."""
    page.run("delete document.body.dataset.latency")
    sketch(page, PAD, stroke, touch)
    assert float(page.wait("document.body.dataset.latency")) > 0
    return page.run(ASKED)


def ink(drawn: str) -> np.ndarray:
    """Return the image (1, 1, 28, 28) that is to be made of what was drawn."""
    with Image.open(io.BytesIO(base64.b64decode(drawn))) as opened:
        ink = np.asarray(opened.convert("L")) > 127
    (top, *_, bottom), (left, *_, right) = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return centred(ink[top : bottom + 1, left : right + 1])[None, None]


def assert_shown(page, address: str) -> dict:
    """Assert that the tab shows image and drawing as the server gives them for its request; return the answer."""
    answer = ask(address, "read", page.run(ASKED))
    slide(page, SLIDER, "End")
    for name, right in (("originals", False), ("canvas", True)):
        np.testing.assert_array_equal(cell(page, PLAYER, 0, right), frames(answer["recording"], name)[-1, 0])
    return answer


def test_a_drawn_digit_is_read_and_drawn_again(open_page, address):
    page = open_page()
    before = picture(page, PAD)
    page.run(GATHER)
    draw(page, THREE)
    assert picture(page, PAD) != before
    page.wait("seen.size > 5")  # it plays by itself
    answer = assert_shown(page, address)
    recording, kl = answer["recording"], answer["kl"]
    assert page.run(NUMBER) == "what came out"
    assert coloured(page, SHEET, READING)[0] == coloured(page, SHEET, WRITING)[0] == 0
    slide(page, SLIDER, "Home", *["ArrowRight"] * 10)
    assert page.run(NUMBER).startswith("glimpse 10 of 24")
    for colour, name, half in ((READING, "read", 0.0), (WRITING, "write", 0.5)):
        n, x, y = coloured(page, SHEET, colour)
        (box,) = recording[name][9]
        assert n > 500 and abs(x - half - box[0] / 56) < 0.02 and abs(y - box[1] / 28) < 0.02, name
    page.click("#panel-draw .controls label input")
    np.testing.assert_array_equal(cell(page, PLAYER, 0, True), frames(recording, "ink")[9, 0])
    bars = page.run("[...document.querySelectorAll('.bars i')].map(one => [one.clientWidth, one.clientHeight])")
    bars = np.array(bars)
    assert len(bars) == len(kl) == 24 and bars[:, 0].min() > 3
    assert np.abs(bars[:, 1] / bars[:, 1].max() - np.array(kl) / max(kl)).max() < 0.03
    page.click("#panel-draw .bars button:nth-child(23)")
    assert page.run(NUMBER) == f"glimpse 23 of 24 · KL {kl[22]:.2f}"
    page.click("#panel-draw button.play")
    page.wait(f"{NUMBER} === 'what came out'")


def test_the_numbers_are_the_librarys(open_page, address):
    page = open_page()
    image = ink(draw(page, THREE)["image"]["drawn"])
    loss = minidraw.load("mnist-small", threads=1).loss(image, seed=0)
    expected = [f"{nats:.1f}" for nats in (loss.total, loss.reconstruction, loss.latent)]
    assert page.run("[...document.querySelectorAll('.bound b')].map(one => one.textContent)") == expected
    original = frames(assert_shown(page, address)["recording"], "originals")[0, 0, :, :, 0]
    np.testing.assert_array_equal(original, np.rint(255 * image[0, 0]))
    page.click("#panel-draw button", "Draw it otherwise")
    page.wait(f"{ASKED}.seed === 1")
    assert_shown(page, address)


def test_undo_clear_and_a_finger(open_page, address):
    page = open_page(width=390)
    page.resize(390, 800, phone=True)
    first = draw(page, THREE, touch=True)
    once = picture(page, PAD)
    assert page.run("scrollY") == 0, "the pad is drawn on, not scrolled"
    assert draw(page, ONE, touch=True) != first and picture(page, PAD) != once
    page.click("#panel-draw button", "Undo")
    page.wait(f"{ASKED}.image.drawn === {first['image']['drawn']!r}")
    assert picture(page, PAD) == once
    page.click("#panel-draw button", "Clear")
    clear = picture(page, PAD)
    page.key("Control+z")
    assert picture(page, PAD) == once != clear
    page.key("Control+z")
    assert picture(page, PAD) == clear


def test_pictures_and_test_images(open_page, address):
    page = open_page()
    page.click("#panel-draw button", "Test image")
    page.wait("!TABS[0].page.pad.empty")
    assert_shown(page, address)
    for network, shape in (("two-digits-small", (60, 60, 1)), ("mnist-small", (28, 28, 1))):
        choose(page, network)
        page.wait(f"{ASKED}.network === {network!r}")
        answer = assert_shown(page, address)
        np.testing.assert_array_equal(sampled(page, query(PAD), shape), frames(answer["recording"], "originals")[0, 0])
    words = "document.querySelector('#panel-draw .words').textContent"
    assert page.run(words) == answer["words"]
    laid = picture(page, PAD)
    page.upload("#panel-draw input[type=file]", PHOTO)
    page.wait(f"{ASKED}.image.name === 'photo.png'")
    given = page.run(ASKED)["image"]
    assert base64.b64decode(given["picture"]) == PHOTO.read_bytes() and picture(page, PAD) != laid
    assert page.run(words) == assert_shown(page, address)["words"]
    page.click("#panel-draw button", "Clear")
    page.run(f"{ASKED} = null")
    page.drop(PAD, PHOTO)
    page.wait(f"{ASKED}?.image.name === 'photo.png'")
    assert page.run(ASKED)["image"] == given
    page.drop(PAD, Path(__file__))
    page.wait("document.querySelector('#status.wrong')?.textContent.includes('test_page.py')")
    assert [problem for problem in page.said if "400" not in problem] == []
    page.said.clear()  # a browser notes every 400 in its console


def test_files_are_saved(open_page, tmp_path):
    page = open_page()
    image = ink(draw(page, ONE)["image"]["drawn"])
    drawing = minidraw.load("mnist-small", threads=1).redraw(image, seed=0)
    for kind, n in (("gif", 24 + 2), ("png", 1)):
        save(drawing, tmp_path / f"expected.{kind}", plain=False, boxes=True)
        found = opened(saved(page, "#panel-draw .saving button", kind))
        assert len(found) == n
        np.testing.assert_array_equal(found, opened((tmp_path / f"expected.{kind}").read_bytes()))


def test_two_windows_with_different_networks(open_page, address):
    one, other = open_page(), open_page()
    choose(other, "two-digits-small")
    other.wait(f"{ASKED}?.network === 'two-digits-small'")
    for page in (one, other):
        page.run("delete document.body.dataset.latency")
    for page in (one, other):
        sketch(page, PAD, THREE)
    for page, name, T in ((one, "mnist-small", 24), (other, "two-digits-small", 32)):
        page.wait("document.body.dataset.latency")
        assert page.run(ASKED)["network"] == name and "drawn" in page.run(ASKED)["image"]
        assert len(assert_shown(page, address)["kl"]) == T
        assert page.run("document.querySelectorAll('#panel-draw .bars i').length") == T
    choose(one, "two-digits-small")
    one.wait(f"{ASKED}.network === 'two-digits-small'")
    assert_shown(one, address)


def test_tabs_by_keyboard_and_after_a_reload_without_motion(open_page):
    page = open_page()
    page.run("document.querySelector('[role=tab][aria-selected=true]').focus()")
    visible = "[...document.querySelectorAll('[role=tabpanel]')].filter(one => one.clientWidth).map(one => one.id)"
    for tab in (*TABS[1:], TABS[0]):
        page.key("ArrowRight")
        assert page.run(visible) == [f"panel-{tab}"] and page.run("location.hash") == f"#{tab}"
        assert page.run("document.activeElement.id") == f"tab-{tab}"
    page.key("End")
    page.dress(still=True)
    page.go()
    page.wait(f"({visible})[0] === 'panel-clutter' && TABS[3].page.told")
    assert page.run("!TABS[3].page.playing && TABS[3].page.at === 8"), "nothing moves for who wants it so"
    assert page.run("document.querySelector('[aria-selected=true]').id") == "tab-clutter"


def test_nothing_is_wider_than_the_screen_dark_or_light(open_page):
    page, grounds = open_page(), []
    beyond = "filter(one => one.getBoundingClientRect().right > innerWidth + 1).map(one => one.outerHTML.slice(0, 99))"
    for width, dark in ((390, False), (768, True)):
        page.resize(width, 800, phone=True)
        page.dress(dark=dark)
        for tab in TABS:
            page.click(f"#tab-{tab}")
            page.wait(f"document.querySelector('#panel-{tab} canvas')?.width > 50")
            page.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
            assert page.run(f"[...document.querySelectorAll('main *')].{beyond}") == [], (width, tab)
            assert page.run("document.documentElement.scrollWidth") <= width, tab
        ground = page.run("getComputedStyle(document.body).backgroundColor")
        grounds.append(sum(map(int, ground[4:-1].split(", "))) / 3)
    assert grounds[0] > 200 and grounds[1] < 60
