"""Dear operations become cheap ones: small powers products, divisions by powers of two products, two
constants one. What rounds otherwise says so."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy

from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Tensor, apply
from symgrad.ir.values import Scalar
from symgrad.ops.arithmetic import (
    abs,
    add,
    divide,
    log,
    multiply,
    negative,
    reciprocal,
    rsqrt,
    sqrt,
    square,
)
from symgrad.ops.create import Fill, fill, fill_value
from symgrad.ops.kinds import FLOATS, INTEGERS, Elementwise
from symgrad.ops.power import pow
from symgrad.ops.transcendental import cosh, exp, exp2, sigmoid
from symgrad.types import PyScalar
from symgrad_compiler.passes.rewriting import Rewriting, applies
from symgrad_compiler.passes.simplify import NORMAL as BEFORE
from symgrad_compiler.rewrite.pattern import var
from symgrad_compiler.rewrite.rules import Rule, function_rule, rule

x, y = var("x"), var("y")
REAL = (*FLOATS, "int")

ROWS: list[Rule] = [
    # as both backends compute it
    rule(reciprocal(sqrt(x)), rsqrt(x), name="rsqrt", unshared=True, dtypes=FLOATS),
    rule(reciprocal(reciprocal(x)), x, "stable", "reciprocal_twice", dtypes=FLOATS),
    rule(x / reciprocal(y), x * y, "stable", "over_reciprocal", dtypes=FLOATS),
    rule(x * reciprocal(y), x / y, "stable", "times_reciprocal", unshared=True, dtypes=FLOATS),
    # a sign goes outwards, to a sum or a number that takes it for nothing
    rule(-x * y, -(x * y), name="product_with_negative", dtypes=REAL),
    rule(-x / y, -(x / y), name="negative_over", dtypes=FLOATS),
    rule(x / -y, -(x / y), name="over_negative", dtypes=FLOATS),
    rule(-x - y, -(x + y), "rounding", "negative_minus", dtypes=REAL),  # of zeros, the sign
    rule(exp(x) * exp(y), exp(x + y), "stable", "product_of_exps", unshared=True, dtypes=FLOATS),
    rule(exp(x) / exp(y), exp(x - y), "stable", "ratio_of_exps", unshared=True, dtypes=FLOATS),
    rule(log(sqrt(x)), 0.5 * log(x), "rounding", "log_of_root", unshared=True, dtypes=FLOATS),
]

#: The powers of floats that are written as products, as native code computes them: x^8 would be 5 units off.
MOST_REPEATED, LEAST_REPEATED = 5, -3
#: Products of integers are exact.
MOST_REPEATED_INTEGER = 8


@function_rule(pow, kind="rounding", operands=(Fill,))
def small_power(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """x^3 = x x^2, x^4 = (x^2)^2, x^5 = x (x^2)^2, and x^-n = (1/x)^n to n = 3, within 4 units in the
    last place; of integers to x^8, the same."""
    base, exponent = tensor.node.inputs
    n = fill_value(exponent)
    if n is None or isinstance(n, complex) or not math.isfinite(n) or n != int(n):
        return None
    count = int(n)
    is_float = tensor.dtype.kind in FLOATS
    if not (is_float or tensor.dtype.kind in INTEGERS) or count < LEAST_REPEATED:
        return None
    if count > (MOST_REPEATED if is_float else MOST_REPEATED_INTEGER):
        return None
    if count < 0:
        return _repeated(apply(reciprocal, base), -count) if is_float else None
    return _repeated(base, count) if count else None


def _repeated(x: Tensor, n: int) -> Tensor:
    """x^n by squaring, from the highest bit down."""
    result = x
    for bit in bin(n)[3:]:
        result = apply(square, result)
        if bit == "1":
            result = apply(multiply, result, x)
    return result


#: What these make is never below 0, nor -0.
_NOT_NEGATIVE = frozenset({abs, square, exp, exp2, sigmoid, cosh})


@function_rule(pow, kind="rounding", operands=(Fill,))
def power_one_half(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """x^(1/2) = sqrt(x) and x^(-1/2) = 1 / sqrt(x), for an x that is known to be neither -0 nor negative:
    the root of -0 is -0, and of -inf NaN."""
    base, exponent = tensor.node.inputs
    n = fill_value(exponent)
    if n not in (0.5, -0.5) or tensor.dtype.kind not in FLOATS:
        return None
    if base.node.op not in _NOT_NEGATIVE or base in barriers:
        return None
    return apply(sqrt if n == 0.5 else rsqrt, base)


# ---- constants --------------------------------------------------------------------------------------


@function_rule(divide, operands=(Fill,))
def over_power_of_two(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """x / 2^k = x 2^-k, to the last bit, also of subnormal numbers."""
    numerator, denominator = tensor.node.inputs
    c = fill_value(denominator)
    if not isinstance(c, float) or tensor.dtype.kind not in FLOATS or not _is_power_of_two(c):
        return None
    inverse = fill(1 / c, denominator.shape, denominator.dtype)
    return apply(multiply, numerator, inverse) if fill_value(inverse) == 1 / c else None


def _is_power_of_two(c: float) -> bool:
    """Whether c is one, and its inverse too."""
    if c == 0 or not math.isfinite(c) or math.fabs(math.frexp(c)[0]) != 0.5:
        return False
    return math.frexp(c)[1] > -1000


@function_rule(multiply, negative, operands=(multiply, divide, negative))
def constant_and_sign(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """-(c x) = (-c) x and c (-x) = (-c) x, for a number c."""
    node = tensor.node
    if tensor.dtype.kind not in (*FLOATS, "int"):
        return None
    if node.op is negative:
        (inner,) = node.inputs
        split = None if inner.node.op is not multiply or inner in barriers else _number_and_rest(inner)
    else:
        split = _number_and_rest(tensor)
        if split is None or split[1].node.op is not negative or split[1] in barriers:
            return None
        split = split[0], split[1].node.inputs[0]
    if split is None:
        return None
    c, rest = split
    return apply(multiply, rest, _computed(negative, c))


def _number_and_rest(product: Tensor) -> tuple[Tensor, Tensor] | None:
    """The number and the other factor of a product with a number; None of any other."""
    a, b = product.node.inputs
    if isinstance(a.node.op, Fill):
        return a, b
    return (b, a) if isinstance(b.node.op, Fill) else None


def _computed(op: Elementwise, *numbers: Tensor) -> Tensor:
    """A number from numbers, as floats or wrapping integers of their dtype."""
    values = [t.node.op.value.numpy for t in numbers if isinstance(t.node.op, Fill)]
    like = numbers[0]
    with numpy.errstate(all="ignore"):
        found = {negative: numpy.negative, multiply: numpy.multiply, divide: numpy.divide, add: numpy.add}[
            op
        ](*[numpy.asarray(v, like.dtype.numpy) for v in values])
    value = numpy.asarray(found, like.dtype.numpy)
    return apply(Fill(Scalar(like.dtype, value.tobytes()), like.shape))


def _is_harmless(c: Tensor) -> bool:
    """Whether a product of constants neither overflowed nor lost digits: for integers always."""
    value = fill_value(c)
    if c.dtype.kind in INTEGERS:
        return True
    assert isinstance(value, float)
    return math.isfinite(value) and math.fabs(value) >= float(numpy.finfo(c.dtype.numpy).tiny)


def _is_ordinary(c: PyScalar | None) -> bool:
    return isinstance(c, int) or (isinstance(c, float) and c != 0 and math.isfinite(c))


@function_rule(multiply, divide, kind="rounding", operands=(Fill,))
def constants_of_products(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """(x c) d = x (c d), (x / c) d = x (d / c), (c / x) d = (c d) / x, (x c) / d = x (c / d), (x / c) / d =
    x / (c d), for numbers c and d, not 0 or infinite."""
    op, (a, b) = tensor.node.op, tensor.node.inputs
    if tensor.dtype.kind not in (*FLOATS, *INTEGERS):
        return None
    if op is multiply and isinstance(a.node.op, Fill):
        a, b = b, a
    if not isinstance(b.node.op, Fill) or a in barriers or a.node.op not in (multiply, divide):
        return None
    inner = a.node.op
    first, second = a.node.inputs
    if inner is multiply and isinstance(first.node.op, Fill):
        first, second = second, first
    c = second if isinstance(second.node.op, Fill) else first
    if not isinstance(c.node.op, Fill) or not (_is_ordinary(fill_value(c)) and _is_ordinary(fill_value(b))):
        return None
    is_over_x = c is first
    if is_over_x:
        if op is divide:
            return None
        both = _computed(multiply, c, b)
        return apply(divide, both, second) if _is_harmless(both) else None
    if op is multiply or inner is divide:
        both = _computed(multiply if inner is op else divide, *((c, b) if inner is op else (b, c)))
        outer = divide if inner is op is divide else multiply
    else:
        both, outer = _computed(divide, c, b), multiply
    return apply(outer, first, both) if _is_harmless(both) else None


@function_rule(add, kind="rounding", operands=(Fill,))
def constants_of_sums(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """(x + c) + d = x + (c + d), for integers, and for numbers of one sign: those of two may cancel on
    purpose."""
    a, b = tensor.node.inputs
    if isinstance(a.node.op, Fill):
        a, b = b, a
    if tensor.dtype.kind not in (*FLOATS, *INTEGERS) or not isinstance(b.node.op, Fill):
        return None
    if a.node.op is not add or a in barriers:
        return None
    for rest, c in (a.node.inputs, a.node.inputs[::-1]):
        if not isinstance(c.node.op, Fill):
            continue
        p, q = fill_value(c), fill_value(b)
        assert isinstance(p, (int, float))
        assert isinstance(q, (int, float))
        is_float = tensor.dtype.kind in FLOATS
        if is_float and not (p * q > 0 and math.isfinite(p + q)):
            return None
        return apply(add, rest, _computed(add, c, b))
    return None


RULES: list[Rule] = [
    *ROWS,
    *small_power,
    *power_one_half,
    *over_power_of_two,
    *constant_and_sign,
    *constants_of_products,
    *constants_of_sums,
]
NORMAL: list[Rule] = [*BEFORE, *RULES]
_apply = Rewriting("reduce_strength", RULES, normal=NORMAL)


@applies(_apply)
def reduce_strength(graph: Graph) -> Graph:
    """Use cheaper operations where they give the same."""
    return _apply(graph)
