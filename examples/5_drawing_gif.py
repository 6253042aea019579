"""A network drawing, glimpse by glimpse, with a box where it writes and another where it looks (figures 1, 5 and 10).

One learns to see what attention does. First from nothing: a sample from the prior (eqs 13-16), orange boxes where each
patch is written. Then given images again (eqs 3-8): blue boxes where the network looks, orange ones where it writes. A
thick line is a blurry window. What is shown is ink: how bright a pixel is times how much was written on it, so that one
does not see the canvas that it starts from, a mean image. The network comes with the package, or is trained here.

    python examples/5_drawing_gif.py [FOLDER] [STEPS]     writes FOLDER/5_drawing.gif, 5_redrawing.gif and 5_strip.png

With STEPS a new network is trained in any case, for so many steps.
"""

import sys
from pathlib import Path

import numpy as np
from labels import labelled

import minidraw
from minidraw.data.strokes import strokes
from minidraw.pictures.ink import shown
from minidraw.pictures.saving import moving
from minidraw.pictures.sheets import chosen_glimpses, column_names, filmstrip
from minidraw.pictures.writers import write_gif, write_png
from minidraw.training.checkpoints import pretrained

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
steps = int(sys.argv[2]) if len(sys.argv) > 2 else None

known = {name: minidraw.load(name, threads=1) for name in pretrained()}
names = [name for name, model in known.items() if model.name == "draw" and model.config.image_shape == (1, 28, 28)]
if names and steps is None:
    print(f"the network {names[0]}, which comes with the package")
    model = known[names[0]]
else:
    sizes = {"glimpses": 8, "write_size": 9, "enc_size": 64, "dec_size": 96, "latent_size": 12}
    training = {"batch_size": 32, "learning_rate": 8e-3, "warmup": 50, "glimpse_warmup": 0.0, "averaging": 0.99}
    model = minidraw.fit("strokes", steps=steps or 700, threads=1, **sizes, **training)
T = model.config.glimpses


def film(name, drawing, seen, fps, **options):
    """Write a GIF: the empty canvas, every glimpse with its boxes, and what came out; a title tells which it is."""
    titles = ["before the first glimpse", *(f"glimpse {t} of {T}: {seen}" for t in range(1, T + 1)), "what came out"]
    pictures = moving(drawing, write=drawing.write, read=drawing.read, **options)
    write_gif(folder / name, [labelled(*each) for each in zip(pictures, titles, strict=True)], fps)


# From nothing: `draw` gives the canvas after every glimpse, (T, n, C, H, W), and the windows it was written through.
film("5_drawing.gif", model.draw(32, seed=3), "the orange box is where it writes", fps=6, columns=8)

# Given images: `redraw` also tells where it looked. They are new to the network: another seed makes other digits.
pixels, _ = strokes(6, seed=87)
images = pixels / 255  # (n, C, H, W) in [0, 1]
again = model.redraw(images)
film("5_redrawing.gif", again, "blue: where it looks, orange: where it writes", 3, originals=images, columns=3, scale=4)

# The same on paper: a row an image, first the image itself, then the ink after some of the glimpses.
some = chosen_glimpses(T, 8)
boxes = {"write": again.write, "read": again.read}
strip = filmstrip(shown(again).frames, **boxes, originals=images, steps=some, scale=4, numbers=False)
title = f"An image, and how it is drawn again, after glimpses 1 to {T}. Blue: where it looks, orange: where it writes"
write_png(folder / "5_strip.png", labelled(strip, title, columns=column_names(T, some, originals=True)))

errors = [np.abs(frame - images).mean() for frame in (again.start, again.frames[-1])]
print(f"mean error of a pixel: {errors[0]:.3f} before the first glimpse, {errors[1]:.3f} after the last")
print("for such a GIF without a title one line is enough: model.draw(32).save('drawing.gif')")
print(*(folder / name for name in ("5_drawing.gif", "5_redrawing.gif", "5_strip.png")), sep="\n")
