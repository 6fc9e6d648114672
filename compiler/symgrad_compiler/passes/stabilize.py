"""The stable form of what is naively written: log(1 + exp x), log(sum(exp x)), log(softmax), 1 - erf(x) ...

It also runs on a cost before it is differentiated, so that derivatives of every order are stable; then it
never looks behind a tensor that the caller named.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

import numpy

from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Tensor, apply
from symgrad.ir.traverse import ancestors
from symgrad.ops.arithmetic import divide, log, multiply, negative, reciprocal
from symgrad.ops.create import fill_value
from symgrad.ops.kinds import FLOATS, Elementwise
from symgrad.ops.power import pow
from symgrad.ops.select import where
from symgrad.ops.special import erfc, ndtr
from symgrad.ops.transcendental import (
    exp,
    expm1,
    log1p,
)
from symgrad.registry import provide
from symgrad_compiler.passes.canonicalize import BEFORE_DIFFERENTIATION
from symgrad_compiler.passes.indices import RULES as INDICES
from symgrad_compiler.passes.logarithms import (
    log_of_moved,
    log_of_product,
    log_of_scaled_sum,
    log_of_selection,
    log_of_terms,
    log_of_weighted_sum,
    log_to_another_base,
)
from symgrad_compiler.passes.rewriting import Rewriting, applies
from symgrad_compiler.passes.selections import NORMAL as BEFORE
from symgrad_compiler.passes.squares import BEFORE_DIFFERENTIATION as SQUARES
from symgrad_compiler.passes.stable_forms import FIRST, LAST, ROWS
from symgrad_compiler.passes.systems import RULES as SYSTEMS
from symgrad_compiler.rewrite.engine import index, rewrite
from symgrad_compiler.rewrite.rules import Rule, function_rule


@function_rule(log, log1p, kind="stable", operands=(negative,))
def log_of_one_minus_exp(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """log(1 - e^x) = log(-expm1(x)) near 0, where the difference cancels, and log1p(-e^x) below -log 2,
    where the logarithm of nearly 1 loses digits."""
    inner = tensor.node.inputs[0]
    if inner.node.op is not negative or inner in barriers:
        return None
    term = inner.node.inputs[0]
    if term.node.op is not (expm1 if tensor.node.op is log else exp) or term in barriers:
        return None
    (x,) = term.node.inputs
    if x.node.op is where or x.dtype.kind not in FLOATS:
        return None  # it is one of the two already
    near = x > -math.log(2)
    beside, below = where(near, x, -1), where(near, -1, x)
    return where(near, log(-expm1(beside)), log1p(-exp(below)))


@function_rule(pow, kind="stable", operands=(exp,))
def power_of_exp(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """(e^x)^c = e^(c x) for a number c, which is not 0: e^x overflows, or is 0, before."""
    base, exponent = tensor.node.inputs
    c = fill_value(exponent)
    if (
        base in barriers
        or base.node.op is not exp
        or not isinstance(c, float)
        or not 0 < math.fabs(c) < math.inf
    ):
        return None
    return apply(exp, c * base.node.inputs[0])


@function_rule(erfc, kind="stable")
def erfc_of_deviations(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """erfc(-x / sqrt(2)) = 2 ndtr(x), which takes its exponential of x itself: rounding x / sqrt(2) alone
    costs x^2 units in the last place."""
    inner = tensor.node.inputs[0]
    is_negative = inner.node.op is negative and inner not in barriers
    if is_negative:
        inner = inner.node.inputs[0]
    x = None if inner in barriers else _over_root_two(inner)
    if x is None:
        return None
    scaled, has_minus = x
    return 2 * apply(ndtr, scaled if is_negative != has_minus else -scaled)


def _over_root_two(tensor: Tensor) -> tuple[Tensor, bool] | None:
    """x where the tensor is x / sqrt(2) or a product that says so, and whether it is -x / sqrt(2)."""
    op = tensor.node.op
    if op is not divide and op is not multiply:
        return None
    a, b = tensor.node.inputs
    if op is multiply and fill_value(a) is not None:
        a, b = b, a
    c = fill_value(b)
    if not isinstance(c, float) or tensor.dtype.kind not in FLOATS:
        return None
    wanted = math.sqrt(2) if op is divide else math.sqrt(0.5)
    is_near = math.fabs(math.fabs(c) - wanted) <= float(numpy.finfo(tensor.dtype.numpy).eps)
    return (a, c < 0) if is_near else None


@function_rule(multiply, kind="stable", operands=(reciprocal, negative))
def slope_of_log_ratio(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """p (1 / (x / y)) (1 / y) = p / x, and p (1 / (x / y)) (-(x / y) / y) = -p / y: the derivatives of
    log(x / y), where 0 meets infinity as soon as x / y is one of them."""
    for outer, inner in (tensor.node.inputs, tensor.node.inputs[::-1]):
        if outer in barriers or inner in barriers:
            continue
        factors = outer.node.inputs if outer.node.op is multiply else (outer,)
        for i, factor in enumerate(factors):
            ratio = None if factor in barriers else _of(reciprocal, factor, barriers)
            if ratio is None or ratio.node.op is not divide:
                continue
            x, y = ratio.node.inputs
            slope: Tensor
            if _of(reciprocal, inner, ()) is y:
                slope = apply(reciprocal, x)
            elif _is_over(_of(negative, inner, barriers), ratio, y):
                slope = -apply(reciprocal, y)
            else:
                continue
            return apply(multiply, factors[1 - i], slope) if len(factors) == 2 else slope
    return None


def _of(op: Elementwise, tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """x of op(x), where that may be looked at."""
    if tensor.node.op is not op:
        return None
    (x,) = tensor.node.inputs
    return None if x in barriers else x


def _is_over(tensor: Tensor | None, x: Tensor, y: Tensor) -> bool:
    """Whether a tensor is x / y."""
    if tensor is None or tensor.node.op is not divide:
        return False
    top, bottom = tensor.node.inputs
    return top is x and bottom is y


RULES: list[Rule] = [
    *log_of_moved,
    *log_of_one_minus_exp,
    *FIRST,
    *log_of_terms,
    *log_of_weighted_sum,
    *log_of_scaled_sum,
    *slope_of_log_ratio,
    *[row for row in ROWS if row not in FIRST],
    *log_of_product,
    *power_of_exp,
    *log_of_selection,
    *log_to_another_base,
    *LAST,
    *erfc_of_deviations,
]
NORMAL: list[Rule] = [*BEFORE, *INDICES, *RULES]
_apply = Rewriting("stabilize", RULES, normal=NORMAL)
_BEFORE_DIFFERENTIATION = index([*RULES, *SQUARES, *SYSTEMS, *BEFORE_DIFFERENTIATION])


@applies(_apply)
def stabilize(graph: Graph) -> Graph:
    """Apply the stabilising table to a canonical graph; what changes is brought into canonical form again."""
    return _apply(graph)


@provide("stabilize_tensors")
def stabilize_tensors(tensors: Iterable[Tensor], barriers: Iterable[Tensor]) -> dict[Tensor, Tensor]:
    """Each of `tensors` with its stable form; nothing looks behind `barriers`."""
    tensors = list(tensors)
    replaced = rewrite(ancestors(tensors), _BEFORE_DIFFERENTIATION, barriers, results=tensors)
    return {t: replaced.get(t, t) for t in tensors}
