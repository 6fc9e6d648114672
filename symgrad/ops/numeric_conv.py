"""NumPy code of windows and convolutions; `numeric` offers it to generated programs.

A convolution is a matrix product for each group: of the windows of x, one a row, and the weights.

    y (n i, o) = x' (n i, c p) w (c p, o)        its transposes: x' = y w^T, added up where windows overlap,
                                                 and w = x'^T y

Imports NumPy and errors only.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy

Array: TypeAlias = Any
Pairs: TypeAlias = Sequence[tuple[int, int]]
#: matmul(a, b, strong).
Product: TypeAlias = Callable[..., Array]


# ---- windows ----------------------------------------------------------------------------------------


def windows(
    x: Array, sizes: Sequence[int], steps: Sequence[int], dilations: Sequence[int], axes: Sequence[int]
) -> Array:
    """A view of x: the numbers of windows along `axes`, what is in a window along new axes at the end."""
    shape, strides = list(x.shape), list(x.strides)
    for axis, size, step, dilation in zip(axes, sizes, steps, dilations, strict=True):
        shape[axis] = _count(x.shape[axis], size, step, dilation, axis)
        strides[axis] *= step
    inside = [x.strides[axis] * d for axis, d in zip(axes, dilations, strict=True)]
    return numpy.lib.stride_tricks.as_strided(x, (*shape, *sizes), (*strides, *inside), writeable=False)


def _count(size: int, window: int, step: int, dilation: int, axis: int) -> int:
    last = (window - 1) * dilation
    if last >= size or window < 1:
        raise IndexError(f"index {last} is out of bounds for axis {axis} with size {size}")
    return (size - last - 1) // step + 1


def fold(
    w: Array,
    sizes: Sequence[int],
    steps: Sequence[int],
    dilations: Sequence[int],
    axes: Sequence[int],
    shape: Sequence[int],
) -> Array:
    """Zeros of `shape` to which windows are added where they lie."""
    result = numpy.zeros(tuple(shape), w.dtype)
    for place in itertools.product(*map(range, sizes)):
        where = [slice(None)] * len(shape)
        for axis, p, step, dilation in zip(axes, place, steps, dilations, strict=True):
            start = p * dilation
            where[axis] = slice(start, start + (w.shape[axis] - 1) * step + 1, step)
        result[tuple(where)] += w[(..., *place)]
    return result


# ---- convolutions -----------------------------------------------------------------------------------


class _Geometry(NamedTuple):
    """How operands meet, the same for all three of the family."""

    channels: str
    strides: Sequence[int]
    padding: Pairs
    dilations: Sequence[int]
    groups: int

    @property
    def rank(self) -> int:
        return len(self.strides)

    @property
    def axes(self) -> range:
        """The spatial axes, behind those of the batch, the groups and the channels."""
        return range(3, 3 + self.rank)


def conv(
    x: Array,
    w: Array,
    channels: str,
    strides: Sequence[int],
    padding: Pairs,
    dilations: Sequence[int],
    groups: int,
    strong: str,
    matmul: Product,
) -> Array:
    """y[n, o, i] = sum over c, p of x[n, c, i stride + p dilation - low] w[o, c, p]."""
    geometry = _Geometry(channels, strides, padding, dilations, groups)
    weights = _weights(w, geometry)
    rows, shape = _rows(_tensor(x, geometry, weights.shape[2]), weights.shape[3:], geometry)
    product = matmul(rows, _columns(weights), _named(strong, "xw"))
    return _from_rows(product, shape, geometry)


def conv_input(
    g: Array,
    w: Array,
    channels: str,
    strides: Sequence[int],
    padding: Pairs,
    dilations: Sequence[int],
    groups: int,
    strong: str,
    sizes: Sequence[int],
    matmul: Product,
) -> Array:
    """The transpose of `conv` towards x, whose spatial sizes are `sizes`."""
    geometry = _Geometry(channels, strides, padding, dilations, groups)
    weights = _weights(w, geometry)
    y = _tensor(g, geometry, weights.shape[1])
    n, outs, kernel = y.shape[0], y.shape[3:], weights.shape[3:]
    product = matmul(_pixels(y), _columns(weights).swapaxes(1, 2), _named(strong, "gw"))
    shape = (groups, n, *outs, weights.shape[2], *kernel)
    rank = geometry.rank
    taken = numpy.moveaxis(product.reshape(shape), (1, 0, 2 + rank), (0, 1, 2))
    padded = [max(d + low + high, 0) for d, (low, high) in zip(sizes, padding, strict=True)]
    whole = (n, groups, weights.shape[2], *padded)
    found = fold(taken, kernel, strides, dilations, geometry.axes, whole)
    return _to_layout(_padded(found, [(-low, -high) for low, high in padding]), geometry)


def conv_weights(
    x: Array,
    g: Array,
    channels: str,
    strides: Sequence[int],
    padding: Pairs,
    dilations: Sequence[int],
    groups: int,
    strong: str,
    sizes: Sequence[int],
    matmul: Product,
) -> Array:
    """The transpose of `conv` towards w, whose spatial sizes are `sizes`."""
    geometry = _Geometry(channels, strides, padding, dilations, groups)
    axis = 1 if channels == "first" else -1
    inside, outside = (_tensor(t, geometry, _share(t.shape[axis], groups)) for t in (x, g))
    rows, _ = _rows(inside, sizes, geometry)
    found = matmul(rows.swapaxes(1, 2), _pixels(outside), _named(strong, "xg"))
    inner, outputs = rows.shape[2] // math.prod(sizes), found.shape[2]
    found = found.reshape(groups, inner, *sizes, outputs)
    if channels == "first":
        return numpy.moveaxis(found, -1, 1).reshape(groups * outputs, inner, *sizes)
    return numpy.moveaxis(found, (0, 1), (-2, -3)).reshape(*sizes, inner, groups * outputs)


def _named(strong: str, operands: str) -> str:
    """The operands whose zeros are strong, by the names that the matrix product has for them."""
    return "".join(letter for letter, name in zip("ab", operands, strict=True) if name in strong)


def _share(channels: int, groups: int) -> int:
    """How many of the channels are in a group. Without groups (`vmap` over nothing) any number will do."""
    return channels // max(groups, 1)


def _tensor(x: Array, geometry: _Geometry, count: int) -> Array:
    """x or y as (n, group, channel of the group, *spatial), with `count` channels in a group."""
    groups = geometry.groups
    if geometry.channels == "first":
        return x.reshape(x.shape[0], groups, count, *x.shape[2:])
    apart = x.reshape(*x.shape[:-1], groups, count)
    return numpy.moveaxis(apart, (-2, -1), (1, 2))


def _to_layout(x: Array, geometry: _Geometry) -> Array:
    """The reverse of `_tensor`."""
    if geometry.channels == "first":
        return x.reshape(x.shape[0], x.shape[1] * x.shape[2], *x.shape[3:])
    last = numpy.moveaxis(x, (1, 2), (-2, -1))
    return last.reshape(*last.shape[:-2], last.shape[-2] * last.shape[-1])


def _weights(w: Array, geometry: _Geometry) -> Array:
    """w as (group, output of the group, channel of the group, *kernel)."""
    if geometry.channels == "last":
        w = numpy.moveaxis(w, (-1, -2), (0, 1))
    return w.reshape(geometry.groups, _share(w.shape[0], geometry.groups), *w.shape[1:])


def _columns(weights: Array) -> Array:
    """Weights as (group, channel and place in the kernel, output)."""
    groups, outputs = weights.shape[:2]
    return weights.reshape(groups, outputs, math.prod(weights.shape[2:])).swapaxes(1, 2)


def _rows(x: Array, kernel: Sequence[int], geometry: _Geometry) -> tuple[Array, tuple[int, ...]]:
    """The windows of x as (group, batch and place, channel and place in the kernel), and (n, *places)."""
    padded = _padded(x, geometry.padding)
    first_axis = 2 if geometry.channels == "first" else 1
    for axis, (d, k, apart) in enumerate(zip(padded.shape[3:], kernel, geometry.dilations, strict=True)):
        _count(d, k, 1, apart, first_axis + axis)
    view = windows(padded, kernel, geometry.strides, geometry.dilations, geometry.axes)
    rank = geometry.rank
    view = numpy.moveaxis(view, (1, 0), (0, 1))  # group, n, c, *places, *kernel
    view = numpy.moveaxis(view, 2, 2 + rank)  # group, n, *places, c, *kernel
    places = view.shape[1 : 2 + rank]
    return view.reshape(view.shape[0], math.prod(places), math.prod(view.shape[2 + rank :])), places


def _pixels(y: Array) -> Array:
    """y as (group, batch and place, channel of the group)."""
    moved = numpy.moveaxis(y, (1, 0, 2), (0, 1, -1))
    return moved.reshape(moved.shape[0], math.prod(moved.shape[1:-1]), moved.shape[-1])


def _from_rows(product: Array, places: tuple[int, ...], geometry: _Geometry) -> Array:
    """A product (group, batch and place, output) in the layout of y."""
    apart = product.reshape(product.shape[0], *places, product.shape[2])
    return _to_layout(numpy.moveaxis(apart, (0, -1), (1, 2)), geometry)


def _padded(x: Array, padding: Pairs) -> Array:
    """Zeros around the last axes; of a negative number, as many elements less."""
    lead = x.ndim - len(padding)
    cut = []
    for axis, (d, (low, high)) in enumerate(zip(x.shape[lead:], padding, strict=True)):
        start, stop = max(-low, 0), d - max(-high, 0)
        if start > stop:
            raise IndexError(f"index {start} is out of bounds for axis {axis + 2} with size {d}")
        cut.append(slice(start, stop))
    x = x[(*[slice(None)] * lead, *cut)]
    widths = [(max(low, 0), max(high, 0)) for low, high in padding]
    if not any(map(any, widths)):
        return x
    return numpy.pad(x, [(0, 0)] * lead + widths)
