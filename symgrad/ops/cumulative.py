"""Cumulative ops: what has been added, multiplied, compared up to each element along an axis.

Their derivatives run along the axis too, backwards, and all come down to one linear op, the first-order
recurrence s_i = a_i s_(i-1) + b_i, whose transposes are recurrences again. So derivatives of every order take
linear time and divide by nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from symgrad.dims import Dim
from symgrad.errors import DTypeError, ShapeError
from symgrad.ir.tensor import Node, Tensor, apply
from symgrad.ops.cast import astype
from symgrad.ops.compare import equal
from symgrad.ops.complexes import conj
from symgrad.ops.create import as_tensor, fill
from symgrad.ops.join import concat
from symgrad.ops.kinds import BITS, INEXACT, NUMBERS, REALS, Custom, Linear, Tangents, declare, total
from symgrad.ops.select import masked_multiply, masked_multiply_both, where
from symgrad.ops.shape import normalize_axis, reshape
from symgrad.records import record
from symgrad.registry import provide
from symgrad.types import DTypeLike, PyScalar, TensorType

MODES = ("plain", "lagged", "exclusive")


def _along(x: TensorType, axis: int, name: str, accepts: tuple[str, ...]) -> TensorType:
    if not 0 <= axis < x.ndim:
        raise ShapeError(f"{name}: axis {axis} does not exist", facts=[("x", x)])
    if x.dtype.kind not in accepts:
        raise DTypeError(f"{name} does not take {x.dtype}", hint=f"it takes {', '.join(accepts)}")
    return x


@declare
@record
class LinearRecurrence(Linear):
    """s_i = a_i s_(i-1) + b_i along `axis`, from s = 0; backwards if `reverse`. Zeros are strong: nothing passes a
    zero of a, whatever s is, and s = 0 (a masked cotangent, say) stays 0, whatever a is. Three modes, each the transpose of one (of them, towards b):

        plain       s_i = a_i s_(i-1) + b_i          towards b: lagged, the other way
        lagged      s_i = a_(i-1) s_(i-1) + b_i      towards b: plain, the other way
        exclusive   s_(i-1) of plain                 towards b: exclusive, the other way
    """

    axis: int
    reverse: bool
    mode: str
    name: ClassVar[str] = "linear_recurrence"
    negative_is_empty = True
    operands = ("a", "b")
    numpy = "numeric.linear_recurrence({a}, {b}, {axis}, {reverse}, {mode})"
    selects = True

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        if self.mode not in MODES:
            raise ShapeError(
                f"linear_recurrence: the mode must be one of {', '.join(MODES)}, not {self.mode!r:.20}"
            )
        if a != b:
            raise ShapeError("linear_recurrence needs operands of one type")
        return _along(b, self.axis, self.name, INEXACT)

    def transpose_b(self, g: Tensor, a: Tensor, b: Tensor) -> Tensor:
        back = {"plain": "lagged", "lagged": "plain", "exclusive": "exclusive"}[self.mode]
        return apply(LinearRecurrence(self.axis, not self.reverse, back), conj(a), g)

    def transpose_a(self, g: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """Each a meets the s before it and the cotangent of the s behind it."""
        behind = replace(self, reverse=not self.reverse, mode="exclusive")
        if self.mode == "lagged":
            return masked_multiply_both(apply(behind, conj(a), g), conj(apply(self, a, b)))
        return masked_multiply_both(
            self.transpose_b(g, a, b), conj(apply(replace(self, mode="exclusive"), a, b))
        )

    def push(self, node: Node, tangents: Sequence[Tensor | None], masked: bool) -> Tangents | None:
        """What b's tangent gives, and a's: a recurrence whose b is t_a times the s that a meets."""
        a, b = node.inputs
        t_a, t_b = tangents
        parts = []
        if t_b is not None:
            parts.append(apply(self, a, t_b))
        if t_a is not None and self.mode == "lagged":
            met = masked_multiply_both(t_a, node.output)
            parts.append(apply(replace(self, mode="exclusive"), a, met))
        elif t_a is not None:
            parts.append(
                apply(self, a, masked_multiply_both(t_a, apply(replace(self, mode="exclusive"), a, b)))
            )
        return (total(parts),)

    def batched_op(self, size: Dim) -> LinearRecurrence:
        return replace(self, axis=self.axis + 1)


@declare
@record
class CumulativeSum(Linear):
    """The sum of the elements up to each, along `axis`; backwards if `reverse`."""

    axis: int
    reverse: bool = False
    name: ClassVar[str] = "cumulative_sum"
    negative_is_empty = True
    operands = ("x",)
    numpy = 'numeric.accumulate("add", {x}, {axis}, {reverse}, None, {out})'

    def infer(self, x: TensorType) -> TensorType:
        return _along(x, self.axis, self.name, NUMBERS)

    def transpose_x(self, g: Tensor, x: Tensor) -> Tensor:
        return apply(CumulativeSum(self.axis, not self.reverse), g)

    def batched_op(self, size: Dim) -> CumulativeSum:
        return replace(self, axis=self.axis + 1)


@declare
@record
class CumulativeProd(Custom):
    """The product of the elements up to each, along `axis` (before each, if `exclusive`); backwards if `reverse`.

    The derivative towards x_k is p s, where p is the product of all before k and s what stands behind it:
    s_k = g_k + x_(k+1) s_(k+1), a recurrence.
    """

    axis: int
    reverse: bool = False
    exclusive: bool = False
    name: ClassVar[str] = "cumulative_prod"
    negative_is_empty = True
    operands = ("x",)
    numpy = 'numeric.accumulate("multiply", {x}, {axis}, {reverse}, 1 if {exclusive} else None, {out})'

    def infer(self, x: TensorType) -> TensorType:
        return _along(x, self.axis, self.name, NUMBERS)

    def vjp_x(self, g: Tensor, x: Tensor, out: Tensor) -> Tensor:
        behind = apply(LinearRecurrence(self.axis, not self.reverse, self._mode()), conj(x), g)
        return masked_multiply(behind, conj(self._before(x, out)))

    def push(self, node: Node, tangents: Sequence[Tensor | None], masked: bool) -> Tangents | None:
        """The transpose of the above: t_i = x_i t_(i-1) + p_i t_x_i."""
        (t,) = tangents
        (x,) = node.inputs
        if t is None or not t.dtype.is_differentiable:
            return (None,)
        entering = masked_multiply(t, self._before(x, node.output))
        mode = "exclusive" if self.exclusive else "plain"
        return (apply(LinearRecurrence(self.axis, self.reverse, mode), x, entering),)

    def _before(self, x: Tensor, out: Tensor) -> Tensor:
        return out if self.exclusive else apply(replace(self, exclusive=True), x)

    def _mode(self) -> str:
        return "exclusive" if self.exclusive else "lagged"

    def batched_op(self, size: Dim) -> CumulativeProd:
        return replace(self, axis=self.axis + 1)


@declare
@record
class CumulativeMax(Custom):
    """The maximum of the elements up to each, along `axis` (before each, if `exclusive`; then the first is the
    lowest number there is); backwards if `reverse`. NaN from the first NaN on. The derivative goes to where the
    maximum so far stands, and is split equally among those tied so far."""

    axis: int
    reverse: bool = False
    exclusive: bool = False
    name: ClassVar[str] = "cumulative_max"
    negative_is_empty = True
    operands = ("x",)
    numpy = (
        'numeric.accumulate("maximum", {x}, {axis}, {reverse}, '
        "numeric.lowest({x}.dtype) if {exclusive} else None, {out})"
    )
    selects = True

    def infer(self, x: TensorType) -> TensorType:
        return _along(x, self.axis, self.name, REALS)

    def vjp_x(self, g: Tensor, x: Tensor, out: Tensor) -> Tensor:
        """Within a run of equal maxima, each g is shared by the tied so far, and they gather backwards."""
        taken, stays, count = self._runs(x)
        back = LinearRecurrence(self.axis, not self.reverse, "exclusive" if self.exclusive else "lagged")
        return where(taken, apply(back, stays, g / count), 0)

    def push(self, node: Node, tangents: Sequence[Tensor | None], masked: bool) -> Tangents | None:
        """The mean of the tangents of the tied so far."""
        (t,) = tangents
        if t is None or not t.dtype.is_differentiable:
            return (None,)
        taken, stays, count = self._runs(node.inputs[0])
        return (apply(self._forth(), stays, where(taken, t, 0)) / count,)

    def _runs(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Where x is the maximum so far; 1 where the maximum stays what it was; how many are tied so far."""
        now, before = (apply(replace(self, exclusive=e), x) for e in (False, True))
        taken, stays = equal(x, now), astype(equal(now, before), x.dtype)
        return taken, stays, apply(self._forth(), stays, astype(taken, x.dtype))

    def _forth(self) -> LinearRecurrence:
        return LinearRecurrence(self.axis, self.reverse, "exclusive" if self.exclusive else "plain")

    def batched_op(self, size: Dim) -> CumulativeMax:
        return replace(self, axis=self.axis + 1)


@declare
@record
class CumulativeMin(CumulativeMax):
    """The minimum of the elements up to each, along `axis`, as `cumulative_max`."""

    name: ClassVar[str] = "cumulative_min"
    numpy = (
        'numeric.accumulate("minimum", {x}, {axis}, {reverse}, '
        "numeric.highest({x}.dtype) if {exclusive} else None, {out})"
    )


# ---- the language -----------------------------------------------------------------------------------


@provide("cumulative_sum")
def cumulative_sum(
    x: Any, axis: int | None = None, *, dtype: DTypeLike | None = None, include_initial: bool = False
) -> Tensor:
    """The sums of the elements up to each along `axis`; small integers and booleans are summed as int64.

    Args:
        x: numbers or booleans.
        axis: may be left out for vectors.
        dtype: of the sums.
        include_initial: put a 0, the sum of no elements, in front; the axis is then one longer.

    >>> import symgrad as sg
    >>> sg.cumulative_sum([1, 2, 3], include_initial=True).eval()
    array([0, 1, 3, 6])
    """
    tensor, along = _operand(wide(x, dtype), axis, "cumulative_sum")
    return _with_initial(apply(CumulativeSum(along), tensor), along, 0, include_initial)


@provide("cumulative_prod")
def cumulative_prod(
    x: Any, axis: int | None = None, *, dtype: DTypeLike | None = None, include_initial: bool = False
) -> Tensor:
    """The products of the elements up to each along `axis`; as `cumulative_sum`, with a 1 in front on demand.

    >>> import symgrad as sg
    >>> sg.cumulative_prod([1.0, 2.0, 0.0, 3.0]).eval()
    array([1., 2., 0., 0.])
    """
    tensor, along = _operand(wide(x, dtype), axis, "cumulative_prod")
    return _with_initial(apply(CumulativeProd(along), tensor), along, 1, include_initial)


def cumulative_max(x: Any, axis: int | None = None) -> Tensor:
    """The largest element up to each along `axis`; NaN from the first NaN on.

    >>> import symgrad as sg
    >>> sg.cumulative_max([1.0, 3.0, 2.0, 5.0]).eval()
    array([1., 3., 3., 5.])
    """
    tensor, along = _operand(as_tensor(x), axis, "cumulative_max")
    return apply(CumulativeMax(along), tensor)


def cumulative_min(x: Any, axis: int | None = None) -> Tensor:
    """The smallest element up to each along `axis`; NaN from the first NaN on."""
    tensor, along = _operand(as_tensor(x), axis, "cumulative_min")
    return apply(CumulativeMin(along), tensor)


@provide("cumsum")
def cumsum(x: Any, axis: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """NumPy's `cumsum`: `cumulative_sum`, of the flattened tensor unless an axis is given."""
    return cumulative_sum(*_flat(x, axis), dtype=dtype)


@provide("cumprod")
def cumprod(x: Any, axis: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """NumPy's `cumprod`: `cumulative_prod`, of the flattened tensor unless an axis is given."""
    return cumulative_prod(*_flat(x, axis), dtype=dtype)


def _flat(x: Any, axis: int | None) -> tuple[Tensor, int]:
    tensor = as_tensor(x)
    return (reshape(tensor, (tensor.size,)), 0) if axis is None else (tensor, axis)


def _operand(tensor: Tensor, axis: int | None, name: str) -> tuple[Tensor, int]:
    if axis is None and tensor.ndim != 1:
        raise ShapeError(
            f"{name} needs an axis, for a tensor of {tensor.ndim} dimensions", facts=[("x", tensor.type)]
        )
    return tensor, normalize_axis(0 if axis is None else axis, tensor.ndim)


def _with_initial(out: Tensor, axis: int, value: PyScalar, include: bool) -> Tensor:
    if not include:
        return out
    shape = tuple(1 if i == axis else d for i, d in enumerate(out.shape))
    return concat([fill(value, shape, out.dtype), out], axis)


def wide(x: Any, dtype: DTypeLike | None) -> Any:
    """NumPy's accumulator: integers narrower than 64 bits are widened."""
    if getattr(x, "is_pattern", False):
        return x
    tensor = as_tensor(x)
    if dtype is not None:
        return astype(tensor, dtype)
    if tensor.dtype.kind not in BITS:
        return tensor
    return astype(tensor, "uint64" if tensor.dtype.kind == "uint" else "int64")
