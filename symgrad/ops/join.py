"""Joining and cutting: `concat`, `stack`, `split`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from symgrad import dims
from symgrad.dims import Dim, Shape
from symgrad.errors import ShapeError
from symgrad.ir.tensor import Tensor, apply, apply_all
from symgrad.ops.align import align_tensors
from symgrad.ops.create import as_tensor, fill
from symgrad.ops.kinds import Linear, declare
from symgrad.ops.shape import expand_dims, normalize_axis
from symgrad.ops.slices import narrow
from symgrad.ops.strided import Strided
from symgrad.types import TensorType


@declare
@dataclass(frozen=True)
class Concat(Linear):
    """Tensors joined along `axis`."""

    axis: int
    name: ClassVar[str] = "concat"
    operands = ("parts*",)
    linear_in_all = True
    numpy = "numeric.concat({parts}, {axis}, {out})"

    def infer(self, *parts: TensorType) -> TensorType:
        if not parts:
            raise ShapeError("concat needs at least one tensor")
        first = parts[0]
        if not 0 <= self.axis < first.ndim:
            raise ShapeError(f"axis {self.axis} does not exist", facts=[("x", first)])
        for part in parts:
            rest = [
                (a, b)
                for i, (a, b) in enumerate(zip(part.shape, first.shape, strict=False))
                if i != self.axis
            ]
            if part.dtype is not first.dtype or part.ndim != first.ndim or any(a != b for a, b in rest):
                raise ShapeError(f"concat needs equal dtypes, and equal shapes but for axis {self.axis}")
        total: Dim = 0
        for part in parts:
            total = total + part.shape[self.axis]
        return first.with_shape((*first.shape[: self.axis], total, *first.shape[self.axis + 1 :]))

    def transpose_parts(self, g: Tensor, operand: int, *parts: Tensor) -> Tensor:
        start: Dim = 0
        for part in parts[:operand]:
            start = start + part.shape[self.axis]
        return narrow(g, self.axis, start, parts[operand].shape[self.axis])

    def batched_op(self, size: Dim) -> Concat:
        return Concat(self.axis + 1)


@declare
@dataclass(frozen=True)
class Split(Linear):
    """x cut along `axis` into pieces of the given sizes; one output each."""

    axis: int
    sizes: Shape
    name: ClassVar[str] = "split"
    operands = ("x",)
    numpy = "numeric.split({x}, {sizes}, {axis})"
    view = True
    selects = True

    def infer(self, x: TensorType) -> Sequence[TensorType]:
        if not 0 <= self.axis < x.ndim or not self.sizes:
            raise ShapeError("split needs an axis of the operand and at least one size", facts=[("x", x)])
        total: Dim = 0
        for size in self.sizes:
            if isinstance(size, int) and size < 0:
                raise ShapeError(f"a piece cannot have the size {size}", facts=[("x", x)])
            total = total + size
        if not dims.equal(total, x.shape[self.axis]):
            raise ShapeError(f"the sizes add up to {total}, not {x.shape[self.axis]}", facts=[("x", x)])
        return [x.with_shape((*x.shape[: self.axis], s, *x.shape[self.axis + 1 :])) for s in self.sizes]

    def transpose_x(self, g: Any, x: Tensor) -> Tensor:
        """The pieces joined; a piece without a cotangent was not used, so its part is 0."""
        gs = g if isinstance(g, tuple) else (g,)
        types = self.infer(x.type)
        parts = [fill(0, t.shape, t.dtype) if p is None else p for p, t in zip(gs, types, strict=True)]
        return apply(Concat(self.axis), *parts)

    def strided(self, x: Strided) -> tuple[Strided, ...]:
        pieces = []
        start: Dim = 0
        for size in self.sizes:
            starts = tuple(start if i == self.axis else 0 for i in range(len(x.shape)))
            shape = tuple(size if i == self.axis else d for i, d in enumerate(x.shape))
            pieces.append(x.slice(starts, (1,) * len(x.shape), shape))
            start = start + size
        return tuple(pieces)

    def batched_op(self, size: Dim) -> Split:
        return Split(self.axis + 1, self.sizes)


# ---- the language -----------------------------------------------------------------------------------


def concat(tensors: Sequence[Any], axis: int = 0) -> Tensor:
    """Tensors joined along an axis."""
    parts = align_tensors(tensors)
    return parts[0] if len(parts) == 1 else apply(Concat(normalize_axis(axis, parts[0].ndim)), *parts)


def stack(tensors: Sequence[Any], axis: int = 0) -> Tensor:
    """Tensors of one shape joined along a new axis."""
    return concat([expand_dims(t, axis) for t in align_tensors(tensors)], axis)


def split(x: Any, sizes: Sequence[Any], axis: int = 0) -> tuple[Tensor, ...]:
    """x cut along `axis` into pieces of the given sizes.

    >>> from symgrad.ops.create import tensor
    >>> split(tensor("x", (5,)), [2, 3])
    (<split: f64[2]>, <split: f64[3]>)
    """
    tensor = as_tensor(x)
    return apply_all(Split(normalize_axis(axis, tensor.ndim), tuple(sizes)), (tensor,))
