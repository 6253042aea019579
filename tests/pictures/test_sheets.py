"""Sheets and strips: where a box lies, to the pixel; one fixed scale; what is not a number is loud."""

import numpy as np
import pytest
from support.boxes import H, N, T, W, cell, n, painted, windows

from minidraw.pictures.sheets import (
    BACKGROUND,
    BAND,
    LABEL,
    NOT_A_NUMBER,
    OUTLINE,
    READING,
    WRITING,
    filmstrip,
    sequence_frames,
    sheet,
)


def one_box(window, H=H, W=W, scale=3):
    """The (h, w) mask of the box of writing over one black image."""
    picture = sequence_frames(np.zeros((1, 1, 1, H, W), np.float32), window, scale=scale)[0]
    return painted(cell(picture, H * scale, W * scale), WRITING)


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
    boxes = painted(picture, WRITING)
    cell(boxes, 18, 27, 0, 1)[:] = False
    assert not boxes.any()


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
    strip = filmstrip(frames, window._replace(centre=centre), steps=T, numbers=False)
    for t in range(T):
        for i in range(n):
            for dot in (cell(drawn[t], 18, 27, 0, i), cell(strip, 18, 27, i, t)):
                y, x = np.nonzero(painted(dot, WRITING))
                assert (x.mean(), y.mean()) == (3 * (t + 1) + 1, 3 * i + 1)
    assert not painted(drawn[T], WRITING).any()


def test_both_boxes_are_those_of_their_own_glimpse_wherever_they_are_drawn():
    frames, dots = np.zeros((T, n, 1, H, W), np.float32), {}
    for name, row in (("write", 1.0), ("read", 4.0)):  # x = 2 + t, y = 1 + i or, of reading, 4 + i
        centre = np.stack(np.broadcast_arrays(2.0 + np.arange(T)[:, None], row + np.arange(n)), axis=-1)
        dots[name] = windows(side=1e-6)._replace(centre=centre)
    strip = filmstrip(frames, **dots, steps=[3, 0, 2], numbers=False)
    pairs = sequence_frames(frames, **dots, originals=frames[0], columns=1)
    for i in range(n):
        for k, t in enumerate((3, 0, 2)):
            pair = cell(pairs[t], 18, 54, i)
            both = cell(strip, 18, 27, i, k)
            for place, colour, row in (
                (both, WRITING, 1),
                (both, READING, 4),
                (pair[:, 27:], WRITING, 1),
                (pair[:, :27], READING, 4),
            ):
                y, x = np.nonzero(painted(place, colour))
                assert (x.mean(), y.mean()) == (3 * (t + 1) + 1, 3 * (row - 1 + i) + 1)


def test_boxes_of_writing_and_reading_are_both_seen():
    frames = np.zeros((T, n, 1, H, W), np.float32)
    picture = sequence_frames(frames, write=windows((5, 3), 2), read=windows((5, 3), 4))[0]
    assert painted(picture, WRITING).sum() == n * 4 * 6
    assert painted(picture, READING).sum() == n * 4 * 12
    same = sequence_frames(frames, write=windows(), read=windows())[0]
    alone = painted(sequence_frames(frames, write=windows())[0], WRITING)
    writing, reading = painted(same, WRITING), painted(same, READING)
    assert 0.3 < writing.sum() / alone.sum() < 0.7 and np.array_equal(writing | reading, alone)
    around = sequence_frames(frames, write=windows((5, 3), 3), read=windows((5, 3), 3.6))[0]  # by one pixel
    assert painted(around, WRITING).sum() == n * 4 * 8 and painted(around, READING).sum() == n * 4 * 10


@pytest.mark.parametrize("grey", [0.3, 1.0])
def test_a_line_is_outlined_outside_and_inside_where_there_is_room(grey):
    frames = np.full((1, 1, 1, 21, 21), grey, np.float32)
    for side, inside in ((10, True), (4, False)):
        picture = sequence_frames(frames, windows((11, 11), side, shape=(1, 1)), scale=3)[0]
        across = cell(picture, 63, 63)[31]
        line = np.flatnonzero(painted(across, WRITING))
        dark = {int(x) for x in np.flatnonzero(painted(across, OUTLINE))}
        left, right = (round(31 + sign * side / 2 * 3) for sign in (-1, 1))
        assert line.tolist() == [left, right]
        assert dark == {left - 1, right + 1} | ({left + 1, right - 1} if inside else set())


def test_a_large_picture_has_lines_to_be_seen_that_are_not_too_thick():
    frames = np.zeros((1, 1, 1, 30, 30), np.float32)
    for sigma, line in ((0.01, 3), (9.0, 10)):
        box = sequence_frames(frames, windows((15, 15), 12, sigma, shape=(1, 1)), scale=20)[0]
        assert painted(cell(box, 600, 600)[300], WRITING).sum() == 2 * line


def test_with_originals_the_box_of_reading_is_on_the_original_and_that_of_writing_on_the_drawing():
    frames, originals = np.zeros((T, n, 1, H, W), np.float32), np.ones((n, 1, H, W), np.float32)
    drawn = sequence_frames(frames, windows(), windows(), originals, columns=1)
    assert len(drawn) == T + 1 and drawn[0].shape == (n * (18 + 2) + 2, 2 * 27 + 4, 3)
    for i in range(n):
        pair = cell(drawn[0], 18, 54, i)
        left, right = pair[:, :27], pair[:, 27:]
        assert painted(left, READING).any() and not painted(left, WRITING).any() and (left[0] == 255).all()
        assert painted(right, WRITING).any() and (painted(right, WRITING) | (right == 0).all(-1)).all()
        np.testing.assert_array_equal(cell(drawn[T], 18, 54, i)[0, [0, 26, 27, 53], 0], [255, 255, 0, 0])
    with pytest.raises(ValueError):
        sequence_frames(frames, originals=originals[:2])


def test_a_sequence_begins_empty_and_ends_with_what_is_asked_for():
    frames = np.full((T, n, 2, H, W), 0.5, np.float32)
    empty, last = np.float32([0.1, 0.2]).reshape(2, 1, 1) * np.ones((2, H, W), np.float32), frames[-1] + 0.25
    drawn = sequence_frames(frames, windows(), empty=empty, last=last, scale=1)
    assert len(drawn) == T + 2
    np.testing.assert_array_equal(drawn[0], sheet(np.stack([empty] * n), scale=1))
    np.testing.assert_array_equal(drawn[-1], sheet(last, scale=1))
    assert all(painted(picture, WRITING).any() for picture in drawn[1:-1])
    assert [len(sequence_frames(frames, empty=empty)), len(sequence_frames(frames, last=last))] == [T + 1, T + 1]


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
        strip = filmstrip(frames, scale=1, gap=1, numbers=False, **options)
        assert len(strip) == n * (H + 1) + 1
        return (strip[1, 1 : -1 : W + 1, 0] / 17).tolist()

    assert columns(steps=4) == [0, 3, 6, 9]
    assert columns(steps=1) == [9]
    assert columns(steps=99) == list(range(T))
    assert columns(steps=[7, 2]) == [7, 2]
    assert columns(steps=[7, 2], originals=np.ones((n, 1, H, W))) == [15, 7, 2]


def test_the_columns_of_a_strip_are_numbered_where_there_is_room():
    frames = np.zeros((24, n, 1, H, W), np.float32)
    options = {"originals": np.zeros((n, 1, H, W)), "steps": [1, 10, -1], "scale": 5}
    bare, strip = (filmstrip(frames, **options, numbers=numbers) for numbers in (False, True))
    np.testing.assert_array_equal(strip[BAND:], bare)
    band = strip[:BAND]
    written = [(band[:, 2 + k * 47 : 47 + k * 47] != BACKGROUND).any(axis=2) for k in range(4)]
    widths = [np.ptp(np.nonzero(each)[1]) + 1 for each in written]
    assert widths[1] < min(widths[2], widths[3]) and max(widths[1:]) < widths[0] <= 45  # 2, 11, 24, image
    for each in written:
        rows, columns = np.nonzero(each)
        assert abs(rows.mean() - (BAND - 1) / 2) < 2 and abs(columns.mean() - 22) < 3
    assert band.max() <= LABEL[0]
    narrow = filmstrip(frames, steps=[0, 23], scale=1)[:BAND]
    assert (narrow[:, : 2 + W] != BACKGROUND).any() and (narrow[:, 3 + W :] == BACKGROUND).all()  # 1, not 24
