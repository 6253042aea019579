"""The pictures on a page: where they stand, what is said of them, and that one too large is there all the same."""

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.runs import classifier, run, trainer

from minidraw.pages import pictures
from minidraw.pages.pictures import captions, grid
from minidraw.pages.report import write_report
from minidraw.pages.run import Run
from minidraw.pictures.sheets import BAND, READING_WORD, WRITING_WORD, filmstrip, sheet
from minidraw.pictures.writers import write_gif, write_png

pytestmark = pytest.mark.usefixtures("small_strokes")

READS, WRITES = f"{READING_WORD.capitalize()}: where it reads", f"{WRITING_WORD.capitalize()}: where it writes"


@pytest.fixture
def folder(tmp_path):
    """The folder of a finished run."""
    assert trainer(tmp_path / "run", steps=4).run()
    return tmp_path / "run"


def page(folder: Path) -> str:
    """Make a run's page anew and return it."""
    write_report(folder)
    return (folder / "report.html").read_text()


def first_picture(text: str) -> Image.Image:
    """Return the first picture of a page."""
    return Image.open(io.BytesIO(base64.b64decode(re.search(r'src="data:image/\w+;base64,([^"]+)"', text)[1])))


def frames(count: int, H: int = 28) -> list[np.ndarray]:
    """Return sheets of 5 rows and 4 columns of noise, and a last one of nothing."""
    noise = np.random.default_rng(0).random((count - 1, 20, 3, H, 28), np.float32)
    return [sheet(images, 4, scale=2) for images in (*noise, 0 * noise[0])]


def test_the_newest_drawing_comes_right_after_the_numbers(folder):
    text = page(folder)
    order = [
        'class="tiles"',
        "Being drawn",
        "Variational bound",
        "KL of every",
        "Drawings beside",
        "Seen and",
        "Settings",
    ]
    places = [text.index(words) for words in order]
    assert places == sorted(places)
    for name in ("samples.gif", "sheet.png", "seen.png"):
        (folder / name).unlink()
    text = page(folder)
    assert text.index('class="tiles"') < text.index("Trained on") < text.index("Variational bound"), "what there is yet"


def test_compared_runs_show_drawings_before_curves(folder, tmp_path):
    assert run("compare", folder, folder, "--out", tmp_path / "x.html") == 0
    text = (tmp_path / "x.html").read_text()
    assert text.index("Last numbers") < text.index("<img") < text.index("Settings that differ") < text.index("Curves")


@pytest.mark.parametrize(
    "read_size, write_size, drawn, seen",
    [
        (
            2,
            4,
            "(fig. 1)",
            [f"{READING_WORD.capitalize()}: where it reads", f"{WRITING_WORD.capitalize()}: where it writes"],
        ),
        (None, None, "there is no attention (fig. 7)", []),
        (2, None, "whole canvas", [READS]),
        (None, 4, f"{WRITING_WORD} box", [WRITES]),
    ],
)
def test_captions_name_the_boxes_that_there_are(folder, read_size, write_size, drawn, seen):
    config = json.loads((folder / "config.json").read_text())
    config["model"] |= {"read_size": read_size, "write_size": write_size}
    (folder / "config.json").write_text(json.dumps(config))
    found = captions(Run(folder))
    assert drawn in found["samples.gif"][1] and ("box" in found["samples.gif"][1]) == (write_size is not None)
    assert re.findall(r"\w+: where it \w+", found["seen.png"][1]) == seen


def test_captions_credit_the_papers_figures(folder, tmp_path):
    credits = {name: re.findall(r"\((figs?[^)]*)\)", words) for name, (_, words, _) in captions(Run(folder)).items()}
    assert credits == {"samples.gif": ["fig. 1"], "sheet.png": ["figs 6, 9, 12"], "seen.png": [], "data.png": []}
    assert classifier(tmp_path / "ram").run()
    assert "(fig. 5)" in captions(Run(tmp_path / "ram"))["seen.png"][1]


def test_a_large_moving_picture_is_there_in_part(folder, monkeypatch):
    write_gif(folder / "samples.gif", frames(4), fps=5, hold=3)
    large = (folder / "samples.gif").stat().st_size
    monkeypatch.setattr(pictures, "LARGEST_PICTURE", large // 2)
    text = page(folder)
    rest = f'<a href="samples.gif">samples.gif</a> is {large / 1e6:.1f} MB, too large for this page.'
    rows = re.search(rf"The first(?: (\d))? of 5 rows: {re.escape(rest)}", text)
    rows = int(rows[1] or 1)  # how many fit is for Pillow's compression to say
    assert 1 <= rows < 5
    shown = first_picture(text)
    assert len(base64.b64decode(re.search(r"data:image/gif;base64,([^\"]+)", text)[1])) <= large // 2
    with Image.open(folder / "samples.gif") as whole:
        assert shown.format == "GIF" and shown.n_frames == whole.n_frames == 4
        assert shown.size == (whole.width, rows * (2 * 28 + 2) + 2)
        for k, milliseconds in enumerate([200, 200, 200, 3000]):
            shown.seek(k)
            whole.seek(k)
            assert shown.info["duration"] == milliseconds
            there = np.asarray(whole.convert("RGB"), int)[: shown.height]
            assert np.abs(np.asarray(shown.convert("RGB"), int) - there).mean() < 12, "but for its palette the same"


def test_what_has_not_changed_is_cut_once(folder, monkeypatch):
    write_gif(folder / "samples.gif", frames(4))
    large = (folder / "samples.gif").stat().st_size
    asked, usual = [], pictures.first_rows
    monkeypatch.setattr(pictures, "first_rows", lambda *all_of_it: asked.append(all_of_it) or usual(*all_of_it))
    monkeypatch.setattr(pictures, "LARGEST_PICTURE", large // 2)
    first = first_picture(page(folder))
    assert len(asked) == 1 and first.n_frames == 4
    again = first_picture(page(folder))
    assert len(asked) == 1 and again.size == first.size
    write_gif(folder / "samples.gif", [255 - frame for frame in frames(4)])
    changed = first_picture(page(folder))
    assert len(asked) == 2 and np.asarray(changed.convert("RGB")).mean() != np.asarray(first.convert("RGB")).mean()
    monkeypatch.setattr(pictures, "LARGEST_PICTURE", large // 4)
    assert first_picture(page(folder)).height < changed.height and len(asked) == 3
    monkeypatch.setattr(pictures, "LARGEST_PICTURE", 10)
    for _ in range(2):  # of samples.gif, and of the still one in its place, nothing fits: that is remembered too
        page(folder)
        told = len(asked)
    page(folder)
    assert len(asked) == told


@pytest.mark.parametrize("content", [b"", b"GIF89a"])
def test_what_cannot_be_cut_stands_still(folder, monkeypatch, content):
    (folder / "samples.gif").write_bytes(content + bytes(100_000))
    monkeypatch.setattr(pictures, "LARGEST_PICTURE", 99_999)
    text = page(folder)
    with Image.open(folder / "samples.png") as still:
        assert "Here it stands still: " in text and first_picture(text).size == still.size
    (folder / "samples.png").unlink()
    text = page(folder)
    assert 'Not here: <a href="samples.gif">' in text and "Drawings beside" in text


def test_a_large_strip_keeps_its_numbers(folder, monkeypatch):
    images = np.random.default_rng(0).random((3, 6, 3, 28, 28), np.float32)
    write_png(folder / "seen.png", filmstrip(images, originals=images[0]))
    large = (folder / "seen.png").stat().st_size
    monkeypatch.setattr(pictures, "LARGEST_PICTURE", large * 2 // 3)
    text = page(folder)
    assert re.search(r"The first [34] of 6 rows: <a href=\"seen.png\"", text)


def test_many_runs_share_the_room_of_a_page(folder, tmp_path, monkeypatch):
    write_gif(folder / "samples.gif", frames(4))
    large = (folder / "samples.gif").stat().st_size
    monkeypatch.setattr("minidraw.pages.comparison.LARGEST_PICTURE", large)
    for runs, parts in ((2, 0), (4, 4)):
        assert run("compare", *[folder] * runs, "--out", tmp_path / "x.html") == 0
        text = (tmp_path / "x.html").read_text()
        assert text.count(f"rows: {folder / 'samples.gif'} is") == parts and "href" not in text


def test_where_the_grid_of_a_sheet_is():
    for H in (1, 5, 28):
        for scale in (1, 3):
            images = np.random.default_rng(0).random((12, 1, H, 7), np.float32)
            assert grid(sheet(images, 4, scale), H) == (0, 3, H * scale + 2)
            assert grid(filmstrip(images[None], scale=scale), H) == (BAND, 12, H * scale + 2)
    noise = np.random.default_rng(0).integers(0, 256, (88, 40, 3), np.uint8)
    assert grid(noise, 28) is None and grid(noise, 0) is None and grid(noise, -5) is None and grid(noise[:1], 1) is None


@pytest.mark.parametrize("shape", [None, 7, [1, 28], ["a", "b", "c"], [1, 10**400, 28], [1, 0, 0]])
def test_a_shape_that_is_none_costs_no_page(folder, monkeypatch, shape):
    config = json.loads((folder / "config.json").read_text())
    config["model"]["image_shape"] = shape
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr(pictures, "LARGEST_PICTURE", 10)
    assert "Not here" in page(folder)
