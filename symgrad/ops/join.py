"""Joining and cutting: `concat`, `stack`, `split`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, ClassVar

from symgrad import dims
from symgrad.dims import Dim, Shape, Size
from symgrad.errors import ShapeError
from symgrad.ir import origin
from symgrad.ir.tensor import Node, Tensor, apply, apply_all, operand_label
from symgrad.ops.align import align_tensors
from symgrad.ops.bounds import Bound, bounded, place
from symgrad.ops.create import as_tensor, fill
from symgrad.ops.kinds import Linear, declare
from symgrad.ops.shape import expand_dims, normalize_axis, reshape
from symgrad.ops.slices import narrow
from symgrad.ops.strided import Strided
from symgrad.records import record
from symgrad.registry import provide
from symgrad.types import TensorType, as_dim, as_int, as_items


@declare
@record
class Concat(Linear):
    """Tensors joined along `axis`."""

    axis: int
    name: ClassVar[str] = "concat"
    operands = ("parts*",)
    linear_in_all = True
    numpy = "numeric.concat({parts}, {axis}, {out})"

    def infer(self, *parts: TensorType) -> TensorType:
        if not parts:
            raise ShapeError("concat needs at least one tensor")
        first = parts[0]
        if not 0 <= self.axis < first.ndim:
            raise ShapeError(f"axis {self.axis} does not exist", facts=[("x", first)])
        for part in parts:
            rest = [
                (a, b)
                for i, (a, b) in enumerate(zip(part.shape, first.shape, strict=False))
                if i != self.axis
            ]
            if part.dtype is not first.dtype or part.ndim != first.ndim or any(a != b for a, b in rest):
                raise ShapeError(f"concat needs equal dtypes, and equal shapes but for axis {self.axis}")
        total: Dim = 0
        for part in parts:
            total = total + part.shape[self.axis]
        return first.with_shape((*first.shape[: self.axis], total, *first.shape[self.axis + 1 :]))

    def pull(
        self, node: Node, operand: int, cotangents: tuple[Tensor | None, ...], masked: bool
    ) -> Tensor | None:
        return next(self.pull_all(node, [operand], cotangents, masked))

    def pull_all(
        self, node: Node, operands: Sequence[int], cotangents: tuple[Tensor | None, ...], masked: bool
    ) -> Iterator[Tensor | None]:
        """The slices of g. Where they start is added up once for all of them: there may be thousands."""
        (g,) = cotangents
        sizes = [part.shape[self.axis] for part in node.inputs]
        starts = list(accumulate(sizes, initial=0))
        return (None if g is None else narrow(g, self.axis, starts[i], sizes[i]) for i in operands)

    def takes_as_empty(self, node: Node) -> bool:
        """Other axes stay as they are."""
        return all(dims.is_never_negative(part.shape[self.axis]) for part in node.inputs)

    def batched_op(self, size: Dim) -> Concat:
        return Concat(self.axis + 1)


@declare
@record
class Split(Linear):
    """x cut along `axis` into pieces of the given sizes; one output each."""

    axis: int
    sizes: Shape
    name: ClassVar[str] = "split"
    operands = ("x",)
    numpy = "numeric.split({x}, {sizes}, {axis})"
    view = True
    selects = True
    fails = True

    def infer(self, x: TensorType) -> Sequence[TensorType]:
        if not 0 <= self.axis < x.ndim or not self.sizes:
            raise ShapeError("split needs an axis of the operand and at least one size", facts=[("x", x)])
        total: Dim = 0
        for size in self.sizes:
            if isinstance(size, int) and size < 0:
                raise ShapeError(f"a piece cannot have the size {size}", facts=[("x", x)])
            total = total + size
        if not dims.equal(total, x.shape[self.axis]):
            raise ShapeError(f"the sizes add up to {total}, not {x.shape[self.axis]}", facts=[("x", x)])
        return [x.with_shape((*x.shape[: self.axis], s, *x.shape[self.axis + 1 :])) for s in self.sizes]

    def transpose_x(self, g: Any, x: Tensor) -> Tensor:
        """The pieces joined; a piece without a cotangent was not used, so its part is 0."""
        gs = g if isinstance(g, tuple) else (g,)
        types = self.infer(x.type)
        parts = [fill(0, t.shape, t.dtype) if p is None else p for p, t in zip(gs, types, strict=True)]
        return apply(Concat(self.axis), *parts)

    def strided(self, x: Strided) -> tuple[Strided, ...]:
        pieces = []
        start: Dim = 0
        for size in self.sizes:
            starts = tuple(start if i == self.axis else 0 for i in range(len(x.shape)))
            shape = tuple(size if i == self.axis else d for i, d in enumerate(x.shape))
            pieces.append(x.slice(starts, (1,) * len(x.shape), shape))
            start = start + size
        return tuple(pieces)

    def takes_as_empty(self, node: Node) -> bool:
        """Other axes stay as they are."""
        return all(map(dims.is_never_negative, self.sizes))

    def batched_op(self, size: Dim) -> Split:
        return Split(self.axis + 1, self.sizes)


# ---- the language -----------------------------------------------------------------------------------


@provide("concat")
def concat(tensors: Sequence[Any], axis: int | None = 0) -> Tensor:
    """Tensors joined along an axis, their dtypes promoted; None flattens them first.

    >>> from symgrad.ops.create import tensor
    >>> concat([tensor("x", (2, "n")), tensor("y", (3, "n"))])
    <concat: f64[5,n]>
    """
    parts = _parts(tensors, "concat")
    if axis is None:
        parts, axis = [reshape(t, (t.size,)) for t in parts], 0
    if any(t.ndim == 0 for t in parts):
        raise ShapeError(
            "a tensor without dimensions cannot be joined to others",
            facts=[(operand_label(_CONCAT, i, t), t.type) for i, t in enumerate(parts)],
            at=origin.locate(origin.current()),
            hint="use stack, or concat(..., axis=None)",
        )
    place = normalize_axis(axis, parts[0].ndim)
    return parts[0] if len(parts) == 1 else apply(Concat(place), *parts)


@provide("stack")
def stack(tensors: Sequence[Any], axis: int = 0) -> Tensor:
    """Tensors of one shape joined along a new axis, their dtypes promoted."""
    parts = _parts(tensors, "stack")
    if any(t.shape != parts[0].shape for t in parts):
        raise ShapeError(
            "stack needs tensors of one shape",
            facts=[(operand_label(_CONCAT, i, t), t.type) for i, t in enumerate(parts)],
            at=origin.locate(origin.current()),
        )
    return concat([expand_dims(t, axis) for t in parts], axis)


def _parts(tensors: Any, what: str) -> list[Tensor]:
    if not isinstance(tensors, (tuple, list)) or not tensors:
        raise ShapeError(
            f"{what} takes a list of at least one tensor, not {tensors!r:.60}",
            at=origin.locate(origin.current()),
        )
    return align_tensors(tensors)


_CONCAT = Concat(0)


def split(x: Any, sections: Any = None, axis: int = 0, *, sizes: Any = None) -> tuple[Tensor, ...]:
    """x cut along `axis`, as NumPy: into so many equal pieces, or at the given positions.

    Args:
        x: a tensor.
        sections: the number of equal pieces, or the positions (ints or sizes; negative ones count from the end).
            A call checks that an axis of symbolic size is long enough for them.
        axis: which axis.
        sizes: instead of sections, the sizes of all pieces.

    >>> from symgrad.ops.create import tensor
    >>> split(tensor("x", (5,)), [2])
    (<split: f64[2]>, <split: f64[3]>)
    >>> split(tensor("x", ("n", 6)), 3, axis=1)[0], split(tensor("x", (5,)), sizes=[1, 4])[1]
    (<split: f64[n,2]>, <split: f64[4]>)
    """
    tensor = as_tensor(x)
    axis = normalize_axis(axis, tensor.ndim)
    if (sections is None) == (sizes is None):
        raise _bad_split("split takes either sections or sizes", tensor)
    count = None if sections is None else as_int(sections)
    if count is not None:
        return apply_all(Split(axis, (_equal_piece(tensor, axis, count),) * count), (tensor,))
    try:
        if sizes is not None:
            pieces = tuple(as_dim(s) for s in as_items(sizes))
        else:
            positions = [_position(p) for p in as_items(sections)]
            size = tensor.shape[axis]
            tensor = bounded(tensor, [Bound(p, size - 1) for p in positions if isinstance(p, Size)])
            pieces = _between(positions, size)
    except (ShapeError, TypeError) as error:
        raise _bad_split(
            f"split cannot cut at {sections if sizes is None else sizes!r:.60}", tensor
        ) from error
    return apply_all(Split(axis, pieces), (tensor,))


def _bad_split(what: str, x: Tensor) -> ShapeError:
    return ShapeError(
        what,
        facts=[("x", x.type)],
        at=origin.locate(origin.current()),
        hint="a number of equal pieces, split(x, 2); positions, split(x, [1, 3]); or split(x, sizes=[1, 2, 3])",
    )


def _position(given: Any) -> Dim:
    number = as_int(given)
    return as_dim(given) if number is None else number


def _between(positions: Sequence[Dim], size: Dim) -> tuple[Dim, ...]:
    """The sizes of the pieces between positions, which are cut off at the ends as in NumPy."""
    pieces: list[Dim] = []
    start: Dim = 0
    for position in positions:
        stop = place(position, size)
        if isinstance(stop, int) and isinstance(size, int):
            stop = min(max(stop, 0), size)
        piece = stop - start
        pieces.append(max(piece, 0) if isinstance(piece, int) else piece)
        start = stop
    # NumPy's last piece begins at the last position, also where an earlier one lies behind it
    total: Dim = 0
    for piece in pieces:
        total = total + piece
    if not dims.equal(total, start):
        raise ShapeError("positions must not decrease")
    return (*pieces, size - start)


def _equal_piece(x: Tensor, axis: int, count: int) -> Dim:
    piece = dims.floordiv(x.shape[axis], count) if count > 0 else 0
    if count < 1 or not dims.equal(piece * count, x.shape[axis]):
        raise ShapeError(
            f"an axis of size {x.shape[axis]} does not split into {count} equal pieces",
            facts=[("x", x.type), ("axis", axis)],
            at=origin.locate(origin.current()),
            hint="give positions, split(x, [2, 3]), or sizes=, or use array_split",
        )
    return piece


#: One call makes at most as many tensors.
MAX_PIECES = 1 << 20


def array_split(x: Any, count: int, axis: int = 0) -> tuple[Tensor, ...]:
    """x cut along `axis` into `count` pieces, the first ones longer by one where they cannot be equal.

    >>> from symgrad.ops.create import tensor
    >>> array_split(tensor("x", (5,)), 3)
    (<split: f64[2]>, <split: f64[2]>, <split: f64[1]>)
    """
    tensor = as_tensor(x)
    place = normalize_axis(axis, tensor.ndim)
    size, wanted = tensor.shape[place], as_int(count)
    if wanted is None or not 1 <= wanted <= MAX_PIECES:
        raise ShapeError(
            f"cannot split into {count!r:.60} pieces",
            facts=[("x", tensor.type), ("possible", f"1 to {MAX_PIECES:,}")],
            at=origin.locate(origin.current()),
        )
    count = wanted
    # The i-th piece has floor((size + count - 1 - i) / count) elements.
    pieces = tuple(dims.floordiv(size + (count - 1 - i), count) for i in range(count))
    if not isinstance(size, int):  # the last is what is left, so that the sizes add up provably
        rest: Dim = size
        for piece in pieces[:-1]:
            rest = rest - piece
        pieces = (*pieces[:-1], rest)
    return apply_all(Split(place, pieces), (tensor,))


def unstack(x: Any, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices of x along `axis`, whose size must be an int.

    >>> from symgrad.ops.create import tensor
    >>> unstack(tensor("x", (2, "n")))
    (<reshape: f64[n]>, <reshape: f64[n]>)
    """
    tensor = as_tensor(x)
    place = normalize_axis(axis, tensor.ndim)
    size = tensor.shape[place]
    if not isinstance(size, int) or size > MAX_PIECES:
        raise ShapeError(
            f"unstack makes one tensor an element, so that it needs a fixed size up to {MAX_PIECES:,}, not {size}",
            facts=[("x", tensor.type), ("axis", place)],
            at=origin.locate(origin.current()),
            hint="work on the whole axis, or give it a fixed size",
        )
    front = (slice(None),) * place
    return tuple(tensor[(*front, i)] for i in range(size))
