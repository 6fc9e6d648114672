"""Pseudo-inverses and least squares.

Derivatives (Golub and Pereyra, "The differentiation of pseudo-inverses", 1973) are those along matrices of the
same rank, elsewhere there are none: with p the pseudo-inverse of a,

    dp = -p da p + p p^H da^H (1 - a p) + (1 - p a) da^H p^H p.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy

from symgrad import dims
from symgrad.dims import Dim
from symgrad.errors import ShapeError
from symgrad.ir.tensor import Tensor, apply
from symgrad.ops.align import align_tensors
from symgrad.ops.cast import astype
from symgrad.ops.compare import greater
from symgrad.ops.create import as_tensor, zeros
from symgrad.ops.kinds import Custom, declare
from symgrad.ops.polar import squared_length
from symgrad.ops.reduce import Supremum, as_inexact, sum
from symgrad.ops.select import maximum
from symgrad.ops.shape import broadcast_shapes, broadcast_to, expand_dims, reshape
from symgrad.ops.spectral import svdvals
from symgrad.ops.triangular import adjoint, here, infer_matrix, matrices
from symgrad.ops.truth import count_nonzero
from symgrad.records import record
from symgrad.types import TensorType, real_dtype


class LstsqResult(NamedTuple):
    """What `lstsq` returns."""

    x: Tensor
    residuals: Tensor
    rank: Tensor
    s: Tensor


@declare
@record
class PInv(Custom):
    """The pseudo-inverse; singular values up to `rtol` times the largest (unless given, eps times the larger size)
    count as 0."""

    rtol: float | None
    name: ClassVar[str] = "pinv"
    operands = ("a",)
    numpy = "linalg.pinv({a}, {rtol})"
    fails = True

    def infer(self, a: TensorType) -> TensorType:
        *batch, m, n = infer_matrix(a, self.name).shape
        return a.with_shape((*batch, n, m))

    def vjp_a(self, g: Tensor, a: Tensor, out: Tensor) -> Tensor:
        """-p^H g p^H + (1 - a p) g^H p p^H + p^H p g^H (1 - p a)"""
        p_h, g_h = adjoint(out), adjoint(g)
        left, right = g_h @ out @ p_h, p_h @ out @ g_h
        return -(p_h @ g @ p_h) + (left - a @ (out @ left)) + (right - (right @ out) @ a)

    def batched_op(self, size: Dim) -> PInv:
        return self


@declare
@record
class LeastSquares(Custom):
    """The shortest x among those for which |a x - b| is smallest, that is p b with the pseudo-inverse p."""

    rtol: float | None
    name: ClassVar[str] = "lstsq"
    operands = ("a", "b")
    numpy = "linalg.lstsq({a}, {b}, {rtol})"
    fails = True

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        *batch, m, n = infer_matrix(a, self.name).shape
        if a.dtype is not b.dtype or b.ndim != a.ndim or b.shape[:-1] != (*batch, m):
            raise ShapeError("lstsq needs right-hand sides that fit the matrices", facts=[("a", a), ("b", b)])
        return b.with_shape((*batch, n, b.shape[-1]))

    def vjp_b(self, g: Tensor, a: Tensor, b: Tensor, out: Tensor) -> Tensor:
        return adjoint(apply(PInv(self.rtol), a)) @ g

    def vjp_a(self, g: Tensor, a: Tensor, b: Tensor, out: Tensor) -> Tensor:
        """-p^H g x^H + (b - a x) (p p^H g)^H + p^H x ((1 - p a) g)^H"""
        p = apply(PInv(self.rtol), a)
        p_h = adjoint(p)
        h = p_h @ g
        beside = g - p @ (a @ g)
        return -(h @ adjoint(out)) + (b - a @ out) @ adjoint(p @ h) + (p_h @ out) @ adjoint(beside)

    def batched_op(self, size: Dim) -> LeastSquares:
        return self


# ---- the language -----------------------------------------------------------------------------------


def pinv(a: Any, rtol: float | None = None) -> Tensor:
    """The pseudo-inverses (..., n, m) of matrices (..., m, n).

    Args:
        a: matrices of any rank.
        rtol: what share of the largest singular value counts as 0; unless given, max(m, n) times eps.

    The derivative is that along matrices of the same rank.

    >>> pinv([[2.0, 0.0], [0.0, 0.0]]).eval()
    array([[0.5, 0. ],
           [0. , 0. ]])
    """
    return apply(PInv(_tolerance(rtol)), matrices(a, "pinv"))


def lstsq(a: Any, b: Any, rcond: float | None = None) -> LstsqResult:
    """The least squares solutions of a x = b, as `numpy.linalg.lstsq`, for batches too.

    Args:
        a: matrices (..., m, n).
        b: a vector (m,), or matrices (..., m, k); batches broadcast.
        rcond: what share of the largest singular value counts as 0; unless given, max(m, n) times eps.

    Returns:
        A named tuple: x (n,) or (..., n, k), the shortest solution; residuals, the sums of |b - a x|^2, of
        shape (..., k), or (1,) for a vector b, and of none where m <= n is known (NumPy leaves them out for a matrix
        that has not full rank too); the rank; the singular values. x and residuals have derivatives with respect to a,
        along matrices of the same rank, and b.

    >>> lstsq([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]], [1.0, 2.0, 3.0]).x.eval().round(12)
    array([1., 1.])
    """
    left, right = align_tensors([as_inexact(a), as_inexact(b)])
    left, is_vector = matrices(left, "lstsq"), right.ndim == 1
    if is_vector:
        right = reshape(right, (*right.shape, 1))
    right = matrices(right, "lstsq", label="b")
    m, n = left.shape[-2:]
    if not dims.equal(m, right.shape[-2]):
        raise ShapeError(
            f"lstsq needs as many rows of b as of a, not {right.shape[-2]} and {m}",
            facts=[(left.name or "a", left.type), (right.name or "b", right.type)],
            at=here(),
        )
    batch = broadcast_shapes([left.type.with_shape(left.shape[:-2]), right.type.with_shape(right.shape[:-2])])
    matrix = broadcast_to(left, (*batch, m, n))
    right = broadcast_to(right, (*batch, m, right.shape[-1]))
    rtol = _tolerance(rcond)
    x = apply(LeastSquares(rtol), matrix, right)
    if isinstance(m, int) and isinstance(n, int) and m <= n:
        residuals = zeros((0,), dtype=real_dtype(x.dtype))
    else:
        residuals = sum(squared_length(right - matrix @ x), axis=-2)
    s = svdvals(left)
    return LstsqResult(reshape(x, (*batch, n)) if is_vector else x, residuals, _rank(s, left, rtol), s)


def matrix_rank(a: Any, tol: Any = None, *, rtol: Any = None) -> Tensor:
    """How many singular values are above `tol` (or `rtol` times the largest), as int64.

    Unless one is given, rtol is max(m, n) times eps. Of a vector: whether it is not 0.

    >>> matrix_rank([[1.0, 2.0], [2.0, 4.0]]).eval()
    np.int64(1)
    """
    tensor = as_inexact(a)
    if tensor.ndim < 2:
        return astype(count_nonzero(tensor) > 0, "int64")
    matrix = matrices(tensor, "matrix_rank")
    s = svdvals(matrix)
    if tol is not None:
        bound = as_tensor(tol)
        return count_nonzero(greater(s, expand_dims(bound, -1) if bound.ndim else bound), axis=-1)
    return _rank(s, matrix, rtol)


def _rank(s: Tensor, a: Tensor, rtol: Any) -> Tensor:
    share = _default_tolerance(a) if rtol is None else as_tensor(rtol)
    if getattr(share, "ndim", 0):
        share = expand_dims(share, -1)
    largest = expand_dims(apply(Supremum((s.ndim - 1,)), s), -1)
    return count_nonzero(greater(s, largest * share), axis=-1)


def _default_tolerance(a: Tensor) -> Any:
    """The larger size times eps."""
    eps = float(numpy.finfo(a.dtype.numpy).eps)
    m, n = a.shape[-2:]
    if isinstance(m, int) and isinstance(n, int):
        return max(m, n) * eps
    return astype(maximum(as_tensor(m), as_tensor(n)), real_dtype(a.dtype)) * eps


def _tolerance(rtol: float | None) -> float | None:
    return None if rtol is None else float(rtol)
