"""How accurate the special functions and their derivatives are: references in many digits, ranges, bounds.

A row is a function of one variable, it and its derivatives in mpmath, and the ranges it is tried on, its
tails among them. In float64, errors are bounded by `ulps` units in the last place plus `absolute`: the latter
beside zeros where terms cancel that are themselves rounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np

import symgrad as sg

Bound = float | Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Accuracy:
    build: Callable[[Any], Any]
    value: Callable[[Any], Any]
    slopes: tuple[Callable[[Any], Any], ...]
    ranges: tuple[tuple[float, float], ...]
    #: The bound of the value, of the first derivative, and of the others as far as given.
    ulps: tuple[float, ...] = (4, 4)
    absolute: tuple[Bound, ...] = (0, 0, 0, 0)

    def reference(self, order: int, x: Any) -> Any:
        """The derivative of that order, in many digits."""
        return self.slopes[order - 1](x) if order else self.value(x)

    def allowed(self, order: int, x: np.ndarray) -> Any:
        """The absolute error at x."""
        bound = self.absolute[order]
        return bound(x) if callable(bound) else bound

    def samples(self, count: int) -> np.ndarray:
        """`count` points of each range, its ends among them; large ranges by magnitude."""
        rng = np.random.default_rng(0)
        parts = []
        for low, high in self.ranges:
            inner = (
                np.exp(rng.uniform(math.log(low), math.log(high), count - 2))
                if low > 0 and high > 1000 * low
                else rng.uniform(low, high, count - 2)
            )
            parts += [np.array([low, high]), inner]
        return np.concatenate(parts)


def excess(row: Accuracy, order: int, x: np.ndarray, values: np.ndarray, references: list[Any]) -> np.ndarray:
    """Errors beyond the absolute bound, in units in the last place of the reference."""
    units = np.spacing(np.abs(np.array([float(r) for r in references])))
    errors = [abs(mpmath.mpf(float(v)) - r) for v, r in zip(values, references, strict=True)]
    allowed = row.allowed(order, x) + 0 * x
    return np.array(
        [
            float(max(e - mpmath.mpf(float(a)), 0) / mpmath.mpf(float(u)))
            for e, a, u in zip(errors, allowed, units, strict=True)
        ]
    )


def _on_the_left(scale: Callable[[np.ndarray], np.ndarray]) -> Bound:
    """Between any two poles on the left there is a zero: a few roundings of what is subtracted."""
    return lambda x: np.where(x < 0, 4e-16 * (1 + scale(1 + np.abs(x))), 0)


def _even_on_the_left(order: int) -> Bound:
    """Between two poles the derivatives of even order cross 0, and there pi^(n+1) (d/dt)^n cot(t)."""
    slope = {2: 2, 6: 272}[order]
    return lambda x: np.where(x < 0, 4e-16 * math.pi ** (order + 1) * slope, 0)


def _gauss(factor: Any, scale: Any) -> Callable[[Any], Any]:
    """factor exp(-scale x^2)"""
    return lambda x: factor * mpmath.exp(-scale * x * x)


def _gauss_slope(factor: Any, scale: Any) -> Callable[[Any], Any]:
    return lambda x: -2 * scale * x * factor * mpmath.exp(-scale * x * x)


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-x))


def _silu_slope(x: Any) -> Any:
    return _sigmoid(x) * (1 + x * _sigmoid(-x))


def _silu_second(x: Any) -> Any:
    p, q = _sigmoid(x), _sigmoid(-x)
    return p * q * (2 + x * (q - p))


def _sinc_slope(order: int) -> Callable[[Any], Any]:
    """sum (-1)^m pi^2m x^(2m-n) / ((2m+1) (2m-n)!), in more digits than the terms cancel."""

    def slope(x: Any) -> Any:
        with mpmath.workdps(45 + int(3 * abs(x))):
            total, m, power = mpmath.mpf(0), -(-order // 2), 0
            square, x = (mpmath.pi * x) ** 2, mpmath.mpf(x)
            term = (-1) ** m * mpmath.pi ** (2 * m) * x ** (2 * m - order) / mpmath.factorial(2 * m - order)
            while power < 10 * abs(x) + 40:
                total += term / (2 * m + 1)
                m += 1
                power = 2 * m - order
                term *= -square / (power * (power - 1))
            return total

    return slope


def _polygamma(order: int) -> Callable[[Any], Any]:
    return lambda x: mpmath.psi(order, x)


def _mills(order: int) -> Callable[[Any], Any]:
    """A derivative of r = ndtr'(x) / ndtr(x), by r' = -r (x + r)."""

    def reference(x: Any) -> Any:
        with mpmath.workdps(80):
            r = mpmath.npdf(x) / mpmath.ncdf(x)
            found = [r]
            for n in range(order):  # Leibniz' rule
                sums = [x + r, 1 + found[1] if n else 0, *found[2:]]
                found.append(
                    -mpmath.fsum(mpmath.binomial(n, k) * found[n - k] * sums[k] for k in range(n + 1))
                )
            return +found[order]

    return reference


def _gelu_tanh_slope(x: Any) -> Any:
    c = mpmath.mpf("0.044715")
    z, slope = 2 * TANH_SCALE * (x + c * x**3), 2 * TANH_SCALE * (1 + 3 * c * x * x)
    return _sigmoid(z) * (1 + x * slope * _sigmoid(-z))


def _polygamma_row(order: int) -> Accuracy:
    return Accuracy(
        lambda x: sg.polygamma(order, x),
        _polygamma(order),
        (_polygamma(order + 1),),
        ((1e-3, 1), (1, 10), (10, 1e5), (-9.99, -1e-9)),
        (4 + 2 * order, 6 + 2 * order),  # powers multiply the rounding of their base
        tuple(_even_on_the_left(n) if n % 2 == 0 else 0 for n in (order, order + 1)),
    )


mpmath.mp.dps = 40
EDGE = 1e-300
SMALL = 1e-100  # where powers do not overflow
TWO_ROOT_PI = 2 / mpmath.sqrt(mpmath.pi)
ROOT_TWO_PI = 1 / mpmath.sqrt(2 * mpmath.pi)
TANH_SCALE = mpmath.sqrt(2 / mpmath.pi)
SUBNORMAL = 1e-321
SPECIAL: dict[str, Accuracy] = {
    "erf": Accuracy(
        sg.erf,
        mpmath.erf,
        (_gauss(TWO_ROOT_PI, 1), _gauss_slope(TWO_ROOT_PI, 1)),
        ((-6, 6), (-27, 27), (-1, 1), (EDGE, 1e-3)),
        (4, 4, 4),
        (0, 0, SUBNORMAL),
    ),
    "erfc": Accuracy(
        sg.erfc,
        mpmath.erfc,
        (_gauss(-TWO_ROOT_PI, 1), _gauss_slope(-TWO_ROOT_PI, 1)),
        ((-6, 6), (0, 27), (-1, 1), (20, 26.6)),
        (4, 4, 4),
        (0, 0, SUBNORMAL),
    ),
    "ndtr": Accuracy(
        sg.special.ndtr,
        mpmath.ncdf,
        (_gauss(ROOT_TWO_PI, 0.5), _gauss_slope(ROOT_TWO_PI, 0.5)),
        ((-38, 9), (-6, 6), (-1, 1), (-38.5, -20)),
        (4, 4, 4),
        (0, 0, SUBNORMAL),
    ),
    "log_ndtr": Accuracy(
        sg.special.log_ndtr,
        lambda x: mpmath.log(mpmath.ncdf(x)) if x < 0 else mpmath.log1p(-mpmath.ncdf(-x)),
        (_mills(0), _mills(1), _mills(2), _mills(3)),
        ((-9, 9), (-2, 0), (-6, -4), (-40, -5), (-1e4, -8), (0, 37)),
        (4, 4, 120, 5e4, 6e5),
        (SUBNORMAL,) * 5,
    ),
    "erfinv": Accuracy(
        sg.erfinv,
        mpmath.erfinv,
        (lambda x: mpmath.exp(mpmath.erfinv(x) ** 2) / TWO_ROOT_PI,),
        ((-0.999, 0.999), (EDGE, 0.5), (0.999, 1 - 1e-12), (1 - 1e-6, 1 - 2.0**-53)),
        (4, 80),  # y^2 units from the rounding of y = erfinv(x) alone
    ),
    "gammaln": Accuracy(
        sg.gammaln,
        lambda x: mpmath.loggamma(x).real,
        (_polygamma(0), _polygamma(1)),
        (
            (SMALL, 1),
            (0.9, 1.1),
            (1.9, 2.1),
            (1, 6),
            (5, 1000),
            (1e3, 1e300),
            (-9.99, -1e-9),
            (-1000.4, -990.3),
        ),
        (4, 4, 4),
        (_on_the_left(lambda x: x * np.log(x)), _on_the_left(np.log), 0),
    ),
    "digamma": Accuracy(
        sg.digamma,
        _polygamma(0),
        (_polygamma(1), _polygamma(2), _polygamma(3)),
        (
            (SMALL, 1),
            (1, 2),
            (1.46, 1.463),
            (1, 10),
            (5, 1000),
            (1e3, 1e300),
            (-9.99, -1e-9),
            (-1000.4, -990.3),
        ),
        (4, 4, 8),
        (_on_the_left(np.log), 0, _even_on_the_left(2)),
    ),
    "polygamma(1)": _polygamma_row(1),
    "polygamma(2)": _polygamma_row(2),
    "polygamma(5)": _polygamma_row(5),
    "logit": Accuracy(
        sg.logit,
        lambda x: mpmath.log(x / (1 - x)),
        (lambda x: 1 / (x * (1 - x)), lambda x: (2 * x - 1) / (x * (1 - x)) ** 2),
        ((SMALL, 1e-3), (1e-9, 1 - 1e-9), (0.4, 0.6), (0.999, 1 - 1e-12)),
        (4, 4, 4),
        (0, 0, 4e-15),
    ),
    "xlogy": Accuracy(
        lambda x: sg.xlogy(1.7, x),
        lambda x: 1.7 * mpmath.log(x),
        (lambda x: 1.7 / x,),
        ((EDGE, 1), (0.9, 1.1), (1, 1e300)),
    ),
    "xlog1py": Accuracy(
        lambda x: sg.xlog1py(1.7, x),
        lambda x: 1.7 * mpmath.log1p(x),
        (lambda x: 1.7 / (1 + x),),
        ((EDGE, 1), (-0.9, 1), (1, 1e300)),
    ),
    "xlogx": Accuracy(
        sg.special.xlogx,
        lambda x: x * mpmath.log(x),
        (lambda x: 1 + mpmath.log(x), lambda x: 1 / x),
        ((EDGE, 1), (0.9, 1.1), (1, 1e300), (0.3678, 0.3679), (0.1, 1)),
        (4, 4, 4),
    ),
    "entr": Accuracy(
        sg.special.entr,
        lambda x: -x * mpmath.log(x),
        (lambda x: -1 - mpmath.log(x), lambda x: -1 / x),
        ((EDGE, 1), (0.9, 1.1), (1, 1e300), (0.3678, 0.3679), (0.1, 1)),
        (4, 4, 4),
    ),
    "sinc": Accuracy(
        sg.sinc,
        mpmath.sincpi,
        tuple(map(_sinc_slope, range(1, 7))),
        ((-1, 1), (-20, 20), (EDGE, 1e-3)),
        (4,) * 7,
        (0, *(4e-16 * math.pi**n for n in range(1, 7))),
    ),
    "sinc beside the first zeros of its derivative": Accuracy(
        sg.sinc,
        mpmath.sincpi,
        (_sinc_slope(1),),
        ((-3.6, 3.6), (1.43, 1.4306), (2.45902, 2.45903), (-3.4709, -3.4708)),
    ),
    "gelu": Accuracy(
        sg.gelu,
        lambda x: x * mpmath.ncdf(x),
        (
            lambda x: mpmath.ncdf(x) + x * mpmath.npdf(x),
            lambda x: (2 - x * x) * mpmath.npdf(x),
        ),
        ((-37, 10), (-3, 3), (-1, 1), (-0.7518, -0.7517)),
        (4, 4, 4),
        (0, 0, 3e-16),
    ),
    "gelu, approximate": Accuracy(
        lambda x: sg.gelu(x, approximate=True),
        lambda x: x * _sigmoid(2 * TANH_SCALE * (x + mpmath.mpf("0.044715") * x**3)),
        (_gelu_tanh_slope,),
        ((-12, 10), (-3, 3), (-1, 1), (-0.7525, -0.7524)),
    ),
    "silu": Accuracy(
        sg.silu,
        lambda x: x * _sigmoid(x),
        (_silu_slope, _silu_second),
        ((-700, 700), (-30, 30), (-3, 3), (-1.2785, -1.2784)),
        (4, 4, 4),
        (0, 0, 3e-16),
    ),
    "elu": Accuracy(
        sg.elu,
        lambda x: x if x > 0 else mpmath.expm1(x),
        (lambda x: mpmath.mpf(1) if x > 0 else mpmath.exp(x),),
        ((-700, 700), (-3, 3), (-1e-3, -EDGE)),
    ),
}
