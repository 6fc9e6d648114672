"""One form for what can be said in several ways.

Rules here are exact (bits, NaN and inf the same), unless they say otherwise.
"""

from __future__ import annotations

from collections.abc import Collection

from symgrad import registry
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Tensor, apply
from symgrad.ops.arithmetic import negative, reciprocal, square
from symgrad.ops.compare import logical_not
from symgrad.ops.create import Fill
from symgrad.ops.kinds import Elementwise
from symgrad.ops.power import pow
from symgrad.ops.reduce import Sum
from symgrad.ops.select import maximum, minimum, where
from symgrad.ops.shape import Broadcast, PermuteDims, Reshape
from symgrad_compiler.passes.rewriting import Rewriting
from symgrad_compiler.rewrite.pattern import var
from symgrad_compiler.rewrite.rules import Rule, function_rule, rule

c, x, y = var("c"), var("x"), var("y")

IDENTITIES: list[Rule] = [
    rule(x * 1, x),
    rule(x * -1, -x),
    rule(x / 1, x),
    rule(x / -1, -x),
    rule(x - 0, x),  # not x + 0, which makes 0 of -0
    rule(x + -0.0, x),
    rule(negative(-x), x),
    rule(x + -y, x - y),
    rule(x - -y, x + y),
    rule(-x * -y, x * y),
    rule(1 / x, reciprocal(x)),
    rule(x * x, square(x)),
    rule(square(-x), square(x)),
    rule(pow(x, 1), x),
    rule(pow(x, 2), square(x), "stable"),  # rounded once; libraries' powers are off by up to a unit
    rule(maximum(x, x), x),
    rule(minimum(x, x), x),
    rule(where(c, x, x), x),
    rule(where(logical_not(c), x, y), where(c, y, x)),
    rule(logical_not(logical_not(c)), c),
]


@function_rule(Reshape)
def reshape_of_reshape(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """reshape(reshape(x)) = reshape(x), and reshape(x) = x where the shape is x's."""
    operand = tensor.node.inputs[0]
    if operand.shape == tensor.shape:
        return operand
    inner = operand.node
    if isinstance(inner.op, Fill):
        return apply(Fill(inner.op.value, tensor.shape))
    if not isinstance(inner.op, Reshape) or operand in barriers:
        return None
    source = inner.inputs[0]
    return source if source.shape == tensor.shape else apply(Reshape(tensor.shape), source)


@function_rule(PermuteDims)
def permute_of_permute(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """permute(permute(x, p), q) = permute(x, p[q]), and permute(x) = x where the order is kept."""
    op, operand = tensor.node.op, tensor.node.inputs[0]
    assert isinstance(op, PermuteDims)
    inner = operand.node
    if op.axes == tuple(range(len(op.axes))):
        return operand
    if isinstance(inner.op, Fill):
        return apply(Fill(inner.op.value, tensor.shape))
    if not isinstance(inner.op, PermuteDims) or operand in barriers:
        return None
    order = tuple(inner.op.axes[a] for a in op.axes)
    source = inner.inputs[0]
    return source if order == tuple(range(len(order))) else apply(PermuteDims(order), source)


@function_rule(Broadcast)
def broadcast_of_broadcast(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """broadcast(broadcast(x)) = broadcast(x); a broadcast of one number is that number everywhere."""
    op, operand = tensor.node.op, tensor.node.inputs[0]
    assert isinstance(op, Broadcast)
    if not op.axes:
        return operand
    inner = operand.node
    if isinstance(inner.op, Fill):
        return apply(Fill(inner.op.value, tensor.shape))
    if not isinstance(inner.op, Broadcast) or operand in barriers:
        return None
    kept = [i for i in range(tensor.ndim) if i not in op.axes]
    axes = sorted({*op.axes, *(kept[a] for a in inner.op.axes)})
    return apply(Broadcast(op.shape, tuple(axes)), inner.inputs[0])


@function_rule(Sum, kind="rounding")
def sum_of_one(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """A sum over axes of size 1 is a reshape, but for the sign of a zero: it begins with 0, 0 + -0 = 0."""
    op, operand = tensor.node.op, tensor.node.inputs[0]
    assert isinstance(op, Sum)
    if all(operand.shape[a] == 1 for a in op.axes):
        return apply(Reshape(tensor.shape), operand)
    return None


def hoist_broadcast(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """f(broadcast(x), 2, broadcast(y)) = broadcast(f(x, 2, y)): compute before copying."""
    spread: Broadcast | None = None
    for operand in tensor.node.inputs:
        op = operand.node.op
        if isinstance(op, Broadcast) and (spread is None or op == spread) and operand not in barriers:
            spread = op
        elif not isinstance(op, Fill):
            return None
    if spread is None:
        return None
    small = next(
        t.node.inputs[0].shape
        for t in tensor.node.inputs
        if t.node.op is not None and isinstance(t.node.op, Broadcast)
    )
    operands = [
        apply(Fill(t.node.op.value, small)) if isinstance(t.node.op, Fill) else t.node.inputs[0]
        for t in tensor.node.inputs
    ]
    return apply(spread, apply(tensor.node.op, *operands))


_HOIST = function_rule(
    *[op for op in registry.ops.values() if isinstance(op, Elementwise)], operands=(Broadcast,)
)(hoist_broadcast)

RULES: list[Rule] = [
    *IDENTITIES,
    *reshape_of_reshape,
    *permute_of_permute,
    *broadcast_of_broadcast,
    *sum_of_one,
    *_HOIST,
]
_apply = Rewriting("canonicalize", RULES)


def canonicalize(graph: Graph) -> Graph:
    """Apply the exact identities."""
    return _apply(graph)
