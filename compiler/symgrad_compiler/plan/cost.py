"""What ops cost, in simple operations on an element."""

from __future__ import annotations

from functools import lru_cache

from symgrad.dims import Dim, product
from symgrad.ir.op import Op
from symgrad.ir.tensor import Node
from symgrad.ops.arithmetic import divide, floor_divide, reciprocal, remainder, sqrt
from symgrad.ops.cast import AsType
from symgrad.ops.conv import Convolution
from symgrad.ops.kinds import Elementwise
from symgrad.ops.scalar import COSTLY_FUNCTIONS, functions_used

#: Elementary functions cost about so many simple operations.
COSTLY = 16
#: Elementwise ops that call no function, and yet take many cycles.
SLOW = frozenset({divide, reciprocal, sqrt, floor_divide, remainder})


def is_costly(op: Op) -> bool:
    """Whether the op calls an elementary function."""
    return isinstance(op, Elementwise) and not functions_of(op).isdisjoint(COSTLY_FUNCTIONS)


def is_cheap(op: Op) -> bool:
    """Whether doing the op again costs less than keeping its result."""
    return isinstance(op, AsType) or (isinstance(op, Elementwise) and op not in SLOW and not functions_of(op))


@lru_cache(maxsize=4096)
def functions_of(op: Elementwise) -> frozenset[str]:
    """The functions that the op's scalar code calls."""
    return functions_used(op.scalar, len(op.operands))


def products_of(node: Node) -> Dim:
    """The multiplications of a convolution, those with zeros around images included."""
    op = node.op
    assert isinstance(op, Convolution)
    shapes = {op.result: node.outputs[0].shape}
    shapes |= {name: t.shape for name, t in zip(op.operands, node.inputs, strict=True)}
    w = shapes["w"]
    return product(shapes["g"]) * product(op.spatial(w, "w")) * w[op.axis("c", "w")]
