"""Walks over graphs. All are iterative: a chain of 100,000 nodes is an ordinary graph."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from operator import attrgetter

from symgrad.ir.tensor import Node, Tensor

_by_id = attrgetter("id")


def ancestors(outputs: Iterable[Tensor], stop: Collection[Tensor] = (), first: int = 0) -> list[Node]:
    """The nodes that `outputs` depend on, their own included, inputs before users.

    The walk does not go past the tensors in `stop`, whose nodes it leaves out, nor to nodes that were made
    before the one of number `first`.
    """
    seen: set[Node] = set()
    stack = [t.node for t in outputs if t not in stop and t.node.id >= first]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        for tensor in node.inputs:
            node = tensor.node
            if node not in seen and node.id >= first and (not stop or tensor not in stop):
                stack.append(node)
    return sorted(seen, key=_by_id)


def descendants(nodes: Iterable[Node], sources: Iterable[Tensor]) -> set[Tensor]:
    """The tensors among `sources` and the outputs of `nodes` (in order) that depend on a source."""
    reached = set(sources)
    for node in nodes:
        if not reached.isdisjoint(node.inputs):
            reached.update(node.outputs)
    return reached


def consumers(nodes: Iterable[Node]) -> dict[Tensor, tuple[Node, ...]]:
    """For each tensor that a node in `nodes` reads: those nodes, each once, in order."""
    found: dict[Tensor, dict[Node, None]] = {}
    for node in nodes:
        for tensor in node.inputs:
            found.setdefault(tensor, {})[node] = None
    return {tensor: tuple(users) for tensor, users in found.items()}
