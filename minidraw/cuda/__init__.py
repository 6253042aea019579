"""The GPU behind `--backend cupy`: fused kernels, products into fixed arrays, and a training step as one CUDA graph.

Nothing here imports CuPy before it is asked for. See docs/gpu.md.
"""

from .device import Device

__all__ = ["Device"]
