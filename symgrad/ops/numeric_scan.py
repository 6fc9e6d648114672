"""NumPy code of the ops that run along an axis: cumulative products, recurrences. Imports NumPy only."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy

from symgrad.errors import wrong_rank

Array: TypeAlias = Any
Out: TypeAlias = Any


def accumulate(
    function: str, x: Array, axis: int, reverse: bool, start: Any = None, out: Out = None
) -> Array:
    """The ufunc `function` of all elements up to each; where `start` is given, of those before each."""
    if out is None or out is x or start is not None:
        out = numpy.empty(x.shape, x.dtype)
    source, target = (_towards(a, axis, reverse) for a in (x, out))
    if start is not None and x.shape[axis]:
        target[(slice(None),) * axis + (0,)] = start
        source, target = _part(source, axis, 0, -1), _part(target, axis, 1, None)
    getattr(numpy, function).accumulate(source, axis=axis, out=target)
    return out


def lowest(dtype: Any) -> Any:
    """What every number is at least."""
    return _limit(dtype, "min", -numpy.inf)


def highest(dtype: Any) -> Any:
    """What every number is at most."""
    return _limit(dtype, "max", numpy.inf)


def _limit(dtype: Any, end: str, infinity: float) -> Any:
    if dtype.kind == "b":
        return end == "max"
    return getattr(numpy.iinfo(dtype), end) if dtype.kind in "iu" else infinity


def linear_recurrence(a: Array, b: Array, axis: int, reverse: bool, mode: str) -> Array:
    """s_i = a_i s_(i-1) + b_i, step by step along the axis; see `ops.cumulative.LinearRecurrence`."""
    out = numpy.empty(b.shape, b.dtype)
    fore, add, result = (numpy.moveaxis(_towards(v, axis, reverse), axis, 0) for v in (a, b, out))
    state = numpy.zeros(b.shape[:axis] + b.shape[axis + 1 :], b.dtype)
    for i in range(b.shape[axis]):
        if mode == "exclusive":
            result[i] = state
        if mode == "lagged":
            state = state + add[i]
            result[i] = state
            state = _strong(fore[i], state)
        else:
            state = _strong(fore[i], state) + add[i]
        if mode == "plain":
            result[i] = state
    return out


def _strong(a: Array, s: Array) -> Array:
    """a s, but 0 where either is 0."""
    return numpy.where((a == 0) | (s == 0), numpy.zeros((), s.dtype), a * s)


def _towards(x: Array, axis: int, reverse: bool) -> Array:
    return numpy.flip(x, axis) if reverse else x


def _part(x: Array, axis: int, start: int, stop: int | None) -> Array:
    return x[(slice(None),) * axis + (slice(start, stop),)]


def argquantile(x: Array, ranks: Array, axis: int) -> Array:
    """Where along `axis` the elements of the given ranks stand; NaN last, equal elements in their order."""
    if not x.shape[axis] and len(ranks):
        if any(size == 0 for i, size in enumerate(x.shape) if i != axis):
            return numpy.empty((*x.shape[:axis], len(ranks), *x.shape[axis + 1 :]), numpy.int64)
        raise IndexError(wrong_rank(0))
    if x.size and len(ranks) and not 0 <= int(ranks.min()) <= int(ranks.max()) < x.shape[axis]:
        raise IndexError(wrong_rank(x.shape[axis]))
    order = numpy.argsort(x, axis=axis, kind="stable")
    return numpy.take(order, ranks, axis=axis)
