"""What the user knows about matrices: an identity op that carries it to the optimiser.

Derivatives pass through: the gradient with respect to a matrix that is assumed symmetric, say, is that of the
program as written, whatever the assumption.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from symgrad.dims import Dim
from symgrad.errors import GraphError, NotSquareError
from symgrad.ir.tensor import Node, Tensor, apply
from symgrad.ops.kinds import INEXACT, Linear, Tangents, declare
from symgrad.ops.strided import Strided
from symgrad.ops.triangular import here, square
from symgrad.records import record
from symgrad.types import TensorType

PROPERTIES = (
    "symmetric",
    "positive_definite",
    "lower_triangular",
    "upper_triangular",
    "diagonal",
    "orthogonal",
)


@declare
@record
class Assume(Linear):
    """x, of which a property, `kind`, is assumed; `checked` when it runs, if so compiled (`validate=True`)."""

    kind: str
    checked: bool = False
    name: ClassVar[str] = "assume"
    negative_is_empty = True
    operands = ("x",)
    numpy = "numeric.assumed({x}, {kind}, {checked})"
    view = True

    @property
    def fails(self) -> bool:  # type: ignore[override]
        """Whether it looks."""
        return self.checked

    def infer(self, x: TensorType) -> TensorType:
        if self.kind not in PROPERTIES:
            raise GraphError(f"there is no property {self.kind!r:.40}", hint=", ".join(PROPERTIES))
        if x.ndim < 2 or x.shape[-1] != x.shape[-2] or x.dtype.kind not in INEXACT:
            raise NotSquareError("assume needs square matrices of floats", facts=[("x", x)])
        return x

    def transpose_x(self, g: Tensor, x: Tensor) -> Tensor:
        return g

    def push(self, node: Node, tangents: Sequence[Tensor | None], masked: bool) -> Tangents | None:
        """A tangent passes, without the property: that of a positive definite matrix is not so itself."""
        return (tangents[0],)

    @property
    def strided(self) -> Any:  # type: ignore[override]
        """Memory stays as it is, where nothing is checked."""
        return None if self.checked else _as_it_is

    def batched_op(self, size: Dim) -> Assume:
        return replace(self)


def _as_it_is(x: Strided) -> Strided:
    return x


def assume(x: Any, *properties: str) -> Tensor:
    """x, with the assumption that its matrices have these properties, which the optimiser then uses.

    Args:
        x: square matrices (..., n, n).
        properties: of "symmetric" (Hermitian), "positive_definite" (and symmetric), "lower_triangular",
            "upper_triangular", "diagonal", "orthogonal" (unitary).

    A function compiled with `validate=True` checks them at each call, and raises LinAlgError. Otherwise an
    assumption that does not hold gives results that mean nothing.

    Systems with a positive definite matrix go through Cholesky's factor, those with a triangular one need none,
    the inverse of an orthogonal one is its transpose, and so on. Properties pass through transposes, sums,
    products with positive numbers, inverses: of a a^T + c 1 with c > 0, nothing needs to be said.

    >>> import symgrad as sg
    >>> a = sg.matrix("a", shape=("n", "n"))
    >>> sg.optimize(sg.Graph([a], sg.linalg.inv(sg.assume(a, "orthogonal")))).stats()["ops"]
    {'permute_dims': 1}
    """
    if not properties:
        raise GraphError("assume needs a property", hint=", ".join(PROPERTIES), at=here())
    tensor = square(x, "assume")
    for one in properties:
        tensor = apply(Assume(one), tensor)
    return tensor
