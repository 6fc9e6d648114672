"""Pieces of elementary functions on vectors: integers in floats, powers of two, sums with their errors."""

from __future__ import annotations

from symgrad_compiler.backends.llvm.ir import Value, literal
from symgrad_compiler.backends.llvm.scalars import Code, by_parts

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


def nearest(b: Code, x: Value) -> tuple[Value, Value]:
    """x rounded to an integer below 2^51, as a float and as an int64; anything for NaN."""
    shifted = b.add(x, like(x, ROUNDER))
    whole = b.subtract(shifted, like(x, ROUNDER))
    bits = b.subtract(b.bits(shifted, "i64"), integer(x, 0x4338000000000000))
    return whole, bits


def power_of_two(b: Code, n: Value) -> Value:
    """2^n for -1022 <= n <= 1023."""
    return b.bits(b.shift_left(b.add(n, integer(n, 1023)), 52), "f64")


def scale(b: Code, x: Value, n: Value, whole: Value) -> Value:
    """x 2^n, right also where 2^n or the result is subnormal or too large; `whole` is n as a float."""
    if b.machine.has_avx512 and x.lanes % 8 == 0:
        return by_parts(b, 8, _scalef, x, whole)
    half = b.shift_right(n, 1)
    rest = b.subtract(n, half)
    return b.multiply(b.multiply(x, power_of_two(b, half)), power_of_two(b, rest))


def _scalef(b: Code, x: Value, whole: Value) -> Value:
    """One instruction of AVX-512: x 2^whole."""
    name = "llvm.x86.avx512.mask.scalef.pd.512"
    b.f.module.declare(
        f"declare <8 x double> @{name}(<8 x double>, <8 x double>, <8 x double>, i8, i32 immarg)"
    )
    listed = f"<8 x double> {x.text}, <8 x double> {whole.text}, <8 x double> zeroinitializer, i8 -1, i32 4"
    return b.f.emit(f"call <8 x double> @{name}({listed})", "f64", 8)


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
    """`fast`, or the C library's function of every lane where one lane is rare."""
    f = b.f
    if x.lanes == 1:
        return f.choose(rare, lambda: f.intrinsic(name, ("f64", 1), x), lambda: fast)
    any_rare = b.any(rare)

    def slow() -> Value:
        def lane(i: Value, carried: list[Value]) -> list[Value]:
            (done,) = carried
            one = f.emit(f"extractelement {x.type} {x.text}, i64 {i.text}", "f64")
            y = f.intrinsic(name, ("f64", 1), one)
            return [
                f.emit(f"insertelement {x.type} {done.text}, double {y.text}, i64 {i.text}", "f64", x.lanes)
            ]

        zero, one, lanes = (literal(v, "i64") for v in (0, 1, x.lanes))
        return f.loop(zero, lanes, one, [fast], lane)[0]

    return f.choose(any_rare, slow, lambda: fast)
