"""DRAW as a user meets it: the loss of images with its gradients, and drawings."""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..backend import Array, to_device, to_host
from ..parallel.guard import blas_threads
from ..parallel.shard import Shard
from ..streams import Purpose, stream
from .config import DRAWConfig, check_count, parameter_shapes, start_values
from .latent import log_ratio
from .network import Network
from .recurrence import Trace, backward, forward, generate, written_by
from .windows import Windows, windows

DRAWING_CHUNK = 64  # images drawn at a time: enough to keep BLAS busy, little memory


@dataclasses.dataclass(frozen=True)
class Loss:
    """The variational bound in nats per image, a mean over the minibatch (eqs 9-12), and its terms."""

    reconstruction: float  # -log D(x | c_T), eq. 9
    latent_per_step: np.ndarray  # (T,) KL of every glimpse, eq. 10

    @property
    def latent(self) -> float:
        """KL summed over the glimpses (eq. 11)."""
        return float(self.latent_per_step.sum())

    @property
    def total(self) -> float:
        """Reconstruction plus KL (eq. 12): no less than -log P(x)."""
        return self.reconstruction + self.latent


class Drawing(NamedTuple):
    """Images after every glimpse, where they were read and written, and what they were drawn from, on the host."""

    frames: np.ndarray  # (T, n, C, H, W): sigmoid(c_t), in [0, 1]
    write: Windows | None
    read: Windows | None
    latents: np.ndarray  # (T, n, Z): z_t, which `DRAW.decode` takes
    ink: np.ndarray  # (T, n, C, H, W): 1 - exp(-Σ |what glimpses have added in logits|): 0 where none has written yet
    start: np.ndarray  # (C, H, W): sigmoid(c_0), the canvas before the first glimpse
    originals: np.ndarray | None = None  # (n, C, H, W): the images that were drawn again, if there were any

    def __repr__(self) -> str:
        T, n, *image_shape = self.frames.shape
        return f"Drawing({n} of {tuple(image_shape)} in {T} glimpses: {', '.join(self._fields)})"

    def save(self, path: str | os.PathLike, **options: Any) -> str:
        """Write a film, a picture or arrays, by the ending of `path`: .gif, .mp4, .webp, .apng, .png, .svg, .npy, .npz.

        `options` are those of `pictures.saving.save`: boxes, plain, strip, columns, scale, fps, hold, latents. Returns
        a line that tells what was written. Raises UserError for what is unfit, and where it cannot be written.
        """
        from ..pictures.saving import save  # upwards, for convenience

        return save(self, path, **options)


class DRAWShard(Shard):
    """Some images' part of a minibatch: x (B, C·H·W) in [0, 1] and noise (T, B, Z), standard normal."""

    @staticmethod
    def input_shapes(config: DRAWConfig) -> tuple[tuple[int | None, ...], ...]:
        """Return the shapes of x and noise."""
        C, H, W = config.image_shape
        return (None, C * H * W), (config.glimpses, None, config.latent_size)

    @staticmethod
    def output_shapes(config: DRAWConfig) -> tuple[tuple[int | None, ...], ...]:
        """Return the shapes of the reconstruction loss (or log weight) and of the KL of every glimpse, in nats."""
        return (None,), (config.glimpses, None)

    def make_trace(self, alloc, images: int) -> Trace:
        """Return a trace for that many images."""
        return Trace(alloc, self.config, images)

    def run(self, job: str, params: dict, grads: dict, inputs: Sequence[Array], scale: float) -> tuple[Array, ...]:
        """Do "loss", "loss_and_grads" or "log_weights"; see DRAW."""
        x, noise = inputs
        trace = self.trace_for(len(x))
        straight, transposed = self.laid_out(params, job == "loss_and_grads")
        losses = forward(trace, straight, x, noise, self.xp)
        if job == "loss_and_grads":
            backward(trace, transposed, grads, noise, scale, self.xp)
        if job == "log_weights":
            return (log_ratio(trace.latent, trace.z, noise, self.xp) - losses[0],)
        return losses

    def draw(self, params: dict, x: Array | None, noise: Array) -> Trace:
        """Draw x again, or from the prior where x is None; the drawings are in mean[1:] of the trace returned."""
        trace = self.trace_for(noise.shape[1])
        params, _ = self.laid_out(params, backward=False)
        if x is None:
            generate(trace, params, noise, self.xp)
        else:
            forward(trace, params, x, noise, self.xp)
        return trace

    def ink(self, trace: Trace) -> Array:
        """Return how much has been written on every pixel up to every glimpse of a drawing, (T, B, P) in [0, 1]."""
        ink = self.xp.empty_like(trace.mean[1:])
        for t in range(trace.T):
            self.xp.abs(written_by(trace, t, self.xp), out=ink[t])
            if t:
                ink[t] += ink[t - 1]
        ink *= -1.0
        return self.xp.negative(self.xp.expm1(ink, out=ink), out=ink)


class DRAW(Network):
    """The Deep Recurrent Attentive Writer of Gregor et al. 2015 (arXiv:1502.04623).

    Arguments and parameters are as for any Network; the config is a DRAWConfig.
    """

    name = "draw"
    Config = DRAWConfig
    Shard = DRAWShard
    _shard: DRAWShard
    parameter_shapes = staticmethod(parameter_shapes)
    start_values = staticmethod(start_values)

    def loss_and_grads(self, x: Array, noise: Array) -> tuple[Loss, dict[str, Array]]:
        """Return the loss of a minibatch and the gradient of its total by parameter name.

        x is (B, C, H, W) in [0, 1], noise (T, B, Z) standard normal. The arrays of gradients are valid until the next
        call. With a window_clip they are not quite the gradient (attention.placed_by). Raises UserError for shapes
        that do not fit the config and values out of range.
        """
        return _mean_loss(*self._on_every_core("loss_and_grads", *self._checked(x, noise))), self.grads

    def loss(self, x: Array, noise: Array | None = None, seed: int = 0) -> Loss:
        """Return the loss of images, without gradients, some at a time; arguments as for loss_and_grads.

        Here and below, noise that is not given comes from the seed, the same as in the commands.
        """
        return _mean_loss(*self.losses(x, noise, seed))

    def losses(self, x: Array, noise: Array | None = None, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Return the reconstruction loss of every image (B,) and the KL of every glimpse and image (T, B), in nats."""
        reconstruction, latent = self._on_every_core("loss", *self._checked(x, noise, seed))
        return reconstruction, latent

    def log_weights(self, x: Array, noise: Array | None = None, seed: int = 0) -> np.ndarray:
        """Return log p(x, z) - log q(z | x) of every image, (B,), in nats, for the z that the noise gives.

        Minus its mean is the bound; log mean exp over several draws is the importance-weighted one (arXiv:1509.00519).
        """
        return self._on_every_core("log_weights", *self._checked(x, noise, seed))[0]

    def generate(self, n: int, seed: int = 0) -> np.ndarray:
        """Draw `n` images from the prior (eqs 13-16): (T, n, C, H, W) on the host, in [0, 1]."""
        return self._drawing(None, self._prior(n, seed), inked=False).frames

    def draw(self, n: int, seed: int = 0) -> Drawing:
        """Draw `n` images from the prior and tell where every glimpse was written."""
        return self._drawing(None, self._prior(n, seed))

    def reconstruct(self, x: Array, noise: Array | None = None, seed: int = 0) -> np.ndarray:
        """Draw given images x (B, C, H, W) again: (T, B, C, H, W) on the host, in [0, 1]."""
        return self._drawing(*self._checked(x, noise, seed), inked=False).frames

    def redraw(self, x: Array, noise: Array | None = None, seed: int = 0) -> Drawing:
        """Draw given images again and tell where every glimpse looked and wrote."""
        return self._drawing(*self._checked(x, noise, seed))

    def encode(self, x: Array, noise: Array | None = None, seed: int = 0) -> np.ndarray:
        """Return the latents z_1..z_T of images x (B, C, H, W) (eq. 6), (T, B, Z) on the host; with noise 0, means."""
        x, noise = self._checked(x, noise, seed)
        z = np.empty(noise.shape, self.dtype)
        for chunk, trace in self._traces(x, noise):
            z[:, chunk] = to_host(trace.z)
        return z

    def decode(self, z: Array) -> np.ndarray:
        """Draw from latents z (T, n, Z) (eqs 14-16), be they from `encode` or anywhere: (T, n, C, H, W) on the host."""
        return self._drawing(None, self._checked_steps("latents", z, "n"), inked=False).frames

    def draw_latents(self, z: Array) -> Drawing:
        """Draw from latents z (T, n, Z) and tell where every glimpse was written."""
        return self._drawing(None, self._checked_steps("latents", z, "n"))

    def _traces(self, x: Array | None, noise: Array) -> Iterator[tuple[slice, Trace]]:
        """Draw in chunks, images from the latents `noise` where x is None: yield which images, and their trace."""
        n = noise.shape[1]
        for first in range(0, n, DRAWING_CHUNK):
            chunk = slice(first, min(first + DRAWING_CHUNK, n))
            with self._guard, blas_threads(self.threads):
                yield chunk, self._shard.draw(self.params, None if x is None else x[chunk], noise[:, chunk])

    def _drawing(self, x: Array | None, noise: Array, inked: bool = True) -> Drawing:
        """Draw images again, or from the latents `noise` where x is None; its ink only if it is `inked`."""
        config, (T, n, _) = self.config, noise.shape
        frames = np.empty((T, n, *config.image_shape), self.dtype)
        ink = np.empty_like(frames) if inked else None
        z = np.empty(noise.shape, self.dtype)
        sizes = {"write": config.write_size, "read": None if x is None else config.read_size}
        seen = {name: np.empty((T, n, 5)) for name, N in sizes.items() if N is not None}
        for chunk, trace in self._traces(x, noise):
            frames[:, chunk] = to_host(trace.mean[1:]).reshape(T, -1, *config.image_shape)
            if inked:
                ink[:, chunk] = to_host(self._shard.ink(trace)).reshape(T, -1, *config.image_shape)
            z[:, chunk] = to_host(trace.z)
            start = to_host(trace.mean[0, 0]).reshape(config.image_shape).copy()
            for name, window in seen.items():
                window[:, chunk] = to_host(getattr(trace, name).window)
        originals = None if x is None else to_host(x).reshape(n, *config.image_shape).copy()  # x may be the caller's
        placed = {name: windows(window, config.image_shape, sizes[name]) for name, window in seen.items()}
        return Drawing(frames, placed.get("write"), placed.get("read"), z, ink, start, originals)

    def _prior(self, n: int, seed: int) -> Array:
        """Return latents (T, n, Z) drawn from the prior (eq. 13)."""
        check_count("the number of images", n)
        noise = stream(seed, Purpose.PRIOR).standard_normal((self.config.glimpses, n, self.config.latent_size))
        return to_device(noise.astype(self.dtype), self.xp, self.dtype)

    def _checked(self, x: Array, noise: Array | None, seed: int = 0) -> tuple[Array, Array]:
        """Return x as (B, C·H·W) and noise (T, B, Z), where there is none that of the seed, in the model's dtype."""
        x = self._checked_images(x)
        if noise is None:
            noise = draw_noise(self.config, len(x), stream(seed, Purpose.POSTERIOR))
        return x, self._checked_steps("noise", noise, len(x))

    def _checked_steps(self, name: str, values: Array, images: int | str) -> Array:
        """Return noise or latents (T, images, Z) on the device in the model's dtype."""
        shape = (self.config.glimpses, images, self.config.latent_size)
        return self._checked_array(name, values, shape, "(glimpses, images, latent_size) = ")


def _mean_loss(reconstruction: np.ndarray, latent: np.ndarray) -> Loss:
    """Average the losses of images, (B,) and (T, B)."""
    return Loss(float(reconstruction.mean(dtype=np.float64)), latent.mean(axis=1, dtype=np.float64))


def draw_noise(config: DRAWConfig, images: int, rng: np.random.Generator) -> np.ndarray:
    """Return standard normal noise (T, images, Z) in single precision."""
    return rng.standard_normal((config.glimpses, images, config.latent_size), np.float32)
