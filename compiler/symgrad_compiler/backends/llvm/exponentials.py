"""Exponentials and hyperbolic functions on vectors of float64."""

from __future__ import annotations

from symgrad_compiler.backends.llvm.ir import Value
from symgrad_compiler.backends.llvm.pieces import (
    LN2_HIGH,
    LN2_LOW,
    clamp,
    integer,
    like,
    nearest,
    power_of_two,
    scale,
)
from symgrad_compiler.backends.llvm.scalars import Code

#: (exp(r) - 1 - r) / r^2 on |r| <= ln(2) / 2
_EXP = (
    0.5000000000000001, 0.16666666666666669, 0.04166666666662399, 0.008333333333330051,
    0.0013888888917281794, 0.00019841269863105968, 2.480152119021773e-05, 2.7557268378684192e-06,
    2.7620138719733994e-07, 2.5100424157005067e-08,
)  # fmt: skip
_EXP_SINGLE = (
    0.5000000013498178, 0.16666666681659179, 0.04166646460202654, 0.008333310889582076,
    0.0013933685862617174, 0.00019891030654370327,
)  # fmt: skip
#: Beyond, exp is 0 or infinite.
EXP_RANGE = (-750.0, 710.0)
LOG2_E = 1.4426950408889634


def reduce_exp(b: Code, x: Value) -> tuple[Value, Value, Value]:
    """x = n ln(2) + r: (r, n, n as a float)."""
    whole, n = nearest(b, b.multiply(x, like(x, LOG2_E)))
    r = b.fma(whole, like(x, -LN2_HIGH), x)
    return b.muladd(whole, like(x, -LN2_LOW), r), n, whole


def exp_minus_one(b: Code, r: Value, single: bool) -> Value:
    """exp(r) - 1 for small r."""
    tail = b.polynomial(r, _EXP_SINGLE if single else _EXP)
    return b.muladd(b.multiply(r, r), tail, r)


def exp(b: Code, x: Value, single: bool) -> Value:
    """2^n exp(r)."""
    if single:  # the result is far from the limits of float64
        r, n, _ = reduce_exp(b, clamp(b, x, -200.0, 200.0))
        return b.multiply(b.add(exp_minus_one(b, r, single), like(x, 1)), power_of_two(b, n))
    r, n, whole = reduce_exp(b, clamp(b, x, *EXP_RANGE))
    return scale(b, b.add(exp_minus_one(b, r, single), like(x, 1)), n, whole)


def expm1(b: Code, x: Value, single: bool) -> Value:
    """2^n (exp(r) - 1 + (1 - 2^-n)), which is exact in its first term where n is 0. The reduction is that of
    exp: a kernel that needs both, as that of tanh and its derivative, does it once."""
    low, high = (-200.0, 200.0) if single else EXP_RANGE
    r, n, whole = reduce_exp(b, clamp(b, x, low, high))
    down = b.subtract(integer(x, 0), n)
    down = b.select(b.less(down, integer(x, -60)), integer(x, -60), down)
    down = b.select(b.less(integer(x, 60), down), integer(x, 60), down)
    shifted = b.subtract(like(x, 1), power_of_two(b, down))
    result = scale(b, b.add(exp_minus_one(b, r, single), shifted), n, whole)
    result = b.select(b.less(whole, like(x, -60)), like(x, -1), result)
    return b.select(b.equal(x, like(x, 0)), x, result)


def exp2(b: Code, x: Value, single: bool) -> Value:
    """2^n exp(r ln(2)), with r = x - n exact."""
    clamped = clamp(b, x, -1100.0, 1100.0)
    whole, n = nearest(b, clamped)
    r = b.subtract(clamped, whole)
    high = b.multiply(r, like(x, LN2_HIGH))
    low = b.muladd(r, like(x, LN2_LOW), b.fma(r, like(x, LN2_HIGH), b.negative(high)))
    return scale(b, b.add(b.add(exp_minus_one(b, high, single), low), like(x, 1)), n, whole)


# ---- hyperbolic -------------------------------------------------------------------------------------


def tanh(b: Code, x: Value, single: bool) -> Value:
    """-t / (t + 2) with t = exp(-2|x|) - 1, and the sign of x."""
    t = expm1(b, b.multiply(like(x, -2), b.call("absolute", x)), single)
    size = b.divide(b.negative(t), b.add(t, like(x, 2)))
    return b.select(b.is_nan(x), x, b.call("copysign", size, x))


def _half_exp(b: Code, a: Value, single: bool) -> Value:
    """exp(a) / 2, finite as long as that is."""
    e = exp(b, b.multiply(a, like(a, 0.5)), single)
    return b.multiply(b.multiply(like(a, 0.5), e), e)


def sinh(b: Code, x: Value, single: bool) -> Value:
    """(t + t / (t + 1)) / 2 with t = exp(|x|) - 1."""
    a = b.call("absolute", x)
    t = expm1(b, a, single)
    middle = b.multiply(like(x, 0.5), b.add(t, b.divide(t, b.add(t, like(x, 1)))))
    size = b.select(b.less(a, like(x, 40.0)), middle, _half_exp(b, a, single))
    return b.select(b.is_nan(x), x, b.call("copysign", size, x))


def cosh(b: Code, x: Value, single: bool) -> Value:
    """(e + 1/e) / 2 with e = exp(|x|)."""
    a = b.call("absolute", x)
    e = exp(b, a, single)
    middle = b.muladd(like(x, 0.5), e, b.divide(like(x, 0.5), e))
    return b.select(b.less(a, like(x, 40.0)), middle, _half_exp(b, a, single))


def sigmoid(b: Code, x: Value, single: bool) -> Value:
    """1 / (1 + e) or e / (1 + e), with e = exp(-|x|)."""
    e = exp(b, b.negative(b.call("absolute", x)), single)
    top = b.select(b.less(x, like(x, 0)), e, like(x, 1))
    result = b.divide(top, b.add(like(x, 1), e))
    return b.select(b.is_nan(x), x, result)
