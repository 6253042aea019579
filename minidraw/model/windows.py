"""Where a network looked and wrote, in pixels, for those who show it."""

from typing import NamedTuple

import numpy as np

from .attention import LOG_DELTA, LOG_VARIANCE, centre_pixels, stride_pixels


class Windows(NamedTuple):
    """Where grids of filters lay on the image, on the host: any leading axes, here (T, n)."""

    centre: np.ndarray  # (T, n, 2): x and y in pixels; 1 is the centre of the first pixel
    stride: np.ndarray  # (T, n): delta, pixels between neighbouring filters
    sigma: np.ndarray  # (T, n): standard deviation of the filters in pixels
    size: int  # N, filters along a side

    def some(self, images: slice) -> "Windows":
        """Return the windows (T, n) on some of the images."""
        return Windows(self.centre[:, images], self.stride[:, images], self.sigma[:, images], self.size)


def windows(parameters: np.ndarray, image_shape: tuple[int, int, int], N: int) -> Windows:
    """Translate windows' parameters (T, n, 5) into pixels (eqs 22-24)."""
    _, H, W = image_shape
    centre = np.stack([centre_pixels(parameters[..., axis], A) for axis, A in enumerate((W, H))], axis=-1)
    stride = stride_pixels(parameters[..., LOG_DELTA], max(H, W), N, np)
    return Windows(centre, stride, np.exp(0.5 * parameters[..., LOG_VARIANCE]), N)
