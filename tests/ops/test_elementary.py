"""The elementary functions where they are not ordinary: at 0, poles, bounds and infinity, behind masks."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

import symgrad as sg
from symgrad.ops.inverse import asin_derivative

INF, NAN = np.inf, np.nan


def slopes(function: Callable[..., Any], *at: float) -> list[float]:
    """The derivatives of a function of numbers towards each operand."""
    xs = [sg.scalar(f"x{i}") for i in range(len(at))]
    found = sg.grad(function(*xs), xs, disconnected_inputs="zero")
    return [float(v) for v in sg.function(xs, found, on_unused_input="ignore")(*at)]


#: function, point, derivatives
CONVENTIONS: list[tuple[str, tuple[float, ...], tuple[float, ...]]] = [
    ("abs", (0.0,), (0,)),
    ("abs", (-0.0,), (0,)),
    ("copysign", (0.0, -1.0), (0, 0)),
    ("copysign", (-2.0, -1.0), (1, 0)),
    ("copysign", (-2.0, 0.0), (-1, 0)),
    ("copysign", (2.0, -0.0), (-1, 0)),
    ("sqrt", (0.0,), (INF,)),
    ("rsqrt", (0.0,), (-INF,)),
    ("cbrt", (0.0,), (INF,)),
    ("cbrt", (-8.0,), (1 / 12,)),
    ("reciprocal", (0.0,), (-INF,)),
    ("asin", (1.0,), (INF,)),
    ("asin", (-1.0,), (INF,)),
    ("acos", (1.0,), (-INF,)),
    ("acos", (-1.0,), (-INF,)),
    ("acosh", (1.0,), (INF,)),
    ("atanh", (1.0,), (INF,)),
    ("atanh", (-1.0,), (INF,)),
    ("atan", (INF,), (0,)),
    ("atan", (-INF,), (0,)),
    ("asinh", (INF,), (0,)),
    ("acosh", (INF,), (0,)),
    ("tanh", (INF,), (0,)),
    ("sigmoid", (-INF,), (0,)),
    ("softplus", (-INF,), (0,)),
    ("softplus", (INF,), (1,)),
    ("atan2", (0.0, 0.0), (0, 0)),
    ("atan2", (0.0, -0.0), (0, 0)),
    ("atan2", (0.0, -2.0), (-0.5, 0)),
    ("atan2", (INF, 1.0), (0, 0)),
    ("atan2", (1.0, -INF), (0, 0)),
    ("atan2", (INF, INF), (0, 0)),
    ("atan2", (3e300, 4e300), (4 / 25e300, -3 / 25e300)),
    ("atan2", (3e-300, 4e-300), (4 / 25e-300, -3 / 25e-300)),
    ("hypot", (0.0, 0.0), (0, 0)),
    ("hypot", (0.0, -2.0), (0, -1)),
    ("hypot", (3e300, 4e300), (0.6, 0.8)),
    ("hypot", (3e-320, 0.0), (1, 0)),
    ("hypot", (INF, 3.0), (1, 0)),
    ("hypot", (2.0, -INF), (0, -1)),
    ("logaddexp", (-INF, -INF), (0, 0)),
    ("logaddexp", (INF, 0.0), (1, 0)),
    ("logaddexp", (-INF, 0.0), (0, 1)),
    ("logaddexp", (INF, INF), (0.5, 0.5)),
    ("divide", (1e308, 1e-1), (10, -INF)),
    ("divide", (1e-200, 1e-250), (1e250, -1e300)),
    ("divide", (1e10, 1e160), (1e-160, -1e-310)),
    ("remainder", (7.0, 2.0), (1, -3)),
    ("remainder", (-7.0, 2.0), (1, 4)),
    ("remainder", (7.0, -2.0), (1, 4)),
    ("pow", (0.0, 0.0), (0, 0)),
    ("pow", (0.0, 1.0), (1, 0)),
    ("pow", (0.0, 2.0), (0, 0)),
    ("pow", (0.0, 0.5), (INF, 0)),
    ("pow", (0.0, -1.0), (-INF, -INF)),
    ("pow", (-2.0, 3.0), (12, NAN)),
    ("pow", (-2.0, 0.0), (0, NAN)),
    ("pow", (INF, -1.0), (0, 0)),
    ("pow", (1e200, 1.6), (1.6 * 1e200 ** (1.6 - 1), INF)),
    ("pow", (NAN, 0.0), (0, NAN)),
]


@pytest.mark.parametrize(("name", "at", "expected"), CONVENTIONS, ids=str)
def test_conventions(name: str, at: tuple[float, ...], expected: tuple[float, ...], backend: str) -> None:
    np.testing.assert_allclose(slopes(getattr(sg, name), *at), expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("power", "expected"),
    [(0.0, 0.0), (1, 1.0), (1.0, 1.0), (2, 0.0), (2.0, 0.0), (3, 0.0), (0.5, INF), (0.3, INF), (-1, -INF)],
)
def test_known_powers_of_zero(power: float, expected: float, backend: str) -> None:
    assert slopes(lambda x: x**power, 0.0) == [expected]


@pytest.mark.parametrize(("base", "expected"), [(2.0, 4 * np.log(2)), (0.0, 0.0), (1.0, 0.0)])
def test_powers_of_known_numbers(base: float, expected: float, backend: str) -> None:
    assert slopes(lambda y: base**y, 2.0) == [pytest.approx(expected, rel=1e-15)]


#: Functions of x that are singular at x = 0.
SINGULAR: dict[str, Callable[[Any], Any]] = {
    "reciprocal": sg.reciprocal,
    "divide": lambda x: sg.exp(x) / x,
    "sqrt": sg.sqrt,
    "rsqrt": sg.rsqrt,
    "cbrt": sg.cbrt,
    "log": sg.log,
    "log2": sg.log2,
    "log10": sg.log10,
    "log1p": lambda x: sg.log1p(x - 1),
    "asin": lambda x: sg.asin(1 - x),
    "acos": lambda x: sg.acos(1 - x),
    "asin of a root": lambda x: sg.asin(sg.sqrt(x)),
    "acosh": lambda x: sg.acosh(1 + x),
    "atanh": lambda x: sg.atanh(1 - x),
    "atan of a reciprocal": lambda x: sg.atan(1 / x),
    "asinh of a root": lambda x: sg.asinh(sg.sqrt(x)),
    "atan2": lambda x: sg.atan2(sg.sqrt(x), x),
    "hypot": lambda x: sg.hypot(sg.sqrt(x), x),
    "pow": lambda x: x**0.3,
    "pow to -1": lambda x: x**-1.5,
    "pow of a root": lambda x: sg.sqrt(x) ** 3.0,
    "pow of tensors": lambda x: x ** (x - 1),
    "exp2": lambda x: sg.exp2(1 / x),
    "tan": lambda x: sg.tan(1 / x),
    "logaddexp": lambda x: sg.logaddexp(sg.log(x), -1 / x),
    "copysign": lambda x: sg.copysign(sg.sqrt(x), 1 / x),
    "clip": lambda x: sg.clip(sg.sqrt(x), 0.0, 9.0),
}


@pytest.mark.parametrize("name", SINGULAR)
def test_what_is_not_taken_has_derivative_zero(name: str, backend: str) -> None:
    """At the bad point all derivatives are exactly 0, elsewhere what they are without the mask."""
    x = sg.vector("x", size=2)
    function = SINGULAR[name]
    masked, free = sg.where(x > 0, function(x), 0), function(x)
    found, expected = [], []
    for _ in range(3):
        masked, free = (sg.grad(sg.sum(y), x) for y in (masked, free))
        found.append(masked)
        expected.append(free)
    ours = sg.function([x], found)(np.array([0.0, 0.25]))
    plain = sg.function([x], expected)(np.array([0.25, 0.25]))
    for order in range(3):
        assert ours[order][0] == 0
        np.testing.assert_allclose(ours[order][1], plain[order][1], rtol=1e-12)


# ---- clip -------------------------------------------------------------------------------------------


def test_clip_treats_nan_and_crossed_bounds_as_numpy(backend: str) -> None:
    v = np.array([-INF, -1.0, -0.0, 0.0, 1.0, 2.0, INF, NAN])
    a, low, high = (g.ravel() for g in np.meshgrid(v, v, v))
    x, lower, upper = (sg.vector(n, size="n") for n in ("x", "lower", "upper"))
    f = sg.function([x, lower, upper], [sg.clip(x, lower, upper), sg.clip(x, lower), sg.clip(x, max=upper)])
    expected = np.clip(a, low, high), np.clip(a, low, None), np.clip(a, None, high)
    for ours, theirs in zip(f(a, low, high), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("at", "expected"), [(-1.0, 1.0), (2.0, 1.0), (0.5, 1.0), (-1.5, 0.0), (3.0, 0.0)])
def test_clip_passes_derivatives_at_its_bounds(at: float, expected: float, backend: str) -> None:
    assert slopes(lambda x: sg.clip(x, -1, 2), at) == [expected]
    assert slopes(lambda x: sg.clip(x, -1, None) + sg.clip(x, None, 2), at) == [1 + expected]
    assert slopes(sg.clip, at, -1.0, 2.0)[0] == expected


def test_clip_sends_the_rest_to_the_bounds(backend: str) -> None:
    assert slopes(sg.clip, -3.0, -1.0, 2.0) == [0, 1, 0]
    assert slopes(sg.clip, 3.0, -1.0, 2.0) == [0, 0, 1]
    assert slopes(sg.clip, 0.0, 2.0, 1.0) == [0, 0, 1]


@pytest.mark.parametrize(("low", "high", "dtype"), [(1, 3, "int32"), (None, 3, "int32"), (0.5, 2, "float64")])
def test_clip_of_integers(low: float | None, high: float, dtype: str, backend: str) -> None:
    x = sg.vector("x", size="n", dtype="int32")
    y = sg.clip(x, low, high)
    a = np.arange(6, dtype=np.int32)
    assert y.dtype.name == dtype
    np.testing.assert_array_equal(sg.function([x], y)(a), np.clip(a, low, high))


# ---- rounding ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["floor", "ceil", "trunc", "round", "positive", "abs", "sign"])
@pytest.mark.parametrize("dtype", ["int8", "int64", "uint8", "uint64"])
def test_integers_stay_integers(name: str, dtype: str, backend: str) -> None:
    x = sg.vector("x", size="n", dtype=dtype)
    y = getattr(sg, name)(x)
    assert y.dtype.name == dtype
    info = np.iinfo(dtype)
    a = np.array([0, 1, 7, info.max, *([-1, -9] if info.min else [])], dtype)
    reference = {"abs": np.abs, "sign": np.sign}.get(name, np.array)
    np.testing.assert_array_equal(sg.function([x], y)(a), reference(a))


def test_round_is_to_even_and_keeps_signs(backend: str) -> None:
    x = sg.vector("x", size="n")
    a = np.array([-2.5, -1.5, -0.5, -0.0, 0.5, 1.5, 2.5, 1e300, INF, NAN])
    for name, theirs in [("round", np.rint), ("ceil", np.ceil), ("trunc", np.trunc), ("floor", np.floor)]:
        ours = sg.function([x], getattr(sg, name)(x))(a)
        np.testing.assert_array_equal(ours, theirs(a))
        np.testing.assert_array_equal(np.signbit(ours), np.signbit(theirs(a)))


# ---- names and graphs -------------------------------------------------------------------------------


def test_numpys_older_names() -> None:
    older = {"arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2", "rint": "round"}
    older |= {f"arc{n}h": f"a{n}h" for n in ("sin", "cos", "tan")}
    for old, new in older.items():
        assert getattr(sg, old) is getattr(sg, new)


def test_methods() -> None:
    x = sg.vector("x", size=3)
    a = np.array([-1.5, 0.2, 2.5])
    np.testing.assert_array_equal(x.clip(-1, 1).eval({x: a}), a.clip(-1, 1))
    np.testing.assert_array_equal(x.round().eval({x: a}), a.round())


NUMBERS = "add sub mul truediv floordiv mod pow matmul lt le gt ge eq ne"
BITS = "and_ or_ xor lshift rshift"


@pytest.mark.parametrize("name", [*NUMBERS.split(), *BITS.split()])
def test_operators_beside_numpys_arrays_and_numbers(name: str) -> None:
    """All of NumPy's objects leave their operators to the tensor, whichever side it is on."""
    dtype = "int64" if name in BITS.split() else "float64"
    values = np.array([2, 3, 4], dtype)
    x = sg.vector("x", size=3, dtype=dtype)
    apply = getattr(operator, name)
    for other in (np.array([1, 3, 5], dtype), np.dtype(dtype).type(2), np.int8(3), np.array(2)):
        if name == "matmul" and not other.ndim:
            continue
        for a, b in ((other, x), (x, other)):
            wanted = apply(*(values if t is x else t for t in (a, b)))
            np.testing.assert_array_equal(apply(a, b).eval({x: values}), wanted)


def test_an_array_is_not_changed_to_a_tensor_in_its_place() -> None:
    a = np.zeros(3)
    with pytest.raises(TypeError, match="holds no numbers"):
        a += sg.vector("x", size=3)


def test_positive_takes_numbers() -> None:
    x = sg.vector("x")
    assert sg.positive(x) is x
    with pytest.raises(sg.DTypeError, match="positive does not take bool"):
        sg.positive(x > 0)


#: What is written, and the derivative that a reader expects.
READABLE: list[tuple[Callable[[Any], Any], Callable[[Any], Any]]] = [
    (lambda x: x**2, lambda x: 2 * x),
    (lambda x: x**3, lambda x: 3 * x**2),
    (lambda x: x**0.5, lambda x: 0.5 * x**-0.5),
    (lambda x: 2**x, lambda x: 2**x * sg.log(2.0)),
    (sg.sin, sg.cos),
    (sg.exp, sg.exp),
    (sg.tanh, sg.sech_squared),
    (sg.tan, lambda x: sg.reciprocal(sg.square(sg.cos(x)))),
    (sg.log, sg.reciprocal),
    (sg.asin, asin_derivative),
    (sg.asinh, lambda x: sg.reciprocal(sg.hypot(1, x))),
]


@pytest.mark.parametrize(("function", "derivative"), READABLE)
def test_derivatives_read_as_in_a_textbook(
    function: Callable[[Any], Any], derivative: Callable[[Any], Any]
) -> None:
    def ops(y: Any) -> list[str]:
        graph = sg.optimize(sg.Graph([x], [y]))
        return sorted(n.op.name for n in graph.nodes)

    x = sg.scalar("x")
    assert ops(sg.grad(function(x), x)) == ops(derivative(x))


def test_no_warnings_at_poles(backend: str) -> None:
    x = sg.vector("x", size="n")
    f = sg.function([x], [sg.rsqrt(x), sg.acosh(x), sg.atanh(x), sg.log2(x), sg.grad(sg.sum(x**0.3), x)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        f(np.array([0.0, -1.0, 1.0, INF, NAN, 5e-324]))


@pytest.mark.parametrize("dtype", ["int64", "int8", "uint32", "uint64"])
def test_integers_to_integer_powers(dtype: str) -> None:
    """Modulo 2^bits, as NumPy; a negative exponent is an error with the node."""
    x, y = sg.vector("x", size="n", dtype=dtype), sg.vector("y", size="n", dtype=dtype)
    f = sg.function([x, y], x**y)
    info, rng = np.iinfo(dtype), np.random.default_rng(0)
    a = rng.integers(info.min, info.max, 101, dtype=dtype)
    b = rng.integers(0, info.max, 101, dtype=dtype)
    b[:50] %= 9
    b[50] = info.max
    np.testing.assert_array_equal(f(a, b), a**b)
    assert "callback" not in f.plan()
    if info.min < 0:
        with pytest.raises(sg.ExecutionError, match="ntegers to negative integer powers"):
            f(a, -b - 1)


def test_a_power_of_one_half_is_no_root() -> None:
    """C's pow: inf at -inf, +0 at -0; NumPy's own takes the root where one exponent is 1/2."""
    a = np.array([-INF, -0.0, -1.0, 4.0, INF, NAN])
    expected = np.array([INF, 0.0, NAN, 2.0, INF, NAN])
    x, y = sg.vector("x", size=6), sg.vector("y", size=6)
    found = sg.function([x, y], [x**0.5, sg.pow(x, y)])(a, np.full(6, 0.5))
    for values in found:
        np.testing.assert_array_equal(values, expected)
        assert not np.signbit(values[:2]).any()


def test_the_maximum_with_0_is_never_negative_0() -> None:
    x = sg.vector("x")
    for values in sg.function([x], [sg.relu(x), sg.maximum(x, 0)])(np.array([-0.0, -1.0, 0.0])):
        assert not np.signbit(values).any()


def test_slopes_in_an_exponent_that_is_zero(backend: str) -> None:
    """Where y, y - 1 ... is 0, the factor of x^(y-1) vanishes, but not its derivative."""
    w = sg.scalar("w")
    found, of_itself = [(w + 2) ** w], [w**w]
    for _ in range(4):
        found.append(sg.grad(found[-1], w))
        of_itself.append(sg.grad(of_itself[-1], w))
    with mpmath.workdps(60):
        for outputs, f in ((found, lambda t: (t + 2) ** t), (of_itself, lambda t: t**t)):
            run = sg.function([w], outputs, backend=backend)
            for at in (0.0, 1.0, 2.0, 3.0)[outputs is of_itself :]:
                wanted = [float(mpmath.diff(f, at, n, h=mpmath.mpf("1e-10"))) for n in range(5)]
                np.testing.assert_allclose(run(at), wanted, rtol=1e-8)


def test_mixed_slopes_of_powers(backend: str) -> None:
    x = sg.vector("x", size=2)
    run = sg.function([x], sg.hessian(x[0] ** x[1], x), backend=backend)
    np.testing.assert_allclose(run([2.0, 0.0]), [[0, 0.5], [0.5, np.log(2) ** 2]], rtol=1e-14)
    np.testing.assert_array_equal(run([0.0, 0.0]), np.zeros((2, 2)))
    a = sg.scalar("a")
    z = sg.real((a + sg.constant(2 + 0.5j)) ** (a + sg.constant(0j)))
    base = 2 + 0.5j
    second = (1 / base + 1 / base + np.log(base) ** 2).real
    np.testing.assert_allclose(
        sg.function([a], sg.grad(sg.grad(z, a), a), backend=backend)(0.0), second, rtol=1e-12
    )


def _leg(x: Any) -> Any:
    return sg.hypot(x, 3.0)


#: Function, order, point, derivative: where terms of the textbook's form cancel, or 0 meets infinity.
HIGHER: list[tuple[Callable[[Any], Any], int, float, float]] = [
    *[(sg.cbrt, order, x, 0) for order in (1, 2, 3, 4) for x in (INF, -INF)],
    *[(sg.cbrt, order, 0.0, s * INF) for order, s in ((1, 1), (2, -1), (3, 1), (4, -1))],
    *[(sg.cbrt, order, -0.0, INF) for order in (1, 2, 3, 4)],
    (sg.cbrt, 2, -8.0, 1 / 144),
    (sg.cbrt, 3, 1e-300, INF),
    *[(sg.asinh, order, x, 0) for order in (1, 2, 3, 4) for x in (INF, -INF)],
    (sg.asinh, 2, 1e-20, -1e-20),
    (sg.asinh, 4, 1e-20, 9e-20),
    *[
        (sg.asin, order, x, value)
        for order, x, value in ((2, 1e-20, 1e-20), (4, 1e-20, 9e-20), (2, 1.0, INF))
    ],
    *[
        (sg.acos, order, x, value)
        for order, x, value in ((2, 1e-20, -1e-20), (4, 1e-20, -9e-20), (2, -1.0, INF))
    ],
    *[
        (sg.atanh, order, x, value)
        for order, x, value in ((2, 1e-20, 2e-20), (4, 1e-20, 24e-20), (2, -1.0, -INF))
    ],
    *[(_leg, 2, x, value) for x, value in ((1e8, 9e-24), (1e15, 9e-45), (INF, 0), (0.0, 1 / 3))],
    *[(_leg, 3, x, value) for x, value in ((1e8, -27e-32), (1e15, -27e-60), (INF, 0), (0.0, 0))],
]


@pytest.mark.parametrize(("f", "order", "at", "exact"), HIGHER)
def test_higher_derivatives_at_hard_points(
    f: Callable[[Any], Any], order: int, at: float, exact: float, backend: str
) -> None:
    x = sg.scalar("x")
    y = f(x)
    for _ in range(order):
        y = sg.grad(y, x)
    with np.errstate(all="ignore"):
        found = sg.function([x], y, backend=backend)(at)
    np.testing.assert_allclose(found, exact, rtol=4e-15, atol=0)
