"""`nan_guard`, op by op on NumPy arrays: what the NumPy backend runs, and what explains a native failure.

What is asked of each tensor is `plan.finite`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from symgrad.errors import ExecutionError
from symgrad.ir import origin
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Node, Shared, Tensor
from symgrad_compiler.plan.finite import Need, is_checked, needs


class Checks:
    """The checks of one graph's program, by number."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._needs = needs(graph)
        self._nodes: list[Node] = []
        self._leaves: list[Tensor] = []

    def of_node(self, node: Node) -> int | None:
        """The number of the check of a node's results; None where nothing is asked."""
        if not any(t in self._needs for t in node.outputs):
            return None
        self._nodes.append(node)
        return len(self._nodes) - 1

    def of_leaf(self, tensor: Tensor) -> int | None:
        """The number of the check of an argument or a state."""
        if not is_checked(tensor):
            return None
        self._leaves.append(tensor)
        return len(self._leaves) - 1

    def leaf(self, number: int, value: Any) -> None:
        """Raise if an argument or a state is not finite."""
        if numpy.isfinite(value).all():
            return
        tensor = self._leaves[number]
        kind = "state" if isinstance(tensor, Shared) else "input"
        raise ExecutionError(
            f"nan_guard: the {kind} {self.graph.names[tensor]!r} is not finite",
            facts=[(self.graph.names[tensor], summary(value))],
        )

    def node(self, number: int, values: Sequence[Any], operands: Sequence[Any]) -> None:
        """Raise if a step made what it must not."""
        node = self._nodes[number]
        for tensor, value in zip(node.outputs, values, strict=True):
            need = self._needs.get(tensor, Need.NOTHING)
            if need is Need.FINITE and not numpy.isfinite(value).all():
                raise self._error(node, tensor, "is not finite", value, operands)
            if need is Need.NO_NAN and numpy.isnan(value).any():
                raise self._error(node, tensor, "is NaN", value, operands)

    def _error(
        self, node: Node, tensor: Tensor, what: str, value: Any, operands: Sequence[Any]
    ) -> ExecutionError:
        names = [node.op.operand_name(i) for i in range(len(operands))]
        return ExecutionError(
            f"nan_guard: {self.graph.names[tensor]} {what}, first made by {node.op.name}",
            facts=[
                ("result", summary(value)),
                *[(n, summary(v)) for n, v in zip(names, operands, strict=True)],
            ],
            at=origin.locate(node.origins),
        )


def summary(value: Any) -> str:
    """Dtype, shape and span of an array, and what is not finite in it.

    >>> summary(numpy.array([[1.0, numpy.inf], [numpy.nan, 4.0]]))
    'float64[2, 2], 1 to 4, 1 NaN and 1 infinite of 4, the first at [0, 1]'
    """
    array = numpy.asarray(value)
    text = f"{array.dtype}{list(array.shape)}"
    if array.dtype.kind in "fc":
        finite = numpy.isfinite(array)
    else:
        finite = numpy.ones(array.shape, bool)
    if array.dtype.kind in "iuf" and finite.any():
        text += f", {array[finite].min():.6g} to {array[finite].max():.6g}"
    if finite.all():
        return text
    nan = int(numpy.count_nonzero(numpy.isnan(array)))
    infinite = int(numpy.count_nonzero(~finite)) - nan
    counts = " and ".join(f"{n} {what}" for n, what in ((nan, "NaN"), (infinite, "infinite")) if n)
    text += f", {counts} of {array.size}"
    if not array.ndim:
        return text
    first = numpy.unravel_index(int(numpy.argmin(finite)), array.shape)
    return f"{text}, the first at {[int(i) for i in first]}"
