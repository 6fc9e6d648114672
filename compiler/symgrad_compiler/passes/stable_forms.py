"""The stabilising table: what is naively written, and the form that keeps its digits and does not overflow.

Checked against correctly rounded references in `tests/compiler/test_stable.py`, where the naive forms fail.
Rows also hold before differentiation, so each has the derivative of what it replaces wherever that has one.
"""

from __future__ import annotations

import math

from symgrad.ops.arithmetic import abs, cbrt, log, reciprocal, rsqrt, sqrt, square
from symgrad.ops.inverse import asinh, atanh
from symgrad.ops.kinds import FLOATS
from symgrad.ops.reduce import max, prod, sum
from symgrad.ops.select import maximum, relu
from symgrad.ops.softmax import log_softmax, logsumexp, softmax
from symgrad.ops.special import erf, erfc, erfinv, log_ndtr, logit, ndtr, xlogx
from symgrad.ops.transcendental import (
    cos,
    cosh,
    exp,
    expm1,
    log1p,
    log2,
    log10,
    log_cosh,
    logaddexp,
    sech_squared,
    sigmoid,
    sin,
    sinh,
    softplus,
    tanh,
)
from symgrad_compiler.rewrite.pattern import attribute, spread, var
from symgrad_compiler.rewrite.rules import Rule, rule

x, y = var("x"), var("y")
A = attribute("axes")


def _stable(pattern: object, replacement: object, name: str) -> Rule:
    return rule(pattern, replacement, "stable", name, dtypes=FLOATS)


#: Before the rules that are functions.
FIRST: list[Rule] = [
    # log(1 + e^x) overflows for large x and loses digits for small
    _stable(log(1 + exp(x)), softplus(x), "softplus"),
    _stable(log1p(exp(x)), softplus(x), "softplus_log1p"),
    _stable(log(exp(x) + exp(y)), logaddexp(x, y), "logaddexp"),
]

#: After the rules that are functions.
LAST: list[Rule] = [
    # e^x overflows, or is 0; of y < 0 there is no logarithm
    _stable(log(exp(x) / y), x - log(y), "log_exp_over"),
    # log |x|^2, where x^2 overflows, underflows or is nearly 1
    _stable(log(square(x)), 2 * log(abs(x)), "log_square"),
]

# Earlier rows win, so the special forms stand before the general ones.
ROWS: list[Rule] = [
    *FIRST,
    # log(sum e^x): shift by the maximum
    _stable(log(sum(exp(x), axis=A)), logsumexp(x, axis=A), "logsumexp"),
    # log cosh x overflows for large x and loses digits near 0; so do the slopes of log(e^x + e^-x) there
    _stable(log(cosh(x)), log_cosh(x), "log_cosh"),
    _stable(log(2 * cosh(x)), log_cosh(x) + math.log(2), "log_two_cosh"),
    _stable(logaddexp(x, -x), log_cosh(x) + math.log(2), "logaddexp_of_opposites"),
    # the same to other bases
    *[
        row
        for base, factor in ((log2, 1 / math.log(2)), (log10, 1 / math.log(10)))
        for row in (
            _stable(base(1 + exp(x)), softplus(x) * factor, f"{base.name}_softplus"),
            _stable(base(sum(exp(x), axis=A)), logsumexp(x, axis=A) * factor, f"{base.name}_logsumexp"),
            _stable(base(cosh(x)), log_cosh(x) * factor, f"{base.name}_cosh"),
            _stable(base(exp(x)), x * factor, f"{base.name}_exp"),
            _stable(base(1 + x), log1p(x) * factor, f"{base.name}_log1p"),
            _stable(base(softmax(x, axis=A)), log_softmax(x, axis=A) * factor, f"{base.name}_softmax"),
            _stable(base(sigmoid(x)), softplus(-x) * -factor, f"{base.name}_sigmoid"),
        )
    ],
    # log(e^x / sum e^x) underflows
    _stable(log(softmax(x, axis=A)), log_softmax(x, axis=A), "log_softmax"),
    _stable(log(sigmoid(x)), -softplus(-x), "log_sigmoid"),
    _stable(log1p(-sigmoid(x)), -softplus(x), "log1p_sigmoid"),
    _stable(log(exp(x)), x, "log_exp"),
    _stable(log1p(expm1(x)), x, "log1p_expm1"),
    # log(e^x - 1) = x + log(1 - e^-x), where e^x overflows
    _stable(log(expm1(x)), x + log(-expm1(-x)), "log_expm1"),
    _stable(log(1 + x), log1p(x), "log1p"),
    _stable(log(1 - x), log1p(-x), "log1p_negative"),
    # log of a product of exponentials, which overflows
    _stable(log(prod(exp(x), axis=A)), sum(x, axis=A), "log_prod_exp"),
    _stable(log(prod(sigmoid(x), axis=A)), -sum(softplus(-x), axis=A), "log_prod_sigmoid"),
    _stable(log(exp(x) * y), x + log(y), "log_exp_times"),
    _stable(log(y / exp(x)), log(y) - x, "log_over_exp"),
    # what decays as e^-2x is 0 long before its logarithm overflows
    _stable(log(sech_squared(x)), -2 * log_cosh(x), "log_sech_squared"),
    _stable(log(sinh(x)), (x - math.log(2)) + log(-expm1(-2 * x)), "log_sinh"),
    # e^x / sum e^x
    _stable(exp(x) / spread(sum(exp(x), axis=A), A), softmax(x, axis=A), "softmax"),
    # the same for one term: log(e^x / sum e^y) = x - logsumexp(y)
    _stable(log(exp(x) / sum(exp(y), axis=A)), x - logsumexp(y, axis=A), "log_softmax_term"),
    _stable(
        log(exp(x) / spread(sum(exp(y), axis=A), A)),
        x - spread(logsumexp(y, axis=A), A),
        "log_softmax_ratio",
    ),
    # written with the maximum that keeps e^x finite: the op does so by itself, and its derivative knows
    _stable(softmax(x - spread(max(x, axis=A), A), axis=A), softmax(x, axis=A), "softmax_shifted"),
    _stable(
        log_softmax(x - spread(max(x, axis=A), A), axis=A), log_softmax(x, axis=A), "log_softmax_shifted"
    ),
    _stable(
        max(x, axis=A) + logsumexp(x - spread(max(x, axis=A), A), axis=A),
        logsumexp(x, axis=A),
        "logsumexp_shifted",
    ),
    # what is left of the largest x is small
    _stable(x - spread(logsumexp(x, axis=A), A), log_softmax(x, axis=A), "log_softmax_difference"),
    # e^x / (e^x + e^y)
    _stable(exp(x) / (exp(x) + exp(y)), sigmoid(x - y), "sigmoid_of_two"),
    # e^x / (1 + e^x)^2 = s(x) s(-x)
    _stable(exp(x) / square(1 + exp(x)), sigmoid(x) * sigmoid(-x), "sigmoid_derivative"),
    # 1 / (1 + e^-x), e^x / (1 + e^x), 1 - sigmoid(x)
    _stable(exp(x) / (1 + exp(x)), sigmoid(x), "sigmoid_ratio"),
    _stable(reciprocal(1 + exp(-x)), sigmoid(x), "sigmoid"),
    _stable(reciprocal(1 + exp(x)), sigmoid(-x), "sigmoid_reflected"),
    _stable(1 - sigmoid(x), sigmoid(-x), "one_minus_sigmoid"),
    # p / (1 - p) with p = s(x), whose logarithm is x where p or 1 - p is 0 already
    _stable(sigmoid(x) / sigmoid(-x), exp(x), "odds"),
    _stable(sigmoid(-x) / sigmoid(x), exp(-x), "odds_against"),
    # (1 + tanh(x)) / 2 = s(2 x): 0 already from x = -20 on
    _stable(1 + tanh(x), 2 * sigmoid(2 * x), "one_plus_tanh"),
    _stable(1 - tanh(x), 2 * sigmoid(-2 * x), "one_minus_tanh"),
    _stable(1 - square(tanh(x)), sech_squared(x), "sech_squared"),
    # hyperbolic functions by exponentials: inf / inf for large x, cancellation near 0
    _stable(sinh(x) / cosh(x), tanh(x), "tanh"),
    _stable((exp(x) - exp(-x)) / (exp(x) + exp(-x)), tanh(x), "tanh_of_exps"),
    _stable(expm1(x) / (1 + exp(x)), tanh(0.5 * x), "tanh_of_expm1"),
    _stable(-expm1(x) / (1 + exp(x)), -tanh(0.5 * x), "tanh_of_negative_expm1"),
    _stable(2 * sigmoid(x) - 1, tanh(0.5 * x), "tanh_of_sigmoid"),
    _stable((exp(x) - exp(-x)) / 2, sinh(x), "sinh"),
    _stable((exp(x) - exp(-x)) * 0.5, sinh(x), "sinh_half"),
    _stable((exp(x) + exp(-x)) / 2, cosh(x), "cosh"),
    _stable((exp(x) + exp(-x)) * 0.5, cosh(x), "cosh_half"),
    # e^x - 1, cosh x - 1 and 1 - cos x cancel near 0
    _stable(exp(x) - 1, expm1(x), "expm1"),
    _stable(1 - exp(x), -expm1(x), "one_minus_exp"),
    _stable(cosh(x) - 1, 2 * square(sinh(0.5 * x)), "cosh_minus_one"),
    _stable(1 - cosh(x), -2 * square(sinh(0.5 * x)), "one_minus_cosh"),
    _stable(1 - cos(x), 2 * square(sin(0.5 * x)), "one_minus_cos"),
    _stable(cos(x) - 1, -2 * square(sin(0.5 * x)), "cos_minus_one"),
    # 1 / e^x is 0 where e^-x is not yet
    _stable(reciprocal(exp(x)), exp(-x), "one_over_exp"),
    # the square of a large x overflows, that of a small one is 0
    _stable(sqrt(square(x)), abs(x), "abs"),
    _stable(sqrt(exp(x)), exp(0.5 * x), "root_of_exp"),
    _stable(rsqrt(exp(x)), exp(-0.5 * x), "inverse_root_of_exp"),
    _stable(cbrt(x * square(x)), x, "cube_root_of_cube"),
    # max(x, 0) + log(1 + e^-|x|), with its derivative at 0 (the logarithm is a softplus already)
    _stable(relu(x) + softplus(-abs(x)), softplus(x), "softplus_relu"),
    _stable(maximum(x, 0) + softplus(-abs(x)), softplus(x), "softplus_maximum"),
    _stable((relu(x) - y) + softplus(-abs(x)), softplus(x) - y, "binary_cross_entropy"),
    _stable((maximum(x, 0) - y) + softplus(-abs(x)), softplus(x) - y, "binary_cross_entropy_maximum"),
    # log(1 + e^x) - x = log(1 + e^-x) cancels for large x
    _stable(softplus(x) - x, softplus(-x), "softplus_minus"),
    _stable(x - softplus(x), -softplus(-x), "minus_softplus"),
    # erf x is 1 or -1 for large |x|, erfc x nearly 1 for small
    _stable(1 - erf(x), erfc(x), "erfc"),
    _stable(1 + erf(x), erfc(-x), "erfc_reflected"),
    _stable(1 - erfc(x), erf(x), "erf"),
    _stable(1 - ndtr(x), ndtr(-x), "ndtr"),
    # log of what underflows, or is nearly 1
    _stable(log(ndtr(x)), log_ndtr(x), "log_ndtr"),
    _stable(log1p(-ndtr(x)), log_ndtr(-x), "log1p_ndtr"),
    _stable(log(erfc(x)), log_ndtr(-math.sqrt(2) * x) + math.log(2), "log_erfc"),
    # as written, erfc / 2 is its half; the double may overflow
    _stable(0.5 * (2 * x), x, "half_of_double"),
    _stable((2 * x) / 2, x, "double_over_two"),
    _stable((0.5 * x) * (2 * y), x * y, "half_times_double"),
    # 0 log 0 is NaN where its limit is 0
    _stable(x * log(x), xlogx(x), "xlogx"),
    _stable(-x * log(x), -xlogx(x), "xlogx_of_negative"),
    _stable(x * -log(x), -xlogx(x), "xlogx_negative"),
    # x / (1 - x) is nearly 1 around 1/2
    _stable(log(x / (1 - x)), logit(x), "logit"),
    # the inner function saturates, or overflows
    _stable(logit(sigmoid(x)), x, "logit_sigmoid"),
    _stable(atanh(tanh(x)), x, "atanh_tanh"),
    _stable(asinh(sinh(x)), x, "asinh_sinh"),
    _stable(erfinv(erf(x)), x, "erfinv_erf"),
]
