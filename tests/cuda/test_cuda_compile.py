"""What CuPy and NVIDIA's compiler tell without a GPU: kernels compile, spill nothing and stay in float."""

import importlib.util
import re

import pytest
from support import strictcuda

from minidraw.cuda.kernels import OPTIONS, REAL, SOURCE

TEXT = SOURCE.read_text(encoding="utf-8")
NAMES = re.findall(r'extern "C" __global__ void (\w+)\(', TEXT)
IN_DOUBLE = {"decide"}  # a few numbers a step
STATE = {"current", "capturing", "refuses", "ask", "in_use"}  # the stand-in's own


@pytest.fixture(scope="module")
def nvrtc():
    if importlib.util.find_spec("cupy") is None:
        pytest.skip("no CuPy: pip install 'cupy-cuda13x[ctk]'")
    from cupy.cuda import nvrtc

    try:
        nvrtc.getVersion()
    except (ImportError, OSError, RuntimeError) as problem:
        pytest.skip(f"CuPy is here, but not NVRTC: {str(problem).splitlines()[0]}")
    return nvrtc


def compiled(nvrtc, real: str, arch: str) -> tuple[str, str]:
    """Return the compiler's log and, for a virtual architecture, the PTX; -ftz is an option that CuPy adds."""
    program = nvrtc.createProgram(TEXT, "kernels.cu", (), ())
    options = (*OPTIONS, f"-DREAL={real}", "-ftz=true", "--device-as-default-execution-space", f"-arch={arch}")
    try:
        nvrtc.compileProgram(program, (*options, "--ptxas-options=-v") if arch.startswith("sm") else options)
    except Exception:
        pytest.fail(nvrtc.getProgramLog(program))
    ptx = nvrtc.getPTX(program) if arch.startswith("compute") else ""
    return nvrtc.getProgramLog(program), ptx.decode() if isinstance(ptx, bytes) else ptx


@pytest.mark.parametrize("real", REAL.values())
@pytest.mark.parametrize("arch", ["sm_75", "sm_90"])
def test_they_compile_and_spill_nothing(nvrtc, real, arch):
    log, _ = compiled(nvrtc, real, arch)
    entries = re.findall(r"Compiling entry function '(\w+)'", log)
    assert sorted(entries) == sorted(NAMES)
    spills = set(re.findall(r"\d+ bytes spill stores, \d+ bytes spill loads", log))
    assert spills == {"0 bytes spill stores, 0 bytes spill loads"}
    registers = [int(number) for number in re.findall(r"Used (\d+) registers", log)]
    assert len(registers) == len(NAMES) and max(registers) * 256 <= 1 << 16, "a block of 256 must fit"


def test_float_kernels_compute_in_float_and_what_is_written_is_read_again(nvrtc):
    _, ptx = compiled(nvrtc, "float", "compute_75")
    bodies = dict(re.findall(r"\.entry (\w+)\((.*?)\n\}", ptx, re.DOTALL))
    assert sorted(bodies) == sorted(NAMES)
    for name, body in bodies.items():
        assert (".f64" in body) == (name in IN_DOUBLE), name
        assert "ld.global.nc" not in body, f"{name} takes something for constant"


def test_cupy_has_what_the_stand_in_has():
    cupy = pytest.importorskip("cupy", reason="no CuPy: pip install 'cupy-cuda13x[ctk]'")
    for name in vars(strictcuda.Module.cuda).keys() - {"runtime"}:
        ours, theirs = getattr(strictcuda.Module.cuda, name), getattr(cupy.cuda, name)
        if isinstance(ours, type) and ours.__module__ == strictcuda.__name__:
            methods = {method for method in vars(ours) if not method.startswith("_")}
            assert methods - STATE <= set(dir(theirs)), name
    assert set(vars(strictcuda.Module.cuda.runtime)) <= set(dir(cupy.cuda.runtime))
    assert {"launch"} <= set(dir(cupy.cuda.Graph)) and {"get_function"} <= set(dir(cupy.RawModule))
    assert {"set", "get", "data"} <= set(dir(cupy.ndarray)) and "compute_capability" in dir(cupy.cuda.Device)
