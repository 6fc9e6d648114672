"""Matrix products in loops over rows: a tall matrix is read once for a product and its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad_compiler.plan import rows
from symgrad_compiler.plan.steps import MatMulStep, RowLoop

DTYPES = ("float32", "float64")


@pytest.fixture(params=[1, *(pytest.param(n, marks=pytest.mark.seen) for n in (2, 5, 7, 64))])
def tiny_blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(rows, "LEAST_BYTES", -1)
    monkeypatch.setattr(rows, "_block", lambda n, *_: request.param if n != 0 else None)
    monkeypatch.setenv("SYMGRAD_CACHE_DIR", "")
    return int(request.param)


def looped(f: Any) -> list[MatMulStep]:
    loops = [s for s in f._compiled._compilation.plan.steps if isinstance(s, RowLoop)]
    return [step for loop in loops for step in loop.body if isinstance(step, MatMulStep)]


def products_in_loops(f: Any) -> int:
    return len(looped(f))


def regression(dtype: str, d: int, k: int, n: int | str = "n") -> tuple[list[Any], list[Any]]:
    """Softmax regression: loss, gradients of weights and bias, and the predictions."""
    x, w, b = (sg.tensor(c, s, dtype) for c, s in (("x", (n, d)), ("w", (d, k)), ("b", (k,))))
    y = sg.tensor("y", (n,), "int64")
    z = x @ w + b
    picked = sg.take_along_axis(z, sg.expand_dims(y, 1), axis=1)
    loss = sg.sum(sg.logsumexp(z, axis=1) - sg.squeeze(picked, 1))
    return [x, y, w, b], [loss, *sg.grad(loss, [w, b]), sg.argmax(z, axis=1)]


def arguments(rng: np.random.Generator, dtype: str, n: int, d: int, k: int) -> list[Any]:
    x, w, b = (rng.normal(size=s).astype(dtype) for s in ((n, d), (d, k), (k,)))
    return [x, rng.integers(0, k, n), w / d, b]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("d", "k"), [(70, 10), (130, 3), (5, 2), (64, 24), (3, 20)])
def test_softmax_regression(dtype: str, d: int, k: int, tiny_blocks: int) -> None:
    inputs, outputs = regression(dtype, d, k)
    native = sg.function(inputs, outputs, backend="llvm")
    assert products_in_loops(native) == 2
    plain = sg.function(inputs, outputs, backend="numpy")
    rng = np.random.default_rng(0)
    for n in (0, 1, 2, 7, 65, 129):
        given = arguments(rng, dtype, n, d, k)
        tolerance = 1e-5 if dtype == "float32" else 1e-12
        for a, b in zip(native(*given), plain(*given), strict=True):
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * 10)


def nearest(dtype: str, d: int, k: int, n: int | str = "n") -> tuple[list[Any], list[Any]]:
    """The nearest of k centres and how near it is; and the logarithms of sums over all."""
    x, c = sg.tensor("x", (n, d), dtype), sg.tensor("c", (k, d), dtype)
    apart = sg.sum(c * c, axis=1) - 2 * (x @ c.T)
    return [x, c], [sg.argmin(apart, axis=1), sg.min(apart, axis=1), sg.logsumexp(x @ c.T / 8, axis=1)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("d", "k"), [(64, 256), (33, 25), (2, 100), (100, 41)])
def test_products_of_more_columns_whose_rows_are_reduced(
    dtype: str, d: int, k: int, tiny_blocks: int
) -> None:
    """What they make is never in memory all at once."""
    inputs, outputs = nearest(dtype, d, k)
    native = sg.function(inputs, outputs, backend="llvm")
    assert products_in_loops(native) == 1
    plain = sg.function(inputs, outputs, backend="numpy")
    rng = np.random.default_rng(0)
    for n in (0, 1, 2, 7, 65, 129):
        x, c = rng.normal(size=(n, d)).astype(dtype), rng.normal(size=(k, d)).astype(dtype)
        tolerance = 1e-5 if dtype == "float32" else 1e-12
        for a, b in zip(native(x, c), plain(x, c), strict=True):
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * 10)


def test_products_that_are_read_otherwise_are_whole() -> None:
    """Elementwise results, other products, large matrices beside them: a loop would only cut them."""
    x, c, v = (
        sg.tensor(name, shape, "float32")
        for name, shape in (("x", ("n", 64)), ("c", (256, 64)), ("v", (256, 9)))
    )
    z = x @ c.T
    for outputs in ([sg.tanh(z)], [sg.max(z, axis=1), z], [sg.max(z, axis=0)], [sg.softmax(z, axis=1) @ v]):
        f = sg.function([x, c, v], outputs, backend="llvm", on_unused_input="ignore")
        assert all(s.node.inputs[0] is not x for s in looped(f)), outputs
    f = sg.function(*nearest("float32", 64, 1024), backend="llvm")
    assert products_in_loops(f) == 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_for_every_number_of_threads(dtype: str) -> None:
    """Chunks follow from sizes alone."""
    n, d, k = 5003, 203, 10
    inputs, outputs = regression(dtype, d, k)
    f = sg.function(inputs, outputs, backend="llvm")
    given = arguments(np.random.default_rng(1), dtype, n, d, k)
    before = sg.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 3, 7):
            sg.set_num_threads(threads)
            found.append([np.array(a) for a in f(*given)])
    finally:
        sg.set_num_threads(before)
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            assert a.tobytes() == b.tobytes()
    reference = sg.function(inputs, outputs, backend="numpy")(*given)
    for a, b in zip(found[0], reference, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4 if dtype == "float32" else 1e-11, atol=1e-3)


def test_static_rows() -> None:
    inputs, outputs = regression("float32", 784, 10, 4000)
    f = sg.function(inputs, outputs, backend="llvm")
    assert products_in_loops(f) == 2
    given = arguments(np.random.default_rng(2), "float32", 4000, 784, 10)
    for a, b in zip(f(*given), sg.function(inputs, outputs, backend="numpy")(*given), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3)


def test_masked_rows_of_numbers_that_are_not_finite(tiny_blocks: int) -> None:
    """The cotangent of a row that a mask leaves out is 0, and stays so beside inf and nan in that row."""
    x, w = sg.matrix("x", shape=("n", 6)), sg.matrix("w", shape=(6, 3))
    keep = sg.vector("keep", size="n", dtype="bool")
    z = sg.where(sg.expand_dims(keep, 1), x @ w, 0.0)
    gradient = sg.grad(sg.sum(z**2), w)
    f = sg.function([x, w, keep], gradient, backend="llvm")
    rng = np.random.default_rng(3)
    value, weights = rng.normal(size=(23, 6)), rng.normal(size=(6, 3))
    mask = rng.random(23) < 0.6
    value[~mask] = np.array([np.inf, np.nan, -np.inf])[rng.integers(0, 3, ((~mask).sum(), 6))]
    kept = value[mask]
    np.testing.assert_allclose(f(value, weights, mask), 2 * kept.T @ (kept @ weights), rtol=1e-12)


def test_update_in_place() -> None:
    """A step of gradient descent: the weights are read by columns before the loop, and written after it."""
    w = sg.shared(np.zeros((50, 4)), "w")
    x, t = sg.matrix("x", shape=("n", 50)), sg.matrix("t", shape=("n", 4))
    loss = sg.mean((x @ w - t) ** 2)
    f = sg.function([x, t], loss, updates={w: w - 0.1 * sg.grad(loss, w)}, backend="llvm")
    assert products_in_loops(f) == 2
    rng = np.random.default_rng(4)
    expected = np.zeros((50, 4))
    for n in (3, 200, 1500):
        value, target = rng.normal(size=(n, 50)), rng.normal(size=(n, 4))
        miss = value @ expected - target
        np.testing.assert_allclose(f(value, target), np.mean(miss**2), rtol=1e-10)
        expected = expected - 0.1 * 2 * value.T @ miss / miss.size
        np.testing.assert_allclose(w.value, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("row", [0, 2500, 4999])
def test_a_guarded_program_sees_what_a_product_makes_of_each_row(row: int) -> None:
    """Found in review: the product of a loop over rows was not looked at; tanh makes its infinity 1."""
    x, w = sg.tensor("x", ("n", 784)), sg.tensor("w", (784, 10))
    z = x @ w
    y = sg.sum(sg.tanh(z))
    f = sg.function([x, w], [y, sg.grad(y, w)], backend="llvm", nan_guard=True)
    rows, weights = np.zeros((5000, 784)), np.full((784, 10), 1e200)
    assert f(rows, weights)[0] == 0
    rows[row] = 1e200
    with pytest.raises(sg.ExecutionError, match="matmul"):
        f(rows, weights)


def test_strong_zeros_join_a_loop_where_they_are_cheap() -> None:
    """Beside an operand with gaps, whose numbers are not looked at in one go, the product stands alone."""
    k, w = sg.tensor("k", ("n", 8), "bool"), sg.tensor("w", (50, 8))

    def step(x: Any) -> Any:
        chosen = sg.where(k, x[:, :50] @ w, 0)
        return sg.function([x, k, w], [sg.sum(chosen), sg.grad(sg.sum(chosen), w)], backend="llvm")

    dense, gaps = (step(sg.tensor("x", ("n", d))) for d in (50, 100))
    assert products_in_loops(dense) > products_in_loops(gaps)
    rng = np.random.default_rng(0)
    value, mask = rng.standard_normal((2000, 100)), rng.random((2000, 8)) < 0.5
    weights = rng.standard_normal((50, 8))
    expected = value[:, :50].T @ mask.astype(float)
    np.testing.assert_allclose(dense(value[:, :50], mask, weights)[1], expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(gaps(value, mask, weights)[1], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("is_hidden", [False, True], ids=["seen", "hidden"])
def test_infinities_meet_zeros_of_a_short_operand(dtype: str, is_hidden: bool, tiny_blocks: int) -> None:
    """The short operand is looked through for zeros first: where a row of the mask hides what is not finite,
    it adds nothing; where nothing is hidden, it is seen."""
    k, w = sg.tensor("k", ("n", 3), "bool"), sg.tensor("w", (40, 3), dtype)
    x = sg.tensor("x", ("n", 40), dtype)
    total = sg.sum(sg.where(k, x @ w, 0))
    f = sg.function([x, k, w], [total, sg.grad(total, w)], backend="llvm")
    rng = np.random.default_rng(0)
    value = rng.standard_normal((130, 40)).astype(dtype)
    mask, weights = np.ones((130, 3), bool), rng.standard_normal((40, 3)).astype(dtype)
    value[77, 5], value[3, 39] = np.inf, np.nan
    if is_hidden:
        mask[[3, 77]] = False
        mask[77, 0] = True
    _, found = f(value, mask, weights)
    seen = [[5, 0]] if is_hidden else [[5, 0], [5, 1], [5, 2], [39, 0], [39, 1], [39, 2]]
    assert np.argwhere(~np.isfinite(found)).tolist() == seen
    fine = np.where(np.isfinite(value), value, 0).T @ mask.astype(dtype)
    tolerance = 1e-4 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(
        found[np.isfinite(found)], fine[np.isfinite(found)], rtol=tolerance, atol=tolerance
    )
