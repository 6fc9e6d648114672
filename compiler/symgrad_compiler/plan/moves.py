"""How ops that move elements are planned: layouts where one can say it, else loads and stores at indices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from symgrad.dims import Dim, Shape
from symgrad.ir.tensor import Node, Tensor
from symgrad.ops.create import Fill, fill
from symgrad.ops.gather import InRange
from symgrad.ops.interleave import Interleave
from symgrad.ops.join import Concat, Split
from symgrad.ops.kinds import TensorOp
from symgrad.ops.shape import Reshape, SpecifyShape
from symgrad.ops.slices import SetSlice, Slice, Unslice
from symgrad.ops.strided import Strided
from symgrad.ops.windows import Windows
from symgrad_compiler.plan.checks import Equal, Inside
from symgrad_compiler.plan.indices import check_index
from symgrad_compiler.plan.planner import Planner
from symgrad_compiler.plan.steps import Access, FillStep, Number


def view(p: Planner, node: Node) -> None:
    op = node.op
    assert isinstance(op, TensorOp)
    (operand,) = node.inputs
    found = p.source(operand)
    if isinstance(op, SpecifyShape):
        _check_shape(p, node, operand.shape, op.shape)
    if isinstance(op, InRange):
        check_index(p, node, operand, op)
    if isinstance(op, Slice):
        _check_slice(p, node, op, operand.shape, node.outputs[0].shape)
    if isinstance(op, Windows):
        _check_windows(p, node, op, operand.shape)
    if isinstance(op, Split):
        _check_pieces(p, node, op, operand.shape[op.axis])
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
            p.open(Equal(node, (a, b), axis=axis))


def _check_pieces(p: Planner, node: Node, op: Split, size: Dim) -> None:
    """Check pieces of symbolic sizes, which add up, but may be negative."""
    start: Dim = 0
    for piece in op.sizes:
        if not isinstance(size, int):
            p.open(Inside(node, size, start, start + piece - 1, count=piece, axis=op.axis))
        start = start + piece


def _check_slice(p: Planner, node: Node, op: Slice, shape: Shape, counts: Shape) -> None:
    """Check slices of symbolic sizes that are not known to stay inside."""
    for axis, (start, stop, step, size, count) in enumerate(
        zip(op.starts, op.stops, op.steps, shape, counts, strict=True)
    ):
        low, high = (start, size - stop) if step > 0 else (stop + 1, size - 1 - start)
        if not all(isinstance(v, int) and v >= 0 for v in (low, high)):
            last = start + (count - 1) * step
            p.open(Inside(node, size, start, last, count=count, axis=axis))


def _check_windows(p: Planner, node: Node, op: Windows, shape: Shape) -> None:
    """Check that windows fit into axes of symbolic sizes."""
    for axis, window, dilation in zip(op.axes, op.sizes, op.dilations, strict=True):
        if not (isinstance(shape[axis], int) and isinstance(window, int)):
            p.open(Inside(node, shape[axis], 0, (window - 1) * dilation, count=1, axis=axis))


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


def interleave(p: Planner, node: Node) -> None:
    """Each part is written to its places, and zeros behind one that ends early."""
    op = node.op
    assert isinstance(op, Interleave)
    whole = p.place(node.output)

    def put(tensor: Tensor, residues: Sequence[int], starts: Sequence[Dim]) -> None:
        begins, steps = list(starts), [1] * tensor.ndim
        for axis, step, r in zip(op.axes, op.steps, residues, strict=True):
            begins[axis], steps[axis] = r + starts[axis] * step, step
        layout = whole.layout.slice(tuple(begins), steps, tensor.shape)
        p.write(tensor, Access(whole.storage, layout))

    for part, residues in zip(node.inputs, op.residues(), strict=True):
        put(part, residues, (0,) * part.ndim)
        for start, shape in _behind(part.shape, op.part_shape(residues)):
            rest = fill(0, shape, part.dtype)
            assert isinstance(rest.node.op, Fill)
            p.sources[rest] = Number(rest.node.op.value)
            put(rest, residues, start)


def _behind(part: Shape, room: Shape) -> Iterator[tuple[Shape, Shape]]:
    """The boxes, each where it starts and its shape, that fill what a part leaves of its room."""
    for axis, (have, most) in enumerate(zip(part, room, strict=True)):
        if have != most:
            start = tuple(have if i == axis else 0 for i in range(len(part)))
            yield start, (*part[:axis], most - have, *room[axis + 1 :])


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


def set_slice(p: Planner, node: Node) -> None:
    """A copy, over a part of which v is written."""
    op, (x, v), out = node.op, node.inputs, node.outputs[0]
    assert isinstance(op, SetSlice)
    found = p.source(v)
    reading = Slice(op.starts, op.stops, op.steps)
    _check_slice(p, node, reading, x.shape, v.shape)
    whole = p.place(out)
    p.write(x, whole)
    p.copy_into(v, found, Access(whole.storage, reading.strided(whole.layout)))


# ---- pairs ------------------------------------------------------------------------------------------


def real(p: Planner, node: Node) -> None:
    """Every second float, from the first."""
    _take_part(p, node, 0)


def imag(p: Planner, node: Node) -> None:
    """Every second float, from the second."""
    _take_part(p, node, 1)


def _take_part(p: Planner, node: Node, which: int) -> None:
    found = p.access(node.inputs[0])
    layout = found.layout
    offset = layout.offset + which * layout.strides[-1]
    p.sources[node.output] = Access(found.storage, Strided(layout.shape[:-1], layout.strides[:-1], offset))


def pairs(p: Planner, node: Node) -> None:
    """Both parts, one beside the other."""
    whole = p.place(node.output)
    layout = whole.layout
    for which, part in enumerate(node.inputs):
        p.write(part, Access(whole.storage, Strided(layout.shape[:-1], layout.strides[:-1], which)))
