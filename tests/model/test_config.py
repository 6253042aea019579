"""The config: sizes that make no network are refused, and parameters have the names and shapes that others rely on."""

import dataclasses
import math

import numpy as np
import pytest

from minidraw import DRAWConfig, UserError
from minidraw.model.config import parameter_shapes, start_values
from minidraw.model.windows import windows
from minidraw.parallel.memory import parameter_views

C, H, W, N, M, E, D, Z = 3, 11, 13, 5, 6, 10, 9, 8


@pytest.mark.parametrize("write", [M, None])
@pytest.mark.parametrize("read", [N, None])
def test_parameters(read, write):
    """The table of the design, row by row."""
    R = 2 * C * (H * W if read is None else N * N)
    patch = C * (H * W if write is None else M * M)
    table = {
        "encoder.W": (R + D + E, 4 * E),
        "encoder.b": (4 * E,),
        "latent.W": (E, 2 * Z),
        "latent.b": (2 * Z,),
        "decoder.W": (Z + D, 4 * D),
        "decoder.b": (4 * D,),
        "patch.W": (D, patch),
        "patch.b": (patch,),
        "h_enc0": (E,),
        "h_dec0": (D,),
        "canvas0": (C * H * W,),
    }
    if read is not None:
        table |= {"read.W": (D, 5), "read.b": (5,)}
    if write is not None:
        table |= {"write.W": (D, 5), "write.b": (5,)}
    assert parameter_shapes(DRAWConfig((C, H, W), 4, read, write, E, D, Z)) == table


def test_views_cover_the_vector_once():
    shapes = parameter_shapes(DRAWConfig((C, H, W), 4, N, M, E, D, Z))
    flat = np.zeros(sum(math.prod(shape) for shape in shapes.values()))
    for view in parameter_views(flat, shapes).values():
        view += 1
    assert np.all(flat == 1)


def test_start_values():
    config = DRAWConfig((C, H, W), 4, N, M, E, D, Z)
    flat = start_values(config, seed=1)
    assert np.array_equal(flat, start_values(config, seed=1))
    params = parameter_views(flat, parameter_shapes(config))
    assert not np.array_equal(params["read.W"], params["write.W"])
    for name, h in (("encoder", E), ("decoder", D)):
        i, f, o, g = np.split(params[f"{name}.b"], 4)
        assert len(i) == h and np.all(f == 1) and not np.any([*i, *o, *g])
    assert abs(params["encoder.W"].std() * math.sqrt(len(params["encoder.W"])) - 1) < 0.05


@pytest.mark.parametrize("size, stride, sigma", [(2, 27 / math.e, 0.45 * 27 / math.e), (5, 27 / 4, math.exp(0.5))])
def test_the_first_grid_lies_on_the_image(size, stride, sigma):
    config = DRAWConfig(read_size=size)
    params = parameter_views(start_values(config, seed=0), parameter_shapes(config))
    of = windows(params["read.b"], config.image_shape, size)
    assert np.array_equal(of.centre, [14.5, 14.5]) and of.stride == pytest.approx(stride)
    assert of.sigma == pytest.approx(sigma) and sigma > 0.2 * stride, "or there are gaps between the filters"


def test_defaults_are_the_papers_mnist():
    config = DRAWConfig()
    assert dataclasses.astuple(config) == ((1, 28, 28), 64, 2, 5, 256, 256, 100, 0.0)  # no window_clip


def test_a_config_is_a_frozen_value():
    config = DRAWConfig(image_shape=[1, 2, 3])  # a list, as JSON has it
    assert config == DRAWConfig(image_shape=(1, 2, 3)) and hash(config) == hash(DRAWConfig((1, 2, 3)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.glimpses = 3


@pytest.mark.parametrize("name", ["read_size", "write_size"])
def test_one_filter_a_side_is_refused(name):
    message = rf"^{name} must be a whole number of 2 or more, or None .*no stride \(equation 24"
    with pytest.raises(UserError, match=message):
        DRAWConfig(**{name: 1})


@pytest.mark.parametrize("name", ["glimpses", "enc_size", "dec_size", "latent_size", "read_size", "write_size"])
@pytest.mark.parametrize("value", [0, -3, 2.5, "7", True])
def test_sizes_that_are_no_size_are_refused(name, value):
    with pytest.raises(UserError, match=rf"^{name} must be a whole number .*, not {value!r}") as caught:
        DRAWConfig(**{name: value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [None, 28, (28, 28), (1, 28, 0), (1, 28.0, 28), "abc", (1, 2, 3, 4)])
def test_shapes_that_are_no_shape_are_refused(value):
    with pytest.raises(UserError, match=r"^image_shape must be .*channels, height, width.* not "):
        DRAWConfig(image_shape=value)
