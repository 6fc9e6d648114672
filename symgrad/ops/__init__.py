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
    arithmetic    add ... pow, bitwise
    transcendental  exp, log, sin, tanh, sigmoid, softplus ...
    reduce        sum, mean, max, min, prod, argmax, logsumexp, softmax
    contract      matmul
    custom        functions with derivatives of the user's, checkpoints
    slices        slices: read, written over, transposed
    gather        elements at integer indices, and the transposes
    scatter       updates at integer indices
    join          concat, stack, split
    indexing      x[...], take, take_along_axis, one_hot
    update        x.at[...], segment_sum, bincount
    sort          argsort, sort, topk, searchsorted
"""

from symgrad.ops import (
    align,
    arithmetic,
    cast,
    compare,
    contract,
    create,
    custom,
    gather,
    indexing,
    join,
    reduce,
    scatter,
    select,
    shape,
    slices,
    sort,
    transcendental,
    update,
)

__all__ = [
    "align",
    "arithmetic",
    "cast",
    "compare",
    "contract",
    "create",
    "custom",
    "gather",
    "indexing",
    "join",
    "reduce",
    "scatter",
    "select",
    "shape",
    "slices",
    "sort",
    "transcendental",
    "update",
]
