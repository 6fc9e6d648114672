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
    indexing      x[...], take, concat, split, one_hot
    rearrange     flip, roll, tile, repeat, swapaxes, broadcast_arrays
    padding       pad
    diagonals     diagonal, diag, tril, triu, eye
    grids         asarray, linspace, meshgrid
    dtypes        dtypes by name, isdtype, can_cast, result_type, finfo, iinfo, constants
"""

from symgrad.ops import (
    align,
    arithmetic,
    cast,
    compare,
    contract,
    create,
    diagonals,
    dtypes,
    grids,
    indexing,
    padding,
    rearrange,
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
    "diagonals",
    "dtypes",
    "grids",
    "indexing",
    "padding",
    "rearrange",
    "reduce",
    "select",
    "shape",
    "transcendental",
]
