"""Which tensors of a graph after a pass are which tensors of the graph before it.

A pass is a function Graph -> Graph and says nothing about what became of what, so that is worked out: in
this order, two tensors belong together

    that are the same object;
    that are the same op on operands that belong together, by value numbering over both graphs;
    that are the same result, and then the operands of results made by the same op, and so on downwards;
    that were made by the same op on the same line of the user's, where there are as many after as before;
    that the user gave the same name.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from symgrad.ir.graph import Graph
from symgrad.ir.tensor import MAX_NAME, Node, Tensor, is_leaf


@dataclass
class Alignment:
    """How two graphs correspond."""

    #: Tensor after -> tensor before; each tensor before at most once.
    before: dict[Tensor, Tensor] = field(default_factory=dict)
    #: The tensors before that have a tensor after.
    kept: set[Tensor] = field(default_factory=set)
    #: Tensor before that became one with others -> the tensor after that computes its value.
    merged: dict[Tensor, Tensor] = field(default_factory=dict)

    def pair(self, new: Tensor, old: Tensor) -> None:
        self.before[new] = old
        self.kept.add(old)


def align(before: Graph, after: Graph) -> Alignment:
    """The correspondence between the tensors of two graphs."""
    found = Alignment()
    old_tensors = set(_tensors(before))
    for tensor in _tensors(after):
        if tensor in old_tensors:
            found.pair(tensor, tensor)
    _by_number(before, after, found)
    results = list(zip(after.outputs, before.outputs, strict=False))
    results += [(t, before.updates[state]) for state, t in after.updates.items() if state in before.updates]
    _downwards(results, found)
    _by_origin(before, after, found)
    _by_name(before, after, found)
    return found


def _tensors(graph: Graph) -> Iterator[Tensor]:
    yield from graph.inputs
    yield from graph.states
    for node in graph.nodes:
        yield from node.outputs


def _by_number(before: Graph, after: Graph, found: Alignment) -> None:
    """Equal expressions belong together; those before that outnumber those after have been merged."""
    numbers: dict[Tensor, int] = {}
    known: dict[object, int] = {}
    count = 0
    for tensor in (*after.inputs, *after.states, *before.inputs, *before.states):
        numbers[tensor] = count = count + 1

    def number(node: Node) -> int:
        """The number of the node's first output; those of the others follow."""
        nonlocal count
        operands = [numbers[t] for t in node.inputs]
        if node.op.commutative:
            operands.sort()
        first = known.setdefault((node.op, *operands), count + 1)
        if first > count:
            count += len(node.outputs)
        for i, tensor in enumerate(node.outputs):
            numbers[tensor] = first + i
        return first

    free: dict[int, list[Node]] = {}
    equal: dict[int, Node] = {}
    for node in after.nodes:
        n = number(node)
        equal.setdefault(n, node)
        if node.outputs[0] not in found.before:
            free.setdefault(n, []).append(node)
    for places in free.values():
        places.reverse()  # the earliest first
    for node in before.nodes:
        n = number(node)
        if node.outputs[0] in found.kept:
            continue
        if free.get(n):
            for new, old in zip(free[n].pop().outputs, node.outputs, strict=True):
                found.pair(new, old)
        elif n in equal:
            found.merged.update(zip(node.outputs, equal[n].outputs, strict=True))


def _downwards(pairs: list[tuple[Tensor, Tensor]], found: Alignment) -> None:
    """What serves a purpose stays what it is, whatever computes it: results, and the operands of one op."""
    while pairs:
        new, old = pairs.pop()
        taken = new in found.before or old in found.kept or old in found.merged
        if taken or is_leaf(new) or is_leaf(old) or new.type != old.type:
            continue
        found.pair(new, old)
        if new.node.op == old.node.op and len(new.node.inputs) == len(old.node.inputs):
            pairs += zip(new.node.inputs, old.node.inputs, strict=True)


def _by_origin(before: Graph, after: Graph, found: Alignment) -> None:
    """Nodes that were made anew, on other operands, keep op, type and origins, and their order."""

    def groups(nodes: Iterable[Node], taken: Container[Tensor]) -> dict[Any, list[Node]]:
        found: dict[Any, list[Node]] = {}
        for node in nodes:
            if node.outputs[0] not in taken:
                found.setdefault((node.op, node.outputs[0].type, node.origins), []).append(node)
        return found

    old_groups = groups(before.nodes, {*found.kept, *found.merged})
    for key, new_nodes in groups(after.nodes, found.before).items():
        old_nodes = old_groups.get(key, ())
        if len(old_nodes) != len(new_nodes):
            continue
        for new, old in zip(new_nodes, old_nodes, strict=True):
            for a, b in zip(new.outputs, old.outputs, strict=True):
                if a not in found.before and b not in found.kept:
                    found.pair(a, b)
    for tensor, was in [*found.before.items()]:
        if tensor is not was and tensor.node.op == was.node.op:
            _downwards(list(zip(tensor.node.inputs, was.node.inputs, strict=False)), found)


def _by_name(before: Graph, after: Graph, found: Alignment) -> None:
    named = {t.name: t for t in _tensors(before) if t.name is not None and t not in found.kept}
    for new in _tensors(after):
        old = None if new.name is None or new in found.before else named.pop(new.name, None)
        if old is not None and old.type == new.type and old not in found.merged:
            found.pair(new, old)


def carry_names(names: dict[Tensor, str], after: Graph, found: Alignment) -> dict[Tensor, str]:
    """Names for the tensors after a pass: what corresponds keeps its name, what is new gets another."""
    taken = set(names.values())
    counters: dict[str, int] = {}
    carried: dict[Tensor, str] = {}
    for tensor in _tensors(after):
        old = found.before.get(tensor)
        if old is not None:
            carried[tensor] = names[old]
            continue
        wish = after.names[tensor]
        stem, _, number = wish.rpartition("_")
        base = stem if stem and number.isdecimal() and wish in taken else wish
        name = wish
        while name in taken:
            counters[base] = counters.get(base, 0) + 1
            suffix = f"_{counters[base]}"
            name = base[: MAX_NAME - len(suffix)] + suffix
        taken.add(name)
        carried[tensor] = name
    return carried
