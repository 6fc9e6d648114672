"""Reductions. In the IR they drop the axes they reduce; `keepdims` is a reshape afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from symgrad.dims import Dim, Shape, product
from symgrad.errors import DTypeError, ShapeError
from symgrad.ir.tensor import Node, Tensor, apply
from symgrad.ops.arithmetic import reciprocal
from symgrad.ops.cast import astype
from symgrad.ops.compare import equal
from symgrad.ops.complexes import conj
from symgrad.ops.create import as_tensor
from symgrad.ops.cumulative import CumulativeProd, wide
from symgrad.ops.kinds import (
    BITS,
    FLOATS,
    NUMBERS,
    REALS,
    Custom,
    Linear,
    Tangents,
    TensorOp,
    declare,
)
from symgrad.ops.select import masked_multiply, where
from symgrad.ops.shape import (
    Broadcast,
    check_axes,
    normalize_axes,
    normalize_axis,
    permute_dims,
    reshape,
    shifted,
)
from symgrad.records import record
from symgrad.registry import provide
from symgrad.types import FLOAT64, INT64, DTypeLike, TensorType

#: What has a largest and a smallest.
ORDERED = ("bool", *REALS)


def reduced(x: TensorType, axes: tuple[int, ...], name: str, accepts: tuple[str, ...]) -> TensorType:
    check_axes(axes, x.ndim, name)
    if x.dtype.kind not in accepts:
        raise DTypeError(f"{name} does not take {x.dtype}", hint=f"it takes {', '.join(accepts)}")
    return x.with_shape(tuple(d for i, d in enumerate(x.shape) if i not in axes))


def _require_elements(x: TensorType, axes: tuple[int, ...], name: str) -> None:
    check_axes(axes, x.ndim, name)
    if any(isinstance(x.shape[a], int) and x.shape[a] == 0 for a in axes):
        raise ShapeError(f"{name} of no elements is not defined", facts=[("x", x), ("axes", axes)])


@declare
@record
class Sum(Linear):
    """The sum over `axes`."""

    axes: tuple[int, ...]
    name: ClassVar[str] = "sum"
    negative_is_empty = True
    operands = ("x",)
    numpy = "numpy.add.reduce({x}, axis={axes}, dtype={x}.dtype, out={out})"
    reduction = "add"

    def infer(self, x: TensorType) -> TensorType:
        return reduced(x, self.axes, "sum", NUMBERS)

    def transpose_x(self, g: Tensor, x: Tensor) -> Tensor:
        return spread(g, x.shape, self.axes)

    def batched_op(self, size: Dim) -> Sum:
        return replace(self, axes=shifted(self.axes))


@declare
@record
class Max(Custom):
    """The maximum over `axes`; NaN if there is one. At ties the derivative is split equally."""

    axes: tuple[int, ...]
    name: ClassVar[str] = "max"
    negative_is_empty = True
    operands = ("x",)
    numpy = "numpy.maximum.reduce({x}, axis={axes}, out={out})"
    reduction = "maximum"
    has_identity = False
    selects = True

    def infer(self, x: TensorType) -> TensorType:
        _require_elements(x, self.axes, self.name)
        return reduced(x, self.axes, self.name, ORDERED)

    def vjp_x(self, g: Tensor, x: Tensor, out: Tensor) -> Tensor:
        taken, share = self._taken(x, out)
        return where(taken, spread(g * share, x.shape, self.axes), 0)

    def push(self, node: Node, tangents: Sequence[Tensor | None], masked: bool) -> Tangents | None:
        """The mean of the tangents of the tied."""
        (t,) = tangents
        if t is None or not t.dtype.is_differentiable:
            return (None,)
        taken, share = self._taken(node.inputs[0], node.output)
        return (apply(Sum(self.axes), where(taken, t, 0)) * share,)

    def _taken(self, x: Tensor, out: Tensor) -> tuple[Tensor, Tensor]:
        """Where x is the maximum, and 1 / how often."""
        taken = equal(x, spread(out, x.shape, self.axes))
        return taken, reciprocal(apply(Sum(self.axes), astype(taken, x.dtype)))

    def batched_op(self, size: Dim) -> Max:
        return replace(self, axes=shifted(self.axes))


@declare
@record
class Min(Max):
    """The minimum over `axes`; NaN if there is one. At ties the derivative is split equally."""

    name: ClassVar[str] = "min"
    numpy = "numpy.minimum.reduce({x}, axis={axes}, out={out})"
    reduction = "minimum"


@declare
@record
class Supremum(Max):
    """The least upper bound over `axes`: the maximum, and -inf of no elements. Softmax and norms shift and scale
    by it."""

    name: ClassVar[str] = "supremum"
    numpy = "numpy.maximum.reduce({x}, axis={axes}, initial=-numpy.inf, out={out})"
    has_identity = True

    def infer(self, x: TensorType) -> TensorType:
        return reduced(x, self.axes, self.name, FLOATS)


@declare
@record
class ArgMax(Custom):
    """The index of the first maximum along `axis`."""

    axis: int
    name: ClassVar[str] = "argmax"
    negative_is_empty = True
    operands = ("x",)
    numpy = "numpy.argmax({x}, axis={axis}, out={out})"
    reduction = "argmax"
    has_identity = False
    no_gradient: ClassVar = {"x": "an index is piecewise constant"}

    @property
    def axes(self) -> tuple[int, ...]:
        return (self.axis,)

    def infer(self, x: TensorType) -> TensorType:
        _require_elements(x, (self.axis,), self.name)
        return reduced(x, (self.axis,), self.name, ORDERED).with_dtype(INT64)

    def batched_op(self, size: Dim) -> ArgMax:
        return replace(self, axis=self.axis + 1)


@declare
@record
class ArgMin(ArgMax):
    """The index of the first minimum along `axis`."""

    name: ClassVar[str] = "argmin"
    numpy = "numpy.argmin({x}, axis={axis}, out={out})"
    reduction = "argmin"


@declare
@record
class Prod(Custom):
    """The product over `axes`. The derivative divides by nothing: it is the product of all before times the
    product of all behind, right at every order and at zeros."""

    axes: tuple[int, ...]
    name: ClassVar[str] = "prod"
    negative_is_empty = True
    operands = ("x",)
    numpy = "numpy.multiply.reduce({x}, axis={axes}, dtype={x}.dtype, out={out})"
    reduction = "multiply"

    def infer(self, x: TensorType) -> TensorType:
        return reduced(x, self.axes, self.name, NUMBERS)

    def vjp_x(self, g: Tensor, x: Tensor, out: Tensor) -> Tensor:
        return masked_multiply(spread(g, x.shape, self.axes), conj(self._others(x)))

    def push(self, node: Node, tangents: Sequence[Tensor | None], masked: bool) -> Tangents | None:
        """sum over i of t_i times the product of the others."""
        (t,) = tangents
        if t is None or not t.dtype.is_differentiable:
            return (None,)
        return (apply(Sum(self.axes), masked_multiply(t, self._others(node.inputs[0]))),)

    def _others(self, x: Tensor) -> Tensor:
        """For each element the product of all others, along the reduced axes in a row."""
        kept = tuple(i for i in range(x.ndim) if i not in self.axes)
        order = (*kept, *self.axes)
        n = product(x.shape[a] for a in self.axes)
        flat = reshape(permute_dims(x, order), (*[x.shape[i] for i in kept], n))
        before, behind = (
            apply(CumulativeProd(len(kept), reverse=r, exclusive=True), flat) for r in (False, True)
        )
        back = reshape(before * behind, tuple(x.shape[i] for i in order))
        return permute_dims(back, tuple(order.index(i) for i in range(x.ndim)))

    def batched_op(self, size: Dim) -> Prod:
        return replace(self, axes=shifted(self.axes))


def spread(x: Tensor, shape: Shape, axes: Sequence[int]) -> Tensor:
    """x broadcast to `shape`, its new axes at `axes`: the transpose of a reduction over them."""
    return apply(Broadcast(tuple(shape), tuple(axes)), x) if axes else x


# ---- the language -----------------------------------------------------------------------------------


def reduction(op: Callable[[tuple[int, ...]], TensorOp], x: Any, axis: Any, keepdims: bool) -> Tensor:
    if getattr(x, "is_pattern", False):
        result: Tensor = x.reduction(op, axis, keepdims)
        return result
    tensor = as_tensor(x)
    axes = normalize_axes(axis, tensor.ndim)
    reduced = apply(op(axes), tensor) if axes else tensor
    return keep(reduced, tensor.shape, axes) if keepdims else reduced


def keep(reduced: Tensor, shape: Shape, axes: tuple[int, ...]) -> Tensor:
    """A reduced tensor with its axes back, of size 1."""
    return reshape(reduced, tuple(1 if i in axes else d for i, d in enumerate(shape)))


@provide("sum")
def sum(x: Any, axis: Any = None, dtype: DTypeLike | None = None, *, keepdims: bool = False) -> Tensor:
    """The sum over `axis` (all axes unless given); small integers and booleans are summed as int64.

    >>> from symgrad.ops.create import tensor
    >>> sum(tensor("x", ("n", 3)), axis=1, keepdims=True)
    <reshape: f64[n,1]>
    """
    return reduction(Sum, wide(x, dtype), axis, keepdims)


@provide("prod")
def prod(x: Any, axis: Any = None, dtype: DTypeLike | None = None, *, keepdims: bool = False) -> Tensor:
    """The product over `axis`."""
    return reduction(Prod, wide(x, dtype), axis, keepdims)


@provide("max")
def max(x: Any, axis: Any = None, *, keepdims: bool = False) -> Tensor:
    """The maximum over `axis`."""
    return reduction(Max, x, axis, keepdims)


@provide("min")
def min(x: Any, axis: Any = None, *, keepdims: bool = False) -> Tensor:
    """The minimum over `axis`."""
    return reduction(Min, x, axis, keepdims)


@provide("argmax")
def argmax(x: Any, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
    """The index of the first maximum along `axis` (in the flattened tensor unless given)."""
    return _arg(ArgMax, x, axis, keepdims)


@provide("argmin")
def argmin(x: Any, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
    """The index of the first minimum along `axis`."""
    return _arg(ArgMin, x, axis, keepdims)


def _arg(op: Callable[[int], TensorOp], x: Any, axis: int | None, keepdims: bool) -> Tensor:
    tensor = as_tensor(x)
    if axis is None:
        found = apply(op(0), reshape(tensor, (tensor.size,)))
        return keep(found, tensor.shape, tuple(range(tensor.ndim))) if keepdims else found
    axis = normalize_axis(axis, tensor.ndim)
    found = apply(op(axis), tensor)
    return keep(found, tensor.shape, (axis,)) if keepdims else found


def as_inexact(x: Any) -> Any:
    """x as a tensor of floats: integers and booleans become float64."""
    if getattr(x, "is_pattern", False):
        return x
    tensor = as_tensor(x)
    return astype(tensor, FLOAT64) if tensor.dtype.kind in BITS else tensor
