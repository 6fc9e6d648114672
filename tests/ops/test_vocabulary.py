"""NumPy's spellings: names, positions of arguments, integers; and what is said where they do not fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special

import symgrad as sg

rng = np.random.default_rng(0)
A = rng.normal(size=(4, 6))
I = np.array([[3, -7, 15], [25, 0, -15]])
B = np.array([True, False, True]), np.array([True, True, False])
U8 = np.array([0, 7, 255], np.uint8)

x, i, u = sg.tensor("x", (4, 6)), sg.tensor("i", (2, 3), "int64"), sg.vector("u", 3, "uint8")
v, k = sg.vector("v", "n"), sg.scalar("k", "int64")
two, dims = np.int64(2), np.array([2, 12])

#: The same expression of symgrad and of NumPy.
SAME: list[Callable[[Any, Any, Any, Any], Any]] = [
    lambda np_, a, n, w: np_.flip(a, 0),
    lambda np_, a, n, w: np_.tril(a, 1),
    lambda np_, a, n, w: np_.triu(a, -1),
    lambda np_, a, n, w: np_.repeat(a, 2, 1),
    lambda np_, a, n, w: a.repeat(2, 1),
    lambda np_, a, n, w: np_.searchsorted(np.arange(5.0), a, "right"),
    lambda np_, a, n, w: np_.searchsorted(np.array([3.0, -1.0, 0.0]), a, "left", np.array([1, 2, 0])),
    lambda np_, a, n, w: np_.searchsorted(np.array([3.0, -1.0, 0.0]), a, sorter=np.array([1, 2, 0])),
    lambda np_, a, n, w: np_.eye(3, 4, 1),
    lambda np_, a, n, w: np_.eye(3, 4, -1, "int64"),
    lambda np_, a, n, w: np_.sum(a, 0, "float32"),
    lambda np_, a, n, w: np_.prod(n, 0, "float64"),
    lambda np_, a, n, w: np_.linspace(0, 1, 5, False),
    lambda np_, a, n, w: np_.linspace(0, 1, np.int64(5), True),
    lambda np_, a, n, w: np_.linalg.norm(a, np.int64(1), 0, True),
    lambda np_, a, n, w: np_.array_split(a, two)[1],
    lambda np_, a, n, w: np_.reshape(a, (np.int64(8), -1)),
    lambda np_, a, n, w: np_.reshape(a, (3, np.int64(-1))),
    lambda np_, a, n, w: np_.reshape(a, dims),
    lambda np_, a, n, w: a.reshape(dims),
    lambda np_, a, n, w: np_.transpose(a, np.array([1, 0])),
    lambda np_, a, n, w: a.transpose(np.array([1, 0])),
    lambda np_, a, n, w: np_.broadcast_to(a, np.array([2, 4, 6])),
    lambda np_, a, n, w: np_.tensordot(a, np.ones((6, 2)), np.int64(1)),
    lambda np_, a, n, w: np_.tensordot(a, np.ones((6, 2)), np.array([1, 0])),
    lambda np_, a, n, w: np_.tile(a, np.array([2, 1])),
    lambda np_, a, n, w: np_.roll(a, np.array([2, 1]), np.array([0, 1])),
    lambda np_, a, n, w: np_.sum(a, axis=tuple(np.array([0, 1]))),
    lambda np_, a, n, w: np_.zeros(np.array([2, 3])),
    lambda np_, a, n, w: np_.mod(a, 0.3),
    lambda np_, a, n, w: np_.invert(n),
    lambda np_, a, n, w: np_.bitwise_not(w[0]),
    lambda np_, a, n, w: np_.left_shift(n, 2),
    lambda np_, a, n, w: np_.right_shift(n, 1),
    lambda np_, a, n, w: np_.around(a, 2),
    lambda np_, a, n, w: np_.round(a * 1e4, -2),
    lambda np_, a, n, w: np_.round(n, -1),
    lambda np_, a, n, w: np_.round(n, 3),
    lambda np_, a, n, w: np_.round(a),
    lambda np_, a, n, w: a.round(np.int64(1)),
    lambda np_, a, n, w: np_.fabs(a),
    lambda np_, a, n, w: np_.fabs(n),
    lambda np_, a, n, w: np_.float_power(n, 3),
    lambda np_, a, n, w: np_.float_power(2, n),
    lambda np_, a, n, w: np_.std(a, 0, ddof=1),
    lambda np_, a, n, w: a.var(ddof=2),
    lambda np_, a, n, w: np_.clip(a, a_min=-0.5, a_max=0.5),
    lambda np_, a, n, w: np_.clip(a, -0.5, a_max=0.5),
    lambda np_, a, n, w: a.copy(),
    lambda np_, a, n, w: np_.add(w[0], w[1]),
    lambda np_, a, n, w: w[0] * w[1],
    lambda np_, a, n, w: w[0] + True,
    lambda np_, a, n, w: np_.maximum(w[0], w[1]),
    lambda np_, a, n, w: np_.minimum(w[0], w[1]),
    lambda np_, a, n, w: w[2] < 300,
    lambda np_, a, n, w: w[2] >= 300,
    lambda np_, a, n, w: w[2] == -1,
    lambda np_, a, n, w: w[2] != 256,
    lambda np_, a, n, w: w[2] > -1,
    lambda np_, a, n, w: np_.less(300, w[2]),
    lambda np_, a, n, w: np_.greater_equal(2**70, n),
]


@pytest.mark.parametrize("place", range(len(SAME)))
def test_as_numpy(place: int) -> None:
    p, q = (sg.vector(name, 3, "bool") for name in "pq")
    expected = np.asarray(SAME[place](np, A, I, (*B, U8)))
    ours = SAME[place](sg, x, i, (p, q, u))
    found = sg.function([x, i, p, q, u], ours, on_unused_input="ignore")(A, I, *B, U8)
    assert np.asarray(found).dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_more_spellings() -> None:
    assert [t.shape for t in sg.split(x, np.int64(2), np.int64(1))] == [(4, 3), (4, 3)]
    assert [t.shape for t in sg.split(x, np.array([1, 3]))] == [(1, 6), (2, 6), (1, 6)]
    assert np.array_equal(x.sort(1).eval({x: A}), np.sort(A, 1))
    assert np.isclose(sg.vector_norm(x, ord=np.int64(2)).eval({x: A}), np.linalg.norm(A.ravel()))
    assert np.allclose(sg.polygamma(np.int64(1), v).eval({v: [1.5]}), scipy.special.polygamma(1, 1.5))
    assert (sg.cummax, sg.cummin, sg.psi) == (sg.cumulative_max, sg.cumulative_min, sg.digamma)
    assert (sg.log_expit, sg.special.exp2, sg.special.cbrt) == (sg.log_sigmoid, sg.exp2, sg.cbrt)
    for name in ("round", "std"):
        grad = sg.grad(sg.sum(v + getattr(sg, name)(v * 1.0)), v).eval({v: [1.0, 2.5]})
        assert np.isfinite(grad).all()


@pytest.mark.parametrize("method", [
    "linear", "lower", "higher", "midpoint", "nearest", "inverted_cdf", "averaged_inverted_cdf",
    "interpolated_inverted_cdf", "hazen", "weibull", "median_unbiased", "normal_unbiased",
])  # fmt: skip
def test_quantile_methods(method: str) -> None:
    q = [0, 0.1, 0.125, 0.2, 0.25, 1 / 3, 0.5, 0.6, 0.75, 0.9, 1]
    f = sg.function([v], sg.quantile(v, q, method=method))
    for n in (1, 2, 3, 4, 5, 8, 10, 25):
        a = rng.normal(size=n)
        np.testing.assert_allclose(f(a), np.quantile(a, q, method=method), rtol=1e-13)  # type: ignore[call-overload]
    ours, theirs = sg.quantile(i, 0.4, 1, method=method), np.quantile(I, 0.4, 1, method=method)  # type: ignore[call-overload]
    assert ours.dtype.numpy == theirs.dtype
    np.testing.assert_allclose(ours.eval({i: I}), theirs, rtol=1e-14)


# ---- errors -----------------------------------------------------------------------------------------

j = sg.vector("j", 5)
ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (sg.exp, sg.GraphError, "exp takes 1 operand, not 0"),
    (lambda: sg.add(x), sg.GraphError, "add takes 2 operands, not 1"),
    (lambda: sg.split(x, 2.0), sg.ShapeError, "split cannot cut at 2.0"),
    (lambda: sg.array_split(x, 2.0), sg.ShapeError, "cannot split into 2.0"),  # type: ignore[arg-type]
    (lambda: sg.quantile(x, "a"), sg.GraphError, "q must be a number"),
    (lambda: sg.quantile(x, k), sg.GraphError, "known when the graph is built"),
    (lambda: sg.constant([[1, 2], [3]]), sg.ShapeError, "nested lists need equal lengths"),
    (lambda: sg.asarray([[1, 2], [3]]), sg.ShapeError, "nested lists need equal lengths"),
    (lambda: sg.exp([[1, 2], [3]]), sg.ShapeError, "nested lists need equal lengths"),
    (lambda: sg.sum([x, x]), sg.DTypeError, r"use sg.stack\(\[...\]\)"),
    (lambda: sg.constant([k, [k]]), sg.DTypeError, r"use sg.stack\(\[...\]\)"),
    (lambda: sg.polygamma(k, v), sg.DTypeError, "an int as its order, not <k"),  # type: ignore[arg-type]
    (lambda: v[k:], sg.KeyShapeError, "known when the graph is built, not the tensor <k"),
    (lambda: j[:k], sg.KeyShapeError, "sg.take"),
    (lambda: v[1.5:], sg.KeyShapeError, "must be an int or a size, not 1.5"),
    (lambda: v[::0], sg.KeyShapeError, "not 0"),
    (lambda: j[::0], sg.KeyShapeError, "not 0"),
    (lambda: j[5], sg.KeyShapeError, "index 5 is out of range for an axis of size 5"),
    (lambda: j[[0, 5]], IndexError, "index 5 is out of range"),
    (lambda: j[0, 1], sg.KeyShapeError, "too many indices"),
    (lambda: j[1.5], sg.KeyShapeError, "not an index"),
    (lambda: j[j > 0], sg.KeyShapeError, "a mask that is no constant"),
    (lambda: sg.std(x, correction=1, ddof=1), sg.GraphError, "only one can be given"),
    (lambda: sg.clip(x, 0, a_min=0), sg.GraphError, "only one can be given"),
    (lambda: sg.round(x, 1.5), sg.GraphError, "decimals must be an int"),  # type: ignore[arg-type]
    (lambda: sg.median(sg.zeros((0, 3)), axis=0), sg.ShapeError, "median of no elements is not defined"),
    (lambda: i**-1, sg.DTypeError, r'x.astype\("float64"\) \*\* -1'),
    (lambda: sg.pow(i, np.array([1, -2, 3])), sg.DTypeError, r"negative powers \(-2\)"),
    (lambda: sg.quantile(x, 0.5, method="other"), sg.GraphError, '"hazen".* or ".*not .other'),
]


@pytest.mark.parametrize("place", range(len(ERRORS)))
def test_errors_say_what_is_wrong(place: int) -> None:
    call, kind, text = ERRORS[place]
    with pytest.raises(kind, match=text) as caught:
        call()
    assert isinstance(caught.value, sg.SymgradError)
    assert "test_vocabulary.py" in str(caught.value)


def test_the_median_of_an_axis_that_turns_out_empty() -> None:
    m = sg.matrix("m", ("r", "c"))
    f = sg.function([m], [sg.median(m, axis=0), sg.quantile(m, [0.1, 0.2], axis=0)])
    with pytest.raises(IndexError, match="median or quantile of no elements is not defined"):
        f(np.zeros((0, 2)))
    assert [a.shape for a in f(np.zeros((0, 0)))] == [(0,), (2, 0)]
