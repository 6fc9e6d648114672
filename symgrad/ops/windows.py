"""Sliding windows: an overlapping view of a tensor, and its transpose, which adds windows up where they overlap.

windows   out[..., i, ..., p] = x[..., i step + p dilation, ...]
fold      out[..., a, ...] = sum over i, p with i step + p dilation = a of w[..., i, ..., p]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from symgrad import dims
from symgrad.dims import Dim, Shape
from symgrad.errors import DTypeError, ShapeError
from symgrad.ir import origin
from symgrad.ir.tensor import Node, Tensor, apply
from symgrad.ops.create import as_tensor, fill
from symgrad.ops.interleave import Interleave, part_size
from symgrad.ops.kinds import NUMBERS, Linear, declare, total
from symgrad.ops.shape import check_axes, normalize_axes, permute_dims, reshape, shifted
from symgrad.ops.slices import Unslice, narrow
from symgrad.ops.strided import Strided
from symgrad.records import record
from symgrad.types import TensorType, as_int, as_items, check_extent


def window_count(size: Dim, window: Dim, step: int, dilation: int) -> Dim:
    """How many windows of `window` elements, `dilation` apart, start `step` apart in an axis of `size`."""
    if isinstance(window, int) and window < 1:
        raise ShapeError("a window needs an element at least")
    extent = (window - 1) * dilation + 1
    if isinstance(size, int) and isinstance(extent, int) and size < extent:
        raise ShapeError(f"a window that spans {extent} elements does not fit into {size}")
    return dims.floordiv(size - extent, step) + 1


@record
class Sliding:
    """Where windows lie: along each of `axes` windows of `sizes` elements, `dilations` apart, start `steps`
    apart."""

    sizes: Shape
    steps: tuple[int, ...]
    dilations: tuple[int, ...]
    axes: tuple[int, ...]

    def counts(self, shape: Shape) -> Shape:
        """`shape` with the numbers of windows along the axes."""
        if not len(self.sizes) == len(self.steps) == len(self.dilations) == len(self.axes):
            raise ShapeError("windows need a size, a step and a dilation for each axis")
        check_axes(self.axes, len(shape), "windows")
        if any(s < 1 for s in (*self.steps, *self.dilations)):
            raise ShapeError("the steps and dilations of windows must be at least 1")
        found = list(shape)
        for axis, size, step, dilation in zip(self.axes, self.sizes, self.steps, self.dilations, strict=True):
            found[axis] = window_count(shape[axis], size, step, dilation)
        return tuple(found)


@declare
@record
class Windows(Sliding, Linear):
    """The windows of x: their numbers along `axes`, what is in a window along new axes at the end."""

    name: ClassVar[str] = "windows"
    negative_is_empty = True
    checks_windows = True
    operands = ("x",)
    numpy = "numeric.windows({x}, {sizes}, {steps}, {dilations}, {axes})"
    view = True
    selects = True
    fails = True

    def infer(self, x: TensorType) -> TensorType:
        shape = (*self.counts(x.shape), *self.sizes)
        check_extent(shape)
        return x.with_shape(shape)

    def transpose_x(self, g: Tensor, x: Tensor) -> Tensor:
        return apply(Fold(self.sizes, self.steps, self.dilations, self.axes, x.shape), g)

    def strided(self, x: Strided) -> Strided:
        strides = list(x.strides)
        for axis, step in zip(self.axes, self.steps, strict=True):
            strides[axis] = strides[axis] * step
        inside = [x.strides[axis] * d for axis, d in zip(self.axes, self.dilations, strict=True)]
        return Strided((*self.counts(x.shape), *self.sizes), (*strides, *inside), x.offset)

    @staticmethod
    def finite_if(node: Node) -> Sequence[Tensor]:
        return node.inputs

    def batched_op(self, size: Dim) -> Windows:
        return replace(self, axes=shifted(self.axes))


@declare
@record
class Fold(Sliding, Linear):
    """Windows written over each other and added up, into zeros of `shape`: the transpose of `windows`."""

    shape: Shape
    name: ClassVar[str] = "fold"
    operands = ("w",)
    fills = True
    numpy = "numeric.fold({w}, {sizes}, {steps}, {dilations}, {axes}, {shape})"

    def infer(self, w: TensorType) -> TensorType:
        check_extent(self.shape)
        if w.dtype.kind not in NUMBERS:
            raise DTypeError(f"fold does not take {w.dtype}")
        expected = (*self.counts(self.shape), *self.sizes)
        if len(expected) != w.ndim or not all(map(dims.equal, expected, w.shape)):
            raise ShapeError("fold: the operand must have the shape of the windows", facts=[("w", w)])
        return w.with_shape(self.shape)

    def transpose_w(self, t: Tensor, w: Tensor) -> Tensor:
        return apply(Windows(self.sizes, self.steps, self.dilations, self.axes), t)

    def expand(self, w: Tensor) -> Tensor:
        return folded(self, w)

    def batched_op(self, size: Dim) -> Fold:
        return replace(self, axes=shifted(self.axes), shape=(size, *self.shape))


# ---- in simpler ops -----------------------------------------------------------------------------------


def folded(op: Fold, w: Tensor) -> Tensor:
    """A fold axis by axis: sums of what is shifted. Windows of symbolic sizes are left to the op itself."""
    if not all(isinstance(size, int) for size in op.sizes):
        return apply(op, w)
    for axis, size, step, dilation in zip(op.axes, op.sizes, op.steps, op.dilations, strict=True):
        place = len(op.shape)  # the first axis of windows that is left
        taps = [_part(w, place, p) for p in range(int(size))]
        w = overlap(taps, axis, step, dilation, op.shape[axis])
    return w


def _part(w: Tensor, axis: int, p: int) -> Tensor:
    """Element p along an axis."""
    taken = narrow(w, axis, p, 1)
    return reshape(taken, (*w.shape[:axis], *w.shape[axis + 1 :]))


def overlap(taps: Sequence[Tensor], axis: int, step: int, dilation: int, size: Dim) -> Tensor:
    """Along an axis of `size`, the sum of the taps, element i of tap p at i step + p dilation.

    Element m step + r is the sum of the taps p with p dilation = r + q step, each at m - q: for each residue r a
    sum of shifted taps, which then take turns.
    """
    shifts = [divmod(p * dilation, step) for p in range(len(taps))]
    most = max(q for q, _ in shifts)
    padded = [_shiftable(t, axis, most, part_size(size, step, 0)) for t in taps]
    parts = []
    for r in range(step):
        length = part_size(size, step, r)
        terms = [
            narrow(t, axis, most - q, length)
            for t, (q, rest) in zip(padded, shifts, strict=True)
            if rest == r
        ]
        shape = (*taps[0].shape[:axis], length, *taps[0].shape[axis + 1 :])
        found = total(terms)
        parts.append(fill(0, shape, taps[0].dtype) if found is None else found)
    if step == 1:
        return parts[0]
    shape = (*taps[0].shape[:axis], size, *taps[0].shape[axis + 1 :])
    return apply(Interleave((step,), (axis,), shape), *parts)


def _shiftable(x: Tensor, axis: int, front: int, length: Dim) -> Tensor:
    """x with zeros in front and behind along an axis, so that shifted pieces of `length` can be read."""
    whole = front + length
    if x.shape[axis] == whole:
        return x
    starts = tuple(front if i == axis else 0 for i in range(x.ndim))
    stops = tuple(start + d for start, d in zip(starts, x.shape, strict=True))
    shape = (*x.shape[:axis], whole, *x.shape[axis + 1 :])
    return apply(Unslice(starts, stops, (1,) * x.ndim, shape), x)


# ---- the language -----------------------------------------------------------------------------------


def sliding_windows(x: Any, sizes: Any, *, steps: Any = 1, dilations: Any = 1, axes: Any = None) -> Tensor:
    """All windows of x: an overlapping view, no copy.

    Args:
        x: a tensor.
        sizes: how many elements a window has along each of `axes`; an int, or one for each axis.
        steps: how far windows are apart, in the same forms.
        dilations: how far the elements of a window are apart.
        axes: the axes along which windows slide; all unless given.

    Returns:
        A tensor like x, its `axes` as long as there are windows, with what is in a window along new axes at the
        end, as NumPy's `sliding_window_view` has it.

    Raises:
        ShapeError: a window does not fit (of symbolic sizes: when it runs).

    >>> sliding_windows([1, 2, 3, 4, 5], 3, steps=2).eval()
    array([[1, 2, 3],
           [3, 4, 5]])
    """
    tensor = as_tensor(x)
    where = normalize_axes(axes, tensor.ndim, keep_order=True)
    given = [
        as_numbers(v, len(where), what)
        for v, what in ((sizes, "sizes"), (steps, "steps"), (dilations, "dilations"))
    ]
    order = sorted(range(len(where)), key=where.__getitem__)
    size, step, dilation = (tuple(numbers[i] for i in order) for numbers in given)
    found = apply(Windows(size, step, dilation, tuple(where[i] for i in order)), tensor)
    inside = [tensor.ndim + order.index(i) for i in range(len(where))]
    return permute_dims(found, (*range(tensor.ndim), *inside))


def as_numbers(value: Any, count: int, what: str) -> tuple[int, ...]:
    """An int for each of `count` axes, from one for all or one for each."""
    items = as_items(value)
    numbers = [as_int(v) for v in (items * count if len(items) == 1 else items)]
    if len(numbers) != count or any(n is None for n in numbers):
        raise ShapeError(
            f"{what} must be an int, or {count} of them, one for each axis, not {value!r:.60}",
            at=origin.locate(origin.current()),
        )
    return tuple(n for n in numbers if n is not None)
