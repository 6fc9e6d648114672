"""The QR decomposition.

Derivatives (Walter and Lehmann, "Algorithmic differentiation of linear algebra functions", 2018) exist where the
first min(m, n) columns are independent. A wide matrix is (x, y) with x square: its q and the left part of its r
are those of x, the rest of r is q^H y. The columns of a complete q beyond the matrix's own are arbitrary, and
have no derivative.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

from symgrad import dims
from symgrad.dims import Dim
from symgrad.errors import GradientError, GraphError
from symgrad.ir.choice import check_choice
from symgrad.ir.tensor import Tensor, apply_all
from symgrad.ops.create import zeros
from symgrad.ops.join import concat
from symgrad.ops.kinds import Custom, declare
from symgrad.ops.triangular import (
    adjoint,
    infer_matrix,
    matrices,
    mirrored,
    triangular,
    upper_part,
)
from symgrad.records import record
from symgrad.types import TensorType


class QRResult(NamedTuple):
    """What `qr` returns."""

    Q: Tensor
    R: Tensor


@declare
@record
class QR(Custom):
    """a = q r, with orthonormal columns q and an upper triangular r; of k = min(m, n) columns, or `complete`.

    r has a real diagonal, of complex matrices too: that settles the phases of the columns of q. With m = r g_r^H -
    g_q^H q, and c(m) its lower triangle mirrored: d_a = (g_q + q c(m)) r^-H.
    """

    complete: bool
    name: ClassVar[str] = "qr"
    operands = ("a",)
    fills = True
    numpy = "linalg.qr({a}, {complete})"

    def infer(self, a: TensorType) -> tuple[TensorType, TensorType]:
        *batch, m, n = infer_matrix(a, self.name).shape
        k = m if self.complete else dims.minimum(m, n)
        return a.with_shape((*batch, m, k)), a.with_shape((*batch, k, n))

    def vjp_a(
        self, g: tuple[Tensor | None, Tensor | None], a: Tensor, out: tuple[Tensor, Tensor]
    ) -> Tensor | None:
        q, r = out
        g_q, g_r = g
        if q.shape[-1] != r.shape[-1]:
            raise GradientError(
                "a complete qr has no derivative: the last columns of Q are arbitrary"
                if self.complete
                else "qr has no derivative for matrices that may be wide: sizes must be known to be so",
                facts=[("a", a.type)],
            )
        if g_r is not None:
            g_r = upper_part(g_r)
        inner = None if g_r is None else r @ adjoint(g_r)
        if g_q is not None:
            part = adjoint(g_q) @ q
            inner = -part if inner is None else inner - part
        if inner is None:
            return None
        within = q @ mirrored(inner)
        sent = within if g_q is None else g_q + within
        return adjoint(triangular(r, adjoint(sent), lower=False))

    def batched_op(self, size: Dim) -> QR:
        return self


def qr(a: Any, mode: str = "reduced") -> Any:
    """The QR decomposition of matrices (..., m, n), as `numpy.linalg.qr`.

    Args:
        a: matrices.
        mode: "reduced" for min(m, n) columns of Q, "complete" for m, "r" for R alone.

    Returns:
        A named tuple (Q, R), or R. The signs of R's diagonal are LAPACK's.

    Derivatives need independent leading columns: else they raise LinAlgError. A complete Q has one where m <= n.

    >>> qr([[3.0, 1.0], [4.0, 2.0]]).R.eval().round(12)
    array([[-5. , -2.2],
           [ 0. ,  0.4]])
    """
    check_choice("mode", mode, ["reduced", "complete", "r"], GraphError)
    matrix = matrices(a, "qr")
    m, n = matrix.shape[-2:]
    if isinstance(m, int) and isinstance(n, int) and m < n:
        q, r = _wide(matrix, m)
    elif mode == "complete" and m != n:
        return QRResult(apply_all(QR(True), (matrix,))[0], _padded(matrix))
    else:
        q, r = apply_all(QR(False), (matrix,))
    return r if mode == "r" else QRResult(q, r)


def _wide(a: Tensor, m: int) -> tuple[Tensor, Tensor]:
    q, left = apply_all(QR(False), (a[..., :m],))
    return q, concat([left, adjoint(q) @ a[..., m:]], axis=-1)


def _padded(a: Tensor) -> Tensor:
    """A complete R: the reduced one over zeros."""
    r = apply_all(QR(False), (a,))[1]
    rest = a.shape[-2] - r.shape[-2]
    return concat([r, zeros((*r.shape[:-2], rest, r.shape[-1]), dtype=a.dtype)], axis=-2)
