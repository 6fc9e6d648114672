"""Convolutions of the language: over 1, 2 and 3 spatial axes, and transposed ones."""

from __future__ import annotations

from typing import Any

from symgrad import dims
from symgrad.dims import Dim, Size, floordiv
from symgrad.errors import ShapeError
from symgrad.ir import origin
from symgrad.ir.choice import check_choice
from symgrad.ir.tensor import Tensor, apply
from symgrad.ops.align import align_tensors
from symgrad.ops.conv import Conv, ConvInput
from symgrad.ops.conv_geometry import LAYOUTS, Geometry
from symgrad.ops.shape import with_sizes
from symgrad.ops.slices import Unslice
from symgrad.ops.windows import as_numbers
from symgrad.types import as_int, as_items

Pairs = tuple[tuple[int, int], ...]


def conv1d(
    x: Any,
    w: Any,
    *,
    stride: Any = 1,
    padding: Any = "valid",
    dilation: Any = 1,
    groups: int = 1,
    channels: str = "first",
) -> Tensor:
    """`conv2d` over one spatial axis: x is (n, c, length), w is (o, c/groups, k).

    >>> from symgrad.ops.create import tensor
    >>> conv1d(tensor("x", ("n", 3, 100)), tensor("w", (8, 3, 5)), stride=2, padding="same")
    <conv: f64[n,8,50]>
    """
    return _convolution(1, x, w, stride, padding, dilation, groups, channels)


def conv2d(
    x: Any,
    w: Any,
    *,
    stride: Any = 1,
    padding: Any = "valid",
    dilation: Any = 1,
    groups: int = 1,
    channels: str = "first",
) -> Tensor:
    """The windows of x, each multiplied by the weights and added up (a cross-correlation: nothing is flipped).

        y[n,o,i,j] = sum over c, p, q of x[n, c, i s + p d - a, j s + q d - a] w[o,c,p,q]

    Args:
        x: images, (n, c, h, w), or (n, h, w, c) with `channels="last"`; the batch and the spatial sizes may be
            symbolic.
        w: weights, (o, c/groups, kh, kw), or (kh, kw, c/groups, o) with `channels="last"`.
        stride: how far windows are apart: an int, or one for each spatial axis.
        padding: zeros around x: "valid" for none, "same" for as many as give ceil(size / stride) windows (those
            behind one more where they are odd; an axis must not be empty), an int, an int for each spatial axis, or a pair (in front, behind)
            for each.
        dilation: how far the elements are apart that a kernel meets: an int, or one for each axis.
        groups: channels and outputs are cut into so many groups in a row, and an output meets the channels of its
            own group only; with as many groups as channels, a depthwise convolution.
        channels: "first" or "last".

    Returns:
        (n, o, h', w') or (n, h', w', o), with h' = floor((h + padding - (kh - 1) dilation - 1) / stride) + 1; the
        dtypes of x and w are promoted.

    Raises:
        ShapeError: channels do not match, groups do not divide, a kernel is larger than the padded images. Where
            sizes are symbolic, the call that has such images raises InputError or IndexError.

    >>> from symgrad.ops.create import tensor
    >>> conv2d(tensor("x", ("n", 3, 32, 32)), tensor("w", (16, 3, 5, 5)), padding="same", stride=2)
    <conv: f64[n,16,16,16]>
    """
    return _convolution(2, x, w, stride, padding, dilation, groups, channels)


def conv3d(
    x: Any,
    w: Any,
    *,
    stride: Any = 1,
    padding: Any = "valid",
    dilation: Any = 1,
    groups: int = 1,
    channels: str = "first",
) -> Tensor:
    """`conv2d` over three spatial axes: x is (n, c, depth, height, width), w is (o, c/groups, kd, kh, kw)."""
    return _convolution(3, x, w, stride, padding, dilation, groups, channels)


def _convolution(
    rank: int, x: Any, w: Any, stride: Any, padding: Any, dilation: Any, groups: Any, channels: str
) -> Tensor:
    images, weights = _operands(f"conv{rank}d", rank, x, w, channels)
    strides, apart = as_numbers(stride, rank, "stride"), as_numbers(dilation, rank, "dilation")
    geometry = Geometry(channels, strides, ((0, 0),) * rank, apart, as_numbers(groups, 1, "groups")[0])
    pairs = None if isinstance(padding, str) else as_pairs(padding, rank)
    if padding == "same":
        images, pairs = _same(geometry, images, weights)
    elif padding == "valid":
        pairs = geometry.padding
    if pairs is None:
        raise ShapeError(
            f'padding is "valid", "same" or numbers, not {padding!r:.60}', at=origin.locate(origin.current())
        )
    return apply(Conv(channels, strides, pairs, apart, geometry.groups), images, weights)


def _operands(name: str, rank: int, x: Any, w: Any, channels: str) -> list[Tensor]:
    check_choice("channels", channels, LAYOUTS, ShapeError)
    operands = align_tensors([x, w])
    if any(t.ndim != rank + 2 for t in operands):
        raise ShapeError(
            f"{name} needs tensors of {rank + 2} dimensions: {LAYOUTS[channels]}",
            facts=[(t.name or letter, t.type) for t, letter in zip(operands, "xw", strict=True)],
            at=origin.locate(origin.current()),
            hint="for a single image, give it a batch of one: x[None]",
        )
    return operands


def as_pairs(padding: Any, rank: int) -> Pairs:
    """A pair for each spatial axis, from an int, an int for each axis, or pairs."""
    items = as_items(padding)
    pairs = [as_items(v) for v in (items * rank if len(items) == 1 else items)]
    numbers = [tuple(as_int(v) for v in (pair * 2 if len(pair) == 1 else pair)) for pair in pairs]
    found = [(p[0], p[1]) for p in numbers if len(p) == 2 and p[0] is not None and p[1] is not None]
    if len(found) != rank or len(numbers) != rank:
        raise ShapeError(
            f"padding must be an int, {rank} of them, or {rank} pairs (in front, behind), not {padding!r:.60}",
            at=origin.locate(origin.current()),
        )
    return tuple((low, high) for low, high in found)


def _same(geometry: Geometry, x: Tensor, w: Tensor) -> tuple[Tensor, Pairs]:
    """The padding for which there are ceil(size / stride) windows, half of it in front, rounded down. Where it
    follows from sizes that are not known yet, x is padded itself."""
    sizes, kernel = geometry.spatial(x.shape, "x"), geometry.spatial(w.shape, "w")
    pairs: list[tuple[int, int]] = []
    lows: list[Dim] = []
    highs: list[Dim] = []
    for d, k, s, apart in zip(sizes, kernel, geometry.strides, geometry.dilations, strict=True):
        windows = -floordiv(-d, s)
        amount = dims.maximum((windows - 1) * s + (k - 1) * apart + 1 - d, 0)
        low = floordiv(amount, 2)
        known = not isinstance(amount, Size)
        pairs.append((int(low), int(amount - low)) if known else (0, 0))
        lows.append(0 if known else low)
        highs.append(0 if known else amount - low)
    if not any(isinstance(high, Size) for high in highs):
        return x, tuple(pairs)
    starts = geometry.shape("x", 0, 0, tuple(lows))
    stops = tuple(start + d for start, d in zip(starts, x.shape, strict=True))
    behind = geometry.shape("x", 0, 0, tuple(highs))
    whole = tuple(stop + high for stop, high in zip(stops, behind, strict=True))
    return apply(Unslice(starts, stops, (1,) * x.ndim, whole), with_sizes(x)), tuple(pairs)


# ---- transposed -------------------------------------------------------------------------------------


def conv_transpose1d(
    x: Any,
    w: Any,
    *,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    channels: str = "first",
) -> Tensor:
    """`conv_transpose2d` over one spatial axis: x is (n, c, length), w is (c, o/groups, k).

    >>> from symgrad.ops.create import tensor
    >>> conv_transpose1d(tensor("x", ("n", 8, 50)), tensor("w", (8, 3, 4)), stride=2, padding=1)
    <conv_input: f64[n,3,100]>
    """
    return _transposed(1, x, w, stride, padding, output_padding, dilation, groups, channels)


def conv_transpose2d(
    x: Any,
    w: Any,
    *,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    channels: str = "first",
) -> Tensor:
    """The transpose of `conv2d` as a linear map of its images: each element of x times the weights, added up where
    they overlap. PyTorch's parameters, with the same meaning.

    Args:
        x: (n, c, h, w), or (n, h, w, c) with `channels="last"`: like the result of a convolution.
        w: the weights of that convolution, (c, o/groups, kh, kw), or (kh, kw, o/groups, c).
        stride: of that convolution: what is next to each other in x is so far apart in the result.
        padding: what that convolution adds around its images, and this one leaves out: an int, one for each spatial
            axis, or a pair for each.
        output_padding: so many elements more at the end of each spatial axis, of the sizes that a convolution with
            a stride maps to one; an int, or one for each axis.
        dilation, groups, channels: as in `conv2d`.

    Returns:
        (n, o, h', w') with h' = (h - 1) stride - padding + (kh - 1) dilation + 1 + output_padding.

    Raises:
        ShapeError: channels do not match, groups do not divide, an output padding that is neither below the stride
            nor below the dilation, a padding that leaves nothing.

    >>> from symgrad.ops.create import tensor
    >>> conv_transpose2d(tensor("x", ("n", 8, 7, 7)), tensor("w", (8, 4, 3, 3)), stride=2, padding=1, output_padding=1)
    <conv_input: f64[n,4,14,14]>
    """
    return _transposed(2, x, w, stride, padding, output_padding, dilation, groups, channels)


def conv_transpose3d(
    x: Any,
    w: Any,
    *,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    channels: str = "first",
) -> Tensor:
    """`conv_transpose2d` over three spatial axes: x is (n, c, depth, height, width), w is (c, o/groups, kd, kh, kw)."""
    return _transposed(3, x, w, stride, padding, output_padding, dilation, groups, channels)


def _check_channels(name: str, geometry: Geometry, x: Tensor, w: Tensor) -> None:
    """Refuse weights of a transposed convolution that are for other channels than those of x."""
    have, wanted = x.shape[geometry.axis("o", "g")], w.shape[geometry.axis("o", "w")]
    facts = [("x", x.type), ("w", w.type)]
    if not dims.equal(have, wanted):
        raise ShapeError(
            f"{name}: the weights are for {wanted} channels, x has {have}",
            facts=facts,
            at=origin.locate(origin.current()),
            hint="the weights are those of the convolution that this transposes: its outputs are the channels of x",
        )
    if not dims.equal(floordiv(have, geometry.groups) * geometry.groups, have):
        raise ShapeError(
            f"{name}: {geometry.groups} groups do not divide the {have} channels of x",
            facts=facts,
            at=origin.locate(origin.current()),
        )


def _transposed(
    rank: int,
    x: Any,
    w: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    dilation: Any,
    groups: Any,
    channels: str,
) -> Tensor:
    images, weights = _operands(f"conv_transpose{rank}d", rank, x, w, channels)
    strides, apart = as_numbers(stride, rank, "stride"), as_numbers(dilation, rank, "dilation")
    more = as_numbers(output_padding, rank, "output_padding")
    if any(not 0 <= m < max(s, d) for m, s, d in zip(more, strides, apart, strict=True)):
        raise ShapeError(
            f"the output padding {more} must be below the stride {strides} or the dilation {apart}",
            at=origin.locate(origin.current()),
        )
    pairs = tuple((low, high - m) for (low, high), m in zip(as_pairs(padding, rank), more, strict=True))
    geometry = Geometry(channels, strides, pairs, apart, as_numbers(groups, 1, "groups")[0])
    _check_channels(f"conv_transpose{rank}d", geometry, images, weights)
    sizes = tuple(
        (d - 1) * s + (k - 1) * a + 1 - low - high
        for d, k, s, a, (low, high) in zip(
            geometry.spatial(images.shape, "g"),
            geometry.spatial(weights.shape, "w"),
            strides,
            apart,
            pairs,
            strict=True,
        )
    )
    if any(isinstance(d, int) and d < 0 for d in sizes):
        raise ShapeError(
            f"the padding {pairs} leaves nothing of a result of the sizes {sizes}",
            facts=[("x", images.type), ("w", weights.type)],
            at=origin.locate(origin.current()),
        )
    op = ConvInput(channels, strides, pairs, apart, geometry.groups, "", sizes)
    return apply(op, images, weights)
