"""Fourier transforms that undo each other."""

from __future__ import annotations

from collections.abc import Collection

from symgrad.dims import product
from symgrad.ir.tensor import Tensor
from symgrad.ops.fft import Fft, Ifft, Irfft, Rfft
from symgrad_compiler.rewrite.rules import Rule, function_rule

#: By which power of the number of elements a transform is multiplied, for each norm.
_FORWARD = {"backward": 0.0, "ortho": -0.5, "forward": -1.0}
_INVERSE = {"backward": -1.0, "ortho": -0.5, "forward": 0.0}


# Fast, since transforms make NaN of all elements where one is infinite or NaN.
@function_rule(Fft, Ifft, Irfft, kind="fast", operands=(Fft, Ifft, Rfft))
def fast_inverse_transforms(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """ifft(fft(x)) = x, fft(ifft(x)) = x, irfft(rfft(x)) = x, times the power of n
    that their norms leave."""
    op, operand = tensor.node.op, tensor.node.inputs[0]
    inner = operand.node.op
    if operand in barriers:
        return None
    (x,) = operand.node.inputs
    axes: tuple[int, ...]
    if isinstance(op, Irfft):
        if not isinstance(inner, Rfft) or inner.axis != op.axis or x.shape != tensor.shape:
            return None
        power, axes = 1 + _FORWARD[inner.norm] + _INVERSE[op.norm], (op.axis,)
    elif isinstance(op, Ifft) and isinstance(inner, Fft) and inner.axes == op.axes:
        power, axes = 1 + _FORWARD[inner.norm] + _INVERSE[op.norm], op.axes
    elif isinstance(op, Fft) and isinstance(inner, Ifft) and inner.axes == op.axes:
        power, axes = 1 + _FORWARD[op.norm] + _INVERSE[inner.norm], op.axes
    else:
        return None
    n = product(x.shape[a] for a in axes)
    if power == 0:
        return x
    return x * float(n) ** power if isinstance(n, int) and n else None


RULES: list[Rule] = [*fast_inverse_transforms]
