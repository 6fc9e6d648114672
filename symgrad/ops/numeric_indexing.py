"""NumPy code of slices, gathers, updates and sorts; `numeric` offers it to generated programs.

Imports NumPy only.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy

Array: TypeAlias = Any
Out: TypeAlias = Any


# ---- gathers ----------------------------------------------------------------------------------------


def take(x: Array, index: Array, axis: int, out: Out = None) -> Array:
    """x at `index` along `axis`; negative indices count from the end, others out of range raise."""
    if out is None and x.shape[axis]:
        return numpy.take(x, index, axis=axis)
    (place,) = _places([index], [axis], x.shape)
    return numpy.take(x, place, axis=axis, out=out, mode="clip")  # "raise" would go through a copy of out


def take_along_axis(x: Array, index: Array, axis: int) -> Array:
    """One element for each index."""
    return x[_along(index, axis, x.shape)]


def gather(x: Array, indices: Sequence[Array], axes: tuple[int, ...]) -> Array:
    """x at indices of several axes; the dimensions of the indices come first."""
    result = numpy.moveaxis(x, axes, range(len(axes)))[tuple(indices)]
    if not numpy.size(result):  # NumPy may not look at the indices then
        _places(indices, axes, x.shape)
    return result


def _places(indices: Sequence[Array], axes: Sequence[int], shape: Sequence[int]) -> list[Array]:
    """The indices counted from the front; IndexError for one that is out of range."""
    found = []
    for index, axis in zip(indices, axes, strict=True):
        at, size = numpy.asarray(index).astype(numpy.int64, copy=False), shape[axis]
        low = _check_range(at, size, axis, -size)
        found.append(numpy.where(at < 0, at + size, at) if low < 0 else at)
    return found


def _check_range(at: Array, size: int, axis: int, least: int) -> int:
    """The lowest index; IndexError for one that is not in range(least, size)."""
    low, high = (at.min(), at.max()) if at.size else (0, -1)
    if low < least or high >= size:
        first = at[(at < least) | (at >= size)].flat[0]
        raise IndexError(f"index {first} is out of bounds for axis {axis} with size {size}")
    return int(low)


# ---- updates at indices -----------------------------------------------------------------------------

_UPDATES: dict[str, Any] = {
    "add": numpy.add,
    "mul": numpy.multiply,
    "max": numpy.maximum,
    "min": numpy.minimum,
}


def scatter(
    x: Array, updates: Array, indices: Sequence[Array], axes: tuple[int, ...], mode: str, out: Out = None
) -> Array:
    """x, updated at the indices one after the other."""
    if out is not None and not out.flags.c_contiguous:
        numpy.copyto(out, scatter(x, updates, indices, axes, mode))
        return out
    result = numpy.empty(x.shape, x.dtype) if out is None else out
    if result is not x:
        numpy.copyto(result, x)
    _update(_UPDATES.get(mode), result, updates, _places(indices, axes, x.shape), axes)
    return result


def scatter_add(g: Array, indices: Sequence[Array], axes: tuple[int, ...], shape: tuple[int, ...]) -> Array:
    """Zeros of `shape` to which g is added at the indices; repeated indices accumulate."""
    result = numpy.zeros(shape, g.dtype)
    _update(numpy.add, result, g, _places(indices, axes, shape), axes)
    return result


def _update(function: Any, result: Array, updates: Array, places: list[Array], axes: Sequence[int]) -> None:
    """result[places] = function(result[places], updates), element by element in order.

    `ufunc.at` is fast on vectors only, so each element is found by its position in memory.
    """
    if function is None:
        numpy.moveaxis(result, axes, range(len(axes)))[tuple(places)] = updates
        return
    steps = [s // result.itemsize for s in result.strides]
    rest = [i for i in range(result.ndim) if i not in axes]
    offsets = numpy.zeros((), numpy.int64)
    for i in rest:
        offsets = numpy.add.outer(offsets, numpy.arange(result.shape[i]) * steps[i])
    start = sum(place * steps[axis] for place, axis in zip(places, axes, strict=True))
    positions = numpy.add.outer(start, offsets)
    function.at(result.reshape(-1), positions.reshape(-1), numpy.reshape(updates, -1))


def one_hot(index: Array, axis: int, size: int, dtype: Any) -> Array:
    """1 at the index along a new axis."""
    at = numpy.expand_dims(index, axis)
    shape = [*numpy.shape(index)[:axis], size, *numpy.shape(index)[axis:]]
    return scatter_add_along_axis(numpy.ones(at.shape, dtype), at, axis, tuple(shape))


def in_range(index: Array, size: int, axis: int, from_end: bool) -> Array:
    """The indices, if they fit an axis of that size; negative ones count from its end, or do not fit."""
    _check_range(numpy.asarray(index), size, axis, -size if from_end else 0)
    return index


def scatter_add_along_axis(g: Array, index: Array, axis: int, shape: tuple[int, ...]) -> Array:
    """Zeros of `shape` to which each element of g is added at its index along `axis`."""
    (place,) = _places([index], [axis], shape)
    result = numpy.zeros(shape, g.dtype)
    at = _along(place, axis, shape)
    if index.shape[axis] == 1:  # nothing can be repeated
        result[at] = g
    else:
        _update(numpy.add, result, g, list(numpy.broadcast_arrays(*at)), range(len(shape)))
    return result


def _along(index: Array, axis: int, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """`index` along one axis, and in each other axis every position."""
    rank = len(shape)
    return tuple(
        [
            index if i == axis else numpy.arange(shape[i]).reshape([-1 if k == i else 1 for k in range(rank)])
            for i in range(rank)
        ]
    )


# ---- slices -----------------------------------------------------------------------------------------


def slice_(x: Array, starts: Sequence[int], stops: Sequence[int], steps: Sequence[int]) -> Array:
    """x[starts:stops:steps] in every axis; a stop of -1 with a negative step means "to the front"."""
    _check_slices(starts, stops, steps, x.shape)
    return x[_slices(starts, stops, steps)]


def unslice(g: Array, starts: Sequence[int], stops: Sequence[int], steps: Sequence[int], shape: Any) -> Array:
    """Zeros of `shape` with g written where `slice_` reads."""
    _check_slices(starts, stops, steps, shape)
    result = numpy.zeros(shape, g.dtype)
    result[_slices(starts, stops, steps)] = g
    return result


def _check_slices(starts: Sequence[int], stops: Sequence[int], steps: Sequence[int], shape: Any) -> None:
    """Sizes that turned out too small: nothing is clipped, since the type of the result says what it holds."""
    for axis, (start, stop, step, size) in enumerate(zip(starts, stops, steps, shape, strict=True)):
        count = _count(start, stop, step)
        for position in (start, start + (count - 1) * step):
            if count > 0 and not 0 <= position < size:
                raise IndexError(f"index {position} is out of bounds for axis {axis} with size {size}")


def _count(start: int, stop: int, step: int) -> int:
    """How many elements there are from start to stop; negative counts are none."""
    return -((start - stop) // step) if step > 0 else -((stop - start) // -step)


def _slices(starts: Sequence[int], stops: Sequence[int], steps: Sequence[int]) -> tuple[slice, ...]:
    return tuple(_slice(*bounds) for bounds in zip(starts, stops, steps, strict=True))


def _slice(start: int, stop: int, step: int) -> slice:
    """The bounds as Python has them, where a negative one would count from the end."""
    if _count(start, stop, step) <= 0:
        return slice(0, 0, 1)
    return slice(start, None if stop < 0 else stop, step)


def set_slice(
    x: Array, v: Array, starts: Sequence[int], stops: Sequence[int], steps: Sequence[int], out: Out = None
) -> Array:
    """x with v written where `slice_` reads."""
    _check_slices(starts, stops, steps, x.shape)
    result = numpy.empty(x.shape, x.dtype) if out is None else out
    if result is not x:
        numpy.copyto(result, x)
    result[_slices(starts, stops, steps)] = v
    return result


def interleave(parts: Sequence[Array], steps: Sequence[int], axes: Sequence[int], shape: Any) -> Array:
    """Zeros of `shape` in which the parts take turns along the axes."""
    result = numpy.zeros(shape, parts[0].dtype)
    for part, residues in zip(parts, itertools.product(*map(range, steps)), strict=True):
        where = [slice(None)] * result.ndim
        for axis, step, r in zip(axes, steps, residues, strict=True):
            where[axis] = slice(r, r + part.shape[axis] * step, step)
        result[tuple(where)] = part
    return result


# ---- sorting ----------------------------------------------------------------------------------------


def argsort(x: Array, axis: int, descending: bool) -> Array:
    """The indices that sort x, stable in either direction, NaNs last."""
    if descending:
        x = numpy.negative(x) if x.dtype.kind == "f" else numpy.invert(x)
    return numpy.argsort(x, axis=axis, kind="stable").astype(numpy.int64, copy=False)


def searchsorted(x: Array, values: Array, side: Any, rows: int) -> Array:
    """Where `values` belong in the sorted vector x; in each row by itself."""
    result = numpy.empty(numpy.shape(values), numpy.int64)
    for row in numpy.ndindex(x.shape[:rows]):
        result[row] = numpy.searchsorted(x[row], values[row], side=side)
    return result
