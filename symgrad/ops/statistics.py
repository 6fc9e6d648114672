"""Mean, variance, standard deviation; order statistics: median and quantile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy

from symgrad import dims
from symgrad.dims import Dim
from symgrad.errors import DTypeError, GraphError, ShapeError
from symgrad.ir import origin
from symgrad.ir.choice import check_choice
from symgrad.ir.tensor import Tensor, apply
from symgrad.ops.arithmetic import ceil, floor, round, sqrt
from symgrad.ops.cast import astype
from symgrad.ops.compare import isfinite, isnan
from symgrad.ops.create import as_tensor, constant, holds_tensors, size_tensor
from symgrad.ops.indexing import take_along_axis
from symgrad.ops.join import concat
from symgrad.ops.kinds import FLOATS, INTEGERS, REALS, Custom, declare
from symgrad.ops.polar import squared_length
from symgrad.ops.reduce import as_inexact, sum
from symgrad.ops.select import masked_multiply, maximum, minimum, one_of, where
from symgrad.ops.shape import (
    broadcast_to,
    expand_dims,
    normalize_axes,
    permute_dims,
    reshape,
    squeeze,
)
from symgrad.ops.truth import any as any_of
from symgrad.records import record
from symgrad.registry import provide
from symgrad.types import INT64, TensorType


@provide("mean")
def mean(x: Any, axis: Any = None, *, keepdims: bool = False) -> Tensor:
    """The mean over `axis`: the sum divided by the number of elements, which may be symbolic."""
    tensor = as_inexact(x)
    axes = normalize_axes(axis, tensor.ndim)
    return _divided(sum(tensor, axes, keepdims=keepdims), _count(tensor, axes), 0)


@provide("var")
def var(
    x: Any,
    axis: Any = None,
    *,
    correction: float | None = None,
    keepdims: bool = False,
    ddof: float | None = None,
) -> Tensor:
    """The variance over `axis`: the sum of squared distances from the mean, divided by n - correction.

    The mean is taken first, so that nothing cancels. NaN where n - correction is not positive, as NumPy.

    Args:
        x: numbers; of complex ones the distances are |z - mean|, and the result is real.
        axis: an int, several, or None for all.
        correction: what is taken from the number of elements; 0 unless given.
        keepdims: whether the reduced axes stay, of size 1.
        ddof: NumPy's older name of `correction`.

    >>> import symgrad as sg
    >>> sg.var([1.0, 2.0, 3.0, 4.0], correction=1).eval()
    np.float64(1.6666666666666667)
    """
    tensor = as_inexact(x)
    axes = normalize_axes(axis, tensor.ndim)
    centred = tensor - mean(tensor, axes, keepdims=True)
    taken = one_of("correction", correction, "ddof", ddof) or 0
    return _divided(sum(squared_length(centred), axes, keepdims=keepdims), _count(tensor, axes), taken)


@provide("std")
def std(
    x: Any,
    axis: Any = None,
    *,
    correction: float | None = None,
    keepdims: bool = False,
    ddof: float | None = None,
) -> Tensor:
    """The standard deviation over `axis`: the root of `var`, whose derivative at 0 is taken as 0."""
    return root(var(x, axis, correction=correction, keepdims=keepdims, ddof=ddof))


def root(x: Tensor) -> Tensor:
    """The square root of sums of squares: its derivatives of every order are 0 at 0."""
    return where(x == 0, 0, sqrt(where(x == 0, 1, x)))


def _real(x: Any, name: str) -> Tensor:
    tensor: Tensor = as_inexact(x)
    if tensor.dtype.kind not in FLOATS:
        raise DTypeError(f"{name} does not take {tensor.dtype}", facts=[("x", tensor.type)])
    return tensor


def _count(x: Tensor, axes: Sequence[int]) -> Dim:
    return dims.count(x.shape[a] for a in axes)


def _divided(total: Tensor, count: Dim, correction: float) -> Tensor:
    """total / (count - correction), where that is positive, else total / 0."""
    if isinstance(count, int):
        return total / float(max(count - correction, 0))
    number = astype(size_tensor(count), total.dtype)
    return total / (maximum(number - correction, 0) if correction else number)


# ---- order statistics -------------------------------------------------------------------------------


@declare
@record
class ArgQuantile(Custom):
    """Where along `axis` the elements of the given ranks stand: the index of the smallest for rank 0, and so
    on; NaN last, equal elements in their order. The ranks, one after the other, replace the axis."""

    axis: int
    name: ClassVar[str] = "argquantile"
    operands = ("x", "ranks")
    numpy = "numeric.argquantile({x}, {ranks}, {axis})"
    fails = True
    no_gradient: ClassVar = dict.fromkeys(("x", "ranks"), "an index is piecewise constant")

    def infer(self, x: TensorType, ranks: TensorType) -> TensorType:
        if ranks.ndim != 1 or ranks.dtype is not INT64:
            raise DTypeError("argquantile needs a vector of ranks, int64")
        if x.dtype.kind not in REALS or not 0 <= self.axis < x.ndim:
            raise ShapeError(f"argquantile needs real numbers with an axis {self.axis}", facts=[("x", x)])
        return TensorType(INT64, (*x.shape[: self.axis], *ranks.shape, *x.shape[self.axis + 1 :]))

    def batch(self, size: Dim, operands: Sequence[Tensor], batched: Sequence[bool]) -> tuple[Tensor, ...]:
        x, ranks = operands
        if batched[1]:
            raise GraphError("the ranks of a quantile cannot differ along an axis of vmap")
        return (apply(replace(self, axis=self.axis + 1), x, ranks),)


#: The methods of Hyndman and Fan that are continuous in q: of n elements in order, the first at position 0, the
#: q-quantile stands at n q + alpha + q (1 - alpha - beta) - 1. Those of one element count from "linear"'s position.
POSITIONS: dict[str, tuple[float, float]] = {
    "linear": (1, 1),
    "interpolated_inverted_cdf": (0, 1),
    "hazen": (0.5, 0.5),
    "weibull": (0, 0),
    "median_unbiased": (1 / 3, 1 / 3),
    "normal_unbiased": (3 / 8, 3 / 8),
    "averaged_inverted_cdf": (0, 1),
    "inverted_cdf": (0, 1),
    "lower": (1, 1),
    "higher": (1, 1),
    "midpoint": (1, 1),
    "nearest": (1, 1),
}
#: The methods that take one element as it is, so that integers stay integers.
CHOOSING = ("lower", "higher", "nearest", "inverted_cdf")


@provide("quantile")
def quantile(x: Any, q: Any, axis: Any = None, *, method: str = "linear", keepdims: bool = False) -> Tensor:
    """The q-quantiles over `axis`: with the n elements in order, what stands at position q (n - 1).

    The derivative goes to the two neighbours of that position, by their weights; of equal elements to the first.
    The dtype is that of NumPy.

    Args:
        x: real numbers; NaN among them gives NaN.
        q: a number from 0 to 1, or a vector of them, which makes a leading axis of the result. Constants.
        axis: an int, several, or None for all.
        method: between two neighbours a <= b, at distance w of a: "linear" a + w (b - a), "lower" a, "higher" b,
            "midpoint" (a + b) / 2, "nearest" a or b (the even position of two). Or another of NumPy's names, for
            other positions: interpolated between neighbours "interpolated_inverted_cdf", "hazen", "weibull",
            "median_unbiased", "normal_unbiased"; the element there or the next "inverted_cdf"; the same, or the
            mean of two where the position is exact, "averaged_inverted_cdf".
        keepdims: whether the reduced axes stay, of size 1.

    Raises:
        ShapeError: no elements.

    >>> import symgrad as sg
    >>> sg.quantile([3.0, 1.0, 2.0, 10.0], [0.0, 0.5, 1.0]).eval()
    array([ 1. ,  2.5, 10. ])
    """
    return _quantile("quantile", x, q, axis, method, keepdims)


def _quantile(name: str, x: Any, q: Any, axis: Any, method: str, keepdims: bool) -> Tensor:
    at = origin.locate(origin.current())
    check_choice("method", method, POSITIONS, GraphError)
    wanted = _parts_of_one(q)
    tensor = as_tensor(x)
    if method not in CHOOSING or tensor.dtype.kind not in INTEGERS:
        tensor = _real(x, name)
    axes = normalize_axes(axis, tensor.ndim)
    kept = [i for i in range(tensor.ndim) if i not in axes]
    n = dims.product(tensor.shape[a] for a in axes)
    if isinstance(n, int) and n == 0:
        raise ShapeError(
            f"{name} of no elements is not defined", facts=[("x", tensor.type), ("axes", axes)], at=at
        )
    rows = reshape(permute_dims(tensor, (*kept, *axes)), (*[tensor.shape[i] for i in kept], n))
    found = _interpolated(rows, numpy.atleast_1d(wanted), n, method)
    if rows.dtype.kind in FLOATS:
        found = where(expand_dims(any_of(isnan(rows), -1), -1), numpy.nan, found)
    last = found.ndim - 1
    if keepdims:
        shape = tuple(1 if i in axes else d for i, d in enumerate(tensor.shape))
        result = reshape(permute_dims(found, (last, *range(last))), (len(wanted.reshape(-1)), *shape))
    else:
        result = permute_dims(found, (last, *range(last)))
    return squeeze(result, 0) if wanted.ndim == 0 else result


def _parts_of_one(q: Any) -> numpy.ndarray[Any, Any]:
    """q as an array of numbers from 0 to 1."""
    try:
        wanted = None if isinstance(q, Tensor) or holds_tensors(q) else numpy.asarray(q, numpy.float64)
    except (TypeError, ValueError):
        wanted = None
    if wanted is None or wanted.ndim > 1 or not ((wanted >= 0) & (wanted <= 1)).all():
        raise GraphError(
            "q must be a number from 0 to 1, or a vector of such, known when the graph is built",
            facts=[("q", f"{q!r:.60}")],
            at=origin.locate(origin.current()),
        )
    return wanted


def _interpolated(rows: Tensor, q: numpy.ndarray[Any, Any], n: Dim, method: str) -> Tensor:
    """The quantiles of the last axis, which they replace."""
    place = _position(q, n, method)
    if method in CHOOSING:
        chosen = floor(place) if method == "lower" else round(place) if method == "nearest" else ceil(place)
        return _ranked(rows, astype(chosen, INT64))
    below = floor(place)
    above = minimum(below + (place > below), n - 1)
    both = _ranked(rows, concat([astype(below, INT64), astype(above, INT64)]))
    low, high = both[..., : len(q)], both[..., len(q) :]
    weight = astype(place - below, rows.dtype)
    if method == "midpoint":
        weight = where(weight > 0, 0.5, 0)
    weight = broadcast_to(weight, low.shape)
    # From the nearer end, so that both ends are exact; with infinities by the weights, of which 0 takes nothing.
    apart = high - low
    finite = where(weight < 0.5, low + weight * apart, high - (1 - weight) * apart)
    weighted = masked_multiply(1 - weight, low) + masked_multiply(weight, high)
    return where(isfinite(apart), finite, weighted)


def _position(q: numpy.ndarray[Any, Any], n: Dim, method: str) -> Tensor:
    """Where the quantiles stand among n elements, from 0 to n - 1."""
    count = astype(as_tensor(size_tensor(n)), "float64")
    alpha, beta = POSITIONS[method]
    if alpha == beta == 1:
        return constant(q) * (count - 1)
    place = count * constant(q) + constant(alpha + q * (1 - alpha - beta)) - 1
    if method == "averaged_inverted_cdf":  # half-way to the next where it is exact, else the next
        place = where(place == floor(place), place + 0.5, ceil(place))
    return minimum(maximum(place, 0), count - 1)


def _ranked(rows: Tensor, ranks: Tensor) -> Tensor:
    """The elements of the given ranks along the last axis."""
    last = rows.ndim - 1
    return take_along_axis(rows, apply(ArgQuantile(last), rows, ranks), last)


@provide("median")
def median(x: Any, axis: Any = None, *, keepdims: bool = False) -> Tensor:
    """The median over `axis`: the middle element, or the mean of the middle two.

    >>> import symgrad as sg
    >>> sg.median([3.0, 1.0, 2.0, 10.0]).eval()
    np.float64(2.5)
    """
    return _quantile("median", x, 0.5, axis, "linear", keepdims)
