"""Linear algebra by NumPy's names, as the namespace `symgrad.linalg`.

norms           norm, vector_norm, matrix_norm
contractions    matmul, tensordot, vecdot, outer
shapes          matrix_transpose
"""

from symgrad.ops.contract import matmul, outer, tensordot, vecdot
from symgrad.ops.norms import matrix_norm, norm, vector_norm
from symgrad.ops.shape import matrix_transpose

__all__ = [
    "matmul",
    "matrix_norm",
    "matrix_transpose",
    "norm",
    "outer",
    "tensordot",
    "vecdot",
    "vector_norm",
]
