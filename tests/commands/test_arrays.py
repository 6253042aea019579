"""Drawings as arrays: what the commands write is what the library returns, and can be computed with."""

import os
import zipfile

import numpy as np
import pytest
from PIL import Image
from support.runs import SIZES, listing, run, save, trainer

from minidraw import UserError, data
from minidraw.data.images import spread
from minidraw.model.draw import draw_noise
from minidraw.pictures.arrays import MOST_NUMBERS, check_arrays
from minidraw.pictures.sheets import sheet
from minidraw.streams import Purpose, stream
from minidraw.training import checkpoints

pytestmark = pytest.mark.usefixtures("small_strokes")

T, Z = SIZES["glimpses"], SIZES["latent_size"]
WINDOW = ("centre", "stride", "sigma", "size")


@pytest.fixture(scope="module")
def network(trained):
    return checkpoints.load(trained).network(threads=1)


def read(name):
    """Return an .npz by name, or an .npy; neither is unpickled."""
    loaded = np.load(name, allow_pickle=False)
    return dict(loaded) if name.endswith(".npz") else loaded


def check(arrays, drawing, **more):
    """The arrays of an .npz are those of a drawing, bit for bit, and no others but `more`."""
    expected = {name: getattr(drawing, name) for name in ("frames", "latents", "ink", "start")} | more
    for kind, windows in (("write", drawing.write), ("read", drawing.read)):
        if windows is not None:
            expected |= {f"{kind}_{name}": getattr(windows, name) for name in WINDOW}
    assert arrays.keys() == expected.keys()
    for name, array in arrays.items():
        assert array.dtype.kind in "fi" and np.array_equal(array, expected[name]), name
    assert arrays["frames"].dtype == arrays["latents"].dtype == np.float32


def test_generate_writes_everything_by_name(here, trained, network, capsys):
    assert run("generate", trained, "-n", 5, "--seed", 3, "--out", "new/a.npz") == 0
    out, err = capsys.readouterr()
    arrays = read("new/a.npz")
    check(arrays, network.draw(5, seed=3))
    assert arrays["write_centre"].shape == (T, 5, 2) and arrays["write_size"] == SIZES["write_size"]
    shapes = f"frames ({T}, 5, 1, 28, 28), latents ({T}, 5, {Z}), ink ({T}, 5, 1, 28, 28), start (1, 28, 28), "
    shapes += f"write_centre ({T}, 5, 2), write_stride ({T}, 5)"
    size = f"{os.path.getsize('new/a.npz') / 1e6:.2f} MB"
    assert out == f"new/a.npz: {shapes}, write_sigma ({T}, 5), write_size (), {size}\n"
    assert err == "" and os.listdir("new") == ["a.npz"]


def test_an_npy_holds_the_frames_or_the_latents_that_they_are_decoded_from(here, trained, network, capsys):
    assert run("generate", trained, "-n", 70, "--out", "a.npy") == 0
    assert run("generate", trained, "-n", 70, "--latents", "--out", "z.NPY") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"a.npy: frames ({T}, 70, 1, 28, 28), ") and lines[0].endswith(" MB")
    assert lines[1].startswith(f"z.NPY: latents ({T}, 70, {Z}), ")
    frames, latents = read("a.npy"), np.load("z.NPY", allow_pickle=False)
    assert frames.dtype == latents.dtype == np.float32
    assert np.array_equal(frames, network.generate(70)) and np.array_equal(network.decode(latents), frames)


def test_the_same_drawing_is_the_same_file(here, trained):
    for name, seed in (("a.npz", 1), ("b.npz", 1), ("c.npz", 2)):
        assert run("generate", trained, "-n", 2, "--seed", seed, "--latents", "--out", name) == 0
    made = listing(here)
    assert made["a.npz"] == made["b.npz"] != made["c.npz"]
    with zipfile.ZipFile("a.npz") as archive:
        assert all(member.compress_type == zipfile.ZIP_STORED for member in archive.infolist())


def test_reconstruct_adds_the_originals_and_where_it_looked(here, trained, network, capsys):
    assert run("reconstruct", trained, "-n", 4, "--seed", 2, "--out", "a.npz") == 0
    told = capsys.readouterr().out
    test = data.load("strokes").test
    images = test.batch(spread(4, test))
    noise = draw_noise(network.config, 4, stream(2, Purpose.POSTERIOR))
    arrays = read("a.npz")
    check(arrays, network.redraw(images, noise), originals=images)
    assert arrays["read_stride"].shape == (T, 4) and arrays["read_size"] == SIZES["read_size"]
    assert f"read_centre ({T}, 4, 2), " in told and "originals (4, 1, 28, 28), " in told
    assert np.array_equal(network.decode(arrays["latents"]), arrays["frames"])
    assert run("reconstruct", trained, "-n", 4, "--seed", 2, "--latents", "--out", "z.npy") == 0
    assert np.array_equal(read("z.npy"), network.encode(images, noise))


def test_originals_are_the_pictures_given(here, trained):
    pixels = np.random.default_rng(0).integers(0, 99, (28, 28), np.uint8)
    assert run("reconstruct", trained, save(pixels), "--whole", "--out", "a.npz") == 0
    assert np.array_equal(read("a.npz")["originals"][0, 0], pixels / np.float32(255))


def test_a_network_without_attention_has_no_windows(here, tmp_path):
    trainer(tmp_path / "run", steps=1, read_size=None, write_size=None).run()
    assert run("reconstruct", tmp_path / "run", "-n", 2, "--out", "a.npz") == 0
    assert read("a.npz").keys() == {"frames", "latents", "ink", "start", "originals"}


def test_interpolate_writes_row_after_row(here, trained, network):
    for name, more in (("a.npz", []), ("a.npy", []), ("z.npy", ["--latents"])):
        assert run("interpolate", trained, "-n", 3, "--steps", 4, "--out", name, *more) == 0
    arrays, z = read("a.npz"), draw_noise(network.config, 3, stream(0, Purpose.BETWEEN))
    check(arrays, network.draw_latents(arrays["latents"]))
    assert np.array_equal(arrays["latents"][:, [0, 3, 4, 7]], z[:, [0, 1, 1, 2]])
    assert np.array_equal(read("a.npy"), arrays["frames"]) and np.array_equal(read("z.npy"), arrays["latents"])


def test_a_morph_holds_the_drawings_that_are_shown_and_how_they_came_about(here, trained, network):
    for name in ("a.npz", "a.apng"):
        assert run("interpolate", trained, "-n", 3, "--steps", 5, "--morph", "--scale", 9, "--out", name) == 0
    arrays, z = read("a.npz"), draw_noise(network.config, 3, stream(0, Purpose.BETWEEN))
    assert arrays["frames"].shape == (T, 12, 1, 28, 28)
    with Image.open("a.apng") as morph:
        for k, frame in enumerate(arrays["frames"][-1]):
            morph.seek(k)
            assert np.array_equal(np.asarray(morph.convert("RGB")), sheet(frame[None], scale=9))
    check(arrays, network.draw_latents(arrays["latents"]))
    assert np.array_equal(arrays["latents"][:, 3::4], np.roll(z, -1, axis=1))  # to the second, the third, the first


def test_frames_and_ink_twice_are_at_most_four_gigabytes():
    assert 4 * 2 * 2 * MOST_NUMBERS <= 4 << 30  # in memory while an .npz of both is written
    check_arrays(1 << 14, 16, (1, 32, 32))
    with pytest.raises(UserError, match="16385 drawings are more than 268,435,456 numbers"):
        check_arrays((1 << 14) + 1, 16, (1, 32, 32))


def test_options_of_pictures_do_not_matter(here, trained):
    assert run("generate", trained, "-n", 2, "--out", "a.npy") == 0
    looks = ["--columns", 100_000, "--scale", 100_000, "--fps", "nan", "--no-boxes", "--plain"]
    assert run("generate", trained, "-n", 2, "--out", "b.npy", *looks) == 0
    made = listing(here)
    assert made["a.npy"] == made["b.npy"]


def test_what_was_there_stays_where_nothing_can_be_written(here, trained, monkeypatch, capsys):
    assert run("generate", trained, "-n", 2, "--out", "a.npz") == 0
    before = listing(here)

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert run("generate", trained, "-n", 3, "--out", "a.npz") == 2
    assert capsys.readouterr().err.startswith("error: cannot write a.npz: No space left on device")
    assert listing(here) == before
