"""The parts of complex numbers, put together and taken apart again. All exact; none changes a derivative."""

from __future__ import annotations

from collections.abc import Collection

from symgrad.ir.tensor import Tensor
from symgrad.ops.cast import AsType, astype
from symgrad.ops.complexes import complex, conj, imag, real
from symgrad.ops.create import zeros_like
from symgrad.ops.kinds import FLOATS
from symgrad_compiler.rewrite.pattern import var
from symgrad_compiler.rewrite.rules import Rule, function_rule, rule

x, y = var("x"), var("y")

ROWS: list[Rule] = [
    rule(real(complex(x, y)), x, name="real_of_complex"),
    rule(imag(complex(x, y)), y, name="imag_of_complex"),
    rule(complex(real(x), imag(x)), x, name="complex_of_parts"),
    rule(conj(conj(x)), x, name="conj_twice"),
    rule(conj(complex(x, y)), complex(x, -y), name="conj_of_complex"),
    rule(real(conj(x)), real(x), name="real_of_conj"),
    rule(imag(conj(x)), -imag(x), name="imag_of_conj"),
]


@function_rule("real", operands=(AsType,))
def real_of_astype(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """real(astype(x)) = x, for real numbers x."""
    source = _converted(tensor.node.inputs[0], barriers)
    return None if source is None else astype(source, tensor.dtype)


@function_rule("imag", operands=(AsType,))
def imag_of_astype(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """imag(astype(x)) = 0, for real numbers x."""
    return None if _converted(tensor.node.inputs[0], barriers) is None else zeros_like(tensor)


def _converted(operand: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """What was made complex, if it is real."""
    if not isinstance(operand.node.op, AsType) or operand in barriers:
        return None
    source = operand.node.inputs[0]
    return source if source.dtype.kind in FLOATS else None


RULES: list[Rule] = [*ROWS, *real_of_astype, *imag_of_astype]
