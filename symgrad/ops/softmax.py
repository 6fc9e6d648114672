"""Exponentials in relation to their sum: logsumexp, softmax, log_softmax.

Ops with derivatives of their own rather than composites, so that gradients read `softmax(x)` and keep their
digits. All derivatives come down to y = softmax(x) and its Jacobian J = diag(y) - y y^T, a symmetric matrix:

    d logsumexp = y . t        d softmax = J t        d log_softmax = t - y . t

J t = y (t - y . t) as it stands loses everything where one y_i is nearly 1: there t_i - y . t cancels. J is blind to
constants, so t is first shifted by its value at the largest x; what is left is small where y_i is large.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy

from symgrad.dims import Dim
from symgrad.errors import DTypeError, ShapeError
from symgrad.ir.tensor import Node, Tensor, apply
from symgrad.ops.arithmetic import log
from symgrad.ops.cast import astype
from symgrad.ops.compare import equal, not_equal
from symgrad.ops.kinds import FLOATS, Custom, Tangents, TensorOp, declare, product, total
from symgrad.ops.reduce import Sum, Supremum, as_inexact, reduced, reduction, spread
from symgrad.ops.select import masked_multiply, masked_multiply_both, minimum, where
from symgrad.ops.shape import check_axes, normalize_axes, shifted
from symgrad.ops.transcendental import exp
from symgrad.records import record
from symgrad.registry import provide
from symgrad.types import TensorType


@record
class _OverAxes(Custom):
    axes: tuple[int, ...]
    negative_is_empty = True

    def batched_op(self, size: Dim) -> TensorOp:
        return replace(self, axes=shifted(self.axes))


@declare
@record
class LogSumExp(_OverAxes):
    """log(sum(exp(x))) over `axes`, without overflow; -inf, with derivative 0, where all x are -inf."""

    name: ClassVar[str] = "logsumexp"
    operands = ("x",)
    numpy = "numeric.logsumexp({x}, {axes}, {out})"

    def infer(self, x: TensorType) -> TensorType:
        return reduced(x, self.axes, self.name, FLOATS)

    def pull(
        self, node: Node, operand: int, cotangents: tuple[Tensor | None, ...], masked: bool
    ) -> Tensor | None:
        """g y"""
        (g,), (x,) = cotangents, node.inputs
        return None if g is None else product(spread(g, x.shape, self.axes), _softmax(x, self.axes), masked)

    def push(self, node: Node, tangents: Sequence[Tensor | None], masked: bool) -> Tangents | None:
        """y . t"""
        (t,), (x,) = tangents, node.inputs
        if t is None:
            return (None,)
        weighted = product(t, _softmax(x, self.axes), masked)
        assert weighted is not None
        return (apply(Sum(self.axes), weighted),)

    def expand(self, x: Tensor) -> Tensor:
        e, shift = _exponentials(x, self.axes)
        return log(apply(Sum(self.axes), e)) + shift


@declare
@record
class Softmax(_OverAxes):
    """exp(x) / sum(exp(x)) over `axes`, without overflow; 0 where all x are -inf."""

    name: ClassVar[str] = "softmax"
    operands = ("x",)
    numpy = "numeric.softmax({x}, {axes}, {out})"

    def infer(self, x: TensorType) -> TensorType:
        return _same(x, self.axes, self.name)

    def pull(
        self, node: Node, operand: int, cotangents: tuple[Tensor | None, ...], masked: bool
    ) -> Tensor | None:
        (g,), (x,) = cotangents, node.inputs
        return None if g is None else apply(SoftmaxDerivative(self.axes, masked), x, g)

    def push(self, node: Node, tangents: Sequence[Tensor | None], masked: bool) -> Tangents | None:
        return (self.pull(node, 0, tuple(tangents), masked),)

    def expand(self, x: Tensor) -> Tensor:
        e, _ = _exponentials(x, self.axes)
        total = apply(Sum(self.axes), e)
        return e / spread(where(total == 0, 1, total), x.shape, self.axes)


@declare
@record
class SoftmaxDerivative(_OverAxes):
    """J g with J = diag(y) - y y^T, y = softmax(x) over `axes`: the derivative of softmax along g, and its
    transpose.

    An element with y = 0 counts nothing, whatever its g is. With `strong`, g that are all 0 give 0, whatever x
    is (see "Masked cotangents" in `kinds`).

    J is linear in g. Towards x, h . J g has the gradient J ((g - y . g) (h - y . h)), the third cumulant.
    """

    strong: bool = False
    name: ClassVar[str] = "softmax_derivative"
    operands = ("x", "g")
    numpy = "numeric.softmax_derivative({x}, {g}, {axes}, {strong}, {out})"

    def infer(self, x: TensorType, g: TensorType) -> TensorType:
        if x != g:
            raise ShapeError("softmax_derivative needs operands of one type")
        return _same(x, self.axes, self.name)

    def pull(
        self, node: Node, operand: int, cotangents: tuple[Tensor | None, ...], masked: bool
    ) -> Tensor | None:
        (h,), (x, g) = cotangents, node.inputs
        if h is None:
            return None
        strong = self.strong or masked
        op = SoftmaxDerivative(self.axes, strong)
        if operand == 1:
            return apply(op, x, h)
        h_centred, g_centred = (apply(SoftmaxCentred(self.axes, strong), x, v) for v in (h, g))
        return apply(op, x, _both(h_centred, g_centred, strong))

    def push(self, node: Node, tangents: Sequence[Tensor | None], masked: bool) -> Tangents | None:
        """J is symmetric, and so is its derivative: tangents go the way of cotangents."""
        return (total([self.pull(node, i, (t,), masked) for i, t in enumerate(tangents)]),)

    def expand(self, x: Tensor, g: Tensor) -> Tensor:
        y, relative, live = _shift_by_dominant(x, g, self.axes, self.strong)
        weighted = masked_multiply(y, relative)
        out = weighted - y * spread(apply(Sum(self.axes), weighted), x.shape, self.axes)
        return out if live is None else where(live, out, 0)


@declare
@record
class SoftmaxCentred(_OverAxes):
    """t - y . t with y = softmax(x) over `axes`: the derivative of log_softmax along t. `strong` as there."""

    strong: bool = False
    name: ClassVar[str] = "softmax_centred"
    operands = ("x", "t")
    numpy = "numeric.softmax_centred({x}, {t}, {axes}, {strong}, {out})"

    def infer(self, x: TensorType, t: TensorType) -> TensorType:
        if x != t:
            raise ShapeError("softmax_centred needs operands of one type")
        return _same(x, self.axes, self.name)

    def pull(
        self, node: Node, operand: int, cotangents: tuple[Tensor | None, ...], masked: bool
    ) -> Tensor | None:
        """Towards t: h - y sum(h). Towards x: -J t sum(h)."""
        (h,), (x, t) = cotangents, node.inputs
        if h is None:
            return None
        strong = self.strong or masked
        if operand == 1:
            return _centre_back(h, _softmax(x, self.axes), self.axes, strong)
        whole = spread(apply(Sum(self.axes), h), x.shape, self.axes)
        return _both(-whole, apply(SoftmaxDerivative(self.axes, strong), x, t), strong)

    def push(self, node: Node, tangents: Sequence[Tensor | None], masked: bool) -> Tangents | None:
        """Along t the op itself; along x, -sum(t_x J t)."""
        (t_x, t_t), (x, t) = tangents, node.inputs
        parts = [None if t_t is None else apply(replace(self, strong=self.strong or masked), x, t_t)]
        if t_x is not None:
            turned = apply(SoftmaxDerivative(self.axes, self.strong or masked), x, t)
            weighted = _both(t_x, turned, self.strong or masked)
            parts.append(-spread(apply(Sum(self.axes), weighted), x.shape, self.axes))
        return (total(parts),)

    def expand(self, x: Tensor, t: Tensor) -> Tensor:
        y, relative, live = _shift_by_dominant(x, t, self.axes, self.strong)
        out = relative - spread(apply(Sum(self.axes), masked_multiply(y, relative)), x.shape, self.axes)
        return out if live is None else where(live, out, 0)


@declare
@record
class LogSoftmax(_OverAxes):
    """log(softmax(x)) over `axes`, without underflow; -inf where all x are -inf, with the derivative g: softmax is
    0 there."""

    name: ClassVar[str] = "log_softmax"
    operands = ("x",)
    numpy = "numeric.log_softmax({x}, {axes}, {out})"

    def infer(self, x: TensorType) -> TensorType:
        return _same(x, self.axes, self.name)

    def pull(
        self, node: Node, operand: int, cotangents: tuple[Tensor | None, ...], masked: bool
    ) -> Tensor | None:
        """g - y sum(g)"""
        (g,), (x,) = cotangents, node.inputs
        if g is None:
            return None
        return _centre_back(g, apply(SoftmaxFromLog(self.axes), node.output, x), self.axes, masked)

    def push(self, node: Node, tangents: Sequence[Tensor | None], masked: bool) -> Tangents | None:
        (t,), (x,) = tangents, node.inputs
        return (None if t is None else apply(SoftmaxCentred(self.axes, masked), x, t),)

    def expand(self, x: Tensor) -> Tensor:
        shifted = x - spread(_shift(x, self.axes), x.shape, self.axes)
        total = apply(Sum(self.axes), exp(shifted))
        return shifted - spread(log(where(total == 0, 1, total)), x.shape, self.axes)


@declare
@record
class SoftmaxFromLog(_OverAxes):
    """softmax(x), from log_softmax(x) where that is at hand: exp(l), but with the derivative of softmax towards x
    alone, which keeps its digits."""

    name: ClassVar[str] = "softmax_from_log"
    operands = ("l", "x")
    numpy = "numpy.exp({l}, out={out})"
    no_gradient: ClassVar = {"l": "it is log_softmax(x), and counts as a function of x"}

    def infer(self, l: TensorType, x: TensorType) -> TensorType:
        if l != x:
            raise ShapeError("softmax_from_log needs operands of one type")
        return _same(x, self.axes, self.name)

    def pull(
        self, node: Node, operand: int, cotangents: tuple[Tensor | None, ...], masked: bool
    ) -> Tensor | None:
        (g,), (_, x) = cotangents, node.inputs
        if g is None or operand == 0:
            return None
        return apply(SoftmaxDerivative(self.axes, masked), x, g)

    def push(self, node: Node, tangents: Sequence[Tensor | None], masked: bool) -> Tangents | None:
        return (self.pull(node, 1, (tangents[1],), masked),)

    def expand(self, l: Tensor, x: Tensor) -> Tensor:
        return exp(l)


def _same(x: TensorType, axes: tuple[int, ...], name: str) -> TensorType:
    check_axes(axes, x.ndim, name)
    if x.dtype.kind not in FLOATS:
        raise DTypeError(f"{name} does not take {x.dtype}", hint=f"it takes {', '.join(FLOATS)}")
    return x


def _softmax(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    return apply(Softmax(axes), x)


def _both(a: Tensor, b: Tensor, strong: bool) -> Tensor:
    """a b, where `strong` 0 if either is: both are linear in something masked."""
    return masked_multiply_both(a, b) if strong else a * b


def _centre_back(g: Tensor, y: Tensor, axes: tuple[int, ...], masked: bool) -> Tensor:
    """g - y sum(g)"""
    weighted = product(spread(apply(Sum(axes), g), g.shape, axes), y, masked)
    assert weighted is not None
    return g - weighted


# ---- in simpler ops ---------------------------------------------------------------------------------


def _shift(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """The maximum over `axes`: exp(inf - inf) would be NaN, so the largest number for inf, 0 for -inf."""
    largest = _supremum(x, axes)
    most = float(numpy.finfo(x.dtype.numpy).max)
    return where(largest > -math.inf, minimum(largest, most), 0)


def _supremum(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    return apply(Supremum(axes), x) if axes else x


def _exponentials(x: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """exp(x - shift), and the shift."""
    shift = _shift(x, axes)
    return exp(x - spread(shift, x.shape, axes)), shift


def _shift_by_dominant(
    x: Tensor, g: Tensor, axes: tuple[int, ...], strong: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    """y; g less its value at the largest x (the largest, at ties; g itself where y is 0); where `strong`, whether
    some g is not 0."""
    largest = _supremum(x, axes)
    centre = _supremum(where(equal(x, spread(largest, x.shape, axes)), g, -math.inf), axes)
    centre = where(largest == -math.inf, 0, centre)
    live = None
    if strong:
        some = apply(Sum(axes), astype(not_equal(g, 0), x.dtype))
        live = spread(some > 0, x.shape, axes)
    return Softmax(axes).expand(x), g - spread(centre, x.shape, axes), live


# ---- the language -----------------------------------------------------------------------------------


@provide("logsumexp")
def logsumexp(x: Any, axis: Any = None, *, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x))) over `axis`, without overflow."""
    return reduction(LogSumExp, as_inexact(x), axis, keepdims)


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
    tensor = as_inexact(x)
    return apply(op(normalize_axes(axis, tensor.ndim)), tensor)
