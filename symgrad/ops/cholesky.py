"""Cholesky's factor of positive definite matrices, and what is made of it: solutions, inverses, determinants.

**Convention.** Of the matrix, the lower triangle alone is read, as in NumPy and LAPACK. So the gradient with
respect to it is lower triangular: an element below the diagonal stands for itself and for its mirror image.
That is the derivative of what is computed; finite differences of single elements agree with it. Of a complex
(Hermitian) matrix, only the real part of the diagonal is read, and the gradient is real there.

The derivative (Murray, "Differentiation of the Cholesky decomposition", 2016): from a = l l^H follows
dl = l p(l^-1 da l^-H), where p takes the lower triangle and half of the diagonal.
"""

from __future__ import annotations

from typing import Any, ClassVar

from symgrad.dims import Dim
from symgrad.ir.tensor import Tensor, apply
from symgrad.ops.arithmetic import log
from symgrad.ops.complexes import real
from symgrad.ops.diagonals import MainDiagonal
from symgrad.ops.kinds import Custom, declare
from symgrad.ops.reduce import sum
from symgrad.ops.triangular import (
    adjoint,
    halved_lower_part,
    infer_square,
    lower_part,
    of_lower_triangle,
    square,
    triangular,
)
from symgrad.records import record
from symgrad.types import TensorType


@declare
@record
class Cholesky(Custom):
    """The lower triangular l with a = l l^H and a positive diagonal; of a, the lower triangle is read."""

    name: ClassVar[str] = "cholesky"
    operands = ("a",)
    fills = True
    numpy = "linalg.cholesky({a})"
    fails = True

    def infer(self, a: TensorType) -> TensorType:
        return infer_square(a, self.name)

    def vjp_a(self, g: Tensor, a: Tensor, out: Tensor) -> Tensor:
        """s = l^-H p(l^H g) l^-1 for the lower part of g, mirrored onto the triangle that is read."""
        inner = halved_lower_part(adjoint(out) @ lower_part(g))
        left = triangular(out, inner, lower=True, adjoint=True)
        return of_lower_triangle(triangular(out, adjoint(left), lower=True, adjoint=True))

    def batched_op(self, size: Dim) -> Cholesky:
        return self


@declare
@record
class CholeskyInverse(Custom):
    """(l l^H)^-1 for a lower triangular l; of l, the lower triangle is read."""

    name: ClassVar[str] = "cholesky_inverse"
    operands = ("l",)
    numpy = "linalg.cholesky_inverse({l})"
    fails = True

    def infer(self, l: TensorType) -> TensorType:
        return infer_square(l, self.name)

    def vjp_l(self, g: Tensor, l: Tensor, out: Tensor) -> Tensor:
        """Of x = a^-1, d_a = -x g x; of a = l l^H, d_l = (d_a + d_a^H) l."""
        factor = lower_part(l)
        return lower_part(-(out @ ((g + adjoint(g)) @ (out @ factor))))

    def batched_op(self, size: Dim) -> CholeskyInverse:
        return self


def factor(a: Tensor) -> Tensor:
    """The lower factor of square matrices."""
    return apply(Cholesky(), a)


def cholesky(a: Any, *, upper: bool = False) -> Tensor:
    """Cholesky's factor: lower triangular l with a = l l^H, or upper triangular u with a = u^H u.

    Args:
        a: symmetric (Hermitian) positive definite matrices (..., n, n), of which the lower triangle alone is read (the upper
            one, with `upper`).
        upper: which factor.

    Raises:
        LinAlgError: when it runs, a matrix that is not positive definite. NaN is handed on, as by NumPy.

    The gradient with respect to a is triangular as well: it is that of what is read, each element off the diagonal
    for two. See docs/derivatives.md.

    >>> cholesky([[4.0, 2.0], [2.0, 5.0]]).eval()
    array([[2., 0.],
           [1., 2.]])
    """
    matrix = square(a, "cholesky")
    return adjoint(factor(adjoint(matrix))) if upper else factor(matrix)


def solve_by_factor(l: Tensor, b: Tensor) -> Tensor:
    """(l l^H)^-1 b."""
    return triangular(l, triangular(l, b, lower=True), lower=True, adjoint=True)


def log_determinant(l: Tensor) -> Tensor:
    """log det(l l^H), for a factor with a positive diagonal."""
    return 2.0 * sum(log(real(apply(MainDiagonal(), l))), axis=-1)
