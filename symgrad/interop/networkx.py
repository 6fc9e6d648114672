"""Graphs for NetworkX; the one module that imports it."""

from __future__ import annotations

from typing import Any

import networkx

from symgrad.ir.graph import Graph


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
