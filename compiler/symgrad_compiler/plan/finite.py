"""What `nan_guard` demands of each tensor, the same on every backend.

Arguments and state must be finite, and so must be every float that is computed. But the graph's own numbers
may be infinite (a mask of -inf) or NaN, and then are intended: what is computed from an infinite one must
only not be NaN, as far as an op whose results are bounded; of what is computed from a NaN nothing is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

import numpy

from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Node, Tensor
from symgrad.ops.create import Constant, Fill
from symgrad.ops.kinds import TensorOp
from symgrad.ops.shape import PermuteDims, Reshape


class Need(IntEnum):
    """What a tensor must be."""

    FINITE = 0
    NO_NAN = 1
    NOTHING = 2


#: Ops whose results are finite or NaN, whatever they read: the operands whose infinities show all the same.
BOUNDED: Mapping[str, tuple[int, ...]] = {
    **dict.fromkeys(("softmax", "softmax_from_log", "sigmoid", "tanh", "sech_squared", "sign"), ()),
    **dict.fromkeys(("erf", "erfc", "atan", "atan2", "sin", "cos", "one_hot"), ()),
    **dict.fromkeys(("softmax_derivative", "softmax_centred"), (1,)),
}


def is_checked(tensor: Tensor) -> bool:
    """Whether values of the tensor's dtype can be infinite or NaN."""
    return tensor.dtype.kind in ("float", "complex")


def needs(graph: Graph) -> dict[Tensor, Need]:
    """What every tensor must be that is computed; where nothing is asked, it is missing."""
    weak: dict[Tensor, Need] = {}
    found: dict[Tensor, Need] = {}
    for node in graph.nodes:
        need = _need(node, weak)
        for tensor in node.outputs:
            if not is_checked(tensor):
                continue
            if need is not Need.FINITE:
                weak[tensor] = need
            if need is not Need.NOTHING and node.inputs and isinstance(node.op, TensorOp):
                found[tensor] = need
    return found


def computed(tensor: Tensor) -> Tensor:
    """What a tensor has the elements of: the values of a node that computes, behind other shapes of them."""
    while isinstance(tensor.node.op, (Reshape, PermuteDims)):
        tensor = tensor.node.inputs[0]
    return tensor


def _need(node: Node, weak: Mapping[Tensor, Need]) -> Need:
    op = node.op
    if isinstance(op, (Fill, Constant)):
        return _of_numbers(op.value.numpy if isinstance(op, Fill) else op.data.array)
    most = max((weak.get(t, Need.FINITE) for t in node.inputs), default=Need.FINITE)
    if most is Need.NO_NAN and op.name in BOUNDED:
        shown = BOUNDED[op.name]
        return max((weak.get(node.inputs[i], Need.FINITE) for i in shown), default=Need.FINITE)
    return most


def _of_numbers(values: numpy.ndarray[tuple[int, ...], numpy.dtype[numpy.generic]] | numpy.generic) -> Need:
    if values.dtype.kind not in "fc" or numpy.isfinite(values).all():
        return Need.FINITE
    return Need.NOTHING if numpy.isnan(values).any() else Need.NO_NAN
