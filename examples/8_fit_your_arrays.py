"""From arrays in memory to a GIF, in ten lines: letters made with Pillow stand for what you have.

One learns the short way: `fit` takes images, (n, H, W) or (n, H, W, C) of bytes or of floats in [0, 1], and returns a
network; `draw` makes new images, and `save` shows how, orange boxes where it writes: as a film where the name ends in
.mp4, as a picture in .png or .svg, as arrays in .npz. After ten seconds on one core the network writes letters.

    python examples/8_fit_your_arrays.py [FOLDER] [STEPS]     writes FOLDER/8_fit_your_arrays.gif
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import minidraw

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
steps = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
rng = np.random.default_rng(0)
fonts = [ImageFont.load_default(size) for size in (20, 23, 26)]


def letter(character):
    """Return a letter of some size, a little turned, (28, 28) bytes."""
    picture = Image.new("L", (28, 28))
    ImageDraw.Draw(picture).text((14, 14), character, fill=255, font=fonts[rng.integers(3)], anchor="mm")
    return np.asarray(picture.rotate(rng.uniform(-10, 10), Image.Resampling.BICUBIC))


images = np.stack([letter(character) for character in rng.choice(list("DRAW"), 4000)])  # (4000, 28, 28)
sizes = {"glimpses": 5, "write_size": 9, "enc_size": 64, "dec_size": 96, "latent_size": 8}
training = {"batch_size": 32, "learning_rate": 8e-3, "warmup": 50, "glimpse_warmup": 0.0, "averaging": 0.99}  # in short
model = minidraw.fit(images, steps=steps, threads=1, **sizes, **training)  # on one core; nothing is written
drawing = model.draw(32, seed=1)
print(drawing.save(folder / "8_fit_your_arrays.gif", columns=8, fps=4))
