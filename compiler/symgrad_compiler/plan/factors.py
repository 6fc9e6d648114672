"""How factors of matrices and systems of equations become steps: unrolled for small matrices of known size,
calls of LAPACK for others."""

from __future__ import annotations

from symgrad.ir.tensor import Node
from symgrad.ops.solve import are_small
from symgrad.ops.strided import Strided
from symgrad_compiler.plan.planner import Planner
from symgrad_compiler.plan.steps import ARENA, Access, MatrixStep, Storage

#: Rows and columns of a block of a large factor: LAPACK takes one thread for so few.
BLOCK = 48


def factor(p: Planner, node: Node) -> None:
    """One step: results in memory of their own; operands in row-major order, for LAPACK."""
    unrolled = are_small(*node.inputs) and node.op.name in UNROLLED
    operands = tuple(p.access(t) if unrolled else p.contiguous(t) for t in node.inputs)
    outs = tuple(p.place(t) for t in node.outputs)
    scratch = None if unrolled else _scratch(node)
    number = p.open(MatrixStep(node, operands, outs, unrolled, scratch))
    for access in (*outs, *([scratch] if scratch else [])):
        p.wrote(access.storage, number)


def _scratch(node: Node) -> Access | None:
    """Room for work block by block: a panel and a block; for an inverse a matrix too."""
    if node.op.name not in ("cholesky", "cholesky_inverse"):
        return None
    n = node.inputs[0].shape[-1]
    size = (n + BLOCK) * BLOCK + (n * n if node.op.name == "cholesky_inverse" else 0)
    storage = Storage(ARENA, node.inputs[0].dtype, size, label=f"scratch of {node.op.name}")
    return Access(storage, Strided.contiguous((size,)))


#: The ops with an unrolled form.
UNROLLED = frozenset({"cholesky", "solve_triangular", "solve", "inv", "det"})
