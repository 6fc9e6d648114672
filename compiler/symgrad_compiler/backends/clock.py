"""A clock for the statements of the NumPy backend, and what each of them does, for `profile`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping

from symgrad.dims import Dim, evaluate, product
from symgrad.ir.tensor import Node, Tensor
from symgrad.ops.contract import MatMul
from symgrad.ops.conv import Convolution
from symgrad.ops.create import Fill
from symgrad.ops.kinds import Elementwise, TensorOp
from symgrad.ops.shape import Broadcast
from symgrad_compiler.backends.limits import Limits
from symgrad_compiler.backends.measure import Piece
from symgrad_compiler.plan.cost import COSTLY, is_costly, products_of


class Clock:
    """Adds up the nanoseconds of each statement."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self._statements: list[tuple[Node, str]] = []
        self._started = 0

    def add(self, node: Node, text: str) -> int:
        """One statement more to measure; its number."""
        self._statements.append((node, text))
        self.times.append(0)
        return len(self.times) - 1

    def start(self) -> None:
        self._started = time.perf_counter_ns()

    def stop(self, number: int) -> None:
        self.times[number] += time.perf_counter_ns() - self._started

    def pieces(self, sizes: Mapping[str, int], limits_of: Callable[[int], Limits]) -> Iterator[Piece]:
        """What each statement does, for the sizes of a call; beside the limits of some threads."""
        alone, all_threads = limits_of(1), limits_of(os.cpu_count() or 1)
        for number, (node, text) in enumerate(self._statements):
            limits: Limits = all_threads if isinstance(node.op, MatMul) else alone
            itemsize = node.outputs[0].dtype.itemsize
            flops = _number(_flops(node), sizes)
            yield Piece(
                number=str(number),
                what=text,
                flops=flops,
                operations=flops * itemsize / 8 * _effort(node),
                bytes=_number(_traffic(node), sizes),
                limits=limits,
            )


def _number(dim: Dim, sizes: Mapping[str, int]) -> int:
    return max(0, evaluate(dim, sizes))


def _flops(node: Node) -> Dim:
    op = node.op
    if isinstance(op, MatMul):
        return 2 * product(node.outputs[0].shape) * node.inputs[0].shape[-1]
    if isinstance(op, Convolution):
        return 2 * products_of(node)
    if not isinstance(op, TensorOp) or op.view or not node.inputs:
        return 0
    if op.reduction:
        return product(node.inputs[0].shape)
    return product(node.outputs[0].shape) if isinstance(op, Elementwise) else 0


def _effort(node: Node) -> float:
    """Multiplications with an addition for one operation, about."""
    if isinstance(node.op, (MatMul, Convolution)):
        return 0.5
    return COSTLY if is_costly(node.op) else 1


def _traffic(node: Node) -> Dim:
    """Bytes that a statement reads and writes; a view none."""
    if isinstance(node.op, TensorOp) and node.op.view:
        return 0
    total: Dim = 0
    for tensor in dict.fromkeys(map(_behind, node.inputs)):
        if not isinstance(tensor.node.op, Fill):
            total = total + product(tensor.shape) * tensor.dtype.itemsize
    for tensor in node.outputs:
        total = total + product(tensor.shape) * tensor.dtype.itemsize
    return total


def _behind(tensor: Tensor) -> Tensor:
    """What is read of a tensor that is repeated."""
    while isinstance(tensor.node.op, Broadcast):
        tensor = tensor.node.inputs[0]
    return tensor
