"""Updates at integer indices, one after the other: `set`, `add`, `mul`, `max`, `min`.

    out = x;  for each i...:  out[indices[i...] at `axes`, r...] (op)= updates[i..., r...]

As `numpy.add.at` and its kin; of repeated indices, `set` keeps the last. The derivatives hold with repeated
indices too:

    set   an update that was overwritten, and x where it was, have the cotangent 0
    add   linear
    mul   d/d update = cotangent * x * the product of the other updates of the same place: division-free
    max   the cotangent is shared equally by all that are equal to the result
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy

from symgrad.dims import Dim, Shape, Size, product
from symgrad.errors import DTypeError, ShapeError
from symgrad.ir.choice import check_choice
from symgrad.ir.op import Op, attributes
from symgrad.ir.tensor import Node, Tensor, apply
from symgrad.ops.cast import astype
from symgrad.ops.compare import equal, logical_and, not_equal
from symgrad.ops.complexes import conj
from symgrad.ops.create import Constant, Fill, Iota, arange, fill, ones_like, zeros_like
from symgrad.ops.evaluate import evaluate
from symgrad.ops.gather import INDEX, Gather, row_numbers
from symgrad.ops.kinds import ANY, NUMBERS, REALS, Custom, Tangents, declare, repeated
from symgrad.ops.reduce import Prod, spread
from symgrad.ops.select import masked_multiply, where
from symgrad.ops.shape import Broadcast, Reshape, moveaxis, reshape, shifted
from symgrad.records import record
from symgrad.types import INT64, TensorType

#: Ways to update, with the kinds of dtypes that each accepts.
MODES: dict[str, tuple[str, ...]] = {
    "set": ANY,
    "add": NUMBERS,
    "mul": NUMBERS,
    "max": REALS,
    "min": REALS,
}


@declare
@record
class Scatter(Custom):
    """x, updated where `gather` reads, one index after the other."""

    axes: tuple[int, ...]
    mode: str
    name: ClassVar[str] = "scatter"
    negative_is_empty = True
    operands = ("x", "updates", "indices*")
    numpy = "numeric.scatter({x}, {updates}, {indices}, {axes}, {mode}, {out})"
    no_gradient: ClassVar = {"indices": INDEX}
    selects = True
    fails = True

    def infer(self, x: TensorType, updates: TensorType, *indices: TensorType) -> TensorType:
        check_choice("mode", self.mode, MODES, ShapeError)
        if Gather(self.axes).infer(x, *indices) != updates:
            raise ShapeError(
                "scatter: the updates must have the type that gather reads",
                facts=[("x", x), ("updates", updates)],
            )
        if x.dtype.kind not in MODES[self.mode]:
            raise DTypeError(f"scatter does not take the {self.mode} of {x.dtype}")
        return x

    def vjp_x(self, g: Tensor, x: Tensor, updates: Tensor, *rest: Tensor) -> Tensor:
        *indices, out = rest
        if self.mode == "add":
            return g
        if self.mode == "set":
            return apply(self, g, zeros_like(updates), *indices)
        if self.mode == "mul":
            return masked_multiply(g, conj(apply(self, ones_like(x), updates, *indices)))
        return where(equal(x, out), self._share(g, x, updates, indices, out), 0)

    def vjp_updates(self, g: Tensor, x: Tensor, updates: Tensor, *rest: Tensor) -> Tensor:
        *indices, out = rest
        gather = Gather(self.axes)
        if self.mode == "add":
            return apply(gather, g, *indices)
        shape = tuple(x.shape[a] for a in self.axes)
        if self.mode == "set":
            found = apply(gather, g, *indices)
            if known_distinct(indices, shape):
                return found
            return where(_over_rest(_is_last(indices, shape), found), found, 0)
        if self.mode == "mul":
            found = apply(gather, masked_multiply(g, conj(x)), *indices)
            if known_distinct(indices, shape):
                return found
            others = _product_of_others(updates, _places(indices, shape), indices[0].ndim)
            return masked_multiply(found, conj(others))
        share = apply(gather, self._share(g, x, updates, indices, out), *indices)
        return where(equal(updates, apply(gather, out, *indices)), share, 0)

    def _share(self, g: Tensor, x: Tensor, updates: Tensor, indices: Sequence[Tensor], out: Tensor) -> Tensor:
        """The cotangent divided by how many are equal to the result; 1 where none is, beside NaN."""
        taken = astype(equal(updates, apply(Gather(self.axes), out, *indices)), g.dtype)
        count = apply(Scatter(self.axes, "add"), astype(equal(x, out), g.dtype), taken, *indices)
        return g / where(equal(count, 0), 1, count)

    def push(self, node: Node, tangents: Sequence[Tensor | None], masked: bool) -> Tangents | None:
        """`set` and `add` are linear in x and updates together."""
        if self.mode not in ("set", "add"):
            return None
        x, updates, *indices = node.inputs
        t, u = tangents[:2]
        if t is None and u is None:
            return (None,)
        t, u = zeros_like(x) if t is None else t, zeros_like(updates) if u is None else u
        return (apply(self, t, u, *indices),)

    def batch(self, size: Dim, operands: Sequence[Tensor], batched: Sequence[bool]) -> tuple[Tensor, ...]:
        x, updates = repeated(size, operands[:2], batched[:2])
        indices = operands[2:]
        axes = shifted(self.axes)
        if not any(batched[2:]):
            moved = moveaxis(updates, 0, indices[0].ndim)
            return (apply(Scatter(axes, self.mode), x, moved, *indices),)
        rows = repeated(size, indices, batched[2:])
        return (apply(Scatter((0, *axes), self.mode), x, updates, row_numbers(rows[0].shape), *rows),)


# ---- repeated indices -------------------------------------------------------------------------------


def known_indices(index: Tensor) -> Any:
    """The numbers of an index that is made of constants, as an array; None for any other."""
    moves: list[Op] = []
    while isinstance(index.node.op, (Reshape, Broadcast)):
        moves.append(index.node.op)
        index = index.node.inputs[0]
    op = index.node.op
    if isinstance(op, Constant):
        found = op.data.array
    elif isinstance(op, (Fill, Iota)) and not any(isinstance(d, Size) for d in index.shape):
        found = evaluate(op, [])
    else:
        return None
    for move in reversed(moves):
        if any(isinstance(d, Size) for d in attributes(move)["shape"]):
            return None
        found = evaluate(move, [found])
    return found


def known_distinct(indices: Sequence[Tensor], shape: Shape) -> bool:
    """Whether it is known that no place is indexed twice."""
    places = []
    for index, size in zip(indices, shape, strict=True):
        numbers = known_indices(index)
        if numbers is None:
            return False
        if (numbers < 0).any():
            if not isinstance(size, int):
                return False
            numbers = numpy.where(numbers < 0, numbers + size, numbers)
        places.append(numbers.ravel())
    return bool(numpy.unique(numpy.stack(places), axis=1).shape[1] == len(places[0]))


def _is_last(indices: Sequence[Tensor], shape: Shape) -> Tensor:
    """Whether no later update has the same place: each writes its number there, and looks whether it stayed."""
    axes = tuple(range(len(indices)))
    number = reshape(arange(product(indices[0].shape)), indices[0].shape)
    last = apply(Scatter(axes, "set"), fill(-1, shape, INT64), number, *indices)
    return equal(apply(Gather(axes), last, *indices), number)


def _places(indices: Sequence[Tensor], shape: Shape) -> Tensor:
    """One number for each place, in a row."""
    found: Tensor | None = None
    for index, size in zip(indices, shape, strict=True):
        number = astype(index, INT64)
        number = where(number < 0, number + size, number)
        found = number if found is None else found * size + number
    assert found is not None
    return reshape(found, (product(found.shape),))


def _product_of_others(updates: Tensor, places: Tensor, rank: int) -> Tensor:
    """For each update the product of all others of the same place (the first `rank` axes are the indices'):
    n^2 work, exact at every order and at zeros."""
    n = places.shape[0]
    rest = updates.shape[rank:]
    pairs = (n, n, *rest)
    number = arange(n)
    same = equal(spread(places, (n, n), (1,)), spread(places, (n, n), (0,)))
    other = not_equal(spread(number, (n, n), (1,)), spread(number, (n, n), (0,)))
    factors = spread(reshape(updates, (n, *rest)), pairs, (0,))
    found = apply(Prod((1,)), where(_over_rest(logical_and(same, other), factors), factors, 1))
    return reshape(found, updates.shape)


def _over_rest(mask: Tensor, like: Tensor) -> Tensor:
    """A mask over the indices, the same along the other axes."""
    return spread(mask, like.shape, tuple(range(mask.ndim, like.ndim)))
