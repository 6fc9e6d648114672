"""Buffers of the NumPy backend: views of one arena, by liveness. A step writes into memory whose last reader
has run, or over an operand that nothing reads any more."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from symgrad.dims import product
from symgrad.ir.tensor import Node, Tensor
from symgrad.ops.kinds import Elementwise, TensorOp
from symgrad.records import record
from symgrad.types import TensorType
from symgrad_compiler.plan.arena import Arena, Block, Slot, pack
from symgrad_compiler.plan.schedule import Schedule, source


@record
class Buffer:
    """A tensor type at a place in the arena."""

    number: int
    type: TensorType
    slot: Slot


@record
class Buffers:
    """The buffers of a program, and which tensors are written into them."""

    all: tuple[Buffer, ...]
    of: dict[Tensor, Buffer]
    arena: Arena


def assign(
    schedule: Schedule, steps: Sequence[Node], elsewhere: Collection[Tensor], over_operands: bool = True
) -> Buffers:
    """The buffers of `steps`, in this order. What is `elsewhere` has memory of its own. `over_operands`: a
    step may write over an operand."""
    lives = _Lives(schedule, elsewhere, over_operands)
    for number, node in enumerate(steps):
        lives.step(number, node)
    lives.end(len(steps))
    arena = pack(lives.blocks)
    views: dict[tuple[TensorType, int], Buffer] = {}
    found: dict[Tensor, Buffer] = {}
    for tensor, block in lives.written.items():
        key = (tensor.type, block.slot)
        found[tensor] = views.setdefault(key, Buffer(len(views), tensor.type, arena.slots[block.slot]))
    return Buffers(tuple(views.values()), found, arena)


class _Lives:
    """From when to when the memory of each tensor is needed."""

    def __init__(self, schedule: Schedule, elsewhere: Collection[Tensor], over_operands: bool) -> None:
        self._over_operands = over_operands
        self._virtual = schedule.virtual
        self._reads = dict(schedule.reads)
        self._elsewhere = elsewhere
        self.blocks: list[Block] = []
        #: Tensors that a step writes into a buffer.
        self.written: dict[Tensor, Block] = {}
        #: Those, and views of them.
        self._block: dict[Tensor, Block] = {}
        self._type: dict[Block, TensorType] = {}
        #: How often what is in a block will still be read.
        self._readers: dict[Block, int] = {}

    def step(self, number: int, node: Node) -> None:
        op, tensor = node.op, node.outputs[0]
        assert isinstance(op, TensorOp)
        for operand in node.inputs:
            self._reads[source(operand, self._virtual)] -= 1
        if "{out}" in op.numpy and tensor.ndim and tensor not in self._elsewhere:
            block = self._dying(node)
            if block is None:
                size = product(tensor.shape) * tensor.dtype.itemsize
                block = Block(size, number, number)
                self.blocks.append(block)
                self._type[block], self._readers[block] = tensor.type, 0
            self._readers[block] += self._reads.get(tensor, 0)
            self._block[tensor] = self.written[tensor] = block
        if op.view and node.inputs:
            self._share(node)
        for tensor in (*[source(t, self._virtual) for t in node.inputs], *node.outputs):
            if tensor in self._block:
                self._block[tensor].last = number
        for operand in node.inputs:
            read = self._block.get(source(operand, self._virtual))
            if read is not None:
                self._readers[read] -= 1

    def end(self, number: int) -> None:
        """What is still to be read is read when results are returned."""
        for block, readers in self._readers.items():
            if readers:
                block.last = number

    def _dying(self, node: Node) -> Block | None:
        """The block of an operand that nothing reads after this step."""
        if not self._over_operands or not isinstance(node.op, Elementwise):
            return None
        for tensor in node.inputs:
            block = self._block.get(tensor)
            if block is None or tensor.type != node.outputs[0].type:
                continue
            own = sum(1 for t in node.inputs if self._block.get(source(t, self._virtual)) is block)
            same = sum(1 for t in node.inputs if t is tensor)
            is_view = isinstance(tensor.node.op, TensorOp) and tensor.node.op.view
            if self._readers[block] == own == same and not is_view and self._type[block] == tensor.type:
                return block
        return None

    def _share(self, node: Node) -> None:
        """A view reads the memory of its base."""
        block = self._block.get(source(node.inputs[0], self._virtual))
        if block is None:
            return
        for tensor in node.outputs:
            self._block[tensor] = block
            self._readers[block] += self._reads.get(tensor, 0)
