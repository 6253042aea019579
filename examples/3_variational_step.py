"""One variational step by hand: draw z, put it on the canvas, pay for it in nats (eqs 1, 2, 6 and 9-12).

One learns what DRAW minimises, with a single glimpse and no recurrence, so that every gradient is a line: the encoder
gives q(z | x), the decoder turns a sample z into a canvas, and the loss is reconstruction + KL. At first q is the prior
and z says nothing: the KL is near 0. Then the network buys reconstruction with KL, as long as it gets more than a nat
for a nat. The picture shows images, what becomes of them after so many steps of gradient descent (with reconstruction +
KL in nats per image), and drawings from z ~ N(0, 1).

    python examples/3_variational_step.py [FOLDER] [STEPS]     writes FOLDER/3_variational_step.png
"""

import sys
from pathlib import Path

import numpy as np
import threadpoolctl
from labels import labelled

from minidraw.data.strokes import strokes
from minidraw.model.latent import LatentTrace, divergence, sample, sample_backward
from minidraw.model.likelihood import reconstruction, reconstruction_backward, sigmoid
from minidraw.pictures.sheets import sheet
from minidraw.pictures.writers import write_png

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
steps = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
B, P, E, D, Z = 100, 28 * 28, 200, 200, 20  # images a step, pixels, hidden units of encoder and decoder, latents
threadpoolctl.threadpool_limits(1, "blas")  # one core: more would only wait for each other, so small are the matrices
rng = np.random.default_rng(0)
images = strokes(5000)[0].reshape(-1, P) / 255  # (5000, P) in [0, 1]

params = {
    "encoder.W": rng.standard_normal((P, E)) / np.sqrt(P),
    "latent.W": 0.1 * rng.standard_normal((E, 2 * Z)) / np.sqrt(E),  # columns: mu, log sigma. Small: q begins as p
    "latent.b": np.zeros(2 * Z),
    "decoder.W": rng.standard_normal((Z, D)) / np.sqrt(Z),
    "canvas.W": 0.1 * rng.standard_normal((D, P)) / np.sqrt(D),
    "canvas.b": np.log((images.mean(axis=0) + 1e-3) / (1 - images.mean(axis=0))),  # begins as the mean image, in logits
}
trace = LatentTrace(lambda *shape: np.zeros(shape), 1, B, E, Z)  # room for T = 1 glimpse


def decode(z):
    """Return the decoder's state (B, D), the canvas in logits and what it shows, both (B, P), for z (B, Z)."""
    h_dec = np.tanh(z @ params["decoder.W"])
    canvas = h_dec @ params["canvas.W"] + params["canvas.b"]
    return h_dec, canvas, sigmoid(canvas, np.empty_like(canvas), np)


def step(x, noise, rate):
    """Take a step down the gradient; return reconstruction and KL in nats per image, and what the canvas shows."""
    h_enc, z = np.tanh(x @ params["encoder.W"]), np.empty((B, Z))  # (B, E), (B, Z)
    sample(trace, 0, params["latent.W"], params["latent.b"], h_enc, noise, z, np)  # eqs 1, 2, 6: z = mu + sigma noise
    h_dec, canvas, mean = decode(z)
    losses = reconstruction(x, canvas, np).mean(), divergence(trace, np).mean()  # eqs 9, 10
    # And back, from the last line to the first. 1 / B: the loss is a mean over the minibatch.
    dcanvas = np.empty((B, P))
    reconstruction_backward(x, mean, 1 / B, dcanvas, np)  # (mean - x) / B
    dh_dec = dcanvas @ params["canvas.W"].T * (1 - h_dec**2)  # the slope of tanh from its value
    dz = dh_dec @ params["decoder.W"].T
    dh_enc = sample_backward(trace, 0, params["latent.W"], noise, dz, 1 / B, np) * (1 - h_enc**2)
    dq = trace.q[0]  # (B, 2Z): where sample_backward leaves the gradient of mu and log sigma, of z and KL together
    grads = {"encoder.W": x.T @ dh_enc, "latent.W": h_enc.T @ dq, "latent.b": dq.sum(axis=0)}
    grads |= {"decoder.W": z.T @ dh_dec, "canvas.W": h_dec.T @ dcanvas, "canvas.b": dcanvas.sum(axis=0)}
    for name in params:
        params[name] -= rate * grads[name]
    return *losses, mean


rows, losses = {"images": images}, []  # of the picture, by their titles
seen, noise = images[:B], rng.standard_normal((B, Z))
for n in range(steps + 1):
    if n in (0, steps // 20, steps // 5, steps // 2, steps):  # look, without a step, at the same images and noise
        *nats, mean = step(seen, noise, rate=0.0)
        losses.append(nats)
        rows[f"step {n}:  {nats[0]:.0f} + {nats[1]:.0f}"] = mean
        print(f"step {n}: reconstruction {nats[0]:.1f} + KL {nats[1]:.1f} nats per image")
    x = images[rng.integers(len(images), size=B)]  # (B, P)
    step(x, rng.standard_normal((B, Z)), rate=0.02)  # noise is fresh at every step and for every image
rows["new, from z ~ N(0, 1)"] = decode(rng.standard_normal((B, Z)))[2]

digits = sheet(np.concatenate([row[:14] for row in rows.values()]).reshape(-1, 1, 28, 28), columns=14)
title = "One glimpse learns: images, what becomes of them (reconstruction + KL in nats per image), and new ones"
write_png(folder / "3_variational_step.png", labelled(digits, title, rows=list(rows)))
print(folder / "3_variational_step.png")
