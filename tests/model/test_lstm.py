"""The LSTM, several steps in a row, so that hidden and cell states carry gradients from step to step."""

import numpy as np
import pytest
from support import gradcheck, plain

from minidraw.model import reference
from minidraw.model.lstm import LSTMTrace, lstm, lstm_backward, lstm_weight_gradients

T, B, X, h = 4, 3, 5, 2  # glimpses, images, inputs beside the hidden state, hidden units


class LSTM(gradcheck.Part):
    """T steps on x (T, B, X); the outputs are all hidden states and the last cell."""

    def run(self, x, hidden0, cell0, W, b):
        trace = LSTMTrace(gradcheck.nans(x.dtype), T, B, X + h, h)
        trace.inputs[:T, :, :X] = x
        trace.inputs[0, :, X:] = hidden0
        trace.cell[0] = cell0
        for t in range(T):
            lstm(trace, t, W, b, trace.inputs[t + 1, :, X:], np)
        return trace

    def forward(self, **arrays):
        trace = self.run(**arrays)
        return trace.inputs[1:, :, X:], trace.cell[T]

    def backward(self, cotangents, W, **arrays):
        trace = self.run(W=W, **arrays)
        dhiddens, trace.dcell[:] = cotangents
        dx, dW, db = np.empty_like(arrays["x"]), np.empty_like(W), np.empty_like(W[0])
        dhidden = np.zeros_like(arrays["hidden0"])
        for t in reversed(range(T)):
            dinputs = lstm_backward(trace, t, W, dhiddens[t] + dhidden, np)
            dx[t], dhidden = dinputs[:, :X], dinputs[:, X:].copy()
        lstm_weight_gradients(trace, dW, db, np)
        return {"x": dx, "hidden0": dhidden, "cell0": trace.dcell, "W": dW, "b": db}

    def reference(self, np, x, hidden0, cell0, W, b):
        hidden, cell, hiddens = hidden0, cell0, []
        for t in range(T):
            hidden, cell = reference.lstm(W, b, np.concatenate([x[t], hidden], axis=1), cell, np)
            hiddens.append(hidden)
        return np.stack(hiddens), cell

    def plain(self, x, hidden0, cell0, W, b):
        hiddens, cells = np.empty((T, B, h)), np.empty((B, h))
        for image in range(B):
            hidden, cell = hidden0[image].tolist(), cell0[image].tolist()
            for t in range(T):
                hidden, cell = plain.lstm(W.tolist(), b.tolist(), x[t, image].tolist() + hidden, cell)
                hiddens[t, image] = hidden
            cells[image] = cell
        return hiddens, cells


@pytest.fixture
def part():
    rng = np.random.default_rng(1)
    shapes = {"x": (T, B, X), "hidden0": (B, h), "cell0": (B, h), "W": (X + h, 4 * h), "b": (4 * h,)}
    inputs = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    return LSTM(inputs, {}, (rng.standard_normal((T, B, h)), rng.standard_normal((B, h))))


@pytest.mark.parametrize("check", gradcheck.CHECKS)
def test_lstm(part, check):
    check(part)


def test_saturated_gates_neither_overflow_nor_leak(part):
    part.inputs["b"] = np.repeat([-1e4, 1e4, 1e4, 1e4], h)  # input gate shut, forget gate open: the cell stays
    hiddens, cell = part.forward(**part.inputs)
    assert np.array_equal(cell, part.inputs["cell0"])
    assert np.array_equal(hiddens[-1], np.tanh(cell))
    grads = part.backward(part.cotangents, **part.inputs)
    assert np.all(grads["W"] == 0) and np.isfinite(grads["cell0"]).all()


def test_a_bias_for_every_image(part):
    """The encoder without attention is given what the image contributes as part of its bias, (B, 4h)."""
    biases = np.random.default_rng(2).standard_normal((B, 4 * h))
    hiddens, _ = part.forward(**part.inputs | {"b": biases})
    for image in range(B):
        alone, _ = part.forward(**part.inputs | {"b": biases[image]})
        gradcheck.assert_close(hiddens[:, image], alone[:, image], gradcheck.VALUES)
