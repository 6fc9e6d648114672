"""Special functions on vectors, in the manner of `maths`: erf, gamma, their families, and sinc.

The formulas are those of `symgrad.ops.numeric_special`, the coefficients are shared with it (`ops/fits.py`).
All work on float64. Where vectors need it rarely, as the left half-axis of gamma, there is a branch.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from symgrad.ops import fits
from symgrad.ops.scalar import OF_ORDER
from symgrad_compiler.backends.llvm.exponentials import Exponential, exponential
from symgrad_compiler.backends.llvm.ir import Value
from symgrad_compiler.backends.llvm.pieces import clamp, like, product, ratio, two_sum
from symgrad_compiler.backends.llvm.piecewise import erf_by_pieces, erfcx_by_pieces
from symgrad_compiler.backends.llvm.registers import whole_registers
from symgrad_compiler.backends.llvm.scalars import Code, power_by_squaring

# ---- the error function -----------------------------------------------------------------------------


def gaussian(b: Code, s: Value, x: Value, single: bool) -> Value:
    """exp(-s x^2)."""
    e = _gaussian_parts(b, s, x, single)
    return e.scaled(b, e.sum(b), is_positive=True)


def _gaussian_parts(b: Code, s: Value, x: Value, single: bool) -> Exponential:
    """exp(-s x^2), with what rounding its exponent lost; 0 comes of all x from where on it is 0."""
    size = b.call("absolute", x)
    scale = 0.0 if s.number is None else max(0.0, float(s.number))
    is_bounded = scale > 0
    if is_bounded:
        size = _at_most(b, size, _END / math.sqrt(scale))
    square = b.multiply(size, size)
    exponent = b.negative(b.multiply(s, square))
    if single:  # x^2 is exact
        return exponential(b, exponent, single, is_bounded=is_bounded)
    lost = b.fma(size, size, b.negative(square))
    if s.number is None:
        lost = b.muladd(s, lost, b.fma(s, square, exponent))
    elif s.number != 1:  # a power of two
        lost = b.multiply(s, lost)
    if not is_bounded:
        matters = b.less(b.call("absolute", exponent), like(x, 1024))
        lost = b.select(matters, lost, like(x, 0))
    return exponential(b, exponent, single, b.negative(lost), is_bounded)


#: From here on, exp(-x^2) is 0, also times 100. The tables of erfcx reach to 27.42.
_END = 27.41


def _at_most(b: Code, x: Value, most: float) -> Value:
    """min(x, most); NaN stays."""
    return b.select(b.less(like(x, most), x), like(x, most), x)


def _erfc_right(b: Code, size: Value, e: Exponential, single: bool) -> Value:
    """erfc(size), 0 <= size <= 27.41, from exp(-size^2)."""
    return e.scaled(b, e.times(b, *erfcx_by_pieces(b, size, single)), is_positive=True)


def _erfc_of_size(b: Code, size: Value, single: bool) -> Value:
    """erfc(size), size >= 0."""
    e = _gaussian_parts(b, like(size, 1), size, single)
    return _erfc_right(b, _at_most(b, size, _END), e, single)


def _erf_near(b: Code, x: Value) -> Value:
    """erf(x) for |x| <= 0.85; anything beyond."""
    return b.muladd(x, b.polynomial(b.multiply(x, x), fits.ERF), x)


def erf(b: Code, x: Value, single: bool) -> Value:
    """A polynomial, or 1 - erfc."""
    if whole_registers(b, x):
        return erf_by_pieces(b, x)
    size = b.call("absolute", x)
    one = b.constant(1.0, x)
    far = b.subtract(one, _erfc_of_size(b, size, single))
    found = b.select(b.less(size, b.constant(0.85, x)), _erf_near(b, size), far)
    return b.call("copysign", found, x)


def erfc(b: Code, x: Value, single: bool) -> Value:
    """On the left 2 - erfc(-x)."""
    tail = _erfc_of_size(b, b.call("absolute", x), single)
    return b.select(b.less(x, like(x, 0)), b.subtract(like(x, 2), tail), tail)


def ndtr(b: Code, x: Value, single: bool) -> Value:
    """erfc(-x / sqrt(2)) / 2, whose exponential is taken of x itself."""
    half = b.constant(0.5, x)
    size = _at_most(b, b.call("absolute", x), _END / math.sqrt(0.5))
    size = b.multiply(size, b.constant(math.sqrt(0.5), x))
    tail = b.multiply(half, _erfc_right(b, size, _gaussian_parts(b, half, x, single), single))
    return b.select(b.less(b.constant(0.0, x), x), b.subtract(b.constant(1.0, x), tail), tail)


def log_ndtr(b: Code, x: Value, single: bool) -> Value:
    """log1p(-ndtr(-x)); below -1, -x^2/2 - log(sqrt(2 pi) r) of the inverse Mills ratio r."""
    is_left = b.less(x, like(x, -1))
    ratio = b.call("inverse_mills", b.select(is_left, x, like(x, -1)))
    tail = b.call("ndtr", b.negative(b.select(is_left, like(x, 0), x)))
    found = b.call("log1p", b.select(is_left, b.subtract(ratio, like(x, 1)), b.negative(tail)))
    bell = b.muladd(b.multiply(like(x, 0.5), x), x, like(x, math.log(math.sqrt(2 * math.pi))))
    return b.select(is_left, b.negative(b.add(bell, found)), found)


def _mills_factor(b: Code, a: Value) -> tuple[Value, Value]:
    """u = 1 / a^2, and a (r(-a) - a) of the inverse Mills ratio r, for a >= MILLS_FROM; anything below."""
    bounded = b.select(b.less(a, like(a, fits.MILLS_FROM)), like(a, fits.MILLS_FROM), a)
    u = b.divide(like(a, 1), b.multiply(bounded, bounded))
    return u, b.divide(b.polynomial(u, fits.MILLS_TOP), b.polynomial(u, fits.MILLS_BOTTOM))


def inverse_mills(b: Code, x: Value, single: bool) -> Value:
    """With g = exp(-x^2/2), c = erfcx(|x| / sqrt(2)) and t = g c / 2: sqrt(2 / pi) / c on the left,
    g / sqrt(2 pi) / (1 - t) on the right; far on the left |x| + f / |x|."""
    is_left = b.less(x, like(x, 0))
    size = b.call("absolute", x)
    near = _at_most(b, size, _END / math.sqrt(0.5))
    scaled = b.add(*erfcx_by_pieces(b, b.multiply(near, like(x, math.sqrt(0.5))), single))
    bell = gaussian(b, like(x, 0.5), x, single)
    rest = b.subtract(like(x, 1), b.multiply(like(x, 0.5), b.multiply(bell, scaled)))
    right = b.multiply(bell, like(x, 1 / math.sqrt(2 * math.pi)))
    top = b.select(is_left, like(x, math.sqrt(2 / math.pi)), right)
    found = b.divide(top, b.select(is_left, scaled, rest))
    _, factor = _mills_factor(b, size)
    far = b.add(size, b.divide(factor, size))
    return b.select(b.less_equal(x, like(x, -fits.MILLS_FROM)), far, found)


def inverse_mills_derivative(b: Code, x: Value, single: bool) -> Value:
    """-r (x + r); far on the left, where the sum cancels, -(f + f^2 / x^2)."""
    ratio = b.call("inverse_mills", x)
    zero = like(x, 0)
    near = b.multiply(b.negative(ratio), b.add(x, ratio))
    near = b.select(b.equal(ratio, zero), zero, near)
    u, factor = _mills_factor(b, b.negative(x))
    far = b.negative(b.muladd(b.multiply(u, factor), factor, factor))
    return b.select(b.less_equal(x, like(x, -fits.MILLS_FROM)), far, near)


def erfinv(b: Code, x: Value, single: bool) -> Value:
    """A fit in w = -log(1 - x^2), then one step of Halley: y - d / (1 + y d), d = (erf(y) - x) / erf'(y)."""
    one = b.constant(1.0, x)
    size = b.call("absolute", x)
    rest = b.subtract(one, size)
    w = b.negative(b.call("log", b.multiply(rest, b.add(one, size))))
    middle = b.multiply(size, b.polynomial(w, fits.ERFINV))
    outer = b.polynomial(b.call("sqrt", w), fits.ERFINV_TAIL)
    y = b.select(b.less(b.constant(5.0, x), w), outer, middle)
    miss = b.select(
        b.less(size, b.constant(0.5, x)),
        b.subtract(_erf_near(b, y), size),
        b.subtract(rest, _erfc_of_size(b, y, single)),
    )
    d = b.divide(b.multiply(b.constant(math.sqrt(math.pi) / 2, x), miss), gaussian(b, one, y, single))
    y = b.subtract(y, b.divide(d, b.muladd(y, d, one)))
    y = b.select(b.equal(size, one), b.constant(math.inf, x), y)
    return b.call("copysign", y, x)


# ---- products with a gate ---------------------------------------------------------------------------


def _distance(b: Code, x: Value, zero: tuple[float, float]) -> Value:
    """x minus a zero that is a sum of two numbers."""
    return b.subtract(b.subtract(x, b.constant(zero[0], x)), b.constant(zero[1], x))


def _near(b: Code, x: Value, zero: tuple[float, float], fit: tuple[float, ...], otherwise: Value) -> Value:
    """d fit(d) in the distance d from a zero, `otherwise` farther away."""
    d = _distance(b, x, zero)
    inside = b.less_equal(b.call("absolute", d), b.constant(fits.NEAR, x))
    return b.select(inside, b.multiply(d, b.polynomial(d, fit)), otherwise)


def _unless_below(b: Code, x: Value, end: float, value: Value) -> Value:
    """The value, but -0 below -end."""
    return b.select(b.less(x, b.constant(-end, x)), b.constant(-0.0, x), value)


def xlogx_derivative(b: Code, x: Value, single: bool) -> Value:
    """1 + log(x), between 1/(2 e) and 2/e as log(1 + e (x - 1/e))."""
    zero = fits.XLOGX_ZERO
    from_middle = b.call("absolute", b.subtract(x, b.constant(1.25 * zero[0], x)))
    near = b.call("log1p", b.multiply(b.constant(math.e, x), _distance(b, x, zero)))
    far = b.add(b.constant(1.0, x), b.call("log", x))
    return b.select(b.less_equal(from_middle, b.constant(0.75 * zero[0], x)), near, far)


def silu(b: Code, x: Value, single: bool) -> Value:
    """x sigmoid(x)."""
    return _unless_below(b, x, fits.SILU_END, b.multiply(x, b.call("sigmoid", x)))


def silu_derivative(b: Code, x: Value, single: bool) -> Value:
    """With t = exp(-|x|), (1 + t + x t) / (1 + t)^2 on the right, t (1 + t + x) / (1 + t)^2 on the left.
    There 1 + x + exp(x) = d + c (exp(d) - 1) with the distance d from its zero, where exp(x) is c."""
    zero, one = b.constant(0.0, x), b.constant(1.0, x)
    x = clamp(b, x, -fits.SILU_END, fits.SILU_END)
    t = b.call("exp", b.negative(b.call("absolute", x)))
    is_left = b.less(x, zero)
    d = _distance(b, b.select(is_left, x, zero), fits.SILU_ZERO)
    left = b.multiply(t, b.muladd(b.constant(fits.SILU_EXP, x), b.call("expm1", d), d))
    top = b.select(is_left, left, b.muladd(x, t, b.add(one, t)))
    return b.divide(top, b.muladd(t, b.add(b.constant(2.0, x), t), one))


def gelu(b: Code, x: Value, single: bool) -> Value:
    """x ndtr(x)."""
    return _unless_below(b, x, fits.GELU_END, b.multiply(x, b.call("ndtr", x)))


def gelu_derivative(b: Code, x: Value, single: bool) -> Value:
    """ndtr(x) + x ndtr'(x): exp(-x^2/2) (erfc(a / sqrt(2)) exp(a^2/2) / 2 - a / sqrt(2 pi)) with a = |x| on
    the left, 1 less that on the right; beside its zero a fit."""
    zero, one, half = b.constant(0.0, x), b.constant(1.0, x), b.constant(0.5, x)
    size = b.call("absolute", clamp(b, x, -fits.GELU_END, fits.GELU_END))
    deviations = _at_most(b, b.multiply(size, b.constant(math.sqrt(0.5), x)), _END)
    scaled = b.multiply(half, b.add(*erfcx_by_pieces(b, deviations, single)))
    slope, slope_low = product(b, size, zero, *(b.constant(v, x) for v in fits.NORMAL_SCALE))
    inner = b.subtract(b.subtract(scaled, slope), slope_low)
    e = _gaussian_parts(b, half, size, single)
    part = e.scaled(b, e.times(b, inner))
    far = b.select(b.less(x, zero), part, b.subtract(one, part))
    return _near(b, x, fits.GELU_ZERO, fits.GELU, far)


def _cubic_gate(b: Code, x: Value, single: bool) -> tuple[Value, Value, Value]:
    """z = k x (1 + c x^2), a sum of two numbers, rounded; t = exp(-|z|); and x z' - z = 2 (z - k x). For a
    float32, which is computed here in float64, that needs no second number."""
    if single:
        scaled = b.multiply(x, like(x, fits.TANH_SCALE[0]))
        extra = b.multiply(scaled, b.multiply(like(x, fits.TANH_CUBIC[0]), b.multiply(x, x)))
        z = b.add(scaled, extra)
        e = exponential(b, b.negative(b.call("absolute", z)), single)
        return z, e.scaled(b, e.sum(b)), b.multiply(like(x, 2), extra)
    k, k_low = (b.constant(v, x) for v in fits.TANH_SCALE)
    c, c_low = (b.constant(v, x) for v in fits.TANH_CUBIC)
    zero = b.constant(0.0, x)
    square, square_low = product(b, x, zero, x, zero)
    term, term_low = product(b, square, square_low, c, c_low)
    factor, lost = two_sum(b, b.constant(1.0, x), term)
    scaled, scaled_low = product(b, x, zero, k, k_low)
    z, low = product(b, scaled, scaled_low, factor, b.add(lost, term_low))
    t = b.call("exp", b.negative(b.call("absolute", z)))
    t = b.muladd(t, b.select(b.less(z, zero), low, b.negative(low)), t)
    rest = b.add(b.subtract(z, scaled), b.subtract(low, scaled_low))
    return z, t, b.multiply(b.constant(2.0, x), rest)


def gelu_tanh(b: Code, x: Value, single: bool) -> Value:
    """x sigmoid(z)."""
    one = b.constant(1.0, x)
    z, t, _ = _cubic_gate(b, clamp(b, x, -fits.GELU_END, fits.GELU_END), single)
    top, bottom = b.select(b.less(z, b.constant(0.0, x)), t, one), b.add(one, t)
    gate = ratio(b, top, bottom, single) if single else b.divide(top, bottom)
    return _unless_below(b, x, fits.GELU_END, b.multiply(x, gate))


def gelu_tanh_derivative(b: Code, x: Value, single: bool) -> Value:
    """sigmoid(z) (1 + x z' sigmoid(-z)), as in `silu_derivative`; beside its zero a fit."""
    one = b.constant(1.0, x)
    z, t, rest = _cubic_gate(b, clamp(b, x, -fits.GELU_END, fits.GELU_END), single)
    left = b.multiply(t, b.add(b.add(one, z), b.add(t, rest)))
    right = b.muladd(t, b.add(one, b.add(z, rest)), one)
    top = b.select(b.less(z, b.constant(0.0, x)), left, right)
    bottom = b.muladd(t, b.add(b.constant(2.0, x), t), one)
    far = ratio(b, top, bottom, single) if single else b.divide(top, bottom)
    return _near(b, x, fits.GELU_TANH_ZERO, fits.GELU_TANH, far)


# ---- pi x -------------------------------------------------------------------------------------------


def _sin_cos_pi(b: Code, x: Value) -> tuple[Value, Value]:
    """sin(pi x) and cos(pi x): x is brought to [-1/4, 1/4] by quarters of a turn, without an error."""
    half, one, zero = (b.constant(v, x) for v in (0.5, 1.0, 0.0))
    turns = b.call("rint", b.multiply(half, x))
    x = b.subtract(x, b.multiply(b.constant(2.0, x), turns))  # in [-1, 1]
    quarters = b.call("rint", b.multiply(b.constant(2.0, x), x))  # from -2 to 2
    f = b.subtract(x, b.multiply(half, quarters))
    z = b.multiply(f, f)
    cubic = b.muladd(z, b.polynomial(z, fits.SIN_PI), b.constant(_PI_LOW, x))
    sine = b.muladd(f, b.constant(math.pi, x), b.multiply(f, cubic))
    cosine = b.muladd(z, b.polynomial(z, fits.COS_PI), one)
    odd = b.equal(b.call("absolute", quarters), one)
    sine, cosine = b.select(odd, cosine, sine), b.select(odd, b.negative(sine), cosine)
    # a quarter backwards is three forwards
    turned = b.logical_or(b.less(quarters, zero), b.less(one, quarters))
    return (
        b.select(turned, b.negative(sine), sine),
        b.select(turned, b.negative(cosine), cosine),
    )


_PI_LOW = 1.2246467991473532e-16


def sinc_derivative(b: Code, x: Value, single: bool, order: int) -> Value:
    """A series near 0, a recurrence beyond: see `fits.sinc_near`."""
    u = b.multiply(x, b.constant(math.pi, x))
    sine, cosine = _sin_cos_pi(b, x)
    waves = (sine, cosine, b.negative(sine), b.negative(cosine))
    far = b.divide(sine, u)
    for i in range(1, order + 1):
        far = b.divide(b.subtract(waves[i % 4], b.multiply(b.constant(i, x), far)), u)
    far = b.multiply(far, b.constant(math.pi**order, x))
    if order == 1:
        far = _beside_sinc_zeros(b, x, far)
    near = b.polynomial(b.multiply(x, x), fits.sinc_series(order))
    near = b.multiply(near, x) if order % 2 else near
    far = b.select(b.equal(b.call("absolute", x), b.constant(math.inf, x)), b.constant(0.0, x), far)
    return b.select(b.less(b.call("absolute", u), b.constant(fits.sinc_near(order), x)), near, far)


def _beside_sinc_zeros(b: Code, x: Value, far: Value) -> Value:
    """The derivative of sinc, beside its first zeros by fits."""
    size, eighth = b.call("absolute", x), b.constant(0.125, x)
    for zero, fit in fits.SINC_ZEROS:
        f = _distance(b, size, zero)
        near = b.call("copysign", b.constant(1.0, x), x)
        near = b.multiply(near, b.multiply(f, b.polynomial(f, fit)))
        far = b.select(b.less_equal(b.call("absolute", f), eighth), near, far)
    return far


# ---- gamma ------------------------------------------------------------------------------------------


def _gammaln_right(b: Code, x: Value, f: Value, whole: Value) -> Value:
    """log(gamma(x)) for x = whole + f >= 0: below 5.5 from that of 2 + f, beyond by Stirling's series."""
    one, half = b.constant(1.0, x), b.constant(0.5, x)
    first, second, third = (b.subtract(x, b.constant(i, x)) for i in (1.0, 2.0, 3.0))
    pair = b.multiply(first, second)
    products = (b.multiply(x, b.add(one, x)), x, one, first, pair, b.multiply(pair, third))
    product = x
    for i, p in enumerate(products):
        product = b.select(b.equal(whole, b.constant(i, x)), p, product)
    logarithm = b.call("log", product)
    low = b.multiply(f, b.polynomial(f, fits.GAMMALN))
    is_small = b.less(whole, b.constant(2.0, x))
    low = b.add(low, b.select(is_small, b.negative(logarithm), logarithm))
    inverse = b.divide(one, x)
    series = b.multiply(inverse, b.polynomial(b.multiply(inverse, inverse), fits.STIRLING))
    constant = b.add(series, b.constant(_HALF_LOG_2_PI_E, x))
    high = b.muladd(b.subtract(x, half), b.subtract(logarithm, one), constant)
    return b.select(b.less(whole, b.constant(6.0, x)), low, high)


#: (log(2 pi) - 1) / 2
_HALF_LOG_2_PI_E = 0.4189385332046727


def gammaln(b: Code, x: Value, single: bool) -> Value:
    """log|gamma(x)|; for negative x by gamma(x) gamma(1 - x) = pi / sin(pi x)."""
    zero, one = b.constant(0.0, x), b.constant(1.0, x)
    left = b.less(x, zero)
    y = b.select(left, b.subtract(one, x), x)
    whole = b.call("floor", b.add(y, b.constant(0.5, x)))
    between = b.logical_and(b.less_equal(b.constant(1.25, x), y), b.less(y, b.constant(1.5, x)))
    whole = b.select(between, b.constant(2.0, x), whole)  # beside 1, log cancels less
    is_near = b.logical_and(left, b.equal(whole, one))
    right = _gammaln_right(b, y, b.select(is_near, b.negative(x), b.subtract(y, whole)), whole)

    def reflected() -> Value:
        sine = b.call("absolute", _sin_cos_pi(b, x)[0])
        there = b.subtract(b.subtract(b.constant(math.log(math.pi), x), b.call("log", sine)), right)
        there = b.select(b.equal(sine, zero), b.constant(math.inf, x), there)
        tiny = b.less(like(x, -(2.0**-900)), x)  # the sine may be subnormal
        there = b.select(tiny, b.negative(b.call("log", b.negative(x))), there)
        there = b.select(b.equal(x, b.constant(-math.inf, x)), x, there)
        return b.select(left, there, right)

    return b.f.choose(b.any(left), reflected, lambda: right)


def digamma(b: Code, x: Value, single: bool) -> Value:
    """The derivative of gammaln. For x >= 1 from a fit of exp(digamma), which is nearly x - 1/2; between 0
    and 1 and on the left by digamma(x) = digamma(x + 1) - 1/x = digamma(1 - x) - pi cot(pi x)."""
    zero, one = b.constant(0.0, x), b.constant(1.0, x)
    left, low = b.less(x, zero), b.less(x, one)
    y = b.select(left, b.subtract(one, x), b.select(low, b.add(x, one), x))
    t = b.subtract(one, b.divide(b.constant(3.0, x), b.add(y, b.constant(0.5, x))))
    high, tail = (b.constant(v, x) for v in fits.DIGAMMA_ZERO)
    from_zero = b.subtract(b.subtract(y, high), tail)
    beside = b.call("log1p", b.multiply(from_zero, b.polynomial(t, fits.DIGAMMA)))
    right = b.subtract(beside, b.select(b.less_equal(one, x), zero, b.divide(one, x)))

    def reflected() -> Value:
        sine, cosine = _sin_cos_pi(b, x)
        there = b.subtract(beside, b.divide(b.multiply(b.constant(math.pi, x), cosine), sine))
        there = b.select(b.equal(sine, zero), b.constant(math.nan, x), there)
        return b.select(left, there, right)

    return b.f.choose(b.any(left), reflected, lambda: right)


def polygamma(b: Code, x: Value, single: bool, order: int) -> Value:
    """(-1)^(n+1) n! sum 1/(x+i)^(n+1); for negative x by the derivatives of the cotangent."""
    if order == 0:
        return digamma(b, x, single)
    zero, one = b.constant(0.0, x), b.constant(1.0, x)
    left = b.less(x, zero)
    y = b.select(left, b.subtract(one, x), x)
    total = b.multiply(b.constant(math.factorial(order), x), _zeta(b, y, order))
    right = total if order % 2 else b.negative(total)

    def reflected() -> Value:
        sine, cosine = _sin_cos_pi(b, x)
        cotangent = b.divide(cosine, sine)
        slope = b.polynomial(b.multiply(cotangent, cotangent), fits.cotangent_derivative(order))
        slope = slope if order % 2 else b.multiply(slope, cotangent)
        slope = b.multiply(slope, b.constant(math.pi ** (order + 1), x))
        there = b.subtract(b.negative(total), slope)
        infinity = b.constant(math.inf if order % 2 else -math.inf, x)
        at_pole = b.logical_or(b.equal(sine, zero), b.equal(x, b.constant(-math.inf, x)))
        return b.select(left, b.select(at_pole, infinity, there), right)

    return b.f.choose(b.any(left), reflected, lambda: right)


def _zeta(b: Code, x: Value, order: int) -> Value:
    """The sum of 1/(x+i)^(order+1): some terms, and the rest by Euler and Maclaurin."""
    one = b.constant(1.0, x)
    shift = fits.polygamma_shift(order)
    inverse = b.divide(one, b.add(x, b.constant(shift, x)))
    square = b.multiply(inverse, inverse)
    rest = b.multiply(square, b.polynomial(square, fits.polygamma_rest(order)))
    rest = b.add(rest, b.muladd(b.constant(0.5, x), inverse, b.constant(1 / order, x)))
    rest = b.multiply(power_by_squaring(b, inverse, order), rest)
    terms = [power_by_squaring(b, b.divide(one, b.add(x, b.constant(i, x))), order + 1) for i in range(shift)]
    total = terms[-1]
    for term in (*terms[-2:0:-1], rest, terms[0]):  # the largest of small x last, of large x last but one
        total = b.add(total, term)
    return total


SPECIAL: dict[str, Callable[..., Value]] = {
    "gaussian": gaussian,
    "erf": erf,
    "erfc": erfc,
    "ndtr": ndtr,
    "log_ndtr": log_ndtr,
    "inverse_mills": inverse_mills,
    "inverse_mills_derivative": inverse_mills_derivative,
    "erfinv": erfinv,
    "gammaln": gammaln,
    "digamma": digamma,
    "polygamma": polygamma,
    "sinc_derivative": sinc_derivative,
    "xlogx_derivative": xlogx_derivative,
    "silu": silu,
    "silu_derivative": silu_derivative,
    "gelu": gelu,
    "gelu_derivative": gelu_derivative,
    "gelu_tanh": gelu_tanh,
    "gelu_tanh_derivative": gelu_tanh_derivative,
}
#: Too long to be inlined.
LONG = frozenset(
    {"erfinv", "log_ndtr", "inverse_mills", "inverse_mills_derivative", "gammaln", "digamma", *OF_ORDER}
)
