"""Latents in and out of a network, the way between them, and pictures of it."""

import os

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image
from support.boxes import cell
from support.runs import SIZES, listing, run, save

from minidraw import DRAW, DRAWConfig, UserError
from minidraw.model import draw
from minidraw.model.latent import between
from minidraw.pictures import arrays, saving, sizes
from minidraw.streams import Purpose, stream
from minidraw.training import checkpoints

pytestmark = pytest.mark.usefixtures("small_strokes")

CONFIG = DRAWConfig(image_shape=(2, 7, 9), glimpses=4, read_size=3, write_size=2, enc_size=8, dec_size=6, latent_size=5)


@pytest.fixture(params=["attention", "none"])
def network(request):
    sizes = {"read_size": None, "write_size": None} if request.param == "none" else {}
    network = DRAW(DRAWConfig(**{**CONFIG.__dict__, **sizes}), threads=1)
    network.flat_params[:] += np.random.default_rng(1).normal(0, 0.3, len(network.flat_params))
    return network


@pytest.fixture
def seen():
    """Images (B, C, H, W) and noise (T, B, Z)."""
    rng = np.random.default_rng(0)
    return rng.random((11, *CONFIG.image_shape), np.float32), rng.standard_normal((4, 11, 5), np.float32)


def test_decoding_what_was_encoded_is_reconstructing_bit_for_bit(network, seen, monkeypatch):
    for chunk in (64, 3):
        monkeypatch.setattr(draw, "DRAWING_CHUNK", chunk)
        z = network.encode(*seen)
        assert z.shape == (4, 11, 5) and z.dtype == np.float32
        again = network.reconstruct(*seen)
        assert network.decode(z).tobytes() == again.tobytes()
        drawing, redrawing = network.draw_latents(z), network.redraw(*seen)
        assert drawing.read is None
        if drawing.write is not None:
            assert all(np.array_equal(a, b) for a, b in zip(drawing.write, redrawing.write, strict=True))


def test_latents_are_mean_and_noise(network, seen):
    x, noise = seen
    first = network.encode(x, noise)[0] - network.encode(x, 0 * noise)[0]  # sigma times noise, in the first glimpse
    sigma = first / noise[0]
    assert (sigma > 0).all() and sigma.std() > 0
    half = np.concatenate([0.5 * noise[:1], noise[1:]])
    np.testing.assert_allclose(network.encode(x, half)[0] - network.encode(x, 0 * noise)[0], first / 2, atol=1e-5)


def test_decoding_noise_is_generating(network):
    noise = stream(3, Purpose.PRIOR).standard_normal((4, 7, 5)).astype(np.float32)
    assert network.decode(noise).tobytes() == network.generate(7, seed=3).tobytes()


@pytest.mark.parametrize("shape", [(4, 5), (4, 0, 5), (3, 2, 5), (4, 2, 6)])
def test_latents_of_another_shape_are_refused(network, shape):
    with pytest.raises(UserError, match=r"latents must be .* = \(4, n, 5\)"):
        network.decode(np.zeros(shape))


def test_the_way_begins_and_ends_with_the_latents_and_stays_as_far_from_zero():
    z = np.random.default_rng(0).standard_normal((4, 3, 5), np.float32)
    path = between(z, 7)
    assert path.shape == (4, 2 * 7, 5) and path.dtype == np.float32
    for k, of in ((0, 0), (6, 1), (7, 1), (13, 2)):
        np.testing.assert_array_equal(path[:, k], z[:, of])
    unit = z / np.linalg.norm(z, axis=(0, 2), keepdims=True)
    arc = between(unit, 7)[:, :7]
    np.testing.assert_allclose(np.linalg.norm(arc, axis=(0, 2)), 1, rtol=1e-6)
    strides = np.linalg.norm(np.diff(arc, axis=1), axis=(0, 2))
    np.testing.assert_allclose(strides, strides[0], rtol=1e-5)


def test_a_way_to_the_same_to_zero_and_to_the_opposite_has_numbers_only():
    z = np.random.default_rng(0).standard_normal((4, 1, 5))
    np.testing.assert_allclose(between(np.concatenate([z, z], axis=1), 3), z.repeat(3, axis=1), rtol=1e-12)
    np.testing.assert_allclose(between(np.concatenate([z, -z], axis=1), 3)[:, 1], 0, atol=1e-12)
    path = between(np.concatenate([z, 0 * z], axis=1), 3)
    assert np.isfinite(path).all() and (path[:, 2] == 0).all()


@pytest.fixture
def pictures(here):
    rng = np.random.default_rng(0)
    return [save(rng.integers(0, 256, (28, 28), np.uint8), name=f"{k}.png") for k in range(3)]


def test_ends_of_a_row_are_the_reconstructions(here, trained, pictures, capsys):
    assert run("interpolate", trained, *pictures, "--steps", 4, "--scale", 1, "--out", "a.png") == 0
    assert capsys.readouterr().out.startswith("a.png: 8 drawings of 3 glimpses, 122x62 pixels")
    rows = iio.imread("a.png")[..., 0].astype(int)
    cells = [[rows[2 + 30 * i : 30 + 30 * i, 2 + 30 * k : 30 + 30 * k] for k in range(4)] for i in range(2)]
    np.testing.assert_array_equal(cells[0][3], cells[1][0])
    noise = stream(0, Purpose.BETWEEN).standard_normal((3, 1, SIZES["latent_size"]), np.float32)
    x = np.stack([iio.imread(name) for name in pictures])[:, None] / np.float32(255)
    last = checkpoints.load(trained).network(threads=1).reconstruct(x, noise.repeat(3, axis=1))[-1, :, 0]
    for got, expected in zip((cells[0][0], cells[0][3], cells[1][3]), last, strict=True):
        np.testing.assert_allclose(got, 255 * expected, atol=1)


def test_between_random_drawings_or_test_images(here, trained, capsys):
    for name, more in (
        ("a.gif", []),
        ("b.gif", ["--test"]),
        ("c.gif", ["--data", "strokes"]),
        ("d.gif", ["--seed", 1]),
    ):
        assert run("interpolate", trained, "-n", 3, "--steps", 2, "--out", name, *more) == 0
    assert capsys.readouterr().out.startswith("a.gif: 4 drawings of 3 glimpses, 678x678 pixels")
    made = listing(here)
    assert made["b.gif"] == made["c.gif"] and len(set(made.values())) == 3
    assert len(iio.imread("a.gif", index=None)) == SIZES["glimpses"] + 2


def test_a_morph_goes_through_all_images_and_back(here, trained, capsys):
    assert run("interpolate", trained, "-n", 3, "--steps", 5, "--morph", "--scale", 2, "--out", "a.gif") == 0
    assert capsys.readouterr().out.startswith("a.gif: 12 drawings, one after the other, 60x60 pixels")
    assert os.listdir(here) == ["a.gif"]


@pytest.fixture
def rough(here, trained):
    """The path of a network that draws one image unlike another."""
    checkpoint = checkpoints.load(trained)
    average = checkpoint.vectors["average"]
    average += np.random.default_rng(5).normal(0, 1.0, average.size).astype(np.float32)
    checkpoints.save(here / "rough.npz", checkpoint)
    return "rough.npz"


def test_a_way_is_in_the_order_of_the_images(rough, pictures):
    a, _, b = pictures
    assert run("interpolate", rough, a, a, b, "--steps", 4, "--latents", "--out", "z.npy") == 0
    z = np.load("z.npy")
    assert z.shape == (3, 2 * 4, SIZES["latent_size"])
    same = [bool((z[:, k] == z[:, 0]).all()) for k in (3, 4, 5, 6, 7)]
    assert same == [True, True, False, False, False]


def test_a_morph_is_the_rows_without_an_end_twice_and_then_the_way_back(rough, pictures):
    several = [rough, *pictures, "--steps", 4, "--scale", 1]
    assert run("interpolate", *several, "--out", "rows.png") == 0
    assert run("interpolate", *several, "--morph", "--fps", 5, "--out", "morph.apng") == 0
    rows = iio.imread("rows.png")
    first, second = ([cell(rows, 28, 28, i, k) for k in range(4)] for i in (0, 1))
    assert len({image.tobytes() for image in (*first, *second)}) == 7, "or the test shows nothing"
    with Image.open("morph.apng") as morph:
        seen = [cell(np.asarray(morph.convert("RGB")), 28, 28) for k in range(morph.n_frames) if not morph.seek(k)]
        assert [morph.info["duration"] for k in range(morph.n_frames) if not morph.seek(k)] == [200] * 9
    for k, image in enumerate([*first[1:], *second[1:]]):
        np.testing.assert_array_equal(seen[k], image)
    np.testing.assert_array_equal(seen[8], first[0])
    assert not any(np.array_equal(seen[k], image) for k in (6, 7) for image in (first[0], second[3]))


def test_a_morph_may_be_as_large_as_it_is_made(here, trained, capsys, monkeypatch):
    monkeypatch.setattr(sizes, "MOST_PIXELS", 8 * (28 * 9) ** 2)  # of 2 images and 4 steps, 6 pictures are made
    assert run("interpolate", trained, "-n", 2, "--steps", 5, "--morph", "--scale", 9, "--out", "a.gif") == 0
    assert capsys.readouterr().out.startswith("a.gif: 8 drawings, one after the other, 256x256 pixels")
    assert run("interpolate", trained, "-n", 2, "--steps", 6, "--morph", "--scale", 9, "--out", "b.gif") == 2
    assert "10 pictures at a scale of 9 are too much" in capsys.readouterr().err
    monkeypatch.setattr(arrays, "MOST_NUMBERS", 8 * 3 * 28 * 28 - 1)  # every glimpse of these 8 is kept
    assert run("interpolate", trained, "-n", 2, "--steps", 5, "--morph", "--out", "b.gif") == 2
    assert "too much for one file" in capsys.readouterr().err and os.listdir(here) == ["a.gif"]


def test_rows_are_counted_as_they_are_made(here, trained, capsys, monkeypatch):
    monkeypatch.setattr(sizes, "MOST_PIXELS", 4 * 3 * (28 * 9) ** 2)
    assert run("interpolate", trained, "-n", 2, "--steps", 4, "--scale", 9, "--out", "a.gif") == 0
    assert capsys.readouterr().out.startswith("a.gif: 4 drawings of 3 glimpses")


@pytest.mark.parametrize("name", ["m.svg", "m.npz", "m.npy", "m.png", "m.avi"])
def test_a_morph_is_a_moving_picture_only(here, network, name):
    with pytest.raises(
        UserError, match=r"must end in|moving picture: let the file end in \.gif, .* or \.apng, not \.\w+"
    ):
        saving.morph(network.draw(3), name)
    assert os.listdir(here) == []


@pytest.mark.parametrize("options", [{"scale": -1}, {"scale": 1.5}, {"fps": "a"}, {"fps": 0}])
def test_how_a_morph_cannot_be_is_one_line(here, network, options):
    with pytest.raises(UserError, match=f"{next(iter(options))} must be"):
        saving.morph(network.draw(3), "a.gif", **options)
    assert os.listdir(here) == []
