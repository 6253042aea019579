"""What the stand-in for CuPy lacks without a GPU: kernels, run by the CPU, cuBLAS, streams, and graphs.

Kernels are compiled by g++ with cuda_shim.h and take their arguments as the driver takes them, by address; a number of
another type than the kernel's is refused here, where the driver would read garbage. Work in a stream is not done when
it is asked for but when somebody waits for it, or when an operation of NumPy's own needs it: who writes too early to
memory that the device has yet to read is found out. Between `begin_capture` and `end_capture` nothing is computed;
what is asked for is written down, with the numbers and addresses of that moment, and done again at every launch.
"""

import contextlib
import ctypes
import functools
import hashlib
import re
import shutil
import subprocess
import tempfile
import types
from pathlib import Path
from typing import Any

import numpy as np
from support import strictxp
from support.later import Later
from support.strictxp import Array

COMPILER = shutil.which("g++")
ORDERS = {"forward": 0, "backward": 1, "scrambled": 2}
TYPES = {"int": np.int32, "long long": np.int64, "unsigned long long": np.uint64, "float": np.float32}
TYPES |= {"double": np.float64}


class OutOfOrder(RuntimeError):
    """A call that CUDA refuses at this point."""


# ------------------------------------------------------------------------------------------------- streams and graphs

_waiting: list = []  # what the device has yet to do, in order; its streams wait for each other, as CUDA's usual ones do


def settle() -> None:
    """Do all that waits."""
    with np.errstate(all="ignore"):  # a device does not warn
        while _waiting:
            _waiting.pop(0)()


class Graph:
    """What was asked for between begin_capture and end_capture."""

    def __init__(self, work: list):
        self.work, self.launches = work, 0

    def launch(self, stream: "Stream") -> None:
        self.launches += 1
        stream.ask(lambda: [do() for do in self.work])


class Stream:
    """Work to be done, in order."""

    current: "Stream"
    capturing: "Stream | None" = None
    refuses: "Exception | None" = None  # what end_capture raises, if anything

    def __init__(self, null: bool = False, non_blocking: bool = False):
        self.ptr = 0 if null else id(self)
        self.outer: list = []

    def __enter__(self) -> "Stream":
        self.outer.append(Stream.current)
        Stream.current = self
        return self

    def __exit__(self, *_) -> None:
        Stream.current = self.outer.pop()

    def ask(self, do: Any) -> None:
        if Stream.capturing not in (None, self):
            raise OutOfOrder("work for another stream than the one that is captured")
        (_waiting if Later.recorded is None else Later.recorded).append(do)

    def synchronize(self) -> None:
        if Later.recorded is not None:
            raise OutOfOrder("waiting while a graph is captured")
        settle()

    def begin_capture(self) -> None:
        if self.ptr == 0 or Later.recorded is not None or Stream.current is not self:
            raise OutOfOrder("a capture of the null stream, of one that is not current, or within another")
        Stream.capturing, Later.recorded = self, []

    def end_capture(self) -> Graph:
        work, Stream.capturing, Later.recorded = Later.recorded, None, None
        if Stream.refuses:
            raise Stream.refuses
        return Graph(work)


Stream.current = NULL = Stream(null=True)


class Event:
    """A place in a stream."""

    def __init__(self, block: bool = False, disable_timing: bool = False):
        self.passed = True

    def record(self, stream: Stream) -> None:
        self.passed = False
        stream.ask(functools.partial(setattr, self, "passed", True))

    def synchronize(self) -> None:
        while not self.passed:
            _waiting.pop(0)()


class MemoryPool:
    """A pool of memory; what a graph allocates must come from one that nobody else uses."""

    in_use = 0

    def malloc(self, size: int) -> None:
        raise NotImplementedError


@contextlib.contextmanager
def using_allocator(malloc: Any):
    """Take memory from a pool."""
    assert isinstance(malloc.__self__, MemoryPool)
    MemoryPool.in_use += 1
    try:
        yield
    finally:
        MemoryPool.in_use -= 1


def fresh() -> None:
    """Allow an allocation while a graph is captured, or refuse it."""
    if not MemoryPool.in_use:
        raise OutOfOrder("memory for a graph that others may be given too")


# ------------------------------------------------------------------------------------------------------------ kernels


@functools.cache
def library(source: str, real: str) -> tuple[ctypes.CDLL, dict]:
    """Compile kernels; return the library and the types of each kernel's arguments, by name."""
    signatures, launchers = {}, []
    for name, text in re.findall(r'extern "C" __global__ void (\w+)\(([^)]*)\)', source):
        kinds = [re.sub(r"\bconst\b|\w+$", "", one.strip()).strip() for one in text.split(",")]
        signatures[name] = [re.sub(r"\breal\b", real, kind) for kind in kinds]
        values = ", ".join(f"*({kind}*)given[{k}]" for k, kind in enumerate(signatures[name]))
        launchers.append(
            f'extern "C" void launch_{name}(unsigned blocks, unsigned threads, size_t shared, void** given)\n'
            f"{{ shim::launch(blocks, threads, shared, [=] {{ {name}({values}); }}); }}"
        )
    launchers.append('extern "C" void set_order(int order) { shim::order = order; }')
    shim = Path(__file__).with_name("cuda_shim.h")
    text = "\n".join([f'#include "{shim}"', source, *launchers])
    key = hashlib.sha256((real + text + shim.read_text()).encode()).hexdigest()[:16]
    folder = Path(tempfile.mkdtemp(prefix="minidraw-kernels-"))
    path = folder / f"{key}.cpp"
    path.write_text(text)
    flags = ["-std=c++17", "-O2", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"]
    command = [COMPILER, *flags, f"-DREAL={real}", str(path), "-o", str(path.with_suffix(".so"))]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    compiled = ctypes.CDLL(str(path.with_suffix(".so")))
    shutil.rmtree(folder)
    return compiled, signatures


class Kernel:
    """A kernel, as cupy.RawKernel; `order` is that of a block's threads."""

    order = "forward"

    def __init__(self, name: str, compiled: ctypes.CDLL, kinds: list[str]):
        self.name, self.kinds, self.set_order = name, kinds, compiled.set_order
        self.launch = getattr(compiled, f"launch_{name}")

    def value(self, kind: str, argument: Any) -> Any:
        """Return what lies in memory for an argument."""
        if kind.endswith("*"):
            if not isinstance(argument, Array):
                raise TypeError(f"{self.name} takes an array for {kind}, not {argument!r}")
            if argument.dtype != TYPES[kind[:-1].strip()]:
                raise TypeError(f"{self.name} takes {kind}, not an array of {argument.dtype}")
            return ctypes.c_void_p(argument._host.ctypes.data)
        if type(argument) is not TYPES[kind]:
            raise TypeError(f"{self.name} takes {kind}, not {type(argument)}: the driver would read garbage")
        return np.ctypeslib.as_ctypes_type(argument.dtype)(argument.item())

    def __call__(self, grid: tuple, block: tuple, arguments: tuple, shared_mem: int = 0) -> None:
        if len(arguments) != len(self.kinds):
            raise TypeError(f"{self.name} takes {len(self.kinds)} arguments, not {len(arguments)}")
        if len(grid) != 1 or len(block) != 1 or not 0 < block[0] <= 1024 or not 0 < grid[0] < 1 << 31:
            raise ValueError(f"grid {grid}, block {block}")
        if shared_mem > 48 << 10:
            raise ValueError(f"{shared_mem} bytes of shared memory")
        values = [self.value(*pair) for pair in zip(self.kinds, arguments, strict=True)]
        given = (ctypes.c_void_p * len(values))(*[ctypes.addressof(value) for value in values])

        def do(keep=(values, arguments)):
            self.set_order(ORDERS[Kernel.order])
            self.launch(ctypes.c_uint(grid[0]), ctypes.c_uint(block[0]), ctypes.c_size_t(shared_mem), given)

        Stream.current.ask(do)


class RawModule:
    """Kernels, as cupy.RawModule."""

    def __init__(self, code: str, options: tuple[str, ...]):
        (self.real,) = [option.split("=")[1] for option in options if option.startswith("-DREAL=")]
        self.code = code

    def get_function(self, name: str) -> Kernel:
        compiled, signatures = library(self.code, self.real)
        return Kernel(name, compiled, signatures[name])


# ------------------------------------------------------------------------------------------------------------- cuBLAS


REALS = {0: (np.float32, ctypes.c_float), 1: (np.float64, ctypes.c_double)}  # by cudaDataType_t
COMPUTES = {0: (68, 77), 1: (70,)}  # cublasComputeType_t that suit them


class HostBlas:
    """cuBLAS as ctypes gives it, by NumPy: matrices lie in columns; numbers are read at the call."""

    def __init__(self):
        self.calls: list[tuple] = []
        self.handles: dict[int, dict] = {}

    def cublasCreate_v2(self, handle: int) -> int:
        number = len(self.handles) + 1
        ctypes.c_void_p.from_address(handle).value = number
        self.handles[number] = {}
        return 0

    def cublasSetStream_v2(self, handle, stream: int) -> int:
        self.handles[handle.value] = {"stream": stream}
        return 0

    def cublasSetWorkspace_v2(self, handle, memory: int, size: int) -> int:
        self.handles[handle.value]["workspace"] = memory, size
        return 0

    def cublasSetPointerMode_v2(self, handle, mode: int) -> int:
        self.handles[handle.value]["mode"] = mode
        return 0

    def cublasGemmEx(self, *a) -> int:
        handle, flip_a, flip_b, m, n, k, alpha, A, kind_a, lda, B, kind_b, ldb, beta, C, kind_c, ldc, compute, how = a
        stacks = (A, kind_a, lda, 0), (B, kind_b, ldb, 0), (C, kind_c, ldc, 0)
        return self._multiply(handle, flip_a, flip_b, m, n, k, alpha, *stacks[:2], beta, stacks[2], 1, compute, how)

    def cublasGemmStridedBatchedEx(self, handle, flip_a, flip_b, m, n, k, alpha, *a) -> int:
        A, B, beta, C, (count, compute, how) = a[:4], a[4:8], a[8], a[9:13], a[13:]
        return self._multiply(handle, flip_a, flip_b, m, n, k, alpha, A, B, beta, C, count, compute, how)

    def _multiply(self, handle, flip_a, flip_b, m, n, k, alpha, A, B, beta, C, count, compute, how) -> int:
        state = self.handles[handle.value]
        right = state["stream"] == Stream.current.ptr and state["mode"] == 0 and state["workspace"][1] > 0
        if not right or A[1] != B[1] or A[1] != C[1] or compute not in COMPUTES[A[1]] or how != -1:
            return 7  # CUBLAS_STATUS_INVALID_VALUE
        alpha, beta = (REALS[A[1]][1].from_address(number).value for number in (alpha, beta))
        if alpha != 1 or beta != 0:
            return 7
        self.calls.append((m, n, k, count, compute))
        a = self._matrices(A, *((k, m) if flip_a else (m, k)), count)
        b = self._matrices(B, *((n, k) if flip_b else (k, n)), count)
        c = self._matrices(C, m, n, count)
        if a is None or b is None or c is None:
            return 7
        a, b = a.swapaxes(1, 2) if flip_a else a, b.swapaxes(1, 2) if flip_b else b

        def do() -> None:
            c[...] = np.matmul(a, b)

        if Later.recorded is None:
            _waiting.append(do)
            settle()  # for memory that nobody holds on to after this call
        else:
            Stream.current.ask(do)
        return 0

    def _matrices(self, stack: tuple, rows: int, columns: int, count: int) -> "np.ndarray | None":
        """Return the matrices (count, rows, columns) at an address."""
        address, kind, ld, stride = stack
        real, number = REALS[kind]
        if ld < max(rows, 1):
            return None
        length = stride * (count - 1) + ld * (columns - 1) + rows
        memory = np.ctypeslib.as_array((number * length).from_address(address))
        size = np.dtype(real).itemsize
        strides = (stride * size, size, ld * size)
        return np.lib.stride_tricks.as_strided(memory, (count, rows, columns), strides)


# -------------------------------------------------------------------------------------------------------- the stand-in


class Module(strictxp.Module):
    """CuPy with a device that runs kernels."""

    RawModule = RawModule
    int64, uint64 = np.int64, np.uint64
    cuda = types.SimpleNamespace(
        runtime=types.SimpleNamespace(getDeviceCount=lambda: 1, runtimeGetVersion=lambda: 13000),
        Device=lambda: types.SimpleNamespace(compute_capability="90"),
        **{"Stream": Stream, "Event": Event, "MemoryPool": MemoryPool, "using_allocator": using_allocator},
        get_device_id=lambda: 0,
        get_current_stream=lambda: Stream.current,
        alloc_pinned_memory=bytearray,
    )


xp = Module()
Later.settle, Later.fresh = settle, fresh
