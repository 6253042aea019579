"""The exported page: one file, of the library's numbers, in which nothing but its own script may run."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from minidraw import UserError
from minidraw.data.images import Images
from minidraw.play import export as exporting
from minidraw.play.export import EACH, chosen, export, in_script, page, seen
from minidraw.play.house import DEFAULT, House

pytestmark = pytest.mark.usefixtures("small_strokes")
HOSTILE = "</script><script>alert(1)</script><!-- <b onclick='x'>\u2028\ud800"


class Parts(HTMLParser):
    """What stands in a page: elements with their attributes, and the text inside scripts and styles."""

    def __init__(self, content: bytes):
        super().__init__()
        self.elements, self.inside = [], []
        self.feed(content.decode())

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag in ("script", "style"):
            self.inside.append([tag, dict(attributes).get("type"), ""])

    def handle_data(self, data):
        if self.cdata_elem:
            self.inside[-1][2] += data

    @property
    def recorded(self):
        [content] = [content for tag, kind, content in self.inside if kind == "application/json"]
        return json.loads(content)


@pytest.fixture
def house():
    """The networks of the package, and no data but what it draws itself."""
    return House(threads=1)


def test_two_exports_of_a_seed_are_the_same_file(house, tmp_path):
    for folder, seed in (("a", 3), ("b", 3), ("c", 4)):
        told = export(house, tmp_path / folder / "lecture.html", seed)
    assert f"{EACH} images drawn again and {EACH} new drawings of {DEFAULT}" in told
    a, b, c = ((tmp_path / folder / "lecture.html").read_bytes() for folder in "abc")
    assert a == b != c
    assert b"<code>python -m minidraw.play --seed 3 --export lecture.html</code>" in a


def test_a_page_for_everybody_does_not_tell_where_somebodys_files_are(house, tmp_path):
    private = tmp_path / "jane"
    for k in range(12):
        (private / "faces").mkdir(parents=True, exist_ok=True)
        Image.new("L", (28, 28), 20 * k).save(private / "faces" / f"{k}.png")
    house.network(DEFAULT).save(private / "mine.npz")
    own = House(str(private / "mine.npz"), f"folder:{private / 'faces'}", threads=1)
    export(own, tmp_path / "lecture.html")
    content = (tmp_path / "lecture.html").read_text()
    assert "jane" not in content and "mine.npz" in content and "folder:faces" in content


def test_what_is_recorded_is_the_librarys(house, tmp_path):
    export(house, tmp_path / "lecture.html", seed=5)
    found = Parts((tmp_path / "lecture.html").read_bytes()).recorded
    network = house.network(DEFAULT)
    drawing, new = network.draw(EACH, seed=5), found["new"]
    images = house.images(network)[0].batch(np.array(chosen(house.images(network)[0], EACH, 5)))
    same(new["canvas"], drawing.frames)
    assert new["originals"] is None and new["count"] == len(found["again"]) == EACH
    for image, of in zip(images, found["again"], strict=True):
        again, loss = network.redraw(image[None], seed=5), network.loss(image[None], seed=5)
        same(of["recording"]["canvas"], again.frames)
        same(of["recording"]["originals"], image[None])
        assert np.allclose(of["kl"], loss.latent_per_step, atol=1e-4)
        assert of["bound"] == pytest.approx(loss.total, abs=1e-3)


def same(text: str, images: np.ndarray) -> None:
    """The bytes of the page are those of images in [0, 1] with one channel."""
    assert np.array_equal(np.frombuffer(base64.b64decode(text), np.uint8), np.rint(255 * images).astype("u1").ravel())


def test_nothing_but_its_own_script_and_style_may_run(house, tmp_path):
    export(house, tmp_path / "lecture.html")
    content = (tmp_path / "lecture.html").read_bytes()
    parts = Parts(content)
    kinds = [(tag, kind) for tag, kind, _ in parts.inside]
    assert kinds == [("style", None), ("script", "application/json"), ("script", None)]
    style, _, script = (text for _, _, text in parts.inside)
    [policy] = [of["content"] for _, of in parts.elements if of.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy
    for kind, text in (("style", style), ("script", script)):
        wanted = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{wanted}';" in policy
    assert content.index(b"Content-Security-Policy") < content.index(b"<style")
    assert "</script" not in script.lower() and "<!--" not in script and "</style" not in style.lower()
    addresses = [of[name] for _, of in parts.elements for name in ("src", "href", "action") if name in of]
    assert addresses == ["data:,"] and "url(" not in style and "@import" not in style
    assert not any(name == "style" or name.startswith("on") for _, of in parts.elements for name in of)
    assert not re.search(r"\b(fetch|XMLHttpRequest|import|WebSocket|eval)\(", script)


def test_words_from_elsewhere_do_no_harm(house):
    found = exporting.recorded(house, 0)
    found["network"] |= {"name": HOSTILE, "words": HOSTILE}
    found["again"][0]["words"] = HOSTILE
    parts = Parts(page(found, f"python {HOSTILE}"))
    assert [tag for tag, _ in parts.elements].count("script") == 2 and "b" not in dict(parts.elements)
    assert parts.recorded == found
    assert "<" not in in_script({HOSTILE: [HOSTILE]})


def test_words_of_what_one_sees():
    words = [seen({"glimpses": 9, "read": read, "write": write}) for read in (3, None) for write in (4, None)]
    assert [("blue box" in one, "orange box" in one) for one in words] == [(1, 1), (1, 0), (0, 1), (0, 0)]
    assert ["sizes its boxes" in one for one in words] == [True, True, True, False]


def test_only_pages_are_written_and_whole(house, tmp_path):
    for name in ("lecture", "lecture.htm", "lecture.gif"):
        with pytest.raises(UserError, match=r"call it \.html"):
            export(house, tmp_path / name)
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(UserError, match="cannot write"):
        export(house, tmp_path / "folder.html")
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == ["folder.html"]


def test_the_shipped_networks_stay_below_5_mb_and_larger_ones_have_less(tmp_path, monkeypatch):
    house = House("two-digits-small", threads=1)
    export(house, tmp_path / "two.HTML")
    assert (tmp_path / "two.HTML").stat().st_size < 5e6
    assert Parts((tmp_path / "two.HTML").read_bytes()).recorded["new"]["count"] == EACH
    monkeypatch.setattr(exporting, "MOST", 1_500_000)
    found = exporting.recorded(house, 0)
    assert len(found["again"]) == found["new"]["count"] == 2 and len(json.dumps(found)) < 1_500_000
    monkeypatch.setattr(exporting, "MOST", 1)
    assert exporting.recorded(house, 0)["new"]["count"] == 1


def test_images_are_of_different_labels():
    labels = np.arange(100, dtype=np.uint8) % 10
    split = Images(np.zeros((100, 1, 4, 4), np.uint8), labels)
    first, second = chosen(split, EACH, 0), chosen(split, EACH, 1)
    assert len({*labels[first]}) == EACH and not {*first} & {*second}
    unlabelled = Images(np.zeros((100, 1, 4, 4), np.uint8))
    assert chosen(unlabelled, 5, 0) == [10, 30, 50, 70, 90] and chosen(unlabelled, 5, 95) == [5, 25, 45, 65, 85]
    assert len(chosen(Images(np.zeros((2, 1, 4, 4), np.uint8)), EACH, 1)) == EACH


@pytest.mark.parametrize("width, dark", [(390, True), (1280, False)])
def test_in_a_browser_from_a_file(house, tmp_path, browser, width, dark):
    export(house, tmp_path / "lecture.html")
    opened = browser.open((tmp_path / "lecture.html").as_uri(), width, 900, dark)
    sections = opened.run(
        "[...document.querySelectorAll('section')].map(one => one.querySelectorAll('.steps button').length)"
    )
    assert sections == [EACH, EACH]
    to_the_end(opened)
    before = pictures(opened, tmp_path)
    opened.click("section:first-child .steps button:nth-child(4)")
    opened.wait("document.querySelector('section:first-child [aria-pressed=true]').ariaLabel === 'image 4'")
    opened.click("section:last-child .steps button:nth-child(2)")
    to_the_end(opened)
    assert all(map(np.any, (a != b for a, b in zip(before, pictures(opened, tmp_path), strict=True))))
    assert opened.run("document.documentElement.scrollWidth") <= width
    assert opened.run("getComputedStyle(document.getElementById('both')).display") == "grid"
    assert opened.problems == []
    opened.close()


def to_the_end(opened) -> None:
    """Move the sliders of both players to what came out."""
    opened.run("document.querySelectorAll('.timeline input').forEach(one => (one.value = one.max, one.oninput()))")
    opened.wait("[...document.querySelectorAll('.player .play')].every(one => one.textContent === 'Again')")


def pictures(opened, folder) -> list[np.ndarray]:
    """Return what the two players show."""
    shown = []
    for text in opened.run("[...document.querySelectorAll('.sheet')].map(one => one.toDataURL().split(',')[1])"):
        (folder / "seen.png").write_bytes(base64.b64decode(text))
        shown.append(np.asarray(Image.open(folder / "seen.png").convert("L")))
    return shown
