"""The stabilising table against references of 700 digits, where the naive forms fail: values and derivatives.

Each row: the naive form, what it is (in mpmath's terms), and points. At each point the pipeline's value and
first derivative are within a few units in the last place; at one of them at least, the naive form is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

import symgrad as sg


def _log_odds(x: Any) -> Any:
    p = 1 / (1 + sg.exp(-x))
    return sg.log(p / (1 - p))


CASES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any], list[float]]] = {
    "log(1 + e^x)": (
        lambda x: sg.log(1 + sg.exp(x)),
        lambda x: mpmath.log(1 + mpmath.exp(x)),
        [-50.0, 1, 800],
    ),
    "log1p(e^x)": (lambda x: sg.log1p(sg.exp(x)), lambda x: mpmath.log(1 + mpmath.exp(x)), [-50.0, 1, 800]),
    "log(e^x + e^-x)": (
        lambda x: sg.log(sg.exp(x) + sg.exp(-x)),
        lambda x: mpmath.log(mpmath.exp(x) + mpmath.exp(-x)),
        [1.0, 1e-20, 800, -800],
    ),
    "log cosh x": (
        lambda x: sg.log(sg.cosh(x)),
        lambda x: mpmath.log(mpmath.cosh(x)),
        [2.0, 1e-4, 1e-20, -1e-20, 800, -800],
    ),
    "log(2 cosh x)": (
        lambda x: sg.log(2 * sg.cosh(x)),
        lambda x: mpmath.log(2 * mpmath.cosh(x)),
        [2.0, 1e-4, 1e-20, -1e-20, 800, -800],
    ),
    "log2 cosh x": (
        lambda x: sg.log2(sg.cosh(x)),
        lambda x: mpmath.log(mpmath.cosh(x), 2),
        [2.0, 1e-4, 1e-20, -1e-20, 800, -800],
    ),
    "logaddexp(x, -x)": (
        lambda x: sg.logaddexp(x, -x),
        lambda x: mpmath.log(2 * mpmath.cosh(x)),
        [2.0, 1e-4, 1e-20, -1e-20, 800, -800],
    ),
    "a normal density over its scale": (
        lambda x: sg.log(sg.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)),
        lambda x: -x * x / 2 - mpmath.log(mpmath.sqrt(2 * mpmath.mpf(math.pi))),
        [0.5, 40.0],
    ),
    "a mixture of normal densities": (
        lambda x: sg.log(0.3 * sg.exp(-0.5 * x**2) / 2.0 + 0.7 * sg.exp(-0.5 * (x - 3) ** 2) / 3.0),
        lambda x: mpmath.log(
            mpmath.mpf(0.3) / 2 * mpmath.exp(-x * x / 2)
            + mpmath.mpf(0.7) / 3 * mpmath.exp(-((x - 3) ** 2) / 2)
        ),
        [0.5, 100.0],
    ),
    "log of a mean of e^x by hand": (
        lambda x: sg.log(sg.sum(sg.exp(sg.stack([x, 2 * x])) / sg.constant([0.25, 0.5]))),
        lambda x: mpmath.log(4 * mpmath.exp(x) + 2 * mpmath.exp(2 * x)),
        [0.5, 800.0],
    ),
    "log of a masked sum of e^x": (
        lambda x: sg.log(
            sg.sum(sg.where(sg.constant([True, False, True]), sg.exp(sg.stack([x, 5 * x, 2 * x])), 0.0))
        ),
        lambda x: mpmath.log(mpmath.exp(x) + mpmath.exp(2 * x)),
        [0.5, 800.0],
    ),
    "log of a sum of e^x with weights, some 0": (
        lambda x: sg.log(sg.sum(sg.constant([1.0, 0.0, 0.5]) * sg.exp(sg.stack([x, 5 * x, 2 * x])))),
        lambda x: mpmath.log(mpmath.exp(x) + mpmath.exp(2 * x) / 2),
        [0.5, 800.0],
    ),
    "log(1 + sum e^x)": (
        lambda x: sg.log(1 + sg.sum(sg.exp(sg.stack([x, 2 * x])))),
        lambda x: mpmath.log(1 + mpmath.exp(x) + mpmath.exp(2 * x)),
        [0.5, 800.0],
    ),
    "log(1 - tanh(x)^2)": (
        lambda x: sg.log(1 - sg.tanh(x) ** 2),
        lambda x: -2 * mpmath.log(mpmath.cosh(x)),
        [1.0, 30.0, 400.0, -400.0],
    ),
    "log(1 + tanh x)": (
        lambda x: sg.log(1 + sg.tanh(x)),
        lambda x: mpmath.log(1 + mpmath.tanh(x)),
        [1.0, -30.0, -400.0],
    ),
    "log(2 sigmoid(x))": (
        lambda x: sg.log(2 * sg.sigmoid(x)),
        lambda x: mpmath.log(2 / (1 + mpmath.exp(-x))),
        [2.0, -800.0],
    ),
    "log of a square of a sum of e^x": (
        lambda x: sg.log(sg.sum(sg.exp(sg.stack([x, 2 * x]))) ** 2),
        lambda x: 2 * mpmath.log(mpmath.exp(x) + mpmath.exp(2 * x)),
        [0.5, 800.0],
    ),
    "log(3 cosh(x)^2)": (
        lambda x: sg.log(3 * sg.cosh(x) ** 2),
        lambda x: mpmath.log(3 * mpmath.cosh(x) ** 2),
        [0.5, 800.0, -800.0],
    ),
    "log(1 / cosh x)": (
        lambda x: sg.log(1 / sg.cosh(x)),
        lambda x: -mpmath.log(mpmath.cosh(x)),
        [0.5, 745.0],
    ),
    "log sinh x": (lambda x: sg.log(sg.sinh(x)), lambda x: mpmath.log(mpmath.sinh(x)), [0.5, 1e-10, 745.0]),
    "log of a ratio of softmaxes": (
        lambda x: sg.log(sg.softmax(sg.stack([x, 0 * x]))[0] / sg.softmax(sg.stack([-x, 0 * x]))[0]),
        lambda x: mpmath.log((1 + mpmath.exp(x)) / (1 + mpmath.exp(-x))),
        [0.5, -800.0],
    ),
    "log of a selection": (
        lambda x: sg.log(sg.where(x > 0, sg.exp(x), 1.0)),
        lambda x: x if x > 0 else mpmath.mpf(0) * x,
        [0.5, 800.0],
    ),
    "log2(e^x / 3)": (
        lambda x: sg.log2(sg.exp(x) / 3),
        lambda x: (x - mpmath.log(3)) / mpmath.log(2),
        [0.5, 800.0],
    ),
    "(e^x)^c": (lambda x: (sg.exp(x)) ** -0.75, lambda x: mpmath.exp(-x * mpmath.mpf(0.75)), [0.5, 900.0]),
    "1 / sqrt(e^x)": (lambda x: sg.rsqrt(sg.exp(x)), lambda x: mpmath.exp(-x / 2), [0.5, 1000.0]),
    "log ndtr": (lambda x: sg.log(sg.ndtr(x)), lambda x: mpmath.log(mpmath.ncdf(x)), [0.5, -50.0]),
    "log(1 - e^x)": (
        lambda x: sg.log(1 - sg.exp(x)),
        lambda x: mpmath.log(1 - mpmath.exp(x)),
        [-1e-20, -0.3, -1.0, -50.0],
    ),
    "log(e^x - 1)": (
        lambda x: sg.log(sg.exp(x) - 1),
        lambda x: mpmath.log(mpmath.exp(x) - 1),
        [1e-20, 0.3, 3.0, 800.0],
    ),
    "log(1 - sigmoid)": (
        lambda x: sg.log(1 - sg.sigmoid(x)),
        lambda x: -mpmath.log(1 + mpmath.exp(x)),
        [-50.0, 1.0, 50.0, 800.0],
    ),
    "log1p(-sigmoid)": (
        lambda x: sg.log1p(-sg.sigmoid(x)),
        lambda x: -mpmath.log(1 + mpmath.exp(x)),
        [-50.0, 1.0, 50.0, 800.0],
    ),
    "log2 sigmoid": (
        lambda x: sg.log2(sg.sigmoid(x)),
        lambda x: -mpmath.log(1 + mpmath.exp(-x), 2),
        [-800.0, 1.0, 50.0],
    ),
    "log10(1 + x)": (lambda x: sg.log10(1 + x), lambda x: mpmath.log(1 + x, 10), [1e-20, 0.5]),
    "log x^2": (
        lambda x: sg.log(x * x),
        lambda x: 2 * mpmath.log(abs(x)),
        [1e-200, 1e200, -1e180, 1.0000001],
    ),
    "log(e^x y)": (lambda x: sg.log(sg.exp(x) * (x * x)), lambda x: x + 2 * mpmath.log(x), [3.0, 800.0]),
    "log(y / e^x)": (lambda x: sg.log((x * x) / sg.exp(x)), lambda x: 2 * mpmath.log(x) - x, [3.0, 800.0]),
    "log prod e^x": (
        lambda x: sg.log(sg.prod(sg.exp(sg.stack([x, 2 * x, 3 * x])))),
        lambda x: 6 * x,
        [1.0, 300.0, -300.0],
    ),
    "log prod sigmoid": (
        lambda x: sg.log(sg.prod(sg.sigmoid(sg.stack([x, 2 * x])))),
        lambda x: -mpmath.log(1 + mpmath.exp(-x)) - mpmath.log(1 + mpmath.exp(-2 * x)),
        [1.0, -500.0],
    ),
    "tanh by exponentials": (
        lambda x: (sg.exp(x) - sg.exp(-x)) / (sg.exp(x) + sg.exp(-x)),
        mpmath.tanh,
        [1e-12, 1.0, 18.0, 800.0],
    ),
    "tanh by one exponential": (
        lambda x: (sg.exp(2 * x) - 1) / (sg.exp(2 * x) + 1),
        mpmath.tanh,
        [1e-12, 1.0, 18.0, 800.0],
    ),
    "tanh from below": (
        lambda x: (1 - sg.exp(-2 * x)) / (1 + sg.exp(-2 * x)),
        mpmath.tanh,
        [1e-12, 1.0, -18.0, -800.0],
    ),
    "sinh / cosh": (lambda x: sg.sinh(x) / sg.cosh(x), mpmath.tanh, [1e-12, 1.0, 18.0, 800.0]),
    "2 sigmoid - 1": (lambda x: 2 * sg.sigmoid(x) - 1, lambda x: mpmath.tanh(x / 2), [1e-12, 1.0, 30.0]),
    "1 + tanh": (lambda x: 1 + sg.tanh(x), lambda x: 1 + mpmath.tanh(x), [-30.0, 0.5]),
    "1 - tanh": (lambda x: 1 - sg.tanh(x), lambda x: 1 - mpmath.tanh(x), [30.0, 0.5]),
    "1 - tanh^2": (lambda x: 1 - sg.tanh(x) ** 2, lambda x: mpmath.sech(x) ** 2, [30.0, -30.0, 0.5]),
    "sinh by exponentials": (lambda x: (sg.exp(x) - sg.exp(-x)) / 2, mpmath.sinh, [1e-12, 1.0, 5.0]),
    "1 - cos": (lambda x: 1 - sg.cos(x), lambda x: 1 - mpmath.cos(x), [1e-10, 0.5]),
    "cosh - 1": (lambda x: sg.cosh(x) - 1, lambda x: mpmath.cosh(x) - 1, [1e-10, 0.5, 3.0]),
    "e^x - 1": (lambda x: sg.exp(x) - 1, mpmath.expm1, [1e-20, 0.5, -30.0]),
    "1 - e^x": (lambda x: 1 - sg.exp(x), lambda x: -mpmath.expm1(x), [1e-20, 0.5, -30.0]),
    "1 / e^x": (lambda x: 1 / sg.exp(x), lambda x: mpmath.exp(-x), [3.0, 709.5]),
    "root of x^2": (lambda x: sg.sqrt(x * x), abs, [1e200, 1e-200, -3.0]),
    "root of e^x": (lambda x: sg.sqrt(sg.exp(x)), lambda x: mpmath.exp(x / 2), [3.0, 1000.0, -1000.0]),
    "sigmoid'": (
        lambda x: sg.exp(x) / (1 + sg.exp(x)) ** 2,
        lambda x: mpmath.exp(x) / (1 + mpmath.exp(x)) ** 2,
        [1.0, 400.0, -400.0],
    ),
    "softplus by parts": (
        lambda x: sg.relu(x) + sg.log1p(sg.exp(-sg.abs(x))),
        lambda x: mpmath.log(1 + mpmath.exp(x)),
        [0.0, -700.0, 3.0],
    ),
    "cross-entropy by parts": (
        lambda x: (sg.relu(x) - 0.25 * x) + sg.log1p(sg.exp(-sg.abs(x))),
        lambda x: mpmath.log(1 + mpmath.exp(x)) - x / 4,
        [0.0, -30.0, 3.0],
    ),
    "softplus - x": (
        lambda x: sg.softplus(x) - x,
        lambda x: mpmath.log(1 + mpmath.exp(-x)),
        [40.0, 1.0, -3.0],
    ),
    "1 - erfc": (lambda x: 1 - sg.special.erfc(x), mpmath.erf, [1e-20, 0.5]),
    "normal distribution": (
        lambda x: 0.5 * (1 + sg.erf(x / 2**0.5)),
        mpmath.ncdf,
        [-30.0, -37.0, 3.0],
    ),
    "gelu by hand": (
        lambda x: 0.5 * x * (1 + sg.erf(x * 0.5**0.5)),
        lambda x: x * mpmath.ncdf(x),
        [-30.0, 2.0],
    ),
    "logit(sigmoid)": (lambda x: sg.special.logit(sg.sigmoid(x)), lambda x: x, [40.0, 1.0]),
    "log(p / (1 - p))": (_log_odds, lambda x: x, [-800.0, 800.0, 40.0, 1.0, 1e-20]),
    "log((1 - p) / p)": (
        lambda x: sg.log((1 - sg.sigmoid(x)) / sg.sigmoid(x)),
        lambda x: -x,
        [-800.0, 800.0, 40.0, 1.0, 1e-20],
    ),
    "log2(p / (1 - p))": (
        lambda x: sg.log2(sg.sigmoid(x) / (1 - sg.sigmoid(x))),
        lambda x: x / mpmath.log(2),
        [-800.0, 800.0, 40.0, 1.0],
    ),
    "p / (1 - p)": (lambda x: sg.sigmoid(x) / (1 - sg.sigmoid(x)), mpmath.exp, [-700.0, 700.0, 40.0, 1.0]),
    "atanh(tanh)": (lambda x: sg.atanh(sg.tanh(x)), lambda x: x, [25.0, 1.0]),
    "asinh(sinh)": (lambda x: sg.asinh(sg.sinh(x)), lambda x: x, [800.0, 1.0]),
    "log softmax with the maximum": (
        lambda x: sg.log(_softmax_by_hand(sg.stack([x, 0 * x]))[1]),
        lambda x: -mpmath.log(1 + mpmath.exp(x)),
        [-800.0, 800.0, 1.0],
    ),
}


def _softmax_by_hand(x: Any) -> Any:
    e = sg.exp(x - sg.max(x))
    return e / sg.sum(e)


def error(found: float, exact: Any) -> float:
    """How far off, in units in the last place; below the smallest normal number, in its units."""
    if not np.isfinite(found):
        return float("inf")
    size = max(abs(exact), mpmath.mpf(2) ** -1022)
    return float(abs(mpmath.mpf(float(found)) - exact) / size / 2**-53)


@pytest.mark.parametrize("name", CASES)
def test_accurate_where_the_naive_form_fails(name: str, backend: str) -> None:
    naive, exact, points = CASES[name]
    x = sg.scalar("x")
    y = naive(x)
    f = sg.function([x], [y, sg.grad(y, x)], backend=backend)
    plain_y = naive(x)
    plain = sg.function([x], [plain_y, sg.grad(plain_y, x, stabilize=False)], passes=(), backend="numpy")
    worst = 0.0
    with mpmath.workdps(700):
        for point in points:
            at = mpmath.mpf(point)
            expected = [exact(at), mpmath.diff(exact, at, h=mpmath.mpf(10) ** -300)]
            with np.errstate(all="ignore"):
                found, before = f(point), plain(point)
            for value, reference in zip(found, expected, strict=True):
                assert error(value, reference) < 40, f"at {point}: {value}, not {mpmath.nstr(reference, 17)}"
            worst = max(worst, *(error(v, r) for v, r in zip(before, expected, strict=True)))
    assert worst > 100, "the naive form does not fail anywhere"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_derivatives_of_log_cosh_keep_their_digits(dtype: str, backend: str) -> None:
    """tanh(x), sech(x)^2 and -2 tanh(x) sech(x)^2, near 0 and where cosh(x) overflows."""
    x = sg.scalar("x", dtype=dtype)
    orders = [sg.log(sg.cosh(x))]
    for _ in range(3):
        orders.append(sg.grad(orders[-1], x))
    f = sg.function([x], orders, backend=backend)
    eps = np.finfo(dtype).eps
    for size in (1e-20, 1e-10, 1e-4, 0.1, 0.5, 1.0, 1.5, 5.0, 20.0, 100.0, 1e3):
        for point in (np.dtype(dtype).type(size), np.dtype(dtype).type(-size)):
            with mpmath.workdps(900):
                at = mpmath.mpf(float(point))
                t, s = mpmath.tanh(at), mpmath.sech(at) ** 2
                exact = [float(v) for v in (mpmath.log(mpmath.cosh(at)), t, s, -2 * t * s)]
            np.testing.assert_allclose(f(point), exact, rtol=3 * eps, atol=np.finfo(dtype).smallest_subnormal)


@pytest.mark.parametrize(("x", "y"), [(1e-200, 1e200), (1e200, 1e-200), (3.0, 7.0)])
def test_slopes_of_the_logarithm_of_a_ratio(x: float, y: float, backend: str) -> None:
    """1 / x and -1 / y, where x / y overflows or underflows, too; and their slopes."""
    a, b = sg.scalar("a"), sg.scalar("b")
    cost = sg.log(a / b)
    slopes = sg.grad(cost, [a, b])
    second = [sg.grad(slopes[0], a), sg.grad(slopes[1], b)]
    f = sg.function([a, b], [*slopes, *second], backend=backend)
    np.testing.assert_allclose(f(x, y), [1 / x, -1 / y, -1 / x / x, 1 / y / y], rtol=1e-15)


def test_slope_by_a_subnormal_divisor(backend: str) -> None:
    """-(x / y) / y, not -(x / y) (1 / y): 1 / y is infinite here, which 0 must not meet."""
    x, y = sg.scalar("x"), sg.scalar("y")
    f = sg.function([x, y], sg.grad(x / y, [x, y]), backend=backend)
    with np.errstate(all="ignore"):
        assert f(0.0, 1e-310) == [np.inf, 0]


def test_a_common_factor_below_one_stays_where_the_difference_may_overflow(backend: str) -> None:
    """Found by the campaign: 0.1 (x - y) is infinite where 0.1 x - 0.1 y is not."""
    x, y = sg.scalar("x"), sg.scalar("y")
    f = sg.function([x, y], [0.1 * x - 0.1 * y, 0.1 * x + -0.1 * y], backend=backend)
    assert np.isfinite(f(1.7e308, -1.7e308)).all()


def test_a_complex_factor_stays_where_the_difference_may_overflow(backend: str) -> None:
    """Of (0.8 + 0.8i) x the parts are smaller than x, though the factor is larger than 1."""
    x, y = (sg.tensor(name, (1,), "complex128") for name in "xy")
    f = sg.function([x, y], (0.8 + 0.8j) * x - (0.8 + 0.8j) * y, backend=backend)
    large = np.array([1e308 + 0j])
    assert np.isfinite(f(large, -large)).all()


@pytest.mark.parametrize(
    "build",
    [
        lambda x, y: sg.grad((0.1 / x) / (y / x), x),
        lambda x, y: sg.grad(sg.grad(3 / (x / (2 + y)), x), y),
        lambda x, y: (1 / (x / y)) * (-((x + 1) / y)),
    ],
    ids=["slope", "second slope", "product"],
)
def test_quotients_of_quotients(build: Callable[..., Any], backend: str) -> None:
    """A rule compared tensors, which is a tensor, and not true or false."""
    x, y = sg.scalar("x"), sg.scalar("y")
    z = build(x, y)
    wanted = sg.function([x, y], z, passes=())(1.7, 0.3)
    np.testing.assert_allclose(sg.function([x, y], z)(1.7, 0.3), wanted, rtol=1e-13, atol=1e-16)


def _by_itself(x: Any) -> Any:
    return x * x


SQUARES: dict[str, Callable[[Any], Any]] = {
    "square of a norm": lambda x: sg.norm(x) ** 2,
    "norm by itself": lambda x: _by_itself(sg.norm(x)),
    "norm written twice": lambda x: sg.norm(x) * sg.norm(x),
    "norms of rows": lambda x: sg.sum(sg.norm(sg.reshape(x, (3, 1)), axis=1) ** 2),
    "norm of a matrix": lambda x: sg.linalg.matrix_norm(sg.reshape(x, (1, 3))) ** 2,
    "absolute values": lambda x: sg.sum(sg.abs(x) ** 2),
    "root of a square": lambda x: sg.sum(sg.sqrt(x**2) ** 2),
    "lengths": lambda x: sg.hypot(sg.hypot(x[0], x[1]), x[2]) ** 2,
    "norm of complex numbers": lambda x: sg.norm(sg.complex(x, 0 * x)) ** 2,
    "absolute values of complex numbers": lambda x: sg.sum(sg.abs(sg.complex(x, 0 * x)) ** 2),
}


@pytest.mark.parametrize("name", SQUARES)
def test_squares_of_roots_are_smooth_at_zero(name: str) -> None:
    """|x|^2 is smooth where |x| has a kink; its Hessian is twice the identity."""
    x = sg.vector("x", size=3)
    y = SQUARES[name](x)
    f = sg.function([x], [y, sg.grad(y, x), sg.hessian(y, x)])
    for a in (np.zeros(3), np.array([0.0, 3.0, -4.0]), np.full(3, 1e-120)):
        value, slope, bend = f(a)
        np.testing.assert_allclose(value, a @ a, rtol=1e-14)
        np.testing.assert_allclose(slope, 2 * a, rtol=1e-14)
        np.testing.assert_allclose(bend, 2 * np.eye(3), rtol=1e-12, atol=1e-12)


def test_even_powers_of_roots() -> None:
    x = sg.scalar("x")
    for y in (sg.abs(x) ** 4, sg.norm(sg.stack([x, 0 * x])) ** 4, sg.std(sg.stack([x, -x])) ** 4):
        d = y
        for _ in range(4):
            d = sg.grad(d, x)
        assert d.eval({x: 0.0}) == pytest.approx(24)
    odd = sg.grad(sg.grad(sg.abs(x) ** 3, x), x)
    assert odd.eval({x: -2.0}) == pytest.approx(12)


ROOTS: dict[str, Callable[[Any], Any]] = {
    "root of a sum": lambda x: sg.sqrt(sg.sum(x**2)),
    "root of a sum of products": lambda x: sg.sqrt(sg.sum(x * x)),
    "power": lambda x: sg.sum(x**2) ** 0.5,
    "dot": lambda x: sg.sqrt(x @ x),
    "by hand": lambda x: sg.sqrt(x[0] ** 2 + (x[1] ** 2 + x[2] ** 2)),
    "root of a mean": lambda x: sg.sqrt(3 * sg.mean(x**2)),
    "scaled": lambda x: 2 * sg.sqrt(sg.sum(x**2) / 4),
}


@pytest.mark.parametrize("name", ROOTS)
def test_roots_of_sums_of_squares_are_norms(name: str) -> None:
    """The gradient is that of `norm`, 0 at 0, and the Hessian that of it."""
    x = sg.vector("x", size=3)
    y, norm = ROOTS[name](x), sg.norm(x)
    ours, theirs = (sg.function([x], [n, sg.grad(n, x), sg.hessian(n, x)]) for n in (y, norm))
    for a in (np.zeros(3), np.array([1.0, -2.0, 0.0]), np.array([0.0, 0.0, 5.0])):
        for found, wanted in zip(ours(a), theirs(a), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-13, atol=1e-15)


def test_other_roots_have_the_slopes_that_they_have() -> None:
    x = sg.scalar("x")
    for y in (sg.sqrt(x), sg.sqrt(2 * x), x**0.5):
        assert sg.grad(y, x).eval({x: 0.0}) == np.inf
