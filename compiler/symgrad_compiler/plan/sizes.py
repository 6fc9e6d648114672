"""Sizes that come out negative, such as n - 2 for an n of 1, and the nodes for which they are errors;
bounds of slices that count from another end than they were taken to.

They are asked for before the passes, which take it that all is well and may make other ops of these nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from symgrad.dims import Dim, is_never_negative
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Node
from symgrad.ops.bounds import Bound
from symgrad.ops.kinds import TensorOp
from symgrad.ops.shape import SpecifyShape

#: What a program has to check, each with the first node that needs it.
SizeChecks: TypeAlias = Mapping[Dim | Bound, Node]


def size_checks(graph: Graph) -> SizeChecks:
    """What a program of the graph has to check: bounds, and sizes of which a node makes another."""
    found: dict[Dim | Bound, Node] = {}
    for node in graph.nodes:
        if isinstance(node.op, SpecifyShape):
            for bound in map(Bound, node.op.bounds, node.op.reaches):
                found.setdefault(bound, node)
    known: set[Dim] = set()
    for node in graph.nodes:
        if isinstance(node.op, TensorOp) and node.op.checks_windows:
            known.update(set(node.output.shape).difference(*[t.shape for t in node.inputs]))
    for node in graph.nodes:
        if isinstance(node.op, TensorOp) and node.op.takes_as_empty(node):
            continue
        for tensor in (*node.inputs, *node.outputs):
            for dim in tensor.shape:
                if not (dim in known or is_never_negative(dim)):
                    found.setdefault(dim, node)
    return found
