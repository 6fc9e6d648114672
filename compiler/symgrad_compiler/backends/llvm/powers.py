"""Powers and roots on vectors of float64."""

from __future__ import annotations

import math

from symgrad_compiler.backends.llvm.exponentials import exp
from symgrad_compiler.backends.llvm.ir import Value
from symgrad_compiler.backends.llvm.logarithms import log, log_double
from symgrad_compiler.backends.llvm.pieces import (
    MANTISSA,
    ROUNDER,
    clamp,
    integer,
    like,
    nearest,
    normal,
    power_of_two,
    ratio,
)
from symgrad_compiler.backends.llvm.scalars import Code, power_by_squaring

#: The powers that are computed by multiplying, from x^-3 to x^5: within 4 units in the last place.
LEAST_REPEATED, MOST_REPEATED = 3, 5
#: cbrt on [1/2, 4), to 0.0012
_CUBE_ROOT = (0.482915, 0.775941, -0.355959, 0.115891, -0.0202792, 0.00143635)


def repeated_power(b: Code, x: Value, y: Value) -> Value | None:
    """x to a small known integer, by multiplying; None for any other power."""
    if y.number is None or not math.isfinite(y.number) or y.number != int(y.number):
        return None
    n = int(y.number)
    if not -LEAST_REPEATED <= n <= MOST_REPEATED:
        return None
    if n < 0:
        return power_by_squaring(b, b.divide(b.constant(1, x), x), -n)
    return power_by_squaring(b, x, n)


def power(b: Code, x: Value, y: Value, single: bool) -> Value:
    """exp(y log|x|); then C's special cases."""
    zero, one, infinity = like(x, 0), like(x, 1), like(x, math.inf)
    a = b.call("absolute", x)
    ordinary = b.logical_and(b.less(zero, a), b.less(a, infinity))
    base = b.select(ordinary, a, one)
    size = exp(b, b.multiply(y, log(b, base, False)), True) if single else _power_of_positive(b, base, y)
    # x = 0 or infinite
    grows = b.less(zero, y)
    at_zero = b.select(grows, zero, infinity)
    at_infinity = b.select(grows, infinity, zero)
    size = b.select(b.equal(a, zero), at_zero, size)
    size = b.select(b.equal(a, infinity), at_infinity, size)
    # y infinite
    y_size = b.call("absolute", y)
    outward = b.equal(
        b.bits(b.select(b.less(one, a), one, zero), "i64"), b.bits(b.select(grows, one, zero), "i64")
    )
    at_y = b.select(b.equal(a, one), one, b.select(outward, infinity, zero))
    size = b.select(b.equal(y_size, infinity), at_y, size)
    # x negative
    whole = b.equal(b.call("floor", y), y)
    half = b.multiply(y, like(y, 0.5))
    odd = b.logical_and(whole, b.logical_not(b.equal(b.call("floor", half), half)))
    odd = b.logical_and(odd, b.less(y_size, infinity))
    signed = b.select(odd, b.call("copysign", size, x), size)
    finite_negative = b.logical_and(b.less(x, zero), b.less(a, infinity))
    fraction = b.logical_and(b.logical_not(whole), b.less(y_size, infinity))
    result = b.select(b.logical_and(finite_negative, fraction), like(x, math.nan), signed)
    result = b.select(b.logical_or(b.is_nan(x), b.is_nan(y)), like(x, math.nan), result)
    return b.select(b.logical_or(b.equal(x, one), b.equal(y, zero)), one, result)


def _power_of_positive(b: Code, x: Value, y: Value) -> Value:
    """exp(y log(x)) with the logarithm as a pair of floats."""
    high, low = log_double(b, x)
    product = b.multiply(y, high)
    rest = b.fma(y, high, b.negative(product))
    rest = b.fma(y, low, rest)
    clamped = clamp(b, product, -800.0, 800.0)
    return exp(b, clamped, False, b.select(b.equal(clamped, product), rest, like(x, 0)))


def cbrt(b: Code, x: Value, single: bool) -> Value:
    """x = f 8^k with f in [1/2, 4): a polynomial, then Halley's iteration, which in its last step knows
    f - y^3 with all its digits."""
    a = b.call("absolute", x)
    scaled, shift = normal(b, a)
    bits = b.bits(scaled, "i64")
    m = b.bits(b.bits_or(b.bits_and(bits, integer(x, MANTISSA)), integer(x, 0x3FF << 52)), "f64")
    exponent = b.subtract(b.shift_right(bits, 52), integer(x, 1023))
    whole = b.subtract(b.bits(b.add(exponent, integer(x, 0x4338000000000000)), "f64"), like(x, ROUNDER))
    _, k = nearest(b, b.multiply(whole, like(x, 1 / 3)))
    left = b.subtract(exponent, b.add(b.add(k, k), k))
    f = b.multiply(m, power_of_two(b, left))
    y = b.polynomial(f, _CUBE_ROOT)
    cube = b.multiply(b.multiply(y, y), y)
    two = like(x, 2)
    y = b.multiply(y, ratio(b, b.muladd(f, two, cube), b.muladd(cube, two, f), True))
    square = b.multiply(y, y)
    square_low = b.fma(y, y, b.negative(square))
    cube = b.multiply(square, y)
    cube_low = b.fma(square, y, b.negative(cube))
    rest = b.subtract(b.subtract(f, cube), b.muladd(square_low, y, cube_low))
    y = b.muladd(y, ratio(b, rest, b.muladd(cube, two, f), True), y)
    _, down = nearest(b, b.multiply(shift, like(x, 1 / 3)))
    y = b.call("copysign", b.multiply(y, power_of_two(b, b.add(k, down))), x)
    ordinary = b.logical_and(b.less(like(x, 0), a), b.less(a, like(x, math.inf)))
    return b.select(ordinary, y, x)


def hypot(b: Code, x: Value, y: Value, single: bool) -> Value:
    """sqrt(x^2 + y^2), scaled by a power of two where squares would leave the range."""
    a, c = b.call("absolute", x), b.call("absolute", y)
    large = b.select(b.less(a, c), c, a)
    small = b.select(b.less(a, c), a, c)
    one = like(x, 1)
    up = b.select(b.less(large, like(x, 2.0**-480)), like(x, 2.0**600), one)
    up = b.select(b.less(like(x, 2.0**500), large), like(x, 2.0**-600), up)
    down = b.select(b.less(large, like(x, 2.0**-480)), like(x, 2.0**-600), one)
    down = b.select(b.less(like(x, 2.0**500), large), like(x, 2.0**600), down)
    large, small = b.multiply(large, up), b.multiply(small, up)
    size = b.multiply(b.call("sqrt", b.fma(large, large, b.multiply(small, small))), down)
    infinity = like(x, math.inf)
    nan = b.logical_or(b.is_nan(x), b.is_nan(y))
    size = b.select(nan, like(x, math.nan), size)
    return b.select(b.logical_or(b.equal(a, infinity), b.equal(c, infinity)), infinity, size)
