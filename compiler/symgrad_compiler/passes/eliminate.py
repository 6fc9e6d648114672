"""Dead code: updates that give a state its own value, and all that no result depends on."""

from __future__ import annotations

from symgrad.ir.graph import Graph


def eliminate(graph: Graph) -> Graph:
    """Drop what has no effect: a graph holds only ancestors of its results."""
    live = {state: value for state, value in graph.updates.items() if value is not state}
    return graph if len(live) == len(graph.updates) else graph.with_results(graph.outputs, live)
