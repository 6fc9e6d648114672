"""Elementary functions on vectors, as LLVM functions that a module makes on first use.

Each works on float64; float32 goes through float64 with shorter polynomials, which rounds correctly but for
rare ties. Polynomials are near-minimax fits (Chebyshev interpolation at high precision) of the quotients
named beside them. Where a fast reduction ends (sin of 1e9), lanes go through the C library one by one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from symgrad.ops.scalar import OF_ORDER
from symgrad_compiler.backends.llvm.ir import Module, Value, literal, vector_type
from symgrad_compiler.backends.llvm.scalars import Code, Machine, by_parts, power_by_squaring
from symgrad_compiler.backends.llvm.special import LONG, SPECIAL

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
#: (sin(r) - r) / r^3 and (cos(r) - 1 + r^2/2) / r^4 in r^2, for |r| <= pi/4
_SIN = (
    -0.16666666666666666, 0.008333333333330936, -0.00019841269836740532, 2.7557316093198404e-06,
    -2.5051129896450185e-08, 1.5917988979397435e-10,
)  # fmt: skip
_COS = (
    0.041666666666666664, -0.0013888888888887389, 2.48015872987544e-05, -2.755731726587808e-07,
    2.087614504941318e-09, -1.138254464534925e-11,
)  # fmt: skip
_SIN_SINGLE = (-0.16666666663844049, 0.008333331870341349, -0.00019840084376422702, 2.724962008007533e-06)
_COS_SINGLE = (0.041666666664311826, -0.0013888887668370663, 2.480059840835012e-05, -2.730070403808665e-07)

#: Beyond, exp is 0 or infinite.
_EXP_RANGE = (-750.0, 710.0)
_LOG2_E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 0.6931471805599453, 2.3190468138462996e-17
#: ln(2) with 32 bits, so that k * _LN2_SHORT is exact, and the rest.
_LN2_SHORT, _LN2_REST = 0.6931471803691238, 1.9082149292705877e-10
_PI_HALVES = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33)
_TWO_OVER_PI = 0.6366197723675814
_TWO_THIRDS = (0.6666666666666666, 3.700743415417188e-17)
#: Added and taken away, this rounds to an integer, which is then in the low bits.
_ROUNDER = 1.5 * 2.0**52
#: Beyond, reducing sin and cos by three words of pi/2 is not exact any more.
_LARGE_ANGLE = 1e9
_MANTISSA = (1 << 52) - 1
_SQRT_HALF_BITS = 0x3FE6A09E667F3BCD

#: Calls that are inlined, in one kernel and in one module; more are left as calls.
MOST_INLINED = 8
MOST_INLINED_IN_ALL = 100
#: The powers that are computed by multiplying, from x^-3 to x^5: within 4 units in the last place.
LEAST_REPEATED, MOST_REPEATED = 3, 5


class Maths:
    """The elementary functions of one module. `inline(function)` says whether a call is inlined."""

    def __init__(self, module: Module, machine: Machine) -> None:
        self.module = module
        self.machine = machine
        self.inline = True
        self._inlined = 0

    def may_inline(self, calls: int) -> bool:
        """Whether a kernel with so many calls gets them inlined: compile time must stay linear in the
        graph."""
        if calls > MOST_INLINED or self._inlined + calls > MOST_INLINED_IN_ALL:
            return False
        self._inlined += calls
        return True

    def __call__(self, code: Code, function: str, *operands: Value) -> Value:
        x = operands[0]
        if function == "power":
            repeated = _repeated_power(code, x, operands[1])
            if repeated is not None:
                return repeated
        implementation, label = FUNCTIONS[function], function
        if function in OF_ORDER:
            assert x.number is not None
            order = int(x.number)
            implementation, label = partial(implementation, order=order), f"{function}.{order}"
            operands = operands[1:]
        name = f"{label}.{x.kind}x{x.lanes}"
        if name not in self.module.made:
            self._make(name, implementation, x.kind, x.lanes, len(operands))
        listed = ", ".join(f"{v.type} {v.text}" for v in operands)
        how = "alwaysinline" if self.inline and function not in LONG else "noinline"
        return code.f.emit(f"call {x.type} @{name}({listed}) {how}", x.kind, x.lanes)

    def _make(
        self, name: str, implementation: Callable[..., Value], kind: str, lanes: int, count: int
    ) -> None:
        type_ = vector_type(kind, lanes)
        names = ["x", "y"][:count]
        made = self.module.function(name, [(n, type_) for n in names], type_)
        self.module.made[name] = made
        inner = Code(made, self, self.machine)
        operands = [Value(f"%{n}", kind, lanes) for n in names]
        if kind == "f32":
            wide = [inner.convert(v, "f64") for v in operands]
            result = inner.convert(implementation(inner, *wide, single=True), "f32")
        else:
            result = implementation(inner, *operands, single=False)
        made.do(f"ret {type_} {result.text}")


# ---- pieces -----------------------------------------------------------------------------------------


def _like(x: Value, number: float) -> Value:
    return literal(number, x.kind, x.lanes)


def _int(x: Value, number: int) -> Value:
    return literal(number, "i64", x.lanes)


def _round(b: Code, x: Value) -> tuple[Value, Value]:
    """x rounded to an integer below 2^51, as a float and as an int64; anything for NaN."""
    shifted = b.add(x, _like(x, _ROUNDER))
    whole = b.subtract(shifted, _like(x, _ROUNDER))
    bits = b.subtract(b.bits(shifted, "i64"), _int(x, 0x4338000000000000))
    return whole, bits


def _power_of_two(b: Code, n: Value) -> Value:
    """2^n for -1022 <= n <= 1023."""
    return b.bits(b.shift_left(b.add(n, _int(n, 1023)), 52), "f64")


def _scale(b: Code, x: Value, n: Value, whole: Value) -> Value:
    """x 2^n, right also where 2^n or the result is subnormal or too large; `whole` is n as a float."""
    if b.machine.has_avx512 and x.lanes % 8 == 0:
        return by_parts(b, 8, _scalef, x, whole)
    half = b.shift_right(n, 1)
    rest = b.subtract(n, half)
    return b.multiply(b.multiply(x, _power_of_two(b, half)), _power_of_two(b, rest))


def _scalef(b: Code, x: Value, whole: Value) -> Value:
    """One instruction of AVX-512: x 2^whole."""
    name = "llvm.x86.avx512.mask.scalef.pd.512"
    b.f.module.declare(
        f"declare <8 x double> @{name}(<8 x double>, <8 x double>, <8 x double>, i8, i32 immarg)"
    )
    listed = f"<8 x double> {x.text}, <8 x double> {whole.text}, <8 x double> zeroinitializer, i8 -1, i32 4"
    return b.f.emit(f"call <8 x double> @{name}({listed})", "f64", 8)


def _clamp(b: Code, x: Value, low: float, high: float) -> Value:
    """x within bounds; NaN stays."""
    x = b.select(b.less(_like(x, high), x), _like(x, high), x)
    return b.select(b.less(x, _like(x, low)), _like(x, low), x)


def _reduce_exp(b: Code, x: Value) -> tuple[Value, Value, Value]:
    """x = n ln(2) + r: (r, n, n as a float)."""
    whole, n = _round(b, b.multiply(x, _like(x, _LOG2_E)))
    r = b.fma(whole, _like(x, -_LN2_HIGH), x)
    return b.muladd(whole, _like(x, -_LN2_LOW), r), n, whole


def _exp_minus_one(b: Code, r: Value, single: bool) -> Value:
    """exp(r) - 1 for small r."""
    tail = b.polynomial(r, _EXP_SINGLE if single else _EXP)
    return b.muladd(b.multiply(r, r), tail, r)


def exp(b: Code, x: Value, single: bool) -> Value:
    """2^n exp(r)."""
    if single:  # the result is far from the limits of float64
        r, n, _ = _reduce_exp(b, _clamp(b, x, -200.0, 200.0))
        return b.multiply(b.add(_exp_minus_one(b, r, single), _like(x, 1)), _power_of_two(b, n))
    r, n, whole = _reduce_exp(b, _clamp(b, x, *_EXP_RANGE))
    return _scale(b, b.add(_exp_minus_one(b, r, single), _like(x, 1)), n, whole)


def expm1(b: Code, x: Value, single: bool) -> Value:
    """2^n (exp(r) - 1 + (1 - 2^-n)), which is exact in its first term where n is 0. The reduction is that of
    exp: a kernel that needs both, as that of tanh and its derivative, does it once."""
    low, high = (-200.0, 200.0) if single else _EXP_RANGE
    r, n, whole = _reduce_exp(b, _clamp(b, x, low, high))
    down = b.subtract(_int(x, 0), n)
    down = b.select(b.less(down, _int(x, -60)), _int(x, -60), down)
    down = b.select(b.less(_int(x, 60), down), _int(x, 60), down)
    shifted = b.subtract(_like(x, 1), _power_of_two(b, down))
    result = _scale(b, b.add(_exp_minus_one(b, r, single), shifted), n, whole)
    result = b.select(b.less(whole, _like(x, -60)), _like(x, -1), result)
    return b.select(b.equal(x, _like(x, 0)), x, result)


def _split_log(b: Code, x: Value) -> tuple[Value, Value]:
    """x = m 2^k for positive normal x, m in [sqrt(1/2), sqrt(2)): (m, k as a float)."""
    bits = b.bits(x, "i64")
    shifted = b.subtract(bits, _int(x, _SQRT_HALF_BITS))
    k = b.shift_right(shifted, 52)
    m = b.bits(b.add(b.bits_and(shifted, _int(x, _MANTISSA)), _int(x, _SQRT_HALF_BITS)), "f64")
    # |k| < 2^11: an int to float conversion that every machine has
    whole = b.bits(b.add(k, _int(x, 0x4338000000000000)), "f64")
    return m, b.subtract(whole, _like(x, _ROUNDER))


def _normal(b: Code, x: Value) -> tuple[Value, Value]:
    """(x, 0), or (x 2^54, -54) where x is subnormal."""
    tiny = b.less(x, _like(x, 2.0**-1022))
    return (
        b.select(tiny, b.multiply(x, _like(x, 2.0**54)), x),
        b.select(tiny, _like(x, -54.0), _like(x, 0.0)),
    )


def _log_of(b: Code, f: Value, k: Value, correction: Value | None, single: bool) -> Value:
    """log(1 + f) + k ln(2) + correction, for 1 + f in [sqrt(1/2), sqrt(2)).

    With s = f / (2 + f): log(1+f) = f - (f^2/2 - s (f^2/2 + R(s^2))), where R(s^2) = 2 atanh(s)/s - 2.
    """
    s = b.divide(f, b.add(f, _like(f, 2)))
    z = b.multiply(s, s)
    r = b.multiply(z, b.polynomial(z, _LOG_SINGLE if single else _LOG))
    half_square = b.multiply(_like(f, 0.5), b.multiply(f, f))
    low = b.muladd(s, b.add(half_square, r), b.multiply(k, _like(f, _LN2_REST)))
    if correction is not None:
        low = b.add(low, correction)
    return b.muladd(k, _like(f, _LN2_SHORT), b.subtract(f, b.subtract(half_square, low)))


def _log_limits(b: Code, x: Value, result: Value, at_zero: Value) -> Value:
    """The values at 0 (where `at_zero` is), below, at infinity and NaN."""
    infinity = _like(x, math.inf)
    result = b.select(b.less(x, infinity), result, x)  # inf and NaN
    result = b.select(b.less(at_zero, _like(x, 0)), _like(x, math.nan), result)
    return b.select(b.equal(at_zero, _like(x, 0)), _like(x, -math.inf), result)


def log(b: Code, x: Value, single: bool) -> Value:
    """k ln(2) + log(m)."""
    if single:
        m, k = _split_log(b, x)
    else:
        scaled, shift = _normal(b, x)
        m, k = _split_log(b, scaled)
        k = b.add(k, shift)
    result = _log_of(b, b.subtract(m, _like(x, 1)), k, None, single)
    return _log_limits(b, x, result, x)


def log1p(b: Code, x: Value, single: bool) -> Value:
    """log of 1 + x, with what rounding that sum lost put back."""
    one = _like(x, 1)
    u = b.add(one, x)
    m, k = _split_log(b, u)
    lost = b.select(
        b.less(_like(x, 2.0), u), b.subtract(one, b.subtract(u, x)), b.subtract(x, b.subtract(u, one))
    )
    near = b.logical_and(b.less(_like(x, -0.29), x), b.less(x, _like(x, 0.41)))
    zero = _like(x, 0)
    f = b.select(near, x, b.subtract(m, one))
    correction = b.select(near, zero, b.divide(lost, u))
    result = _log_of(b, f, b.select(near, zero, k), correction, single)
    result = b.select(b.equal(x, zero), x, result)
    return _log_limits(b, x, result, u)


# ---- hyperbolic -------------------------------------------------------------------------------------


def tanh(b: Code, x: Value, single: bool) -> Value:
    """-t / (t + 2) with t = exp(-2|x|) - 1, and the sign of x."""
    t = expm1(b, b.multiply(_like(x, -2), b.call("absolute", x)), single)
    size = b.divide(b.negative(t), b.add(t, _like(x, 2)))
    return b.select(b.is_nan(x), x, b.call("copysign", size, x))


def _half_exp(b: Code, a: Value, single: bool) -> Value:
    """exp(a) / 2, finite as long as that is."""
    e = exp(b, b.multiply(a, _like(a, 0.5)), single)
    return b.multiply(b.multiply(_like(a, 0.5), e), e)


def sinh(b: Code, x: Value, single: bool) -> Value:
    """(t + t / (t + 1)) / 2 with t = exp(|x|) - 1."""
    a = b.call("absolute", x)
    t = expm1(b, a, single)
    middle = b.multiply(_like(x, 0.5), b.add(t, b.divide(t, b.add(t, _like(x, 1)))))
    size = b.select(b.less(a, _like(x, 40.0)), middle, _half_exp(b, a, single))
    return b.select(b.is_nan(x), x, b.call("copysign", size, x))


def cosh(b: Code, x: Value, single: bool) -> Value:
    """(e + 1/e) / 2 with e = exp(|x|)."""
    a = b.call("absolute", x)
    e = exp(b, a, single)
    middle = b.muladd(_like(x, 0.5), e, b.divide(_like(x, 0.5), e))
    return b.select(b.less(a, _like(x, 40.0)), middle, _half_exp(b, a, single))


def sigmoid(b: Code, x: Value, single: bool) -> Value:
    """1 / (1 + e) or e / (1 + e), with e = exp(-|x|)."""
    e = exp(b, b.negative(b.call("absolute", x)), single)
    top = b.select(b.less(x, _like(x, 0)), e, _like(x, 1))
    result = b.divide(top, b.add(_like(x, 1), e))
    return b.select(b.is_nan(x), x, result)


def logaddexp(b: Code, x: Value, y: Value, single: bool) -> Value:
    """max + log(1 + exp(-|x - y|)); equal infinities as they are."""
    difference = b.subtract(x, y)
    larger = b.select(b.less(x, y), y, x)
    far = log1p(b, exp(b, b.negative(b.call("absolute", difference)), single), single)
    return b.select(b.equal(x, y), b.add(x, _like(x, math.log(2))), b.add(larger, far))


# ---- trigonometric ----------------------------------------------------------------------------------


def _reduce_angle(b: Code, x: Value, single: bool) -> tuple[Value, Value, Value]:
    """x = n pi/2 + high + low: (high, low, n)."""
    whole, n = _round(b, b.multiply(x, _like(x, _TWO_OVER_PI)))
    first, second, third = (_like(x, p) for p in _PI_HALVES)
    head = b.fma(b.negative(whole), first, x)
    if single:
        return b.fma(b.negative(whole), second, head), _like(x, 0), n
    product = b.multiply(whole, second)
    error = b.fma(whole, second, b.negative(product))
    high = b.subtract(head, product)
    low = b.subtract(b.subtract(head, high), product)
    low = b.subtract(low, b.muladd(whole, third, error))
    return high, low, n


def _sin_cos(b: Code, high: Value, low: Value, single: bool) -> tuple[Value, Value]:
    """(sin, cos) of high + low, |high| <= pi/4."""
    z = b.multiply(high, high)
    half = b.multiply(z, _like(z, 0.5))
    one = _like(z, 1)
    s = b.polynomial(z, _SIN_SINGLE if single else _SIN)
    c = b.polynomial(z, _COS_SINGLE if single else _COS)
    cube = b.multiply(z, high)
    if single:
        return b.muladd(cube, s, high), b.muladd(b.multiply(z, z), c, b.subtract(one, half))
    # low enters sin as low cos(high), cos as -low sin(high)
    sine = b.add(high, b.muladd(cube, s, b.multiply(low, b.subtract(one, half))))
    w = b.subtract(one, half)
    rest = b.subtract(b.subtract(one, w), half)
    tail = b.subtract(b.multiply(b.multiply(z, z), c), b.multiply(high, low))
    return sine, b.add(w, b.add(rest, tail))


def _angle_function(name: str, pick: Callable[[Code, Value, Value, Value], Value]) -> Callable[..., Value]:
    def function(b: Code, x: Value, single: bool) -> Value:
        high, low, n = _reduce_angle(b, x, single)
        sine, cosine = _sin_cos(b, high, low, single)
        fast = pick(b, sine, cosine, n)
        if name != "cos":
            fast = b.select(b.equal(x, _like(x, 0)), x, fast)
        large = b.less(_like(x, _LARGE_ANGLE), b.call("absolute", x))  # infinities too
        return _or_by_lane(b, name, x, large, fast)

    return function


def _or_by_lane(b: Code, name: str, x: Value, rare: Value, fast: Value) -> Value:
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


def _odd(b: Code, n: Value, bit: int) -> Value:
    masked = b.bits_and(n, _int(n, bit))
    return b.logical_not(b.equal(masked, _int(n, 0)))


def _signed(b: Code, negative: Value, x: Value) -> Value:
    return b.select(negative, b.negative(x), x)


def _pick_sin(b: Code, sine: Value, cosine: Value, n: Value) -> Value:
    return _signed(b, _odd(b, n, 2), b.select(_odd(b, n, 1), cosine, sine))


def _pick_cos(b: Code, sine: Value, cosine: Value, n: Value) -> Value:
    n_next = b.add(n, _int(n, 1))
    return _signed(b, _odd(b, n_next, 2), b.select(_odd(b, n, 1), sine, cosine))


def _pick_tan(b: Code, sine: Value, cosine: Value, n: Value) -> Value:
    odd = _odd(b, n, 1)
    top = b.select(odd, cosine, sine)
    bottom = b.select(odd, b.negative(sine), cosine)
    return b.divide(top, bottom)


# ---- powers -----------------------------------------------------------------------------------------


def _repeated_power(b: Code, x: Value, y: Value) -> Value | None:
    """x to a small known integer, by multiplying; None for any other power."""
    if y.number is None or not math.isfinite(y.number) or y.number != int(y.number):
        return None
    n = int(y.number)
    if not -LEAST_REPEATED <= n <= MOST_REPEATED:
        return None
    if n < 0:
        return power_by_squaring(b, b.divide(b.constant(1, x), x), -n)
    return power_by_squaring(b, x, n)


def _log_double(b: Code, x: Value) -> tuple[Value, Value]:
    """log(x) for positive finite x as a sum of two floats, to about 2^-65."""
    scaled, shift = _normal(b, x)
    m, k = _split_log(b, scaled)
    k = b.add(k, shift)
    one = _like(x, 1)
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
    z_low = b.fma(b.multiply(t, _like(x, 2)), t_low, z_low)
    tail = b.multiply(z, b.polynomial(z, _LOG_TAIL))
    c, c_low = _sum(b, _like(x, _TWO_THIRDS[0]), tail)
    c_low = b.add(c_low, _like(x, _TWO_THIRDS[1]))
    tz, tz_low = _product(b, t, t_low, z, z_low)
    cubic, cubic_low = _product(b, tz, tz_low, c, c_low)
    twice, twice_low = b.multiply(t, _like(x, 2)), b.multiply(t_low, _like(x, 2))
    high, low = _sum(b, twice, cubic)
    low = b.add(low, b.add(twice_low, cubic_low))
    whole = b.multiply(k, _like(x, _LN2_HIGH))
    whole_low = b.fma(k, _like(x, _LN2_HIGH), b.negative(whole))
    whole_low = b.fma(k, _like(x, _LN2_LOW), whole_low)
    total, error = _sum(b, whole, high)
    low = b.add(error, b.add(low, whole_low))
    return _sum(b, total, low)


def _sum(b: Code, x: Value, y: Value) -> tuple[Value, Value]:
    """x + y and its rounding error (Knuth)."""
    total = b.add(x, y)
    part = b.subtract(total, x)
    error = b.add(b.subtract(x, b.subtract(total, part)), b.subtract(y, part))
    return total, error


def _product(b: Code, x: Value, x_low: Value, y: Value, y_low: Value) -> tuple[Value, Value]:
    """(x + x_low)(y + y_low)."""
    high = b.multiply(x, y)
    low = b.fma(x, y, b.negative(high))
    low = b.fma(x, y_low, low)
    return high, b.fma(x_low, y, low)


def power(b: Code, x: Value, y: Value, single: bool) -> Value:
    """exp(y log|x|) with the logarithm as a pair of floats; then C's special cases."""
    zero, one, infinity = _like(x, 0), _like(x, 1), _like(x, math.inf)
    a = b.call("absolute", x)
    ordinary = b.logical_and(b.less(zero, a), b.less(a, infinity))
    base = b.select(ordinary, a, one)
    high, low = _log_double(b, base)
    product = b.multiply(y, high)
    rest = b.fma(y, high, b.negative(product))
    rest = b.fma(y, low, rest)
    clamped = _clamp(b, product, -800.0, 800.0)
    rest = b.select(b.equal(clamped, product), rest, zero)
    r, n, scale = _reduce_exp(b, clamped)
    r = b.add(r, rest)
    size = _scale(b, b.add(_exp_minus_one(b, r, single), one), n, scale)
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
    half = b.multiply(y, _like(y, 0.5))
    odd = b.logical_and(whole, b.logical_not(b.equal(b.call("floor", half), half)))
    odd = b.logical_and(odd, b.less(y_size, infinity))
    signed = b.select(odd, b.call("copysign", size, x), size)
    finite_negative = b.logical_and(b.less(x, zero), b.less(a, infinity))
    fraction = b.logical_and(b.logical_not(whole), b.less(y_size, infinity))
    result = b.select(b.logical_and(finite_negative, fraction), _like(x, math.nan), signed)
    result = b.select(b.logical_or(b.is_nan(x), b.is_nan(y)), _like(x, math.nan), result)
    return b.select(b.logical_or(b.equal(x, one), b.equal(y, zero)), one, result)


FUNCTIONS: dict[str, Callable[..., Value]] = {
    "exp": exp,
    "expm1": expm1,
    "log": log,
    "log1p": log1p,
    "tanh": tanh,
    "sinh": sinh,
    "cosh": cosh,
    "sigmoid": sigmoid,
    "logaddexp": logaddexp,
    "sin": _angle_function("sin", _pick_sin),
    "cos": _angle_function("cos", _pick_cos),
    "tan": _angle_function("tan", _pick_tan),
    "power": power,
}
FUNCTIONS |= SPECIAL
