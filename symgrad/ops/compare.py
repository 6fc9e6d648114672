"""Comparisons and logic: piecewise constant, so without derivatives."""

from __future__ import annotations

import math

from symgrad.ops.kinds import ANY, BOOLS, FLOATS, INEXACT, Elementwise, elementwise
from symgrad.types import BOOL

_STEP = "comparisons are piecewise constant"

equal: Elementwise = elementwise("equal(x, y)", "x == y", accepts=ANY, result=BOOL, no_gradient=_STEP, commutative=True,
                    numpy="numpy.equal({x}, {y}, out={out})", scalar=lambda b, x, y: b.equal(x, y))  # fmt: skip
not_equal: Elementwise = elementwise("not_equal(x, y)", "x != y", accepts=ANY, result=BOOL, no_gradient=_STEP, commutative=True,
                        numpy="numpy.not_equal({x}, {y}, out={out})", scalar=lambda b, x, y: b.logical_not(b.equal(x, y)))  # fmt: skip
less: Elementwise = elementwise("less(x, y)", "x < y", accepts=ANY, result=BOOL, no_gradient=_STEP,
                   numpy="numpy.less({x}, {y}, out={out})", scalar=lambda b, x, y: b.less(x, y))  # fmt: skip
less_equal: Elementwise = elementwise("less_equal(x, y)", "x <= y", accepts=ANY, result=BOOL, no_gradient=_STEP,
                         numpy="numpy.less_equal({x}, {y}, out={out})", scalar=lambda b, x, y: b.less_equal(x, y))  # fmt: skip
greater: Elementwise = elementwise("greater(x, y)", "x > y", accepts=ANY, result=BOOL, no_gradient=_STEP,
                      numpy="numpy.greater({x}, {y}, out={out})", scalar=lambda b, x, y: b.less(y, x))  # fmt: skip
greater_equal: Elementwise = elementwise("greater_equal(x, y)", "x >= y", accepts=ANY, result=BOOL, no_gradient=_STEP,
                            numpy="numpy.greater_equal({x}, {y}, out={out})", scalar=lambda b, x, y: b.less_equal(y, x))  # fmt: skip

isnan: Elementwise = elementwise("isnan(x)", "x is not a number", accepts=INEXACT, result=BOOL, no_gradient=_STEP,
                    numpy="numpy.isnan({x}, out={out})", scalar=lambda b, x: b.logical_not(b.equal(x, x)))  # fmt: skip
isfinite: Elementwise = elementwise("isfinite(x)", "x is neither infinite nor NaN", accepts=INEXACT, result=BOOL, no_gradient=_STEP,
                       numpy="numpy.isfinite({x}, out={out})", scalar=lambda b, x: b.call("isfinite", x))  # fmt: skip
isinf: Elementwise = elementwise("isinf(x)", "x is infinite", accepts=INEXACT, result=BOOL, no_gradient=_STEP,
                    numpy="numpy.isinf({x}, out={out})",
                    scalar=lambda b, x: b.equal(b.call("absolute", x), b.constant(math.inf, x)))  # fmt: skip
signbit: Elementwise = elementwise("signbit(x)", "the sign bit is set: x < 0, or x is -0.0", accepts=FLOATS, result=BOOL, no_gradient=_STEP,
                      numpy="numpy.signbit({x}, out={out})", scalar=lambda b, x: b.call("signbit", x))  # fmt: skip

_LOGIC = "logic has no derivative"

logical_and: Elementwise = elementwise("logical_and(x, y)", "x and y", accepts=BOOLS, no_gradient=_LOGIC, commutative=True,
                          numpy="numpy.logical_and({x}, {y}, out={out})", scalar=lambda b, x, y: b.logical_and(x, y))  # fmt: skip
logical_or: Elementwise = elementwise("logical_or(x, y)", "x or y", accepts=BOOLS, no_gradient=_LOGIC, commutative=True,
                         numpy="numpy.logical_or({x}, {y}, out={out})", scalar=lambda b, x, y: b.logical_or(x, y))  # fmt: skip
logical_not: Elementwise = elementwise("logical_not(x)", "not x", accepts=BOOLS, no_gradient=_LOGIC,
                          numpy="numpy.logical_not({x}, out={out})", scalar=lambda b, x: b.logical_not(x))  # fmt: skip
logical_xor: Elementwise = elementwise("logical_xor(x, y)", "either x or y", accepts=BOOLS, no_gradient=_LOGIC, commutative=True,
                          numpy="numpy.logical_xor({x}, {y}, out={out})", scalar=lambda b, x, y: b.call("bitwise_xor", x, y))  # fmt: skip
