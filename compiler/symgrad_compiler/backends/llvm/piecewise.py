"""Functions by polynomials of intervals, whose coefficients are looked up in registers: half the operations
of one polynomial for all, and no exponential or division beside it.
"""

from __future__ import annotations

import functools

from symgrad_compiler.backends.llvm.ir import Value
from symgrad_compiler.backends.llvm.pieces import like
from symgrad_compiler.backends.llvm.piecewise_tables import (
    ERF,
    ERF_SINGLE,
    ERFCX,
    ERFCX_SINGLE,
    ERFCX_UNIT,
    GATE_SINGLE,
    GATE_SLOPE_SINGLE,
    GATE_UNIT,
    TAIL_SINGLE,
    TAIL_SLOPE_SINGLE,
    TAIL_UNIT,
    TANH_SINGLE,
    Pieces,
)
from symgrad_compiler.backends.llvm.registers import lookup
from symgrad_compiler.backends.llvm.scalars import Code


def _offset(b: Code, x: Value, index: Value, pieces: Pieces) -> tuple[Value, Value]:
    """t = x - c, and q(t) as even part + t * odd part."""
    t = b.subtract(x, lookup(b, index, pieces.centres, x.kind))
    square = b.multiply(t, t)
    rows = [lookup(b, index, row, x.kind) for row in pieces.coefficients]

    def horner(total: Value, row: Value) -> Value:
        return b.fma(total, square, row)

    even, odd = (functools.reduce(horner, reversed(rows[i::2])) for i in (0, 1))
    return t, b.fma(odd, t, even)


def _bounded(b: Code, x: Value, most: float) -> Value:
    """min(x, most); NaN stays."""
    return b.select(b.less(like(x, most), x), like(x, most), x)


def _odd(b: Code, x: Value, pieces: Pieces) -> Value:
    """An odd function that ends at 1, from intervals of one length, the nearest of whose middles is taken."""
    size = _bounded(b, b.call("absolute", x), (len(pieces.centres) - 0.51) * pieces.step)
    rounder = like(x, 1.5 * 2.0 ** (52 if x.kind == "f64" else 23))
    index = b.bits(b.fma(size, like(x, 1 / pieces.step), rounder), f"i{64 if x.kind == 'f64' else 32}")
    t, q = _offset(b, size, index, pieces)
    return b.call("copysign", b.add(lookup(b, index, pieces.values, x.kind), b.fma(t, q, t)), x)


def erf_by_pieces(b: Code, x: Value) -> Value:
    """erf(x), of float64 or float32."""
    return _odd(b, x, ERF if x.kind == "f64" else ERF_SINGLE)


def tanh_by_pieces(b: Code, x: Value) -> Value:
    """tanh(x) of float32."""
    return _odd(b, x, TANH_SINGLE)


def erfcx_by_pieces(b: Code, size: Value, single: bool) -> Value:
    """exp(x^2) erfc(x) for 0 <= x < 27.42. The interval is in the last two bits of an exponent and the first
    two of its digits."""
    scaled = b.fma(size, like(size, 1 / ERFCX_UNIT), like(size, 2))
    index = b.shift_right(b.bits(scaled, "u64"), 50)
    pieces = ERFCX_SINGLE if single else ERFCX
    t, q = _offset(b, size, index, pieces)
    return b.fma(t, q, lookup(b, index, pieces.values, "f64"))


def normal_tail(b: Code, size: Value, is_slope: bool) -> Value:
    """exp(a^2 / 2) ndtr(-a) of float32 for 0 <= a <= 14.5; less a / sqrt(2 pi), if `is_slope`."""
    return _by_octaves(b, size, TAIL_UNIT, TAIL_SLOPE_SINGLE if is_slope else TAIL_SINGLE)


def gate(b: Code, size: Value, is_slope: bool) -> Value:
    """g(a) = sigmoid(z) of float32 for 0 <= a <= 12, z = sqrt(8 / pi) (a + 0.044715 a^3); g (1 - a z' g), if
    `is_slope`."""
    return _by_octaves(b, size, GATE_UNIT, GATE_SLOPE_SINGLE if is_slope else GATE_SINGLE)


def _by_octaves(b: Code, size: Value, unit: float, pieces: Pieces) -> Value:
    """By eight intervals an octave of unit x + 2, four of them; of float32."""
    scaled = b.fma(size, like(size, unit), like(size, 2))
    index = b.shift_right(b.bits(scaled, "u32"), 20)
    t, q = _offset(b, size, index, pieces)
    return b.fma(t, q, lookup(b, index, pieces.values, "f32"))
