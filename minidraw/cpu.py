"""Help OpenBLAS to know the processor; must run before NumPy is imported.

The OpenBLAS in NumPy's wheels takes AMD processors with AVX-512 (a Zen 5 was seen) for Haswell, and so leaves
a third of their speed unused: 114 of 177 GFLOP/s a core in products of 128 rows. Naming a kernel set mends that.
"""

import os


def name_kernels() -> None:
    """Choose OpenBLAS's AVX-512 kernels on AMD processors that have the instructions, unless the user chose already."""
    try:
        with open("/proc/cpuinfo") as file:
            first = file.read(4096)
    except OSError:  # not Linux
        return
    if "AuthenticAMD" in first and all(f"avx512{part}" in first for part in ("f", "dq", "cd", "bw", "vl")):
        os.environ.setdefault("OPENBLAS_CORETYPE", "SkylakeX")
