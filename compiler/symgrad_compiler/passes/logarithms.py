"""Logarithms of what overflows or is 0 before its logarithm does: of sums of exponentials, of products, of
selections; and of what was only moved since.

A rule asks `_is_worth_it` of its operand, and leaves the logarithms of the parts to the other rules.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from functools import partial, reduce
from typing import Any

import numpy

from symgrad.ir.tensor import Tensor, apply
from symgrad.ops.arithmetic import add, divide, log, multiply, reciprocal, rsqrt, sqrt, square
from symgrad.ops.create import Constant, Fill, fill, fill_value
from symgrad.ops.gather import Gather, Take, TakeAlongAxis
from symgrad.ops.power import pow
from symgrad.ops.reduce import Sum
from symgrad.ops.select import where
from symgrad.ops.shape import Broadcast, PermuteDims, Reshape, SpecifyShape
from symgrad.ops.slices import Slice
from symgrad.ops.softmax import LogSumExp, Softmax
from symgrad.ops.special import erfc, ndtr
from symgrad.ops.transcendental import cosh, exp, log2, log10, logaddexp, sech_squared, sigmoid
from symgrad_compiler.rewrite.rules import function_rule


@function_rule(log, kind="stable")
def log_of_moved(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """log(move(y)) = move(log(y)) for a reshape, slice, gather, ... of a softmax, sigmoid, sum of
    exponentials, or product of these, so that the logarithm meets what it can be joined with."""
    chain: list[Tensor] = []
    inner = tensor.node.inputs[0]
    while isinstance(inner.node.op, _MOVES) and inner not in barriers:
        chain.append(inner)
        inner = inner.node.inputs[0]
    if not chain or inner in barriers or not _is_worth_it(inner, barriers):
        return None
    result = apply(log, inner)
    for moved in reversed(chain):
        result = apply(moved.node.op, result, *moved.node.inputs[1:])
    return result


@function_rule(log2, log10, kind="stable")
def log_to_another_base(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """log2(y) = log(y) / log(2) where log(y) has a stable form; log10 likewise."""
    inner = tensor.node.inputs[0]
    if inner in barriers or not _is_worth_it(inner, barriers):
        return None
    return apply(log, inner) * (1 / math.log(2 if tensor.node.op is log2 else 10))


@function_rule(log, kind="stable", operands=(where,))
def log_of_selection(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """log(where(c, x, y)) = where(c, log(x), log(y)) where one of them has a stable form, and so has the
    other, or is that of a positive number."""
    selection = tensor.node.inputs[0]
    condition, x, y = selection.node.inputs
    is_worth_it = [t not in barriers and _is_worth_it(t, barriers) for t in (x, y)]
    is_known = [w or _is_positive(t) for w, t in zip(is_worth_it, (x, y), strict=True)]
    if selection in barriers or not any(is_worth_it) or not all(is_known):
        return None
    return where(condition, apply(log, x), apply(log, y))


@function_rule(log, kind="stable")
def log_of_terms(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """log(e^x + c e^y + d + ...) for positive numbers c, d: logaddexp of x, y + log c, log d, ..."""
    total = tensor.node.inputs[0]
    return _exponent(total, barriers) if total.node.op is add else None


_MOST_TERMS = 64


def _exponent_of_sum(total: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    terms: list[Tensor] = []
    stack = [total]
    while stack:
        term = stack.pop()
        if term.node.op is add and term not in barriers and len(terms) + len(stack) < _MOST_TERMS:
            stack += term.node.inputs[::-1]
        else:
            terms.append(term)
    if len(terms) < 2 or all(isinstance(t.node.op, Fill) for t in terms):
        return None
    exponents: list[Tensor] = []
    for term in terms:
        exponent = None if term.node.op is add else _exponent(term, barriers)
        if exponent is None:
            return None
        exponents.append(exponent)
    return reduce(partial(apply, logaddexp), exponents)


def _exponent(term: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """x where the term is e^x; the logarithm of a positive number; so of products with these, and of sums.
    Else None."""
    factors: list[Tensor] = []  # each the logarithm of a positive number
    while True:
        node = term.node
        value = fill_value(term)
        if isinstance(value, float):
            found = fill(math.log(value), term.shape, term.dtype) if 0 < value < math.inf else None
            break
        if term in barriers:
            return None
        if node.op is multiply and any(map(_is_positive, node.inputs)):
            k, term = node.inputs if _is_positive(node.inputs[0]) else node.inputs[::-1]
            factors.append(apply(log, k))
        elif node.op is divide and _is_positive(node.inputs[1]):
            term, k = node.inputs
            factors.append(-apply(log, k))
        else:
            found = _bare_exponent(term, barriers)
            break
    if found is None:
        return None
    for factor in reversed(factors):
        found = apply(add, found, factor)
    return found


def _bare_exponent(term: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """The exponent of what is no product."""
    node = term.node
    if node.op is exp:
        return node.inputs[0]
    if node.op is add:
        return _exponent_of_sum(term, barriers)
    if isinstance(node.op, Sum):
        inner = None if fill_value(node.inputs[0]) is not None else _weighted(node.inputs[0], barriers)
        return None if inner is None else apply(LogSumExp(node.op.axes), inner)
    return None


def _is_positive(tensor: Tensor) -> bool:
    """Whether a tensor is known and positive."""
    known = _known(tensor)
    return known is not None and bool((known > 0).all() and (known < math.inf).all())


def _known(tensor: Tensor) -> Any:
    """The numbers of a tensor, those of a constant before it is spread."""
    while isinstance(tensor.node.op, Broadcast):
        tensor = tensor.node.inputs[0]
    op = tensor.node.op
    if isinstance(op, Constant):
        return op.data.array if op.data.array.dtype.kind == "f" else None
    value = fill_value(tensor)
    return numpy.float64(value) if isinstance(value, float) else None


@function_rule(log, kind="stable", operands=(Sum,))
def log_of_weighted_sum(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """log(sum k e^x) = logsumexp(x + log k) for known k, which are not negative; so where k is a selection of
    e^x and 0."""
    total = tensor.node.inputs[0]
    if total in barriers or total.node.inputs[0].node.op is exp:
        return None
    return _bare_exponent(total, barriers)


def _weighted(term: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """The exponents of terms of a sum, -inf of what is left out."""
    undone: list[Callable[[Tensor], Tensor]] = []
    while term not in barriers:
        op, inputs = term.node.op, term.node.inputs
        k = next((t for t in inputs if _is_weight(t)), None) if op is multiply else None
        if op is where and fill_value(inputs[2]) == 0:
            undone.append(partial(_chosen, inputs[0]))
            term = inputs[1]
        elif k is not None:
            undone.append(partial(apply, add, apply(log, k)))
            term = inputs[1] if k is inputs[0] else inputs[0]
        else:
            break
    found = _exponent(term, barriers)
    if found is None:
        return None
    for step in reversed(undone):
        found = step(found)
    return found


def _chosen(condition: Tensor, exponent: Tensor) -> Tensor:
    return where(condition, exponent, -math.inf)


def _is_weight(tensor: Tensor) -> bool:
    """Whether these are known numbers, none of them negative or infinite."""
    known = _known(tensor)
    is_array = known is not None and known.ndim > 0
    return is_array and bool((known >= 0).all() and (known < math.inf).all())


@function_rule(log, kind="stable")
def log_of_product(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """log(x y), log(x / y), log(1 / x), log(x^n), log of the root of x in logarithms of x and y, where those
    have a stable form of their own, or are positive numbers: the product overflows, or is 0, before."""
    inner = tensor.node.inputs[0]
    parts = None if inner in barriers else _parts_of_product(inner, barriers)
    if parts is None:
        return None
    terms = [apply(log, t) if w == 1 else -apply(log, t) if w == -1 else w * apply(log, t) for w, t in parts]
    return reduce(partial(apply, add), terms)


def _is_worth_it(tensor: Tensor, barriers: Collection[Tensor]) -> bool:
    """Whether a rule has the logarithm of this."""
    return _has_stable_logarithm(tensor, barriers) or _parts_of_product(tensor, barriers) is not None


def _parts_of_product(product: Tensor, barriers: Collection[Tensor]) -> list[tuple[float, Tensor]] | None:
    """The factors of a product with their exponents: positive numbers, and what has a stable logarithm."""
    if product.node.op not in _PRODUCTS:
        return None
    parts: list[tuple[float, Tensor]] = []
    stack = [(1.0, product)]
    found_one = False
    while stack:
        weight, t = stack.pop()
        if _is_positive(t):
            parts.append((weight, t))
            continue
        if t in barriers or len(parts) + len(stack) > _MOST_TERMS:
            return None
        factors = _factors(t)
        if factors is not None:
            stack += [(weight * w, f) for w, f in reversed(factors)]
        elif _has_stable_logarithm(t, barriers):
            found_one = True
            parts.append((weight, t))
        else:
            return None
    return parts if found_one else None


_PRODUCTS = frozenset({multiply, divide, reciprocal, square, sqrt, rsqrt, pow})


def _factors(tensor: Tensor) -> list[tuple[float, Tensor]] | None:
    """The factors of a product with their exponents; None of what is no product."""
    op, inputs = tensor.node.op, tensor.node.inputs
    if op is multiply:
        return [(1.0, inputs[0]), (1.0, inputs[1])]
    if op is divide:
        return [(1.0, inputs[0]), (-1.0, inputs[1])]
    if op is pow:
        n = fill_value(inputs[1])
        return [(float(n), inputs[0])] if isinstance(n, float) and 0 < math.fabs(n) < math.inf else None
    n = {reciprocal: -1.0, square: 2.0, sqrt: 0.5, rsqrt: -0.5}.get(op)  # type: ignore[call-overload]
    return None if n is None else [(n, inputs[0])]


def _has_stable_logarithm(tensor: Tensor, barriers: Collection[Tensor]) -> bool:
    """Whether a rule has the logarithm of this, which is no product, and not negative."""
    while isinstance(tensor.node.op, _MOVES):
        tensor = tensor.node.inputs[0]
        if tensor in barriers:
            return False
    op = tensor.node.op
    if op in _WITH_LOGARITHM or isinstance(op, Softmax):
        return True
    return (op is add or isinstance(op, Sum)) and _bare_exponent(tensor, barriers) is not None


_WITH_LOGARITHM = frozenset({exp, sigmoid, cosh, sech_squared, ndtr, erfc})


@function_rule(log, kind="stable")
def log_of_scaled_sum(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """log(s / y) = log s - log y, where s is a sum of exponentials: of a mean, say."""
    ratio = tensor.node.inputs[0]
    if ratio.node.op is not divide or ratio in barriers:
        return None
    total, y = ratio.node.inputs
    is_sum = isinstance(total.node.op, Sum) and total.node.inputs[0].node.op is exp
    return apply(log, total) - apply(log, y) if is_sum and total not in barriers else None


_MOVES = (Reshape, PermuteDims, Broadcast, SpecifyShape, Slice, Take, TakeAlongAxis, Gather)
