"""Convolutions with their channels last: what native code computes, several outputs side by side.

    conv(x, w)      =   first(conv(last(x), last(w)))          last: (n, c, h, w) -> (n, h, w, c)

What lies between convolutions keeps that order of axes: an elementwise op, a pool, a slice, a sum of what is
in the other order is computed in that order, so that the moves between two convolutions never come to be.
Where something else reads a tensor, or it is a result, it is moved back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from symgrad.ir import origin
from symgrad.ir.graph import Graph
from symgrad.ir.op import Op
from symgrad.ir.tensor import Node, Tensor, apply
from symgrad.ops.cast import AsType
from symgrad.ops.conv import Convolution, ConvWeights
from symgrad.ops.create import Fill
from symgrad.ops.interleave import Interleave
from symgrad.ops.join import Concat
from symgrad.ops.kinds import Elementwise
from symgrad.ops.pool import MaxPool, SpreadToMax, SumAtMax, SumPool, SumUnpool
from symgrad.ops.reduce import Max, Min, Prod, Sum
from symgrad.ops.shape import Broadcast, PermuteDims
from symgrad.ops.slices import SetSlice, Slice, Unslice
from symgrad_compiler.passes.pipeline import replace_results
from symgrad_compiler.rewrite.engine import inherit_name, rebuild

Order: TypeAlias = tuple[int, ...]


def channels_last(graph: Graph) -> Graph:
    """Compute convolutions with channels last, and what lies between them too. Rounding: the terms of a sum
    come in another order."""
    if not any(_is_first(node.op) for node in graph.nodes):
        return graph
    return _Arranger().run(graph)


channels_last.__dict__["kind"] = "rounding"  # what validation may ask of it


def _is_first(op: Op) -> bool:
    return isinstance(op, Convolution) and op.channels == "first"


class _Arranger:
    """One walk over a graph. A tensor may be there as it was (perhaps rebuilt), with its channels last, or
    both; either is made of the other when it is asked for."""

    def __init__(self) -> None:
        self.first: dict[Tensor, Tensor] = {}
        self.last: dict[Tensor, Tensor] = {}
        #: Tensors that are computed with channels last.
        self.turned: set[Tensor] = set()

    def run(self, graph: Graph) -> Graph:
        for node in graph.nodes:
            before = origin.swap(tuple([o.then("pass", "channels_last") for o in node.origins]))
            try:
                done = self._turn(node)
            finally:
                origin.swap(before)
            if not done:
                given = {t: self.as_first(t) for t in node.inputs}
                current = rebuild(node, {t: made for t, made in given.items() if made is not t})
                if current is not node:
                    self.first.update(zip(node.outputs, current.outputs, strict=True))
        results = (*graph.outputs, *graph.updates.values())
        return replace_results(graph, {t: made for t in results if (made := self.as_first(t)) is not t})

    # ---- both forms -----------------------------------------------------------------------------------

    def as_first(self, t: Tensor) -> Tensor:
        """The tensor in the order that the graph gives it."""
        made = self.first.get(t)
        if made is None:
            if t not in self.turned:
                return t
            source = self.last[t]
            before = origin.swap(source.node.origins)
            try:
                made = apply(PermuteDims(inverse(to_last(t.ndim))), source)
            finally:
                origin.swap(before)
            inherit_name(t, made, newer_than=source.node.id)
            self.first[t] = made
        return made

    def as_last(self, t: Tensor) -> Tensor:
        """The tensor with its channels last."""
        made = self.last.get(t)
        if made is None:
            made = self.last[t] = self._moved(t)
        return made

    def _moved(self, t: Tensor) -> Tensor:
        op, order = t.node.op, to_last(t.ndim)
        shape = arranged(t.shape, order)
        if isinstance(op, Fill):
            return apply(Fill(op.value, shape))
        if isinstance(op, Broadcast):
            axes = axes_in(op.axes, order)
            kept = [a for a in range(t.ndim) if a not in op.axes]
            moved = [a for a in order if a not in op.axes]
            source = self.as_first(t.node.inputs[0])
            if kept != moved:
                source = apply(PermuteDims(tuple(kept.index(a) for a in moved)), source)
            return apply(Broadcast(shape, axes), source)
        return apply(PermuteDims(order), self.as_first(t))

    # ---- nodes ----------------------------------------------------------------------------------------

    def _turn(self, node: Node) -> bool:
        """Compute a node with channels last, if it is one to be computed so."""
        op = node.op
        if isinstance(op, Convolution):
            return op.channels == "first" and self._convolution(op, node)
        if self.turned.isdisjoint(node.inputs) or len(node.outputs) != 1:
            return False
        if isinstance(op, (Sum, Prod, Max, Min)):
            return self._reduction(op, node)
        if any(t.ndim != node.output.ndim for t in node.inputs):
            return False
        if isinstance(op, (Elementwise, AsType)):
            arrangement: Op | None = op
        else:
            table = ARRANGED.get(type(op))
            arrangement = None if table is None else table(op, to_last(node.output.ndim))
        if arrangement is None:
            return False
        self._store(node, apply(arrangement, *map(self.as_last, node.inputs)))
        return True

    def _store(self, node: Node, result: Tensor) -> None:
        self.last[node.output] = result
        self.turned.add(node.output)

    def _give(self, node: Node, result: Tensor) -> None:
        """Keep a result that is in the graph's order, under its name."""
        inherit_name(node.output, result, newer_than=node.id)
        self.first[node.output] = result

    def _convolution(self, op: Convolution, node: Node) -> bool:
        weights = to_spatial_first(op.rank + 2)
        operands = [
            apply(PermuteDims(weights), self.as_first(t)) if name == "w" else self.as_last(t)
            for name, t in zip(op.operands, node.inputs, strict=True)
        ]
        made = apply(replace(op, channels="last"), *operands)
        if isinstance(op, ConvWeights):
            self._give(node, apply(PermuteDims(inverse(weights)), made))
        else:
            self._store(node, made)
        return True

    def _reduction(self, op: Any, node: Node) -> bool:
        (x,) = node.inputs
        order = to_last(x.ndim)
        made = apply(replace(op, axes=axes_in(op.axes, order)), self.as_last(x))
        moved = [a for a in order if a not in op.axes]
        if moved != sorted(moved):
            made = apply(PermuteDims(tuple(moved.index(a) for a in sorted(moved))), made)
        self._give(node, made)
        return True


# ---- orders of axes ---------------------------------------------------------------------------------


def to_last(rank: int) -> Order:
    """(n, c, *spatial) -> (n, *spatial, c)"""
    return (0, *range(2, rank), 1)


def to_spatial_first(rank: int) -> Order:
    """(o, c, *kernel) -> (*kernel, c, o)"""
    return (*range(2, rank), 1, 0)


def inverse(order: Order) -> Order:
    return tuple(order.index(i) for i in range(len(order)))


def arranged(values: Sequence[Any], order: Order) -> tuple[Any, ...]:
    """What belongs to the axes, in another order of them."""
    return tuple(values[a] for a in order)


def axes_in(axes: Sequence[int], order: Order) -> tuple[int, ...]:
    """Where a set of axes is in another order."""
    return tuple(sorted(order.index(a) for a in axes))


def _sliding(op: Any, order: Order) -> Op:
    """Windows along axes; what belongs to each axis goes with it."""
    at = [order.index(a) for a in op.axes]
    by = sorted(range(len(at)), key=at.__getitem__)
    sizes, steps, dilations = (arranged(v, tuple(by)) for v in (op.sizes, op.steps, op.dilations))
    made: Op = replace(op, sizes=sizes, steps=steps, dilations=dilations, axes=tuple(at[i] for i in by))
    return made


def _unpool(op: Any, order: Order) -> Op:
    made: Any = _sliding(op, order)
    return replace(made, shape=arranged(op.shape, order))  # type: ignore[no-any-return]


def _interleave(op: Any, order: Order) -> Op | None:
    at = [order.index(a) for a in op.axes]
    if at != sorted(at):  # the parts would come in another order
        return None
    made: Op = replace(op, axes=tuple(at), shape=arranged(op.shape, order))
    return made


def _slice(op: Any, order: Order) -> Op:
    fields = {name: arranged(getattr(op, name), order) for name in ("starts", "stops", "steps")}
    if isinstance(op, Unslice):
        fields["shape"] = arranged(op.shape, order)
    made: Op = replace(op, **fields)
    return made


def _concat(op: Any, order: Order) -> Op:
    return Concat(order.index(op.axis))


#: How ops of one rank are written in another order of axes; None where they cannot be.
ARRANGED: Mapping[type, Callable[[Any, Order], Op | None]] = {
    MaxPool: _sliding,
    SumAtMax: _sliding,
    SpreadToMax: _sliding,
    SumPool: _sliding,
    SumUnpool: _unpool,
    Interleave: _interleave,
    Slice: _slice,
    Unslice: _slice,
    SetSlice: _slice,
    Concat: _concat,
}
