"""Eigenvalues of symmetric (Hermitian) matrices, and singular values.

**Repeated values.** Derivatives of vectors have the gaps between values in the denominator. Where a gap is
within rounding of 0 (n times eps times the largest value), its reciprocal is taken as 0: derivatives are then
finite. They are right, as far as first derivatives, for functions of the values alone and of projections on the
whole space of a repeated one; terms between equal values are missing: of `(v * f(w)) @ v.T`, of second derivatives.

**Signs** of vectors are those that LAPACK gives; derivatives keep them. Complex vectors have a phase, which is
LAPACK's as well, and which derivatives hold still: v_k^H dv_k = 0 for eigenvectors, u_k^H du_k = -v_k^H dv_k for
singular vectors. So derivatives, of every order, are right for whatever does not depend on phases (projections,
|v|, functions of the matrix), and are a convention for the rest.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy

from symgrad import dims
from symgrad.dims import Dim
from symgrad.errors import GradientError, GraphError
from symgrad.ir.choice import check_choice
from symgrad.ir.tensor import Tensor, apply, apply_all
from symgrad.ops.arithmetic import abs
from symgrad.ops.cast import astype, stop_gradient
from symgrad.ops.compare import equal, less_equal, logical_or
from symgrad.ops.complexes import complex, imag
from symgrad.ops.create import as_tensor, zeros_like
from symgrad.ops.diagonals import DiagonalMatrix, MainDiagonal
from symgrad.ops.kinds import Custom, declare
from symgrad.ops.reduce import Supremum
from symgrad.ops.select import where
from symgrad.ops.shape import broadcast_to, expand_dims
from symgrad.ops.triangular import (
    adjoint,
    infer_matrix,
    infer_square,
    matrices,
    of_lower_triangle,
    positions,
    square,
)
from symgrad.records import record
from symgrad.types import DType, TensorType, real_dtype


class EighResult(NamedTuple):
    """What `eigh` returns."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class SVDResult(NamedTuple):
    """What `svd` returns."""

    U: Tensor
    S: Tensor
    Vh: Tensor


# ---- gaps -------------------------------------------------------------------------------------------


def _columns(w: Tensor, n: Dim) -> Tensor:
    """w_j in row i and column j."""
    return broadcast_to(expand_dims(w, -2), (*w.shape[:-1], n, w.shape[-1]))


def _rows(w: Tensor, n: Dim) -> Tensor:
    """w_i in row i and column j."""
    return broadcast_to(expand_dims(w, -1), (*w.shape, n))


def _over_gaps(w: Tensor) -> Tensor:
    """1 / (w_j - w_i); 0 on the diagonal, and where the difference is within rounding of 0."""
    n = w.shape[-1]
    gaps = _columns(w, n) - _rows(w, n)
    row, column = positions(gaps)
    nothing = logical_or(equal(row, column), less_equal(abs(gaps), _rounding(w, gaps)))
    return where(nothing, 0, 1 / where(nothing, 1, gaps))


def _rounding(w: Tensor, like: Tensor) -> Tensor:
    """n eps max |w|, a constant for derivatives."""
    most = apply(Supremum((w.ndim - 1,)), abs(stop_gradient(w)))
    n = w.shape[-1]
    count = n if isinstance(n, int) else astype(as_tensor(n), w.dtype)
    bound = most * (count * float(numpy.finfo(w.dtype.numpy).eps))
    return broadcast_to(expand_dims(bound, tuple(range(bound.ndim, like.ndim))), like.shape)


def _diagonal(w: Tensor, dtype: DType) -> Tensor:
    n = w.shape[-1]
    return apply(DiagonalMatrix((n, n), 0), astype(w, dtype))


# ---- eigenvalues ------------------------------------------------------------------------------------


@declare
@record
class Eigh(Custom):
    """Eigenvalues, ascending, and eigenvectors, as columns, of the symmetric (Hermitian) matrix that has the lower (or
    upper) triangle of a.

    With f_ij = 1 / (w_j - w_i): d_a = v (diag(g_w) + f * (v^H g_v)) v^H, on the triangle that is read.
    """

    lower: bool = True
    name: ClassVar[str] = "eigh"
    operands = ("a",)
    numpy = "linalg.eigh({a}, {lower})"
    fails = True

    def infer(self, a: TensorType) -> tuple[TensorType, TensorType]:
        infer_square(a, self.name)
        return a.with_shape(a.shape[:-1]).with_dtype(real_dtype(a.dtype)), a

    def vjp_a(
        self, g: tuple[Tensor | None, Tensor | None], a: Tensor, out: tuple[Tensor, Tensor]
    ) -> Tensor | None:
        w, v = out
        inner = None if g[0] is None else _diagonal(g[0], v.dtype)
        if g[1] is not None:
            turned = _over_gaps(w) * (adjoint(v) @ g[1])
            inner = turned if inner is None else inner + turned
        if inner is None:
            return None
        sent = of_lower_triangle(v @ inner @ adjoint(v))
        return sent if self.lower else adjoint(sent)

    def batched_op(self, size: Dim) -> Eigh:
        return self


@declare
@record
class EigValsH(Custom):
    """The eigenvalues of `eigh`, alone."""

    name: ClassVar[str] = "eigvalsh"
    operands = ("a",)
    numpy = "linalg.eigvalsh({a})"
    fails = True

    def infer(self, a: TensorType) -> TensorType:
        return infer_square(a, self.name).with_shape(a.shape[:-1]).with_dtype(real_dtype(a.dtype))

    def vjp_a(self, g: Tensor, a: Tensor, out: Tensor) -> Tensor:
        v = apply_all(Eigh(), (a,))[1]
        return of_lower_triangle((v * _columns(g, v.shape[-2])) @ adjoint(v))

    def batched_op(self, size: Dim) -> EigValsH:
        return self


def _is_lower(uplo: str) -> bool:
    check_choice("UPLO", uplo, ["L", "U", "l", "u"], GraphError)
    return uplo in "Ll"


def eigh(a: Any, UPLO: str = "L") -> EighResult:
    """Eigenvalues (..., n), ascending, and eigenvectors (..., n, n), as columns, of symmetric or Hermitian matrices.

    Args:
        a: matrices (..., n, n), of which one triangle is read.
        UPLO: which: "L", the lower, or "U".

    Raises:
        LinAlgError: when it runs, no convergence.

    Eigenvalues are real. Derivatives of eigenvectors belong to the signs (phases) that LAPACK chooses; see the module, and
    docs/derivatives.md, for repeated eigenvalues.

    >>> w, v = eigh([[2.0, 1.0], [1.0, 2.0]])
    >>> w.eval().round(12)
    array([1., 3.])
    """
    return EighResult(*apply_all(Eigh(_is_lower(UPLO)), (square(a, "eigh"),)))


def eigvalsh(a: Any, UPLO: str = "L") -> Tensor:
    """The eigenvalues (..., n) of symmetric or Hermitian matrices, ascending; see `eigh`."""
    matrix = square(a, "eigvalsh")
    return apply(EigValsH(), matrix if _is_lower(UPLO) else adjoint(matrix))


# ---- singular values --------------------------------------------------------------------------------


@declare
@record
class SVD(Custom):
    """a = u diag(s) vh with singular values descending. With `full`, u and vh are square, and the vectors
    beyond the singular values arbitrary, so only s has derivatives.

    With e_ij = s_j^2 - s_i^2 and skew(x) = x - x^H (Townsend, "Differentiating the singular value
    decomposition", 2016), for k = min(m, n) columns u, v:

        d_a = u ((skew(u^H g_u) / e) s + s (skew(v^H g_v) / e) + diag(g_s)) v^H
              + (1 - u u^H) g_u s^-1 v^H + u s^-1 g_v^H (1 - v v^H)

    Of complex matrices, the phases of u_k and v_k turn against each other, by Im(u_k^H da v_k) / 2 s_k, which adds
    i diag(Im(u^H g_u - v^H g_v)) / 2 s to what stands between u and v^H.
    """

    full: bool
    name: ClassVar[str] = "svd"
    operands = ("a",)
    numpy = "linalg.svd({a}, {full})"
    fails = True

    def infer(self, a: TensorType) -> tuple[TensorType, TensorType, TensorType]:
        *batch, m, n = infer_matrix(a, self.name).shape
        k = dims.minimum(m, n)
        rows, columns = (m, n) if self.full else (k, k)
        s = a.with_shape((*batch, k)).with_dtype(real_dtype(a.dtype))
        return a.with_shape((*batch, m, rows)), s, a.with_shape((*batch, columns, n))

    def vjp_a(
        self, g: tuple[Tensor | None, ...], a: Tensor, out: tuple[Tensor, Tensor, Tensor]
    ) -> Tensor | None:
        if self.full:
            if g[0] is not None or g[2] is not None:
                raise GradientError(
                    "svd with full_matrices has no derivative: vectors beyond the singular values are arbitrary",
                    hint="svd(a, full_matrices=False)",
                )
            return None if g[1] is None else _pulled_values(g[1], a)
        return _pulled_svd(g, *out)

    def batched_op(self, size: Dim) -> SVD:
        return self


def _pulled_values(g: Tensor, a: Tensor) -> Tensor:
    """What singular values alone send back."""
    u, _, vh = apply_all(SVD(False), (a,))
    return (u * _columns(g, u.shape[-2])) @ vh


def _pulled_svd(g: tuple[Tensor | None, ...], u: Tensor, s: Tensor, vh: Tensor) -> Tensor | None:
    g_u, g_s, g_vh = g
    k = s.shape[-1]
    squares = _over_gaps(s) * _over_sums(s)  # 1 / (s_j^2 - s_i^2)
    over_s = where(equal(s, 0), 0, 1 / where(equal(s, 0), 1, s))
    inner = None if g_s is None else _diagonal(g_s, u.dtype)
    outside = phase = None
    if g_u is not None:
        turned = adjoint(u) @ g_u
        part = (turned - adjoint(turned)) * squares * _columns(s, k)
        inner = part if inner is None else inner + part
        phase = _diagonal_imag(turned)
        if u.shape[-2] != k:
            outside = ((g_u - u @ turned) * _columns(over_s, u.shape[-2])) @ vh
    if g_vh is not None:
        turned = vh @ adjoint(g_vh)
        part = (turned - adjoint(turned)) * squares * _rows(s, k)
        inner = part if inner is None else inner + part
        phase = -_diagonal_imag(turned) if phase is None else phase - _diagonal_imag(turned)
        if vh.shape[-1] != k:
            part = u @ (_rows(over_s, vh.shape[-1]) * (g_vh - adjoint(turned) @ vh))
            outside = part if outside is None else outside + part
    if inner is None:
        return None
    if u.dtype.kind == "complex" and phase is not None:
        inner = inner + _diagonal(complex(zeros_like(phase), 0.5 * phase * over_s), u.dtype)
    whole = u @ inner @ vh
    return whole if outside is None else whole + outside


def _diagonal_imag(x: Tensor) -> Tensor:
    return imag(apply(MainDiagonal(), x))


def _over_sums(s: Tensor) -> Tensor:
    """1 / (s_i + s_j), 0 where both are 0."""
    k = s.shape[-1]
    sums = _columns(s, k) + _rows(s, k)
    return where(equal(sums, 0), 0, 1 / where(equal(sums, 0), 1, sums))


@declare
@record
class SVDVals(Custom):
    """The singular values alone, descending."""

    name: ClassVar[str] = "svdvals"
    operands = ("a",)
    numpy = "linalg.svdvals({a})"
    fails = True

    def infer(self, a: TensorType) -> TensorType:
        *batch, m, n = infer_matrix(a, self.name).shape
        return a.with_shape((*batch, dims.minimum(m, n))).with_dtype(real_dtype(a.dtype))

    def vjp_a(self, g: Tensor, a: Tensor, out: Tensor) -> Tensor:
        return _pulled_values(g, a)

    def batched_op(self, size: Dim) -> SVDVals:
        return self


def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """The singular value decomposition a = U diag(S) Vh, as `numpy.linalg.svd`.

    Args:
        a: matrices (..., m, n).
        full_matrices: whether U and Vh are square; their last columns and rows are then arbitrary, so such U and
            Vh have no derivative. Else they have min(m, n) columns and rows.
        compute_uv: False for the singular values alone.

    Returns:
        A named tuple (U, S, Vh), S real and descending.

    Raises:
        LinAlgError: when it runs, no convergence.

    >>> svd([[3.0, 0.0], [0.0, -4.0]]).S.eval()
    array([4., 3.])
    """
    if not compute_uv:
        return svdvals(a)
    matrix = matrices(a, "svd")
    full = bool(full_matrices) and not dims.equal(*matrix.shape[-2:])
    return SVDResult(*apply_all(SVD(full), (matrix,)))


def svdvals(a: Any) -> Tensor:
    """The singular values (..., min(m, n)) of matrices, descending.

    >>> svdvals([[3.0, 0.0], [0.0, -4.0]]).eval()
    array([4., 3.])
    """
    return apply(SVDVals(), matrices(a, "svdvals"))
