"""Buffers by liveness: a step writes into memory whose last reader has run."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from symgrad.dims import Dim, product
from symgrad.types import TensorType


@dataclass(eq=False)
class Buffer:
    """Memory for tensors of one type; `readers` counts the steps that still need what is in it."""

    number: int
    type: TensorType
    readers: int = 0


@dataclass
class Buffers:
    """The buffers of a program, and those that are free at this point of the schedule."""

    all: list[Buffer] = field(default_factory=list)
    _free: dict[TensorType, list[Buffer]] = field(default_factory=lambda: defaultdict(list))

    def take(self, type: TensorType) -> Buffer:
        """A free buffer of this type, or a new one."""
        free = self._free[type]
        if free:
            return free.pop()
        buffer = Buffer(len(self.all), type)
        self.all.append(buffer)
        return buffer

    def release(self, buffer: Buffer) -> None:
        """The last reader has run."""
        self._free[buffer.type].append(buffer)

    def bytes(self) -> Dim:
        """The size of all buffers, symbolic where sizes are."""
        total: Dim = 0
        for buffer in self.all:
            total = total + product(buffer.type.shape) * buffer.type.dtype.itemsize
        return total
