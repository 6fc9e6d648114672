"""An op applied to arrays right now, by its own NumPy template: for constant folding and for tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy

from symgrad.dims import Size
from symgrad.ir.op import Op, attributes
from symgrad.ir.tensor import Node
from symgrad.ir.values import ArrayData, Scalar
from symgrad.ops import numeric
from symgrad.ops.kinds import TensorOp
from symgrad.types import DType

_compiled: dict[str, Callable[..., Any]] = {}


def can_evaluate(node: Node) -> bool:
    """Whether the node can be computed now: one output, all attributes known, NumPy alone."""
    op = node.op
    if (
        len(node.outputs) != 1
        or not isinstance(op, TensorOp)
        or not op.numpy
        or "special." in op.numpy
        or op.fails
    ):
        return False
    values = [v for a in attributes(op).values() for v in (a if isinstance(a, tuple) else (a,))]
    return not any(isinstance(v, Size) for v in values)


def evaluate(op: Op, operands: Sequence[Any]) -> Any:
    """The op's value on arrays; floating-point errors pass silently, as in a compiled function."""
    assert isinstance(op, TensorOp)
    function = _compiled.get(op.name)
    if function is None:
        function = _compiled[op.name] = _compile(op)
    single = len(op.operands) - 1 if op.operands and op.operands[-1].endswith("*") else len(operands)
    values = [*operands[:single], *([operands[single:]] if single < len(op.operands) else [])]
    with numpy.errstate(all="ignore"):
        return function(*values, **{k: _value(v) for k, v in attributes(op).items()})


def _compile(op: TensorOp) -> Callable[..., Any]:
    """The op's template as a function of its operands and attributes."""
    names = [o.rstrip("*") for o in op.operands] + list(attributes(op))
    body = op.numpy.format(out="None", **{n: n for n in names})
    # The text is the template of an op's declaration, never a user's.
    function: Callable[..., Any] = eval(
        f"lambda {', '.join(names)}: {body}", {"numpy": numpy, "numeric": numeric}
    )
    return function


def _value(attribute: Any) -> Any:
    if isinstance(attribute, DType):
        return attribute.numpy
    if isinstance(attribute, Scalar):
        return attribute.numpy
    return attribute.array if isinstance(attribute, ArrayData) else attribute
