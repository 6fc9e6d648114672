"""An op applied to arrays right now, by its own NumPy template: for constant folding and for tests."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy

from symgrad import dims
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
    if len(node.outputs) != 1 or not isinstance(op, TensorOp) or not op.numpy or on_demand(op) or op.fails:
        return False
    values = [v for a in attributes(op).values() for v in (a if isinstance(a, tuple) else (a,))]
    return not any(isinstance(v, Size) for v in values)


#: What templates may name. Beside these there are some that callers load on demand.
MODULES: Mapping[str, Any] = {"numpy": numpy, "numeric": numeric}
ON_DEMAND = ("special", "fft", "linalg")


def on_demand(op: TensorOp) -> frozenset[str]:
    """The modules of `ON_DEMAND` that an op's template names: `special` (scipy.special), `fft` (made of
    scipy.fft), `linalg` (made of scipy.linalg and numpy.linalg)."""
    return _named(op.numpy)


@cache
def _named(template: str) -> frozenset[str]:
    return frozenset(n for n in ON_DEMAND if re.search(rf"(?<![\w.]){n}\.", template))


def evaluate(
    op: Op,
    operands: Sequence[Any],
    sizes: Mapping[str, int] | None = None,
    modules: Mapping[str, Any] = MODULES,
) -> Any:
    """The op's value on arrays; floating-point errors pass silently, as in a compiled function.

    `sizes` gives the symbolic sizes among its attributes; `modules`, what its template names.
    """
    assert isinstance(op, TensorOp)
    function = _compiled.get(op.name)
    if function is None:
        function = _compiled[op.name] = _compile(op, modules)
    single = len(op.operands) - 1 if op.operands and op.operands[-1].endswith("*") else len(operands)
    values = [*operands[:single], *([operands[single:]] if single < len(op.operands) else [])]
    given = {name: _value(name, v, sizes or {}) for name, v in attributes(op).items()}
    with numpy.errstate(all="ignore"):
        return function(*values, **given)


def _compile(op: TensorOp, modules: Mapping[str, Any]) -> Callable[..., Any]:
    """The op's template as a function of its operands and attributes."""
    names = [o.rstrip("*") for o in op.operands] + list(attributes(op))
    body = op.numpy.format(out="None", **{n: n for n in names})
    # The text is the template of an op's declaration, never a user's.
    function: Callable[..., Any] = eval(f"lambda {', '.join(names)}: {body}", dict(modules))
    return function


def _value(name: str, attribute: Any, sizes: Mapping[str, int]) -> Any:
    if isinstance(attribute, DType):
        return attribute.numpy
    if isinstance(attribute, Scalar):
        return attribute.numpy
    if isinstance(attribute, Size):
        number = dims.evaluate(attribute, sizes)
        return max(number, 0) if name == "shape" else number  # n - 1 elements are none where n is 0
    if isinstance(attribute, tuple) and sizes:
        return tuple([_value(name, v, sizes) for v in attribute])
    return attribute.array if isinstance(attribute, ArrayData) else attribute
