"""The tab "From noise" in a browser: what it shows are the labs' answers to what was clicked."""

import numpy as np
from support.play import ask

from minidraw.play.house import DEFAULT

TAB = "TABS.find(one => one.id === 'prior').tab"
SHEET = {"network": DEFAULT, "seed": 0, "count": 24}


def choose(page, cell: int) -> None:
    """Click a drawing of the sheet."""
    left, top, width, _ = page.box("#panel-prior .sheet")
    x, y = page.run(f"(s => s.corner({cell}).map(v => (v + s.cellHeight / 2) / s.canvas.width))({TAB}.sheet)")
    page.drag([(left + x * width, top + y * width)])


def wait_for(page, player: str, recording: dict) -> None:
    """Wait until a player shows a recording."""
    page.wait(f"{TAB}.{player}.recording?.canvas === '{recording['canvas']}'")


def test_a_sheet_what_a_glimpse_decides_and_a_walk(open_page, address):
    page = open_page("prior")
    wait_for(page, "sheet", ask(address, "draw", SHEET)["recording"])
    assert not page.run(f"{TAB}.deciding.checkVisibility()")
    choose(page, 5)
    of = SHEET | {"which": 5, "others": 8}
    wait_for(page, "variants", ask(address, "decide", of | {"glimpse": 1})["recording"])
    assert page.run(f"{TAB}.variants.glimpse") == 25, "what came out is shown at once"
    page.run(f"{TAB}.glimpse.slider.focus()")
    page.key("ArrowRight", "ArrowRight", "ArrowRight")
    wait_for(page, "variants", ask(address, "decide", of | {"glimpse": 4})["recording"])
    assert page.run(f"{TAB}.decides.textContent") == "What does glimpse 4 decide?"
    assert not page.run(f"{TAB}.walking.checkVisibility()")
    page.run(f"{TAB}.sheet.canvas.focus()")
    page.key("ArrowRight", "ArrowRight", "Enter")
    walk = ask(address, "walk", SHEET | {"from": 5, "to": 7, "steps": 17})["recording"]
    page.wait(f"{TAB}.path?.canvas === '{walk['canvas']}'")
    assert page.run(f"getComputedStyle({TAB}.row).display") == "flex"
    page.click("#panel-prior .steps button", "A")
    assert page.run(f"{TAB}.walker.recording.canvas === only({TAB}.sheet.recording, 5).canvas")
    page.click("#panel-prior .steps button", "B")
    assert page.run(f"{TAB}.walker.recording.canvas === only({TAB}.sheet.recording, 7).canvas")
    for place, (lab, kind) in enumerate((("decide", "png"), ("walk", "gif")), start=1):
        page.click(f"#panel-prior .parted:nth-of-type({place}) .saving button", kind.upper())
        assert page.downloaded(f"*{lab}.{kind}").stat().st_size > 1000
    page.click("#panel-prior button", "Other noise")
    wait_for(page, "sheet", ask(address, "draw", SHEET | {"seed": 1})["recording"])
    assert page.run(f"{TAB}.marks.length") == 0 and not page.run(f"{TAB}.deciding.checkVisibility()")


def test_bars_tell_how_much_every_glimpse_decides(open_page, address):
    page = open_page("prior")
    page.wait(f"{TAB}.shows")
    choose(page, 5)
    bars = "[...document.querySelectorAll('#panel-prior .stepper .bars i')]"
    page.wait(f"{bars}.length === 24")
    heights = np.array(page.run(f"{bars}.map(bar => bar.clientHeight)"))
    told = np.array(ask(address, "influence", SHEET | {"which": 5, "others": 8})["influence"])
    assert np.abs(heights / heights.max() - told / told.max()).max() < 0.03 and heights.max() > 40
    assert f"{100 * told.max():.1f} % at most, {100 * told[-1]:.1f} % by the last" in page.run(
        f"{TAB}.most.textContent"
    )
    page.click("#panel-prior .stepper .bars button:nth-child(12)")
    of = SHEET | {"which": 5, "others": 8, "glimpse": 12}
    wait_for(page, "variants", ask(address, "decide", of)["recording"])
    marked = page.run("[...document.querySelectorAll('#panel-prior .stepper .bars button')].map(b => b.className)")
    assert marked == ["past"] * 11 + ["now"] + [""] * 12
    middles = page.run(f"(box => box.left + box.width / 2)({bars}[11].getBoundingClientRect())")
    left, _, width, _ = page.box("#panel-prior .stepper input")
    assert left > page.run(f"{TAB}.glimpse.label.getBoundingClientRect().right"), "it stands beside its words"
    assert abs(left + 11 + (width - 22) * 11 / 23 - middles) < 2, "the thumb is below its bar"


def test_after_an_unfit_seed_the_sheet_that_is_seen_is_chosen_from(open_page, address):
    page = open_page("prior")
    page.wait(f"{TAB}.shows")
    page.run(f"{TAB}.seed.value = -1, {TAB}.seed.onchange()")
    page.wait("document.querySelector('#status.wrong')?.textContent.startsWith('seed must be a whole number')")
    page.wait(f"{TAB}.shows")
    choose(page, 0)
    wait_for(page, "variants", ask(address, "decide", SHEET | {"which": 0, "others": 8, "glimpse": 1})["recording"])
    assert page.run("document.querySelector('#status').textContent") == ""
    assert len(page.problems) == 1 and "400" in page.problems[0]
    page.said.clear()


def test_playing_through_all_glimpses_ends_with_the_last(open_page, address):
    page = open_page("prior")
    page.wait(f"{TAB}.shows")
    choose(page, 0)
    page.run(f"{TAB}.glimpse.milliseconds = 0")
    page.click("#panel-prior button", "Play through all glimpses")
    last = ask(address, "decide", SHEET | {"which": 0, "others": 8, "glimpse": 24})["recording"]
    wait_for(page, "variants", last)
    page.wait(f"{TAB}.glimpse.button.textContent === 'Play through all glimpses'")
