"""Products with a vector as sums of products: nothing is read twice in them, so that they take the time of
reading a matrix once. As sums they join other kernels, and loops over the rows of that matrix."""

from __future__ import annotations

from symgrad.ir.tensor import Node, Tensor
from symgrad.ops.arithmetic import multiply
from symgrad.ops.contract import MatMul
from symgrad.ops.reduce import sum
from symgrad.ops.shape import PermuteDims, matrix_transpose, reshape


def as_sum(node: Node) -> Tensor | None:
    """A product of which one operand is a vector, or has one row or column; None for others."""
    op = node.op
    assert isinstance(op, MatMul)
    a, b = node.inputs
    if op.strong or a.dtype.kind != "float":
        return None
    if a.ndim == 1 and b.ndim == 1:
        return sum(multiply(a, b))
    if b.ndim == 1:
        return reshape(_rows(a, reshape(b, (1, *b.shape))), node.output.shape)
    if a.ndim == 1:
        return reshape(_columns(reshape(a, (*a.shape, 1)), b), node.output.shape)
    if a.shape[-1] == 1:
        return multiply(a, b)
    if b.shape[-1] == 1:
        return _rows(a, matrix_transpose(b))
    if a.shape[-2] == 1:
        return _columns(matrix_transpose(a), b)
    return None


def _rows(matrix: Tensor, row: Tensor) -> Tensor:
    """matrix @ row.mT: [..., m, 1]."""
    found = _transposed(matrix)
    if found is not None:
        return matrix_transpose(sum(multiply(found, matrix_transpose(row)), axis=-2, keepdims=True))
    return sum(multiply(matrix, row), axis=-1, keepdims=True)


def _columns(column: Tensor, matrix: Tensor) -> Tensor:
    """column.mT @ matrix: [..., 1, n]."""
    found = _transposed(matrix)
    if found is not None:
        return matrix_transpose(sum(multiply(found, matrix_transpose(column)), axis=-1, keepdims=True))
    return sum(multiply(column, matrix), axis=-2, keepdims=True)


def _transposed(matrix: Tensor) -> Tensor | None:
    """What a matrix is the transpose of: memory is gone through in the order in which it lies."""
    op = matrix.node.op
    if not isinstance(op, PermuteDims):
        return None
    n = matrix.ndim
    return matrix.node.inputs[0] if tuple(op.axes) == (*range(n - 2), n - 1, n - 2) else None
