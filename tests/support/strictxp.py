"""A stand-in for CuPy where there is no GPU: NumPy computes, CuPy's rules refuse.

`xp` has the names of CuPy that NumPy has too, and its arrays are no ndarrays. What CuPy refuses is refused here, and so
is what it allows at a price: NumPy's functions on its arrays, NumPy arrays and lists as indices (an upload each time),
and a reshape that must copy (what is written to the copy is lost). `forbid` makes errors of double precision and of
what makes the host wait; `watch` lists where CuPy would copy an operand or a result unasked. What `empty` gives is full
of NaN. There are no random numbers: the package draws them with NumPy.

Beside this file strictcuda.py adds kernels, streams and graphs; what it does later stands in `Later`.

What CuPy does was read in its sources (v14: cupy/_core/_kernel.pyx, _routines_indexing.pyx, _routines_linalg.pyx).
"""

import contextlib
import functools
import numbers
import operator
import sys
import types
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from support.later import Later, compute_or_record

NAMES = frozenset(Path(__file__).with_name("cupy_names.txt").read_text().splitlines()[1:])
FACTS = frozenset("shape dtype ndim size nbytes itemsize strides flags".split())
WAITING = frozenset("argwhere bincount compress extract flatnonzero nonzero unique".split())  # for the result's size
BOOLEAN = frozenset("allclose array_equal array_equiv".split())  # Python's bool in NumPy, an array in CuPy
REDUCTIONS = "all any amax amin argmax argmin max mean min prod std sum var".split()
KEYWORDS = {name: {"axis", "dtype", "out", "keepdims"} for name in REDUCTIONS} | {
    "clip": {"a_min", "a_max", "out"},
    "dot": {"out"},
    "einsum": {"dtype", "optimize"},
    "matmul": {"out"},
}


class HostWaits(RuntimeError):
    """Host and device meet where that is forbidden."""


class DoublePrecision(TypeError):
    """A float64 number or array takes part where that is forbidden."""


class Site(NamedTuple):
    """What happened, and where: in the innermost function outside this file."""

    what: str
    file: str
    function: str
    line: int


_forbidden: frozenset[str] = frozenset()
_watchers: list[types.SimpleNamespace] = []


@contextlib.contextmanager
def forbid(sync: bool = True, float64: bool = True):
    """Within it meetings of host and device raise HostWaits, and double precision raises DoublePrecision."""
    global _forbidden
    before = _forbidden
    _forbidden = before | {name for name, on in (("sync", sync), ("float64", float64)) if on}
    try:
        yield
    finally:
        _forbidden = before


@contextlib.contextmanager
def watch():
    """Give two lists of Sites: `copies` that CuPy would make unasked, `crossings` where host and device meet."""
    seen = types.SimpleNamespace(copies=[], crossings=[])
    _watchers.append(seen)
    try:
        yield seen
    finally:
        _watchers.remove(seen)


def _note(kind: str, what: str) -> None:
    frame = sys._getframe()
    while frame.f_code.co_filename == __file__:
        frame = frame.f_back
    site = Site(what, Path(frame.f_code.co_filename).name, frame.f_code.co_name, frame.f_lineno)
    for seen in _watchers:
        getattr(seen, kind).append(site)


def _crossing(what: str) -> None:
    _note("crossings", what)
    if Later.recorded is not None:
        raise HostWaits(f"{what}: not while a graph is captured")
    Later.settle()
    if "sync" in _forbidden:
        raise HostWaits(f"{what}: host and device must not meet here")


def _host(value: Any) -> Any:
    """Return what NumPy computes with in the place of an argument."""
    if isinstance(value, Array):
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>: bring it to the device first")
    if isinstance(value, np.float64) and "float64" in _forbidden:
        raise DoublePrecision(f"{value!r} is no Python float but one of NumPy, in double precision")
    return type(value)(map(_host, value)) if isinstance(value, tuple | list) else value


def _operand(value: Any) -> Any:
    """The same for operands of arithmetic, which are arrays or numbers."""
    if not isinstance(value, Array | numbers.Number | np.generic | np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    return _host(value)


def _device(result: Any, given: dict[int, "Array"]) -> Any:
    """Return what CuPy returns in the place of a result; `given` are arrays by the id of what is in them."""
    if isinstance(result, np.ndarray | np.generic):
        return given[id(result)] if id(result) in given else Array(np.asarray(result))
    return type(result)(_device(r, given) for r in result) if isinstance(result, tuple | list) else result


def _meet(a: "Array", b: "Array") -> bool:
    """Tell whether the memory of one begins before the other's ends, and ends after it begins."""
    return bool(np.may_share_memory(a._host, b._host))


def _note_copies(name: str, operands: list["Array"], outs: list["Array"]) -> None:
    if name in ("matmul", "dot"):  # cuBLAS takes rows or columns one after the other; of many matrices, only rows
        batched = max(operand.ndim for operand in operands) > 2
        for operand in operands:
            if not operand.flags.c_contiguous and (batched or not operand.flags.f_contiguous):
                _note("copies", "operand of matmul")
        if any(not out.flags.c_contiguous or _meet(operand, out) for operand in operands for out in outs):
            _note("copies", "result of matmul")
    else:  # of a ufunc
        for operand in operands:
            if any(operand is not out and _meet(operand, out) for out in outs):
                _note("copies", "operand of a ufunc")


def _call(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Call a function of NumPy on arrays of the device, by CuPy's rules."""
    name, ufunc = function.__name__, isinstance(function, np.ufunc)
    known = KEYWORDS.get(name, {"out", "dtype", "casting"} if ufunc else kwargs.keys())
    if not kwargs.keys() <= known:
        raise TypeError(f"cupy.{name} takes no {', '.join(kwargs.keys() - known)}")
    if ufunc:
        for operand in args[: function.nin]:
            _operand(operand)
    host_args, host_kwargs = _host(args), {key: _host(value) for key, value in kwargs.items()}
    if name in WAITING or (name == "where" and len(args) == 1):
        _crossing(f"{name}()")
    count = function.nin if ufunc else len(args)
    operands, outs = ([a for a in some if isinstance(a, Array)] for some in (args[:count], args[count:]))
    outs += [kwargs["out"]] if kwargs.get("out") is not None else []
    if name == "dot" and outs and not outs[0].flags.c_contiguous:
        raise ValueError("Output array must be C-contiguous")
    if ufunc or name in ("clip", "dot"):
        _note_copies(name, operands, outs)

    def compute() -> Any:
        result = function(*host_args, **host_kwargs)
        return np.bool_(result) if name in BOOLEAN else result

    return _device(
        compute_or_record(compute, [a._host for a in outs], _hosts(args)), {id(a._host): a for a in [*operands, *outs]}
    )


def _hosts(args: tuple) -> list[np.ndarray]:
    return [a._host for a in args if isinstance(a, Array)]


class Array:
    """An array on the pretended device."""

    __slots__ = ("_host",)
    __hash__ = None
    __array_ufunc__ = None  # keeps NumPy's operators and ufuncs off

    def __init__(self, host: np.ndarray):
        if host.dtype == np.float64 and "float64" in _forbidden:
            raise DoublePrecision(f"an array {host.shape} in double precision")
        self._host = host

    def __array__(self, *args, **kwargs):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __array_function__(self, function, *args):
        raise TypeError(f"numpy.{function.__name__} is not for arrays of the device; use xp.{function.__name__}")

    def __getattr__(self, name: str) -> Any:
        if f"ndarray.{name}" not in NAMES:
            raise AttributeError(f"cupy.ndarray has no attribute {name!r}")
        if name in FACTS:
            return getattr(self._host, name)
        method = getattr(np.ndarray, name, None)
        if not callable(method):
            raise NotImplementedError(f"the stand-in has no ndarray.{name}")
        return functools.partial(_call, method, self)

    @property
    def T(self) -> "Array":
        return Array(self._host.T)

    def reshape(self, *shape: Any, order: str = "C") -> "Array":
        view = self._host.reshape(*shape, order=order)
        if self.size and not np.may_share_memory(view, self._host):
            raise ValueError(f"a reshape from {self.shape}, strides {self.strides}, to {view.shape} must copy")
        return Array(view)

    def ravel(self) -> "Array":
        return self.reshape(-1)

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self):
        return (self[k] for k in range(len(self)))

    def _key(self, key: Any) -> tuple:
        """Return an index for NumPy; it has an ellipsis, so that the result is an array also where that is 0-d."""
        key = key if isinstance(key, tuple) else (key,)
        for k in key:
            if not (k is None or k is Ellipsis or isinstance(k, slice | numbers.Integral | Array)):
                raise TypeError(f"an index must not be a {type(k).__name__}: CuPy would upload it")
            if isinstance(k, Array) and k.dtype == bool:
                _crossing("boolean index")
        return (*map(_host, key), *[...] * all(k is not Ellipsis for k in key))

    def __getitem__(self, key: Any) -> "Array":
        return Array(self._host[self._key(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        key, host = self._key(key), _operand(value)
        if isinstance(value, Array) and not any(isinstance(k, np.ndarray) for k in key):
            place = Array(self._host[key])
            # after `a[i] += b` the value is the place itself, and CuPy sees that
            if place._host.__array_interface__ != host.__array_interface__ and _meet(place, value):
                _note("copies", "value assigned")
        compute_or_record(functools.partial(operator.setitem, self._host, key, host), [self._host], [])

    @property
    def data(self) -> types.SimpleNamespace:
        return types.SimpleNamespace(ptr=self._host.ctypes.data)

    def set(self, host: np.ndarray, stream: Any = None) -> None:
        """Copy from the host; in a stream, later."""
        if self.dtype != host.dtype or self.shape != host.shape or not self.flags.c_contiguous:
            raise TypeError("an array to be set must be contiguous and like the other")
        if stream is None:
            _crossing("upload")
            self._host[...] = host
        else:
            stream.ask(lambda: np.copyto(self._host, host))


def _fetch(name: str, convert: Any) -> Any:
    def method(self, *args):
        _crossing(f"{name}()")
        return convert(self._host, *args)

    return method


for _name, _convert in {
    **{"get": np.ndarray.copy, "item": np.ndarray.item, "tolist": np.ndarray.tolist, "tobytes": np.ndarray.tobytes},
    **{"__float__": float, "__int__": int, "__bool__": bool, "__index__": operator.index, "__repr__": repr},
}.items():
    setattr(Array, _name, _fetch(_name, _convert))

_BINARY = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide, "floordiv": np.floor_divide}
_BINARY |= {"mod": np.remainder, "pow": np.power, "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor}
for _name, _ufunc in _BINARY.items():
    setattr(Array, f"__r{_name}__", lambda self, other, ufunc=_ufunc: _call(ufunc, other, self))
    setattr(Array, f"__i{_name}__", lambda self, other, ufunc=_ufunc: _call(ufunc, self, other, out=self))
_BINARY |= {"matmul": np.matmul, "lt": np.less, "le": np.less_equal, "eq": np.equal, "ne": np.not_equal}
_BINARY |= {"gt": np.greater, "ge": np.greater_equal}
for _name, _ufunc in _BINARY.items():
    setattr(Array, f"__{_name}__", lambda self, other, ufunc=_ufunc: _call(ufunc, self, other))
for _name, _ufunc in {"neg": np.negative, "abs": np.absolute, "invert": np.invert}.items():
    setattr(Array, f"__{_name}__", lambda self, ufunc=_ufunc: _call(ufunc, self))


class Module:
    """`xp`, and what stands in the place of the module cupy."""

    ndarray = Array
    precision = "float32"  # as of cuda.Device
    cuda = types.SimpleNamespace(runtime=types.SimpleNamespace(getDeviceCount=lambda: 1))

    def __getattr__(self, name: str) -> Any:
        if name not in NAMES:
            raise AttributeError(f"cupy has no attribute {name!r}")
        value = getattr(np, name, self)
        if value is self or isinstance(value, types.ModuleType):
            raise NotImplementedError(f"the stand-in has no {name!r}")
        return functools.partial(_call, value) if callable(value) and not isinstance(value, type) else value

    def array(self, a: Any, dtype: Any = None, copy: bool | None = True, order: str = "K") -> Array:
        if isinstance(a, Array):
            return _device(np.array(a._host, dtype, copy=copy, order=order), {id(a._host): a})
        _crossing("upload")
        return Array(np.array(a, dtype, order=order))

    def asarray(self, a: Any, dtype: Any = None, order: str = "K") -> Array:
        return self.array(a, dtype, None, order)

    def asnumpy(self, a: Array) -> np.ndarray:
        return a.get()

    def empty(self, shape: Any, dtype: Any = float, order: str = "C") -> Array:
        if Later.recorded is not None:
            Later.fresh()
        return Array(np.full(shape, np.nan if np.dtype(dtype).kind == "f" else 99, dtype, order))

    def empty_like(self, a: Array, dtype: Any = None) -> Array:
        return self.empty(a.shape, dtype or a.dtype)

    def reshape(self, a: Array, shape: Any, order: str = "C") -> Array:
        return a.reshape(shape, order=order)

    def ravel(self, a: Array) -> Array:
        return a.ravel()


xp = Module()
