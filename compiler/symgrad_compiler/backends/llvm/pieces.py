"""Pieces of elementary functions on vectors: integers in floats, powers of two, sums with their errors."""

from __future__ import annotations

import math

from symgrad_compiler.backends.llvm.ir import Value, literal
from symgrad_compiler.backends.llvm.registers import estimate, scalef, whole_registers
from symgrad_compiler.backends.llvm.scalars import Code

#: Added and taken away, this rounds to an integer, which is then in the low bits.
ROUNDER = 1.5 * 2.0**52
MANTISSA = (1 << 52) - 1
LN2_HIGH, LN2_LOW = 0.6931471805599453, 2.3190468138462996e-17


def like(x: Value, number: float) -> Value:
    """A number beside x."""
    return literal(number, x.kind, x.lanes)


def integer(x: Value, number: int) -> Value:
    """An int64 beside x."""
    return literal(number, "i64", x.lanes)


def nearest(b: Code, x: Value, factor: float = 1.0) -> tuple[Value, Value]:
    """factor x rounded to an integer below 2^51, as a float and as an int64; anything for NaN."""
    rounder = like(x, ROUNDER)
    shifted = b.add(x, rounder) if factor == 1 else b.muladd(x, like(x, factor), rounder)
    whole = b.subtract(shifted, like(x, ROUNDER))
    bits = b.subtract(b.bits(shifted, "i64"), integer(x, 0x4338000000000000))
    return whole, bits


def power_of_two(b: Code, n: Value) -> Value:
    """2^n for -1022 <= n <= 1023."""
    return b.bits(b.shift_left(b.add(n, integer(n, 1023)), 52), "f64")


#: x 2^n is 0 for |x| < 2^9 and n below this; and as a float32.
GONE, GONE_SINGLE = -1085.0, -160.0


def scale(
    b: Code, x: Value, n: Value | None, whole: Value, least: float = GONE, is_positive: bool = False
) -> Value:
    """x 2^n, right also where 2^n or the result is subnormal or too large; `whole` is n as a float, or n its
    floor. 0 where n is less than `least`: to underflow takes some processors a hundred times as long. Of an x
    that `is_positive`, the sign of that 0 is known."""
    if whole_registers(b, x):
        if is_positive:
            return scalef(b, x, whole, least)
        return scalef(b, x, b.select(b.less(whole, like(x, least)), like(x, -math.inf), whole))
    assert n is not None
    gone = b.less(whole, like(x, least))
    half = b.shift_right(n, 1)
    rest = power_of_two(b, b.subtract(n, half))
    return b.multiply(b.multiply(x, power_of_two(b, half)), b.select(gone, like(x, 0), rest))


def clamp(b: Code, x: Value, low: float, high: float) -> Value:
    """x within bounds; NaN stays."""
    x = b.select(b.less(like(x, high), x), like(x, high), x)
    return b.select(b.less(x, like(x, low)), like(x, low), x)


def normal(b: Code, x: Value) -> tuple[Value, Value]:
    """(x, 0), or (x 2^54, -54) where x is subnormal."""
    tiny = b.less(x, like(x, 2.0**-1022))
    return (
        b.select(tiny, b.multiply(x, like(x, 2.0**54)), x),
        b.select(tiny, like(x, -54.0), like(x, 0.0)),
    )


def two_sum(b: Code, x: Value, y: Value) -> tuple[Value, Value]:
    """x + y and its rounding error (Knuth)."""
    total = b.add(x, y)
    part = b.subtract(total, x)
    error = b.add(b.subtract(x, b.subtract(total, part)), b.subtract(y, part))
    return total, error


def product(b: Code, x: Value, x_low: Value, y: Value, y_low: Value) -> tuple[Value, Value]:
    """(x + x_low)(y + y_low)."""
    high = b.multiply(x, y)
    low = b.fma(x, y, b.negative(high))
    low = b.fma(x, y_low, low)
    return high, b.fma(x_low, y, low)


def or_by_lane(b: Code, name: str, x: Value, rare: Value, fast: Value) -> Value:
    """`fast`, or the C library's function in lanes that are rare: no lane depends on its neighbours."""
    f = b.f
    if x.lanes == 1:
        return f.choose(rare, lambda: f.intrinsic(name, ("f64", 1), x), lambda: fast)
    any_rare = b.any(rare)

    def slow() -> Value:
        def lane(i: Value, carried: list[Value]) -> list[Value]:
            (done,) = carried
            one = f.emit(f"extractelement {x.type} {x.text}, i64 {i.text}", "f64")
            is_rare = f.emit(f"extractelement {rare.type} {rare.text}, i64 {i.text}", "i1")

            def again() -> Value:
                y = f.intrinsic(name, ("f64", 1), one)
                return f.emit(
                    f"insertelement {x.type} {done.text}, double {y.text}, i64 {i.text}", "f64", x.lanes
                )

            return [f.choose(is_rare, again, lambda: done)]

        zero, one, lanes = (literal(v, "i64") for v in (0, 1, x.lanes))
        return f.loop(zero, lanes, one, [fast], lane)[0]

    return f.choose(any_rare, slow, lambda: fast)


def root(b: Code, x: Value, single: bool) -> tuple[Value, Value]:
    """sqrt(x) as a sum of two numbers, for 0 <= x < 2^500, 0 or not below 2^-500; `single`: of 28 bits."""
    if whole_registers(b, x):
        half, zero = like(x, 0.5), b.equal(x, like(x, 0))
        rough = estimate(b, "rsqrt14", x)
        if b.machine.divides_quickly:
            high = b.call("sqrt", x)
            lost = b.multiply(b.fma(b.negative(high), high, x), b.multiply(half, rough))
            return high, like(x, 0) if single else b.select(zero, x, lost)
        g, h = b.multiply(x, rough), b.multiply(half, rough)
        for _ in range(1 if single else 2):  # Goldschmidt: g = sqrt(x), h = 1 / (2 g)
            error = b.fma(b.negative(h), g, half)
            g, h = b.fma(g, error, g), b.fma(h, error, h)
        high = b.select(zero, like(x, 0), g)
        return high, like(x, 0) if single else b.multiply(
            b.fma(b.negative(high), high, x), b.select(zero, x, h)
        )
    high = b.call("sqrt", x)
    if single:
        return high, like(x, 0)
    lost = b.divide(b.fma(b.negative(high), high, x), b.add(high, high))
    return high, b.select(b.less(like(x, 0), high), lost, like(x, 0))


def ratio(
    b: Code, x: Value, y: Value, single: bool, x_low: Value | None = None, y_low: Value | None = None
) -> Value:
    """(x + x_low) / (y + y_low), to about half a unit; y neither 0 nor subnormal, infinite or huge. Where the
    divider would hold up everything else, by an estimate of 1 / y and Newton's iteration."""
    if whole_registers(b, y):
        inverse = estimate(b, "rcp14", y)
        if b.machine.divides_quickly:
            first = b.divide(x, y)
            if x_low is None and y_low is None:
                return first
        else:
            error = b.fma(b.negative(y), inverse, like(y, 1))
            if single:
                return b.multiply(x, b.fma(error, inverse, inverse))
            inverse = b.fma(b.fma(error, error, error), inverse, inverse)
            first = b.multiply(x, inverse)
    elif single or (x_low is None and y_low is None):
        return b.divide(x, y)
    else:
        inverse = b.divide(like(y, 1), y)
        first = b.multiply(x, inverse)
    rest = b.fma(b.negative(first), y, x)
    if y_low is not None:
        rest = b.fma(b.negative(first), y_low, rest)
    if x_low is not None:
        rest = b.add(rest, x_low)
    return b.fma(rest, inverse, first)
