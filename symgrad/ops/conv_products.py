"""Convolutions as matrix products, one for each group: of the windows of x, a row each, and the weights.

y (n i, o) = x' (n i, c p) w (c p, o)        its transposes: x' = y w^T, added up where windows overlap,
                                             and w = x'^T y
"""

from __future__ import annotations

from symgrad.dims import Dim, Shape, floordiv, product
from symgrad.ir.tensor import Tensor, apply
from symgrad.ops.contract import MatMul
from symgrad.ops.conv_geometry import Geometry
from symgrad.ops.shape import permute_dims, reshape
from symgrad.ops.slices import Slice, Unslice
from symgrad.ops.windows import Fold, Windows, folded


def conv(op: Geometry, strong: str, x: Tensor, w: Tensor) -> Tensor:
    """y from x and w."""
    rows, places = _rows(op, x, op.spatial(w.shape, "w"))
    found = apply(MatMul(_named(strong, "xw")), rows, _columns(op, w))
    n, outputs = x.shape[0], w.shape[op.axis("o", "w")]
    apart = reshape(found, (op.groups, n, *places, found.shape[-1]))
    return _placed(op, apart, n, outputs)


def conv_input(op: Geometry, strong: str, sizes: Shape, g: Tensor, w: Tensor) -> Tensor:
    """x from y and w."""
    kernel, places, n = op.spatial(w.shape, "w"), op.spatial(g.shape, "g"), g.shape[0]
    inner = w.shape[op.axis("c", "w")]
    found = apply(MatMul(_named(strong, "gw")), _pixels(op, g), _columns(op, w).mT)
    apart = reshape(found, (op.groups, n, *places, inner, *kernel))
    rank = op.rank
    moved = permute_dims(apart, (1, *range(2, 2 + rank), 0, *range(2 + rank, apart.ndim)))  # n i g c p
    padded = tuple(d + low + high for d, (low, high) in zip(sizes, op.padding, strict=True))
    fold = Fold(kernel, op.strides, op.dilations, tuple(range(1, 1 + rank)), (n, *padded, op.groups, inner))
    whole = folded(fold, moved)
    cut = padded_by(whole, [(0, 0), *[(-low, -high) for low, high in op.padding], (0, 0), (0, 0)])
    ordered = permute_dims(cut, (1 + rank, 0, *range(1, 1 + rank), 2 + rank))
    return _placed(op, ordered, n, op.groups * inner)


def conv_weights(op: Geometry, strong: str, sizes: Shape, x: Tensor, g: Tensor) -> Tensor:
    """w from x and y."""
    rows, _ = _rows(op, x, sizes)
    found = apply(MatMul(_named(strong, "xg")), rows.mT, _pixels(op, g))
    inner, outputs = floordiv(x.shape[op.axis("c", "x")], op.groups), g.shape[op.axis("o", "g")]
    apart = reshape(found, (op.groups, inner, *sizes, found.shape[-1]))
    last, kernel = apart.ndim - 1, range(2, apart.ndim - 1)
    if op.channels == "first":
        return reshape(permute_dims(apart, (0, last, 1, *kernel)), (outputs, inner, *sizes))
    return reshape(permute_dims(apart, (*kernel, 1, 0, last)), (*sizes, inner, outputs))


def _named(strong: str, operands: str) -> str:
    """The operands whose zeros are strong, by the names that the matrix product has for them."""
    return "".join(letter for letter, name in zip("ab", operands, strict=True) if name in strong)


def _rows(op: Geometry, x: Tensor, kernel: Shape) -> tuple[Tensor, Shape]:
    """The windows of x as (group, batch and place, channel and place in the kernel), and the places."""
    grouped = _grouped(op, x)
    rank = op.rank
    padded = padded_by(grouped, [(0, 0), (0, 0), *op.padding, (0, 0)])
    view = apply(Windows(kernel, op.strides, op.dilations, tuple(range(2, 2 + rank))), padded)
    places = view.shape[2 : 2 + rank]
    shape = (op.groups, x.shape[0] * product(places), grouped.shape[-1] * product(kernel))
    return reshape(view, shape), places


def _grouped(op: Geometry, x: Tensor) -> Tensor:
    """x or y as (group, batch, *spatial, channel of the group)."""
    axis = op.axis("c", "x")
    shape = x.shape
    apart = reshape(x, (*shape[:axis], op.groups, floordiv(shape[axis], op.groups), *shape[axis + 1 :]))
    order = [i for i in range(apart.ndim) if i not in (0, axis, axis + 1)]
    return permute_dims(apart, (axis, 0, *order, axis + 1))


def _placed(op: Geometry, x: Tensor, n: Dim, channels: Dim) -> Tensor:
    """The reverse of `_grouped`."""
    last, spatial = x.ndim - 1, range(2, x.ndim - 1)
    order = (1, 0, last, *spatial) if op.channels == "first" else (1, *spatial, 0, last)
    return reshape(permute_dims(x, order), op.shape("x", n, channels, x.shape[2:-1]))


def _columns(op: Geometry, w: Tensor) -> Tensor:
    """The weights as (group, channel and place in the kernel, output of the group)."""
    kernel, inner = op.spatial(w.shape, "w"), w.shape[op.axis("c", "w")]
    outputs = floordiv(w.shape[op.axis("o", "w")], op.groups)
    rank = op.rank
    if op.channels == "first":
        apart = reshape(w, (op.groups, outputs, inner, *kernel))
        moved = permute_dims(apart, (0, *range(2, 3 + rank), 1))
    else:
        apart = reshape(w, (*kernel, inner, op.groups, outputs))
        moved = permute_dims(apart, (rank + 1, rank, *range(rank), rank + 2))
    return reshape(moved, (op.groups, inner * product(kernel), outputs))


def _pixels(op: Geometry, y: Tensor) -> Tensor:
    """y as (group, batch and place, output of the group)."""
    grouped = _grouped(op, y)
    return reshape(grouped, (op.groups, product(grouped.shape[1:-1]), grouped.shape[-1]))


def padded_by(x: Tensor, widths: list[tuple[int, int]]) -> Tensor:
    """x with so many zeros in front and behind, or, of a negative number, so many elements less."""
    cut = [(max(-low, 0), max(-high, 0)) for low, high in widths]
    if any(map(any, cut)):
        starts = tuple(low for low, _ in cut)
        stops = tuple(d - high for d, (_, high) in zip(x.shape, cut, strict=True))
        x = apply(Slice(starts, stops, (1,) * x.ndim), x)
    added = [(max(low, 0), max(high, 0)) for low, high in widths]
    if not any(map(any, added)):
        return x
    begins = tuple(low for low, _ in added)
    ends = tuple(low + d for d, (low, _) in zip(x.shape, added, strict=True))
    shape = tuple(end + high for end, (_, high) in zip(ends, added, strict=True))
    return apply(Unslice(begins, ends, (1,) * x.ndim, shape), x)
