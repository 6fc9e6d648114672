"""What depends on constants only is computed at compile time, by the op's own NumPy code: exact."""

from __future__ import annotations

import numpy

from symgrad.ir import origin
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Node, Tensor, apply
from symgrad.ir.values import ArrayData, Scalar
from symgrad.ops.create import Constant, Fill
from symgrad.ops.evaluate import can_evaluate, evaluate
from symgrad.ops.kinds import Elementwise
from symgrad.ops.shape import Broadcast, PermuteDims, Reshape
from symgrad_compiler.passes.pipeline import replace_results
from symgrad_compiler.rewrite.engine import inherit_name, rebuild

#: No constant larger than this is made; what would be is cheaper to compute than to keep.
MAX_ELEMENTS = 4096
#: Numbers that are the same everywhere are written out for an op up to so many elements.
MAX_OPERAND = 2**20
_STEP = origin.Step("pass", "fold_constants")
_KNOWN = frozenset({Fill, Constant})


def fold_constants(graph: Graph) -> Graph:
    """Compute constant subexpressions."""
    replaced: dict[Tensor, Tensor] = {}
    for node in graph.nodes:
        current = rebuild(node, replaced)
        for tensor in current.inputs:
            if tensor.node.op.__class__ not in _KNOWN:
                folded = None
                break
        else:
            folded = _fold(current)
        if folded is None and current is node:
            continue
        if folded is not None:
            inherit_name(node.outputs[0], folded, newer_than=current.id)
        result = (folded,) if folded is not None else current.outputs
        replaced.update((old, new) for old, new in zip(node.outputs, result, strict=True) if old is not new)
    return replace_results(graph, replaced)


def _fold(node: Node) -> Tensor | None:
    operands = [t.node.op for t in node.inputs]
    if not operands:
        return None
    if isinstance(node.op, (Broadcast, Reshape, PermuteDims)) and isinstance(operands[0], Fill):
        with origin.scope(_folded(node.origins)):
            return apply(Fill(operands[0].value, node.outputs[0].shape))
    if not can_evaluate(node):
        return None
    try:
        return _value(node)
    except (ArithmeticError, LookupError, ValueError):
        return None  # it fails in each call, which says where


def _value(node: Node) -> Tensor | None:
    if isinstance(node.op, Elementwise) and all(isinstance(t.node.op, Fill) for t in node.inputs):
        return _fold_fills(node)
    shape = node.outputs[0].shape
    count = 1
    for dim in shape:
        if not isinstance(dim, int):
            return None
        count *= dim
    if count > MAX_ELEMENTS or not all(map(_is_small, node.inputs)):
        return None
    value = numpy.asarray(evaluate(node.op, [_array(t) for t in node.inputs]))
    with origin.scope(_folded(node.origins)):
        if not shape:
            return apply(Fill(Scalar(node.outputs[0].dtype, value.tobytes()), ()))
        return apply(Constant(ArrayData(value)))


def _is_small(tensor: Tensor) -> bool:
    """Whether an operand is there, or does not take much to write out."""
    if isinstance(tensor.node.op, Constant):
        return True
    count = 1
    for dim in tensor.shape:
        if not isinstance(dim, int):
            return False
        count *= dim
    return count <= MAX_OPERAND


def _folded(origins: tuple[origin.Origin, ...]) -> tuple[origin.Origin, ...]:
    """With a step for this pass, once for all that it joined."""
    return tuple([o if o.steps[-1:] == (_STEP,) else o.then(_STEP.kind, _STEP.what) for o in origins])


def _fold_fills(node: Node) -> Tensor:
    """An elementwise op on numbers: computed once, whatever the shape."""
    values = [t.node.op.value.numpy for t in node.inputs if isinstance(t.node.op, Fill)]
    out = node.outputs[0]
    value = numpy.asarray(evaluate(node.op, values), dtype=out.dtype.numpy)
    with origin.scope(_folded(node.origins)):
        return apply(Fill(Scalar(out.dtype, value.tobytes()), out.shape))


def _array(tensor: Tensor) -> numpy.ndarray[tuple[int, ...], numpy.dtype[numpy.generic]]:
    op = tensor.node.op
    if isinstance(op, Constant):
        return op.data.array
    assert isinstance(op, Fill)
    return numpy.full([int(d) for d in op.shape if isinstance(d, int)], op.value.numpy)
