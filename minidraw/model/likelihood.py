"""The reconstruction loss: -log D(x | c_T) with D Bernoulli, its mean sigmoid(c_T) (eq. 9), from logits.

    -log D = Σ_pixels softplus(c) - x c,    softplus(c) = max(c, 0) + log(1 + exp(-|c|))

Never log(sigmoid(c) + epsilon): that is wrong by nats where the model is sure of a pixel. Grey values of x in [0, 1]
are taken as probabilities, as the paper does for SVHN and CIFAR-10.
"""

from ..backend import Array, fused


@fused
def sigmoid(x: Array, out: Array, xp) -> Array:
    """Write 1 / (1 + exp(-x)) to `out`, by tanh, which cannot overflow; exact to one rounding of 1."""
    xp.multiply(x, 0.5, out=out)
    xp.tanh(out, out=out)
    out *= 0.5
    out += 0.5
    return out


@fused
def reconstruction(x: Array, canvas: Array, xp) -> Array:
    """Return -log D(x | canvas) of every image, (B,), in nats; x and canvas are (B, C·H·W), canvas in logits."""
    nats = xp.abs(canvas)
    xp.negative(nats, out=nats)
    xp.exp(nats, out=nats)
    xp.log1p(nats, out=nats)
    nats += xp.maximum(canvas, 0.0)
    nats -= x * canvas
    return nats.sum(axis=1)


@fused
def reconstruction_backward(x: Array, mean: Array, scale: float, dcanvas: Array, xp) -> None:
    """Fill dcanvas (B, C·H·W) from mean = sigmoid(canvas): the gradient of `scale` times the loss above."""
    xp.subtract(mean, x, out=dcanvas)
    dcanvas *= scale
