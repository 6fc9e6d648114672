"""Large results are written past the caches where whole registers fit, and as others where they do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad_compiler.backends.llvm import lanes
from symgrad_runtime import threads


def placed(shape: tuple[int, ...], dtype: str, offset: int) -> Any:
    """An array that starts `offset` bytes behind a cache line."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = np.zeros(size + 128, np.uint8)
    start = -room.ctypes.data % 64 + offset
    return room[start : start + size].view(dtype).reshape(shape)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
@pytest.mark.parametrize("columns", [1000, 1024])
@pytest.mark.parametrize("offset", [0, 8, 16])
def test_results_wherever_they_start(
    offset: int, columns: int, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "STREAMED", 100_000)
    monkeypatch.setenv("SYMGRAD_CACHE_DIR", "")
    monkeypatch.setattr(threads.pool(), "threads", sg.get_num_threads())
    x = sg.tensor("x", shape=("n", columns), dtype=dtype)
    y, z = x * 3, x - sg.max(x, axis=1, keepdims=True)
    f = sg.function([x], [y, z, sg.sum(x, axis=1)], backend="llvm")
    if dtype == "float64":
        assert "movnt" in f.code("asm") or "stnp" in f.code("asm")
    rng = np.random.default_rng(0)
    value = rng.integers(-9, 9, (301, columns)).astype(dtype)
    results = [placed((301, columns), dtype, offset) for _ in range(2)]
    results.append(np.empty(301, f(value)[2].dtype))
    for count in (1, 3):
        sg.set_num_threads(count)
        f.into(results, value)
        np.testing.assert_array_equal(results[0], value * 3)
        np.testing.assert_array_equal(results[1], value - value.max(1, keepdims=True))
        np.testing.assert_array_equal(results[2], value.sum(1))
        for found, expected in zip(f(value), results, strict=True):
            np.testing.assert_array_equal(found, expected)


def test_what_is_read_again_is_not_written_past_the_caches() -> None:
    x = sg.tensor("x", shape=(4000, 1000))
    y = sg.exp(x)
    f = sg.function([x], [y, sg.cumsum(y, axis=0)], backend="llvm")
    assert "nontemporal" not in f.code("llvm")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels", [64, 80, 17])
@pytest.mark.parametrize("offset", [0, 16])
def test_depthwise_results_wherever_they_start(
    offset: int, channels: int, stride: int, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "STREAMED", 1000)
    monkeypatch.setenv("SYMGRAD_CACHE_DIR", "")
    x, w = sg.tensor("x", ("n", 9, 12, channels), dtype), sg.tensor("w", (3, 3, 1, channels), dtype)
    y = sg.conv2d(x, w, stride=stride, padding=1, groups=channels, channels="last")
    g = sg.grad(sg.sum(y * y), x)
    f, plain = (sg.function([x, w], [sg.relu(y + 1), g], backend=b) for b in ("llvm", "numpy"))
    if channels == 64:
        assert "movnt" in f.code("asm") or "stnp" in f.code("asm")
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=s).astype(dtype) for s in ((5, 9, 12, channels), (3, 3, 1, channels)))
    expected = plain(a, b)
    results = [placed(e.shape, dtype, offset) for e in expected]
    for count in (1, 3):
        sg.set_num_threads(count)
        f.into(results, a, b)
        for found in (results, f(a, b)):
            for u, v in zip(found, expected, strict=True):
                eps = np.finfo(dtype).eps
                np.testing.assert_allclose(u, v, rtol=200 * eps, atol=500 * eps)
