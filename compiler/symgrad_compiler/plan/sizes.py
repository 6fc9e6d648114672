"""Sizes that come out negative, such as n - 2 for an n of 1, and the nodes for which they are errors.

They are asked for before the passes, which take it that all is well and may make other ops of these nodes.
"""

from __future__ import annotations

from typing import NamedTuple

from symgrad.dims import Dim, is_never_negative
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Node
from symgrad.ops.kinds import TensorOp


class SizeCheck(NamedTuple):
    """A size of a node's operands or results that must not be negative, along an axis."""

    node: Node
    axis: int
    size: Dim


def size_checks(graph: Graph) -> list[SizeCheck]:
    """What a program of the graph has to check, each size once."""
    found: dict[Dim, SizeCheck] = {}
    for node in graph.nodes:
        if isinstance(node.op, TensorOp) and node.op.takes_as_empty(node):
            continue
        for tensor in (*node.inputs, *node.outputs):
            for axis, dim in enumerate(tensor.shape):
                if not (dim in found or is_never_negative(dim)):
                    found[dim] = SizeCheck(node, axis, dim)
    return list(found.values())
