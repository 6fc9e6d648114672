"""Running a tuple of passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from symgrad.ir.collector import without_collections
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Tensor
from symgrad.ops.align import own_literals
from symgrad_compiler.passes.checks import apply_pass, pass_name

__all__ = ["Pass", "pass_name", "replace_results", "run"]

Pass: TypeAlias = Callable[[Graph], Graph]


@without_collections
@own_literals()
def run(graph: Graph, passes: Sequence[Pass], *, validate: bool = False) -> Graph:
    """`graph` after all passes, in order; with `validate`, each result is verified."""
    for step in passes:
        graph = apply_pass(step, graph)
        if validate:
            graph.verify()
    return graph


def replace_results(graph: Graph, replaced: Mapping[Tensor, Tensor]) -> Graph:
    """The graph with its results replaced; itself if none is."""
    results = (*graph.outputs, *graph.updates.values())
    if not any(t in replaced for t in results):
        return graph
    return graph.with_results(
        [replaced.get(t, t) for t in graph.outputs], {s: replaced.get(t, t) for s, t in graph.updates.items()}
    )
