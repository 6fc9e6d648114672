"""Pooling: the maximum or the sum of each window of a tensor, and what their derivatives need.

    max_pool        out[i] = max over p of x[i s + p d]
    sum_at_max      out[i] = sum over p of t[i s + p d], where x[i s + p d] is the maximum
    spread_to_max   its transpose: each g to the places of its window where x is the maximum
    sum_pool        out[i] = sum over p of x[i s + p d]
    sum_unpool      its transpose: each g to all places of its window

Natively each is a handful of slices of x, computed element by element, so that it fuses with what is around it and
nothing is scattered: the transposes are computed at the places where they arrive, and these take turns (see
`interleave`) where windows are some elements apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from typing import Any, ClassVar

from symgrad import dims
from symgrad.dims import Dim, Shape
from symgrad.errors import DTypeError, ShapeError
from symgrad.ir.tensor import Node, Tensor, apply
from symgrad.ops.arithmetic import reciprocal
from symgrad.ops.cast import astype
from symgrad.ops.compare import equal
from symgrad.ops.create import fill, fill_value, ones_like
from symgrad.ops.interleave import Interleave, part_size
from symgrad.ops.kinds import FLOATS, NUMBERS, REALS, Custom, Linear, Tangents, declare, total
from symgrad.ops.select import maximum, where
from symgrad.ops.shape import reshape, shifted
from symgrad.ops.slices import Unslice, narrow
from symgrad.ops.windows import Sliding, Windows, overlap
from symgrad.records import record
from symgrad.types import TensorType, check_extent

#: Windows of more elements are taken one axis after the other.
MOST_TAPS = 16
#: So many elements are counted in bytes.
MOST_COUNTED = 255


@record
class _Pool(Sliding):
    """Windows along `axes`, of known sizes."""

    def pooled(self, x: TensorType, accepts: tuple[str, ...], name: str) -> TensorType:
        """The type of what has an element for each window of x."""
        if x.dtype.kind not in accepts:
            raise DTypeError(f"{name} does not take {x.dtype}", hint=f"it takes {', '.join(accepts)}")
        if not all(isinstance(size, int) for size in self.sizes):
            raise ShapeError(f"{name} needs windows of known sizes", facts=[("sizes", self.sizes)])
        return x.with_shape(self.counts(x.shape))

    def check_pooled(self, x: TensorType, others: Sequence[TensorType], name: str) -> None:
        """Refuse tensors that are not like what is pooled from x."""
        wanted = self.pooled(x, FLOATS, name)
        for t in others:
            if t.dtype is not x.dtype or len(t.shape) != len(wanted.shape):
                raise ShapeError(f"{name} needs tensors of one dtype and rank")
            if not all(map(dims.equal, t.shape, wanted.shape)):
                raise ShapeError(f"{name}: no result of pooling x", facts=[("wanted", wanted), ("found", t)])

    def shifted(self) -> Any:
        """The same behind a new leading axis."""
        return replace(self, axes=shifted(self.axes))


@declare
@record
class MaxPool(_Pool, Custom):
    """The maximum of each window; NaN if there is one. At ties the derivative is split equally."""

    name: ClassVar[str] = "max_pool"
    checks_windows = True
    operands = ("x",)
    numpy = "numeric.max_pool({x}, {sizes}, {steps}, {dilations}, {axes})"
    selects = True
    fails = True

    def infer(self, x: TensorType) -> TensorType:
        return self.pooled(x, REALS, self.name)

    def vjp_x(self, g: Tensor, x: Tensor, out: Tensor) -> Tensor:
        return apply(_like(SpreadToMax, self), g * self._share(x, out), x, out)

    def push(self, node: Node, tangents: Sequence[Tensor | None], masked: bool) -> Tangents | None:
        """The mean of the tangents of the tied."""
        (t,), (x,), out = tangents, node.inputs, node.output
        if t is None or not t.dtype.is_differentiable:
            return (None,)
        return (apply(_like(SumAtMax, self), t, x, out) * self._share(x, out),)

    def _share(self, x: Tensor, out: Tensor) -> Tensor:
        """1 / how often a window has its maximum."""
        return reciprocal(apply(_like(SumAtMax, self), ones_like(x), x, out))

    def expand(self, x: Tensor) -> Tensor:
        if prod(int(s) for s in self.sizes) > MOST_TAPS and len(self.axes) > 1:
            return _by_axis(self, x, maximum)
        found, *others = taps(self, x)
        for each in others:
            found = maximum(found, each)
        return found

    def batched_op(self, size: Dim) -> MaxPool:
        found: MaxPool = self.shifted()
        return found


@declare
@record
class SumAtMax(_Pool, Linear):
    """The sum of t over each window, where x is what `max_pool` makes of the window, `y`."""

    name: ClassVar[str] = "sum_at_max"
    operands = ("t", "x", "y")
    numpy = "numeric.sum_at_max({t}, {x}, {y}, {sizes}, {steps}, {dilations}, {axes})"
    no_gradient: ClassVar = dict.fromkeys(("x", "y"), "where the maximum is, is piecewise constant")
    selects = True
    fails = True

    def infer(self, t: TensorType, x: TensorType, y: TensorType) -> TensorType:
        if t != x:
            raise ShapeError(f"{self.name} needs a t like x", facts=[("t", t), ("x", x)])
        self.check_pooled(x, [y], self.name)
        return y

    def transpose_t(self, g: Tensor, t: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return apply(_like(SpreadToMax, self), g, x, y)

    def expand(self, t: Tensor, x: Tensor, y: Tensor) -> Tensor:
        there = [equal(b, y) for b in taps(self, x)]
        if fill_value(t) == 1 and len(there) <= MOST_COUNTED:
            counted = total([astype(e, "uint8") for e in there])
            assert counted is not None
            return astype(counted, y.dtype)
        found = total([where(e, a, 0) for e, a in zip(there, taps(self, t), strict=True)])
        assert found is not None
        return found

    def batched_op(self, size: Dim) -> SumAtMax:
        found: SumAtMax = self.shifted()
        return found


@declare
@record
class SpreadToMax(_Pool, Linear):
    """Each g at the places of its window where x is what `max_pool` makes of it, `y`; added up where windows
    overlap."""

    name: ClassVar[str] = "spread_to_max"
    operands = ("g", "x", "y")
    numpy = "numeric.spread_to_max({g}, {x}, {y}, {sizes}, {steps}, {dilations}, {axes})"
    no_gradient: ClassVar = dict.fromkeys(("x", "y"), "where the maximum is, is piecewise constant")
    selects = True

    def infer(self, g: TensorType, x: TensorType, y: TensorType) -> TensorType:
        self.check_pooled(x, [g, y], self.name)
        return x

    def transpose_g(self, t: Tensor, g: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return apply(_like(SumAtMax, self), t, x, y)

    def expand(self, g: Tensor, x: Tensor, y: Tensor) -> Tensor:
        def arriving(place: Tensor, pieces: Sequence[Tensor]) -> Tensor:
            sent, largest = pieces
            return where(equal(place, largest), sent, 0)

        return _arrivals(self, x.shape, [g, y], arriving, x)

    def batched_op(self, size: Dim) -> SpreadToMax:
        found: SpreadToMax = self.shifted()
        return found


@declare
@record
class SumPool(_Pool, Linear):
    """The sum of each window."""

    name: ClassVar[str] = "sum_pool"
    checks_windows = True
    operands = ("x",)
    numpy = "numeric.sum_pool({x}, {sizes}, {steps}, {dilations}, {axes})"
    selects = True
    fails = True

    def infer(self, x: TensorType) -> TensorType:
        return self.pooled(x, NUMBERS, self.name)

    def transpose_x(self, g: Tensor, x: Tensor) -> Tensor:
        return apply(SumUnpool(self.sizes, self.steps, self.dilations, self.axes, x.shape), g)

    def expand(self, x: Tensor) -> Tensor:
        if prod(int(s) for s in self.sizes) > MOST_TAPS and len(self.axes) > 1:
            return _by_axis(self, x, lambda a, b: a + b)
        found = total(taps(self, x))
        assert found is not None
        return found

    def batched_op(self, size: Dim) -> SumPool:
        found: SumPool = self.shifted()
        return found


@declare
@record
class SumUnpool(_Pool, Linear):
    """Each g at all places of its window, added up where windows overlap, into zeros of `shape`."""

    shape: Shape
    name: ClassVar[str] = "sum_unpool"
    operands = ("g",)
    fills = True
    numpy = "numeric.sum_unpool({g}, {sizes}, {steps}, {dilations}, {axes}, {shape})"

    def infer(self, g: TensorType) -> TensorType:
        check_extent(self.shape)
        wanted = self.pooled(g.with_shape(self.shape), NUMBERS, self.name)
        if g.ndim != wanted.ndim or not all(map(dims.equal, g.shape, wanted.shape)):
            raise ShapeError("sum_unpool: g must have an element for each window", facts=[("g", g)])
        return g.with_shape(self.shape)

    def transpose_g(self, t: Tensor, g: Tensor) -> Tensor:
        return apply(SumPool(self.sizes, self.steps, self.dilations, self.axes), t)

    def expand(self, g: Tensor) -> Tensor:
        if _is_apart(self):
            return _arrivals(self, self.shape, [g], lambda place, pieces: pieces[0], None)
        for axis, size, step, dilation in zip(self.axes, self.sizes, self.steps, self.dilations, strict=True):
            g = overlap([g] * int(size), axis, step, dilation, self.shape[axis])
        return g

    def batched_op(self, size: Dim) -> SumUnpool:
        return replace(self, axes=shifted(self.axes), shape=(size, *self.shape))


def _like(made: Callable[..., Any], op: _Pool) -> Any:
    return made(op.sizes, op.steps, op.dilations, op.axes)


# ---- in simpler ops -----------------------------------------------------------------------------------


def taps(op: _Pool, x: Tensor) -> list[Tensor]:
    """For each place p of a window, x[i s + p d] for all windows i."""
    view = apply(Windows(op.sizes, op.steps, op.dilations, op.axes), x)
    found = []
    for place in itertools.product(*[range(int(size)) for size in op.sizes]):
        tap = view
        for i, p in enumerate(place):
            tap = narrow(tap, x.ndim + i, p, 1)
        found.append(reshape(tap, view.shape[: x.ndim]))
    return found


def _by_axis(op: _Pool, x: Tensor, combined: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Windows along one axis after the other."""
    for axis, size, step, dilation in zip(op.axes, op.sizes, op.steps, op.dilations, strict=True):
        found, *others = taps(_Pool((size,), (step,), (dilation,), (axis,)), x)
        for each in others:
            found = combined(found, each)
        x = found
    return x


def _is_apart(op: _Pool) -> bool:
    """Whether no two windows share an element."""
    return all((int(k) - 1) * d < s for k, s, d in zip(op.sizes, op.steps, op.dilations, strict=True))


def _arrivals(
    op: _Pool,
    shape: Shape,
    sent: Sequence[Tensor],
    arriving: Callable[[Any, Sequence[Tensor]], Tensor],
    x: Tensor | None,
) -> Tensor:
    """What windows send to their places, computed where it arrives.

    Element m s + r of an axis is in window m - q at place p where p d = r + q s. For each residue r along each axis,
    the terms of all such q are added up; `arriving` makes a term of the part of x of residue r, and of what the
    windows m - q send.
    """
    if _is_apart(op) and all(isinstance(sent[0].shape[axis], int) for axis in op.axes):
        return _each_to_its_own(op, shape, sent, arriving, x)
    shifts = [
        [divmod(p * d, s) for p in range(int(k))]
        for k, s, d in zip(op.sizes, op.steps, op.dilations, strict=True)
    ]
    most = [max(q for q, _ in pairs) for pairs in shifts]
    lengths = [
        _lengths(shape[axis], sent[0].shape[axis], step, high)
        for axis, step, high in zip(op.axes, op.steps, most, strict=True)
    ]
    padded = [_padded(t, op.axes, most, [row[0] for row in lengths]) for t in sent]
    made = Interleave(op.steps, op.axes, shape)
    parts = []
    for residues in made.residues():
        part = list(shape)
        for axis, row, r in zip(op.axes, lengths, residues, strict=True):
            part[axis] = row[r]
        place = None if x is None else apply(made.reading(residues, tuple(part)), x)
        qs = [[q for q, rest in pairs if rest == r] for pairs, r in zip(shifts, residues, strict=True)]
        terms = []
        for shift in itertools.product(*qs):
            pieces = list(padded)
            for axis, q, high in zip(op.axes, shift, most, strict=True):
                pieces = [narrow(t, axis, high - q, part[axis]) for t in pieces]
            terms.append(arriving(place, pieces))
        found = total(terms)
        parts.append(fill(0, tuple(part), sent[0].dtype) if found is None else found)
    return _taking_turns(made, parts)


def _each_to_its_own(
    op: _Pool,
    shape: Shape,
    sent: Sequence[Tensor],
    arriving: Callable[[Any, Sequence[Tensor]], Tensor],
    x: Tensor | None,
) -> Tensor:
    """`_arrivals` where no two windows share an element: the places of windows take turns."""
    spans = [range(0, int(k) * d, d) for k, d in zip(op.sizes, op.dilations, strict=True)]
    there = taps(op, x) if x is not None else [None] * prod(map(len, spans))
    places = dict(zip(itertools.product(*spans), there, strict=True))
    made = Interleave(op.steps, op.axes, shape)
    parts = []
    for residues in made.residues():
        if residues in places:
            parts.append(arriving(places[residues], sent))
        else:
            room = zip(sent[0].shape, made.part_shape(residues), strict=True)
            parts.append(fill(0, tuple(dims.minimum(d, most) for d, most in room), sent[0].dtype))
    return _taking_turns(made, parts)


def _taking_turns(made: Interleave, parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else apply(made, *parts)


def _lengths(size: Dim, windows: Dim, step: int, high: int) -> list[Dim]:
    """How many elements of each residue there are to compute: all, or, of known sizes, those that windows reach."""
    whole = [part_size(size, step, r) for r in range(step)]
    if high or not isinstance(windows, int):
        return whole
    return [min(n, windows) if isinstance(n, int) else n for n in whole]


def _padded(x: Tensor, axes: Sequence[int], fronts: Sequence[int], lengths: Sequence[Dim]) -> Tensor:
    """x with zeros around it, so that pieces of these lengths can be read from 0, and as far as `fronts` behind."""
    starts, shape = [0] * x.ndim, list(x.shape)
    for axis, front, length in zip(axes, fronts, lengths, strict=True):
        have = x.shape[axis]
        enough = front == 0 and isinstance(have, int) and isinstance(length, int) and length <= have
        if not enough:
            starts[axis], shape[axis] = front, front + length
    if tuple(shape) == x.shape:
        return x
    stops = tuple(start + d for start, d in zip(starts, x.shape, strict=True))
    return apply(Unslice(tuple(starts), stops, (1,) * x.ndim, tuple(shape)), x)
