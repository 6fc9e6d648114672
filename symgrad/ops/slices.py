"""Slices: read, written over, and transposed. Their bounds are known, at least as symbolic sizes."""

from __future__ import annotations

from typing import ClassVar

from symgrad.dims import Dim, Shape
from symgrad.errors import ShapeError
from symgrad.ir.tensor import Tensor, apply
from symgrad.ops.create import zeros_like
from symgrad.ops.kinds import Linear, declare
from symgrad.ops.strided import Strided
from symgrad.records import record
from symgrad.types import TensorType, check_extent


@declare
@record
class Slice(Linear):
    """x[start:stop:step] in every axis, with start and stop counted from the front. With a negative step, a
    stop of -1 means "to the front"."""

    starts: Shape
    stops: Shape
    steps: tuple[int, ...]
    name: ClassVar[str] = "slice"
    negative_is_empty = True
    operands = ("x",)
    numpy = "numeric.slice_({x}, {starts}, {stops}, {steps})"
    view = True
    selects = True

    def infer(self, x: TensorType) -> TensorType:
        if not len(self.starts) == len(self.stops) == len(self.steps) == x.ndim:
            raise ShapeError("slice needs a start, stop and step for each axis")
        return x.with_shape(
            tuple(slice_size(*s) for s in zip(self.starts, self.stops, self.steps, x.shape, strict=True))
        )

    def transpose_x(self, g: Tensor, x: Tensor) -> Tensor:
        return apply(Unslice(self.starts, self.stops, self.steps, x.shape), g)

    def strided(self, x: Strided) -> Strided:
        shape = tuple(slice_size(*s) for s in zip(self.starts, self.stops, self.steps, x.shape, strict=True))
        return x.slice(self.starts, self.steps, shape)

    def batched_op(self, size: Dim) -> Slice:
        return Slice((0, *self.starts), (size, *self.stops), (1, *self.steps))


def slice_size(start: Dim, stop: Dim, step: int, size: Dim) -> Dim:
    """How many elements a slice reads."""
    if step == 0:
        raise ShapeError("a slice step must not be 0")
    numbers = [v for v in (start, stop, size) if isinstance(v, int)]
    if len(numbers) == 3 and not (-1 <= numbers[0] <= numbers[2] and -1 <= numbers[1] <= numbers[2]):
        raise ShapeError(f"the slice {start}:{stop}:{step} leaves an axis of size {size}")
    count = -((start - stop) // step) if step > 0 else -((stop - start) // -step)
    return max(count, 0) if isinstance(count, int) else count


@declare
@record
class Unslice(Linear):
    """Zeros of `shape`, with g where `slice` reads: its transpose."""

    starts: Shape
    stops: Shape
    steps: tuple[int, ...]
    shape: Shape
    name: ClassVar[str] = "unslice"
    negative_is_empty = True  # as that of a slice of an axis
    operands = ("g",)
    fills = True
    numpy = "numeric.unslice({g}, {starts}, {stops}, {steps}, {shape})"

    def infer(self, g: TensorType) -> TensorType:
        check_extent(self.shape)
        read = Slice(self.starts, self.stops, self.steps).infer(g.with_shape(self.shape))
        if read.shape != g.shape:
            raise ShapeError(
                "unslice: the operand must have the shape that the slice reads", facts=[("g", g)]
            )
        return g.with_shape(self.shape)

    def transpose_g(self, t: Tensor, g: Tensor) -> Tensor:
        return apply(Slice(self.starts, self.stops, self.steps), t)

    def batched_op(self, size: Dim) -> Unslice:
        return Unslice((0, *self.starts), (size, *self.stops), (1, *self.steps), (size, *self.shape))


@declare
@record
class SetSlice(Linear):
    """x, with v written where `slice` reads. Of what is overwritten, the cotangent is 0."""

    starts: Shape
    stops: Shape
    steps: tuple[int, ...]
    name: ClassVar[str] = "set_slice"
    negative_is_empty = True
    operands = ("x", "v")
    linear_in_all = True
    numpy = "numeric.set_slice({x}, {v}, {starts}, {stops}, {steps}, {out})"
    selects = True

    def infer(self, x: TensorType, v: TensorType) -> TensorType:
        if Slice(self.starts, self.stops, self.steps).infer(x) != v:
            raise ShapeError(
                "set_slice: v must have the type that the slice of x has", facts=[("x", x), ("v", v)]
            )
        return x

    def transpose_x(self, g: Tensor, x: Tensor, v: Tensor) -> Tensor:
        return apply(self, g, zeros_like(v))

    def transpose_v(self, g: Tensor, x: Tensor, v: Tensor) -> Tensor:
        return apply(Slice(self.starts, self.stops, self.steps), g)

    def batched_op(self, size: Dim) -> SetSlice:
        return SetSlice((0, *self.starts), (size, *self.stops), (1, *self.steps))


def narrow(x: Tensor, axis: int, start: Dim, length: Dim) -> Tensor:
    """`length` elements along an axis, from `start`."""
    return _sliced(x, axis, start, start + length, 1)


def cut(x: Tensor, axis: int, start: Dim, stop: Dim, step: int = 1) -> Tensor:
    """x[start:stop:step] along an axis, where start and stop count from the front as those of `Slice`."""
    is_whole = start == 0 and stop == x.shape[axis] and step == 1
    return x if is_whole else _sliced(x, axis, start, stop, step)


def _sliced(x: Tensor, axis: int, start: Dim, stop: Dim, step: int) -> Tensor:
    starts = tuple(start if i == axis else 0 for i in range(x.ndim))
    stops = tuple(stop if i == axis else d for i, d in enumerate(x.shape))
    return apply(Slice(starts, stops, tuple(step if i == axis else 1 for i in range(x.ndim))), x)
