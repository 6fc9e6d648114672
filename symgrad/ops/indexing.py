"""Indexing as NumPy's: `x[key]`, `take`, `take_along_axis`, `one_hot`.

A key becomes a `Selection`, three moves of which each may be missing:

    slice     every axis by a start, a stop and a step; an int keeps one element
    reshape   without the axes of ints, with those of None
    gather    integer arrays, broadcast together; a constant mask is the arrays of where it is true

Updates (`update.py`) make the same moves back.
"""

from __future__ import annotations

from types import EllipsisType
from typing import Any, TypeAlias

import numpy

from symgrad.dims import Dim, Shape, Size
from symgrad.errors import DTypeError, KeyShapeError, ShapeError
from symgrad.ir import origin
from symgrad.ir.tensor import Tensor, apply
from symgrad.ops.bounds import Bound, bounded, place
from symgrad.ops.cast import astype
from symgrad.ops.create import array_tensor, as_tensor, number_array
from symgrad.ops.gather import Gather, OneHot, Take, TakeAlongAxis, check_index
from symgrad.ops.kinds import INTEGERS
from symgrad.ops.scatter import known_indices
from symgrad.ops.shape import (
    SpecifyShape,
    broadcast_shapes,
    broadcast_to,
    normalize_axis,
    permute_dims,
    reshape,
)
from symgrad.ops.slices import Slice, slice_size
from symgrad.records import record
from symgrad.registry import provide
from symgrad.types import INT64, DTypeLike, as_dim, as_int
from symgrad.types import dtype as as_dtype


@provide("getitem")
def getitem(x: Tensor, key: Any) -> Tensor:
    """x[key] as NumPy: ints, slices, None, Ellipsis, integer arrays and tensors, constant masks.

    Arrays are broadcast together. The dimensions that they share stand where the arrays stand if nothing is
    between them (an int beside arrays counts as one), else first. Integers that are not known when the graph is
    built are checked at run time. The size of what a mask selects must be known, so a mask is a constant.

    Bounds and indices may be sizes, for k = w.shape[0]: x[:-k], x[k:n-k]. Those that fall, such as -k, count from the
    end, others from the front. A call checks that their sign is that, where it makes a difference (x[:-k] for k = 0),
    and raises InputError. Slices of axes of symbolic size are not cut off at the end: x[:3] has 3 elements, or a call
    raises IndexError.

    Raises:
        KeyShapeError: an index that is out of range, too many indices, a mask that is no constant, a slice bound
            that is a tensor. It is an IndexError.
        DTypeError: an array of anything but integers or booleans.
        ShapeError: arrays that do not broadcast.

    >>> from symgrad.dims import size
    >>> from symgrad.ops.create import tensor
    >>> x = tensor("x", ("n", 5))
    >>> x[:, 1:4], x[0, None], x[..., ::-1]
    (<slice: f64[n,3]>, <slice: f64[1,5]>, <slice: f64[n,5]>)
    >>> n, k = x.shape[0], size("k")
    >>> x[k:], x[:-k], x[k : n - k]
    (<slice: f64[-k+n,5]>, <slice: f64[-k+n,5]>, <slice: f64[-2*k+n,5]>)
    >>> i = tensor("i", (2, 3), "int64")
    >>> x[i], x[:, i], x[i, i], x[:, [True, False, True, False, False]]
    (<take: f64[2,3,5]>, <take: f64[n,2,3]>, <gather: f64[2,3]>, <take: f64[n,2]>)
    """
    x, chosen = select(x, key)
    return chosen.gather(chosen.slice(x))


@record
class Selection:
    """What a key selects of a tensor."""

    starts: Shape
    stops: Shape
    steps: tuple[int, ...]
    #: The shape after the slice, and after the reshape.
    sliced: Shape
    shape: Shape
    #: The axes of `shape` that have an index, the indices (all of one shape), and where their dimensions go.
    axes: tuple[int, ...]
    indices: tuple[Tensor, ...]
    position: int

    def slice(self, x: Tensor) -> Tensor:
        """x, sliced and reshaped."""
        return reshape(x if self.is_whole(x) else apply(self.slicing, x), self.shape)

    def gather(self, x: Tensor) -> Tensor:
        """The elements at the indices, of what `slice` gives."""
        if not self.axes:
            return x
        if self.axes == (self.position,):
            return apply(Take(self.position), x, *self.indices)
        return permute_dims(apply(Gather(self.axes), x, *self.indices), self.order)

    @property
    def order(self) -> tuple[int, ...]:
        """The axes of a gather, whose indices come first, in the order of the result."""
        inside = self.indices[0].ndim
        before = inside + self.position
        rank = inside + len(self.shape) - len(self.axes)
        return (*range(inside, before), *range(inside), *range(before, rank))

    @property
    def slicing(self) -> Slice:
        return Slice(self.starts, self.stops, self.steps)

    def is_whole(self, x: Tensor) -> bool:
        """Whether the slice is all of x."""
        return all(
            a == 0 and b == d and s == 1
            for a, b, s, d in zip(self.starts, self.stops, self.steps, x.shape, strict=True)
        )


# ---- keys -------------------------------------------------------------------------------------------


@record
class _Array:
    """Indices of one axis, which has the given length if they come from a mask; of no axis of the tensor, but
    of a new one, if the mask is a single truth value."""

    index: Tensor
    length: int | None = None
    is_new: bool = False


_Item: TypeAlias = "int | Size | slice | EllipsisType | _Array | None"


def select(x: Tensor, key: Any) -> tuple[Tensor, Selection]:
    """What `key` selects of x; and x, its sizes specified where a mask states them."""
    items = [i for k in (key if isinstance(key, tuple) else (key,)) for i in _items(k)]
    items = _without_dots(x, items)
    x = _specified(x, items)
    bounds: list[tuple[Dim, Dim, int]] = []
    checks: list[Bound] = []
    shape: list[Dim] = []
    sliced: list[Dim] = []
    arrays: list[tuple[int, Tensor]] = []
    for item in items:
        if item is None or isinstance(item, EllipsisType):
            shape += [1] if item is None else []
            continue
        if isinstance(item, _Array) and item.is_new:
            arrays.append((len(shape), item.index))
            shape.append(1)
            continue
        size = x.shape[len(bounds)]
        bounds.append(_bounds(item, size))
        checks += _checks(item, size)
        sliced.append(slice_size(*bounds[-1], size))
        if isinstance(item, _Array):
            check_range(item.index, size)
            arrays.append((len(shape), item.index))
        if isinstance(item, (slice, _Array)):
            shape.append(sliced[-1])
    starts, stops, steps = zip(*bounds, strict=True) if bounds else ((), (), ())
    common = broadcast_shapes([index.type for _, index in arrays]) if arrays else ()
    return bounded(x, checks), Selection(
        starts=starts,
        stops=stops,
        steps=steps,
        sliced=tuple(sliced),
        shape=tuple(shape),
        axes=tuple(axis for axis, _ in arrays),
        indices=tuple(broadcast_to(index, common) for _, index in arrays),
        position=_position(items),
    )


def _items(item: Any) -> list[_Item]:
    """One entry of a key; a mask is as many entries as it has dimensions."""
    if item is None or isinstance(item, (slice, EllipsisType, Size)):
        return [item]
    if isinstance(item, Tensor):
        return [_Array(item)] if item.dtype.kind in INTEGERS else _mask_items(item)
    if isinstance(item, (list, tuple, range, numpy.ndarray, bool, numpy.bool_)):
        array = number_array(item)
        if not array.size and not isinstance(item, numpy.ndarray):
            array = array.astype(numpy.int64)
        if array.dtype.kind == "b":
            return _true_items(array)
        if array.ndim or array.dtype.kind not in "iu":
            index = as_tensor(array)
            check_index(index.type)
            return [_Array(index)]
        return [int(array)]
    if not hasattr(item, "__index__"):
        raise _bad_key(f"not an index: {item!r:.80}")
    return [item.__index__()]


def _mask_items(mask: Tensor) -> list[_Item]:
    if mask.dtype.kind != "bool":
        check_index(mask.type)
    known = known_indices(mask)
    if known is None:
        raise _bad_key(
            f"a mask that is no constant selects an unknown number of elements: {mask}",
            "sg.where(mask, x, 0) keeps the shape, x.at[mask].set(v) updates",
        )
    return _true_items(known)


def _true_items(mask: Any) -> list[_Item]:
    """The indices at which a mask is true, axis by axis."""
    if not mask.ndim:
        return [_Array(array_tensor(numpy.zeros(int(mask), numpy.int64)), is_new=True)]
    found = numpy.nonzero(mask)
    return [_Array(array_tensor(i), length) for i, length in zip(found, mask.shape, strict=True)]


def _takes_axis(item: _Item) -> bool:
    is_new = isinstance(item, _Array) and item.is_new
    return item is not None and not isinstance(item, EllipsisType) and not is_new


def _without_dots(x: Tensor, items: list[_Item]) -> list[_Item]:
    """The key with a whole slice for each axis that it leaves out; the dots stay, since they part arrays."""
    used = sum(map(_takes_axis, items))
    if used > x.ndim:
        raise _bad_key(
            f"too many indices: {used} for {x.ndim} dimensions of {x.name or x.node.op.name}: {x.type}"
        )
    dots = [i for i, k in enumerate(items) if isinstance(k, EllipsisType)]
    if len(dots) > 1:
        raise _bad_key("only one ... in an index")
    at = dots[0] + 1 if dots else len(items)
    return [*items[:at], *[slice(None)] * (x.ndim - used), *items[at:]]


def _specified(x: Tensor, items: list[_Item]) -> Tensor:
    """x with the sizes that masks have."""
    shape: list[Dim] = []
    for item in filter(_takes_axis, items):
        size = x.shape[len(shape)]
        wanted = item.length if isinstance(item, _Array) else None
        if wanted is not None and isinstance(size, int) and size != wanted:
            raise _bad_key(f"a mask of length {wanted} does not fit an axis of size {size}")
        shape.append(size if wanted is None else wanted)
    return x if tuple(shape) == x.shape else apply(SpecifyShape(tuple(shape)), x)


def _position(items: list[_Item]) -> int:
    """Where the dimensions of arrays go: to where they stand if only ints are between them, else to the front."""
    single = [i for i, k in enumerate(items) if isinstance(k, (_Array, int, Size))]
    if not single or any(i not in single for i in range(single[0], single[-1])):
        return 0
    return sum(not isinstance(k, EllipsisType) for k in items[: single[0]])


def check_range(index: Tensor, size: Dim, *, from_end: bool = True) -> None:
    """Raise if a known index is out of range; negative ones count `from_end`, or are."""
    numbers = known_indices(index)
    if numbers is None or not isinstance(size, int):
        return
    outside = numbers[(numbers < (-size if from_end else 0)) | (numbers >= size)]
    if outside.size:
        raise _out_of_range(outside.flat[0], size)


def _out_of_range(index: int, size: int) -> KeyShapeError:
    return _bad_key(f"index {index} is out of range for an axis of size {size}")


def _bad_key(what: str, hint: str | None = None) -> KeyShapeError:
    return KeyShapeError(what, at=origin.locate(origin.current()), hint=hint)


def _bounds(item: Any, size: Dim) -> tuple[Dim, Dim, int]:
    """(start, stop, step) of one index."""
    if isinstance(item, slice):
        return _slice_bounds(item, size)
    if isinstance(item, _Array):
        return 0, size, 1
    if isinstance(item, Size):
        start = place(item, size)
        return start, start + 1, 1
    if isinstance(size, int) and not -size <= item < size:
        raise _out_of_range(item, size)
    start = item if item >= 0 else size + item
    return start, start + 1, 1


def _slice_bounds(item: slice, size: Dim) -> tuple[Dim, Dim, int]:
    for bound in (item.start, item.stop, item.step):
        _check_bound(bound)
    step = 1 if item.step is None else as_int(item.step)
    if not step:
        raise _bad_key(f"the step of a slice is an int that is not 0, not {item.step!r:.60}")
    if isinstance(size, int):  # known bounds are cut off at the ends
        known = [None if isinstance(b, Size) else b for b in (item.start, item.stop)]
        ends: tuple[Dim, Dim] = slice(known[0], known[1], step).indices(size)[:2]
    else:
        ends = (0, size) if step > 0 else (size - 1, -1)
    first, last = (
        end
        if bound is None or (isinstance(size, int) and not isinstance(bound, Size))
        else _place(bound, size)
        for bound, end in zip((item.start, item.stop), ends, strict=True)
    )
    return first, last, step


def _check_bound(bound: Any) -> None:
    """Raise unless what is given in a slice is an int, a size or nothing."""
    if isinstance(bound, Tensor):
        raise _bad_key(
            f"a slice needs sizes that are known when the graph is built, not the tensor {bound!r:.60}",
            "bounds are ints and sizes (x.shape); sg.take(x, indices, axis) takes elements at tensors of indices",
        )
    if bound is not None and not isinstance(bound, Size) and as_int(bound) is None:
        raise _bad_key(f"a slice bound must be an int or a size, not {bound!r:.60}")


def _place(bound: Any, size: Dim) -> Dim:
    return place(bound if isinstance(bound, Size) else int(bound), size)


def _checks(item: _Item, size: Dim) -> list[Bound]:
    """What a call has to check of one index. An element is read at bound + size = 0, and a slice that goes
    backwards stops before it; one that goes forwards up to it is as empty as one of a negative size."""
    if not isinstance(item, slice):
        return [Bound(item, size)] if isinstance(item, Size) else []
    forwards = item.step is None or int(item.step) > 0
    reach = size - 1 if forwards else size
    return [Bound(bound, reach) for bound in (item.start, item.stop) if isinstance(bound, Size)]


# ---- the language -----------------------------------------------------------------------------------


@provide("take")
def take(x: Any, index: Any, axis: int | None = None) -> Tensor:
    """x at integer `index` along `axis`; the index may have any shape, which replaces the axis.

    As NumPy's: without an axis, of x flattened. (The array API wants an axis where x has several.) Negative
    indices count from the end; others out of range raise IndexError, at run time if they are not known before.

    >>> from symgrad.ops.create import tensor
    >>> take(tensor("x", (4, "n")), [0, 2, 2], axis=0)
    <take: f64[3,n]>
    """
    tensor, at = as_tensor(x), _index(index)
    if axis is None:
        tensor = reshape(tensor, (tensor.size,))
    place = normalize_axis(0 if axis is None else axis, tensor.ndim)
    check_range(at, tensor.shape[place])
    return apply(Take(place), tensor, at)


def take_along_axis(x: Any, index: Any, axis: int = -1) -> Tensor:
    """One element of x for each element of `index`, along `axis`; in the other axes sizes of 1 stretch.

    >>> from symgrad.ops.create import tensor
    >>> x = tensor("x", ("n", 4))
    >>> take_along_axis(x, x.argmax(axis=1)[:, None], axis=1)
    <take_along_axis: f64[n,1]>
    """
    tensor, at, place = along_axis(x, index, axis)
    check_range(at, tensor.shape[place])
    return apply(TakeAlongAxis(place), tensor, at)


def along_axis(x: Any, index: Any, axis: int) -> tuple[Tensor, Tensor, int]:
    """A tensor and an index of one rank, their sizes equal but for the axis; and that axis."""
    tensor, at = as_tensor(x), _index(index)
    place = normalize_axis(axis, tensor.ndim)
    if at.ndim != tensor.ndim:
        raise ShapeError(
            "the index needs as many dimensions as x",
            facts=[("x", tensor.type), ("index", at.type)],
            at=origin.locate(origin.current()),
        )
    others = [t.type.with_shape((*t.shape[:place], 1, *t.shape[place + 1 :])) for t in (tensor, at)]
    common = broadcast_shapes(others)
    tensor, at = (
        broadcast_to(t, (*common[:place], t.shape[place], *common[place + 1 :])) for t in (tensor, at)
    )
    return tensor, at, place


def _index(index: Any) -> Tensor:
    """An index as a tensor; an empty list holds integers."""
    if isinstance(index, (list, tuple)) and not numpy.size(index):
        index = numpy.asarray(index, numpy.int64)
    return as_tensor(index)


def one_hot(index: Any, size: Any, dtype: DTypeLike = "float64", *, axis: int = -1) -> Tensor:
    """1 at `index` along a new axis (the last unless given) of the given size, 0 elsewhere.

    Negative indices count from the end; others out of range raise when it runs.

    >>> one_hot([2, 0], 3).eval()
    array([[0., 0., 1.],
           [1., 0., 0.]])
    """
    at, wanted = as_tensor(index), as_dtype(dtype)
    if at.dtype.kind not in INTEGERS:
        raise DTypeError(
            f"one_hot takes integers, not {at.dtype}",
            facts=[("index", at.type)],
            at=origin.locate(origin.current()),
        )
    number = INT64 if wanted.kind == "bool" else wanted
    made = apply(OneHot(normalize_axis(axis, at.ndim + 1), as_dim(size), number), at)
    return astype(made, wanted)
