"""Logarithms on vectors of float64."""

from __future__ import annotations

import math
from collections.abc import Callable

from symgrad.ops import fits
from symgrad_compiler.backends.llvm.exponentials import LOG2_E, exp
from symgrad_compiler.backends.llvm.ir import Value
from symgrad_compiler.backends.llvm.logarithm_tables import (
    log1p_by_table,
    log_by_table,
    log_pair_by_table,
    log_to_base_by_table,
)
from symgrad_compiler.backends.llvm.pieces import (
    LN2_HIGH,
    LN2_LOW,
    MANTISSA,
    ROUNDER,
    clamp,
    integer,
    like,
    nearest,
    normal,
    power_of_two,
    product,
    two_sum,
)
from symgrad_compiler.backends.llvm.registers import whole_registers
from symgrad_compiler.backends.llvm.scalars import Code

#: (2 atanh(s) - 2 s) / s^3 in s^2, for |s| <= 3 - 2 sqrt(2)
_LOG = (
    0.6666666666666666, 0.40000000000000885, 0.28571428570799784, 0.22222222392581045, 0.18181795547521137,
    0.15386244737621665, 0.13268638369266825, 0.13088034850927555,
)  # fmt: skip
_LOG_SINGLE = (0.6666666655404201, 0.4000012221181065, 0.28550778633191964, 0.23331614471843498)
#: (2 atanh(s) - 2 s - 2/3 s^3) / s^5 in s^2
_LOG_TAIL = (
    0.4000000000000003, 0.2857142857133801, 0.22222222271326808, 0.18181808210921882, 0.15385577463308145,
    0.13285868837545742, 0.1291471218393509,
)  # fmt: skip
#: ln(2) with 32 bits, so that k * _LN2_SHORT is exact, and the rest.
_LN2_SHORT, _LN2_REST = 0.6931471803691238, 1.9082149292705877e-10
_TWO_THIRDS = (0.6666666666666666, 3.700743415417188e-17)
_SQRT_HALF_BITS = 0x3FE6A09E667F3BCD


def split_log(b: Code, x: Value) -> tuple[Value, Value]:
    """x = m 2^k for positive normal x, m in [sqrt(1/2), sqrt(2)): (m, k as a float)."""
    bits = b.bits(x, "i64")
    shifted = b.subtract(bits, integer(x, _SQRT_HALF_BITS))
    k = b.shift_right(shifted, 52)
    m = b.bits(b.add(b.bits_and(shifted, integer(x, MANTISSA)), integer(x, _SQRT_HALF_BITS)), "f64")
    # |k| < 2^11: an int to float conversion that every machine has
    whole = b.bits(b.add(k, integer(x, 0x4338000000000000)), "f64")
    return m, b.subtract(whole, like(x, ROUNDER))


def _log_of(b: Code, f: Value, k: Value, correction: Value | None, single: bool) -> Value:
    """log(1 + f) + k ln(2) + correction, for 1 + f in [sqrt(1/2), sqrt(2)).

    With s = f / (2 + f): log(1+f) = f - (f^2/2 - s (f^2/2 + R(s^2))), where R(s^2) = 2 atanh(s)/s - 2.
    """
    s = b.divide(f, b.add(f, like(f, 2)))
    z = b.multiply(s, s)
    r = b.multiply(z, b.polynomial(z, _LOG_SINGLE if single else _LOG))
    half_square = b.multiply(like(f, 0.5), b.multiply(f, f))
    low = b.muladd(s, b.add(half_square, r), b.multiply(k, like(f, _LN2_REST)))
    if correction is not None:
        low = b.add(low, correction)
    return b.muladd(k, like(f, _LN2_SHORT), b.subtract(f, b.subtract(half_square, low)))


def log_limits(b: Code, x: Value, result: Value, at_zero: Value) -> Value:
    """The values at 0 (where `at_zero` is), below, at infinity and NaN."""
    infinity = like(x, math.inf)
    result = b.select(b.less(x, infinity), result, x)  # inf and NaN
    result = b.select(b.less(at_zero, like(x, 0)), like(x, math.nan), result)
    return b.select(b.equal(at_zero, like(x, 0)), like(x, -math.inf), result)


def log(b: Code, x: Value, single: bool) -> Value:
    """k ln(2) + log(m)."""
    if whole_registers(b, x):
        return log_by_table(b, x, single)
    if single:
        m, k = split_log(b, x)
    else:
        scaled, shift = normal(b, x)
        m, k = split_log(b, scaled)
        k = b.add(k, shift)
    result = _log_of(b, b.subtract(m, like(x, 1)), k, None, single)
    return log_limits(b, x, result, x)


def log1p(b: Code, x: Value, single: bool) -> Value:
    """log of 1 + x, with what rounding that sum lost put back."""
    if whole_registers(b, x):
        return log1p_by_table(b, x, single)
    one = like(x, 1)
    u = b.add(one, x)
    m, k = split_log(b, u)
    lost = b.select(
        b.less(like(x, 2.0), u), b.subtract(one, b.subtract(u, x)), b.subtract(x, b.subtract(u, one))
    )
    near = b.logical_and(b.less(like(x, -0.29), x), b.less(x, like(x, 0.41)))
    zero = like(x, 0)
    f = b.select(near, x, b.subtract(m, one))
    correction = b.select(near, zero, b.divide(lost, u))
    result = _log_of(b, f, b.select(near, zero, k), correction, single)
    result = b.select(b.equal(x, zero), x, result)
    return log_limits(b, x, result, u)


def _log_to_base(base: str, inverse: tuple[float, float], two: tuple[float, float]) -> Callable[..., Value]:
    """log(m) / log(base) + k log(2) / log(base), from 1 / log(base) and log(2) / log(base), in pairs;
    k times the first of the latter is exact."""

    def function(b: Code, x: Value, single: bool) -> Value:
        if single:
            return b.multiply(log(b, x, single), like(x, inverse[0]))
        if whole_registers(b, x):
            return log_to_base_by_table(b, x, inverse, base)
        scaled, shift = normal(b, x)
        m, k = split_log(b, scaled)
        k = b.add(k, shift)
        f = b.subtract(m, like(x, 1))
        s = b.divide(f, b.add(f, like(f, 2)))
        z = b.multiply(s, s)
        r = b.multiply(z, b.polynomial(z, _LOG))
        square = b.multiply(f, f)
        half_square = b.multiply(like(f, 0.5), square)
        lost = b.multiply(like(f, 0.5), b.fma(f, f, b.negative(square)))
        high = b.subtract(f, half_square)
        low = b.subtract(b.subtract(b.subtract(f, high), half_square), lost)
        low = b.muladd(s, b.add(half_square, r), low)
        product_high = b.multiply(high, like(f, inverse[0]))
        product_low = b.fma(high, like(f, inverse[0]), b.negative(product_high))
        product_low = b.muladd(high, like(f, inverse[1]), b.muladd(low, like(f, inverse[0]), product_low))
        product_low = b.muladd(k, like(f, two[1]), product_low)
        total, error = two_sum(b, b.multiply(k, like(f, two[0])), product_high)
        return log_limits(b, x, b.add(total, b.add(error, product_low)), x)

    return function


log2 = _log_to_base("2", (1.4426950408889634, 2.0355273740931033e-17), (1.0, 0.0))
log10 = _log_to_base(
    "10", (0.4342944819032518, 1.098319650216765e-17), (0.30102999566588551, -1.9043128467164274e-12)
)


def softplus(b: Code, x: Value, single: bool) -> Value:
    """max(x, 0) + log(1 + exp(-|x|))."""
    rest = log1p(b, exp(b, b.negative(b.call("absolute", x)), single), single)
    return b.add(b.select(b.less(x, like(x, 0)), like(x, 0), x), rest)


def logaddexp(b: Code, x: Value, y: Value, single: bool) -> Value:
    """max + log(1 + t) with t = exp(-|x - y|), corrected by what x - y lost; equal infinities as they are.
    Near 0, where these cancel, from exponentials of twice the digits."""
    lower = b.less(x, y)
    larger, smaller = b.select(lower, y, x), b.select(lower, x, y)
    difference, lost = two_sum(b, smaller, b.negative(larger))
    t = exp(b, difference, single)
    rest = b.multiply(t, lost)
    t = b.select(b.call("isfinite", rest), b.add(t, rest), t)
    far = log1p(b, t, single)
    result = b.select(b.equal(x, y), b.add(x, like(x, math.log(2))), b.add(larger, far))
    if single:
        return result
    near = b.logical_and(b.less(like(x, fits.CANCELS_FROM), larger), b.less(larger, like(x, fits.CANCELS_TO)))
    near = b.logical_and(near, b.logical_not(b.is_nan(smaller)))
    return b.f.choose(
        b.any(near), lambda: b.select(near, _log_of_sum(b, larger, smaller), result), lambda: result
    )


def _log_of_sum(b: Code, x: Value, y: Value) -> Value:
    """log(1 + s) with s = (e^x - 1) + e^y."""
    a, a_low = _exp_pair(b, clamp(b, x, fits.LEAST_EXPONENT, 1.0), 1.0)
    c, c_low = _exp_pair(b, clamp(b, y, fits.LEAST_EXPONENT, 1.0), 0.0)
    s, lost = two_sum(b, a, c)
    return log1p(b, b.add(s, b.add(lost, b.add(a_low, c_low))), False)


def _exp_pair(b: Code, x: Value, less: float) -> tuple[Value, Value]:
    """e^x - `less` as a sum of two numbers, to about 1e-20 of its terms, for moderate x: x = n ln(2) + r,
    and a series in r."""
    whole, n = nearest(b, b.multiply(x, like(x, LOG2_E)))
    short, middle, last = (like(x, part) for part in fits.LN2)
    a, a_low = two_sum(b, x, b.negative(b.multiply(whole, short)))
    p, p_low = _exact_product(b, whole, middle)
    r, r_low = two_sum(b, a, b.negative(p))
    r_low = b.subtract(b.add(r_low, a_low), b.add(p_low, b.multiply(whole, last)))
    square, square_low = _exact_product(b, r, r)
    square_low = b.add(square_low, b.multiply(b.add(r, r), r_low))
    cube, cube_low = _exact_product(b, square, r)
    third, third_low = _exact_product(b, cube, like(x, fits.SIXTH[0]))
    cube_low = b.add(cube_low, b.multiply(square_low, r))
    third_low = b.add(third_low, b.multiply(cube_low, like(x, fits.SIXTH[0])))
    third_low = b.add(third_low, b.multiply(cube, like(x, fits.SIXTH[1])))
    tail = b.multiply(b.multiply(square, square), b.polynomial(r, fits.EXP_TAIL))
    half = like(x, 0.5)
    total, low = r, b.add(r_low, b.add(b.multiply(half, square_low), third_low))
    for term in (b.multiply(half, square), third, tail):
        total, lost = two_sum(b, total, term)
        low = b.add(low, lost)
    scale = power_of_two(b, n)
    total, lost = two_sum(b, b.subtract(scale, like(x, less)), b.multiply(total, scale))
    return total, b.add(lost, b.multiply(low, scale))


def _exact_product(b: Code, x: Value, y: Value) -> tuple[Value, Value]:
    """x y and its rounding error."""
    total = b.multiply(x, y)
    return total, b.fma(x, y, b.negative(total))


def log_double(b: Code, x: Value) -> tuple[Value, Value]:
    """log(x) for positive finite x as a sum of two floats, to about 2^-65."""
    if whole_registers(b, x):
        return log_pair_by_table(b, x)
    scaled, shift = normal(b, x)
    m, k = split_log(b, scaled)
    k = b.add(k, shift)
    one = like(x, 1)
    top = b.subtract(m, one)
    bottom = b.add(m, one)
    bottom_low = b.subtract(m, b.subtract(bottom, one))
    t = b.divide(top, bottom)
    rest = b.fma(b.negative(t), bottom, top)
    rest = b.fma(b.negative(t), bottom_low, rest)
    t_low = b.divide(rest, bottom)
    # z = t^2, c = 2/3 + z * tail, as pairs; log(m) = 2t + t z c
    z = b.multiply(t, t)
    z_low = b.fma(t, t, b.negative(z))
    z_low = b.fma(b.multiply(t, like(x, 2)), t_low, z_low)
    tail = b.multiply(z, b.polynomial(z, _LOG_TAIL))
    c, c_low = two_sum(b, like(x, _TWO_THIRDS[0]), tail)
    c_low = b.add(c_low, like(x, _TWO_THIRDS[1]))
    tz, tz_low = product(b, t, t_low, z, z_low)
    cubic, cubic_low = product(b, tz, tz_low, c, c_low)
    twice, twice_low = b.multiply(t, like(x, 2)), b.multiply(t_low, like(x, 2))
    high, low = two_sum(b, twice, cubic)
    low = b.add(low, b.add(twice_low, cubic_low))
    whole = b.multiply(k, like(x, LN2_HIGH))
    whole_low = b.fma(k, like(x, LN2_HIGH), b.negative(whole))
    whole_low = b.fma(k, like(x, LN2_LOW), whole_low)
    total, error = two_sum(b, whole, high)
    low = b.add(error, b.add(low, whole_low))
    return two_sum(b, total, low)
