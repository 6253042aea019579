"""minidraw itself."""

import numpy as np
import threadpoolctl

from minidraw import DRAW

from .problem import Problem

VARIANTS = ("",)


class Contestant:
    """minidraw with `threads` shards, each on one core."""

    def __init__(self, problem: Problem, variant: str, threads: int):
        self.problem, self.model = problem, DRAW(problem.config, threads=threads)
        for name, array in problem.params.items():
            self.model.params[name][:] = array
        self.versions = f"numpy {np.__version__}, {blas()}"

    def run(self) -> None:
        """Compute the loss and its gradients."""
        self.loss, self.grads = self.model.loss_and_grads(self.problem.x, self.problem.noise)

    def answer(self) -> tuple[float, dict[str, np.ndarray]]:
        """Return the last run's loss and gradients."""
        return self.loss.total, self.grads


def blas() -> str:
    """Return NumPy's BLAS with its kernels, in words."""
    libraries = threadpoolctl.ThreadpoolController().select(user_api="blas").info()
    return ", ".join(f"{one['internal_api']} {one.get('architecture') or ''}".rstrip() for one in libraries)
