"""Diagonals and triangles of matrices.

Of `main_diagonal` and `diagonal_matrix` each is the other's transpose. Whatever lies beside a diagonal or
outside a triangle is left out by `where`, never by a product with 0, so that infinities and NaN there reach
neither values nor derivatives.
"""

from __future__ import annotations

from typing import Any, ClassVar

from symgrad import dims
from symgrad.dims import Dim, Shape
from symgrad.errors import ShapeError
from symgrad.ir import origin
from symgrad.ir.tensor import Tensor, apply
from symgrad.ops.cast import astype
from symgrad.ops.compare import equal, greater_equal
from symgrad.ops.create import arange, as_tensor, check_device, zeros, zeros_like
from symgrad.ops.indexing import getitem
from symgrad.ops.kinds import Linear, declare
from symgrad.ops.reduce import sum
from symgrad.ops.select import where
from symgrad.ops.shape import broadcast_to, expand_dims, normalize_axis, permute_dims
from symgrad.ops.slices import Unslice
from symgrad.ops.strided import Strided
from symgrad.records import record
from symgrad.registry import provide
from symgrad.types import DTypeLike, TensorType, as_dim, check_extent, format_shape


@declare
@record
class MainDiagonal(Linear):
    """out[..., i] = x[..., i, i]."""

    name: ClassVar[str] = "main_diagonal"
    negative_is_empty = True
    operands = ("x",)
    numpy = "numpy.diagonal({x}, axis1=-2, axis2=-1)"
    view = True
    selects = True

    def infer(self, x: TensorType) -> TensorType:
        if x.ndim < 2:
            raise ShapeError("a diagonal needs at least 2 dimensions", facts=[("x", x)])
        return x.with_shape((*x.shape[:-2], dims.minimum(*x.shape[-2:])))

    def transpose_x(self, g: Tensor, x: Tensor) -> Tensor:
        return apply(DiagonalMatrix(x.shape[-2:], 0), g)

    def strided(self, x: Strided) -> Strided:
        length = dims.minimum(*x.shape[-2:])
        return Strided((*x.shape[:-2], length), (*x.strides[:-2], x.strides[-2] + x.strides[-1]), x.offset)

    def batched_op(self, size: Dim) -> MainDiagonal:
        return self


@declare
@record
class DiagonalMatrix(Linear):
    """out[..., i, j] = g[..., min(i, j)] where j - i is `offset`, and 0 elsewhere; `shape` is (rows, columns).

    The transpose of taking that diagonal.
    """

    shape: Shape
    offset: int
    name: ClassVar[str] = "diagonal_matrix"
    negative_is_empty = True
    operands = ("g",)
    fills = True
    numpy = "numeric.diagonal_matrix({g}, {shape}, {offset})"

    def infer(self, g: TensorType) -> TensorType:
        if len(self.shape) != 2 or g.ndim < 1 or g.shape[-1] != _length(*self.shape, self.offset):
            raise ShapeError(
                f"this is no diagonal of a matrix of shape {format_shape(self.shape)}",
                facts=[("g", g), ("offset", self.offset)],
            )
        result = g.with_shape((*g.shape[:-1], *self.shape))
        check_extent(result.shape)
        return result

    def transpose_g(self, t: Tensor, g: Tensor) -> Tensor:
        return diagonal(t, self.offset, -2, -1)

    def expand(self, g: Tensor) -> Tensor:
        """Row by row: g with zeros for rows that the diagonal does not meet, where column = row + offset."""
        rows, columns = self.shape
        batch, lead = g.shape[:-1], g.ndim - 1
        first = max(-self.offset, 0)
        if not (first == 0 and g.shape[-1] == rows):
            starts, stops = (*(0,) * lead, first), (*batch, first + g.shape[-1])
            g = apply(Unslice(starts, stops, (1,) * g.ndim, (*batch, rows)), g)
        shape = (*batch, rows, columns)
        row, column = _positions(shape)
        by_row = broadcast_to(expand_dims(g, -1), shape)
        return where(equal(_shifted(row, self.offset), column), by_row, zeros(shape, g.dtype))

    def batched_op(self, size: Dim) -> DiagonalMatrix:
        return self


def _length(rows: Dim, columns: Dim, offset: int) -> Dim:
    """The number of elements of a diagonal."""
    found = dims.minimum(rows - max(-offset, 0), columns - max(offset, 0))
    return max(found, 0) if isinstance(found, int) else found


def _positions(shape: Shape) -> tuple[Tensor, Tensor]:
    """The row and the column of each element of matrices of `shape`; no memory stands for them."""
    rows, columns = shape[-2:]
    return broadcast_to(expand_dims(arange(rows), 1), shape), broadcast_to(arange(columns), shape)


# ---- the language -----------------------------------------------------------------------------------


@provide("diagonal")
def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The diagonal of x over two axes, `offset` above (or below, if negative) the main one; it is the last
    axis of the result. Axes default to the first two, as in NumPy.

    >>> from symgrad.ops.create import tensor
    >>> diagonal(tensor("x", (3, 4)), 2), diagonal(tensor("y", ("n", "n")))
    (<main_diagonal: f64[2]>, <main_diagonal: f64[n]>)
    """
    tensor = _matrices(x, "diagonal")
    first, second = normalize_axis(axis1, tensor.ndim), normalize_axis(axis2, tensor.ndim)
    if first == second:
        raise ShapeError("a diagonal needs two different axes", facts=[("x", tensor.type), ("axis", first)])
    rest = [i for i in range(tensor.ndim) if i not in (first, second)]
    matrix = permute_dims(tensor, (*rest, first, second))
    row, column = max(-_offset(offset), 0), max(offset, 0)
    part = getitem(matrix, (..., slice(row, None), slice(column, None)))
    return apply(MainDiagonal(), part)


@provide("trace")
def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: DTypeLike | None = None) -> Tensor:
    """The sum of a diagonal, see `diagonal`."""
    found = diagonal(x, offset, axis1, axis2)
    return sum(found if dtype is None else astype(found, dtype), axis=-1)


def diag(x: Any, k: int = 0) -> Tensor:
    """From a vector, the matrix with it on its k-th diagonal; from a matrix, its k-th diagonal.

    >>> diag([1, 2]).eval()
    array([[1, 0],
           [0, 2]])
    """
    tensor = as_tensor(x)
    if tensor.ndim == 2:
        return diagonal(tensor, k)
    if tensor.ndim != 1:
        raise ShapeError(
            "diag takes a vector or a matrix",
            facts=[("x", tensor.type)],
            at=origin.locate(origin.current()),
            hint="for the diagonals of many matrices: sg.diagonal(x, axis1=-2, axis2=-1)",
        )
    whole = tensor.shape[0] + abs(_offset(k))
    return apply(DiagonalMatrix((whole, whole), _offset(k)), tensor)


def tril(x: Any, k: int = 0) -> Tensor:
    """x where column <= row + k in its last two axes, 0 elsewhere.

    >>> tril([[1, 2], [3, 4]]).eval()
    array([[1, 0],
           [3, 4]])
    """
    tensor = _matrices(x, "tril")
    return where(_at_or_below(tensor.shape, k), tensor, zeros_like(tensor))


def triu(x: Any, k: int = 0) -> Tensor:
    """x where column >= row + k in its last two axes, 0 elsewhere.

    >>> triu([[1, 2], [3, 4]]).eval()
    array([[1, 2],
           [0, 4]])
    """
    tensor = _matrices(x, "triu")
    return where(_at_or_below(tensor.shape, _offset(k) - 1), zeros_like(tensor), tensor)


def tri(n_rows: Any, n_cols: Any = None, k: int = 0, dtype: DTypeLike | None = None) -> Tensor:
    """1 where column <= row + k, 0 elsewhere; float64 unless another dtype is given."""
    rows = as_dim(n_rows)
    below = _at_or_below((rows, rows if n_cols is None else as_dim(n_cols)), k)
    return astype(below, "float64" if dtype is None else dtype)


def eye(
    n_rows: Any,
    n_cols: Any = None,
    k: int = 0,
    dtype: DTypeLike | None = None,
    *,
    device: str | None = None,
) -> Tensor:
    """1 on the k-th diagonal, 0 elsewhere; sizes may be symbolic, float64 unless another dtype is given.

    >>> eye(2, 3, k=1, dtype="int64").eval()
    array([[0, 1, 0],
           [0, 0, 1]])
    >>> eye("n")
    <astype: f64[n,n]>
    """
    check_device(device)
    rows = as_dim(n_rows)
    columns = rows if n_cols is None else as_dim(n_cols)
    row, column = _positions((rows, columns))
    return astype(equal(_shifted(row, k), column), "float64" if dtype is None else dtype)


def identity(n: Any, dtype: DTypeLike | None = None) -> Tensor:
    """The identity matrix."""
    return eye(n, dtype=dtype)


def _at_or_below(shape: Shape, k: int) -> Tensor:
    """Whether column <= row + k."""
    row, column = _positions(shape)
    return greater_equal(_shifted(row, k), column)


def _matrices(x: Any, what: str) -> Tensor:
    tensor = as_tensor(x)
    if tensor.ndim < 2:
        raise ShapeError(
            f"{what} needs at least 2 dimensions",
            facts=[("x", tensor.type)],
            at=origin.locate(origin.current()),
        )
    return tensor


def _shifted(row: Tensor, k: int) -> Tensor:
    return row + k if _offset(k) else row


def _offset(k: object) -> int:
    if isinstance(k, bool) or not hasattr(k, "__index__") or isinstance(k, Tensor):
        raise ShapeError(f"the number of a diagonal must be an int, not {k!r:.60}")
    return int(k.__index__())
