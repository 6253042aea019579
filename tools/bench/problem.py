"""What all contestants compute: the loss and gradients of the same parameters, images and noise, in float32."""

import dataclasses

import numpy as np

from minidraw import DRAW, DRAWConfig
from minidraw.model import reference
from minidraw.model.config import parameter_shapes, start_values
from minidraw.parallel.memory import parameter_views


@dataclasses.dataclass(frozen=True)
class Problem:
    """A config with parameters by name, images x (B, C, H, W) in [0, 1] and noise (T, B, Z)."""

    config: DRAWConfig
    params: dict[str, np.ndarray]
    x: np.ndarray
    noise: np.ndarray

    @property
    def batch(self) -> int:
        """B, the number of images."""
        return len(self.x)


def make(config: DRAWConfig, batch: int, rough: bool = False) -> Problem:
    """Return a problem that depends on nothing but its arguments.

    The parameters are those that training starts from; `rough`: random ones, which leave no gradient near zero.
    """
    rng = np.random.default_rng(0)
    flat = start_values(config, seed=0)
    if rough:
        flat = 0.4 * rng.standard_normal(flat.size)
    params = dict(parameter_views(flat.astype(np.float32), parameter_shapes(config)))  # JAX knows no classes of dicts
    x = (rng.random((batch, *config.image_shape)) < 0.2).astype(np.float32)  # about as dark as MNIST
    noise = rng.standard_normal((config.glimpses, batch, config.latent_size), np.float32)
    return Problem(config, params, x, noise)


def part(problem: Problem, number: int, count: int) -> Problem:
    """Return the problem for part `number` of `count` near-equal parts of the images."""
    edges = [k * problem.batch // count for k in (number, number + 1)]
    mine = slice(*edges)
    return dataclasses.replace(problem, x=problem.x[mine], noise=np.ascontiguousarray(problem.noise[:, mine]))


def solution(problem: Problem) -> tuple[float, dict[str, np.ndarray]]:
    """Return loss and gradients in double precision: the loss from the equations, minidraw's gradients."""
    model = DRAW(problem.config, dtype="float64", threads=1)
    model.flat_params[:] = np.concatenate([array.ravel() for array in problem.params.values()])
    _, grads = model.loss_and_grads(problem.x, problem.noise)
    double = {name: array.astype(np.float64) for name, array in problem.params.items()}
    loss = reference.loss(double, problem.x.astype(np.float64), problem.noise.astype(np.float64), problem.config)
    return float(loss), grads


def mistakes(problem: Problem, loss: float, grads: dict[str, np.ndarray], tolerance: float = 2e-4) -> list[str]:
    """Return in words what of an answer differs from the solution by more than `tolerance`, relative to its norm."""
    right_loss, right = solution(problem)
    found = []
    if not abs(loss - right_loss) <= tolerance * abs(right_loss):
        found.append(f"the loss is {loss:.6f}, not {right_loss:.6f}")
    for name, gradient in right.items():
        given = np.asarray(grads.get(name, np.nan), np.float64)
        if given.shape != gradient.shape:
            found.append(f"{name} has shape {given.shape}, not {gradient.shape}")
            continue
        error = np.linalg.norm(given - gradient) / np.linalg.norm(gradient)
        if not error <= tolerance:
            found.append(f"the gradient of {name} is wrong by {error:.1e} of its norm")
    return found


def multiply_adds(problem: Problem) -> float:
    """Return the multiply-adds of the matrix products with weights: forward, and twice as many backward."""
    config = problem.config
    forward = sum(shape[0] * shape[1] for name, shape in parameter_shapes(config).items() if name.endswith(".W"))
    total = 3.0 * config.glimpses * problem.batch * forward
    if config.read_size is None:  # x meets its rows of encoder.W once, and needs no gradient
        rows = problem.x[0].size
        total -= (3 * config.glimpses - 2) * problem.batch * rows * 4.0 * config.enc_size
    return total
