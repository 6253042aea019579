"""A network drawing, glimpse by glimpse, with a box where it writes and another where it looks (figures 1, 5 and 10).

One learns to see what attention does. First from nothing: a sample from the prior (eqs 13-16), red boxes where each
patch is written. Then given images again (eqs 3-8): green boxes where the network looks, red ones where it writes. A
thick line is a blurry window. The network comes with the package if there is one, else a small one is trained.

    python examples/5_drawing_gif.py [FOLDER] [STEPS]     writes FOLDER/5_drawing.gif, 5_redrawing.gif and 5_strip.png

With STEPS a new network is trained in any case, for so many steps.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from minidraw import data
from minidraw.data.strokes import strokes
from minidraw.pictures.sheets import filmstrip, sequence_frames
from minidraw.pictures.writers import write_gif, write_png
from minidraw.presets import preset
from minidraw.training import checkpoints
from minidraw.training.trainer import Trainer

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
steps = int(sys.argv[2]) if len(sys.argv) > 2 else None


def train(steps):
    """Train a small network on `strokes` and return it: what `python -m minidraw.train` does, from Python."""
    changes = {"glimpses": 8, "latent_size": 16, "batch_size": 32, "warmup": 50, "averaging": 0.99}  # for a short run
    changes |= {"glimpse_warmup": 0.0, "learning_rate": 3e-3}  # all glimpses from the first update
    experiment = preset("strokes").replace(**changes, steps=steps, log_every=100, validation_images=100)
    with tempfile.TemporaryDirectory() as run:  # a run leaves a folder; of it we want the checkpoint alone
        Trainer(experiment, experiment.build(), data.load("strokes"), run).run()
        return checkpoints.load(run).network()


known = {name: checkpoints.load(name).experiment for name in checkpoints.pretrained()}
names = [name for name, e in known.items() if e.network == "draw" and e.model.image_shape == (1, 28, 28)]
if names and steps is None:
    print(f"the network {names[0]}, which comes with the package")
    model = checkpoints.load(names[0]).network()
else:
    model = train(steps or 1200)

# From nothing: `draw` gives the canvas after every glimpse, (T, n, C, H, W), and the windows it was written through.
drawing = model.draw(32, seed=3)
write_gif(folder / "5_drawing.gif", sequence_frames(drawing.frames, write=drawing.write, columns=8), fps=6)

# Given images: `redraw` also tells where it looked. They are new to the network: another seed makes other digits.
pixels, _ = strokes(6, seed=87)
images = pixels / 255  # (n, C, H, W) in [0, 1]
noise = np.random.default_rng(0).standard_normal((model.config.glimpses, len(images), model.config.latent_size))
again = model.redraw(images, noise)
windows = {"write": again.write, "read": again.read}
pictures = sequence_frames(again.frames, **windows, originals=images, columns=3, scale=4)
write_gif(folder / "5_redrawing.gif", pictures, fps=3)

# The same on paper: a row an image, first the image itself, then the canvas after some of the glimpses.
write_png(folder / "5_strip.png", filmstrip(again.frames, **windows, originals=images, steps=8, scale=4))

blank = model.params["canvas0"].reshape(images.shape[1:])  # in logits
errors = [np.abs(frame - images).mean() for frame in (1 / (1 + np.exp(-blank)), again.frames[-1])]
print(f"mean error of a pixel: {errors[0]:.3f} before the first glimpse, {errors[1]:.3f} after the last")
print(*(folder / name for name in ("5_drawing.gif", "5_redrawing.gif", "5_strip.png")), sep="\n")
