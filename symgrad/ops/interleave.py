"""interleave: tensors that take turns along axes, the reverse of slices with a step."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import ClassVar

from symgrad import dims
from symgrad.dims import Dim, Shape, floordiv
from symgrad.errors import ShapeError
from symgrad.ir.tensor import Tensor, apply
from symgrad.ops.kinds import Linear, declare
from symgrad.ops.shape import check_axes, shifted
from symgrad.ops.slices import Slice
from symgrad.records import record
from symgrad.types import TensorType, check_extent


@declare
@record
class Interleave(Linear):
    """out[..., r::step, ...] = the part of residue r, along each of `axes`; 0 where a part ends early.

    The parts come in row-major order of their residues; along several axes there is one for each combination.
    """

    steps: tuple[int, ...]
    axes: tuple[int, ...]
    shape: Shape
    name: ClassVar[str] = "interleave"
    operands = ("parts*",)
    linear_in_all = True
    fills = True
    numpy = "numeric.interleave({parts}, {steps}, {axes}, {shape})"

    def infer(self, *parts: TensorType) -> TensorType:
        check_extent(self.shape)
        check_axes(self.axes, len(self.shape), "interleave")
        if len(self.steps) != len(self.axes) or any(s < 1 for s in self.steps):
            raise ShapeError("interleave needs a step of at least 1 for each axis")
        if len(parts) != prod(self.steps):
            raise ShapeError(f"interleave needs {prod(self.steps)} parts, not {len(parts)}")
        for part, residues in zip(parts, self.residues(), strict=True):
            wanted = self.part_shape(residues)
            if part.dtype is not parts[0].dtype or part.ndim != len(wanted):
                raise ShapeError("interleave needs parts of one dtype and as many dimensions as the result")
            for axis, (have, most) in enumerate(zip(part.shape, wanted, strict=True)):
                if not (dims.equal(have, most) or (axis in self.axes and _is_less(have, most))):
                    raise ShapeError(
                        "interleave: a part does not fit", facts=[("part", part), ("room", wanted)]
                    )
        return parts[0].with_shape(self.shape)

    def residues(self) -> itertools.product[tuple[int, ...]]:
        """Where each part begins along the axes, in the order of the parts."""
        return itertools.product(*map(range, self.steps))

    def part_shape(self, residues: Sequence[int]) -> Shape:
        """The shape of a part that does not end early."""
        shape = list(self.shape)
        for axis, step, r in zip(self.axes, self.steps, residues, strict=True):
            shape[axis] = part_size(shape[axis], step, r)
        return tuple(shape)

    def reading(self, residues: Sequence[int], part: Shape) -> Slice:
        """The slice that reads a part back."""
        starts: list[Dim] = [0] * len(self.shape)
        stops, steps = list(self.shape), [1] * len(self.shape)
        for axis, step, r in zip(self.axes, self.steps, residues, strict=True):
            count = part[axis]
            starts[axis], steps[axis] = r, step
            if isinstance(count, int):
                starts[axis], stops[axis] = (r, r + (count - 1) * step + 1) if count else (0, 0)
        return Slice(tuple(starts), tuple(stops), tuple(steps))

    def transpose_parts(self, g: Tensor, operand: int, *parts: Tensor) -> Tensor:
        residues = next(itertools.islice(self.residues(), operand, None))
        return apply(self.reading(residues, parts[operand].shape), g)

    def batched_op(self, size: Dim) -> Interleave:
        return replace(self, axes=shifted(self.axes), shape=(size, *self.shape))


def part_size(size: Dim, step: int, residue: int) -> Dim:
    """How many of `size` elements are in a class of residues: ceil((size - residue) / step)."""
    return -floordiv(residue - size, step)


def _is_less(a: Dim, b: Dim) -> bool:
    return isinstance(a, int) and isinstance(b, int) and a < b
