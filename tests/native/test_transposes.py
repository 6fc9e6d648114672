"""Kernels that read across their rows: blocks are turned on the stack, and nothing beyond is read."""

from __future__ import annotations

import ctypes
import itertools
import mmap
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad_runtime import threads

#: The type of the memory that a block is turned into is seen in the text of no other kernel.
TURNED = " x i8], align 64"
SIZES = (0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 25, 31, 33, 64, 65, 100, 130)


def drawn(shape: tuple[int, ...], dtype: str) -> Any:
    rng = np.random.default_rng(len(shape))
    if dtype == "bool":
        return rng.random(shape) < 0.5
    return rng.integers(-99 if dtype[0] != "u" else 0, 99, shape).astype(dtype)


def copied(array: Any, axes: tuple[int, ...]) -> Any:
    """A kernel that does nothing but move elements."""
    return sg.permute_dims(array, axes)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "uint16", "int32", "int64", "bool"])
def test_matrices_of_all_sizes(dtype: str) -> None:
    n, m = sg.size("n"), sg.size("m")
    x = sg.tensor("x", (n, m), dtype)
    f = sg.function([x], copied(x, (1, 0)))
    for rows, columns in itertools.product(SIZES, SIZES):
        value = drawn((rows, columns), dtype)
        np.testing.assert_array_equal(f(value), value.T)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "bool"])
@pytest.mark.parametrize(
    "shape",
    [(4, 4), (2, 50), (3, 50), (4, 70), (6, 50), (70, 5), (5, 9), (9, 20), (31, 33), (64, 16), (67, 129)],
)
def test_matrices_of_known_sizes(shape: tuple[int, int], dtype: str) -> None:
    x = sg.tensor("x", shape, dtype)
    f = sg.function([x], copied(x, (1, 0)))
    value = drawn(shape, dtype)
    np.testing.assert_array_equal(f(value), value.T)
    if shape[0] >= 64:  # others LLVM may keep in registers, or are scalars where there are no masks
        assert TURNED in f.code("llvm")


@pytest.mark.parametrize("shape", [(5, 6, 18), (3, 17, 4, 9), (16, 5, 5, 20)])
@pytest.mark.parametrize("is_known", [True, False])
def test_permutations(shape: tuple[int, ...], is_known: bool) -> None:
    value = drawn(shape, "float32")
    x = sg.tensor("x", shape if is_known else tuple(sg.size(f"n{i}") for i in range(len(shape))), "float32")
    permutations = list(itertools.permutations(range(len(shape))))
    f = sg.function([x], [copied(x, axes) for axes in permutations])
    for axes, found in zip(permutations, f(value), strict=True):
        np.testing.assert_array_equal(found, value.transpose(axes), err_msg=str(axes))


@pytest.mark.parametrize("rows", [0, 1, 6, 16, 37, 70])
@pytest.mark.parametrize("columns", [0, 3, 16, 41, 130])
def test_operands_along_and_across(rows: int, columns: int) -> None:
    """With rows and columns that are repeated, other dtypes, strides and directions."""
    x, y = sg.tensor("x", ("n", "m"), "float32"), sg.tensor("y", ("m", "n"), "float64")
    wide, row = sg.tensor("wide", ("m", "k"), "float32"), sg.tensor("row", ("n",), "float32")
    flags = sg.tensor("flags", ("m", "n"), "bool")
    turned = sg.where(flags.T, 1 - y.T, sg.astype(x, "float64"))
    apart = wide[::-1, 1::7].T * 2
    f = sg.function([x, y, wide, row, flags], [turned, turned + row[:, None], apart, wide[:, ::-1].T + 1])
    a, b = drawn((rows, columns), "float32"), drawn((columns, rows), "float64")
    c, d, e = drawn((columns, 33), "float32"), drawn((rows,), "float32"), drawn((columns, rows), "bool")
    wanted = np.where(e.T, 1 - b.T, a)
    for found, expected in zip(
        f(a, b, c, d, e), [wanted, wanted + d[:, None], c[::-1, 1::7].T * 2, c[:, ::-1].T + 1], strict=True
    ):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_threads_share_blocks(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads.pool(), "threads", sg.get_num_threads())
    sg.set_num_threads(count)
    x, y = sg.tensor("x", ("n", "m"), "float32"), sg.tensor("y", ("m", "n"), "float32")
    z = sg.tensor("z", (12, 65, 100), "float32")
    f = sg.function([x, y, z], [3 * x + y.T, copied(z, (0, 2, 1))])
    a, b, c = (drawn(shape, "float32") for shape in [(1003, 517), (517, 1003), (12, 65, 100)])
    for found, expected in zip(f(a, b, c), [3 * a + b.T, c.transpose(0, 2, 1)], strict=True):
        np.testing.assert_array_equal(found, expected)


def test_state_in_its_own_place() -> None:
    """A state that is read and written along, beside what is read across."""
    s = sg.shared(np.ones((37, 70), np.float32), "s")
    x = sg.tensor("x", (70, 37), "float32")
    f = sg.function([x], [], updates={s: s + x.T})
    value = drawn((70, 37), "float32")
    f(value)
    f(value)
    np.testing.assert_array_equal(s.get(), 1 + 2 * value.T)


def taken(make: Callable[..., Any], *shapes: tuple[int, ...]) -> bool:
    xs = [sg.tensor(f"x{i}", shape, "float32") for i, shape in enumerate(shapes)]
    return TURNED in sg.function(xs, make(*xs), backend="llvm").code("llvm")


def test_where_blocks_are_turned() -> None:
    assert taken(lambda x, y: x + y.T, (20, 30), (30, 20))
    assert taken(lambda x: sg.relu(x.T), (20, 30))
    assert taken(lambda x: copied(x, (2, 3, 1, 0)), (64, 32, 5, 5))
    assert taken(lambda x: copied(x, (3, 2, 0, 1)), (5, 5, 32, 64))


def test_where_nothing_is_turned() -> None:
    assert not taken(lambda x, y: x + y, (20, 30), (20, 30))
    assert not taken(lambda x: copied(x, (1, 0, 2)), (20, 30, 40)), "rows move as a whole"
    assert not taken(lambda x: x[:, ::2] + 1, (20, 30)), "elements take turns"
    assert not taken(lambda x: sg.sum(x.T, axis=0), (20, 30)), "reductions have their own order"
    assert not taken(lambda x: copied(x, (0, 2, 1)), (20, 30, 4)), "four elements apart: by shuffles"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="protects pages as Linux does")
@pytest.mark.parametrize("dtype", ["float32", "float64", "int8"])
def test_nothing_outside_is_touched(dtype: str) -> None:
    """Before and behind the array are pages that may not be read or written."""
    page = mmap.PAGESIZE
    pages = 24
    room = mmap.mmap(-1, (pages + 2) * page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(room))
    library = ctypes.CDLL(None, use_errno=True)
    protect = library.mprotect
    protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    ends = (start, start + (pages + 1) * page)
    for end in ends:
        assert protect(end, page, 0) == 0
    try:
        memory = (ctypes.c_char * (pages * page)).from_address(start + page)
        whole = np.frombuffer(memory, dtype)
        n, m = sg.size("n"), sg.size("m")
        x = sg.tensor("x", (n, m), dtype)
        symbolic = sg.function([x], copied(x, (1, 0)))
        for shape in [
            (1, 1),
            (3, 2),
            (2, 40),
            (3, 40),
            (5, 4),
            (7, 9),
            (16, 17),
            (33, 21),
            (65, 70),
            (70, 130),
        ]:
            known = sg.tensor("known", shape, dtype)
            count = shape[0] * shape[1]
            for f in (symbolic, sg.function([known], copied(known, (1, 0)))):
                for part in (whole[:count], whole[-count:]):
                    part[:] = np.arange(count).astype(dtype)
                    value = part.reshape(shape)
                    np.testing.assert_array_equal(f(value), value.T)
                    expected = value.T.copy()
                    out = part.reshape(shape[::-1])
                    f.into(out, value.copy())
                    np.testing.assert_array_equal(out, expected)
    finally:
        for end in ends:
            assert protect(end, page, mmap.PROT_READ | mmap.PROT_WRITE) == 0
