"""Determinants. Derivatives of `det` do not divide by it: at a singular matrix they are what the adjugate gives.

With a = u s v^H, the cofactors are det(u) det(v^H) u p v^H, where p_i is the product of all singular values but
s_i; their derivative is made of products of all but two. So first and second derivatives are right for every
matrix. The third, and those beyond, are written with the inverse, and fail where there is none.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

from symgrad.dims import Dim
from symgrad.errors import ShapeError
from symgrad.ir.tensor import Tensor, apply, apply_all
from symgrad.ops.arithmetic import abs, log, sign
from symgrad.ops.complexes import complex, conj, imag
from symgrad.ops.create import zeros_like
from symgrad.ops.diagonals import MainDiagonal
from symgrad.ops.kinds import Custom, declare
from symgrad.ops.reduce import prod, sum
from symgrad.ops.select import masked_multiply
from symgrad.ops.shape import broadcast_to, expand_dims
from symgrad.ops.solve import Inverse, are_small, diagonal_of, lu_factor
from symgrad.ops.triangular import adjoint, infer_square, square
from symgrad.records import record
from symgrad.types import TensorType, real_dtype


class SlogdetResult(NamedTuple):
    """What `slogdet` returns."""

    sign: Tensor
    logabsdet: Tensor


@declare
@record
class Det(Custom):
    """The determinant. d_a = g times the cofactors of a."""

    name: ClassVar[str] = "det"
    operands = ("a",)
    numpy = "linalg.det({a})"

    def infer(self, a: TensorType) -> TensorType:
        return infer_square(a, self.name).with_shape(a.shape[:-2])

    def vjp_a(self, g: Tensor, a: Tensor, out: Tensor) -> Tensor:
        """Zeros of g are strong: of a matrix that is not finite, the cofactors are NaN."""
        return masked_multiply(_spread(g, a), apply(Cofactors(), a))

    def expand(self, a: Tensor) -> Tensor:
        if are_small(a):
            return apply(self, a)
        lu, _, parity = lu_factor(a)
        return parity * prod(diagonal_of(lu), axis=-1)

    def batched_op(self, size: Dim) -> Det:
        return self


@declare
@record
class Cofactors(Custom):
    """The cofactors of a, the gradient of its determinant: the adjoint of the adjugate."""

    name: ClassVar[str] = "cofactors"
    operands = ("a",)
    numpy = "linalg.cofactors({a})"
    fails = True

    def infer(self, a: TensorType) -> TensorType:
        return infer_square(a, self.name)

    def vjp_a(self, g: Tensor, a: Tensor, out: Tensor) -> Tensor:
        """A second derivative is symmetric: the derivative in the direction g. (Of complex matrices, this is the
        conjugate of an analytic function with a symmetric derivative h: <g, conj(h t)> = <conj(h g), t>.)"""
        return apply(CofactorsDerivative(), a, g)

    def batched_op(self, size: Dim) -> Cofactors:
        return self


@declare
@record
class CofactorsDerivative(Custom):
    """The derivative of the cofactors of a in the direction t."""

    name: ClassVar[str] = "cofactors_derivative"
    operands = ("a", "t")
    numpy = "linalg.cofactors_derivative({a}, {t})"
    fails = True

    def infer(self, a: TensorType, t: TensorType) -> TensorType:
        infer_square(a, self.name)
        if a != t:
            raise ShapeError(f"{self.name} needs operands of one type", facts=[("a", a), ("t", t)])
        return a

    def vjp_t(self, g: Tensor, a: Tensor, t: Tensor, out: Tensor) -> Tensor:
        return apply(self, a, g)

    def vjp_a(self, g: Tensor, a: Tensor, t: Tensor, out: Tensor) -> Tensor:
        """The third derivative of det(a) in the directions t and g, with x = a^-1:

        (det(a) ((tr(xt) tr(xg) - tr(xtxg)) x - tr(xt) xgx - tr(xg) xtx + xtxgx + xgxtx))^H
        """
        x = apply(Inverse(), a)
        xt, xg = x @ t, x @ g
        t1, t2 = _trace(xt), _trace(xg)
        first = scaled(t1 * t2 - _trace(xt @ xg), x) - scaled(t1, xg @ x) - scaled(t2, xt @ x)
        whole = first + (xt @ xg + xg @ xt) @ x
        return scaled(conj(apply(Det(), a)), adjoint(whole))

    def batched_op(self, size: Dim) -> CofactorsDerivative:
        return self


def scaled(factors: Tensor, x: Tensor) -> Tensor:
    """Each matrix times its factor."""
    return _spread(factors, x) * x


def _spread(factors: Tensor, x: Tensor) -> Tensor:
    return broadcast_to(expand_dims(factors, (-1, -2)), x.shape)


def _trace(x: Tensor) -> Tensor:
    return sum(apply(MainDiagonal(), x), axis=-1)


@declare
@record
class SlogDet(Custom):
    """The sign of the determinant and the logarithm of its absolute value; of a singular matrix, 0 and -inf.

    With x = tr(a^-1 da), the logarithm changes by Re x, and the sign s, of complex matrices a number on the unit
    circle, by i s Im x: d_a = (g_logarithm + i Im(conj(s) g_sign)) a^-H.
    """

    name: ClassVar[str] = "slogdet"
    operands = ("a",)
    numpy = "linalg.slogdet({a})"

    def infer(self, a: TensorType) -> tuple[TensorType, TensorType]:
        number = infer_square(a, self.name).with_shape(a.shape[:-2])
        return number, number.with_dtype(real_dtype(a.dtype))

    def vjp_a(
        self, g: tuple[Tensor | None, Tensor | None], a: Tensor, out: tuple[Tensor, Tensor]
    ) -> Tensor | None:
        g_sign, g_log = g
        if a.dtype.kind != "complex":
            g_sign = None  # a real sign is piecewise constant
        if g_sign is None:
            return None if g_log is None else scaled(g_log, adjoint(apply(Inverse(), a)))
        turned = imag(conj(out[0]) * g_sign)
        factor = complex(zeros_like(turned) if g_log is None else g_log, turned)
        return scaled(factor, adjoint(apply(Inverse(), a)))

    def expand(self, a: Tensor) -> tuple[Tensor, Tensor]:
        lu, _, parity = lu_factor(a)
        return slogdet_by_lu(lu, parity)

    def batched_op(self, size: Dim) -> SlogDet:
        return self


def slogdet_by_lu(lu: Tensor, parity: Tensor) -> tuple[Tensor, Tensor]:
    """`SlogDet` from the factors."""
    diagonal = diagonal_of(lu)
    return parity * prod(sign(diagonal), axis=-1), sum(log(abs(diagonal)), axis=-1)


# ---- the language -----------------------------------------------------------------------------------


def det(a: Any) -> Tensor:
    """The determinants of square matrices (..., n, n).

    First and second derivatives are right at singular matrices too: the gradient is the matrix of cofactors.
    Of real matrices, `log(det(a))` is computed as `slogdet` does.

    >>> det([[1.0, 2.0], [3.0, 4.0]]).eval().round(12)
    np.float64(-2.0)
    """
    return apply(Det(), square(a, "det"))


def slogdet(a: Any) -> SlogdetResult:
    """The sign and the logarithm of the absolute value of the determinant, which neither overflow nor underflow.

    Returns:
        A named tuple (sign, logabsdet) of shapes (...). Of complex matrices the sign is a complex number of length 1
        and the logarithm real. Of a singular matrix they are 0 and -inf, and a derivative raises LinAlgError.

    >>> sign, logabsdet = slogdet([[1.0, 2.0], [3.0, 4.0]])
    >>> sign.eval(), logabsdet.eval().round(12)
    (np.float64(-1.0), np.float64(0.69314718056))
    """
    sign, logabsdet = apply_all(SlogDet(), (square(a, "slogdet"),))
    return SlogdetResult(sign, logabsdet)
