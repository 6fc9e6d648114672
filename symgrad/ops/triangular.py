"""Triangular systems of equations, and what the rooms of linear algebra share: adjoints, triangles, checks.

Rules are written with `adjoint`, so that they hold for complex matrices too: the transpose of a linear map
under the real inner product Re<x, y> is its adjoint (see "Complex numbers" in `kinds`). What is symmetric for real
matrices is Hermitian for complex ones, and what is orthogonal unitary; factors have real diagonals.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from symgrad import dims
from symgrad.dims import Dim
from symgrad.errors import DTypeError, GraphError, NotSquareError, ShapeError
from symgrad.ir import origin
from symgrad.ir.choice import check_choice
from symgrad.ir.tensor import Tensor, apply
from symgrad.ops.align import align_tensors
from symgrad.ops.compare import equal, greater, greater_equal
from symgrad.ops.complexes import conj
from symgrad.ops.create import arange, zeros_like
from symgrad.ops.kinds import INEXACT, Custom, declare
from symgrad.ops.reduce import as_inexact
from symgrad.ops.select import where
from symgrad.ops.shape import broadcast_shapes, broadcast_to, expand_dims, matrix_transpose, reshape
from symgrad.records import record
from symgrad.types import TensorType

#: The kinds of dtypes that matrices may have.
KINDS = INEXACT


# ---- adjoints and triangles -------------------------------------------------------------------------


def adjoint(x: Tensor) -> Tensor:
    """The conjugate transpose of matrices."""
    return matrix_transpose(conj(x))


def positions(x: Tensor) -> tuple[Tensor, Tensor]:
    """The row and the column of each element of matrices; no memory stands for them."""
    rows, columns = x.shape[-2:]
    return broadcast_to(expand_dims(arange(rows), 1), x.shape), broadcast_to(arange(columns), x.shape)


def lower_part(x: Tensor, *, strict: bool = False) -> Tensor:
    """x on and below its diagonal (below it, if `strict`), 0 elsewhere."""
    row, column = positions(x)
    return where(greater(row, column) if strict else greater_equal(row, column), x, zeros_like(x))


def upper_part(x: Tensor, *, strict: bool = False) -> Tensor:
    """x on and above its diagonal (above it, if `strict`), 0 elsewhere."""
    row, column = positions(x)
    return where(greater(column, row) if strict else greater_equal(column, row), x, zeros_like(x))


def halved_lower_part(x: Tensor) -> Tensor:
    """x below its diagonal, half of x on it: of a symmetric (Hermitian) x, p with p + adjoint(p) = x."""
    row, column = positions(x)
    return where(equal(row, column), 0.5 * x, lower_part(x))


def of_lower_triangle(g: Tensor) -> Tensor:
    """The cotangent of a matrix of which the lower triangle alone is read, and mirrored, from the cotangent `g`
    of the mirrored matrix: an element below the diagonal stands in two places. On the diagonal, the real part alone
    is read, and gets a cotangent."""
    return halved_lower_part(g + adjoint(g))


def mirrored(x: Tensor) -> Tensor:
    """The symmetric (Hermitian) matrix that has x's lower triangle; of the diagonal, the real part."""
    half = halved_lower_part(x)
    return half + adjoint(half)


# ---- checks -----------------------------------------------------------------------------------------


def infer_square(a: TensorType, name: str) -> TensorType:
    """The type of square matrices, or an error."""
    if a.dtype.kind not in KINDS:
        raise DTypeError(f"{name} does not take {a.dtype}", facts=[("a", a)])
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise NotSquareError(f"{name} needs square matrices", facts=[("a", a)])
    return a


def infer_matrix(a: TensorType, name: str) -> TensorType:
    """The type of matrices, or an error."""
    if a.dtype.kind not in KINDS:
        raise DTypeError(f"{name} does not take {a.dtype}", facts=[("a", a)])
    if a.ndim < 2:
        raise ShapeError(f"{name} needs matrices", facts=[("a", a)])
    return a


def infer_system(a: TensorType, b: TensorType, name: str) -> TensorType:
    """The type of the solution of a x = b, for as many matrices a as b."""
    infer_square(a, name)
    if a.dtype is not b.dtype or b.ndim != a.ndim or a.shape[:-1] != b.shape[:-1]:
        raise ShapeError(f"{name} needs right-hand sides that fit the matrices", facts=[("a", a), ("b", b)])
    return b


def matrices(x: Any, name: str, *, label: str = "a") -> Tensor:
    """x as matrices of floats or complex numbers."""
    tensor: Tensor = as_inexact(x)
    if tensor.dtype.kind not in KINDS:
        raise DTypeError(f"{name} does not take {tensor.dtype}", facts=[(label, tensor.type)], at=here())
    if tensor.ndim < 2:
        raise ShapeError(
            f"{name} needs at least 2 dimensions", facts=[(tensor.name or label, tensor.type)], at=here()
        )
    return tensor


def square(x: Any, name: str) -> Tensor:
    """x as square matrices of floats or complex numbers.

    Raises:
        NotSquareError: the two sizes are not provably equal.
    """
    tensor = matrices(x, name)
    rows, columns = tensor.shape[-2:]
    if not dims.equal(rows, columns):
        raise NotSquareError(
            f"{name} needs square matrices, not {rows} by {columns}",
            facts=[(tensor.name or "a", tensor.type)],
            at=here(),
        )
    return tensor if rows == columns else broadcast_to(tensor, (*tensor.shape[:-1], rows))


def here() -> str | None:
    """The user's line."""
    return origin.locate(origin.current())


def system(a: Any, b: Any, name: str) -> tuple[Tensor, Tensor, bool]:
    """The operands of a x = b as the IR has them: batches broadcast, b a matrix; and whether b was a vector.

    As in NumPy 2, b is a vector if it has one dimension, and matrices otherwise.
    """
    left, right = align_tensors([as_inexact(a), as_inexact(b)])
    left = square(left, name)
    is_vector = right.ndim == 1
    if right.ndim == 0:
        raise ShapeError(f"{name} needs a right-hand side of 1 dimension or more", at=here())
    if is_vector:
        right = reshape(right, (*right.shape, 1))
    if not dims.equal(left.shape[-1], right.shape[-2]):
        raise ShapeError(
            f"{name} needs as many rows of b as of a, not {right.shape[-2]} and {left.shape[-1]}",
            facts=[(left.name or "a", left.type), (right.name or "b", right.type)],
            at=here(),
        )
    batch = broadcast_shapes([left.type.with_shape(left.shape[:-2]), right.type.with_shape(right.shape[:-2])])
    left = broadcast_to(left, (*batch, *left.shape[-2:]))
    return left, broadcast_to(right, (*batch, left.shape[-1], right.shape[-1])), is_vector


def solution(x: Tensor, is_vector: bool) -> Tensor:
    """A solution in the form of the right-hand side."""
    return reshape(x, x.shape[:-1]) if is_vector else x


# ---- the op -----------------------------------------------------------------------------------------


@declare
@record
class SolveTriangular(Custom):
    """x with a x = b, or adjoint(a) x = b: of a, the lower (upper) triangle alone is read; with `unit`, its diagonal
    is taken as 1. The derivative of the triangle that is read:

        d_b = a^-H g        d_a = -d_b x^H, or -x d_b^H for the adjoint
    """

    lower: bool
    adjoint: bool
    unit: bool
    name: ClassVar[str] = "solve_triangular"
    operands = ("a", "b")
    numpy = "linalg.solve_triangular({a}, {b}, {lower}, {adjoint}, {unit})"
    fails = True

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        return infer_system(a, b, self.name)

    def vjp_b(self, g: Tensor, a: Tensor, b: Tensor, out: Tensor) -> Tensor:
        return apply(replace(self, adjoint=not self.adjoint), a, g)

    def vjp_a(self, g: Tensor, a: Tensor, b: Tensor, out: Tensor) -> Tensor:
        sent = self.vjp_b(g, a, b, out)
        whole = -(out @ adjoint(sent)) if self.adjoint else -(sent @ adjoint(out))
        return (lower_part if self.lower else upper_part)(whole, strict=self.unit)

    def batched_op(self, size: Dim) -> SolveTriangular:
        return self


def triangular(a: Tensor, b: Tensor, *, lower: bool, adjoint: bool = False, unit: bool = False) -> Tensor:
    """`SolveTriangular` of matrices that fit."""
    return apply(SolveTriangular(lower, adjoint, unit), a, b)


_TRANSPOSED: dict[Any, str] = {0: "N", 1: "T", 2: "C", "N": "N", "T": "T", "C": "C"}


def solve_triangular(
    a: Any, b: Any, trans: int | str = 0, lower: bool = False, unit_diagonal: bool = False
) -> Tensor:
    """The solution x of a x = b for triangular matrices a, as `scipy.linalg.solve_triangular`, for batches too.

    Args:
        a: square matrices (..., n, n); the other triangle is not read.
        b: a vector (n,), or matrices (..., n, k); batches broadcast.
        trans: 0 or "N" for a x = b, 1 or "T" for a.T x = b, 2 or "C" for the conjugate transpose.
        lower: whether a is lower triangular.
        unit_diagonal: whether the diagonal is taken as 1, and not read.

    Raises:
        LinAlgError: when it runs, a 0 on the diagonal.

    >>> solve_triangular([[2.0, 9.0], [1.0, 4.0]], [2.0, 9.0], lower=True).eval()
    array([1., 2.])
    """
    check_choice("trans", trans, _TRANSPOSED, GraphError)
    left, right, is_vector = system(a, b, "solve_triangular")
    form = _TRANSPOSED[trans]
    left = conj(left) if form == "T" else left  # a^T = conj(a)^H
    x = triangular(left, right, lower=bool(lower), adjoint=form != "N", unit=bool(unit_diagonal))
    return solution(x, is_vector)
