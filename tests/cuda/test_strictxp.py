"""The stand-in for CuPy refuses what CuPy refuses, allows what the package needs, and sees what CuPy would copy."""

import functools
import operator

import numpy as np
import pytest
from support import strictxp
from support.strictxp import DoublePrecision, HostWaits, forbid, watch, xp

HOST = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.fixture
def x():
    return xp.asarray(HOST)


@pytest.fixture
def block():
    """Eight columns, as gates lie side by side."""
    return xp.asarray(np.arange(24, dtype=np.float32).reshape(3, 8))


def same(array, expected) -> bool:
    """Tell whether an array of the device has the type, shape and bits of an array of the host."""
    assert type(array) is strictxp.Array
    return array.dtype == expected.dtype and array.shape == expected.shape and np.array_equal(array.get(), expected)


# Refusals

REFUSED = {
    "host array on the right": lambda x: x + HOST,
    "host array on the left": lambda x: HOST + x,
    "host array added in place": lambda x: operator.iadd(x, HOST),
    "device array added in place": lambda x: operator.iadd(HOST.copy(), x),
    "host array compared": lambda x: x < HOST,
    "host array multiplied as a matrix": lambda x: x.T @ HOST,
    "0-d host array": lambda x: x * np.array(2, np.float32),
    "list": lambda x: operator.add(x, [1, 2, 3, 4]),
    "None": lambda x: x + None,
    "host array in a ufunc": lambda x: xp.add(x, HOST),
    "list in a ufunc": lambda x: xp.add(x, [1, 2, 3, 4]),
    "host array as out": lambda x: xp.exp(x, out=HOST.copy()),
    "host array in a function": lambda x: xp.where(x > 1, x, HOST),
    "host array among others": lambda x: xp.concatenate([x, HOST]),
    "host array assigned": lambda x: operator.setitem(x, ..., HOST),
    "list assigned": lambda x: operator.setitem(x, 0, [1, 2, 3, 4]),
    "conversion": lambda x: np.asarray(x),
    "conversion of many": lambda x: np.array([x, x]),
    "assigned to a host array": lambda x: operator.setitem(HOST.copy(), ..., x),
    "ufunc of NumPy": lambda x: np.exp(x),
    "function of NumPy": lambda x: np.sum(x),
    "buffer": lambda x: memoryview(x),
    "index of the host": lambda x: x[np.array([0, 2])],
    "mask of the host": lambda x: x[HOST > 1],
    "list as index": lambda x: x[[0, 2]],
    "index of the host among others": lambda x: x[:, np.array([0, 2])],
    "index of the host assigned to": lambda x: operator.setitem(x, np.array([0, 2]), 0.0),
    "where= of a ufunc": lambda x: xp.exp(x, where=x > 1),
    "where= of a sum": lambda x: xp.sum(x, where=x > 1),
    "initial= of a sum": lambda x: x.sum(initial=1.0),
    "where= of a mean": lambda x: xp.mean(x, where=x > 1),
    "initial= of a maximum": lambda x: xp.max(x, initial=1.0),
    "min= of clip": lambda x: xp.clip(x, min=0.0, max=1.0),
    "out= of einsum": lambda x: xp.einsum("ij->ji", x, out=x.T),
    "hash": lambda x: {x},
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(x, what):
    with pytest.raises(TypeError):
        REFUSED[what](x)
    assert same(x, HOST)


@pytest.mark.parametrize("name", ["errstate", "block", "vecdot", "insert", "exponential"])
def test_names_that_cupy_does_not_have(name):
    with pytest.raises(AttributeError, match=name):
        getattr(xp, name)


@pytest.mark.parametrize("name", ["ctypes", "setflags", "__array_interface__", "__array_struct__", "resize", "norm"])
def test_attributes_that_its_arrays_do_not_have(x, name):
    with pytest.raises(AttributeError, match=name):
        getattr(x, name)


@pytest.mark.parametrize("name", ["random", "linalg", "RawKernel"])
def test_what_the_stand_in_cannot_do(name):
    with pytest.raises(NotImplementedError, match=name):
        getattr(xp, name)


def test_a_reshape_that_must_copy(x):
    for wrong in (lambda: x.T.reshape(12), lambda: x[:, :2].reshape(-1), lambda: xp.reshape(x.T, (2, 6)), x.T.ravel):
        with pytest.raises(ValueError, match="must copy"):
            wrong()
    with pytest.raises(ValueError):
        x.reshape(5, 5)
    x[:, None, :2].reshape(3, 1, 2, 1)[0] = 7.0  # a view, though not contiguous
    x.reshape(-1)[4] = 8.0
    assert x.get()[0, :2].tolist() == [7, 7] and x.get()[1, 0] == 8


def test_dot_wants_a_contiguous_out(x):
    with pytest.raises(ValueError, match="C-contiguous"):
        xp.dot(x, x.T, out=xp.empty((3, 6), np.float32)[:, ::2])


# Host and device

MEETINGS = {
    "float": lambda x: float(x[0, 0]),
    "int": lambda x: int(x[0, 0]),
    "bool": lambda x: bool(x[0, 0]),
    "if": lambda x: 1 if (x > 1).all() else 0,
    "range": lambda x: range(xp.asarray(x, np.int32)[0, 1]),
    "slice": lambda x: x[: x[0, 1].astype(np.int32)],
    "item": lambda x: x[0, 0].item(),
    "tolist": lambda x: x.tolist(),
    "tobytes": lambda x: x.tobytes(),
    "get": lambda x: x.get(),
    "asnumpy": lambda x: xp.asnumpy(x),
    "print": lambda x: f"{x}",
    "mask read": lambda x: x[x > 1],
    "mask read beside a slice": lambda x: x[:, x[0] > 1],
    "mask written": lambda x: operator.setitem(x, x > 1, 0.0),
    "nonzero": lambda x: xp.nonzero(x),
    "method nonzero": lambda x: x.nonzero(),
    "unique": lambda x: xp.unique(x),
    "where with one argument": lambda x: xp.where(x > 1),
    "upload": lambda x: xp.asarray(HOST),
    "upload of a number": lambda x: xp.array(1.0, np.float32),
}


@pytest.mark.parametrize("what", MEETINGS)
def test_host_and_device_must_not_meet_where_that_is_forbidden(x, what):
    with watch() as seen:
        MEETINGS[what](x)
    assert len(seen.crossings) == 1 and seen.crossings[0].file == "test_strictxp.py"
    with forbid(float64=False), pytest.raises(HostWaits):
        MEETINGS[what](x)
    with forbid(sync=False):
        MEETINGS[what](x)
    MEETINGS[what](x)


DOUBLES = {
    "constant": lambda x: x * np.float64(2),
    "constant on the left": lambda x: np.float64(2) * x,
    "constant in place": lambda x: operator.imul(x, np.sqrt(2.0)),
    "constant in a ufunc": lambda x: xp.multiply(x, np.float64(2), out=x),
    "constant assigned": lambda x: operator.setitem(x, 0, np.float64(2)),
    "zeros": lambda x: xp.zeros(3),
    "empty": lambda x: xp.empty(3),
    "upload": lambda x: xp.asarray(HOST.astype(np.float64)),
    "sum": lambda x: x.sum(dtype=np.float64),
    "conversion": lambda x: x.astype(float),
    "whole numbers divided": lambda x: xp.arange(3) / 2,
    "mean of whole numbers": lambda x: xp.arange(3).mean(),
}


@pytest.mark.parametrize("what", DOUBLES)
def test_double_precision_is_an_error_where_that_is_forbidden(x, what):
    with forbid(sync=False), pytest.raises(DoublePrecision):
        DOUBLES[what](x)
    with forbid(float64=False, sync=False):
        DOUBLES[what](x)


def test_what_is_forbidden_outside_stays_forbidden_inside(x):
    with forbid(float64=False):
        with forbid(sync=False), pytest.raises(HostWaits):
            float(x[0, 0])
        xp.zeros(3)
    assert float(x[0, 1]) == 1


# What works, as in NumPy

WORKS = {
    "arithmetic": lambda x, xp: 2.0 * x - x / (x + 1) + x**2 - (-x) // 2,
    "comparison": lambda x, xp: (x > 2) & ~(x == 5),
    "scalars of NumPy": lambda x, xp: np.float32(2) * x + np.float32(1),
    "ufuncs": lambda x, xp: xp.tanh(xp.exp(-x)) + xp.maximum(x, 3.0),
    "reductions": lambda x, xp: x.sum(axis=1, keepdims=True) + xp.max(x, axis=0) + xp.mean(x),
    "reduction of everything": lambda x, xp: x.sum(),
    "one element": lambda x, xp: x[0, 1],
    "products": lambda x, xp: (x @ x.T) + xp.matmul(x[None], x.T[None])[0] + xp.dot(x, x.T),
    "einsum": lambda x, xp: xp.einsum("ij,kj->ik", x, x),
    "views": lambda x, xp: x.T[1:, ::2].transpose(1, 0)[:, None].reshape(2, 3),
    "integer index of the device": lambda x, xp: x[xp.asarray([2, 0])],
    "whole number": lambda x, xp: x[np.int64(1)],
    "rows": lambda x, xp: functools.reduce(operator.add, x),
    "where": lambda x, xp: xp.where(x > 3, x, 0.0),
    "clip and rint": lambda x, xp: xp.clip(xp.rint(x / 3), 1.0, 2.0),
    "arange": lambda x, xp: xp.arange(1, 5, dtype=x.dtype) - 0.5 + x,
    "joined": lambda x, xp: xp.concatenate([x, x], axis=1),
    "like": lambda x, xp: xp.zeros_like(x) + xp.ones((3, 4), x.dtype),
    "equal": lambda x, xp: xp.asarray(xp.array_equal(x, x)),
}


@pytest.mark.parametrize("what", WORKS)
def test_works(x, what):
    assert same(WORKS[what](x, xp), np.asarray(WORKS[what](HOST, np)))


def test_it_writes_in_place(x):
    def write(x, xp):
        before = x
        view = x[:, 1:3]
        view += 1.0
        view *= view
        x[2] = x[0]
        x[:, 0] -= x[:, 3]
        xp.multiply(x, 0.5, out=x[...])
        xp.copyto(x, -1.0, where=x > 20)
        xp.sum(x[:2], axis=0, out=x[2])
        xp.tanh(x, x)
        assert x is before
        return x

    assert same(write(x, xp), write(HOST.copy(), np))


def test_out_is_the_object_returned(x):
    out, square, row = xp.empty_like(x), xp.empty((3, 3), np.float32), xp.empty(4, np.float32)
    assert xp.exp(x, out=out) is out and xp.add(x, x, out) is out
    assert xp.matmul(x, x.T, out=square) is square and xp.dot(x, x.T, out=square) is square
    assert xp.sum(x, axis=0, out=row) is row and x.max(axis=0, out=row) is row
    assert xp.asarray(x) is x and xp.asarray(x, np.float64) is not x and xp.array(x) is not x


def test_reductions_stay_on_the_device(x):
    with forbid():
        numbers = x.sum(), xp.max(x), x.mean(), x[0, 0], xp.dot(x[0], x[0]), x.argmax(), (x > 1).all()
        for number in (*numbers, xp.array_equal(x, x), xp.allclose(x, 2.0)):
            assert type(number) is strictxp.Array and number.shape == ()


def test_what_is_new_is_full_of_nan():
    assert all(np.isnan(a.get()).all() for a in (xp.empty((2, 3), np.float32), xp.empty_like(xp.zeros(3))))
    assert xp.empty(3, np.int32).dtype == np.int32


# Hidden copies

COPIES = {
    "the same columns, taken twice": ("operand of a ufunc", lambda a: xp.multiply(a[:, :4], 2.0, out=a[:, :4])),
    "side by side": ("operand of a ufunc", lambda a: xp.add(a[:, :4], 1.0, out=a[:, 4:])),
    "positional out": ("operand of a ufunc", lambda a: xp.add(a[:, :4], 1.0, a[:, 4:])),
    "in place": ("operand of a ufunc", lambda a: operator.iadd(a[:, :4], a[:, 4:])),
    "clip": ("operand of a ufunc", lambda a: xp.clip(a[:, :4], 0.0, 1.0, out=a[:, 4:])),
    "assigned": ("value assigned", lambda a: operator.setitem(a, np.s_[:, :4], a[:, 4:])),
    "columns of a matrix": ("operand of matmul", lambda a: xp.matmul(a[:, :4], a.T[:4])),
    "columns of a matrix, operator": ("operand of matmul", lambda a: a.T @ a[:, :4]),
    "columns of a matrix, dot": ("operand of matmul", lambda a: xp.dot(a.T, a[:, :4])),
    "batched transpose": ("operand of matmul", lambda a: xp.matmul(a[None].transpose(0, 2, 1), a[None])),
    "columns as result": ("result of matmul", lambda a: xp.matmul(a.copy(), xp.ones((8, 2), "f4"), out=a[:, 2:4])),
    "result over an operand": ("result of matmul", lambda a: xp.matmul(a, xp.ones((8, 8), "f4"), out=a)),
}
NONE = {
    "the same object": lambda a: xp.tanh(a, out=a),
    "in place with itself": lambda a: operator.imul(a, a),
    "rows of one block": lambda a: xp.add(a[0], a[1], out=a[2]),
    "columns, with other memory": lambda a: xp.add(a[:, :4], 1.0, out=xp.empty((3, 4), np.float32)),
    "number assigned": lambda a: operator.setitem(a, np.s_[:, 2], 1.0),
    "part changed in place": lambda a: operator.setitem(a, np.s_[:, 2], operator.iadd(a[:, 2], 1.0)),
    "transposed matrix": lambda a: xp.matmul(a.T, a),
    "rows of a matrix": lambda a: xp.matmul(a[:2], a.T, out=xp.empty((2, 3), np.float32)),
    "batch": lambda a: xp.matmul(a[:, None], a[:, :, None].copy()),
    "reduction into a column": lambda a: xp.sum(a.copy(), axis=1, out=a[:, 3]),
}


@pytest.mark.parametrize("what", COPIES)
def test_a_hidden_copy_is_seen(block, what):
    kind, operation = COPIES[what]
    with watch() as seen, forbid():
        operation(block)
    assert {(site.what, site.file, site.function) for site in seen.copies} == {(kind, "test_strictxp.py", "<lambda>")}
    count = len(seen.copies)
    operation(block)
    assert len(seen.copies) == count, "nobody watched"


@pytest.mark.parametrize("what", NONE)
def test_no_copy_no_report(block, what):
    with watch() as seen, forbid():
        NONE[what](block)
    assert seen.copies == [] == seen.crossings
