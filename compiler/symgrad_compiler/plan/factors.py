"""How factors of matrices and triangular systems become steps, which call LAPACK from native code."""

from __future__ import annotations

from symgrad.ir.tensor import Node
from symgrad_compiler.plan.planner import Planner
from symgrad_compiler.plan.steps import MatrixStep


def factor(p: Planner, node: Node) -> None:
    """One step: results in memory of their own, operands in row-major order."""
    operands = tuple(p.contiguous(t) for t in node.inputs)
    outs = tuple(p.place(t) for t in node.outputs)
    number = p.open(MatrixStep(node, operands, outs))
    for access in outs:
        p.wrote(access.storage, number)
