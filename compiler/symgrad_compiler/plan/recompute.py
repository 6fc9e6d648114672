"""What to compute again instead of keeping it.

The order of the nodes has a turn: the moment when most memory is live, in a training step between the forward
and the backward part. A tensor that is computed before the turn and read after it is either kept, or computed
again when it is read: from what is kept, by clones of its nodes, behind barriers, so that they are neither
merged with the first computation nor run before what precedes their reader.

    Chen, Xu, Zhang, Guestrin, "Training Deep Nets with Sublinear Memory Cost", 2016: segments
    Jain et al., "Checkmate", 2020; functorch's min-cut partition: what to keep inside of segments

Everything is computed by the same ops from the same numbers, so results are the same to the bit, but for
native sums: they are added up by the blocks of loops over rows, which may be others.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Sequence

from symgrad.dims import Dim, product
from symgrad.ir.graph import Graph
from symgrad.ir.op import Op
from symgrad.ir.tensor import Node, Tensor, create, is_leaf
from symgrad.lazy import cached_property
from symgrad.ops.contract import MatMul
from symgrad.ops.conv import Convolution
from symgrad.ops.custom import Barrier
from symgrad.ops.kinds import Elementwise, TensorOp
from symgrad.records import record
from symgrad_compiler.plan.arena import nominal
from symgrad_compiler.plan.cost import COSTLY, is_costly, products_of
from symgrad_compiler.plan.order import best, live
from symgrad_compiler.plan.order_nodes import WITHOUT_MEMORY, is_view, node_tasks
from symgrad_compiler.plan.updates import sums_of

#: How far back a barrier looks for something that is in memory anyway.
LOOK_BACK = 64
#: The largest segment, in nodes, whose tensors are chosen by a minimum cut.
MAX_CUT = 3000


@record
class Choice:
    """Which tensors are kept: in the first `again` of `segments` parts of what runs before the turn, only
    what crosses their borders, and what is not worth computing again: a byte that is kept costs 1, an
    operation `price`."""

    segments: int
    again: int
    price: float = 0.0


class Recomputation:
    """A graph of fixed sizes, in an order, with its turn."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        tasks = node_tasks(graph)
        self.results = {*graph.outputs, *graph.updates.values()}
        self.order = self._late([graph.nodes[i] for i in best(tasks)])
        number = {node: i for i, node in enumerate(graph.nodes)}
        amounts = live(tasks, [number[n] for n in self.order])
        self.turn = max(range(len(amounts)), key=amounts.__getitem__, default=0)
        self.position = {node: i for i, node in enumerate(self.order)}

    def _late(self, order: Sequence[Node]) -> list[Node]:
        """The order, in which nodes wait for what reads them first, where no more memory is live meanwhile. A
        slope of the forward part that only the backward part reads (`sech_squared`) is computed there: before
        the turn it would hold what it is computed from."""
        position = {node: i for i, node in enumerate(order)}
        #: Where nodes are: right before that one, in the order given.
        at: dict[Node, int] = {}
        last: dict[Tensor, int] = {}
        for node in reversed(order):
            here = position[node]
            found = [at[r] for t in node.outputs for r in self.graph.consumers(t)]
            stays = not found or isinstance(node.op, Barrier) or not self.results.isdisjoint(node.outputs)
            there = here if stays else min(found)
            if there > here:
                held = [t for t in dict.fromkeys(node.inputs) if not self.is_free(t)]
                longer = sum(bytes_of(t) for t in held if last.get(t, here) < there)
                if longer > sum(map(bytes_of, node.outputs)):
                    there = here
            at[node] = there
            for tensor in node.inputs:
                last[tensor] = max(last.get(tensor, there), there)
        return sorted(order, key=lambda node: (at[node], position[node]))

    # ---- what may be kept ---------------------------------------------------------------------------

    def is_free(self, tensor: Tensor) -> bool:
        """Whether the tensor is at hand at any time, without memory of its own."""
        if is_leaf(tensor) or tensor in self.results:
            return True
        node = tensor.node
        if isinstance(node.op, WITHOUT_MEMORY):
            return True
        return is_view(node) and self.is_free(node.inputs[0])

    @cached_property
    def wanted(self) -> list[Tensor]:
        """What is computed up to the turn and read after it, in order."""
        found: dict[Tensor, None] = {}
        for node in self.order[self.turn + 1 :]:
            for tensor in _read(node):
                if not self.is_free(tensor) and self.position[tensor.node] <= self.turn:
                    found[tensor] = None
        return sorted(found, key=lambda t: self.position[t.node])

    def kept(self, choice: Choice) -> set[Tensor]:
        """The tensors that are kept."""
        if not choice.again:
            return set(self.wanted)
        borders = [*self._borders(choice.segments), self.turn][: choice.again]
        keep = {t for t in self.wanted if self.position[t.node] > borders[-1]}
        for border in borders:
            keep |= self._crossing[border]
        for node in self.order[: borders[-1] + 1]:
            if not may_repeat(node):
                keep.update(node.outputs)
        if choice.price > 0:
            starts = [-1, *borders]
            for start, end in zip(starts, borders, strict=False):
                keep |= self._cut(start, end, keep, choice.price)
        return keep

    @cached_property
    def _crossing(self) -> _Crossing:
        return _Crossing(self)

    def _borders(self, segments: int) -> list[int]:
        """The positions after which the segments but the last end: what is wanted is divided evenly, and each
        border lies where the least crosses it."""
        total = sum(map(bytes_of, self.wanted))
        targets, passed, step = [], 0, 1
        for tensor in self.wanted:
            passed += bytes_of(tensor)
            if passed * segments >= step * total and step < segments:
                targets.append(self.position[tensor.node])
                step = passed * segments // max(1, total) + 1
        borders: list[int] = []
        previous = -1
        for target in targets:
            reach = max(1, (target - previous) // 2)
            near = range(max(previous + 1, target - reach), min(self.turn, target + reach) + 1)
            if near:
                border = min(near, key=lambda p: (self._crossing.bytes[p], abs(p - target)))
                borders.append(border)
                previous = border
        return borders

    def _cut(self, start: int, end: int, keep: set[Tensor], price: float) -> set[Tensor]:
        """What to keep of a segment besides `keep`: the cheapest choice of bytes kept and operations repeated
        that gives all that is wanted, by a minimum cut.

        s -> (wanted)   each must be given
        (t) -> [node]   cut: t is kept, at its bytes
        [node] -> end   cut: its node runs again, at its operations
        [node] -> (operand)   which must then be given too
        """
        nodes = self.order[start + 1 : end + 1]
        if len(nodes) > MAX_CUT:
            return set()
        edges: list[tuple[object, object, float | None]] = []
        for tensor in self.wanted:
            if start < self.position[tensor.node] <= end and tensor not in keep:
                edges.append(("source", ("give", tensor), None))
        for node in nodes:
            if not may_repeat(node):
                continue
            edges.append((("run", node), "sink", price * nominal(operations(node))))
            for tensor in node.outputs:
                can_keep = not is_view(node)
                edges.append((("give", tensor), ("run", node), float(bytes_of(tensor)) if can_keep else None))
            for tensor in node.inputs:
                is_given = self.is_free(tensor) or tensor in keep
                if not is_given and self.position[tensor.node] > start:
                    edges.append((("run", node), ("give", tensor), None))
        sides = importlib.import_module("symgrad.interop.networkx").minimum_cut(edges, "source", "sink")
        demanded, rest = sides
        return {
            t
            for n in nodes
            for t in n.outputs
            if ("give", t) in demanded and ("run", n) in rest and t not in keep
        }

    # ---- the graph ----------------------------------------------------------------------------------

    def rebuilt(self, keep: Collection[Tensor]) -> Graph:
        """The graph that keeps no more than this for later, and computes the rest again."""
        return _Rebuilding(self, keep).graph()


class _Crossing:
    """Position -> the tensors that are computed up to there and read by nodes between there and the turn."""

    def __init__(self, r: Recomputation) -> None:
        self._r = r
        self._last: dict[Tensor, int] = {}
        for p, node in enumerate(r.order[: r.turn + 1]):
            for tensor in _read(node):
                base = _base(tensor)
                if not r.is_free(base):
                    self._last[base] = p
        self.bytes = [0] * (r.turn + 2)
        for tensor, last in self._last.items():
            self.bytes[r.position[tensor.node]] += bytes_of(tensor)
            self.bytes[last] -= bytes_of(tensor)
        for p in range(1, len(self.bytes)):
            self.bytes[p] += self.bytes[p - 1]

    def __getitem__(self, position: int) -> set[Tensor]:
        place = self._r.position
        return {t for t, last in self._last.items() if place[t.node] <= position < last}


class _Rebuilding:
    """All nodes once more, in order; before each reader after the turn, the clones that it needs."""

    def __init__(self, r: Recomputation, keep: Collection[Tensor]) -> None:
        self.r = r
        self.keep = keep
        self.first: dict[Tensor, Tensor] = {}
        self.again: dict[Tensor, Tensor] = {}
        sums = sums_of(r.graph)
        #: Products that are added to a state, and so have no memory.
        self.without_memory = {*sums, *(n for s in sums.values() for n in s.nodes)}

    def graph(self) -> Graph:
        r = self.r
        for p, node in enumerate(r.order):
            late = p > r.turn
            if late:
                lost = [t for t in _read(node) if self._is_lost(t)]
                if lost:
                    self._compute_again(lost, p)
            operands = [self._latest(t) if late else self.first.get(t, t) for t in node.inputs]
            self._copy(node, operands, self.first)
        graph = r.graph
        return graph.with_results(
            [self.first.get(t, t) for t in graph.outputs],
            {s: self.first.get(t, t) for s, t in graph.updates.items()},
        )

    def _latest(self, tensor: Tensor) -> Tensor:
        return self.again[tensor] if tensor in self.again else self.first.get(tensor, tensor)

    def _is_lost(self, tensor: Tensor) -> bool:
        r = self.r
        return not (
            r.is_free(tensor)
            or r.position[tensor.node] > r.turn
            or tensor in self.keep
            or _base(tensor) in self.keep
            or tensor in self.again
        )

    def _compute_again(self, wanted: Sequence[Tensor], reader: int) -> None:
        needed: set[Node] = set()
        stack = [t.node for t in wanted]
        while stack:
            node = stack.pop()
            if node not in needed:
                needed.add(node)
                stack += [t.node for t in _read(node) if self._is_lost(t)]
        after = self._before(reader)
        behind: dict[Tensor, Tensor] = {}

        def barrier(tensor: Tensor) -> Tensor:
            if tensor not in behind:
                x = self.first.get(tensor, tensor)
                (behind[tensor],) = create(
                    Barrier(), (x, after), [x.type], tensor.node.origins or after.node.origins
                )
            return behind[tensor]

        for node in sorted(needed, key=self.r.position.__getitem__):
            operands, is_held = [], False
            for tensor in _read(node):
                if tensor in self.again:
                    operands.append(self.again[tensor])
                    is_held = True
                elif self.r.is_free(tensor):
                    operands.append(self.first.get(tensor, tensor))
                else:
                    operands.append(barrier(tensor))
                    is_held = True
            if not is_held:
                operands[0] = barrier(node.inputs[0])
            if isinstance(node.op, Barrier):  # its clone is behind another one
                self.again[node.outputs[0]] = operands[0]
            else:
                self._copy(node, operands, self.again)

    def _before(self, reader: int) -> Tensor:
        """Something that is computed just before the reader, and in memory anyway if possible."""
        order = self.r.order
        for p in range(reader - 1, max(self.r.turn, reader - LOOK_BACK), -1):
            node = order[p]
            is_fused = isinstance(node.op, (Elementwise, *WITHOUT_MEMORY)) or is_view(node)
            if not is_fused and node not in self.without_memory:
                return self.first[node.outputs[0]]
        return self._turn_tensor(reader)

    def _turn_tensor(self, reader: int) -> Tensor:
        order = self.r.order
        p = next(
            p
            for p in range(reader - 1, -1, -1)
            if order[p] not in self.without_memory and not isinstance(order[p].op, WITHOUT_MEMORY)
        )
        return self.first[order[p].outputs[0]]

    def _copy(self, node: Node, operands: Sequence[Tensor], table: dict[Tensor, Tensor]) -> None:
        made = create(node.op, tuple(operands), [t.type for t in node.outputs], node.origins)
        for old, new in zip(node.outputs, made, strict=True):
            if table is self.first:
                new.stands_for(old, table)
            table[old] = new


def _read(node: Node) -> tuple[Tensor, ...]:
    """The operands whose elements a node reads."""
    return node.inputs[:1] if isinstance(node.op, Barrier) else node.inputs


def _base(tensor: Tensor) -> Tensor:
    """What a chain of views lies in."""
    while is_view(tensor.node):
        tensor = tensor.node.inputs[0]
    return tensor


def may_repeat(node: Node) -> bool:
    """Whether a node may run twice: it is not a user's op, nor one that may fail."""
    op = node.op
    return isinstance(op, TensorOp) and not op.fails and _is_ours(op)


def _is_ours(op: Op) -> bool:
    made_by = op.scalar if isinstance(op, Elementwise) else type(op)
    return (getattr(made_by, "__module__", None) or "").split(".")[0] == "symgrad"


def bytes_of(tensor: Tensor) -> int:
    """The size of a tensor."""
    return nominal(product(tensor.shape)) * tensor.dtype.itemsize


def operations(node: Node) -> Dim:
    """About how many simple operations a node takes."""
    if is_view(node) or isinstance(node.op, WITHOUT_MEMORY):
        return 0
    size = product(node.outputs[0].shape)
    if isinstance(node.op, MatMul):
        return 2 * size * node.inputs[0].shape[-1]
    if isinstance(node.op, Convolution):
        return products_of(node) * 2
    most = max([size, *[product(t.shape) for t in node.inputs]], key=nominal)
    return most * (COSTLY if is_costly(node.op) else 1)
