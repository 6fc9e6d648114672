"""How exact elementwise ops are on floats: rows of references at high precision.

A row is the value and the derivatives towards each operand as mpmath expressions of exact inputs, and points:
ordinary ones, tails and extremes. Families keep rows of their own in `accuracy_<family>.py`, which
`test_accuracy.py` merges.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from mpmath import mp, mpf

import symgrad as sg
from symgrad.ops.arithmetic import cbrt_derivative
from symgrad.ops.inverse import asin_derivative, atanh_derivative, over_hypot, over_squares
from symgrad.ops.power import pow_plus
from symgrad.ops.select import masked_multiply, masked_multiply_both
from symgrad.ops.transcendental import log_cosh, sigmoid_difference

#: Bits of the references. An angle of 1e300 alone needs 1000 more; mpmath sees to that.
PRECISION = 400
COUNT = 200
TAILS = (
    *(1e-300, 1e-100, 1e-20, 1e-8, 1e-3, 0.1, 0.5 - 1e-10, 0.5, 0.5 + 1e-10, 1 - 1e-10, 1.0, 1 + 1e-10),
    *(1.5, 2.0, 5.0, 10.0, 20.0, 40.0, 100.0, 300.0, 700.0, 1e5, 1e9, 1e16, 1e100, 1e300),
)


def points(low: float, high: float, *special: float, seed: int = 0) -> np.ndarray:
    """`COUNT` numbers in [low, high], none 0: tails and extremes of both signs; of the others half are
    evenly spread, half have logarithms that are."""
    rng = np.random.default_rng(seed)
    near = [p for p in (*special, low, high, *TAILS, *(-t for t in TAILS)) if low <= p <= high and p != 0]
    near = list(dict.fromkeys(near))
    half = (COUNT - len(near)) // 2
    even = rng.uniform(max(low, -50.0), min(high, 50.0), COUNT - len(near) - half)
    sides = [s for s, end in ((1.0, high), (-1.0, -low)) if end > 0]
    signs = rng.choice(sides, half)
    largest = np.where(signs > 0, high, -low)
    smallest = np.where(signs > 0, low, -high)
    smallest = np.where(smallest > 0, smallest, np.minimum(1e-20, largest))
    spread = signs * 10 ** rng.uniform(np.log10(smallest), np.log10(largest))
    return np.clip([*near, *even, *spread], low, high)


def pairs(
    x: np.ndarray, y: np.ndarray, keep: Callable[[Any, Any], Any] = lambda x, y: np.full(x.shape, True)
) -> tuple[np.ndarray, np.ndarray]:
    """`COUNT` pairs of the two that satisfy `keep`."""
    a, b = (g.ravel() for g in np.meshgrid(x, y))
    with np.errstate(all="ignore"):
        kept = np.flatnonzero(keep(a, b))
    chosen = np.random.default_rng(1).permutation(kept)[:COUNT]
    assert len(chosen) == COUNT
    return a[chosen], b[chosen]


@dataclass(frozen=True)
class Row:
    """`value` and `slopes` (None: no derivative) take mpmath numbers, `points` are arrays, one an operand."""

    value: Callable[..., Any]
    slopes: tuple[Callable[..., Any] | None, ...]
    points: tuple[np.ndarray, ...]
    #: The function of tensors, where it is not the op of the row's name.
    build: Callable[..., Any] | None = None
    #: Allowed errors of the value and the derivatives, in units in the last place.
    bound: float = 4


def _sech_squared(x: Any) -> Any:
    return 1 / mp.cosh(x) ** 2


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def _sigmoid_slope(x: Any) -> Any:
    return _sigmoid(x) * _sigmoid(-x)


def _softplus(x: Any) -> Any:
    return mp.log1p(mp.exp(x))


def _logaddexp(x: Any, y: Any) -> Any:
    return max(x, y) + mp.log1p(mp.exp(-abs(x - y)))


def near_zero() -> tuple[np.ndarray, np.ndarray]:
    """Where e^x + e^y = 1, and beside: the result falls to 1e-3 of its terms."""
    rng = np.random.default_rng(11)
    x = -np.exp(rng.uniform(np.log(1e-12), np.log(1.5), 200))
    away = rng.choice([-1.0, 1.0], 200) * 10 ** rng.uniform(-3, 0.3, 200)
    y = np.log(-np.expm1(x)) + away
    swapped = rng.uniform(size=200) < 0.5
    return np.where(swapped, y, x), np.where(swapped, x, y)


def _cbrt(x: Any) -> Any:
    return mp.sign(x) * mp.cbrt(abs(x))


def _power(x: Any, y: Any) -> Any:
    return x**y if x > 0 else abs(x) ** y * (-1) ** int(y)


def _remainder(x: Any, y: Any) -> Any:
    return x - y * mp.floor(x / y)


def _one(*_: Any) -> Any:
    return mpf(1)


def _over_squares(x: Any, y: Any) -> Any:
    return x / (x * x + y * y)


def _moderate(x: Any, y: Any) -> Any:
    """Powers, their derivatives and what these are made of are normal numbers."""
    return (
        (np.abs(y * np.log(np.abs(x))) < 690)
        & (np.abs((y - 1) * np.log(np.abs(x))) < 690)
        & (np.abs(y) > 1e-290)
    )


LN2, LN10 = (lambda: mp.log(2)), (lambda: mp.log(10))
ANY = points(-1e300, 1e300)
OTHER = points(-1e300, 1e300, seed=1)
SMALL = points(-1e100, 1e100, seed=2)
POSITIVE = points(1e-300, 1e300)
UNIT = points(-1.0, 1.0, 1 - 2**-53, -1 + 2**-53)
INSIDE = UNIT[np.abs(UNIT) < 1]
ANGLES = points(-1e300, 1e300, np.pi, np.pi / 2, 3 * np.pi / 2, 1e22)
EXPONENTS = points(-744.0, 709.0, seed=3)
POWERS = points(-1e5, 1e5, 0.3, -0.3, 1 / 3, 1e-3, 1.1, 2.5, 0.7, seed=4)
BASES = points(1e-300, 1e300, 1 + 1e-5, 1 - 1e-5, seed=5)
WHOLE = np.array([float(n) for n in range(-9, 30) if n != 0])
NEGATIVE = -points(1e-20, 1e20, seed=6)


def _is_moderate_quotient(x: Any, y: Any) -> Any:
    return (np.abs(np.log10(np.abs(x / y))) < 300) & (np.abs(np.log10(np.abs(x / y / y))) < 300)


TABLE: dict[str, Row] = {
    "add": Row(lambda x, y: x + y, (_one, _one), pairs(ANY, OTHER)),
    "subtract": Row(lambda x, y: x - y, (_one, lambda x, y: mpf(-1)), pairs(ANY, OTHER)),
    "multiply": Row(lambda x, y: x * y, (lambda x, y: y, lambda x, y: x), pairs(SMALL, SMALL)),
    "divide": Row(lambda x, y: x / y, (lambda x, y: 1 / y, lambda x, y: -x / y**2), pairs(ANY, OTHER)),
    "negative": Row(lambda x: -x, (lambda x: mpf(-1),), (ANY,)),
    "positive": Row(lambda x: x, (_one,), (ANY,)),
    "reciprocal": Row(lambda x: 1 / x, (lambda x: -1 / x**2,), (ANY,)),
    "square": Row(lambda x: x * x, (lambda x: 2 * x,), (ANY,)),
    "sqrt": Row(mp.sqrt, (lambda x: 1 / (2 * mp.sqrt(x)),), (POSITIVE,)),
    "rsqrt": Row(lambda x: 1 / mp.sqrt(x), (lambda x: -1 / (2 * x * mp.sqrt(x)),), (POSITIVE,)),
    "cbrt": Row(_cbrt, (lambda x: 1 / (3 * _cbrt(x) ** 2),), (ANY,)),
    "cbrt_derivative": Row(
        lambda x: 1 / (3 * _cbrt(x) ** 2),
        (lambda x: -2 / (9 * _cbrt(x) ** 5),),
        (points(-1e150, 1e150),),
        build=lambda x: cbrt_derivative(sg.cbrt(x), x),
    ),
    "abs": Row(abs, (mp.sign,), (ANY,)),
    "sign": Row(mp.sign, (None,), (ANY,)),
    "floor": Row(mp.floor, (None,), (ANY,)),
    "ceil": Row(mp.ceil, (None,), (ANY,)),
    "trunc": Row(lambda x: mp.sign(x) * mp.floor(abs(x)), (None,), (ANY,)),
    "round": Row(mp.nint, (None,), (ANY,)),
    "copysign": Row(lambda x, y: abs(x) * mp.sign(y), (lambda x, y: mp.sign(x * y), None), pairs(ANY, OTHER)),
    "floor_divide": Row(
        lambda x, y: mp.floor(x / y), (None, None), pairs(points(-1e9, 1e9), points(1e-3, 1e9))
    ),
    "remainder": Row(
        _remainder, (_one, lambda x, y: -mp.floor(x / y)), pairs(points(-1e9, 1e9), points(1e-3, 1e9))
    ),
    "pow": Row(
        _power,
        (lambda x, y: y * x ** (y - 1), lambda x, y: x**y * mp.log(x)),
        pairs(BASES, POWERS, _moderate),
    ),
    "pow of negative": Row(
        _power, (lambda x, y: y * _power(x, y - 1), None), pairs(NEGATIVE, WHOLE, _moderate), build=sg.pow
    ),
    "pow to 3": Row(lambda x: x**3, (lambda x: 3 * x**2,), (SMALL,), build=lambda x: x**3),
    "pow to 0.3": Row(
        lambda x: x ** mpf(0.3),
        (lambda x: mpf(0.3) * x ** (mpf(0.3) - 1),),
        (POSITIVE,),
        build=lambda x: x**0.3,
    ),
    "pow to -1.1": Row(
        lambda x: x ** mpf(-1.1),
        (lambda x: mpf(-1.1) * x ** (mpf(-1.1) - 1),),
        (points(1e-140, 1e140),),
        build=lambda x: x**-1.1,
    ),
    "pow of 2": Row(
        lambda x: mpf(2) ** x, (lambda x: mpf(2) ** x * LN2(),), (points(-1000, 1000),), build=lambda x: 2**x
    ),
    "pow_plus": Row(
        lambda x, y: x ** (y - 1),
        (lambda x, y: (y - 1) * x ** (y - 2), lambda x, y: x ** (y - 1) * mp.log(x)),
        pairs(BASES, POWERS, lambda x, y: _moderate(x, y) & _moderate(x, y - 1) & (y != 1)),
        build=lambda x, y: pow_plus(x, y, -1),
    ),
    "exp": Row(mp.exp, (mp.exp,), (EXPONENTS,)),
    "exp2": Row(lambda x: mpf(2) ** x, (lambda x: mpf(2) ** x * LN2(),), (points(-1074, 1023.5),)),
    "expm1": Row(mp.expm1, (mp.exp,), (EXPONENTS,)),
    "log": Row(mp.log, (lambda x: 1 / x,), (POSITIVE,)),
    "log1p": Row(mp.log1p, (lambda x: 1 / (1 + x),), (points(-1 + 2**-53, 1e300),)),
    "log2": Row(lambda x: mp.log(x) / LN2(), (lambda x: 1 / (x * LN2()),), (POSITIVE,)),
    "log10": Row(lambda x: mp.log(x) / LN10(), (lambda x: 1 / (x * LN10()),), (POSITIVE,)),
    "sin": Row(mp.sin, (mp.cos,), (ANGLES,)),
    "cos": Row(mp.cos, (lambda x: -mp.sin(x),), (ANGLES,)),
    "tan": Row(mp.tan, (lambda x: mp.sec(x) ** 2,), (ANGLES,)),
    "asin": Row(mp.asin, (lambda x: 1 / mp.sqrt(1 - x**2),), (INSIDE,)),
    "acos": Row(mp.acos, (lambda x: -1 / mp.sqrt(1 - x**2),), (INSIDE,)),
    "atan": Row(mp.atan, (lambda x: 1 / (1 + x**2),), (points(-1e300, 1e300, 1e155, 3e161, -1e160),)),
    "sinh": Row(mp.sinh, (mp.cosh,), (points(-709, 709),)),
    "cosh": Row(mp.cosh, (mp.sinh,), (points(-709, 709),)),
    "tanh": Row(mp.tanh, (_sech_squared,), (points(-1e300, 1e300, 372.0, -360.0),)),
    "asinh": Row(mp.asinh, (lambda x: 1 / mp.sqrt(1 + x**2),), (ANY,)),
    "acosh": Row(mp.acosh, (lambda x: 1 / mp.sqrt(x**2 - 1),), (points(1 + 2**-52, 1e300),)),
    "atanh": Row(mp.atanh, (lambda x: 1 / (1 - x**2),), (INSIDE,)),
    "atan2": Row(
        mp.atan2,
        (lambda y, x: x / (x**2 + y**2), lambda y, x: -y / (x**2 + y**2)),
        pairs(ANY, OTHER),
    ),
    "hypot": Row(
        lambda x, y: mp.sqrt(x**2 + y**2),
        (lambda x, y: x / mp.sqrt(x**2 + y**2), lambda x, y: y / mp.sqrt(x**2 + y**2)),
        pairs(ANY, OTHER),
    ),
    "asin_derivative": Row(
        lambda x: 1 / mp.sqrt(1 - x**2),
        (lambda x: x / mp.sqrt(1 - x**2) ** 3,),
        (INSIDE,),
        build=asin_derivative,
    ),
    "atanh_derivative": Row(
        lambda x: 1 / (1 - x**2), (lambda x: 2 * x / (1 - x**2) ** 2,), (INSIDE,), build=atanh_derivative
    ),
    "over_hypot": Row(
        lambda x, y: x / mp.sqrt(x**2 + y**2),
        (lambda x, y: y**2 / mp.sqrt(x**2 + y**2) ** 3, lambda x, y: -x * y / mp.sqrt(x**2 + y**2) ** 3),
        pairs(SMALL, SMALL),
        build=lambda x, y: over_hypot(x, y, sg.hypot(x, y)),
    ),
    "over_squares": Row(
        _over_squares,
        (None, None),
        pairs(ANY, OTHER),
        build=over_squares,
    ),
    "sech_squared": Row(_sech_squared, (lambda x: -2 * mp.tanh(x) * _sech_squared(x),), (points(-370, 370),)),
    "sigmoid": Row(_sigmoid, (_sigmoid_slope,), (points(-745, 745, -711.7, -740.3, -36.7),)),
    "log_cosh": Row(
        lambda x: mp.log1p(2 * mp.sinh(x / 2) ** 2),
        (mp.tanh,),
        (points(-1e300, 1e300, 372.0, 1 - 1e-16),),
        build=log_cosh,
    ),
    "softplus": Row(_softplus, (_sigmoid,), (points(-745, 1e300, -713.3),)),
    "log_sigmoid": Row(lambda x: -_softplus(-x), (lambda x: _sigmoid(-x),), (points(-1e300, 745),)),
    "logaddexp": Row(
        _logaddexp,
        (lambda x, y: _sigmoid(x - y), lambda x, y: _sigmoid(y - x)),
        pairs(points(-745, 1e5), points(-800, 1e5, seed=7)),
    ),
    "logaddexp near 0": Row(
        _logaddexp,
        (lambda x, y: _sigmoid(x - y), lambda x, y: _sigmoid(y - x)),
        near_zero(),
        build=sg.logaddexp,
    ),
    "logaddexp of x and a comparable exp(y)": Row(
        _logaddexp,
        (lambda x, y: _sigmoid(x - y), lambda x, y: _sigmoid(y - x)),
        pairs(points(1e-16, 1e-2, seed=9), points(-36, -5, seed=9)),
        build=sg.logaddexp,
    ),
    "sigmoid_difference": Row(
        lambda x, y: _sigmoid(x - y),
        (lambda x, y: _sigmoid_slope(x - y), lambda x, y: -_sigmoid_slope(x - y)),
        pairs(points(-700, 1e3), points(-700, 1e3, seed=8)),
        build=sigmoid_difference,
    ),
    "masked_multiply": Row(
        lambda x, y: x * y, (lambda x, y: y, lambda x, y: x), pairs(SMALL, SMALL), build=masked_multiply
    ),
    "masked_multiply_both": Row(
        lambda x, y: x * y, (lambda x, y: y, lambda x, y: x), pairs(SMALL, SMALL), build=masked_multiply_both
    ),
}

#: Ops of floats that round nothing.
EXACT = {
    "where": "takes one operand",
    "maximum": "takes one operand",
    "minimum": "takes one operand",
    "relu": "takes x or 0",
    "stop_gradient": "takes x",
    "nextafter": "a step in the last place, held against NumPy in the agreement of backends",
}

#: Second derivatives: the digits of tails must survive differentiating twice.
SECOND: dict[str, Row] = {
    "exp": Row(mp.exp, (), (EXPONENTS,)),
    "tanh": Row(lambda x: -2 * mp.tanh(x) * _sech_squared(x), (), (points(-370, 370),)),
    "sigmoid": Row(lambda x: -_sigmoid_slope(x) * mp.tanh(x / 2), (), (points(-740, 740),)),
    "softplus": Row(_sigmoid_slope, (), (points(-740, 740),)),
    "logaddexp": Row(
        lambda x: _sigmoid_slope(x - mpf(0.1)),
        (),
        (points(-700, 700),),
        build=lambda x: sg.logaddexp(x, 0.1),
    ),
    "log1p": Row(lambda x: -1 / (1 + x) ** 2, (), (points(-1 + 2**-53, 1e100),)),
    "atan": Row(lambda x: -2 * x / (1 + x**2) ** 2, (), (points(-1e100, 1e100),)),
    "asinh": Row(lambda x: -x / mp.sqrt(1 + x**2) ** 3, (), (points(-1e100, 1e100),)),
    "asin": Row(lambda x: x / mp.sqrt(1 - x**2) ** 3, (), (INSIDE,), bound=6),
    "acos": Row(lambda x: -x / mp.sqrt(1 - x**2) ** 3, (), (INSIDE,), bound=6),
    "atanh": Row(lambda x: 2 * x / (1 - x**2) ** 2, (), (INSIDE,)),
    "cbrt": Row(lambda x: -2 / (9 * _cbrt(x) ** 5), (), (points(-1e150, 1e150),)),
    "hypot": Row(
        lambda x: 9 / mp.sqrt(x * x + 9) ** 3, (), (points(-1e100, 1e100),), build=lambda x: sg.hypot(x, 3)
    ),
    "sqrt": Row(lambda x: -(x ** mpf(-1.5)) / 4, (), (points(1e-200, 1e200),)),
    "reciprocal": Row(lambda x: 2 / x**3, (), (points(1e-100, 1e100),)),
    "pow to 0.3": Row(
        lambda x: mpf(0.3) * (mpf(0.3) - 1) * x ** (mpf(0.3) - 2),
        (),
        (points(1e-150, 1e150),),
        build=lambda x: x**0.3,
    ),
    "tan": Row(lambda x: 2 * mp.tan(x) * mp.sec(x) ** 2, (), (points(-1e9, 1e9),)),
}
