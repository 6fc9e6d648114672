"""Which views of what lies in memory a graph has, so that a slice that is there already is not made again.

Two views are the same if they have one layout in the memory of one tensor, by whichever ops they came to be:
the windows of a pool, narrowed to one place of each, are the slices with a step that its gradient reads.
"""

from __future__ import annotations

from typing import TypeAlias

from symgrad.ir.tensor import Node, Tensor, apply
from symgrad.ops.kinds import TensorOp
from symgrad.ops.slices import Slice
from symgrad.ops.strided import Strided

#: What lies in memory, and a layout there.
Place: TypeAlias = tuple[Tensor, Strided]


class Views:
    """The views among the nodes that were kept, in order."""

    def __init__(self) -> None:
        self._there: dict[Place, Tensor] = {}
        self._places: dict[Tensor, Place] = {}
        #: Those whose bounds are checked when they are read: nothing is read past them.
        self._checked: set[Tensor] = set()

    def keep(self, node: Node) -> None:
        """Remember what a node makes, if it is a view."""
        op = node.op
        if not isinstance(op, TensorOp) or op.strided is None or len(node.outputs) != 1:
            return
        (operand,) = node.inputs
        base, layout = self._places.get(operand, _itself(operand))
        found = op.strided(layout)
        if not isinstance(found, Strided) or operand.dtype is not node.output.dtype:
            return
        self._places[node.output] = base, found
        self._there.setdefault((base, found), node.output)
        if operand in self._checked or op.fails or (isinstance(op, Slice) and not _is_known(op)):
            self._checked.add(node.output)

    def knows(self, tensor: Tensor, reading: Slice) -> bool:
        """Whether there is that slice of a tensor."""
        return self._place(tensor, reading) in self._there

    def slice(self, tensor: Tensor, reading: Slice) -> Tensor:
        """That slice of a tensor."""
        place = self._place(tensor, reading)
        if place not in self._there:
            self._there[place] = apply(reading, tensor)
        return self._there[place]

    def _place(self, tensor: Tensor, reading: Slice) -> Place:
        base, layout = _itself(tensor)
        if tensor not in self._checked:
            base, layout = self._places.get(tensor, (base, layout))
        return base, reading.strided(layout)


def _itself(tensor: Tensor) -> Place:
    return tensor, Strided.contiguous(tensor.shape)


def _is_known(op: Slice) -> bool:
    return all(isinstance(bound, int) for bound in (*op.starts, *op.stops))
