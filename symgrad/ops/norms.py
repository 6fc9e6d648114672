"""Norms of vectors and matrices. Their derivatives of every order are 0 where the norm is 0."""

from __future__ import annotations

import math
from typing import Any

import numpy

from symgrad.errors import GraphError, ShapeError
from symgrad.ir.tensor import Tensor, apply
from symgrad.ops.arithmetic import abs, negative
from symgrad.ops.cast import astype, stop_gradient
from symgrad.ops.compare import logical_and
from symgrad.ops.complexes import complex, imag, real
from symgrad.ops.polar import squared_length
from symgrad.ops.power import pow
from symgrad.ops.reduce import Supremum, as_inexact, keep, max, min, sum
from symgrad.ops.select import maximum, where
from symgrad.ops.shape import normalize_axes, permute_dims, squeeze
from symgrad.ops.spectral import svdvals
from symgrad.ops.statistics import root
from symgrad.ops.truth import count_nonzero
from symgrad.types import as_int, real_dtype


def vector_norm(x: Any, axis: Any = None, *, keepdims: bool = False, ord: float = 2) -> Tensor:
    """The p-norm over `axis`, sum(|x|^p)^(1/p), without overflow or underflow on the way.

    Args:
        x: numbers; the norm is real.
        axis: an int, several, or None for all.
        keepdims: whether the reduced axes stay, of size 1.
        ord: p. 2 unless given; inf and -inf give the largest and the smallest |x|, 0 counts what is not 0.

    The derivative of |x|^p at x = 0 is taken as 0, for every p; at ties of the largest |x| it is split equally.

    >>> import symgrad as sg
    >>> sg.vector_norm([3.0, 4.0]).eval(), sg.vector_norm([3 * 2.0**900, 4 * 2.0**900]).eval() == 5 * 2.0**900
    (np.float64(5.0), np.True_)
    """
    tensor: Tensor = as_inexact(x)
    axes = normalize_axes(axis, tensor.ndim)
    order = _order(ord, "vector_norm")
    if order == 0:
        return astype(count_nonzero(tensor, axes, keepdims=keepdims), real_dtype(tensor.dtype))
    if order == math.inf:
        return _highest(abs(tensor), axes, keepdims=keepdims)
    if order == -math.inf:
        return min(abs(tensor), axes, keepdims=keepdims)
    if order == 1:
        return sum(abs(tensor), axes, keepdims=keepdims)
    if order < 0:  # 0 where an element is: 1 / (1/0 + ...)
        scale = _smallest(tensor, axes)
        nothing = scale == 0
        ratios = where(nothing, 1, abs(tensor) / where(nothing, 1, scale))
        norm = where(nothing, 0, pow(sum(pow(ratios, order), axes, keepdims=True), 1 / order))
    elif order == 2:
        scale = _power_of_two(tensor, axes)
        norm = root(sum(squared_length(_scaled(tensor, scale)), axes, keepdims=True))
    else:
        scale = _largest(tensor, axes)
        norm = _power(sum(_power(abs(_scaled(tensor, scale)), order), axes, keepdims=True), 1 / order)
    result = scale * norm
    return result if keepdims else squeeze(result, axes)


# A norm does not depend on what the vector is scaled by, so for derivatives the scale is a constant.


def _highest(x: Tensor, axis: Any, *, keepdims: bool = False) -> Tensor:
    """The largest of numbers that are not negative; 0 of none."""
    axes = normalize_axes(axis, x.ndim)
    if all(isinstance(x.shape[a], int) and x.shape[a] != 0 for a in axes):
        return max(x, axes, keepdims=keepdims)
    found = apply(Supremum(axes), x) if axes else x
    found = where(found == -math.inf, 0, found)
    return keep(found, x.shape, axes) if keepdims else found


def _power_of_two(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """1, or where the largest |x| is so large or small that its square is not a float, a power of 2 near it:
    dividing by that rounds nothing."""
    largest = _supremum(x, axes)
    e = numpy.finfo(largest.dtype.numpy).maxexp
    large = logical_and(largest > 2.0 ** (e // 4), largest < math.inf)
    small = largest < 2.0 ** -(2 * e // 5)
    scale = where(large, 2.0 ** (3 * e // 5), where(small, 2.0 ** -(7 * e // 10), 1))
    return stop_gradient(astype(scale, largest.dtype))


def _largest(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """The largest |x|, but so far above the smallest float that its inverse is finite and products with it keep
    their digits; 1 where it is 0, infinite or NaN."""
    largest = _supremum(x, axes)
    least = float(numpy.finfo(largest.dtype.numpy).tiny) * 2.0**30
    return stop_gradient(where(logical_and(largest > 0, largest < math.inf), maximum(largest, least), 1))


def _smallest(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """The smallest |x|, but where it is not 0, so large that its inverse is finite; 1 where it is infinite or NaN."""
    below = negative(abs(x))
    smallest = negative(keep(apply(Supremum(axes), below), x.shape, axes) if axes else below)
    least = float(numpy.finfo(smallest.dtype.numpy).tiny) * 2.0**30
    kept = where(smallest < math.inf, maximum(smallest, least), 1)
    return stop_gradient(where(smallest == 0, 0, kept))


def _supremum(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """The largest |x| (of complex numbers, the largest part), axes kept; of no elements, -inf."""
    size = maximum(abs(real(x)), abs(imag(x))) if x.dtype.kind == "complex" else abs(x)
    return keep(apply(Supremum(axes), size), x.shape, axes) if axes else size


def _scaled(x: Tensor, scale: Tensor) -> Tensor:
    """x / scale; of complex numbers, part by part, so that nothing is rounded if the scale is a power of two."""
    return complex(real(x) / scale, imag(x) / scale) if x.dtype.kind == "complex" else x / scale


def _power(x: Tensor, p: float) -> Tensor:
    """x^p for x >= 0 and p > 0, with derivatives of 0 at 0."""
    return where(x == 0, 0, pow(where(x == 0, 1, x), p))


def matrix_norm(x: Any, *, keepdims: bool = False, ord: Any = "fro") -> Tensor:
    """The norm of the matrices in the last two axes.

    Args:
        x: numbers, of two dimensions or more; the norm is real.
        keepdims: whether the two axes stay, of size 1.
        ord: "fro" for the root of the sum of squares; 1, -1 for the largest, smallest sum of |x| over a column;
            inf, -inf for those over a row; 2, -2 for the largest, smallest singular value, "nuc" for their sum.
    """
    tensor: Tensor = as_inexact(x)
    if tensor.ndim < 2:
        raise ShapeError("matrix_norm needs at least 2 dimensions", facts=[("x", tensor.type)])
    if ord == "fro":
        return vector_norm(tensor, (-2, -1), keepdims=keepdims)
    if ord in ("nuc", 2, -2):
        values = svdvals(tensor)
        norms = {"nuc": sum, 2: _highest, -2: min}[ord](values, (tensor.ndim - 2,))
        return keep(norms, tensor.shape, (tensor.ndim - 2, tensor.ndim - 1)) if keepdims else norms
    order = _order(ord, "matrix_norm")
    if order in (1, -1, math.inf, -math.inf):
        summed, left = (-2, -1) if order in (1, -1) else (-1, -2)
        choose = _highest if order > 0 else min
        result = choose(sum(abs(tensor), summed, keepdims=True), left, keepdims=True)
        return result if keepdims else squeeze(result, (-2, -1))
    raise GraphError(
        f"matrix_norm has no order {ord!r}",
        hint='it has "fro", "nuc", 1, -1, 2, -2, inf and -inf',
    )


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Tensor:
    """A vector's or matrix's norm, as `numpy.linalg.norm`.

    Args:
        x: numbers; the norm is real.
        ord: None for the root of the sum of squares, over all of `axis`; else as for `vector_norm` (one axis) or
            `matrix_norm` (two).
        axis: one or two axes; None for all.

    >>> import symgrad as sg
    >>> sg.norm([[3.0, 0.0], [0.0, 4.0]]).eval()
    np.float64(5.0)
    """
    tensor: Tensor = as_inexact(x)
    axes = normalize_axes(axis, tensor.ndim, keep_order=True)
    if ord is None:
        return vector_norm(tensor, tuple(sorted(axes)), keepdims=keepdims)
    if len(axes) == 1:
        return vector_norm(tensor, axes, keepdims=keepdims, ord=ord)
    if len(axes) != 2:
        raise ShapeError(
            f"norm with an order takes one axis or two, not {len(axes)}", facts=[("x", tensor.type)]
        )
    if ord == "fro":
        return vector_norm(tensor, tuple(sorted(axes)), keepdims=keepdims)
    rows, columns = axes
    if rows > columns:  # the sums over columns of the transpose are those over rows
        ord = {1: math.inf, -1: -math.inf, math.inf: 1, -math.inf: -1}.get(ord, ord)
    rest = [i for i in range(tensor.ndim) if i not in axes]
    moved = permute_dims(tensor, (*rest, *sorted(axes)))
    result = matrix_norm(moved, ord=ord)
    return keep(result, tensor.shape, tuple(axes)) if keepdims else result


def _order(ord: Any, name: str) -> float:
    order = ord if isinstance(ord, float) else as_int(ord)
    if order is None or order != order:
        raise GraphError(f"{name} has no order {ord!r}", hint='an order is a number, or "fro" of matrices')
    return order
