"""Differentiation: orders, corner cases, what is asked for and how."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

import symgrad as sg


def derivatives(f: Callable[[Any], Any], order: int) -> tuple[Any, list[Any]]:
    x = sg.scalar("x")
    results = [f(x)]
    for _ in range(order):
        results.append(sg.grad(results[-1], x, disconnected_inputs="ignore"))
    return x, results


def values(f: Callable[[Any], Any], order: int, at: float) -> list[float]:
    x, results = derivatives(f, order)
    return [float(v) for v in sg.function([x], results, on_unused_input="ignore")(at)]


@pytest.mark.parametrize("at", [0.3, 1.7, -2.2, 1e-3])
@pytest.mark.parametrize(
    ("f", "reference"),
    [
        (sg.tanh, mpmath.tanh),
        (lambda x: sg.exp(sg.sin(x)), lambda x: mpmath.exp(mpmath.sin(x))),
        (lambda x: x**5, lambda x: x**5),
        (sg.sigmoid, lambda x: 1 / (1 + mpmath.exp(-x))),
        (lambda x: sg.cos(x) / (2 + x * x), lambda x: mpmath.cos(x) / (2 + x * x)),
    ],
    ids=["tanh", "exp(sin)", "x**5", "sigmoid", "quotient"],
)
def test_four_derivatives_against_mpmath(f: Any, reference: Any, at: float) -> None:
    with mpmath.workdps(50):
        expected = [float(mpmath.diff(reference, mpmath.mpf(at), k)) for k in range(5)]
    np.testing.assert_allclose(values(f, 4, at), expected, rtol=1e-12)


@pytest.mark.parametrize("at", [40.0, 1000.0, -40.0])
def test_naive_softplus_is_stable(at: float) -> None:
    found = values(lambda x: sg.log(1 + sg.exp(x)), 2, at)
    with mpmath.workdps(600):
        x = mpmath.mpf(at)
        e = mpmath.exp(x)
        expected = [mpmath.log(1 + e), e / (1 + e), e / (1 + e) ** 2]
        np.testing.assert_allclose(found[1:], [float(v) for v in expected[1:]], rtol=1e-12)


def test_naive_logsumexp_is_stable() -> None:
    v = sg.vector("v", size=3)
    cost = sg.log(sg.sum(sg.exp(v)))
    gradient = sg.grad(cost, v)
    second = sg.grad(gradient[1], v)
    f = sg.function([v], [cost, gradient, second])
    for shift in (0.0, 40.0, 1000.0, -1000.0):
        value, first, row = f(np.array([0.0, 1.0, -1.0]) + shift)
        p = np.exp([0.0, 1.0, -1.0]) / np.exp([0.0, 1.0, -1.0]).sum()
        assert value == pytest.approx(shift + math.log(np.exp([0.0, 1.0, -1.0]).sum()), rel=1e-12)
        np.testing.assert_allclose(first, p, rtol=1e-12)
        np.testing.assert_allclose(row, p[1] * (np.array([0.0, 1.0, 0.0]) - p), rtol=1e-12)


MATRIX = np.array([[1.0, 2.0], [3.0, 4.0]])


def _behind_matmul(x: Any) -> Any:
    wide = sg.broadcast_to(x, (2,))
    return sg.sum(sg.where(wide > 0, MATRIX @ sg.log(wide), 0))


def _matrix_of_x(x: Any) -> Any:
    wide = sg.broadcast_to(x, (2,))
    matrix = sg.reshape(sg.log(sg.broadcast_to(x, (4,))), (2, 2))
    return sg.sum(sg.where(wide > 0, matrix @ sg.sqrt(wide), 0))


MASKED = {
    "log": lambda x: sg.where(x > 0, sg.log(x), 0),
    "sqrt log": lambda x: sg.where(x > 0, sg.sqrt(x) * sg.log(x), 0),
    "reciprocal": lambda x: sg.where(x > 0, 1 / x, 0),
    "power": lambda x: sg.where(x > 0, x**0.5, 0),
    "behind sum": lambda x: sg.where(x > 0, sg.sum(sg.log(sg.broadcast_to(x, (3,)))), 0),
    "behind broadcast": lambda x: sg.sum(sg.where(x > 0, sg.broadcast_to(sg.log(x), (3,)), 0)),
    "behind matmul": _behind_matmul,
    "matmul of x": _matrix_of_x,
    "product": lambda x: sg.where(x > 0, sg.prod(1 / sg.stack([x, x, 2 * x])), 0),
    "products": lambda x: sg.where(x > 0, sg.sum(sg.cumulative_prod(1 / sg.stack([x, x, 2 * x]))), 0),
    "complex sign": lambda x: sg.where(x > 0, sg.real(sg.sign((1 + 1j) / x)), 0),
    "behind gather": lambda x: sg.sum(
        sg.where(x > 0, sg.take(sg.log(sg.broadcast_to(x, (3,))), [0, 0, 2]), 0)
    ),
}


@pytest.mark.parametrize("name", MASKED)
@pytest.mark.parametrize("at", [0.0, -1.0])
def test_a_branch_not_taken_contributes_nothing(name: str, at: float) -> None:
    assert values(MASKED[name], 3, at)[1:] == [0.0, 0.0, 0.0]


def test_strong_zeros_lose_nothing() -> None:
    found = values(lambda x: (sg.sin(x) - math.sin(0.3)) ** 2, 2, 0.3)
    assert found[:2] == [0.0, 0.0]
    assert found[2] == pytest.approx(2 * math.cos(0.3) ** 2, rel=1e-12)


def test_missing_data_behind_a_mask() -> None:
    x, w = sg.matrix("x", shape=("n", 2)), sg.vector("w", size=2)
    good = sg.logical_not(sg.isnan(sg.sum(x, axis=1)))
    cost = sg.sum(sg.where(good, (x @ w) ** 2, 0))
    data = np.array([[1.0, 2.0], [np.nan, 1.0]])
    np.testing.assert_array_equal(sg.grad(cost, w).eval({x: data, w: [1.0, 1.0]}), [6.0, 12.0])


def test_a_slice_masks() -> None:
    x = sg.vector("x", size=2)
    np.testing.assert_array_equal(sg.grad(sg.sum(sg.log(x)[:1]), x).eval({x: [2.0, 0.0]}), [0.5, 0.0])


@pytest.mark.parametrize(
    ("f", "at", "expected"),
    [
        (sg.abs, 0.0, 0.0),
        (sg.relu, 0.0, 0.0),
        (lambda x: x**0.0, 0.0, 0.0),
        (lambda x: sg.clip(x, -1, 1), 1.0, 1.0),
        (lambda x: sg.maximum(x, 0.0), 0.0, 0.5),
        (lambda x: sg.max(sg.stack([x, 1.0 * x])), 3.0, 1.0),
        (sg.sqrt, 0.0, math.inf),
        (lambda x: sg.logsumexp(sg.broadcast_to(x, (3,))), -math.inf, 0.0),
    ],
)
def test_conventions(f: Any, at: float, expected: float) -> None:
    assert values(f, 1, at)[1] == expected


def test_named_intermediates_stay_connected() -> None:
    x = sg.scalar("x")
    e = sg.exp(x)
    gradient = sg.grad(sg.log(1 + e), e)
    assert gradient.eval({x: 1.0}) == pytest.approx(1 / (1 + math.e), rel=1e-15)


def test_consider_constant_and_stop_gradient() -> None:
    x = sg.scalar("x")
    y = x * x
    assert sg.grad(x * y, x, consider_constant=[y]).eval({x: 3.0}) == 9.0
    assert sg.grad(x * sg.stop_gradient(y), x).eval({x: 3.0}) == 9.0


def test_known_grads_replace() -> None:
    x = sg.scalar("x")
    y = x * x
    assert sg.grad(None, x, known_grads={y: 10.0}).eval({x: 3.0}) == 60.0
    assert sg.grad(sg.sin(y), x, known_grads={y: 10.0}).eval({x: 3.0}) == 60.0


def test_forms_of_wrt() -> None:
    x, y = sg.scalar("x"), sg.scalar("y")
    cost = x * y
    at = {x: 2.0, y: 5.0}
    assert [g.eval(at) for g in sg.grad(cost, [x, y])] == [5.0, 2.0]
    assert isinstance(sg.grad(cost, (x, y)), tuple)
    assert {k: g.eval(at) for k, g in sg.grad(cost, {"a": x}).items()} == {"a": 5.0}
    value, gradient = sg.value_and_grad(cost, x)
    assert (value.eval(at), gradient.eval(at)) == (10.0, 5.0)


def test_vjp_takes_one_cotangent_per_output() -> None:
    x = sg.vector("x", size=2)
    g = sg.vjp([x * x, 3 * x], x, [[1.0, 1.0], [1.0, 2.0]])
    np.testing.assert_array_equal(g.eval({x: [1.0, 2.0]}), [5.0, 10.0])
    with pytest.raises(sg.GradientError, match="shape"):
        sg.vjp(x, x, [1.0, 2.0, 3.0])


@pytest.mark.parametrize("policy", ["ignore", "zero"])
def test_disconnected_gives_zeros_on_request(policy: str) -> None:
    x, y = sg.scalar("x"), sg.vector("y", size=2)
    np.testing.assert_array_equal(sg.grad(x * x, y, disconnected_inputs=policy).eval(), [0.0, 0.0])
    assert sg.grad(x * x, y, disconnected_inputs="none") is None
    with pytest.warns(UserWarning, match="does not depend on y"):
        sg.grad(x * x, y, disconnected_inputs="warn")


def test_grad_table_has_the_users_tensors() -> None:
    x, w = sg.scalar("x"), sg.scalar("w")
    h = sg.tanh(x * w)
    cost = h * h + 0.5 * w * w
    table = sg.grad_table(cost, w)
    at = {x: 0.5, w: 0.7}
    t = math.tanh(0.35)
    assert table[h].eval(at) == pytest.approx(2 * t)
    assert table[w].eval(at) == pytest.approx(2 * t * (1 - t * t) * 0.5 + 0.7)
    assert table[cost].eval() == 1.0


def test_diamond_is_linear() -> None:
    x = y = sg.scalar("x")
    for _ in range(60):
        y = y + y
    start = time.perf_counter()
    gradient = sg.grad(y, x)
    assert time.perf_counter() - start < 2
    assert len(sg.Graph([x], gradient, name="g").nodes) < 200
    assert gradient.eval({x: 1.0}) == 2.0**60


def test_unused_paths_are_pruned() -> None:
    x, w = sg.vector("x", size=3), sg.vector("w", size=3)
    g = sg.Graph([x, w], sg.grad(sg.sum(x * w), w))
    assert [n.op.name for n in sg.optimize(g).nodes] == []  # the gradient is x itself


def test_gradient_names_and_origins() -> None:
    x = sg.scalar("x")
    z = (x * x).named("z")
    gradient = sg.grad(sg.sin(z), x, stabilize=False)
    g = sg.Graph([x], gradient)
    assert "d_z" in g.names.values()
    assert any("vjp sin" in str(o) for n in g.nodes for o in n.origins)
    assert "vjp" in sg.why(gradient)


def test_mlp_gradient_against_finite_differences() -> None:
    rng = np.random.default_rng(0)
    x, y = sg.matrix("x", shape=("n", 4)), sg.vector("y", size="n", dtype="int64")
    shapes = {"w0": (4, 5), "b0": (5,), "w1": (5, 3), "b1": (3,)}
    p = {k: sg.tensor(k, s) for k, s in shapes.items()}
    logits = sg.tanh(x @ p["w0"] + p["b0"]) @ p["w1"] + p["b1"]
    cost = -sg.mean(sg.take_along_axis(sg.log_softmax(logits, axis=1), y[:, None], axis=1))
    f = sg.function([x, y, *p.values()], cost)
    g = sg.function([x, y, *p.values()], sg.grad(cost, list(p.values())))
    data = [rng.normal(size=(7, 4)), rng.integers(0, 3, 7)]
    theta = [rng.normal(size=s) for s in shapes.values()]
    for k, found in enumerate(g(*data, *theta)):
        direction = rng.normal(size=found.shape)
        h = 1e-5
        up = f(*data, *[t + h * direction if i == k else t for i, t in enumerate(theta)])
        down = f(*data, *[t - h * direction if i == k else t for i, t in enumerate(theta)])
        assert (up - down) / (2 * h) == pytest.approx((found * direction).sum(), rel=1e-6)
