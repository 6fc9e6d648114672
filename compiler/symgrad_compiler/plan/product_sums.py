"""Sums of matrix products: each product is added to what is there already, so that a sum takes the memory of
one term.

    d_w = x0.T @ g0 + x1.T @ g1 + ...    becomes    d_w = x0.T @ g0;  d_w += x1.T @ g1;  ...

A sum is followed as far as its terms are products that nothing else reads, computed in the order in which it
adds them: no product waits for another, and no sum is taken in an order that was not asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Node, Tensor
from symgrad.ops.arithmetic import add, subtract
from symgrad.ops.contract import MatMul
from symgrad.records import record
from symgrad_compiler.plan.row_products import may_join_rows


@record
class Term:
    """A product of a sum."""

    total: Tensor
    #: What it is multiplied by, and added; None for the first term, which is stored.
    factor: float | None


@dataclass
class _Sum:
    """The terms so far, with their signs, and the additions."""

    products: list[tuple[Node, float]]
    additions: list[Node]


def terms_of(graph: Graph, nodes: Sequence[Node]) -> tuple[dict[Node, Term], set[Node]]:
    """The terms of all sums of products, and the additions, which need no step; for nodes in this order."""
    place = {node: i for i, node in enumerate(nodes)}
    results = {*graph.outputs, *graph.updates.values()}
    sums: dict[Tensor, _Sum] = {}
    for node in nodes:
        if _is_term(node):
            sums[node.output] = _Sum([(node, 1.0)], [])
        elif node.op in (add, subtract):
            x, y = node.inputs
            if x is y or not all(t in sums and t not in results and _is_read_once(graph, t) for t in (x, y)):
                continue
            joined = _joined(node, sums[x], sums[y], place)
            if joined is not None:
                del sums[x], sums[y]
                sums[node.output] = joined
    terms: dict[Node, Term] = {}
    additions: set[Node] = set()
    for total, found in sums.items():
        if found.additions:
            first, *others = found.products
            terms[first[0]] = Term(total, None)
            terms.update((product, Term(total, sign)) for product, sign in others)
            additions.update(found.additions)
    return terms, additions


def _is_term(node: Node) -> bool:
    """Whether a product may add to what is there: of two matrices, and in no loop over rows."""
    if not isinstance(node.op, MatMul) or node.output.dtype.short not in ("f32", "f64"):
        return False
    a, b = node.inputs
    return a.ndim == b.ndim == 2 and not may_join_rows(a.shape[0], b.shape[1], a.shape[1])


def _is_read_once(graph: Graph, tensor: Tensor) -> bool:
    return len(graph.consumers(tensor)) == 1


def _joined(node: Node, x: _Sum, y: _Sum, place: Mapping[Node, int]) -> _Sum | None:
    """One sum with the single term of the other, if that comes after its own."""
    for whole, other in ((x, y), (y, x)):
        if whole is y and node.op is not add:
            break
        last, (single, *more) = whole.products[-1][0], other.products
        if not more and place[last] < place[single[0]]:
            whole.products.append((single[0], 1.0 if node.op is add else -1.0))
            whole.additions.append(node)
            return whole
    return None
