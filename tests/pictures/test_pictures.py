"""The pictures: where a box lies, to the pixel; a fixed scale; GIFs that play as asked, stay small, appear whole."""

import os

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image

from minidraw.errors import UserError
from minidraw.model.windows import Windows
from minidraw.pictures import writers
from minidraw.pictures.sheets import BACKGROUND, GREEN, NOT_A_NUMBER, RED, filmstrip, sequence_frames, sheet

T, n, H, W, N = 4, 3, 6, 9, 5  # pairwise different, and W > H: a swap of x and y shows


def windows(centre=((W + 1) / 2, (H + 1) / 2), side=3.0, sigma=0.1, shape=(T, n), size=N):
    """The same window for every image and glimpse; side in pixels."""
    return Windows(
        centre=np.broadcast_to(np.float32(centre), (*shape, 2)),
        stride=np.full(shape, side / (size - 1), np.float32),
        sigma=np.full(shape, sigma, np.float32),
        size=size,
    )


def cell(picture, h, w, row=0, column=0, gap=2):
    top, left = gap + row * (h + gap), gap + column * (w + gap)
    return picture[top : top + h, left : left + w]


def painted(picture, colour):
    return (picture == np.array(colour, np.uint8)).all(axis=-1)


def one_box(window, H=H, W=W, scale=3):
    """The (h, w) mask of the red box over one black image."""
    picture = sequence_frames(np.zeros((1, 1, 1, H, W), np.float32), window, scale=scale)[0]
    return painted(cell(picture, H * scale, W * scale), RED)


def rectangle(h, w, top, bottom, left, right):
    """The mask of a line one pixel wide through these rows and columns."""
    mask = np.zeros((h, w), bool)
    mask[[top, bottom], left : right + 1] = True
    mask[top : bottom + 1, [left, right]] = True
    return mask


# ------------------------------------------------------------------------------------------------------ the boxes


def test_the_first_window_frames_the_image_from_the_middle_of_its_first_pixel_to_the_middle_of_its_last():
    A, scale = 7, 5  # with g = 0 the centre is (A + 1) / 2, with log delta = 0 the side is A - 1 (eqs 22-24)
    box = one_box(windows(((A + 1) / 2, (A + 1) / 2), A - 1, shape=(1, 1)), A, A, scale)
    np.testing.assert_array_equal(box, rectangle(35, 35, 2, 32, 2, 32))


def test_centre_one_is_the_middle_of_the_first_pixel_and_x_comes_first():
    # At 3 picture pixels a pixel, pixel 3 spans columns 6..8, pixel 5 columns 12..14; middles at columns 7 and 13.
    box = one_box(windows((4, 3), 2, shape=(1, 1)))  # filters' centres at columns 3..5, rows 2..4
    np.testing.assert_array_equal(box, rectangle(18, 27, top=4, bottom=10, left=7, right=13))


def test_a_third_of_a_pixel_moves_the_box_by_one_picture_pixel():
    box = one_box(windows((4 + 1 / 3, 3 - 1 / 3), 2, shape=(1, 1)))
    np.testing.assert_array_equal(box, rectangle(18, 27, top=3, bottom=9, left=8, right=14))


@pytest.mark.parametrize("sigma, line", [(0.01, 1), (0.7, 1), (1.0, 2), (2.0, 4), (100.0, 8), (np.inf, 8)])
def test_the_line_is_as_thick_on_all_sides_and_grows_with_sigma_up_to_two_pixels(sigma, line):
    for shift in (0.0, 0.13, 0.25, 0.4):
        box = one_box(windows((11 + shift, 11), 12, sigma, shape=(1, 1)), 21, 21, scale=4)
        middle = 42
        across, down = box[middle], box[:, middle]
        assert across[:middle].sum() == across[middle:].sum() == line
        assert down[:middle].sum() == down[middle:].sum() == line


def test_a_line_is_centred_on_the_side():
    box = one_box(windows((11, 11), 12, 3.0, shape=(1, 1)), 21, 21, scale=2)  # a line of 3 at 9 and at 33 of 42
    assert np.flatnonzero(box[21]).tolist() == np.flatnonzero(box[:, 21]).tolist() == [8, 9, 10, 31, 32, 33]


def test_a_window_of_no_size_is_a_dot_and_never_nothing():
    for x in np.linspace(2, 6, 25):
        dot = one_box(windows((x, 3), 0, 0.01, shape=(1, 1)))
        assert 1 <= dot.sum() <= 4
        assert abs(np.nonzero(dot)[1].mean() + 0.5 - (x - 0.5) * 3) <= 0.5


@pytest.mark.parametrize("side", [3.0, 30.0, 1e30])
@pytest.mark.parametrize("x", [-1e30, -4.0, 0.0, 5.0, 10.0, 1e30])
@pytest.mark.parametrize("y", [-9.0, 3.5, 7.0])
def test_a_box_beyond_its_cell_leaves_no_mark_on_its_neighbours(x, y, side):
    frames = np.zeros((1, 4, 1, H, W), np.float32)
    window = windows(side=1e30, shape=(1, 4), sigma=3.0)  # the others' boxes are out of sight
    window.stride[:, 1], window = side / (N - 1), window._replace(centre=window.centre.copy())
    window.centre[:, 1] = x, y
    picture = sequence_frames(frames, window, columns=2)[0]
    red = painted(picture, RED)
    cell(red, 18, 27, 0, 1)[:] = False
    assert not red.any()


def test_the_part_of_a_box_inside_its_cell_is_drawn():
    box = one_box(windows((1, 3), 4, shape=(1, 1)))  # from -1 to 3 across, from 1 to 5 down
    expected = np.zeros((18, 27), bool)
    expected[[1, 13], :8] = True
    expected[1:14, 7] = True
    np.testing.assert_array_equal(box, expected)


def test_a_window_that_is_not_a_number_is_not_drawn():
    for bad in (
        windows((np.nan, 3), shape=(1, 1)),
        windows(side=np.nan, shape=(1, 1)),
        windows(side=np.inf, shape=(1, 1)),
        windows((np.inf, -np.inf), np.inf, shape=(1, 1)),
        windows(sigma=np.nan, shape=(1, 1)),
    ):
        assert not one_box(bad).any()


def test_every_glimpse_and_image_has_the_box_of_its_own():
    frames = np.zeros((T, n, 1, H, W), np.float32)
    window = windows(side=1e-6)
    centre = np.stack(np.broadcast_arrays(2.0 + np.arange(T)[:, None], 1.0 + np.arange(n)), axis=-1)  # x = 2+t, y = 1+i
    drawn = sequence_frames(frames, window._replace(centre=centre), columns=n)
    strip = filmstrip(frames, window._replace(centre=centre), steps=T)
    for t in range(T):
        for i in range(n):
            for dot in (cell(drawn[t], 18, 27, 0, i), cell(strip, 18, 27, i, t)):
                y, x = np.nonzero(painted(dot, RED))
                assert (x.mean(), y.mean()) == (3 * (t + 1) + 1, 3 * i + 1)
    assert not painted(drawn[T], RED).any()


def test_writing_is_red_over_reading_in_green():
    frames = np.zeros((T, n, 1, H, W), np.float32)
    picture = sequence_frames(frames, write=windows((5, 3), 2), read=windows((5, 3), 4))[0]
    assert painted(picture, RED).sum() == n * 4 * 6
    assert painted(picture, GREEN).sum() == n * 4 * 12
    same = sequence_frames(frames, write=windows(), read=windows())[0]
    assert painted(same, RED).any() and not painted(same, GREEN).any()


def test_with_originals_the_green_box_is_on_the_original_and_the_red_one_on_the_drawing():
    frames, originals = np.zeros((T, n, 1, H, W), np.float32), np.ones((n, 1, H, W), np.float32)
    drawn = sequence_frames(frames, windows(), windows(), originals, columns=1)
    assert len(drawn) == T + 1 and drawn[0].shape == (n * (18 + 2) + 2, 2 * 27 + 4, 3)
    for i in range(n):
        pair = cell(drawn[0], 18, 54, i)
        left, right = pair[:, :27], pair[:, 27:]
        assert painted(left, GREEN).any() and (painted(left, GREEN) | (left == 255).all(-1)).all()
        assert painted(right, RED).any() and (painted(right, RED) | (right == 0).all(-1)).all()
        np.testing.assert_array_equal(cell(drawn[T], 18, 54, i)[0, [0, 26, 27, 53], 0], [255, 255, 0, 0])
    with pytest.raises(ValueError):
        sequence_frames(frames, originals=originals[:2])


@pytest.mark.parametrize("draw", [sequence_frames, filmstrip])
def test_windows_of_other_glimpses_or_images_are_refused(draw):
    frames = np.zeros((T, n, 1, H, W), np.float32)
    for shape in [(T + 1, n), (T, n + 1), (1, 1)]:
        with pytest.raises(ValueError, match="windows"):
            draw(frames, windows(shape=shape))
        with pytest.raises(ValueError, match="windows"):
            draw(frames, read=windows(shape=shape))


# ----------------------------------------------------------------------------------------------------- the sheets


def test_a_sheet_places_image_after_image_and_leaves_the_rest_empty():
    images = np.broadcast_to(np.arange(5, dtype=np.float32)[:, None, None, None] / 5, (5, 1, H, W))
    picture = sheet(images, columns=3, scale=2, gap=4)
    assert picture.dtype == np.uint8 and picture.shape == (2 * (12 + 4) + 4, 3 * (18 + 4) + 4, 3)
    expected = np.empty_like(picture)
    expected[:] = BACKGROUND
    for i in range(5):
        cell(expected, 12, 18, i // 3, i % 3, gap=4)[:] = 51 * i
    np.testing.assert_array_equal(picture, expected)


@pytest.mark.parametrize(
    "count, H, W, rows, columns",
    [(64, 28, 28, 8, 8), (10, 28, 28, 3, 4), (1, 5, 9, 1, 1), (5, 8, 8, 2, 3), (16, 28, 56, 6, 3)],
)
def test_a_sheet_is_nearly_square_by_itself(count, H, W, rows, columns):
    assert sheet(np.zeros((count, 1, H, W)), scale=1, gap=0).shape == (rows * H, columns * W, 3)


def test_enlarging_repeats_pixels():
    images = np.random.default_rng(0).random((1, 3, H, W)).astype(np.float32)
    small, large = sheet(images, scale=1, gap=0), sheet(images, scale=4, gap=0)
    np.testing.assert_array_equal(large, small.repeat(4, axis=0).repeat(4, axis=1))
    np.testing.assert_array_equal(small, np.rint(images[0].transpose(1, 2, 0) * 255))


def test_the_scale_is_fixed_and_a_dim_image_stays_dim():
    values = np.float32([-np.inf, -3, 0, 0.1, 0.2, 1, 7, np.inf]).reshape(1, 1, 1, 8)
    np.testing.assert_array_equal(sheet(values, scale=1, gap=0)[0, :, 0], [0, 0, 0, 26, 51, 255, 255, 255])
    assert sheet(np.full((n, 1, H, W), 0.1), gap=0).max() == 26


@pytest.mark.parametrize(
    "C, expected", [(1, [51, 51, 51]), (2, [51, 102, 0]), (3, [51, 102, 153]), (4, [51, 102, 153])]
)
def test_channels(C, expected):
    image = (np.arange(1, C + 1) / 5).reshape(1, C, 1, 1) * np.ones((1, 1, H, W))
    assert (sheet(image, gap=0) == expected).all()


@pytest.mark.parametrize("C", [1, 2, 3])
def test_a_pixel_that_is_not_a_number_is_loud(C):
    images = np.full((n, C, H, W), 0.5)
    images[1, C - 1, 2, 4] = np.nan
    loud = painted(sheet(images, columns=n, scale=1, gap=0), NOT_A_NUMBER)
    assert loud.sum() == 1 and loud[2, W + 4]


def test_the_axes_are_checked():
    with pytest.raises(ValueError, match=r"\(n, C, H, W\)"):
        sheet(np.zeros((n, H, W)))


def test_a_film_strip_has_a_row_an_image_and_a_column_a_glimpse():
    T = 10
    frames = np.ones((T, n, 1, H, W), np.float32) * (np.arange(T) / 15).reshape(T, 1, 1, 1, 1)

    def columns(**options):
        strip = filmstrip(frames, scale=1, gap=1, **options)
        assert len(strip) == n * (H + 1) + 1
        return (strip[1, 1 : -1 : W + 1, 0] / 17).tolist()

    assert columns(steps=4) == [0, 3, 6, 9]
    assert columns(steps=1) == [9]
    assert columns(steps=99) == list(range(T))
    assert columns(steps=[7, 2]) == [7, 2]
    assert columns(steps=[7, 2], originals=np.ones((n, 1, H, W))) == [15, 7, 2]


# ------------------------------------------------------------------------------------------------------- the files


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
    step = 255 / (writers.GREYS - 1)
    assert np.abs(seen - np.array(drawn, np.int16)).max() < 0.75 * step
    for t in range(T):
        np.testing.assert_array_equal(painted(seen[t], RED), painted(drawn[t], RED))
        np.testing.assert_array_equal(painted(seen[t], GREEN), painted(drawn[t], GREEN))
    assert not painted(seen[T], RED).any()
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["a.gif"]


def test_frames_that_are_equal_keep_their_time(tmp_path):
    drawn = sequence_frames(growing()[[0, 1, 1, 1, 2, 3, 3]])
    writers.write_gif(tmp_path / "a.gif", drawn, fps=10, hold=2)
    assert read_gif(tmp_path / "a.gif")[1] == [100, 300, 100, 2100]


def test_no_frame_is_shorter_than_browsers_play(tmp_path):
    writers.write_gif(tmp_path / "a.gif", sequence_frames(growing()), fps=1000, hold=0)
    assert read_gif(tmp_path / "a.gif")[1] == [20] * T


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
    assert [cell(seen[1], 18, 27, 0, i).ravel()[[0, -1]].tolist() for i in range(n)] == [[0, 0], [51, 51], [255, 255]]


@pytest.mark.parametrize("C", [2, 3])
def test_a_colour_gif_has_the_boxes_own_colours_in_one_palette(tmp_path, C):
    frames = growing(C=C, n=20)
    drawn = sequence_frames(frames, windows(side=2, shape=(T, 20)), windows(side=4, shape=(T, 20)))
    writers.write_gif(tmp_path / "a.gif", drawn)
    seen, _ = read_gif(tmp_path / "a.gif")
    assert len(seen) == T + 1
    error = np.abs(seen - np.array(drawn, np.int16))
    assert error.mean() < 8 and error.max() < 80
    for colour in (RED, GREEN):
        assert painted(seen[0], colour)[painted(drawn[0], colour)].mean() == 1
    assert len(np.unique(seen.reshape(-1, 3), axis=0)) < 256


def test_a_not_a_number_is_loud_in_a_gif(tmp_path):
    frames = growing()
    frames[2, 1, 0, 3, 3] = np.nan
    writers.write_gif(tmp_path / "a.gif", sequence_frames(frames))
    assert [painted(seen, NOT_A_NUMBER).sum() for seen in read_gif(tmp_path / "a.gif")[0]] == [0, 0, 9, 0]


def test_a_sheet_of_64_digits_and_64_glimpses_is_less_than_two_megabytes(tmp_path):
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
    assert 200_000 < (tmp_path / "a.gif").stat().st_size < 2_000_000
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
