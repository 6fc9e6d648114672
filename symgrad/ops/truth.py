"""Questions about many elements at once: whether any holds, whether all hold, how many do."""

from __future__ import annotations

import typing
from dataclasses import replace
from typing import ClassVar

from symgrad.dims import Dim
from symgrad.ir.tensor import Tensor
from symgrad.ops.cast import astype
from symgrad.ops.compare import not_equal
from symgrad.ops.create import as_tensor
from symgrad.ops.kinds import BOOLS, Custom, declare
from symgrad.ops.reduce import reduced, reduction, sum
from symgrad.ops.shape import shifted
from symgrad.records import record
from symgrad.registry import provide
from symgrad.types import BOOL, INT64, TensorType


@declare
@record
class AnyOf(Custom):
    """Whether one holds, over `axes`; of none, false."""

    axes: tuple[int, ...]
    name: ClassVar[str] = "any"
    negative_is_empty = True
    operands = ("x",)
    numpy = "numpy.logical_or.reduce({x}, axis={axes}, out={out})"
    reduction = "maximum"
    no_gradient: ClassVar = {"x": "logic has no derivative"}

    def infer(self, x: TensorType) -> TensorType:
        return reduced(x, self.axes, self.name, BOOLS)

    def batched_op(self, size: Dim) -> AnyOf:
        return replace(self, axes=shifted(self.axes))


@declare
@record
class AllOf(AnyOf):
    """Whether all hold, over `axes`; of none, true."""

    name: ClassVar[str] = "all"
    numpy = "numpy.logical_and.reduce({x}, axis={axes}, out={out})"
    reduction = "minimum"


# ---- the language -----------------------------------------------------------------------------------


@provide("any")
def any(x: typing.Any, axis: typing.Any = None, *, keepdims: bool = False) -> Tensor:
    """Whether an element over `axis` is true (a number: is not 0; NaN is not). Of no elements, false.

    >>> from symgrad.ops.create import tensor
    >>> any(tensor("x", ("n", 3)), axis=1)
    <any: bool[n]>
    """
    return reduction(AnyOf, _holds(x), axis, keepdims)


@provide("all")
def all(x: typing.Any, axis: typing.Any = None, *, keepdims: bool = False) -> Tensor:
    """Whether every element over `axis` is true (a number: is not 0; NaN is not). Of no elements, true."""
    return reduction(AllOf, _holds(x), axis, keepdims)


def count_nonzero(x: typing.Any, axis: typing.Any = None, *, keepdims: bool = False) -> Tensor:
    """How many elements over `axis` are not 0, as int64.

    >>> import numpy
    >>> import symgrad as sg
    >>> sg.count_nonzero(numpy.eye(3), axis=0).eval()
    array([1, 1, 1])
    """
    return sum(astype(_holds(x), INT64), axis, keepdims=keepdims)


def _holds(x: typing.Any) -> Tensor:
    """Whether an element is true: as NumPy, a number that is not 0."""
    tensor = as_tensor(x)
    return tensor if tensor.dtype is BOOL else not_equal(tensor, 0)
