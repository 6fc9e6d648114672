"""What is known of sizes whatever their symbols are: at least as large, inside, equal."""

from __future__ import annotations

from collections.abc import Sequence

from symgrad.dims import Dim, Shape, Symbol, size, substitute, symbols
from symgrad.ir.tensor import Tensor
from symgrad.ops.join import Split
from symgrad.ops.slices import Slice, Unslice


def at_least(a: Dim, b: Dim) -> bool:
    """Whether a >= b for all sizes, as the coefficients of a - b tell: symbols are >= 0.

    >>> from symgrad.dims import size
    >>> n = size("n")
    >>> at_least(2 * n + 1, n), at_least(n, 1), at_least(3, 2)
    (True, False, True)
    """
    difference = a - b
    if isinstance(difference, int):
        return difference >= 0
    return all(
        coefficient >= 0 and all(isinstance(atom, Symbol) for atom, _ in monomial)
        for monomial, coefficient in difference.terms
    )


def never_dearer(a: Dim, b: Dim) -> bool:
    """Whether a cost a <= b for all sizes of 1 or more, as the coefficients of b - a in sizes less 1 tell:
    what is empty costs nothing in any way.

    >>> from symgrad.dims import size
    >>> n = size("n")
    >>> never_dearer(2 * n * n, n * n * n + n * n), never_dearer(n * n, 100 * n)
    (True, False)
    """
    difference = b - a
    return at_least(substitute(difference, {name: size(name) + 1 for name in symbols(difference)}), 0)


def stays_inside(op: Slice | Unslice, shape: Shape) -> bool:
    """Whether a slice of a tensor of `shape` is known to stay inside, so that no call has to check it."""
    return all(
        at_least(start, 0) and at_least(extent, stop)
        if step > 0
        else at_least(stop, -1) and at_least(extent - 1, start)
        for start, stop, step, extent in zip(op.starts, op.stops, op.steps, shape, strict=True)
    )


def is_whole(start: Dim, stop: Dim, step: int, extent: Dim) -> bool:
    """Whether a slice takes all of an axis, as it is."""
    return start == 0 and stop == extent and step == 1


def compose(
    first: tuple[Dim, Dim, int, Dim], second: tuple[Dim, Dim, int, Dim]
) -> tuple[Dim, Dim, int] | None:
    """One axis of x[first][second], each a (start, stop, step, number of elements read), as one slice of
    x."""
    (start, stop, step, _), (then, until, stride, count) = first, second
    if stride == step == 1:
        return start + then, start + until, 1
    if not all(isinstance(d, int) for d in (start, stop, then, until, count)):
        if then == 0 and stride == 1 and count == first[3]:
            return start, stop, step
        return None
    if count == 0:
        return 0, 0, 1
    begin, through = start + step * then, step * stride
    last = begin + (count - 1) * through
    return begin, last + (1 if through > 0 else -1), through


def groups(old: Sequence[Dim], new: Sequence[Dim]) -> list[tuple[tuple[int, ...], tuple[int, ...]]] | None:
    """Shortest runs of axes of `old` and of `new` with equal products; axes of size 1 are in none. None where
    they do not pair up.

    >>> groups((6, 1, 4), (2, 3, 4))
    [((0,), (0, 1)), ((2,), (2,))]
    """
    left = [i for i, d in enumerate(old) if d != 1]
    right = [i for i, d in enumerate(new) if d != 1]
    ends: dict[Dim, int] = {}
    total: Dim = 1
    for count, i in enumerate(left, 1):
        total = total * old[i]
        ends[total] = count
    if 0 in ends:
        return None
    found: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    a = b = 0
    total = 1
    for count, j in enumerate(right, 1):
        total = total * new[j]
        end = ends.get(total, 0)
        if end > a:
            found.append((tuple(left[a:end]), tuple(right[b:count])))
            a, b = end, count
    return found if a == len(left) and b == len(right) else None


def inserts_ones(small: Shape, large: Shape) -> tuple[int, ...] | None:
    """The axes of `large` that are new and of size 1, where all others are those of `small`; else None."""
    added = []
    i = 0
    for j, d in enumerate(large):
        if i < len(small) and small[i] == d and not (d == 1 and len(large) - j > len(small) - i):
            i += 1
        elif d == 1:
            added.append(j)
        else:
            return None
    return tuple(added) if i == len(small) else None


def piece_of(tensor: Tensor, axis: int) -> tuple[Tensor, Dim, Dim] | None:
    """x, start and stop, where the tensor is x[start:stop] along an axis, whole along the others; else
    None."""
    op = tensor.node.op
    if isinstance(op, Split) and op.axis == axis and all(at_least(d, 0) for d in op.sizes):
        begin: Dim = 0
        for piece in op.sizes[: tensor.index]:
            begin = begin + piece
        return tensor.node.inputs[0], begin, begin + op.sizes[tensor.index]
    if not isinstance(op, Slice):
        return None
    (x,) = tensor.node.inputs
    if not stays_inside(op, x.shape):
        return None
    for i, (start, stop, step, extent) in enumerate(zip(op.starts, op.stops, op.steps, x.shape, strict=True)):
        if step != 1 or (i != axis and not is_whole(start, stop, step, extent)):
            return None
    return x, op.starts[axis], op.stops[axis]
