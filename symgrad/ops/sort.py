"""Sorting. `argsort` is the op; what is sorted is taken at its indices, so derivatives follow the permutation.

All sorts are stable. NaNs come last, in either direction; -0 and 0 are equal.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from symgrad.dims import Dim
from symgrad.errors import DTypeError, ShapeError
from symgrad.ir import origin
from symgrad.ir.choice import check_choice
from symgrad.ir.tensor import Tensor, apply
from symgrad.ops.align import align_tensors
from symgrad.ops.create import as_tensor
from symgrad.ops.gather import TakeAlongAxis
from symgrad.ops.indexing import take
from symgrad.ops.kinds import REALS, Custom, declare
from symgrad.ops.shape import normalize_axis
from symgrad.ops.slices import narrow
from symgrad.records import record
from symgrad.registry import provide
from symgrad.types import INT64, TensorType, as_dim

_PIECEWISE = "an index is piecewise constant"


@declare
@record
class ArgSort(Custom):
    """The indices that sort x along `axis`, equal elements in their order; NaNs last."""

    axis: int
    descending: bool
    name: ClassVar[str] = "argsort"
    negative_is_empty = True
    operands = ("x",)
    numpy = "numeric.argsort({x}, {axis}, {descending})"
    no_gradient: ClassVar = {"x": _PIECEWISE}

    def infer(self, x: TensorType) -> TensorType:
        if not 0 <= self.axis < x.ndim:
            raise ShapeError(f"axis {self.axis} does not exist", facts=[("x", x)])
        if x.dtype.kind not in ("bool", *REALS):
            raise DTypeError(f"{x.dtype} has no order", facts=[("x", x)])
        return x.with_dtype(INT64)

    def batched_op(self, size: Dim) -> ArgSort:
        return replace(self, axis=self.axis + 1)


@declare
@record
class SearchSorted(Custom):
    """For each value, in how many of the sorted numbers it comes after: those below it (side "left"), or not
    above it ("right"). The first `rows` axes of both are rows of their own."""

    side: str
    rows: int
    name: ClassVar[str] = "searchsorted"
    operands = ("x", "values")
    numpy = "numeric.searchsorted({x}, {values}, {side}, {rows})"
    no_gradient: ClassVar = {"x": _PIECEWISE, "values": _PIECEWISE}

    def infer(self, x: TensorType, values: TensorType) -> TensorType:
        check_choice("side", self.side, ["left", "right"], ShapeError)
        if self.rows < 0 or x.ndim != self.rows + 1 or values.shape[: self.rows] != x.shape[:-1]:
            raise ShapeError("searchsorted takes one sorted vector (in each row)")
        if x.dtype is not values.dtype or x.dtype.kind not in ("bool", *REALS):
            raise DTypeError("searchsorted takes operands of one dtype that has an order")
        return values.with_dtype(INT64)

    def batched_op(self, size: Dim) -> SearchSorted:
        return replace(self, rows=self.rows + 1)


# ---- the language -----------------------------------------------------------------------------------


@provide("sort")
def sort(x: Any, axis: int = -1, *, descending: bool = False, stable: bool = True) -> Tensor:
    """x sorted along `axis`; NaNs last in either direction. Derivatives follow the permutation.

    `stable=False` allows another order of equal elements; it is never taken.

    >>> sort([3.0, 1.0, 2.0], descending=True).eval()
    array([3., 2., 1.])
    """
    tensor = as_tensor(x)
    order = argsort(tensor, axis, descending=descending, stable=stable)
    return apply(TakeAlongAxis(normalize_axis(axis, tensor.ndim)), tensor, order)


@provide("argsort")
def argsort(x: Any, axis: int = -1, *, descending: bool = False, stable: bool = True) -> Tensor:
    """The int64 indices that sort x along `axis`; equal elements keep their order, also descending.

    >>> argsort([3.0, 1.0, 3.0], descending=True).eval()
    array([0, 2, 1])
    """
    tensor = as_tensor(x)
    return apply(ArgSort(normalize_axis(axis, tensor.ndim), bool(descending)), tensor)


def topk(x: Any, k: Any, axis: int = -1) -> tuple[Tensor, Tensor]:
    """The k largest elements along `axis`, largest first, and their indices; of equal ones the lower index
    comes first, NaNs come last.

    >>> values, indices = topk([1.0, 4.0, 4.0, 2.0], 3)
    >>> values.eval(), indices.eval()
    (array([4., 4., 2.]), array([1, 2, 3]))
    """
    tensor, count = as_tensor(x), as_dim(k)
    place = normalize_axis(axis, tensor.ndim)
    size = tensor.shape[place]
    if isinstance(count, int) and isinstance(size, int) and count > size:
        raise ShapeError(
            f"there are no {count} elements along axis {place}",
            facts=[("x", tensor.type)],
            at=origin.locate(origin.current()),
        )
    indices = narrow(apply(ArgSort(place, True), tensor), place, 0, count)
    return apply(TakeAlongAxis(place), tensor, indices), indices


def searchsorted(x: Any, values: Any, side: str = "left", sorter: Any = None) -> Tensor:
    """Where each of `values`, of any shape, would be put into the ascending vector x: before what equals it
    (`side="left"`), or behind ("right"). NaN is greater than all numbers. A vector that is not ascending needs a
    `sorter`, the indices that sort it.

    >>> searchsorted([1.0, 2.0, 2.0], [2.0, 0.0, 5.0], side="right").eval()
    array([3, 0, 3])
    """
    vector = as_tensor(x) if sorter is None else take(x, sorter, axis=0)
    row, wanted = align_tensors([vector, as_tensor(values)])
    return apply(SearchSorted(side, 0), row, wanted)
