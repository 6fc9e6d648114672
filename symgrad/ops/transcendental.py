"""Exponentials, logarithms, trigonometric and hyperbolic functions, and the smooth functions of learning.

Each derivative is written in a form that keeps its digits in the tails, where the textbook's form cancels:
the derivative of tanh is sech^2, not 1 - tanh^2, which is 0 from x = 20 on.
"""

from __future__ import annotations

import math
from typing import Any

from symgrad.ir.tensor import Tensor
from symgrad.ops.arithmetic import negative, reciprocal, square
from symgrad.ops.kinds import FLOATS, Elementwise, elementwise
from symgrad.ops.scalar import ScalarBuilder, Value
from symgrad.ops.select import where

#: 1 / log(2) and 1 / log(10)
_LOG2_E, _LOG10_E = 1.4426950408889634, 0.4342944819032518

exp: Elementwise = elementwise("exp(x)", "e to the power of x",
                  d_x=lambda x, out: out,
                  numpy="numpy.exp({x}, out={out})", scalar=lambda b, x: b.call("exp", x))  # fmt: skip

exp2: Elementwise = elementwise("exp2(x)", "2 to the power of x",
                   d_x=lambda x, out: math.log(2) * out,
                   numpy="numpy.exp2({x}, out={out})", scalar=lambda b, x: b.call("exp2", x))  # fmt: skip

expm1: Elementwise = elementwise("expm1(x)", "exp(x) - 1, accurate near 0",
                    d_x=lambda x, out: exp(x),
                    numpy="numpy.expm1({x}, out={out})", scalar=lambda b, x: b.call("expm1", x))  # fmt: skip

log1p: Elementwise = elementwise("log1p(x)", "log(1 + x), accurate near 0",
                    d_x=lambda x, out: reciprocal(1 + x),
                    numpy="numeric.log1p({x}, out={out})", scalar=lambda b, x: b.call("log1p", x))  # fmt: skip

log2: Elementwise = elementwise("log2(x)", "the logarithm to base 2",
                   d_x=lambda x, out: _LOG2_E / x,
                   numpy="numpy.log2({x}, out={out})", scalar=lambda b, x: b.call("log2", x))  # fmt: skip

log10: Elementwise = elementwise("log10(x)", "the logarithm to base 10",
                    d_x=lambda x, out: _LOG10_E / x,
                    numpy="numpy.log10({x}, out={out})", scalar=lambda b, x: b.call("log10", x))  # fmt: skip

sin: Elementwise = elementwise("sin(x)", "the sine",
                  d_x=lambda x, out: cos(x),
                  numpy="numpy.sin({x}, out={out})", scalar=lambda b, x: b.call("sin", x))  # fmt: skip

cos: Elementwise = elementwise("cos(x)", "the cosine",
                  d_x=lambda x, out: -sin(x),
                  numpy="numpy.cos({x}, out={out})", scalar=lambda b, x: b.call("cos", x))  # fmt: skip

tan: Elementwise = elementwise("tan(x)", "the tangent",
                  d_x=lambda x, out: sech_squared(1j * x) if x.dtype.kind == "complex" else reciprocal(square(cos(x))),
                  numpy="numpy.tan({x}, out={out})", scalar=lambda b, x: b.call("tan", x))  # fmt: skip

sinh: Elementwise = elementwise("sinh(x)", "the hyperbolic sine",
                   d_x=lambda x, out: cosh(x),
                   numpy="numpy.sinh({x}, out={out})", scalar=lambda b, x: b.call("sinh", x))  # fmt: skip

cosh: Elementwise = elementwise("cosh(x)", "the hyperbolic cosine",
                   d_x=lambda x, out: sinh(x),
                   numpy="numpy.cosh({x}, out={out})", scalar=lambda b, x: b.call("cosh", x))  # fmt: skip

tanh: Elementwise = elementwise("tanh(x)", "the hyperbolic tangent",
                   d_x=lambda x, out: sech_squared(x),
                   numpy="numpy.tanh({x}, out={out})", scalar=lambda b, x: b.call("tanh", x))  # fmt: skip


def _sech_squared(b: ScalarBuilder, x: Value) -> Value:
    """4 e / (1 + e)^2 with e = exp(-2|x|)."""
    e = b.call("exp", b.multiply(b.constant(-2.0, x), b.call("absolute", x)))
    one_plus = b.add(b.constant(1.0, x), e)
    return b.divide(b.multiply(b.constant(4.0, x), e), b.multiply(one_plus, one_plus))


sech_squared: Elementwise = elementwise("sech_squared(x)", "1 / cosh(x)^2, the derivative of tanh",
                           d_x=lambda x, out: -2 * (tanh(x) * out),
                           numpy="numeric.sech_squared({x}, {out})", scalar=_sech_squared)  # fmt: skip


def _log_cosh(b: ScalarBuilder, x: Value) -> Value:
    """With t = exp(-|x|) - 1: log1p(t^2 / (2 + 2 t)) for |x| < 1, where the fraction is cosh(x) - 1, else
    |x| - log(2) + log1p((1 + t)^2)."""
    one, size = b.constant(1.0, x), b.call("absolute", x)
    t = b.call("expm1", b.negative(size))
    one_plus = b.add(one, t)
    is_near = b.less(size, one)
    near = b.divide(b.multiply(t, t), b.add(one_plus, one_plus))
    rest = b.call("log1p", b.select(is_near, near, b.multiply(one_plus, one_plus)))
    return b.select(is_near, rest, b.add(b.subtract(size, b.constant(math.log(2), x)), rest))


log_cosh: Elementwise = elementwise("log_cosh(x)", "log(cosh(x)), accurate near 0 and without overflow", accepts=FLOATS,
                       d_x=lambda x, out: tanh(x),
                       numpy="numeric.log_cosh({x}, out={out})", scalar=_log_cosh)  # fmt: skip


# sigmoid(x) = (1 + tanh(x/2)) / 2, so sigmoid'(x) = sech^2(x/2) / 4
sigmoid: Elementwise = elementwise("sigmoid(x)", "1 / (1 + exp(-x)), the logistic function", accepts=FLOATS, aliases=("expit",),
                      d_x=lambda x, out: 0.25 * sech_squared(0.5 * x),
                      numpy="numeric.sigmoid({x}, {out})",
                      scalar=lambda b, x: b.call("sigmoid", x))  # fmt: skip

softplus: Elementwise = elementwise("softplus(x)", "log(1 + exp(x))", accepts=FLOATS,
                       d_x=lambda x, out: sigmoid(x),
                       numpy="numpy.logaddexp({x}, 0, out={out})",
                       scalar=lambda b, x: b.call("softplus", x))  # fmt: skip

# At x = y = -inf the sum of exponentials is 0 whatever the operands do, so the derivative is taken as 0.
logaddexp: Elementwise = elementwise("logaddexp(x, y)", "log(exp(x) + exp(y))", accepts=FLOATS, commutative=True, selects=True,
                        d_x=lambda x, y, out: where(out == -math.inf, 0, sigmoid_difference(x, y)),
                        d_y=lambda x, y, out: where(out == -math.inf, 0, sigmoid_difference(y, x)),
                        numpy="numeric.logaddexp({x}, {y}, {out})",
                        scalar=lambda b, x, y: b.call("logaddexp", x, y))  # fmt: skip


def _sigmoid_difference(b: ScalarBuilder, x: Value, y: Value) -> Value:
    """1 / (1 + t) or t / (1 + t), where t = exp(-|x - y|) is corrected by what x - y lost when it was rounded."""
    zero, one = b.constant(0.0, x), b.constant(1.0, x)
    difference = b.select(b.equal(x, y), zero, b.subtract(x, y))  # equal infinities too
    part = b.subtract(x, difference)
    error = b.add(b.subtract(x, b.add(difference, part)), b.subtract(part, y))
    below = b.less(difference, zero)
    t = b.call("exp", b.negative(b.call("absolute", difference)))
    rest = b.multiply(t, b.select(below, error, b.negative(error)))
    t = b.select(b.call("isfinite", rest), b.add(t, rest), t)
    return b.divide(b.select(below, t, one), b.add(one, t))


sigmoid_difference: Elementwise = elementwise("sigmoid_difference(x, y)", "1 / (1 + exp(y - x)), with the difference not rounded", accepts=FLOATS,
                                 d_x=lambda x, y, out: out * sigmoid_difference(y, x),
                                 d_y=lambda x, y, out: -(out * sigmoid_difference(y, x)),
                                 numpy="numeric.sigmoid_difference({x}, {y}, {out})", scalar=_sigmoid_difference)  # fmt: skip


def log_sigmoid(x: Any) -> Tensor:
    """log(1 / (1 + exp(-x))), without overflow: -softplus(-x)."""
    return negative(softplus(negative(x)))
