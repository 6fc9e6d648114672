"""Functions by polynomials of intervals, whose coefficients are looked up in registers: half the operations
of one polynomial for all, and no exponential or division beside it.
"""

from __future__ import annotations

import functools
import math

from symgrad_compiler.backends.llvm.erfcx_table import INTERVALS, UNIT, erfcx_table
from symgrad_compiler.backends.llvm.ir import Value, literal
from symgrad_compiler.backends.llvm.memory_tables import columns
from symgrad_compiler.backends.llvm.pieces import like
from symgrad_compiler.backends.llvm.piecewise_tables import (
    ERF,
    ERF_SINGLE,
    ERFCX,
    ERFCX_SINGLE,
    GATE_SINGLE,
    GATE_SLOPE_SINGLE,
    TAIL_SINGLE,
    TAIL_SLOPE_SINGLE,
    TANH_SINGLE,
    Pieces,
)
from symgrad_compiler.backends.llvm.registers import lookup, whole_registers
from symgrad_compiler.backends.llvm.scalars import Code
from symgrad_compiler.backends.llvm.short_tables import (
    ERF_SHORT,
    GATE_SHORT,
    GATE_SLOPE_SHORT,
    TAIL_SHORT,
    TAIL_SLOPE_SHORT,
    TANH_SHORT,
)

#: Rounds to a whole number, whose last digits are then the last bits.
_ROUNDERS = {"f64": 1.5 * 2.0**52, "f32": 1.5 * 2.0**23}
#: Bits after the leading one of a float.
_DIGITS = {"f64": 52, "f32": 23}
_OCTAVES = 4
#: Coefficients that float32 needs of `erfcx_table`.
_SINGLE_TERMS = 4


def _fitting(b: Code, x: Value, long: Pieces, short: Pieces) -> Pieces:
    """The table for registers of 16 float32, or of 8."""
    return long if whole_registers(b, x) else short


def _index(b: Code, x: Value, pieces: Pieces) -> Value:
    """The interval, in the last bits: the nearest middle; or the last bits of an exponent, and the first of
    its digits."""
    if pieces.step:
        rounded = b.fma(x, like(x, 1 / pieces.step), like(x, _ROUNDERS[x.kind]))
        return b.bits(rounded, "i64" if x.kind == "f64" else "i32")
    return _octave_index(b, x, pieces.unit, len(pieces.centres))


def _octave_index(b: Code, x: Value, unit: float, intervals: int) -> Value:
    word = b.bits(_in_units(b, x, unit), "u64" if x.kind == "f64" else "u32")
    return b.shift_right(word, _DIGITS[x.kind] + 1 - (intervals // _OCTAVES).bit_length())


def _in_units(b: Code, x: Value, unit: float) -> Value:
    return b.muladd(x, like(x, unit), like(x, 2))


def _parts(b: Code, x: Value, pieces: Pieces) -> tuple[Value, Value, Value]:
    """f(c), t = x - c, and q(t) as even part + t * odd part."""
    index = _index(b, x, pieces)
    value, centre, *rows = (
        lookup(b, index, row, x.kind) for row in (pieces.values, pieces.centres, *pieces.coefficients)
    )
    t = b.subtract(x, centre)
    return value, t, _polynomial(b, t, rows)


def _polynomial(b: Code, t: Value, rows: list[Value]) -> Value:
    square = b.multiply(t, t)

    def horner(total: Value, row: Value) -> Value:
        return b.muladd(total, square, row)

    even, odd = (functools.reduce(horner, reversed(rows[i::2])) for i in (0, 1))
    return b.muladd(odd, t, even)


def _by_pieces(b: Code, x: Value, pieces: Pieces) -> Value:
    value, t, q = _parts(b, x, pieces)
    return b.fma(t, q, value)


def _odd(b: Code, x: Value, pieces: Pieces) -> Value:
    """An odd function that ends at 1, whose slope at 0 is near 1."""
    end = (len(pieces.centres) - 0.51) * pieces.step or (2 ** (_OCTAVES + 1) - 2.01) / pieces.unit
    size = b.call("absolute", x)
    size = b.select(b.less(like(x, end), size), like(x, end), size)  # NaN stays
    value, t, q = _parts(b, size, pieces)
    near = t
    if pieces.linear != math.inf:
        near = b.select(b.less(_in_units(b, size, pieces.unit), like(x, pieces.linear)), t, like(x, 0))
    return b.call("copysign", b.add(value, b.fma(t, q, near)), x)


def erf_by_pieces(b: Code, x: Value) -> Value:
    """erf(x), of float64 or float32."""
    return _odd(b, x, ERF if x.kind == "f64" else _fitting(b, x, ERF_SINGLE, ERF_SHORT))


def tanh_by_pieces(b: Code, x: Value) -> Value:
    """tanh(x) of float32."""
    return _odd(b, x, _fitting(b, x, TANH_SINGLE, TANH_SHORT))


def erfcx_by_pieces(b: Code, size: Value, single: bool) -> tuple[Value, Value]:
    """exp(x^2) erfc(x) of float64 for 0 <= x < 27.42: the value at the centre of an interval, and what the
    distance from it adds: a third of that at most."""
    if whole_registers(b, size):
        value, t, q = _parts(b, size, ERFCX_SINGLE if single else ERFCX)
    else:
        value, t, q = _erfcx_by_rows(b, size, single)
    return value, b.multiply(t, q)


def _erfcx_by_rows(b: Code, size: Value, single: bool) -> tuple[Value, Value, Value]:
    table = erfcx_table()
    index = _octave_index(b, size, UNIT, INTERVALS)
    index = b.bits_and(index, literal(INTERVALS - 1, "u64", size.lanes))
    centre, value, *rows = columns(b, index, "erfcx", table)
    t = b.subtract(size, centre)
    return value, t, _polynomial(b, t, rows[:_SINGLE_TERMS] if single else rows)


def normal_tail(b: Code, size: Value, is_slope: bool) -> Value:
    """exp(a^2 / 2) ndtr(-a) of float32 for 0 <= a <= 14.5; less a / sqrt(2 pi), if `is_slope`."""
    if is_slope:
        return _by_pieces(b, size, _fitting(b, size, TAIL_SLOPE_SINGLE, TAIL_SLOPE_SHORT))
    return _by_pieces(b, size, _fitting(b, size, TAIL_SINGLE, TAIL_SHORT))


def gate(b: Code, size: Value, is_slope: bool) -> Value:
    """g(a) = sigmoid(z) of float32 for 0 <= a <= 11.5, z = sqrt(8 / pi) (a + 0.044715 a^3);
    g (1 - a z' g), if `is_slope`."""
    if is_slope:
        return _by_pieces(b, size, _fitting(b, size, GATE_SLOPE_SINGLE, GATE_SLOPE_SHORT))
    return _by_pieces(b, size, _fitting(b, size, GATE_SINGLE, GATE_SHORT))
