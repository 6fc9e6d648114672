"""Sine, cosine and tangent on vectors of float64. Where the fast reduction ends (an angle of 1e9), lanes go
through the C library one by one.
"""

from __future__ import annotations

from collections.abc import Callable

from symgrad_compiler.backends.llvm.ir import Value
from symgrad_compiler.backends.llvm.pieces import integer, like, nearest, or_by_lane, ratio
from symgrad_compiler.backends.llvm.scalars import Code

#: (sin(r) - r) / r^3 and (cos(r) - 1 + r^2/2) / r^4 in r^2, for |r| <= pi/4
_SIN = (
    -0.16666666666666666, 0.008333333333330936, -0.00019841269836740532, 2.7557316093198404e-06,
    -2.5051129896450185e-08, 1.5917988979397435e-10,
)  # fmt: skip
_COS = (
    0.041666666666666664, -0.0013888888888887389, 2.48015872987544e-05, -2.755731726587808e-07,
    2.087614504941318e-09, -1.138254464534925e-11,
)  # fmt: skip
_SIN_QUARTER_SINGLE = (
    -0.16666666663844049, 0.008333331870341349, -0.00019840084376422702, 2.724962008007533e-06,
)  # fmt: skip
_COS_QUARTER_SINGLE = (
    0.041666666664311826, -0.0013888887668370663, 2.480059840835012e-05, -2.730070403808665e-07,
)  # fmt: skip
#: (sin(r) - r) / r^3 in r^2, for |r| <= pi/2
_SIN_SINGLE = (
    -0.16666666663878466, 0.008333332768305049, -0.00019841086452506194, 2.753645532390914e-06,
    -2.407999973210464e-08,
)  # fmt: skip
_PI_HALVES = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33)
_TWO_OVER_PI = 0.6366197723675814
_ONE_OVER_PI = 0.3183098861837907
#: Beyond, reducing sin and cos by three words of pi/2 is not exact any more.
_LARGE_ANGLE = 1e9


def _reduce_angle(b: Code, x: Value) -> tuple[Value, Value, Value]:
    """x = n pi/2 + high + low: (high, low, n)."""
    whole, n = nearest(b, x, _TWO_OVER_PI)
    first, second, third = (like(x, p) for p in _PI_HALVES)
    head = b.fma(b.negative(whole), first, x)
    product = b.multiply(whole, second)
    error = b.fma(whole, second, b.negative(product))
    high = b.subtract(head, product)
    low = b.subtract(b.subtract(head, high), product)
    low = b.subtract(low, b.muladd(whole, third, error))
    return high, low, n


def _sin_cos(b: Code, high: Value, low: Value) -> tuple[Value, Value, Value, Value]:
    """sin and cos of high + low, |high| <= pi/4, each as the larger part and a small rest."""
    z = b.multiply(high, high)
    half = b.multiply(z, like(z, 0.5))
    one = like(z, 1)
    s, c = b.polynomial(z, _SIN), b.polynomial(z, _COS)
    # low enters sin as low cos(high), cos as -low sin(high)
    w = b.subtract(one, half)
    sine_rest = b.muladd(b.multiply(z, high), s, b.multiply(low, w))
    rest = b.subtract(b.subtract(one, w), half)
    tail = b.subtract(b.multiply(b.multiply(z, z), c), b.multiply(high, low))
    return high, sine_rest, w, b.add(rest, tail)


def _sin(b: Code, x: Value) -> Value:
    high, low, n = _reduce_angle(b, x)
    sine, sine_rest, cosine, cosine_rest = _sin_cos(b, high, low)
    value = b.select(_odd(b, n, 1), b.add(cosine, cosine_rest), b.add(sine, sine_rest))
    return _signed(b, _odd(b, n, 2), value)


def _cos(b: Code, x: Value) -> Value:
    high, low, n = _reduce_angle(b, x)
    sine, sine_rest, cosine, cosine_rest = _sin_cos(b, high, low)
    value = b.select(_odd(b, n, 1), b.add(sine, sine_rest), b.add(cosine, cosine_rest))
    return _signed(b, _odd(b, b.add(n, integer(n, 1)), 2), value)


def _tan(b: Code, x: Value) -> Value:
    """sin / cos, each with what rounding it lost."""
    high, low, n = _reduce_angle(b, x)
    sine, sine_rest, cosine, cosine_rest = _sin_cos(b, high, low)
    odd = _odd(b, n, 1)
    top, top_low = b.select(odd, cosine, sine), b.select(odd, cosine_rest, sine_rest)
    bottom, bottom_low = (
        b.select(odd, b.negative(sine), cosine),
        b.select(odd, b.negative(sine_rest), cosine_rest),
    )
    total, below = b.add(top, top_low), b.add(bottom, bottom_low)
    top_low = b.add(b.subtract(top, total), top_low)
    bottom_low = b.add(b.subtract(bottom, below), bottom_low)
    return ratio(b, total, below, False, top_low, bottom_low)


# ---- for float32 ------------------------------------------------------------------------------------


def _sin_single(b: Code, x: Value) -> Value:
    """(-1)^n sin(r), x = n pi + r."""
    whole, n = nearest(b, x, _ONE_OVER_PI)
    r = b.fma(whole, like(x, -2 * _PI_HALVES[1]), b.fma(whole, like(x, -2 * _PI_HALVES[0]), x))
    return _sin_of_half_turn(b, r, n)


def _cos_single(b: Code, x: Value) -> Value:
    """(-1)^n sin(r), x = (n + 1/2) pi - r."""
    half = like(x, 0.5)
    whole, n = nearest(b, b.muladd(x, like(x, _ONE_OVER_PI), b.negative(half)))
    whole = b.add(whole, half)
    r = b.fma(whole, like(x, 2 * _PI_HALVES[0]), b.negative(x))
    return _sin_of_half_turn(b, b.fma(whole, like(x, 2 * _PI_HALVES[1]), r), n)


def _sin_of_half_turn(b: Code, r: Value, n: Value) -> Value:
    z = b.multiply(r, r)
    sine = b.muladd(b.multiply(z, r), b.polynomial(z, _SIN_SINGLE), r)
    return b.bits(b.bits_xor(b.bits(sine, "i64"), b.shift_left(n, 63)), "f64")


def _tan_single(b: Code, x: Value) -> Value:
    whole, n = nearest(b, x, _TWO_OVER_PI)
    r = b.fma(whole, like(x, -_PI_HALVES[1]), b.fma(whole, like(x, -_PI_HALVES[0]), x))
    z = b.multiply(r, r)
    one = like(z, 1)
    sine = b.muladd(b.multiply(z, r), b.polynomial(z, _SIN_QUARTER_SINGLE), r)
    cosine = b.muladd(b.multiply(z, z), b.polynomial(z, _COS_QUARTER_SINGLE), b.muladd(z, like(z, -0.5), one))
    odd = _odd(b, n, 1)
    return ratio(b, b.select(odd, cosine, sine), b.select(odd, b.negative(sine), cosine), True)


_IN_DOUBLE = {"sin": _sin, "cos": _cos, "tan": _tan}
_IN_SINGLE = {"sin": _sin_single, "cos": _cos_single, "tan": _tan_single}


def angle_function(name: str) -> Callable[..., Value]:
    """sin, cos or tan, by name."""

    def function(b: Code, x: Value, single: bool) -> Value:
        fast = (_IN_SINGLE if single else _IN_DOUBLE)[name](b, x)
        if name != "cos":
            fast = b.select(b.equal(x, like(x, 0)), x, fast)
        large = b.less(like(x, _LARGE_ANGLE), b.call("absolute", x))  # infinities too
        return or_by_lane(b, name, x, large, fast)

    return function


def _odd(b: Code, n: Value, bit: int) -> Value:
    masked = b.bits_and(n, integer(n, bit))
    return b.logical_not(b.equal(masked, integer(n, 0)))


def _signed(b: Code, negative: Value, x: Value) -> Value:
    return b.select(negative, b.negative(x), x)
