"""What is computed from tensors that take turns along axes (`interleave`) is computed part by part.

    f(interleave(p), y)     = interleave(f(p_i, window_i(y)))       for elementwise f
    sum(interleave(p))      = sum(p_0 + p_1 + ...)                  over all axes along which they take turns

The gradient of a pool arrives in parts, one for each place of a window. What follows, the mask of `relu` and
the sum for a bias, say, then runs in the kernel that makes the parts, so that nothing is written but the last
result, once. window_i(y) is a view of what lies in memory anyway, and mostly one that the pool itself reads:
what depends on that alone, as the mask does, may then be computed where the pool is.

Elementwise ops give the same bits; sums add in another order.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Sequence

from symgrad import dims
from symgrad.dims import Shape, product
from symgrad.ir import origin
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Node, Tensor, apply, is_leaf
from symgrad.ops.cast import AsType
from symgrad.ops.create import Fill
from symgrad.ops.interleave import Interleave
from symgrad.ops.kinds import Elementwise, total
from symgrad.ops.reduce import Sum
from symgrad.ops.select import where
from symgrad.ops.shape import Broadcast
from symgrad.ops.slices import Slice
from symgrad.records import record
from symgrad_compiler.passes.merge import merge
from symgrad_compiler.passes.pipeline import replace_results
from symgrad_compiler.passes.rewriting import Rewriting
from symgrad_compiler.passes.selections import RULES as SELECTIONS
from symgrad_compiler.plan.cost import COSTLY, is_costly
from symgrad_compiler.plan.views import Views
from symgrad_compiler.rewrite.engine import inherit_name, rebuild

#: The most simple operations that are written out for the parts of one tensor: kernels stay small.
MOST_OPERATIONS = 100
#: Bytes of the widest vectors.
VECTOR = 64

_merge_selections = Rewriting("selections", SELECTIONS)


def in_parts(graph: Graph) -> Graph:
    """The graph with what is computed from interleaved tensors computed from their parts."""
    if not any(isinstance(n.op, Interleave) for n in graph.nodes):
        return graph
    made = _Walk(graph).run()
    return graph if made is graph else _merge_selections(merge(made))


@record
class _Turns:
    """An op that interleaves, and the parts that it is given."""

    op: Interleave
    parts: tuple[Tensor, ...]

    @property
    def are_whole(self) -> bool:
        """Whether no part ends early."""
        return all(
            all(map(dims.equal, part.shape, self.op.part_shape(residues)))
            for part, residues in zip(self.parts, self.op.residues(), strict=True)
        )

    def are_like(self, other: _Turns) -> bool:
        """Whether both have parts of the same shapes at the same places."""
        pairs = zip(self.parts, other.parts, strict=True) if self.op == other.op else ()
        return self.op == other.op and all(a.shape == b.shape for a, b in pairs)

    def readings(self, axes: Sequence[int]) -> list[Slice]:
        """The slices that read each part from a tensor that has these axes of the result alone."""
        found = []
        for part, residues in zip(self.parts, self.op.residues(), strict=True):
            whole = self.op.reading(residues, part.shape)
            bounds = (whole.starts, whole.stops)
            starts, stops = (tuple(of[a] for a in axes) for of in bounds)
            found.append(Slice(starts, stops, tuple(whole.steps[a] for a in axes)))
        return found


class _Walk:
    """One walk over a graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.results = {*graph.outputs, *graph.updates.values()}
        self.replaced: dict[Tensor, Tensor] = {}
        self.views = Views()
        #: How many operations have been taken into the parts of an interleaved tensor.
        self.taken: dict[Tensor, int] = {}
        #: The interleaved tensors of which only parts are needed, as far as they have been asked for.
        self.free: dict[Tensor, _Turns | None] = {}

    def run(self) -> Graph:
        for node in self.graph.nodes:
            made = self._inside(node)
            if made is not None:
                inherit_name(node.output, made, newer_than=node.id)
                self.replaced[node.output] = made
                continue
            current = rebuild(node, self.replaced)
            if current is not node:
                self.replaced.update(zip(node.outputs, current.outputs, strict=True))
            self.views.keep(current)
        return replace_results(self.graph, self.replaced)

    def now(self, tensor: Tensor) -> Tensor:
        """What stands for a tensor of the graph."""
        return self.replaced.get(tensor, tensor)

    def turns(self, tensor: Tensor) -> _Turns | None:
        """The parts of a tensor, if it is interleaved."""
        node = self.now(tensor).node
        return _Turns(node.op, node.inputs) if isinstance(node.op, Interleave) else None

    def parts_alone(self, tensor: Tensor) -> _Turns | None:
        """The parts of an interleaved tensor, if all that read it can do with them."""
        found = self.turns(tensor)
        if found is None or tensor in self.free:
            return self.free.get(tensor)
        for node in self.graph.consumers(tensor):
            if not _is_elementwise(node) and not _sums_up(node, found.op):
                found = None
                break
        self.free[tensor] = None if tensor in self.results else found
        return self.free[tensor]

    def _inside(self, node: Node) -> Tensor | None:
        """What a node makes, from the parts of what it reads; None where it stays."""
        if any(t.dtype.kind == "complex" for t in (*node.inputs, *node.outputs)):
            return None
        with origin.scope(node.origins):
            for tensor in node.inputs:
                turns = self.turns(tensor)
                if turns is not None and _sums_up(node, turns.op):
                    return _sum(node.op, turns.parts)
                if turns is not None and _is_elementwise(node) and self.parts_alone(tensor):
                    return self._elementwise(node, turns)
        return None

    # ---- elementwise ------------------------------------------------------------------------------------

    def _elementwise(self, node: Node, turns: _Turns) -> Tensor | None:
        again = self._alone(node)
        weight = sum(COSTLY if is_costly(n.op) else 1 for n in again) * len(turns.parts)
        taken = weight + max(self.taken.get(self.now(t), 0) for t in node.inputs)
        if taken > MOST_OPERATIONS or not (turns.are_whole or self._keeps_zero(node, turns)):
            return None
        if not _fills_vectors(turns, again) and not self._is_at_hand(again, turns):
            return None
        made: list[dict[Tensor, Tensor]] = [{} for _ in turns.parts]
        for each in again:
            pieces = [
                self._pieces(t, turns) if t not in made[0] else [m[t] for m in made] for t in each.inputs
            ]
            with origin.scope(each.origins):
                for local, operands in zip(made, zip(*pieces, strict=True), strict=True):
                    local[each.output] = apply(each.op, *operands)
        result = apply(turns.op, *[local[node.output] for local in made])
        self.taken[result] = taken
        return result

    def _keeps_zero(self, node: Node, turns: _Turns) -> bool:
        """Whether 0, behind parts that end early, stays 0: as a choice between it and 0 does."""
        if node.op is not where:
            return False
        return all(self._is_alike(t, turns) or _is_plain_zero(t) for t in node.inputs[1:])

    def _is_alike(self, tensor: Tensor, turns: _Turns) -> bool:
        """Whether a tensor has such parts too, and is not needed but for them."""
        found = self.parts_alone(tensor)
        return found is not None and found.are_like(turns)

    def _alone(self, node: Node) -> list[Node]:
        """The node, and the elementwise ones before it that nothing else reads, in order: all that is to be
        computed for each part."""
        chosen: dict[Node, None] = {}
        waiting = [(-node.id, node)]
        seen = {node}
        while waiting and len(chosen) <= MOST_OPERATIONS:
            _, each = heapq.heappop(waiting)  # what reads a node comes before it
            if each is not node and not self._is_inner(each, chosen):
                continue
            chosen[each] = None
            for tensor in each.inputs:
                if tensor.node not in seen and not is_leaf(tensor):
                    seen.add(tensor.node)
                    heapq.heappush(waiting, (-tensor.node.id, tensor.node))
        return sorted(chosen, key=lambda n: n.id)

    def _is_inner(self, node: Node, chosen: Collection[Node]) -> bool:
        """Whether a node computes, element by element, for the chosen ones alone."""
        if not _is_elementwise(node) or node.output in self.results or self.turns(node.output) is not None:
            return False
        if any(t.dtype.kind == "complex" for t in node.inputs):
            return False
        return all(n in chosen for n in self.graph.consumers(node.output))

    # ---- pieces of other operands -----------------------------------------------------------------------

    def _pieces(self, tensor: Tensor, turns: _Turns) -> Sequence[Tensor]:
        """What a tensor holds at the places of each part."""
        found = self.turns(tensor)
        if found is not None and self._is_alike(tensor, turns):
            return found.parts
        current = self.now(tensor)
        op, shapes = current.node.op, [part.shape for part in turns.parts]
        if isinstance(op, Fill):
            return [apply(Fill(op.value, shape)) for shape in shapes]
        small, kept = _unrepeated(current)
        pieces = [small] * len(shapes)
        if not {*kept}.isdisjoint(turns.op.axes):
            pieces = [self.views.slice(small, reading) for reading in turns.readings(kept)]
        if isinstance(op, Broadcast):
            return [apply(Broadcast(s, op.axes), piece) for s, piece in zip(shapes, pieces, strict=True)]
        return pieces

    def _is_at_hand(self, nodes: Iterable[Node], turns: _Turns) -> bool:
        """Whether all pieces that these nodes read are views that others read too."""
        inner = {n.output for n in nodes}
        for tensor in {t: None for n in nodes for t in n.inputs if t not in inner}:
            small, kept = _unrepeated(self.now(tensor))
            if isinstance(small.node.op, Fill) or self._is_alike(tensor, turns):
                continue
            if {*kept}.isdisjoint(turns.op.axes):
                continue
            if not all(self.views.knows(small, reading) for reading in turns.readings(kept)):
                return False
        return True


# ---- questions ------------------------------------------------------------------------------------------


def _is_elementwise(node: Node) -> bool:
    return isinstance(node.op, (Elementwise, AsType))


def _sums_up(node: Node, op: Interleave) -> bool:
    """Whether a node is a sum over all axes along which parts take turns."""
    return isinstance(node.op, Sum) and {*op.axes} <= {*node.op.axes}


def _sum(op: object, parts: Sequence[Tensor]) -> Tensor | None:
    """The sum of all parts: those of one shape are added up first."""
    assert isinstance(op, Sum)
    alike: dict[Shape, list[Tensor]] = {}
    for part in parts:
        alike.setdefault(part.shape, []).append(part)
    whole = [total(each) for each in alike.values()]
    return total([apply(op, t) for t in whole if t is not None])


def _fills_vectors(turns: _Turns, nodes: Iterable[Node]) -> bool:
    """Whether elements of a part lie side by side in runs that fill vectors; of costly functions, nearly all
    lanes of them."""
    run = product(turns.op.shape[max(turns.op.axes) + 1 :])
    if not isinstance(run, int):
        return True
    lanes = VECTOR // turns.parts[0].dtype.itemsize
    used = -(-run // lanes) * lanes
    return run >= lanes and (4 * used <= 5 * run or not any(is_costly(n.op) for n in nodes))


def _unrepeated(tensor: Tensor) -> tuple[Tensor, list[int]]:
    """What a tensor repeats, and the axes that it has of that."""
    op = tensor.node.op
    if not isinstance(op, Broadcast):
        return tensor, list(range(tensor.ndim))
    return tensor.node.inputs[0], [a for a in range(tensor.ndim) if a not in op.axes]


def _is_plain_zero(tensor: Tensor) -> bool:
    """Whether a tensor is 0 everywhere, and not -0."""
    op = tensor.node.op
    return isinstance(op, Fill) and not any(op.value.bits)
