"""What a DRAW network is made of: its sizes, and the names, shapes and start values of its parameters."""

import dataclasses
import math
import numbers
from typing import Any

import numpy as np

from ..errors import UserError
from ..parallel.memory import parameter_views
from ..streams import Purpose, stream

LOG_LIMIT = 40.0  # a window's logarithms end there: squares of their exponentials are finite in single precision


@dataclasses.dataclass(frozen=True)
class DRAWConfig:
    """The sizes of a DRAW network (Table 3 of the paper); the defaults are its binarized MNIST with attention.

    Raises UserError if a size makes no network.
    """

    image_shape: tuple[int, int, int] = (1, 28, 28)  # channels, height, width in pixels
    glimpses: int = 64  # T, time steps
    read_size: int | None = 2  # N, filters along a side of the reading grid; None: the encoder sees whole images
    write_size: int | None = 5  # the same for writing; None: the decoder adds whole images
    enc_size: int = 256  # E, hidden units of the encoder's LSTM
    dec_size: int = 256  # D, hidden units of the decoder's LSTM
    latent_size: int = 100  # Z, latent variables per glimpse
    window_clip: float = 0.0  # largest slope of an image's loss along a window's parameter, in nats; 0: any

    def __post_init__(self):
        check_image_shape(self)
        check_counts(self, "glimpses", "enc_size", "dec_size", "latent_size")
        check_grid(self, "read_size", optional=True)
        check_grid(self, "write_size", optional=True)
        check_window_clip(self)


def check_image_shape(config: Any) -> None:
    """Raise UserError unless config.image_shape is three counts; make it a tuple."""
    shape = config.image_shape
    if not isinstance(shape, tuple | list) or len(shape) != 3 or not all(is_count(n) for n in shape):
        raise UserError(f"image_shape must be three integers of 1 or more: channels, height, width; not {shape!r}")
    object.__setattr__(config, "image_shape", tuple(int(n) for n in shape))


def check_counts(config: Any, *names: str) -> None:
    """Raise UserError unless the fields of those names are counts."""
    for name in names:
        check_count(name, getattr(config, name))
        object.__setattr__(config, name, int(getattr(config, name)))


def check_grid(config: Any, name: str, optional: bool) -> None:
    """Raise UserError unless the field of that name is the side of a grid of filters, or None where that may be."""
    size = getattr(config, name)
    if not (is_count(size) and size >= 2) and not (optional and size is None):
        raise UserError(
            f"{name} must be a whole number of 2 or more{', or None for no attention' * optional}, not {size!r}: "
            "one filter a side has no stride (equation 24 divides by N - 1)"
        )
    object.__setattr__(config, name, None if size is None else int(size))


def check_window_clip(config: Any) -> None:
    """Raise UserError unless config.window_clip is a finite number of 0 or more; make it a float."""
    clip = config.window_clip
    if not (isinstance(clip, numbers.Real) and 0 <= float(clip) < math.inf):
        raise UserError(f"window_clip must be a finite number of 0 or more, not {clip!r}")
    object.__setattr__(config, "window_clip", float(clip))


def check_count(name: str, value: Any) -> None:
    """Raise UserError unless a value is a whole number of 1 or more."""
    if not is_count(value):
        raise UserError(f"{name} must be a whole number of 1 or more, not {value!r}")


def is_count(value: Any) -> bool:
    """Tell whether a value is a whole number of 1 or more."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and int(value) >= 1


def glimpse_size(config: DRAWConfig) -> int:
    """Return the number of values read in a glimpse: image and error image, all channels (eqs 17, 27)."""
    C, H, W = config.image_shape
    return 2 * C * (H * W if config.read_size is None else config.read_size**2)


def parameter_shapes(config: DRAWConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape of every parameter by name, in the order in which they lie in memory."""
    C, H, W = config.image_shape
    E, D, Z = config.enc_size, config.dec_size, config.latent_size
    patch = C * (H * W if config.write_size is None else config.write_size**2)
    shapes: dict[str, tuple[int, ...]] = {
        "encoder.W": (glimpse_size(config) + D + E, 4 * E),  # rows: image glimpse, error glimpse, h_dec, h_enc
        "encoder.b": (4 * E,),  # columns: gates i, f, o, g
        "latent.W": (E, 2 * Z),  # columns: mu, log sigma
        "latent.b": (2 * Z,),
        "decoder.W": (Z + D, 4 * D),  # rows: z, h_dec
        "decoder.b": (4 * D,),
        "patch.W": (D, patch),
        "patch.b": (patch,),
    }
    if config.read_size is not None:
        shapes |= {"read.W": (D, 5), "read.b": (5,)}  # columns: gX, gY, log sigma², log delta, log gamma
    if config.write_size is not None:
        shapes |= {"write.W": (D, 5), "write.b": (5,)}
    return shapes | {"h_enc0": (E,), "h_dec0": (D,), "canvas0": (C * H * W,)}


def random_weights(shapes: dict[str, tuple[int, ...]], seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return parameters in one flat float64 vector, and by name: weights are N(0, 1 / rows), all else is 0."""
    flat = np.zeros(sum(map(math.prod, shapes.values())))
    params, rng = parameter_views(flat, shapes), stream(seed, Purpose.PARAMETERS)
    for name, W in params.items():
        if name.endswith(".W"):
            W[:] = rng.standard_normal(W.shape) / math.sqrt(len(W))
    return flat, params


def start_values(config: DRAWConfig, seed: int) -> np.ndarray:
    """Return the parameters that training starts from, one flat float64 vector.

    Weights are N(0, 1 / rows), a tenth of that for q, forget gates are open (bias 1), the first grids cover the image
    with filters of sigma 1.6 pixels. Two filters a side would read the image's corners, where little is: reading then
    begins with 1/e of the stride and filters that overlap, sigma 0.45 of it (docs/speed.md). q must begin beside the
    prior: with larger weights the KL of many glimpses outweighs all else, and the encoder first learns to say nothing
    (at T = 32 for more than 500 updates). The canvas starts at a dark -2; a trainer does well to put the logit of the
    mean image there.
    """
    flat, params = random_weights(parameter_shapes(config), seed)
    params["latent.W"] *= 0.1
    for name, h in (("encoder", config.enc_size), ("decoder", config.dec_size)):
        params[f"{name}.b"][h : 2 * h] = 1.0
    for name, size in (("read", config.read_size), ("write", config.write_size)):
        if size is not None:
            params[f"{name}.b"][2] = 1.0  # log sigma²
    if config.read_size == 2:
        stride = (max(config.image_shape[1:]) - 1) / math.e
        params["read.b"][2:4] = 2 * math.log(max(0.45 * stride, 1.0)), -1.0  # log sigma², log delta
    params["canvas0"][:] = -2.0
    return flat
