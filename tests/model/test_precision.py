"""Single precision where numbers are very large or very small: against double precision."""

import numpy as np
import pytest
from support import gradcheck

from minidraw import DRAWConfig
from minidraw.model.recurrence import Trace, error_image_backward


@pytest.mark.parametrize("log_gamma", [-20.0, -30.0])
def test_small_gradients_survive_beside_large_ones(log_gamma):
    """A canvas written with so much ink is sure, and what comes back through the error image is far larger."""
    part = gradcheck.Whole(1)
    part.inputs["write.b"][4] = log_gamma
    gradcheck.check_float32(part)


def test_the_error_image_takes_from_a_gradient_what_its_slope_is():
    """Where the canvas is sure that is nothing, however large what comes back through the error image is."""
    trace = Trace(gradcheck.nans(np.float32), DRAWConfig((1, 1, 3), 1, None, None, 2, 2, 2), 1)
    trace.mean[0], trace.dcanvas[:] = [1.0, 0.0, 0.75], 0.125
    error_image_backward(trace, 0, np.array([[3e9, 3e9, 16.0]], np.float32), np)
    assert trace.dcanvas.tolist() == [[0.125, 0.125, 0.125 - 3.0]]


@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize("column", [2, 3, 4])
@pytest.mark.parametrize("window", ["read", "write"])
def test_no_window_makes_what_is_no_number(window, column, sign):
    part = gradcheck.Whole(2)
    part.inputs[f"{window}.b"][column] = 150.0 * sign
    arrays = {name: array.astype(np.float32) for name, array in (part.inputs | part.constants).items()}
    with np.errstate(over="ignore"):  # far away pixels
        outputs = part.forward(**arrays)
        grads = part.backward(part.cotangents, **arrays)
    assert all(np.isfinite(array).all() for array in (*outputs, *grads.values()))
    assert grads[f"{window}.b"][column] == 0.0 and not grads[f"{window}.W"][:, column].any()
