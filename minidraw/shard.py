"""One core's part of a minibatch: a trace and the memory that it lies in."""

from .backend import Arena, Array
from .config import DRAWConfig
from .latent import log_ratio
from .recurrence import Trace, backward, forward, generate


class Shard:
    """Runs the recurrence on some images at a time and keeps the trace's memory between calls.

    x is (B, C·H·W) in [0, 1], noise (T, B, Z) standard normal, both arrays of `xp`; B may change from call to call.
    """

    def __init__(self, config: DRAWConfig, xp, dtype):
        self.config, self.xp = config, xp
        self.arena = Arena(xp, dtype)
        self.images, self.trace = 0, None

    def loss(self, params: dict, x: Array, noise: Array) -> tuple[Array, Array]:
        """Return the reconstruction loss (B,) and the KL of every glimpse (T, B), in nats."""
        return forward(self._trace(len(x)), params, x, noise, self.config, self.xp)

    def loss_and_grads(self, params: dict, grads: dict, x: Array, noise: Array, weight: float) -> tuple[Array, Array]:
        """The same, and fill `grads` with the gradient of `weight` times the sum of the losses."""
        losses = self.loss(params, x, noise)
        backward(self.trace, params, grads, noise, self.config, weight, self.xp)
        return losses

    def log_weights(self, params: dict, x: Array, noise: Array) -> Array:
        """Return log p(x, z) - log q(z | x), (B,), in nats, for the z that the noise gives."""
        reconstruction, _ = self.loss(params, x, noise)
        z = self.trace.decoder.inputs[: self.config.glimpses, :, : self.config.latent_size]
        return log_ratio(self.trace.latent, z, noise, self.xp) - reconstruction

    def draw(self, params: dict, x: Array | None, noise: Array) -> Trace:
        """Draw x again, or from the prior where x is None; the drawings are in mean[1:] of the trace returned."""
        if x is None:
            generate(self._trace(noise.shape[1]), params, noise, self.config, self.xp)
        else:
            self.loss(params, x, noise)
        return self.trace

    def _trace(self, images: int) -> Trace:
        if images != self.images:
            self.images, self.trace = 0, None  # let go of the old block before a larger one is taken
            self.trace = self.arena.build(lambda alloc: Trace(alloc, self.config, images))
            self.images = images
        return self.trace
