"""Sums of what is repeated, moved, scaled or summed already. Most of these add in another order, so they may
round otherwise; sums of integers are the same."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy

from symgrad import dims
from symgrad.dims import Dim, Size
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Tensor, apply
from symgrad.ir.values import Scalar
from symgrad.ops.arithmetic import multiply, negative
from symgrad.ops.cast import astype
from symgrad.ops.contract import contract_pair
from symgrad.ops.create import Fill, fill, fill_value, size_tensor
from symgrad.ops.kinds import INTEGERS, REALS, known_finite
from symgrad.ops.reduce import Max, Min, Sum, Supremum
from symgrad.ops.select import masked_multiply
from symgrad.ops.shape import Broadcast, PermuteDims, Reshape, broadcast_to
from symgrad.ops.slices import Slice, Unslice
from symgrad_compiler.passes.parts import SUMS
from symgrad_compiler.passes.provable import at_least, groups, is_whole, stays_inside
from symgrad_compiler.passes.rewriting import Rewriting, applies
from symgrad_compiler.passes.strength import NORMAL as BEFORE
from symgrad_compiler.rewrite.rules import Rule, function_rule

# ---- sums and moves ---------------------------------------------------------------------------------


def _axes(tensor: Tensor) -> tuple[int, ...]:
    op = tensor.node.op
    assert isinstance(op, Sum)
    return op.axes


@function_rule(Sum, kind="rounding")
def sum_of_one(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """A sum over axes of size 1, or none, is a reshape; but for the sign of a zero: 0 + -0 is not
    computed."""
    operand = tensor.node.inputs[0]
    if any(operand.shape[a] != 1 for a in _axes(tensor)):
        return None
    return operand if operand.shape == tensor.shape else apply(Reshape(tensor.shape), operand)


@function_rule(Sum, kind="rounding", operands=(Sum,), unshared=True)
def sum_of_sum(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """sum(sum(x)) = sum(x), over the axes of both."""
    inner = tensor.node.inputs[0]
    if inner in barriers:
        return None
    x, first = inner.node.inputs[0], _axes(inner)
    kept = [i for i in range(x.ndim) if i not in first]
    return apply(Sum(tuple(sorted({*first, *(kept[a] for a in _axes(tensor))}))), x)


@function_rule(Sum, kind="rounding", operands=(PermuteDims,))
def sum_of_permute(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """sum(permute(x)) = permute(sum(x))"""
    inner = tensor.node.inputs[0]
    op = inner.node.op
    assert isinstance(op, PermuteDims)
    if inner in barriers:
        return None
    summed = {op.axes[a] for a in _axes(tensor)}
    found = apply(Sum(tuple(sorted(summed))), inner.node.inputs[0])
    left = [a for a in op.axes if a not in summed]
    order = tuple(sorted(left).index(a) for a in left)
    return found if order == tuple(range(len(order))) else apply(PermuteDims(order), found)


@function_rule(Sum, kind="rounding", operands=(Reshape,))
def sum_of_reshape(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """sum(reshape(x)) = sum(x), and a reshape of that, where it sums whole axes of x."""
    inner = tensor.node.inputs[0]
    x, axes = inner.node.inputs[0], _axes(tensor)
    pairs = None if inner in barriers else groups(x.shape, inner.shape)
    if len(axes) == inner.ndim and inner not in barriers:
        pairs = [(tuple(range(x.ndim)), axes)]
    if pairs is None:
        return None
    summed: list[int] = []
    for old, new in pairs:
        inside = [a in axes for a in new]
        if all(inside):
            summed += old
        elif any(inside):
            return None
    if not summed:
        return None
    found = apply(Sum(tuple(sorted(summed))), x)
    return found if found.shape == tensor.shape else apply(Reshape(tensor.shape), found)


@function_rule(Sum, kind="rounding", operands=(Unslice,))
def sum_of_unslice(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """The sum of what is written among zeros is its sum."""
    inner = tensor.node.inputs[0]
    op, axes = inner.node.op, _axes(tensor)
    assert isinstance(op, Unslice)
    if inner in barriers or not stays_inside(Slice(op.starts, op.stops, op.steps), inner.shape):
        return None
    ranges = list(zip(op.starts, op.stops, op.steps, inner.shape, strict=True))
    left = [r for i, r in enumerate(ranges) if i not in axes]
    if all(is_whole(*r) for i, r in enumerate(ranges) if i in axes):
        return None
    found = apply(Sum(axes), inner.node.inputs[0])
    if all(is_whole(*r) for r in left):
        return found
    starts, stops, steps, shape = zip(*left, strict=True)
    return apply(Unslice(starts, stops, steps, shape), found)


# ---- what is repeated -------------------------------------------------------------------------------


@function_rule(Sum, kind="rounding", operands=(Broadcast, Fill))
def sum_of_broadcast(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """n equal numbers are n times one: sum(broadcast(x)) = n x, and sum(x) along the axes of its own."""
    inner = tensor.node.inputs[0]
    op, axes = inner.node.op, _axes(tensor)
    if isinstance(op, Fill):
        if tensor.dtype.kind not in REALS or not numpy.isfinite(op.value.numpy):
            return None
        return _times(apply(Fill(op.value, tensor.shape)), dims.count(inner.shape[a] for a in axes))
    assert isinstance(op, Broadcast)
    repeated = [a for a in axes if a in op.axes]
    if inner in barriers or not repeated or tensor.dtype.kind not in REALS:
        return None
    kept = [i for i in range(inner.ndim) if i not in op.axes]
    x = inner.node.inputs[0]
    own = tuple(kept.index(a) for a in axes if a not in op.axes)
    if own:
        x = apply(Sum(own), x)
    x = _times(x, dims.count(inner.shape[a] for a in repeated))
    left = [i for i in range(inner.ndim) if i not in axes]
    new = tuple(left.index(a) for a in op.axes if a not in axes)
    return apply(Broadcast(tensor.shape, new), x) if new else x


def _times(x: Tensor, count: Dim) -> Tensor:
    """x times a count; nothing of none, even where x is infinite."""
    value = fill_value(x)
    if not isinstance(count, Size):
        if value is not None:
            with numpy.errstate(all="ignore"):
                total = numpy.asarray(numpy.asarray(value) * count).astype(x.dtype.numpy)
            return apply(Fill(Scalar(x.dtype, total.tobytes()), x.shape))
        if count == 0:
            return fill(0, x.shape, x.dtype)
        if x.dtype.kind in INTEGERS:
            wrapped = numpy.asarray(count).astype(x.dtype.numpy)
            return apply(multiply, x, apply(Fill(Scalar(x.dtype, wrapped.tobytes()), x.shape)))
        return apply(multiply, x, fill(float(count), x.shape, x.dtype))
    number = broadcast_to(astype(size_tensor(count), x.dtype), x.shape)
    if x.dtype.kind in INTEGERS or known_finite(x):
        return number if value == 1 else apply(multiply, number, x)
    return apply(masked_multiply, number, x)


@function_rule(Max, Min, Supremum, operands=(Broadcast, Fill))
def extreme_of_broadcast(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """The largest of equal numbers is any of them, if there is one."""
    inner = tensor.node.inputs[0]
    op, axes = inner.node.op, tensor.node.op.axes  # type: ignore[attr-defined]
    if not all(at_least(inner.shape[a], 1) for a in axes):
        return None
    if isinstance(op, Fill):
        return apply(Fill(op.value, tensor.shape))
    assert isinstance(op, Broadcast)
    if inner in barriers or not all(a in op.axes for a in axes):
        return None
    left = [i for i in range(inner.ndim) if i not in axes]
    new = tuple(left.index(a) for a in op.axes if a not in axes)
    x = inner.node.inputs[0]
    return apply(Broadcast(tensor.shape, new), x) if new else x


# ---- what is scaled ---------------------------------------------------------------------------------


@function_rule(Sum, kind="rounding", operands=(negative,), unshared=True)
def sum_of_negative(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """sum(-x) = -sum(x), but for the sign of a zero."""
    inner = tensor.node.inputs[0]
    if inner in barriers:
        return None
    return apply(negative, apply(Sum(_axes(tensor)), inner.node.inputs[0]))


@function_rule(Sum, kind="rounding", operands=(multiply,), unshared=True)
def sum_of_scaled(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """sum(c x) = c sum(x), for finite c that is the same along the axes of the sum (of an infinite one, terms
    of both signs are NaN). Of numbers, those of size 1 or more: a sum of what is not scaled down yet may
    overflow."""
    inner, axes = tensor.node.inputs[0], _axes(tensor)
    if inner in barriers or tensor.dtype.kind == "complex":
        return None
    for c, x in (inner.node.inputs, inner.node.inputs[::-1]):
        op = c.node.op
        if isinstance(op, Fill):
            value = fill_value(c)
            integer = tensor.dtype.kind in INTEGERS
            if integer or (isinstance(value, float) and 1 <= math.fabs(value) < math.inf):
                return apply(multiply, apply(Fill(op.value, tensor.shape)), apply(Sum(axes), x))
        elif isinstance(op, Broadcast) and all(a in op.axes for a in axes):
            left = [i for i in range(inner.ndim) if i not in axes]
            new = tuple(left.index(a) for a in op.axes if a not in axes)
            small = c.node.inputs[0]
            if not known_finite(small):
                continue
            scale = apply(Broadcast(tensor.shape, new), small) if new else small
            return apply(multiply, scale, apply(Sum(axes), x))
    return None


@function_rule(Sum, kind="rounding", operands=(multiply,), unshared=True)
def sum_of_outer_product(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """sum over k of a[i, k] b[k, j] = (a @ b)[i, j], however the axes lie: no array of all products is
    needed."""
    inner, axes = tensor.node.inputs[0], _axes(tensor)
    if inner in barriers:
        return None
    sources: list[tuple[Tensor, list[int]]] = []
    for factor in inner.node.inputs:
        op = factor.node.op
        if not isinstance(op, Broadcast):
            return None
        sources.append((factor.node.inputs[0], [i for i in range(inner.ndim) if i not in op.axes]))
    (a, rows), (b, columns) = sources
    shared = {*rows} & {*columns}
    kept = [i for i in range(inner.ndim) if i not in axes]
    is_contraction = bool(shared & {*axes}) and all(
        any(i in kept and i not in shared and not _is_one(inner.shape[i]) for i in own)
        for own in (rows, columns)
    )
    if not is_contraction or {*rows} | {*columns} != {*range(inner.ndim)}:
        return None
    found, names = contract_pair(a, rows, b, columns, kept)
    order = tuple(names.index(i) for i in kept)
    return found if order == tuple(range(len(order))) else apply(PermuteDims(order), found)


def _is_one(size: Dim) -> bool:
    return size == 1


#: Broadcasts, and what has them as operands, come to the sum of products first.
RULES: list[Rule] = [
    *sum_of_one,
    *sum_of_sum,
    *sum_of_permute,
    *sum_of_reshape,
    *sum_of_unslice,
    *sum_of_broadcast,
    *extreme_of_broadcast,
    *sum_of_negative,
    *sum_of_outer_product,
    *sum_of_scaled,
    *SUMS,
]
NORMAL: list[Rule] = [*BEFORE, *RULES]
_apply = Rewriting("simplify_sums", RULES, normal=NORMAL)


@applies(_apply)
def simplify_sums(graph: Graph) -> Graph:
    """Sum what is repeated, moved, scaled or summed already at less cost."""
    return _apply(graph)
