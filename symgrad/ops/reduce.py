"""Reductions. In the IR they drop the axes they reduce; `keepdims` is a reshape afterwards."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from symgrad.dims import Dim, Shape, product
from symgrad.errors import DTypeError, ShapeError
from symgrad.ir.tensor import Tensor, apply
from symgrad.ops.arithmetic import log, reciprocal
from symgrad.ops.cast import astype
from symgrad.ops.compare import equal
from symgrad.ops.create import arange, as_tensor, size_tensor
from symgrad.ops.kinds import BITS, FLOATS, INEXACT, NUMBERS, REALS, Custom, Linear, TensorOp, declare
from symgrad.ops.select import where
from symgrad.ops.shape import (
    Broadcast,
    check_axes,
    normalize_axes,
    normalize_axis,
    permute_dims,
    reshape,
    shifted,
)
from symgrad.ops.transcendental import exp
from symgrad.registry import provide
from symgrad.types import FLOAT64, INT64, DTypeLike, TensorType


def _reduced(x: TensorType, axes: tuple[int, ...], name: str, accepts: tuple[str, ...]) -> TensorType:
    check_axes(axes, x.ndim, name)
    if x.dtype.kind not in accepts:
        raise DTypeError(f"{name} does not take {x.dtype}", hint=f"it takes {', '.join(accepts)}")
    return x.with_shape(tuple(d for i, d in enumerate(x.shape) if i not in axes))


def _require_elements(x: TensorType, axes: tuple[int, ...], name: str) -> None:
    if any(isinstance(x.shape[a], int) and x.shape[a] == 0 for a in axes):
        raise ShapeError(f"{name} of no elements is not defined", facts=[("x", x), ("axes", axes)])


@declare
@dataclass(frozen=True)
class Sum(Linear):
    """The sum over `axes`."""

    axes: tuple[int, ...]
    name: ClassVar[str] = "sum"
    operands = ("x",)
    numpy = "numpy.add.reduce({x}, axis={axes}, dtype={x}.dtype, out={out})"
    reduction = "add"

    def infer(self, x: TensorType) -> TensorType:
        return _reduced(x, self.axes, "sum", NUMBERS)

    def transpose_x(self, g: Tensor, x: Tensor) -> Tensor:
        return spread(g, x.shape, self.axes)

    def batched_op(self, size: Dim) -> Sum:
        return replace(self, axes=shifted(self.axes))


@declare
@dataclass(frozen=True)
class Max(Custom):
    """The maximum over `axes`; NaN if there is one. At ties the derivative is split equally."""

    axes: tuple[int, ...]
    name: ClassVar[str] = "max"
    operands = ("x",)
    numpy = "numpy.maximum.reduce({x}, axis={axes}, out={out})"
    reduction = "maximum"
    has_identity = False
    selects = True

    def infer(self, x: TensorType) -> TensorType:
        _require_elements(x, self.axes, self.name)
        return _reduced(x, self.axes, self.name, REALS)

    def vjp_x(self, g: Tensor, x: Tensor, out: Tensor) -> Tensor:
        taken = equal(x, spread(out, x.shape, self.axes))
        share = g * reciprocal(apply(Sum(self.axes), astype(taken, x.dtype)))
        return where(taken, spread(share, x.shape, self.axes), 0)

    def batched_op(self, size: Dim) -> Max:
        return replace(self, axes=shifted(self.axes))


@declare
@dataclass(frozen=True)
class Min(Max):
    """The minimum over `axes`; NaN if there is one. At ties the derivative is split equally."""

    name: ClassVar[str] = "min"
    numpy = "numpy.minimum.reduce({x}, axis={axes}, out={out})"
    reduction = "minimum"


@declare
@dataclass(frozen=True)
class ArgMax(Custom):
    """The index of the first maximum along `axis`."""

    axis: int
    name: ClassVar[str] = "argmax"
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
        return _reduced(x, (self.axis,), self.name, REALS).with_dtype(INT64)

    def batched_op(self, size: Dim) -> ArgMax:
        return replace(self, axis=self.axis + 1)


@declare
@dataclass(frozen=True)
class ArgMin(ArgMax):
    """The index of the first minimum along `axis`."""

    name: ClassVar[str] = "argmin"
    numpy = "numpy.argmin({x}, axis={axis}, out={out})"
    reduction = "argmin"


@declare
@dataclass(frozen=True)
class LogSumExp(Custom):
    """log(sum(exp(x))) over `axes`, without overflow; -inf, with derivative 0, where all x are -inf."""

    axes: tuple[int, ...]
    name: ClassVar[str] = "logsumexp"
    operands = ("x",)
    numpy = "numeric.logsumexp({x}, {axes}, {out})"

    def infer(self, x: TensorType) -> TensorType:
        return _reduced(x, self.axes, self.name, FLOATS)

    def vjp_x(self, g: Tensor, x: Tensor, out: Tensor) -> Tensor:
        return spread(g, x.shape, self.axes) * apply(Softmax(self.axes), x)

    def expand(self, x: Tensor) -> Tensor:
        e, shift = _exponentials(x, self.axes)
        return log(apply(Sum(self.axes), e)) + shift

    def batched_op(self, size: Dim) -> LogSumExp:
        return replace(self, axes=shifted(self.axes))


@declare
@dataclass(frozen=True)
class Softmax(Custom):
    """exp(x) / sum(exp(x)) over `axes`, without overflow; 0 where all x are -inf."""

    axes: tuple[int, ...]
    name: ClassVar[str] = "softmax"
    operands = ("x",)
    numpy = "numeric.softmax({x}, {axes}, {out})"

    def infer(self, x: TensorType) -> TensorType:
        check_axes(self.axes, x.ndim, self.name)
        _reduced(x, self.axes, self.name, FLOATS)
        return x

    def vjp_x(self, g: Tensor, x: Tensor, out: Tensor) -> Tensor:
        # y (g - sum(g y)), as (y g) - y sum(y g), which shares y g
        weighted = out * g
        return weighted - out * spread(apply(Sum(self.axes), weighted), x.shape, self.axes)

    def expand(self, x: Tensor) -> Tensor:
        e, _ = _exponentials(x, self.axes)
        total = apply(Sum(self.axes), e)
        return e / spread(where(total == 0, 1, total), x.shape, self.axes)

    def batched_op(self, size: Dim) -> Softmax:
        return replace(self, axes=shifted(self.axes))


@declare
@dataclass(frozen=True)
class LogSoftmax(Custom):
    """log(softmax(x)) over `axes`, without underflow."""

    axes: tuple[int, ...]
    name: ClassVar[str] = "log_softmax"
    operands = ("x",)
    numpy = "numeric.log_softmax({x}, {axes}, {out})"

    def infer(self, x: TensorType) -> TensorType:
        check_axes(self.axes, x.ndim, self.name)
        _reduced(x, self.axes, self.name, FLOATS)
        return x

    def vjp_x(self, g: Tensor, x: Tensor, out: Tensor) -> Tensor:
        total = apply(Sum(self.axes), g)
        return g - exp(out) * spread(total, x.shape, self.axes)

    def expand(self, x: Tensor) -> Tensor:
        shifted = x - spread(_shift(x, self.axes), x.shape, self.axes)
        return shifted - spread(log(apply(Sum(self.axes), exp(shifted))), x.shape, self.axes)

    def batched_op(self, size: Dim) -> LogSoftmax:
        return replace(self, axes=shifted(self.axes))


@declare
@dataclass(frozen=True)
class Prod(Custom):
    """The product over `axes`. The derivative divides by nothing: it is the product of the others."""

    axes: tuple[int, ...]
    name: ClassVar[str] = "prod"
    operands = ("x",)
    numpy = "numpy.multiply.reduce({x}, axis={axes}, dtype={x}.dtype, out={out})"
    reduction = "multiply"

    def infer(self, x: TensorType) -> TensorType:
        return _reduced(x, self.axes, self.name, NUMBERS)

    def vjp_x(self, g: Tensor, x: Tensor, out: Tensor) -> Tensor:
        """With the reduced axes flattened to one of n: the product of row i of an n by n matrix that is x but
        1 on the diagonal. n^2 work, exact at every order and at zeros."""
        kept = tuple(i for i in range(x.ndim) if i not in self.axes)
        order = (*kept, *self.axes)
        lead = tuple(x.shape[i] for i in kept)
        n = product(x.shape[a] for a in self.axes)
        flat = reshape(permute_dims(x, order), (*lead, n))
        square_shape = (*lead, n, n)
        rank = len(lead)
        rows = spread(flat, square_shape, (rank,))
        index = arange(n)
        diagonal = equal(
            spread(index, square_shape, (*range(rank), rank + 1)),
            spread(index, square_shape, tuple(range(rank + 1))),
        )
        others = apply(Prod((rank + 1,)), where(diagonal, 1, rows))
        back = reshape(others, tuple(x.shape[i] for i in order))
        inverse = tuple(order.index(i) for i in range(x.ndim))
        return spread(g, x.shape, self.axes) * permute_dims(back, inverse)

    def batched_op(self, size: Dim) -> Prod:
        return replace(self, axes=shifted(self.axes))


def spread(x: Tensor, shape: Shape, axes: Sequence[int]) -> Tensor:
    """x broadcast to `shape`, its new axes at `axes`: the transpose of a reduction over them."""
    return apply(Broadcast(tuple(shape), tuple(axes)), x) if axes else x


@dataclass(frozen=True)
class _MaxOrLowest(Max):
    """The maximum over `axes`, of nothing -inf: for native forms, in no graph that users see."""

    has_identity = True

    def infer(self, x: TensorType) -> TensorType:
        return _reduced(x, self.axes, self.name, FLOATS)


def _shift(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """The maximum over `axes`, or 0 where it is -inf: exp(-inf - -inf) would be NaN."""
    largest = apply(_MaxOrLowest(axes), x) if axes else x
    return where(largest == -math.inf, 0, largest)


def _exponentials(x: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """exp(x - shift), and the shift."""
    shift = _shift(x, axes)
    return exp(x - spread(shift, x.shape, axes)), shift


# ---- the language -----------------------------------------------------------------------------------


def _reduction(op: Callable[[tuple[int, ...]], TensorOp], x: Any, axis: Any, keepdims: bool) -> Tensor:
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
def sum(x: Any, axis: Any = None, *, dtype: DTypeLike | None = None, keepdims: bool = False) -> Tensor:
    """The sum over `axis` (all axes unless given); small integers and booleans are summed as int64.

    >>> from symgrad.ops.create import tensor
    >>> sum(tensor("x", ("n", 3)), axis=1, keepdims=True)
    <reshape: f64[n,1]>
    """
    return _reduction(Sum, _wide(x, dtype), axis, keepdims)


@provide("prod")
def prod(x: Any, axis: Any = None, *, dtype: DTypeLike | None = None, keepdims: bool = False) -> Tensor:
    """The product over `axis`."""
    return _reduction(Prod, _wide(x, dtype), axis, keepdims)


def _wide(x: Any, dtype: DTypeLike | None) -> Any:
    """NumPy's accumulator: integers narrower than 64 bits are widened."""
    if getattr(x, "is_pattern", False):
        return x
    tensor = as_tensor(x)
    if dtype is not None:
        return astype(tensor, dtype)
    if tensor.dtype.kind not in BITS:
        return tensor
    return astype(tensor, "uint64" if tensor.dtype.kind == "uint" else "int64")


@provide("mean")
def mean(x: Any, axis: Any = None, *, keepdims: bool = False) -> Tensor:
    """The mean over `axis`: the sum divided by the number of elements, which may be symbolic."""
    tensor = as_tensor(x)
    if tensor.dtype.kind not in INEXACT:
        tensor = astype(tensor, FLOAT64)
    axes = normalize_axes(axis, tensor.ndim)
    count: Dim = product(tensor.shape[a] for a in axes)
    total = sum(tensor, axes, keepdims=keepdims)
    if isinstance(count, int):
        return total / count
    return total / astype(size_tensor(count), tensor.dtype)


@provide("max")
def max(x: Any, axis: Any = None, *, keepdims: bool = False) -> Tensor:
    """The maximum over `axis`."""
    return _reduction(Max, x, axis, keepdims)


@provide("min")
def min(x: Any, axis: Any = None, *, keepdims: bool = False) -> Tensor:
    """The minimum over `axis`."""
    return _reduction(Min, x, axis, keepdims)


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


@provide("logsumexp")
def logsumexp(x: Any, axis: Any = None, *, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x))) over `axis`, without overflow."""
    return _reduction(LogSumExp, _float(x), axis, keepdims)


@provide("softmax")
def softmax(x: Any, axis: Any = None) -> Tensor:
    """exp(x) / sum(exp(x)) over `axis` (all axes unless given, as SciPy)."""
    return _normalised(Softmax, x, axis)


@provide("log_softmax")
def log_softmax(x: Any, axis: Any = None) -> Tensor:
    """log(softmax(x)) over `axis`."""
    return _normalised(LogSoftmax, x, axis)


def _normalised(op: Callable[[tuple[int, ...]], TensorOp], x: Any, axis: Any) -> Tensor:
    if getattr(x, "is_pattern", False):
        result: Tensor = x.reduction(op, axis, False)
        return result
    tensor = _float(x)
    return apply(op(normalize_axes(axis, tensor.ndim)), tensor)


def _float(x: Any) -> Any:
    if getattr(x, "is_pattern", False):
        return x
    tensor = as_tensor(x)
    return astype(tensor, FLOAT64) if tensor.dtype.kind in BITS else tensor
