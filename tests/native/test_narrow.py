"""Rows of few elements that only a loop over rows touches lie there by columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad_compiler.plan import rows
from symgrad_compiler.plan.narrow import MOST_NARROW
from symgrad_compiler.plan.steps import Kernel, MatMulStep, RowLoop


@pytest.fixture(params=[1, 3, *(pytest.param(n, marks=pytest.mark.campaign) for n in (2, 7))])
def tiny_blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(rows, "LEAST_BYTES", -1)
    monkeypatch.setattr(rows, "_block", lambda n, *_: request.param if n != 0 else None)
    monkeypatch.setenv("SYMGRAD_CACHE_DIR", "")
    return int(request.param)


def loops(f: Any) -> list[RowLoop]:
    return [s for s in f._compiled._compilation.plan.steps if isinstance(s, RowLoop)]


def turned(f: Any) -> list[Kernel]:
    """Kernels of loops that go through columns first."""
    steps = [pair for loop in loops(f) for pair in zip(loop.whole, loop.body, strict=True)]
    kernels = [(a, b) for a, b in steps if isinstance(a, Kernel) and isinstance(b, Kernel)]
    return [b for a, b in kernels if b.space[:-1] == a.space[1:] and b.space[1:] != a.space[1:]]


def mixture(n: Any, k: int, dtype: str) -> tuple[list[Any], list[Any]]:
    """Each observation's share in k components, and what is done with shares: sums of all kinds along both
    axes, picks and scatters along the short one."""
    a, b = (sg.vector(name, size=n, dtype=dtype) for name in "ab")
    c = sg.vector("c", size=k, dtype=dtype)
    i = sg.vector("i", size=n, dtype="int64")
    distance = sg.square(a[:, None] - c)
    share = sg.softmax(-distance * b[:, None], axis=1)
    wide = share - sg.mean(share, axis=1, keepdims=True)
    picked = sg.take_along_axis(share, i[:, None], axis=1)
    loss = sg.sum(sg.log(picked + 0.5))
    return [a, b, c, i], [
        sg.logsumexp(wide, axis=1),
        sg.sum(share * distance, axis=0),
        sg.max(wide, axis=1),
        sg.min(wide * distance, axis=0),
        sg.sum(wide * wide),
        sg.argmax(wide, axis=1),
        sg.any(wide > 0.3, axis=1),
        sg.prod(share + 0.5, axis=1),
        loss,
        *sg.grad(loss + sg.sum(wide**3), [a, b, c]),
    ]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [11, "n"], ids=str)
@pytest.mark.parametrize("k", [1, 2, 5, MOST_NARROW, MOST_NARROW + 1])
def test_sums_picks_and_scatters(k: int, n: Any, dtype: str, tiny_blocks: int) -> None:
    inputs, outputs = mixture(n, k, dtype)
    tuned, plain = (sg.function(inputs, outputs, backend=b) for b in ("llvm", "numpy"))
    assert bool(turned(tuned)) == (2 <= k <= MOST_NARROW)
    rng = np.random.default_rng(0)
    tolerance = {"rtol": 3e-5, "atol": 3e-6} if dtype == "float32" else {"rtol": 1e-11, "atol": 1e-13}
    for size in (11, 4, 1) if n == "n" else (11,):
        args = [rng.normal(size=size), rng.uniform(0.5, 2, size), rng.normal(size=k)]
        args = [v.astype(dtype) for v in args]
        index = rng.integers(0, k, size)
        for x, y in zip(tuned(*args, index), plain(*args, index), strict=True):
            np.testing.assert_allclose(x, y, **tolerance)


def classifier(n: Any, dtype: str) -> tuple[list[Any], list[Any]]:
    x, y = sg.matrix("x", shape=(n, 70), dtype=dtype), sg.vector("y", size=n, dtype="int64")
    w, v = sg.matrix("w", shape=(70, 6), dtype=dtype), sg.matrix("v", shape=(6, 70), dtype=dtype)
    hidden = sg.tanh(x @ w)
    score = sg.log_softmax(hidden - sg.max(hidden, axis=1, keepdims=True), axis=1)
    loss = -sg.sum(sg.take_along_axis(score, y[:, None], axis=1))
    return [x, y, w, v], [loss, *sg.grad(loss, [w, x]), hidden @ v]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows_", [2100, "n"], ids=str)
def test_products_write_and_read_columns(rows_: Any, dtype: str, tiny_blocks: int) -> None:
    """Both ways: of few columns (dot products), and from few columns to many."""
    inputs, outputs = classifier(rows_, dtype)
    tuned, plain = (sg.function(inputs, outputs, backend=b) for b in ("llvm", "numpy"))
    products = [s for loop in loops(tuned) for s in loop.body if isinstance(s, MatMulStep)]
    assert any(s.out.layout.strides[0] == 1 for s in products)
    assert turned(tuned)
    rng = np.random.default_rng(0)
    x, w, v = (rng.normal(size=s).astype(dtype) / 8 for s in ((2100, 70), (70, 6), (6, 70)))
    for size in (2100, 5) if rows_ == "n" else (2100,):
        args = [x[:size], rng.integers(0, 6, size), w, v]
        for a, b in zip(tuned(*args), plain(*args), strict=True):
            eps = np.finfo(dtype).eps
            np.testing.assert_allclose(a, b, rtol=2000 * eps, atol=200 * eps)


def test_what_others_see_stays_by_rows(tiny_blocks: int) -> None:
    """An argument or a result with rows and columns would be read or written across."""
    x = sg.matrix("x", shape=("n", 5))
    f = sg.function([x], [sg.softmax(x, axis=1), sg.sum(sg.softmax(x, axis=1) ** 2, axis=0)])
    assert loops(f)
    assert not turned(f)


def test_a_block_of_scores_lies_by_columns() -> None:
    x, w = sg.matrix("x", shape=(60_000, 784), dtype="float32"), sg.matrix("w", (784, 10), "float32")
    y = sg.vector("y", size=60_000, dtype="int64")
    loss = -sg.mean(sg.take_along_axis(sg.log_softmax(x @ w, axis=1), y[:, None], axis=1))
    f = sg.function([x, y, w], [loss, sg.grad(loss, w)])
    (loop,) = loops(f)
    first = loop.body[0]
    assert isinstance(first, MatMulStep)
    assert first.out.layout.shape == (50, 10)
    assert first.out.layout.strides == (1, 50)
    assert {k.space for k in turned(f)} == {(10, 50), (1, 50)}
