"""Substitution: the same computation on other tensors (`givens=` of `function`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from symgrad.errors import GraphError, ShapeError
from symgrad.ir import origin
from symgrad.ir.tensor import Node, Tensor, create
from symgrad.ops.create import constant_for
from symgrad.registry import provide


@provide("substitute")
def substitute_tensors(
    tensors: Sequence[Tensor], givens: Mapping[Tensor, Any], first: int = 0
) -> list[Tensor]:
    """`tensors` with each key of `givens` replaced by its value, in the values too; not in what was made
    before the node of number `first`.

    Raises:
        GraphError: the replacements depend on each other in a circle; a key is no tensor.
        ShapeError, DTypeError: a replacement has another type, or numbers are not of it.
    """
    for tensor in givens if isinstance(givens, Iterable) else [givens]:
        if not isinstance(tensor, Tensor):
            raise GraphError(
                f"givens are for tensors, not for {type(tensor).__name__}",
                facts=[("got", repr(tensor)[:80])],
                at=origin.locate(origin.current()),
                hint="givens={x: value}, with the tensor x itself",
            )
    replacements = {
        t: constant_for(v, t.type, f"the given for {t.name or t.node.op.name}") for t, v in givens.items()
    }
    for tensor, new in replacements.items():
        if tensor.type != new.type:
            raise ShapeError(
                f"the given for {tensor.name or tensor.node.op.name} has another type",
                facts=[("expected", tensor.type), ("got", new.type)],
                at=origin.locate(new.node.origins),
            )
    final: dict[Tensor, Tensor] = {}
    for tensor in tensors:
        _resolve(tensor, replacements, final, first)
    return [final[t] for t in tensors]


def _resolve(
    root: Tensor, replacements: Mapping[Tensor, Tensor], final: dict[Tensor, Tensor], first: int
) -> None:
    open_: dict[Tensor, None] = {}
    stack = [root]
    while stack:
        tensor = stack[-1]
        if tensor.node.id < first:
            final[tensor] = tensor
        if tensor in final:
            stack.pop()
            continue
        sources = (replacements[tensor],) if tensor in replacements else tensor.node.inputs
        waiting = [t for t in sources if t not in final]
        if not waiting:
            stack.pop()
            open_.pop(tensor, None)
            _finish(tensor, replacements, final)
            continue
        open_[tensor] = None
        cycle = next((t for t in waiting if t in open_), None)
        if cycle is not None:
            members = _from(cycle, open_)
            names = [t.name or t.node.op.name for t in members if t in replacements]
            raise GraphError(
                f"the givens are cyclic: {' -> '.join([*names, names[0]])}",
                facts=[
                    (t.name or t.node.op.name, replacements[t].type) for t in members if t in replacements
                ],
                hint="use new tensors in the values of givens",
            )
        stack.extend(waiting)


def _from(tensor: Tensor, tensors: Iterable[Tensor]) -> list[Tensor]:
    """`tensors` from `tensor` on."""
    ordered = list(tensors)
    return ordered[next(i for i, t in enumerate(ordered) if t is tensor) :]


def _finish(tensor: Tensor, replacements: Mapping[Tensor, Tensor], final: dict[Tensor, Tensor]) -> None:
    if tensor in replacements:
        final[tensor] = final[replacements[tensor]]
        return
    node: Node = tensor.node
    inputs = tuple([final[t] for t in node.inputs])
    if all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
        final[tensor] = tensor
        return
    outputs = create(node.op, inputs, [t.type for t in node.outputs], node.origins)
    for old, new in zip(node.outputs, outputs, strict=True):
        new.stands_for(old)
        final[old] = new
