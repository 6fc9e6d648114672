"""Products of one matrix with neighbouring parts of another are parts of one product.

    x @ w[:, a:b],  x @ w[:, b:c]   =   p[:, :b-a],  p[:, b-a:]   with p = x @ w[:, a:c]

Matrices that lie apart are not joined: the copy costs at least what one product saves. Measured on one core
(float32, four products, each followed by relu), parts of one matrix gain up to a third on the native backend
where they have few columns, and lose on NumPy, whose results then lie in strided parts; from 64 columns on a
product alone is as fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from symgrad.ir import origin
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Node, Tensor, apply
from symgrad.ops.contract import MatMul
from symgrad.ops.slices import Slice, narrow
from symgrad_compiler.passes.pipeline import replace_results
from symgrad_compiler.passes.provable import piece_of
from symgrad_compiler.rewrite.engine import inherit_name, rebuild

#: Parts of at most so many columns are worth joining.
MOST_COLUMNS = 32

#: A product whose right operand is a part: the node, and where the part begins and ends.
Member: TypeAlias = tuple[Node, int, int]


def combine_products(graph: Graph) -> Graph:
    """Compute products with neighbouring columns of one matrix together. Rounding: the sums may be blocked
    otherwise."""
    groups = _groups(graph.nodes)
    if not groups:
        return graph
    replaced: dict[Tensor, Tensor] = {}
    whole: dict[int, Tensor] = {}
    for node in graph.nodes:
        current = rebuild(node, replaced)
        found = groups.get(node)
        if found is None:
            outputs: Sequence[Tensor] = current.outputs
        else:
            number, (begin, end), (start, stop) = found
            before = origin.swap(tuple([o.then("pass", "combine_products") for o in node.origins]))
            try:
                if number not in whole:
                    x, part = current.inputs
                    matrix = part.node.inputs[0]
                    if (begin, end) != (0, matrix.shape[1]):
                        matrix = narrow(matrix, 1, begin, end - begin)
                    whole[number] = apply(current.op, x, matrix)
                result = narrow(whole[number], 1, start - begin, stop - start)
            finally:
                origin.swap(before)
            inherit_name(node.output, result, newer_than=current.id)
            outputs = (result,)
        replaced.update((old, new) for old, new in zip(node.outputs, outputs, strict=True) if old is not new)
    return replace_results(graph, replaced)


combine_products.__dict__["kind"] = "rounding"  # what validation may ask of it

_Found: TypeAlias = tuple[int, tuple[int, int], tuple[int, int]]


def _groups(nodes: Sequence[Node]) -> dict[Node, _Found]:
    """For each product that has neighbours: the number of its group, the columns of the group, and its
    own."""
    products: dict[tuple[str, Tensor, Tensor], list[Member]] = {}
    for node in nodes:
        op = node.op
        if not isinstance(op, MatMul) or node.inputs[1].ndim != 2 or node.output.ndim != 2:
            continue
        x, b = node.inputs
        piece = piece_of(b, 1) if isinstance(b.node.op, Slice) else None
        if piece is None:
            continue
        matrix, start, stop = piece
        if isinstance(start, int) and isinstance(stop, int) and 0 < stop - start <= MOST_COLUMNS:
            products.setdefault((op.strong, x, matrix), []).append((node, start, stop))
    found: dict[Node, _Found] = {}
    for members in products.values():
        for run in _runs(members):
            columns = run[0][1], run[-1][2]
            number = len(found)
            found.update((node, (number, columns, (start, stop))) for node, start, stop in run)
    return found


def _runs(members: list[Member]) -> list[list[Member]]:
    """Members in a row, each of which begins where another ends, two or more."""
    runs: list[list[Member]] = []
    for member in sorted(members, key=lambda m: (m[1], m[2], m[0].id)):
        if runs and runs[-1][-1][2] == member[1]:
            runs[-1].append(member)
        else:
            runs.append([member])
    return [run for run in runs if len(run) > 1]
