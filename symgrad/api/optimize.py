"""Running and watching the optimizer by hand."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from symgrad.ir.graph import Graph
from symgrad_compiler import passes as pipeline
from symgrad_compiler.passes.pipeline import Pass, pass_name


def optimize(graph: Graph, passes: Sequence[Pass] | None = None) -> Graph:
    """The graph after the passes (`symgrad.passes.default` unless given).

    >>> import symgrad as sg
    >>> x = sg.vector("x", size=3)
    >>> g = sg.Graph([x], sg.log(1 + sg.exp(x)))
    >>> sg.optimize(g).stats()["ops"]
    {'softplus': 1}
    """
    return pipeline.run(graph, pipeline.default if passes is None else tuple(passes))


def explain(target: Any, passes: Sequence[Pass] | None = None) -> str:
    """What each pass does to a graph (or to a compiled function's), as text diffs with counts of nodes."""
    graph: Graph = target if isinstance(target, Graph) else target.graph
    parts = [f"{graph.name}: {len(graph.nodes)} nodes"]
    for step in pipeline.default if passes is None else passes:
        before, graph = graph, pipeline.run(graph, [step])
        head = f"{pass_name(step)}: {len(before.nodes)} -> {len(graph.nodes)} nodes"
        lines = (
            []
            if graph is before
            else difflib.unified_diff(str(before).split("\n"), str(graph).split("\n"), n=0)
        )
        body = [f"  {line}" for line in lines if not line.startswith(("---", "+++", "@@"))]
        parts.append("\n".join([head, *body]))
    return "\n\n".join(parts)
