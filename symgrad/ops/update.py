"""Functional updates: `x.at[key].set(v)` and its kin, sums over segments, counts.

Nothing is changed: the result is x with other values where the key selects. Keys without arrays select no
element twice, and the update is a slice of its own; arrays update one after the other (`scatter.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from symgrad import dims
from symgrad.dims import Dim
from symgrad.errors import DTypeError, ShapeError
from symgrad.ir import origin
from symgrad.ir.tensor import Tensor, apply
from symgrad.ops.align import is_weak
from symgrad.ops.cast import astype
from symgrad.ops.create import Iota, array_tensor, as_tensor, fill, held_array, ones_like
from symgrad.ops.gather import InRange, ScatterAdd, check_index
from symgrad.ops.indexing import Selection, along_axis, check_range, select
from symgrad.ops.kinds import NUMBERS, REALS
from symgrad.ops.reduce import spread
from symgrad.ops.scatter import MODES, Scatter, known_indices
from symgrad.ops.select import maximum, minimum, where
from symgrad.ops.shape import broadcast_to, permute_dims, reshape
from symgrad.ops.slices import SetSlice
from symgrad.registry import provide
from symgrad.types import INT64, DType, as_dim, promote, promote_weak

#: What becomes of an element x and its update v.
COMBINE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "set": lambda x, v: v,
    "add": lambda x, v: x + v,
    "mul": lambda x, v: x * v,
    "max": maximum,
    "min": minimum,
}


@provide("at")
class At:
    """`x.at`: what `[key]` selects can be updated."""

    __slots__ = ("tensor",)

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def __getitem__(self, key: Any) -> Place:
        return Place(self.tensor, key)


class Place:
    """`x.at[key]`. Each method gives x with other values there.

    Keys are those of `x[key]`; a mask may also be symbolic, and then v must broadcast to x. v broadcasts to
    x[key] and must have a dtype that the one of x holds. Of repeated indices, `set` keeps the last; the others
    take in every one. Derivatives follow; at ties of `max` and `min` they are split equally.

    Raises:
        IndexError: as x[key].
        ShapeError: v does not broadcast.
        DTypeError: v would lose digits or its kind; the mode is not defined for the dtype.

    >>> from symgrad.ops.create import constant
    >>> x = constant([1.0, 2.0, 3.0])
    >>> x.at[1:].set(0.0).eval(), x.at[[0, 0, 2]].add(10.0).eval()
    (array([1., 0., 0.]), array([21.,  2., 13.]))
    """

    __slots__ = ("key", "tensor")

    def __init__(self, tensor: Tensor, key: Any) -> None:
        self.tensor = tensor
        self.key = key

    def get(self) -> Tensor:
        """x[key]"""
        return self.tensor[self.key]

    def set(self, v: Any) -> Tensor:
        """x with v at the key."""
        return _updated(self.tensor, self.key, v, "set")

    def add(self, v: Any) -> Tensor:
        """x with v added at the key."""
        return _updated(self.tensor, self.key, v, "add")

    def mul(self, v: Any) -> Tensor:
        """x multiplied by v at the key."""
        return _updated(self.tensor, self.key, v, "mul")

    def max(self, v: Any) -> Tensor:
        """x with the larger of x and v at the key."""
        return _updated(self.tensor, self.key, v, "max")

    def min(self, v: Any) -> Tensor:
        """x with the smaller of x and v at the key."""
        return _updated(self.tensor, self.key, v, "min")

    multiply = mul


def _updated(x: Tensor, key: Any, v: Any, mode: str) -> Tensor:
    _check_mode(x.dtype, mode)
    update = _as_update(x, v)
    mask = _whole_mask(x, key, update)
    if mask is not None:
        return where(mask, COMBINE[mode](x, broadcast_to(update, x.shape)), x)
    x, chosen = select(x, key)
    part = chosen.slice(x)
    part = _scatter(part, update, chosen, mode) if chosen.axes else _combine(part, update, mode)
    if chosen.is_whole(x):
        return reshape(part, x.shape)
    return apply(SetSlice(chosen.starts, chosen.stops, chosen.steps), x, reshape(part, chosen.sliced))


def _combine(part: Tensor, update: Tensor, mode: str) -> Tensor:
    return COMBINE[mode](part, broadcast_to(update, part.shape))


def _scatter(part: Tensor, update: Tensor, chosen: Selection, mode: str) -> Tensor:
    """The update's dimensions brought into the order of a gather."""
    rest = [d for i, d in enumerate(chosen.shape) if i not in chosen.axes]
    shape = [*rest[: chosen.position], *chosen.indices[0].shape, *rest[chosen.position :]]
    back = tuple(chosen.order.index(i) for i in range(len(shape)))
    updates = permute_dims(broadcast_to(update, tuple(shape)), back)
    return apply(Scatter(chosen.axes, mode), part, updates, *chosen.indices)


def _whole_mask(x: Tensor, key: Any, update: Tensor) -> Tensor | None:
    """A key that is nothing but a mask, as a mask of all of x: if it is symbolic, or if that does the same."""
    (item,) = key if isinstance(key, tuple) and len(key) == 1 else (key,)
    if isinstance(item, (numpy.ndarray, list)):
        array = numpy.asarray(item)
        if array.dtype != bool or not array.ndim:
            return None
        item = as_tensor(array)
    if not isinstance(item, Tensor) or item.dtype.kind != "bool":
        return None
    fits = item.ndim <= x.ndim and all(
        dims.equal(a, b) for a, b in zip(item.shape, x.shape[: item.ndim], strict=True)
    )
    if known_indices(item) is not None and not (fits and item.ndim and update.ndim <= x.ndim - item.ndim):
        return None
    if not fits:
        raise ShapeError(
            "a mask must have the first sizes of what it selects from",
            facts=[("x", x.type), ("mask", item.type)],
            at=origin.locate(origin.current()),
        )
    return spread(item, x.shape, tuple(range(item.ndim, x.ndim)))


def _as_update(x: Tensor, v: Any) -> Tensor:
    """v in the dtype of x, if that holds it. Python numbers, and lists of them, have a kind but no size."""
    if is_weak(v):
        if promote_weak(x.dtype, v) is x.dtype:
            return fill(v, (), x.dtype)
        raise _lossy(x, f"the number {v!r}", "convert x first, with x.astype(...)")
    if isinstance(v, (list, tuple)):
        array = numpy.asarray(v)
        if array.dtype.kind in "biufc" and promote_weak(x.dtype, array.dtype.type(0).item()) is x.dtype:
            return array_tensor(held_array(array, x.dtype))
    update = as_tensor(v)
    if promote(x.dtype, update.dtype) is not x.dtype:
        raise _lossy(x, update.type, f'v.astype("{x.dtype}") if that is what you mean')
    return astype(update, x.dtype)


def _lossy(x: Tensor, update: object, hint: str | None) -> DTypeError:
    return DTypeError(
        f"{x.dtype} does not hold the update",
        facts=[("x", x.type), ("update", update)],
        hint=hint,
        at=origin.locate(origin.current()),
    )


def _check_mode(dtype: DType, mode: str) -> None:
    if dtype.kind not in MODES[mode]:
        raise DTypeError(
            f"at[...].{mode} does not take {dtype}",
            hint=f"it takes {', '.join(MODES[mode])}",
            at=origin.locate(origin.current()),
        )


# ---- along an axis, by segment ----------------------------------------------------------------------


def put_along_axis(x: Any, index: Any, values: Any, axis: int = -1) -> Tensor:
    """x with `values` where `take_along_axis(x, index, axis)` reads; of repeated indices, the last stays.

    Unlike NumPy's, it changes nothing and gives the result.
    """
    tensor, at, place = along_axis(x, index, axis)
    updates = broadcast_to(_as_update(tensor, values), at.shape)
    indices = [
        at
        if i == place
        else spread(apply(Iota(d, INT64)), at.shape, tuple(k for k in range(at.ndim) if k != i))
        for i, d in enumerate(at.shape)
    ]
    return apply(Scatter(tuple(range(tensor.ndim)), "set"), tensor, updates, *indices)


def segment_sum(data: Any, segment_ids: Any, num_segments: Any) -> Tensor:
    """out[s] = the sum of data[i...] over all i... with segment_ids[i...] = s; 0 for an empty segment.

    `segment_ids` are integers of the shape of the first axes of `data`, in any order; out of range raises, and so do
    negative ones.

    >>> segment_sum([1.0, 2.0, 4.0], [0, 2, 0], 3).eval()
    array([5., 0., 2.])
    """
    tensor, ids, size = _segments(data, segment_ids, num_segments)
    _check_kind("segment_sum", tensor, NUMBERS)
    return apply(ScatterAdd((0,), (size, *tensor.shape[ids.ndim :])), tensor, ids)


def segment_prod(data: Any, segment_ids: Any, num_segments: Any) -> Tensor:
    """As `segment_sum`, the product; 1 for an empty segment."""
    return _segment(data, segment_ids, num_segments, "mul", lambda dtype: 1)


def segment_max(data: Any, segment_ids: Any, num_segments: Any) -> Tensor:
    """As `segment_sum`, the maximum; -inf, or the smallest integer, for an empty segment."""
    return _segment(data, segment_ids, num_segments, "max", lambda dtype: _limits(dtype)[0])


def segment_min(data: Any, segment_ids: Any, num_segments: Any) -> Tensor:
    """As `segment_sum`, the minimum; inf, or the largest integer, for an empty segment."""
    return _segment(data, segment_ids, num_segments, "min", lambda dtype: _limits(dtype)[1])


def bincount(x: Any, weights: Any = None, *, length: Any) -> Tensor:
    """How often each of 0 ... length - 1 occurs in the integers x, or the sum of the weights of those.

    The length of the result must be given, since it cannot depend on the data; out of range raises, and so do negative
    numbers.
    """
    at = as_tensor(x)
    check_index(at.type)
    return segment_sum(ones_like(at, INT64) if weights is None else weights, at, length)


def _segment(data: Any, ids: Any, count: Any, mode: str, empty: Callable[[DType], Any]) -> Tensor:
    tensor, index, size = _segments(data, ids, count)
    _check_kind(f"segment_{mode}", tensor, REALS if mode != "mul" else NUMBERS)
    start = fill(empty(tensor.dtype), (size, *tensor.shape[index.ndim :]), tensor.dtype)
    return apply(Scatter((0,), mode), start, tensor, index)


def _segments(data: Any, segment_ids: Any, num_segments: Any) -> tuple[Tensor, Tensor, Dim]:
    tensor, ids, size = as_tensor(data), as_tensor(segment_ids), as_dim(num_segments)
    check_index(ids.type)
    if len(ids.shape) > tensor.ndim or not all(
        dims.equal(a, b) for a, b in zip(ids.shape, tensor.shape, strict=False)
    ):
        raise ShapeError(
            "segment_ids must have the first sizes of the data",
            facts=[("data", tensor.type), ("segment_ids", ids.type)],
            at=origin.locate(origin.current()),
        )
    check_range(ids, size, from_end=False)
    return tensor, _not_from_the_end(ids, size), size


def _not_from_the_end(ids: Tensor, size: Dim) -> Tensor:
    """ids, of which negative ones are out of range, too."""
    known = known_indices(ids)
    if ids.dtype.kind == "uint" or (known is not None and (known >= 0).all()):
        return ids
    return apply(InRange(size, 0, from_end=False), ids)


def _check_kind(name: str, tensor: Tensor, kinds: tuple[str, ...]) -> None:
    if tensor.dtype.kind not in kinds:
        raise DTypeError(
            f"{name} does not take {tensor.dtype}",
            hint=f"it takes {', '.join(kinds)}",
            at=origin.locate(origin.current()),
        )


def _limits(dtype: DType) -> tuple[Any, Any]:
    """The least and the greatest number."""
    if dtype.kind == "float":
        return -numpy.inf, numpy.inf
    info = numpy.iinfo(dtype.numpy)
    return int(info.min), int(info.max)
