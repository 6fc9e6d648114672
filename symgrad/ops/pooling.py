"""Pooling of the language: max_pool1d ... avg_pool3d."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from symgrad import dims
from symgrad.dims import Dim, Size, floordiv
from symgrad.errors import DTypeError, ShapeError
from symgrad.ir import origin
from symgrad.ir.choice import check_choice
from symgrad.ir.tensor import Tensor, apply
from symgrad.ops.conv_geometry import LAYOUTS
from symgrad.ops.convolve import as_pairs
from symgrad.ops.create import as_tensor, fill
from symgrad.ops.pool import MaxPool, SumPool
from symgrad.ops.reduce import as_inexact
from symgrad.ops.shape import broadcast_to, with_sizes
from symgrad.ops.slices import SetSlice, Unslice
from symgrad.ops.windows import as_numbers


def max_pool1d(
    x: Any,
    size: Any,
    *,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    channels: str = "first",
) -> Tensor:
    """`max_pool2d` over one spatial axis: x is (n, c, length).

    >>> max_pool1d([[[1.0, 3.0, 2.0, 5.0, 4.0]]], 2).eval()
    array([[[3., 5.]]])
    """
    return _max_pool(1, x, size, stride, padding, dilation, ceil_mode, channels)


def max_pool2d(
    x: Any,
    size: Any,
    *,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    channels: str = "first",
) -> Tensor:
    """The maximum of each window, channel by channel; NaN where there is one.

    At ties the derivative is split equally among the tied.

    Args:
        x: (n, c, h, w), or (n, h, w, c) with `channels="last"`; the batch and the spatial sizes may be symbolic.
        size: of the windows: an int, or one for each spatial axis.
        stride: how far windows are apart; as far as they are long unless given.
        padding: around x, at most half a window: an int, one for each spatial axis, or pairs (in front, behind). It
            is less than all numbers.
        dilation: how far the elements of a window are apart.
        ceil_mode: whether a last window may reach beyond the padded x, as long as it begins in x or in front of it.
        channels: "first" or "last".

    Returns:
        (n, c, h', w') or (n, h', w', c), with h' = floor((h + padding - (size - 1) dilation - 1) / stride) + 1, or
        ceil(...) + 1.

    Raises:
        ShapeError: a window does not fit (of symbolic sizes: IndexError, when it runs), or too much padding.

    >>> from symgrad.ops.create import tensor
    >>> max_pool2d(tensor("x", ("n", 16, 32, 32)), 3, stride=2, padding=1)
    <max_pool: f64[n,16,16,16]>
    """
    return _max_pool(2, x, size, stride, padding, dilation, ceil_mode, channels)


def max_pool3d(
    x: Any,
    size: Any,
    *,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    channels: str = "first",
) -> Tensor:
    """`max_pool2d` over three spatial axes: x is (n, c, depth, height, width)."""
    return _max_pool(3, x, size, stride, padding, dilation, ceil_mode, channels)


def _max_pool(
    rank: int, x: Any, size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool, channels: str
) -> Tensor:
    p = _Pooling(f"max_pool{rank}d", rank, as_tensor(x), size, stride, padding, dilation, ceil_mode, channels)
    dtype = p.x.dtype
    if dtype.kind == "complex":
        raise DTypeError(
            f"complex numbers have no order: max_pool{rank}d takes none",
            facts=[("x", p.x.type)],
            hint="pool the absolute values",
        )
    least = (
        -numpy.inf if dtype.kind == "float" else numpy.iinfo(dtype.numpy).min if dtype.kind != "bool" else 0
    )
    padded = p.padded(p.x, p.pairs, least)
    return apply(MaxPool(p.sizes, p.steps, p.dilations, p.axes), padded)


def avg_pool1d(
    x: Any,
    size: Any,
    *,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    channels: str = "first",
) -> Tensor:
    """`avg_pool2d` over one spatial axis: x is (n, c, length).

    >>> avg_pool1d([[[1.0, 3.0, 2.0, 5.0, 4.0]]], 2).eval()
    array([[[2. , 3.5]]])
    """
    return _avg_pool(1, x, size, stride, padding, ceil_mode, count_include_pad, channels)


def avg_pool2d(
    x: Any,
    size: Any,
    *,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    channels: str = "first",
) -> Tensor:
    """The mean of each window, channel by channel; integers become float64.

    Args:
        x, size, stride, padding, channels: as in `max_pool2d`, but the padding is zeros.
        ceil_mode: as in `max_pool2d`; what is beyond the padding does not count.
        count_include_pad: whether the zeros of the padding count as elements; else a mean is over what is of x.

    >>> from symgrad.ops.create import tensor
    >>> avg_pool2d(tensor("x", ("n", 16, 32, 32)), 2)
    <divide: f64[n,16,16,16]>
    """
    return _avg_pool(2, x, size, stride, padding, ceil_mode, count_include_pad, channels)


def avg_pool3d(
    x: Any,
    size: Any,
    *,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    channels: str = "first",
) -> Tensor:
    """`avg_pool2d` over three spatial axes: x is (n, c, depth, height, width)."""
    return _avg_pool(3, x, size, stride, padding, ceil_mode, count_include_pad, channels)


def _avg_pool(
    rank: int,
    x: Any,
    size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    channels: str,
) -> Tensor:
    p = _Pooling(f"avg_pool{rank}d", rank, as_inexact(x), size, stride, padding, 1, ceil_mode, channels)
    pool = SumPool(p.sizes, p.steps, p.dilations, p.axes)
    sums = apply(pool, p.padded(p.x, p.pairs, 0))
    is_beyond = any(isinstance(extra, Size) or extra for extra in p.beyond)
    if not is_beyond and (count_include_pad or not any(map(any, p.pairs))):
        return sums / numpy.prod(p.sizes).item()
    shape: list[Dim] = [1] * p.x.ndim
    for axis, (low, high) in zip(p.axes, p.pairs, strict=True):
        shape[axis] = p.x.shape[axis] + (low + high if count_include_pad else 0)
    ones = fill(1, tuple(shape), p.x.dtype)
    counted = [(0, 0)] * rank if count_include_pad else p.pairs
    return sums / broadcast_to(apply(pool, p.padded(ones, counted, 0)), sums.shape)


class _Pooling:
    """What the arguments of a pooling function say."""

    def __init__(
        self,
        name: str,
        rank: int,
        x: Tensor,
        size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        ceil_mode: bool,
        channels: str,
    ) -> None:
        check_choice("channels", channels, LAYOUTS, ShapeError)
        if x.ndim != rank + 2:
            raise ShapeError(
                f"{name} needs a tensor of {rank + 2} dimensions: {LAYOUTS[channels].split(', w')[0]}",
                facts=[(x.name or "x", x.type)],
                at=origin.locate(origin.current()),
            )
        self.x = x
        self.axes = tuple(range(2, 2 + rank) if channels == "first" else range(1, 1 + rank))
        self.sizes = as_numbers(size, rank, "size")
        if any(k < 1 for k in self.sizes):
            raise ShapeError(
                f"windows have at least 1 element along each axis, not {self.sizes}",
                facts=[(x.name or "x", x.type)],
                at=origin.locate(origin.current()),
            )
        self.steps = self.sizes if stride is None else as_numbers(stride, rank, "stride")
        self.dilations = as_numbers(dilation, rank, "dilation")
        self.pairs = as_pairs(padding, rank)
        for k, d, pair in zip(self.sizes, self.dilations, self.pairs, strict=True):
            extent = (k - 1) * d + 1
            if not all(0 <= amount <= extent // 2 for amount in pair):
                raise ShapeError(
                    f"the padding {pair} must be from 0 to half of a window, which spans {extent}",
                    at=origin.locate(origin.current()),
                )
        #: How far the last window may reach beyond the padding.
        self.beyond: tuple[Dim, ...] = (0,) * rank
        if ceil_mode:
            self.beyond = tuple(map(self._beyond, range(rank)))

    def _beyond(self, i: int) -> Dim:
        """The last window begins where others end, but in x or in front of it."""
        n, (low, high), step = self.x.shape[self.axes[i]], self.pairs[i], self.steps[i]
        extent = (self.sizes[i] - 1) * self.dilations[i] + 1
        whole = n + low + high
        windows = dims.minimum(-floordiv(extent - whole, step) + 1, -floordiv(-(n + low), step))
        return dims.maximum((windows - 1) * step + extent - whole, 0)

    def padded(self, x: Tensor, pairs: Sequence[tuple[int, int]], value: float) -> Tensor:
        """x with a number around it, and as far beyond as windows reach."""
        starts: list[Dim] = [0] * x.ndim
        shape = list(x.shape)
        for axis, (low, high), extra in zip(self.axes, pairs, self.beyond, strict=True):
            starts[axis], shape[axis] = low, x.shape[axis] + low + high + extra
        if tuple(shape) == x.shape:
            return x
        stops = tuple(start + d for start, d in zip(starts, x.shape, strict=True))
        steps = (1,) * x.ndim
        if value == 0:
            return apply(Unslice(tuple(starts), stops, steps, tuple(shape)), with_sizes(x))
        return apply(SetSlice(tuple(starts), stops, steps), fill(value, tuple(shape), x.dtype), with_sizes(x))
