"""What is installed, whether the kernels compile, and what the tests say that need no GPU."""

import platform
import re
import shutil
import subprocess
import sys
from importlib import metadata

from minidraw import UserError
from minidraw.backend import array_module
from minidraw.cuda.kernels import OPTIONS, REAL, SOURCE

from .. import ROOT
from .report import Outcome

PACKAGES = ("minidraw", "numpy", "cupy-cuda12x", "cupy-cuda13x", "torch", "jax", "jaxlib", "nvidia-cublas")
ARCHITECTURES = ("sm_75", "sm_90")
TESTS = [f"tests/cuda/test_cuda_{part}.py" for part in ("kernels", "blas", "model", "step", "compile")]


def versions(options, outcome: Outcome) -> None:
    """List versions; on a GPU also those of driver and libraries."""
    rows = [["what", "version"], ["Python", platform.python_version()], ["system", platform.platform()]]
    for package in PACKAGES:
        try:
            rows.append([package, metadata.version(package)])
        except metadata.PackageNotFoundError:
            continue
    try:
        xp = array_module("cupy")
    except UserError as problem:
        outcome.notes.append(str(problem))
    else:
        runtime = xp.cuda.runtime
        properties = runtime.getDeviceProperties(xp.cuda.get_device_id())
        rows.append(["GPU", properties["name"].decode()])
        rows.append(["compute capability", f"{properties['major']}.{properties['minor']}"])
        rows.append(["memory, GiB", round(properties["totalGlobalMem"] / 2**30, 1)])
        rows.append(["multiprocessors", properties["multiProcessorCount"]])
        rows.append(["CUDA of the driver", runtime.driverGetVersion()])
        rows.append(["CUDA runtime", runtime.runtimeGetVersion()])
        xp.matmul(xp.zeros((2, 2), "f4"), xp.zeros((2, 2), "f4"))
        rows.append(["cuBLAS", xp.blas.version()])
        rows.append(["driver", nvidia_smi()])
    outcome.tables.append(rows)


def nvidia_smi() -> str | None:
    """Return the driver's version as its own tool tells it."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    command = [tool, "--query-gpu=driver_version", "--format=csv,noheader"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip() or None


def compile_kernels(options, outcome: Outcome) -> None:
    """Compile kernels.cu; list registers."""
    try:
        from cupy.cuda import nvrtc  # finds the library and loads it

        outcome.notes.append(f"NVRTC {'.'.join(map(str, nvrtc.getVersion()))}")
    except (ImportError, OSError, RuntimeError) as problem:
        outcome.skipped = f"no CuPy with NVRTC ({' '.join(str(problem).split())[:100]})"
        return
    text, used = SOURCE.read_text(encoding="utf-8"), {}
    for arch in ARCHITECTURES:
        for real in REAL.values():
            program = nvrtc.createProgram(text, SOURCE.name, (), ())
            flags = f"-DREAL={real}", "-ftz=true", "--device-as-default-execution-space", f"-arch={arch}"
            try:
                nvrtc.compileProgram(program, (*OPTIONS, *flags, "--ptxas-options=-v"))
            except Exception:
                outcome.mistakes.append(f"{arch} {real}: {' '.join(nvrtc.getProgramLog(program).split())[:600]}")
                continue
            log = nvrtc.getProgramLog(program)
            for name, count in re.findall(r"entry function '(\w+)'.*?Used (\d+) registers", log, re.DOTALL):
                used.setdefault(name, {})[f"{arch} {real}"] = int(count)
            outcome.expect(not re.search(r"[1-9]\d* bytes spill", log), f"{arch} {real}: registers are spilt")
    columns = [f"{arch} {real}" for arch in ARCHITECTURES for real in REAL.values()]
    rows = [[name, *(counts.get(column) for column in columns)] for name, counts in sorted(used.items())]
    outcome.tables.append([["registers", *columns], *rows])


def tests(options, outcome: Outcome) -> None:
    """Run the tests of the kernels; where g++ or pytest are missing they say so."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    outcome.notes += [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR", "SKIPPED"))][:20]
    outcome.notes += (done.stdout.strip() or done.stderr.strip()).splitlines()[-1:]
    outcome.expect(done.returncode == 0, f"pytest ended with status {done.returncode}")
