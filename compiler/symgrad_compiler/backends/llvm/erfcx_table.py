"""erfcx(x) = exp(x^2) erfc(x) in float64 by polynomials of 128 intervals: 32 in each of four octaves of
unit x + 2. Made when it is first needed, in milliseconds.

y = erfcx solves y' = 2 x y - 2 / sqrt(pi), so its Taylor series a at c follows from y(c):
(n + 1) a[n+1] = 2 c a[n] + 2 a[n-1], less 2 / sqrt(pi) for n = 0. Errors go as exp(x^2), the solution of the
same without 2 / sqrt(pi): they die out downwards. So the first value is that of the asymptotic series in the
last interval, and series lead from centre to centre, downwards. Errors die out only in series that are long
enough for exp(2 c t), and grow in between: hence the many bits. What a polynomial has no room for is taken
taken from its series by Chebyshev polynomials, from the top (Lanczos 1956), in float64: it is small.

Centres are not quite in the middle: of a thousand places beside it, the one whose value is nearest to a
float64 (Gal 1986), so that it is right to a thousandth of its last place.
"""

from __future__ import annotations

import math
from functools import cache

import numpy

from symgrad_compiler.backends.llvm.piecewise_tables import ERFCX

#: Intervals of an octave, and octaves of unit x + 2.
_IN_OCTAVE, _OCTAVES = 32, 4
INTERVALS = _IN_OCTAVE * _OCTAVES
UNIT = ERFCX.unit
#: Coefficients of q in y(c + t) = y(c) + t q(t), and terms of the series that they are made of.
COEFFICIENTS, _TERMS = 8, 17
#: Bits after the point of numbers, and of centres.
_BITS, _SHORT = 320, 26
#: Places that are tried as a centre, in units of its last bit beside the middle; bits of what is compared.
_PLACES, _COMPARED = numpy.arange(-512, 512), 40


@cache
def erfcx_table() -> numpy.ndarray:
    """A row for each interval: its centre, the value there, and the coefficients of q from the constant
    upwards."""
    one = 1 << _BITS
    slope = 2 * one * one // math.isqrt(_PI << (2 * _BITS - _PI_BITS))  # 2 / sqrt(pi)
    intervals = _intervals()
    places, found = [], []
    value = _asymptotic(intervals[-1][0], slope)
    for i in reversed(range(INTERVALS)):
        middle = intervals[i][0]
        down = middle - intervals[i - 1][0]
        series = _series(value, middle, slope, max(_TERMS, 24 + (5 * middle * down >> 2 * _SHORT)))
        value = _sum(series, -down)
        place = _best_place(series)
        places.append(middle + place)
        found.append([a / one for a in _series(_sum(series, place), middle + place, slope, _TERMS)])
    centres = numpy.ldexp(places[::-1], -_SHORT)
    halves = numpy.ldexp([half for _, half in intervals], -_SHORT)
    scales = halves[:, None] ** numpy.arange(_TERMS - 1)
    all_series = numpy.array(found[::-1])
    q = all_series[:, 1:] * scales @ _economized(_TERMS - 1) / scales[:, :COEFFICIENTS]
    return numpy.column_stack([centres, all_series[:, 0], q])


#: pi, of 400 bits and more.
_PI_DIGITS = (
    "3141592653589793238462643383279502884197169399375105820974944592307816406286208998628034825342117067982148"
    "08651328230664709384460955058223172535940812848111745"
)
_PI_BITS = 500
_PI = int(_PI_DIGITS) * (1 << _PI_BITS) // 10 ** (len(_PI_DIGITS) - 1)


def _intervals() -> list[tuple[int, int]]:
    """Centres and half the lengths, without their points."""
    found = []
    for octave in range(_OCTAVES):
        for i in range(_IN_OCTAVE):
            centre = 2 ** (octave + 1) * (1 + (i + 0.5) / _IN_OCTAVE) - 2
            found.append((round(centre / UNIT * 2**_SHORT), round(2**octave / _IN_OCTAVE / UNIT * 2**_SHORT)))
    return found


def _asymptotic(centre: int, slope: int) -> int:
    """1 / (x sqrt(pi)) sum (-1)^k (2 k - 1)!! / (2 x^2)^k."""
    term = (slope << _SHORT) // (2 * centre)
    total, k = 0, 0
    while term:
        total += term
        k += 1
        term = -(term * (2 * k - 1) << 2 * _SHORT) // (2 * centre**2)
    return total


def _series(value: int, centre: int, slope: int, terms: int) -> list[int]:
    """Taylor's, at a centre."""
    series = [value, (centre * value >> _SHORT - 1) - slope]
    for n in range(1, terms - 1):
        series.append(((centre * series[n] >> _SHORT - 1) + 2 * series[n - 1]) // (n + 1))
    return series


def _best_place(series: list[int]) -> int:
    """Where beside the centre the value is nearest to a float64: by `_COMPARED` bits behind its last place;
    what is far before that is lost to overflow."""
    last = series[0].bit_length() - 53 - _COMPARED
    value, slope, bend, twist = (
        numpy.uint64((a >> last + i * _SHORT) % 2**64) for i, a in enumerate(series[:4])
    )
    place = _PLACES.astype(numpy.uint64)
    digits = ((twist * place + bend) * place + slope) * place + value
    beside = (digits << 64 - _COMPARED).astype(numpy.int64)
    return int(_PLACES[numpy.argmin(numpy.abs(beside))])


def _sum(series: list[int], distance: int) -> int:
    total = 0
    for a in reversed(series):
        total = (total * distance >> _SHORT) + a
    return total


def _economized(terms: int) -> numpy.ndarray:
    """From the coefficients of a polynomial on [-1, 1] to those of one without its highest powers."""
    found = numpy.eye(terms)
    for n in range(terms - 1, COEFFICIENTS - 1, -1):
        highest = numpy.polynomial.chebyshev.cheb2poly([0] * n + [1]) / 2 ** (n - 1)
        found[:, : n + 1] -= numpy.outer(found[:, n], highest)
    return found[:, :COEFFICIENTS]
