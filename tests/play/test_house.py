"""What there is to show: networks by name, those of the package and one's own, and what the page is told of them."""

import base64
import dataclasses
import io
import threading
import time

import numpy as np
import pytest
from PIL import Image

import minidraw
from minidraw import UserError
from minidraw.data.cluttered import Cluttered
from minidraw.data.images import Images
from minidraw.data.two_digits import TwoDigits
from minidraw.model.draw import DRAW
from minidraw.model.ram import RAM, RAMConfig
from minidraw.play import drawing, labs
from minidraw.play import house as houses
from minidraw.play.asked import Asked
from minidraw.play.house import DEFAULT, House
from minidraw.play.labs import LABS, answer
from minidraw.training import checkpoints

pytestmark = pytest.mark.usefixtures("small_strokes")
SHEET = {"seed": 3, "count": 2, "which": 1, "others": 2}


def network(**sizes) -> DRAW:
    """Return a tiny network."""
    usual = {"image_shape": (1, 28, 28), "glimpses": 3, "read_size": 2, "write_size": 3}
    return DRAW(minidraw.DRAWConfig(**usual | {"enc_size": 4, "dec_size": 4, "latent_size": 2} | sizes), threads=1)


def described(house: House, name: str) -> dict:
    """Return what the page is told of a network that draws."""
    return next(of for of in house.told()["networks"] if of["name"] == name)


def test_a_run_that_is_called_as_a_network_of_the_package_stands_beside_it(here):
    network(image_shape=(3, 9, 7)).save(here / DEFAULT)
    RAM(RAMConfig(glimpses=2, read_size=2, hidden_size=4), threads=1).save(here / "two-digits-small")
    (here / "cluttered").mkdir()  # nobody asks for it
    own = House(DEFAULT, threads=1)
    assert (own.first, own.given) == (f"./{DEFAULT}", f"./{DEFAULT}")
    assert own.network(own.first).config.image_shape == (3, 9, 7)
    content = io.BytesIO()
    Image.fromarray(np.eye(40, dtype=bool)).save(content, "png")
    drawn = {"digit": {"drawn": base64.b64encode(content.getvalue()).decode()}}
    for house in (own, House(threads=1)):
        assert house.network(DEFAULT).config.image_shape == (1, 28, 28)
        assert answer(house, "classify", drawn)["glimpses"] == 8
    classifier = House("two-digits-small", threads=1)
    assert (classifier.first, classifier.naming) == (DEFAULT, "./two-digits-small")
    assert classifier.network("two-digits-small").config.image_shape == (1, 60, 60)
    with pytest.raises(UserError, match="cluttered"):
        House("cluttered", threads=1)


def test_numbers_that_are_not_finite_are_one_line(tmp_path):
    of = network()
    of.flat_params[:] *= 1e5  # probabilities are finite, and what they cost is not
    of.save(tmp_path / "large.npz")
    of.flat_params[:] *= 1e25
    of.save(tmp_path / "huge.npz")
    for name, lab, request in (("large", "read", {"image": {"number": 1}}), ("huge", "influence", SHEET)):
        with pytest.raises(UserError, match="numbers overflow"):
            answer(House(str(tmp_path / f"{name}.npz"), threads=1), lab, request)


def test_warming_up_says_nothing_of_what_fails(monkeypatch, capfd):
    def fails(*_):
        raise MemoryError

    house = House(threads=1)
    for name in ("read", "filterbank"):
        monkeypatch.setitem(LABS, name, LABS[name]._replace(make=fails))
    labs.warm_up(house)
    assert "cluttered" in house.networks and capfd.readouterr() == ("", "")


def test_where_somebodys_pictures_are_is_not_told(tmp_path):
    one = network(image_shape=(3, 11, 13))
    train, data = minidraw.load(DEFAULT, threads=1).origin
    one.origin = dataclasses.replace(train, data="folder:/home/ada/faces"), data
    one.save(tmp_path / "faces.npz")
    house = House(str(tmp_path / "faces.npz"), threads=1)
    told = described(house, house.first)
    assert told["words"] == "folder:faces, 11×13 pixels in 3 glimpses"
    with pytest.raises(UserError, match="no test images for folder:faces here"):
        answer(house, "read", {"image": {"number": 1}})


def test_a_run_that_grows_is_told_by_the_glimpses_that_it_has(tmp_path, monkeypatch):
    network().save(tmp_path / "grows.npz")
    monkeypatch.setattr(checkpoints.Checkpoint, "glimpses", lambda self: 2)
    told = described(House(str(tmp_path / "grows.npz"), threads=1), str(tmp_path / "grows.npz"))
    assert told["glimpses"] == 2 and told["words"].endswith("in 2 glimpses")


def test_names_of_files_do_a_page_no_harm(tmp_path):
    network().save(path := tmp_path / "a\u202e.npz")
    house = House(str(path), threads=1)
    assert house.first.endswith("a\\u202e.npz") and house.network(house.first).config.glimpses == 3


def test_videos_are_offered_where_they_can_be_written(monkeypatch):
    def missing():
        raise UserError("no video")

    house = House(threads=1)
    for check, kinds in ((lambda: True, ["gif", "png", "mp4"]), (missing, ["gif", "png"])):
        monkeypatch.setattr(houses, "check_video", check)
        assert house.told()["kinds"] == kinds


def test_numbers_go_as_far_as_a_browsers():
    house = House(threads=1)
    assert answer(house, "draw", {"seed": 1 << 53, "count": 1})
    with pytest.raises(UserError, match="seed must be a whole number"):
        answer(house, "draw", {"seed": (1 << 53) + 1, "count": 1})
    assert house.image(Asked({"number": 1 << 53}), house.network(DEFAULT))[1].startswith(f"number {(1 << 53) % 200} of")


@pytest.mark.parametrize(
    "recorded, kind, shape",
    [
        ("unknown", Images, (1, 28, 28)),
        ("svhn", Images, (1, 40, 40)),
        ("cluttered", Cluttered, (1, 100, 100)),
        ("two_digits", TwoDigits, (1, 60, 60)),
        ("two_digits", None, (3, 60, 60)),
        ("strokes", None, (1, 20, 20)),
        ("strokes", None, (1, 28, 30)),
    ],
)
def test_without_test_images_digits_of_the_same_size_stand_in(recorded, kind, shape):
    one = network(image_shape=shape)
    one.origin = dataclasses.replace(minidraw.load(DEFAULT, threads=1).origin[0], data=recorded), {}
    house = House(threads=1)
    if kind is None:
        with pytest.raises(UserError, match=f"no test images for {recorded} here"):
            house.images(one)
    else:
        split, words = house.images(one)
        assert type(split) is kind and split.shape == shape and words == "the digits that minidraw draws itself"


def test_a_dark_figure_for_a_larger_network_of_light_ones_is_turned():
    house, content = House(threads=1), io.BytesIO()
    figure = np.pad(np.ones((20, 10), np.uint8), ((20, 20), (25, 25)))
    Image.fromarray(255 - 255 * figure).save(content, "png")
    asked = Asked({"picture": base64.b64encode(content.getvalue()).decode()})
    image, words = house.image(asked, house.network("two-digits-small"))
    np.testing.assert_array_equal(image[0], figure)
    assert words.startswith("inverted")


def test_two_channels_are_shown_as_three_and_no_ink_where_there_is_none(tmp_path):
    network(image_shape=(2, 5, 6)).save(tmp_path / "two.npz")
    of = answer(House(str(tmp_path / "two.npz"), threads=1), "draw", {"count": 4})["recording"]
    assert of["shape"] == [5, 6, 3] and len(base64.b64decode(of["canvas"])) == 3 * 4 * 5 * 6 * 3
    assert of["ink"] is None


def test_a_folder_that_was_trained_on_here_gives_its_test_images(tmp_path, monkeypatch):
    for k in range(12):
        (tmp_path / "ada").mkdir(exist_ok=True)
        Image.new("L", (9, 7), 20 * k).save(tmp_path / "ada" / f"{k}.png")
    path, name = tmp_path / "own.npz", f"folder:{tmp_path / 'ada'}"
    settings = {"glimpses": 2, "read_size": 2, "write_size": 2, "enc_size": 4, "dec_size": 4, "latent_size": 2}
    minidraw.fit(name, steps=1, batch_size=2, seed=0, threads=1, progress=False, **settings).save(path)
    own = House(str(path), threads=1)
    split, words = own.images(own.network(own.first))
    assert split.shape == (1, 7, 9) and words == "the test images of folder:ada"
    assert answer(own, "read", {"image": {"number": 0}})["words"] == "number 0 of the test images of folder:ada"
    monkeypatch.setenv("MINIDRAW_CACHE", str(tmp_path / "elsewhere"))  # where nobody has named the folder
    stranger = House(str(path), threads=1)
    with pytest.raises(UserError, match="no test images for folder:ada here"):
        stranger.images(stranger.network(stranger.first))


@pytest.mark.parametrize("sizes", [{"classes": 7}, {"image_shape": (3, 40, 40)}, {"image_shape": (1, 20, 20)}])
def test_a_classifier_of_something_else_is_one_line(tmp_path, sizes):
    path = tmp_path / "other.npz"
    RAM(RAMConfig(glimpses=2, read_size=2, hidden_size=4, **sizes), threads=1).save(path)
    with pytest.raises(UserError, match="is a classifier, but not of digits in clutter: choose another checkpoint"):
        House(str(path), threads=1)


def test_labs_take_turns(monkeypatch):
    house, inside, most = House(threads=1), [], []

    def make(*_):
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.02)
        inside.pop()

    monkeypatch.setitem(LABS, "draw", labs.Lab(make, lambda thing: {}, None))
    threads = [threading.Thread(target=answer, args=(house, "draw", {})) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 5


def test_a_walk_goes_there_and_back_and_shows_no_end_twice(monkeypatch):
    shown = []
    monkeypatch.setattr(drawing.saving, "morph", lambda of, path: shown.append(of))
    walk = LABS["walk"].make(House(threads=1), Asked(SHEET | {"from": 0, "to": 1, "steps": 4}))
    drawing.save_walk(walk, "a.gif", False, True)
    assert np.array_equal(shown[0].frames, walk.frames[:, [0, 1, 2, 3, 2, 1]])


def test_new_noise_is_none_of_the_sheets():
    house = House(threads=1)
    made = LABS["decide"].make(house, Asked(SHEET | {"which": 0, "glimpse": 2}))
    sheet = house.network(DEFAULT).draw(SHEET["count"], SHEET["seed"])
    assert not np.isin(made.latents[1, 1:], sheet.latents).any()
