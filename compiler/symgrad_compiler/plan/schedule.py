"""Which nodes become steps, which stay virtual, and how often each tensor is read.

A `fill` read by elementwise ops is a literal in their code. A `broadcast` read by elementwise ops only is a
view with new axes. Neither takes a step or memory.
"""

from __future__ import annotations

from collections import Counter

from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Node, Tensor
from symgrad.ops.create import Fill
from symgrad.ops.kinds import Elementwise
from symgrad.ops.shape import Broadcast
from symgrad.records import record
from symgrad_compiler.plan.order_nodes import node_orders


@record
class Schedule:
    """The steps of a program in order."""

    steps: tuple[Node, ...]
    virtual: frozenset[Tensor]
    #: How many times steps and results read each tensor that is not virtual.
    reads: Counter[Tensor]


def schedule(graph: Graph) -> Schedule:
    """The steps of `graph`, in its order or in one that needs less memory."""
    results = {*graph.outputs, *graph.updates.values()}
    virtual: set[Tensor] = set()
    nodes = node_orders(graph)[-1]
    for node in nodes:
        if isinstance(node.op, (Fill, Broadcast)):
            tensor = node.outputs[0]
            readers = graph.consumers(tensor)
            if tensor not in results and readers and all(isinstance(n.op, Elementwise) for n in readers):
                virtual.add(tensor)
    steps = tuple(n for n in nodes if n.outputs[0] not in virtual)
    reads: Counter[Tensor] = Counter()
    for node in steps:
        for tensor in node.inputs:
            reads[source(tensor, virtual)] += 1
    reads.update([*graph.outputs, *graph.updates.values()])
    return Schedule(steps, frozenset(virtual), reads)


def source(tensor: Tensor, virtual: set[Tensor] | frozenset[Tensor]) -> Tensor:
    """What a read of `tensor` really reads: behind virtual broadcasts."""
    while tensor in virtual and tensor.node.inputs:
        tensor = tensor.node.inputs[0]
    return tensor
