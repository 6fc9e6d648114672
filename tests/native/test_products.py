"""Products of matrices in native code: any strides, sizes, numbers of threads and levels of the machine."""

from __future__ import annotations

import ctypes
import itertools
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad_compiler.backends.llvm.compile import _entry, _product
from symgrad_compiler.backends.llvm.contract.emit import emit_products
from symgrad_compiler.backends.llvm.contract.request import WORDS, Request, name_of
from symgrad_compiler.backends.llvm.contract.room import TAKE
from symgrad_compiler.backends.llvm.contract.tiles import tiles
from symgrad_compiler.backends.llvm.target import Engine, Target, assembly, compile_object, host
from symgrad_runtime import threads
from tests.native.levels import skip_unless_below

Array = np.ndarray[Any, Any]
KINDS = {"float32": "f32", "float64": "f64"}


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = sg.get_num_threads()
    yield
    sg.set_num_threads(before)


def multiply(
    a: Array, b: Array, c: Array, alpha: float = 1, adds: bool = False, engine: Engine | None = None
) -> None:
    """c = alpha a b, or c += alpha a b, by the native function itself."""
    _entry()
    size = a.itemsize
    words = np.zeros(WORDS, np.int64)
    words[Request.ROWS], words[Request.INNER], words[Request.COLUMNS] = (*a.shape[-2:], b.shape[-1])
    for start, step, array in (
        (Request.A, Request.A_BATCH, a),
        (Request.B, Request.B_BATCH, b),
        (Request.C, Request.C_BATCH, c),
    ):
        words[start], words[start + 1] = array.ctypes.data, array.strides[-2] // size
        if start != Request.C:
            words[start + 2] = array.strides[-1] // size
        words[step] = array.strides[0] // size if array.ndim == 3 else 0
    words[Request.ALPHA : Request.ALPHA + 1].view(a.dtype)[0] = alpha
    words[Request.ADDS] = adds
    words[Request.BATCH] = c.shape[0] if c.ndim == 3 else 1
    kind = KINDS[a.dtype.name]
    address = (engine or _product(kind)).address(name_of(kind))
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(address)
    function(threads.pool().address, words.ctypes.data)


def operand(rng: np.random.Generator, rows: int, columns: int, dtype: str, way: int) -> Array:
    """A matrix, laid out in one of seven ways."""
    large = rng.normal(size=(2 * rows + 3, 3 * columns + 5)).astype(dtype)
    plain = np.ascontiguousarray(large[:rows, :columns])
    return (
        plain,
        np.asfortranarray(plain),
        large[: 2 * rows : 2, : 3 * columns : 3],
        plain[::-1],
        plain[:, ::-1],
        large[1 : rows + 1, 2 : columns + 2],
        np.broadcast_to(plain[:, :1], (rows, columns)),
    )[way]


def check(
    rng: np.random.Generator, m: int, n: int, k: int, dtype: str, ways: tuple[int, int] | None = None
) -> None:
    """One product: near NumPy's, nothing written outside, the same bits for every number of threads."""
    ways = ways or (int(rng.integers(7)), int(rng.integers(7)))
    a, b = (operand(rng, r, c, dtype, way) for (r, c), way in zip(((m, k), (k, n)), ways, strict=True))
    alpha, adds = (1.0, -0.75)[rng.integers(2)], bool(rng.integers(2))
    around = np.full((m + 2, n + 37), 7, dtype)
    inside = (slice(1, m + 1), slice(None, n))
    exact = alpha * (a.astype(np.float64) @ b.astype(np.float64)) + (7 if adds else 0)
    bound = np.abs(alpha) * (np.abs(a).astype(np.float64) @ np.abs(b).astype(np.float64)) + 7
    found = []
    for count in (1, 2, 3):
        sg.set_num_threads(count)
        c = around.copy()
        multiply(a, b, c[inside], alpha, adds)
        found.append(c)
    label = f"{dtype} {m} x {k} x {n}, strides {a.strides} {b.strides}, alpha {alpha}, adds {adds}"
    # Each of k additions rounds once; errors of different signs mostly cancel.
    epsilon = np.finfo(dtype).eps * (4 + np.sqrt(k))
    assert np.all(np.abs(found[0][inside] - exact) <= epsilon * bound), label
    for c in found[1:]:
        np.testing.assert_array_equal(c, found[0], label)
    found[0][inside] = 7
    np.testing.assert_array_equal(found[0], around, label)


SIZES = (1, 2, 3, 5, 7, 8, 13, 14, 15, 16, 17, 29, 31, 32, 33, 47, 64, 65, 100, 129, 200, 260, 400)


@pytest.mark.parametrize("dtype", KINDS)
def test_random_products(dtype: str) -> None:
    rng = np.random.default_rng(1)
    for _ in range(150):
        m, n, k = (int(rng.choice(SIZES)) for _ in range(3))
        check(rng, m, n, k, dtype)


@pytest.mark.parametrize("dtype", KINDS)
def test_products_in_several_blocks_and_chunks(dtype: str) -> None:
    """Long inner dimensions; operands of more elements than are packed at once, in every direction."""
    rng = np.random.default_rng(2)
    packed = tiles(KINDS[dtype], host().machine).packed
    for m, n, k in [
        (70, 70, 3001),
        (300, 500, 1700),
        (5, 7, 40_003),
        (1, 1, 300_001),
        (1, 40, 20_000),
        (30, 20, packed // 20),
        (packed // 700, 40, 800),
        (40, packed // 700, 800),
    ]:
        check(rng, m, n, k, dtype)


@pytest.mark.parametrize("dtype", KINDS)
def test_what_lies_where_it_is_or_is_packed(dtype: str) -> None:
    """Rows and columns without gaps on both sides; rows at distances at which they would meet in the cache,
    and others; widths that end in a register and inside one; one, two, three and many panels of A."""
    rng = np.random.default_rng(7)
    for m, n, k in [(14, 100, 64), (20, 64, 512), (43, 129, 100), (130, 96, 512), (200, 515, 300)]:
        for ways in itertools.product((0, 1, 5), (0, 1, 5)):
            check(rng, m, n, k, dtype, ways)


@pytest.mark.parametrize("dtype", KINDS)
def test_more_of_a_than_is_packed_at_once(dtype: str) -> None:
    """Rows of a power of two are packed where so many columns meet them; some at a time."""
    rng = np.random.default_rng(8)
    packed = tiles(KINDS[dtype], host().machine).packed
    check(rng, packed // 1024 + 61, 520, 1024, dtype, (0, 0))
    check(rng, 600, 540, packed // 512, dtype, (2, 1))


def test_without_memory() -> None:
    """Where no memory is left for packed panels, few of them are packed at once; the bits are the same."""
    text = emit_products("f32", host().machine).replace(f"call ptr @{TAKE}(", "call ptr @nothing(")
    engine = Engine([compile_object(text + "define ptr @nothing(i64 %n) { ret ptr null }", host())], host())
    rng = np.random.default_rng(9)
    heights = [(m, 315, 70) for m in range(486, 502)]
    for m, n, k in [(150, 700, 700), (40, 300, 1100), (500, 515, 64), (1500, 40, 700), *heights]:
        for ways in ((0, 0), (1, 1), (2, 3)):
            a, b = (
                operand(rng, r, c, "float32", w) for (r, c), w in zip(((m, k), (k, n)), ways, strict=True)
            )
            found = [np.full((m, n), 7, np.float32) for _ in range(2)]
            multiply(a, b, found[0], 0.5, True)
            multiply(a, b, found[1], 0.5, True, engine)
            np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("size", list(itertools.product((0, 3), repeat=3)))
def test_nothing(size: tuple[int, int, int], dtype: str) -> None:
    m, k, n = size
    c = np.full((m, n), 5, dtype)
    multiply(np.ones((m, k), dtype), np.ones((k, n), dtype), c)
    np.testing.assert_array_equal(c, np.full((m, n), k, dtype))
    multiply(np.ones((m, k), dtype), np.ones((k, n), dtype), c, adds=True)
    np.testing.assert_array_equal(c, np.full((m, n), 2 * k, dtype))


@pytest.mark.parametrize("dtype", KINDS)
def test_what_is_not_finite(dtype: str) -> None:
    """Infinite numbers and NaN reach the elements that they belong to, and no others, wherever they stand."""
    rng = np.random.default_rng(3)
    for m, n, k in [(5, 6, 7), (33, 50, 40), (150, 130, 120), (1, 40, 30), (40, 1, 30)]:
        for bad in (np.nan, np.inf, -np.inf):
            a, b = (1 + rng.random((r, c)).astype(dtype) for r, c in ((m, k), (k, n)))
            i, j, p = m // 2, n - 1, k - 1
            a[i, p] = bad
            b[0, j] = bad
            c = np.zeros((m, n), dtype)
            multiply(a, b, c)
            with np.errstate(invalid="ignore"):
                np.testing.assert_array_equal(np.isfinite(c), np.isfinite(a @ b))
                np.testing.assert_array_equal(np.isnan(c), np.isnan(a @ b))


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("shape", [(7, 3, 4, 5), (300, 20, 30, 10), (3, 200, 170, 180), (0, 2, 2, 2)])
def test_batches(shape: tuple[int, int, int, int], dtype: str) -> None:
    count, m, k, n = shape
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(count, m, k)).astype(dtype), rng.normal(size=(count, k, n)).astype(dtype)
    one = np.broadcast_to(rng.normal(size=(k, n)).astype(dtype), (count, k, n))
    for right in (b, one):
        found = []
        for threads_ in (1, 3):
            sg.set_num_threads(threads_)
            c = np.full((count, m, n), 9, dtype)
            multiply(a, right, c)
            found.append(c)
        np.testing.assert_array_equal(found[0], found[1])
        tolerance = 1e-3 if dtype == "float32" else 1e-11
        np.testing.assert_allclose(found[0], a @ right, rtol=tolerance, atol=tolerance)


def test_products_of_several_python_threads() -> None:
    sg.set_num_threads(2)
    x, y = sg.tensor("x", shape=("m", "k")), sg.tensor("y", shape=("k", "n"))
    f = sg.function([x, y], x @ y, backend="llvm")
    rng = np.random.default_rng(5)
    operands = [(rng.normal(size=(s, 300)), rng.normal(size=(300, s + 11))) for s in (40, 150, 230, 310)]
    expected = [f(a, b) for a, b in operands]
    wrong: list[int] = []

    def calls(number: int) -> None:
        for _ in range(30):
            if not np.array_equal(f(*operands[number]), expected[number]):
                wrong.append(number)

    callers = [threading.Thread(target=calls, args=(i,)) for i in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong
    for (a, b), found in zip(operands, expected, strict=True):
        np.testing.assert_allclose(found, a @ b, rtol=1e-9, atol=1e-9)


def test_a_product_added_to_a_state() -> None:
    """An update w - c (a b) is one product that adds; in float32 with sizes known only when it runs."""
    w = sg.shared(np.ones((30, 25), np.float32), "w")
    a, b = sg.tensor("a", shape=("n", 30), dtype="float32"), sg.tensor("b", shape=("n", 25), dtype="float32")
    f = sg.function([a, b], [], updates={w: w - 0.5 * (a.T @ b)}, backend="llvm")
    assert "w[30, 25] += -0.5 * a" in f.plan()
    rng = np.random.default_rng(6)
    expected = np.ones((30, 25))
    for n in (1, 17, 400):
        x, y = (rng.normal(size=(n, c)).astype(np.float32) for c in (30, 25))
        f(x, y)
        expected -= 0.5 * (x.T.astype(np.float64) @ y)
    np.testing.assert_allclose(w.value, expected, rtol=1e-4, atol=1e-4)


LEVELS = ("x86-64", "x86-64-v2", "x86-64-v3")


@pytest.mark.parametrize("level", LEVELS)
def test_levels(level: str) -> None:
    """The same tests on less than this machine has."""
    skip_unless_below(level)
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", __file__, "-k"]
    run = subprocess.run(
        [*command, "random_products or not_finite or nothing or batches or without_memory"],
        env=os.environ | {"SYMGRAD_CPU": level},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-1000:]


@pytest.mark.parametrize("kind", KINDS.values())
def test_aarch64_is_assembled(kind: str) -> None:
    target = Target("aarch64-unknown-linux-gnu", "generic", "+neon")
    llvm_targets = pytest.importorskip("llvmlite.binding")
    llvm_targets.initialize_all_targets()
    llvm_targets.initialize_all_asmprinters()
    text = assembly(emit_products(kind, target.machine), target)
    assert "fmla" in text


def test_no_product_spills() -> None:
    """A tile stays in registers: the largest micro-kernels keep no vector on the stack, and touch it in no
    step."""
    if not host().machine.has_avx512:
        pytest.skip("looks at the code for AVX-512")
    sizes = tiles("f32", host().machine)
    text = assembly(emit_products("f32", host().machine), host())
    start = text.index(f"micro.f32.{sizes.rows}x{sizes.vectors}:")
    body = text[start : text.index(".cfi_endproc", start)]
    steps = re.search(r"^(\.LBB\w+):\n(?:\t.*\n)+?\tj\w+\t\1$", body, re.MULTILINE)
    assert steps is not None
    assert steps[0].count("vfmadd") == sizes.rows * sizes.vectors
    assert "rsp" not in steps[0]
    # a number that is needed behind the steps alone may be read from there
    assert not [line for line in body.splitlines() if "zmm" in line and "rsp" in line and "vmov" in line]


@pytest.mark.parametrize("adds", [False, True])
@pytest.mark.parametrize("rows", range(1, 12))
def test_the_last_rows_of_few_columns(rows: int, adds: bool) -> None:
    """They share rows with the tile before, but where the result is added to."""
    rng = np.random.default_rng(rows)
    a, w, c = rng.normal(size=(rows, 100)), rng.normal(size=(10, 100)), rng.normal(size=(rows + 2, 10))
    wanted = c.copy()
    wanted[1:-1] = 0.5 * (a @ w.T) + adds * c[1:-1]
    multiply(a, w.T, c[1:-1], 0.5, adds)
    np.testing.assert_allclose(c, wanted, rtol=1e-12, atol=1e-12)
