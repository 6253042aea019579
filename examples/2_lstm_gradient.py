"""Is the hand-written gradient of the LSTM right? Checked against differences and against autograd.

One learns how to check a backward pass. Weigh the outputs with random numbers, so that there is one number L to
differentiate, and compare dL/dW with (L(W + s) - L(W - s)) / 2s. The error of such differences falls with s as s² (two
points) or s⁴ (four points) until rounding, which grows as 1/s, takes over: hence the V. A wrong gradient shows as a
floor; here is one that is 0.05 % too large. Autograd differentiates the reference without any s. (The paper leaves the
RNN of eqs 5 and 7 open; this LSTM is ours.)

    pip install autograd
    python examples/2_lstm_gradient.py [FOLDER]     writes FOLDER/2_lstm_gradient.png
"""

import sys
from pathlib import Path

import autograd
import autograd.numpy as anp
import numpy as np
from labels import labelled
from PIL import Image, ImageDraw, ImageFont

from minidraw.model import reference
from minidraw.model.lstm import LSTMTrace, lstm, lstm_backward, lstm_weight_gradients
from minidraw.pictures.writers import write_png

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
T, B, X, h = 5, 3, 4, 6  # steps, images, inputs from outside, hidden units: all different, so that no wrong axis fits
rng = np.random.default_rng(0)
W, b = rng.standard_normal((X + h, 4 * h)), rng.standard_normal(4 * h)  # columns: gates i, f, o, g
x, weights = rng.standard_normal((T, B, X)), rng.standard_normal((T, B, h))  # float64: rounding must not hide errors


def by_hand(W):
    """Return L and dL/dW by minidraw: forward through time, then backward through time."""
    trace = LSTMTrace(lambda *shape: np.zeros(shape), T, B, X + h, h)
    trace.inputs[:T, :, :X] = x  # beside x is the hidden state, which the step before puts there
    for t in range(T):
        lstm(trace, t, W, b, trace.inputs[t + 1][:, X:], np)
    L, dhidden = np.sum(weights * trace.inputs[1:, :, X:]), 0
    for t in reversed(range(T)):
        dhidden = lstm_backward(trace, t, W, dhidden + weights[t], np)[:, X:]  # (B, h); the cell's is in trace.dcell
    dW, db = np.empty_like(W), np.empty_like(b)
    lstm_weight_gradients(trace, dW, db, np)
    return L, dW


def by_the_equations(W):
    """Return L by the reference; this autograd can differentiate."""
    hidden, cell, L = anp.zeros((B, h)), anp.zeros((B, h)), 0.0
    for t in range(T):
        hidden, cell = reference.lstm(W, b, anp.concatenate([x[t], hidden], axis=1), cell, anp)
        L = L + anp.sum(weights[t] * hidden)
    return L


steps = 10.0 ** np.arange(-11, -0.9, 0.25)  # (S,)
directions = rng.standard_normal((9, *W.shape))  # in the space of W; the slope along one is Σ dW · direction
hand = np.sum(directions * by_hand(W)[1], axis=(1, 2))  # (9,)
auto = np.sum(directions * autograd.grad(by_the_equations)(W), axis=(1, 2))  # (9,)
L = {k: np.array([[by_hand(W + k * s * d)[0] for d in directions] for s in steps]) for k in (-2, -1, 1, 2)}  # (S, 9)
two = (L[1] - L[-1]) / (2 * steps[:, None])  # (S, 9)
four = (L[-2] - 8 * L[-1] + 8 * L[1] - L[2]) / (12 * steps[:, None])
gaps = {"two points": two - hand, "four points": four - hand, "gradient 0.05 % too large": four - 1.0005 * hand}
gaps["autograd"] = np.tile(auto - hand, (len(steps), 1))
errors = {name: np.linalg.norm(gap, axis=1) / np.linalg.norm(hand) for name, gap in gaps.items()}  # (S,) each

# ------------------------------------------------------------------------- the picture: log of error over log of step
picture = Image.new("RGB", (960, 680), (24, 24, 24))
draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=18)
for power in range(-16, 1, 2):
    draw.line((98, 50 - 34 * power, 920, 50 - 34 * power), fill=(60, 60, 60))
    draw.text((30, 40 - 34 * power), f"1e{power:+d}", fill="grey", font=font)
    if power >= -10:
        draw.text((980 + 82 * power, 612), f"1e{power:+d}", fill="grey", font=font)
draw.text((98, 14), "relative error", fill="white", font=font)
draw.text((920, 645), "step s of the differences", fill="white", font=font, anchor="ra")
colours = ["tomato", "gold", "violet", "limegreen"]
for k, (name, error) in enumerate(errors.items()):
    points = np.stack([1000 + 82 * np.log10(steps), 50 - 34 * np.log10(error + 1e-17)], axis=1)  # (S, 2)
    draw.line(points.ravel().tolist(), fill=colours[k], width=4, joint="curve")
    draw.text((110, 462 + 21 * k), f"{name}: {error.min():.0e} at best", fill=colours[k], font=font)
    print(f"{name}: relative error {error.min():.1e} at best")
title = "Is the gradient written by hand right? Differences come close to it, and no step helps a wrong one"
write_png(folder / "2_lstm_gradient.png", labelled(np.asarray(picture), title))
print(folder / "2_lstm_gradient.png")
