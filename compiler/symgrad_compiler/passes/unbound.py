"""Bounds of slices that a program checks before all else (`plan/sizes.py`) need no check where they are used.

Not among `default`: the check is found in the graph before the passes, so `optimize` by hand keeps it.
"""

from __future__ import annotations

from symgrad.ir import origin
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Node, Tensor, apply
from symgrad.ops.shape import SpecifyShape
from symgrad_compiler.passes.pipeline import replace_results
from symgrad_compiler.rewrite.engine import rebuild


def has_bounds(graph: Graph) -> bool:
    """Whether the graph has bounds to check."""
    return any(map(_has_bounds, graph.nodes))


def drop_bounds(graph: Graph) -> Graph:
    """Drop the bounds that the program checks before all else."""
    replaced: dict[Tensor, Tensor] = {}
    for node in graph.nodes:
        current = rebuild(node, replaced)
        outputs = (_without(current),) if _has_bounds(node) else current.outputs
        replaced.update((old, new) for old, new in zip(node.outputs, outputs, strict=True) if old is not new)
    return replace_results(graph, replaced)


def _has_bounds(node: Node) -> bool:
    return isinstance(node.op, SpecifyShape) and bool(node.op.bounds)


def _without(node: Node) -> Tensor:
    (x,) = node.inputs
    if x.shape == node.output.shape:
        return x
    with origin.scope(node.origins):
        return apply(SpecifyShape(node.output.shape), x)
