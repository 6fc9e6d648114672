"""NumPy code of the ops that no single NumPy function computes; `out` may be None, or an operand's array.

Generated NumPy programs call these as `numeric.<name>`. Imports NumPy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy

from symgrad.errors import ShapeError
from symgrad.ops.numeric_scan import (  # noqa: F401  (for templates)
    accumulate,
    argquantile,
    highest,
    linear_recurrence,
    lowest,
)

Array: TypeAlias = Any
Out: TypeAlias = Any


def copy(x: Array, out: Out = None) -> Array:
    """x in an array of its own."""
    if out is None:
        return numpy.array(x)
    if out is not x:
        numpy.copyto(out, x)
    return out


def astype(x: Array, dtype: Any, out: Out = None) -> Array:
    """x converted, without a word about overflow."""
    if out is None:
        return numpy.asarray(x).astype(dtype)
    numpy.copyto(out, x, casting="unsafe")
    return out


def where(c: Array, x: Array, y: Array, out: Out = None) -> Array:
    """x where c holds, else y; `out` may be the array of x or y."""
    if out is None:
        return numpy.where(c, x, y)
    if y.__class__ is not numpy.ndarray and _is_zero(y) and _has_bits(x) and c.__class__ is numpy.ndarray:
        return _keep(c, x, out)
    if out is x:
        numpy.copyto(out, y, where=numpy.logical_not(c))
        return out
    if out is not y:
        numpy.copyto(out, y)
    numpy.copyto(out, x, where=c)
    return out


def _is_zero(value: Any) -> bool:
    """Whether a NumPy scalar is all zero bits."""
    return not any(value.tobytes())


def _has_bits(x: Array) -> bool:
    return x.__class__ is numpy.ndarray and x.dtype.kind == "f"


def _keep(c: Array, x: Array, out: Array) -> Array:
    """x where c holds, else +0.0, without branches: the bits of x times 1 or 0."""
    bits = _BITS[x.dtype.itemsize]
    numpy.multiply(x.view(bits), c.astype(bits), out=out.view(bits))
    return out


_BITS: dict[int, Any] = {4: numpy.int32, 8: numpy.int64}


def floor(x: Array, out: Out = None) -> Array:
    """The largest integer not above x; integers as they are (NumPy knows that from 2.1 on)."""
    return copy(x, out) if numpy.asarray(x).dtype.kind in "iu" else numpy.floor(x, out=out)


def masked_multiply(g: Array, p: Array, out: Out = None) -> Array:
    """g p, but 0 where g is 0."""
    zero = numpy.equal(g, 0)
    out = numpy.multiply(g, p, out=out)
    return _clear(out, zero)


def masked_multiply_both(x: Array, y: Array, out: Out = None) -> Array:
    """x y, but 0 where either is 0."""
    zero = numpy.logical_or(numpy.equal(x, 0), numpy.equal(y, 0))
    out = numpy.multiply(x, y, out=out)
    return _clear(out, zero)


def _clear(out: Array, zero: Array) -> Array:
    if not isinstance(out, numpy.ndarray):
        return out.dtype.type(0) if zero else out
    numpy.copyto(out, 0, where=zero)
    return out


def sech_squared(x: Array, out: Out = None) -> Array:
    """1 / cosh(x)^2 as 4 e / (1 + e)^2 with e = exp(-2|x|), which neither overflows nor cancels."""
    e = numpy.abs(x)
    e = numpy.exp(numpy.multiply(e, -2, out=e if isinstance(e, numpy.ndarray) else None))
    one_plus = e + 1
    return numpy.divide(4 * e, one_plus * one_plus, out=out)


def logsumexp(x: Array, axes: tuple[int, ...], out: Out = None) -> Array:
    """log(sum(exp(x))) over `axes`."""
    shift, total = _exponentials(x, axes)[1:]
    return numpy.add(
        numpy.log(total, out=total if isinstance(total, numpy.ndarray) else None).squeeze(axes),
        shift.squeeze(axes),
        out=out,
    )


def softmax(x: Array, axes: tuple[int, ...], out: Out = None) -> Array:
    """exp(x) / sum(exp(x)) over `axes`; 0 where all x are -inf."""
    e, _, total = _exponentials(x, axes, out)
    total[total == 0] = 1
    return numpy.divide(e, total, out=e)


def softmax_derivative(
    x: Array, g: Array, axes: tuple[int, ...], strong: bool = False, out: Out = None
) -> Array:
    """y (g - y . g) with y = softmax(x), for g less its value at the largest x."""
    y, relative, live = _relative_to_dominant(x, g, axes, strong)
    weighted = masked_multiply(y, relative)
    result = weighted - y * numpy.sum(weighted, axis=axes, keepdims=True)
    return copy(numpy.where(live, result, numpy.zeros((), x.dtype)) if strong else result, out)


def softmax_centred(
    x: Array, t: Array, axes: tuple[int, ...], strong: bool = False, out: Out = None
) -> Array:
    """t - y . t with y = softmax(x), for t less its value at the largest x."""
    y, relative, live = _relative_to_dominant(x, t, axes, strong)
    result = relative - numpy.sum(masked_multiply(y, relative), axis=axes, keepdims=True)
    return copy(numpy.where(live, result, numpy.zeros((), x.dtype)) if strong else result, out)


def _relative_to_dominant(
    x: Array, g: Array, axes: tuple[int, ...], strong: bool
) -> tuple[Array, Array, Array]:
    """softmax(x); g less its value at the largest x; where `strong`, whether some g is not 0."""

    def supremum(v: Array) -> Array:
        return numpy.maximum.reduce(v, axis=axes, keepdims=True, initial=-numpy.inf)

    taken = x == supremum(x)
    centre = supremum(numpy.where(taken, g, numpy.array(-numpy.inf, x.dtype)))
    live = numpy.any(g != 0, axis=axes, keepdims=True) if strong else taken
    return softmax(x, axes), g - centre, live


def log_softmax(x: Array, axes: tuple[int, ...], out: Out = None) -> Array:
    """log(softmax(x)) over `axes`."""
    if _is_narrow(x, axes):
        columns = log_softmax(numpy.ascontiguousarray(x.T), (0,))
        if out is None:
            return numpy.ascontiguousarray(columns.T)
        numpy.copyto(out, columns.T)
        return out
    shift = _shift(x, axes)
    shifted = numpy.subtract(x, shift, out=out)
    total = numpy.add.reduce(numpy.exp(shifted), axis=axes, keepdims=True)
    return numpy.subtract(shifted, numpy.log(total), out=shifted if shifted.ndim else None)


def _is_narrow(x: Array, axes: tuple[int, ...]) -> bool:
    """Whether the rows are so short that NumPy reduces them faster as columns."""
    return x.ndim == 2 and axes == (1,) and x.shape[1] <= NARROW and x.shape[0] >= NARROW


NARROW = 32


def _exponentials(x: Array, axes: tuple[int, ...], out: Out = None) -> tuple[Array, Array, Array]:
    shift = _shift(x, axes)
    e = numpy.asarray(numpy.subtract(x, shift, out=out))
    numpy.exp(e, out=e)
    return e, shift, numpy.asarray(numpy.sum(e, axis=axes, keepdims=True, dtype=e.dtype))


def _shift(x: Array, axes: tuple[int, ...]) -> Array:
    """The maximum over `axes`, kept, and 0 where it is infinite: exp(x - inf) would be NaN."""
    if any(numpy.shape(x)[a] == 0 for a in axes):
        return numpy.zeros([1 if i in axes else n for i, n in enumerate(numpy.shape(x))], x.dtype)
    largest = numpy.asarray(numpy.maximum.reduce(x, axis=axes, keepdims=True))
    if largest.size and largest.min() == -numpy.inf:
        largest = numpy.where(largest == -numpy.inf, numpy.zeros((), largest.dtype), largest)
    return largest


def matmul(a: Array, b: Array, strong: str = "", out: Out = None) -> Array:
    """The matrix product; with `strong`, a zero of the named operand makes a term 0 whatever the other is."""
    product = numpy.matmul(a, b, out=out)
    if not strong:
        return product
    # Strong zeros matter where the other factor is not finite, and then the product is not either.
    other = b if strong == "a" else a if strong == "b" else product
    if all_finite(other if other.size < product.size else product):
        return product
    return _strong_matmul(a, b, strong, product)


def all_finite(x: Array) -> bool:
    """Whether no element is infinite or NaN. For many, sums of columns tell sooner, unless they overflow."""
    if x.size >= MANY and numpy.isfinite(numpy.add.reduce(x, axis=0)).all():
        return True
    return bool(numpy.isfinite(x).all())


MANY = 1 << 15


def _strong_matmul(a: Array, b: Array, strong: str, out: Array) -> Array:
    """Term by term over k, for the rare product that met an infinity or NaN."""
    out[...] = 0
    for k in range(a.shape[-1]):
        left, right = a[..., :, k, None], b[..., None, k, :]
        term = left * right
        if "a" in strong:
            term = numpy.where(left == 0, 0, term)
        if "b" in strong:
            term = numpy.where(right == 0, 0, term)
        out += term
    return out


def specify_shape(x: Array, shape: tuple[int, ...]) -> Array:
    """x, if it has that shape."""
    for axis, (have, want) in enumerate(zip(x.shape, shape, strict=True)):
        if have != want:
            raise ShapeError(f"sizes that were assumed equal differ: {have} is not {want} (axis {axis})")
    return x


def take(x: Array, index: Array, axis: int, out: Out = None) -> Array:
    """x at `index` along `axis`; negative indices count from the end, others out of range raise."""
    if x.shape[axis] == 0 and numpy.size(index):
        first = numpy.asarray(index).flat[0]
        raise IndexError(f"index {first} is out of bounds for axis {axis} with size 0")
    return numpy.take(x, index, axis=axis, out=out, mode="raise")


def take_along_axis(x: Array, index: Array, axis: int) -> Array:
    """One element for each index."""
    return x[_along(index, axis, x.shape)]


def scatter_add(g: Array, index: Array, axis: int, shape: tuple[int, ...]) -> Array:
    """Zeros of `shape` to which g is added at `index` along `axis`; repeated indices accumulate."""
    result = numpy.zeros(shape, g.dtype)
    at: list[Any] = [slice(None)] * len(shape)
    at[axis] = index
    numpy.add.at(result, tuple(at), g)
    return result


def scatter_add_along_axis(g: Array, index: Array, axis: int, shape: tuple[int, ...]) -> Array:
    """Zeros of `shape` to which each element of g is added at its index along `axis`."""
    result = numpy.zeros(shape, g.dtype)
    if index.shape[axis] == 1:  # nothing can be repeated
        result[_along(index, axis, shape)] = g
    else:
        numpy.add.at(result, _along(index, axis, shape), g)
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
        count = -((start - stop) // step) if step > 0 else -((stop - start) // -step)
        for position in (start, start + (count - 1) * step):
            if count > 0 and not 0 <= position < size:
                raise IndexError(f"index {position} is out of bounds for axis {axis} with size {size}")


def _slices(starts: Sequence[int], stops: Sequence[int], steps: Sequence[int]) -> tuple[slice, ...]:
    return tuple(
        slice(start, None if stop < 0 else stop, step)
        for start, stop, step in zip(starts, stops, steps, strict=True)
    )


def concat(parts: Sequence[Array], axis: int, out: Out = None) -> Array:
    """Arrays joined along `axis`."""
    return numpy.concatenate(parts, axis=axis, out=out)


def split(x: Array, sizes: Sequence[int], axis: int) -> list[Array]:
    """x cut along `axis` into pieces of the given sizes."""
    return numpy.split(x, numpy.cumsum(sizes[:-1]), axis=axis)
