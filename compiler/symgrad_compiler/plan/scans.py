"""How cumulative ops are planned: one step each, a loop along the axis that carries a value."""

from __future__ import annotations

from symgrad.ir.tensor import Node
from symgrad.ops.cumulative import (
    CumulativeMax,
    CumulativeMin,
    CumulativeProd,
    CumulativeSum,
    LinearRecurrence,
)
from symgrad_compiler.plan.planner import Planner
from symgrad_compiler.plan.steps import ScanStep

KINDS: dict[type, str] = {
    CumulativeSum: "add",
    CumulativeProd: "multiply",
    CumulativeMax: "maximum",
    CumulativeMin: "minimum",
    LinearRecurrence: "recurrence",
}


def scan(p: Planner, node: Node) -> None:
    op = node.op
    assert isinstance(op, (CumulativeSum, CumulativeProd, CumulativeMax, LinearRecurrence))
    if isinstance(op, LinearRecurrence):
        mode = op.mode
    else:
        mode = "exclusive" if getattr(op, "exclusive", False) else "plain"
    operands = tuple(p.access(t) for t in node.inputs)
    out = p.place(node.output)
    step = ScanStep(node, KINDS[type(op)], operands, out, op.axis, op.reverse, mode)
    p.wrote(out.storage, p.open(step))
