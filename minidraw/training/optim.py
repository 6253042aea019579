"""Adam (arXiv:1412.6980), clipping by the global gradient norm, and the running average of parameters.

Everything works on flat vectors that hold all parameters, in blocks that stay in a core's cache.
"""

import contextlib
import math
from collections.abc import Iterator

import numpy as np

from ..backend import Array

LARGEST = 1e18  # of a gradient, clipped, that Adam takes: its square must be finite in single precision
BLOCK = 1 << 15  # elements; five vectors of a block fit a core's second-level cache


def global_norm(grads: Array, xp) -> float:
    """Return the Euclidean norm of all gradients together; not finite if, and only if, one of them is not."""
    squares = float(xp.dot(grads, grads))
    if math.isfinite(squares):
        return math.sqrt(squares)
    largest = float(max(grads.max(), -grads.min()))
    if not math.isfinite(largest):
        return largest
    # Once more, in units of the largest: squares overflow from 1.8e19 on, in single precision.
    blocks = (grads[start : start + BLOCK] / largest for start in range(0, len(grads), BLOCK))
    return largest * math.sqrt(sum(float(xp.dot(block, block)) for block in blocks))


class Adam:
    """Adam with an exponential moving average of the parameters beside it.

    `average` is the vector to evaluate and draw with. Early on its horizon is a tenth of the steps taken, later
    1 / (1 - averaging) steps.
    """

    def __init__(self, params: Array, beta1: float, beta2: float, averaging: float, xp, epsilon: float = 1e-8):
        self.params, self.xp, self.epsilon = params, xp, epsilon
        self.beta1, self.beta2, self.averaging = beta1, beta2, averaging
        self.mean = xp.zeros_like(params)  # of the gradient
        self.square = xp.zeros_like(params)  # of the squared gradient
        self.average = params.copy()  # of the parameters
        self.block = BLOCK if isinstance(params, np.ndarray) else len(params)  # on a GPU few launches matter instead
        self.scratch = xp.empty_like(params[: self.block])
        self.updates = 0

    def update(self, grads: Array, learning_rate: float, scale: float = 1.0) -> None:
        """Take one step down `scale` times `grads`, which is used up."""
        self.updates += 1
        xp, n = self.xp, self.updates
        rate = learning_rate * math.sqrt(1 - self.beta2**n) / (1 - self.beta1**n)
        epsilon = self.epsilon * math.sqrt(1 - self.beta2**n)
        kept = min(self.averaging, n / (n + 10))
        for start in range(0, len(grads), self.block):
            block = slice(start, start + self.block)
            g, p, m, v, a = (vector[block] for vector in (grads, self.params, self.mean, self.square, self.average))
            scratch = self.scratch[: len(g)]
            if scale != 1.0:
                g *= scale
            m *= self.beta1  # m = beta1 m + (1 - beta1) g
            xp.multiply(g, 1 - self.beta1, out=scratch)
            m += scratch
            v *= self.beta2  # v = beta2 v + (1 - beta2) g²
            g *= g
            g *= 1 - self.beta2
            v += g
            xp.sqrt(v, out=scratch)
            scratch += epsilon
            xp.divide(m, scratch, out=scratch)
            scratch *= rate
            p -= scratch
            xp.subtract(p, a, out=scratch)  # a += (1 - kept) (p - a)
            scratch *= 1 - kept
            a += scratch

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Within it the parameters are the averaged ones."""
        kept = self.params.copy()
        self.params[:] = self.average
        try:
            yield
        finally:
            self.params[:] = kept
