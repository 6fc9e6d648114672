"""Inverse trigonometric and hyperbolic functions on vectors of float64."""

from __future__ import annotations

import math

from symgrad_compiler.backends.llvm.ir import Value
from symgrad_compiler.backends.llvm.logarithms import log1p
from symgrad_compiler.backends.llvm.pieces import integer, like, ratio, root
from symgrad_compiler.backends.llvm.scalars import Code

#: (asin(r) - r) / r^3 in r^2, for |r| <= 1/2
_ARCSIN = (
    0.16666666666666669, 0.07499999999998433, 0.04464285714635543, 0.030381944138531247,
    0.02237217294214989, 0.017352392720869973, 0.013971212973552933, 0.011479177415184906,
    0.01032281435018578, 0.005457506718640358, 0.01740087944269402, -0.014851887071247204,
    0.028757851367421566,
)  # fmt: skip
_ARCSIN_SINGLE = (
    0.16666666686085643, 0.07499992404401838, 0.04464766388813485, 0.030269138728589183,
    0.023611817008891752, 0.010574415516912909, 0.030974540371355073,
)  # fmt: skip
#: (atan(r) - r) / r^3 in r^2, for |r| <= sqrt(2) - 1
_ARCTAN = (
    -0.3333333333333333, 0.1999999999999552, -0.14285714284666542, 0.11111111015256361,
    -0.09090904578123903, 0.07692183190826087, -0.06664511447381948, 0.0585814891280221,
    -0.0508544973794026, 0.03923165829558719, -0.01917688711906226,
)  # fmt: skip
_ARCTAN_SINGLE = (
    -0.333333332792548, 0.19999977258688387, -0.14284151193628614, 0.11071365021884794,
    -0.08624676145249494, 0.050481385120797445,
)  # fmt: skip

_PI, _PI_LOW = 3.141592653589793, 1.2246467991473532e-16
_PI_HALF, _PI_HALF_LOW = 1.5707963267948966, 6.123233995736766e-17
_PI_QUARTER, _PI_QUARTER_LOW = 0.7853981633974483, 3.061616997868383e-17
#: tan(pi/8) and tan(3 pi/8), between which an angle is taken from pi/4
_EIGHTH, _THREE_EIGHTHS = 0.41421356237309503, 2.414213562373095
#: Beyond, x and sqrt(x^2 + 1) are the same.
_LARGE = 2.0**54


def _arcsin_parts(b: Code, a: Value, single: bool) -> tuple[Value, Value, Value]:
    """Whether a > 1/2, and asin(r) as r and the rest; r is a, or then sqrt((1 - a) / 2). For a in [0, 1]."""
    outer = b.less(like(a, 0.5), a)
    half = b.multiply(b.subtract(like(a, 1), a), like(a, 0.5))
    high, low = root(b, half, single)
    z = b.select(outer, half, b.multiply(a, a))
    r = b.select(outer, high, a)
    rest = b.multiply(b.multiply(r, z), b.polynomial(z, _ARCSIN_SINGLE if single else _ARCSIN))
    if single:
        return outer, r, rest
    return outer, r, b.add(rest, b.select(outer, low, like(a, 0)))


def _difference(b: Code, x: Value, y: Value, rest: Value) -> Value:
    """x - y + rest, with the rounding error of x - y; |x| >= |y|."""
    total = b.subtract(x, y)
    return b.add(total, b.add(b.subtract(b.subtract(x, total), y), rest))


def arcsin(b: Code, x: Value, single: bool) -> Value:
    """x + x^3 P(x^2), and beyond 1/2 pi/2 - 2 asin(sqrt((1 - x) / 2))."""
    outer, r, rest = _arcsin_parts(b, b.call("absolute", x), single)
    low = b.subtract(like(x, _PI_HALF_LOW), b.add(rest, rest))
    far = _difference(b, like(x, _PI_HALF), b.add(r, r), low)
    return b.call("copysign", b.select(outer, far, b.add(r, rest)), x)


def arccos(b: Code, x: Value, single: bool) -> Value:
    """pi/2 - asin(x); 2 asin(sqrt((1 - x) / 2)) beyond 1/2, and pi minus that of -x below -1/2."""
    outer, r, rest = _arcsin_parts(b, b.call("absolute", x), single)
    negative = b.less(x, like(x, 0))
    small = b.add(r, rest)
    twice = b.add(rest, rest)
    below = _difference(b, like(x, _PI), b.add(r, r), b.subtract(like(x, _PI_LOW), twice))
    far = b.select(negative, below, b.add(small, small))
    signed = b.select(negative, b.negative(rest), rest)
    near = _difference(b, like(x, _PI_HALF), x, b.subtract(like(x, _PI_HALF_LOW), signed))
    return b.select(outer, far, near)


def _arctan_ratio(b: Code, y: Value, x: Value, single: bool) -> tuple[Value, Value]:
    """atan(y / x) for y, x >= 0, not both 0 or infinite, as a sum: the arctangent of a ratio of at most
    tan(pi/8), from 0, pi/4 or pi/2."""
    low = b.less(y, b.multiply(x, like(x, _EIGHTH)))
    high = b.less(b.multiply(x, like(x, _THREE_EIGHTHS)), y)
    top = b.select(low, y, b.select(high, b.negative(x), b.subtract(y, x)))
    bottom = b.select(low, x, b.select(high, y, b.add(y, x)))
    endless = b.equal(bottom, like(x, math.inf))
    bottom = b.select(endless, like(x, 1), bottom)
    # a quotient of float64 may be subnormal, but not where x is 1
    t = ratio(b, top, bottom, single) if single or x.number == 1 else b.divide(top, bottom)
    t = b.select(endless, like(x, 0), t)
    z = b.multiply(t, t)
    zero = like(x, 0)
    base = b.select(low, zero, b.select(high, like(x, _PI_HALF), like(x, _PI_QUARTER)))
    base_low = b.select(low, zero, b.select(high, like(x, _PI_HALF_LOW), like(x, _PI_QUARTER_LOW)))
    tail = b.muladd(b.multiply(z, t), b.polynomial(z, _ARCTAN_SINGLE if single else _ARCTAN), base_low)
    total = b.add(base, t)
    # where the base is not 0 it is the larger
    error = b.select(low, b.add(base, b.subtract(t, total)), b.subtract(t, b.subtract(total, base)))
    return total, b.add(error, tail)


def arctan(b: Code, x: Value, single: bool) -> Value:
    """The angle of (1, |x|), with the sign of x."""
    high, low = _arctan_ratio(b, b.call("absolute", x), like(x, 1), single)
    return b.select(b.is_nan(x), x, b.call("copysign", b.add(high, low), x))


def arctan2(b: Code, y: Value, x: Value, single: bool) -> Value:
    """The angle of (|x|, |y|), taken from pi where x is negative, with the sign of y."""
    infinity, zero, one = like(x, math.inf), like(x, 0), like(x, 1)
    a, c = b.call("absolute", y), b.call("absolute", x)
    # 0 / 0 as 0 / 1, inf / inf as 1 / 1; a + c must not overflow, nor a fraction of subnormals be rounded
    neither = b.logical_and(b.equal(a, zero), b.equal(c, zero))
    both = b.logical_and(b.equal(a, infinity), b.equal(c, infinity))
    large = b.select(b.less(a, c), c, a)
    by = b.select(b.less(large, like(x, 2.0**-900)), like(x, 2.0**120), one)
    by = b.select(b.less(like(x, 2.0**1020), large), like(x, 2.0**-4), by)
    top, bottom = b.multiply(a, by), b.multiply(c, by)
    top = b.select(both, one, top)
    bottom = b.select(b.logical_or(both, neither), one, bottom)
    high, low = _arctan_ratio(b, top, bottom, single)
    turned = _difference(b, like(x, _PI), high, b.subtract(like(x, _PI_LOW), low))
    left = b.less(b.bits(x, "i64"), integer(x, 0))
    angle = b.call("copysign", b.select(left, turned, b.add(high, low)), y)
    return b.select(b.logical_or(b.is_nan(x), b.is_nan(y)), like(x, math.nan), angle)


# ---- hyperbolic -------------------------------------------------------------------------------------


def _log_of_twice(b: Code, x: Value, excess: Value, single: bool) -> Value:
    """log(1 + excess), or log(2 x) where x is large."""
    large = b.less(like(x, _LARGE), x)
    result = log1p(b, b.select(large, x, excess), single)
    return b.add(result, b.select(large, like(x, math.log(2)), like(x, 0)))


def arcsinh(b: Code, x: Value, single: bool) -> Value:
    """log(1 + (|x| + x^2 / (1 + sqrt(1 + x^2)))), with the sign of x."""
    one = like(x, 1)
    a = b.call("absolute", x)
    square = b.multiply(a, a)
    root = b.call("sqrt", b.muladd(a, a, one))
    excess = b.add(a, b.divide(square, b.add(one, root)))
    size = b.call("copysign", _log_of_twice(b, a, excess, single), x)
    return b.select(b.logical_or(b.is_nan(x), b.equal(x, like(x, 0))), x, size)


def arccosh(b: Code, x: Value, single: bool) -> Value:
    """log(1 + (t + sqrt(2 t + t^2))) with t = x - 1; up to 2, what rounding the sum lost is put back."""
    one = like(x, 1)
    t = b.subtract(x, one)
    size = b.call("sqrt", b.muladd(t, t, b.add(t, t)))
    excess = b.add(t, size)
    result = _log_of_twice(b, x, excess, single)
    if not single:
        lost = ratio(b, b.add(b.subtract(size, excess), t), b.add(excess, one), True)
        result = b.add(result, b.select(b.less(x, like(x, 2)), lost, like(x, 0)))
    return b.select(b.less(x, like(x, 1)), like(x, math.nan), result)


def arctanh(b: Code, x: Value, single: bool) -> Value:
    """log(1 + 2 |x| / (1 - |x|)) / 2, with the sign of x."""
    a = b.call("absolute", x)
    ratio = b.divide(b.add(a, a), b.subtract(like(x, 1), a))
    size = b.multiply(like(x, 0.5), log1p(b, ratio, single))
    result = b.select(b.is_nan(size), size, b.call("copysign", size, x))
    return b.select(b.equal(x, like(x, 0)), x, result)
