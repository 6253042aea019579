"""DRAW trained in a plain loop: minibatch, noise, gradient, Adam (sections 2 and 3 of the paper).

One learns what training takes when model/draw.py has the network and its gradient: nothing but this. The digits are
`strokes`, drawn by code, 0 to 3 only: so few shapes are learned in ten seconds on one core. Then samples from the prior
(eqs 13-16) are digits, as in figure 6. `minidraw.fit` does the same for any images, with checkpoints and validation.

    python examples/4_draw_in_60_lines.py [FOLDER] [STEPS]     writes FOLDER/4_draw_in_60_lines.png
"""

import sys
from pathlib import Path

import numpy as np
from labels import labelled

from minidraw import DRAW, DRAWConfig
from minidraw.data.strokes import strokes
from minidraw.pictures.sheets import sheet
from minidraw.pictures.writers import write_png
from minidraw.training.optim import Adam, global_norm

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
steps = int(sys.argv[2]) if len(sys.argv) > 2 else 1200
batch_size, learning_rate, clip = 32, 8e-3, 1000.0
rng = np.random.default_rng(0)  # of minibatches and noise
pixels, digits = strokes(10_000)  # (10000, 1, 28, 28) bytes, (10000,) 0 to 9
images = (pixels[digits < 4] / 255).astype(np.float32)  # in [0, 1]

config = DRAWConfig(
    image_shape=(1, 28, 28), glimpses=5, read_size=5, write_size=9, enc_size=64, dec_size=96, latent_size=8
)
model = DRAW(config, seed=0, threads=1)  # one core: a second has little to do in so small a network
# The canvas starts at the mean image: what all digits share need not be learned, and costs no glimpse.
mean = np.clip(images.mean(axis=0), 0.001, 0.999)  # (1, 28, 28)
model.params["canvas0"][:] = np.log(mean / (1 - mean)).ravel()  # in logits

# All parameters lie in one vector, as do their gradients: an optimizer need not know about names.
adam = Adam(model.flat_params, beta1=0.9, beta2=0.999, averaging=0.99, xp=np)
history = []
for step in range(steps):
    x = images[rng.integers(len(images), size=batch_size)]  # (B, C, H, W)
    noise = rng.standard_normal((config.glimpses, batch_size, config.latent_size))  # (T, B, Z), fresh for every image
    loss, _ = model.loss_and_grads(x, noise)  # forward, and backward through time; fills model.flat_grads

    norm = global_norm(model.flat_grads, np)  # of the whole gradient: its direction must not change
    rise, fall = min(1, (step + 1) / 50), min(1, 2 * (1 - step / steps))  # Adam's first steps are rash; end at rest
    adam.update(model.flat_grads, learning_rate * rise * fall, scale=min(1, clip / norm))

    history.append(loss.total)
    if (step + 1) % 100 == 0 or step == 0:
        recent = np.mean(history[-100:])
        print(f"step {step + 1}: {recent:.1f} nats per image (now {loss.reconstruction:.1f} + KL {loss.latent:.1f})")

model.flat_params[:] = adam.average  # the mean over the last steps draws better than the last step alone
samples = model.generate(48, seed=1)[-1]  # the canvas after the last glimpse: (48, 1, 28, 28)
title = f"Digits that DRAW makes after {steps} steps of training. In the first row, digits that it has seen"
picture = sheet(np.concatenate([images[:12], samples]), columns=12)
write_png(folder / "4_draw_in_60_lines.png", labelled(picture, title, rows=["seen", *4 * ["made"]]))
print(folder / "4_draw_in_60_lines.png")
