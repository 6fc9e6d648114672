"""Which constants are literals: numbers that the text form writes where they are used, without a name.

A `fill` that the user has not named is a literal if elementwise ops alone read it, each of them so that type
and shape follow from the place: the shape is the result's, the dtype that of the op's other values, or the
result's where all of them are literals. Graphs are compared by what literals are, not by their names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from symgrad.ir.op import Op
from symgrad.ir.tensor import Node, Tensor
from symgrad.types import BOOL, TensorType


def literals(nodes: Iterable[Node], results: Iterable[Tensor]) -> set[Tensor]:
    """The literals among the outputs of `nodes`; `results` are what the graph returns."""
    nodes = list(nodes)
    found = {n.outputs[0] for n in nodes if n.op.name == "fill" and n.outputs[0].name is None}
    found.difference_update(results)
    if not found:
        return found
    for node in nodes:
        if not found.isdisjoint(node.inputs) and not _takes_literals(node):
            found.difference_update(node.inputs)
    return found


def is_elementwise(op: Op) -> bool:
    """Whether the op works element by element (its operands have equal shapes)."""
    return hasattr(op, "conditions")


def literal_type(op: Op, operand: int, values: Sequence[Tensor | None], result: TensorType) -> TensorType:
    """The type of the literal that is operand `operand` of `op`; `values` has None for literals."""
    conditions: int = op.conditions  # type: ignore[attr-defined]
    if operand < conditions:
        return TensorType(BOOL, result.shape)
    dtype = next((v.type.dtype for v in values[conditions:] if v is not None), result.dtype)
    return TensorType(dtype, result.shape)


def _takes_literals(node: Node) -> bool:
    if not is_elementwise(node.op):
        return False
    values = node.inputs[node.op.conditions :]  # type: ignore[attr-defined]
    return values[0].type.dtype is node.outputs[0].type.dtype or any(v.node.op.name != "fill" for v in values)
