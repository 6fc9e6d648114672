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
from symgrad.ops.arithmetic import add, divide, log, multiply, negative, reciprocal
from symgrad.ops.create import Constant, Fill, fill, fill_value
from symgrad.ops.gather import Gather, Take, TakeAlongAxis
from symgrad.ops.kinds import FLOATS, Elementwise
from symgrad.ops.reduce import Sum
from symgrad.ops.select import where
from symgrad.ops.shape import Broadcast, PermuteDims, Reshape, SpecifyShape
from symgrad.ops.slices import Slice
from symgrad.ops.softmax import LogSumExp, Softmax
from symgrad.ops.special import erfc, ndtr
from symgrad.ops.transcendental import exp, expm1, log1p, logaddexp, sigmoid
from symgrad.registry import provide
from symgrad_compiler.passes.canonicalize import BEFORE_DIFFERENTIATION
from symgrad_compiler.passes.indices import RULES as INDICES
from symgrad_compiler.passes.rewriting import Rewriting, applies
from symgrad_compiler.passes.selections import NORMAL as BEFORE
from symgrad_compiler.passes.stable_forms import FIRST, ROWS
from symgrad_compiler.passes.systems import RULES as SYSTEMS
from symgrad_compiler.rewrite.engine import index, rewrite
from symgrad_compiler.rewrite.rules import Rule, function_rule


@function_rule(log, kind="stable")
def log_of_moved(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """log(move(y)) = move(log(y)) for a reshape, slice, gather, ... of a softmax, sigmoid or sum of
    exponentials, so that the logarithm meets what it can be joined with."""
    chain: list[Tensor] = []
    inner = tensor.node.inputs[0]
    while isinstance(inner.node.op, _MOVES) and inner not in barriers:
        chain.append(inner)
        inner = inner.node.inputs[0]
    op = inner.node.op
    is_sum = isinstance(op, Sum) and inner.node.inputs[0].node.op is exp
    if not chain or inner in barriers or not (isinstance(op, Softmax) or op is sigmoid or is_sum):
        return None
    result = apply(log, inner)
    for moved in reversed(chain):
        result = apply(moved.node.op, result, *moved.node.inputs[1:])
    return result


@function_rule(log, kind="stable")
def log_of_terms(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """log(e^x + c e^y + d + ...) for positive numbers c, d: logaddexp of x, y + log c, log d, ..."""
    terms: list[Tensor] = []
    stack = [tensor.node.inputs[0]]
    while stack:
        term = stack.pop()
        if term.node.op is add and term not in barriers and len(terms) + len(stack) < _MOST_TERMS:
            stack += term.node.inputs[::-1]
        else:
            terms.append(term)
    exponents = [_exponent(t, barriers) for t in terms]
    if len(terms) < 2 or any(e is None for e in exponents) or all(isinstance(t.node.op, Fill) for t in terms):
        return None
    result = exponents[0]
    for exponent in exponents[1:]:
        result = apply(logaddexp, result, exponent)  # type: ignore[arg-type]
    return result


_MOST_TERMS = 64


def _exponent(term: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """x where the term is e^x, x + log k where it is k e^x for a positive number k; else None."""
    node = term.node
    value = fill_value(term)
    if isinstance(value, float):
        return fill(math.log(value), term.shape, term.dtype) if 0 < value < math.inf else None
    if term in barriers:
        return None
    if node.op is exp:
        return node.inputs[0]
    if node.op is not multiply:
        return None
    for k, e in (node.inputs, node.inputs[::-1]):
        if e.node.op is exp and e not in barriers and _is_positive(k):
            return apply(add, e.node.inputs[0], apply(log, k))
    return None


def _is_positive(tensor: Tensor) -> bool:
    """Whether a tensor is known and positive."""
    op = tensor.node.op
    while isinstance(op, Broadcast):
        tensor = tensor.node.inputs[0]
        op = tensor.node.op
    if isinstance(op, Constant):
        return bool((op.data.array > 0).all())
    value = fill_value(tensor)
    return isinstance(value, float) and value > 0


@function_rule(log, kind="stable", operands=(Sum,))
def log_of_weighted_sum(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """log(sum k e^x) = logsumexp(x + log k) for known positive k."""
    total = tensor.node.inputs[0]
    term = total.node.inputs[0]
    if total in barriers or term in barriers or term.node.op is not multiply:
        return None
    exponent = _exponent(term, barriers)
    assert isinstance(total.node.op, Sum)
    return None if exponent is None else apply(LogSumExp(total.node.op.axes), exponent)


@function_rule(log, kind="stable")
def log_of_scaled_sum(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """log(s / y) = log s - log y, where s is a sum of exponentials: of a mean, say."""
    ratio = tensor.node.inputs[0]
    if ratio.node.op is not divide or ratio in barriers:
        return None
    total, y = ratio.node.inputs
    is_sum = isinstance(total.node.op, Sum) and total.node.inputs[0].node.op is exp
    return apply(log, total) - apply(log, y) if is_sum and total not in barriers else None


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
    return tensor is not None and tensor.node.op is divide and tensor.node.inputs == (x, y)


_MOVES = (Reshape, PermuteDims, Broadcast, SpecifyShape, Slice, Take, TakeAlongAxis, Gather)


RULES: list[Rule] = [
    *log_of_moved,
    *log_of_one_minus_exp,
    *FIRST,
    *log_of_terms,
    *log_of_weighted_sum,
    *log_of_scaled_sum,
    *slope_of_log_ratio,
    *[row for row in ROWS if row not in FIRST],
    *erfc_of_deviations,
]
NORMAL: list[Rule] = [*BEFORE, *INDICES, *RULES]
_apply = Rewriting("stabilize", RULES, normal=NORMAL)
_BEFORE_DIFFERENTIATION = index([*RULES, *SYSTEMS, *BEFORE_DIFFERENTIATION])


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
