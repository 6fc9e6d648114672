"""Sizes that come out negative, such as n - 2 for an n of 1, and the nodes for which they are errors.

They are asked for before the passes, which take it that all is well and may make other ops of these nodes.
"""

from __future__ import annotations

from symgrad.dims import Dim, is_never_negative
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Node
from symgrad.ops.kinds import TensorOp


def size_checks(graph: Graph) -> dict[Dim, Node]:
    """What a program of the graph has to check: sizes, each with the first node that makes another of it."""
    known: set[Dim] = set()
    for node in graph.nodes:
        if isinstance(node.op, TensorOp) and node.op.checks_windows:
            known.update(set(node.output.shape).difference(*[t.shape for t in node.inputs]))
    found: dict[Dim, Node] = {}
    for node in graph.nodes:
        if isinstance(node.op, TensorOp) and node.op.takes_as_empty(node):
            continue
        for tensor in (*node.inputs, *node.outputs):
            for dim in tensor.shape:
                if not (dim in known or is_never_negative(dim)):
                    found.setdefault(dim, node)
    return found
