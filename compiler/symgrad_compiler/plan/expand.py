"""Composites in simpler ops: `softmax` as max, exp, sum and a division, products with vectors as sums. The
native backend fuses those."""

from __future__ import annotations

from symgrad.ir import origin
from symgrad.ir.collector import without_collections
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Tensor
from symgrad.ops.contract import MatMul
from symgrad.ops.kinds import TensorOp
from symgrad_compiler.passes.pipeline import replace_results
from symgrad_compiler.plan.convolutions import is_native
from symgrad_compiler.plan.vectors import as_sum
from symgrad_compiler.rewrite.engine import rebuild


@without_collections
def expand(graph: Graph) -> tuple[Graph, dict[Tensor, Tensor]]:
    """The graph with each op that has an `expand` replaced by what that gives; and what took the place of
    which tensor."""
    if not any(_expands(n.op) for n in graph.nodes):
        return graph, {}
    replaced: dict[Tensor, Tensor] = {}
    for node in graph.nodes:
        current = rebuild(node, replaced)
        op = current.op
        outputs = current.outputs
        if isinstance(op, TensorOp) and op.expand is not None and not is_native(current):
            with origin.scope(node.origins):
                found = op.expand(*current.inputs)
                outputs = found if isinstance(found, tuple) else (found,)
        elif isinstance(op, MatMul):
            with origin.scope(node.origins):
                as_one = as_sum(current)
            outputs = outputs if as_one is None else (as_one,)
        replaced.update((old, new) for old, new in zip(node.outputs, outputs, strict=True) if old is not new)
    return replace_results(graph, replaced), replaced


def _expands(op: object) -> bool:
    return isinstance(op, MatMul) or (isinstance(op, TensorOp) and op.expand is not None)
