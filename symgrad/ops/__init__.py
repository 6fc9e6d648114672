"""The ops of the language: each is one declaration, found in the room named after its family.

Importing this package declares them all. A rule may use any op of a room above its own in this list
through the operators of `Tensor`, and by name any that is below it.

    kinds         the rule kinds: elementwise, linear, custom
    scalar        the builder that elementwise ops write their native code against
    numeric       NumPy code of ops that no single NumPy function computes
    fits          coefficients of the special functions, for both backends
    numeric_special  NumPy code of the special functions
    align         broadcasting and promotion, spelled out as nodes
    create        constants, inputs, shared state, sizes
    shape         reshape, broadcast, permute_dims, expand_dims, squeeze
    compare       comparisons, logic
    complexes     real, imag, conj, complex
    select        where, maximum, minimum, relu, strong-zero products
    arithmetic    add ... sqrt, floor, log, bitwise
    power         pow
    transcendental  exp, log, sin, tanh, sigmoid, softplus ...
    inverse       asin, atan2, acosh, hypot ...
    polar         the length, direction and angle of complex numbers
    special       erf, gammaln, digamma, xlogy, sinc, gelu ...
    custom        functions with derivatives of the user's, checkpoints
    slices        slices: read, written over, transposed
    gather        elements at integer indices, and the transposes
    scatter       updates at integer indices
    join          concat, stack, split
    indexing      x[...], take, take_along_axis, one_hot
    update        x.at[...], segment_sum, bincount
    sort          argsort, sort, topk, searchsorted
    cumulative    cumulative_sum, cumulative_prod, cumulative_max, linear recurrences
    reduce        sum, max, min, prod, argmax
    truth         any, all, count_nonzero
    softmax       logsumexp, softmax, log_softmax
    statistics    mean, var, std, median, quantile
    contract      matmul, tensordot, dot, outer ...
    einsum        einsum
    fft           Fourier transforms
    interleave    tensors that take turns along axes
    windows       sliding windows and their transpose
    conv          convolutions: conv, conv_input, conv_weights (conv_geometry: how operands meet;
                  conv_products: as matrix products)
    pool          maxima and sums of windows, and what their derivatives need
    pooling       max_pool1d ... avg_pool3d
    convolve      conv1d, conv2d, conv3d, conv_transpose1d ...
    triangular    solve_triangular; adjoints and triangles
    cholesky      cholesky
    solve         solve, inv, LU factors
    determinant   det, slogdet
    spectral      eigh, eigvalsh, svd, svdvals
    qr            qr
    least_squares  pinv, lstsq, matrix_rank
    norms         vector_norm, matrix_norm, norm
    matrix_functions  expm, matrix_power, multi_dot, cond
    assume        assume
    rearrange     flip, roll, tile, repeat, swapaxes, broadcast_arrays
    padding       pad
    diagonals     diagonal, diag, tril, triu, eye
    grids         asarray, linspace, meshgrid
    dtypes        dtypes by name, isdtype, can_cast, result_type, finfo, iinfo, constants
"""

from symgrad.ops import (
    align,
    arithmetic,
    assume,
    cast,
    cholesky,
    compare,
    complexes,
    contract,
    conv,
    convolve,
    create,
    cumulative,
    custom,
    determinant,
    diagonals,
    dtypes,
    einsum,
    fft,
    gather,
    grids,
    indexing,
    interleave,
    inverse,
    join,
    least_squares,
    matrix_functions,
    norms,
    padding,
    polar,
    pool,
    pooling,
    power,
    qr,
    rearrange,
    reduce,
    scatter,
    select,
    shape,
    slices,
    softmax,
    solve,
    sort,
    special,
    spectral,
    statistics,
    transcendental,
    triangular,
    truth,
    update,
    windows,
)

__all__ = [
    "align",
    "arithmetic",
    "assume",
    "cast",
    "cholesky",
    "compare",
    "complexes",
    "contract",
    "conv",
    "convolve",
    "create",
    "cumulative",
    "custom",
    "determinant",
    "diagonals",
    "dtypes",
    "einsum",
    "fft",
    "gather",
    "grids",
    "indexing",
    "interleave",
    "inverse",
    "join",
    "least_squares",
    "matrix_functions",
    "norms",
    "padding",
    "polar",
    "pool",
    "pooling",
    "power",
    "qr",
    "rearrange",
    "reduce",
    "scatter",
    "select",
    "shape",
    "slices",
    "softmax",
    "solve",
    "sort",
    "special",
    "spectral",
    "statistics",
    "transcendental",
    "triangular",
    "truth",
    "update",
    "windows",
]
