"""A drawing saves itself: every ending is a file that others read, and one line tells what it is."""

import base64
import io
import re
import xml.etree.ElementTree as ElementTree

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image, ImageSequence
from support.boxes import painted
from support.runs import experiment

from minidraw import DRAW, DRAWConfig, UserError, data
from minidraw.pictures import saving, sizes
from minidraw.pictures.ink import shown
from minidraw.pictures.sheets import BAND, READING, WRITING, filmstrip, sequence_frames
from minidraw.pictures.sizes import Size
from minidraw.training.tasks import PICTURES, DrawingTask

T, n, H, W = 4, 3, 7, 9
ALL = tuple(ending for ending in saving.ENDINGS if ending != ".mp4")
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def network():
    network = DRAW(DRAWConfig((1, H, W), T, 2, 3, enc_size=8, dec_size=6, latent_size=5), threads=1)
    network.flat_params[:] += np.random.default_rng(1).normal(0, 0.5, len(network.flat_params))
    network.params["canvas0"][:] = -4.0
    return network


@pytest.fixture(scope="module")
def drawing(network):
    return network.draw(n)


@pytest.fixture(scope="module")
def again(network):
    """Images, and how they are drawn again."""
    x = np.random.default_rng(0).random((n, 1, H, W), np.float32)
    return x, network.redraw(x, np.random.default_rng(1).standard_normal((T, n, 5)))


def every_picture(path) -> np.ndarray:
    """Return the pictures of a moving one, (k, rows, columns, 3)."""
    with Image.open(path) as picture:
        return np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(picture)])


def test_a_drawing_is_shown_beside_what_it_was_drawn_from(again, tmp_path):
    x, drawing = again
    for name, options in {"by itself": {}, "given": {"originals": x}, "others": {"originals": 1 - x}}.items():
        drawing.save(tmp_path / f"{name}.png", **options)
    drawing._replace(originals=None).save(tmp_path / "alone.png")
    by_itself, given, others, alone = (
        (tmp_path / f"{name}.png").read_bytes() for name in ("by itself", "given", "others", "alone")
    )
    assert by_itself == given and by_itself not in (others, alone)


@pytest.mark.parametrize("ending", [".gif", ".webp", ".apng", ".GIF"])
def test_a_moving_picture_is_ink_and_ends_with_what_came_out(drawing, tmp_path, ending):
    line = drawing.save(tmp_path / f"a{ending}", scale=4)
    seen = every_picture(tmp_path / f"a{ending}")
    ink, slack = shown(drawing), 4 if ending.lower() == ".gif" else 0
    expected = sequence_frames(ink.frames, drawing.write, empty=ink.empty, last=drawing.frames[-1], scale=4)
    assert seen.shape == (T + 2, *expected[0].shape) and len(np.unique(expected[0])) == 2  # black, and between
    assert np.abs(seen - np.array(expected, np.int16)).max() <= slack
    assert [painted(frame, WRITING).any() for frame in seen] == [False, *[True] * T, False]
    size = f"{seen.shape[2]}x{seen.shape[1]} pixels"
    assert re.fullmatch(rf".*a{ending}: 3 drawings of 4 glimpses, {size}, 0\.\d\d MB; ink: a pixel is its .*", line)


def test_plain_shows_the_canvas_and_no_boxes_none(drawing, tmp_path):
    line = drawing.save(tmp_path / "a.webp", plain=True, boxes=False, scale=2, columns=3, fps=4, hold=1)
    seen = every_picture(tmp_path / "a.webp")
    expected = sequence_frames(drawing.frames, empty=drawing.start, last=drawing.frames[-1], scale=2, columns=3)
    np.testing.assert_array_equal(seen, expected[:-1])  # the last is the one before it, held longer
    with Image.open(tmp_path / "a.webp") as picture:
        times = [frame.info["duration"] for frame in ImageSequence.Iterator(picture) if frame.load()]
    assert sum(times) == 250 * (1 + T) + 1000 and "ink" not in line


def test_a_png_is_what_came_out_and_a_strip_ink(drawing, again, tmp_path):
    x, redrawing = again
    assert "ink" not in drawing.save(tmp_path / "a.png", scale=3)
    expected = sequence_frames(drawing.frames[-1:], scale=3)[0]
    np.testing.assert_array_equal(iio.imread(tmp_path / "a.png"), expected)
    assert "; ink: " in redrawing.save(tmp_path / "s.png", originals=x, strip=True, scale=6)
    expected = filmstrip(shown(redrawing).frames, redrawing.write, redrawing.read, x, scale=6)
    np.testing.assert_array_equal(iio.imread(tmp_path / "s.png"), expected)
    redrawing.save(tmp_path / "s.png", originals=x, strip=True, scale=6, plain=True)
    assert (iio.imread(tmp_path / "s.png") != expected).any()


def test_an_svg_is_a_strip_of_pictures_lines_and_numbers(again, tmp_path):
    x, redrawing = again
    line = redrawing.save(tmp_path / "a.svg", originals=x, scale=5)
    assert re.match(r".*a\.svg: a strip of 3 drawings of 4 glimpses, 0\.\d\d MB; ink: ", line)
    root = ElementTree.parse(tmp_path / "a.svg").getroot()
    assert root.tag == f"{SVG}svg" and int(root.get("width")) == (T + 1) * (5 * W + 2) + 2
    assert [text.text for text in root.iter(f"{SVG}text")] == ["image", "1", "2", "3", "4"]
    cells = root.findall(f"{SVG}svg")
    assert len(cells) == n * (T + 1) and {cell.get("viewBox") for cell in cells} == {f"0 0 {W} {H}"}
    ink = shown(redrawing).frames
    for k, cell in enumerate(cells):
        t, i = divmod(k, n)  # column after column
        assert float(cell.get("x")) == 2 + t * (5 * W + 2) and float(cell.get("y")) == BAND + 2 + i * (5 * H + 2)
        picture = cell.find(f"{SVG}image")
        pixels = iio.imread(base64.b64decode(picture.get("href").partition(",")[2]), extension=".png")
        np.testing.assert_array_equal(pixels, np.rint(255 * (x[i] if t == 0 else ink[t - 1, i])[0]))
        assert "pixelated" in picture.get("style")
        boxes = cell.findall(f"{SVG}rect")
        assert [box.get("stroke") for box in boxes] == (["#000000", "#000000", "#56b4e9", "#e69f00"] if t else [])
        for box, windows in zip(boxes[2:], (redrawing.read, redrawing.write), strict=True) if t else ():
            side = (windows.size - 1) * windows.stride[t - 1, i]
            assert float(box.get("width")) == pytest.approx(max(side, 1), abs=2e-3)
            left = windows.centre[t - 1, i, 0] - 0.5 - max(side, 1) / 2
            assert float(box.get("x")) == pytest.approx(left, abs=2e-3)
    assert bytes(READING).hex() == "56b4e9" and bytes(WRITING).hex() == "e69f00"
    bare = redrawing.save(tmp_path / "bare.svg", boxes=False, plain=True)
    assert "<rect" not in (tmp_path / "bare.svg").read_text().partition("</g>")[2] and "ink" not in bare


def test_arrays_stay_the_canvas(drawing, tmp_path):
    line = drawing.save(tmp_path / "a.npz")
    assert "frames (4, 3, 1, 7, 9), latents (4, 3, 5), ink (4, 3, 1, 7, 9), start (1, 7, 9), " in line
    for name, array in np.load(tmp_path / "a.npz", allow_pickle=False).items():
        if not name.startswith("write"):
            np.testing.assert_array_equal(array, getattr(drawing, name))
    drawing.save(tmp_path / "a.npy", latents=True)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), drawing.latents)


def test_every_ending_is_a_file_that_is_whole(drawing, tmp_path):
    for ending in saving.ENDINGS:
        if ending == ".mp4":
            pytest.importorskip("imageio_ffmpeg", reason="imageio-ffmpeg is missing: pip install imageio-ffmpeg")
        line = drawing.save(str(tmp_path / "new" / f"a{ending}"))
        assert line.startswith(str(tmp_path / "new" / f"a{ending}: ")) and "\n" not in line
        if ending not in (".svg", ".npy", ".npz", ".mp4"):
            with Image.open(io.BytesIO((tmp_path / "new" / f"a{ending}").read_bytes())) as picture:
                assert 650 <= max(picture.size) <= 750 and min(picture.size) > 400
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(f"a{e}" for e in saving.ENDINGS)


@pytest.mark.parametrize(
    "name, options, line",
    [
        ("a.avi", {}, r"must end in \.gif, \.mp4, \.webp, \.apng, \.png, \.svg, \.npy or \.npz, not '\.avi'"),
        ("a", {}, "must end in .* not 'nothing'"),
        ("a.gif", {"strip": True}, r"a strip is a still picture: let the file end in \.png or \.svg, not \.gif"),
        ("a.gif", {"latents": True}, r"let the file end in \.npy"),
        ("a.gif", {"scale": 100_000}, "3 drawings at a scale of 100000 are too much"),
        ("a.png", {"columns": 100_000, "scale": 1}, "of 1100002x11 pixels is too large"),
        ("a.gif", {"fps": 0}, "fps must be"),
        (
            "a.webp",
            {"columns": 1, "scale": 800},
            "of 7204x16808 pixels is too large for .webp, which holds 16,383 a side",
        ),
        (
            "a.mp4",
            {"columns": 3, "scale": 700},
            "of 18908x4904 pixels is too large for .mp4, which holds 16,384 a side",
        ),
        ("a.gif", {"scale": -1}, "scale must be a whole number of 1 or more, or None, not -1"),
        ("a.svg", {"scale": 0}, "scale must be .* not 0"),
        ("a.npz", {"scale": 2.5}, r"scale must be .* not 2\.5"),
        ("a.png", {"scale": True}, "scale must be .* not True"),
        ("a.png", {"scale": np.float64(2)}, "scale must be"),
        ("a.gif", {"columns": -1}, "columns must be a whole number of 1 or more, or None, not -1"),
        ("a.gif", {"columns": 0}, "columns must be .* not 0"),
        ("a.png", {"columns": 2.0}, r"columns must be .* not 2\.0"),
        ("a.png", {"columns": "2"}, "columns must be .* not '2'"),
        ("a.gif", {"fps": "a"}, "fps must be 0.1 or more for .gif, and hold 0 to 600 seconds, not a and 2"),
        ("a.webp", {"hold": None}, "fps must be .* and hold .* not 10.0 and None"),
        ("a.apng", {"hold": -1}, "fps must be .* and hold"),
        *((f"a{e}", {"originals": np.zeros((2, 1, H, W))}, r"originals must be .* \(3, 1, 7, 9\)") for e in ALL),
        ("a.gif", {"originals": np.zeros((n, H, W))}, r"an image a drawing, not \(3, 7, 9\)"),
        ("a.gif", {"originals": [[1], [1, 2]]}, "originals cannot become a NumPy array"),
        ("a.svg", {"originals": np.full((n, 1, H, W), "x")}, "originals must be real numbers"),
        ("file/a.gif", {}, "cannot write"),
        ("file/a.svg", {}, "cannot write"),
    ],
)
def test_what_cannot_be_is_one_line(drawing, tmp_path, monkeypatch, name, options, line):
    monkeypatch.setattr(saving, "check_video", lambda: "")  # where there is no ffmpeg too
    if "cannot write" not in line:
        monkeypatch.setattr(saving, "shown", lambda *_: pytest.fail("work before all is checked"))
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UserError, match=line) as caught:
        drawing.save(tmp_path / name, **options)
    assert "\n" not in str(caught.value) and [path.name for path in tmp_path.iterdir()] == ["file"]


def test_options_may_be_numpys_numbers_and_originals_lists(again, tmp_path):
    x, redrawing = again
    redrawing.save(tmp_path / "a.gif", originals=x, scale=2, columns=2, fps=5, hold=1)
    numbers = {"scale": np.int64(2), "columns": np.uint8(2), "fps": np.float32(5), "hold": np.int16(1)}
    redrawing.save(tmp_path / "b.gif", originals=x.tolist(), **numbers)
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()
    redrawing.save(tmp_path / "a.npz", originals=(3 * x - 1).tolist())  # not in [0, 1]: as it is given
    np.testing.assert_allclose(np.load(tmp_path / "a.npz")["originals"], 3 * x - 1, rtol=1e-6)


@pytest.mark.parametrize("kind, most", [(".webp", 16_383), (".mp4", 16_384), (".gif", 65_535), (".png", 65_535)])
def test_a_side_may_be_what_an_ending_holds(kind, most):
    sizes.check_side(most, 3, kind)
    sizes.check_side(3, most, kind)
    for sides in ((most + 1, 3), (3, most + 1)):
        with pytest.raises(UserError, match=f"of {sides[1]}x{sides[0]} pixels is too large"):
            sizes.check_side(*sides, kind)


@pytest.mark.parametrize(
    "size, scale",
    [
        (Size(64, 24, (1, 28, 28)), 3),
        (Size(1, 24, (1, 28, 28)), 25),
        (Size(1, 24, (1, 28, 28), beside=True), 12),
        (Size(64, 32, (1, 60, 60)), 1),
        (Size(9, 32, (1, 60, 60), columns=3), 4),
        (Size(9, 32, (1, 60, 60), columns=1), 1),
        (Size(1, 8, (3, 900, 20)), 1),
        (Size(8, 24, (1, 28, 28), strip=True), 4),
        (Size(50, 24, (1, 28, 28), strip=True), 2),
        (Size(2, 2, (1, 28, 28), beside=True, strip=True), 12),
        (Size(8, 2, (1, 28, 28), beside=True, strip=True), 7),
        (Size(1, 6000, (1, 28, 28)), 10),
        (Size(10**9, 6000, (1, 28, 28)), 1),
    ],
)
def test_the_scale_is_one_good_to_look_at(size, scale):
    assert size.scale() == scale and (scale == 1 or not size.too_many(scale))


def test_a_run_has_its_pictures_however_large_its_images_are(tmp_path, monkeypatch, small_strokes):
    monkeypatch.setattr(sizes, "MOST_PIXELS", 1000)
    task = DrawingTask(experiment().build(threads=1), data.load("strokes"))
    task.pictures(tmp_path, seed=0, step=1, thorough=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(PICTURES)
    assert iio.imread(tmp_path / "samples.png").shape == (8 * 30 + 2, 8 * 30 + 2, 3)


def test_the_size_is_known_before_anything_is_drawn(drawing):
    for size in (Size(n, T, (1, H, W)), Size(n, T, (1, H, W), columns=2), Size(n, T, (1, H, W), strip=True)):
        rows, columns, h, w = size.grid()
        strip = filmstrip(drawing.frames, numbers=False)
        made = strip if size.strip else sequence_frames(drawing.frames, columns=size.columns)[0]
        assert made.shape[:2] == (rows * (3 * h + 2) + 2, columns * (3 * w + 2) + 2)
    assert sizes.STEPS == 10 and Size(5, 24, (1, H, W), strip=True, beside=True).grid() == (5, 11, H, W)
