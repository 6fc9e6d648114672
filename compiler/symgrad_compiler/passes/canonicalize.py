"""One form for what can be said in several ways.

Rules here are exact (bits, NaN and inf the same), unless they say otherwise.
"""

from __future__ import annotations

from collections.abc import Collection

from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Tensor, apply
from symgrad.ops.arithmetic import (
    abs,
    add,
    bitwise_and,
    bitwise_invert,
    bitwise_or,
    bitwise_xor,
    ceil,
    floor,
    multiply,
    negative,
    reciprocal,
    sign,
    square,
    subtract,
    trunc,
)
from symgrad.ops.compare import (
    equal,
    greater,
    greater_equal,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    not_equal,
)
from symgrad.ops.create import Fill, fill, fill_value, zeros_like
from symgrad.ops.kinds import BITS, INEXACT, INTEGERS, Elementwise
from symgrad.ops.power import pow
from symgrad.ops.select import masked_multiply, maximum, minimum, relu, where
from symgrad.types import BOOL
from symgrad_compiler.passes.complexes import RULES as COMPLEXES
from symgrad_compiler.passes.moves import RULES as MOVES
from symgrad_compiler.passes.rewriting import Rewriting, applies
from symgrad_compiler.rewrite.pattern import var
from symgrad_compiler.rewrite.rules import Rule, function_rule, rule

c, x, y = var("c"), var("x"), var("y")

#: Those that also make the form in which a cost is differentiated: none changes a derivative.
IDENTITIES: list[Rule] = [
    rule(x * 1, x, name="times_one"),
    rule(x * -1, -x, name="times_minus_one"),
    rule(x / 1, x, name="over_one"),
    rule(x / -1, -x, name="over_minus_one"),
    rule(x - 0, x, name="minus_zero"),  # not x + 0, which makes 0 of -0
    rule(x + -0.0, x, name="plus_negative_zero"),
    rule(negative(-x), x, name="negative_twice"),
    rule(x + -y, x - y, name="plus_negative"),
    rule(x - -y, x + y, name="minus_negative"),
    rule(-x * -y, x * y, name="product_of_negatives"),
    rule(1 / x, reciprocal(x), name="one_over"),
    rule(x * x, square(x), name="square"),
    rule(square(-x), square(x), name="square_of_negative"),
    rule(pow(x, 1), x, name="power_one"),
    rule(pow(x, 2), square(x), "stable", "power_two"),  # rounded once; libraries are off by up to a unit
    rule(maximum(x, x), x, name="maximum_of_same"),
    rule(minimum(x, x), x, name="minimum_of_same"),
    rule(where(c, x, x), x, name="where_same"),
    rule(where(logical_not(c), x, y), where(c, y, x), name="where_not"),
    rule(logical_not(logical_not(c)), c, name="not_not"),
    *COMPLEXES,
]

#: The others.
MORE_IDENTITIES: list[Rule] = [
    rule(pow(x, 0), 1, name="power_zero"),  # of NaN too
    rule(abs(-x), abs(x), name="abs_of_negative", dtypes=("int", "float")),
    rule(abs(abs(x)), abs(x), name="abs_twice"),
    rule(relu(relu(x)), relu(x), name="relu_twice"),
    rule(floor(floor(x)), floor(x), name="floor_twice"),
    rule(ceil(ceil(x)), ceil(x), name="ceil_twice"),
    rule(trunc(trunc(x)), trunc(x), name="trunc_twice"),
    rule(sign(sign(x)), sign(x), name="sign_twice"),
    rule(bitwise_invert(bitwise_invert(x)), x, name="invert_twice"),
    rule(bitwise_and(x, x), x, name="and_of_same_bits"),
    rule(bitwise_or(x, x), x, name="or_of_same_bits"),
    rule(bitwise_xor(x, x), 0, name="xor_of_same_bits"),
    # logic
    rule(logical_and(c, c), c, name="and_of_same"),
    rule(logical_or(c, c), c, name="or_of_same"),
    rule(logical_and(c, 1), c, name="and_true"),
    rule(logical_and(c, 0), 0, name="and_false"),
    rule(logical_or(c, 0), c, name="or_false"),
    rule(logical_or(c, 1), 1, name="or_true"),
    rule(logical_and(c, logical_not(c)), 0, name="and_of_opposites"),
    rule(logical_or(c, logical_not(c)), 1, name="or_of_opposites"),
    # not x < y is not y <= x: both are false beside NaN
    rule(logical_not(equal(x, y)), not_equal(x, y), name="not_equal"),
    rule(logical_not(not_equal(x, y)), equal(x, y), name="not_not_equal"),
]


@function_rule(add, operands=(Fill,))
def plus_zero(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """x + 0 = x, for integers: a float may be -0."""
    for x, zero in (tensor.node.inputs, tensor.node.inputs[::-1]):
        if tensor.dtype.kind in INTEGERS and fill_value(zero) == 0:
            return x
    return None


@function_rule(subtract)
def minus_itself(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """x - x = 0, for integers: a float may be infinite."""
    x, y = tensor.node.inputs
    return zeros_like(x) if x is y and tensor.dtype.kind in INTEGERS else None


@function_rule(multiply, masked_multiply, operands=(Fill,))
def times_zero(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """x 0 = 0, for integers; of a strong zero, for all numbers."""
    x, y = tensor.node.inputs
    is_strong = tensor.node.op is masked_multiply
    for zero in (x,) if is_strong and tensor.dtype.kind in INEXACT else (x, y):
        if (tensor.dtype.kind in INTEGERS or is_strong) and fill_value(zero) == 0:
            return zeros_like(x)
    return None


#: What a comparison of numbers that are not NaN is where it does not hold.
_OPPOSITES = {less: greater_equal, greater_equal: less, greater: less_equal, less_equal: greater}


@function_rule(logical_not, operands=tuple(_OPPOSITES))
def not_less(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """not x < y is x >= y, for integers: beside NaN neither holds. And so on."""
    compared = tensor.node.inputs[0]
    op = compared.node.op
    assert isinstance(op, Elementwise)
    if compared in barriers or compared.node.inputs[0].dtype.kind not in BITS:
        return None
    return apply(_OPPOSITES[op], *compared.node.inputs)


@function_rule(equal, not_equal, less, greater, less_equal, greater_equal)
def compared_with_itself(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """x == x, x <= x and x >= x are true, x != x, x < x and x > x false, for integers: NaN is not itself."""
    x, y = tensor.node.inputs
    if x is not y or x.dtype.kind not in BITS:
        return None
    return fill(tensor.node.op in (equal, less_equal, greater_equal), tensor.shape, BOOL)


#: The form in which a cost is differentiated.
BEFORE_DIFFERENTIATION: list[Rule] = [*IDENTITIES, *MOVES]
RULES: list[Rule] = [
    *IDENTITIES,
    *MORE_IDENTITIES,
    *plus_zero,
    *minus_itself,
    *times_zero,
    *not_less,
    *compared_with_itself,
]
_apply = Rewriting("canonicalize", RULES)


@applies(_apply)
def canonicalize(graph: Graph) -> Graph:
    """Apply the exact identities."""
    return _apply(graph)
