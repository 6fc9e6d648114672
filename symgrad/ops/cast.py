"""Conversions between dtypes, and the end of the line for derivatives: `astype`, `stop_gradient`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy

from symgrad import registry
from symgrad.dims import Dim
from symgrad.errors import DTypeError
from symgrad.ir.tensor import Node, Tensor, apply
from symgrad.ir.values import Scalar
from symgrad.ops.compare import not_equal
from symgrad.ops.create import Fill, as_tensor, check_device
from symgrad.ops.kinds import ANY, BITS, Elementwise, Linear, declare, elementwise
from symgrad.records import record
from symgrad.registry import provide
from symgrad.types import BOOL, DType, DTypeLike, TensorType
from symgrad.types import dtype as as_dtype


@declare
@record
class AsType(Linear):
    """x in another dtype; complex numbers stay complex."""

    dtype: DType
    name: ClassVar[str] = "astype"
    negative_is_empty = True
    operands = ("x",)
    numpy = "numeric.astype({x}, {dtype}, {out})"

    def infer(self, x: TensorType) -> TensorType:
        if x.dtype.kind == "complex" and self.dtype.kind != "complex":
            raise DTypeError(
                "a complex tensor has no real value",
                facts=[("x", x), ("dtype", self.dtype)],
                hint="take its real part",
            )
        return x.with_dtype(self.dtype)

    def transpose_x(self, g: Tensor, x: Tensor) -> Tensor | None:
        if not (x.dtype.is_differentiable and self.dtype.is_differentiable):
            return None
        if g.dtype.kind == "complex" and x.dtype.kind != "complex":
            g = registry.language["real"](g)
        return astype(g, x.dtype)

    @staticmethod
    def finite_if(node: Node) -> bool | Sequence[Tensor]:
        source, target = node.inputs[0].dtype, node.outputs[0].dtype
        return source.kind in BITS or (source.itemsize <= target.itemsize and node.inputs)

    def batched_op(self, size: Dim) -> AsType:
        return self


@provide("astype")
def astype(x: Any, dtype: DTypeLike, *, copy: bool = True, device: str | None = None) -> Tensor:
    """x converted to `dtype`; x itself if it has it already (a tensor never changes, whatever `copy` says).

    Derivatives pass between floats (rounded to the dtype of x) and stop at integers and booleans.
    """
    check_device(device)
    tensor, wanted = as_tensor(x), as_dtype(dtype)
    if tensor.dtype is wanted:
        return tensor
    if wanted is BOOL and tensor.dtype.kind == "complex":  # true unless it is 0, as of real numbers
        return not_equal(tensor, 0)
    op = tensor.node.op
    if isinstance(op, Fill) and op.value.dtype.kind != "complex":
        with numpy.errstate(all="ignore"):  # as when it runs
            with_value = op.value.numpy.astype(wanted.numpy)
        return apply(Fill(Scalar(wanted, with_value.tobytes()), op.shape))
    return apply(AsType(wanted), tensor)


stop_gradient: Elementwise = elementwise(
    "stop_gradient(x)",
    "x, constant for derivatives",
    accepts=ANY,
    numpy="numeric.copy({x}, {out})",
    scalar=lambda b, x: x,
    no_gradient="stop_gradient makes it a constant",
)
