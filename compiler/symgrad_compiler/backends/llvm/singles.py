"""Functions of float32 that are computed in float32, twice as many elements at a time as through float64.
They are within a unit in the last place; every argument is tried in `tests/native/test_sweeps.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from symgrad_compiler.backends.llvm.ir import Value
from symgrad_compiler.backends.llvm.pieces import clamp, like
from symgrad_compiler.backends.llvm.piecewise import erf_by_pieces, tanh_by_pieces
from symgrad_compiler.backends.llvm.registers import scalef, whole_registers
from symgrad_compiler.backends.llvm.scalars import Code

#: (exp(r) - 1 - r) / r^2 on |r| <= ln(2) / 2
_EXP = (0.5, 0.16666576, 0.041666552, 0.008363233, 0.001392625)
_LN2_HIGH, _LN2_LOW = 0.6931471824645996, -1.9046542121259336e-09
_LOG2_E = 1.4426950408889634
_ROUNDER = 1.5 * 2.0**23
#: Beyond, exp is 0 or infinite.
_EXP_RANGE = (-104.0, 89.0)


def exp(b: Code, x: Value) -> Value:
    """2^n exp(r), x = n ln(2) + r."""
    x = clamp(b, x, *_EXP_RANGE)
    shifted = b.fma(x, like(x, _LOG2_E), like(x, _ROUNDER))
    whole = b.subtract(shifted, like(x, _ROUNDER))
    first = b.fma(whole, like(x, -_LN2_HIGH), x)  # exact
    lost = b.multiply(whole, like(x, _LN2_LOW))
    r = b.subtract(first, lost)
    tail = b.fma(b.multiply(r, r), b.polynomial(r, _EXP), b.negative(lost))
    y = b.add(like(x, 1), b.add(first, tail))
    if whole_registers(b, x):
        return scalef(b, y, whole)
    bits = b.bits(shifted, "i32")
    n = b.subtract(bits, b.constant(0x4B400000, bits))
    half = b.shift_right(n, 1)
    return b.multiply(b.multiply(y, _power_of_two(b, half)), _power_of_two(b, b.subtract(n, half)))


def _power_of_two(b: Code, n: Value) -> Value:
    """2^n for -126 <= n <= 127."""
    return b.bits(b.shift_left(b.add(n, b.constant(127, n)), 23), "f32")


#: Functions of whole registers, where they gain; exp everywhere.
IN_REGISTERS: dict[str, Callable[[Code, Value], Value]] = {"erf": erf_by_pieces, "tanh": tanh_by_pieces}


def in_float32(b: Code, function: str, x: Value) -> Callable[[Code, Value], Value] | None:
    """How a function of float32 is computed in float32, if it is."""
    if function == "exp" and b.machine.has_fma:
        return exp
    return IN_REGISTERS.get(function) if whole_registers(b, x) else None
