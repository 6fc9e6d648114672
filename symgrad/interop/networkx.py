"""Graphs for NetworkX; the one module that imports it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import networkx

from symgrad.ir.graph import Graph


def minimum_cut(
    edges: Iterable[tuple[Hashable, Hashable, float | None]], source: Hashable, sink: Hashable
) -> tuple[set[Any], set[Any]]:
    """The two sides of a minimum cut of a directed network. A capacity of None is infinite.

    >>> near, far = minimum_cut([("s", "a", None), ("a", "b", 1.0), ("b", "t", 2.0)], "s", "t")
    >>> sorted(near), sorted(far)
    (['a', 's'], ['b', 't'])
    """
    network = networkx.DiGraph()
    network.add_nodes_from((source, sink))
    for start, end, capacity in edges:
        network.add_edge(start, end, **({} if capacity is None else {"capacity": capacity}))
    _, (near, far) = networkx.minimum_cut(network, source, sink)
    return near, far


def to_networkx(graph: Graph) -> Any:
    """A `networkx.MultiDiGraph`: tensors by name, with `op` and `type`, edges from operands to results.

    An edge's `operand` is the operand's name.

    >>> import symgrad as sg
    >>> x = sg.vector("x", "n")
    >>> converted = to_networkx(sg.Graph([x], (x * x).named("y")))
    >>> list(converted.edges(data="operand")), converted.nodes["y"]
    ([('x', 'y', 'x'), ('x', 'y', 'y')], {'op': 'multiply', 'type': 'f64[n]'})
    """
    names = graph.names
    converted = networkx.MultiDiGraph(name=graph.name)
    for tensor in (*graph.inputs, *graph.states):
        converted.add_node(names[tensor], op=tensor.node.op.name, type=str(tensor.type))
    for node in graph.nodes:
        for tensor in node.outputs:
            converted.add_node(names[tensor], op=node.op.name, type=str(tensor.type))
            for i, operand in enumerate(node.inputs):
                converted.add_edge(names[operand], names[tensor], operand=node.op.operand_name(i))
    return converted
