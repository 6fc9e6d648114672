"""Running a tuple of passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from symgrad.ir.collector import without_collections
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Tensor
from symgrad.ops.align import own_literals
from symgrad_compiler.passes.checks import apply_pass, pass_name
from symgrad_compiler.rewrite.engine import recording
from symgrad_compiler.validate.validator import Validator

__all__ = ["Pass", "pass_name", "replace_results", "run"]

Pass: TypeAlias = Callable[[Graph], Graph]


@without_collections
@own_literals()
def run(graph: Graph, passes: Sequence[Pass], *, validate: bool = False) -> Graph:
    """`graph` after all passes, in order.

    With `validate`, each result is verified, evaluated, and held against the graph before it; see
    `symgrad_compiler.validate`. What is asked of it follows from the rules that were applied, unless the pass
    has an attribute `kind`: "exact", "rounding", "stable" or "fast".

    Raises:
        CompileError: a pass returns no graph; or, with `validate`, one that computes something else.
        GraphError: with `validate`, the graph that a pass returns is not well formed.
    """
    watch = Validator(graph) if validate else None
    for step in passes:
        with recording() as rules:
            graph = apply_pass(step, graph)
        if watch is not None:
            watch.check(pass_name(step), graph, rules, getattr(step, "kind", None))
    return graph


def replace_results(graph: Graph, replaced: Mapping[Tensor, Tensor]) -> Graph:
    """The graph with its results replaced; itself if none is."""
    results = (*graph.outputs, *graph.updates.values())
    if not any(t in replaced for t in results):
        return graph
    return graph.with_results(
        [replaced.get(t, t) for t in graph.outputs], {s: replaced.get(t, t) for s, t in graph.updates.items()}
    )
