"""Slices, joins and their transposes: parts of parts, parts of what was joined, joins of adjacent parts.
Exact, but for sums of parts that make a whole, where 0 + -0 is no longer computed."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from symgrad.dims import Dim, Shape
from symgrad.ir.tensor import Tensor, apply, same_tensors
from symgrad.ops.arithmetic import add
from symgrad.ops.create import Fill, fill
from symgrad.ops.join import Concat
from symgrad.ops.shape import Broadcast, PermuteDims
from symgrad.ops.slices import SetSlice, Slice, Unslice
from symgrad_compiler.passes.provable import at_least, compose, is_whole, piece_of, stays_inside
from symgrad_compiler.rewrite.rules import Rule, function_rule

#: A join of more parts than this is not extended: rebuilding it part by part is quadratic.
MOST_PARTS = 256


def _ranges(op: Slice | Unslice | SetSlice, shape: Shape) -> list[tuple[Dim, Dim, int, Dim]]:
    return list(zip(op.starts, op.stops, op.steps, shape, strict=True))


def _slice(x: Tensor, ranges: Sequence[tuple[Dim, Dim, int]]) -> Tensor:
    """x[ranges]; x itself where they take it all."""
    if all(is_whole(*r, d) for r, d in zip(ranges, x.shape, strict=True)):
        return x
    starts, stops, steps = zip(*ranges, strict=True)
    return apply(Slice(starts, stops, steps), x)


# ---- slices -----------------------------------------------------------------------------------------


@function_rule(Slice)
def slice_of_all(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """x[:] = x"""
    op, x = tensor.node.op, tensor.node.inputs[0]
    assert isinstance(op, Slice)
    return x if all(is_whole(*r) for r in _ranges(op, x.shape)) else None


@function_rule(Slice, operands=(Slice,))
def slice_of_slice(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """x[a:b][c:d] = x[a+c:a+d], and so for steps."""
    op, inner = tensor.node.op, tensor.node.inputs[0]
    first, x = inner.node.op, inner.node.inputs[0]
    assert isinstance(op, Slice)
    assert isinstance(first, Slice)
    if inner in barriers or not (stays_inside(first, x.shape) and stays_inside(op, inner.shape)):
        return None
    ranges = _composed(first, inner.shape, op, tensor.shape)
    return None if ranges is None else _slice(x, ranges)


def _composed(
    first: Slice | Unslice, middle: Shape, second: Slice | Unslice, last: Shape
) -> list[tuple[Dim, Dim, int]] | None:
    found = []
    for i in range(len(middle)):
        one = compose(
            (first.starts[i], first.stops[i], first.steps[i], middle[i]),
            (second.starts[i], second.stops[i], second.steps[i], last[i]),
        )
        if one is None:
            return None
        found.append(one)
    return found


@function_rule(Slice, operands=(Concat,))
def slice_of_concat(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """concat(x, y, z)[part of y] = y[part]; of whole parts, concat(y, z)."""
    op, joined = tensor.node.op, tensor.node.inputs[0]
    inner = joined.node.op
    assert isinstance(op, Slice)
    assert isinstance(inner, Concat)
    if joined in barriers or not stays_inside(op, joined.shape):
        return None
    axis = inner.axis
    start, stop, step = op.starts[axis], op.stops[axis], op.steps[axis]
    low, high = (start, stop) if step > 0 else (stop + 1, start + 1)
    begin: Dim = 0
    taken: list[Tensor] = []
    origin: Dim = 0
    for part in joined.node.inputs:
        end = begin + part.shape[axis]
        if at_least(low, begin) and at_least(end, high):
            rest = [(s, t, k) for s, t, k, _ in _ranges(op, joined.shape)]
            rest[axis] = (start - begin, stop - begin, step)
            return _slice(part, rest)
        if at_least(begin, low) and at_least(high, end):
            origin = origin if taken else begin
            taken.append(part)
        elif not (at_least(low, end) or at_least(begin, high)):
            return None
        begin = end
    count = tensor.shape[axis]
    whole = [t.shape[axis] for t in taken]
    if step != 1 or len(taken) in (0, len(joined.node.inputs)) or origin != start or _total(whole) != count:
        return None
    rest = [(s, t, k) for s, t, k, _ in _ranges(op, joined.shape)]
    rest[axis] = (0, count, 1)
    return _slice(apply(Concat(axis), *taken), rest)


def _total(sizes: Sequence[Dim]) -> Dim:
    result: Dim = 0
    for size in sizes:
        result = result + size
    return result


@function_rule(Slice, operands=(Broadcast, Fill))
def slice_of_broadcast(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """broadcast(x)[a:b] = broadcast(x[a:b]), to fewer where the axis is new; of a number, that number."""
    op, inner = tensor.node.op, tensor.node.inputs[0]
    spread = inner.node.op
    assert isinstance(op, Slice)
    if inner in barriers or not stays_inside(op, inner.shape):
        return None
    if isinstance(spread, Fill):
        return apply(Fill(spread.value, tensor.shape))
    assert isinstance(spread, Broadcast)
    kept = [(s, t, k) for i, (s, t, k, _) in enumerate(_ranges(op, inner.shape)) if i not in spread.axes]
    return apply(Broadcast(tensor.shape, spread.axes), _slice(inner.node.inputs[0], kept))


@function_rule(Slice, operands=(PermuteDims,))
def slice_of_permute(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """permute(x)[a:b] = permute(x[a:b]), where x is a part or a join itself, with which it can cancel."""
    op, inner = tensor.node.op, tensor.node.inputs[0]
    order = inner.node.op
    assert isinstance(op, Slice)
    assert isinstance(order, PermuteDims)
    x = inner.node.inputs[0]
    if inner in barriers or x in barriers or not isinstance(x.node.op, (Slice, Concat, Unslice)):
        return None
    ranges = _ranges(op, inner.shape)
    back = [ranges[order.axes.index(i)][:3] for i in range(x.ndim)]
    return apply(PermuteDims(order.axes), _slice(x, back))


#: How many writes a read looks behind: reads of each of many writes would look behind all before.
MOST_LAYERS = 64


@function_rule(Slice, operands=(Unslice, SetSlice))
def slice_of_unslice(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """Of what is written at a place, the same place is what was written, another is what was there."""
    op, first = tensor.node.op, tensor.node.inputs[0]
    assert isinstance(op, Slice)
    if not stays_inside(op, first.shape):
        return None
    source, mine = first, _ranges(op, first.shape)
    for _ in range(MOST_LAYERS):
        if source in barriers:
            break
        written = source.node.op
        if not isinstance(written, (Unslice, SetSlice)) or not _written_inside(written, first.shape):
            break
        value = source.node.inputs[-1]
        if (op.starts, op.steps) == (written.starts, written.steps) and tensor.shape == value.shape:
            return value
        if not any(_apart(a, b) for a, b in zip(mine, _ranges(written, first.shape), strict=True)):
            break
        if isinstance(written, Unslice):
            return fill(0, tensor.shape, tensor.dtype)
        source = source.node.inputs[0]
    else:
        return None
    return None if source is first else apply(op, source)


def _written_inside(op: Unslice | SetSlice, shape: Shape) -> bool:
    return stays_inside(Slice(op.starts, op.stops, op.steps), shape)


def _apart(a: tuple[Dim, Dim, int, Dim], b: tuple[Dim, Dim, int, Dim]) -> bool:
    """Whether two slices of an axis have no element in common, as their bounds tell."""
    (low, high), (low_b, high_b) = (
        (start, stop) if step > 0 else (stop + 1, start + 1) for start, stop, step, _ in (a, b)
    )
    return at_least(low, high_b) or at_least(low_b, high)


# ---- joins ------------------------------------------------------------------------------------------


@function_rule(Concat)
def concat_of_parts(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """concat(x[a:b], x[b:c]) = x[a:c]; of one tensor, that tensor; concat(concat(x, y), z) = concat(x, y,
    z); parts without elements are nothing."""
    op, inputs = tensor.node.op, tensor.node.inputs
    assert isinstance(op, Concat)
    axis = op.axis
    found: list[Tensor] = []
    for part in inputs:
        if part.shape[axis] == 0 and len(inputs) > 1:
            continue
        inner = part.node
        if inner.op == op and part not in barriers and len(inner.inputs) + len(inputs) <= MOST_PARTS:
            found += inner.inputs
        else:
            found.append(part)
    joined: list[Tensor] = []
    for part in found:
        both = _adjacent(joined[-1], part, axis, barriers) if joined else None
        if both is None:
            joined.append(part)
        else:
            joined[-1] = both
    if not joined:
        return inputs[0]
    if len(joined) == 1:
        return joined[0]
    return None if same_tensors(joined, inputs) else apply(op, *joined)


def _adjacent(a: Tensor, b: Tensor, axis: int, barriers: Collection[Tensor]) -> Tensor | None:
    """Two parts in a row as one, where they are that of something."""
    if a in barriers or b in barriers:
        return None
    if isinstance(a.node.op, Fill) and isinstance(b.node.op, Fill) and a.node.op.value == b.node.op.value:
        size = a.shape[axis] + b.shape[axis]
        return apply(Fill(a.node.op.value, (*a.shape[:axis], size, *a.shape[axis + 1 :])))
    first, second = piece_of(a, axis), piece_of(b, axis)
    if first is None or second is None or first[0] is not second[0] or first[2] != second[1]:
        return None
    x, start, stop = first[0], first[1], second[2]
    return _slice(x, [(start, stop, 1) if i == axis else (0, d, 1) for i, d in enumerate(x.shape)])


# ---- transposes of slices ---------------------------------------------------------------------------


@function_rule(Unslice)
def unslice_of_all(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """What is written everywhere is all there is; zeros written into zeros are zeros."""
    op, g = tensor.node.op, tensor.node.inputs[0]
    assert isinstance(op, Unslice)
    if all(is_whole(*r) for r in _ranges(op, tensor.shape)):
        return g
    zero = g.node.op
    if not isinstance(zero, Fill) or not _written_inside(op, tensor.shape):
        return None
    return None if any(zero.value.bits) else apply(Fill(zero.value, tensor.shape))


@function_rule(Unslice, operands=(Unslice,))
def unslice_of_unslice(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """The transpose of x[a:b][c:d] = x[a+c:a+d]."""
    op, inner = tensor.node.op, tensor.node.inputs[0]
    second, g = inner.node.op, inner.node.inputs[0]
    assert isinstance(op, Unslice)
    assert isinstance(second, Unslice)
    inside = _written_inside(op, tensor.shape) and _written_inside(second, inner.shape)
    ranges = _composed(op, inner.shape, second, g.shape) if inside and inner not in barriers else None
    if ranges is None:
        return None
    starts, stops, steps = zip(*ranges, strict=True)
    return apply(Unslice(starts, stops, steps, tensor.shape), g)


@function_rule(SetSlice)
def set_slice_of_all(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """What is written over everything is all that is left."""
    op = tensor.node.op
    assert isinstance(op, SetSlice)
    return tensor.node.inputs[1] if all(is_whole(*r) for r in _ranges(op, tensor.shape)) else None


@function_rule(add, kind="rounding", operands=(Unslice,), unshared=True)
def sum_of_unslices(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """Parts written at adjacent places and added are joined and written once; x + part + part likewise. But
    for the sign of a zero: 0 + -0 is not computed."""
    for first, second in (tensor.node.inputs, tensor.node.inputs[::-1]):
        if not _is_part(second, barriers):
            continue
        if _is_part(first, barriers):
            return _joined(first, second)
        if first.node.op is not add or first in barriers:
            continue
        for rest, part in (first.node.inputs, first.node.inputs[::-1]):
            both = _joined(part, second) if _is_part(part, barriers) else None
            if both is not None:
                return apply(add, rest, both)
    return None


def _is_part(tensor: Tensor, barriers: Collection[Tensor]) -> bool:
    op = tensor.node.op
    return isinstance(op, Unslice) and tensor not in barriers and _written_inside(op, tensor.shape)


def _joined(a: Tensor, b: Tensor) -> Tensor | None:
    """Two parts in one, where they lie beside each other along one axis."""
    first, second = a.node.op, b.node.op
    assert isinstance(first, Unslice)
    assert isinstance(second, Unslice)
    pairs = list(zip(_ranges(first, a.shape), _ranges(second, b.shape), strict=True))
    unlike = [i for i, (r, s) in enumerate(pairs) if r != s]
    if len(unlike) != 1 or first.steps[unlike[0]] != 1 or second.steps[unlike[0]] != 1:
        return None
    (axis,) = unlike
    if first.starts[axis] == second.stops[axis]:
        first, second, a, b = second, first, b, a
    if first.stops[axis] != second.starts[axis]:
        return None
    values = [
        list(t.node.inputs[0].node.inputs) if t.node.inputs[0].node.op == Concat(axis) else [t.node.inputs[0]]
        for t in (a, b)
    ]
    if len(values[0]) + len(values[1]) > MOST_PARTS:
        return None
    value = apply(Concat(axis), *values[0], *values[1])
    starts, stops = list(first.starts), list(first.stops)
    stops[axis] = second.stops[axis]
    whole = Unslice(tuple(starts), tuple(stops), first.steps, a.shape)
    return value if all(is_whole(*r) for r in _ranges(whole, a.shape)) else apply(whole, value)


RULES: list[Rule] = [
    *slice_of_all,
    *slice_of_slice,
    *slice_of_concat,
    *slice_of_broadcast,
    *slice_of_permute,
    *slice_of_unslice,
    *concat_of_parts,
    *unslice_of_all,
    *unslice_of_unslice,
    *set_slice_of_all,
]
#: Not exact, so not among them.
SUMS: list[Rule] = [*sum_of_unslices]
