"""Every second, third or fourth element of memory, by shuffles; and nothing beyond is touched."""

from __future__ import annotations

import ctypes
import mmap
import sys
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.ir.tensor import apply
from symgrad.ops.interleave import Interleave

LENGTHS = (1, 2, 3, 5, 8, 15, 16, 17, 31, 33, 64, 65, 129, 257)
STEPS = (2, 3, 4, 5)


@pytest.mark.parametrize(
    "dtype",
    ["float32", "float64", "int32", "int64", "bool", pytest.param("int8", marks=pytest.mark.campaign)],
)
@pytest.mark.parametrize("step", STEPS)
def test_reads_and_writes(step: int, dtype: str) -> None:
    rng = np.random.default_rng(step)
    inputs: list[Any] = []
    outputs: list[Any] = []
    arguments: list[Any] = []
    wanted: list[Any] = []

    def given(shape: tuple[int, ...]) -> tuple[Any, Any]:
        value = rng.integers(0, 2 if dtype == "bool" else 9, shape).astype(dtype)
        inputs.append(sg.tensor(f"x{len(inputs)}", shape, dtype))
        arguments.append(value)
        return inputs[-1], value

    for n in LENGTHS:
        x, value = given(((n - 1) * step + 1,))
        outputs.append(sg.where(x[::step] == 1, 0, x[::step]))
        wanted.append(np.where(value[::step] == 1, 0, value[::step]))
        pairs = [given((3, n)) for _ in range(step)]
        parts = [sg.where(part == 1, 0, part) for part, _ in pairs]
        outputs.append(apply(Interleave((step,), (1,), (3, n * step)), *parts))
        wanted.append(np.stack([np.where(v == 1, 0, v) for _, v in pairs], -1).reshape(3, n * step))
    found = sg.function(inputs, outputs)(*arguments)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="protects a page as Linux does")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nothing_beyond_the_last_element_is_touched(dtype: str) -> None:
    """Behind the array is a page that may not be read or written."""
    page = mmap.PAGESIZE
    room = mmap.mmap(-1, 4 * page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(room))
    library = ctypes.CDLL(None, use_errno=True)
    protect = library.mprotect
    protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    assert protect(start + 3 * page, page, 0) == 0
    try:
        for step in STEPS[:3]:
            for n in LENGTHS:
                count = (n - 1) * step + 1
                memory = (ctypes.c_char * (3 * page)).from_address(start)
                whole = np.frombuffer(memory, dtype)
                values = whole[-count:]
                values[:] = np.arange(count)
                x = sg.tensor("x", (count,), dtype)
                f = sg.function([x], x[::step] * 2)
                np.testing.assert_array_equal(f(values), 2 * np.arange(0, count, step))
                parts = [sg.tensor(f"p{r}", (n,), dtype) for r in range(step)]
                g = sg.function(parts, apply(Interleave((step,), (0,), (n * step,)), *[-p for p in parts]))
                out = whole[-n * step :]
                g.into(out, *[np.full(n, r, dtype) for r in range(step)])
                np.testing.assert_array_equal(out, -np.tile(np.arange(step), n))
    finally:
        assert protect(start + 3 * page, page, mmap.PROT_READ | mmap.PROT_WRITE) == 0


def test_there_are_no_gathers_and_no_scatters() -> None:
    x = sg.tensor("x", ("n", 24, 24), "float32")
    y = sg.max_pool2d(x[:, None], 2)
    f = sg.function([x], [y, sg.grad(sg.sum(y * y), x)], backend="llvm")
    assert "masked.gather" not in f.code("llvm")
    assert "masked.scatter" not in f.code("llvm")
