"""How ops that move elements are planned: layouts where one can say it, else loads and stores at indices."""

from __future__ import annotations

from dataclasses import replace

from symgrad.dims import Dim, Shape
from symgrad.ir.tensor import Node
from symgrad.ops.indexing import Concat, ScatterAdd, ScatterAddAlongAxis, Slice, Take, TakeAlongAxis, Unslice
from symgrad.ops.kinds import TensorOp
from symgrad.ops.shape import Reshape, SpecifyShape
from symgrad.ops.strided import Strided
from symgrad_compiler.plan.planner import Planner
from symgrad_compiler.plan.steps import (
    Access,
    BoundsCheck,
    FillStep,
    Gather,
    Kernel,
    Scatter,
)


def view(p: Planner, node: Node) -> None:
    op = node.op
    assert isinstance(op, TensorOp)
    (operand,) = node.inputs
    found = p.source(operand)
    if isinstance(op, SpecifyShape):
        _check_shape(p, node, operand.shape, op.shape)
    if isinstance(op, Slice):
        _check_slice(p, node, op, operand.shape, node.outputs[0].shape)
    if not isinstance(found, Access):
        p.sources.update(dict.fromkeys(node.outputs, found))
        return
    assert op.strided is not None
    layouts = op.strided(found.layout)
    if isinstance(op, Reshape) and layouts is None:  # a copy, straight to where the result shall lie
        target = p.place(node.output).storage
        p.copy_into(operand, found, Access(target, Strided.contiguous(operand.shape)))
        return
    if layouts is None:
        found = p.copy(operand, found)
        layouts = op.strided(found.layout)
    layouts = layouts if isinstance(layouts, tuple) else (layouts,)
    for tensor, layout in zip(node.outputs, layouts, strict=True):
        p.sources[tensor] = Access(found.storage, layout)


def _check_shape(p: Planner, node: Node, have: Shape, want: Shape) -> None:
    for axis, (a, b) in enumerate(zip(have, want, strict=True)):
        if a != b:
            p.open(BoundsCheck(node, axis, a, equal=(a, b)))


def _check_slice(p: Planner, node: Node, op: Slice, shape: Shape, counts: Shape) -> None:
    """Check slices of symbolic sizes that are not known to stay inside."""
    for axis, (start, stop, step, size, count) in enumerate(
        zip(op.starts, op.stops, op.steps, shape, counts, strict=True)
    ):
        low, high = (start, size - stop) if step > 0 else (stop + 1, size - 1 - start)
        if not all(isinstance(v, int) and v >= 0 for v in (low, high)):
            last = start + (count - 1) * step
            p.open(BoundsCheck(node, axis, size, first=start, last=last, count=count))


def concat(p: Planner, node: Node) -> None:
    op = node.op
    assert isinstance(op, Concat)
    out = node.outputs[0]
    whole = p.place(out)
    start: Dim = 0
    for part in node.inputs:
        starts = tuple(start if i == op.axis else 0 for i in range(out.ndim))
        layout = whole.layout.slice(starts, (1,) * out.ndim, part.shape)
        p.write(part, Access(whole.storage, layout))
        start = start + part.shape[op.axis]


def unslice(p: Planner, node: Node) -> None:
    op = node.op
    assert isinstance(op, Unslice)
    (g,) = node.inputs
    found = p.source(g)
    reading = Slice(op.starts, op.stops, op.steps)
    _check_slice(p, node, reading, node.outputs[0].shape, g.shape)
    whole = p.place(node.outputs[0])
    p.wrote(whole.storage, p.open(FillStep(whole)))
    layout = reading.strided(whole.layout)
    p.copy_into(g, found, Access(whole.storage, layout))


def gather(p: Planner, node: Node) -> None:
    """An element at an index: a load whose position comes from memory."""
    op, (x, index), out = node.op, node.inputs, node.outputs[0]
    assert isinstance(op, (Take, TakeAlongAxis))
    base, at = p.access(x), p.access(index)
    check = p.open(BoundsCheck(node, op.axis, x.shape[op.axis], at))
    layout, spread_index = _indexed(op, base.layout, at.layout, out.shape)
    gather = Gather(
        base.storage,
        layout,
        Access(at.storage, spread_index),
        base.layout.strides[op.axis],
        x.shape[op.axis],
    )
    after = max(check + 1, p.after(base), p.after(at))
    number = p.join(out.shape, (), 1, after)
    kernel = p.steps[number]
    assert isinstance(kernel, Kernel)
    kernel.gathers[out] = gather
    kernel.add(node)
    kernel.weight += 2
    p.computed[out] = number


def scatter(p: Planner, node: Node) -> None:
    op, (g, index), out = node.op, node.inputs, node.outputs[0]
    assert isinstance(op, (ScatterAdd, ScatterAddAlongAxis))
    found, at = p.source(g), p.access(index)
    p.open(BoundsCheck(node, op.axis, op.shape[op.axis], at))
    base = p.place(out)
    p.open(FillStep(base))
    gathering = Take(op.axis) if isinstance(op, ScatterAdd) else TakeAlongAxis(op.axis)
    layout, spread_index = _indexed(gathering, base.layout, at.layout, g.shape)
    scatter = Scatter(
        g,
        base.storage,
        layout,
        Access(at.storage, spread_index),
        base.layout.strides[op.axis],
        op.shape[op.axis],
    )
    kernel = Kernel(g.shape, sources={g: found}, scatters=[scatter])
    p.wrote(base.storage, p.open(kernel))


def _indexed(
    op: Take | TakeAlongAxis, base: Strided, index: Strided, shape: Shape
) -> tuple[Strided, Strided]:
    """The layouts of the gathered tensor without the index, and of the index, over the space of the
    result."""
    axis = op.axis
    if isinstance(op, TakeAlongAxis):
        strides = tuple(0 if i == axis else s for i, s in enumerate(base.strides))
        return Strided(shape, strides, base.offset), index
    count = len(index.shape)
    strides = (*base.strides[:axis], *(0,) * count, *base.strides[axis + 1 :])
    after = len(shape) - axis - count
    index_strides = (*(0,) * axis, *index.strides, *(0,) * after)
    return Strided(shape, strides, base.offset), replace(index, shape=shape, strides=index_strides)
