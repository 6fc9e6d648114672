"""One factorisation for all that is asked of a matrix: systems (of its adjoint too), inverse, determinants.

    solve(a, b), solve(a^H, c), slogdet(a)   from one lu_factor(a)

What is asked once stays as it is; so do small matrices of known size, whose code is unrolled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from symgrad.ir import origin
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Node, Tensor
from symgrad.ops.complexes import conj
from symgrad.ops.determinant import Det, SlogDet, slogdet_by_lu
from symgrad.ops.reduce import prod
from symgrad.ops.solve import Inverse, Solve, are_small, diagonal_of, identity_like, lu_factor, solve_by_lu
from symgrad_compiler.passes.assumptions import adjoint_of
from symgrad_compiler.passes.pipeline import replace_results
from symgrad_compiler.rewrite.engine import inherit_name, rebuild

_ASKING = (Solve, Inverse, Det, SlogDet)


def share_factors(graph: Graph) -> Graph:
    """Factor a matrix once for all that needs its factors."""
    asking = [n for n in graph.nodes if isinstance(n.op, _ASKING) and not are_small(n.inputs[0])]
    counts = Counter(_matrix(n.inputs[0])[0] for n in asking)
    if not any(n > 1 for n in counts.values()):
        return graph
    factors: dict[Tensor, Sequence[Tensor]] = {}
    replaced: dict[Tensor, Tensor] = {}
    for node in graph.nodes:
        current = rebuild(node, replaced)
        outputs: Sequence[Tensor] = current.outputs
        if isinstance(node.op, _ASKING) and counts[_matrix(node.inputs[0])[0]] > 1:
            before = origin.swap(tuple([o.then("pass", "share_factors") for o in node.origins]))
            try:
                outputs = _by_factors(current, factors)
            finally:
                origin.swap(before)
            for old, new in zip(node.outputs, outputs, strict=True):
                inherit_name(old, new, newer_than=current.id)
        replaced.update((old, new) for old, new in zip(node.outputs, outputs, strict=True) if old is not new)
    return replace_results(graph, replaced)


share_factors.__dict__["kind"] = "rounding"  # what validation may ask of it


def _matrix(a: Tensor) -> tuple[Tensor, bool]:
    """What a is the adjoint of; or a itself."""
    whole = adjoint_of(a)
    return (a, False) if whole is None else (whole, True)


def _by_factors(node: Node, factors: dict[Tensor, Sequence[Tensor]]) -> Sequence[Tensor]:
    """The outputs of a node from the factors of its matrix."""
    matrix, is_adjoint = _matrix(node.inputs[0])
    if matrix not in factors:
        factors[matrix] = lu_factor(matrix)
    lu, order, parity = factors[matrix]
    if isinstance(node.op, Solve):
        return [solve_by_lu(lu, order, node.inputs[1], of_adjoint=is_adjoint)]
    if isinstance(node.op, Inverse):
        return [solve_by_lu(lu, order, identity_like(matrix), of_adjoint=is_adjoint)]
    if isinstance(node.op, Det):
        det = parity * prod(diagonal_of(lu), axis=-1)
        return [conj(det) if is_adjoint else det]
    sign, logarithm = slogdet_by_lu(lu, parity)
    return [conj(sign) if is_adjoint else sign, logarithm]
