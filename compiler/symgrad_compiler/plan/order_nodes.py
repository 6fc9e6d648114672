"""The order of a graph's nodes: the given one, and others in which less memory may be live at once.

Passes rebuild what they change, and nodes are in the order in which they were built; so what a pass left
alone can come long before it is needed.
"""

from __future__ import annotations

from collections import defaultdict

from symgrad.dims import product
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Node, Tensor, is_leaf
from symgrad.ops.create import Constant, Fill, Iota, SizeOf
from symgrad.ops.custom import Barrier
from symgrad.ops.kinds import Elementwise, TensorOp
from symgrad_compiler.plan.arena import nominal
from symgrad_compiler.plan.order import Tasks, best, peak

#: Ops whose results take no memory, or none that is ever free.
WITHOUT_MEMORY = (Constant, Fill, Iota, SizeOf)
#: With more nodes, one plan is made, not two to compare: of the other order if its estimated peak is so many
#: times lower.
MANY, _MUCH = 20_000, 2


def node_orders(graph: Graph) -> list[list[Node]]:
    """The nodes as they are given; and in an order of lower peak, by an estimate that knows of no fusion. Of
    many nodes, one of both."""
    nodes, tasks = list(graph.nodes), node_tasks(graph)
    if len(nodes) > MANY and peak(tasks, range(len(nodes))) <= _MUCH * _least(tasks):
        return [nodes]
    chosen = best(tasks)
    if all(i == number for number, i in enumerate(chosen)):
        return [nodes]
    other = [nodes[i] for i in chosen]
    if len(nodes) <= MANY:
        return [nodes, other]
    return [nodes if peak(tasks, range(len(nodes))) <= _MUCH * peak(tasks, chosen) else other]


def _least(tasks: Tasks) -> int:
    """Bytes without which no order can do: what one task touches."""
    return max((sum(tasks.sizes[p] for p in touched) for touched in tasks.touches), default=0)


def node_tasks(graph: Graph) -> Tasks:
    """The nodes as tasks; results have memory of their own, which does not count."""
    tasks = Tasks()
    results = {*graph.outputs, *graph.updates.values()}
    made: dict[Node, int] = {}
    pieces: dict[Tensor, int | None] = defaultdict(lambda: None)
    for number, node in enumerate(graph.nodes):
        made[node] = number
        tasks.before.append(sorted({made[t.node] for t in node.inputs if t.node in made}))
        for tensor in node.outputs:
            if is_view(node):
                pieces[tensor] = pieces[node.inputs[0]]
            elif not isinstance(node.op, WITHOUT_MEMORY) and not is_leaf(tensor) and tensor not in results:
                pieces[tensor] = len(tasks.sizes)
                tasks.sizes.append(nominal(product(tensor.shape)) * tensor.dtype.itemsize)
        touched = {pieces[t] for t in (*node.inputs, *node.outputs)}
        tasks.touches.append(sorted(p for p in touched if p is not None))
        tasks.in_place.append(isinstance(node.op, Elementwise))
    return tasks


def is_view(node: Node) -> bool:
    """Whether the outputs lie where the first operand does."""
    op = node.op
    return isinstance(op, Barrier) or (isinstance(op, TensorOp) and op.strided is not None)
