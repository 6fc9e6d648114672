"""Rules that hold for numbers, but not for NaN, infinities and the edges of domains: on demand only.

`sg.function(..., passes=(*sg.passes.default, sg.passes.fast))`
"""

from __future__ import annotations

from symgrad.ir.graph import Graph
from symgrad.ops.arithmetic import divide, log, sqrt, square
from symgrad.ops.compare import equal, isnan
from symgrad.ops.inverse import atanh
from symgrad.ops.kinds import FLOATS
from symgrad.ops.power import pow
from symgrad.ops.select import masked_multiply
from symgrad.ops.special import erf, erfinv, logit
from symgrad.ops.transcendental import cos, exp, expm1, log1p, sigmoid, sin, tanh
from symgrad_compiler.passes.reductions import NORMAL
from symgrad_compiler.passes.rewriting import Rewriting, applies
from symgrad_compiler.passes.transforms import RULES as TRANSFORMS
from symgrad_compiler.rewrite.pattern import var
from symgrad_compiler.rewrite.rules import Rule, rule

x, y = var("x"), var("y")


def _fast(pattern: object, replacement: object, name: str) -> Rule:
    return rule(pattern, replacement, "fast", name, dtypes=FLOATS)


RULES: list[Rule] = [
    # each is wrong for infinite x, or for NaN
    _fast(x * 0, 0, "fast_times_zero"),
    _fast(divide(0, x), 0, "fast_zero_over"),
    _fast(x - x, 0, "fast_minus_itself"),
    _fast(x / x, 1, "fast_over_itself"),
    _fast(square(sin(x)) + square(cos(x)), 1, "fast_pythagoras"),
    _fast(masked_multiply(x, y), x * y, "fast_unmasked"),
    rule(equal(x, x), 1, "fast", "fast_equal_itself"),
    rule(isnan(x), 0, "fast", "fast_never_nan"),
    # for -0
    _fast(x + 0, x, "fast_plus_zero"),
    _fast(0 - x, -x, "fast_zero_minus"),
    _fast(pow(x, 0.5), sqrt(x), "fast_root"),
    # where y is 0 or infinite
    _fast((x * y) / y, x, "fast_times_over"),
    _fast((x / y) * y, x, "fast_over_times"),
    _fast((x + y) - y, x, "fast_plus_minus"),
    _fast((x - y) + y, x, "fast_minus_plus"),
    # outside the domain of the inner function, where it is NaN
    _fast(exp(log(x)), x, "fast_exp_log"),
    _fast(exp(log1p(x)), 1 + x, "fast_exp_log1p"),
    _fast(expm1(log1p(x)), x, "fast_expm1_log1p"),
    _fast(square(sqrt(x)), x, "fast_square_root"),
    _fast(sqrt(x) * sqrt(y), sqrt(x * y), "fast_product_of_roots"),
    _fast(tanh(atanh(x)), x, "fast_tanh_atanh"),
    _fast(sigmoid(logit(x)), x, "fast_sigmoid_logit"),
    _fast(erf(erfinv(x)), x, "fast_erf_erfinv"),
    # for x <= 0
    _fast(log(pow(x, y)), y * log(x), "fast_log_power"),
    _fast(log(x) + log(y), log(x * y), "fast_sum_of_logs"),
    _fast(log(x) - log(y), log(x / y), "fast_difference_of_logs"),
    *TRANSFORMS,
]
_apply = Rewriting("fast", RULES, normal=NORMAL)


@applies(_apply)
def fast(graph: Graph) -> Graph:
    """Apply rules that change NaN, infinities and the edges of domains."""
    return _apply(graph)
