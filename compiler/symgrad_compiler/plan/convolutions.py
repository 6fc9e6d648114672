"""How convolutions are planned: a step each, on memory that is channels last.

Where channels come first, operands that do not lie that way are copied, and the result is a view.
Convolutions of symbolic sizes (but for the number of images) are expanded into windows and matrix products,
and so are those by single elements, which are matrix products of views.
"""

from __future__ import annotations

import math
from typing import cast

from symgrad.dims import Dim, Shape, product
from symgrad.ir.tensor import Node, Tensor
from symgrad.ops.conv import Conv, ConvInput, Convolution, ConvWeights
from symgrad.ops.strided import Strided
from symgrad_compiler.plan import geometry
from symgrad_compiler.plan.planner import Planner
from symgrad_compiler.plan.steps import ARENA, IOTA, Access, ConvolutionStep, Storage

#: Bytes up to which a copy is kept for later convolutions. It may be from the beginning of a loss to the end
#: of its gradient; of what is larger, memory counts more than the time of another copy.
MOST_KEPT = 2**20
_WHAT: dict[type, str] = {
    Conv: geometry.FORWARD,
    ConvInput: geometry.INPUT,
    ConvWeights: geometry.WEIGHTS,
}


def is_native(node: Node) -> bool:
    """Whether a convolution has a step of its own."""
    op = node.op
    if not isinstance(op, Convolution) or node.output.dtype.short not in ("f32", "f64"):
        return False
    x, w, g = _shapes(node, op)
    known = (*x[1:], *w, *g[1:], op.groups)
    if not all(isinstance(d, int) and d > 0 for d in known):
        return False
    pointwise = math.prod(_known(op.spatial(w, "w"))) == 1 and op.groups == 1
    return not (pointwise and set(op.strides) == {1} and not any(map(any, op.padding)))


def convolution(p: Planner, node: Node) -> None:
    op = node.op
    assert isinstance(op, Convolution)
    spec = spec_of(node)
    a, b = (_channels_last(p, t, op, name) for t, name in zip(node.inputs, op.operands, strict=True))
    out = _place(p, node.output, op)
    room = None
    if spec.room:
        size = -(-spec.room // node.output.dtype.itemsize)
        room = Storage(ARENA, node.output.dtype, size, label="room of a convolution")
    strong = "".join(letter for letter, name in zip("ab", op.operands, strict=True) if name in op.strong)
    images: Dim = _shapes(node, op)[0][0]
    step = ConvolutionStep(node, spec, images, strong, a, b, out, room)
    p.wrote(out.storage, p.open(step))


def spec_of(node: Node) -> geometry.Convolution:
    """What native code is generated for."""
    op = node.op
    assert isinstance(op, Convolution)
    x, w, g = _shapes(node, op)
    return geometry.Convolution(
        what=_WHAT[type(op)],
        kind=node.output.dtype.short,
        sizes=_known(op.spatial(x, "x")),
        taps=_known(op.spatial(w, "w")),
        outs=_known(op.spatial(g, "g")),
        strides=op.strides,
        dilations=op.dilations,
        lows=tuple(low for low, _ in op.padding),
        channels=_known((x[op.axis("c", "x")],))[0],
        features=_known((w[op.axis("o", "w")],))[0],
        groups=_known((op.groups,))[0],
    )


def _known(sizes: Shape) -> tuple[int, ...]:
    """Sizes that are numbers."""
    return cast("tuple[int, ...]", sizes)


def _shapes(node: Node, op: Convolution) -> tuple[Shape, Shape, Shape]:
    """Of x, w and g."""
    given = dict(zip(op.operands, (t.shape for t in node.inputs), strict=True))
    given[op.result] = node.output.shape
    return given["x"], given["w"], given["g"]


def _order(op: Convolution, name: str) -> tuple[int, ...]:
    """The axes of a tensor, those of the channels last."""
    count = op.rank + 2
    if op.channels == "last":
        return tuple(range(count))
    return (*range(2, count), 1, 0) if name == "w" else (0, *range(2, count), 1)


def _channels_last(p: Planner, tensor: Tensor, op: Convolution, name: str) -> Access:
    """A tensor in memory as native code reads it; a copy, if it does not lie that way, which serves later
    convolutions too if it is small."""
    order = _order(op, name)
    found = p.source(tensor)
    if isinstance(found, Access) and found.storage.kind != IOTA:
        layout = found.layout.permute(order)
        if layout.is_contiguous:
            return Access(found.storage, layout)
    kept = p.copies.get((tensor, order))
    if kept is not None:
        return kept
    label = f"copy of {p.graph.names.get(tensor, '')}"
    storage = Storage(ARENA, tensor.dtype, product(tensor.shape), label=label)
    layout, given = _layouts(tensor.shape, order)
    p.copy_into(tensor, found, Access(storage, given))
    copy = Access(storage, layout)
    if isinstance(storage.size, int) and storage.size * storage.dtype.itemsize <= MOST_KEPT:
        p.copies[tensor, order] = copy
    return copy


def _place(p: Planner, tensor: Tensor, op: Convolution) -> Access:
    """Memory for a result, channels last."""
    order = _order(op, op.result)
    if op.channels == "last":
        return p.place(tensor)
    layout, given = _layouts(tensor.shape, order)
    storage = Storage(ARENA, tensor.dtype, product(tensor.shape), label=p.graph.names.get(tensor, ""))
    p.sources[tensor] = Access(storage, given)
    return Access(storage, layout)


def _layouts(shape: Shape, order: tuple[int, ...]) -> tuple[Strided, Strided]:
    """A layout without gaps of the axes in this order, and the same of the axes as they are."""
    layout = Strided.contiguous(tuple(shape[i] for i in order))
    back = tuple(order.index(i) for i in range(len(order)))
    return layout, layout.permute(back)
