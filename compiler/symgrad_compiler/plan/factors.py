"""How factors of matrices and systems of equations become steps: unrolled for small matrices of known size,
calls of LAPACK for others."""

from __future__ import annotations

from symgrad.ir.tensor import Node
from symgrad.ops.solve import are_small
from symgrad_compiler.plan.planner import Planner
from symgrad_compiler.plan.steps import MatrixStep


def factor(p: Planner, node: Node) -> None:
    """One step: results in memory of their own; operands in row-major order, for LAPACK."""
    unrolled = are_small(*node.inputs) and node.op.name in UNROLLED
    operands = tuple(p.access(t) if unrolled else p.contiguous(t) for t in node.inputs)
    outs = tuple(p.place(t) for t in node.outputs)
    number = p.open(MatrixStep(node, operands, outs, unrolled))
    for access in outs:
        p.wrote(access.storage, number)


#: The ops with an unrolled form.
UNROLLED = frozenset({"cholesky", "solve_triangular", "solve", "inv", "det"})
