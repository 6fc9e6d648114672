"""pad: x with something around it, axis by axis, as NumPy's modes say.

    constant    v v | a b c d | v v
    edge        a a | a b c d | d d
    reflect     c b | a b c d | c b
    symmetric   b a | a b c d | d c
    wrap        c d | a b c d | a b

What is repeated is sliced, so that the derivative adds up over all places that hold an element.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy

from symgrad.dims import Dim
from symgrad.errors import DTypeError, ShapeError
from symgrad.ir import origin
from symgrad.ir.choice import check_choice
from symgrad.ir.tensor import Tensor, apply
from symgrad.ops.cast import astype
from symgrad.ops.create import as_tensor, fill_value
from symgrad.ops.gather import Take
from symgrad.ops.join import concat
from symgrad.ops.rearrange import as_amount
from symgrad.ops.shape import broadcast_to, normalize_axis, with_sizes
from symgrad.ops.slices import Unslice, cut
from symgrad.types import DType, PyScalar, promote

Widths = tuple[tuple[Dim, Dim], ...]


def pad(x: Any, pad_width: Any, mode: str = "constant", *, constant_values: Any = 0) -> Tensor:
    """x with `before` and `after` elements more along each axis.

    Args:
        x: a tensor; its sizes may be symbolic.
        pad_width: an int or a size, (before, after), ((before, after),), or a pair for each axis, all not negative; or
            a dict from axes to ints or pairs.
        mode: "constant", "edge", "reflect", "symmetric" or "wrap".
        constant_values: for "constant", in the same forms, numbers or 0-d tensors; converted to the dtype
            of x. In corners the later axis counts.

    Raises:
        ShapeError: a width that does not fit or is negative, an unknown mode, an empty axis to repeat.
        IndexError: when it runs, if an axis of symbolic size is shorter than what is to be repeated.

    >>> pad([1, 2, 3], (2, 1), "reflect").eval()
    array([3, 2, 1, 2, 3, 2])
    """
    tensor = as_tensor(x)
    check_choice("mode", mode, ["constant", *_MODES], ShapeError)
    widths = _widths(pad_width, tensor)
    if mode == "constant":
        return _constant(tensor, widths, constant_values)
    for axis, (before, after) in enumerate(widths):
        if before != 0 or after != 0:
            tensor = _repeated(tensor, axis, before, after, mode)
    return tensor


def _widths(pad_width: Any, x: Tensor) -> Widths:
    if isinstance(pad_width, dict):
        pairs: list[Any] = [(0, 0)] * x.ndim
        for axis, width in pad_width.items():
            pairs[normalize_axis(axis, x.ndim)] = width if isinstance(width, (tuple, list)) else (width,) * 2
    else:
        pairs = _pairs(pad_width, x, "pad_width")
    widths = []
    for pair in pairs:
        if len(pair) != 2:
            raise ShapeError(f"a pair (before, after) is expected, not {pair}", facts=[("x", x.type)])
        before, after = (as_amount(w, "a width") for w in pair)
        if any(isinstance(w, int) and w < 0 for w in (before, after)):
            raise ShapeError(f"a width cannot be negative: {(before, after)}", facts=[("x", x.type)])
        widths.append((before, after))
    return tuple(widths)


def _pairs(given: Any, x: Tensor, what: str) -> list[Any]:
    """A pair for each axis, from a number, one pair, or pairs."""
    if isinstance(given, numpy.ndarray):
        given = given.tolist()
    if not isinstance(given, (tuple, list)):
        return [(given, given)] * x.ndim
    if not any(isinstance(v, (tuple, list)) for v in given):
        given = (given,)
    rows = [tuple(v) * 2 if len(v) == 1 else tuple(v) for v in map(_as_row, given)]
    if len(rows) == 1:
        rows = rows * x.ndim
    if len(rows) != x.ndim or any(len(row) != 2 for row in rows):
        raise ShapeError(
            f"{what} must be a number, a pair, or a pair for each axis",
            facts=[("x", x.type), (what, given)],
            at=origin.locate(origin.current()),
        )
    return rows


def _as_row(value: Any) -> Any:
    return value if isinstance(value, (tuple, list)) else (value,)


# ---- constants --------------------------------------------------------------------------------------


def _constant(x: Tensor, widths: Widths, values: Any) -> Tensor:
    """Joined to what is around it; zeros around several axes come with its place in a larger tensor."""
    padded = [axis for axis, width in enumerate(widths) if width != (0, 0)]
    pairs = [tuple(_value(v, x) for v in pair) for pair in _pairs(values, x, "constant_values")]
    if len(padded) > 1 and all(_is_zero(v) for axis in padded for v in pairs[axis]):
        starts = tuple(before for before, _ in widths)
        stops = tuple(start + d for start, d in zip(starts, x.shape, strict=True))
        shape = tuple(stop + after for (_, after), stop in zip(widths, stops, strict=True))
        return apply(Unslice(starts, stops, (1,) * x.ndim, shape), with_sizes(x))
    for axis in padded:
        low, high = (
            broadcast_to(value, (*x.shape[:axis], width, *x.shape[axis + 1 :]))
            for value, width in zip(pairs[axis], widths[axis], strict=True)
        )
        before, after = widths[axis]
        x = concat([*([low] if before != 0 else []), x, *([high] if after != 0 else [])], axis)
    return x


def _value(value: Any, x: Tensor) -> Tensor:
    tensor = as_tensor(value)
    if tensor.ndim:
        raise ShapeError("a constant value has no dimensions", facts=[("value", tensor.type)])
    number = fill_value(tensor)
    if not (_holds(x.dtype, number) if number is not None else promote(x.dtype, tensor.dtype) is x.dtype):
        raise DTypeError(
            f"{x.dtype} does not hold the constant value {tensor.type if number is None else number}",
            facts=[("x", x.type)],
            at=origin.locate(origin.current()),
            hint="convert one of them first, with astype",
        )
    return astype(tensor, x.dtype)


def _holds(dtype: DType, number: PyScalar) -> bool:
    """Whether a dtype has a number: integers exactly, floats as nearly as they do."""
    if dtype.kind in ("float", "complex"):
        return dtype.kind == "complex" or not isinstance(number, complex)
    if isinstance(number, complex) or not math.isfinite(number) or number != int(number):
        return False
    low, high = (0, 1) if dtype.kind == "bool" else _limits(dtype)
    return low <= number <= high


def _limits(dtype: DType) -> tuple[int, int]:
    info = numpy.iinfo(dtype.numpy)
    return int(info.min), int(info.max)


def _is_zero(value: Tensor) -> bool:
    number = fill_value(value)
    return number is not None and not numpy.signbit(numpy.real(number)) and number == 0


# ---- repetitions ------------------------------------------------------------------------------------


def _repeated(x: Tensor, axis: int, before: Dim, after: Dim, mode: str) -> Tensor:
    size = x.shape[axis]
    if size == 0:
        raise ShapeError(
            f"an empty axis has nothing for pad to repeat in the mode {mode!r}",
            facts=[("x", x.type), ("axis", axis)],
            at=origin.locate(origin.current()),
            hint='mode="constant"',
        )
    longest, pieces_of = _MODES[mode]
    known = [w for w in (before, after) if isinstance(w, int)]
    if isinstance(size, int) and len(known) == 2 and max(known) > longest(size):
        index = numpy.pad(numpy.arange(size), known, mode=mode)  # type: ignore[call-overload]
        return apply(Take(axis), x, as_tensor(index))
    pieces = [cut(x, axis, *piece) for piece in pieces_of(size, before, after) if piece is not None]
    if mode == "edge":
        widths = [w for w in (before, after) if w != 0]
        shape = x.shape
        pieces = [
            broadcast_to(p, (*shape[:axis], w, *shape[axis + 1 :]))
            for p, w in zip(pieces, widths, strict=True)
        ]
    count = int(before != 0)
    parts = [*pieces[:count], x, *pieces[count:]]
    return concat(parts, axis)


#: start, stop and step, counted from the front; a stop of -1 with a negative step means "to the front".
Piece: TypeAlias = tuple[Dim, Dim, int]
Pieces: TypeAlias = tuple[Piece | None, Piece | None]


def _edge(size: Dim, before: Dim, after: Dim) -> Pieces:
    return (0, 1, 1) if before != 0 else None, (size - 1, size, 1) if after != 0 else None


def _reflect(size: Dim, before: Dim, after: Dim) -> Pieces:
    return (
        (before, 0, -1) if before != 0 else None,
        _backwards(size - 2, after) if after != 0 else None,
    )


def _symmetric(size: Dim, before: Dim, after: Dim) -> Pieces:
    return (
        _backwards(before - 1, before) if before != 0 else None,
        _backwards(size - 1, after) if after != 0 else None,
    )


def _wrap(size: Dim, before: Dim, after: Dim) -> Pieces:
    return (size - before, size, 1) if before != 0 else None, (0, after, 1) if after != 0 else None


def _backwards(start: Dim, count: Dim) -> Piece:
    """`count` elements from `start` towards the front."""
    return start, start - count, -1


#: Mode -> the widest padding that one pass over an axis gives, and the slices that give it.
_MODES: dict[str, tuple[Callable[[int], float], Callable[[Dim, Dim, Dim], Pieces]]] = {
    "edge": (lambda size: numpy.inf, _edge),
    "reflect": (lambda size: size - 1, _reflect),
    "symmetric": (lambda size: size, _symmetric),
    "wrap": (lambda size: size, _wrap),
}
