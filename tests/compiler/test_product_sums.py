"""Sums of matrix products, each added where the others lie: `plan/product_sums.py`."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.ir.tensor import apply
from symgrad.ops.contract import MatMul
from symgrad_compiler.plan.fuse import make_plan
from symgrad_compiler.plan.steps import MatMulStep, Plan

SIZES = [(3, 4, 5), (0, 4, 5), (3, 0, 5), (3, 4, 0), (1, 1, 1), (70, 33, 41), (15, 900, 33)]


def factors(plan: Plan) -> list[float | None]:
    """Of all products in their order: what they are added with."""
    return [s.factor for s in plan.steps if isinstance(s, MatMulStep)]


def pairs(count: int, dtype: str = "float64") -> tuple[list[sg.Tensor], list[sg.Tensor]]:
    a = [sg.tensor(f"a{i}", ("n", "k"), dtype=dtype) for i in range(count)]
    return a, [sg.tensor(f"b{i}", ("k", "m"), dtype=dtype) for i in range(count)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_are_those_of_their_terms(backend: str, dtype: str) -> None:
    a, b = pairs(4, dtype)
    y = a[0] @ b[0] + a[1] @ b[1] - a[2] @ b[2] + a[3] @ b[3]
    f = sg.function([*a, *b], [y, sg.tanh(y)], backend=backend)
    assert factors(make_plan(sg.Graph([*a, *b], [y]))) == [None, 1.0, -1.0, 1.0]
    rng = np.random.default_rng(0)
    for n, k, m in SIZES:
        x = [rng.standard_normal((n, k)).astype(dtype) for _ in a]
        w = [rng.standard_normal((k, m)).astype(dtype) for _ in b]
        wide = [p.astype("float64") @ q.astype("float64") for p, q in zip(x, w, strict=True)]
        found, through = f(*x, *w)
        digits = 8 * np.finfo(dtype).eps * max(k, 1)
        np.testing.assert_allclose(found, wide[0] + wide[1] - wide[2] + wide[3], atol=digits)
        np.testing.assert_array_equal(through.shape, (n, m))
        np.testing.assert_allclose(through, np.tanh(found), rtol=1e-6)


def test_a_sum_takes_the_memory_of_one_term() -> None:
    """The gradient for the weights of a recurrent network, at two lengths: what more steps take are the
    states, not a matrix of weights for each."""

    def arena(steps: int) -> int:
        w = sg.tensor("w", (64, 64))
        xs = sg.tensor("x", (steps, 4, 64))
        h: Any = sg.zeros((4, 64))
        for t in range(steps):
            h = sg.tanh(h @ w + xs[t])
        plan = make_plan(sg.Graph([w, xs], [sg.sum(sg.grad(sg.sum(h * h), w) ** 2)]))
        assert factors(plan).count(None) <= 2 * steps
        return int(plan.arena.fixed_bytes)

    weights, state = 64 * 64 * 8, 4 * 64 * 8
    assert arena(10) - arena(5) < 5 * 4 * state < 2 * weights


def test_terms_are_added_in_the_order_of_the_sum(backend: str) -> None:
    """Whatever the order in which they are made: 1e30 - 1e30 + 1 is 1, and 1 + 1e30 - 1e30 is 0."""
    ones = np.ones((2, 3))
    for order in itertools.permutations(range(3)):
        a, b = pairs(3)
        made: dict[int, sg.Tensor] = {}
        for i in order:
            made[i] = a[i] @ b[i]
        y = made[0] + made[1] + made[2]
        f = sg.function([*a, *b], [y], backend=backend, passes=[])
        (found,) = f(1e30 * ones, -1e30 * ones, ones, *[np.ones((3, 2))] * 3)
        np.testing.assert_array_equal(found, np.full((2, 2), 3.0))
        (found,) = f(ones, 1e30 * ones, -1e30 * ones, *[np.ones((3, 2))] * 3)
        np.testing.assert_array_equal(found, np.zeros((2, 2)))


def test_what_is_read_elsewhere_is_no_term(backend: str) -> None:
    (a0, a1), (b0, b1) = pairs(2)
    x, y = a0 @ b0, a1 @ b1
    cases: dict[str, list[sg.Tensor]] = {
        "a result": [x + y, y],
        "read twice": [x + y, sg.exp(y)],
        "with itself": [x + x],
        "batched": [sg.stack([a0, a1]) @ sg.stack([b0, b1]) + sg.stack([a1, a0]) @ sg.stack([b0, b1])],
    }
    rng = np.random.default_rng(1)
    arguments = [rng.standard_normal(s) for s in ((3, 4), (3, 4), (4, 2), (4, 2))]
    u, v = arguments[0] @ arguments[2], arguments[1] @ arguments[3]
    swapped = np.stack([arguments[1] @ arguments[2], arguments[0] @ arguments[3]])
    want = {
        "a result": [u + v, v],
        "read twice": [u + v, np.exp(v)],
        "with itself": [2 * u],
        "batched": [np.stack([u, v]) + swapped],
    }
    for name, outputs in cases.items():
        graph = sg.Graph([a0, a1, b0, b1], outputs)
        assert set(factors(make_plan(graph))) == {None}, name
        found = sg.function([a0, a1, b0, b1], outputs, backend=backend, on_unused_input="ignore")(*arguments)
        for f, w in zip(found, want[name], strict=True):
            np.testing.assert_allclose(f, w, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("strong", ["a", "b", "ab"])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("gaps", [False, True])
def test_zeros_stay_strong_in_a_sum(backend: str, strong: str, turned: bool, gaps: bool) -> None:
    """In the first term and in what is added, of operands with gaps too; finite or not."""
    step = 2 if gaps else 1
    a = [sg.tensor(f"a{i}", (4, 3 * step) if turned else (3 * step, 4)) for i in range(2)]
    b = [sg.tensor(f"b{i}", (4, 2 * step)) for i in range(2)]
    lines = zip([p.T if turned else p for p in a], b, strict=True)
    y = [apply(MatMul(strong), p[::step], q[:, ::step]) for p, q in lines]
    graph = sg.Graph([*a, *b], [y[0] + y[1]])
    assert factors(make_plan(graph)) == [None, 1.0]
    f = sg.function([*a, *b], [y[0] + y[1]], backend=backend)
    rng = np.random.default_rng(2)
    for which, bad in itertools.product((0, 1), (1.0, np.inf, np.nan)):
        x = [rng.integers(0, 3, (3, 4)).astype(float) for _ in a]
        w = [rng.integers(0, 3, (4, 2)).astype(float) for _ in b]
        x[which][0, 0], w[which][0, 0], w[which][0, 1] = 0.0, 0.0, 1.0
        (w if strong == "a" else x)[which][0, 0] = bad
        with np.errstate(invalid="ignore"):
            terms = [p[:, :, None] * q[None] for p, q in zip(x, w, strict=True)]
        for t, p, q in zip(terms, x, w, strict=True):
            zero = np.zeros_like(t, dtype=bool)
            if "a" in strong:
                zero |= (p == 0)[:, :, None]
            if "b" in strong:
                zero |= (q == 0)[None]
            t[zero] = 0
        given = [np.repeat(p, step, axis=0) for p in x]
        given = [p.T.copy() for p in given] if turned else given
        (found,) = f(*given, *[np.repeat(q, step, axis=1) for q in w])
        np.testing.assert_allclose(found, terms[0].sum(axis=1) + terms[1].sum(axis=1))
