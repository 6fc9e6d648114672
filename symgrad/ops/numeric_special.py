"""NumPy code of the special functions; offered to generated programs as `numeric.<name>`.

All compute in float64, from the same fits as the native forms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import e, factorial, log, pi, sqrt
from typing import Any, TypeAlias

import numpy

from symgrad.ops import fits

Array: TypeAlias = Any


def in_double(function: Callable[..., Array]) -> Callable[..., Array]:
    """The function on float64, its result in the dtype of its last operand and in `out`, if that is given."""

    def converted(*operands: Array, out: Array = None) -> Array:
        dtype = numpy.asarray(operands[-1]).dtype
        result = function(*[numpy.asarray(x, numpy.float64) for x in operands])
        if out is None:
            return result.astype(dtype)[()]
        numpy.copyto(out, result, casting="same_kind")
        return out

    return converted


def polynomial(x: Array, coefficients: Sequence[float]) -> Array:
    """c0 + c1 x + c2 x^2 ..., by Horner's rule."""
    result = numpy.full_like(x, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        result *= x
        result += c
    return result


# ---- exponentials of squares, the error function -----------------------------------------------------


def _gaussian(s: Array | float, x: Array) -> Array:
    """exp(-s x^2) = e - e d, where e is that of the rounded exponent, and d what its two products lost."""
    square = x * x
    exponent = s * square
    e = numpy.exp(-exponent)
    lost = s * _lost(x, x, square) + _lost(numpy.asarray(s), square, exponent)
    matters = (numpy.abs(exponent) < _ENDS) & (e < numpy.inf)
    return numpy.where(matters, e - e * lost, e)


def _lost(x: Array, y: Array, product: Array) -> Array:
    """x y - product, from halves of the digits of each, whose products are exact (Dekker)."""
    x_high, y_high = _high(x), _high(y)
    x_low, y_low = x - x_high, y - y_high
    return ((x_high * y_high - product) + (x_high * y_low + x_low * y_high)) + x_low * y_low


def _high(x: Array) -> Array:
    """The upper 26 bits of x."""
    return (x.view(numpy.int64) & ~((1 << 27) - 1)).view(numpy.float64)


#: Beyond, exp is 0 or infinite.
_ENDS = 1024.0


def _erfc_right(x: Array, gaussian: Array) -> Array:
    """erfc(x) for x >= 0, from exp(-x^2)."""
    return polynomial(1 - 8 / (x + 4), fits.ERFC) / (1 + 2 * x) * gaussian


def _erf_near(x: Array) -> Array:
    """erf(x) for |x| <= 0.85; anything beyond."""
    return x + x * polynomial(numpy.minimum(numpy.abs(x), 0.85) ** 2, fits.ERF)


@in_double
def gaussian(s: Array, x: Array) -> Array:
    """exp(-s x^2)."""
    return _gaussian(s, x)


@in_double
def erfc(x: Array) -> Array:
    """1 - erf(x)."""
    size = numpy.abs(x)
    tail = _erfc_right(size, _gaussian(1.0, size))
    return numpy.where(size < 0.5, 1 - _erf_near(x), numpy.where(x < 0, 2 - tail, tail))


@in_double
def ndtr(x: Array) -> Array:
    """erfc(-x / sqrt(2)) / 2."""
    scaled = sqrt(0.5) * x
    size = numpy.abs(scaled)
    tail = 0.5 * _erfc_right(size, _gaussian(0.5, x))
    return numpy.where(size < 0.5, 0.5 + 0.5 * _erf_near(scaled), numpy.where(x > 0, 1 - tail, tail))


@in_double
def log_ndtr(x: Array) -> Array:
    """log(ndtr(x)): below -1, ndtr(x) = ndtr'(x) / r of the inverse Mills ratio r, so that nothing underflows."""
    left = x < -1
    ratio = _inverse_mills(numpy.minimum(x, -1))
    far = -0.5 * x * x - (numpy.log(ratio) + log(sqrt(2 * pi)))
    return numpy.where(left, far, numpy.log1p(-ndtr(-numpy.where(left, 0, x))))


def _mills_factor(a: Array) -> tuple[Array, Array]:
    """u = 1 / a^2, and a (r(-a) - a) of the inverse Mills ratio r, for a >= MILLS_FROM; anything below."""
    u = 1 / numpy.square(numpy.maximum(a, fits.MILLS_FROM))
    return u, polynomial(u, fits.MILLS_TOP) / polynomial(u, fits.MILLS_BOTTOM)


def _inverse_mills(x: Array) -> Array:
    """ndtr'(x) / ndtr(x)."""
    a = -x
    inner = numpy.maximum(x, -0.7)
    right = _gaussian(0.5, inner) / sqrt(2 * pi) / ndtr(inner)
    near = sqrt(2 / pi) / _erfc_right(sqrt(0.5) * numpy.clip(a, 0, fits.MILLS_FROM), 1.0)
    _, factor = _mills_factor(a)
    left = numpy.where(a < fits.MILLS_FROM, near, a + factor / numpy.maximum(a, 1))
    return numpy.where(a > 0.7, left, right)


@in_double
def inverse_mills(x: Array) -> Array:
    """ndtr'(x) / ndtr(x)."""
    return _inverse_mills(x)


@in_double
def inverse_mills_derivative(x: Array) -> Array:
    """-r (x + r) of the inverse Mills ratio r; where the sum cancels, with f = a (x + r), a = -x: -(f + (f / a)^2)."""
    ratio = _inverse_mills(x)
    u, factor = _mills_factor(-x)
    near = numpy.where(ratio == 0, 0.0, -ratio * (x + ratio))
    return numpy.where(x <= -fits.MILLS_FROM, -(factor + u * factor * factor), near)


@in_double
def logit(x: Array) -> Array:
    """log(x / (1 - x)); around 1/2 as log(1 + (2x - 1) / (1 - x)), where 2x - 1 is exact."""
    near = numpy.log1p((2 * x - 1) / (1 - x))
    return numpy.where(numpy.abs(x - 0.5) < 0.25, near, numpy.log(x / (1 - x)))


@in_double
def log_cosh(x: Array) -> Array:
    """With t = exp(-|x|) - 1: log1p(t^2 / (2 + 2 t)) for |x| < 1, else |x| - log(2) + log1p((1 + t)^2)."""
    size = numpy.abs(x)
    t = numpy.expm1(-size)
    near = size < 1
    rest = numpy.log1p(numpy.where(near, t * t, (1 + t) ** 2) / numpy.where(near, 2 + 2 * t, 1))
    return numpy.where(near, rest, (size - log(2)) + rest)


# ---- products with a gate ----------------------------------------------------------------------------


def _distance(x: Array, zero: tuple[float, float]) -> Array:
    """x minus a zero that is a sum of two numbers."""
    return (x - zero[0]) - zero[1]


def _near(x: Array, zero: tuple[float, float], fit: Sequence[float], otherwise: Array) -> Array:
    """d fit(d) in the distance d from a zero, `otherwise` farther away."""
    d = _distance(x, zero)
    inside = numpy.clip(d, -fits.NEAR, fits.NEAR)
    return numpy.where(inside == d, d * polynomial(inside, fit), otherwise)


def _sigmoids(x: Array) -> tuple[Array, Array]:
    """sigmoid(x) and sigmoid(-x)."""
    e = numpy.exp(-numpy.abs(x))
    smaller, larger = e / (1 + e), 1 / (1 + e)
    return numpy.where(x < 0, smaller, larger), numpy.where(x < 0, larger, smaller)


@in_double
def xlogx_derivative(x: Array) -> Array:
    """1 + log(x), between 1/(2 e) and 2/e as log(1 + e (x - 1/e))."""
    zero = fits.XLOGX_ZERO
    near = numpy.log1p(e * _distance(x, zero))
    return numpy.where(numpy.abs(x - 1.25 * zero[0]) <= 0.75 * zero[0], near, 1 + numpy.log(x))


@in_double
def silu(x: Array) -> Array:
    """x sigmoid(x)."""
    return numpy.where(x < -fits.SILU_END, -0.0, x * _sigmoids(x)[0])


@in_double
def silu_derivative(x: Array) -> Array:
    """With t = exp(-|x|), (1 + t + x t) / (1 + t)^2 on the right, t (1 + t + x) / (1 + t)^2 on the left. There
    1 + x + exp(x) = d + c (exp(d) - 1) with the distance d from its zero, where the exponential is c."""
    x = numpy.clip(x, -fits.SILU_END, fits.SILU_END)
    t = numpy.exp(-numpy.abs(x))
    d = _distance(numpy.minimum(x, 0), fits.SILU_ZERO)
    left = t * (d + fits.SILU_EXP * numpy.expm1(d))
    return numpy.where(x < 0, left, 1 + t + x * t) / (1 + t * (2 + t))


@in_double
def gelu(x: Array) -> Array:
    """x ndtr(x)."""
    return numpy.where(x < -fits.GELU_END, -0.0, x * ndtr(x))


@in_double
def gelu_derivative(x: Array) -> Array:
    """ndtr(x) + x ndtr'(x): with a = |x|, exp(-x^2/2) (erfc(a / sqrt(2)) exp(a^2/2) / 2 - a / sqrt(2 pi)) on the
    left, 1 less that on the right; beside its zero a fit."""
    size = numpy.minimum(numpy.abs(x), fits.GELU_END)
    scale, scale_low = fits.NORMAL_SCALE
    slope = scale * size
    slope_low = _lost(numpy.asarray(scale), size, slope) + scale_low * size
    inner = (0.5 * _erfc_right(sqrt(0.5) * size, 1.0) - slope) - slope_low
    part = _gaussian(0.5, size) * inner
    return _near(x, fits.GELU_ZERO, fits.GELU, numpy.where(x < 0, part, 1 - part))


def _cubic_gate(x: Array) -> tuple[Array, Array, Array]:
    """z = k x (1 + c x^2), a sum of two numbers, rounded; t = exp(-|z|); and x z' - z = 2 (z - k x)."""
    (k, k_low), (c, c_low) = fits.TANH_SCALE, fits.TANH_CUBIC
    square = x * x
    term = c * square
    term_low = _lost(numpy.asarray(c), square, term) + (c_low * square + c * _lost(x, x, square))
    factor = 1 + term
    part = factor - 1
    factor_low = ((1 - (factor - part)) + (term - part)) + term_low
    scaled = k * x
    scaled_low = _lost(numpy.asarray(k), x, scaled) + k_low * x
    z = scaled * factor
    low = _lost(scaled, factor, z) + (scaled * factor_low + scaled_low * factor)
    t = numpy.exp(-numpy.abs(z))
    t = t + t * numpy.where(z < 0, low, -low)
    return z, t, 2 * ((z - scaled) + (low - scaled_low))


@in_double
def gelu_tanh(x: Array) -> Array:
    """x sigmoid(z)."""
    z, t, _ = _cubic_gate(numpy.clip(x, -fits.GELU_END, fits.GELU_END))
    return numpy.where(x < -fits.GELU_END, -0.0, x * (numpy.where(z < 0, t, 1) / (1 + t)))


@in_double
def gelu_tanh_derivative(x: Array) -> Array:
    """sigmoid(z) (1 + x z' sigmoid(-z)), as in `silu_derivative`; beside its zero a fit."""
    z, t, rest = _cubic_gate(numpy.clip(x, -fits.GELU_END, fits.GELU_END))
    top = numpy.where(z < 0, t * ((1 + z) + (t + rest)), 1 + t * (1 + (z + rest)))
    return _near(x, fits.GELU_TANH_ZERO, fits.GELU_TANH, top / (1 + t * (2 + t)))


# ---- pi x ---------------------------------------------------------------------------------------------


def _sin_cos_pi(x: Array) -> tuple[Array, Array]:
    """sin(pi x) and cos(pi x): x is brought to [-1/4, 1/4] by quarters of a turn, without an error."""
    x = x - 2 * numpy.rint(0.5 * x)
    quarters = numpy.rint(2 * x)
    angle = pi * (x - 0.5 * quarters)
    sine, cosine = numpy.sin(angle), numpy.cos(angle)
    odd, turned = quarters % 2 == 1, quarters % 4 >= 2
    sine, cosine = numpy.where(odd, cosine, sine), numpy.where(odd, -sine, cosine)
    return numpy.where(turned, -sine, sine), numpy.where(turned, -cosine, cosine)


def _each(order: Array, x: Array, function: Callable[[int, Array], Array]) -> Array:
    """`function` of a whole order and x; for an array of orders, each by itself. NaN for what is no order."""
    if not order.ndim:
        whole = 0 <= order < numpy.inf and order == numpy.floor(order)
        return function(int(order), x) if whole else numpy.full_like(x, numpy.nan)
    result = numpy.empty_like(x)
    for n in numpy.unique(order):
        same = numpy.isnan(order) if numpy.isnan(n) else order == n
        result[same] = _each(n, x[same], function)
    return result


@in_double
def sinc_derivative(n: Array, x: Array) -> Array:
    """The n-th derivative of sin(pi x) / (pi x)."""
    return _each(n, x, _sinc_derivative)


def _sinc_derivative(n: int, x: Array) -> Array:
    """A series near 0, a recurrence beyond: see `fits.sinc_near`."""
    if n > _MOST_SINC:
        return numpy.full_like(x, numpy.nan)
    u = pi * x
    is_near = numpy.abs(u) < fits.sinc_near(n)
    sine, cosine = _sin_cos_pi(x)
    waves = (sine, cosine, -sine, -cosine)
    far = sine / u
    for i in range(1, n + 1):
        far = (waves[i % 4] - i * far) / u
    near = polynomial(numpy.where(is_near, x, 0) ** 2, fits.sinc_series(n))
    if n % 2:
        near = near * x
    far = numpy.where(numpy.isinf(x), 0, pi**n * far)
    return numpy.where(is_near, near, _beside_sinc_zeros(x, far) if n == 1 else far)


def _beside_sinc_zeros(x: Array, far: Array) -> Array:
    """The derivative of sinc, beside its first zeros by fits."""
    size = numpy.abs(x)
    for zero, fit in fits.SINC_ZEROS:
        f = _distance(size, zero)
        near = f * polynomial(f, fit)
        far = numpy.where(numpy.abs(f) <= 0.125, numpy.where(x < 0, -near, near), far)
    return far


#: pi^n and n! are finite.
_MOST_SINC = 170

# ---- gamma --------------------------------------------------------------------------------------------


def _gammaln_right(x: Array, f: Array, whole: Array) -> Array:
    """log(gamma(x)) for x = whole + f >= 0: below 5.5 from that of 2 + f, beyond by Stirling's series."""
    products = numpy.choose(
        numpy.minimum(whole, 6).astype(numpy.int64),
        [
            x * (1 + x),
            x,
            numpy.ones_like(x),
            x - 1,
            (x - 1) * (x - 2),
            (x - 1) * (x - 2) * (x - 3),
            x,
        ],
    )
    logarithm = numpy.log(products)
    low = f * polynomial(numpy.clip(f, -0.75, 0.5), fits.GAMMALN)
    low = numpy.where(whole < 2, low - logarithm, low + logarithm)
    z = numpy.maximum(x, 5.5)
    series = polynomial(1 / (z * z), fits.STIRLING) / z
    high = (z - 0.5) * (logarithm - 1) + (_HALF_LOG_2_PI_E + series)
    return numpy.where(whole < 6, low, high)


#: (log(2 pi) - 1) / 2
_HALF_LOG_2_PI_E = 0.4189385332046727


@in_double
def gammaln(x: Array) -> Array:
    """log|gamma(x)|; for negative x by gamma(x) gamma(1 - x) = pi / sin(pi x)."""
    left = x < 0
    y = numpy.where(left, 1 - x, x)
    whole = numpy.where(numpy.isnan(y), 0, numpy.floor(y + 0.5))
    whole = numpy.where((y >= 1.25) & (y < 1.5), 2, whole)  # beside 1, log cancels less
    f = numpy.where(left & (whole == 1), -x, y - numpy.minimum(whole, 6))
    result = _gammaln_right(y, f, whole)
    if left.any():
        sine = numpy.abs(_sin_cos_pi(x)[0])
        reflected = (log(pi) - numpy.log(sine)) - result
        reflected = numpy.where(sine == 0, numpy.inf, numpy.where(numpy.isinf(x), -numpy.inf, reflected))
        reflected = numpy.where(
            x > -(2.0**-900), -numpy.log(numpy.abs(x)), reflected
        )  # the sine may be subnormal
        result = numpy.where(left, reflected, result)
    return result


@in_double
def digamma(x: Array) -> Array:
    """The derivative of gammaln. For x >= 1 from a fit of exp(digamma), which is nearly x - 1/2; between 0
    and 1 and on the left by digamma(x) = digamma(x + 1) - 1/x = digamma(1 - x) - pi cot(pi x)."""
    left, low = x < 0, x < 1
    y = numpy.where(left, 1 - x, numpy.where(low, x + 1, x))
    fit = polynomial(1 - 3 / (y + 0.5), fits.DIGAMMA)
    result = numpy.log1p(((y - fits.DIGAMMA_ZERO[0]) - fits.DIGAMMA_ZERO[1]) * fit)
    result = numpy.where(low & ~left, result - 1 / x, result)
    if left.any():
        sine, cosine = _sin_cos_pi(x)
        reflected = result - pi * cosine / sine
        result = numpy.where(left, numpy.where(sine == 0, numpy.nan, reflected), result)
    return result


@in_double
def polygamma(n: Array, x: Array) -> Array:
    """The n-th derivative of digamma."""
    return _each(n, x, _polygamma)


def _polygamma(n: int, x: Array) -> Array:
    """(-1)^(n+1) n! sum 1/(x+i)^(n+1); for negative x by the derivatives of the cotangent."""
    if n == 0:
        return digamma(x)
    if n > _MOST_POLYGAMMA:
        return numpy.full_like(x, numpy.nan)
    left = x < 0
    y = numpy.where(left, 1 - x, x)
    total = factorial(n) * _zeta(n, y)
    result = total if n % 2 else -total
    if left.any():
        sine, cosine = _sin_cos_pi(x)
        cotangent = cosine / sine
        slope = pi ** (n + 1) * polynomial(cotangent * cotangent, fits.cotangent_derivative(n))
        slope = slope if n % 2 else slope * cotangent
        pole = numpy.inf if n % 2 else -numpy.inf
        at_pole = (sine == 0) | numpy.isinf(x)
        result = numpy.where(left, numpy.where(at_pole, pole, -total - slope), result)
    return result


#: n! is finite, and so are the coefficients of the reflection.
_MOST_POLYGAMMA = 100


def _zeta(n: int, x: Array) -> Array:
    """The sum of 1/(x+i)^(n+1): some terms, and the rest by Euler and Maclaurin."""
    shift = fits.polygamma_shift(n)
    w = x + shift
    inverse = 1 / w
    rest = polynomial(inverse * inverse, fits.polygamma_rest(n)) * (inverse * inverse)
    rest = inverse**n * (rest + (0.5 * inverse + 1 / n))
    terms = [(1 / (x + i)) ** (n + 1) for i in range(shift)]
    total = terms[-1]
    for term in (*terms[-2:0:-1], rest, terms[0]):  # the largest of small x last, of large x last but one
        total = total + term
    return total
