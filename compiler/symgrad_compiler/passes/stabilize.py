"""The stable form of what is naively written: log(1 + exp x), log(sum(exp x)), log(softmax), 1 - erf(x) ...

It also runs on a cost before it is differentiated, so that derivatives of every order are stable; then it
never looks behind a tensor that the caller named.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Node, Tensor, apply
from symgrad.ir.traverse import ancestors
from symgrad.ops.arithmetic import abs, add, divide, log, multiply, reciprocal, sqrt, square
from symgrad.ops.create import Constant, Fill, fill, fill_value
from symgrad.ops.gather import Gather, Take, TakeAlongAxis
from symgrad.ops.reduce import Sum, sum
from symgrad.ops.shape import Broadcast, PermuteDims, Reshape
from symgrad.ops.slices import Slice
from symgrad.ops.softmax import LogSumExp, Softmax, log_softmax, logsumexp, softmax
from symgrad.ops.special import erf, erfc, logit, ndtr, xlogx
from symgrad.ops.transcendental import cosh, exp, expm1, log1p, log2, log10, logaddexp, sigmoid, softplus
from symgrad.registry import provide
from symgrad_compiler.passes.canonicalize import RULES as CANONICAL
from symgrad_compiler.passes.rewriting import Rewriting
from symgrad_compiler.rewrite.engine import index, rewrite
from symgrad_compiler.rewrite.pattern import attribute, spread, var
from symgrad_compiler.rewrite.rules import Rule, function_rule, rule

x, y = var("x"), var("y")
A = attribute("axes")

# Earlier rows win, so the special forms stand before the general ones.
ROWS: list[Rule] = [
    # log(1 + e^x) overflows for large x and loses digits for small
    rule(log(1 + exp(x)), softplus(x), "stable", "softplus"),
    rule(log1p(exp(x)), softplus(x), "stable", "softplus"),
    # log(sum e^x): shift by the maximum
    rule(log(sum(exp(x), axis=A)), logsumexp(x, axis=A), "stable", "logsumexp"),
    rule(log(exp(x) + exp(y)), logaddexp(x, y), "stable", "logaddexp"),
    # log cosh x = log(e^x + e^-x) - log 2
    rule(log(cosh(x)), logaddexp(x, -x) - math.log(2), "stable", "log_cosh"),
    # the same to other bases
    *[
        row
        for base, factor in ((log2, 1 / math.log(2)), (log10, 1 / math.log(10)))
        for row in (
            rule(base(1 + exp(x)), softplus(x) * factor, "stable", "softplus"),
            rule(base(sum(exp(x), axis=A)), logsumexp(x, axis=A) * factor, "stable", "logsumexp"),
        )
    ],
    # log(e^x / sum e^x) underflows
    rule(log(softmax(x, axis=A)), log_softmax(x, axis=A), "stable", "log_softmax"),
    rule(log(sigmoid(x)), -softplus(-x), "stable", "log_sigmoid"),
    rule(log(exp(x)), x, "stable", "log_exp"),
    rule(log(1 + x), log1p(x), "stable", "log1p"),
    # e^x / sum e^x
    rule(exp(x) / spread(sum(exp(x), axis=A), A), softmax(x, axis=A), "stable", "softmax"),
    # the same for one term: log(e^x / sum e^y) = x - logsumexp(y)
    rule(log(exp(x) / sum(exp(y), axis=A)), x - logsumexp(y, axis=A), "stable", "log_softmax_term"),
    rule(
        log(exp(x) / spread(sum(exp(y), axis=A), A)),
        x - spread(logsumexp(y, axis=A), A),
        "stable",
        "log_softmax",
    ),
    # e^x / (e^x + e^y)
    rule(exp(x) / (exp(x) + exp(y)), sigmoid(x - y), "stable", "sigmoid"),
    # 1 / (1 + e^-x), e^x / (1 + e^x), 1 - sigmoid(x)
    rule(exp(x) / (1 + exp(x)), sigmoid(x), "stable", "sigmoid"),
    rule(reciprocal(1 + exp(-x)), sigmoid(x), "stable", "sigmoid"),
    rule(reciprocal(1 + exp(x)), sigmoid(-x), "stable", "sigmoid"),
    rule(1 - sigmoid(x), sigmoid(-x), "stable", "sigmoid"),
    # e^x - 1 cancels near 0
    rule(exp(x) - 1, expm1(x), "stable", "expm1"),
    # the square of a large x overflows
    rule(sqrt(square(x)), abs(x), "stable", "abs"),
    # erf x is 1 or -1 for large |x|
    rule(1 - erf(x), erfc(x), "stable", "erfc"),
    rule(1 + erf(x), erfc(-x), "stable", "erfc"),
    rule(1 - ndtr(x), ndtr(-x), "stable", "ndtr"),
    # 0 log 0 is NaN where its limit is 0
    rule(x * log(x), xlogx(x), "stable", "xlogx"),
    rule(-x * log(x), -xlogx(x), "stable", "xlogx"),
    rule(x * -log(x), -xlogx(x), "stable", "xlogx"),
    # x / (1 - x) is nearly 1 around 1/2
    rule(log(x / (1 - x)), logit(x), "stable", "logit"),
]


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


_MOVES = (Reshape, PermuteDims, Broadcast, Slice, Take, TakeAlongAxis, Gather)


@dataclass(frozen=True, eq=False)
class OfReals:
    """A rule where values are real. log(exp z) is not z, and log(z / w) not log z - log w, for complex
    numbers."""

    of: Rule

    @property
    def key(self) -> Any:
        return self.of.key

    @property
    def name(self) -> str:
        return self.of.name

    @property
    def kind(self) -> str:
        return self.of.kind

    @property
    def maths(self) -> str:
        return self.of.maths

    def plausible(self, node: Node) -> bool:
        return node.output.dtype.kind != "complex" and self.of.plausible(node)

    def apply(self, tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
        return self.of.apply(tensor, barriers)


RULES: list[Rule] = [
    OfReals(r)
    for r in (
        *log_of_moved,
        *ROWS[:2],
        *log_of_terms,
        *log_of_weighted_sum,
        *log_of_scaled_sum,
        *ROWS[2:],
    )
]
_apply = Rewriting("stabilize", RULES, normal=CANONICAL)
_EVERY = index([*RULES, *CANONICAL])


def stabilize(graph: Graph) -> Graph:
    """Apply the stabilising table to a canonical graph; what changes is brought into canonical form again."""
    return _apply(graph)


@provide("stabilize_tensors")
def stabilize_tensors(tensors: Iterable[Tensor], barriers: Iterable[Tensor]) -> dict[Tensor, Tensor]:
    """Each of `tensors` with its stable form; nothing looks behind `barriers`."""
    tensors = list(tensors)
    replaced = rewrite(ancestors(tensors), _EVERY, barriers)
    return {t: replaced.get(t, t) for t in tensors}
