"""Sine, cosine and tangent on vectors of float64. Where the fast reduction ends (an angle of 1e9), lanes go
through the C library one by one.
"""

from __future__ import annotations

from collections.abc import Callable

from symgrad_compiler.backends.llvm.ir import Value
from symgrad_compiler.backends.llvm.pieces import integer, like, nearest, or_by_lane
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
_SIN_SINGLE = (-0.16666666663844049, 0.008333331870341349, -0.00019840084376422702, 2.724962008007533e-06)
_COS_SINGLE = (0.041666666664311826, -0.0013888887668370663, 2.480059840835012e-05, -2.730070403808665e-07)
_PI_HALVES = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33)
_TWO_OVER_PI = 0.6366197723675814
#: Beyond, reducing sin and cos by three words of pi/2 is not exact any more.
_LARGE_ANGLE = 1e9


def _reduce_angle(b: Code, x: Value, single: bool) -> tuple[Value, Value, Value]:
    """x = n pi/2 + high + low: (high, low, n)."""
    whole, n = nearest(b, b.multiply(x, like(x, _TWO_OVER_PI)))
    first, second, third = (like(x, p) for p in _PI_HALVES)
    head = b.fma(b.negative(whole), first, x)
    if single:
        return b.fma(b.negative(whole), second, head), like(x, 0), n
    product = b.multiply(whole, second)
    error = b.fma(whole, second, b.negative(product))
    high = b.subtract(head, product)
    low = b.subtract(b.subtract(head, high), product)
    low = b.subtract(low, b.muladd(whole, third, error))
    return high, low, n


def _sin_cos(b: Code, high: Value, low: Value, single: bool) -> tuple[Value, Value]:
    """(sin, cos) of high + low, |high| <= pi/4."""
    z = b.multiply(high, high)
    half = b.multiply(z, like(z, 0.5))
    one = like(z, 1)
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


def angle_function(name: str, pick: Callable[[Code, Value, Value, Value], Value]) -> Callable[..., Value]:
    def function(b: Code, x: Value, single: bool) -> Value:
        high, low, n = _reduce_angle(b, x, single)
        sine, cosine = _sin_cos(b, high, low, single)
        fast = pick(b, sine, cosine, n)
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


def pick_sin(b: Code, sine: Value, cosine: Value, n: Value) -> Value:
    return _signed(b, _odd(b, n, 2), b.select(_odd(b, n, 1), cosine, sine))


def pick_cos(b: Code, sine: Value, cosine: Value, n: Value) -> Value:
    n_next = b.add(n, integer(n, 1))
    return _signed(b, _odd(b, n_next, 2), b.select(_odd(b, n, 1), sine, cosine))


def pick_tan(b: Code, sine: Value, cosine: Value, n: Value) -> Value:
    odd = _odd(b, n, 1)
    top = b.select(odd, cosine, sine)
    bottom = b.select(odd, b.negative(sine), cosine)
    return b.divide(top, bottom)
