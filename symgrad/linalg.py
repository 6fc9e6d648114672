"""Linear algebra by NumPy's names, as the namespace `symgrad.linalg`.

systems         solve, solve_triangular, inv, lstsq, pinv
factors         cholesky, qr, eigh, eigvalsh, svd, svdvals
numbers         det, slogdet, cond, matrix_rank
functions       matrix_power, expm, multi_dot, kron
norms           norm, vector_norm, matrix_norm
contractions    matmul, tensordot, vecdot, outer, cross
shapes          matrix_transpose, diagonal, trace

All take batches of real or complex matrices, in the last two axes, and have derivatives in both modes. What
fails when it runs raises LinAlgError, which names the node and the matrix of the batch.
"""

from __future__ import annotations

from typing import Any

from symgrad.errors import LinAlgError
from symgrad.ir.tensor import Tensor
from symgrad.ops.cholesky import cholesky
from symgrad.ops.contract import cross, kron, matmul, outer, tensordot, vecdot
from symgrad.ops.determinant import det, slogdet
from symgrad.ops.diagonals import diagonal as _diagonal
from symgrad.ops.diagonals import trace as _trace
from symgrad.ops.least_squares import lstsq, matrix_rank, pinv
from symgrad.ops.matrix_functions import cond, expm, matrix_power, multi_dot
from symgrad.ops.norms import matrix_norm, norm, vector_norm
from symgrad.ops.qr import qr
from symgrad.ops.shape import matrix_transpose
from symgrad.ops.solve import inv, solve
from symgrad.ops.spectral import eigh, eigvalsh, svd, svdvals
from symgrad.ops.triangular import solve_triangular
from symgrad.types import DTypeLike


def diagonal(x: Any, *, offset: int = 0) -> Tensor:
    """The diagonals of the matrices in the last two axes."""
    return _diagonal(x, offset, -2, -1)


def trace(x: Any, *, offset: int = 0, dtype: DTypeLike | None = None) -> Tensor:
    """The sums of the diagonals of the matrices in the last two axes."""
    return _trace(x, offset, -2, -1, dtype)


__all__ = [
    "LinAlgError",
    "cholesky",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "expm",
    "inv",
    "kron",
    "lstsq",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "multi_dot",
    "norm",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]
