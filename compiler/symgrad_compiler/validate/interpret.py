"""A graph on arrays: every node by its op's own NumPy form, results kept.

So that equal graphs give equal bits, every result is stored in row-major order (NumPy adds up in the order of
memory), and the one thing that NumPy leaves open, whether the larger of 0 and -0 is 0 or -0, is settled as
IEEE 754-2019 has it: maximum(0, -0) = 0, minimum(0, -0) = -0.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any, Protocol, TypeAlias

import numpy

from symgrad.ir.graph import Graph
from symgrad.ir.op import attributes
from symgrad.ir.tensor import Node, Tensor
from symgrad.ops.conv import Convolution
from symgrad.ops.custom import RULE_OPS, value_of
from symgrad.ops.evaluate import MODULES, evaluate, on_demand
from symgrad.ops.kinds import TensorOp

Array: TypeAlias = numpy.ndarray[tuple[int, ...], numpy.dtype[Any]]
#: What an op makes of operands.
Compute: TypeAlias = Callable[[Sequence[Array]], Any]


class Disturbance(Protocol):
    """What may be done to the operands and to the results of a node (see `noise`)."""

    def operands(self, node: Node, values: Sequence[Array]) -> Sequence[Array]: ...
    def results(
        self, node: Node, operands: Sequence[Array], values: Sequence[Array], compute: Compute
    ) -> Sequence[Array]: ...


#: Ops that look at the signs of numbers, those of NaN too, which mean nothing.
OF_SIGNS = frozenset({"copysign", "signbit"})


class Interpreter:
    """Computes graphs that share leaves, for one set of values of those.

    A tensor is computed once, however many graphs it is part of: passes keep the nodes that they do not
    change.

    >>> import symgrad as sg
    >>> x = sg.vector("x", size="n")
    >>> run = Interpreter({x: numpy.array([1.0, 2.0])}, {"n": 2})
    >>> run(sg.Graph([x], x * 2))
    [array([2., 4.])]
    """

    def __init__(
        self,
        leaves: Mapping[Tensor, Array],
        sizes: Mapping[str, int],
        disturbance: Disturbance | None = None,
    ) -> None:
        self.values: dict[Tensor, Array] = dict(leaves)
        self.sizes = sizes
        self._disturbance = disturbance

    def __call__(self, graph: Graph) -> list[Array]:
        """The outputs, then the new values of the states, oldest state first.

        Raises what the ops raise: IndexError, ShapeError, ValueError.
        """
        values = self.values
        with numpy.errstate(all="ignore"):
            for node in graph.nodes:
                if node.outputs[0] not in values:
                    values.update(zip(node.outputs, self._compute(node), strict=True))
        return [values[t] for t in (*graph.outputs, *new_states(graph))]

    def _compute(self, node: Node) -> Sequence[Array]:
        if isinstance(node.op, RULE_OPS):
            return [self.values[t] for t in value_of(node)]
        operands: Sequence[Array] = [self.values[t] for t in node.inputs]
        if self._disturbance is not None:
            operands = self._disturbance.operands(node, operands)
        assert isinstance(node.op, TensorOp)
        modules = _modules(on_demand(node.op))
        found = evaluate(node.op, operands, self.sizes, modules)
        settle = _SETTLED.get(node.op.name)
        results = [_row_major(v) for v in (found if len(node.outputs) > 1 else (found,))]
        if settle is not None:
            results = [settle(node, operands, results[0])]
        if self._disturbance is not None:
            compute = partial(evaluate, node.op, sizes=self.sizes, modules=modules)
            return self._disturbance.results(node, operands, results, compute)
        return results


def undefined(graph: Graph, values: Mapping[Tensor, Array]) -> list[bool]:
    """For each result whether it is left open. A complex number that is not finite is behind it, or in it:
    which of its parts are NaN depends on how products and quotients are written. Or the padding of a
    convolution meets a number that is not finite: NaN, or no term of the sum. Or the sign of NaN is asked
    for."""

    def is_finite(tensor: Tensor) -> bool:
        return bool(numpy.isfinite(values[tensor]).all())

    def spoils(tensor: Tensor) -> bool:
        return tensor.dtype.kind == "complex" and not is_finite(tensor)

    def pads(node: Node) -> bool:
        op = node.op
        padded = isinstance(op, Convolution) and any(width > 0 for pair in op.padding for width in pair)
        return padded and not is_finite(node.inputs[1])

    def asks_for_sign_of_nan(node: Node) -> bool:
        return node.op.name in OF_SIGNS and any(
            numpy.isnan(values[t]).any() for t in node.inputs if t.dtype.kind == "float"
        )

    found = {t for t in (*graph.inputs, *graph.states) if spoils(t)}
    for node in graph.nodes:
        open_ = any(map(spoils, node.outputs)) or pads(node) or asks_for_sign_of_nan(node)
        if open_ or not found.isdisjoint(node.inputs):
            found.update(node.outputs)
    return [t in found for t in (*graph.outputs, *new_states(graph))]


def new_states(graph: Graph) -> list[Tensor]:
    """The value that each state of the graph has after a call."""
    return [graph.updates.get(s, s) for s in graph.states]


def _row_major(value: Any) -> Array:
    return numpy.asarray(value, order="C")


def is_of_matrices(node: Node) -> bool:
    """Whether the op is one of linear algebra, which factors matrices."""
    return isinstance(node.op, TensorOp) and node.op.numpy.startswith("linalg.")


@cache
def _modules(wanted: frozenset[str]) -> Mapping[str, Any]:
    found = dict(MODULES)
    if "special" in wanted:
        found["special"] = importlib.import_module("symgrad_compiler.backends.special").special
    if "fft" in wanted:
        found["fft"] = importlib.import_module("symgrad_compiler.backends.fft")
    if "linalg" in wanted:
        found["linalg"] = importlib.import_module("symgrad_compiler.backends.matrices")
    return found


# ---- zeros --------------------------------------------------------------------------------------------


def _settle_pair(node: Node, operands: Sequence[Array], result: Array) -> Array:
    """Of 0 and -0: their sum is 0, and -0 where both are -0. The smaller one is the reverse."""
    x, y = operands if len(operands) == 2 else (operands[0], numpy.zeros_like(operands[0]))
    if result.dtype.kind != "f":
        return result
    zero = (x == 0) & (y == 0)
    both = -(-x + -y) if node.op.name == "minimum" else x + y
    return numpy.asarray(numpy.where(zero, both, result))


def _settle_axes(node: Node, operands: Sequence[Array], result: Array) -> Array:
    """The same along axes: 0 unless all zeros are -0; and the reverse."""
    if result.dtype.kind != "f" or not (result == 0).any():
        return result
    axes, x = attributes(node.op)["axes"], operands[0]
    wanted = (x == 0) & (numpy.signbit(x) == (node.op.name == "min"))
    zero = numpy.where(wanted.any(axis=axes), numpy.zeros_like(result), -numpy.zeros_like(result))
    zero = -zero if node.op.name == "min" else zero
    return numpy.asarray(numpy.where(result == 0, zero, result))


_SETTLED = {
    **dict.fromkeys(("maximum", "minimum", "relu"), _settle_pair),
    **dict.fromkeys(("max", "min", "supremum"), _settle_axes),
}
