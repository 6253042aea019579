"""What the page is answered: numbers and pictures of the library, bit for bit, and one line for what cannot be."""

import base64
import io
import json
import shutil
import threading

import numpy as np
import pytest
from PIL import Image, ImageDraw

import minidraw
from minidraw import UserError
from minidraw.data.strokes import strokes
from minidraw.model.draw import draw_noise
from minidraw.model.latent import between
from minidraw.pictures.ink import shown
from minidraw.pictures.photos import read_digit
from minidraw.pictures.sheets import box_lines
from minidraw.play import labs
from minidraw.play.asked import Asked
from minidraw.play.export import export
from minidraw.play.house import DEFAULT, House
from minidraw.play.labs import LABS, answer, saved
from minidraw.play.recording import packed, recording
from minidraw.streams import Purpose, stream

SHEET = {"network": DEFAULT, "seed": 3, "count": 5}


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """The networks of the package, and no data but what it draws itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MINIDRAW_DATA", raising=False)
        patch.setenv("MINIDRAW_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield House(threads=1)


@pytest.fixture(scope="module")
def model():
    return minidraw.load(DEFAULT, threads=1)


def unpacked(text: str, *shape: int) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(shape)


def rounded(images: np.ndarray) -> np.ndarray:
    """Return images (..., 1, H, W) as the page has them, (..., H, W, 1)."""
    return np.rint(255 * images).astype(np.uint8)[..., 0, :, :, None]


def png(picture: Image.Image) -> str:
    content = io.BytesIO()
    picture.save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()


def seven(box=(60, 60, 200, 220), ink=255, ground=0) -> Image.Image:
    left, top, right, bottom = box
    picture = Image.new("L", (280, 280), ground)
    ImageDraw.Draw(picture).line([(left, top), (right, top), (left + 40, bottom)], fill=ink, width=26)
    return picture


def test_an_image_is_read_as_the_library_reads_it(house, model):
    told = answer(house, "read", {"image": {"number": 4}, "seed": 9})
    x = strokes(5)[0][4:].astype(np.float32) / 255
    loss, drawing = model.loss(x, seed=9), model.redraw(x, seed=9)
    assert told["bound"] == pytest.approx(loss.total, abs=1e-3) and told["words"].startswith("number 4 of the digits")
    assert told["reconstruction"] == pytest.approx(loss.reconstruction, abs=1e-3)
    assert told["kl"] == pytest.approx(loss.latent_per_step.tolist(), abs=1e-4)
    of = told["recording"]
    T = model.config.glimpses
    assert of["shape"] == [28, 28, 1] and (of["glimpses"], of["count"]) == (T, 1)
    assert np.array_equal(unpacked(of["canvas"], T, 1, 28, 28, 1), rounded(drawing.frames))
    assert np.array_equal(unpacked(of["ink"], T, 1, 28, 28, 1), rounded(shown(drawing).frames))
    assert np.array_equal(unpacked(of["originals"], 1, 28, 28, 1), rounded(x))
    assert np.array_equal(unpacked(of["start"], 28, 28, 1), rounded(drawing.start))
    assert np.array_equal(unpacked(of["empty"], 28, 28, 1), rounded(shown(drawing).empty))
    for name in ("read", "write"):
        lines = np.stack([np.stack(box_lines(getattr(drawing, name), t), axis=-1) for t in range(T)])  # (T, 1, 4)
        assert np.abs(np.array(of[name]) - lines).max() < 1e-3
    json.dumps(told, allow_nan=False)


def test_what_grey_pixels_cost_is_told_and_a_perfect_drawing_costs_no_less(house, model):
    told = answer(house, "read", {"image": {"number": 4}})
    x = strokes(5)[0][4].astype(np.float64) / 255
    grey = x[(0 < x) & (x < 1)]
    assert told["grey"] == pytest.approx(-(grey * np.log(grey) + (1 - grey) * np.log(1 - grey)).sum(), abs=1e-2)
    assert 5 < told["grey"] < told["reconstruction"]
    black = answer(house, "read", {"image": {"drawn": png(Image.new("L", (280, 280))), "whole": True}})
    assert black["grey"] == 0


def test_other_noise_is_another_drawing_of_the_same_image(house):
    one, two, again = (answer(house, "read", {"image": {"number": 4}, "seed": seed})["recording"] for seed in (1, 2, 1))
    assert one == again and one["canvas"] != two["canvas"] and one["originals"] == two["originals"]


def test_what_is_drawn_with_the_mouse_is_placed_as_mnist_wherever_and_however_large_it_is(house, model):
    large, small = seven(), seven((20, 150, 90, 230))
    images = [house.image(Asked({"drawn": png(picture)}), model)[0] for picture in (large, small)]
    for image in images:
        rows, columns = (np.flatnonzero(image[0].max(axis=axis) > 0.3) for axis in (1, 0))
        assert image.shape == (1, 28, 28) and max(np.ptp(rows), np.ptp(columns)) + 1 in (20, 21)
        mass = [float((image[0].sum(axis=axis) * (np.arange(28) + 0.5)).sum() / image.sum()) for axis in (0, 1)]
        assert mass == pytest.approx([14, 14], abs=0.51)
    whole = [house.image(Asked({"drawn": png(picture), "whole": True}), model)[0] for picture in (large, small)]
    assert whole[1][0, 14:].sum() > 0.9 * whole[1].sum() > 0  # where it was drawn
    assert np.abs(whole[0] - np.asarray(large.resize((28, 28), Image.BICUBIC), np.float32) / 255).max() < 1e-6


def test_a_network_that_draws_on_white_is_shown_black_on_white(house, model):
    model = minidraw.load(DEFAULT, threads=1)
    for logit, ground in ((-5, 0), (5, 1)):
        model.params["canvas0"][:] = logit
        image, _ = house.image(Asked({"drawn": png(seven()), "whole": True}), model)
        assert np.median(image) == ground and image.max() == 1 and image.min() == 0


def test_a_picture_file_goes_in_as_the_command_takes_it(house, model, tmp_path):
    path = tmp_path / "seven.png"
    seven(ink=20, ground=230).save(path)
    asked = Asked({"picture": base64.b64encode(path.read_bytes()).decode(), "name": "seven.png"})
    image, words = house.image(asked, model)
    expected, done = read_digit(str(path))
    assert np.array_equal(image, expected) and words == done and "dark figure" in done


def test_pictures_are_prepared_as_a_networks_training_pictures_were(house):
    model = minidraw.load(DEFAULT, threads=1)
    preparation = {"size": (28, 28), "grey": True, "levels": (255.0, 0.0)}  # black is white
    train, data = model.origin
    model.origin = train, data | {"preparation": preparation}
    content = {"picture": png(seven()), "name": "seven.png"}
    image, words = house.image(Asked(content), model)
    assert np.median(image) == 1 and words.startswith("prepared as")
    image, _ = house.image(Asked(content | {"whole": True}), model)
    assert np.median(image) == 0


def test_a_sheet_is_what_generate_draws(house, model):
    of = answer(house, "draw", SHEET)["recording"]
    drawing = model.draw(5, seed=3)
    assert np.array_equal(unpacked(of["canvas"], 24, 5, 28, 28, 1), rounded(drawing.frames))
    assert of["read"] is None and of["originals"] is None and len(of["write"][23]) == 5


@pytest.mark.parametrize("glimpse", [1, 7, 24])
def test_new_noise_in_one_glimpse_alone(house, model, glimpse):
    made = LABS["decide"].make(house, Asked(SHEET | {"which": 2, "glimpse": glimpse, "others": 6}))
    sheet = model.draw(5, seed=3)
    assert np.array_equal(made.frames[:, 0], sheet.frames[:, 2])
    changed = np.abs(made.latents - sheet.latents[:, 2:3]).max(axis=2)  # (T, 7)
    assert (changed[:, 0] == 0).all() and (np.delete(changed, glimpse - 1, axis=0) == 0).all()
    assert (changed[glimpse - 1, 1:] > 0.5).all()
    new = made.latents[glimpse - 1, 1:]
    assert len(np.unique(new[:, 0])) == 6 and abs(new.mean()) < 0.6 and 0.6 < new.std() < 1.4
    assert not np.isin(new, sheet.latents).any()
    other = LABS["decide"].make(house, Asked(SHEET | {"which": 3, "glimpse": glimpse, "others": 6}))
    assert not np.array_equal(other.latents[glimpse - 1, 1:], new)


def test_how_much_a_glimpse_decides_is_how_far_its_variants_are_away(house, model):
    request = SHEET | {"which": 2, "others": 6}
    told = answer(house, "influence", request)["influence"]
    assert len(told) == 24
    for t in (1, 7, 24):
        last = LABS["decide"].make(house, Asked(request | {"glimpse": t})).frames[-1]  # (7, 1, 28, 28)
        assert told[t - 1] == pytest.approx(np.abs(last[1:] - last[0]).mean(), abs=1e-5)
    with pytest.raises(UserError, match="gives numbers, of which there are no pictures"):
        saved(house, {"of": "influence", "request": request, "kind": "png"})


def test_a_walk_is_that_of_interpolate_and_ends_where_it_should(house, model):
    made = LABS["walk"].make(house, Asked(SHEET | {"from": 4, "to": 1, "steps": 7}))
    sheet = model.draw(5, seed=3)
    assert np.array_equal(made.latents, between(sheet.latents[:, [4, 1]], 7))
    assert np.abs(made.frames[:, 0] - sheet.frames[:, 4]).max() < 1e-5
    assert np.abs(made.frames[:, -1] - sheet.frames[:, 1]).max() < 1e-5


def test_grey_colour_and_two_channels_as_bytes():
    for C, K in ((1, 1), (2, 3), (3, 3), (5, 3)):
        images = np.random.default_rng(C).uniform(-0.2, 1.2, (4, 2, C, 3, 5))
        got = unpacked(packed(images), 4, 2, 3, 5, K)
        expected = np.rint(255 * images.clip(0, 1)).transpose(0, 1, 3, 4, 2)[..., :3]
        assert np.array_equal(got[..., : min(C, 3)], expected) and (C != 2 or not got[..., 2].any())


def test_a_network_that_overflows_is_one_line():
    model = minidraw.load(DEFAULT, threads=1)
    drawing = model.draw(2)
    drawing.frames[3, 1, 0, 5, 5] = np.nan
    with pytest.raises(UserError, match="overflow"):
        recording(drawing)


FILES = [("read", {"image": {"number": 1}}, 26), ("draw", SHEET, 26)]
FILES += [("decide", SHEET | {"which": 1, "glimpse": 2, "others": 3}, 26)]
FILES += [("walk", SHEET | {"from": 0, "to": 1, "steps": 5}, 8)]


@pytest.mark.parametrize("name, request_, frames", FILES)
def test_files_are_those_of_the_writers(house, name, request_, frames):
    content, file = saved(house, {"of": name, "request": request_, "kind": "gif"})
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.format == "GIF" and file == f"minidraw-{name}.gif"
        assert frames - 2 <= picture.n_frames <= frames  # neighbours that are alike are one
    content, file = saved(house, {"of": name, "request": request_, "kind": "png", "boxes": False})
    with Image.open(io.BytesIO(content)) as picture:
        picture.load()
        assert picture.format == "PNG" and picture.n_frames == 1 and file.endswith(".png")
        assert name == "draw" or 1500 < picture.width < 2000  # as wide as a slide
        wide = {"read": 5, "draw": 1.2, "decide": 3, "walk": 4}[name]
        assert picture.width > wide * picture.height


def test_boxes_and_ink_can_be_left_out_of_a_file(house):
    def colours(**options) -> set:
        content, _ = saved(house, {"of": "draw", "request": SHEET | {"count": 1}, "kind": "png"} | options)
        return {colour for _, colour in Image.open(io.BytesIO(content)).convert("RGB").getcolors(1 << 20)}

    assert (230, 159, 0) in colours() and (230, 159, 0) not in colours(boxes=False)
    assert colours(boxes=False) != colours(boxes=False, plain=True)


MISTAKES = [
    ("paint", {}, "unknown lab 'paint'"),
    ("read", [], "the request must be an object"),
    ("read", {}, "image must be an object"),
    ("read", {"image": {}}, "an image must be drawn"),
    ("read", {"image": {"number": -1}}, "image.number must be a whole number from 0"),
    ("read", {"image": {"number": True}}, "image.number must be a whole number"),
    ("read", {"image": {"drawn": "%%%"}}, "image.drawn must be a file in base64"),
    (
        "read",
        {"image": {"drawn": base64.b64encode(b"no picture").decode()}},
        "cannot read the picture that is drawn: no",
    ),
    ("read", {"image": {"drawn": png(Image.new("L", (280, 280)))}}, "nothing is drawn yet"),
    ("read", {"image": {"picture": "", "name": "a.png"}}, "cannot read the picture a.png: no picture, or in a format"),
    ("read", {"image": {"picture": "AAAA", "name": "a\n\x1b[2J.png"}}, r"cannot read the picture a\\n\\x1b[2J.png: no"),
    ("read", {"image": {"number": 1}, "seed": 0.5}, "seed must be a whole number"),
    ("read", {"image": {"number": 1}, "network": "minst-small"}, "did you mean 'mnist-small'"),
    ("read", {"image": {"number": 1}, "network": "cluttered"}, "cluttered is a classifier"),
    ("draw", {"count": 65}, "count must be a whole number from 1 to 64"),
    ("decide", SHEET | {"which": 5, "glimpse": 1, "others": 1}, "which must be a whole number from 0 to 4"),
    ("decide", SHEET | {"which": 0, "glimpse": 25, "others": 1}, "glimpse must be a whole number from 1 to 24"),
    ("decide", SHEET | {"which": 0, "glimpse": 1, "others": 25}, "others must be a whole number from 1 to 24"),
    ("walk", SHEET | {"from": 0, "to": 1, "steps": 34}, "steps must be a whole number from 2 to 33"),
    ("walk", SHEET | {"from": 0, "to": 1, "steps": 1}, "steps must be a whole number from 2"),
    ("walk", SHEET | {"from": 0, "to": "1", "steps": 3}, "to must be a whole number from 0 to 4, not '1'"),
]


@pytest.mark.parametrize("name, request_, words", MISTAKES)
def test_what_cannot_be_is_one_line(house, name, request_, words):
    with pytest.raises(UserError) as error:
        answer(house, name, request_)
    assert words.replace("\\\\", "\\") in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["npz", "../x.gif", "html", ""])
def test_files_are_of_few_kinds(house, kind):
    with pytest.raises(UserError, match=r"kind"):
        saved(house, {"of": "draw", "request": SHEET, "kind": kind})


def test_two_digits_and_colours_have_images_or_one_line(house, trained, tmp_path):
    pair = house.image(Asked({"number": 0}), house.network("two-digits-small"))[0]
    assert pair.shape == (1, 60, 60) and 0.02 < pair.mean() < 0.2
    at = tmp_path / "run"
    shutil.copytree(trained, at)
    other = House(str(at), threads=1)
    assert other.told()["network"] == str(at) and other.first == str(at)
    assert answer(other, "read", {"image": {"number": 0}})["recording"]["glimpses"] == 3
    assert answer(other, "draw", {"network": DEFAULT, "count": 2})["recording"]["glimpses"] == 24
    with pytest.raises(UserError, match="no test images for svhn here"):
        house._loaded("svhn", (3, 64, 64), {})


def test_a_classifier_takes_the_place_of_the_shipped_one(house, tmp_path):
    path = tmp_path / "mine.npz"
    minidraw.load("cluttered", threads=1).save(path)
    other = House(str(path), threads=1)
    assert other.first == DEFAULT and other.naming == str(path) and house.naming == "cluttered"
    assert other.told()["opens"] == "clutter" and house.told()["opens"] == "draw"
    with pytest.raises(UserError, match=r"mine\.npz is of a classifier, which does not draw"):
        export(other, tmp_path / "lecture.html")
    assert not (tmp_path / "lecture.html").exists()


def test_warming_up_loads_what_is_asked_first_and_forgives_what_is_not_there(house, trained, monkeypatch):
    fresh = House(threads=1)
    labs.warm_up(fresh)
    assert {*fresh.networks} == {DEFAULT, "cluttered"} and "digits" in vars(fresh) and len(fresh.splits) == 1
    monkeypatch.setattr(fresh, "naming", None)
    labs.warm_up(fresh)


def test_data_that_do_not_fit_are_told_at_the_start(small_strokes):
    with pytest.raises(UserError, match="the images of strokes are"):
        House("two-digits-small", data="strokes", threads=1)
    with pytest.raises(UserError, match="did you mean 'strokes'"):
        House(data="stroke", threads=1)
    with pytest.raises(UserError, match="there is no data folder /nowhere"):
        House(data_dir="/nowhere", threads=1)
    house = House(data="strokes", threads=1)
    assert house.image(Asked({"number": 1}), house.network(DEFAULT))[1] == "number 1 of the test images of strokes"
    assert house.image(Asked({"number": 1}), house.network("two-digits-small"))[0].shape == (1, 60, 60)


def test_many_at_once_get_their_own_answers(house, model):
    requests = [("draw", {"network": name, "seed": seed, "count": 3}) for seed in range(4) for name in house.drawing]
    requests += [("read", {"image": {"number": k}, "seed": k}) for k in range(4)]
    expected = [answer(house, *request) for request in requests]
    got: dict[int, dict] = {}

    def ask(k: int) -> None:
        got[k] = answer(house, *requests[k])

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [got[k] for k in range(len(requests))] == expected


def test_the_noise_is_that_of_reconstruct(house, model):
    x = house.image(Asked({"number": 2}), model)[0][None]
    noise = draw_noise(model.config, 1, stream(5, Purpose.POSTERIOR))
    told = answer(house, "read", {"image": {"number": 2}, "seed": 5})
    assert told["bound"] == pytest.approx(model.loss(x, noise).total, abs=1e-3)
