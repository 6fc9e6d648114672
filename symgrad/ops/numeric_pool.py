"""NumPy code of pooling, place by place of a window; `numeric` offers it to generated programs.

Imports NumPy only.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy

Array: TypeAlias = Any
Ints: TypeAlias = Sequence[int]


def max_pool(x: Array, sizes: Ints, steps: Ints, dilations: Ints, axes: Ints) -> Array:
    """The maximum of each window."""
    result: Array = None
    for place in _places(x.shape, sizes, steps, dilations, axes):
        result = x[place].copy() if result is None else numpy.maximum(result, x[place], out=result)
    return result


def sum_at_max(t: Array, x: Array, y: Array, sizes: Ints, steps: Ints, dilations: Ints, axes: Ints) -> Array:
    """The sum of t over each window, where x is `y`."""
    result = numpy.zeros_like(y)
    for place in _places(x.shape, sizes, steps, dilations, axes):
        numpy.add(result, t[place], out=result, where=x[place] == y)
    return result


def spread_to_max(
    g: Array, x: Array, y: Array, sizes: Ints, steps: Ints, dilations: Ints, axes: Ints
) -> Array:
    """g added to the places of each window where x is `y`."""
    result = numpy.zeros_like(x)
    for place in _places(x.shape, sizes, steps, dilations, axes) if g.size else ():
        numpy.add(result[place], g, out=result[place], where=x[place] == y)
    return result


def sum_pool(x: Array, sizes: Ints, steps: Ints, dilations: Ints, axes: Ints) -> Array:
    """The sum of each window."""
    result: Array = None
    for place in _places(x.shape, sizes, steps, dilations, axes):
        result = x[place].copy() if result is None else numpy.add(result, x[place], out=result)
    return result


def sum_unpool(g: Array, sizes: Ints, steps: Ints, dilations: Ints, axes: Ints, shape: Ints) -> Array:
    """g added to all places of each window."""
    result = numpy.zeros(tuple(shape), g.dtype)
    for place in _places(result.shape, sizes, steps, dilations, axes) if g.size else ():
        result[place] += g
    return result


def _places(
    shape: Ints, sizes: Ints, steps: Ints, dilations: Ints, axes: Ints
) -> Iterator[tuple[slice, ...]]:
    """For each place of a window, where it is in all windows."""
    counts = []
    for axis, size, step, dilation in zip(axes, sizes, steps, dilations, strict=True):
        last = (size - 1) * dilation
        if last >= shape[axis]:
            raise IndexError(f"index {last} is out of bounds for axis {axis} with size {shape[axis]}")
        counts.append((shape[axis] - last - 1) // step + 1)
    for place in itertools.product(*map(range, sizes)):
        where = [slice(None)] * len(shape)
        for axis, p, count, step, dilation in zip(axes, place, counts, steps, dilations, strict=True):
            where[axis] = slice(p * dilation, p * dilation + (count - 1) * step + 1, step)
        yield tuple(where)
