"""Contractions: products summed over shared axes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any, ClassVar, TypeAlias

from symgrad import dims
from symgrad.dims import Dim, product
from symgrad.errors import DTypeError, ShapeError
from symgrad.ir import origin
from symgrad.ir.tensor import Node, Tensor, apply
from symgrad.ops.align import align_tensors
from symgrad.ops.cast import astype
from symgrad.ops.compare import not_equal
from symgrad.ops.complexes import conj
from symgrad.ops.kinds import NUMBERS, Linear, Tangents, declare, known_finite, repeated, total
from symgrad.ops.reduce import Sum
from symgrad.ops.shape import (
    broadcast_shapes,
    broadcast_to,
    normalize_axes,
    normalize_axis,
    permute_dims,
    reshape,
)
from symgrad.records import record
from symgrad.registry import provide
from symgrad.types import BOOL, INT64, TensorType, as_int, as_items

#: What an axis is called.
Label: TypeAlias = Hashable


@declare
@record
class MatMul(Linear):
    """out[..., i, j] = sum over k of a[..., i, k] b[..., k, j]; the leading axes are equal.

    Without leading axes, either operand may be a vector: then i, or j, is missing.

    `strong` names the operands ("a", "b", "ab") whose zeros are strong: a term with such a zero is 0,
    whatever the other factor is. Derivatives of masked values need it (see `kinds`).
    """

    strong: str = ""
    name: ClassVar[str] = "matmul"
    negative_is_empty = True
    operands = ("a", "b")
    numpy = "numeric.matmul({a}, {b}, {strong}, {out})"

    @property
    def selects(self) -> bool:  # type: ignore[override]
        """A zero that is strong leaves the other factor unused."""
        return bool(self.strong)

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        if self.strong not in ("", "a", "b", "ab"):
            raise ShapeError(f'matmul: strong must be "", "a", "b" or "ab", not {self.strong!r:.20}')
        if a.dtype is not b.dtype or a.dtype.kind not in NUMBERS:
            raise DTypeError("matmul needs two tensors of one numeric dtype")
        if not (a.ndim == b.ndim >= 2 or (1 <= a.ndim <= 2 and 1 <= b.ndim <= 2)):
            raise ShapeError("matmul needs operands of equal rank, or matrices and vectors")
        row, column = a.ndim == 1, b.ndim == 1
        if a.shape[-1] != b.shape[0 if column else -2]:
            raise ShapeError("matmul needs equal inner sizes")
        if not row and not column and a.shape[:-2] != b.shape[:-2]:
            raise ShapeError("matmul needs equal batch sizes")
        return a.with_shape((*a.shape[:-1], *(() if column else b.shape[-1:])))

    def pull(
        self, node: Node, operand: int, cotangents: tuple[Tensor | None, ...], masked: bool
    ) -> Tensor | None:
        """d_a = g b^H and d_b = a^H g, strong in what was strong and in a masked g."""
        g = cotangents[0]
        if g is None:
            return None
        other = node.inputs[1 - operand]
        differentiated, kept = ("a", "b") if operand == 0 else ("b", "a")
        strong_g = differentiated in self.strong or (masked and not known_finite(other))
        return _transposed(operand, g, conj(other), strong_g, kept in self.strong)

    def push(self, node: Node, tangents: Sequence[Tensor | None], masked: bool) -> Tangents | None:
        """t_a b + a t_b, strong in what was strong and in a masked tangent."""
        a, b = node.inputs
        parts = []
        for letter, t, other in (("a", tangents[0], b), ("b", tangents[1], a)):
            if t is not None:
                more = masked and letter not in self.strong and not known_finite(other)
                op = MatMul("".join(sorted(self.strong + letter * more)))
                parts.append(apply(op, t, b) if letter == "a" else apply(op, a, t))
        return (total(parts),)

    def batch(self, size: Dim, operands: Sequence[Tensor], batched: Sequence[bool]) -> tuple[Tensor, ...]:
        """One large product where the batch can join the rows; else a product for each element of it."""
        a, b = operands
        if batched[0] and not batched[1] and a.ndim <= 3 and b.ndim <= 2:
            rows = a.shape[:-1]
            found = apply(self, reshape(a, (product(rows), a.shape[-1])), b)
            return (reshape(found, (*rows, *found.shape[1:])),)
        if batched[1] and not batched[0] and b.ndim == 2:  # vectors, as the rows of a matrix
            return (apply(MatMul(_swapped(self.strong)), b, a if a.ndim == 1 else a.mT),)
        whole = repeated(size, operands, batched)
        row, column = whole[0].ndim == 2, whole[1].ndim == 2
        left = reshape(whole[0], (size, 1, whole[0].shape[1])) if row else whole[0]
        right = reshape(whole[1], (*whole[1].shape, 1)) if column else whole[1]
        found = apply(self, left, right)
        kept = (*(() if row else found.shape[-2:-1]), *(() if column else found.shape[-1:]))
        return (reshape(found, (*found.shape[:-2], *kept)),)


def _swapped(strong: str) -> str:
    """`strong` for operands in the other order."""
    return {"a": "b", "b": "a"}.get(strong, strong)


def _transposed(operand: int, g: Tensor, other: Tensor, strong_g: bool, strong_other: bool) -> Tensor:
    """The cotangent of one operand of a product, from that of the result and the other operand, conjugated."""

    def multiplied(x: Tensor, y: Tensor, strong_x: bool, strong_y: bool) -> Tensor:
        return apply(MatMul("a" * strong_x + "b" * strong_y), x, y)

    def outer(x: Tensor, y: Tensor, strong_x: bool, strong_y: bool) -> Tensor:
        column, row = reshape(x, (x.size, 1)), reshape(y, (1, y.size))
        return multiplied(column, row, strong_x, strong_y)

    if g.ndim == 0:  # a product of vectors
        return reshape(outer(other, g, strong_other, strong_g), other.shape)
    if other.ndim == 1:
        first, second = (g, other) if operand == 0 else (other, g)
        strong = (strong_g, strong_other) if operand == 0 else (strong_other, strong_g)
        return outer(first, second, *strong)
    if g.ndim == 1:
        return multiplied(other if operand == 0 else other.mT, g, strong_other, strong_g)
    if operand == 0:
        return multiplied(g, other.mT, strong_g, strong_other)
    return multiplied(other.mT, g, strong_other, strong_g)


@provide("matmul")
def matmul(a: Any, b: Any) -> Tensor:
    """The matrix product by NumPy's rules: vectors are rows or columns, leading axes broadcast; of booleans,
    whether one term holds.

    Raises:
        ShapeError: the inner sizes are not provably equal.

    >>> from symgrad.ops.create import tensor
    >>> matmul(tensor("x", ("n", 4)), tensor("w", (4, 3)))
    <matmul: f64[n,3]>
    """
    x, y = align_tensors([a, b])
    if x.dtype is BOOL:
        return _one_holds(matmul, x, y)
    if x.ndim == 0 or y.ndim == 0:
        raise ShapeError(
            "matmul takes no 0-d tensors", facts=_operands(x, y), hint="use * for scalars", at=_here()
        )
    row, column = x.ndim == 1, y.ndim == 1
    inner = (x.shape[-1], y.shape[0 if column else -2])
    if not dims.equal(*inner):
        raise ShapeError(
            f"matmul needs equal inner sizes, not {inner[0]} and {inner[1]}",
            facts=_operands(x, y),
            at=_here(),
            hint=_suggestion(x, y),
        )
    if x.ndim <= 2 and y.ndim <= 2:
        return apply(MatMul(), x, broadcast_to(y, (x.shape[-1], *y.shape[1:])))
    left = reshape(x, (1, *x.shape)) if row else x
    right = reshape(y, (*y.shape, 1)) if column else y
    batch = broadcast_shapes([left.type.with_shape(left.shape[:-2]), right.type.with_shape(right.shape[:-2])])
    left = broadcast_to(left, (*batch, *left.shape[-2:]))
    right = broadcast_to(right, (*batch, left.shape[-1], right.shape[-1]))
    out = apply(MatMul(), left, right)
    if row or column:
        out = reshape(out, (*batch, *(() if row else out.shape[-2:-1]), *(() if column else out.shape[-1:])))
    return out


def _operands(x: Tensor, y: Tensor) -> list[tuple[str, object]]:
    return [(x.name or "a", x.type), (y.name or "b", y.type)]


def _here() -> str | None:
    return origin.locate(origin.current())


def _suggestion(x: Tensor, y: Tensor) -> str | None:
    """The transpose that would fit, if one would; for two symbols, how to state that they are equal."""
    a, b = x.name or "a", y.name or "b"
    if y.ndim >= 2 and x.shape[-1] == y.shape[-1]:
        return f"did you mean {a} @ {b}.mT?"
    if x.ndim >= 2 and y.ndim >= 2 and x.shape[-2] == y.shape[-2]:
        return f"did you mean {a}.mT @ {b}?"
    inner = (x.shape[-1], y.shape[-2 if y.ndim > 1 else 0])
    if all(dims.lone_symbol(d) for d in inner):
        return f'use one name for both sizes, or state it with sg.assume_equal(sg.size("{inner[0]}"), sg.size("{inner[1]}"))'
    return f"the last size of {a} must be the {'second last' if y.ndim > 1 else 'only'} size of {b}"


# ---- products by the names of axes ------------------------------------------------------------------


def contract_pair(
    x: Tensor, xs: Sequence[Label], y: Tensor, ys: Sequence[Label], kept: Collection[Label]
) -> tuple[Tensor, tuple[Label, ...]]:
    """The product of x and y, whose axes are called `xs` and `ys`, summed over all names that are not kept.

    Equal names have equal sizes, and no name is repeated in one operand. What is in both is a batch where it is
    kept and summed where it is not: then a matrix product, or where nothing else is left, a product and a sum.

    Returns:
        The result and the names of its axes.
    """
    x, xs = summed(x, xs, {*ys, *kept})
    y, ys = summed(y, ys, {*xs, *kept})
    batch = [n for n in xs if n in ys and n in kept]
    inner = [n for n in xs if n in ys and n not in kept]
    rows, columns = [n for n in xs if n not in ys], [n for n in ys if n not in xs]
    sizes = {**dict(zip(xs, x.shape, strict=True)), **dict(zip(ys, y.shape, strict=True))}
    names = (*batch, *rows, *columns)
    if not inner or not (rows or columns):
        order = [*names, *inner]
        return summed(_spaced(x, xs, order) * _spaced(y, ys, order), order, names)

    def matrices(t: Tensor, ts: Sequence[Label], left: list[Label], right: list[Label]) -> Tensor:
        extents = [product(sizes[n] for n in group) for group in (left, right)]
        order = [ts.index(n) for n in (*batch, *left, *right)]
        return reshape(permute_dims(t, tuple(order)), (*[sizes[n] for n in batch], *extents))

    found = apply(MatMul(), matrices(x, xs, rows, inner), matrices(y, ys, inner, columns))
    return reshape(found, tuple(sizes[n] for n in names)), names


def summed(x: Tensor, xs: Sequence[Label], kept: Collection[Label]) -> tuple[Tensor, tuple[Label, ...]]:
    """x summed over the axes whose names are not kept, in its own dtype; and the names that are left."""
    axes = tuple(i for i, n in enumerate(xs) if n not in kept)
    return (apply(Sum(axes), x) if axes else x), tuple(n for n in xs if n in kept)


def _spaced(x: Tensor, xs: Sequence[Label], order: Sequence[Label]) -> Tensor:
    """x with its axes in the given order of names, and axes of size 1 for the names that it has not."""
    moved = permute_dims(x, tuple(xs.index(n) for n in order if n in xs))
    sizes = iter(moved.shape)
    return reshape(moved, tuple(next(sizes) if n in xs else 1 for n in order))


def tensordot(x: Any, y: Any, axes: Any = 2) -> Tensor:
    """The sum of products over pairs of axes; those of x that are left come first. Of booleans, here and in the
    functions below, whether one term holds.

    Args:
        x, y: tensors.
        axes: a number n, for the last n axes of x with the first n of y; or two sequences (or ints) of equal
            length: the axes of x, and those of y that they meet.

    >>> from symgrad.ops.create import tensor
    >>> tensordot(tensor("x", (2, 3, "n")), tensor("y", ("n", 3, 5)), axes=((1, 2), (1, 0)))
    <matmul: f64[2,5]>
    """
    a, b = align_tensors([x, y])
    if a.dtype is BOOL:
        return _one_holds(tensordot, a, b, axes)
    left, right = _pairs(axes, a.ndim, b.ndim)
    for i, j in zip(left, right, strict=True):
        if not dims.equal(a.shape[i], b.shape[j]):
            raise ShapeError(
                f"tensordot needs equal sizes, but axis {i} has {a.shape[i]} and axis {j} has {b.shape[j]}",
                facts=_operands(a, b),
                at=_here(),
            )
    names = list(range(a.ndim))
    others = [a.ndim + j for j in range(b.ndim)]
    for i, j in zip(left, right, strict=True):
        others[j] = names[i]
    met = {names[i] for i in left}
    b = broadcast_to(b, tuple(a.shape[n] if n in met else d for n, d in zip(others, b.shape, strict=True)))
    return contract_pair(a, names, b, others, [n for n in (*names, *others) if n not in met])[0]


def _one_holds(product: Callable[..., Tensor], a: Tensor, b: Tensor, *rest: Any) -> Tensor:
    """A sum of products of booleans: whether one of these is true."""
    return not_equal(product(astype(a, INT64), astype(b, INT64), *rest), 0)


def _pairs(axes: Any, left_rank: int, right_rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes of both operands that meet, counted from the front."""
    count, sides = as_int(axes), as_items(axes)
    if count is not None:
        if not 0 <= count <= min(left_rank, right_rank):
            raise ShapeError(
                f"tensordot cannot sum over {count} axes", facts=[("dimensions", (left_rank, right_rank))]
            )
        return tuple(range(left_rank - count, left_rank)), tuple(range(count))
    if len(sides) != 2:
        raise ShapeError(f"axes must be a number, or two sequences of axes, not {axes!r:.80}")
    left, right = (
        normalize_axes(as_items(side), rank, keep_order=True)
        for side, rank in zip(sides, (left_rank, right_rank), strict=True)
    )
    if len(left) != len(right):
        raise ShapeError(f"tensordot needs as many axes of both, not {len(left)} and {len(right)}")
    return left, right


def vecdot(x: Any, y: Any, axis: int = -1) -> Tensor:
    """The inner products of vectors along `axis`, sum of conj(x) y; all other axes broadcast.

    Args:
        x, y: tensors; their sizes along the axis are equal.
        axis: counted in the shape that both broadcast to.

    >>> vecdot([1j, 2.0], [1.0, 1.0]).eval()
    np.complex128(2-1j)
    """
    a, b = align_tensors([x, y])
    if a.dtype is BOOL:
        return _one_holds(vecdot, a, b, axis)
    rank = max(a.ndim, b.ndim, 1)
    behind = normalize_axis(axis, rank) - rank
    if any(t.ndim < -behind for t in (a, b)) or not dims.equal(a.shape[behind], b.shape[behind]):
        raise ShapeError(f"vecdot needs equal sizes along axis {axis}", facts=_operands(a, b), at=_here())
    products = conj(a) * b
    return apply(Sum((products.ndim + behind,)), products)


def outer(x: Any, y: Any) -> Tensor:
    """The outer product of two vectors; other tensors are flattened, as NumPy does.

    >>> import symgrad as sg
    >>> sg.outer([1, 2], [1, 10]).eval()
    array([[ 1, 10],
           [ 2, 20]])
    """
    a, b = align_tensors([x, y])
    return matmul(reshape(a, (a.size, 1)), reshape(b, (1, b.size)))


def inner(x: Any, y: Any) -> Tensor:
    """The sum of products over the last axis of both; of a scalar, the product."""
    a, b = align_tensors([x, y])
    return a * b if a.ndim == 0 or b.ndim == 0 else tensordot(a, b, axes=(-1, -1))


@provide("dot")
def dot(x: Any, y: Any) -> Tensor:
    """NumPy's dot: the matrix product of vectors and matrices; with more dimensions, the sum of products over the
    last axis of x and the last but one of y; of a scalar, the product."""
    a, b = align_tensors([x, y])
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    if b.ndim <= 2 and a.ndim <= 2:
        return matmul(a, b)
    return tensordot(a, b, axes=(-1, -1 if b.ndim == 1 else -2))


def vdot(x: Any, y: Any) -> Tensor:
    """The inner product of tensors of equally many elements, flattened: the sum of conj(x) y."""
    a, b = align_tensors([x, y])
    if a.dtype is BOOL:
        return _one_holds(vdot, a, b)
    return matmul(conj(reshape(a, (a.size,))), reshape(b, (b.size,)))


def kron(x: Any, y: Any) -> Tensor:
    """The Kronecker product: every element of x times all of y, block by block.

    >>> import symgrad as sg
    >>> sg.kron([1, 10], [1, 2]).eval()
    array([ 1,  2, 10, 20])
    """
    a, b = align_tensors([x, y])
    rank = max(a.ndim, b.ndim)
    blocks, inside = ([*([1] * (rank - t.ndim)), *t.shape] for t in (a, b))
    apart = reshape(a, tuple(d for size in blocks for d in (size, 1)))
    within = reshape(b, tuple(d for size in inside for d in (1, size)))
    return reshape(apart * within, tuple(m * n for m, n in zip(blocks, inside, strict=True)))


def cross(x: Any, y: Any, *, axis: int = -1) -> Tensor:
    """The cross product of vectors of 3 along `axis`; the other axes broadcast.

    >>> cross([1.0, 0.0, 0.0], [0.0, 1.0, 0.0]).eval()
    array([0., 0., 1.])
    """
    a, b = align_tensors([x, y])
    shape = broadcast_shapes([a.type, b.type])
    place = normalize_axis(axis, len(shape))
    if a.shape[normalize_axis(axis, a.ndim)] != 3 or b.shape[normalize_axis(axis, b.ndim)] != 3:
        raise ShapeError("cross needs vectors of 3", facts=_operands(a, b), at=_here())
    a, b = broadcast_to(a, shape), broadcast_to(b, shape)

    def turned(t: Tensor, first: int) -> Tensor:
        order = [(first + i) % 3 for i in range(3)]
        result: Tensor = t[(*(slice(None),) * place, order)]
        return result

    return turned(a, 1) * turned(b, 2) - turned(a, 2) * turned(b, 1)
