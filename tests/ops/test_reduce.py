"""Reductions, statistics, norms and cumulative ops in their corners; digits of naively written losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
import scipy.special

import symgrad as sg
from symgrad.ir.tensor import apply
from symgrad.ops.cumulative import LinearRecurrence
from symgrad.ops.reduce import Supremum
from symgrad.ops.softmax import LogSoftmax, LogSumExp, Softmax, SoftmaxCentred, SoftmaxDerivative
from symgrad.ops.statistics import ArgQuantile

mp = mpmath.mp.clone()
mp.dps = 900

INF, NAN = np.inf, np.nan


def gradient(f: Callable[[Any], Any], at: Any) -> Any:
    a = np.asarray(at, float)
    x = sg.tensor("x", a.shape)
    return sg.grad(f(x), x).eval({x: a})


def hessian(f: Callable[[Any], Any], at: Any) -> Any:
    a = np.asarray(at, float)
    x = sg.tensor("x", a.shape)
    g = sg.grad(f(x), x)
    rows = [sg.grad(g[i], x, disconnected_inputs="ignore") for i in range(len(a))]
    return np.array(sg.function([x], rows, on_unused_input="ignore")(a))


# ---- digits -----------------------------------------------------------------------------------------


def sigmoid(t: Any) -> Any:
    """1 / (1 + exp(-t)) of an exact number."""
    return 1 / (1 + mp.exp(-t))


def softmax_hessian(values: list[float]) -> Any:
    """diag(y) - y y^T with 1 - y_i written as the sum of the others."""
    e = [mp.exp(mp.mpf(v)) for v in values]
    y = [v / mp.fsum(e) for v in e]
    n = len(y)
    return [
        [-y[i] * y[j] if i != j else y[i] * mp.fsum(y[:i] + y[i + 1 :]) for j in range(n)] for i in range(n)
    ]


def bernoulli_hessian(sign: int) -> Callable[[list[float]], Any]:
    def exact(values: list[float]) -> Any:
        s = [sign * sigmoid(mp.mpf(v)) * sigmoid(-mp.mpf(v)) for v in values]
        return [[s[i] if i == j else mp.mpf(0) for j in range(len(s))] for i in range(len(s))]

    return exact


def logaddexp_hessian(values: list[float]) -> Any:
    d = mp.mpf(values[0]) - mp.mpf(values[1])
    s = sigmoid(d) * sigmoid(-d)
    return [[s, -s], [-s, s]]


POINTS: dict[str, list[float]] = {
    "40": [40.0, -40.0, 39.5, 0.0],
    "-40": [-40.0, -39.0, -40.25, -38.5],
    "1000": [1000.0, -1000.0, 999.0, 960.0],
    "-1000": [-1000.0, -1000.0, -1001.5, -960.0],
    "ties": [40.0, 40.0, 40.0, -3.0],
}
NAIVE: dict[str, tuple[Callable[[Any], Any], Callable[[list[float]], Any]]] = {
    "log(1 + exp(x))": (lambda x: sg.sum(sg.log(1 + sg.exp(x))), bernoulli_hessian(1)),
    "log(sigmoid(x))": (lambda x: sg.sum(sg.log(sg.sigmoid(x))), bernoulli_hessian(-1)),
    "log(1 / (1 + exp(-x)))": (lambda x: sg.sum(sg.log(1 / (1 + sg.exp(-x)))), bernoulli_hessian(-1)),
    "log(sum(exp(x)))": (lambda x: sg.log(sg.sum(sg.exp(x))), softmax_hessian),
    "logsumexp(x)": (sg.logsumexp, softmax_hessian),
    **{
        f"-log(softmax(x))[{k}]": (lambda x, k=k: -sg.log(sg.softmax(x))[k], softmax_hessian)
        for k in range(4)
    },
    "-log(exp(x) / sum(exp(x)))[1]": (
        lambda x: -sg.log(sg.exp(x) / sg.sum(sg.exp(x)))[1],
        softmax_hessian,
    ),
    "-log_softmax(x)[0]": (lambda x: -sg.log_softmax(x)[0], softmax_hessian),
}


def assert_digits(found: Any, exact: Any, digits: float = 1e-12) -> None:
    """Relative errors, entry by entry; what is smaller than a float is 0."""
    for i, row in enumerate(exact):
        for j, value in enumerate(row):
            if abs(value) < mp.mpf("1e-307"):
                assert abs(found[i][j]) <= 1e-307, (i, j)
            else:
                error = abs(mp.mpf(float(found[i][j])) / value - 1)
                assert error <= digits, f"entry {i}, {j}: {found[i][j]}, exact {mp.nstr(value, 17)}"


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("name", NAIVE)
def test_hessians_of_naive_losses_keep_their_digits(name: str, point: str) -> None:
    build, exact = NAIVE[name]
    assert_digits(hessian(build, POINTS[point]), exact(POINTS[point]))


@pytest.mark.parametrize("values", [[40.0, -40.0], [1000.0, 960.5], [-1000.0, -1000.0], [40.0, 39.0]])
@pytest.mark.parametrize(
    "build",
    [lambda x: sg.logaddexp(x[0], x[1]), lambda x: sg.log(sg.exp(x[0]) + sg.exp(x[1]))],
    ids=["logaddexp", "naive"],
)
def test_hessians_of_logaddexp(build: Any, values: list[float]) -> None:
    assert_digits(hessian(build, values), logaddexp_hessian(values))


def test_third_derivatives_of_logsumexp() -> None:
    """The third cumulant, sum over k of y_k c_ik c_jk c_lk with c_ik = [i = k] - y_i."""
    values = POINTS["40"]
    n = len(values)
    e = [mp.exp(mp.mpf(v)) for v in values]
    y = [v / mp.fsum(e) for v in e]
    c = [[mp.fsum(y[:i] + y[i + 1 :]) if i == k else -y[i] for k in range(n)] for i in range(n)]
    x = sg.vector("x", size=n)
    g = sg.grad(sg.log(sg.sum(sg.exp(x))), x)
    rows = [sg.grad(sg.grad(g[i], x)[j], x) for i in range(n) for j in range(n)]
    exact = [
        [mp.fsum(y[k] * c[i][k] * c[j][k] * c[m][k] for k in range(n)) for m in range(n)]
        for i in range(n)
        for j in range(n)
    ]
    assert_digits(sg.function([x], rows)(np.array(values)), exact)


def test_softmax_of_minus_infinities() -> None:
    """Masked logits take no part; where all are masked, values and derivatives are 0."""
    x = np.array([[1.0, -INF, 2.0], [-INF, -INF, -INF]])
    weights = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    found = gradient(lambda x: sg.sum(sg.softmax(x, axis=1) * weights), x)
    reduced = gradient(lambda x: sg.sum(sg.softmax(x) * weights[0, ::2]), x[0, ::2])
    np.testing.assert_allclose(found[0], [reduced[0], 0, reduced[1]], rtol=1e-14)
    np.testing.assert_array_equal(found[1], 0)
    np.testing.assert_array_equal(gradient(sg.logsumexp, x[1]), 0)


@pytest.mark.parametrize(
    "f", [sg.softmax, sg.log_softmax, lambda x, axis: x - sg.logsumexp(x, axis, keepdims=True)]
)
def test_rows_behind_a_mask_send_nothing(f: Any) -> None:
    """Whatever a row of logits holds, a where that leaves it out makes its derivatives 0, at both orders."""
    a = np.array([[1.0, 2.0], [NAN, INF], [0.5, -1.0]])
    x = sg.tensor("x", (3, 2))
    cost = sg.sum(sg.where(sg.constant([[True], [False], [True]]), f(x, axis=1) ** 3, 0))
    first = sg.grad(cost, x)
    second = sg.grad(sg.sum(first * [1.0, 2.0]), x)
    for found in sg.function([x], [first, second])(a):
        np.testing.assert_array_equal(found[1], 0)
        assert np.isfinite(found).all()


@pytest.mark.parametrize(
    "f", [sg.log_softmax, lambda x, axis: sg.log(sg.softmax(x, axis))], ids=["op", "log"]
)
@pytest.mark.parametrize("passes", [sg.passes.default, ()], ids=["default", "none"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_log_softmax_of_no_mass_is_minus_infinity(f, passes, dtype, backend: str) -> None:
    """As softmax is 0 there: J = I - 1 y^T is I, in both modes, and its derivative is 0."""
    x, g, h = (sg.matrix(n, shape=("n", 3), dtype=dtype) for n in "xgh")
    y = f(x, axis=1)
    back, forth = sg.vjp(y, x, g), sg.jvp(y, x, g)
    outputs = [y, back, forth, sg.vjp(back, x, h), sg.jvp(forth, x, h)]
    run = sg.function([x, g, h], outputs, passes=passes, backend=backend, on_unused_input="ignore")
    at = np.array([[-np.inf] * 3, [0, 0, 0], [-np.inf] * 3], dtype)
    seed = np.array([[1, 2, 3], [1, 2, 3], [0, 0, 0]], dtype)
    value, sent, pushed, second, third = run(at, seed, seed + 1)
    assert (value[[0, 2]] == -np.inf).all()
    for found in (sent, pushed):
        np.testing.assert_array_equal(found[[0, 2]], seed[[0, 2]])
    for found in (second, third):
        np.testing.assert_array_equal(found[[0, 2]], 0)


# ---- forward rules: <push(t), g> = <t, pull(g)> -----------------------------------------------------

PUSHED: dict[str, tuple[Any, int]] = {
    "max": (lambda x: sg.max(x, axis=1), 1),
    "min": (sg.min, 1),
    "prod": (lambda x: sg.prod(x, axis=1), 1),
    "cumulative_prod": (lambda x: sg.cumulative_prod(x, 1), 1),
    "cumulative_max": (lambda x: sg.cumulative_max(x, 1), 1),
    "softmax": (lambda x: apply(Softmax((1,)), x), 1),
    "log_softmax": (lambda x: apply(LogSoftmax((1,)), x), 1),
    "logsumexp": (lambda x: apply(LogSumExp((1,)), x), 1),
    "supremum": (lambda x: apply(Supremum((1,)), x), 1),
    **{
        f"linear_recurrence {m} {r}": (lambda a, b, m=m, r=r: apply(LinearRecurrence(1, r, m), a, b), 2)
        for m in ("plain", "lagged", "exclusive")
        for r in (False, True)
    },
    **{
        f"{op.name} {s}": (lambda x, g, op=op, s=s: apply(op((1,), s), x, g), 2)
        for op in (SoftmaxDerivative, SoftmaxCentred)
        for s in (False, True)
    },
}


@pytest.mark.parametrize("name", PUSHED)
@pytest.mark.parametrize("masked", [False, True])
def test_forward_rules_are_the_transposes_of_reverse_rules(name: str, masked: bool) -> None:
    build, count = PUSHED[name]
    rng = np.random.default_rng(3)
    xs = [sg.tensor(f"x{i}", (3, 5)) for i in range(count)]
    ts = [sg.tensor(f"t{i}", (3, 5)) for i in range(count)]
    arrays = [rng.integers(-3, 4, (3, 5)) / 2 for _ in range(2 * count)]
    y = build(*xs)
    g = sg.tensor("g", y.shape)
    node = y.node
    (pushed,) = node.op.push(node, ts, masked)
    pulled = [node.op.pull(node, i, (g,), masked) for i in range(count)]
    f = sg.function([*xs, *ts, g], [pushed, *pulled], on_unused_input="ignore")
    cotangent = rng.normal(size=y.shape)
    forward, *backward = f(*arrays, cotangent)
    expected = sum((t * b).sum() for t, b in zip(arrays[count:], backward, strict=True))
    np.testing.assert_allclose((forward * cotangent).sum(), expected, rtol=1e-12, atol=1e-12)


# ---- max, prod, any, all ----------------------------------------------------------------------------


def test_ties_are_split() -> None:
    np.testing.assert_array_equal(gradient(sg.max, [3.0, 1.0, 3.0, 3.0]), [1 / 3, 0, 1 / 3, 1 / 3])
    np.testing.assert_array_equal(
        gradient(lambda x: sg.vector_norm(x, ord=INF), [-2.0, 2.0, 1.0]), [-0.5, 0.5, 0]
    )


@pytest.mark.parametrize("a", [[2.0, 0.0, 3.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0], [-2.0, 0.5, 3.0]])
def test_prod_at_zeros_at_every_order(a: list[float]) -> None:
    x = np.array(a)
    others = [np.prod(np.delete(x, i)) for i in range(3)]
    pairs = [[0 if i == j else np.prod(np.delete(x, [i, j])) for j in range(3)] for i in range(3)]
    np.testing.assert_allclose(gradient(sg.prod, a), others)
    np.testing.assert_allclose(hessian(sg.prod, a), pairs)
    assert gradient(lambda x: sg.grad(sg.grad(sg.prod(x), x)[0], x)[1], a)[2] == 1


def test_the_derivative_of_a_long_product_takes_linear_time() -> None:
    a = np.random.default_rng(1).uniform(0.99, 1.01, 100_000)
    a[500] = 0
    found = gradient(sg.prod, a)
    assert found[500] == pytest.approx(np.prod(np.delete(a, 500)), rel=1e-10)
    assert np.count_nonzero(found) == 1


def test_truth() -> None:
    x = np.array([[0.0, NAN], [0.0, 0.0]])
    np.testing.assert_array_equal(sg.any(x, axis=1).eval(), [True, False])
    np.testing.assert_array_equal(sg.all(x, axis=0).eval(), [False, False])
    empty = sg.tensor("e", ("n", 2), "bool")
    none = np.zeros((0, 2), bool)
    np.testing.assert_array_equal(sg.any(empty, axis=0).eval({empty: none}), [False, False])
    np.testing.assert_array_equal(sg.all(empty, axis=0).eval({empty: none}), [True, True])


# ---- mean, var, std ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 2, 3])
@pytest.mark.parametrize("correction", [0, 1, 2])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_var_of_few_elements(n: int, correction: int) -> None:
    a = np.arange(float(n)) * 3
    fixed, free = sg.vector("x", size=n), sg.vector("y", size="n")
    expected = np.var(a, ddof=correction)
    for x in (fixed, free):
        np.testing.assert_array_equal(sg.var(x, correction=correction).eval({x: a}), expected)
        np.testing.assert_array_equal(sg.std(x, correction=correction).eval({x: a}), np.sqrt(expected))


def test_var_does_not_cancel() -> None:
    a = 1e9 + np.array([0.0, 1.0, 2.0, 3.0])
    assert sg.var(a).eval() == 1.25
    np.testing.assert_array_equal(gradient(sg.var, a), [-0.75, -0.25, 0.25, 0.75])


@pytest.mark.parametrize("value", [0.0, 3.0, -2.5, 1e-300])
def test_std_of_a_constant_has_derivative_0(value: float) -> None:
    np.testing.assert_array_equal(gradient(sg.std, [value] * 4), 0)
    np.testing.assert_array_equal(hessian(sg.std, [value] * 4), 0)


# ---- norms ------------------------------------------------------------------------------------------

ORDERS = [0.5, 1, 1.5, 2, 3, INF]


@pytest.mark.parametrize("p", ORDERS)
def test_norms_at_0(p: float) -> None:
    def norm(x: Any) -> Any:
        return sg.vector_norm(x, ord=p)

    np.testing.assert_array_equal(gradient(norm, np.zeros(3)), 0)
    np.testing.assert_array_equal(hessian(norm, np.zeros(3)), 0)
    partly = gradient(norm, [0.0, 3.0, 0.0])
    np.testing.assert_allclose(partly, [0, 1, 0], rtol=1e-15)


@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1e-30, 1.0, 1e30, 1e200, 1e306])
@pytest.mark.parametrize("p", [2, 3, 0.5])
def test_norms_of_large_and_small_numbers(p: float, scale: float) -> None:
    def norm(x: Any) -> Any:
        return sg.vector_norm(x, ord=p)

    a = np.array([3.0, -4.0, 0.25]) * scale
    exact = mp.root(mp.fsum(abs(mp.mpf(v)) ** p for v in a), p) if p != 0.5 else _half_norm(a)
    x = sg.vector("x", size=3)
    np.testing.assert_allclose(norm(x).eval({x: a}), float(exact), rtol=1e-14, atol=1e-322)
    slopes = [float(mp.sign(mp.mpf(v)) * (abs(mp.mpf(v)) / exact) ** (p - 1)) for v in a]
    np.testing.assert_allclose(gradient(norm, a), slopes, rtol=1e-13)


def _half_norm(a: Any) -> Any:
    return mp.fsum(mp.sqrt(abs(mp.mpf(v))) for v in a) ** 2


def test_norms_in_float32() -> None:
    x = sg.vector("x", size=2, dtype="float32")
    f = sg.function([x], [sg.norm(x), sg.grad(sg.norm(x), x)])
    for scale in (1e-44, 1e-38, 1e-30, 1.0, 1e20, 1e37):
        a = np.array([3, 4], np.float32) * np.float32(scale)
        exact = np.linalg.norm(a.astype(np.float64))
        value, slope = f(a)
        assert value == pytest.approx(exact, rel=1e-6, abs=2e-45)
        np.testing.assert_allclose(slope, a / exact, rtol=1e-6)


def test_norms_behind_a_mask() -> None:
    for p in ORDERS:
        a = np.array([[0.0, 0.0], [INF, NAN], [3.0, 4.0]])

        def cost(x: Any, p: float = p) -> Any:
            norms = sg.vector_norm(x, axis=1, ord=p)
            return sg.sum(sg.where(sg.constant([True, False, True]), norms, 0))

        found = gradient(cost, a)
        np.testing.assert_array_equal(found[:2], 0)
        assert np.isfinite(found).all()


def test_the_norm_of_nothing_is_0() -> None:
    x = sg.matrix("x", shape=("n", 2))
    np.testing.assert_array_equal(sg.norm(x, axis=0).eval({x: np.zeros((0, 2))}), [0, 0])
    np.testing.assert_array_equal(sg.vector_norm(x, axis=0, ord=3).eval({x: np.zeros((0, 2))}), [0, 0])


@pytest.mark.parametrize("ord", [3, "f", True, NAN])
def test_matrix_norms_that_are_not_there(ord: Any) -> None:
    with pytest.raises(sg.GraphError, match="no order"):
        sg.norm(sg.tensor("x", (2, 2)), ord, axis=(0, 1))


# ---- cumulative ops ---------------------------------------------------------------------------------


def test_cumulative_prod_at_zeros_at_every_order() -> None:
    a = [2.0, 0.0, 3.0, 0.0]

    def cost(x: Any) -> Any:
        return sg.sum(sg.cumulative_prod(x) * [1.0, 10.0, 100.0, 1000.0])

    np.testing.assert_array_equal(gradient(cost, a), [1, 620, 0, 0])
    second = np.zeros((4, 4))
    second[0, 1] = second[1, 0] = 10 + 300
    second[1, 2] = second[2, 1] = 200
    second[1, 3] = second[3, 1] = 6000
    np.testing.assert_array_equal(hessian(cost, a), second)


def test_cumulative_max_shares_ties_so_far() -> None:
    weights = [1.0, 10.0, 100.0, 1000.0, 10000.0]
    found = gradient(lambda x: sg.sum(sg.cumulative_max(x) * weights), [2.0, 1.0, 2.0, 3.0, 3.0])
    np.testing.assert_array_equal(found, [61, 0, 50, 6000, 5000])


def test_cumulative_max_and_nan() -> None:
    a = [1.0, NAN, 2.0]
    np.testing.assert_array_equal(sg.cumulative_max(a).eval(), [1, NAN, NAN])
    np.testing.assert_array_equal(sg.cumulative_min(a).eval(), [1, NAN, NAN])
    masked = gradient(
        lambda x: sg.sum(sg.where(sg.constant([True, False, False]), sg.cumulative_max(x), 0)), a
    )
    np.testing.assert_array_equal(masked, [1, 0, 0])


def test_cumulative_ops_of_nothing() -> None:
    x = sg.vector("x", size="n")
    for f in (sg.cumulative_sum, sg.cumulative_prod, sg.cumulative_max):
        assert f(x).eval({x: np.zeros(0)}).shape == (0,)
    assert gradient(sg.prod, np.zeros(0)).shape == (0,)


def test_cumulative_ops_refuse() -> None:
    x = sg.tensor("x", (2, 3))
    with pytest.raises(sg.ShapeError, match="needs an axis"):
        sg.cumulative_sum(x)
    with pytest.raises(sg.ShapeError, match="does not exist"):
        sg.cumulative_prod(x, 2)
    with pytest.raises(sg.DTypeError):
        sg.cumulative_max(sg.tensor("c", (2,), "bool"))
    with pytest.raises(sg.ShapeError, match="mode"):
        apply(LinearRecurrence(0, False, "upside down"), x, x)


@pytest.mark.parametrize("shape", [(7,), (1,), (0,), (33, 5), (5, 33), (3, 4, 18)], ids=str)
def test_scans_along_every_axis(shape: tuple[int, ...]) -> None:
    """Whole vectors and what is left over, rows side by side, views, and backwards."""
    a = np.random.default_rng(0).normal(size=shape)
    x, w = (sg.tensor(name, tuple("abc"[: len(shape)])) for name in "xw")
    views: list[Callable[[Any], Any]] = [lambda v: v, lambda v: v.T, lambda v: v[..., ::-1]]
    for axis in range(len(shape)):
        for view in views:
            outs = [sg.cumulative_sum(view(x), axis), sg.cumulative_max(view(x), axis)]
            slopes = [sg.grad(sg.sum(sg.cumulative_sum(view(x), axis) * view(w)), x)]
            total, largest, slope = sg.function([x, w], [*outs, *slopes])(a, a)
            np.testing.assert_allclose(total, np.cumsum(view(a), axis), rtol=1e-12, atol=1e-12)
            np.testing.assert_array_equal(largest, np.maximum.accumulate(view(a), axis))
            backwards = np.flip(np.cumsum(np.flip(view(a), axis), axis), axis)
            np.testing.assert_allclose(view(slope), backwards, rtol=1e-12, atol=1e-12)


def test_scans_are_native() -> None:
    x = sg.matrix("x", shape=("n", 3))
    outs = [
        sg.cumulative_sum(x, 0),
        sg.grad(sg.sum(sg.cumulative_prod(x, 0) ** 2), x),
        sg.cumulative_min(x, 1),
    ]
    plan = sg.function([x], outs, backend="llvm").plan()
    assert "call back" not in plan
    assert "scan" in plan


# ---- order statistics -------------------------------------------------------------------------------


@pytest.mark.parametrize("a", [[1.0], [2.0, 1.0], [INF, 1.0, INF], [-INF, INF], [3.0, NAN, 1.0], [0.1] * 5])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_quantiles_in_corners(a: list[float]) -> None:
    q = [0.0, 0.25, 0.5, 0.9, 1.0]
    x = sg.vector("x", size="n")
    found = sg.quantile(x, q).eval({x: a})
    with np.errstate(all="ignore"):
        expected = np.quantile(a, q)
    if a == [INF, 1.0, INF]:
        expected = np.array([1, INF, INF, INF, INF])  # NumPy has NaN between equal infinities
    elif a == [-INF, INF]:
        expected = np.array([-INF, NAN, NAN, NAN, INF])  # and NaN at the ends
    np.testing.assert_array_equal(found, expected)


def test_medians() -> None:
    np.testing.assert_array_equal(gradient(sg.median, [5.0, 1.0, 3.0]), [0, 0, 1])
    np.testing.assert_array_equal(gradient(sg.median, [5.0, 1.0, 3.0, 4.0]), [0, 0, 0.5, 0.5])
    assert gradient(sg.median, [2.0, 2.0, 2.0, 2.0]).sum() == 1


def test_quantiles_refuse() -> None:
    x = sg.vector("x", size=3)
    for bad in (-0.1, 1.5, NAN, [[0.5]]):
        with pytest.raises(sg.GraphError, match="q must be"):
            sg.quantile(x, bad)
    with pytest.raises(sg.GraphError, match="method must be"):
        sg.quantile(x, 0.5, method="other")
    with pytest.raises(sg.ShapeError, match="no elements"):
        sg.median(sg.vector("e", size=0))
    with pytest.raises(sg.DTypeError):
        apply(ArgQuantile(0), x, sg.constant([0.5]))
    n = sg.vector("n", size="n")
    with pytest.raises((IndexError, sg.ExecutionError)):
        sg.median(n).eval({n: np.zeros(0)})


def test_logsumexp_of_infinities() -> None:
    x = sg.matrix("x", (4, 2))
    a = np.array([[np.inf, 0.0], [-np.inf, -np.inf], [np.inf, -np.inf], [np.nan, np.inf]])
    found = sg.logsumexp(x, axis=1).eval({x: a})
    np.testing.assert_array_equal(found, scipy.special.logsumexp(a, axis=1))


def test_masked_products() -> None:
    """Whatever stands behind a mask, at both orders."""
    x, m = sg.vector("x", size=2), sg.scalar("m", dtype="bool")
    for f in (lambda x: sg.cumulative_prod(x)[1], sg.prod, lambda x: sg.cumulative_sum(x)[1]):
        first = sg.grad(sg.where(m, f(x), 0.0), x)
        second = sg.grad(sg.sum(first), x, disconnected_inputs="ignore")
        product = sg.hvp(sg.where(m, f(x), 0.0), x, [1.0, 2.0])
        run = sg.function([x, m], [first, second, product], on_unused_input="ignore")
        for at in ([np.nan, np.nan], [0.0, np.inf], [np.inf, 1.0]):
            assert not np.any(run(at, False))


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", ["max", "min", "argmax", "argmin"])
@pytest.mark.parametrize("engine", ["numpy", "llvm"])
def test_the_largest_of_nothing(name: str, axis: int, shape: tuple[int, int], engine: str) -> None:
    """An error as in NumPy, also where there are no results either."""
    x = sg.matrix("x", shape=("n", "m"))
    f = sg.function([x], getattr(sg, name)(x, axis=axis), backend=engine)
    a = np.ones(shape)
    if shape[axis] == 0:
        with pytest.raises(ValueError, match=r"no identity|of an empty"):
            getattr(np, name)(a, axis=axis)
        with pytest.raises(sg.ExecutionError, match=r"no identity|of an empty"):
            f(a)
    else:
        np.testing.assert_array_equal(f(a), getattr(np, name)(a, axis=axis))


@pytest.mark.parametrize("p", [-1, -2, -0.5, -3.5])
def test_norms_of_negative_order_have_slopes_of_0_where_they_are_0(p: float, backend: str) -> None:
    """Where an element is 0 so is the norm, at every order; small elements neither overflow nor underflow."""
    x = sg.matrix("x", shape=("n", 3))
    norms = sg.vector_norm(x, axis=1, ord=p)
    first = sg.grad(sg.sum(norms), x)
    second = sg.grad(sg.sum(first * [1.0, 2.0, 3.0]), x)
    at = np.array(
        [[0.0, 1.0, 2.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 2.0, 4.0], [1e-170, 2e-170, 4e-170]]
    )
    value, slopes, bends = sg.function([x], [norms, first, second], backend=backend)(at)
    for found in (value, slopes, bends):
        np.testing.assert_array_equal(found[:3], 0)
    np.testing.assert_allclose(value[3], np.sum(at[3] ** p) ** (1 / p), rtol=1e-14)
    np.testing.assert_allclose(value[4], 1e-170 * value[3], rtol=1e-13)
    np.testing.assert_allclose(slopes[3], (at[3] / value[3]) ** (p - 1), rtol=1e-13)
    np.testing.assert_allclose(slopes[4], slopes[3], rtol=1e-13)
