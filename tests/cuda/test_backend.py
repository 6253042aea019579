"""The backend switch, on a machine with or without a GPU, and the arena that traces lie in."""

import importlib
import types

import numpy as np
import pytest

from minidraw import DRAW, DRAWConfig, UserError
from minidraw.backend import array_module, to_device, to_host
from minidraw.parallel.shard import Arena


@pytest.fixture(params=["no cupy", "no driver", "no memory"])
def without_gpu(request, monkeypatch):
    """Let cupy be absent, or present without a driver, or present beside a device that refuses to work."""

    def device_count():
        if request.param == "no driver":
            raise RuntimeError("cudaErrorInsufficientDriver:\n  CUDA driver version is insufficient")

    def zeros(_):
        raise MemoryError("out of memory")

    runtime = types.SimpleNamespace(getDeviceCount=device_count)
    cupy = types.SimpleNamespace(cuda=types.SimpleNamespace(runtime=runtime), zeros=zeros)
    import_module = importlib.import_module

    def fake(name, *args):
        if name != "cupy":
            return import_module(name, *args)
        if request.param == "no cupy":
            raise ImportError("No module named 'cupy'")
        return cupy

    monkeypatch.setattr(importlib, "import_module", fake)
    return request.param


def test_cupy_asked_for_in_vain(without_gpu):
    with pytest.raises(UserError) as caught:
        DRAW(DRAWConfig((1, 2, 3)), backend="cupy")
    message = str(caught.value)
    assert "\n" not in message and message.endswith("use --backend numpy")
    expected = {"no cupy": "pip install", "no driver": "driver version is insufficient", "no memory": "out of memory"}
    assert expected[without_gpu] in message


def test_auto_falls_back(without_gpu):
    assert array_module("auto") is np


def test_names():
    assert array_module("numpy") is np
    with pytest.raises(UserError, match=r"^unknown backend 'nunpy'; did you mean 'numpy'\?"):
        array_module("nunpy")


def test_crossing():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert to_device(array, np, array.dtype) is array and to_host(array) is array
    moved = to_device(array.T.astype(np.uint8), np, np.dtype(np.float32))
    assert moved.dtype == np.float32 and moved.flags.c_contiguous and np.array_equal(moved, array.T)


def test_arena():
    def two(images):
        def build(alloc):
            return [alloc(images, 3), alloc(), alloc(2, images, 5)]

        return build

    arena = Arena(np, np.float32)
    for images in (7, 13, 1):
        arrays = arena.build(two(images))
        assert [array.shape for array in arrays] == [(images, 3), (), (2, images, 5)]
        for k, array in enumerate(arrays):
            array[...] = k
            assert array.dtype == np.float32 and array.flags.c_contiguous
            assert np.shares_memory(array, arena.block) and (array.ctypes.data - arena.block.ctypes.data) % 64 == 0
        assert all(np.all(array == k) for k, array in enumerate(arrays))  # none overlaps another
        if images == 13:
            block = arena.block
    assert arena.block is block  # it grows, and stays


def test_a_batch_too_large_for_the_memory_can_be_followed_by_a_smaller_one(monkeypatch):
    model = DRAW(DRAWConfig((1, 3, 4), 2, None, None, 5, 6, 7), dtype="float64", threads=1)

    def loss(images):
        return model.loss(np.full((images, 1, 3, 4), 0.2), np.zeros((2, images, 7))).total

    def empty(size, dtype):
        raise MemoryError

    expected = loss(2)
    with monkeypatch.context() as patch:
        patch.setattr(np, "empty", empty)
        for _ in range(2):
            with pytest.raises(MemoryError):
                loss(40)
    assert abs(loss(3) - expected) < 1e-12 and abs(loss(40) - expected) < 1e-12
