"""Three windows on one digit: what a grid of Gaussian filters reads, and what it writes back (figures 3 and 4).

One learns that a window is nothing but two matrices, F_X and F_Y: reading an image X is F_Y X F_X^T (eq. 27), writing a
patch is F_Y^T patch F_X (eq. 29). Three things make them: where the grid's centre is, the stride between its filters
(eqs 19, 20) and the filters' width sigma (eqs 25, 26). A small stride zooms in, a large sigma blurs.

    python examples/1_filterbank.py [FOLDER]        writes FOLDER/1_filterbank.png
"""

import sys
from pathlib import Path

import numpy as np
from labels import labelled
from PIL import Image, ImageDraw, ImageFont

from minidraw.data.strokes import strokes
from minidraw.model.reference import filterbank
from minidraw.model.windows import Windows
from minidraw.pictures.sheets import filmstrip, sheet
from minidraw.pictures.writers import write_png

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
N, A = 12, 60  # filters along a side of the grid, pixels along a side of the image
images, _ = strokes(33, size=A, seed=3)  # (33, 1, A, A) bytes
image = images[32, 0] / 255  # (A, A) in [0, 1]

# Three windows, a column of the picture each. Pixels are counted from 1 to A as in the paper: the middle is at 30.5.
names = ["small stride, small sigma", "large stride, small sigma", "large stride, large sigma"]
centre = np.array([[35.0, 18.0], [30.5, 30.5], [30.5, 30.5]])  # (3, 2): x, y
stride = np.array([1.8, 5.0, 5.0])  # (3,) pixels between neighbouring filters
sigma = np.array([0.9, 0.9, 5.0])  # (3,) the filters' standard deviation in pixels

F_X = filterbank(centre[:, 0], stride, sigma**2, N, A)  # (3, N, A): every row is a Gaussian that sums to 1
F_Y = filterbank(centre[:, 1], stride, sigma**2, N, A)  # (3, N, A)

read = F_Y @ image @ F_X.transpose(0, 2, 1)  # eq. 27 with gamma = 1: (3, N, N)

# Writing spreads every number of the patch over an area of total weight 1. There is one filter for stride² pixels, so
# the canvas becomes as bright as the image was if gamma, by which eq. 29 divides, is 1 / stride².
gamma = 1 / stride[:, None, None] ** 2
written = F_Y.transpose(0, 2, 1) @ read @ F_X / gamma  # eq. 29: (3, A, A)

# One filter of the grid is the outer product of two rows. Here are the first and the last, at opposite corners.
corners = F_Y[:, 0, :, None] * F_X[:, 0, None, :] + F_Y[:, -1, :, None] * F_X[:, -1, None, :]  # (3, A, A)
corners /= corners.max(axis=(1, 2), keepdims=True)  # for the eye: white where it is largest

# ------------------------------------------------------------------------------------------------------- the picture
# `filmstrip` shows a drawing glimpse by glimpse, each with its window; our three windows pass for three glimpses. A box
# goes through the centres of the outermost filters, and its line is the thicker the wider they are.
zoom = 6  # pixels of the picture for one of the image
boxes = Windows(centre[:, None], stride[:, None], sigma[:, None], N)
looked_at = filmstrip(np.stack([image[None, None]] * 3), read=boxes, steps=[0, 1, 2], scale=zoom, numbers=False)
rows = [looked_at, sheet(read[:, None], 3, scale=zoom * A // N), sheet(written[:, None], 3, scale=zoom)]
rows += [sheet(corners[:, None], 3, scale=zoom)]
title = np.full((34, looked_at.shape[1], 3), 30, np.uint8)
picture = Image.fromarray(np.concatenate([part for row in rows for part in (title, row)]))

draw, font, yellow = ImageDraw.Draw(picture), ImageFont.load_default(size=20), (255, 200, 0)
below, beside = len(title) + len(looked_at), zoom * A + 2  # from a row to the next, from a column to the next
for k in range(3):
    for row, text in enumerate([names[k], f"read: {N} x {N} numbers", "written back", "first and last filter alone"]):
        draw.text((k * beside + 10, row * below + 5), text, fill=yellow, font=font)
    grid = (np.arange(1, N + 1) - N / 2 - 0.5) * stride[k]  # eqs 19, 20: the filters' centres, as dots
    for x in k * beside + 2 + (centre[k, 0] + grid - 0.5) * zoom:
        for y in len(title) + 2 + (centre[k, 1] + grid - 0.5) * zoom:
            draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=yellow)
title = "What a window reads from a digit, and what it writes back. A column is a window, the dots are its filters"
write_png(folder / "1_filterbank.png", labelled(np.asarray(picture), title))

for k in range(3):
    print(f"{names[k]}: of ink {image.sum():.0f}, {written[k].sum():.0f} comes back")
print(folder / "1_filterbank.png")
