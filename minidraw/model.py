"""The network as a user meets it: parameters by name, the loss with its gradients, and drawings."""

import dataclasses
from typing import NamedTuple

import numpy as np

from .attention import Windows, windows
from .backend import Arena, Array, array_module, to_device, to_host
from .config import DRAWConfig, parameter_shapes, parameter_views, start_values
from .errors import UserError, unknown
from .latent import log_ratio
from .parallel import Threads, shard_bounds
from .recurrence import Trace, backward, forward, generate

DRAWING_CHUNK = 64  # images drawn at a time by one thread: enough to keep BLAS busy, little memory


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
    """Images after every glimpse, with the windows through which they were read and written, on the host."""

    frames: np.ndarray  # (T, n, C, H, W): sigmoid(c_t), in [0, 1]
    write: Windows | None
    read: Windows | None


class DRAW:
    """The Deep Recurrent Attentive Writer of Gregor et al. 2015 (arXiv:1502.04623).

    `params` maps names to arrays that may be written in place. All parameters lie in the one vector `flat_params`, their
    gradients in `flat_grads`. `threads` (default: all cores) is how many shards a minibatch is cut in; the result depends
    on it by rounding only. Raises UserError for an unknown backend or dtype, and where the backend does not work.
    """

    def __init__(
        self,
        config: DRAWConfig,
        backend: str = "numpy",
        dtype: str = "float32",
        seed: int = 0,
        threads: int | None = None,
    ):
        if str(dtype) not in ("float32", "float64"):
            raise unknown("dtype", str(dtype), ["float32", "float64"])
        self.config, self.xp, self.dtype = config, array_module(backend), np.dtype(dtype)
        self.threads = Threads(threads if self.xp is np else 1)
        shapes = parameter_shapes(config)
        self.flat_params = to_device(start_values(config, seed).astype(self.dtype), self.xp, self.dtype)
        self.params: dict[str, Array] = parameter_views(self.flat_params, shapes)
        self.flat_grads = self.xp.zeros_like(self.flat_params)
        self.grads: dict[str, Array] = parameter_views(self.flat_grads, shapes)
        # A shard is one thread's part of the minibatch: its trace and, but for the first, a gradient of its own.
        self._arenas = [Arena(self.xp, self.dtype) for _ in range(self.threads.count)]
        self._traces: list[tuple[int, Trace] | None] = [None] * self.threads.count
        self._flat_grads = [self.flat_grads]
        self._grads = [self.grads]

    def loss_and_grads(self, x: Array, noise: Array) -> tuple[Loss, dict[str, Array]]:
        """Return the loss of a minibatch and the gradient of its total by parameter name.

        x is (B, C, H, W) in [0, 1], noise (T, B, Z) standard normal. The arrays of gradients are valid until the next
        call. Raises UserError for shapes that do not fit the config.
        """
        x, noise = self._checked(x, noise)
        bounds = shard_bounds(len(x), self.threads.count)
        while len(self._grads) < len(bounds):
            self._flat_grads.append(self.xp.empty_like(self.flat_grads))
            self._grads.append(parameter_views(self._flat_grads[-1], parameter_shapes(self.config)))

        def shard(k: int) -> tuple[Array, Array]:
            first, last = bounds[k]
            trace, shard_noise = self._trace(k, last - first), noise[:, first:last]
            losses = forward(trace, self.params, x[first:last], shard_noise, self.config, self.xp)
            backward(trace, self.params, self._grads[k], shard_noise, self.config, 1.0 / len(x), self.xp)
            return losses

        losses = self.threads.run(shard, len(bounds))
        for flat in self._flat_grads[1 : len(bounds)]:  # always in the same order: the sum does not depend on timing
            self.flat_grads += flat
        return self._mean_loss(losses), self.grads

    def loss(self, x: Array, noise: Array) -> Loss:
        """Return the loss of a minibatch, without gradients; arguments as for loss_and_grads."""
        x, noise = self._checked(x, noise)
        bounds = shard_bounds(len(x), self.threads.count)

        def shard(k: int) -> tuple[Array, Array]:
            first, last = bounds[k]
            trace = self._trace(k, last - first)
            return forward(trace, self.params, x[first:last], noise[:, first:last], self.config, self.xp)

        return self._mean_loss(self.threads.run(shard, len(bounds)))

    def log_weights(self, x: Array, noise: Array) -> np.ndarray:
        """Return log p(x, z) - log q(z | x) of every image, (B,), in nats, for the z that the noise gives.

        Its mean is minus the bound; log mean exp of several draws is the importance-weighted bound (arXiv:1509.00519).
        """
        x, noise = self._checked(x, noise)
        bounds = shard_bounds(len(x), self.threads.count)

        def shard(k: int) -> np.ndarray:
            first, last = bounds[k]
            trace, shard_noise = self._trace(k, last - first), noise[:, first:last]
            reconstruction, _ = forward(trace, self.params, x[first:last], shard_noise, self.config, self.xp)
            z = trace.decoder.inputs[: self.config.glimpses, :, : self.config.latent_size]
            return to_host(log_ratio(trace.latent, z, shard_noise, self.xp) - reconstruction)

        return np.concatenate(self.threads.run(shard, len(bounds)))

    def generate(self, n: int, seed: int = 0) -> np.ndarray:
        """Draw `n` images from the prior (eqs 13-16): (T, n, C, H, W) on the host, in [0, 1]."""
        return self.draw(n, seed).frames

    def draw(self, n: int, seed: int = 0) -> Drawing:
        """Draw `n` images from the prior and tell where every glimpse was written."""
        if n < 1:
            raise UserError(f"the number of images must be 1 or more, not {n}")
        noise = np.random.default_rng(seed).standard_normal((self.config.glimpses, n, self.config.latent_size))
        return self._drawing(None, to_device(noise.astype(self.dtype), self.xp, self.dtype))

    def reconstruct(self, x: Array, noise: Array) -> np.ndarray:
        """Draw given images x (B, C, H, W) again: (T, B, C, H, W) on the host, in [0, 1]."""
        return self.redraw(x, noise).frames

    def redraw(self, x: Array, noise: Array) -> Drawing:
        """Draw given images again and tell where every glimpse looked and wrote."""
        return self._drawing(*self._checked(x, noise))

    def _drawing(self, x: Array | None, noise: Array) -> Drawing:
        """Draw in chunks, images from the prior where x is None; the chunks go to the threads in turn."""
        config, (T, n, _) = self.config, noise.shape
        frames = np.empty((T, n, *config.image_shape), self.dtype)
        seen: dict[str, np.ndarray] = {"read": np.empty((T, n, 5)), "write": np.empty((T, n, 5))}
        size = min(DRAWING_CHUNK, -(-n // self.threads.count))

        def worker(k: int) -> None:
            for first in range(k * size, n, self.threads.count * size):
                chunk = slice(first, min(first + size, n))
                trace = self._trace(k, chunk.stop - first)
                if x is None:
                    generate(trace, self.params, noise[:, chunk], config, self.xp)
                else:
                    forward(trace, self.params, x[chunk], noise[:, chunk], config, self.xp)
                frames[:, chunk] = to_host(trace.mean[1:]).reshape(T, -1, *config.image_shape)
                for name, part in (("read", trace.read), ("write", trace.write)):
                    if part is not None:
                        seen[name][:, chunk] = to_host(part.window)

        self.threads.run(worker, min(self.threads.count, -(-n // size)))
        reading = x is not None and config.read_size is not None
        return Drawing(
            frames,
            windows(seen["write"], config.image_shape, config.write_size) if config.write_size is not None else None,
            windows(seen["read"], config.image_shape, config.read_size) if reading else None,
        )

    def _trace(self, k: int, images: int) -> Trace:
        """Return shard k's trace for that many images: the one at hand if it fits, else carved from the same memory."""
        kept = self._traces[k]
        if kept is None or kept[0] != images:
            self._traces[k] = None  # let go of the old block before a larger one is taken
            kept = self._traces[k] = images, self._arenas[k].build(lambda alloc: Trace(alloc, self.config, images))
        return kept[1]

    def _checked(self, x: Array, noise: Array) -> tuple[Array, Array]:
        """Return x as (B, C·H·W) and noise (T, B, Z) on the device in the model's dtype."""
        config = self.config
        if x.ndim != 4 or tuple(x.shape[1:]) != config.image_shape or len(x) == 0:
            raise UserError(f"images must be (B, {', '.join(map(str, config.image_shape))}), not {tuple(x.shape)}")
        expected = (config.glimpses, len(x), config.latent_size)
        if tuple(noise.shape) != expected:
            raise UserError(f"noise must be (glimpses, images, latent_size) = {expected}, not {tuple(noise.shape)}")
        x = to_device(x, self.xp, self.dtype).reshape(len(x), -1)
        return x, to_device(noise, self.xp, self.dtype)

    def _mean_loss(self, losses: list[tuple[Array, Array]]) -> Loss:
        reconstruction = np.concatenate([to_host(part) for part, _ in losses])  # (B,)
        latent = np.concatenate([to_host(part) for _, part in losses], axis=1)  # (T, B)
        return Loss(float(reconstruction.mean(dtype=np.float64)), latent.mean(axis=1, dtype=np.float64))
