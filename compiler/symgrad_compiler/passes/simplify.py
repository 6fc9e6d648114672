"""Shorter forms of the same mathematics. Rules here may round otherwise, by a few units in the last place;
those of softmax are finite where the logarithm is not."""

from __future__ import annotations

from collections.abc import Collection

import numpy

from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Tensor, apply, same_tensors
from symgrad.ops.arithmetic import add, multiply, negative, reciprocal, subtract
from symgrad.ops.cast import AsType
from symgrad.ops.create import Fill, SizeOf, fill, fill_value
from symgrad.ops.gather import OneHot, ScatterAddAlongAxis
from symgrad.ops.kinds import INEXACT
from symgrad.ops.reduce import Sum
from symgrad.ops.select import masked_multiply
from symgrad.ops.shape import Broadcast, Reshape, broadcast_to, reshape
from symgrad.ops.softmax import LogSoftmax, Softmax, SoftmaxFromLog, log_softmax, softmax
from symgrad.ops.special import erf, erfc, ndtr
from symgrad.ops.transcendental import cos, exp, sigmoid, sin, tanh
from symgrad_compiler.passes.rewriting import Rewriting, applies
from symgrad_compiler.passes.stabilize import NORMAL as BEFORE
from symgrad_compiler.rewrite.pattern import attribute, spread, var
from symgrad_compiler.rewrite.rules import Rule, function_rule, rule

x, y, z = var("x"), var("y"), var("z")
A = attribute("axes")

ROWS: list[Rule] = [
    # e^(x - logsumexp(x)) = e^x / sum e^x, which is 0, not NaN, where all x are -inf
    rule(exp(log_softmax(x, axis=A)), softmax(x, axis=A), "stable", "exp_of_log_softmax"),
    # (-z)(x - y) = z (y - x), but for the sign of a zero
    rule(negative(z) * (x - y), z * (y - x), "rounding", "negative_factor"),
    rule(spread(negative(z), A) * (x - y), spread(z, A) * (y - x), "rounding", "negative_factor_repeated"),
]


@function_rule(SoftmaxFromLog, kind="stable")
def softmax_of_its_logarithm(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """The same, as derivatives write it. Both take one exponential of x - max(x), which they then share."""
    op, (logarithm, operand) = tensor.node.op, tensor.node.inputs
    assert isinstance(op, SoftmaxFromLog)
    inner = logarithm.node
    if inner.op != LogSoftmax(op.axes) or inner.inputs[0] is not operand or logarithm in barriers:
        return None
    return apply(Softmax(op.axes), operand)


@function_rule(subtract, kind="rounding")
def common_factor(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """c x - c y = c (x - y), for a number c, where x - y cannot overflow alone."""
    products = [t.node for t in tensor.node.inputs]
    if any(n.op is not multiply or n.output in barriers for n in products):
        return None
    for c in products[0].inputs:
        if _is_number(c) and any(_equal_numbers(c, d) for d in products[1].inputs):
            x, y = (_other(n.inputs, c) for n in products)
            return apply(multiply, c, apply(subtract, x, y)) if _never_overflows(c, x, y) else None
    return None


@function_rule(add, kind="rounding", operands=(multiply,))
def opposite_factors(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """c x + (-c) y = c (x - y), for a number c, where x - y cannot overflow alone."""
    products = [t.node for t in tensor.node.inputs]
    if any(n.op is not multiply or n.output in barriers for n in products):
        return None
    for first, second in (products, products[::-1]):
        for c in first.inputs:
            if not _is_number(c) or _is_negative(c):
                continue
            for d in second.inputs:
                if _are_opposite(c, d):
                    x, y = _other(first.inputs, c), _other(second.inputs, d)
                    return apply(multiply, c, apply(subtract, x, y)) if _never_overflows(c, x, y) else None
    return None


def _is_negative(c: Tensor) -> bool:
    value = fill_value(c)
    return isinstance(value, float) and value < 0


def _are_opposite(c: Tensor, d: Tensor) -> bool:
    """Whether d is -c."""
    if isinstance(c.node.op, Fill) and isinstance(d.node.op, Fill):
        a, b = fill_value(c), fill_value(d)
        return isinstance(a, float) and isinstance(b, float) and a == -b
    if not (isinstance(c.node.op, Broadcast) and isinstance(d.node.op, Broadcast)):
        return False
    number, other = c.node.inputs[0], d.node.inputs[0]
    return c.node.op == d.node.op and other.node.op is negative and other.node.inputs[0] is number


def _is_number(tensor: Tensor) -> bool:
    """Whether the tensor is one number everywhere."""
    op = tensor.node.op
    return isinstance(op, Fill) or (isinstance(op, Broadcast) and not tensor.node.inputs[0].ndim)


#: What these make is small.
_SMALL = frozenset({sigmoid, tanh, sin, cos, erf, erfc, ndtr})


def _never_overflows(c: Tensor, x: Tensor, y: Tensor) -> bool:
    """Whether x - y overflows only where c x - c y does: c is no less than 1, or x or y is small. (Parts of a
    product with 1 + i may cancel.)"""
    value = fill_value(c)
    is_large = value is not None and abs(value) >= 1 and 0 in (complex(value).real, complex(value).imag)
    return is_large or c.dtype.kind not in INEXACT or _is_small(x) or _is_small(y)


def _is_small(tensor: Tensor) -> bool:
    while isinstance(tensor.node.op, (Broadcast, Reshape)):
        tensor = tensor.node.inputs[0]
    op, value = tensor.node.op, fill_value(tensor)
    if value is not None:
        return abs(value) <= 1
    if isinstance(op, AsType):
        return tensor.node.inputs[0].dtype.kind not in INEXACT
    return op in _SMALL or isinstance(op, (OneHot, Softmax, SoftmaxFromLog))


def _equal_numbers(a: Tensor, b: Tensor) -> bool:
    return a is b or (a.node.op == b.node.op and same_tensors(a.node.inputs, b.node.inputs))


def _other(factors: tuple[Tensor, ...], c: Tensor) -> Tensor:
    first, second = factors
    return second if _equal_numbers(first, c) else first


@function_rule(multiply, kind="rounding")
def negative_number(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """c (x - y) = |c| (y - x) for a negative number c, but for the sign of a zero."""
    for c, other in (tensor.node.inputs, tensor.node.inputs[::-1]):
        value = fill_value(c)
        if isinstance(value, float) and value < 0 and other.node.op is subtract and other not in barriers:
            a, b = other.node.inputs
            return apply(multiply, fill(-value, c.shape, c.dtype), apply(subtract, b, a))
    return None


@function_rule(masked_multiply)
def masked_by_a_number(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """A product with a number that is never 0 masks nothing."""
    g, p = tensor.node.inputs
    return apply(multiply, g, p) if _is_number(g) and g not in barriers and _never_zero(g) else None


def _never_zero(tensor: Tensor) -> bool:
    """Whether a number is never 0, as the inverse of a size is not, as far as a short look can tell."""
    op = tensor.node.op
    while op is negative or isinstance(op, Broadcast):
        tensor = tensor.node.inputs[0]
        op = tensor.node.op
    if isinstance(op, Fill):
        return bool(op.value.numpy != 0)
    return op is reciprocal and isinstance(_behind_casts(tensor.node.inputs[0]).node.op, SizeOf)


def _behind_casts(tensor: Tensor) -> Tensor:
    while isinstance(tensor.node.op, AsType):
        tensor = tensor.node.inputs[0]
    return tensor


@function_rule(ScatterAddAlongAxis, kind="rounding")
def scattered_number(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """A number scattered to one place in each row is that number times a one-hot tensor: a strong product,
    unless it is known to be finite. But for the sign of a zero."""
    op, (g, at) = tensor.node.op, tensor.node.inputs
    assert isinstance(op, ScatterAddAlongAxis)
    if not _is_number(g) or g in barriers or at.shape[op.axis] != 1 or g.dtype.kind == "bool":
        return None
    index = reshape(at, tuple(d for i, d in enumerate(at.shape) if i != op.axis))
    hot = apply(OneHot(op.axis, op.shape[op.axis], g.dtype), index)
    if fill_value(g) == 1:
        return hot
    scale = broadcast_to(_number(g), hot.shape)
    return apply(multiply, scale, hot) if _never_infinite(g) else apply(masked_multiply, hot, scale)


def _never_infinite(tensor: Tensor) -> bool:
    """Whether a number is finite: a known one, or the inverse of a size (of none, there is nothing to
    scale)."""
    op = tensor.node.op
    while op is negative or isinstance(op, Broadcast):
        tensor = tensor.node.inputs[0]
        op = tensor.node.op
    if isinstance(op, Fill):
        return bool(numpy.isfinite(op.value.numpy))
    return op is reciprocal and isinstance(_behind_casts(tensor.node.inputs[0]).node.op, SizeOf)


def _number(tensor: Tensor) -> Tensor:
    op = tensor.node.op
    return apply(Fill(op.value, ())) if isinstance(op, Fill) else tensor.node.inputs[0]


@function_rule(Sum, kind="rounding")
def sum_of_one_hot(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """The sum of c one_hot(i) along its axis is c, for a number c."""
    op, operand = tensor.node.op, tensor.node.inputs[0]
    assert isinstance(op, Sum)
    for c, hot in (operand.node.inputs, operand.node.inputs[::-1]) if operand.node.op is multiply else ():
        inner = hot.node.op
        if (
            isinstance(inner, OneHot)
            and op.axes == (inner.axis,)
            and _is_number(c)
            and operand not in barriers
        ):
            return broadcast_to(_number(c), tensor.shape)
    return None


RULES: list[Rule] = [
    *ROWS,
    *softmax_of_its_logarithm,
    *common_factor,
    *opposite_factors,
    *negative_number,
    *scattered_number,
    *masked_by_a_number,
    *sum_of_one_hot,
]
NORMAL: list[Rule] = [*BEFORE, *RULES]
_apply = Rewriting("simplify", RULES, normal=NORMAL)


@applies(_apply)
def simplify(graph: Graph) -> Graph:
    """Apply the simplifying table to a canonical graph; what changes is brought into canonical form again."""
    return _apply(graph)
