"""Contractions: products summed over shared axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from symgrad import dims
from symgrad.dims import Dim, product
from symgrad.errors import DTypeError, ShapeError
from symgrad.ir import origin
from symgrad.ir.tensor import Node, Tensor, apply
from symgrad.ops.align import align_tensors
from symgrad.ops.kinds import NUMBERS, Linear, Tangents, declare, known_finite, total
from symgrad.ops.shape import broadcast_shapes, broadcast_to, reshape
from symgrad.registry import provide
from symgrad.types import TensorType


@declare
@dataclass(frozen=True)
class MatMul(Linear):
    """out[..., i, j] = sum over k of a[..., i, k] b[..., k, j]; the leading axes are equal.

    Without leading axes, either operand may be a vector: then i, or j, is missing.

    `strong` names the operands ("a", "b", "ab") whose zeros are strong: a term with such a zero is 0,
    whatever the other factor is. Derivatives of masked values need it (see `kinds`).
    """

    strong: str = ""
    name: ClassVar[str] = "matmul"
    operands = ("a", "b")
    numpy = "numeric.matmul({a}, {b}, {strong}, {out})"

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
        """d_a = g b^T and d_b = a^T g, strong in what was strong and in a masked g."""
        g = cotangents[0]
        if g is None:
            return None
        other = node.inputs[1 - operand]
        differentiated, kept = ("a", "b") if operand == 0 else ("b", "a")
        strong_g = differentiated in self.strong or (masked and not known_finite(other))
        return _transposed(operand, g, other, strong_g, kept in self.strong)

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

    def transpose_a(self, g: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return _transposed(0, g, b, "a" in self.strong, "b" in self.strong)

    def transpose_b(self, g: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return _transposed(1, g, a, "b" in self.strong, "a" in self.strong)

    def batch(self, size: Dim, operands: Sequence[Tensor], batched: Sequence[bool]) -> tuple[Tensor, ...]:
        """One large product where the batch can join the rows; else a product for each element of it."""
        a, b = operands
        if batched[0] and not batched[1] and a.ndim <= 3 and b.ndim <= 2:
            rows = a.shape[:-1]
            found = apply(self, reshape(a, (product(rows), a.shape[-1])), b)
            return (reshape(found, (*rows, *found.shape[1:])),)
        if batched[1] and not batched[0] and b.ndim == 2:  # vectors, as the rows of a matrix
            return (apply(MatMul(_swapped(self.strong)), b, a if a.ndim == 1 else a.mT),)
        whole = [
            x if has else broadcast_to(x, (size, *x.shape)) for x, has in zip(operands, batched, strict=True)
        ]
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
    """The cotangent of one operand of a product, from that of the result and the other operand."""

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
    """The matrix product by NumPy's rules: vectors are rows or columns, leading axes broadcast.

    Raises:
        ShapeError: the inner sizes are not provably equal.

    >>> from symgrad.ops.create import tensor
    >>> matmul(tensor("x", ("n", 4)), tensor("w", (4, 3)))
    <matmul: f64[n,3]>
    """
    x, y = align_tensors([a, b])
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


def outer(x: Any, y: Any) -> Tensor:
    """The outer product of two vectors."""
    a, b = align_tensors([x, y])
    if a.ndim != 1 or b.ndim != 1:
        raise ShapeError("outer takes two vectors", facts=_operands(a, b), at=_here())
    return apply(MatMul(), reshape(a, (a.shape[0], 1)), reshape(b, (1, b.shape[0])))


def dot(x: Any, y: Any) -> Tensor:
    """NumPy's dot for vectors and matrices: the matrix product."""
    return matmul(x, y)
