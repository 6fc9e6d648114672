"""Arithmetic, element by element. One row an op; `d_x` is the partial derivative."""

from __future__ import annotations

import math
import sys
from typing import Any

from symgrad.errors import DTypeError, GraphError
from symgrad.ir import origin
from symgrad.ir.tensor import Tensor
from symgrad.ops.cast import astype
from symgrad.ops.complexes import complex, imag, real
from symgrad.ops.create import as_tensor
from symgrad.ops.kinds import BITS, FLOATS, INTEGERS, NUMBERS, REALS, Elementwise, elementwise
from symgrad.ops.scalar import ScalarBuilder, Value
from symgrad.registry import provide
from symgrad.types import FLOAT64, as_int

add: Elementwise = elementwise("add(x, y)", "x + y", accepts=NUMBERS, commutative=True,
                  d_x=1,
                  d_y=1,
                  numpy="numpy.add({x}, {y}, out={out})", scalar=lambda b, x, y: b.add(x, y))  # fmt: skip

subtract: Elementwise = elementwise("subtract(x, y)", "x - y", accepts=NUMBERS,
                       d_x=1,
                       d_y=-1,
                       numpy="numpy.subtract({x}, {y}, out={out})", scalar=lambda b, x, y: b.subtract(x, y))  # fmt: skip

multiply: Elementwise = elementwise("multiply(x, y)", "x y", accepts=NUMBERS, commutative=True,
                       d_x=lambda x, y, out: y,
                       d_y=lambda x, y, out: x,
                       numpy="numpy.multiply({x}, {y}, out={out})", scalar=lambda b, x, y: b.multiply(x, y))  # fmt: skip

divide: Elementwise = elementwise("divide(x, y)", "x / y",
                     d_x=lambda x, y, out: reciprocal(y),
                     d_y=lambda x, y, out: -(out / y),
                     numpy="numpy.divide({x}, {y}, out={out})", scalar=lambda b, x, y: b.divide(x, y))  # fmt: skip

negative: Elementwise = elementwise("negative(x)", "-x", accepts=NUMBERS,
                       d_x=-1,
                       numpy="numpy.negative({x}, out={out})", scalar=lambda b, x: b.negative(x))  # fmt: skip

reciprocal: Elementwise = elementwise("reciprocal(x)", "1 / x",
                         d_x=lambda x, out: -square(out),
                         numpy="numpy.reciprocal({x}, out={out})",
                         scalar=lambda b, x: b.divide(b.constant(1.0, x), x))  # fmt: skip

square: Elementwise = elementwise("square(x)", "x x", accepts=NUMBERS,
                     d_x=lambda x, out: 2 * x,
                     numpy="numpy.square({x}, out={out})", scalar=lambda b, x: b.multiply(x, x))  # fmt: skip

sqrt: Elementwise = elementwise("sqrt(x)", "the square root; its derivative at 0 is inf",
                   d_x=lambda x, out: 0.5 / out,
                   numpy="numpy.sqrt({x}, out={out})", scalar=lambda b, x: b.call("sqrt", x))  # fmt: skip

rsqrt: Elementwise = elementwise("rsqrt(x)", "1 / sqrt(x); inf at 0, and its derivative there -inf",
                    d_x=lambda x, out: -0.5 * out / x,
                    numpy="numeric.rsqrt({x}, {out})",
                    scalar=lambda b, x: b.divide(b.constant(1.0, x), b.call("sqrt", x)))  # fmt: skip

cbrt: Elementwise = elementwise("cbrt(x)", "the real cube root; its derivative at 0 is inf", accepts=FLOATS,
                   d_x=lambda x, out: cbrt_derivative(out, x),
                   numpy="numpy.cbrt({x}, out={out})", scalar=lambda b, x: b.call("cbrt", x))  # fmt: skip


def _cbrt_derivative(b: ScalarBuilder, c: Value, x: Value) -> Value:
    return b.divide(b.constant(1.0, c), b.multiply(b.constant(3.0, c), b.multiply(c, c)))


# Of c and 1 / c^2, one is infinite at 0 and at infinity: as a power of x, it has the slope -2/3 of itself over x.
cbrt_derivative: Elementwise = elementwise("cbrt_derivative(c, x)", "1 / (3 c^2) with c = cbrt(x)", accepts=FLOATS,
                              d_x=lambda c, x, out: -2 / 3 * (out / x),
                              no_gradient={"c": "it is cbrt(x), and counts as a function of x"},
                              numpy="numpy.reciprocal(3 * numpy.square({c}), out={out})", scalar=_cbrt_derivative)  # fmt: skip

abs: Elementwise = elementwise("abs(x)", "|x|, with derivative 0 at 0", accepts=REALS, selects=True,
                  d_x=lambda x, out: sign(x),
                  numpy="numpy.absolute({x}, out={out})", scalar=lambda b, x: b.call("absolute", x))  # fmt: skip

sign: Elementwise = elementwise("sign(x)", "-1, 0 or 1", accepts=REALS, no_gradient="sign is piecewise constant",
                   numpy="numpy.sign({x}, out={out})", scalar=lambda b, x: b.call("sign", x))  # fmt: skip

floor: Elementwise = elementwise("floor(x)", "the largest integer not above x", accepts=REALS, no_gradient="floor is piecewise constant",
                    numpy="numeric.floor({x}, {out})", scalar=lambda b, x: b.call("floor", x))  # fmt: skip

ceil: Elementwise = elementwise("ceil(x)", "the smallest integer not below x", accepts=REALS, no_gradient="ceil is piecewise constant",
                   numpy="numeric.ceil({x}, {out})", scalar=lambda b, x: b.call("ceil", x))  # fmt: skip

trunc: Elementwise = elementwise("trunc(x)", "x without its fraction", accepts=REALS, no_gradient="trunc is piecewise constant",
                    numpy="numeric.trunc({x}, {out})", scalar=lambda b, x: b.call("trunc", x))  # fmt: skip

_round: Elementwise = elementwise("round(x)", "the nearest integer, the even one of two", accepts=REALS, no_gradient="round is piecewise constant",
                    numpy="numeric.rint({x}, {out})", scalar=lambda b, x: b.call("rint", x), provided=False)  # fmt: skip

nextafter: Elementwise = elementwise("nextafter(x, y)", "the float next to x in the direction of y", accepts=FLOATS,
                        no_gradient="nextafter steps from float to float",
                        numpy="numpy.nextafter({x}, {y}, out={out})",
                        scalar=lambda b, x, y: b.call("nextafter", x, y))  # fmt: skip

copysign: Elementwise = elementwise("copysign(x, y)", "|x| with the sign of y; its derivative is 0 at x = 0", accepts=FLOATS, selects=True,
                       d_x=lambda x, y, out: sign(x) * copysign(1, y),
                       no_gradient={"y": "only the sign of y counts, and it is piecewise constant"},
                       numpy="numpy.copysign({x}, {y}, out={out})",
                       scalar=lambda b, x, y: b.call("copysign", x, y))  # fmt: skip

floor_divide: Elementwise = elementwise("floor_divide(x, y)", "floor(x / y)", accepts=REALS,
                           no_gradient="floor_divide is piecewise constant",
                           numpy="numpy.floor_divide({x}, {y}, out={out})",
                           scalar=lambda b, x, y: b.call("floor_divide", x, y))  # fmt: skip

remainder: Elementwise = elementwise("remainder(x, y)", "x - y floor(x / y)", accepts=REALS,
                        d_x=1,
                        d_y=lambda x, y, out: -floor_divide(x, y),
                        numpy="numpy.remainder({x}, {y}, out={out})",
                        scalar=lambda b, x, y: b.call("remainder", x, y))  # fmt: skip


log: Elementwise = elementwise("log(x)", "the natural logarithm",
                  d_x=lambda x, out: reciprocal(x),
                  numpy="numpy.log({x}, out={out})", scalar=lambda b, x: b.call("log", x))  # fmt: skip


@provide("round")
def round(x: Any, decimals: int = 0) -> Tensor:
    """x rounded to so many decimals (negative: to tens, hundreds ...), as NumPy: of two equally near, the even; of
    complex numbers, both parts. There is no derivative, since it is piecewise constant.

    >>> import symgrad as sg
    >>> sg.round([0.125, 2.5]).eval(), sg.round([0.125, 2.5], 2).eval(), sg.round([15, 25], -1).eval()
    (array([0., 2.]), array([0.12, 2.5 ]), array([20, 20]))
    """
    digits = as_int(decimals)
    if digits is None:
        raise GraphError(f"decimals must be an int, not {decimals!r:.60}", at=origin.locate(origin.current()))
    tensor = as_tensor(x)
    if tensor.dtype.kind == "complex":
        return complex(round(real(tensor), digits), round(imag(tensor), digits))
    if digits == 0:
        return _round(x)
    if tensor.dtype.kind in INTEGERS:
        return tensor if digits > 0 else astype(_round(tensor / _ten(-digits)) * _ten(-digits), tensor.dtype)
    if digits > 0:
        return _round(tensor * _ten(digits)) / _ten(digits)
    return _round(tensor / _ten(-digits)) * _ten(-digits)


def _ten(exponent: int) -> float:
    return 10.0**exponent if exponent <= sys.float_info.max_10_exp else math.inf


def fabs(x: Any) -> Tensor:
    """|x| as a float: integers become float64."""
    tensor = as_tensor(x)
    return abs(astype(tensor, FLOAT64) if tensor.dtype.kind in BITS else tensor)


def positive(x: Any) -> Tensor:
    """+x: x itself.

    Raises:
        DTypeError: x is boolean.
    """
    tensor = as_tensor(x)
    if tensor.dtype.kind not in NUMBERS:
        raise DTypeError(f"positive does not take {tensor.dtype}", hint=f"it takes {', '.join(NUMBERS)}")
    return tensor


# ---- bits -------------------------------------------------------------------------------------------

_BITS = "integers and booleans have no derivative"

bitwise_and: Elementwise = elementwise("bitwise_and(x, y)", "x & y", accepts=BITS, no_gradient=_BITS, commutative=True,
                          numpy="numpy.bitwise_and({x}, {y}, out={out})",
                          scalar=lambda b, x, y: b.call("bitwise_and", x, y))  # fmt: skip
bitwise_or: Elementwise = elementwise("bitwise_or(x, y)", "x | y", accepts=BITS, no_gradient=_BITS, commutative=True,
                         numpy="numpy.bitwise_or({x}, {y}, out={out})",
                         scalar=lambda b, x, y: b.call("bitwise_or", x, y))  # fmt: skip
bitwise_xor: Elementwise = elementwise("bitwise_xor(x, y)", "x ^ y", accepts=BITS, no_gradient=_BITS, commutative=True,
                          numpy="numpy.bitwise_xor({x}, {y}, out={out})",
                          scalar=lambda b, x, y: b.call("bitwise_xor", x, y))  # fmt: skip
bitwise_invert: Elementwise = elementwise("bitwise_invert(x)", "~x", accepts=BITS, no_gradient=_BITS,
                             numpy="numpy.invert({x}, out={out})", scalar=lambda b, x: b.call("invert", x))  # fmt: skip
bitwise_left_shift: Elementwise = elementwise("bitwise_left_shift(x, y)", "x << y", accepts=INTEGERS, no_gradient=_BITS,
                                 numpy="numpy.left_shift({x}, {y}, out={out})",
                                 scalar=lambda b, x, y: b.call("left_shift", x, y))  # fmt: skip
bitwise_right_shift: Elementwise = elementwise("bitwise_right_shift(x, y)", "x >> y", accepts=INTEGERS, no_gradient=_BITS,
                                  numpy="numpy.right_shift({x}, {y}, out={out})",
                                  scalar=lambda b, x, y: b.call("right_shift", x, y))  # fmt: skip
