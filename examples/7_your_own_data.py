"""One's own pictures: training on a folder of coloured circles and squares, and drawing them again (eqs 3-8).

One learns to train on any folder of pictures, grey or, as in sections 4.4 and 4.5, in colour: its name for the library
is `folder:PATH`, with options behind a question mark (docs/own-images.md). From Python it takes the lines below, from a
shell, in FOLDER,

    python -m minidraw.train --data folder:7_pictures --set glimpses=6 --set latent_size=10 --steps 800

    python examples/7_your_own_data.py [FOLDER] [STEPS]     writes FOLDER/7_your_own_data.png

Besides it leaves FOLDER/7_pictures, what was trained on, and FOLDER/7_run, the run: `python -m minidraw.generate 7_run`
makes new circles and squares. To train on your own folder, change `name` and leave out the part that makes pictures.
"""

import shutil
import sys
from pathlib import Path

import numpy as np
from labels import labelled
from PIL import Image, ImageDraw

import minidraw
from minidraw import data
from minidraw.data import summary
from minidraw.pictures.ink import shown
from minidraw.pictures.sheets import column_names, filmstrip
from minidraw.pictures.writers import write_png

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
steps = int(sys.argv[2]) if len(sys.argv) > 2 else 800
rng = np.random.default_rng(0)

# Make the pictures: 500 files of 24 x 24 pixels, half of them circles, half squares; from green over blue to pink.
pictures = folder / "7_pictures"
pictures.mkdir(parents=True, exist_ok=True)
for k in range(500):
    picture = Image.new("RGB", (96, 96))  # four times as large, to be made smaller: so edges become smooth
    draw = ImageDraw.Draw(picture)
    radius = rng.uniform(14, 30)
    x, y = rng.uniform(radius + 6, 90 - radius, size=2)
    colour = f"hsl({rng.uniform(100, 310):.0f}, 100%, 60%)"
    shape = draw.ellipse if k % 2 else draw.rectangle
    shape((x - radius, y - radius, x + radius, y + radius), outline=colour, width=14)
    picture.resize((24, 24), Image.Resampling.BOX).save(pictures / f"{k:03d}.png")

# Read them; by a hash of their content two tenths are held out, for validation and for testing.
name = f"folder:{pictures}"
dataset = data.load(name)
print(dataset.note, *summary.lines(summary.summarize(dataset)), sep="\n")

# Train: by the preset "strokes", but for what is said here. All that it does is left in a folder.
shutil.rmtree(folder / "7_run", ignore_errors=True)  # of an earlier time: a run does not overwrite another
sizes = {"glimpses": 6, "write_size": 8, "enc_size": 64, "dec_size": 96, "latent_size": 10}
training = {"batch_size": 32, "learning_rate": 8e-3, "warmup": 50, "glimpse_warmup": 0.0, "averaging": 0.99}
model = minidraw.fit(dataset, steps=steps, out=folder / "7_run", threads=1, **sizes, **training)  # one core

# Draw pictures again that it has not been trained on: the picture, then the canvas after every glimpse.
images = dataset.test.batch(range(8))  # (n, C, H, W) in [0, 1]
again = model.redraw(images)
T = model.config.glimpses
strip = filmstrip(shown(again).frames, write=again.write, originals=images, steps=T, scale=4, numbers=False)
title = "Pictures new to the network, and how it draws them again.\nA column is a glimpse, orange is where it writes"
write_png(folder / "7_your_own_data.png", labelled(strip, title, columns=column_names(T, range(T), originals=True)))

mean = data.mean_image(dataset.train)  # what to draw if one knew nothing about an image
errors = [float(np.abs(guess - images).mean()) for guess in (mean, again.frames[-1])]
print(f"mean error of a pixel: {errors[0]:.3f} with the mean image, {errors[1]:.3f} as drawn")
print(folder / "7_your_own_data.png")
