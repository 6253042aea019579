"""The live page's manners in a real browser: under fast hands, without its server, for eyes, ears and small screens."""

import re
from pathlib import Path

import pytest
from support.play import THREE, ask, choose, query, sketch

import minidraw.play.server
from minidraw.play import export
from minidraw.play.server import HERE, NAMES

TABS = ("draw", "prior", "filterbank", "clutter")
DRAW, BANK, CLUTTER, PRIOR = "TABS[0].page", "TABS[2].page", "TABS[3].page", "TABS[1].tab"
STATUS = "document.getElementById('status').textContent"
SETTLE = "new Promise(done => setTimeout(done, 150))"
# Holds what the page asks; release(k) lets the k-th go. `asked` are the requests as they were sent.
HOLD = """{
  const real = fetch, held = [];
  window.asked = [];
  window.fetch = (path, sent) => new Promise((resolve, reject) => {
    asked.push(sent && JSON.parse(sent.body));
    held.push(() => real(path, sent).then(resolve, reject).then(() => SETTLE));
  });
  window.release = k => held[k]();
  window.unhold = () => { window.fetch = real; return Promise.all(held.map(one => one())); };
}""".replace("SETTLE", SETTLE)
# Answers everything with a status, or not at all; mend() ends that.
BREAK = """{
  const real = fetch;
  window.tries = 0;
  window.mend = () => { window.fetch = real; };
  window.fetch = async () => {
    tries++;
    if (STATUS === 0) throw new TypeError("Failed to fetch");
    return new Response(BODY, {status: STATUS});
  };
}"""


def broken(page, status: int, body: str = "{}") -> None:
    """Let the server answer so, or be gone for status 0."""
    page.run(BREAK.replace("STATUS", str(status)).replace("BODY", repr(body)))


def ready(open_page, tab: str, **of):
    """Open a tab, and wait until it shows something."""
    page = open_page(tab, **of)
    page.wait({"draw": f"{DRAW}.request", "prior": f"{PRIOR}.shows"}.get(tab, f"TABS[{TABS.index(tab)}].page?.told"))
    return page


# ------------------------------------------------------------------------------------------------------- fast hands


def test_of_many_questions_the_newest_is_sent_and_an_image_that_is_gone_is_not_shown(open_page):
    page = ready(open_page, "filterbank")
    page.run(HOLD)
    before = page.run(f"{BANK}.told.words")
    for k in range(5):
        page.run(f"{BANK}.set({{gx: {k / 10}}})")
    page.run(f"{BANK}.another(), {BANK}.set({{gx: .5}})")
    assert page.run("asked.length") == 1 and page.run("asked[0].window.gx") == 0
    page.run("release(0)")
    page.wait("asked.length === 2")
    assert page.run("asked[1].window.gx") == 0.5
    assert page.run(f"[{BANK}.told.words, {BANK}.told.window.gx]") == [before, 0], "that image is gone"
    page.run("release(1)")
    page.wait(f"{BANK}.told.window.gx === .5")
    assert page.run(f"{BANK}.told.words") != before
    page.run(f"{BANK}.set({{gx: 1}}), {BANK}.set({{gx: 1.5}}), release(2)")
    page.wait(f"{BANK}.told.window.gx === 1")  # on its way to the newest one
    page.run("unhold()")
    page.wait(f"{BANK}.told.window.gx === 1.5")


def test_late_answers_are_of_a_pad_that_is_not_there_any_more(open_page):
    page = ready(open_page, "draw")
    shown = page.run(f"{DRAW}.request")
    page.run(HOLD)
    page.click("#panel-draw button", "Test image")
    page.wait("asked.length")
    page.click("#panel-draw button", "Clear")
    page.run("unhold()")
    assert page.run(f"{DRAW}.pad.empty") and page.run(f"{DRAW}.request") == shown
    sketch(page, ".pad", THREE)
    page.wait(f"'drawn' in {DRAW}.request.image")
    page.click("#panel-draw button", "Clear")
    page.wait(f"'number' in {DRAW}.request.image")  # an example again, not what is gone
    assert page.run(f"{DRAW}.words.textContent").startswith("for example: ")


def test_late_answers_are_of_a_network_that_is_not_chosen_any_more(open_page):
    page = ready(open_page, "draw")
    shown = page.run(f"{DRAW}.request")
    page.run(HOLD)
    page.click("#panel-draw button", "Test image")
    choose(page, "two-digits-small")
    page.wait("asked.length === 1")
    page.run("release(0)")
    page.wait("asked.length === 2")
    assert page.run(f"{DRAW}.request") == shown, "that network is not chosen any more"
    page.run("unhold()")
    page.wait(f"{DRAW}.request.network === 'two-digits-small'")


def test_the_pad_shows_what_the_chosen_network_reads(open_page):
    page = ready(open_page, "draw")
    page.click("#panel-draw button", "Test image")
    page.wait(f"!{DRAW}.pad.empty")
    same = f"String({DRAW}.pad.state.shown.bytes) === String(pixels({DRAW}.player.recording.originals))"
    steps = page.run(f"{DRAW}.pad.history.length")
    choose(page, "two-digits-small")
    page.wait(f"{DRAW}.request.network === 'two-digits-small'")
    assert page.run(same) and page.run(f"{DRAW}.pad.history.length") == steps
    page.run(f"for (let k = 0; k < 99; k++) {DRAW}.pad.change({DRAW}.pad.state)")
    assert page.run(f"{DRAW}.pad.history.length") <= 50


def test_an_answer_for_a_tab_that_is_left_does_not_play_there_nor_tell_elsewhere(open_page):
    page = ready(open_page, "draw")
    page.run(HOLD)
    page.click("#panel-draw button", "Test image")
    page.run("openTab(TABS[3]), tell('here'), unhold()")
    page.wait(f"!{DRAW}.pad.empty && {CLUTTER}.told")
    assert page.run(f"[{DRAW}.player.clock.on, {STATUS}]") == [False, "here"]
    broken(page, 500)
    page.run(f"{CLUTTER}.update(), openTab(TABS[0]), {SETTLE}")
    assert page.run(STATUS) == ""
    page.run("mend(), openTab(TABS[3])")
    page.click("#panel-clutter button", "Play")
    page.run("openTab(TABS[1])")
    page.wait(f"{PRIOR}.sheet.clock.on")
    page.run("openTab(TABS[2])")
    assert page.run(f"{CLUTTER}.clock.on || {PRIOR}.sheet.clock.on") is False


def test_a_hand_that_is_lost_lets_go(open_page):
    page = ready(open_page, "clutter")
    page.run(f"{CLUTTER}.pause()")
    for lost in ("pointercancel", "lostpointercapture"):
        left, top, width, height = page.box(".field")
        page.mouse("move", left + width / 2, top + height / 2)
        page.mouse("down", left + width / 2, top + height / 2)
        page.run(f"{query('.field')}.dispatchEvent(new PointerEvent('{lost}', {{pointerId: 1}}))")
        place = page.run(f"{CLUTTER}.place")
        page.mouse("move", left + width / 4, top + height / 4)
        page.mouse("up", left + width / 4, top + height / 4)
        assert page.run(f"{CLUTTER}.place") == place, lost


def test_a_dropped_file_is_for_the_tab_draw_alone_and_never_leaves_the_page(open_page):
    page = ready(open_page, "clutter")
    page.run("window.mine = true")
    told = page.run(f"{CLUTTER}.told.image")
    page.drop(".field", HERE / "index.html")
    page.run(SETTLE)
    for kind in ("dragover", "drop"):
        page.run("window.file = new DataTransfer(), void file.items.add(new File(['x'], 'x.png'))")
        dropped = f"new DragEvent('{kind}', {{dataTransfer: file, bubbles: true, cancelable: true}})"
        assert page.run(f"{query('.field')}.dispatchEvent({dropped})") is False
    assert page.run("window.mine && location.hash") == "#clutter"
    assert page.run(f"{CLUTTER}.told.image") == told


# ------------------------------------------------------------------------------------------- a server that fails


@pytest.mark.parametrize("status", [400, 403, 413, 500, 503])
def test_what_the_server_refuses_is_one_line_until_something_works(open_page, status):
    page = ready(open_page, "filterbank")
    broken(page, status, '{"error": "no, because"}' if status != 500 else "<p>")
    page.run(f"{BANK}.set({{gx: 1}})")
    page.wait(f"{STATUS} === '{'no, because' if status != 500 else 'minidraw could not do that (500)'}'")
    page.run(f"mend(), {BANK}.set({{gx: .5}})")
    page.wait(f"{STATUS} === '' && {BANK}.told.window.gx === .5")


@pytest.mark.parametrize("tab", ["draw", "filterbank"])
def test_when_the_server_is_back_so_is_the_page(open_page, tab):
    page = ready(open_page, tab)
    broken(page, 0)
    if tab == "draw":
        sketch(page, ".pad", THREE)
    else:
        page.run(f"{BANK}.set({{gx: .5}}), {BANK}.set({{gx: 1}})")
    page.wait(f"{STATUS}.startsWith('minidraw does not answer')")
    page.run("mend()")
    page.wait({"draw": f"'drawn' in {DRAW}.request.image", "filterbank": f"{BANK}.told.window.gx === 1"}[tab])
    page.wait(f"{STATUS} === ''")


@pytest.mark.parametrize("width", [390, 1280])
def test_what_is_told_moves_nothing_and_is_seen_wherever_one_is(open_page, width):
    page = ready(open_page, "prior", width=width)
    page.run(f"{PRIOR}.choose(2), {PRIOR}.choose(5)")
    page.wait(f"{PRIOR}.path")
    top = "document.querySelector('#panel-prior .sheet').getBoundingClientRect().top"
    before = page.run(top)
    page.run("tell('word '.repeat(40), true)")
    assert page.run(top) == before
    page.run("scrollTo(0, 99999)")
    assert page.run("document.getElementById('status').getBoundingClientRect().bottom === innerHeight")
    left, above, w, h = page.box("#panel-prior .parted:last-child .saving button")
    found = page.run(f"document.elementFromPoint({left + w / 2}, {above + h / 2}).textContent")
    assert found == "GIF", "one can click through it"


# --------------------------------------------------------------------------------------------------- eyes and ears


@pytest.mark.parametrize("tab", TABS)
def test_what_matters_is_on_the_first_screen_of_a_projector(open_page, tab):
    seen = {
        "draw": [".pad", ".sheet", ".bars", ".play", ".bound div:last-child", ".saving"],
        "prior": [".sheet", ".play"],
        "filterbank": ["figure.bench", ".results figure:last-child", ".knob:nth-child(6)"],
        "clutter": [".field", ".play", ".glance", ".ways"],
    }[tab]
    page = ready(open_page, tab)
    for width, height in ((1280, 800), (1366, 768), (1920, 1080)):
        page.resize(width, height)
        page.run(f"scrollTo(0, 0), {SETTLE}")
        for selector in seen:
            bottom = page.run(f"{query(f'#panel-{tab} {selector}')}.getBoundingClientRect().bottom")
            assert 0 < bottom <= height, (width, selector)
    page.resize(1280, 800)
    page.run(SETTLE)
    titles = f"[...document.querySelectorAll('#panel-{tab} h3')].filter(one => one.clientHeight > 32)"
    assert page.run(f"{titles}.map(one => one.textContent)") == []


def test_the_header_names_the_network_that_the_tab_asks(open_page, address):
    page = ready(open_page, "draw")
    classifier = ask(address, "house")["classifier"]["name"]
    for tab, own in (("clutter", f"network {classifier}"), ("prior", None), ("filterbank", "")):
        page.click(f"#tab-{tab}")
        seen = "[...document.querySelectorAll('#choice, #own')].filter(one => one.checkVisibility())"
        assert page.run(f"{seen}.map(one => one.id)") == (["choice"] if own is None else ["own"] if own else []), tab
        assert not own or page.run("document.getElementById('own').textContent") == own


def test_every_control_has_a_name_and_cells_are_options(open_page):
    page = ready(open_page, "prior")
    page.run(f"{PRIOR}.choose(2), {PRIOR}.choose(5)")
    page.wait(f"{PRIOR}.path && {PRIOR}.variants.recording")
    page.run(f"{PRIOR}.sheet.canvas.focus()")
    page.key("ArrowRight", "ArrowRight")
    active = f"document.getElementById({PRIOR}.sheet.canvas.getAttribute('aria-activedescendant'))"
    assert page.run(f"[{active}.role, {active}.textContent, {PRIOR}.sheet.canvas.role]") == [
        "option", "drawing 3, A", "listbox",
    ]  # fmt: skip
    chosen = "[...document.querySelectorAll('[role=option][aria-selected=true]')].map(one => one.textContent)"
    assert page.run(chosen) == ["drawing 3, A", "drawing 6, B"]
    controls = {"button", "slider", "checkbox", "spinbutton", "combobox", "listbox", "tab", "image", "application"}
    for tab in TABS:
        page.click(f"#tab-{tab}")
        page.wait(f"document.querySelector('#panel-{tab} canvas')?.width > 50")
        nodes = page.call("Accessibility.getFullAXTree")["nodes"]
        seen = [node for node in nodes if not node["ignored"] and node["role"]["value"] in controls]
        assert len(seen) > 8
        assert [node for node in seen if not node["name"]["value"]] == [], tab


# Texts whose colour is nearer than 4.5 : 1 to what lies behind them, of what is not disabled.
FAINT = """(() => {
  const light = text => {
    const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map(of => of / 255).map(of =>
      of <= .03928 ? of / 12.92 : ((of + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const behind = node => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if (!/, 0\\)$/.test(colour)) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
  while (walk.nextNode()) {
    const node = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || !node.checkVisibility() || node.closest("canvas, .hint, :disabled")) continue;
    const [a, b] = [getComputedStyle(node).color, behind(node)].map(light).sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) found.push(`${node.className || node.tagName}: ${walk.currentNode.data}`);
  }
  return found;
})()"""


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_is_dark_on_light_or_light_on_dark(open_page, dark):
    page = ready(open_page, "draw")
    page.dress(dark=dark, still=True)
    for tab in TABS:
        page.run(f"openTab(TABS[{TABS.index(tab)}])")
        page.wait(f"document.querySelector('#panel-{tab} canvas')?.width > 50")
        page.run(f"tell('wrong', true), {SETTLE}")
        assert page.run(FAINT) == [], tab


def test_for_those_who_like_it_calm_nothing_moves_by_itself(open_page):
    page = ready(open_page, "draw")
    page.dress(still=True)
    page.click("#panel-draw button", "Test image")
    page.wait(f"!{DRAW}.pad.empty")
    assert page.run(f"[{DRAW}.player.clock.on, {DRAW}.player.glimpse]") == [False, 25]
    page.click("#tab-clutter")
    page.wait(f"{CLUTTER}.told")
    assert page.run(f"[{CLUTTER}.clock.on, {CLUTTER}.at]") == [False, 8]


def test_small_things_that_a_lecturer_asked_for(open_page):
    page = ready(open_page, "clutter")
    assert page.run("[nats(99.94), nats(145.8), unavoidable({grey: .4})]") == ["99.9", "146", ""]
    page.run(f"{CLUTTER}.pause(), {CLUTTER}.glimpse = 5, {CLUTTER}.choose(3)")
    page.wait(f"{CLUTTER}.asked.digit.class === 3")
    assert page.run(f"{CLUTTER}.at") == 8, "another digit is seen as it ends"
    page.run("history.replaceState(null, '', '#'), shell.house.opens = 'clutter'")
    assert page.run("ofHash().id") == "clutter"
    page.click("#tab-filterbank")
    page.click("#panel-filterbank button", "far outside")
    page.wait("document.getElementById('filters-picked').textContent.includes('is outside, to the right:')")


# --------------------------------------------------------------------------------------------------------- its files


def test_no_rule_is_for_nothing(open_page):
    page = ready(open_page, "prior")
    page.run(f"{PRIOR}.choose(2), {PRIOR}.choose(5)")
    for tab in TABS:
        page.click(f"#tab-{tab}")
        page.wait(f"document.querySelector('#panel-{tab} canvas')?.width > 50")
    page.wait(f"{PRIOR}.path && {CLUTTER}.told && {BANK}.told")
    rules = "[...document.styleSheets].find(one => one.href.endsWith('play.css')).cssRules"
    texts = page.run(f"[...{rules}].flatMap(one => one.selectorText || [...one.cssRules].map(of => of.selectorText))")
    moods = r"::?(?!not|nth)[\w-]+(\(.*?\))?|\.(wrong|right|past|now)\b"
    parts = {re.sub(moods, "", part) for text in texts for part in text.split(", ")}
    unused = [part for part in parts if part.strip() and not page.run(query(part) + " !== null")]
    assert sorted(unused) == ["#both", "#both p", "#both section", ".export main > p"]  # of the exported page


def test_its_files_are_short_and_all_are_served():
    own = {path.name: path.read_text(encoding="utf-8").splitlines() for path in HERE.iterdir()}
    assert {*own} == {*NAMES, "index.html", "export.js"}
    for name, lines in own.items():
        assert len(lines) <= 300 and max(map(len, lines)) <= 120, name
    assert sum(path.stat().st_size for path in HERE.iterdir()) < 150_000
    assert {path.name for path in export.SCRIPTS} - {"export.js"} < {*NAMES}
    assert Path(minidraw.play.server.__file__).parent / "page" == HERE
