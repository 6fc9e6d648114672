"""Powers. The derivative of x^y is y x^(y-1), and rounding y - 1 costs all the digits that |log x| has before its
point: x^(y+k) is therefore an op of its own, with the sum not rounded.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy

from symgrad.errors import DTypeError
from symgrad.ir import origin
from symgrad.ir.tensor import Tensor
from symgrad.ops.arithmetic import log
from symgrad.ops.cast import astype
from symgrad.ops.compare import logical_and, logical_or
from symgrad.ops.create import Constant, as_tensor, fill_value
from symgrad.ops.kinds import FLOATS, NUMBERS, Elementwise, elementwise
from symgrad.ops.scalar import ScalarBuilder, Value
from symgrad.ops.select import masked_multiply, where
from symgrad.ops.shape import Broadcast, Reshape
from symgrad.types import FLOAT64, PyScalar


def _pow_x(x: Tensor, y: Tensor, out: Tensor) -> Tensor | PyScalar:
    """y x^(y-1); 0 where y is 0, whatever x is."""
    exponent = fill_value(y)
    if exponent is None:
        if y.dtype.kind == "int":
            return where(y == 0, 0, y * pow(x, y - 1))
        return _falling(x, y, pow_plus(x, y, -1) if y.dtype.kind == "float" else pow(x, y - 1))
    if exponent in (0, 1):
        return exponent
    if exponent == 2:
        return 2 * x
    if _has_exact_predecessor(exponent, y):
        return exponent * pow(x, exponent - 1)
    return exponent * pow_plus(x, y, -1)


def _has_exact_predecessor(number: PyScalar, like: Tensor) -> bool:
    """Whether `number` - 1 is a number of the dtype, so that nothing is lost in it."""
    if not isinstance(number, (int, float)) or not numpy.isfinite(number):
        return True
    return Fraction(float(like.dtype.numpy.type(number - 1))) == Fraction(number) - 1


def _pow_y(x: Tensor, y: Tensor, out: Tensor) -> Tensor:
    """x^y log x; where x^y is 0 the limit 0, and 0 for 0^0 too."""
    base = fill_value(x)
    if base is not None and base != 0:
        return out * log(x)
    return out * log(where(logical_or(out == 0, logical_and(x == 0, y == 0)), 1, x))


def _check_exponent(x: Tensor, y: Tensor) -> None:
    """Integers have no negative powers."""
    if y.dtype.kind != "int":
        return
    while isinstance(y.node.op, (Broadcast, Reshape)):
        y = y.node.inputs[0]
    least: Any = fill_value(y)
    if isinstance(y.node.op, Constant):
        least = y.node.op.data.array.min(initial=0)
    if least is not None and least < 0:
        raise DTypeError(
            f"integers to negative powers ({least}) are no integers",
            facts=[(x.name or "x", x.type)],
            at=origin.locate(origin.current()),
            hint=f'x.astype("float64") ** {least}',
        )


pow: Elementwise = elementwise("pow(x, y)", "x to the power of y", accepts=NUMBERS, check=_check_exponent,
                  d_x=_pow_x,
                  d_y=_pow_y,
                  numpy="numeric.power({x}, {y}, {out})", scalar=lambda b, x, y: b.call("power", x, y))  # fmt: skip


def _plus_x(x: Tensor, y: Tensor, k: Tensor, out: Tensor) -> Tensor:
    """(y + k) x^(y+k-1); 0 where y + k is 0."""
    return _falling(x, y + k, pow_plus(x, y, k - 1))


def _falling(x: Tensor, exponent: Tensor, power: Tensor) -> Tensor:
    """exponent x^(exponent - 1): the factor's zeros are strong, but x^-1 is still what its derivative is. Where
    x is 0, too, x^-1 has no value that serves all directions, and counts as 0."""
    return masked_multiply(exponent, where(logical_and(x == 0, exponent == 0), 0, power))


def _pow_plus(b: ScalarBuilder, x: Value, y: Value, k: Value) -> Value:
    """p + p (e log|x|), where e is what y + k lost when it was rounded (Knuth) and p is x to the rounded sum."""
    total = b.add(y, k)
    part = b.subtract(total, y)
    error = b.add(b.subtract(y, b.subtract(total, part)), b.subtract(k, part))
    power = b.call("power", x, total)
    rest = b.multiply(power, b.multiply(error, b.call("log", b.call("absolute", x))))
    return b.select(b.call("isfinite", rest), b.add(power, rest), power)


pow_plus: Elementwise = elementwise("pow_plus(x, y, k)", "x to the power of y + k, with the sum not rounded; k is a whole number", accepts=FLOATS,
                       d_x=_plus_x,
                       d_y=lambda x, y, k, out: _pow_y(x, y + k, out),
                       no_gradient={"k": "k counts how often a power was differentiated"},
                       numpy="numeric.pow_plus({x}, {y}, {k}, {out})", scalar=_pow_plus)  # fmt: skip


def float_power(x: Any, y: Any) -> Tensor:
    """x to the power of y in float64, integers too (in complex128 where either is complex).

    >>> import symgrad as sg
    >>> sg.float_power([1, 2, 4], -1).eval()
    array([1.  , 0.5 , 0.25])
    """
    return pow(_double(x), _double(y))


def _double(x: Any) -> Tensor:
    tensor = as_tensor(x)
    return astype(tensor, "complex128" if tensor.dtype.kind == "complex" else FLOAT64)
