"""Loops over rows: kernels that go through the same rows share one visit of memory."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad_compiler.plan import rows
from symgrad_compiler.plan.steps import RowLoop

FEW = [1, 2, 3, 7]


@pytest.fixture(params=[FEW[0], *(pytest.param(n, marks=pytest.mark.seen) for n in FEW[1:])])
def tiny_blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Loops of blocks of a few rows, whatever the size of a row."""
    monkeypatch.setattr(rows, "LEAST_BYTES", -1)
    monkeypatch.setattr(rows, "_block", lambda n, *_: request.param if n != 0 else None)
    monkeypatch.setenv("SYMGRAD_CACHE_DIR", "")
    return int(request.param)


def centred(x: Any) -> Any:
    return x - sg.mean(x, axis=-1, keepdims=True)


def norm(x: Any) -> Any:
    c = centred(x)
    return c / sg.sqrt(sg.mean(c**2, axis=-1, keepdims=True) + 1e-5)


def with_gradient(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: [f(x), sg.grad(sg.sum(f(x) ** 2), x)]


def batch_norm(x: Any) -> Any:
    c = x - sg.mean(x, axis=0)
    return c / sg.sqrt(sg.mean(c**2, axis=0) + 1e-5)


PROGRAMS: dict[str, Callable[[Any], Any]] = {
    "softmax": with_gradient(lambda x: sg.softmax(x, axis=-1)),
    "log_softmax": with_gradient(lambda x: sg.log_softmax(x, axis=-1)),
    "layer norm": with_gradient(norm),
    "column sums": lambda x: [sg.sum(norm(x), axis=0), norm(x)],
    "columns of each kind": lambda x: [
        sg.sum(centred(x), axis=0),
        sg.max(centred(x), axis=0),
        sg.min(centred(x), axis=0),
        sg.prod(centred(x), axis=0),
        sg.any(centred(x) > 0.5, axis=0),
        sg.all(centred(x) > -0.5, axis=0),
        sg.argmax(centred(x), axis=0),
        sg.argmin(centred(x), axis=1),
    ],
    "everything": lambda x: [sg.sum(centred(x)), sg.max(centred(x)), sg.mean(norm(x) ** 2)],
    "batch norm": with_gradient(batch_norm),
    "rows of rows": lambda x: [sg.sum(sg.softmax(centred(x), axis=-1) * norm(x), axis=-1)],
    "picked": lambda x: [sg.softmax(x, axis=-1)[:, 1], sg.grad(sg.sum(sg.log(sg.softmax(x))[:, 1]), x)],
    "transposed": lambda x: [sg.softmax(centred(x), axis=0), norm(x.T)],
    "reversed": lambda x: [centred(x)[::-1], norm(centred(x)[:, ::-1])],
    "halves": lambda x: [sg.concat([norm(x), centred(x)], axis=1), sg.concat([norm(x), centred(x)], axis=0)],
    "counted": lambda x: [norm(x) * sg.arange(x.shape[0])[:, None] + sg.arange(x.shape[1])],
    "sums after sums": lambda x: [centred(x) * sg.sum(norm(x), axis=0) - sg.sum(norm(x) * 2)],
    "written in part": lambda x: [norm(x.at[:, 1].set(3.0)), centred(x.at[-1].add(2.0))],
    "cumulative": lambda x: [norm(sg.cumulative_sum(centred(x), axis=1)), sg.cumulative_sum(norm(x), axis=0)],
}


@pytest.mark.parametrize("shape", [(11, 5), ("n", 5), ("n", "m"), (1, 4)], ids=str)
@pytest.mark.parametrize("program", PROGRAMS)
def test_blocks_of_few_rows(program: str, shape: tuple[Any, ...], tiny_blocks: int) -> None:
    x = sg.tensor("x", shape)
    outputs = PROGRAMS[program](x)
    tuned = sg.function([x], outputs, backend="llvm")
    plain = sg.function([x], outputs, backend="numpy")
    rng = np.random.default_rng(0)
    for n in (11, 4, 2) if shape[0] == "n" else (shape[0],):
        value = rng.normal(size=(n, 5 if shape[1] == "m" else shape[1]))
        for a, b in zip(tuned(value), plain(value), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)


def test_three_leading_axes(tiny_blocks: int) -> None:
    """Axes that advance as one are one axis of rows; a mask that is the same for each batch leaves fewer."""
    x, mask = sg.tensor("x", (3, 2, 4, 5)), sg.tensor("mask", (4, 5))
    y = sg.softmax(x + mask, axis=-1)
    outputs = [y, sg.grad(sg.sum(norm(y) ** 3), x), norm(x)]
    rng = np.random.default_rng(0)
    args = rng.normal(size=(3, 2, 4, 5)), rng.normal(size=(4, 5))
    tuned, plain = (sg.function([x, mask], outputs, backend=b)(*args) for b in ("llvm", "numpy"))
    for a, b in zip(tuned, plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13)


def test_picks_and_scatters_by_row(tiny_blocks: int) -> None:
    x, i = sg.matrix("x", shape=(9, 4)), sg.matrix("i", shape=(9, 3), dtype="int64")
    p = sg.take_along_axis(sg.softmax(x, axis=1), i, axis=1)
    f = sg.function([x, i], [p, sg.grad(sg.sum(sg.log(p)), x)])
    rng = np.random.default_rng(0)
    value, index = rng.normal(size=(9, 4)), rng.integers(-4, 4, (9, 3))
    expected = sg.function([x, i], [p, sg.grad(sg.sum(sg.log(p)), x)], backend="numpy")(value, index)
    for a, b in zip(f(value, index), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    index[7, 1] = 4
    with pytest.raises(IndexError, match="4"):
        f(value, index)


def loops(f: Any) -> list[RowLoop]:
    return [s for s in f._compiled._compilation.plan.steps if isinstance(s, RowLoop)]


def cross_entropy(n: Any, k: Any) -> tuple[list[Any], list[Any]]:
    x, y = sg.matrix("x", shape=(n, k), dtype="float32"), sg.vector("y", size=n, dtype="int64")
    loss = sg.mean(sg.logsumexp(x, axis=1) - sg.take_along_axis(x, y[:, None], axis=1)[:, 0])
    return [x, y], [loss, sg.grad(loss, x)]


def layer_norm_gelu(n: Any, d: Any) -> tuple[list[Any], list[Any]]:
    x, r = sg.matrix("x", shape=(n, d), dtype="float32"), sg.matrix("r", shape=(n, d), dtype="float32")
    g, b = sg.vector("g", size=d, dtype="float32"), sg.vector("b", size=d, dtype="float32")
    y = sg.gelu(norm(x) * g + b)
    return [x, g, b, r], [y, *sg.vjp(y, [x, g, b], r)]


@pytest.mark.parametrize(("n", "k"), [(512, 3200), ("n", 3200), ("n", "k")])
def test_cross_entropy_and_its_gradient_visit_memory_once(n: Any, k: Any) -> None:
    inputs, outputs = cross_entropy(n, k)
    f = sg.function(inputs, outputs, backend="llvm")
    (loop,) = loops(f)
    moved = {a.storage for a in (*loop.reads(), *loop.writes())} - loop.local
    large = [str(s) for s in moved if s.size == inputs[0].size]
    assert sorted(large) == ["d_x", "x"]


@pytest.mark.parametrize(("n", "d"), [(4096, 1024), ("n", 1024), ("n", "d")])
def test_layer_norm_gelu_and_its_gradient_visit_memory_once(n: Any, d: Any) -> None:
    inputs, outputs = layer_norm_gelu(n, d)
    f = sg.function(inputs, outputs, backend="llvm")
    (loop,) = loops(f)
    moved = {a.storage for a in (*loop.reads(), *loop.writes())} - loop.local
    assert sum(s.size == inputs[0].size for s in moved) == 4  # x and r come in, y and d_x go out


def test_the_plan_says_what_a_loop_does() -> None:
    inputs, outputs = layer_norm_gelu(4096, 1024)
    text = sg.function(inputs, outputs, backend="llvm").plan()
    head = re.search(r"loop over 4096 rows, (\d+) at a time, \d+ steps: flops \d+, bytes (\d+)", text)
    assert head is not None
    assert int(head[2]) < 1.01 * 4 * 4096 * 1024 * 4


def test_sums_over_many_blocks_lose_little() -> None:
    x = sg.matrix("x", shape=("n", 256), dtype="float32")
    f = sg.function([x], [sg.sum(norm(x) * 0 + 0.1, axis=0), sg.max(norm(x))], backend="llvm")
    assert loops(f)
    value = np.random.default_rng(0).normal(size=(200_000, 256)).astype("float32")
    total, _ = f(value)
    np.testing.assert_allclose(total, 200_000 * float(np.float32(0.1)), rtol=1e-6)
    value[7] = np.inf
    assert np.isnan(f(value)[0]).all()


def test_an_infinite_term_stays_infinite(tiny_blocks: int) -> None:
    x = sg.matrix("x", shape=("n", 5))
    f = sg.function([x], [sg.sum(sg.exp(centred(x)), axis=0)], backend="llvm")
    value = np.zeros((9, 5))
    value[2, 3] = 4000.0
    assert f(value)[0].tolist() == [8.0, 8.0, 8.0, np.inf, 8.0]


def test_small_programs_need_no_loops() -> None:
    x = sg.matrix("x", shape=(20, 10))
    assert not loops(sg.function([x], sg.softmax(x, axis=1), backend="llvm"))


def test_kernels_of_one_structure_share_code() -> None:
    """An unrolled recurrence: as many functions for 6 steps as for 12."""

    def kernels(steps: int) -> int:
        x, w = sg.tensor("x", (steps, 64)), sg.matrix("w", shape=(64, 64))
        h = sg.zeros(64)
        for i in range(steps):
            h = sg.tanh(h @ w + x[i])
        outputs = [h, *sg.grad(sg.sum(h**2), [x, w])]
        f, plain = (sg.function([x, w], outputs, backend=b) for b in ("llvm", "numpy"))
        rng = np.random.default_rng(0)
        args = rng.normal(size=(steps, 64)), rng.normal(size=(64, 64)) / 8
        for a, b in zip(f(*args), plain(*args), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-14)
        text: str = f._compiled._compilation.text
        return len(re.findall(r"define .*kernel", text))

    assert kernels(12) <= kernels(6) + 2


def test_products_and_factors_of_one_structure_share_code() -> None:
    """An unrolled filter: as many functions for 4 steps as for 7."""

    def functions(count: int, size: int = 3) -> int:
        a = sg.tensor("a", (count, size, size))
        p, total = sg.eye(size), sg.constant(0.0)
        for i in range(count):
            p = a[i] @ p @ a[i].T + sg.eye(size)
            total = total + sg.sum(sg.log(sg.diagonal(sg.linalg.cholesky(p))))
            total = total + sg.sum(sg.linalg.solve(p, a[i]))
        outputs = [total, sg.grad(total, a)]
        f, plain = (sg.function([a], outputs, backend=b) for b in ("llvm", "numpy"))
        value = np.random.default_rng(0).normal(size=(count, size, size)) / size
        for x, y in zip(f(value), plain(value), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-12)
        text: str = f._compiled._compilation.text
        return len(re.findall(r"define .*(matmul|factor)", text))

    assert functions(7) <= functions(4) + 3


@pytest.mark.parametrize("size", [3, 12])
def test_of_factors_that_share_code_the_failing_one_is_named(size: int) -> None:
    names = ["first", "second", "third"]
    inputs = [sg.tensor(n, (size, size)) for n in names]
    results = [sg.linalg.cholesky(a).named(f"factor_{n}") for a, n in zip(inputs, names, strict=True)]
    f = sg.function(inputs, results, backend="llvm")
    assert len(re.findall(r"define .*factor", f._compiled._compilation.text)) == 1
    for i, name in enumerate(names):
        arrays = [np.eye(size)] * 3
        arrays[i] = -arrays[i]
        with pytest.raises(sg.LinAlgError, match=f"factor_{name}"):
            f(*arrays)


def test_slices_of_nothing() -> None:
    """Sizes such as m - 1 may be negative at a call; then there is nothing, not a product of two of them."""
    y = sg.tensor("y", ("n", "m"))
    z = y[1:, 1:]
    f = sg.function([y], [sg.softmax(z, axis=1), sg.sum(z, axis=0)], backend="llvm")
    for shape, expected in (((3, 0), [(2, 0), (0,)]), ((0, 0), [(0, 0), (0,)]), ((0, 3), [(0, 2), (2,)])):
        assert [v.shape for v in f(np.zeros(shape))] == expected
    i = sg.tensor("i", ("k",), "int64")
    g = sg.function([i], sg.zeros((i.shape[0] - 1,)).at[i[1:]].add(1.0), backend="llvm")
    assert g(np.zeros(0, np.int64)).shape == (0,)
    w = y[3000:, 3000:]
    assert sg.function([y], sg.exp(sg.cumsum(w, axis=0)), backend="llvm")(np.zeros((0, 0))).shape == (0, 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_last_rows_are_read_before_their_memory_is_written(
    dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LLVM 22 read the tail of a reduction anew, behind the store of a result to the same memory."""
    monkeypatch.setenv("SYMGRAD_CACHE_DIR", "")
    k = 8
    a, b, c = (sg.vector(name, size=n, dtype=dtype) for name, n in (("a", "n"), ("b", "n"), ("c", k)))
    w = sg.matrix("w", (k, k), dtype)
    p = sg.square(a[:, None] - c) * 0.1
    q = sg.sin(a[:, None] * c + b[:, None])
    turned = sg.permute_dims(sg.reshape(q, (-1, k // 2, 2)), (0, 2, 1))
    r = sg.reshape(turned, (a.shape[0], k)) + q
    s = sg.sum(r[:, :, None] * w, axis=1) * 0.2
    loss = (sg.sum(sg.sin(r)) + sg.sum(sg.sin(s)) + sg.sum(sg.sin(sg.exp(-sg.abs(p))))) / 2
    outputs = [sg.min(q * q, axis=0), sg.max(sg.abs(p)), sg.grad(loss, c)]
    f, g = (sg.function([a, b, c, w], outputs, backend=name) for name in ("llvm", "numpy"))
    rng = np.random.default_rng(1)
    for size in (1, 3, 5, 22, 200):
        args = [rng.normal(size=s).astype(dtype) for s in (size, size, k, (k, k))]
        for x, y in zip(f(*args), g(*args), strict=True):
            eps = np.finfo(dtype).eps
            np.testing.assert_allclose(x, y, rtol=1000 * eps, atol=100 * eps)
