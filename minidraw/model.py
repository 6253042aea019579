"""The network as a user meets it: parameters by name, the loss with its gradients, and drawings."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import threadpoolctl

from .attention import Windows, windows
from .backend import Array, array_module, to_device, to_host
from .config import DRAWConfig, parameter_shapes, parameter_views, start_values
from .errors import UserError, unknown
from .parallel import SMALLEST_WORK, Workers, cores, shard_bounds
from .shard import Shard

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
    """Images after every glimpse, with the windows through which they were read and written, on the host."""

    frames: np.ndarray  # (T, n, C, H, W): sigmoid(c_t), in [0, 1]
    write: Windows | None
    read: Windows | None


class DRAW:
    """The Deep Recurrent Attentive Writer of Gregor et al. 2015 (arXiv:1502.04623).

    `params` maps names to arrays that may be written in place. All parameters lie in the one vector `flat_params`,
    their gradients in `flat_grads`. `threads` (default: all cores) is how many shards a minibatch of some size is cut
    in; the result depends on it by rounding only. Raises UserError for an unknown backend or dtype, and where the
    backend does not work.
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
        shapes = parameter_shapes(config)
        self.flat_params = to_device(start_values(config, seed).astype(self.dtype), self.xp, self.dtype)
        self.params: dict[str, Array] = parameter_views(self.flat_params, shapes)
        self.flat_grads = self.xp.zeros_like(self.flat_params)
        self.grads: dict[str, Array] = parameter_views(self.flat_grads, shapes)
        self.threads = cores() if threads is None else threads
        if self.threads < 1:
            raise UserError(f"threads must be 1 or more, not {threads}")
        self._shard = Shard(config, self.xp, self.dtype)
        self._blas = threadpoolctl.ThreadpoolController().select(user_api="blas")
        self._workers = Workers(self.threads - 1, config, self.dtype) if self.threads > 1 and self.xp is np else None

    def loss_and_grads(self, x: Array, noise: Array) -> tuple[Loss, dict[str, Array]]:
        """Return the loss of a minibatch and the gradient of its total by parameter name.

        x is (B, C, H, W) in [0, 1], noise (T, B, Z) standard normal. The arrays of gradients are valid until the next
        call. Raises UserError for shapes that do not fit the config and values out of range.
        """
        x, noise = self._checked(x, noise)

        def first_shard(x: Array, noise: Array, weight: float) -> tuple[Array, Array]:
            return self._shard.loss_and_grads(self.params, self.grads, x, noise, weight)

        losses, others = self._on_every_core("loss_and_grads", first_shard, x, noise)
        for k in range(others):  # always in the same order: the sum does not depend on timing
            self.flat_grads += self._workers.gradients[k]
        return _mean_loss(*losses), self.grads

    def loss(self, x: Array, noise: Array) -> Loss:
        """Return the loss of a minibatch, without gradients; arguments as for loss_and_grads."""
        x, noise = self._checked(x, noise)
        losses, _ = self._on_every_core("loss", lambda x, noise, _: self._shard.loss(self.params, x, noise), x, noise)
        return _mean_loss(*losses)

    def log_weights(self, x: Array, noise: Array) -> np.ndarray:
        """Return log p(x, z) - log q(z | x) of every image, (B,), in nats, for the z that the noise gives.

        Minus its mean is the bound; log mean exp over several draws is the importance-weighted one (arXiv:1509.00519).
        """
        x, noise = self._checked(x, noise)

        def first_shard(x: Array, noise: Array, _: float) -> tuple[Array, None]:
            return self._shard.log_weights(self.params, x, noise), None

        (weights, _), _ = self._on_every_core("log_weights", first_shard, x, noise)
        return weights

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
        """Draw in chunks; images from the prior where x is None."""
        config, (T, n, _) = self.config, noise.shape
        frames = np.empty((T, n, *config.image_shape), self.dtype)
        seen = {"read": np.zeros((T, n, 5)), "write": np.zeros((T, n, 5))}
        for first in range(0, n, DRAWING_CHUNK):
            chunk = slice(first, min(first + DRAWING_CHUNK, n))
            trace = self._shard.draw(self.params, None if x is None else x[chunk], noise[:, chunk])
            frames[:, chunk] = to_host(trace.mean[1:]).reshape(T, -1, *config.image_shape)
            for name, part in (("read", trace.read), ("write", trace.write)):
                if part is not None:
                    seen[name][:, chunk] = to_host(part.window)
        reading = x is not None and config.read_size is not None
        return Drawing(
            frames,
            windows(seen["write"], config.image_shape, config.write_size) if config.write_size is not None else None,
            windows(seen["read"], config.image_shape, config.read_size) if reading else None,
        )

    def _on_every_core(self, do: str, first_shard: Callable, x: Array, noise: Array) -> tuple[tuple, int]:
        """Do the first shard here while workers do the others.

        Returns per image the reconstruction loss (B,) and the KL (T, B), or whatever stands for them, on the host, and
        how many workers took part.
        """
        work = len(x) * self.config.glimpses * self.flat_params.size
        bounds = shard_bounds(len(x), self.threads if self._workers and work >= SMALLEST_WORK else 1)
        with self._blas.limit(limits=1):  # one core a shard
            if len(bounds) == 1:
                first = first_shard(x, noise, 1.0 / len(x))
                return tuple(None if part is None else to_host(part) for part in first), 0
            self._workers.start(do, self.flat_params, x, noise, bounds)
            try:
                first = first_shard(x[: bounds[0][1]], noise[:, : bounds[0][1]], 1.0 / len(x))
            finally:  # also after an exception here: an answer must not wait for the next call
                self._workers.finish(bounds)
        mine, images = slice(0, bounds[0][1]), len(x)
        reconstruction, latent = self._workers.reconstruction[:images].copy(), self._workers.latent[:, :images].copy()
        reconstruction[mine] = first[0]
        if first[1] is not None:
            latent[:, mine] = first[1]
        return (reconstruction, latent), len(bounds) - 1

    def _checked(self, x: Array, noise: Array) -> tuple[Array, Array]:
        """Return x as (B, C·H·W) and noise (T, B, Z) on the device in the model's dtype."""
        config = self.config
        if x.ndim != 4 or tuple(x.shape[1:]) != config.image_shape or len(x) == 0:
            raise UserError(f"images must be (B, {', '.join(map(str, config.image_shape))}), not {tuple(x.shape)}")
        expected = (config.glimpses, len(x), config.latent_size)
        if tuple(noise.shape) != expected:
            raise UserError(f"noise must be (glimpses, images, latent_size) = {expected}, not {tuple(noise.shape)}")
        if isinstance(x, np.ndarray) and not (x.min() >= 0 and x.max() <= 1):
            raise UserError(f"images must have values from 0 to 1, not {x.min()} to {x.max()}")
        x = to_device(x, self.xp, self.dtype).reshape(len(x), -1)
        return x, to_device(noise, self.xp, self.dtype)


def _mean_loss(reconstruction: np.ndarray, latent: np.ndarray) -> Loss:
    """Average the losses of images, (B,) and (T, B)."""
    return Loss(float(reconstruction.mean(dtype=np.float64)), latent.mean(axis=1, dtype=np.float64))
