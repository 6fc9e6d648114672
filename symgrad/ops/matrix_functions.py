"""Functions of matrices: powers, the exponential, chains of products, condition numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from symgrad.dims import Dim
from symgrad.errors import GraphError, ShapeError
from symgrad.ir.choice import check_choice
from symgrad.ir.tensor import Node, Tensor, apply
from symgrad.ops.cast import stop_gradient
from symgrad.ops.contract import matmul
from symgrad.ops.create import as_tensor, zeros_like
from symgrad.ops.determinant import slogdet
from symgrad.ops.join import concat
from symgrad.ops.kinds import Custom, Tangents, declare
from symgrad.ops.norms import matrix_norm
from symgrad.ops.select import where
from symgrad.ops.shape import expand_dims, reshape
from symgrad.ops.solve import Inverse, identity_like
from symgrad.ops.spectral import svdvals
from symgrad.ops.triangular import adjoint, here, infer_square, matrices, square
from symgrad.records import record
from symgrad.types import TensorType, as_int


@declare
@record
class Expm(Custom):
    """The matrix exponential.

    Its derivative in the direction t stands above the diagonal of exp of ((a, t), (0, a)) (Mathias, "A chain rule
    for matrix functions", 1996); the adjoint of that is the derivative at a^H.
    """

    name: ClassVar[str] = "expm"
    operands = ("a",)
    numpy = "linalg.expm({a})"

    def infer(self, a: TensorType) -> TensorType:
        return infer_square(a, self.name)

    def vjp_a(self, g: Tensor, a: Tensor, out: Tensor) -> Tensor:
        return _in_direction(adjoint(a), g)

    def push(self, node: Node, tangents: Sequence[Tensor | None], masked: bool) -> Tangents | None:
        """A rule of its own: the reverse one is linear in g, but not written in linear ops."""
        (t,) = tangents
        return (None if t is None else _in_direction(node.inputs[0], t),)

    def batched_op(self, size: Dim) -> Expm:
        return self


def _in_direction(a: Tensor, t: Tensor) -> Tensor:
    """The derivative of exp(a) in the direction t."""
    n = a.shape[-1]
    rows = [concat([a, t], axis=-1), concat([zeros_like(a), a], axis=-1)]
    return apply(Expm(), concat(rows, axis=-2))[..., :n, n:]


def expm(a: Any) -> Tensor:
    """The exponential of square matrices (..., n, n): the sum of a^k / k!.

    >>> expm([[0.0, 1.0], [0.0, 0.0]]).eval()
    array([[1., 1.],
           [0., 1.]])
    """
    return apply(Expm(), square(a, "expm"))


def matrix_power(a: Any, n: int) -> Tensor:
    """The n-th power of square matrices, by repeated squaring; of the inverse, for a negative n.

    >>> matrix_power([[1.0, 1.0], [0.0, 1.0]], 5).eval()
    array([[1., 5.],
           [0., 1.]])
    """
    exponent = as_int(n)
    if exponent is None:
        raise GraphError(f"the exponent of matrix_power must be an int, not {n!r:.40}", at=here())
    matrix = square(a, "matrix_power")
    if exponent < 0:
        matrix, exponent = apply(Inverse(), matrix), -exponent
    result: Tensor | None = None
    while exponent:
        if exponent & 1:
            result = matrix if result is None else result @ matrix
        exponent >>= 1
        if exponent:
            matrix = matrix @ matrix
    return identity_like(matrix) if result is None else result


def multi_dot(arrays: Sequence[Any]) -> Tensor:
    """The product of several matrices; the first may be a row, the last a column, as vectors. The optimiser picks
    the cheapest order.

    >>> from symgrad.ops.create import tensor
    >>> multi_dot([tensor("a", (10, 1000)), tensor("b", (1000, 5)), tensor("c", (5, "n"))])
    <matmul: f64[10,n]>
    """
    tensors = [as_tensor(x) for x in arrays]
    if len(tensors) < 2:
        raise ShapeError("multi_dot needs at least two matrices", at=here())
    for i, x in enumerate(tensors):
        if x.ndim != 2 and not (x.ndim == 1 and i in (0, len(tensors) - 1)):
            raise ShapeError(
                "multi_dot takes matrices, and vectors at its ends",
                facts=[(x.name or f"operand {i}", x.type)],
                at=here(),
            )
    first = tensors[0]
    result = reshape(first, (1, *first.shape)) if first.ndim == 1 else first
    for x in tensors[1:]:
        result = matmul(result, x)
    return reshape(result, result.shape[1:]) if first.ndim == 1 else result


def cond(a: Any, p: Any = None) -> Tensor:
    """The condition numbers of matrices, as `numpy.linalg.cond`.

    Args:
        a: matrices (..., m, n); square ones for a `p` that is not 2 or -2.
        p: None or 2 for the largest singular value over the smallest, -2 for the reverse; else an order of
            `matrix_norm`: the norm of a times that of its inverse.

    That of a singular matrix is inf (0 for -2, if the matrix is not 0), as far as rounding leaves it singular, with
    derivatives of 0 where it is inf.

    >>> cond([[2.0, 0.0], [0.0, 0.5]]).eval()
    np.float64(4.0)
    """
    if p is not None:
        check_choice("p", p, ["fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf], GraphError)
    if p in (None, 2, -2):
        s = svdvals(matrices(a, "cond"))
        first, last = s[..., 0], s[..., -1]
        above, below = (last, first) if p == -2 else (first, last)
        return where(below == 0, math.inf, above / where(below == 0, 1, below))
    matrix = square(a, "cond")
    singular = slogdet(stop_gradient(matrix)).sign == 0
    regular = where(expand_dims(singular, (-2, -1)), identity_like(matrix), matrix)
    # The identity stands in, of which there is an inverse.
    product = matrix_norm(regular, ord=p) * matrix_norm(apply(Inverse(), regular), ord=p)
    return where(singular, math.inf, product)
