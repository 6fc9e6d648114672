"""Elements at integer indices: read (gathers), added up (their transposes), written over.

    gather        out[i..., r...] = x[indices[i...] at `axes`, r... elsewhere]
    scatter_add   its transpose: repeated indices accumulate
    take          one index, whose dimensions replace the axis in place
    take_along_axis, scatter_add_along_axis
                  one index for each row
    one_hot       1 at an index along a new axis
    in_range      indices that are checked

i... are the dimensions that the indices share, r... the other axes of x, in order. Negative indices count from
the end; others out of range raise when they are met. Updates at indices are in `scatter.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from symgrad.dims import Dim, Shape
from symgrad.errors import DTypeError, ShapeError
from symgrad.ir.tensor import Tensor, apply
from symgrad.ops.cast import astype
from symgrad.ops.compare import equal, less
from symgrad.ops.create import Iota
from symgrad.ops.kinds import INTEGERS, Linear, declare, repeated
from symgrad.ops.select import where
from symgrad.ops.shape import Broadcast, check_axes, moveaxis, permute_dims, shifted
from symgrad.ops.strided import Strided
from symgrad.records import record
from symgrad.types import INT64, DType, TensorType, check_extent

INDEX = "an index is an integer"


@declare
@record
class Gather(Linear):
    """out[i..., r...] = x[indices[i...] at `axes`, r... elsewhere]; the indices have one shape."""

    axes: tuple[int, ...]
    name: ClassVar[str] = "gather"
    negative_is_empty = True
    operands = ("x", "indices*")
    numpy = "numeric.gather({x}, {indices}, {axes})"
    no_gradient: ClassVar = {"indices": INDEX}
    selects = True
    fails = True

    def infer(self, x: TensorType, *indices: TensorType) -> TensorType:
        check_axes(self.axes, x.ndim, self.name)
        if len(indices) != len(self.axes) or not indices:
            raise ShapeError(
                f"{self.name} needs one index for each of its axes {self.axes}, and at least one"
            )
        for index in indices:
            check_index(index)
            if index.shape != indices[0].shape:
                raise ShapeError(f"{self.name} needs indices of one shape")
        rest = [d for i, d in enumerate(x.shape) if i not in self.axes]
        return x.with_shape((*indices[0].shape, *rest))

    def transpose_x(self, g: Tensor, x: Tensor, *indices: Tensor) -> Tensor:
        return apply(ScatterAdd(self.axes, x.shape), g, *indices)

    def batch(self, size: Dim, operands: Sequence[Tensor], batched: Sequence[bool]) -> tuple[Tensor, ...]:
        x, *indices = operands
        if not any(batched[1:]):
            found = apply(Gather(shifted(self.axes)), x, *indices)
            return (moveaxis(found, indices[0].ndim, 0),)
        rows = repeated(size, indices, batched[1:])
        if not batched[0]:
            return (apply(self, x, *rows),)
        return (apply(Gather((0, *shifted(self.axes))), x, row_numbers(rows[0].shape), *rows),)


@declare
@record
class ScatterAdd(Linear):
    """Zeros of `shape`, to which g is added where `gather` reads; repeated indices accumulate."""

    axes: tuple[int, ...]
    shape: Shape
    name: ClassVar[str] = "scatter_add"
    negative_is_empty = True
    operands = ("g", "indices*")
    fills = True
    numpy = "numeric.scatter_add({g}, {indices}, {axes}, {shape})"
    no_gradient: ClassVar = {"indices": INDEX}
    fails = True

    def infer(self, g: TensorType, *indices: TensorType) -> TensorType:
        check_extent(self.shape)
        if Gather(self.axes).infer(g.with_shape(self.shape), *indices).shape != g.shape:
            raise ShapeError("scatter_add: the operand must have the shape that gather reads")
        return g.with_shape(self.shape)

    def transpose_g(self, t: Tensor, g: Tensor, *indices: Tensor) -> Tensor:
        return apply(Gather(self.axes), t, *indices)

    def batch(self, size: Dim, operands: Sequence[Tensor], batched: Sequence[bool]) -> tuple[Tensor, ...]:
        g, *indices = operands
        shape, axes = (size, *self.shape), shifted(self.axes)
        if not any(batched[1:]):
            return (apply(ScatterAdd(axes, shape), moveaxis(g, 0, indices[0].ndim), *indices),)
        g, *rows = repeated(size, operands, batched)
        return (apply(ScatterAdd((0, *axes), shape), g, row_numbers(rows[0].shape), *rows),)


@declare
@record
class Take(Linear):
    """out[a..., i..., b...] = x[a..., index[i...], b...], the index replacing `axis`."""

    axis: int
    name: ClassVar[str] = "take"
    negative_is_empty = True
    operands = ("x", "index")
    numpy = "numeric.take({x}, {index}, {axis}, {out})"
    no_gradient: ClassVar = {"index": INDEX}
    selects = True
    fails = True

    def infer(self, x: TensorType, index: TensorType) -> TensorType:
        check_index(index)
        _check_axis(self.axis, x)
        return x.with_shape((*x.shape[: self.axis], *index.shape, *x.shape[self.axis + 1 :]))

    def transpose_x(self, g: Tensor, x: Tensor, index: Tensor) -> Tensor:
        inside = range(self.axis, self.axis + index.ndim)
        order = (*inside, *range(self.axis), *range(inside.stop, g.ndim))
        return apply(ScatterAdd((self.axis,), x.shape), permute_dims(g, order), index)

    def batch(self, size: Dim, operands: Sequence[Tensor], batched: Sequence[bool]) -> tuple[Tensor, ...]:
        x, index = operands
        if not batched[1]:
            return (apply(Take(self.axis + 1), x, index),)
        if not batched[0]:
            return (moveaxis(apply(self, x, index), self.axis, 0),)
        found = apply(Gather((0, self.axis + 1)), x, row_numbers(index.shape), index)
        before = range(index.ndim, index.ndim + self.axis)
        order = (0, *before, *range(1, index.ndim), *range(before.stop, found.ndim))
        return (permute_dims(found, order),)


@declare
@record
class TakeAlongAxis(Linear):
    """out[a, i, b] = x[a, index[a, i, b], b], with i along `axis`."""

    axis: int
    name: ClassVar[str] = "take_along_axis"
    negative_is_empty = True
    operands = ("x", "index")
    numpy = "numeric.take_along_axis({x}, {index}, {axis})"
    no_gradient: ClassVar = {"index": INDEX}
    selects = True
    fails = True

    def infer(self, x: TensorType, index: TensorType) -> TensorType:
        check_index(index)
        _check_axis(self.axis, x)
        if index.ndim != x.ndim or any(
            a != b for i, (a, b) in enumerate(zip(x.shape, index.shape, strict=True)) if i != self.axis
        ):
            raise ShapeError(f"take_along_axis needs equal shapes but for axis {self.axis}")
        return x.with_shape(index.shape)

    def transpose_x(self, g: Tensor, x: Tensor, index: Tensor) -> Tensor:
        return apply(ScatterAddAlongAxis(self.axis, x.shape), g, index)

    def batched_op(self, size: Dim) -> TakeAlongAxis:
        return TakeAlongAxis(self.axis + 1)


@declare
@record
class ScatterAddAlongAxis(Linear):
    """Zeros of `shape`, to which g is added where `take_along_axis` reads."""

    axis: int
    shape: Shape
    name: ClassVar[str] = "scatter_add_along_axis"
    negative_is_empty = True
    operands = ("g", "index")
    fills = True
    numpy = "numeric.scatter_add_along_axis({g}, {index}, {axis}, {shape})"
    no_gradient: ClassVar = {"index": INDEX}
    fails = True

    def infer(self, g: TensorType, index: TensorType) -> TensorType:
        check_extent(self.shape)
        if TakeAlongAxis(self.axis).infer(g.with_shape(self.shape), index).shape != g.shape:
            raise ShapeError("scatter_add_along_axis: the operand must have the shape of the index")
        return g.with_shape(self.shape)

    def transpose_g(self, t: Tensor, g: Tensor, index: Tensor) -> Tensor:
        return apply(TakeAlongAxis(self.axis), t, index)

    def batched_op(self, size: Dim) -> ScatterAddAlongAxis:
        return ScatterAddAlongAxis(self.axis + 1, (size, *self.shape))


@declare
@record
class OneHot(Linear):
    """1 at the index along a new axis, 0 elsewhere. Out of range raises, as for every index."""

    axis: int
    size: Dim
    dtype: DType
    name: ClassVar[str] = "one_hot"
    operands = ("index",)
    numpy = "numeric.one_hot({index}, {axis}, {size}, {dtype})"
    no_gradient: ClassVar = {"index": INDEX}
    fails = True

    def infer(self, index: TensorType) -> TensorType:
        check_index(index)
        if not 0 <= self.axis <= index.ndim:
            raise ShapeError(f"{self.name}: axis {self.axis} does not exist", facts=[("index", index)])
        if self.dtype.kind == "bool":
            raise DTypeError(f"{self.name} makes numbers")
        shape = (*index.shape[: self.axis], self.size, *index.shape[self.axis :])
        check_extent(shape)
        return TensorType(self.dtype, shape)

    def expand(self, index: Tensor) -> Tensor:
        """Where the position along the axis is the index: elementwise, so that it joins what reads it."""
        shape = self.infer(index.type).shape
        inside = astype(apply(InRange(self.size, self.axis), index), INT64)
        at = where(less(inside, 0), inside + self.size, inside)
        others = tuple(i for i in range(len(shape)) if i != self.axis)
        place = apply(Broadcast(shape, others), apply(Iota(self.size, INT64)))
        return astype(equal(place, apply(Broadcast(shape, (self.axis,)), at)), self.dtype)

    def batched_op(self, size: Dim) -> OneHot:
        return OneHot(self.axis + 1, self.size, self.dtype)


@declare
@record
class InRange(Linear):
    """The indices themselves, known to fit an axis of a size: every call checks that they do. Negative ones count
    `from_end`, or do not fit."""

    size: Dim
    axis: int
    from_end: bool = True
    name: ClassVar[str] = "in_range"
    negative_is_empty = True
    operands = ("index",)
    numpy = "numeric.in_range({index}, {size}, {axis}, {from_end})"
    no_gradient: ClassVar = {"index": INDEX}
    view = True
    fails = True

    def infer(self, index: TensorType) -> TensorType:
        check_index(index)
        return index

    def strided(self, x: Strided) -> Strided:
        return x

    def batched_op(self, size: Dim) -> InRange:
        return self


# ---- indices ----------------------------------------------------------------------------------------


def check_index(index: TensorType) -> None:
    """DTypeError unless the index holds integers."""
    if index.dtype.kind not in INTEGERS:
        raise DTypeError(f"an index must be an integer tensor, not {index.dtype}", facts=[("index", index)])


def _check_axis(axis: int, x: TensorType) -> None:
    if not 0 <= axis < x.ndim:
        raise ShapeError(f"axis {axis} does not exist", facts=[("x", x)])


def row_numbers(shape: Shape) -> Tensor:
    """The index of the first axis, at each element of `shape`."""
    rows = apply(Iota(shape[0], INT64))
    return apply(Broadcast(shape, tuple(range(1, len(shape)))), rows) if len(shape) > 1 else rows
