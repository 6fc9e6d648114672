"""How gathers, updates at indices and sorts are planned: loads and stores at positions found in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from symgrad import dims
from symgrad.dims import Dim, Shape
from symgrad.ir.op import Op
from symgrad.ir.tensor import Node, Tensor
from symgrad.ops.create import Iota
from symgrad.ops.gather import Gather as GatherOp
from symgrad.ops.gather import InRange, ScatterAdd, ScatterAddAlongAxis, Take, TakeAlongAxis
from symgrad.ops.reduce import ArgMax
from symgrad.ops.scatter import Scatter as ScatterOp
from symgrad.ops.scatter import known_indices
from symgrad.ops.shape import Broadcast, PermuteDims, Reshape
from symgrad.ops.slices import Slice
from symgrad.ops.sort import ArgSort, SearchSorted
from symgrad.ops.statistics import ArgQuantile
from symgrad.ops.strided import Strided
from symgrad.types import DTYPES, INT64, DType
from symgrad_compiler.plan.checks import Indices
from symgrad_compiler.plan.planner import Planner
from symgrad_compiler.plan.steps import (
    ARENA,
    Access,
    FillStep,
    Gather,
    Index,
    Kernel,
    Scatter,
    SearchStep,
    SortStep,
    Source,
    Storage,
)


def gather(p: Planner, node: Node) -> None:
    """An element at indices: a load whose position comes from memory."""
    (x, *indices), out = node.inputs, node.outputs[0]
    base = p.access(x)
    found, after = _checked(p, node, indices, x.shape)
    layout, layouts = _indexed(node.op, base.layout, [a.layout for a in found], out.shape)
    number = p.join(out.shape, (), 1, max(after, p.after(base)))
    kernel = p.steps[number]
    assert isinstance(kernel, Kernel)
    kernel.gathers[out] = Gather(
        base.storage, layout, _indices(node.op, found, layouts, base.layout, x.shape)
    )
    kernel.add(node)
    kernel.weight += 1 + len(indices)
    p.computed[out] = number


def scatter_add(p: Planner, node: Node) -> None:
    """Zeros, to which a kernel adds."""
    (g, *indices), out = node.inputs, node.outputs[0]
    found = p.source(g)
    accesses, _ = _checked(p, node, indices, out.shape)
    base = p.place(out)
    p.wrote(base.storage, p.open(FillStep(base)))
    _scatter(p, node, g, found, accesses, base, "add")


def scatter(p: Planner, node: Node) -> None:
    """A copy, which a kernel updates."""
    op, (x, updates, *indices), out = node.op, node.inputs, node.outputs[0]
    assert isinstance(op, ScatterOp)
    found = p.source(updates)
    accesses, _ = _checked(p, node, indices, out.shape)
    base = p.place(out)
    p.write(x, base)
    _scatter(p, node, updates, found, accesses, base, op.mode)


def _scatter(
    p: Planner, node: Node, value: Tensor, found: Source, accesses: list[Access], base: Access, mode: str
) -> None:
    """The kernel of an update. Axes before all that are indexed come outermost, so that memory is visited
    nearly in order; the order along the indices, on which the result may depend, stays."""
    layout, layouts = _indexed(node.op, base.layout, [a.layout for a in accesses], value.shape)
    order = _loop_order(node.op, value.ndim, len(accesses[0].layout.shape))
    indices = _indices(
        node.op, accesses, [at.permute(order) for at in layouts], base.layout, node.outputs[0].shape
    )
    if isinstance(found, Access):
        found = Access(found.storage, found.layout.permute(order))
    space = tuple(value.shape[i] for i in order)
    scatter = Scatter(value, base.storage, layout.permute(order), indices, mode)
    kernel = Kernel(space, sources={value: found}, scatters=[scatter])
    p.wrote(base.storage, p.open(kernel))


def _loop_order(op: Op, rank: int, inside: int) -> tuple[int, ...]:
    if isinstance(op, ALONG_AXIS):
        return tuple(range(rank))
    outer = _axes(op)[0]
    return (*range(inside, inside + outer), *range(inside), *range(inside + outer, rank))


def _axes(op: Op) -> tuple[int, ...]:
    """The axes that are indexed."""
    if isinstance(op, (*ALONG_AXIS, Take)):
        return (op.axis,)
    assert isinstance(op, (GatherOp, ScatterAdd, ScatterOp))
    return op.axes


def _checked(p: Planner, node: Node, indices: Sequence[Tensor], shape: Shape) -> tuple[list[Access], int]:
    """Where the indices lie, and the first step that may use them: behind a check of each that is not known
    to be in range. What is used is the memory that is checked, so that no step can use it before."""
    found, after = [], 0
    for index, axis in zip(indices, _axes(node.op), strict=True):
        inside, source = is_inside(index, shape[axis]), p.source(index)
        access = source if inside and isinstance(source, Access) else p.access(index)
        found.append(access)
        after = max(after, p.after(access), 0 if inside else _check(p, node, access, axis, shape[axis]))
    return found, after


def check_index(p: Planner, node: Node, index: Tensor, op: InRange) -> None:
    """Let indices be checked as `op` says, unless they are known to fit."""
    if not is_inside(index, op.size, op.from_end):
        _check(p, node, p.access(index), op.axis, op.size, op.from_end)


def _check(p: Planner, node: Node, access: Access, axis: int, size: Dim, from_end: bool = True) -> int:
    """Let what lies there be checked, once; the first step that may use it as indices."""
    layout = access.layout
    ways = tuple((d, s) for d, s in zip(layout.shape, layout.strides, strict=True) if d != 1)
    known = (access.storage, layout.offset, ways, size)
    if (*known, from_end) not in p.checked:
        step = p.open(Indices(node, size, access, from_end, axis=axis))
        p.checked |= {(*known, True): step, (*known, from_end): step}
    return p.checked[*known, from_end] + 1


def is_inside(index: Tensor, size: Dim, from_end: bool = True) -> bool:
    """Whether all indices are known to be in range of an axis of this size."""
    numbers = known_indices(index)
    if numbers is not None:
        if not isinstance(size, int):
            return False
        return bool(((numbers >= (-size if from_end else 0)) & (numbers < size)).all())
    while isinstance(index.node.op, _MOVES):
        index = index.node.inputs[0]
    op = index.node.op
    if isinstance(op, Iota):
        return dims.equal(op.size, size)
    if isinstance(op, (ArgSort, ArgMax, ArgQuantile)):
        return dims.equal(index.node.inputs[0].shape[op.axis], size)
    return False


def _indices(
    op: Op, accesses: Sequence[Access], layouts: Sequence[Strided], base: Strided, shape: Shape
) -> tuple[Index, ...]:
    return tuple(
        Index(Access(access.storage, layout), base.strides[axis], shape[axis])
        for access, layout, axis in zip(accesses, layouts, _axes(op), strict=True)
    )


def _indexed(
    op: Op, base: Strided, indices: Sequence[Strided], shape: Shape
) -> tuple[Strided, list[Strided]]:
    """The layouts of the indexed tensor without the indices, and of the indices, over the space of the
    elements."""
    axes = _axes(op)
    if isinstance(op, ALONG_AXIS):
        strides = tuple(0 if i in axes else s for i, s in enumerate(base.strides))
        return Strided(shape, strides, base.offset), list(indices)
    count = len(indices[0].shape)
    place = axes[0] if isinstance(op, Take) else 0
    rest = [s for i, s in enumerate(base.strides) if i not in axes]
    strides = (*rest[:place], *(0,) * count, *rest[place:])
    after = len(shape) - place - count
    spread = [
        replace(index, shape=shape, strides=(*(0,) * place, *index.strides, *(0,) * after))
        for index in indices
    ]
    return Strided(shape, strides, base.offset), spread


def argsort(p: Planner, node: Node) -> None:
    """Of quantiles, the positions at their ranks."""
    op, (x, *given), out = node.op, node.inputs, node.outputs[0]
    assert isinstance(op, (ArgSort, ArgQuantile))
    keys, ranks = p.access(x), p.access(given[0]) if given else None
    place = p.place(out)
    first = _first(p, out, op.axis) if isinstance(op, ArgSort) else None
    length = first or x.shape[op.axis]
    key_type, int64 = _key_dtype(x.dtype), INT64
    rows = [Storage(ARENA, t, length, label="sorting") for t in (key_type, key_type, int64, int64)]
    descending = isinstance(op, ArgSort) and op.descending
    four = (rows[0], rows[1], rows[2], rows[3])
    p.wrote(place.storage, p.open(SortStep(node, op.axis, descending, keys, place, four, ranks, first)))


def searchsorted(p: Planner, node: Node) -> None:
    op, (x, values) = node.op, node.inputs
    assert isinstance(op, SearchSorted)
    row, wanted = p.access(x), p.access(values)
    place = p.place(node.outputs[0])
    p.wrote(place.storage, p.open(SearchStep(node, op.side, row, wanted, place)))


#: So few are found by insertion, which may take as many steps for each element.
MOST_FIRST = 16


def _first(p: Planner, tensor: Tensor, axis: int) -> int | None:
    """How many along an axis are read at all, if that are few."""
    most = 1
    for node in p.graph.consumers(tensor):
        op = node.op
        if not isinstance(op, Slice) or op.steps[axis] < 1 or not isinstance(op.starts[axis], int):
            return None
        end = op.stops[axis]
        if not isinstance(end, int) or not 0 <= end <= MOST_FIRST:
            return None
        most = max(most, end)
    return None if tensor in p.results else most


def _key_dtype(dtype: DType) -> DType:
    """The integers that floats and booleans are compared as."""
    if dtype.kind in ("int", "uint"):
        return dtype
    return DTYPES["uint8" if dtype.kind == "bool" else f"int{8 * dtype.itemsize}"]


#: Ops that index in one axis, in all others element by element.
ALONG_AXIS = (TakeAlongAxis, ScatterAddAlongAxis)
_MOVES = (Reshape, Broadcast, PermuteDims, Slice, InRange)
