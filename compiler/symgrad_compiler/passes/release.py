"""Differentiation is over: ops that only say how to differentiate give way to the values that they hand
on."""

from __future__ import annotations

from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Tensor
from symgrad.ops.custom import RULE_OPS, value_of
from symgrad_compiler.passes.pipeline import replace_results
from symgrad_compiler.rewrite.engine import rebuild


def release(graph: Graph) -> Graph:
    """The graph without custom derivatives."""
    if not any(isinstance(n.op, RULE_OPS) for n in graph.nodes):
        return graph
    replaced: dict[Tensor, Tensor] = {}
    for node in graph.nodes:
        current = rebuild(node, replaced)
        outputs = value_of(current) if isinstance(node.op, RULE_OPS) else current.outputs
        replaced.update((old, new) for old, new in zip(node.outputs, outputs, strict=True) if old is not new)
    return replace_results(graph, replaced)
