"""Pictures as files: GIFs that play as asked and stay small, PNGs, and files that appear whole or not at all."""

import os

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image
from support.boxes import H, T, W, cell, n, painted, windows

from minidraw.errors import UserError
from minidraw.model.windows import Windows
from minidraw.pictures import writers
from minidraw.pictures.sheets import BACKGROUND, NOT_A_NUMBER, READING, WRITING, sequence_frames, sheet


def read_gif(path):
    """The frames as RGB, and each one's time on the screen in milliseconds."""
    with Image.open(path) as image:
        durations = []
        for k in range(image.n_frames):
            image.seek(k)
            durations.append(image.info["duration"])
        assert image.info["loop"] == 0  # for ever
    return iio.imread(path, plugin="pillow", mode="RGB", index=...), durations


def growing(T=T, C=1, n=n):
    """Frames that differ from one to the next by far more than a palette's step."""
    random = np.random.default_rng(1).random((1, n, C, H, W))
    return (random * np.linspace(0.2, 1, T).reshape(T, 1, 1, 1, 1)).astype(np.float32)


def test_a_gif_plays_every_glimpse_and_holds_the_finished_sheet(tmp_path):
    drawn = sequence_frames(growing(), windows(side=2), windows(side=4))
    writers.write_gif(tmp_path / "new" / "folder" / "a.gif", drawn, fps=8, hold=1.5)
    seen, durations = read_gif(tmp_path / "new" / "folder" / "a.gif")
    assert durations == [120] * T + [1500]  # a GIF counts in hundredths of a second
    assert seen.shape == (T + 1, *drawn[0].shape)
    error = np.abs(seen - np.array(drawn, np.int16)).max(axis=(1, 2, 3))
    assert error.max() <= 4 and error[-1] <= 1, "greys that hardly change stay, but the last picture is exact"
    for t in range(T):
        np.testing.assert_array_equal(painted(seen[t], WRITING), painted(drawn[t], WRITING))
        np.testing.assert_array_equal(painted(seen[t], READING), painted(drawn[t], READING))
    assert not painted(seen[T], WRITING).any()
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["a.gif"]


def test_frames_that_are_equal_keep_their_time(tmp_path):
    levels = np.float32([0, 0.3, 0.5, 1]).reshape(4, 1, 1, 1, 1) * np.ones((n, 1, H, W), np.float32)
    drawn = sequence_frames(levels[[0, 1, 1, 1, 2, 3, 3]])
    writers.write_gif(tmp_path / "a.gif", drawn, fps=10, hold=2)
    assert read_gif(tmp_path / "a.gif")[1] == [100, 300, 100, 2100]


def test_a_grey_gif_keeps_more_than_a_hundred_greys_and_the_boxes_colours(tmp_path):
    ramp = np.linspace(0, 1, 2 * 256, dtype=np.float32).reshape(1, 1, 1, 16, 32)
    drawn = sequence_frames(ramp.repeat(2, axis=0), windows((8, 8), 4, shape=(2, 1)), windows((20, 8), 4, shape=(2, 1)))
    writers.write_gif(tmp_path / "a.gif", drawn)
    seen, _ = read_gif(tmp_path / "a.gif")
    assert len(np.unique(seen[-1].reshape(-1, 3), axis=0)) > 100
    assert np.abs(seen - np.array(drawn, np.int16)[[0, 2]]).max() <= 1 and len(seen) == 2
    for colour in (WRITING, READING):
        np.testing.assert_array_equal(painted(seen[0], colour), painted(drawn[0], colour))


def test_what_creeps_is_followed(tmp_path):
    """A grey that changes by less than what is let pass, again and again, is never far from what is shown."""
    levels = np.arange(100, 140).reshape(-1, 1, 1, 1, 1) / 255 * np.ones((n, 1, H, W))
    writers.write_gif(tmp_path / "a.gif", drawn := sequence_frames(levels), hold=0)
    with Image.open(tmp_path / "a.gif") as gif:
        shown = [np.asarray(gif.convert("L"))[5, 5] for k in range(gif.n_frames) if not gif.seek(k)]
    assert 10 <= len(shown) <= 13 and abs(int(shown[-1]) - int(drawn[-1][5, 5, 0])) <= 1


@pytest.mark.parametrize("ending, kind", [(".webp", "WEBP"), (".apng", "PNG"), (".APNG", "PNG")])
def test_other_animations_are_exact(tmp_path, ending, kind):
    drawn = sequence_frames(growing(C=3), windows(side=2))
    writers.write_animation(tmp_path / f"a{ending}", drawn, fps=30, hold=1.5)
    with Image.open(tmp_path / f"a{ending}") as picture:
        assert (picture.format, picture.n_frames, picture.info["loop"]) == (kind, T + 1, 0)
        for k, frame in enumerate(drawn):
            picture.seek(k)
            np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), frame)
            assert picture.info["duration"] == (33 if k < T else 1500)
    with pytest.raises(UserError, match="fps"):
        writers.write_animation(tmp_path / f"b{ending}", drawn, fps=0)
    assert [path.name for path in tmp_path.iterdir()] == [f"a{ending}"]


def test_a_pillow_without_webp_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(writers.features, "check", lambda name: name != "webp")
    with pytest.raises(UserError, match=r"without WebP: let the file end in \.gif or \.apng"):
        writers.write_animation(tmp_path / "a.webp", [sheet(growing()[0])])


def test_no_frame_is_shorter_than_browsers_play(tmp_path):
    writers.write_gif(tmp_path / "a.gif", sequence_frames(growing()), fps=1000, hold=0)
    assert read_gif(tmp_path / "a.gif")[1] == [20] * T


@pytest.mark.parametrize("fps, each", [(15, 70), (30, 30), (7, 140), (0.5, 2000)])
def test_a_gif_has_the_nearest_pace_that_there_is(tmp_path, fps, each):
    writers.write_gif(tmp_path / "a.gif", sequence_frames(growing()), fps=fps, hold=3)
    assert read_gif(tmp_path / "a.gif")[1] == [each] * (T - 1) + [3000]


def test_one_frame_is_a_gif_too(tmp_path):
    for frames in (growing(T=1), growing(T=1).repeat(T, axis=0)):
        writers.write_gif(tmp_path / "a.gif", sequence_frames(frames))
        assert iio.imread(tmp_path / "a.gif", plugin="pillow", mode="RGB").shape == (1, *sheet(frames[0]).shape)


def test_black_stays_black_white_white_and_a_dim_drawing_dim(tmp_path):
    frames = np.zeros((2, n, 1, H, W), np.float32)
    frames[:, 1] = 0.2
    frames[1, 2] = 1
    writers.write_gif(tmp_path / "a.gif", sequence_frames(frames, columns=n))
    seen, _ = read_gif(tmp_path / "a.gif")
    assert [cell(seen[1], 18, 27, 0, i).ravel()[[0, -1]].tolist() for i in range(n)] == [[0, 0], [50, 50], [255, 255]]


@pytest.mark.parametrize("C", [2, 3])
def test_a_colour_gif_has_the_boxes_own_colours_in_one_palette(tmp_path, C):
    frames = growing(C=C, n=20)
    drawn = sequence_frames(frames, windows(side=2, shape=(T, 20)), windows(side=4, shape=(T, 20)))
    writers.write_gif(tmp_path / "a.gif", drawn)
    seen, _ = read_gif(tmp_path / "a.gif")
    assert len(seen) == T + 1
    error = np.abs(seen - np.array(drawn, np.int16))
    assert error.mean() < 8 and error.max() < 80
    for colour in (WRITING, READING):
        assert painted(seen[0], colour)[painted(drawn[0], colour)].mean() == 1
    assert len(np.unique(seen.reshape(-1, 3), axis=0)) < 256


def test_a_colour_gif_keeps_a_single_pixel_and_black_white_and_the_ground():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 9, (40, 40, 3))  # of nearly black, in which black is rare, and as much of all others
    drawn = np.stack([noise, 255 - noise, 70 + noise, rng.integers(0, 256, (40, 40, 3))]).astype(np.uint8)
    for k, colour in enumerate(((0, 0, 0), (255, 255, 255), BACKGROUND)):
        drawn[:, 7, 5 * k + 3] = colour
    colours, indices = writers._indexed(drawn)
    assert len(colours) < 256
    for k, colour in enumerate(((0, 0, 0), (255, 255, 255), BACKGROUND)):
        shown = colours[np.stack(indices)]
        assert painted(shown, colour)[painted(drawn, colour)].all() and painted(shown[:, 7, 5 * k + 3], colour).all()


def test_a_colour_gif_of_little_keeps_all_of_it(tmp_path):
    picture = np.zeros((30, 31, 3), np.uint8)
    picture[11, 17] = (255, 0, 0)  # not one of every five
    for place in (10, 11, 12, 13):
        picture[20, place] = (0, 40 * place - 300, 200)
    picture[:2] = BACKGROUND
    writers.write_gif(tmp_path / "a.gif", [picture])
    np.testing.assert_allclose(read_gif(tmp_path / "a.gif")[0][0].astype(int), picture, atol=3)


def side(kind: str) -> list[np.ndarray]:
    return [np.full((2, 65_536 if kind == ".gif" else 16_400, 3), level, np.uint8) for level in (0, 9)]


@pytest.mark.parametrize("kind", [".gif", ".webp", ".mp4"])
def test_what_a_library_will_not_make_is_one_line(tmp_path, kind):
    if kind == ".mp4":
        pytest.importorskip("imageio_ffmpeg", reason="imageio-ffmpeg is missing: pip install imageio-ffmpeg")
    write = {".gif": writers.write_gif, ".webp": writers.write_animation, ".mp4": writers.write_video}[kind]
    with pytest.raises(UserError, match=rf"(cannot|could not) make .*a\{kind}: ") as caught:
        write(tmp_path / f"a{kind}", side(kind))
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


@pytest.mark.parametrize("problem", [RuntimeError, OSError, ValueError, OverflowError, KeyError])
def test_whatever_fails_in_coding_is_one_line_but_for_want_of_memory(tmp_path, monkeypatch, problem):
    def broken(*_, **__):
        raise kind("no\nsuch luck")

    for kind in (problem, MemoryError):
        monkeypatch.setattr(writers.iio, "imwrite", broken)
        monkeypatch.setattr(Image.Image, "save", broken)
        for write, name in (
            (writers.write_png, "a.png"),
            (writers.write_gif, "a.gif"),
            (writers.write_animation, "a.webp"),
        ):
            picture = sheet(growing()[0])
            with pytest.raises(UserError if kind is problem else MemoryError, match="such luck"):
                write(tmp_path / name, picture if name == "a.png" else [picture])
    assert not list(tmp_path.iterdir())


def test_a_not_a_number_is_loud_in_a_gif(tmp_path):
    frames = growing()
    frames[2, 1, 0, 3, 3] = np.nan
    writers.write_gif(tmp_path / "a.gif", sequence_frames(frames))
    assert [painted(seen, NOT_A_NUMBER).sum() for seen in read_gif(tmp_path / "a.gif")[0]] == [0, 0, 9, 0]


def test_a_sheet_of_64_noisy_digits_and_64_glimpses_is_less_than_three_megabytes(tmp_path):
    glimpses, count, size, random = 64, 64, 28, np.random.default_rng(2)
    y, x, r = random.uniform(5, 23, (3, count, 3, 1, 1))
    row, column = np.mgrid[:size, :size]
    digits = 1 / (1 + np.exp(3 * np.abs(np.hypot(row - y, column - x) - r / 3) - 4))  # three soft arcs each
    digits = digits.max(axis=1)  # (n, H, W)
    target = np.clip(6 * (2 * digits - 1), -5, 5)
    logits, frames = np.full((count, size, size), -2.0), []
    centre, stride = np.empty((glimpses, count, 2)), random.uniform(1, 5, (glimpses, count))
    a = np.arange(1, size + 1)
    for t in range(glimpses):  # each writes towards its digit through a soft window, and its noise with it
        centre[t] = random.uniform(4, 25, (count, 2))
        along = 1 / (1 + np.exp(2 * (np.abs(a - centre[t, :, :, None]) - 2 * stride[t, :, None, None])))  # (n, 2, A)
        window = along[:, 1, :, None] * along[:, 0, None, :]
        logits += window * (0.4 * (target - logits) + 0.3 * random.normal(size=logits.shape))
        frames.append(1 / (1 + np.exp(-logits[:, None])))
    boxes = Windows(centre, stride, random.uniform(0.3, 2, (glimpses, count)), size=5)
    writers.write_gif(tmp_path / "a.gif", sequence_frames(np.array(frames), boxes))
    assert 200_000 < (tmp_path / "a.gif").stat().st_size < 3_000_000
    assert len(read_gif(tmp_path / "a.gif")[1]) == glimpses + 1


@pytest.mark.parametrize("fps, hold", [(0, 2), (-1, 2), (float("nan"), 2), (10, -1), (10, float("inf"))])
def test_a_speed_that_is_none_is_refused_in_one_line(tmp_path, fps, hold):
    with pytest.raises(UserError, match="fps") as caught:
        writers.write_gif(tmp_path / "a.gif", [sheet(growing()[0])], fps=fps, hold=hold)
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


def test_a_png_comes_back_as_it_was(tmp_path):
    picture = sheet(growing(C=3)[3])
    writers.write_png(str(tmp_path / "new" / "a.png"), picture)
    np.testing.assert_array_equal(iio.imread(tmp_path / "new" / "a.png"), picture)


WRITERS = [writers.write_png, lambda path, picture: writers.write_gif(path, [picture, 255 - picture])]
WRITERS.append(lambda path, picture: writers.write_animation(path, [picture, 255 - picture]))


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("failing", ["os.replace", "os.fsync"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, write, failing):
    path, picture = tmp_path / "a", sheet(growing()[0])
    write(path, picture)
    old = path.read_bytes()

    def full(*_):  # the disk is full when what was written is to reach it, or at the last step
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(failing, full)
        with pytest.raises(UserError, match="No space left"):
            write(path, 255 - picture)
    assert path.read_bytes() == old and [each.name for each in tmp_path.iterdir()] == ["a"]
    write(path, 255 - picture)
    assert path.read_bytes() != old


@pytest.mark.parametrize("write", WRITERS)
def test_a_place_that_cannot_be_written_is_one_line(tmp_path, write):
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "folder").mkdir()
    for place in (tmp_path / "file" / "a.gif", tmp_path / "folder", "."):
        with pytest.raises(UserError, match="cannot write") as caught:
            write(place, sheet(growing()[0]))
        assert "\n" not in str(caught.value)
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["file", "folder"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_read_only_folder_is_one_line(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="Permission denied"):
        writers.write_png(tmp_path / "a.png", sheet(growing()[0]))
