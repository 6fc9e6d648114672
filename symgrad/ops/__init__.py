"""The ops of the language: each is one declaration, found in the room named after its family.

Importing this package declares them all. A rule may use any op of a room above its own in this list
through the operators of `Tensor`, and by name any that is below it.

    kinds         the rule kinds: elementwise, linear, custom
    scalar        the builder that elementwise ops write their native code against
    numeric       NumPy code of ops that no single NumPy function computes
    align         broadcasting and promotion, spelled out as nodes
    create        constants, inputs, shared state, sizes
    shape         reshape, broadcast, permute_dims, expand_dims, squeeze
    compare       comparisons, logic
    select        where, maximum, minimum, relu, strong-zero products
    arithmetic    add ... sqrt, floor, log, bitwise
    power         pow
    transcendental  exp, log, sin, tanh, sigmoid, softplus ...
    inverse       asin, atan2, acosh, hypot ...
    reduce        sum, mean, max, min, prod, argmax, logsumexp, softmax
    contract      matmul
    indexing      x[...], take, concat, split, one_hot
"""

from symgrad.ops import (
    align,
    arithmetic,
    cast,
    compare,
    contract,
    create,
    indexing,
    inverse,
    power,
    reduce,
    select,
    shape,
    transcendental,
)

__all__ = [
    "align",
    "arithmetic",
    "cast",
    "compare",
    "contract",
    "create",
    "indexing",
    "inverse",
    "power",
    "reduce",
    "select",
    "shape",
    "transcendental",
]
