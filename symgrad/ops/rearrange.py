"""Rearrangements made of slices, broadcasts, reshapes and joins: all linear, all exact.

`flip`, `roll`, `tile`, `repeat`, `pad` ...: each is a function of ops of the rooms above, from which its
derivatives follow.
"""

from __future__ import annotations

from typing import Any

import numpy

from symgrad import dims
from symgrad.dims import Dim, Shape, Size
from symgrad.errors import ShapeError
from symgrad.ir import origin
from symgrad.ir.tensor import Tensor, apply
from symgrad.ops.create import as_tensor
from symgrad.ops.gather import Take
from symgrad.ops.indexing import getitem
from symgrad.ops.join import concat
from symgrad.ops.shape import (
    broadcast_shapes as common_shape,
)
from symgrad.ops.shape import (
    broadcast_to,
    expand_dims,
    normalize_axes,
    normalize_axis,
    permute_dims,
    reshape,
)
from symgrad.ops.slices import cut
from symgrad.registry import provide
from symgrad.types import FLOAT64, TensorType, as_dim, as_items, as_shape

# ---- axes -------------------------------------------------------------------------------------------


@provide("swapaxes")
def swapaxes(x: Any, axis1: int, axis2: int) -> Tensor:
    """x with two axes exchanged."""
    tensor = as_tensor(x)
    order = list(range(tensor.ndim))
    first, second = normalize_axis(axis1, tensor.ndim), normalize_axis(axis2, tensor.ndim)
    order[first], order[second] = second, first
    return permute_dims(tensor, tuple(order))


@provide("ravel", "flatten")
def ravel(x: Any) -> Tensor:
    """The elements of x in row-major order, in one axis.

    >>> from symgrad.ops.create import tensor
    >>> ravel(tensor("x", ("n", 3)))
    <reshape: f64[3*n]>
    """
    tensor = as_tensor(x)
    return reshape(tensor, (tensor.size,))


def atleast_1d(x: Any) -> Tensor:
    """x, if it has an axis, else with one of size 1."""
    tensor = as_tensor(x)
    return tensor if tensor.ndim else reshape(tensor, (1,))


def atleast_2d(x: Any) -> Tensor:
    """x, if it has two axes, else with axes of size 1 before its own."""
    tensor = as_tensor(x)
    return tensor if tensor.ndim > 1 else reshape(tensor, (1, *atleast_1d(tensor).shape))


def broadcast_arrays(*tensors: Any) -> list[Tensor]:
    """Tensors broadcast to their common shape, each with its own dtype.

    >>> from symgrad.ops.create import tensor
    >>> broadcast_arrays(tensor("x", ("n", 1)), tensor("y", (3,)))
    [<broadcast: f64[n,3]>, <broadcast: f64[n,3]>]
    """
    found = [as_tensor(t) for t in tensors]
    shape = common_shape([t.type for t in found]) if found else ()
    return [broadcast_to(t, shape) for t in found]


def broadcast_shapes(*shapes: Any) -> Shape:
    """The shape that tensors of these shapes broadcast to.

    >>> broadcast_shapes(("n", 1), 3)
    (Size(n), 3)
    """
    return common_shape([TensorType(FLOAT64, as_shape(s)) for s in shapes]) if shapes else ()


# ---- order ------------------------------------------------------------------------------------------


def flip(x: Any, axis: Any = None) -> Tensor:
    """x in reverse order along one axis, several, or all."""
    tensor = as_tensor(x)
    axes = normalize_axes(axis, tensor.ndim)
    return getitem(tensor, tuple(slice(None, None, -1 if i in axes else 1) for i in range(tensor.ndim)))


def roll(x: Any, shift: Any, axis: Any = None) -> Tensor:
    """x moved cyclically: out[(i + shift) mod n] = x[i]. Without an axis, in row-major order of all elements.

    A shift is an int or a size. Several axes take a shift each, or all the same; shifts along one axis add up.

    >>> roll([1, 2, 3], 1).eval()
    array([3, 1, 2])
    """
    tensor = as_tensor(x)
    if axis is None:
        return reshape(roll(ravel(tensor), shift, 0), tensor.shape)
    shifts, axes = _pairs(shift, axis, tensor)
    for place, amount in zip(axes, shifts, strict=True):
        tensor = _roll(tensor, amount, place)
    return tensor


def _pairs(shift: Any, axis: Any, x: Tensor) -> tuple[list[Dim], list[int]]:
    """Shifts and axes, as many of each."""
    shifts, axes = list(as_items(shift)), list(as_items(axis))
    if len(shifts) != len(axes) and 1 not in (len(shifts), len(axes)):
        raise ShapeError(
            f"roll needs a shift for each axis, not {len(shifts)} for {len(axes)}", facts=[("x", x.type)]
        )
    count = max(len(shifts), len(axes)) if shifts and axes else 0
    numbers = [as_amount(s, "a shift") for s in shifts]
    places = [normalize_axis(a, x.ndim) for a in axes]
    return (numbers * count)[:count], (places * count)[:count]


def _roll(x: Tensor, shift: Dim, axis: int) -> Tensor:
    size = x.shape[axis]
    if isinstance(size, int):
        start: Dim = shift % size if size else 0
    else:  # shift mod n, and 0 for n = 0
        divisor = dims.maximum(size, 1)
        start = shift - dims.floordiv(shift, divisor) * divisor
    if isinstance(start, int) and start == 0:
        return x
    return concat([cut(x, axis, size - start, size), cut(x, axis, 0, size - start)], axis)


# ---- repetition -------------------------------------------------------------------------------------


def tile(x: Any, repetitions: Any) -> Tensor:
    """x laid side by side, so often along each axis; missing axes of either are put in front.

    >>> from symgrad.ops.create import tensor
    >>> tile(tensor("x", ("n", 2)), (3, 1, 4))
    <reshape: f64[3,n,8]>
    """
    tensor = as_tensor(x)
    given = as_items(repetitions)
    rank = max(tensor.ndim, len(given))
    counts: list[Dim] = [*(1,) * (rank - len(given)), *(as_dim(c) for c in given)]
    shape = (*(1,) * (rank - tensor.ndim), *tensor.shape)
    pairs = list(zip(counts, shape, strict=True))
    whole = broadcast_to(
        reshape(tensor, tuple(d for _, s in pairs for d in (1, s))), tuple(d for pair in pairs for d in pair)
    )
    return reshape(whole, tuple(c * s for c, s in pairs))


@provide("repeat")
def repeat(x: Any, repeats: Any, axis: int | None = None) -> Tensor:
    """Each element of x several times in a row, along an axis, or of all elements in row-major order.

    Args:
        repeats: an int or a size; or ints, one for each element of an axis of fixed size. (A tensor it cannot
            be: the size of the result must not depend on values.)

    >>> repeat([1, 2], 2).eval(), repeat([1, 2], [3, 1]).eval()
    (array([1, 1, 2, 2]), array([1, 1, 1, 2]))
    """
    tensor = as_tensor(x)
    if axis is None:
        tensor, axis = ravel(tensor), 0
    place = normalize_axis(axis, tensor.ndim)
    size = tensor.shape[place]
    if isinstance(repeats, Tensor):
        raise ShapeError(
            "the size of the result must not depend on values, so repeats cannot be a tensor",
            facts=[("repeats", repeats.type)],
            at=origin.locate(origin.current()),
            hint="give an int, a size, or a list of ints",
        )
    counts = repeats if isinstance(repeats, (int, Size)) else numpy.asarray(repeats)
    if isinstance(counts, numpy.ndarray):
        if counts.size != 1:
            return _repeat_each(tensor, counts, place)
        counts = as_count(counts.reshape(())[()], "the number of repeats")
    if isinstance(counts, int) and counts < 0:
        raise ShapeError(
            f"repeat: the number of repeats must not be negative: {counts}",
            facts=[(tensor.name or "x", tensor.type)],
            at=origin.locate(origin.current()),
        )
    count = as_dim(counts)
    shape = (*tensor.shape[: place + 1], count, *tensor.shape[place + 1 :])
    copies = broadcast_to(expand_dims(tensor, place + 1), shape)
    return reshape(copies, (*tensor.shape[:place], size * count, *tensor.shape[place + 1 :]))


def _repeat_each(x: Tensor, counts: numpy.ndarray[Any, Any], axis: int) -> Tensor:
    size = x.shape[axis]
    counts = counts if counts.size else counts.astype(numpy.int64)
    if counts.ndim != 1 or counts.dtype.kind not in "iu" or (counts < 0).any():
        raise ShapeError("repeats must be an int or a list of ints, none negative", facts=[("x", x.type)])
    if not isinstance(size, int) or len(counts) != size:
        raise ShapeError(
            f"repeat needs a count for each of the {size} elements, not {len(counts)}",
            facts=[("x", x.type), ("axis", axis)],
        )
    index = numpy.repeat(numpy.arange(size), counts)
    return apply(Take(axis), x, as_tensor(index))


def as_amount(value: Any, what: str) -> Dim:
    """An int or a size."""
    return value if isinstance(value, Size) else as_count(value, what)


def as_count(value: Any, what: str) -> int:
    """An int where neither a tensor nor a symbolic size will do."""
    if isinstance(value, (bool, Tensor, Size)) or not hasattr(value, "__index__"):
        raise ShapeError(f"{what} must be an int, not {value!r:.60}")
    return int(value.__index__())
