"""Pictures of kinds that are easily read as something else: deep, transparent, of many frames, of another aspect."""

import numpy as np
import pytest
from PIL import Image
from support.files import put, refusal
from support.pictures import assert_same_images, load, noise, pixels, sizes

from minidraw.data.folder.preparation import Preparation, level, to_bytes
from minidraw.pictures.photos import read_picture, read_prepared

RAMP = np.arange(63, dtype=np.uint16).reshape(7, 9)


def save(folder, arrays, ending=".png", mode=None) -> None:
    for i, array in enumerate(arrays):
        picture = Image.fromarray(array) if mode is None else Image.fromarray(array, mode)
        picture.save(put(folder, f"{i:03}{ending}", b""))


def ramps(step: float, dtype, n: int = 12) -> list[np.ndarray]:
    return [((RAMP + k) * step).astype(dtype) for k in range(n)]


@pytest.mark.parametrize(
    ("step", "dtype", "ending", "white"),
    [
        (65535 // 73, np.uint16, ".png", 65535),
        (4095 // 73, np.uint16, ".png", 4095),  # 12 bits in 16
        (4095 // 73, np.uint16, ".tif", 4095),
        (3, np.uint16, ".png", 255),  # 8 bits in 16
        (3, np.int32, ".tif", 255),  # in 32
        (1 / 73, np.float32, ".tif", 1),
        (3, np.float32, ".tif", 255),
    ],
)
def test_the_white_of_deep_pictures_is_found(tmp_path, step, dtype, ending, white):
    arrays = ramps(step, dtype)
    save(tmp_path / "a", arrays, ending)
    dataset = load(tmp_path / "a")
    assert_same_images(dataset, [np.rint(array.astype(float) * 255 / white).astype(np.uint8) for array in arrays])
    (told,) = [remark for remark in dataset.remarks if "8 bits" in remark]
    assert f"0 is taken as black, {white} as white (" in told
    other = load(tmp_path / "a", f"?white={2 * white}")
    assert_same_images(other, [np.rint(array.astype(float) * 127.5 / white).astype(np.uint8) for array in arrays])


def test_deep_pictures_that_may_mean_several_things(tmp_path):
    save(tmp_path / "faint", ramps(0.001, np.float32), ".tif")
    assert "have values from 0 to 0.073: which are black and white? If it is these," in refusal(
        load, tmp_path / "faint"
    )
    save(tmp_path / "signed", [2 * array - 1 for array in ramps(1 / 73, np.float32)], ".tif")
    assert "have values from -1 to" in refusal(load, tmp_path / "signed")
    assert 0 <= pixels(load(tmp_path / "signed", "?black=-1&white=1")).min() < 3
    save(tmp_path / "hole", [np.where(array == 0, np.nan, array) for array in ramps(1 / 73, np.float32)], ".tif")
    assert "000.tif has pixels that are no numbers, or infinite; mend it" in refusal(load, tmp_path / "hole")
    assert "?white=0.0729999" in refusal(load, tmp_path / "faint", "?white=0.01")


def icon(light: bool, side: int = 20) -> np.ndarray:
    """A disc on transparent ground, RGBA."""
    y, x = np.indices((side, side)) - side / 2 + 0.5
    pixels = np.zeros((side, side, 4), np.uint8)
    pixels[..., :3] = 255 * light
    pixels[..., 3] = 255 * (x**2 + y**2 < side**2 / 9)
    return pixels


@pytest.mark.parametrize("light", [False, True])
@pytest.mark.parametrize("options", ["", "?grey=1"])
def test_figures_on_transparent_ground_can_be_seen(tmp_path, light, options):
    icons = [icon(light, 20) for _ in range(12)]
    for i, pixel in enumerate(icons):
        pixel[i, 0] = (0, 0, 0, 255)
    save(tmp_path / "a", icons)
    images = pixels(load(tmp_path / "a", options))
    disc = icons[0][:, :, 3][4:-4, 4:-4] > 0
    assert (images[:, :, 4:-4, 4:-4] == np.where(disc, 255 * light, 255 * (not light))).all()
    other = pixels(
        load(tmp_path / "a", (options + "&" if options else "?") + f"ground={'white' if light else 'black'}")
    )
    assert np.ptp(other[:, :, 4:-4, 4:-4]) == 0, "what was asked for"


def test_a_picture_given_later_is_prepared_like_those_of_the_folder(tmp_path):
    """Whatever the folder decided together: ground, levels, size, what is cut away."""
    kinds = {
        "white icons": ([icon(True, 24) for _ in range(12)], ".png"),
        "12 bits": (ramps(4095 // 73, np.uint16), ".png"),
        "wide": ([np.asarray(noise(i, 200, 50)) for i in range(12)], ".png"),
    }
    for name, (arrays, ending) in kinds.items():
        save(tmp_path / name, arrays, ending)
        for options in ("", "?size=20x11&fit=pad", "?grey=1&size=9"):
            dataset = load(tmp_path / name, options)
            preparation = Preparation(**dataset.preparation)
            shown = [read_prepared(str(tmp_path / name / f"{i:03}{ending}"), preparation)[0] for i in range(12)]
            assert {np.rint(255 * image).astype(np.uint8).tobytes() for image in shown} == {
                image.tobytes() for image in pixels(dataset)
            }
    image, _ = read_picture(str(tmp_path / "white icons" / "000.png"), (3, 24, 24), on_black=False)
    assert 0.2 < image.mean() < 0.6, "and a network that knows nothing of a folder sees the icon too"


def test_wide_pictures_are_kept_whole_or_it_is_said(tmp_path):
    save(tmp_path / "a", [np.asarray(noise(i, 200, 50)) for i in range(12)])
    dataset = load(tmp_path / "a")
    assert dataset.train.shape == (3, 8, 32) and not any("cropped" in remark for remark in dataset.remarks)
    square = load(tmp_path / "a", "?size=50")
    assert square.train.shape == (3, 50, 50)
    assert any("of 12 of 12 pictures" in remark and "up to 75 %" in remark for remark in square.remarks)
    for fit in ("pad", "stretch"):
        whole = load(tmp_path / "a", f"?size=50&fit={fit}")
        assert whole.train.shape == (3, 50, 50) and not any("cropped" in remark for remark in whole.remarks)
    assert "?size=50x50&fit=stretch" in whole.name


def test_padding_takes_the_colour_of_the_border():
    pixels = np.pad(np.full((4, 30), 200, np.uint8), 3, constant_values=40)
    pixels[:, 0] = 90  # not all of it has that colour
    picture = Image.fromarray(pixels)
    image = Preparation((36, 36), True, "pad").apply(picture)[0]
    assert (image[:10] == 40).all() and (image[-10:] == 40).all() and (image[17:19, 5:-5] == 200).all()


def test_every_page_is_an_image_and_of_a_film_the_first_frame(tmp_path):
    for i in range(11):
        first, *others = (noise(20 * i + k) for k in range(3))
        first.save(put(tmp_path / "tiff", f"{i}.tif", b""), save_all=True, append_images=others)
        moving = [noise(20 * i + k).quantize(16) for k in range(3)]
        moving[0].save(put(tmp_path / "gif", f"{i}.gif", b""), save_all=True, append_images=moving[1:])
    dataset = load(tmp_path / "tiff")
    assert_same_images(dataset, [np.asarray(noise(20 * i + k)) for i in range(11) for k in range(3)])
    assert "pages: 11 files of 33 frames, each an image (frames=first)" in dataset.remarks
    for split in (dataset.train, dataset.valid, dataset.test):
        assert len(split) % 3 == 0, "the pages of a file stay together"
    assert sum(sizes(load(tmp_path / "tiff", "?frames=first"))) == 11
    films = load(tmp_path / "gif")
    assert sum(sizes(films)) == 11
    assert "moving: 11 files of 33 frames, the first of each is taken (frames=all)" in films.remarks
    assert sum(sizes(load(tmp_path / "gif", "?frames=all"))) == 33


def test_the_pages_of_a_single_file_are_split(tmp_path):
    first, *others = (noise(k) for k in range(200))
    first.save(put(tmp_path / "a", "stack.tif", b""), save_all=True, append_images=others)
    assert sum(sizes(load(tmp_path / "a"))) == 200 and min(sizes(load(tmp_path / "a"))) > 8


def test_levels():
    assert [level(x) for x in (1, 0.3, 2.5e2, 1000, 4000, 65535)] == [1, 1, 255, 1023, 4095, 65535]
    assert [level(x) for x in (0, 1 / 255, 16, 1e5, float("nan"))] == [None] * 5
    assert to_bytes(np.array([-1.0, 0, 1]), -1, 1).tolist() == [0, 128, 255]
    assert to_bytes(np.array([0, 9]), 9, 0).tolist() == [255, 0], "a negative"
    with pytest.raises(ValueError, match="from 0 to 300, but 0 is black and 255 white"):
        to_bytes(np.array([0, 300]), 0, 255)


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": (0, 3)},
        {"size": (3,)},
        {"size": (3, 10**9)},
        {"size": "ab"},
        {"fit": "x"},
        {"ground": "red"},
        {"white": "a"},
        {"white": float("nan")},
        {"black": 1.0, "white": 1.0},
        {"levels": (1, 1)},
        {"levels": 3},
        {"levels": (1, "a")},
    ],
)
def test_a_preparation_from_a_file_is_not_trusted(wrong):
    with pytest.raises((ValueError, TypeError)):
        Preparation(**({"size": (3, 4), "grey": True} | wrong))


def test_every_page_is_looked_at(tmp_path):
    """The first page says nothing of the others: their sizes, colours and depths."""
    grey = [noise(i, 40, 40).convert("L") for i in range(12)]
    for i in range(12):
        wide = noise(100 + i, 120, 30)
        grey[i].save(put(tmp_path / "mixed", f"{i}.tif", b""), save_all=True, append_images=[wide, wide])
        deep = Image.fromarray(np.full((40, 40), 3000 + i, np.uint16))
        grey[i].save(put(tmp_path / "deep", f"{i}.tif", b""), save_all=True, append_images=[deep])
    dataset = load(tmp_path / "mixed")
    assert dataset.train.shape == (3, 30, 30)  # of 12 squares and 24 that are wide, neither aspect is that of all
    assert any("of 24 of 36 pictures" in remark and "up to 75 %" in remark for remark in dataset.remarks)
    assert any("12 pictures of more than 8 bits" in remark for remark in load(tmp_path / "deep").remarks)


def test_levels_that_pictures_cannot_have(tmp_path):
    save(tmp_path / "even", [np.full((7, 9), 300, np.uint16)] * 12)
    assert "are 300: there is nothing to be seen" in refusal(load, tmp_path / "even")
    save(tmp_path / "plain", [np.full((7, 9), i, np.uint8) for i in range(12)])
    assert "white and black are 0 to 255" in refusal(load, tmp_path / "plain", "?white=4095")


def test_large_files_are_known_by_all_of_their_content(tmp_path):
    """Uncompressed pictures have the same beginning and end, and may differ in the middle alone."""
    for i in range(12):
        pixels = np.zeros((900, 1000, 3), np.uint8)
        pixels[450, i] = 255
        Image.fromarray(pixels).save(put(tmp_path / "a", f"{i}.bmp", b""))
    first = load(tmp_path / "a")
    assert not any("copies" in remark for remark in first.remarks) and sum(sizes(first)) == 12
    pixels[450, 500] = 9
    Image.fromarray(pixels).save(tmp_path / "a" / "11.bmp")
    assert load(tmp_path / "a").identity != first.identity


def test_pictures_far_darker_than_the_others_are_said(tmp_path):
    save(tmp_path / "a", [*ramps(65535 // 73, np.uint16, 6), *ramps(4095 // 73, np.uint16, 7)[1:]])
    (told,) = [remark for remark in load(tmp_path / "a").remarks if "8 bits" in remark]
    assert "65535 as white, but 6 of them stay below an eighth of it" in told


def test_stacks_stay_together(tmp_path):
    for i in range(12):
        first, *others = (noise(50 * i + k) for k in range(10))
        first.save(put(tmp_path / "a", f"{i}.tif", b""), save_all=True, append_images=others)
    assert all(size % 10 == 0 and size for size in sizes(load(tmp_path / "a")))


def test_transparent_values_and_turned_scales_of_deep_pictures(tmp_path):
    for i in range(12):
        values = np.full((7, 9), 40000 + i, np.uint16)
        values[2:5] = 0
        Image.fromarray(values).save(put(tmp_path / "clear", f"{i}.png", b""), transparency=0)
        Image.fromarray(values).save(put(tmp_path / "turned", f"{i}.tif", b""), tiffinfo={262: 0})
    images = pixels(load(tmp_path / "clear"))
    assert (images[:, :, 2:5] == 0).all() and (images[:, :, :2] > 100).all(), "light ones want a dark ground"
    assert (pixels(load(tmp_path / "clear", "?ground=white"))[:, :, 2:5] == 255).all()
    turned = pixels(load(tmp_path / "turned"))
    assert (turned[:, :, 2:5] == 255).all() and (turned[:, :, :2] < 120).all()


def test_what_cannot_be_seen_is_said(tmp_path):
    save(tmp_path / "both", [icon(k % 2 == 0, 20 + k) for k in range(12)])
    remarks = " ".join(load(tmp_path / "both", "?size=20").remarks)
    assert "; of 6 of 12 looked at nothing is left to be seen (ground=white, black or grey)" in remarks
    images = pixels(load(tmp_path / "both", "?size=20&ground=grey"))
    assert (np.ptp(images, axis=(1, 2, 3)) > 100).all()
    save(tmp_path / "masks", [np.uint8(np.arange(63).reshape(7, 9) > i) for i in range(12)])
    assert any("brightest of all pixels is 1 of 255" in remark for remark in load(tmp_path / "masks").remarks)
    assert {*np.unique(pixels(load(tmp_path / "masks", "?white=1"))).tolist()} == {0, 255}
    save(tmp_path / "levels", [np.full((7, 9, 3), 10 * i, np.uint8) for i in range(12)])
    assert_same_images(
        load(tmp_path / "levels", "?black=100&white=0"),
        [np.full((7, 9, 3), np.rint(max(0, (10 * i - 100) * (255 / -100)))) for i in range(12)],
    )
