"""Exponentials and hyperbolic functions on vectors of float64."""

from __future__ import annotations

from symgrad.records import record
from symgrad_compiler.backends.llvm.ir import Value
from symgrad_compiler.backends.llvm.pieces import (
    GONE,
    GONE_SINGLE,
    LN2_HIGH,
    LN2_LOW,
    clamp,
    integer,
    like,
    nearest,
    power_of_two,
    ratio,
    scale,
)
from symgrad_compiler.backends.llvm.registers import lookup, scalef, whole_registers
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
#: The same on |r| <= ln(2) / 32
_EXP_NEAR = (
    0.5000000000000001, 0.16666666666666669, 0.04166666666359425, 0.008333333332991954, 0.001388906347556763,
    0.00019841463826261545,
)  # fmt: skip
_EXP_NEAR_SINGLE = (0.5, 0.16666959973024334, 0.04166715550957197)
#: 2^(j/16) and what rounding it lost
_ROOTS = (
    1.0, 1.0442737824274138, 1.0905077326652577, 1.1387886347566916, 1.189207115002721, 1.241857812073484,
    1.2968395546510096, 1.3542555469368927, 1.4142135623730951, 1.4768261459394993, 1.5422108254079407,
    1.6104903319492543, 1.681792830507429, 1.7562521603732995, 1.8340080864093424, 1.9152065613971474,
)  # fmt: skip
_ROOTS_LOW = (
    0.0, 8.551889705537965e-17, -3.046782079812471e-17, 8.912812676025408e-17, 3.982015231465646e-17,
    4.658027591836937e-17, 2.5382502794888315e-17, 7.70094837980299e-17, -9.667293313452913e-17,
    -3.483994556892796e-17, 7.949834809697621e-17, 2.4707192569797888e-17, 8.199010020581497e-17,
    2.960140695448873e-17, 3.283107224245627e-17, -1.0619946056195963e-16,
)  # fmt: skip
#: (sinh(r) - r) / r^3 in r^2, for |r| <= 1
_SINH = (
    0.16666666666666666, 0.008333333333333333, 0.00019841269841269773, 2.755731922404034e-06,
    2.505210836405804e-08, 1.6059048396350562e-10, 7.646625361656657e-13, 2.8445264169895285e-15,
)  # fmt: skip
_SINH_SINGLE = (0.16666666646842135, 0.00833333967591706, 0.00019838101968683888, 2.8062802582276946e-06)
#: Beyond, exp is 0 or infinite.
EXP_RANGE = (-760.0, 712.0)
SINGLE_RANGE = (-200.0, 200.0)
LOG2_E = 1.4426950408889634
#: Added and taken away, this rounds to sixteenths, which are then in the low bits.
_SIXTEENTHS = 1.5 * 2.0**48
#: From here downwards, exp(x) - 1 is -1.
_LEAST = -58.0


@record
class Exponential:
    """exp(x) = (head + middle + tail) 2^n. `whole` is n as a float; with tables n is its floor."""

    head: Value
    middle: Value | None
    tail: Value
    whole: Value
    n: Value | None
    #: Where n is less, it is 0.
    least: float = GONE

    def sum(self, b: Code, more: Value | None = None) -> Value:
        """head + middle + tail + more; where that is near 0, so is head + more."""
        if more is not None:
            head = b.add(self.head, more)
            head = head if self.middle is None else b.add(head, self.middle)
            return b.add(head, self.tail)
        return b.add(self.head, self.rest(b))

    def rest(self, b: Code) -> Value:
        """middle + tail."""
        return self.tail if self.middle is None else b.add(self.middle, self.tail)

    def times(self, b: Code, x: Value, low: Value | None = None) -> Value:
        """(x + low) (head + middle + tail), nearly rounded once; low is small beside x."""
        is_one = self.head.number is not None
        if low is None:
            rest = b.multiply(x, self.rest(b))
        else:
            low_part = low if is_one else b.multiply(low, self.head)
            rest = b.muladd(b.add(x, low), self.rest(b), low_part)
        return b.add(x, rest) if is_one else b.muladd(x, self.head, rest)

    def scaled(self, b: Code, x: Value, by: int = 0, is_positive: bool = False) -> Value:
        """x 2^(n + by); see `scale`."""
        if by == 0:
            return scale(b, x, self.n, self.whole, self.least, is_positive)
        n = None if self.n is None else b.add(self.n, integer(x, by))
        return scale(b, x, n, b.add(self.whole, like(x, by)), self.least, is_positive)

    def at_least(self, b: Code, least: float) -> tuple[Exponential, Value]:
        """The same with n not below `least`, and 2^-n; n at most 60 in that."""
        limit = like(self.whole, least)
        whole = b.select(b.less(self.whole, limit), limit, self.whole)
        if self.n is None:
            floor = b.call("floor", whole)
            most = like(whole, 60)
            down = scalef(b, like(whole, 1), b.negative(b.select(b.less(most, floor), most, floor)))
            return Exponential(self.head, self.middle, self.tail, floor, None), down
        lowest, highest = integer(self.n, int(least)), integer(self.n, 60)
        n = b.select(b.less(self.n, lowest), lowest, self.n)
        down = b.subtract(integer(n, 0), b.select(b.less(highest, n), highest, n))
        return Exponential(self.head, self.middle, self.tail, whole, n), power_of_two(b, down)


def exponential(
    b: Code, x: Value, single: bool, low: Value | None = None, is_bounded: bool = False
) -> Exponential:
    """exp(x + low), as parts; `is_bounded`: x is known to be within -760 and 712."""
    if not is_bounded:
        x = clamp(b, x, *(SINGLE_RANGE if single else EXP_RANGE))
    if whole_registers(b, x):
        return _by_table(b, x, single, low)
    whole, n = nearest(b, x, LOG2_E)
    r = b.fma(whole, like(x, -LN2_HIGH), x)  # exact
    if single:
        r = r if low is None else b.add(r, low)
        tail = b.muladd(b.multiply(r, r), b.polynomial(r, _EXP_SINGLE), r)
        return Exponential(like(x, 1), None, tail, whole, n, GONE_SINGLE)
    lost = b.multiply(whole, like(x, LN2_LOW))
    lost = lost if low is None else b.subtract(lost, low)
    near = b.subtract(r, lost)
    tail = b.muladd(b.multiply(near, near), b.polynomial(near, _EXP), b.negative(lost))
    return Exponential(like(x, 1), r, tail, whole, n)


def _by_table(b: Code, x: Value, single: bool, low: Value | None) -> Exponential:
    """x = k/16 ln(2) + r: 2^(k/16) = 2^n 2^(j/16)."""
    shifted = b.fma(x, like(x, LOG2_E), like(x, _SIXTEENTHS))
    whole = b.subtract(shifted, like(x, _SIXTEENTHS))
    r = b.fma(whole, like(x, -LN2_HIGH), x)
    if not single:
        r = b.fma(whole, like(x, -LN2_LOW), r)
    r = r if low is None else b.add(r, low)
    index = b.bits(shifted, "i64")
    head = lookup(b, index, _ROOTS, "f64")
    rest = b.fma(b.multiply(r, r), b.polynomial(r, _EXP_NEAR_SINGLE if single else _EXP_NEAR), r)
    if single:
        return Exponential(head, None, b.multiply(head, rest), whole, None, GONE_SINGLE)
    return Exponential(head, None, b.fma(head, rest, lookup(b, index, _ROOTS_LOW, "f64")), whole, None)


def exp(b: Code, x: Value, single: bool, low: Value | None = None) -> Value:
    """exp(x + low)."""
    e = exponential(b, x, single, low)
    if single and e.n is not None:  # the result is far from the limits of float64
        gone = b.less(e.whole, like(x, e.least))
        return b.multiply(e.sum(b), b.select(gone, like(x, 0), power_of_two(b, e.n)))
    return e.scaled(b, e.sum(b), is_positive=True)


def expm1(b: Code, x: Value, single: bool) -> Value:
    """2^n (exp(r) - 2^-n), where head - 2^-n is exact if the result is small. The reduction is that of exp: a
    kernel that needs both does it once."""
    e, down = exponential(b, x, single).at_least(b, _LEAST)
    return b.call("copysign", e.scaled(b, e.sum(b, b.negative(down))), x)


def exp2(b: Code, x: Value, single: bool) -> Value:
    """exp(r ln(2)) 2^n, with r = x - n exact."""
    clamped = clamp(b, x, -1100.0, 1100.0)
    if whole_registers(b, x):
        return _exp2_by_table(b, clamped, single)
    whole, n = nearest(b, clamped)
    r = b.subtract(clamped, whole)
    high = b.multiply(r, like(x, LN2_HIGH))
    low = b.muladd(r, like(x, LN2_LOW), b.fma(r, like(x, LN2_HIGH), b.negative(high)))
    tail = b.muladd(b.multiply(high, high), b.polynomial(high, _EXP_SINGLE if single else _EXP), low)
    return scale(b, b.add(like(x, 1), b.add(high, tail)), n, whole)


def _exp2_by_table(b: Code, x: Value, single: bool) -> Value:
    shifted = b.add(x, like(x, _SIXTEENTHS))
    whole = b.subtract(shifted, like(x, _SIXTEENTHS))
    r = b.multiply(b.subtract(x, whole), like(x, LN2_HIGH))
    index = b.bits(shifted, "i64")
    head = lookup(b, index, _ROOTS, "f64")
    rest = b.fma(b.multiply(r, r), b.polynomial(r, _EXP_NEAR_SINGLE if single else _EXP_NEAR), r)
    if single:
        return scale(b, b.fma(head, rest, head), None, whole, GONE_SINGLE, True)
    total = b.add(head, b.fma(head, rest, lookup(b, index, _ROOTS_LOW, "f64")))
    return scale(b, total, None, whole, is_positive=True)


# ---- hyperbolic -------------------------------------------------------------------------------------


def tanh(b: Code, x: Value, single: bool) -> Value:
    """-t / (t + 2) with t = exp(-2|x|) - 1, and the sign of x; t and t + 2 over 2^n, with what rounding them
    lost."""
    e, down = exponential(b, b.multiply(like(x, -2), b.call("absolute", x)), single).at_least(b, _LEAST)
    first, rest = b.subtract(e.head, down), e.rest(b)
    top = b.add(first, rest)
    twice = b.add(down, down)
    bottom = b.add(twice, top)
    if single:
        return b.call("copysign", ratio(b, top, bottom, single), x)
    lost = b.subtract(e.head, b.add(first, down))
    top_low = b.add(b.add(b.subtract(first, top), rest), lost)
    bottom_low = b.add(b.subtract(twice, bottom), top)
    return b.call("copysign", ratio(b, top, bottom, single, top_low, bottom_low), x)


def _half_exp(b: Code, a: Value, single: bool) -> tuple[Value, Value]:
    """exp(a) / 2 and exp(-a) / 2, where that matters beside the former; a >= 0."""
    e = exponential(b, a, single)
    half = e.scaled(b, e.sum(b), -1)
    limit = like(a, 2.0**60)
    return half, ratio(b, like(a, 0.25), b.select(b.less(limit, half), limit, half), single)


def sinh(b: Code, x: Value, single: bool) -> Value:
    """A polynomial up to 1, (e - 1/e) / 2 with e = exp(|x|) beyond."""
    a = b.call("absolute", x)
    z = b.multiply(a, a)
    near = b.muladd(b.multiply(z, a), b.polynomial(z, _SINH_SINGLE if single else _SINH), a)
    far = b.subtract(*_half_exp(b, a, single))
    return b.call("copysign", b.select(b.less(a, like(x, 1)), near, far), x)


def cosh(b: Code, x: Value, single: bool) -> Value:
    """(e + 1/e) / 2 with e = exp(|x|)."""
    return b.add(*_half_exp(b, b.call("absolute", x), single))


def sigmoid(b: Code, x: Value, single: bool) -> Value:
    """1 / (1 + e) or e / (1 + e), with e = exp(-|x|)."""
    e = exp(b, b.negative(b.call("absolute", x)), single)
    one = like(x, 1)
    top = b.select(b.less(x, like(x, 0)), e, one)
    bottom = b.add(one, e)
    return ratio(b, top, bottom, single, None, None if single else b.add(b.subtract(one, bottom), e))
