"""What a network is trained to do: DRAW to draw, RAM to classify. The trainer is the same for both.

A task has a network and the data. It makes minibatches, says which numbers of a step are kept and how they are logged,
measures on held-out images, and makes pictures.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..backend import Array, to_device
from ..data import Dataset
from ..data.images import spread
from ..errors import UserError
from ..model.draw import DRAW, Loss, draw_noise
from ..model.network import Network
from ..model.ram import RAM, RAMLoss
from ..pages.report import counted
from ..pictures.looks import LOOKS_PER_SECOND, beside_nearest, looks, redrawn
from ..pictures.saving import moving
from ..pictures.sheets import sheet
from ..pictures.sizes import Size
from ..pictures.writers import write_gif, write_png
from ..streams import Purpose, stream
from .measure import bound_terms, classify, mean_logits

SAMPLES = 64  # drawings in samples.gif
COLUMNS = 8  # of sheet.png, besides the nearest training images
SEARCHED = 2000  # training images among which the nearest are looked for while a run goes on
COMPARED = 100  # training images by which the better of two canvases is chosen
STRIPS = 8  # held-out images in seen.png
PICTURES = ("samples.gif", "samples.png", "sheet.png", "seen.png")  # of a run's folder


class Task:
    """What a network is trained for, on what data. The two tasks have the same methods."""

    noisy: ClassVar[bool]  # is the last of the inputs of the network's Shard standard normal noise?

    def __init__(self, model: Any, data: Dataset):
        self.model, self.data = model, data


class DrawingTask(Task):
    """DRAW: the loss is the variational bound in nats per image (eq. 12)."""

    model: DRAW
    noisy = True

    def prepare(self, begun: bool = False) -> None:
        """Let the canvas start at the mean training image.

        A network that has begun to learn keeps the canvas that it has, if that is better for some training images.
        """
        canvas, train = self.model.params["canvas0"], self.data.train
        mean = to_device(mean_logits(train), self.model.xp, self.model.dtype)
        kept, with_kept = canvas.copy(), self.cost_of_some() if begun else math.inf
        canvas[:] = mean
        if begun and with_kept < self.cost_of_some():
            canvas[:] = kept

    def cost_of_some(self) -> float:
        """Return the bound of the first few training images, in nats of all together."""
        count, noise = min(COMPARED, len(self.data.train)), stream(0, Purpose.CANVAS)
        return float(sum(bound_terms(self.model, self.data.train, count, noise)).sum())

    def inputs(self, chosen: np.ndarray, images: np.random.Generator, noise: np.random.Generator) -> tuple:
        """Return images (B, C, H, W) and noise (T, B, Z)."""
        return self.data.train.batch(chosen, images), draw_noise(self.model.config, len(chosen), noise)

    def examples(self, chosen: np.ndarray, images: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Return images (B, C·H·W)."""
        return (self.data.train.batch(chosen, images).reshape(len(chosen), -1),)

    def device_row(self, outputs: tuple, inputs: Sequence[Array], row: Array) -> None:
        """Fill in the means of the reconstruction loss and of the KL of every glimpse."""
        reconstruction, latent = outputs
        row[0] = reconstruction.mean()
        row[1:] = latent.mean(axis=1)

    def row_length(self, glimpses: int) -> int:
        """Return one more than glimpses."""
        return 1 + glimpses

    def row(self, loss: Loss) -> list[float]:
        """Return the reconstruction loss and the KL of every glimpse, in nats."""
        return [loss.reconstruction, *loss.latent_per_step.tolist()]

    def summary(self, means: list[float]) -> tuple[dict, str]:
        """Return the bound and its terms."""
        reconstruction, *per_step = means
        latent = sum(per_step)
        fields: dict[str, Any] = {"loss": reconstruction + latent, "reconstruction": reconstruction, "latent": latent}
        fields["latent_per_step"] = [round(nats, 5) for nats in per_step]
        return fields, f"{reconstruction + latent:.1f} nats, KL {latent:.1f}"

    def validate(self, count: int, seed: int) -> tuple[dict, str]:
        """Return the bound on held-out images, with the same noise every time."""
        noise = stream(seed, Purpose.VALIDATION)
        means = [float(term.mean()) for term in bound_terms(self.model, self.data.valid, count, noise)]
        reconstruction, latent = means
        terms = {"loss": reconstruction + latent, "reconstruction": reconstruction, "latent": latent}
        words = f"bound {reconstruction + latent:.2f} nats per image"
        words += f" (reconstruction {reconstruction:.2f} + latent {latent:.2f})"
        return {f"validation_{name}": value for name, value in terms.items()}, words

    def pictures(self, folder: Path, seed: int, step: int, thorough: bool) -> None:
        """Draw from the prior, show what is nearest to some of it, and redraw held-out images."""
        train, valid = self.data.train, self.data.valid
        drawing = self.model.draw(SAMPLES, seed)
        note = f"{SAMPLES} images drawn from noise after {counted(step, 'update')}"
        scale = Size(SAMPLES, self.model.config.glimpses, self.model.config.image_shape).scale()
        write_gif(folder / "samples.gif", moving(drawing, write=drawing.write, scale=scale))
        write_png(folder / "samples.png", sheet(drawing.frames[-1], scale=scale), note)
        every = thorough or len(train) <= SEARCHED
        among = f"all {len(train):,}" if every else f"{SEARCHED:,} of the {len(train):,}"
        note += (
            f"; last column: the nearest, in Euclidean distance, of {among} training images to the drawing before it"
        )
        beside = beside_nearest(drawing.frames[-1], train, COLUMNS, None if every else spread(SEARCHED, train))
        write_png(folder / "sheet.png", sheet(beside, COLUMNS + 1, scale), note)
        shown = valid.batch(spread(STRIPS, valid))
        note = f"{STRIPS} held-out images, left, drawn again after {counted(step, 'update')}"
        write_png(folder / "seen.png", redrawn(self.model, shown, seed), note)


class ClassifyingTask(Task):
    """RAM: the loss is the cross entropy in nats per image."""

    model: RAM
    noisy = False

    def __init__(self, model: Any, data: Dataset):
        if any(getattr(split, "labels", None) is None for split in (data.train, data.valid)):
            why = next((f" ({line})" for line in data.remarks if line.startswith(("labels", "no labels"))), "")
            raise UserError(
                f"{data.name} has no labels for training and validation{why}, and a classifier learns from labels; "
                "choose other data"
            )
        super().__init__(model, data)

    def prepare(self, begun: bool = False) -> None:
        """Leave the start values as they are."""

    def inputs(self, chosen: np.ndarray, images: np.random.Generator, noise: np.random.Generator) -> tuple:
        """Return images (B, C, H, W) and labels (B,)."""
        return self.data.train.batch(chosen, images), self.data.train.labels[chosen]

    def examples(self, chosen: np.ndarray, images: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Return images (B, C·H·W) and labels (B, K), 1 at the label."""
        labels = self.model.checked_labels(self.data.train.labels[chosen], len(chosen))
        hot = np.eye(self.model.config.classes, dtype=np.float32)[labels]
        return self.data.train.batch(chosen, images).reshape(len(chosen), -1), hot

    def device_row(self, outputs: tuple, inputs: Sequence[Array], row: Array) -> None:
        """Fill in the cross entropy and the share of wrong labels."""
        (log_p,), (_, hot) = outputs, inputs
        row[0] = (log_p * hot).sum() / -len(hot)
        row[1] = (log_p.argmax(axis=1) != hot.argmax(axis=1)).mean(dtype=row.dtype)

    def row_length(self, glimpses: int) -> int:
        """Return 2, whatever the glimpses."""
        return 2

    def row(self, loss: RAMLoss) -> list[float]:
        """Return the cross entropy in nats and the share of wrong labels."""
        return [loss.total, loss.error]

    def summary(self, means: list[float]) -> tuple[dict, str]:
        """Return cross entropy and error."""
        return {"loss": means[0], "error": means[1]}, f"{means[0]:.3f} nats, {100 * means[1]:.1f} % wrong"

    def validate(self, count: int, seed: int) -> tuple[dict, str]:
        """Return cross entropy and error on held-out images."""
        nats, wrong, _ = classify(self.model, self.data.valid, count)
        fields = {"validation_loss": float(nats.mean()), "validation_error": float(wrong.mean())}
        return fields, f"error {100 * wrong.mean():.2f} %, cross entropy {nats.mean():.4f} nats per image"

    def pictures(self, folder: Path, seed: int, step: int, thorough: bool) -> None:
        """Show how held-out images are looked at: the window on the image, and what is seen through it."""
        moving, still, note = looks(self.model, self.data.valid)
        write_gif(folder / "samples.gif", moving, fps=LOOKS_PER_SECOND)
        write_png(folder / "samples.png", moving[-2])  # the last is without boxes
        write_png(folder / "seen.png", still, f"After {counted(step, 'update')}, on held-out images: {note}")


def task_for(model: Network, data: Dataset) -> DrawingTask | ClassifyingTask:
    """Return what a network is trained for. Raises UserError where the data are unfit for it."""
    return ClassifyingTask(model, data) if isinstance(model, RAM) else DrawingTask(model, data)
