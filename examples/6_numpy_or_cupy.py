"""NumPy or CuPy: one code for both, one word to choose between them, and what a step of training costs.

One learns how the library switches: its functions take the array module as an argument, `xp`, and only backend.py
imports CuPy. "auto" is CuPy where there is a working GPU, else NumPy. The numbers are the same up to rounding, which is
checked here. The time is not: run it on either to see what each is good at. The picture shows why one trains with
minibatches: the more images are worked on at once, the less each costs.

    python examples/6_numpy_or_cupy.py [FOLDER] [BACKEND]     writes FOLDER/6_numpy_or_cupy.png; auto, numpy or cupy
"""

import sys
import time
from pathlib import Path

import numpy as np
from labels import labelled
from PIL import Image, ImageDraw, ImageFont

from minidraw import DRAW, DRAWConfig
from minidraw.backend import array_module, to_device, to_host
from minidraw.data.strokes import strokes
from minidraw.model.likelihood import sigmoid
from minidraw.pictures.writers import write_png
from minidraw.training.optim import Adam

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
backend = sys.argv[2] if len(sys.argv) > 2 else "auto"

# A single function: arrays go to the device, are worked on there, and come back when they are asked for.
xp = array_module(backend)
print(f"backend {backend!r} is {xp.__name__} {xp.__version__} here")
logits = to_device(np.array([-2.0, 0.0, 2.0]), xp, np.float32)
print("sigmoid(-2, 0, 2) =", to_host(sigmoid(logits, xp.empty_like(logits), xp)))

# The whole network: the same word, and nothing else changes. Arrays may come from the host: they are taken along.
config = DRAWConfig(glimpses=8, read_size=5, write_size=5, enc_size=128, dec_size=128, latent_size=32)
model = DRAW(config, backend, threads=1)  # one core, so that it is not several of them that are compared
adam = Adam(model.flat_params, beta1=0.9, beta2=0.999, averaging=0.99, xp=xp)
pixels, _ = strokes(256)
images = (pixels / 255).astype(np.float32)  # (B, C, H, W)
noise = np.random.default_rng(0).standard_normal((8, 256, 32), dtype=np.float32)  # (T, B, Z)

exact = DRAW(config, "numpy", dtype="float64", threads=1).loss(images, noise).total  # the same start values
difference = abs(model.loss(images, noise).total / exact - 1)
print(f"loss in float32 with {xp.__name__}, in float64 with NumPy: relative difference {difference:.0e}")


def seconds(work):
    """Return how long work() takes: the best of eight, but for the first, which takes memory and compiles kernels."""
    times = []
    for _ in range(9):
        start = time.perf_counter()
        work()
        to_host(model.flat_params[:1])  # a GPU still works when Python has gone on: this waits for it
        times.append(time.perf_counter() - start)
    return min(times[1:])


sizes = [1, 4, 16, 64, 256]
gradient = np.array([seconds(lambda B=B: model.loss_and_grads(images[:B], noise[:, :B])) for B in sizes])
update = seconds(lambda: adam.update(model.flat_grads, learning_rate=1e-3))  # the same for any number of images
each = 1000 * np.stack([gradient, np.full(len(sizes), update)], axis=1) / np.array(sizes)[:, None]  # (5, 2) ms an image

# ------------------------------------------------------------------------------------------------------- the picture
picture = Image.new("RGB", (900, 330), (24, 24, 24))
draw, font, colours = ImageDraw.Draw(picture), ImageFont.load_default(size=18), ("gold", "tomato")
for k, part in enumerate(("gradient", "Adam")):
    draw.text((190 + 120 * k, 15), part, fill=colours[k], font=font)
for row, (B, costs) in enumerate(zip(sizes, each, strict=True)):
    ends = 190 + 560 * np.cumsum([0, *costs]) / each.sum(axis=1).max()
    top = 60 + 52 * row
    draw.text((20, top + 8), f"{B} image{'s' * (B > 1)} a step", fill="white", font=font)
    for k in range(2):
        draw.rectangle((ends[k], top, max(ends[k], ends[k + 1] - 1), top + 38), fill=colours[k])
    draw.text((ends[2] + 10, top + 8), f"{costs.sum():.2f} ms", fill="white", font=font)
    print(f"{B:4d} images: gradient {1000 * gradient[row]:7.2f} ms, update {1000 * update:.2f} ms")
title = f"What a step of training costs, by how many images it takes: milliseconds per image, with {xp.__name__}"
write_png(folder / "6_numpy_or_cupy.png", labelled(np.asarray(picture), title))
print(folder / "6_numpy_or_cupy.png")
