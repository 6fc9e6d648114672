"""The order of a graph's nodes: the given one, and others in which less memory may be live at once.

Passes rebuild what they change, and nodes are in the order in which they were built; so what a pass left
alone can come long before it is needed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from symgrad.dims import product
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Node, Tensor, is_leaf
from symgrad.ops.create import Constant, Fill, Iota, SizeOf
from symgrad.ops.custom import Barrier
from symgrad.ops.kinds import Elementwise, TensorOp
from symgrad_compiler.plan.arena import nominal
from symgrad_compiler.plan.order import Tasks, orders

#: Ops whose results take no memory, or none that is ever free.
WITHOUT_MEMORY = (Constant, Fill, Iota, SizeOf)


def node_orders(graph: Graph) -> list[list[Node]]:
    """The nodes as they are given; and in the order of the lowest peak, if that is lower, by an estimate that
    knows of no fusion."""
    nodes = list(graph.nodes)
    tasks, in_place = _tasks(graph)
    found = list(orders(tasks))
    peaks = [_peak(tasks, in_place, order) for order in found]
    least = min(peaks)
    if not nodes or least == peaks[0]:
        return [nodes]
    return [nodes, [nodes[i] for i in found[peaks.index(least)]]]


def _tasks(graph: Graph) -> tuple[Tasks, list[bool]]:
    """The nodes as tasks; and which may write over an operand."""
    tasks = Tasks()
    results = {*graph.outputs, *graph.updates.values()}
    made: dict[Node, int] = {}
    pieces: dict[Tensor, int | None] = defaultdict(lambda: None)
    for number, node in enumerate(graph.nodes):
        made[node] = number
        tasks.before.append(sorted({made[t.node] for t in node.inputs if t.node in made}))
        for tensor in node.outputs:
            if _is_view(node):
                pieces[tensor] = pieces[node.inputs[0]]
            elif not isinstance(node.op, WITHOUT_MEMORY) and not is_leaf(tensor) and tensor not in results:
                pieces[tensor] = len(tasks.sizes)
                tasks.sizes.append(nominal(product(tensor.shape)) * tensor.dtype.itemsize)
        touched = {pieces[t] for t in (*node.inputs, *node.outputs)}
        tasks.touches.append(sorted(p for p in touched if p is not None))
    return tasks, [isinstance(n.op, Elementwise) for n in graph.nodes]


def _is_view(node: Node) -> bool:
    op = node.op
    return isinstance(op, Barrier) or (isinstance(op, TensorOp) and op.strided is not None)


def _peak(tasks: Tasks, in_place: Sequence[bool], order: Sequence[int]) -> int:
    left = [0] * len(tasks.sizes)
    for touched in tasks.touches:
        for piece in touched:
            left[piece] += 1
    users = list(left)
    live = most = 0
    for task in order:
        taken = freed = 0
        for piece in tasks.touches[task]:
            taken += tasks.sizes[piece] * (left[piece] == users[piece])
            left[piece] -= 1
            freed += tasks.sizes[piece] * (left[piece] == 0)
        most = max(most, live + taken - (min(taken, freed) if in_place[task] else 0))
        live += taken - freed
    return most
