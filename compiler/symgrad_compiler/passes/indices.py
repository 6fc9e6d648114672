"""Gathers and scatters whose indices are known. Exact: an index that may be out of range is left alone, since
it is an error when it is met."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from symgrad.dims import Dim
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Tensor, apply
from symgrad.ops.create import Fill, Iota
from symgrad.ops.gather import Gather, ScatterAdd, Take
from symgrad.ops.scatter import Scatter, known_indices
from symgrad.ops.shape import Broadcast, PermuteDims, Reshape
from symgrad.ops.slices import Slice, Unslice
from symgrad_compiler.passes.provable import at_least
from symgrad_compiler.passes.rewriting import Rewriting, applies
from symgrad_compiler.passes.selections import NORMAL
from symgrad_compiler.rewrite.rules import Rule, function_rule

#: Longer constant indices are not looked at.
MAX_ELEMENTS = 4096


def _known(index: Tensor, size: Dim) -> Any:
    """The numbers of an index, counted from the front, if they are known and in range; else None."""
    elements = 1
    for dim in index.shape:
        if not isinstance(dim, int):
            return None
        elements *= dim
    numbers = known_indices(index) if elements <= MAX_ELEMENTS else None
    if numbers is None:
        return None
    numbers = numbers.astype("int64")
    low, high = (int(numbers.min()), int(numbers.max())) if numbers.size else (0, 0)
    if low < 0:
        if not isinstance(size, int) or low < -size:
            return None
        numbers = numbers + (numbers < 0) * size
        high = int(numbers.max())
    return numbers if not numbers.size or at_least(size, high + 1) else None


def _as_range(numbers: Any) -> tuple[int, int, int] | None:
    """start, stop and step of numbers in a row that grow or fall evenly; else None."""
    if numbers.ndim > 1 or numbers.size == 0:
        return None
    flat = numbers.ravel()
    if flat.size == 1:
        return int(flat[0]), int(flat[0]) + 1, 1
    step = int(flat[1] - flat[0])
    if step == 0 or (flat[1:] - flat[:-1] != step).any():
        return None
    last = int(flat[-1])
    return int(flat[0]), last + (1 if step > 0 else -1), step


def _sliced(x: Tensor, axis: int, bounds: tuple[int, int, int]) -> Tensor:
    starts, stops, steps = ([0] * x.ndim, list(x.shape), [1] * x.ndim)
    starts[axis], stops[axis], steps[axis] = bounds
    return apply(Slice(tuple(starts), tuple(stops), tuple(steps)), x)


@function_rule(Take)
def take_of_range(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """Elements at known, evenly spaced indices are a slice; at iota(n), the first n."""
    op, (x, index) = tensor.node.op, tensor.node.inputs
    assert isinstance(op, Take)
    size = x.shape[op.axis]
    if isinstance(index.node.op, Iota) and at_least(size, index.shape[0]):
        starts, stops = (0,) * x.ndim, list(x.shape)
        stops[op.axis] = index.shape[0]
        return apply(Slice(starts, tuple(stops), (1,) * x.ndim), x)
    numbers = _known(index, size)
    bounds = None if numbers is None else _as_range(numbers)
    if bounds is None:
        return None
    part = _sliced(x, op.axis, bounds)
    return part if part.shape == tensor.shape else apply(Reshape(tensor.shape), part)


@function_rule(Gather)
def gather_along_one_axis(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """A gather at one index along the first axis is a take."""
    op, inputs = tensor.node.op, tensor.node.inputs
    assert isinstance(op, Gather)
    return apply(Take(0), *inputs) if op.axes == (0,) else None


@function_rule(Take, operands=(Take,))
def take_of_take(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """take(take(x, i), j) = take(x, take(i, j)), for a known index i, none of which is out of range."""
    op, (inner, second) = tensor.node.op, tensor.node.inputs
    if not isinstance(inner.node.op, Take) or inner in barriers:
        return None
    assert isinstance(op, Take)
    x, first = inner.node.inputs
    axis = inner.node.op.axis
    if op.axis != axis or first.ndim != 1 or _known(first, x.shape[axis]) is None:
        return None
    return apply(Take(axis), x, apply(Take(0), first, second))


@function_rule(Take, operands=(Broadcast, Fill))
def take_of_broadcast(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """take(broadcast(x), i) = broadcast(take(x, i)); of equal elements, as many as there are indices, all in
    range."""
    op, (inner, index) = tensor.node.op, tensor.node.inputs
    assert isinstance(op, Take)
    spread = inner.node.op
    known = _known(index, inner.shape[op.axis]) is not None
    if isinstance(spread, Fill):
        return apply(Fill(spread.value, tensor.shape)) if known else None
    if not isinstance(spread, Broadcast) or inner in barriers:
        return None
    new = range(op.axis, op.axis + index.ndim)
    moved = [a if a < op.axis else a + index.ndim - 1 for a in spread.axes if a != op.axis]
    x = inner.node.inputs[0]
    if op.axis in spread.axes:
        return apply(Broadcast(tensor.shape, tuple(sorted([*moved, *new]))), x) if known else None
    axis = op.axis - len([a for a in spread.axes if a < op.axis])
    return apply(Broadcast(tensor.shape, tuple(sorted(moved))), apply(Take(axis), x, index))


@function_rule(ScatterAdd)
def scatter_of_zeros(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """Zeros, added to zeros at indices that are in range, are zeros."""
    op, (g, *indices) = tensor.node.op, tensor.node.inputs
    assert isinstance(op, ScatterAdd)
    value = g.node.op.value if isinstance(g.node.op, Fill) else None
    if value is None or any(value.bits):
        return None
    if any(_known(i, op.shape[a]) is None for i, a in zip(indices, op.axes, strict=True)):
        return None
    return apply(Fill(value, tensor.shape))


@function_rule(Scatter)
def scatter_into_zeros(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """What is added to zeros at indices is a scatter_add."""
    op, (x, updates, *indices) = tensor.node.op, tensor.node.inputs
    assert isinstance(op, Scatter)
    value = x.node.op.value if isinstance(x.node.op, Fill) else None
    if op.mode != "add" or value is None or any(value.bits):
        return None
    return apply(ScatterAdd(op.axes, x.shape), updates, *indices)


@function_rule(ScatterAdd, kind="rounding")
def scatter_to_range(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """What is added to zeros at known, evenly spaced indices is written there. But for the sign of a zero:
    0 + -0 is not computed."""
    op, (g, *indices) = tensor.node.op, tensor.node.inputs
    assert isinstance(op, ScatterAdd)
    if len(op.axes) != 1:
        return None
    (axis,), (index,) = op.axes, indices
    numbers = _known(index, op.shape[axis])
    bounds = None if numbers is None else _as_range(numbers)
    if bounds is None:
        return None
    if index.ndim == 0:
        g = apply(Reshape((1, *g.shape)), g)
    order = (*range(1, axis + 1), 0, *range(axis + 1, g.ndim))
    if axis:
        g = apply(PermuteDims(order), g)
    starts, stops, steps = ([0] * g.ndim, list(op.shape), [1] * g.ndim)
    starts[axis], stops[axis], steps[axis] = bounds
    return apply(Unslice(tuple(starts), tuple(stops), tuple(steps), op.shape), g)


RULES: list[Rule] = [
    *take_of_range,
    *gather_along_one_axis,
    *take_of_take,
    *take_of_broadcast,
    *scatter_of_zeros,
    *scatter_into_zeros,
    *scatter_to_range,
]
_apply = Rewriting("simplify_indices", RULES, normal=NORMAL)


@applies(_apply)
def simplify_indices(graph: Graph) -> Graph:
    """Say gathers and scatters at known indices by slices."""
    return _apply(graph)
