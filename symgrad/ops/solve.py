"""Systems of linear equations and inverses, by LU factors.

`solve` and `inv` are ops with the textbook's derivatives; `lu_factor` is what they come down to where one matrix
is used several times (see the pass `share_factors`), or in native code. Its factors are Crout's: columns are
exchanged, the diagonal is with the lower factor,

    a[:, order] = lower upper,   upper with ones on its diagonal,

since LAPACK, which stores matrices by columns, sees the transpose: so nothing needs to be moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from symgrad.dims import Dim
from symgrad.ir.tensor import Tensor, apply, apply_all
from symgrad.ops.diagonals import MainDiagonal, eye
from symgrad.ops.gather import TakeAlongAxis
from symgrad.ops.kinds import Custom, declare
from symgrad.ops.shape import broadcast_to, expand_dims
from symgrad.ops.sort import ArgSort
from symgrad.ops.triangular import (
    adjoint,
    infer_square,
    infer_system,
    lower_part,
    solution,
    square,
    system,
    triangular,
    upper_part,
)
from symgrad.records import record
from symgrad.types import INT64, TensorType

#: Native code for matrices up to this size is unrolled; larger ones go through their factors.
MAX_UNROLLED = 8


def are_small(*matrices: Tensor) -> bool:
    """Whether both sizes of all matrices are known, and small."""
    extents = [d for t in matrices for d in t.shape[-2:]]
    return all(isinstance(d, int) and 0 < d <= MAX_UNROLLED for d in extents)


@declare
@record
class Solve(Custom):
    """x with a x = b.

    d_b = a^-H g        d_a = -d_b x^H
    """

    name: ClassVar[str] = "solve"
    operands = ("a", "b")
    numpy = "linalg.solve({a}, {b})"
    fails = True

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        return infer_system(a, b, self.name)

    def vjp_b(self, g: Tensor, a: Tensor, b: Tensor, out: Tensor) -> Tensor:
        return apply(Solve(), adjoint(a), g)

    def vjp_a(self, g: Tensor, a: Tensor, b: Tensor, out: Tensor) -> Tensor:
        return -(self.vjp_b(g, a, b, out) @ adjoint(out))

    def expand(self, a: Tensor, b: Tensor) -> Tensor:
        if are_small(a, b):
            return apply(self, a, b)
        lu, order, _ = lu_factor(a)
        return solve_by_lu(lu, order, b)

    def batched_op(self, size: Dim) -> Solve:
        return self


@declare
@record
class Inverse(Custom):
    """a^-1.

    d_a = -out^H g out^H
    """

    name: ClassVar[str] = "inv"
    operands = ("a",)
    numpy = "linalg.inv({a})"
    fails = True

    def infer(self, a: TensorType) -> TensorType:
        return infer_square(a, self.name)

    def vjp_a(self, g: Tensor, a: Tensor, out: Tensor) -> Tensor:
        across = adjoint(out)
        return -(across @ g @ across)

    def expand(self, a: Tensor) -> Tensor:
        if are_small(a):
            return apply(self, a)
        lu, order, _ = lu_factor(a)
        return solve_by_lu(lu, order, identity_like(a))

    def batched_op(self, size: Dim) -> Inverse:
        return self


@declare
@record
class LUFactor(Custom):
    """Crout's factors: a[:, order] = lower upper. Outputs: both factors in one matrix, without the ones; `order`;
    and the determinant of that exchange of columns, 1 or -1.

    With w = lower^-1 da[:, order] upper^-1: d(lower) = lower (w on and below the diagonal), d(upper) = (w above
    it) upper.
    """

    name: ClassVar[str] = "lu_factor"
    operands = ("a",)
    numpy = "linalg.lu_factor({a})"

    def infer(self, a: TensorType) -> tuple[TensorType, TensorType, TensorType]:
        infer_square(a, self.name)
        return a, TensorType(INT64, a.shape[:-1]), a.with_shape(a.shape[:-2])

    def vjp_a(
        self, g: tuple[Tensor | None, ...], a: Tensor, out: tuple[Tensor, Tensor, Tensor]
    ) -> Tensor | None:
        if g[0] is None:
            return None
        lu, order, _ = out
        lower = lower_part(lu)
        upper = upper_part(lu, strict=True) + broadcast_to(eye(lu.shape[-1], dtype=lu.dtype), lu.shape)
        inner = lower_part(adjoint(lower) @ lower_part(g[0])) + upper_part(
            upper_part(g[0], strict=True) @ adjoint(upper), strict=True
        )
        left = triangular(lu, inner, lower=True, adjoint=True)  # lower^-H inner
        whole = triangular(lu, adjoint(left), lower=False, unit=True)  # (lower^-H inner upper^-H)^H
        return _rows(adjoint(_rows(whole, inverse_order(order))), None)

    def batched_op(self, size: Dim) -> LUFactor:
        return self


def _rows(x: Tensor, order: Tensor | None) -> Tensor:
    """The rows of matrices in another order; themselves without one."""
    if order is None:
        return x
    return apply(TakeAlongAxis(x.ndim - 2), x, broadcast_to(expand_dims(order, -1), x.shape))


def inverse_order(order: Tensor) -> Tensor:
    """The permutation that undoes one."""
    return apply(ArgSort(order.ndim - 1, False), order)


def lu_factor(a: Tensor) -> Sequence[Tensor]:
    """`LUFactor` of square matrices."""
    return apply_all(LUFactor(), (a,))


def solve_by_lu(lu: Tensor, order: Tensor, b: Tensor, *, of_adjoint: bool = False) -> Tensor:
    """a^-1 b, or a^-H b, from the factors of a."""
    if of_adjoint:
        y = triangular(lu, _rows(b, order), lower=False, adjoint=True, unit=True)
        return triangular(lu, y, lower=True, adjoint=True)
    y = triangular(lu, b, lower=True)
    return _rows(triangular(lu, y, lower=False, unit=True), inverse_order(order))


def diagonal_of(lu: Tensor) -> Tensor:
    """The diagonal of the lower factor."""
    return apply(MainDiagonal(), lu)


def identity_like(a: Tensor) -> Tensor:
    """Identity matrices of the type of a."""
    return broadcast_to(eye(a.shape[-1], dtype=a.dtype), a.shape)


# ---- the language -----------------------------------------------------------------------------------


def solve(a: Any, b: Any) -> Tensor:
    """The solution x of a x = b, as `numpy.linalg.solve`.

    Args:
        a: square matrices (..., n, n).
        b: a vector (n,), or matrices (..., n, k); batches broadcast.

    Raises:
        ShapeError: matrices that are not square, sizes that do not fit.
        LinAlgError: when it runs, a singular matrix.

    >>> solve([[2.0, 1.0], [1.0, 3.0]], [4.0, 7.0]).eval()
    array([1., 2.])
    """
    left, right, is_vector = system(a, b, "solve")
    return solution(apply(Solve(), left, right), is_vector)


def inv(a: Any) -> Tensor:
    """The inverses of square matrices (..., n, n). `inv(a) @ b` is computed as `solve(a, b)`.

    Raises:
        LinAlgError: when it runs, a singular matrix.

    >>> inv([[2.0, 0.0], [0.0, 4.0]]).eval()
    array([[0.5 , 0.  ],
           [0.  , 0.25]])
    """
    return apply(Inverse(), square(a, "inv"))
