"""The list of the parts, and whether there is a GPU for them."""

from minidraw import UserError
from minidraw.backend import array_module

from . import machine, numbers, speed, training
from .report import Part

PARTS = {
    "versions": Part("what is installed", machine.versions, needs_gpu=False),
    "compile": Part("the kernels by NVRTC, for two generations of GPUs", machine.compile_kernels, needs_gpu=False),
    "tests": Part("the tests of kernels and steps, on the CPU", machine.tests, needs_gpu=False),
    "products": Part("errors of products against float64, relative to the norm", numbers.products),
    "parity": Part("losses and gradients against NumPy in float64, errors relative to norms", numbers.parity),
    "noise": Part("the noise of a step", numbers.noise),
    "replay": Part("steps played back, against steps launched one by one and against NumPy", training.replay),
    "memory": Part("memory of a training run", training.memory),
    "speed": Part("milliseconds, median of rounds", speed.table),
    "train": Part("a training run and its bound", training.train),
}


def device() -> str | None:
    """Return the name of the GPU, or None where there is none that works."""
    try:
        xp = array_module("cupy")
    except UserError:
        return None
    return xp.cuda.runtime.getDeviceProperties(xp.cuda.get_device_id())["name"].decode()
