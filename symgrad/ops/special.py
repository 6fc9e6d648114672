"""Special functions, under SciPy's names, and the activations built on them.

The error function and the normal distribution end in exp(-x^2), whose exponent is large where the function is
small: the rounding of x^2 alone would cost hundreds of units in the last place. `gaussian` puts it back, and
is the derivative of them all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from symgrad.errors import DTypeError, GraphError, ShapeError
from symgrad.ir import origin
from symgrad.ir.tensor import Tensor
from symgrad.ops import fits
from symgrad.ops.arithmetic import log, reciprocal, square
from symgrad.ops.compare import logical_and
from symgrad.ops.create import as_tensor, fill_value, ones_like
from symgrad.ops.kinds import FLOATS, Elementwise, elementwise
from symgrad.ops.polar import squared_length
from symgrad.ops.scalar import ScalarBuilder, Value
from symgrad.ops.select import clip, where
from symgrad.ops.transcendental import expm1, log1p, sech_squared, sin, tanh
from symgrad.types import PyScalar, as_int


def _number(n: Tensor) -> Tensor | PyScalar:
    """A parameter of a formula as a Python number, where it is known."""
    known = fill_value(n)
    return n if known is None else known


# ---- the error function -----------------------------------------------------------------------------

# Where exp(-s x^2) is 0 so are its derivatives, also at infinity.
gaussian: Elementwise = elementwise("gaussian(s, x)", "exp(-s x^2), accurate also where s x^2 is large", accepts=FLOATS,
                       d_s=lambda s, x, out: -_unless_zero(out, square(x) * out),
                       d_x=lambda s, x, out: -2 * _number(s) * _unless_zero(out, x * out),
                       numpy="numeric.gaussian({s}, {x}, out={out})",
                       scalar=lambda b, s, x: b.call("gaussian", s, x))  # fmt: skip


def _unless_zero(factor: Tensor, product: Tensor) -> Tensor:
    return where(factor == 0, 0, product)


erf: Elementwise = elementwise("erf(x)", "the error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x", accepts=FLOATS,
                  d_x=lambda x, out: 2 / math.sqrt(math.pi) * gaussian(1, x),
                  numpy="special.erf({x}, out={out})", scalar=lambda b, x: b.call("erf", x))  # fmt: skip

erfc: Elementwise = elementwise("erfc(x)", "1 - erf(x), accurate where that is small", accepts=FLOATS,
                   d_x=lambda x, out: -2 / math.sqrt(math.pi) * gaussian(1, x),
                   numpy="numeric.erfc({x}, out={out})", scalar=lambda b, x: b.call("erfc", x))  # fmt: skip

erfinv: Elementwise = elementwise("erfinv(x)", "the inverse of erf; infinite at -1 and 1, NaN outside", accepts=FLOATS,
                     d_x=lambda x, out: math.sqrt(math.pi) / 2 * gaussian(-1, out),
                     numpy="numpy.copysign(special.erfinv({x}), {x}, out={out})", scalar=lambda b, x: b.call("erfinv", x))  # fmt: skip

ndtr: Elementwise = elementwise("ndtr(x)", "the distribution function of the standard normal distribution, erfc(-x / sqrt(2)) / 2", accepts=FLOATS,
                   d_x=lambda x, out: 1 / math.sqrt(2 * math.pi) * gaussian(0.5, x),
                   numpy="numeric.ndtr({x}, out={out})", scalar=lambda b, x: b.call("ndtr", x))  # fmt: skip

# Derivatives of log(ndtr(x)) are polynomials in x and the inverse Mills ratio r = ndtr'(x) / ndtr(x), in which x + r
# cancels on the left: there they are taken of the continued fraction of x (x + r).

log_ndtr: Elementwise = elementwise("log_ndtr(x)", "log(ndtr(x)), also where ndtr(x) is 0 or 1", accepts=FLOATS,
                       d_x=lambda x, out: inverse_mills(x),
                       numpy="numeric.log_ndtr({x}, out={out})", scalar=lambda b, x: b.call("log_ndtr", x))  # fmt: skip

inverse_mills: Elementwise = elementwise("inverse_mills(x)", "ndtr'(x) / ndtr(x), the inverse of the ratio of Mills", accepts=FLOATS,
                            d_x=lambda x, out: inverse_mills_derivative(x),
                            numpy="numeric.inverse_mills({x}, out={out})",
                            scalar=lambda b, x: b.call("inverse_mills", x))  # fmt: skip


def _inverse_mills_second(x: Tensor, slope: Tensor) -> Tensor:
    """-(r' (x + r) + r (1 + r')), on the left by `_mills_far`; 0 where r is."""
    is_far = x <= -fits.MILLS_FROM
    ratio = inverse_mills(x)
    near = -_unless_zero(ratio, slope * (x + ratio) + ratio * (1 + slope))
    return where(is_far, _mills_far(where(is_far, x, -fits.MILLS_FROM)), near)


def _mills_far(x: Tensor) -> Tensor:
    """The second derivative of r = -x - f(u) / x, u = 1 / x^2, f the quotient of two polynomials:
    -2 u (f + 5 u f' + 2 u^2 f'') / x."""
    u = reciprocal(square(x))
    top, bottom = (
        [_polynomial(u, _derived(c, n)) for n in range(3)] for c in (fits.MILLS_TOP, fits.MILLS_BOTTOM)
    )
    f = top[0] / bottom[0]
    first = (top[1] - f * bottom[1]) / bottom[0]
    second = (top[2] - f * bottom[2] - 2 * first * bottom[1]) / bottom[0]
    return -2 * u / x * (f + u * (5 * first + 2 * u * second))


def _derived(coefficients: Sequence[float], order: int) -> list[float]:
    """The coefficients of a derivative of a polynomial."""
    return [math.perm(k, order) * c for k, c in enumerate(coefficients)][order:]


def _polynomial(u: Tensor, coefficients: Sequence[float]) -> Tensor:
    """Two coefficients or more, by Horner's rule."""
    found = coefficients[-2] + coefficients[-1] * u
    for c in reversed(coefficients[:-2]):
        found = c + u * found
    return found


inverse_mills_derivative: Elementwise = elementwise("inverse_mills_derivative(x)", "-r (x + r), r = inverse_mills(x)", accepts=FLOATS,
                                       d_x=_inverse_mills_second,
                                       numpy="numeric.inverse_mills_derivative({x}, out={out})",
                                       scalar=lambda b, x: b.call("inverse_mills_derivative", x))  # fmt: skip


# ---- gamma ------------------------------------------------------------------------------------------

_ORDER = "the order of a derivative is a whole number"

_polygamma: Elementwise = elementwise("polygamma(n, x)", "the n-th derivative of digamma", accepts=FLOATS, no_gradient={"n": _ORDER},
                         d_x=lambda n, x, out: _polygamma(_number(n) + 1, x),
                         numpy="numeric.polygamma({n}, {x}, out={out})",
                         scalar=lambda b, n, x: b.call("polygamma", n, x))  # fmt: skip

digamma: Elementwise = elementwise("digamma(x)", "the derivative of gammaln; NaN at negative integers", accepts=FLOATS, aliases=("psi",),
                      d_x=lambda x, out: _polygamma(1, x),
                      numpy="numeric.digamma({x}, out={out})", scalar=lambda b, x: b.call("digamma", x))  # fmt: skip

gammaln: Elementwise = elementwise("gammaln(x)", "log|gamma(x)|; inf at 0 and negative integers", accepts=FLOATS,
                      d_x=lambda x, out: digamma(x),
                      numpy="numeric.gammaln({x}, out={out})", scalar=lambda b, x: b.call("gammaln", x))  # fmt: skip


def polygamma(n: int, x: Any) -> Tensor:
    """The n-th derivative of `digamma`; n is an int, not negative.

    At 0 and the negative integers it is infinite, with the sign of (-1)^(n+1), as SciPy has it.

    >>> from symgrad.ops.create import tensor
    >>> x = tensor("x")
    >>> polygamma(1, x).eval({x: 1.0})  # pi^2 / 6
    np.float64(1.644934066848226...)
    """
    order = as_int(n)
    if order is None:
        raise DTypeError(
            f"polygamma takes an int as its order, not {n!r:.60}", at=origin.locate(origin.current())
        )
    if order < 0:
        raise ShapeError(
            f"polygamma takes an order from 0 on, not {order}", at=origin.locate(origin.current())
        )
    return _polygamma(order, x) if order else digamma(x)


# ---- logarithms -------------------------------------------------------------------------------------
#
# x log(y) and its partial derivatives log(y), x / y have a singularity at x = y = 0, where all are taken as 0.

xlogy: Elementwise = elementwise("xlogy(x, y)", "x log(y), but 0 where x is 0 and y is not NaN", accepts=FLOATS, selects=True,
                    d_x=lambda x, y, out: where(logical_and(x == 0, y == 0), 0, log(y)),
                    d_y=lambda x, y, out: where(logical_and(x == 0, y == 0), 0, x / y),
                    numpy="special.xlogy({x}, {y}, out={out})",
                    scalar=lambda b, x, y: _zero_times(b, x, y, b.call("log", y)))  # fmt: skip

xlog1py: Elementwise = elementwise("xlog1py(x, y)", "x log(1 + y), but 0 where x is 0 and y is not NaN", accepts=FLOATS, selects=True,
                      d_x=lambda x, y, out: where(logical_and(x == 0, y == -1), 0, log1p(y)),
                      d_y=lambda x, y, out: where(logical_and(x == 0, y == -1), 0, x / (1 + y)),
                      numpy="special.xlog1py({x}, {y}, out={out})",
                      scalar=lambda b, x, y: _zero_times(b, x, y, b.call("log1p", y)))  # fmt: skip

xlogx: Elementwise = elementwise("xlogx(x)", "x log(x), with its limit 0 at 0, where the derivative is -inf", accepts=FLOATS,
                    d_x=lambda x, out: xlogx_derivative(x),
                    numpy="special.xlogy({x}, {x}, out={out})",
                    scalar=lambda b, x: _zero_times(b, x, x, b.call("log", x)))  # fmt: skip

xlogx_derivative: Elementwise = elementwise("xlogx_derivative(x)", "1 + log(x), with all its digits beside its zero 1/e", accepts=FLOATS,
                               d_x=lambda x, out: reciprocal(x),
                               numpy="numeric.xlogx_derivative({x}, out={out})",
                               scalar=lambda b, x: b.call("xlogx_derivative", x))  # fmt: skip


def _zero_times(b: ScalarBuilder, x: Value, y: Value, factor: Value) -> Value:
    """x * factor, but 0 where x is 0 and y is not NaN."""
    zero = b.constant(0.0, x)
    is_zero = b.logical_and(b.equal(x, zero), b.equal(y, y))
    return b.select(is_zero, zero, b.multiply(x, factor))


def _logit(b: ScalarBuilder, x: Value) -> Value:
    """log(x / (1 - x)); around 1/2 as log(1 + (2x - 1) / (1 - x)), where 2x - 1 is exact."""
    one, half = b.constant(1.0, x), b.constant(0.5, x)
    rest = b.subtract(one, x)
    ratio = b.divide(b.subtract(b.add(x, x), one), rest)
    is_near = b.less(b.call("absolute", b.subtract(x, half)), b.constant(0.25, x))
    return b.select(is_near, b.call("log1p", ratio), b.call("log", b.divide(x, rest)))


logit: Elementwise = elementwise("logit(x)", "log(x / (1 - x)), the inverse of sigmoid", accepts=FLOATS,
                    d_x=lambda x, out: reciprocal(x) + reciprocal(1 - x),
                    numpy="numeric.logit({x}, out={out})", scalar=_logit)  # fmt: skip


def entr(x: Any) -> Tensor:
    """The entropy -x log(x): 0 at 0, -inf for negative x."""
    x = as_tensor(x)
    return where(x < 0, -math.inf, -xlogx(x))


# ---- sinc -------------------------------------------------------------------------------------------

_sinc_derivative: Elementwise = elementwise("sinc_derivative(n, x)", "the n-th derivative of sinc", accepts=FLOATS, no_gradient={"n": _ORDER},
                               d_x=lambda n, x, out: _sinc_derivative(_number(n) + 1, x),
                               numpy="numeric.sinc_derivative({n}, {x}, out={out})",
                               scalar=lambda b, n, x: b.call("sinc_derivative", n, x))  # fmt: skip


def sinc(x: Any) -> Tensor:
    """sin(pi x) / (pi x), as NumPy's; 1 at 0, and every derivative is its limit there.

    >>> from symgrad.ops.create import tensor
    >>> x = tensor("x")
    >>> sinc(x).eval({x: 0.5})  # 2 / pi
    np.float64(0.636619772367581...)
    """
    tensor = as_tensor(x)
    return _sinc_of_complex(tensor) if tensor.dtype.kind == "complex" else _sinc_derivative(0, tensor)


def _sinc_of_complex(z: Tensor) -> Tensor:
    """sin(w) / w with w = pi z; where |w| < 1/2 its series, the sum of (-w^2)^k / (2k+1)! up to k = 9."""
    w = math.pi * z
    near = squared_length(w) < 0.25
    v = square(where(near, w, 0))
    terms = ones_like(z)
    for k in range(9, 0, -1):
        terms = 1 - v * terms / (2 * k * (2 * k + 1))
    far = where(near, 1, w)
    return where(near, terms, sin(far) / far)


# ---- activations ------------------------------------------------------------------------------------


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Tensor:
    """x where positive, else negative_slope x; the derivative at 0 is negative_slope, as in PyTorch."""
    x = as_tensor(x)
    return where(x > 0, x, negative_slope * x)


def elu(x: Any, alpha: float = 1.0) -> Tensor:
    """x where positive, else alpha (exp(x) - 1); the derivative at 0 is alpha."""
    x = as_tensor(x)
    return where(x > 0, x, alpha * expm1(x))


def hard_tanh(x: Any) -> Tensor:
    """x limited to [-1, 1]; the derivative is 1 inside and at the bounds."""
    return clip(x, -1, 1)


# Products of x and a gate that is 0 on the left and 1 on the right. Derivatives are asked for x within bounds: at
# infinity, the 0 of the gate's derivative would meet x.

silu: Elementwise = elementwise("silu(x)", "x sigmoid(x), also called swish", accepts=FLOATS,
                   d_x=lambda x, out: silu_derivative(x),
                   numpy="numeric.silu({x}, out={out})", scalar=lambda b, x: b.call("silu", x))  # fmt: skip


def _silu_second(x: Tensor) -> Tensor:
    """s(x) s(-x) (2 - x tanh(x/2)), s the sigmoid."""
    x = clip(x, -fits.SILU_END, fits.SILU_END)
    return 0.25 * sech_squared(0.5 * x) * (2 - x * tanh(0.5 * x))


silu_derivative: Elementwise = elementwise("silu_derivative(x)", "s(x) (1 + x s(-x)), s the sigmoid", accepts=FLOATS,
                              d_x=lambda x, out: _silu_second(x),
                              numpy="numeric.silu_derivative({x}, out={out})",
                              scalar=lambda b, x: b.call("silu_derivative", x))  # fmt: skip

_gelu: Elementwise = elementwise("gelu(x)", "x times the normal distribution function of x", accepts=FLOATS,
                    d_x=lambda x, out: gelu_derivative(x),
                    numpy="numeric.gelu({x}, out={out})", scalar=lambda b, x: b.call("gelu", x))  # fmt: skip


def _gelu_second(x: Tensor) -> Tensor:
    """exp(-x^2/2) (2 - x^2) / sqrt(2 pi)"""
    x = clip(x, -fits.GELU_END, fits.GELU_END)
    return 1 / math.sqrt(2 * math.pi) * gaussian(0.5, x) * (2 - square(x))


gelu_derivative: Elementwise = elementwise("gelu_derivative(x)", "ndtr(x) + x ndtr'(x)", accepts=FLOATS,
                              d_x=lambda x, out: _gelu_second(x),
                              numpy="numeric.gelu_derivative({x}, out={out})",
                              scalar=lambda b, x: b.call("gelu_derivative", x))  # fmt: skip

_gelu_tanh: Elementwise = elementwise("gelu_tanh(x)", "x sigmoid(z) with z = sqrt(8/pi) (x + 0.044715 x^3)", accepts=FLOATS,
                         d_x=lambda x, out: gelu_tanh_derivative(x),
                         numpy="numeric.gelu_tanh({x}, out={out})", scalar=lambda b, x: b.call("gelu_tanh", x))  # fmt: skip


def _gelu_tanh_second(x: Tensor) -> Tensor:
    """s(z) s(-z) (2 z' + x z'' - x z'^2 tanh(z/2)), s the sigmoid."""
    (scale, _), (cubic, _) = fits.TANH_SCALE, fits.TANH_CUBIC
    x = clip(x, -fits.GELU_END, fits.GELU_END)
    half = scale / 2 * (x + cubic * (x * square(x)))
    slope = scale * (1 + 3 * cubic * square(x))
    bend = 6 * scale * cubic * square(x)
    return 0.25 * sech_squared(half) * (2 * slope + bend - x * square(slope) * tanh(half))


gelu_tanh_derivative: Elementwise = elementwise("gelu_tanh_derivative(x)", "s(z) (1 + x z' s(-z)), s the sigmoid and z that of gelu_tanh", accepts=FLOATS,
                                   d_x=lambda x, out: _gelu_tanh_second(x),
                                   numpy="numeric.gelu_tanh_derivative({x}, out={out})",
                                   scalar=lambda b, x: b.call("gelu_tanh_derivative", x))  # fmt: skip


def gelu(x: Any, approximate: bool | str = False) -> Tensor:
    """x times the normal distribution function of x.

    The exact form keeps its digits for negative x, where 1 + erf(x / sqrt(2)) would cancel. The approximate one
    is x (1 + tanh(z)) / 2 = x sigmoid(2 z) with z = sqrt(2/pi) (x + 0.044715 x^3).

    Args:
        x: real numbers.
        approximate: False or "none" for the exact form, True or "tanh" for the approximate one.

    >>> from symgrad.ops.create import tensor
    >>> x = tensor("x")
    >>> gelu(x).eval({x: -10.0})
    np.float64(-7.619853024160...e-23)
    """
    if not isinstance(approximate, (bool, str)) or approximate not in (False, "none", True, "tanh"):
        raise GraphError(
            f"gelu has no form {approximate!r:.60}",
            at=origin.locate(origin.current()),
            hint='approximate is False or "none", True or "tanh"',
        )
    return _gelu(x) if approximate in (False, "none") else _gelu_tanh(x)
