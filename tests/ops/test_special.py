"""Special functions: accuracy in the tails and beside zeros, limits, derivatives at singular points."""

from __future__ import annotations

from functools import cache
from typing import Any

import mpmath
import numpy as np
import pytest
import scipy.special

import symgrad as sg
from symgrad import registry
from symgrad.ops.special import _sinc_derivative, xlogx
from tests.ops.accuracy_special import SPECIAL, excess

COUNT = 75  # points in each range
INF, NAN = np.inf, np.nan


def derivatives(build: Any, order: int) -> Any:
    """A compiled function to the value and the derivatives up to an order."""
    x = sg.vector("x")
    ys = [build(x)]
    for _ in range(order):
        ys.append(sg.grad(sg.sum(ys[-1]), x, disconnected_inputs="ignore"))
    return sg.function([x], ys)


@cache
def references(name: str, order: int) -> list[Any]:
    """What both backends are held against."""
    row = SPECIAL[name]
    return [row.reference(order, mpmath.mpf(float(a))) for a in row.samples(COUNT)]


@pytest.mark.parametrize("name", SPECIAL)
def test_error_bounds(name: str) -> None:
    row = SPECIAL[name]
    f = derivatives(row.build, len(row.ulps) - 1)
    x = row.samples(COUNT)
    for order, (values, bound) in enumerate(zip(f(x), row.ulps, strict=True)):
        errors = excess(row, order, x, values, references(name, order))
        worst = int(np.argmax(errors))
        assert errors[worst] <= bound, f"derivative {order} at {x[worst]!r}: {values[worst]!r}"


#: Values and derivatives where formulas meet 0/0, 0 * inf or inf - inf.
LIMITS: list[tuple[str, float, tuple[float, ...]]] = [
    ("erf", INF, (1, 0, 0, 0)),
    ("erf", -INF, (-1, 0, 0, 0)),
    ("erfc", INF, (0, 0, 0, 0)),
    ("erfc", -INF, (2, 0, 0, 0)),
    ("erfc", 30.0, (0, 0, 0, 0)),
    ("ndtr", -INF, (0, 0, 0, 0)),
    ("ndtr", INF, (1, 0, 0, 0)),
    ("log_ndtr", -INF, (-INF, INF, -1, 0)),
    ("log_ndtr", -1e200, (-INF, 1e200, -1, 0)),
    ("log_ndtr", -1e100, (-5e199, 1e100, -1, 2e-300)),
    ("log_ndtr", 1e200, (0, 0, 0, 0)),
    ("log_ndtr", INF, (0, 0, 0, 0)),
    ("erfinv", 1.0, (INF, INF, INF)),
    ("erfinv", -1.0, (-INF, INF, -INF)),
    ("erfinv", 1.5, (NAN,)),
    ("gammaln", 1.0, (0, -np.euler_gamma, np.pi**2 / 6)),
    ("gammaln", 2.0, (0, 1 - np.euler_gamma, np.pi**2 / 6 - 1)),
    ("gammaln", 0.0, (INF, -INF, INF)),
    ("gammaln", -3.0, (INF, NAN)),
    ("gammaln", -1e300, (INF,)),
    ("gammaln", INF, (INF, INF, 0)),
    ("digamma", 0.0, (-INF, INF, -INF)),
    ("digamma", -0.0, (INF, INF)),
    ("digamma", -2.0, (NAN,)),
    ("logit", 0.0, (-INF, INF, -INF)),
    ("logit", 1.0, (INF, INF, INF)),
    ("logit", 0.5, (0, 4, 0)),
    ("logit", 1.5, (NAN,)),
    ("sinc", 0.0, (1, 0, -(np.pi**2) / 3, 0, np.pi**4 / 5, 0, -(np.pi**6) / 7)),
    ("sinc", 1e-300, (1, -(np.pi**2) / 3 * 1e-300, -(np.pi**2) / 3)),
    ("sinc", INF, (0, 0, 0, 0)),
    ("sinc", 3.0, (0, -1 / 3, 2 / 9)),
    ("sinc", 1e17, (0, 1e-17)),
    ("xlogx", 0.0, (0, -INF, INF)),
    ("entr", 0.0, (0, INF, -INF)),
    ("entr", -1.0, (-INF, 0, 0)),
    ("gelu", -INF, (0, 0, 0, 0)),
    ("gelu", INF, (INF, 1, 0, 0)),
    ("gelu", 1e300, (1e300, 1, 0, 0)),
    ("gelu", -1e300, (0, 0, 0, 0)),
    ("gelu tanh", -INF, (0, 0, 0, 0)),
    ("gelu tanh", INF, (INF, 1, 0, 0)),
    ("gelu tanh", -1e200, (0, 0, 0, 0)),
    ("silu", -INF, (0, 0, 0, 0)),
    ("silu", INF, (INF, 1, 0, 0)),
    ("elu", INF, (INF, 1, 0)),
    ("elu", -INF, (-1, 0, 0)),
    ("elu", 0.0, (0, 1, 1)),
    ("leaky_relu", 0.0, (0, 0.01, 0)),
    ("leaky_relu", -INF, (-INF, 0.01, 0)),
    ("hard_tanh", 1.0, (1, 1, 0)),
    ("hard_tanh", -INF, (-1, 0, 0)),
]
BUILD = {
    "gelu tanh": lambda x: sg.gelu(x, approximate=True),
    **{n: getattr(sg.special, n) for n in ("ndtr", "log_ndtr", "entr", "xlogx")},
}


@pytest.mark.parametrize(
    ("name", "point", "expected"), LIMITS, ids=lambda v: str(v) if v.__class__ is not tuple else ""
)
def test_limits(name: str, point: float, expected: tuple[float, ...]) -> None:
    f = derivatives(BUILD.get(name) or getattr(sg, name), len(expected) - 1)
    found = [v[0] for v in f(np.array([point]))]
    np.testing.assert_allclose(found, expected, rtol=1e-15, atol=0)


@pytest.mark.parametrize("name", [n for n in sg.special.__all__ if hasattr(scipy.special, n)])
def test_the_namespace_has_scipys_values(name: str) -> None:
    a = np.array([0.1, 0.3, 0.6, 0.9])
    operands = {"polygamma": (2, a), "xlogy": (a, a[::-1]), "xlog1py": (a, a[::-1]), "logaddexp": (a, a)}.get(
        name, (a,)
    )
    x = [sg.constant(v) if isinstance(v, np.ndarray) else v for v in operands]
    result = getattr(sg.special, name)(*x).eval()
    np.testing.assert_allclose(result, getattr(scipy.special, name)(*operands), rtol=1e-13)


def test_gates_in_float32(backend: str) -> None:
    """NumPy code computes in float64; native code within 3 units in the last place, beside zeros too."""
    rng = np.random.default_rng(3)
    values = np.concatenate([rng.uniform(-6, 6, 500), rng.uniform(-1.3, -0.7, 500)]).astype(np.float32)
    for build in (sg.silu, sg.gelu, BUILD["gelu tanh"]):
        single, double = (
            sg.function([x], sg.grad(sg.sum(build(x)), x))(values.astype(dtype))
            for dtype in ("float32", "float64")
            for x in [sg.vector("x", dtype=dtype)]
        )
        bound = 3 if backend == "llvm" else 0.501
        assert (np.abs(single - double) <= bound * np.spacing(np.abs(single)).astype(np.float64)).all()


def test_nothing_calls_back() -> None:
    x = sg.vector("x", size="n")
    for name in SPECIAL:
        y = SPECIAL[name].build(x)
        f = sg.function([x], [y, sg.grad(sg.sum(y), x)], backend="llvm")
        assert "call back" not in f.plan(), name


@pytest.mark.parametrize(
    "name", ["erf", "erfc", "ndtr", "log_ndtr", "gammaln", "digamma", "polygamma(2)", "sinc"]
)
def test_float32_is_near_float64(name: str, backend: str) -> None:
    """NumPy code computes in float64; native code within 2 units in the last place."""
    row = SPECIAL[name]
    values = np.random.default_rng(1).uniform(-6, 6, 1000).astype(np.float32)
    single, double = (
        sg.function([x], row.build(x))(values.astype(dtype))
        for dtype in ("float32", "float64")
        for x in [sg.vector("x", dtype=dtype)]
    )
    assert single.dtype == np.float32
    bound = 2 if backend == "llvm" else 0.501
    assert (np.abs(single - double) <= bound * np.spacing(np.abs(single)).astype(np.float64)).all()


def test_single_numbers_without_passes() -> None:
    x = sg.scalar("x")
    y = sg.stop_gradient(sg.sinc(x)) + sg.polygamma(1, x) + sg.special.entr(x)
    assert sg.function([x], y, passes=())(0.5) == pytest.approx(2 / np.pi + np.pi**2 / 2 + np.log(2) / 2)
    assert sg.erf(2).eval() == pytest.approx(scipy.special.erf(2), rel=1e-15)
    assert sg.polygamma(1, 3).eval() == pytest.approx(np.pi**2 / 6 - 1.25, rel=1e-15)


@pytest.mark.parametrize("name", ["polygamma", "sinc_derivative"])
def test_orders_that_are_tensors(name: str) -> None:
    """Not offered, but a text may say so."""
    order, x = sg.vector("order", size=5), sg.vector("x", size=5)
    f = sg.function([order, x], registry.ops[name](order, x))
    n, a = np.array([0.0, 1.0, 2.0, -1.0, 0.5]), np.full(5, 0.3)
    found = f(n, a)
    each = sg.polygamma if name == "polygamma" else _sinc_derivative
    expected = [float(each(k, sg.constant(0.3)).eval()) for k in range(3)]
    np.testing.assert_allclose(found, [*expected, NAN, NAN], rtol=1e-14)


@pytest.mark.parametrize("n", [8, 12])
def test_high_derivatives_of_sinc(n: int) -> None:
    x = np.array([0.0, 1e-8, 0.3, -0.7, 1.1, 2.3, 9.4])
    node, weight = np.polynomial.legendre.leggauss(80)
    t = (node + 1) / 2
    phase = np.pi * x[:, None] * t + n * np.pi / 2
    expected = (weight / 2 * (np.pi * t) ** n * np.cos(phase)).sum(axis=1)
    found = _sinc_derivative(n, sg.constant(x)).eval()
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13 * np.pi**n / n)


def test_products_with_logarithms_at_zero() -> None:
    """The partial derivatives at (0, 0) are 0; beside it the Hessian is whole and symmetric."""
    x, y = sg.vector("x", size="n"), sg.vector("y", size="n")
    a, b = np.array([0.0, 0.0, 2.0, 0.0]), np.array([0.0, 3.0, 4.0, INF])
    for f, shift in ((sg.xlogy, 0.0), (sg.xlog1py, 1.0)):
        z = f(x, y)
        dx, dy = sg.grad(sg.sum(z), [x, y])
        mixed = [sg.grad(sg.sum(dx), y), sg.grad(sg.sum(dy), x)]
        value, d_x, d_y, xy, yx = sg.function([x, y], [z, dx, dy, *mixed])(a, b - shift)
        np.testing.assert_allclose(value, [0, 0, 2 * np.log(4), 0], rtol=1e-15)
        np.testing.assert_allclose(d_x, [0, np.log(3), np.log(4), INF], rtol=1e-15)
        np.testing.assert_array_equal(d_y, [0, 0, 0.5, 0])
        np.testing.assert_allclose(xy, [0, 1 / 3, 1 / 4, 0], rtol=1e-15)
        np.testing.assert_allclose(yx, xy, rtol=1e-15)
    p = sg.vector("p")
    slope = sg.function([p], sg.grad(sg.sum(xlogx(p)), p))
    np.testing.assert_array_equal(slope(np.array([0.0, 1.0])), [-INF, 1])


def test_a_masked_singularity_leaves_no_trace() -> None:
    x = sg.vector("x")
    for f in (sg.gammaln, sg.digamma, xlogx, sg.logit):
        y = sg.sum(sg.where(x > 0, f(x), x))
        d = sg.grad(y, x)
        found = sg.function([x], [d, sg.grad(sg.sum(d), x)])(np.array([0.0, -1.0]))
        np.testing.assert_array_equal(found, [[1, 1], [0, 0]])


def test_orders_are_checked() -> None:
    x = sg.scalar("x")
    with pytest.raises(sg.DTypeError, match="an int as its order"):
        sg.polygamma(1.5, x)  # type: ignore[arg-type]
    with pytest.raises(sg.ShapeError, match="an order from 0 on, not -1"):
        sg.polygamma(-1, x)


def test_the_forms_of_gelu() -> None:
    x = sg.vector("x")
    exact, approximate = [
        sg.function([x], [sg.gelu(x, approximate=form) for form in forms])(np.array([0.5, 2.0]))
        for forms in ((False, "none"), (True, "tanh"))
    ]
    np.testing.assert_array_equal(*exact)
    np.testing.assert_array_equal(*approximate)
    assert not np.array_equal(exact, approximate)
    for wrong in ("erf", 1, None):
        with pytest.raises(sg.GraphError, match="gelu has no form"):
            sg.gelu(x, approximate=wrong)  # type: ignore[arg-type]
