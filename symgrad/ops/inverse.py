"""Inverse trigonometric and hyperbolic functions, angles and lengths.

Their derivatives are algebraic. They are written so that nothing overflows or cancels on the way: 1 - x^2 as
(1 - x)(1 + x), sqrt(1 + x^2) as a length. Those that the rules of their parts would differentiate into sums that cancel
are ops of their own: (1 - x^2)^(-1/2), (1 - x^2)^-1 and x / sqrt(x^2 + y^2).
"""

from __future__ import annotations

import math

from symgrad.ir.tensor import Tensor
from symgrad.ops.arithmetic import reciprocal, rsqrt, square
from symgrad.ops.kinds import FLOATS, Elementwise, elementwise
from symgrad.ops.scalar import ScalarBuilder, Value
from symgrad.ops.select import where


def _one_over_root(x: Tensor) -> Tensor:
    """1 / sqrt(1 - x^2); of complex numbers, with two roots: their branch cuts are those of asin."""
    return rsqrt(1 - x) * rsqrt(1 + x) if x.dtype.kind == "complex" else asin_derivative(x)


def _one_minus_square(b: ScalarBuilder, x: Value) -> Value:
    """(1 - x) (1 + x), where 1 - x is exact; for |x| < 1/2, 1 - x^2, which is rounded once."""
    one = b.constant(1.0, x)
    near = b.less(b.call("absolute", x), b.constant(0.5, x))
    return b.select(near, b.subtract(one, b.multiply(x, x)), b.multiply(b.subtract(one, x), b.add(one, x)))


asin: Elementwise = elementwise("asin(x)", "the inverse sine; its derivative at -1 and 1 is inf",
                   d_x=lambda x, out: _one_over_root(x),
                   numpy="numpy.arcsin({x}, out={out})", scalar=lambda b, x: b.call("arcsin", x))  # fmt: skip

asin_derivative: Elementwise = elementwise("asin_derivative(x)", "1 / sqrt(1 - x^2)", accepts=FLOATS,
                              d_x=lambda x, out: x * (out * atanh_derivative(x)),
                              numpy="numeric.asin_derivative({x}, {out})",
                              scalar=lambda b, x: b.divide(b.constant(1.0, x), b.call("sqrt", _one_minus_square(b, x))))  # fmt: skip

acos: Elementwise = elementwise("acos(x)", "the inverse cosine; its derivative at -1 and 1 is -inf",
                   d_x=lambda x, out: -_one_over_root(x),
                   numpy="numpy.arccos({x}, out={out})", scalar=lambda b, x: b.call("arccos", x))  # fmt: skip

atan: Elementwise = elementwise("atan(x)", "the inverse tangent",
                   d_x=lambda x, out: over_squares(1, x) if x.dtype.kind == "float" else reciprocal(1 + square(x)),
                   numpy="numpy.arctan({x}, out={out})", scalar=lambda b, x: b.call("arctan", x))  # fmt: skip

asinh: Elementwise = elementwise("asinh(x)", "the inverse hyperbolic sine",
                    d_x=lambda x, out: reciprocal(hypot(1, x)) if x.dtype.kind == "float" else _one_over_root(1j * x),
                    numpy="numpy.arcsinh({x}, out={out})", scalar=lambda b, x: b.call("arcsinh", x))  # fmt: skip

acosh: Elementwise = elementwise("acosh(x)", "the inverse hyperbolic cosine; its derivative at 1 is inf",
                    d_x=lambda x, out: rsqrt(x - 1) * rsqrt(x + 1),
                    numpy="numpy.arccosh({x}, out={out})", scalar=lambda b, x: b.call("arccosh", x))  # fmt: skip

atanh: Elementwise = elementwise("atanh(x)", "the inverse hyperbolic tangent; its derivative at -1 and 1 is inf",
                    d_x=lambda x, out: atanh_derivative(x) if x.dtype.kind == "float" else reciprocal((1 - x) * (1 + x)),
                    numpy="numpy.arctanh({x}, out={out})", scalar=lambda b, x: b.call("arctanh", x))  # fmt: skip

atanh_derivative: Elementwise = elementwise("atanh_derivative(x)", "1 / (1 - x^2)", accepts=FLOATS,
                               d_x=lambda x, out: 2 * x * square(out),
                               numpy="numeric.atanh_derivative({x}, {out})",
                               scalar=lambda b, x: b.divide(b.constant(1.0, x), _one_minus_square(b, x)))  # fmt: skip

# The angle of (0, 0) is 0 by C's rule, and its derivatives are taken as 0.
atan2: Elementwise = elementwise("atan2(y, x)", "the angle of the point (x, y), from -pi to pi; with derivatives 0 at (0, 0)", accepts=FLOATS, selects=True,
                    d_y=lambda y, x, out: over_squares(x, y),
                    d_x=lambda y, x, out: -over_squares(y, x),
                    numpy="numpy.arctan2({y}, {x}, out={out})",
                    scalar=lambda b, y, x: b.call("arctan2", y, x))  # fmt: skip


def _over_hypot(b: ScalarBuilder, x: Value, y: Value, h: Value) -> Value:
    """x / h; 0 where h is 0, the sign of x where it alone is infinite."""
    zero, one, infinite = b.constant(0.0, x), b.constant(1.0, x), b.constant(math.inf, x)
    far = b.logical_and(b.equal(b.call("absolute", x), infinite), b.less(b.call("absolute", y), infinite))
    result = b.select(far, b.call("copysign", one, x), b.divide(x, h))
    return b.select(b.equal(h, zero), zero, result)


def _times_sine_over_length(factor: Tensor, x: Tensor, y: Tensor, h: Tensor) -> Tensor:
    length = hypot(x, y)  # merged with h, which has no slopes
    return factor * where(length == 0, 0, over_hypot(y, x, h) / length)


# A cosine c, with s the sine over_hypot(y, x, h): its slopes are s^2 / h and -c s / h.
over_hypot: Elementwise = elementwise("over_hypot(x, y, h)", "x / h with h = hypot(x, y); 0 at (0, 0)", accepts=FLOATS, selects=True,
                         d_x=lambda x, y, h, out: _times_sine_over_length(over_hypot(y, x, h), x, y, h),
                         d_y=lambda x, y, h, out: -_times_sine_over_length(out, x, y, h),
                         no_gradient={"h": "it is hypot(x, y), and counts as a function of x and y"},
                         numpy="numeric.over_hypot({x}, {y}, {h}, {out})", scalar=_over_hypot)  # fmt: skip

hypot: Elementwise = elementwise("hypot(x, y)", "sqrt(x^2 + y^2), without overflow; with derivatives 0 at (0, 0)", accepts=FLOATS, commutative=True, selects=True,
                    d_x=over_hypot,
                    d_y=lambda x, y, out: over_hypot(y, x, out),
                    numpy="numpy.hypot({x}, {y}, out={out})", scalar=lambda b, x, y: b.call("hypot", x, y))  # fmt: skip


def _over_squares(b: ScalarBuilder, x: Value, y: Value) -> Value:
    """With m the larger of the two and t = small / large: (1 or t) / m / (1 + t^2)."""
    zero, one = b.constant(0.0, x), b.constant(1.0, x)
    a, c = b.call("absolute", x), b.call("absolute", y)
    first = b.less_equal(c, a)
    large, small = b.select(first, x, y), b.select(first, y, x)
    t = b.divide(small, large)
    result = b.divide(b.divide(b.select(first, one, t), large), b.add(one, b.multiply(t, t)))
    size = b.select(first, a, c)
    edge = b.logical_or(b.equal(size, zero), b.equal(size, b.constant(math.inf, x)))
    known = b.logical_and(b.equal(x, x), b.equal(y, y))
    return b.select(b.logical_and(edge, known), b.call("copysign", zero, x), result)


# The real part of 1 / (x + iy). With f = over_squares(x, y) and g = over_squares(y, x), (f - ig)^2 = 1 / (x + iy)^2.
over_squares: Elementwise = elementwise("over_squares(x, y)", "x / (x^2 + y^2), without overflow; 0 at (0, 0) and at infinity", accepts=FLOATS, selects=True,
                           d_x=lambda x, y, out: square(over_squares(y, x)) - square(out),
                           d_y=lambda x, y, out: -2 * (out * over_squares(y, x)),
                           numpy="numeric.over_squares({x}, {y}, {out})", scalar=_over_squares)  # fmt: skip
