"""NumPy code of the ops that no single NumPy function computes; `out` may be None, or an operand's array.

Generated NumPy programs call these, and those of `numeric_special`, as `numeric.<name>`. Imports NumPy only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy

from symgrad.errors import ShapeError, negative_size, wrong_bound
from symgrad.ops import fits
from symgrad.ops.numeric_assumptions import assumed  # noqa: F401  (for templates)
from symgrad.ops.numeric_complex import (  # noqa: F401  (for generated programs)
    complex_,
    imag,
    log1p,
    real,
    sech_squared_of_complex,
)
from symgrad.ops.numeric_conv import (  # noqa: F401  (for templates)
    conv,
    conv_input,
    conv_weights,
    fold,
    windows,
)
from symgrad.ops.numeric_indexing import (  # noqa: F401  (for generated programs)
    argsort,
    gather,
    in_range,
    interleave,
    one_hot,
    scatter,
    scatter_add,
    scatter_add_along_axis,
    searchsorted,
    set_slice,
    slice_,
    take,
    take_along_axis,
    unslice,
)
from symgrad.ops.numeric_pool import (  # noqa: F401  (for templates)
    max_pool,
    spread_to_max,
    sum_at_max,
    sum_pool,
    sum_unpool,
)
from symgrad.ops.numeric_scan import (  # noqa: F401  (for templates)
    accumulate,
    argquantile,
    highest,
    linear_recurrence,
    lowest,
)
from symgrad.ops.numeric_special import (  # noqa: F401  (for templates)
    digamma,
    erfc,
    gammaln,
    gaussian,
    gelu,
    gelu_derivative,
    gelu_tanh,
    gelu_tanh_derivative,
    inverse_mills,
    inverse_mills_derivative,
    log_cosh,
    log_ndtr,
    logit,
    ndtr,
    polygamma,
    silu,
    silu_derivative,
    sinc_derivative,
    xlogx_derivative,
)

Array: TypeAlias = Any
Out: TypeAlias = Any


def check_size(size: str, value: int) -> None:
    """Raises InputError where the value of a size is negative."""
    if value < 0:
        raise negative_size(size, value)


def check_bound(bound: str, from_end: bool, value: int, reach: int) -> None:
    """Raises InputError where a bound is not on the side that it is taken to be on, and that makes a difference."""
    if (value >= 0 and reach >= 0) if from_end else (value < 0 and value + reach >= 0):
        raise wrong_bound(bound, value)


def check_form(op: str, value: Array, shape: tuple[int, ...], dtype: type) -> None:
    """Raises ValueError where the NumPy form of a user's op gives what the op does not promise."""
    found = numpy.asarray(value)
    if found.shape != shape or found.dtype != dtype:
        raise ValueError(
            f"the NumPy form of {op} gives {found.dtype} of shape {found.shape}, "
            f"not {numpy.dtype(dtype)} of shape {shape}"
        )


def copy(x: Array, out: Out = None) -> Array:
    """x in an array of its own."""
    if out is None:
        return numpy.array(x)
    if out is not x:
        numpy.copyto(out, x)
    return out


def astype(x: Array, dtype: Any, out: Out = None) -> Array:
    """x converted, without a word about overflow."""
    if out is None:
        return numpy.asarray(x).astype(dtype)
    numpy.copyto(out, x, casting="unsafe")
    return out


def where(c: Array, x: Array, y: Array, out: Out = None) -> Array:
    """x where c holds, else y; `out` may be the array of c, x or y."""
    if out is None:
        return numpy.where(c, x, y)
    if out is c:
        return copy(numpy.where(c, x, y), out)
    if y.__class__ is not numpy.ndarray and _is_zero(y) and _has_bits(x) and c.__class__ is numpy.ndarray:
        return _keep(c, x, out)
    if out is x:
        numpy.copyto(out, y, where=numpy.logical_not(c))
        return out
    if out is not y:
        numpy.copyto(out, y)
    numpy.copyto(out, x, where=c)
    return out


def _is_zero(value: Any) -> bool:
    """Whether a NumPy scalar is all zero bits."""
    return not any(value.tobytes())


def _has_bits(x: Array) -> bool:
    return x.__class__ is numpy.ndarray and x.dtype.kind == "f"


def _keep(c: Array, x: Array, out: Array) -> Array:
    """x where c holds, else +0.0, without branches: the bits of x times 1 or 0."""
    bits = _BITS[x.dtype.itemsize]
    numpy.multiply(x.view(bits), c.astype(bits), out=out.view(bits))
    return out


_BITS: dict[int, Any] = {4: numpy.int32, 8: numpy.int64}


def _unless_integers(function: Any) -> Callable[..., Array]:
    """A rounding function that leaves integers as they are (NumPy's do, or not, by version)."""

    def rounded(x: Array, out: Out = None) -> Array:
        return copy(x, out) if numpy.asarray(x).dtype.kind in "iu" else function(x, out=out)

    return rounded


floor, ceil, trunc, rint = map(_unless_integers, (numpy.floor, numpy.ceil, numpy.trunc, numpy.rint))


def rsqrt(x: Array, out: Out = None) -> Array:
    """1 / sqrt(x)."""
    return numpy.divide(1, numpy.sqrt(x, out=out), out=out)


def power(x: Array, y: Array, out: Out = None) -> Array:
    """x^y as C has it: NumPy takes a square root where one y is 1/2, and so NaN for -inf, -0 for -0."""
    if numpy.asarray(y).dtype.kind == "f":
        root = numpy.equal(y, 0.5)
        if root.any():
            x = numpy.where(root & numpy.equal(x, -numpy.inf), -x, numpy.where(root, x + 0.0, x))
    return numpy.power(x, y, out=out)


def pow_plus(x: Array, y: Array, k: Array, out: Out = None) -> Array:
    """x^(y+k) with the sum not rounded: p + p e log|x|, where e is what y + k lost."""
    total = y + k
    part = total - y
    error = (y - (total - part)) + (k - part)
    rounded = power(x, total)
    rest = rounded * (error * numpy.log(numpy.abs(x)))
    return where(numpy.isfinite(rest), rounded + rest, rounded, out)


def sigmoid(x: Array, out: Out = None) -> Array:
    """1 / (1 + e) or e / (1 + e), with e = exp(-|x|)."""
    e = numpy.exp(-numpy.abs(x))
    return numpy.divide(numpy.where(numpy.less(x, 0), e, numpy.ones_like(e)), 1 + e, out=out)


def sigmoid_difference(x: Array, y: Array, out: Out = None) -> Array:
    """1 / (1 + exp(y - x)), with the difference not rounded."""
    t = _exp_of_distance(x, y)
    return numpy.divide(numpy.where(numpy.less(x, y), t, numpy.ones_like(t)), 1 + t, out=out)


def logaddexp(x: Array, y: Array, out: Out = None) -> Array:
    """max + log(1 + exp(-|x - y|)), with the difference not rounded; near 0, where these cancel, from exponentials
    of twice the digits."""
    larger, smaller = numpy.maximum(x, y), numpy.minimum(x, y)
    result = numpy.asarray(numpy.add(larger, numpy.log1p(_exp_of_distance(x, y)), out=out))
    near = (larger > fits.CANCELS_FROM) & (larger < fits.CANCELS_TO)
    if result.dtype == numpy.float64 and near.any():
        smaller = numpy.maximum(smaller, fits.LEAST_EXPONENT)
        a, b = numpy.broadcast_arrays(larger, smaller)
        result[near] = _log_of_sum(a[near], b[near])
    return result if result.ndim else result[()]


def _log_of_sum(x: Array, y: Array) -> Array:
    """log(1 + s) with s = (e^x - 1) + e^y."""
    a, a_low = _exp_pair(x, 1.0)
    b, b_low = _exp_pair(y, 0.0)
    s, lost = _two_sum(a, b)
    return numpy.log1p(s + (lost + a_low + b_low))


def _exp_pair(x: Array, less: float) -> tuple[Array, Array]:
    """e^x - `less` as a sum of two numbers, to about 1e-20 of its terms, for moderate x: x = n ln(2) + r, and a
    series in r."""
    n = numpy.rint(x * 1.4426950408889634)
    a, a_low = _two_sum(x, -n * fits.LN2[0])
    p, p_low = _two_product(n, fits.LN2[1])
    r, r_low = _two_sum(a, -p)
    r_low = r_low + a_low - p_low - n * fits.LN2[2]
    square, square_low = _two_product(r, r)
    square_low = square_low + 2 * r * r_low
    cube, cube_low = _two_product(square, r)
    third, third_low = _two_product(cube, fits.SIXTH[0])
    third_low = third_low + (cube_low + square_low * r) * fits.SIXTH[0] + cube * fits.SIXTH[1]
    tail = numpy.zeros_like(r)
    for c in reversed(fits.EXP_TAIL):
        tail = tail * r + c
    total, low = r, r_low + 0.5 * square_low + third_low
    for term in (0.5 * square, third, square * square * tail):
        total, lost = _two_sum(total, term)
        low = low + lost
    scale = numpy.ldexp(1.0, n.astype(numpy.int64))
    total, lost = _two_sum(scale - less, total * scale)
    return total, lost + low * scale


def _two_sum(x: Array, y: Array) -> tuple[Array, Array]:
    """x + y and its rounding error (Knuth)."""
    total = x + y
    part = total - x
    return total, (x - (total - part)) + (y - part)


def _two_product(x: Array, y: Any) -> tuple[Array, Array]:
    """x y and its rounding error (Dekker)."""
    total = x * y
    (a, a_low), (b, b_low) = _halves(x), _halves(y)
    return total, ((a * b - total) + a * b_low + a_low * b) + a_low * b_low


def _halves(x: Any) -> tuple[Any, Any]:
    """x as a sum of two numbers of 26 bits."""
    large = 134217729.0 * x
    high = large - (large - x)
    return high, x - high


def _exp_of_distance(x: Array, y: Array) -> Array:
    """exp(-|x - y|), corrected by what the difference lost when it was rounded (Knuth); 1 where they are equal."""
    smaller, larger = numpy.minimum(x, y), numpy.maximum(x, y)
    distance = numpy.where(x == y, numpy.zeros_like(x), larger - smaller)
    part = larger - distance
    lost = (larger - (distance + part)) + (part - smaller)
    t = numpy.exp(-distance)
    rest = t * lost
    return numpy.where(numpy.isfinite(rest), t - rest, t)


def over_squares(x: Array, y: Array, out: Out = None) -> Array:
    """x / (x^2 + y^2), from the ratio of the smaller to the larger; 0 at (0, 0) and at infinity."""
    first = numpy.abs(y) <= numpy.abs(x)
    large, small = where(first, x, y), where(first, y, x)
    t = small / large
    result = numpy.where(first, numpy.ones_like(t), t) / large / (1 + t * t)
    size = numpy.abs(large)
    edge = ((size == 0) | (size == numpy.inf)) & ~numpy.isnan(x) & ~numpy.isnan(y)
    return where(edge, numpy.copysign(numpy.zeros_like(x), x), result, out)


def over_hypot(x: Array, y: Array, h: Array, out: Out = None) -> Array:
    """x / h with h = hypot(x, y); 0 where h is 0, the sign of x where it alone is infinite."""
    far = numpy.isinf(x) & numpy.isfinite(y)
    result = numpy.where(far, numpy.copysign(numpy.ones_like(x), x), x / h)
    return where(h == 0, numpy.zeros_like(x), result, out)


def asin_derivative(x: Array, out: Out = None) -> Array:
    """1 / sqrt(1 - x^2)."""
    return numpy.reciprocal(numpy.sqrt(_one_minus_square(x)), out=out)


def atanh_derivative(x: Array, out: Out = None) -> Array:
    """1 / (1 - x^2)."""
    return numpy.reciprocal(_one_minus_square(x), out=out)


def _one_minus_square(x: Array) -> Array:
    """(1 - x) (1 + x), where 1 - x is exact; for |x| < 1/2, 1 - x^2, which is rounded once."""
    return numpy.where(numpy.abs(x) < 0.5, 1 - x * x, (1 - x) * (1 + x))


def masked_multiply(g: Array, p: Array, out: Out = None) -> Array:
    """g p, but 0 where g is 0."""
    zero = numpy.equal(g, 0)
    out = numpy.multiply(g, p, out=out)
    return _clear(out, zero)


def masked_multiply_both(x: Array, y: Array, out: Out = None) -> Array:
    """x y, but 0 where either is 0."""
    zero = numpy.logical_or(numpy.equal(x, 0), numpy.equal(y, 0))
    out = numpy.multiply(x, y, out=out)
    return _clear(out, zero)


def _clear(out: Array, zero: Array) -> Array:
    if not isinstance(out, numpy.ndarray):
        return out.dtype.type(0) if zero else out
    numpy.copyto(out, 0, where=zero)
    return out


def sech_squared(x: Array, out: Out = None) -> Array:
    """1 / cosh(x)^2 as 4 e / (1 + e)^2 with e = exp(-2|x|), which neither overflows nor cancels."""
    if numpy.iscomplexobj(x):
        return sech_squared_of_complex(x, out)
    e = numpy.abs(x)
    e = numpy.exp(numpy.multiply(e, -2, out=e if isinstance(e, numpy.ndarray) else None))
    one_plus = e + 1
    return numpy.divide(4 * e, one_plus * one_plus, out=out)


def logsumexp(x: Array, axes: tuple[int, ...], out: Out = None) -> Array:
    """log(sum(exp(x))) over `axes`."""
    shift, total = _exponentials(x, axes)[1:]
    return numpy.add(
        numpy.log(total, out=total if isinstance(total, numpy.ndarray) else None).squeeze(axes),
        shift.squeeze(axes),
        out=out,
    )


def softmax(x: Array, axes: tuple[int, ...], out: Out = None) -> Array:
    """exp(x) / sum(exp(x)) over `axes`; 0 where all x are -inf."""
    e, _, total = _exponentials(x, axes, out)
    total[total == 0] = 1
    return numpy.divide(e, total, out=e)


def softmax_derivative(
    x: Array, g: Array, axes: tuple[int, ...], strong: bool = False, out: Out = None
) -> Array:
    """y (g - y . g) with y = softmax(x), for g less its value at the largest x."""
    y, relative, live = _relative_to_dominant(x, g, axes, strong)
    weighted = masked_multiply(y, relative)
    result = weighted - y * numpy.sum(weighted, axis=axes, keepdims=True)
    return copy(numpy.where(live, result, numpy.zeros((), x.dtype)) if strong else result, out)


def softmax_centred(
    x: Array, t: Array, axes: tuple[int, ...], strong: bool = False, out: Out = None
) -> Array:
    """t - y . t with y = softmax(x), for t less its value at the largest x."""
    y, relative, live = _relative_to_dominant(x, t, axes, strong)
    result = relative - numpy.sum(masked_multiply(y, relative), axis=axes, keepdims=True)
    return copy(numpy.where(live, result, numpy.zeros((), x.dtype)) if strong else result, out)


def _relative_to_dominant(
    x: Array, g: Array, axes: tuple[int, ...], strong: bool
) -> tuple[Array, Array, Array]:
    """softmax(x); g less its value at the largest x, or itself where softmax is 0; where `strong`, whether some g is
    not 0."""

    def supremum(v: Array) -> Array:
        return numpy.maximum.reduce(v, axis=axes, keepdims=True, initial=-numpy.inf)

    largest = supremum(x)
    taken = x == largest
    centre = supremum(numpy.where(taken, g, numpy.array(-numpy.inf, x.dtype)))
    centre = numpy.where(largest == -numpy.inf, numpy.zeros((), x.dtype), centre)
    live = numpy.any(g != 0, axis=axes, keepdims=True) if strong else taken
    return softmax(x, axes), g - centre, live


def log_softmax(x: Array, axes: tuple[int, ...], out: Out = None) -> Array:
    """log(softmax(x)) over `axes`; -inf where all x are -inf."""
    if _is_narrow(x, axes):
        columns = log_softmax(numpy.ascontiguousarray(x.T), (0,))
        if out is None:
            return numpy.ascontiguousarray(columns.T)
        numpy.copyto(out, columns.T)
        return out
    shift = _shift(x, axes)
    shifted = numpy.subtract(x, shift, out=out)
    total = numpy.asarray(numpy.add.reduce(numpy.exp(shifted), axis=axes, keepdims=True))
    total[total == 0] = 1
    return numpy.subtract(shifted, numpy.log(total), out=shifted if shifted.ndim else None)


def _is_narrow(x: Array, axes: tuple[int, ...]) -> bool:
    """Whether the rows are so short that NumPy reduces them faster as columns."""
    return x.ndim == 2 and axes == (1,) and x.shape[1] <= NARROW and x.shape[0] >= NARROW


NARROW = 32


def _exponentials(x: Array, axes: tuple[int, ...], out: Out = None) -> tuple[Array, Array, Array]:
    shift = _shift(x, axes)
    e = numpy.asarray(numpy.subtract(x, shift, out=out))
    numpy.exp(e, out=e)
    return e, shift, numpy.asarray(numpy.sum(e, axis=axes, keepdims=True, dtype=e.dtype))


def _shift(x: Array, axes: tuple[int, ...]) -> Array:
    """The maximum over `axes`, kept: exp(x - inf) would be NaN, so the largest number for inf, 0 for -inf."""
    if any(numpy.shape(x)[a] == 0 for a in axes):
        return numpy.zeros([1 if i in axes else n for i, n in enumerate(numpy.shape(x))], x.dtype)
    largest = numpy.asarray(numpy.maximum.reduce(x, axis=axes, keepdims=True))
    finite = numpy.isfinite(largest)
    if finite.all():
        return largest
    most = numpy.finfo(largest.dtype).max
    return numpy.where(largest > -numpy.inf, numpy.minimum(largest, most), numpy.zeros((), largest.dtype))


def matmul(a: Array, b: Array, strong: str = "", out: Out = None) -> Array:
    """The matrix product; with `strong`, a zero of the named operand makes a term 0 whatever the other is."""
    product = numpy.matmul(a, b, out=out)
    if not strong:
        return product
    # Strong zeros matter where the other factor is not finite, and then the product is not either.
    other = b if strong == "a" else a if strong == "b" else product
    if all_finite(other if other.size < product.size else product):
        return product
    return _strong_matmul(a, b, strong, product)


def all_finite(x: Array) -> bool:
    """Whether no element is infinite or NaN. For many, sums of columns tell sooner, unless they overflow."""
    if x.size >= MANY and numpy.isfinite(numpy.add.reduce(x, axis=0)).all():
        return True
    return bool(numpy.isfinite(x).all())


MANY = 1 << 15


def _strong_matmul(a: Array, b: Array, strong: str, out: Array) -> Array:
    """Term by term over k, for the rare product that met an infinity or NaN."""
    if a.ndim == 1 or b.ndim == 1:
        left, right = numpy.atleast_2d(a), b[:, None] if b.ndim == 1 else b
        found = _strong_matmul(left, right, strong, numpy.empty((left.shape[0], right.shape[1]), a.dtype))
        return found.reshape(out.shape)[()]
    out[...] = 0
    for k in range(a.shape[-1]):
        left, right = a[..., :, k, None], b[..., None, k, :]
        term = left * right
        if "a" in strong:
            term = numpy.where(left == 0, 0, term)
        if "b" in strong:
            term = numpy.where(right == 0, 0, term)
        out += term
    return out


def specify_shape(x: Array, shape: tuple[int, ...]) -> Array:
    """x, if it has that shape."""
    for axis, (have, want) in enumerate(zip(x.shape, shape, strict=True)):
        if have != want:
            raise ShapeError(f"sizes that were assumed equal differ: {have} is not {want} (axis {axis})")
    return x


def concat(parts: Sequence[Array], axis: int, out: Out = None) -> Array:
    """Arrays joined along `axis`."""
    return numpy.concatenate(parts, axis=axis, out=out)


def split(x: Array, sizes: Sequence[int], axis: int) -> list[Array]:
    """x cut along `axis` into pieces of the given sizes, which add up."""
    for size in sizes:
        if not 0 <= size <= x.shape[axis]:
            raise IndexError(
                f"a piece of size {size} is out of bounds for axis {axis} with size {x.shape[axis]}"
            )
    return numpy.split(x, numpy.cumsum(sizes[:-1]), axis=axis)


def diagonal_matrix(g: Array, shape: tuple[int, int], offset: int) -> Array:
    """Matrices of `shape` with g on the diagonals `offset` above the main ones, 0 elsewhere."""
    result = numpy.zeros((*g.shape[:-1], *shape), g.dtype)
    along = numpy.arange(g.shape[-1])
    result[..., along + max(-offset, 0), along + max(offset, 0)] = g
    return result
