"""Linear algebra by NumPy's names, as the namespace `symgrad.linalg`.

norms           norm, vector_norm, matrix_norm
contractions    matmul, tensordot, vecdot, outer, cross
shapes          matrix_transpose, diagonal, trace
"""

from __future__ import annotations

from typing import Any

from symgrad.ir.tensor import Tensor
from symgrad.ops.contract import cross, matmul, outer, tensordot, vecdot
from symgrad.ops.diagonals import diagonal as _diagonal
from symgrad.ops.diagonals import trace as _trace
from symgrad.ops.norms import matrix_norm, norm, vector_norm
from symgrad.ops.shape import matrix_transpose
from symgrad.types import DTypeLike


def diagonal(x: Any, *, offset: int = 0) -> Tensor:
    """The diagonals of the matrices in the last two axes."""
    return _diagonal(x, offset, -2, -1)


def trace(x: Any, *, offset: int = 0, dtype: DTypeLike | None = None) -> Tensor:
    """The sums of the diagonals of the matrices in the last two axes."""
    return _trace(x, offset, -2, -1, dtype)


__all__ = [
    "cross",
    "diagonal",
    "matmul",
    "matrix_norm",
    "matrix_transpose",
    "norm",
    "outer",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]
