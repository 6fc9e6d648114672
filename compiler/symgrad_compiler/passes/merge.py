"""Common subexpressions become one node, which keeps the origins of all.

Value numbering: two nodes are the same if their ops (attributes included, constants by their bits) and the
numbers of their operands are; operands of a commutative op are taken in sorted order.
"""

from __future__ import annotations

from symgrad.ir import origin
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Node, Tensor, create
from symgrad_compiler.passes.pipeline import replace_results


def merge(graph: Graph) -> Graph:
    """Merge equal nodes."""
    first, same = _classes(graph)
    if not same:
        return graph
    replaced: dict[Tensor, Tensor] = {}
    for node in graph.nodes:
        keeper = first.get(node)
        if keeper is not None:
            replaced.update(
                (old, replaced.get(new, new)) for old, new in zip(node.outputs, keeper.outputs, strict=True)
            )
            continue
        twins = same.get(node)
        if twins is None:
            for tensor in node.inputs:
                if tensor in replaced:
                    break
            else:
                continue
        _rebuild(node, replaced, twins or ())
    return replace_results(graph, replaced)


def _classes(graph: Graph) -> tuple[dict[Node, Node], dict[Node, list[Node]]]:
    """(node -> the earlier node equal to it; that node -> all later ones)."""
    numbers: dict[Tensor, int] = {}
    known: dict[object, Node] = {}
    first: dict[Node, Node] = {}
    same: dict[Node, list[Node]] = {}
    for tensor in (*graph.inputs, *graph.states):
        numbers[tensor] = len(numbers)
    for node in graph.nodes:
        op = node.op
        operands = [numbers[t] for t in node.inputs]
        if op.commutative:
            operands.sort()
        keeper = known.setdefault((op, *operands), node)
        if keeper is node:
            for tensor in node.outputs:
                numbers[tensor] = len(numbers)
            continue
        first[node] = keeper
        same.setdefault(keeper, []).append(node)
        for tensor, kept in zip(node.outputs, keeper.outputs, strict=True):
            numbers[tensor] = numbers[kept]
    return first, same


def _rebuild(node: Node, replaced: dict[Tensor, Tensor], twins: list[Node] | tuple[()]) -> None:
    """The node with replaced operands and the origins of its twins; itself if neither changes anything."""
    origins = node.origins
    for twin in twins:
        origins = origin.merge(origins, twin.origins)
    if origins == node.origins and not any(t in replaced for t in node.inputs):
        if not any(t.name is None and t.derivative_of is None for t in node.outputs):
            return
        if not any(t.name for twin in twins for t in twin.outputs):
            return
    outputs = create(
        node.op, tuple([replaced.get(t, t) for t in node.inputs]), [t.type for t in node.outputs], origins
    )
    for i, (old, new) in enumerate(zip(node.outputs, outputs, strict=True)):
        new.stands_for(old, replaced)
        new.name = old.name or next((twin.outputs[i].name for twin in twins if twin.outputs[i].name), None)
        replaced[old] = new
