"""Which new values of states NumPy programs write over the old ones, at their very end.

A signal, or an error of a later step, must leave all states old or make all of them new. So what is written
in place is put off until nothing can fail any more, and then written by calls of functions in C, which no
signal interrupts.
"""

from __future__ import annotations

import itertools
import re

import numpy

from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Node, Shared, Tensor
from symgrad.ops.kinds import Elementwise, TensorOp
from symgrad_compiler.plan.schedule import Schedule, source


def written_last(graph: Graph, schedule: Schedule) -> dict[Tensor, Shared]:
    """New values that are written over their state when all else is done.

    The step must be elementwise and one function in C. It must feed nothing but the update, and no other such
    step may read the state.
    """
    found: dict[Tensor, Shared] = {}
    for state, value in graph.updates.items():
        op = value.node.op
        if (
            isinstance(op, Elementwise)
            and writes_elsewhere(value)
            and _is_one_call(op.numpy)
            and not _may_fail(value.node)
            and schedule.reads[value] == 1
        ):
            found[value] = state
    foreign: set[Tensor] = set()
    for value, state in found.items():
        for operand in value.node.inputs:
            tensor = source(operand, schedule.virtual)
            if tensor is not state or operand is not tensor:
                foreign.add(_behind_views(tensor))
    return {value: state for value, state in found.items() if state not in foreign}


def writes_elsewhere(tensor: Tensor) -> bool:
    """Whether the NumPy form of its op can write it into an array that is there."""
    op = tensor.node.op
    return isinstance(op, TensorOp) and "{out}" in op.numpy and tensor.ndim > 0


def _behind_views(tensor: Tensor) -> Tensor:
    """What a chain of views looks at."""
    while tensor.node.inputs and isinstance(tensor.node.op, TensorOp) and tensor.node.op.view:
        tensor = tensor.node.inputs[0]
    return tensor


def _is_one_call(form: str) -> bool:
    """Whether a form in NumPy is a call of a function in C, whose arguments may be others."""
    found = re.match(r"numpy\.(\w+)\(", form)
    if found is None or not isinstance(getattr(numpy, found[1], None), numpy.ufunc):
        return False
    depth = itertools.accumulate((c == "(") - (c == ")") for c in form[found.end() - 1 :])
    return [i for i, d in enumerate(depth, found.end() - 1) if d == 0] == [len(form) - 1]


def _may_fail(node: Node) -> bool:
    """Whether a step may raise: NumPy has no integers to negative powers."""
    is_power = node.op.name == "pow" and node.outputs[0].dtype.kind == "int"
    return is_power or bool(getattr(node.op, "fails", False))
