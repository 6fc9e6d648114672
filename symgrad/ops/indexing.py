"""Indexing, joining and cutting. Slices and gathers are linear; their transposes accumulate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import Any, ClassVar

import numpy

from symgrad import dims
from symgrad.dims import Dim, Shape, Size
from symgrad.errors import DTypeError, ShapeError
from symgrad.ir import origin
from symgrad.ir.tensor import Tensor, apply, apply_all, operand_label
from symgrad.ops.align import align_tensors
from symgrad.ops.cast import astype
from symgrad.ops.compare import equal
from symgrad.ops.create import arange, as_tensor, fill
from symgrad.ops.kinds import INTEGERS, Linear, declare
from symgrad.ops.shape import broadcast_to, expand_dims, normalize_axis, reshape
from symgrad.ops.strided import Strided
from symgrad.registry import provide
from symgrad.types import DTypeLike, TensorType, as_dim, check_extent

_INDEX = "an index is an integer"


# ---- slices -----------------------------------------------------------------------------------------


@declare
@dataclass(frozen=True)
class Slice(Linear):
    """x[start:stop:step] in every axis, with start and stop counted from the front. With a negative step, a
    stop of -1 means "to the front"."""

    starts: Shape
    stops: Shape
    steps: tuple[int, ...]
    name: ClassVar[str] = "slice"
    operands = ("x",)
    numpy = "numeric.slice_({x}, {starts}, {stops}, {steps})"
    view = True
    selects = True

    def infer(self, x: TensorType) -> TensorType:
        if not len(self.starts) == len(self.stops) == len(self.steps) == x.ndim:
            raise ShapeError("slice needs a start, stop and step for each axis")
        return x.with_shape(
            tuple(_slice_size(*s) for s in zip(self.starts, self.stops, self.steps, x.shape, strict=True))
        )

    def transpose_x(self, g: Tensor, x: Tensor) -> Tensor:
        return apply(Unslice(self.starts, self.stops, self.steps, x.shape), g)

    def strided(self, x: Strided) -> Strided:
        shape = tuple(_slice_size(*s) for s in zip(self.starts, self.stops, self.steps, x.shape, strict=True))
        return x.slice(self.starts, self.steps, shape)

    def batched_op(self, size: Dim) -> Slice:
        return Slice((0, *self.starts), (size, *self.stops), (1, *self.steps))


def _slice_size(start: Dim, stop: Dim, step: int, size: Dim) -> Dim:
    if step == 0:
        raise ShapeError("a slice step must not be 0")
    numbers = [v for v in (start, stop, size) if isinstance(v, int)]
    if len(numbers) == 3 and not (-1 <= numbers[0] <= numbers[2] and -1 <= numbers[1] <= numbers[2]):
        raise ShapeError(f"the slice {start}:{stop}:{step} leaves an axis of size {size}")
    count = -((start - stop) // step) if step > 0 else -((stop - start) // -step)
    return max(count, 0) if isinstance(count, int) else count


@declare
@dataclass(frozen=True)
class Unslice(Linear):
    """Zeros of `shape`, with g where `slice` reads: its transpose."""

    starts: Shape
    stops: Shape
    steps: tuple[int, ...]
    shape: Shape
    name: ClassVar[str] = "unslice"
    operands = ("g",)
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


# ---- gathers ----------------------------------------------------------------------------------------


@declare
@dataclass(frozen=True)
class Take(Linear):
    """out[a..., i..., b...] = x[a..., index[i...], b...], the index replacing `axis`."""

    axis: int
    name: ClassVar[str] = "take"
    operands = ("x", "index")
    numpy = "numeric.take({x}, {index}, {axis}, {out})"
    no_gradient: ClassVar = {"index": _INDEX}
    selects = True
    fails = True

    def infer(self, x: TensorType, index: TensorType) -> TensorType:
        _check_index(self.axis, x, index)
        return x.with_shape((*x.shape[: self.axis], *index.shape, *x.shape[self.axis + 1 :]))

    def transpose_x(self, g: Tensor, x: Tensor, index: Tensor) -> Tensor:
        return apply(ScatterAdd(self.axis, x.shape), g, index)


@declare
@dataclass(frozen=True)
class ScatterAdd(Linear):
    """Zeros of `shape`, to which g is added where `take` reads; repeated indices accumulate."""

    axis: int
    shape: Shape
    name: ClassVar[str] = "scatter_add"
    operands = ("g", "index")
    numpy = "numeric.scatter_add({g}, {index}, {axis}, {shape})"
    no_gradient: ClassVar = {"index": _INDEX}
    fails = True

    def infer(self, g: TensorType, index: TensorType) -> TensorType:
        check_extent(self.shape)
        if Take(self.axis).infer(g.with_shape(self.shape), index).shape != g.shape:
            raise ShapeError("scatter_add: the operand must have the shape that take reads")
        return g.with_shape(self.shape)

    def transpose_g(self, t: Tensor, g: Tensor, index: Tensor) -> Tensor:
        return apply(Take(self.axis), t, index)


@declare
@dataclass(frozen=True)
class TakeAlongAxis(Linear):
    """out[a, i, b] = x[a, index[a, i, b], b], with i along `axis`."""

    axis: int
    name: ClassVar[str] = "take_along_axis"
    operands = ("x", "index")
    numpy = "numeric.take_along_axis({x}, {index}, {axis})"
    no_gradient: ClassVar = {"index": _INDEX}
    selects = True
    fails = True

    def infer(self, x: TensorType, index: TensorType) -> TensorType:
        _check_index(self.axis, x, index)
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
@dataclass(frozen=True)
class ScatterAddAlongAxis(Linear):
    """Zeros of `shape`, to which g is added where `take_along_axis` reads."""

    axis: int
    shape: Shape
    name: ClassVar[str] = "scatter_add_along_axis"
    operands = ("g", "index")
    numpy = "numeric.scatter_add_along_axis({g}, {index}, {axis}, {shape})"
    no_gradient: ClassVar = {"index": _INDEX}
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


def _check_index(axis: int, x: TensorType, index: TensorType) -> None:
    if index.dtype.kind not in INTEGERS:
        raise DTypeError(f"an index must be an integer tensor, not {index.dtype}")
    if not 0 <= axis < x.ndim:
        raise ShapeError(f"axis {axis} does not exist", facts=[("x", x)])


# ---- joining and cutting ----------------------------------------------------------------------------


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
        return _narrow(g, self.axis, start, parts[operand].shape[self.axis])

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


def _narrow(x: Tensor, axis: int, start: Dim, length: Dim) -> Tensor:
    starts = tuple(start if i == axis else 0 for i in range(x.ndim))
    stops = tuple(start + length if i == axis else d for i, d in enumerate(x.shape))
    return apply(Slice(starts, stops, (1,) * x.ndim), x)


# ---- the language -----------------------------------------------------------------------------------


@provide("getitem")
def getitem(x: Tensor, key: Any) -> Tensor:
    """x[key] as NumPy: ints, slices, None, Ellipsis, and one integer array or tensor.

    Raises:
        IndexError: an int that is out of range, or too many indices.

    >>> from symgrad.ops.create import tensor
    >>> x = tensor("x", ("n", 5))
    >>> x[:, 1:4], x[0, None], x[..., ::-1]
    (<slice: f64[n,3]>, <slice: f64[1,5]>, <slice: f64[n,5]>)
    """
    items = _full_key(x, key if isinstance(key, tuple) else (key,))
    starts: list[Dim] = []
    stops: list[Dim] = []
    steps: list[int] = []
    shape: list[Dim] = []
    gather: tuple[int, Tensor] | None = None
    for item in items:
        if item is None:
            shape.append(1)
            continue
        size = x.shape[len(starts)]
        start, stop, step, keeps = _bounds(item, size)
        if isinstance(item, (Tensor, numpy.ndarray, list)):
            if gather is not None:
                raise IndexError("one array index at a time\n  hint: index twice, or use take_along_axis")
            gather = (len(shape), as_tensor(item))
        starts, stops, steps = [*starts, start], [*stops, stop], [*steps, step]
        if keeps:
            shape.append(_slice_size(start, stop, step, size))
    whole = all(
        a == 0 and b == d and s == 1 for a, b, s, d in zip(starts, stops, steps, x.shape, strict=True)
    )
    sliced = x if whole else apply(Slice(tuple(starts), tuple(stops), tuple(steps)), x)
    result = reshape(sliced, tuple(shape))
    return result if gather is None else take(result, gather[1], axis=gather[0])


def _full_key(x: Tensor, key: tuple[Any, ...]) -> list[Any]:
    used = sum(1 for k in key if k is not None and not isinstance(k, EllipsisType))
    if used > x.ndim:
        raise IndexError(
            f"too many indices: {used} for {x.ndim} dimensions of {x.name or x.node.op.name}: {x.type}"
        )
    dots = [i for i, k in enumerate(key) if isinstance(k, EllipsisType)]
    if len(dots) > 1:
        raise IndexError("only one ... in an index")
    at = dots[0] if dots else len(key)
    return [*key[:at], *[slice(None)] * (x.ndim - used), *key[at + 1 :]]


def _bounds(item: Any, size: Dim) -> tuple[Dim, Dim, int, bool]:
    """(start, stop, step, whether the axis stays) of one index."""
    if isinstance(item, slice):
        return (*_slice_bounds(item, size), True)
    if isinstance(item, (Tensor, numpy.ndarray, list)):
        return 0, size, 1, True
    if isinstance(item, Size):
        return item, item + 1, 1, False
    if isinstance(item, bool) or not hasattr(item, "__index__"):
        raise IndexError(f"not an index: {item!r}")
    number = item.__index__()
    if isinstance(size, int) and not -size <= number < size:
        raise IndexError(f"index {number} is out of range for an axis of size {size}")
    start = number if number >= 0 else size + number
    return start, start + 1, 1, False


def _slice_bounds(item: slice, size: Dim) -> tuple[Dim, Dim, int]:
    step = 1 if item.step is None else int(item.step)
    if isinstance(size, int) and not isinstance(item.start, Size) and not isinstance(item.stop, Size):
        return (*item.indices(size)[:2], step)
    if step > 0:
        start = 0 if item.start is None else _from_front(item.start, size)
        return start, size if item.stop is None else _from_front(item.stop, size), step
    start = size - 1 if item.start is None else _from_front(item.start, size)
    return start, -1 if item.stop is None else _from_front(item.stop, size), step


def _from_front(bound: Any, size: Dim) -> Dim:
    if isinstance(bound, int):
        return bound if bound >= 0 else size + bound
    if isinstance(bound, Size):
        return bound
    raise IndexError(f"a slice bound must be an int or a size, not {bound!r}")


@provide("take")
def take(x: Any, index: Any, axis: int = 0) -> Tensor:
    """x at integer `index` along `axis`; the index may have any shape. Out of range raises when it runs."""
    tensor, at = as_tensor(x), as_tensor(index)
    return apply(Take(normalize_axis(axis, tensor.ndim)), tensor, at)


def take_along_axis(x: Any, index: Any, axis: int = -1) -> Tensor:
    """One element of x for each element of `index`, along `axis`."""
    tensor, at = as_tensor(x), as_tensor(index)
    return apply(TakeAlongAxis(normalize_axis(axis, tensor.ndim)), tensor, at)


@provide("concat")
def concat(tensors: Sequence[Any], axis: int | None = 0) -> Tensor:
    """Tensors joined along an axis, their dtypes promoted; None flattens them first.

    >>> from symgrad.ops.create import tensor
    >>> concat([tensor("x", (2, "n")), tensor("y", (3, "n"))])
    <concat: f64[5,n]>
    """
    parts = _parts(tensors, "concat")
    if axis is None:
        parts, axis = [reshape(t, (t.size,)) for t in parts], 0
    if any(t.ndim == 0 for t in parts):
        raise ShapeError(
            "a tensor without dimensions cannot be joined to others",
            facts=[(operand_label(_CONCAT, i, t), t.type) for i, t in enumerate(parts)],
            at=origin.locate(origin.current()),
            hint="use stack, or concat(..., axis=None)",
        )
    place = normalize_axis(axis, parts[0].ndim)
    return parts[0] if len(parts) == 1 else apply(Concat(place), *parts)


@provide("stack")
def stack(tensors: Sequence[Any], axis: int = 0) -> Tensor:
    """Tensors of one shape joined along a new axis, their dtypes promoted."""
    parts = _parts(tensors, "stack")
    if any(t.shape != parts[0].shape for t in parts):
        raise ShapeError(
            "stack needs tensors of one shape",
            facts=[(operand_label(_CONCAT, i, t), t.type) for i, t in enumerate(parts)],
            at=origin.locate(origin.current()),
        )
    return concat([expand_dims(t, axis) for t in parts], axis)


def _parts(tensors: Any, what: str) -> list[Tensor]:
    if not isinstance(tensors, (tuple, list)) or not tensors:
        raise ShapeError(
            f"{what} takes a list of at least one tensor, not {tensors!r:.60}",
            at=origin.locate(origin.current()),
        )
    return align_tensors(tensors)


_CONCAT = Concat(0)


def split(x: Any, sizes: Any, axis: int = 0) -> tuple[Tensor, ...]:
    """x cut along `axis` into pieces of the given sizes, or into so many equal ones.

    (NumPy's `split` takes positions where this takes sizes.)

    >>> from symgrad.ops.create import tensor
    >>> split(tensor("x", (5,)), [2, 3])
    (<split: f64[2]>, <split: f64[3]>)
    >>> split(tensor("x", ("n", 6)), 3, axis=1)[0]
    <split: f64[n,2]>
    """
    tensor = as_tensor(x)
    place = normalize_axis(axis, tensor.ndim)
    if isinstance(sizes, int):
        sizes = (_equal_piece(tensor, place, sizes),) * sizes
    return apply_all(Split(place, tuple(as_dim(s) for s in sizes)), (tensor,))


def _equal_piece(x: Tensor, axis: int, count: int) -> Dim:
    piece = dims.floordiv(x.shape[axis], count) if count > 0 else 0
    if count < 1 or not dims.equal(piece * count, x.shape[axis]):
        raise ShapeError(
            f"an axis of size {x.shape[axis]} does not split into {count} equal pieces",
            facts=[("x", x.type), ("axis", axis)],
            at=origin.locate(origin.current()),
            hint="give the sizes, split(x, [2, 3]), or use array_split",
        )
    return piece


def array_split(x: Any, count: int, axis: int = 0) -> tuple[Tensor, ...]:
    """x cut along `axis` into `count` pieces, the first ones longer by one where they cannot be equal.

    >>> from symgrad.ops.create import tensor
    >>> array_split(tensor("x", (5,)), 3)
    (<split: f64[2]>, <split: f64[2]>, <split: f64[1]>)
    """
    tensor = as_tensor(x)
    place = normalize_axis(axis, tensor.ndim)
    size = tensor.shape[place]
    if count < 1:
        raise ShapeError(f"cannot split into {count} pieces", facts=[("x", tensor.type)])
    # The i-th piece has floor((size + count - 1 - i) / count) elements.
    pieces = tuple(dims.floordiv(size + (count - 1 - i), count) for i in range(count))
    if not isinstance(size, int):  # the last is what is left, so that the sizes add up provably
        rest: Dim = size
        for piece in pieces[:-1]:
            rest = rest - piece
        pieces = (*pieces[:-1], rest)
    return apply_all(Split(place, pieces), (tensor,))


def unstack(x: Any, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices of x along `axis`, whose size must be an int.

    >>> from symgrad.ops.create import tensor
    >>> unstack(tensor("x", (2, "n")))
    (<reshape: f64[n]>, <reshape: f64[n]>)
    """
    tensor = as_tensor(x)
    place = normalize_axis(axis, tensor.ndim)
    size = tensor.shape[place]
    if not isinstance(size, int):
        raise ShapeError(
            f"unstack makes one tensor an element, so that it needs a fixed size, not {size}",
            facts=[("x", tensor.type), ("axis", place)],
            at=origin.locate(origin.current()),
            hint="work on the whole axis, or give it a fixed size",
        )
    front = (slice(None),) * place
    return tuple(getitem(tensor, (*front, i)) for i in range(size))


def one_hot(index: Any, size: Any, dtype: DTypeLike = "float64") -> Tensor:
    """1 at `index` along a new last axis of the given size, 0 elsewhere."""
    at = as_tensor(index)
    if at.dtype.kind not in INTEGERS:
        raise DTypeError(
            f"one_hot takes integers, not {at.dtype}",
            facts=[("index", at.type)],
            at=origin.locate(origin.current()),
        )
    shape = (*at.shape, size)
    return astype(equal(broadcast_to(expand_dims(at, -1), shape), arange(size, dtype=at.dtype)), dtype)
