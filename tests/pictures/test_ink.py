"""A drawing as ink: the arithmetic from a plain loop over canvases, on dark, light and no plain ground."""

import numpy as np
import pytest

from minidraw import DRAW, DRAWConfig
from minidraw.pictures.ink import ground, shown

T, n, C, H, W, Z = 4, 3, 2, 7, 9, 5  # pairwise different


def drawn(level: float, attention: bool = True):
    """Return the drawing of a random network, in double precision, whose canvas starts at `level` in logits."""
    size = 3 if attention else None
    config = DRAWConfig((C, H, W), T, size, size, enc_size=8, dec_size=6, latent_size=Z)
    network = DRAW(config, dtype="float64", threads=1)
    network.flat_params[:] += np.random.default_rng(1).normal(0, 0.3, len(network.flat_params))
    network.params["canvas0"][:] = level + np.random.default_rng(2).normal(0, 0.1, C * H * W)
    return network.draw(n, seed=3)


def logit(p: float) -> float:
    return np.log(p / (1 - p))


@pytest.mark.parametrize("attention", [True, False])
@pytest.mark.parametrize("level, kind", [(-3.0, "dark"), (3.0, "light"), (0.0, "plain"), (-2.0, "plain")])
def test_ink_is_what_was_written_by_a_plain_loop(level, kind, attention):
    drawing = drawn(level, attention)
    result = shown(drawing)
    assert ground(drawing.start) == kind and result.frames.shape == drawing.frames.shape == (T, n, C, H, W)
    for place in np.ndindex(n, C, H, W):
        before, written = logit(drawing.start[place[1:]]), 0.0
        for t in range(T):
            p = drawing.frames[(t, *place)]
            written += abs(logit(p) - before)
            before, ink = logit(p), 1 - np.exp(-written)
            assert drawing.ink[(t, *place)] == pytest.approx(ink, abs=1e-12)
            expected = {"dark": p * ink, "light": 1 - (1 - p) * ink, "plain": p}[kind]
            assert result.frames[(t, *place)] == pytest.approx(expected, abs=1e-12)
    empty = {"dark": 0 * drawing.start, "light": 0 * drawing.start + 1, "plain": drawing.start}[kind]
    np.testing.assert_array_equal(result.empty, empty)
    assert drawing.ink.min() < 0.1 < 0.3 < drawing.ink.max()
    assert ("ink" in result.words and "--plain" in result.words) == (kind != "plain")


def test_plain_is_the_canvas_itself_on_any_ground():
    for level in (-3.0, 3.0):
        drawing = drawn(level)
        result = shown(drawing, plain=True)
        assert result.frames is drawing.frames and result.empty is drawing.start and result.words == ""


def test_the_ground_is_the_border_s_in_every_channel():
    start = np.full((3, 8, 9), 0.5)
    start[:, [0, -1]] = start[:, :, [0, -1]] = 0.05
    assert ground(start) == "dark"  # whatever is in the middle
    start[:, 0] = 0.9  # and a few others on the rim
    assert ground(start) == "dark"
    start[1, [0, -1]] = start[1, :, [0, -1]] = 0.2
    assert ground(start) == "plain"  # in one channel it is not
    assert ground(np.ones((1, 1, 1))) == "light" and ground(np.zeros((1, 1, 5))) == "dark"


def test_what_is_not_a_number_stays_so():
    drawing = drawn(-3.0)
    drawing.frames[1, 0, 0, 2, 2] = np.nan
    assert np.isnan(shown(drawing).frames).sum() == 1
    assert ground(np.full((1, 4, 4), np.nan)) == "plain"
